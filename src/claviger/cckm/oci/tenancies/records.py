"""Stored tenancies. One that was added without a connection (for external vaults) has none."""

from __future__ import annotations

import msgspec

from claviger.store.contract import Row, Store, Tx

_COLUMNS = "id, domain_id, ocid, name, connection_id, connection_name, created_at, updated_at"


class TenancyRow(msgspec.Struct, frozen=True):
    """A tenancy of a domain. Times are epoch seconds."""

    id: str
    domain_id: str
    ocid: str
    name: str
    connection_id: str
    connection_name: str
    created_at: float
    updated_at: float


async def all_of(store: Store, domain_id: str) -> list[TenancyRow]:
    """The tenancies of a domain, oldest first."""
    rows = await store.read(
        f"SELECT {_COLUMNS} FROM cckm_oci_tenancies WHERE domain_id = ? ORDER BY created_at, id", domain_id
    )
    return [_row(row) for row in rows]


async def by_id(store: Store, domain_id: str, ident: str) -> TenancyRow | None:
    """One tenancy by its record's id."""
    row = await store.read_one(
        f"SELECT {_COLUMNS} FROM cckm_oci_tenancies WHERE domain_id = ? AND id = ?", domain_id, ident
    )
    return None if row is None else _row(row)


def load(tx: Tx, domain_id: str, ident: str) -> TenancyRow | None:
    """The same within a change."""
    row = tx.fetch_one(f"SELECT {_COLUMNS} FROM cckm_oci_tenancies WHERE domain_id = ? AND id = ?", domain_id, ident)
    return None if row is None else _row(row)


def note(tx: Tx, fresh: TenancyRow) -> TenancyRow:
    """Stores a tenancy, or what is new about the one that is there already; that one keeps its id."""
    tx.execute(
        f"INSERT INTO cckm_oci_tenancies ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (domain_id, ocid) DO UPDATE SET name = excluded.name, connection_id = excluded.connection_id, "
        "connection_name = excluded.connection_name, updated_at = excluded.updated_at",
        fresh.id,
        fresh.domain_id,
        fresh.ocid,
        fresh.name,
        fresh.connection_id,
        fresh.connection_name,
        fresh.created_at,
        fresh.updated_at,
    )
    row = tx.fetch_one(
        f"SELECT {_COLUMNS} FROM cckm_oci_tenancies WHERE domain_id = ? AND ocid = ?", fresh.domain_id, fresh.ocid
    )
    return fresh if row is None else _row(row)


def users_count(tx: Tx, domain_id: str, ocid: str) -> int:
    """How many vaults and compartments of the tenancy are managed."""
    row = tx.fetch_one(
        "SELECT (SELECT COUNT(*) FROM cckm_oci_vaults WHERE domain_id = ? AND tenancy_ocid = ? AND removed = 0) + "
        "(SELECT COUNT(*) FROM cckm_oci_compartments WHERE domain_id = ? AND tenancy_ocid = ?)",
        domain_id,
        ocid,
        domain_id,
        ocid,
    )
    return 0 if row is None else int(row[0])


def remove(tx: Tx, ident: str) -> None:
    """Removes a record."""
    tx.execute("DELETE FROM cckm_oci_tenancies WHERE id = ?", ident)


def _row(row: Row) -> TenancyRow:
    return TenancyRow(*row)
