"""Rows of resource groups, and the SQL for them. A group is named by its subscription and its name in any case."""

from __future__ import annotations

import msgspec

from claviger.store.contract import Row, Store, Tx

_COLUMNS = "subscription_id, name, location, tags, created_at"
_SELECT = f"SELECT {_COLUMNS} FROM kv_resource_groups"
_NAMED = "WHERE subscription_id = ? AND lower(name) = ?"


class Group(msgspec.Struct, frozen=True):
    """A resource group. `tags` is JSON text, or None; `created_at` epoch seconds."""

    subscription_id: str
    name: str
    location: str
    tags: str | None
    created_at: int


async def all_groups(store: Store) -> list[Group]:
    """Every group of every subscription, by name."""
    return [_group(row) for row in await store.read(f"{_SELECT} ORDER BY subscription_id, lower(name)")]


def find_group(tx: Tx, subscription_id: str, name: str) -> Group | None:
    """The group of this name in any case."""
    row = tx.fetch_one(f"{_SELECT} {_NAMED}", subscription_id, name.lower())
    return None if row is None else _group(row)


def add_group(tx: Tx, group: Group) -> None:
    """Stores a new group."""
    tx.execute(
        f"INSERT INTO kv_resource_groups ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",
        group.subscription_id,
        group.name,
        group.location,
        group.tags,
        group.created_at,
    )


def set_tags(tx: Tx, group: Group) -> None:
    """Stores a group's tags anew."""
    tx.execute(
        f"UPDATE kv_resource_groups SET tags = ? {_NAMED}", group.tags, group.subscription_id, group.name.lower()
    )


def remove_group(tx: Tx, group: Group) -> None:
    """Removes a group."""
    tx.execute(f"DELETE FROM kv_resource_groups {_NAMED}", group.subscription_id, group.name.lower())


def _group(row: Row) -> Group:
    return Group(row[0], row[1], row[2], row[3], row[4])
