"""Pre-authenticated requests: an address whose secret part is the credential for one object, or for any of a bucket.

The secret part is told once, when the request is made. Only its hash is stored. Whatever is wrong with an address, that
it never was, has expired, is for something else or for reading only, is told in the same words.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from claviger.core.errors import Unauthenticated
from claviger.ocikms.storage import records, rules
from claviger.ocikms.storage.records import BucketRow, Preauthenticated
from claviger.store.contract import Store, Tx

SECRET_BYTES = 48
MAX_SECRET_LENGTH = 256


def hash_of(secret: str) -> str:
    """What is stored of the secret part of an address."""
    return sha256(secret.encode()).hexdigest()


def refused() -> Unauthenticated:
    """What is said to everybody who comes with an address that does not open."""
    return Unauthenticated("Preauthenticated")


def _is_good(
    held: Preauthenticated,
    bucket: BucketRow,
    namespace: str,
    secret_hash: str,
    asked: tuple[str, str, str],
    region: str,
    *,
    writes: bool,
    now: float,
) -> bool:
    asked_namespace, bucket_name, object_name = asked
    return (
        hmac.compare_digest(held.secret_hash, secret_hash)
        and now < held.expires_at
        and held.access_type in (rules.WRITES if writes else rules.READS)
        and (asked_namespace, bucket_name) == (namespace, bucket.name)
        and region in ("", bucket.region)
        and rules.covers(held.access_type, held.object_name, object_name)
    )


async def opened(
    store: Store, secret: str, asked: tuple[str, str, str], region: str, *, writes: bool, now: float
) -> BucketRow:
    """The bucket that an address opens. `asked` is namespace, bucket and object. Raises Unauthenticated."""
    secret_hash = hash_of(secret) if len(secret) <= MAX_SECRET_LENGTH else ""
    found = await records.opened_by(store, secret_hash)
    if found is None:
        raise refused()
    held, bucket, namespace = found
    if not _is_good(held, bucket, namespace, secret_hash, asked, region, writes=writes, now=now):
        raise refused()
    return bucket


def opened_in(tx: Tx, secret: str, asked: tuple[str, str, str], region: str, *, writes: bool, now: float) -> BucketRow:
    """The same within a transaction, for what is written through an address. Raises Unauthenticated."""
    secret_hash = hash_of(secret) if len(secret) <= MAX_SECRET_LENGTH else ""
    held = records.by_hash(tx, secret_hash)
    bucket = None if held is None else records.bucket_of(tx, held.bucket_num)
    if held is None or bucket is None:
        raise refused()
    namespace = records.namespace_in(tx, bucket.tenancy_num)
    if not _is_good(held, bucket, namespace, secret_hash, asked, region, writes=writes, now=now):
        raise refused()
    return bucket
