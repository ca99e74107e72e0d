"""Rows of groups, and who is in them: users, and clients beside what their users are in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from claviger.cckm.calls import ADMINS
from claviger.store.contract import Store, Tx


class GroupDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a group as JSON."""

    description: str = ""
    app_metadata: dict[str, Any] = {}
    user_metadata: dict[str, Any] = {}
    client_metadata: dict[str, Any] = {}


class Group(msgspec.Struct, frozen=True):
    """A group of a domain."""

    domain_id: str
    name: str
    details: GroupDetails
    created_at: float
    updated_at: float


class CountedGroup(msgspec.Struct, frozen=True):
    """A group with the number of its users."""

    group: Group
    users_count: int


_AT_ONCE = 500
_NAMES = "domain_id, name, details, created_at, updated_at"
_COUNTED = (
    "SELECT g.domain_id, g.name, g.details, g.created_at, g.updated_at, "
    "(SELECT COUNT(*) FROM cckm_members m WHERE m.domain_id = g.domain_id AND m.group_name = g.name) "
    "FROM cckm_groups g WHERE g.domain_id = ?"
)
_details = msgspec.json.Decoder(GroupDetails)


def _group(row: Sequence[Any]) -> Group:
    return Group(row[0], row[1], _details.decode(row[2]), row[3], row[4])


async def of_domain(store: Store, domain_id: str) -> list[CountedGroup]:
    """Every group of a domain, by name."""
    rows = await store.read(_COUNTED + " ORDER BY g.name", domain_id)
    return [CountedGroup(_group(row), row[5]) for row in rows]


async def counted(store: Store, domain_id: str, name: str) -> CountedGroup | None:
    """The group of this name."""
    row = await store.read_one(_COUNTED + " AND g.name = ?", domain_id, name)
    return None if row is None else CountedGroup(_group(row), row[5])


def find_in(tx: Tx, domain_id: str, name: str) -> Group | None:
    """The group of this name, within a change."""
    row = tx.fetch_one(f"SELECT {_NAMES} FROM cckm_groups WHERE domain_id = ? AND name = ?", domain_id, name)
    return None if row is None else _group(row)


def add(tx: Tx, group: Group) -> None:
    """Stores a new group."""
    tx.execute(
        f"INSERT INTO cckm_groups ({_NAMES}) VALUES (?, ?, ?, ?, ?)",
        group.domain_id,
        group.name,
        msgspec.json.encode(group.details).decode(),
        group.created_at,
        group.updated_at,
    )


def replace(tx: Tx, name: str, group: Group) -> None:
    """Stores what has changed of the group that was called `name`; its members stay in it under a new name too."""
    tx.execute(
        "UPDATE cckm_groups SET name = ?, details = ?, updated_at = ? WHERE domain_id = ? AND name = ?",
        group.name,
        msgspec.json.encode(group.details).decode(),
        group.updated_at,
        group.domain_id,
        name,
    )


def remove(tx: Tx, domain_id: str, name: str) -> None:
    """Removes a group with all memberships of it."""
    tx.execute("DELETE FROM cckm_groups WHERE domain_id = ? AND name = ?", domain_id, name)


def add_member(tx: Tx, domain_id: str, name: str, user_id: str) -> None:
    """Puts a user into a group, if he is not in it."""
    tx.execute(
        "INSERT INTO cckm_members (domain_id, group_name, user_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        domain_id,
        name,
        user_id,
    )


def remove_member(tx: Tx, domain_id: str, name: str, user_id: str) -> bool:
    """Takes a user out of a group; whether he was in it."""
    return (
        tx.execute(
            "DELETE FROM cckm_members WHERE domain_id = ? AND group_name = ? AND user_id = ?", domain_id, name, user_id
        )
        == 1
    )


def domains_led_alone(tx: Tx, user_id: str) -> frozenset[str]:
    """The domains in whose group `admin` is this user and nobody else."""
    rows = tx.fetch(
        "SELECT m.domain_id FROM cckm_members m WHERE m.user_id = ? AND m.group_name = ? AND NOT EXISTS ("
        "SELECT 1 FROM cckm_members o WHERE o.domain_id = m.domain_id AND o.group_name = ? AND o.user_id <> ?)",
        user_id,
        ADMINS,
        ADMINS,
        user_id,
    )
    return frozenset(row[0] for row in rows)


def of_user(tx: Tx, domain_id: str, user_id: str) -> frozenset[str]:
    """The groups of a domain that a user is in."""
    rows = tx.fetch("SELECT group_name FROM cckm_members WHERE user_id = ? AND domain_id = ?", user_id, domain_id)
    return frozenset(row[0] for row in rows)


def of_client(tx: Tx, domain_id: str, client_id: str) -> frozenset[str]:
    """The groups of a domain that a client is in beside those of its user."""
    rows = tx.fetch(
        "SELECT group_name FROM cckm_client_members WHERE client_id = ? AND domain_id = ?", client_id, domain_id
    )
    return frozenset(row[0] for row in rows)


async def of_users(store: Store, domain_id: str, user_ids: Sequence[str]) -> dict[str, list[str]]:
    """The groups of a domain that each of these users is in, by name."""
    found: dict[str, list[str]] = {user_id: [] for user_id in user_ids}
    for start in range(0, len(user_ids), _AT_ONCE):
        some = user_ids[start : start + _AT_ONCE]
        marks = ", ".join("?" for _ in some)
        rows = await store.read(
            f"SELECT user_id, group_name FROM cckm_members WHERE domain_id = ? AND user_id IN ({marks}) "
            "ORDER BY group_name",
            domain_id,
            *some,
        )
        for user_id, name in rows:
            found[user_id].append(name)
    return found


async def with_user(store: Store, domain_id: str, user_ids: Sequence[str]) -> frozenset[str]:
    """The groups of a domain that any of these users is in."""
    return frozenset(name for names in (await of_users(store, domain_id, user_ids)).values() for name in names)


async def with_client(store: Store, domain_id: str, client_ids: Sequence[str]) -> frozenset[str]:
    """The groups of a domain that any of these clients is in."""
    if not client_ids:
        return frozenset()
    marks = ", ".join("?" for _ in client_ids)
    rows = await store.read(
        f"SELECT group_name FROM cckm_client_members WHERE domain_id = ? AND client_id IN ({marks})",
        domain_id,
        *client_ids,
    )
    return frozenset(row[0] for row in rows)


def add_client(tx: Tx, domain_id: str, name: str, client_id: str) -> None:
    """Puts a client into a group, if it is not in it."""
    tx.execute(
        "INSERT INTO cckm_client_members (domain_id, group_name, client_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        domain_id,
        name,
        client_id,
    )


def remove_client(tx: Tx, domain_id: str, name: str, client_id: str) -> bool:
    """Takes a client out of a group; whether it was in it."""
    return (
        tx.execute(
            "DELETE FROM cckm_client_members WHERE domain_id = ? AND group_name = ? AND client_id = ?",
            domain_id,
            name,
            client_id,
        )
        == 1
    )
