"""Buckets and objects: what each operation of Object Storage does, and what a caller needs for it.

In the compartment of the bucket a caller needs `inspect` to list, `read` to read, `manage` for all that changes. A
bucket that he may not see is told as one that is not there.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate

import msgspec

from claviger.audit.trail import about
from claviger.ocikms import states
from claviger.ocikms.calls import Answer, Call, Verb
from claviger.ocikms.errors import wrong
from claviger.ocikms.listing import listed, page_of
from claviger.ocikms.ocids import new_regional_ocid
from claviger.ocikms.placing import check_place, check_right
from claviger.ocikms.storage import contents, preauthenticated, records, rules, wire
from claviger.ocikms.storage.records import BucketRow, ObjectRow
from claviger.ocikms.texts import check_tags, read_body, written
from claviger.store.contract import Store, Tx

_NO_CONTENT = 204
_FIELDS = frozenset({"name", "size", "md5", "timecreated", "etag", "storagetier", "archivalstate", "timemodified"})
_NO_PAGE = (b"content-security-policy", b"sandbox; default-src 'none'")
"""A browser that is shown an object of type text/html runs nothing of it: other pages of this server are beside it."""
_ONLY_KIND: dict[str, object] = {
    "publicAccessType": "NoPublicAccess",
    "storageTier": "Standard",
    "versioning": "Disabled",
    "autoTiering": "Disabled",
    "objectEventsEnabled": False,
    "metadata": {},
    "kmsKeyId": "",
}
"""What a bucket is here, where the real service leaves a choice."""


class Storage:
    """Buckets and objects of all tenancies, each with a namespace of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # Buckets.

    async def get_namespace(self, call: Call) -> Answer:
        """The namespace of the caller's tenancy, whose compartment may be named."""
        compartment_id = call.query.get("compartmentId")
        if compartment_id and not call.sight.has(compartment_id):
            raise rules.namespace_absent()
        return Answer(body=await self._namespace(call))

    async def create_bucket(self, call: Call) -> Answer:
        """Makes a bucket. Raises Invalid for one of a kind that is not offered, Conflict("BucketExists")."""
        namespace = await self._asked(call)
        details = read_body(call.body, wire.CreateBucketDetails)
        check_right(call, details.compartment_id)
        rules.check_bucket_name(details.name)
        _check_kind(details)
        check_tags(details.freeform_tags, details.defined_tags)
        region, caller = call.place.region, call.caller
        made = BucketRow(
            0,
            new_regional_ocid("bucket", region),
            caller.tenancy_num,
            region,
            details.compartment_id,
            details.name,
            msgspec.json.encode(details.freeform_tags or {}).decode(),
            msgspec.json.encode(details.defined_tags or {}).decode(),
            caller.user_id,
            call.now,
        )

        def change(tx: Tx) -> None:
            check_place(tx, call, made.compartment_id)
            add_bucket(tx, made, namespace)

        await self._store.write(change)
        return self._bucket_answer(made, namespace, None)

    async def get_bucket(self, call: Call) -> Answer:
        """A bucket; with `fields`, how full it is."""
        bucket, namespace = await self.bucket(call, Verb.READ)
        fields = call.query.get("fields", "").lower()
        is_counted = "approximate" in fields
        return self._bucket_answer(
            bucket, namespace, await records.filled(self._store, bucket.num) if is_counted else None
        )

    async def head_bucket(self, call: Call) -> Answer:
        """Whether a bucket is there, and its etag."""
        bucket, _ = await self.bucket(call, Verb.READ)
        return Answer(etag=_bucket_etag(bucket))

    async def list_buckets(self, call: Call) -> Answer:
        """The buckets that lie directly in a compartment, by name."""
        namespace = await self._asked(call)
        compartment_id = call.required("compartmentId")
        if not call.sight.may(Verb.INSPECT, compartment_id):
            raise rules.namespace_absent()
        page = page_of(call, ("NAME",))
        tenancy_num, region = call.caller.tenancy_num, call.place.region
        rows = await records.buckets(self._store, tenancy_num, region, compartment_id, page)
        return listed(page, rows, lambda row: (row.name, row.num), lambda row: _bucket_summary(row, namespace))

    async def delete_bucket(self, call: Call) -> Answer:
        """Removes an empty bucket. Raises Conflict("BucketNotEmpty")."""
        bucket, namespace = await self.bucket(call, Verb.MANAGE)

        def change(tx: Tx) -> None:
            held = self.bucket_in(tx, call, bucket.name, namespace)
            contents.check_etag(call.if_match, _bucket_etag(held))
            if records.filled_in(tx, held.num)[0]:
                raise rules.bucket_not_empty(held.name)
            records.delete_bucket(tx, held.num)
            about("bucket", held.id, held.name, held.compartment_id)

        await self._store.write(change)
        return Answer(status=_NO_CONTENT)

    # Objects.

    async def list_objects(self, call: Call) -> Answer:
        """One page of the objects of a bucket."""
        bucket, _ = await self.bucket(call, Verb.INSPECT)
        query = call.query
        fields = frozenset(filter(None, (query.get("fields") or "name").lower().replace(" ", "").split(",")))
        if not fields <= _FIELDS:
            raise wrong("fields", "names a field that objects do not have")
        delimiter = query.get("delimiter") or ""
        if delimiter not in ("", "/"):
            raise wrong("delimiter", "can only be /")
        found, prefixes, following = rules.page_of_objects(
            await records.objects(self._store, bucket.num),
            rules.Window(*(query.get(name) or "" for name in ("prefix", "start", "startAfter", "end"))),
            delimiter,
            _limit(query.get("limit")),
        )
        body = wire.ListObjects([_object_summary(each, fields) for each in found], prefixes, following)
        return Answer(body=body)

    async def put_object(self, call: Call) -> Answer:
        """Stores an object, in the place of one of its name."""
        bucket, namespace = await self.bucket(call, Verb.MANAGE)

        def place(tx: Tx) -> BucketRow:
            return self.bucket_in(tx, call, bucket.name, namespace)

        return await self._put(call, place, bucket)

    async def get_object(self, call: Call) -> Answer:
        """The content of an object."""
        bucket, _ = await self.bucket(call, Verb.READ)
        return await self._content(call, bucket)

    async def head_object(self, call: Call) -> Answer:
        """What is known of an object."""
        bucket, _ = await self.bucket(call, Verb.READ)
        return await self._head(call, bucket)

    async def delete_object(self, call: Call) -> Answer:
        """Removes an object."""
        bucket, namespace = await self.bucket(call, Verb.MANAGE)
        name = call.path["objectName"]

        def change(tx: Tx) -> None:
            its = self.bucket_in(tx, call, bucket.name, namespace)
            held = records.object_in(tx, its.num, name)
            if held is None:
                raise rules.object_absent(name, its.name)
            contents.check_conditions(held, call.if_match, None)
            records.delete_object(tx, held.num)
            about("object", name, name, its.name)

        await self._store.write(change)
        return Answer(status=_NO_CONTENT)

    # Objects by a pre-authenticated request.

    async def get_by_address(self, call: Call) -> Answer:
        """The content of an object, for whoever has the address. Raises Unauthenticated."""
        return await self._content(call, await self._opened(call, writes=False))

    async def head_by_address(self, call: Call) -> Answer:
        """What is known of an object, for whoever has the address. Raises Unauthenticated."""
        return await self._head(call, await self._opened(call, writes=False))

    async def put_by_address(self, call: Call) -> Answer:
        """Stores an object, for whoever has the address. Raises Unauthenticated."""
        bucket = await self._opened(call, writes=True)
        secret, asked, region = _address(call)

        def place(tx: Tx) -> BucketRow:
            return preauthenticated.opened_in(tx, secret, asked, region, writes=True, now=call.now)

        return await self._put(call, place, bucket)

    async def _opened(self, call: Call, *, writes: bool) -> BucketRow:
        secret, asked, region = _address(call)
        return await preauthenticated.opened(self._store, secret, asked, region, writes=writes, now=call.now)

    # What they have in common.

    async def _namespace(self, call: Call) -> str:
        return await records.namespace(self._store, call.caller.tenancy_num)

    async def _asked(self, call: Call) -> str:
        """The namespace of the path, which is the caller's. Raises NotFound("NamespaceAbsent")."""
        own = await self._namespace(call)
        if not own or call.path["namespaceName"] != own:
            raise rules.namespace_absent()
        return own

    async def bucket(self, call: Call, verb: Verb) -> tuple[BucketRow, str]:
        """The bucket of the path and its namespace. Raises NotFound, also where the caller may not do this in it."""
        namespace = await self._asked(call)
        name = call.path["bucketName"]
        held = await records.bucket(self._store, call.caller.tenancy_num, call.place.region, name)
        if held is None or not call.sight.may(verb, held.compartment_id):
            raise rules.bucket_absent(name, namespace)
        return held, namespace

    @staticmethod
    def bucket_in(tx: Tx, call: Call, name: str, namespace: str) -> BucketRow:
        """The same within a transaction, for one who may change it."""
        held = records.bucket_in(tx, call.caller.tenancy_num, call.place.region, name)
        if held is None or not call.sight.may(Verb.MANAGE, held.compartment_id):
            raise rules.bucket_absent(name, namespace)
        return held

    def _bucket_answer(self, row: BucketRow, namespace: str, filled: tuple[int, int] | None) -> Answer:
        summary = msgspec.structs.asdict(_bucket_summary(row, namespace))
        count, size = filled or (None, None)
        body = wire.Bucket(**summary, id=row.id, approximate_count=count, approximate_size=size)
        return Answer(body=body, etag=body.etag, headers=[(b"location", f"/n/{namespace}/b/{row.name}".encode())])

    async def _put(self, call: Call, place: contents.Place, bucket: BucketRow) -> Answer:
        name = rules.check_object_name(call.path["objectName"])
        content_type = rules.check_content_type(call.content_type)
        content_md5 = await asyncio.to_thread(contents.md5_of, call.body)
        contents.check_md5(call.content_md5, content_md5)

        def change(tx: Tx) -> ObjectRow:
            made = contents.put(
                tx,
                place(tx),
                name,
                call.body,
                content_md5=content_md5,
                content_type=content_type,
                now=call.now,
                if_match=call.if_match,
                if_none_match=call.if_none_match,
            )
            about("object", name, name, bucket.name)
            return made

        made = await self._store.write(change)
        return Answer(etag=made.etag, headers=[(b"opc-content-md5", content_md5.encode()), _last_modified(made)])

    async def _content(self, call: Call, bucket: BucketRow) -> Answer:
        name = call.path["objectName"]
        about("object", name, name, bucket.name)
        found = await records.with_content(self._store, bucket.num, name)
        if found is None:
            raise rules.object_absent(name, bucket.name)
        held, content = found
        contents.check_conditions(held, call.if_match, call.if_none_match)
        return Answer(body=content, etag=held.etag, headers=_object_headers(held))

    async def _head(self, call: Call, bucket: BucketRow) -> Answer:
        name = call.path["objectName"]
        held = await records.found_object(self._store, bucket.num, name)
        if held is None:
            raise rules.object_absent(name, bucket.name)
        contents.check_conditions(held, call.if_match, call.if_none_match)
        length = (b"content-length", str(held.size).encode())
        return Answer(etag=held.etag, headers=[*_object_headers(held), length])


def add_bucket(tx: Tx, made: BucketRow, namespace: str) -> None:
    """Stores a new bucket. Raises Conflict("BucketExists"), Invalid("LimitExceeded")."""
    if records.bucket_in(tx, made.tenancy_num, made.region, made.name) is not None:
        raise rules.bucket_exists(made.name, namespace)
    if records.count_buckets(tx, made.tenancy_num, made.region) >= rules.MAX_BUCKETS:
        raise rules.limit_reached(f"{rules.MAX_BUCKETS} buckets in a region")
    records.add_bucket(tx, made)
    about("bucket", made.id, made.name, made.compartment_id)


def _address(call: Call) -> tuple[str, tuple[str, str, str], str]:
    asked = call.path["namespaceName"], call.path["bucketName"], call.path["objectName"]
    return call.path["secret"], asked, call.place.region


def _check_kind(details: wire.CreateBucketDetails) -> None:
    given = msgspec.to_builtins(details)
    for name, only in _ONLY_KIND.items():
        if given[name] not in (None, only):
            raise wrong(name, "has a value that is not offered here")


def _limit(given: str | None) -> int:
    if not given:
        return rules.MAX_LISTED
    if not (given.isascii() and given.isdigit() and len(given) <= 9 and int(given) >= 1):
        raise wrong("limit", f"must be a whole number from 1 to {rules.MAX_LISTED}")
    return min(int(given), rules.MAX_LISTED)


def _bucket_etag(row: BucketRow) -> str:
    return states.etag(row.id, 1, "")


def _bucket_summary(row: BucketRow, namespace: str) -> wire.BucketSummary:
    return wire.BucketSummary(
        namespace=namespace,
        name=row.name,
        compartment_id=row.compartment_id,
        created_by=row.created_by,
        time_created=written(row.created_at),
        etag=_bucket_etag(row),
        freeform_tags=msgspec.json.decode(row.freeform_tags),
        defined_tags=msgspec.json.decode(row.defined_tags),
    )


def _object_summary(row: ObjectRow, fields: frozenset[str]) -> wire.ObjectSummary:
    at = written(row.created_at)
    return wire.ObjectSummary(
        row.name,
        row.size if "size" in fields else None,
        row.content_md5 if "md5" in fields else None,
        at if "timecreated" in fields else None,
        row.etag if "etag" in fields else None,
        "Standard" if "storagetier" in fields else None,
        None,
        at if "timemodified" in fields else None,
    )


def _object_headers(row: ObjectRow) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", row.content_type.encode()),
        (b"content-md5", row.content_md5.encode()),
        (b"storage-tier", b"Standard"),
        _NO_PAGE,
        _last_modified(row),
    ]


def _last_modified(row: ObjectRow) -> tuple[bytes, bytes]:
    return b"last-modified", formatdate(row.created_at, usegmt=True).encode()
