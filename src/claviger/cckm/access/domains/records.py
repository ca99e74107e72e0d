"""Rows of domains, and what keeps one from being deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from claviger.store.contract import Store, Tx


class DomainDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a domain as JSON. `admins` is what was asked for when it was made."""

    admins: list[str] = []
    allow_user_management: bool = True
    parent_ca_id: str = ""
    hsm_connection_id: str = ""
    hsm_kek_label: str = ""
    meta: dict[str, Any] = {}


class Domain(msgspec.Struct, frozen=True):
    """A domain."""

    id: str
    name: str
    details: DomainDetails
    created_at: float
    updated_at: float


_NAMES = "id, name, details, created_at, updated_at"
_details = msgspec.json.Decoder(DomainDetails)
_USES = {
    "users": "SELECT COUNT(*) FROM cckm_users WHERE domain_id = ?",
    "connections": "SELECT COUNT(*) FROM cckm_connections WHERE domain_id = ?",
    "subscriptions": "SELECT COUNT(*) FROM cckm_azure_subscriptions WHERE domain_id = ?",
    "vaults": "SELECT COUNT(*) FROM cckm_azure_vaults WHERE domain_id = ?",
    "OCI tenancies": "SELECT COUNT(*) FROM cckm_oci_tenancies WHERE domain_id = ?",
    "OCI compartments": "SELECT COUNT(*) FROM cckm_oci_compartments WHERE domain_id = ?",
    "OCI vaults": "SELECT COUNT(*) FROM cckm_oci_vaults WHERE domain_id = ?",
    "local keys": "SELECT COUNT(*) FROM cckm_local_keys WHERE domain_id = ?",
    "OCI reports": "SELECT COUNT(*) FROM cckm_oci_reports WHERE domain_id = ?",
    "subscriptions to notices": "SELECT COUNT(*) FROM cckm_notice_subscriptions WHERE domain_id = ?",
}


def _domain(row: Sequence[Any]) -> Domain:
    return Domain(row[0], row[1], _details.decode(row[2]), row[3], row[4])


async def all_of_them(store: Store) -> list[Domain]:
    """Every domain, oldest first."""
    rows = await store.read(f"SELECT {_NAMES} FROM cckm_domains ORDER BY created_at, id")
    return [_domain(row) for row in rows]


async def find(store: Store, domain_id: str) -> Domain | None:
    """The domain of this id."""
    row = await store.read_one(f"SELECT {_NAMES} FROM cckm_domains WHERE id = ?", domain_id)
    return None if row is None else _domain(row)


async def by_id_or_name(store: Store, text: str) -> Domain | None:
    """The domain of this id or name, in any case."""
    row = await store.read_one(
        f"SELECT {_NAMES} FROM cckm_domains WHERE id = ? OR lower(name) = ?", text.lower(), text.lower()
    )
    return None if row is None else _domain(row)


def get(tx: Tx, domain_id: str) -> Domain | None:
    """The domain of this id, within a change."""
    row = tx.fetch_one(f"SELECT {_NAMES} FROM cckm_domains WHERE id = ?", domain_id)
    return None if row is None else _domain(row)


def named(tx: Tx, name: str) -> Domain | None:
    """The domain of this name in any case, within a change."""
    row = tx.fetch_one(f"SELECT {_NAMES} FROM cckm_domains WHERE lower(name) = ?", name.lower())
    return None if row is None else _domain(row)


async def open_to(store: Store, user_id: str) -> list[Domain]:
    """The domains that a user may enter: his home, and where he is in a group; oldest first."""
    rows = await store.read(
        f"SELECT {_NAMES} FROM cckm_domains WHERE id IN (SELECT domain_id FROM cckm_users WHERE id = ?) "
        "OR id IN (SELECT domain_id FROM cckm_members WHERE user_id = ?) ORDER BY created_at, id",
        user_id,
        user_id,
    )
    return [_domain(row) for row in rows]


def add(tx: Tx, domain: Domain) -> None:
    """Stores a new domain."""
    tx.execute(
        f"INSERT INTO cckm_domains ({_NAMES}) VALUES (?, ?, ?, ?, ?)",
        domain.id,
        domain.name,
        msgspec.json.encode(domain.details).decode(),
        domain.created_at,
        domain.updated_at,
    )


def replace(tx: Tx, domain: Domain) -> None:
    """Stores what has changed of a domain."""
    tx.execute(
        "UPDATE cckm_domains SET details = ?, updated_at = ? WHERE id = ?",
        msgspec.json.encode(domain.details).decode(),
        domain.updated_at,
        domain.id,
    )


def remove(tx: Tx, domain_id: str) -> None:
    """Removes a domain with its groups and the sessions in it."""
    tx.execute("DELETE FROM cckm_domains WHERE id = ?", domain_id)


def uses_of(tx: Tx, domain_id: str) -> dict[str, int]:
    """How much of what is still in a domain, of what keeps it from being deleted."""
    counts = {}
    for what, sql in _USES.items():
        row = tx.fetch_one(sql, domain_id)
        if row is not None and row[0]:
            counts[what] = int(row[0])
    return counts
