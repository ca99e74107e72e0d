"""Making pre-authenticated requests, and taking them back. How they open a bucket is in `preauthenticated.py`."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from claviger.audit.trail import about
from claviger.core.errors import NotFound
from claviger.core.ids import new_token
from claviger.ocikms.calls import Answer, Call, Verb
from claviger.ocikms.errors import wrong
from claviger.ocikms.storage import preauthenticated, records, rules, wire
from claviger.ocikms.storage.operations import Storage
from claviger.ocikms.storage.records import Preauthenticated
from claviger.ocikms.texts import display_name, read_body, read_time, written
from claviger.store.contract import Store, Tx

_LISTING = ("Deny", "ListObjects")


class Addresses:
    """The pre-authenticated requests of buckets. Whoever manages a bucket manages them."""

    def __init__(self, store: Store, storage: Storage) -> None:
        self._store = store
        self._storage = storage

    async def create(self, call: Call) -> Answer:
        """Makes one; its address is told in this answer and never again. Raises Invalid."""
        bucket, namespace = await self._storage.bucket(call, Verb.MANAGE)
        details = read_body(call.body, wire.CreatePreauthenticatedRequestDetails)
        display_name("name", details.name)
        rules.check_access(details.access_type, details.object_name)
        if details.bucket_listing_action not in (None, "Deny"):
            problem = "cannot be ListObjects here" if details.bucket_listing_action in _LISTING else "is not known"
            raise wrong("bucketListingAction", problem)
        expires_at = read_time("timeExpires", details.time_expires)
        if expires_at is None or expires_at <= call.now:
            raise wrong("timeExpires", "must be a time that is still to come")
        secret = new_token(preauthenticated.SECRET_BYTES)
        object_name = details.object_name
        secret_hash = preauthenticated.hash_of(secret)

        def change(tx: Tx) -> Preauthenticated:
            held = self._storage.bucket_in(tx, call, bucket.name, namespace)
            records.drop_expired(tx, held.num, call.now)
            if records.count_preauthenticated(tx, held.num) >= rules.MAX_PREAUTHENTICATED:
                raise rules.limit_reached(f"{rules.MAX_PREAUTHENTICATED} pre-authenticated requests of a bucket")
            made = Preauthenticated(
                ident, held.num, details.name, object_name, details.access_type, secret_hash, expires_at, call.now
            )
            records.add_preauthenticated(tx, made)
            about("preauthenticated-request", made.id, made.name, held.name)
            return made

        ident = new_token()
        made = await self._store.write(change)
        of_one = made.access_type in rules.OF_ONE_OBJECT
        place = quote(object_name, safe="/") if of_one and object_name else ""
        access_uri = f"/p/{secret}/n/{quote(namespace)}/b/{quote(bucket.name)}/o/{place}"
        scheme = call.place.published("", "", None)[0].partition("://")[0]
        full_path = f"{scheme}://{call.place.shown}{access_uri}"
        told = msgspec.structs.asdict(_summary(made))
        return Answer(body=wire.PreauthenticatedRequest(**told, access_uri=access_uri, full_path=full_path))

    async def list(self, call: Call) -> Answer:
        """Those of a bucket, oldest first, without their addresses."""
        bucket, _ = await self._storage.bucket(call, Verb.MANAGE)
        prefix = call.query.get("objectNamePrefix") or ""
        kept = await records.preauthenticated(self._store, bucket.num)
        found = [each for each in kept if (each.object_name or "").startswith(prefix)]
        return Answer(body=[_summary(each) for each in found])

    async def get(self, call: Call) -> Answer:
        """One of a bucket, without its address. Raises NotFound."""
        bucket, _ = await self._storage.bucket(call, Verb.MANAGE)
        for each in await records.preauthenticated(self._store, bucket.num):
            if each.id == call.path["parId"]:
                return Answer(body=_summary(each))
        raise _absent()

    async def delete(self, call: Call) -> Answer:
        """Takes one back: its address opens nothing from now on. Raises NotFound."""
        bucket, namespace = await self._storage.bucket(call, Verb.MANAGE)
        ident = call.path["parId"]

        def change(tx: Tx) -> None:
            held = self._storage.bucket_in(tx, call, bucket.name, namespace)
            if not records.delete_preauthenticated(tx, held.num, ident):
                raise _absent()
            about("preauthenticated-request", ident, "", held.name)

        await self._store.write(change)
        return Answer(status=204)


def _absent() -> NotFound:
    return NotFound("Absent", message="The pre-authenticated request does not exist.")


def _summary(row: Preauthenticated) -> wire.PreauthenticatedRequestSummary:
    return wire.PreauthenticatedRequestSummary(
        id=row.id,
        name=row.name,
        object_name=row.object_name,
        access_type=row.access_type,
        time_expires=written(row.expires_at),
        time_created=written(row.created_at),
    )
