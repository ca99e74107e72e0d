"""Fresh names for things. Only this decides how an identifier looks; all are from the system's random source."""

from __future__ import annotations

import secrets
import uuid


def new_uuid() -> str:
    """A random UUID in its canonical lower-case form."""
    return str(uuid.uuid4())


def new_version() -> str:
    """A secret's version: 32 lower-case hex digits (Key Vault contract §4)."""
    return secrets.token_hex(16)


def new_token(byte_count: int = 32) -> str:
    """An unguessable URL-safe word of `byte_count` random bytes, for credentials made by Claviger.

    It never begins with `-`, which commands such as `az login --password WORD` would take for an option.
    """
    while (word := secrets.token_urlsafe(byte_count)).startswith("-"):
        pass
    return word
