"""What is stored of keys, and the SQL for it. Every read of a key brings what its vault says about it along.

A row has the state in which the key stands for good, and beside it the one that passes (`ocikms/states.py`); ask
`shown_at` for the state to show and to decide by. Times are epoch seconds; tags are JSON texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import msgspec

from claviger.ocikms import states
from claviger.ocikms.calls import Place
from claviger.ocikms.listing import Page, ordering
from claviger.ocikms.states import DELETED, PENDING_DELETION
from claviger.ocikms.vaults.records import Vault
from claviger.store.contract import Row, Store, Tx, Value

_COLUMNS = (
    "id",
    "vault_num",
    "compartment_id",
    "display_name",
    "algorithm",
    "length",
    "curve_id",
    "protection_mode",
    "current_version_id",
    "state",
    "passing",
    "passing_until",
    "previous_state",
    "deletes_at",
    "by_vault",
    "is_auto_rotated",
    "rotation_interval_days",
    "rotation_start_at",
    "next_rotation_at",
    "last_rotation_at",
    "last_rotation_status",
    "last_rotation_message",
    "freeform_tags",
    "defined_tags",
    "restored_from",
    "revision",
    "created_at",
    "updated_at",
)
_FIXED = ("id", "vault_num", "algorithm", "length", "curve_id", "protection_mode", "restored_from", "created_at")
_CHANGING = tuple(name for name in _COLUMNS if name not in _FIXED)
_VAULT_COLUMNS = ("id", "tenancy_num", "region", "prefix", "vault_type")
_VAULT_LIFE = ("slot", "state", "passing", "passing_until", "deletes_at")
_BESIDE = ("vault_id", *_VAULT_COLUMNS[1:], *(f"vault_{name}" for name in _VAULT_LIFE))

_OWN = ", ".join(f"k.{name}" for name in ("num", *_COLUMNS))
READ = ", ".join((_OWN, *(f"v.{name}" for name in (*_VAULT_COLUMNS, *_VAULT_LIFE))))
"""The columns that `read` makes a key of, of `k` (oci_keys) and `v` (oci_vaults)."""
READ_COUNT = 1 + len(_COLUMNS) + len(_VAULT_COLUMNS) + len(_VAULT_LIFE)
FROM = "oci_keys k JOIN oci_vaults v ON v.num = k.vault_num"

_BY_ID = f"SELECT {READ} FROM {FROM} WHERE k.id = ?"
_PAGE_COLUMNS = {"TIMECREATED": "created_at", "DISPLAYNAME": "display_name"}


class Key(msgspec.Struct, frozen=True):
    """A key's row, and the vault it is in."""

    num: int
    id: str
    vault_num: int
    compartment_id: str
    display_name: str
    algorithm: str
    length: int
    curve_id: str | None
    protection_mode: str
    current_version_id: str
    state: str
    passing: str
    passing_until: float
    previous_state: str | None
    deletes_at: float | None
    by_vault: int
    is_auto_rotated: int
    rotation_interval_days: int | None
    rotation_start_at: float | None
    next_rotation_at: float | None
    last_rotation_at: float | None
    last_rotation_status: str | None
    last_rotation_message: str | None
    freeform_tags: str
    defined_tags: str
    restored_from: str | None
    revision: int
    created_at: float
    updated_at: float
    vault_id: str
    tenancy_num: int
    region: str
    prefix: str
    vault_type: str
    vault_slot: int | None
    vault_state: str
    vault_passing: str
    vault_passing_until: float
    vault_deletes_at: float | None

    def vault_shown_at(self, now: float) -> str:
        """The state of the vault, to show and to decide by."""
        return states.shown(self.vault_state, self.vault_passing, self.vault_passing_until, self.vault_deletes_at, now)

    def shown_at(self, now: float) -> str:
        """The state of the key, to show and to decide by. A key of a deleted vault is deleted."""
        if self.vault_state != "ACTIVE" and self.vault_shown_at(now) == DELETED:
            return DELETED
        return states.shown(self.state, self.passing, self.passing_until, self.deletes_at, now)

    def etag_at(self, now: float) -> str:
        """Changes with every change of the key and of its state."""
        return states.etag(self.id, self.revision, self.shown_at(now))

    @property
    def is_rotating(self) -> bool:
        """Whether it rotates itself, and is not paused."""
        return self.is_auto_rotated != 0 and self.state == "ENABLED" and self.vault_state == "ACTIVE"

    def is_at(self, tenancy_num: int, place: Place) -> bool:
        """Whether it is in the vault of that host, and that tenancy's. A vault's own port says all of the place."""
        if self.tenancy_num != tenancy_num:
            return False
        if place.slot is not None:
            return self.vault_slot == place.slot
        return self.prefix == place.prefix and self.region == place.region


def read(row: Row) -> Key:
    """A key, of a row that begins with `READ`."""
    return Key(*row[:READ_COUNT])


async def find(store: Store, key_id: str) -> Key | None:
    """The key of an OCID, whatever its state."""
    row = await store.read_one(_BY_ID, key_id)
    return None if row is None else Key(*row)


def row_now(store: Store, key_id: str) -> Row | None:
    """Its row, for `read`, without waiting; None also where the store cannot tell at once. The hot path."""
    rows = store.read_now(_BY_ID, key_id)
    return rows[0] if rows else None


def by_id_in(tx: Tx, key_id: str) -> Key | None:
    """The key of an OCID, as the transaction sees it."""
    row = tx.fetch_one(_BY_ID, key_id)
    return None if row is None else Key(*row)


async def page(store: Store, vault: Vault, compartment_id: str, wanted: Page, only: Mapping[str, Value]) -> list[Key]:
    """The keys of a vault that lie directly in a compartment, one more than a page; `only` is column -> value."""
    condition, order, values = ordering(wanted, _PAGE_COLUMNS)
    chosen = "".join(f" AND k.{column} = ?" for column in only)
    rows = await store.read(
        f"SELECT {_OWN} FROM oci_keys k WHERE k.vault_num = ? AND k.compartment_id = ?{chosen}{condition}{order}",
        vault.num,
        compartment_id,
        *only.values(),
        *values,
    )
    beside = of_vault(vault)
    return [Key(*row, **beside) for row in rows]


def of_vault(vault: Vault) -> dict[str, Any]:
    """What of a vault comes along with each of its keys, by the names that it has there."""
    columns = zip(_BESIDE, (*_VAULT_COLUMNS, *_VAULT_LIFE), strict=True)
    return {field: getattr(vault, column) for field, column in columns}


def place_of(wanted: Page, key: Key) -> tuple[float | str, int]:
    """Where a key stands in the order of a page."""
    return (key.created_at if wanted.by == "TIMECREATED" else key.display_name), key.num


def add(tx: Tx, key: Key) -> int:
    """Stores a new key; its number, which the one that was given had not."""
    marks = ", ".join("?" * len(_COLUMNS))
    return tx.insert(
        f"INSERT INTO oci_keys ({', '.join(_COLUMNS)}) VALUES ({marks}) RETURNING num",
        *(getattr(key, name) for name in _COLUMNS),
    )


def replace(tx: Tx, key: Key) -> None:
    """Writes all that may change of a key."""
    tx.execute(
        f"UPDATE oci_keys SET {', '.join(f'{name} = ?' for name in _CHANGING)} WHERE num = ?",
        *(getattr(key, name) for name in _CHANGING),
        key.num,
    )


# With the vault.


def latest_deletion(tx: Tx, vault_num: int) -> float | None:
    """The latest date of the keys of a vault that are scheduled on their own."""
    row = tx.fetch_one(
        "SELECT MAX(deletes_at) FROM oci_keys WHERE vault_num = ? AND state = 'PENDING_DELETION' AND by_vault = 0",
        vault_num,
    )
    return None if row is None else row[0]


def schedule_with_vault(
    tx: Tx, vault_num: int, deletes_at: float, passing: str, passing_until: float, now: float
) -> int:
    """Schedules all keys of a vault that are not scheduled yet, with the vault's date (§8.4); how many."""
    return tx.execute(
        "UPDATE oci_keys SET previous_state = state, state = 'PENDING_DELETION', by_vault = 1, deletes_at = ?,"
        " passing = ?, passing_until = ?, revision = revision + 1, updated_at = ?"
        " WHERE vault_num = ? AND state IN ('ENABLED', 'DISABLED')",
        deletes_at,
        passing,
        passing_until,
        now,
        vault_num,
    )


def cancel_with_vault(tx: Tx, vault_num: int, passing: str, passing_until: float, now: float) -> int:
    """Brings the keys that were scheduled with their vault back to what they were (§8.3); how many."""
    return tx.execute(
        "UPDATE oci_keys SET state = COALESCE(previous_state, 'ENABLED'), previous_state = NULL, by_vault = 0,"
        " deletes_at = NULL, passing = ?, passing_until = ?, revision = revision + 1, updated_at = ?"
        " WHERE vault_num = ? AND state = 'PENDING_DELETION' AND by_vault = 1",
        passing,
        passing_until,
        now,
        vault_num,
    )


class Usage(msgspec.Struct, frozen=True):
    """How many keys and versions a vault holds that are not deleted, by protection mode."""

    keys: int = 0
    versions: int = 0
    software_keys: int = 0
    software_versions: int = 0


_KEPT = "{0}.state <> 'DELETED' AND NOT ({0}.state = 'PENDING_DELETION' AND {0}.deletes_at <= ?)"


async def usage(store: Store, vault_num: int, now: float) -> Usage:
    """What GetVaultUsage tells of a vault (§6.2)."""
    whole = float(int(now))
    keys = await store.read(
        f"SELECT k.protection_mode, COUNT(*) FROM oci_keys k WHERE k.vault_num = ? AND {_KEPT.format('k')}"
        " GROUP BY k.protection_mode",
        vault_num,
        whole,
    )
    versions = await store.read(
        "SELECT k.protection_mode, COUNT(*) FROM oci_keys k JOIN oci_key_versions r ON r.key_num = k.num"
        f" WHERE k.vault_num = ? AND {_KEPT.format('k')} AND {_KEPT.format('r')} GROUP BY k.protection_mode",
        vault_num,
        whole,
        whole,
    )
    of_keys: dict[str, int] = dict(iter(keys))
    of_versions: dict[str, int] = dict(iter(versions))
    return Usage(
        of_keys.get("HSM", 0), of_versions.get("HSM", 0), of_keys.get("SOFTWARE", 0), of_versions.get("SOFTWARE", 0)
    )


# The end.


class Due(msgspec.Struct, frozen=True):
    """A key whose date has come."""

    num: int
    id: str
    display_name: str
    vault_id: str


def due(tx: Tx, now: float, limit: int) -> list[Due]:
    """Keys whose date has come, longest due first, `limit` at most."""
    rows = tx.fetch(
        f"SELECT k.num, k.id, k.display_name, v.id FROM {FROM}"
        " WHERE k.state = 'PENDING_DELETION' AND k.deletes_at <= ? ORDER BY k.deletes_at LIMIT ?",
        float(int(now)),
        limit,
    )
    return [Due(*row) for row in rows]


def end(tx: Tx, num: int, now: float) -> None:
    """Writes down that a key is deleted. It was shown so from its date on, so its etag stays."""
    tx.execute(
        "UPDATE oci_keys SET state = ?, previous_state = NULL, passing = '', passing_until = 0,"
        " is_auto_rotated = 0, next_rotation_at = NULL, updated_at = ? WHERE num = ?",
        DELETED,
        now,
        num,
    )


async def next_due(store: Store) -> float | None:
    """When the next key is due, in whole seconds; None where none is scheduled."""
    row = await store.read_one(f"SELECT MIN(deletes_at) FROM oci_keys WHERE state = '{PENDING_DELETION}'")
    return None if row is None or row[0] is None else float(ceil(row[0]))


# Rotation by itself.

_ROTATING = "k.is_auto_rotated = 1 AND k.state = 'ENABLED' AND v.state = 'ACTIVE'"


async def due_rotations(store: Store, now: float, limit: int) -> list[Key]:
    """Keys that are to be rotated now, longest due first."""
    rows = await store.read(
        f"SELECT {READ} FROM {FROM} WHERE {_ROTATING} AND k.next_rotation_at <= ? ORDER BY k.next_rotation_at LIMIT ?",
        now,
        limit,
    )
    return [Key(*row) for row in rows]


async def next_rotation(store: Store) -> float | None:
    """When the next key is to be rotated, of those that are not paused."""
    row = await store.read_one(f"SELECT MIN(k.next_rotation_at) FROM {FROM} WHERE {_ROTATING}")
    return None if row is None else row[0]
