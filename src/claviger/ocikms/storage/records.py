"""Rows of buckets, objects and pre-authenticated requests, and the SQL for them.

An object's content is read only where it is asked for. Of a pre-authenticated request only the hash of its secret part
is stored, by which it is found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from claviger.ocikms.listing import Page, ordering
from claviger.store.contract import Row, Store, Tx, Value


class BucketRow(msgspec.Struct, frozen=True):
    """A bucket. Tags are JSON."""

    num: int
    id: str
    tenancy_num: int
    region: str
    compartment_id: str
    name: str
    freeform_tags: str
    defined_tags: str
    created_by: str
    created_at: float


class ObjectRow(msgspec.Struct, frozen=True):
    """An object without its content."""

    num: int
    bucket_num: int
    name: str
    size: int
    content_md5: str
    content_type: str
    etag: str
    created_at: float


class Preauthenticated(msgspec.Struct, frozen=True):
    """A pre-authenticated request; `object_name` is a prefix where it is for any object."""

    id: str
    bucket_num: int
    name: str
    object_name: str | None
    access_type: str
    secret_hash: str
    expires_at: float
    created_at: float


_BUCKET = (
    "SELECT num, id, tenancy_num, region, compartment_id, name, freeform_tags, defined_tags, created_by, created_at"
    " FROM oci_buckets"
)
_OF_NAME = f"{_BUCKET} WHERE tenancy_num = ? AND region = ? AND name = ?"
_OBJECT = "SELECT num, bucket_num, name, size, content_md5, content_type, etag, created_at FROM oci_objects"
_OBJECT_OF_NAME = f"{_OBJECT} WHERE bucket_num = ? AND name = ?"
_PREAUTHENTICATED = (
    "SELECT id, bucket_num, name, object_name, access_type, secret_hash, expires_at, created_at"
    " FROM oci_preauthenticated"
)
_NAMESPACE = "SELECT namespace FROM oci_tenancies WHERE num = ?"


def _made(kind: Callable[..., Any], row: Row | None) -> Any:
    return None if row is None else kind(*row)


async def namespace(store: Store, tenancy_num: int) -> str:
    """The namespace of a tenancy; empty where there is no such tenancy."""
    row = await store.read_one(_NAMESPACE, tenancy_num)
    return "" if row is None else str(row[0])


def namespace_in(tx: Tx, tenancy_num: int) -> str:
    """The same within a transaction."""
    row = tx.fetch_one(_NAMESPACE, tenancy_num)
    return "" if row is None else str(row[0])


async def bucket(store: Store, tenancy_num: int, region: str, name: str) -> BucketRow | None:
    """A bucket by its name."""
    found: BucketRow | None = _made(BucketRow, await store.read_one(_OF_NAME, tenancy_num, region, name))
    return found


def bucket_in(tx: Tx, tenancy_num: int, region: str, name: str) -> BucketRow | None:
    """The same within a transaction."""
    found: BucketRow | None = _made(BucketRow, tx.fetch_one(_OF_NAME, tenancy_num, region, name))
    return found


def bucket_of(tx: Tx, num: int) -> BucketRow | None:
    """A bucket by its number."""
    found: BucketRow | None = _made(BucketRow, tx.fetch_one(f"{_BUCKET} WHERE num = ?", num))
    return found


async def buckets(store: Store, tenancy_num: int, region: str, compartment_id: str, page: Page) -> list[BucketRow]:
    """A page of the buckets that lie directly in a compartment, and one more where there are more."""
    condition, order, values = ordering(page, {"NAME": "name"})
    where = " WHERE tenancy_num = ? AND region = ? AND compartment_id = ?"
    rows = await store.read(f"{_BUCKET}{where}{condition}{order}", tenancy_num, region, compartment_id, *values)
    return [BucketRow(*row) for row in rows]


def all_buckets(tx: Tx) -> list[BucketRow]:
    """All buckets of the server."""
    return [BucketRow(*row) for row in tx.fetch(f"{_BUCKET} ORDER BY tenancy_num, region, name")]


def count_buckets(tx: Tx, tenancy_num: int, region: str) -> int:
    """How many buckets a tenancy has in a region."""
    row = tx.fetch_one("SELECT COUNT(*) FROM oci_buckets WHERE tenancy_num = ? AND region = ?", tenancy_num, region)
    return 0 if row is None else int(row[0])


def add_bucket(tx: Tx, made: BucketRow) -> None:
    """Stores a new bucket; its number is the database's."""
    tx.execute(
        "INSERT INTO oci_buckets"
        " (id, tenancy_num, region, compartment_id, name, freeform_tags, defined_tags, created_by, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        made.id,
        made.tenancy_num,
        made.region,
        made.compartment_id,
        made.name,
        made.freeform_tags,
        made.defined_tags,
        made.created_by,
        made.created_at,
    )


def delete_bucket(tx: Tx, num: int) -> None:
    """Removes a bucket, with its pre-authenticated requests."""
    tx.execute("DELETE FROM oci_buckets WHERE num = ?", num)


_FILLED = "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM oci_objects WHERE bucket_num = ?"


async def filled(store: Store, bucket_num: int) -> tuple[int, int]:
    """How many objects are in a bucket, and their bytes."""
    row = await store.read_one(_FILLED, bucket_num)
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


def filled_in(tx: Tx, bucket_num: int) -> tuple[int, int]:
    """The same within a transaction."""
    row = tx.fetch_one(_FILLED, bucket_num)
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


async def objects(store: Store, bucket_num: int) -> list[ObjectRow]:
    """All objects of a bucket, by name."""
    return [ObjectRow(*row) for row in await store.read(f"{_OBJECT} WHERE bucket_num = ? ORDER BY name", bucket_num)]


async def found_object(store: Store, bucket_num: int, name: str) -> ObjectRow | None:
    """An object by its name."""
    found: ObjectRow | None = _made(ObjectRow, await store.read_one(_OBJECT_OF_NAME, bucket_num, name))
    return found


def object_in(tx: Tx, bucket_num: int, name: str) -> ObjectRow | None:
    """The same within a transaction."""
    found: ObjectRow | None = _made(ObjectRow, tx.fetch_one(_OBJECT_OF_NAME, bucket_num, name))
    return found


async def with_content(store: Store, bucket_num: int, name: str) -> tuple[ObjectRow, bytes] | None:
    """An object and its content, of one moment."""
    columns = _OBJECT.replace(" FROM", ", content FROM")
    row = await store.read_one(f"{columns} WHERE bucket_num = ? AND name = ?", bucket_num, name)
    return None if row is None else (ObjectRow(*row[:-1]), bytes(row[-1]))


def put_object(tx: Tx, made: ObjectRow, content: bytes) -> None:
    """Stores an object in the place of one of its name."""
    tx.execute("DELETE FROM oci_objects WHERE bucket_num = ? AND name = ?", made.bucket_num, made.name)
    tx.execute(
        "INSERT INTO oci_objects (bucket_num, name, content, size, content_md5, content_type, etag, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        made.bucket_num,
        made.name,
        content,
        made.size,
        made.content_md5,
        made.content_type,
        made.etag,
        made.created_at,
    )


def delete_object(tx: Tx, num: int) -> None:
    """Removes an object."""
    tx.execute("DELETE FROM oci_objects WHERE num = ?", num)


def add_preauthenticated(tx: Tx, made: Preauthenticated) -> None:
    """Stores a new pre-authenticated request."""
    tx.execute(
        "INSERT INTO oci_preauthenticated"
        " (id, bucket_num, name, object_name, access_type, secret_hash, expires_at, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        made.id,
        made.bucket_num,
        made.name,
        made.object_name,
        made.access_type,
        made.secret_hash,
        made.expires_at,
        made.created_at,
    )


def drop_expired(tx: Tx, bucket_num: int, now: float) -> None:
    """Removes the pre-authenticated requests of a bucket that nobody can use any more."""
    tx.execute("DELETE FROM oci_preauthenticated WHERE bucket_num = ? AND expires_at <= ?", bucket_num, now)


def count_preauthenticated(tx: Tx, bucket_num: int) -> int:
    """How many pre-authenticated requests a bucket has."""
    row = tx.fetch_one("SELECT COUNT(*) FROM oci_preauthenticated WHERE bucket_num = ?", bucket_num)
    return 0 if row is None else int(row[0])


async def preauthenticated(store: Store, bucket_num: int) -> list[Preauthenticated]:
    """All pre-authenticated requests of a bucket, oldest first."""
    rows = await store.read(f"{_PREAUTHENTICATED} WHERE bucket_num = ? ORDER BY created_at, id", bucket_num)
    return [Preauthenticated(*row) for row in rows]


def by_hash(tx: Tx, secret_hash: str) -> Preauthenticated | None:
    """The one whose secret part has this hash."""
    row = tx.fetch_one(f"{_PREAUTHENTICATED} WHERE secret_hash = ?", secret_hash)
    found: Preauthenticated | None = _made(Preauthenticated, row)
    return found


async def opened_by(store: Store, secret_hash: str) -> tuple[Preauthenticated, BucketRow, str] | None:
    """The one whose secret part has this hash, its bucket, and the bucket's namespace."""
    row = await store.read_one(f"{_PREAUTHENTICATED} WHERE secret_hash = ?", secret_hash)
    if row is None:
        return None
    found = Preauthenticated(*row)
    kept = await store.read_one(f"{_BUCKET} WHERE num = ?", found.bucket_num)
    if kept is None:
        return None
    its = BucketRow(*kept)
    return found, its, await namespace(store, its.tenancy_num)


def delete_preauthenticated(tx: Tx, bucket_num: int, ident: Value) -> int:
    """Removes one; how many there were."""
    return tx.execute("DELETE FROM oci_preauthenticated WHERE bucket_num = ? AND id = ?", bucket_num, ident)
