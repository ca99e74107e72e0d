"""What is stored of key versions, and the SQL for it. The sealed material is read only by who is going to use it."""

from __future__ import annotations

from math import ceil

import msgspec

from claviger.ocikms import states
from claviger.ocikms.keys import records as keys
from claviger.ocikms.keys.records import Key
from claviger.ocikms.listing import Page, ordering
from claviger.ocikms.states import DELETED, PENDING_DELETION
from claviger.store.contract import Row, Store, Tx

_COLUMNS = (
    "num",
    "id",
    "key_num",
    "state",
    "passing",
    "passing_until",
    "deletes_at",
    "origin",
    "is_auto_rotated",
    "public_key",
    "restored_from",
    "data_key_id",
    "revision",
    "created_at",
)
_STORED = (*_COLUMNS[1:], "sealed")
_READ = ", ".join(f"r.{name}" for name in _COLUMNS)
_WITH_KEY = f"SELECT {keys.READ}, {_READ}"
_CURRENT = f"{keys.FROM} JOIN oci_key_versions r ON r.id = k.current_version_id WHERE k.id = ?"
_NAMED = f"{keys.FROM} JOIN oci_key_versions r ON r.key_num = k.num WHERE k.id = ? AND r.id = ?"
_USE_CURRENT = f"{_WITH_KEY}, r.sealed FROM {_CURRENT}"
_USE_NAMED = f"{_WITH_KEY}, r.sealed FROM {_NAMED}"
_PAGE_COLUMNS = {"TIMECREATED": "created_at", "DISPLAYNAME": "id"}  # versions have no name but that


class Version(msgspec.Struct, frozen=True):
    """A version's row without its material. Times are epoch seconds; `data_key_id` is None once that is destroyed."""

    num: int
    id: str
    key_num: int
    state: str
    passing: str
    passing_until: float
    deletes_at: float | None
    origin: str
    is_auto_rotated: int
    public_key: str | None
    restored_from: str | None
    data_key_id: int | None
    revision: int
    created_at: float

    def shown_at(self, now: float, key: Key) -> str:
        """The state to show, and to decide by. A version of a deleted key is deleted."""
        if key.shown_at(now) == DELETED:
            return DELETED
        return states.shown(self.state, self.passing, self.passing_until, self.deletes_at, now)

    def etag_at(self, now: float, key: Key) -> str:
        """Changes with every change of the version and of its state."""
        return states.etag(self.id, self.revision, self.shown_at(now, key))


class Usable(msgspec.Struct, frozen=True):
    """A version with its key, its vault and its sealed material, which is None once it is destroyed.

    Ask `shown_at` of both before it is used: it may stand in any state.
    """

    key: Key
    version: Version
    sealed: bytes | None


def _usable(row: Row) -> Usable:
    sealed = row[-1]
    version = Version(*row[keys.READ_COUNT : -1])
    return Usable(keys.read(row), version, None if sealed is None else bytes(sealed))


async def for_use(store: Store, key_id: str, version_id: str | None) -> Usable | None:
    """A version of a key, the current one where none is named, with all that its use needs. One read."""
    if version_id is None:
        row = await store.read_one(_USE_CURRENT, key_id)
    else:
        row = await store.read_one(_USE_NAMED, key_id, version_id)
    return None if row is None else _usable(row)


def for_use_now(store: Store, key_id: str, version_id: str | None) -> Usable | None:
    """The same without waiting; None also where the store cannot tell at once. The hot path."""
    if version_id is None:
        rows = store.read_now(_USE_CURRENT, key_id)
    else:
        rows = store.read_now(_USE_NAMED, key_id, version_id)
    return _usable(rows[0]) if rows else None


async def find(store: Store, key_id: str, version_id: str) -> tuple[Key, Version] | None:
    """A version of a key, whatever its state, with the key."""
    return _pair(await store.read_one(f"{_WITH_KEY} FROM {_NAMED}", key_id, version_id))


def find_in(tx: Tx, key_id: str, version_id: str) -> tuple[Key, Version] | None:
    """The same, as the transaction sees it."""
    return _pair(tx.fetch_one(f"{_WITH_KEY} FROM {_NAMED}", key_id, version_id))


def _pair(row: Row | None) -> tuple[Key, Version] | None:
    return None if row is None else (keys.read(row), Version(*row[keys.READ_COUNT :]))


def by_id_in(tx: Tx, version_id: str) -> tuple[Key, Version] | None:
    """The version of an OCID, with its key."""
    joined = f"{keys.FROM} JOIN oci_key_versions r ON r.key_num = k.num"
    return _pair(tx.fetch_one(f"{_WITH_KEY} FROM {joined} WHERE r.id = ?", version_id))


async def page(store: Store, key_num: int, wanted: Page) -> list[Version]:
    """The versions of a key, one more than a page."""
    condition, order, values = ordering(wanted, _PAGE_COLUMNS)
    rows = await store.read(
        f"SELECT {_READ} FROM oci_key_versions r WHERE r.key_num = ?{condition}{order}", key_num, *values
    )
    return [Version(*row) for row in rows]


def place_of(wanted: Page, version: Version) -> tuple[float | str, int]:
    """Where a version stands in the order of a page."""
    return (version.created_at if wanted.by == "TIMECREATED" else version.id), version.num


async def all_of(store: Store, key_num: int) -> list[tuple[Version, bytes | None]]:
    """All versions of a key with their sealed material, oldest first: what a backup takes along."""
    rows = await store.read(
        f"SELECT {_READ}, r.sealed FROM oci_key_versions r WHERE r.key_num = ? ORDER BY r.created_at, r.num", key_num
    )
    return [(Version(*row[:-1]), None if row[-1] is None else bytes(row[-1])) for row in rows]


def add(tx: Tx, version: Version, sealed: bytes | None) -> int:
    """Stores a new version; its number, which the one that was given had not."""
    marks = ", ".join("?" * len(_STORED))
    return tx.insert(
        f"INSERT INTO oci_key_versions ({', '.join(_STORED)}) VALUES ({marks}) RETURNING num",
        *(getattr(version, name) for name in _STORED[:-1]),
        sealed,
    )


def replace(tx: Tx, version: Version) -> None:
    """Writes what a schedule or a cancel changes."""
    tx.execute(
        "UPDATE oci_key_versions SET state = ?, passing = ?, passing_until = ?, deletes_at = ?, revision = ?"
        " WHERE num = ?",
        version.state,
        version.passing,
        version.passing_until,
        version.deletes_at,
        version.revision,
        version.num,
    )


# The end: the material is overwritten, the row stays.

_DESTROY = (
    "UPDATE oci_key_versions SET state = 'DELETED', passing = '', passing_until = 0, data_key_id = NULL,"
    " sealed = NULL WHERE "
)


def destroy(tx: Tx, num: int) -> None:
    """Destroys the material of a version and writes down that it is deleted. It was shown so from its date on."""
    tx.execute(f"{_DESTROY}num = ?", num)


def destroy_of_key(tx: Tx, key_num: int) -> int:
    """The same for all versions of a key; how many."""
    return tx.execute(f"{_DESTROY}key_num = ?", key_num)


class Due(msgspec.Struct, frozen=True):
    """A version whose date has come."""

    num: int
    id: str
    key_id: str


def due(tx: Tx, now: float, limit: int) -> list[Due]:
    """Versions whose date has come, longest due first, `limit` at most."""
    rows = tx.fetch(
        "SELECT r.num, r.id, k.id FROM oci_key_versions r JOIN oci_keys k ON k.num = r.key_num"
        " WHERE r.state = 'PENDING_DELETION' AND r.deletes_at <= ? ORDER BY r.deletes_at LIMIT ?",
        float(int(now)),
        limit,
    )
    return [Due(*row) for row in rows]


async def next_due(store: Store) -> float | None:
    """When the next version is due, in whole seconds; None where none is scheduled."""
    row = await store.read_one(f"SELECT MIN(deletes_at) FROM oci_key_versions WHERE state = '{PENDING_DELETION}'")
    return None if row is None or row[0] is None else float(ceil(row[0]))
