"""Rows of tenancies, compartments, users, API keys and grants, and the SQL for them. Tags are in `tag_records`.

Whatever changes one of them calls `bump_revision` in the same transaction: that is how every process learns that its
snapshot is stale. What a compartment or tenancy must be empty of is counted in `holding_records`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from claviger.store.contract import Row, Store, Tx
from claviger.store.revisions import Revision

ACTIVE = "ACTIVE"
DELETED = "DELETED"


class Tenancy(msgspec.Struct, frozen=True):
    """A customer of the cloud, and its root compartment. `namespace` is its name in Object Storage."""

    num: int
    id: str
    name: str
    description: str
    home_region: str
    namespace: str
    created_at: float


class Compartment(msgspec.Struct, frozen=True):
    """A folder of a tenancy; `parent_id` is a compartment's or the tenancy's."""

    num: int
    id: str
    tenancy_num: int
    parent_id: str
    name: str
    description: str
    state: str
    freeform_tags: dict[str, str]
    defined_tags: dict[str, dict[str, Any]]
    created_at: float


class User(msgspec.Struct, frozen=True):
    """Somebody who signs requests."""

    num: int
    id: str
    tenancy_num: int
    name: str
    description: str
    created_at: float


class ApiKey(msgspec.Struct, frozen=True):
    """The public half of a key that a user signs with, PEM."""

    user_num: int
    fingerprint: str
    public_key: str
    created_at: float


class Grant(msgspec.Struct, frozen=True):
    """What a user may do in a compartment and all below it: `verb` is the name of a `calls.Verb` in lower case."""

    user_num: int
    compartment_id: str
    verb: str


_TENANCIES = "SELECT num, id, name, description, home_region, namespace, created_at FROM oci_tenancies"
_COMPARTMENTS = (
    "SELECT num, id, tenancy_num, parent_id, name, description, state, freeform_tags, defined_tags, created_at"
    " FROM oci_compartments"
)
_USERS = "SELECT num, id, tenancy_num, name, description, created_at FROM oci_users"
_API_KEYS = "SELECT user_num, fingerprint, public_key, created_at FROM oci_api_keys"
_GRANTS = "SELECT user_num, compartment_id, verb FROM oci_grants"
_SUBSCRIPTIONS = (
    "SELECT s.tenancy_num, s.region FROM oci_region_subscriptions s JOIN oci_tenancies t ON t.num = s.tenancy_num"
)
_HOME_FIRST = "CASE WHEN s.region = t.home_region THEN 0 ELSE 1 END, s.created_at, s.region"

_REVISION = Revision("oci_identity_revision", "OciIdentityRevisionMissing")
revision, revision_now, bump_revision = _REVISION.read, _REVISION.now, _REVISION.bump


async def all_tenancies(store: Store) -> list[Tenancy]:
    """Every tenancy, oldest first."""
    return [Tenancy(*row) for row in await store.read(f"{_TENANCIES} ORDER BY num")]


async def all_subscriptions(store: Store) -> list[tuple[int, str]]:
    """Tenancy's num and name of every region that it has: the home region, and then as they were subscribed."""
    rows = await store.read(f"{_SUBSCRIPTIONS} ORDER BY s.tenancy_num, {_HOME_FIRST}")
    return [(row[0], row[1]) for row in rows]


async def all_compartments(store: Store) -> list[Compartment]:
    """Every compartment, deleted ones included, oldest first."""
    return [_compartment(row) for row in await store.read(f"{_COMPARTMENTS} ORDER BY num")]


async def all_users(store: Store) -> list[User]:
    """Every user, oldest first."""
    return [User(*row) for row in await store.read(f"{_USERS} ORDER BY num")]


async def all_api_keys(store: Store) -> list[ApiKey]:
    """Every API key."""
    return [ApiKey(*row) for row in await store.read(f"{_API_KEYS} ORDER BY user_num, created_at, fingerprint")]


async def all_grants(store: Store) -> list[Grant]:
    """Every grant."""
    return [Grant(*row) for row in await store.read(f"{_GRANTS} ORDER BY user_num, compartment_id")]


def _compartment(row: Row) -> Compartment:
    freeform, defined = msgspec.json.decode(row[7]), msgspec.json.decode(row[8])
    return Compartment(row[0], row[1], row[2], row[3], row[4], row[5], row[6], freeform, defined, row[9])


def tenancies(tx: Tx) -> list[Tenancy]:
    """Every tenancy, oldest first, inside a change."""
    return [Tenancy(*row) for row in tx.fetch(f"{_TENANCIES} ORDER BY num")]


def add_tenancy(tx: Tx, tenancy: Tenancy) -> int:
    """Stores a tenancy that is subscribed to its home region; its num."""
    num = tx.insert(
        "INSERT INTO oci_tenancies (id, name, description, home_region, namespace, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?) RETURNING num",
        tenancy.id,
        tenancy.name,
        tenancy.description,
        tenancy.home_region,
        tenancy.namespace,
        tenancy.created_at,
    )
    subscribe(tx, num, tenancy.home_region, tenancy.created_at)
    return num


def subscribe(tx: Tx, tenancy_num: int, region: str, now: float) -> bool:
    """Gives a tenancy a region; whether it is new to it."""
    return bool(
        tx.execute(
            "INSERT INTO oci_region_subscriptions (tenancy_num, region, created_at) VALUES (?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            tenancy_num,
            region,
            now,
        )
    )


def subscriptions(tx: Tx, tenancy_num: int) -> list[str]:
    """The regions of a tenancy, its home region first."""
    rows = tx.fetch(f"{_SUBSCRIPTIONS} WHERE s.tenancy_num = ? ORDER BY {_HOME_FIRST}", tenancy_num)
    return [region for _, region in rows]


def remove_tenancy(tx: Tx, num: int) -> None:
    """Removes a tenancy with all that is its own; it has no vaults."""
    tx.execute("DELETE FROM oci_tenancies WHERE num = ?", num)


def compartments(tx: Tx, tenancy_num: int) -> list[Compartment]:
    """The compartments of a tenancy that are not deleted, oldest first."""
    rows = tx.fetch(f"{_COMPARTMENTS} WHERE tenancy_num = ? AND state <> 'DELETED' ORDER BY num", tenancy_num)
    return [_compartment(row) for row in rows]


def compartment(tx: Tx, ident: str) -> Compartment | None:
    """The compartment of an OCID, a deleted one too."""
    row = tx.fetch_one(f"{_COMPARTMENTS} WHERE id = ?", ident)
    return None if row is None else _compartment(row)


def is_standing(tx: Tx, compartment_id: str, tenancy_num: int) -> bool:
    """Whether it is a compartment of the tenancy and not a deleted one, or the tenancy itself, at this moment."""
    row = tx.fetch_one(
        "SELECT 1 FROM oci_compartments WHERE id = ? AND tenancy_num = ? AND state <> 'DELETED'"
        " UNION ALL SELECT 1 FROM oci_tenancies WHERE id = ? AND num = ?",
        compartment_id,
        tenancy_num,
        compartment_id,
        tenancy_num,
    )
    return row is not None


def add_compartment(tx: Tx, made: Compartment) -> int:
    """Stores a compartment; its num."""
    return tx.insert(
        "INSERT INTO oci_compartments"
        " (id, tenancy_num, parent_id, name, description, state, freeform_tags, defined_tags, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING num",
        made.id,
        made.tenancy_num,
        made.parent_id,
        made.name,
        made.description,
        made.state,
        msgspec.json.encode(made.freeform_tags).decode(),
        msgspec.json.encode(made.defined_tags).decode(),
        made.created_at,
    )


def delete_compartment(tx: Tx, ident: str) -> None:
    """Marks a compartment as deleted, and takes the rights in it away."""
    tx.execute("UPDATE oci_compartments SET state = 'DELETED' WHERE id = ?", ident)
    tx.execute("DELETE FROM oci_grants WHERE compartment_id = ?", ident)


def users(tx: Tx) -> list[User]:
    """Every user, oldest first."""
    return [User(*row) for row in tx.fetch(f"{_USERS} ORDER BY num")]


def add_user(tx: Tx, user: User) -> int:
    """Stores a user; its num."""
    return tx.insert(
        "INSERT INTO oci_users (id, tenancy_num, name, description, created_at) VALUES (?, ?, ?, ?, ?) RETURNING num",
        user.id,
        user.tenancy_num,
        user.name,
        user.description,
        user.created_at,
    )


def remove_user(tx: Tx, num: int) -> None:
    """Removes a user with API keys and grants."""
    tx.execute("DELETE FROM oci_users WHERE num = ?", num)


def api_keys(tx: Tx, user_num: int) -> list[ApiKey]:
    """The API keys of a user, oldest first."""
    return [
        ApiKey(*row) for row in tx.fetch(f"{_API_KEYS} WHERE user_num = ? ORDER BY created_at, fingerprint", user_num)
    ]


def add_api_key(tx: Tx, key: ApiKey) -> None:
    """Stores an API key."""
    tx.execute(
        "INSERT INTO oci_api_keys (user_num, fingerprint, public_key, created_at) VALUES (?, ?, ?, ?)",
        key.user_num,
        key.fingerprint,
        key.public_key,
        key.created_at,
    )


def remove_api_key(tx: Tx, user_num: int, fingerprint: str) -> int:
    """Removes an API key; how many there were."""
    return tx.execute("DELETE FROM oci_api_keys WHERE user_num = ? AND fingerprint = ?", user_num, fingerprint)


def grants(tx: Tx, user_num: int) -> list[Grant]:
    """The grants of a user."""
    return [Grant(*row) for row in tx.fetch(f"{_GRANTS} WHERE user_num = ? ORDER BY compartment_id", user_num)]


def put_grant(tx: Tx, grant: Grant) -> None:
    """Stores a grant in place of the one for the same user and compartment."""
    tx.execute(
        "INSERT INTO oci_grants (user_num, compartment_id, verb) VALUES (?, ?, ?)"
        " ON CONFLICT (user_num, compartment_id) DO UPDATE SET verb = excluded.verb",
        grant.user_num,
        grant.compartment_id,
        grant.verb,
    )


def remove_grant(tx: Tx, user_num: int, compartment_id: str) -> int:
    """Takes a grant away; how many there were."""
    return tx.execute("DELETE FROM oci_grants WHERE user_num = ? AND compartment_id = ?", user_num, compartment_id)


def meta(tx: Tx, key: str) -> str | None:
    """A fact about the installation."""
    row = tx.fetch_one("SELECT value FROM meta WHERE key = ?", key)
    return None if row is None else str(row[0])


async def read_meta(store: Store, key: str) -> str | None:
    """The same, outside a change."""
    row = await store.read_one("SELECT value FROM meta WHERE key = ?", key)
    return None if row is None else str(row[0])


def set_meta(tx: Tx, key: str, value: str) -> None:
    """Stores a fact about the installation."""
    tx.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value
    )
