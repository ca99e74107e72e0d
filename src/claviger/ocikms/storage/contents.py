"""Objects put into buckets and taken out, within a transaction: what PutObject, an address and a backup all do.

Contents are kept as they were given. Backups are sealed before they come here.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from hashlib import md5

from claviger.core.errors import Conflict, Invalid
from claviger.core.ids import new_uuid
from claviger.ocikms.storage import records, rules
from claviger.ocikms.storage.records import BucketRow, ObjectRow
from claviger.store.contract import Tx

MAX_MD5_LENGTH = 64

Place = Callable[[Tx], BucketRow]
"""Finds the bucket again within a transaction, and raises where it is gone or may not be written any more."""


def md5_of(content: bytes) -> str:
    """MD5 in base64, as Content-MD5 has it. Blocking: some 25 ms for the largest content."""
    return base64.b64encode(md5(content, usedforsecurity=False).digest()).decode()


def fits_md5(given: str | None, found: str) -> bool:
    """Whether a Content-MD5 header is what `md5_of` found; where none was sent, nothing is said against it."""
    if given is None:
        return True
    try:
        told = base64.b64decode(given.strip(), validate=True) if len(given) <= MAX_MD5_LENGTH else b""
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(told, base64.b64decode(found))


def check_md5(given: str | None, found: str) -> None:
    """Raises Invalid("ContentMd5") where a Content-MD5 header does not fit."""
    if not fits_md5(given, found):
        raise Invalid("ContentMd5", message="The Content-MD5 you specified did not match what was received.")


def put(
    tx: Tx,
    bucket: BucketRow,
    name: str,
    content: bytes,
    *,
    content_md5: str,
    content_type: str,
    now: float,
    if_match: str | None = None,
    if_none_match: str | None = None,
) -> ObjectRow:
    """Stores an object, in the place of one of its name. Raises Conflict for a condition that is not met, Invalid where
    the bucket is full.
    """
    held = records.object_in(tx, bucket.num, name)
    check_conditions(held, if_match, if_none_match)
    count, size = records.filled_in(tx, bucket.num)
    if held is not None:
        count, size = count - 1, size - held.size
    if count >= rules.MAX_OBJECTS:
        raise rules.limit_reached(f"{rules.MAX_OBJECTS} objects in a bucket")
    if size + len(content) > rules.MAX_BUCKET_BYTES:
        raise rules.limit_reached(f"{rules.MAX_BUCKET_BYTES} bytes in a bucket")
    made = ObjectRow(0, bucket.num, name, len(content), content_md5, content_type, new_uuid(), now)
    records.put_object(tx, made, content)
    return made


def check_conditions(held: ObjectRow | None, if_match: str | None, if_none_match: str | None) -> None:
    """Raises Conflict("IfMatch" | "IfNoneMatch") where the object is not as the call was meant for."""
    check_etag(if_match, None if held is None else held.etag)
    if if_none_match is not None and held is not None and if_none_match.strip().strip('"') in ("*", held.etag):
        raise Conflict("IfNoneMatch", message="The object exists already, and If-None-Match forbids it.")


def check_etag(if_match: str | None, etag: str | None) -> None:
    """Raises Conflict("IfMatch") where a thing of another etag was meant; `etag` is None where there is none."""
    if if_match is not None and (etag is None or if_match.strip().strip('"') not in ("*", etag)):
        raise Conflict("IfMatch", message="The If-Match header does not match the ETag of the resource.")
