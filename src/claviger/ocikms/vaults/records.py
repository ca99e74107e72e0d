"""Rows of vaults, and the SQL for them. The columns of a vault's wrapping key belong to `ocikms.wrapping`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from claviger.ocikms import states
from claviger.ocikms.listing import Page, ordering
from claviger.store.contract import Row, Store, Tx


class Vault(msgspec.Struct, frozen=True, kw_only=True):
    """A vault as it is stored. Times are epoch seconds; tags are JSON text; `num` 0 is: not stored yet."""

    num: int = 0
    id: str
    tenancy_num: int
    region: str
    prefix: str
    slot: int | None = None
    compartment_id: str
    display_name: str
    vault_type: str
    state: str = "ACTIVE"
    passing: str = ""
    passing_until: float = 0.0
    deletes_at: float | None = None
    freeform_tags: str = "{}"
    defined_tags: str = "{}"
    restored_from: str | None = None
    wrapping_key_id: str
    revision: int = 1
    created_at: float
    updated_at: float

    def shown_at(self, now: float) -> str:
        """The state to show and to decide by."""
        return states.shown(self.state, self.passing, self.passing_until, self.deletes_at, now)

    def etag_at(self, now: float) -> str:
        """The etag that goes with that state."""
        return states.etag(self.id, self.revision, self.shown_at(now))


_COLUMNS = Vault.__struct_fields__
_LIST = ", ".join(_COLUMNS)
_SELECT = f"SELECT {_LIST} FROM oci_vaults"
_INSERT = (
    f"INSERT INTO oci_vaults ({', '.join(_COLUMNS[1:])}) VALUES ({', '.join('?' * len(_COLUMNS[1:]))}) RETURNING num"
)
_UPDATE = f"UPDATE oci_vaults SET {', '.join(f'{name} = ?' for name in _COLUMNS[1:])} WHERE num = ?"
_ORDERS = {"TIMECREATED": "created_at", "DISPLAYNAME": "display_name"}


async def find(store: Store, vault_id: str) -> Vault | None:
    """The vault of this OCID, in whatever state."""
    return await _one(store, f"{_SELECT} WHERE id = ?", vault_id)


async def by_prefix(store: Store, prefix: str) -> Vault | None:
    """The vault of a host, in whatever state."""
    return await _one(store, f"{_SELECT} WHERE prefix = ?", prefix)


async def by_slot(store: Store, slot: int) -> Vault | None:
    """The vault that has a port of this number."""
    row = await store.read_one(f"{_SELECT} WHERE slot = ?", slot)
    return None if row is None else _vault(row)


async def _one(store: Store, sql: str, ident: str) -> Vault | None:
    if "\0" in ident:
        return None
    rows = store.read_now(sql, ident)
    if rows is None:
        rows = await store.read(sql, ident)
    return _vault(rows[0]) if rows else None


def in_tx(tx: Tx, num: int) -> Vault:
    """The vault of this number, which is there: vaults are never removed."""
    return _vault(tx.fetch(f"{_SELECT} WHERE num = ?", num)[0])


def by_id_in(tx: Tx, vault_id: str) -> Vault | None:
    """The vault of this OCID, as the transaction sees it."""
    row = tx.fetch_one(f"{_SELECT} WHERE id = ?", vault_id) if "\0" not in vault_id else None
    return None if row is None else _vault(row)


def by_prefix_in(tx: Tx, prefix: str) -> Vault | None:
    """The vault of this prefix, as the transaction sees it."""
    row = tx.fetch_one(f"{_SELECT} WHERE prefix = ?", prefix) if "\0" not in prefix else None
    return None if row is None else _vault(row)


def insert(tx: Tx, vault: Vault) -> Vault:
    """Stores a new vault, or one that was restored; it with its number."""
    return msgspec.structs.replace(vault, num=tx.insert(_INSERT, *_values(vault)))


def replace(tx: Tx, vault: Vault) -> None:
    """Stores all of a vault anew but its wrapping key."""
    tx.execute(_UPDATE, *_values(vault), vault.num)


def _values(vault: Vault) -> Sequence[int | float | str | None]:
    return [getattr(vault, name) for name in _COLUMNS[1:]]


def slots_taken(tx: Tx) -> list[int]:
    """The numbers of all ports that vaults have, in order."""
    return [int(num) for (num,) in tx.fetch("SELECT slot FROM oci_vaults WHERE slot IS NOT NULL ORDER BY slot")]


async def page(store: Store, compartment_id: str, region: str, page: Page) -> list[Vault]:
    """The vaults that lie directly in a compartment and in a region, in any state; one more than the page has."""
    condition, order, values = ordering(page, _ORDERS)
    sql = f"{_SELECT} WHERE compartment_id = ? AND region = ?{condition}{order}"
    return [_vault(row) for row in await store.read(sql, compartment_id, region, *values)]


def place_of(page: Page, vault: Vault) -> tuple[float | str, int]:
    """Where a vault stands in the order of a page."""
    return (vault.created_at if page.by == "TIMECREATED" else vault.display_name), vault.num


async def due(store: Store, now: float, limit: int) -> list[Vault]:
    """Vaults whose deletion is due and not carried out, the longest due first."""
    sql = f"{_SELECT} WHERE state = 'PENDING_DELETION' AND deletes_at <= ? ORDER BY deletes_at, num LIMIT ?"
    return [_vault(row) for row in await store.read(sql, now, limit)]


async def next_due(store: Store) -> float | None:
    """When the next vault is to be deleted; None where none is."""
    row = await store.read_one("SELECT MIN(deletes_at) FROM oci_vaults WHERE state = 'PENDING_DELETION'")
    return None if row is None else row[0]


def forget_wrapping_key(tx: Tx, num: int) -> None:
    """Destroys the private part of a vault's wrapping key."""
    tx.execute("UPDATE oci_vaults SET wrapping_sealed = NULL, wrapping_data_key_id = NULL WHERE num = ?", num)


def _vault(row: Row) -> Vault:
    return Vault(**dict(zip(_COLUMNS, row, strict=True)))
