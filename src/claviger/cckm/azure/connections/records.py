"""Connections to Azure: stored form; and the keys that wait for the certificates of signing requests."""

from __future__ import annotations

from claviger.cckm.azure.connections.rules import AZURE, AzureDetails, Connection
from claviger.cckm.connections.records import (
    Kind,
    add,
    change,
    count,
    embedded_is_noted,
    name_is_taken,
    note_test,
    protections_reached,
)
from claviger.store.contract import Store, Tx

__all__ = [
    "KIND",
    "AzureDetails",
    "Connection",
    "add",
    "change",
    "count",
    "embedded_is_noted",
    "name_is_taken",
    "note_test",
    "protections_reached",
]

KIND = Kind(AZURE, Connection, AzureDetails)
find, load, all_of, of_vault = KIND.find, KIND.load, KIND.all_of, KIND.of_vault


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
