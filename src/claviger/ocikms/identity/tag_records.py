"""Rows of tag namespaces and the tags that they define, and the SQL for them.

They are part of the snapshot of identity: whatever changes them calls `records.bump_revision` in the same transaction.
"""

from __future__ import annotations

import msgspec

from claviger.store.contract import Row, Store, Tx


class TagNamespace(msgspec.Struct, frozen=True):
    """A named group of defined tags."""

    num: int
    id: str
    tenancy_num: int
    compartment_id: str
    name: str
    description: str
    is_retired: bool
    created_at: float


class Tag(msgspec.Struct, frozen=True):
    """One defined tag of a namespace."""

    num: int
    id: str
    namespace_num: int
    name: str
    description: str
    is_retired: bool
    created_at: float


_TAG_NAMESPACES = (
    "SELECT num, id, tenancy_num, compartment_id, name, description, is_retired, created_at FROM oci_tag_namespaces"
)
_TAGS = "SELECT num, id, namespace_num, name, description, is_retired, created_at FROM oci_tags"


async def all_tag_namespaces(store: Store) -> list[TagNamespace]:
    """Every tag namespace, oldest first."""
    return [_tag_namespace(row) for row in await store.read(f"{_TAG_NAMESPACES} ORDER BY num")]


async def all_tags(store: Store) -> list[Tag]:
    """Every defined tag, oldest first."""
    return [_tag(row) for row in await store.read(f"{_TAGS} ORDER BY num")]


def _tag_namespace(row: Row) -> TagNamespace:
    return TagNamespace(row[0], row[1], row[2], row[3], row[4], row[5], bool(row[6]), row[7])


def _tag(row: Row) -> Tag:
    return Tag(row[0], row[1], row[2], row[3], row[4], bool(row[5]), row[6])


def tag_namespaces(tx: Tx, tenancy_num: int) -> list[TagNamespace]:
    """The tag namespaces of a tenancy, oldest first."""
    rows = tx.fetch(f"{_TAG_NAMESPACES} WHERE tenancy_num = ? ORDER BY num", tenancy_num)
    return [_tag_namespace(row) for row in rows]


def add_tag_namespace(tx: Tx, made: TagNamespace) -> int:
    """Stores a tag namespace; its num."""
    return tx.insert(
        "INSERT INTO oci_tag_namespaces (id, tenancy_num, compartment_id, name, description, is_retired, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING num",
        made.id,
        made.tenancy_num,
        made.compartment_id,
        made.name,
        made.description,
        int(made.is_retired),
        made.created_at,
    )


def remove_tag_namespace(tx: Tx, num: int) -> None:
    """Removes a tag namespace with its tags."""
    tx.execute("DELETE FROM oci_tag_namespaces WHERE num = ?", num)


def tags(tx: Tx, namespace_num: int) -> list[Tag]:
    """The tags of a namespace, oldest first."""
    return [_tag(row) for row in tx.fetch(f"{_TAGS} WHERE namespace_num = ? ORDER BY num", namespace_num)]


def add_tag(tx: Tx, made: Tag) -> int:
    """Stores a tag; its num."""
    return tx.insert(
        "INSERT INTO oci_tags (id, namespace_num, name, description, is_retired, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?) RETURNING num",
        made.id,
        made.namespace_num,
        made.name,
        made.description,
        int(made.is_retired),
        made.created_at,
    )
