"""Stored compartments. What OCI says of one and nobody filters by is JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from claviger.store.contract import Row, Store, Tx

_COLUMNS = (
    "id, domain_id, ocid, parent_ocid, tenancy_ocid, tenancy_name, connection_id, connection_name, name, details, "
    "created_at, updated_at"
)


class CompartmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A compartment of a domain. `details` is as discovery shows it. Times are epoch seconds."""

    id: str
    domain_id: str
    ocid: str
    parent_ocid: str
    tenancy_ocid: str
    tenancy_name: str
    connection_id: str
    connection_name: str
    name: str
    details: dict[str, Any]
    created_at: float
    updated_at: float


async def all_of(store: Store, domain_id: str) -> list[CompartmentRow]:
    """The compartments of a domain, oldest first."""
    rows = await store.read(
        f"SELECT {_COLUMNS} FROM cckm_oci_compartments WHERE domain_id = ? ORDER BY created_at, id", domain_id
    )
    return [_row(row) for row in rows]


async def by_id(store: Store, domain_id: str, ident: str) -> CompartmentRow | None:
    """One compartment by its record's id."""
    row = await store.read_one(
        f"SELECT {_COLUMNS} FROM cckm_oci_compartments WHERE domain_id = ? AND id = ?", domain_id, ident
    )
    return None if row is None else _row(row)


async def names(store: Store, domain_id: str) -> dict[str, str]:
    """The names of a domain's compartments by OCID."""
    rows = await store.read("SELECT ocid, name FROM cckm_oci_compartments WHERE domain_id = ?", domain_id)
    return {str(row[0]): str(row[1]) for row in rows}


def load(tx: Tx, domain_id: str, ident: str) -> CompartmentRow | None:
    """One compartment within a change."""
    row = tx.fetch_one(f"SELECT {_COLUMNS} FROM cckm_oci_compartments WHERE domain_id = ? AND id = ?", domain_id, ident)
    return None if row is None else _row(row)


def note(tx: Tx, fresh: CompartmentRow) -> CompartmentRow:
    """Stores a compartment, or what is new about the one that is there already; that one keeps its id."""
    tx.execute(
        f"INSERT INTO cckm_oci_compartments ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (domain_id, ocid) DO UPDATE SET parent_ocid = excluded.parent_ocid, name = excluded.name, "
        "tenancy_name = excluded.tenancy_name, connection_id = excluded.connection_id, "
        "connection_name = excluded.connection_name, details = excluded.details, updated_at = excluded.updated_at",
        fresh.id,
        fresh.domain_id,
        fresh.ocid,
        fresh.parent_ocid,
        fresh.tenancy_ocid,
        fresh.tenancy_name,
        fresh.connection_id,
        fresh.connection_name,
        fresh.name,
        msgspec.json.encode(fresh.details).decode(),
        fresh.created_at,
        fresh.updated_at,
    )
    row = tx.fetch_one(
        f"SELECT {_COLUMNS} FROM cckm_oci_compartments WHERE domain_id = ? AND ocid = ?", fresh.domain_id, fresh.ocid
    )
    return fresh if row is None else _row(row)


def remove(tx: Tx, ident: str) -> None:
    """Removes a record."""
    tx.execute("DELETE FROM cckm_oci_compartments WHERE id = ?", ident)


def _row(row: Row) -> CompartmentRow:
    return CompartmentRow(
        id=row[0],
        domain_id=row[1],
        ocid=row[2],
        parent_ocid=row[3],
        tenancy_ocid=row[4],
        tenancy_name=row[5],
        connection_id=row[6],
        connection_name=row[7],
        name=row[8],
        details=msgspec.json.decode(row[9]),
        created_at=row[10],
        updated_at=row[11],
    )
