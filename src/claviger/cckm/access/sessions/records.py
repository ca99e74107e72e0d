"""Rows of refresh tokens. A row is a whole line: the token given at sign-in, and those that took its place since."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from claviger.store.contract import Store, Tx, Value


class Line(msgspec.Struct, frozen=True):
    """A line of refresh tokens. `selector` begins each of them, `sha256` is that of the rest of the newest."""

    id: str
    selector: str
    sha256: bytes
    session_id: str
    user_id: str
    domain_id: str
    client_id: str
    unused_limit_s: int | None
    created_at: float
    used_at: float
    expires_at: float

    def ends_at(self) -> float:
        """When it ends if it is not used again."""
        if self.unused_limit_s is None:
            return self.expires_at
        return min(self.expires_at, self.used_at + self.unused_limit_s)


_NAMES = (
    "id, selector, sha256, session_id, user_id, domain_id, client_id, unused_limit_s, created_at, used_at, expires_at"
)
SORTED = {
    "id": "id",
    "created_at": "created_at",
    "createdAt": "created_at",
    "updatedAt": "used_at",
    "used_at": "used_at",
    "last_used_at": "used_at",
    "expires_at": "expires_at",
}


def _line(row: Sequence[Any]) -> Line:
    return Line(row[0], row[1], bytes(row[2]), *row[3:])


def add(tx: Tx, line: Line) -> None:
    """Stores a new line."""
    tx.execute(
        f"INSERT INTO cckm_refresh_tokens ({_NAMES}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *msgspec.structs.astuple(line),
    )


def by_selector(tx: Tx, selector: str) -> Line | None:
    """The line whose tokens begin so."""
    row = tx.fetch_one(f"SELECT {_NAMES} FROM cckm_refresh_tokens WHERE selector = ?", selector)
    return None if row is None else _line(row)


def by_id(tx: Tx, ident: str) -> Line | None:
    """The line of this id, within a change."""
    row = tx.fetch_one(f"SELECT {_NAMES} FROM cckm_refresh_tokens WHERE id = ?", ident)
    return None if row is None else _line(row)


def used(tx: Tx, ident: str, sha256: bytes, now: float) -> None:
    """Notes the use of a line, and the hash of what is its newest token from now on."""
    tx.execute("UPDATE cckm_refresh_tokens SET used_at = ?, sha256 = ? WHERE id = ?", now, sha256, ident)


def remove(tx: Tx, ident: str) -> None:
    """Ends a line."""
    tx.execute("DELETE FROM cckm_refresh_tokens WHERE id = ?", ident)


def remove_of_user(tx: Tx, user_id: str) -> None:
    """Ends every line of a user."""
    tx.execute("DELETE FROM cckm_refresh_tokens WHERE user_id = ?", user_id)


def remove_of_session(tx: Tx, session_id: str) -> None:
    """Ends the line of a session."""
    tx.execute("DELETE FROM cckm_refresh_tokens WHERE session_id = ?", session_id)


def remove_expired(tx: Tx, now: float) -> None:
    """Removes lines that are past their end."""
    tx.execute("DELETE FROM cckm_refresh_tokens WHERE expires_at <= ?", now)


def keep_newest(tx: Tx, user_id: str, most: int) -> None:
    """Ends the lines of a user that were used longest ago, beyond `most`."""
    tx.execute(
        "DELETE FROM cckm_refresh_tokens WHERE id IN "
        "(SELECT id FROM cckm_refresh_tokens WHERE user_id = ? ORDER BY used_at DESC LIMIT 1000 OFFSET ?)",
        user_id,
        most,
    )


async def find(store: Store, ident: str) -> Line | None:
    """The line of this id."""
    row = await store.read_one(f"SELECT {_NAMES} FROM cckm_refresh_tokens WHERE id = ?", ident)
    return None if row is None else _line(row)


async def count(store: Store, domain_id: str, user_id: str | None, now: float) -> int:
    """How many lines there are in a domain, of one user or of all."""
    where, args = _where(domain_id, user_id, now)
    row = await store.read_one(f"SELECT COUNT(*) FROM cckm_refresh_tokens WHERE {where}", *args)
    return int(row[0]) if row else 0


async def listed(
    store: Store,
    domain_id: str,
    user_id: str | None,
    now: float,
    order: Sequence[tuple[str, bool]],
    skip: int,
    most: int,
) -> list[Line]:
    """One page of them. `order` names keys of `SORTED`, true descends."""
    where, args = _where(domain_id, user_id, now)
    by = ", ".join(f"{SORTED[name]}{' DESC' if descends else ''}" for name, descends in order)
    rows = await store.read(
        f"SELECT {_NAMES} FROM cckm_refresh_tokens WHERE {where} ORDER BY {by}, id LIMIT ? OFFSET ?", *args, most, skip
    )
    return [_line(row) for row in rows]


def _where(domain_id: str, user_id: str | None, now: float) -> tuple[str, list[Value]]:
    live = "domain_id = ? AND expires_at > ? AND (unused_limit_s IS NULL OR used_at + unused_limit_s > ?)"
    args: list[Value] = [domain_id, now, now]
    return (live, args) if user_id is None else (live + " AND user_id = ?", [*args, user_id])
