"""Buckets and objects of the embedded OCI on real databases, and the addresses that open them without a signature."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from hashlib import md5
from typing import Any

import pytest

from claviger.core.errors import Refusal, Unauthenticated
from claviger.ocikms import errors
from claviger.ocikms.calls import NOBODY, Answer, Plane, Verb
from claviger.ocikms.storage import rules
from claviger.ocikms.storage.addresses import Addresses
from claviger.ocikms.storage.operations import Storage
from claviger.ocikms.storage.routes import StorageRoutes
from tests.ocikms import Desk, Rights, open_desk

BUCKET = "backups"


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    """A desk with Object Storage alone, and a bucket."""
    async with open_desk(database_url) as found:
        storage = Storage(found.store)
        for route in StorageRoutes(storage, Addresses(found.store, storage)).routes():
            found.routes[f"{route.operation}ByAddress" if route.is_public else route.operation] = route
        await make(found, BUCKET)
        yield found


async def make(desk: Desk, name: str, **more: Any) -> Any:
    """A new bucket."""
    body = {"name": name, "compartmentId": desk.production, **more}
    return (await asked(desk, "CreateBucket", desk.tenancy_id, body=body)).body


async def asked(desk: Desk, operation: str, *path: str, **given: Any) -> Answer:
    """The answer of an operation."""
    made = desk.call(operation, *path, **given)
    return await made.route.handler(made)


async def refused(desk: Desk, operation: str, *path: str, **given: Any) -> tuple[int, str]:
    """Status and code of a refusal."""
    with pytest.raises(Refusal) as caught:
        await asked(desk, operation, *path, **given)
    return errors.told(caught.value)[:2]


async def put(desk: Desk, name: str, content: bytes = b"content", **given: Any) -> Answer:
    """Stores an object in the bucket."""
    return await asked(desk, "PutObject", desk.tenancy_id, BUCKET, name, body=content, **given)


async def names(desk: Desk, **query: Any) -> tuple[list[str], list[str], str | None]:
    """The names that a list of objects gives, its prefixes, and where it goes on."""
    told: Any = (await asked(desk, "ListObjects", desk.tenancy_id, BUCKET, query=query)).body
    return [each.name for each in told.objects], told.prefixes, told.next_start_with


async def test_a_bucket_is_made_found_listed_and_removed(desk: Desk) -> None:
    """Its name is one of a region's, whoever asks; only an empty one goes."""
    assert (await asked(desk, "GetNamespace")).body == desk.tenancy_id
    made: Any = (await asked(desk, "GetBucket", desk.tenancy_id, BUCKET)).body
    assert (made.name, made.compartment_id, made.created_by) == (BUCKET, desk.production, desk.caller.user_id)
    assert (await asked(desk, "HeadBucket", desk.tenancy_id, BUCKET)).etag == made.etag
    assert await refused(
        desk, "CreateBucket", desk.tenancy_id, body={"name": BUCKET, "compartmentId": desk.staging}
    ) == (409, "BucketAlreadyExists")
    await put(desk, "a")
    counted: Any = (
        await asked(desk, "GetBucket", desk.tenancy_id, BUCKET, query={"fields": "approximateCount,approximateSize"})
    ).body
    assert (counted.approximate_count, counted.approximate_size) == (1, 7)
    assert await refused(desk, "DeleteBucket", desk.tenancy_id, BUCKET) == (409, "BucketNotEmpty")
    await asked(desk, "DeleteObject", desk.tenancy_id, BUCKET, "a")
    assert (await asked(desk, "DeleteBucket", desk.tenancy_id, BUCKET)).status == 204
    assert await refused(desk, "GetBucket", desk.tenancy_id, BUCKET) == (404, "BucketNotFound")


async def test_buckets_are_listed_by_name_in_pages(desk: Desk) -> None:
    """A bare array, of the compartment and the region that was asked."""
    for name in ("b", "a", "c"):
        await make(desk, name)
    found: list[str] = []
    query: dict[str, object] = {"compartmentId": desk.production, "limit": 3}
    while True:
        answer = await asked(desk, "ListBuckets", desk.tenancy_id, query=query)
        body: Any = answer.body
        found += [each.name for each in body]
        if answer.next_page is None:
            break
        query["page"] = answer.next_page
    assert found == ["a", "b", BUCKET, "c"]
    elsewhere = desk.place(Plane.STORAGE, region="eu-frankfurt-1")
    assert (await asked(desk, "ListBuckets", desk.tenancy_id, query=query, place=elsewhere)).body == []


_NOT_OFFERED: list[dict[str, Any]] = [
    {"name": "a/b"},
    {"name": ""},
    {"name": "x" * 256},
    {"publicAccessType": "ObjectRead"},
    {"versioning": "Enabled"},
    {"kmsKeyId": "ocid1.key.oc1.iad.x.y"},
    {"metadata": {"a": "b"}},
    {"compartmentId": "ocid1.compartment.oc1..absent"},
    {"freeformTags": {"": "x"}},
]


async def test_a_bucket_of_another_kind_is_refused(desk: Desk) -> None:
    """What is not offered is said, and nothing is made."""
    for wrong in _NOT_OFFERED:
        body = {"name": "other", "compartmentId": desk.production, **wrong}
        assert (await refused(desk, "CreateBucket", desk.tenancy_id, body=body))[0] == 400
    listed = await asked(desk, "ListBuckets", desk.tenancy_id, query={"compartmentId": desk.production})
    assert [each.name for each in listed.body] == [BUCKET]  # type: ignore[attr-defined]


async def test_an_object_comes_back_as_it_was_given(desk: Desk) -> None:
    """Names with slashes, any bytes; the last one put is the one that is there."""
    content = bytes(range(256))
    digest = base64.b64encode(md5(content).digest()).decode()
    made = await put(desk, "a/b c/ü", content, content_md5=digest, content_type="image/png")
    found = await asked(desk, "GetObject", desk.tenancy_id, BUCKET, "a/b c/ü")
    assert (found.body, found.etag) == (content, made.etag)
    head = await asked(desk, "HeadObject", desk.tenancy_id, BUCKET, "a/b c/ü")
    told = dict(head.headers)
    assert (told[b"content-length"], told[b"content-type"], told[b"content-md5"]) == (
        b"256",
        b"image/png",
        digest.encode(),
    )
    assert head.body is None
    assert dict(found.headers)[b"content-security-policy"].startswith(b"sandbox;")
    await put(desk, "a/b c/ü", b"")
    again = await asked(desk, "GetObject", desk.tenancy_id, BUCKET, "a/b c/ü")
    assert again.body == b""
    assert again.etag != made.etag
    assert await refused(desk, "GetObject", desk.tenancy_id, BUCKET, "a") == (404, "ObjectNotFound")


async def test_conditions_of_an_object(desk: Desk) -> None:
    """If-Match and If-None-Match, on writing and on reading."""
    made = await put(desk, "a")
    assert await refused(desk, "PutObject", desk.tenancy_id, BUCKET, "a", body=b"x", if_none_match="*") == (
        412,
        "IfNoneMatchFailed",
    )
    assert await refused(desk, "PutObject", desk.tenancy_id, BUCKET, "a", body=b"x", if_match="other") == (
        412,
        "IfMatchFailed",
    )
    assert await refused(desk, "DeleteObject", desk.tenancy_id, BUCKET, "a", if_match="other") == (412, "IfMatchFailed")
    await put(desk, "a", b"new", if_match=made.etag)
    assert (await asked(desk, "GetObject", desk.tenancy_id, BUCKET, "a")).body == b"new"


_NOT_FITTING = ["", "xxx", base64.b64encode(md5(b"other").digest()).decode(), "=" * 100, "ü"]


async def test_a_wrong_md5_stores_nothing(desk: Desk) -> None:
    """Whatever it is that does not fit."""
    for given in _NOT_FITTING:
        refusal = await refused(desk, "PutObject", desk.tenancy_id, BUCKET, "a", body=b"x", content_md5=given)
        assert refusal == (400, "UnmatchedContentMD5")
    assert await names(desk) == ([], [], None)


async def test_objects_are_listed_by_prefix_and_delimiter_in_pages(desk: Desk) -> None:
    """As the SDK's paging has it: `start` takes `nextStartWith`."""
    for name in ("b/2", "a", "b/1", "b/c/1", "c"):
        await put(desk, name)
    assert await names(desk) == (["a", "b/1", "b/2", "b/c/1", "c"], [], None)
    assert await names(desk, delimiter="/") == (["a", "c"], ["b/"], None)
    assert await names(desk, delimiter="/", prefix="b/") == (["b/1", "b/2"], ["b/c/"], None)
    assert await names(desk, limit=2) == (["a", "b/1"], [], "b/2")
    assert await names(desk, limit=2, start="b/2") == (["b/2", "b/c/1"], [], "c")
    assert await names(desk, startAfter="b/c/1") == (["c"], [], None)
    assert await names(desk, end="b/2") == (["a", "b/1"], [], None)
    told: Any = (await asked(desk, "ListObjects", desk.tenancy_id, BUCKET, query={"fields": "name,size,md5"})).body
    assert told.objects[0].size == 7
    assert told.objects[0].md5
    assert told.objects[0].etag is None
    for query in ({"fields": "colour"}, {"delimiter": "x"}, {"limit": "0"}, {"limit": "x"}):
        assert (await refused(desk, "ListObjects", desk.tenancy_id, BUCKET, query=query))[0] == 400


async def test_what_the_caller_may_not_see_is_not_there(desk: Desk) -> None:
    """Another namespace, another compartment, too few rights: all the same."""
    await put(desk, "a")
    other = "other-namespace"
    assert await refused(desk, "GetBucket", other, BUCKET) == (404, "NamespaceNotFound")
    desk.rights = Rights({desk.production: Verb.READ})
    assert (await asked(desk, "GetObject", desk.tenancy_id, BUCKET, "a")).body == b"content"
    absent = (404, "BucketNotFound")
    assert await refused(desk, "PutObject", desk.tenancy_id, BUCKET, "a", body=b"x") == absent
    assert await refused(desk, "DeleteObject", desk.tenancy_id, BUCKET, "a") == absent
    assert await refused(desk, "DeleteBucket", desk.tenancy_id, BUCKET) == absent
    desk.rights = Rights({desk.production: Verb.INSPECT})
    assert await refused(desk, "GetObject", desk.tenancy_id, BUCKET, "a") == absent
    assert await names(desk) == (["a"], [], None)
    desk.rights = Rights({})
    assert await refused(desk, "ListObjects", desk.tenancy_id, BUCKET) == absent
    assert await refused(desk, "ListBuckets", desk.tenancy_id, query={"compartmentId": desk.production}) == (
        404,
        "NamespaceNotFound",
    )


async def test_a_bucket_holds_so_much_and_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects, bytes and buckets have limits; replacing one takes no more room."""
    monkeypatch.setattr(rules, "MAX_OBJECTS", 2)
    monkeypatch.setattr(rules, "MAX_BUCKET_BYTES", 20)
    monkeypatch.setattr(rules, "MAX_BUCKETS", 1)
    await put(desk, "a")
    await put(desk, "b")
    full = (400, "LimitExceeded")
    assert await refused(desk, "PutObject", desk.tenancy_id, BUCKET, "c", body=b"") == full
    await put(desk, "a", b"0123456789abc")
    assert await refused(desk, "PutObject", desk.tenancy_id, BUCKET, "a", body=b"0123456789abcd") == full
    body = {"name": "second", "compartmentId": desk.production}
    assert await refused(desk, "CreateBucket", desk.tenancy_id, body=body) == full


# Addresses.


async def address(desk: Desk, access_type: str, object_name: str | None = "a", lasts_s: int = 3600) -> tuple[str, str]:
    """The id and the secret of a new pre-authenticated request."""
    body = {
        "name": "for the night",
        "accessType": access_type,
        "objectName": object_name,
        "timeExpires": f"2027-01-15T{8 + lasts_s // 3600:02d}:00:00Z",
    }
    answer = await asked(desk, "CreatePreauthenticatedRequest", desk.tenancy_id, BUCKET, body=body)
    told: Any = answer.body
    parts = told.access_uri.split("/")
    assert parts[1] == "p"
    assert parts[3:7] == ["n", desk.tenancy_id, "b", BUCKET]
    assert told.full_path.endswith(told.access_uri)
    assert told.full_path.startswith("https://kms.test/p/")
    return told.id, parts[2]


async def by_address(desk: Desk, method: str, secret: str, name: str = "a", **given: Any) -> Answer:
    """What a stranger gets who has an address."""
    stranger = {"caller": NOBODY, "sight": Rights({})}
    path = (secret, given.pop("namespace", desk.tenancy_id), given.pop("bucket", BUCKET), name)
    return await asked(desk, f"{method}ObjectByAddress", *path, **stranger, **given)


async def test_an_address_reads_what_it_is_for(desk: Desk) -> None:
    """And nothing else, and not for writing, and not when its time is over or it was taken back."""
    await put(desk, "a")
    await put(desk, "b")
    ident, secret = await address(desk, "ObjectRead")
    assert (await by_address(desk, "Get", secret)).body == b"content"
    assert (await by_address(desk, "Head", secret)).etag
    for attempt in (
        by_address(desk, "Get", secret, "b"),
        by_address(desk, "Get", secret[:-1] + ("A" if secret[-1] != "A" else "B")),
        by_address(desk, "Get", "x" * 300),
        by_address(desk, "Get", secret, namespace="other"),
        by_address(desk, "Get", secret, bucket="other"),
        by_address(desk, "Get", secret, place=desk.place(Plane.STORAGE, region="eu-frankfurt-1")),
        by_address(desk, "Put", secret, body=b"x"),
    ):
        with pytest.raises(Unauthenticated):
            await attempt
    desk.clock.advance(3600)
    with pytest.raises(Unauthenticated):
        await by_address(desk, "Get", secret)
    desk.clock.advance(-1)
    assert (await by_address(desk, "Get", secret)).body == b"content"
    assert (await asked(desk, "DeletePreauthenticatedRequest", desk.tenancy_id, BUCKET, ident)).status == 204
    with pytest.raises(Unauthenticated):
        await by_address(desk, "Get", secret)


async def test_an_address_writes_where_it_may(desk: Desk) -> None:
    """One object, or any under a prefix; reading back is another right."""
    _, secret = await address(desk, "ObjectWrite")
    await by_address(desk, "Put", secret, body=b"written")
    assert (await asked(desk, "GetObject", desk.tenancy_id, BUCKET, "a")).body == b"written"
    with pytest.raises(Unauthenticated):
        await by_address(desk, "Get", secret)
    _, secret = await address(desk, "AnyObjectReadWrite", "logs/")
    await by_address(desk, "Put", secret, "logs/1", body=b"log")
    assert (await by_address(desk, "Get", secret, "logs/1")).body == b"log"
    with pytest.raises(Unauthenticated):
        await by_address(desk, "Put", secret, "other", body=b"log")
    _, secret = await address(desk, "AnyObjectRead", None)
    assert (await by_address(desk, "Get", secret, "a")).body == b"written"


async def test_the_secret_part_is_told_once_and_stored_as_a_hash(desk: Desk) -> None:
    """Neither lists nor the database give it."""
    ident, secret = await address(desk, "ObjectRead")
    listed: Any = (await asked(desk, "ListPreauthenticatedRequests", desk.tenancy_id, BUCKET)).body
    assert [each.id for each in listed] == [ident]
    assert not hasattr(listed[0], "access_uri")
    one: Any = (await asked(desk, "GetPreauthenticatedRequest", desk.tenancy_id, BUCKET, ident)).body
    assert one.object_name == "a"
    assert one.name == "for the night"
    rows = await desk.store.read("SELECT * FROM oci_preauthenticated")
    assert secret not in str(rows)
    assert await refused(desk, "GetPreauthenticatedRequest", desk.tenancy_id, BUCKET, "absent") == (
        404,
        "NotAuthorizedOrNotFound",
    )
    await asked(desk, "DeleteBucket", desk.tenancy_id, BUCKET)
    assert await desk.store.read("SELECT * FROM oci_preauthenticated") == []


_SENSELESS: list[dict[str, Any]] = [
    {"accessType": "Everything"},
    {"objectName": None},
    {"timeExpires": "2020-01-01T00:00:00Z"},
    {"timeExpires": "soon"},
    {"name": ""},
    {"bucketListingAction": "ListObjects"},
    {"objectName": "x" * 2000},
]


async def test_an_address_that_makes_no_sense_is_refused(desk: Desk) -> None:
    """400, and none is made."""
    good = {"name": "x", "accessType": "ObjectRead", "objectName": "a", "timeExpires": "2030-01-01T00:00:00Z"}
    place = (desk.tenancy_id, BUCKET)
    for wrong in _SENSELESS:
        assert (await refused(desk, "CreatePreauthenticatedRequest", *place, body={**good, **wrong}))[0] == 400
    assert await desk.store.read("SELECT * FROM oci_preauthenticated") == []
