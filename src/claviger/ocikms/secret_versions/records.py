"""What is stored of the versions of secrets, and the SQL for it. A version's row carries its content sealed only.

Rows are never removed: a version that is deleted says so, and has nothing sealed any more. Times are epoch seconds.
"""

from __future__ import annotations

from typing import Any

import msgspec

from claviger.ocikms import states
from claviger.ocikms.listing import Page, ordering
from claviger.ocikms.secrets import rules
from claviger.ocikms.secrets.records import final
from claviger.ocikms.secrets.rules import Marks
from claviger.ocikms.states import DELETED
from claviger.store.contract import Row, Store, Tx, Value


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version's row without what is sealed."""

    num: int = 0
    secret_num: int
    number: int
    name: str | None
    content_mark: str
    is_auto_generated: int
    state: str = rules.ACTIVE
    deletes_at: float | None = None
    data_key_id: int | None
    created_at: float

    def shown_at(self, now: float) -> str:
        """ACTIVE, PENDING_DELETION or DELETED; the wire shows only the date."""
        return states.shown(self.state, "", 0.0, self.deletes_at, now)


_COLUMNS = Version.__struct_fields__
_READ = ", ".join(f"r.{name}" for name in _COLUMNS)
_KEPT = "r.state <> 'DELETED' AND NOT (r.state = 'PENDING_DELETION' AND r.deletes_at < ?)"
_ONE = f"SELECT {_READ} FROM oci_secret_versions r WHERE r.secret_num = ? AND r.number = ?"


def _version(row: Row) -> Version:
    return Version(**dict(zip(_COLUMNS, row[: len(_COLUMNS)], strict=True)))


def add(tx: Tx, version: Version, sealed: bytes) -> None:
    """Stores a version with its sealed content."""
    names = (*_COLUMNS[1:], "sealed")
    tx.execute(
        f"INSERT INTO oci_secret_versions ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        *(getattr(version, name) for name in names[:-1]),
        sealed,
    )


async def find(store: Store, secret_num: int, number: int) -> Version | None:
    """One version, whatever its state."""
    row = await store.read_one(_ONE, secret_num, number)
    return None if row is None else _version(row)


def find_in(tx: Tx, secret_num: int, number: int) -> Version | None:
    """The same as the transaction sees it."""
    row = tx.fetch_one(_ONE, secret_num, number)
    return None if row is None else _version(row)


async def page(store: Store, secret_num: int, at: Page, now: float) -> list[Version]:
    """The versions of a secret that are not deleted, one more than a page."""
    condition, order, values = ordering(at, {"VERSION_NUMBER": "number"})
    rows = await store.read(
        f"SELECT {_READ} FROM oci_secret_versions r WHERE r.secret_num = ? AND {_KEPT}{condition}{order}",
        secret_num,
        final(now),
        *values,
    )
    return [_version(row) for row in rows]


def set_state(tx: Tx, num: int, state: str, deletes_at: float | None) -> None:
    """Schedules a version, or brings it back."""
    tx.execute("UPDATE oci_secret_versions SET state = ?, deletes_at = ? WHERE num = ?", state, deletes_at, num)


def count(tx: Tx, secret_num: int, state: str, now: float) -> int:
    """How many versions of a secret are ACTIVE, or are PENDING_DELETION and not yet due."""
    row = tx.fetch_one(
        f"SELECT COUNT(*) FROM oci_secret_versions r WHERE r.secret_num = ? AND r.state = ? AND {_KEPT}",
        secret_num,
        state,
        final(now),
    )
    return 0 if row is None else int(row[0])


def is_name_taken(tx: Tx, secret_num: int, name: str) -> bool:
    """Whether a version of the secret has that name."""
    sql = "SELECT 1 FROM oci_secret_versions WHERE secret_num = ? AND name = ?"
    return tx.fetch_one(sql, secret_num, name) is not None


def is_content_used(tx: Tx, secret_num: int, mark: str, now: float, *, on_deleted: bool) -> bool:
    """Whether a version had the content of that mark; of deleted versions only where they count."""
    sql, args = "SELECT 1 FROM oci_secret_versions r WHERE r.secret_num = ? AND r.content_mark = ?", list[Value]()
    if not on_deleted:
        sql, args = f"{sql} AND {_KEPT}", [final(now)]
    return tx.fetch_one(f"{sql} LIMIT 1", secret_num, mark, *args) is not None


# Contents.


class Sealed(msgspec.Struct, frozen=True):
    """A version with its sealed content; None once it is destroyed."""

    version: Version
    sealed: bytes | None


class Which(msgspec.Struct, frozen=True):
    """Which version of a secret: that of a number or of a name, or else the newest in no use that is there."""

    marks: Marks
    number: int | None = None
    name: str | None = None


_SEALED = f"SELECT {_READ}, r.sealed FROM oci_secret_versions r WHERE r.secret_num = ?"
_UNUSED = f"{_SEALED} AND r.number NOT IN (?, ?, ?) AND r.state = 'ACTIVE' ORDER BY r.number DESC LIMIT 1"


def _query(secret_num: int, which: Which) -> tuple[str, list[Value]]:
    if which.number is not None:
        return f"{_SEALED} AND r.number = ?", [secret_num, which.number]
    if which.name is not None:
        return f"{_SEALED} AND r.name = ?", [secret_num, which.name]
    return _UNUSED, [secret_num, which.marks.current, which.marks.previous, which.marks.pending]


def _sealed(rows: list[Row]) -> Sealed | None:
    if not rows:
        return None
    kept: Any = rows[0][-1]
    return Sealed(_version(rows[0]), None if kept is None else bytes(kept))


async def sealed(store: Store, secret_num: int, which: Which) -> Sealed | None:
    """That version with its content."""
    sql, args = _query(secret_num, which)
    return _sealed(await store.read(sql, *args))


def sealed_now(store: Store, secret_num: int, which: Which) -> Sealed | None:
    """The same without waiting; None also where the store cannot tell at once."""
    sql, args = _query(secret_num, which)
    return _sealed(store.read_now(sql, *args) or [])


def sealed_in(tx: Tx, secret_num: int, number: int) -> Sealed | None:
    """The version of a number, as the transaction sees it."""
    return _sealed(tx.fetch(f"{_SEALED} AND r.number = ?", secret_num, number))


# The end.


class Due(msgspec.Struct, frozen=True):
    """A version whose date has come."""

    num: int
    secret_id: str
    secret_name: str
    vault_id: str
    number: int


def due(tx: Tx, now: float, limit: int) -> list[Due]:
    """Versions whose date has come."""
    rows = tx.fetch(
        "SELECT r.num, s.id, s.name, v.id, r.number FROM oci_secret_versions r"
        " JOIN oci_secrets s ON s.num = r.secret_num JOIN oci_vaults v ON v.num = s.vault_num"
        " WHERE r.state = 'PENDING_DELETION' AND r.deletes_at < ? LIMIT ?",
        final(now),
        limit,
    )
    return [Due(*row) for row in rows]


def end(tx: Tx, num: int) -> None:
    """Writes down that a version is deleted, and destroys its content."""
    tx.execute(
        "UPDATE oci_secret_versions SET state = ?, sealed = NULL, data_key_id = NULL WHERE num = ?", DELETED, num
    )
