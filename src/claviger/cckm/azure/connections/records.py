"""Connections: stored form and SQL; also what all kinds of connections share, and who uses one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from claviger.cckm.azure.connections.rules import AZURE, AzureDetails, Connection
from claviger.store.contract import Store, Tx

__all__ = ["AnyConnection", "AzureDetails", "Connection"]

_COLUMNS = (
    "id, domain_id, service, name, cloud_name, details, last_connection_ok, last_connection_error, last_connection_at, "
    "revision, created_at, updated_at"
)
_FIND = (
    f"SELECT {_COLUMNS} FROM cckm_connections WHERE domain_id = ? AND service = '{AZURE}' AND (id = ? OR name = ?) "
    "ORDER BY CASE WHEN id = ? THEN 0 ELSE 1 END LIMIT 1"
)


class CommonDetails(msgspec.Struct, frozen=True):
    """What connections of all services say of themselves."""

    description: str = ""
    meta: dict[str, object] = {}
    labels: dict[str, object] = {}
    products: list[str] = []


class AnyConnection(msgspec.Struct, frozen=True):
    """A connection of any service, as far as all are alike. Times are epoch seconds."""

    id: str
    domain_id: str
    service: str
    name: str
    cloud_name: str
    details: CommonDetails
    last_connection_ok: bool | None
    last_connection_error: str | None
    last_connection_at: float | None
    created_at: float
    updated_at: float


_azure_details = msgspec.json.Decoder(AzureDetails)
_common_details = msgspec.json.Decoder(CommonDetails)


def _connection(row: Sequence[Any]) -> Connection:
    return Connection(
        id=row[0],
        domain_id=row[1],
        service=row[2],
        name=row[3],
        cloud_name=row[4],
        details=_azure_details.decode(row[5]),
        last_connection_ok=None if row[6] is None else bool(row[6]),
        last_connection_error=row[7],
        last_connection_at=row[8],
        revision=row[9],
        created_at=row[10],
        updated_at=row[11],
    )


async def find(store: Store, domain_id: str, id_or_name: str) -> Connection | None:
    """A domain's connection to Azure by its id, or by its name."""
    row = await store.read_one(_FIND, domain_id, id_or_name, id_or_name, id_or_name)
    return None if row is None else _connection(row)


def load(tx: Tx, domain_id: str, id_or_name: str) -> Connection | None:
    """The same within a change."""
    row = tx.fetch_one(_FIND, domain_id, id_or_name, id_or_name, id_or_name)
    return None if row is None else _connection(row)


async def all_of(store: Store, domain_id: str) -> list[Connection]:
    """A domain's connections to Azure."""
    rows = await store.read(
        f"SELECT {_COLUMNS} FROM cckm_connections WHERE domain_id = ? AND service = ? ORDER BY created_at, id",
        domain_id,
        AZURE,
    )
    return [_connection(row) for row in rows]


async def all_kinds(store: Store, domain_id: str) -> list[AnyConnection]:
    """A domain's connections of all services."""
    rows = await store.read(
        f"SELECT {_COLUMNS} FROM cckm_connections WHERE domain_id = ? ORDER BY created_at, id", domain_id
    )
    return [
        AnyConnection(
            id=row[0],
            domain_id=row[1],
            service=row[2],
            name=row[3],
            cloud_name=row[4],
            details=_common_details.decode(row[5]),
            last_connection_ok=None if row[6] is None else bool(row[6]),
            last_connection_error=row[7],
            last_connection_at=row[8],
            created_at=row[10],
            updated_at=row[11],
        )
        for row in rows
    ]


def find_any(tx: Tx, domain_id: str, id_or_name: str) -> tuple[str, str] | None:
    """Id and name of a domain's connection of any service, by either of them."""
    row = tx.fetch_one(
        "SELECT id, name FROM cckm_connections WHERE domain_id = ? AND (id = ? OR name = ?) "
        "ORDER BY CASE WHEN id = ? THEN 0 ELSE 1 END LIMIT 1",
        domain_id,
        id_or_name,
        id_or_name,
        id_or_name,
    )
    return None if row is None else (row[0], row[1])


def name_is_taken(tx: Tx, domain_id: str, name: str) -> bool:
    """Whether a connection of the domain has this name, or this as its id."""
    found = tx.fetch_one(
        "SELECT 1 FROM cckm_connections WHERE domain_id = ? AND (name = ? OR id = ?)", domain_id, name, name
    )
    return found is not None


def count(tx: Tx, domain_id: str) -> int:
    """How many connections a domain has."""
    row = tx.fetch_one("SELECT COUNT(*) FROM cckm_connections WHERE domain_id = ?", domain_id)
    return 0 if row is None else int(row[0])


def add(tx: Tx, connection: Connection) -> None:
    """Stores a new connection."""
    tx.execute(
        f"INSERT INTO cckm_connections ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        connection.id,
        connection.domain_id,
        connection.service,
        connection.name,
        connection.cloud_name,
        _encoded(connection.details),
        None if connection.last_connection_ok is None else int(connection.last_connection_ok),
        connection.last_connection_error,
        connection.last_connection_at,
        connection.revision,
        connection.created_at,
        connection.updated_at,
    )


def change(tx: Tx, connection: Connection) -> None:
    """Stores what can change of a connection."""
    tx.execute(
        "UPDATE cckm_connections SET cloud_name = ?, details = ?, revision = ?, updated_at = ? WHERE id = ?",
        connection.cloud_name,
        _encoded(connection.details),
        connection.revision,
        connection.updated_at,
        connection.id,
    )


def note_test(tx: Tx, ident: str, ok: bool, error: str | None, at: float) -> None:
    """Stores how a test of a connection ended."""
    tx.execute(
        "UPDATE cckm_connections SET last_connection_ok = ?, last_connection_error = ?, last_connection_at = ? "
        "WHERE id = ?",
        int(ok),
        error,
        at,
        ident,
    )


def remove(tx: Tx, ident: str) -> None:
    """Forgets a connection. Vaults that use it keep its name alone."""
    tx.execute("UPDATE cckm_azure_vaults SET connection_id = '' WHERE connection_id = ?", ident)
    tx.execute("DELETE FROM cckm_connections WHERE id = ?", ident)


def users_count(tx: Tx, ident: str) -> int:
    """How many vaults use a connection."""
    row = tx.fetch_one("SELECT COUNT(*) FROM cckm_azure_vaults WHERE connection_id = ?", ident)
    return 0 if row is None else int(row[0])


def protections_reached(tx: Tx, ident: str) -> list[tuple[bool, int | None]]:
    """What is set on the vaults that are reached by a connection: whether protected, and the quorum."""
    rows = tx.fetch(
        "SELECT DISTINCT p.protected, p.quorum FROM cckm_azure_vaults v "
        "JOIN cckm_protections p ON p.container_id = v.id WHERE v.connection_id = ?",
        ident,
    )
    return [(row[0] != 0, row[1]) for row in rows]


def embedded_is_noted(tx: Tx, key: str) -> bool:
    """Whether the embedded cloud has been registered before."""
    return tx.fetch_one("SELECT 1 FROM meta WHERE key = ?", key) is not None


def add_csr(tx: Tx, ident: str, domain_id: str, at: float) -> None:
    """Notes that a key waits for its certificate."""
    tx.execute("INSERT INTO cckm_connection_csrs (id, domain_id, created_at) VALUES (?, ?, ?)", ident, domain_id, at)


def csr_count(tx: Tx, domain_id: str) -> int:
    """How many keys of a domain wait."""
    row = tx.fetch_one("SELECT COUNT(*) FROM cckm_connection_csrs WHERE domain_id = ?", domain_id)
    return 0 if row is None else int(row[0])


def due_csrs(tx: Tx, before: float, most: int) -> list[str]:
    """Keys that have waited since before a moment."""
    rows = tx.fetch("SELECT id FROM cckm_connection_csrs WHERE created_at < ? LIMIT ?", before, most)
    return [row[0] for row in rows]


async def csr_stands(store: Store, ident: str, domain_id: str, since: float) -> bool:
    """Whether a key of the domain waits, and began to at that moment or later."""
    row = await store.read_one(
        "SELECT 1 FROM cckm_connection_csrs WHERE id = ? AND domain_id = ? AND created_at >= ?", ident, domain_id, since
    )
    return row is not None


def remove_csr(tx: Tx, ident: str) -> bool:
    """Forgets a key that waited; whether it still did."""
    return tx.execute("DELETE FROM cckm_connection_csrs WHERE id = ?", ident) == 1


def _encoded(details: AzureDetails) -> str:
    return msgspec.json.encode(details).decode()
