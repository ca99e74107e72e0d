"""How long sessions last, when a user is locked out, and how a refresh token is made of its two parts."""

from __future__ import annotations

import hashlib

FAILURES_BEFORE_LOCK = 5
FIRST_LOCK_S = 60.0
LONGEST_LOCK_S = 1_800.0
REFRESH_LIFE_S = 24 * 3_600
LONGEST_REFRESH_LIFE_S = 30 * 24 * 3_600
SELECTOR_LENGTH = 16
REFRESH_TOKEN_LENGTH = 64
LINES_PER_USER = 100


def locked_for(failures: int) -> float:
    """Seconds that a user is locked out after so many failures in a row: one minute at five, doubling to 30."""
    if failures < FAILURES_BEFORE_LOCK:
        return 0.0
    return min(LONGEST_LOCK_S, FIRST_LOCK_S * 2.0 ** min(failures - FAILURES_BEFORE_LOCK, 10))


def refresh_life(asked_minutes: int | None) -> int:
    """Seconds that a line of refresh tokens lives, whatever happens: what was asked for, at most 30 days."""
    if not asked_minutes or asked_minutes < 0:
        return REFRESH_LIFE_S
    return min(LONGEST_REFRESH_LIFE_S, asked_minutes * 60)


def unused_limit(asked_minutes: int | None) -> int | None:
    """Seconds after which an unused line ends; None for no such limit."""
    if not asked_minutes or asked_minutes < 0:
        return None
    return min(LONGEST_REFRESH_LIFE_S, asked_minutes * 60)


def parts_of(token: bytes) -> tuple[str, bytes] | None:
    """The selector of a refresh token's line, and the SHA-256 of the rest; None for what never was one."""
    if len(token) != REFRESH_TOKEN_LENGTH or not token.isascii():
        return None
    return token[:SELECTOR_LENGTH].decode(), hashlib.sha256(token[SELECTOR_LENGTH:]).digest()
