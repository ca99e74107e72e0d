"""Stored subscriptions. One stands for as long as at least one of its vaults is managed in the domain."""

from __future__ import annotations

import msgspec

from claviger.store.contract import Row, Store, Tx

_COLUMNS = "id, domain_id, subscription_id, display_name, details, created_at, updated_at"


class SubscriptionDetails(msgspec.Struct, frozen=True, rename="camel"):
    """What is kept of a subscription beside its name, as JSON; empty where the cloud did not say."""

    state: str = ""
    authorization_source: str = ""
    tenant_id: str = ""


class SubscriptionRow(msgspec.Struct, frozen=True):
    """A subscription of a domain. Times are epoch seconds."""

    id: str
    domain_id: str
    subscription_id: str
    display_name: str
    details: SubscriptionDetails
    created_at: float
    updated_at: float


async def all_of(store: Store, domain_id: str) -> list[SubscriptionRow]:
    """The subscriptions of a domain, oldest first."""
    rows = await store.read(
        f"SELECT {_COLUMNS} FROM cckm_azure_subscriptions WHERE domain_id = ? ORDER BY created_at, id", domain_id
    )
    return [_row(row) for row in rows]


async def by_id(store: Store, domain_id: str, ident: str) -> SubscriptionRow | None:
    """One subscription by its record's id."""
    row = await store.read_one(
        f"SELECT {_COLUMNS} FROM cckm_azure_subscriptions WHERE id = ? AND domain_id = ?", ident, domain_id
    )
    return None if row is None else _row(row)


async def ids_of_vaults(store: Store, domain_id: str) -> dict[str, str]:
    """The subscription's Azure id of every vault of a domain, by the vault's record id."""
    rows = await store.read("SELECT id, subscription_id FROM cckm_azure_vaults WHERE domain_id = ?", domain_id)
    return {str(row[0]): str(row[1]) for row in rows}


def note(tx: Tx, fresh: SubscriptionRow) -> None:
    """Stores a subscription, or what is new about the one that is there already; that one keeps its id."""
    changed = tx.execute(
        "UPDATE cckm_azure_subscriptions SET display_name = ?, details = ?, updated_at = ? "
        "WHERE domain_id = ? AND subscription_id = ?",
        fresh.display_name,
        _json(fresh.details),
        fresh.updated_at,
        fresh.domain_id,
        fresh.subscription_id,
    )
    if not changed:
        tx.execute(
            f"INSERT INTO cckm_azure_subscriptions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            fresh.id,
            fresh.domain_id,
            fresh.subscription_id,
            fresh.display_name,
            _json(fresh.details),
            fresh.created_at,
            fresh.updated_at,
        )


def has_vaults(tx: Tx, domain_id: str, subscription_id: str) -> bool:
    """Whether any vault of the subscription is managed."""
    return (
        tx.fetch_one(
            "SELECT 1 FROM cckm_azure_vaults WHERE domain_id = ? AND subscription_id = ? LIMIT 1",
            domain_id,
            subscription_id,
        )
        is not None
    )


def load(tx: Tx, domain_id: str, ident: str) -> SubscriptionRow | None:
    """One subscription within a change."""
    row = tx.fetch_one(
        f"SELECT {_COLUMNS} FROM cckm_azure_subscriptions WHERE id = ? AND domain_id = ?", ident, domain_id
    )
    return None if row is None else _row(row)


def remove(tx: Tx, ident: str) -> None:
    """Removes a record."""
    tx.execute("DELETE FROM cckm_azure_subscriptions WHERE id = ?", ident)


def remove_if_unused(tx: Tx, domain_id: str, subscription_id: str) -> None:
    """Removes the record of a subscription whose last vault has gone (Azure contract §2.3)."""
    if not has_vaults(tx, domain_id, subscription_id):
        tx.execute(
            "DELETE FROM cckm_azure_subscriptions WHERE domain_id = ? AND subscription_id = ?",
            domain_id,
            subscription_id,
        )


def _row(row: Row) -> SubscriptionRow:
    details = msgspec.json.decode(row[4], type=SubscriptionDetails)
    return SubscriptionRow(row[0], row[1], row[2], row[3], details, row[5], row[6])


def _json(details: SubscriptionDetails) -> str:
    return msgspec.json.encode(details).decode()
