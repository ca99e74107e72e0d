"""Every operation in the table of the embedded OCI, one after the other: what it declares, and whom it answers."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from claviger.core.clock import ManualClock
from claviger.core.sensitive import Sensitive
from claviger.crypto.api_keys import new_api_key
from claviger.crypto.root_key import EnvironmentKeys
from claviger.ocikms.assembly import Choices, Ground, Ocikms
from claviger.ocikms.calls import Plane, Route, Verb
from claviger.ocikms.identity import administration, people
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store
from claviger.store.opening import open_store
from tests.oci_requests import OciClient, Signing, code_of

START = 1_800_000_000.0
REGION = "us-ashburn-1"
HOSTS = {
    Plane.CONTROL: f"kms.{REGION}.localhost",
    Plane.SECRETS: f"vaults.{REGION}.oci.localhost",
    Plane.BUNDLES: f"secrets.vaults.{REGION}.oci.localhost",
    Plane.IDENTITY: f"identity.{REGION}.oci.localhost",
    Plane.STORAGE: f"objectstorage.{REGION}.localhost",
}
SHARED = {"ListRegions"}
"""What everybody is told the same."""
OF_THE_VAULT = {"GetWrappingKey", "RestoreKeyFromFile"}
"""What names nothing but the vault, by its host."""
NEVER_THERE = {"GetReplicationStatus", "GetPreauthenticatedRequest"}
"""Reads of things that the owner has none of."""
NOT_OFFERED = {501}
HIDDEN = {400, 403, 404}
CODES = {"NotAuthorizedOrNotFound", "RelatedResourceNotAuthorizedOrNotFound", "NamespaceNotFound"}
"""What somebody is told from whom a thing is hidden."""


@functools.cache
def api_key_of(name: str) -> tuple[Sensitive, str]:
    return new_api_key()


class Tenant:
    """A user who may manage all of his tenancy, and one of each thing in it."""

    def __init__(self, oci: Ocikms, store: Store, clock: ManualClock, name: str) -> None:
        self._oci = oci
        self._store = store
        self._clock = clock
        self.name = name
        self.ids: dict[str, str] = {}
        self.prefix = ""

    async def settle(self) -> None:
        """Makes it all, by requests as soon as there is somebody to sign them."""
        store, clock, name = self._store, self._clock, self.name
        settled = await administration.create_tenancy(store, clock, name=name, home_region=REGION)
        person = await people.create_user(store, clock, name=name, tenancy=name)
        private, public = api_key_of(name)
        _, key = await people.add_api_key(store, clock, name, public, name)
        await people.grant(store, name, "manage", "/", name)
        made = await administration.create_compartment(store, clock, name="all", parent="/", tenancy=name)
        space = await administration.create_tag_namespace(store, clock, name="space", compartment="/", tenancy=name)
        signing = Signing(settled.tenancy.id, person.user.id, key.fingerprint, private.reveal(), clock)
        self.client = OciClient(self._oci.app, signing)
        self.ids |= {
            "tenancyId": settled.tenancy.id,
            "compartmentId": made.compartment.id,
            "userId": person.user.id,
            "tagNamespaceId": space.namespace.id,
            "namespaceName": settled.tenancy.namespace,
            "bucketName": "bucket",
            "objectName": "object",
            "fingerprint": key.fingerprint,
            "replicationId": "replication",
            "parId": "address",
            "secret": "guessed",
            "secretVersionNumber": "1",
        }
        vault = await self.done("POST", Plane.CONTROL, "/20180608/vaults", {"vaultType": "VIRTUAL_PRIVATE"})
        self.ids["vaultId"], self.prefix = vault["id"], str(vault["id"]).split(".")[4]
        shape = {"algorithm": "AES", "length": 32}
        made_key = await self.done("POST", Plane.MANAGEMENT, "/20180608/keys", {"keyShape": shape})
        self.ids |= {"keyId": made_key["id"], "keyVersionId": made_key["currentKeyVersion"]}
        content = {"contentType": "BASE64", "content": base64.b64encode(b"value").decode()}
        asked = {"secretName": "one", "secretContent": content, "vaultId": vault["id"], "keyId": made_key["id"]}
        self.ids["secretId"] = (await self.done("POST", Plane.SECRETS, "/20180608/secrets", asked))["id"]
        buckets = f"/n/{settled.tenancy.namespace}/b"
        await self.done("POST", Plane.STORAGE, buckets, {"name": "bucket"})
        target = f"{buckets}/bucket/o/object"
        assert (await self.client.ask("PUT", self.host(Plane.STORAGE), target, b"content")).status_code == 200

    async def done(self, method: str, plane: Plane, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request that must succeed."""
        given = {"compartmentId": self.ids["compartmentId"], "displayName": "one", **body}
        answer = await self.client.ask(method, self.host(plane), path, given)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def host(self, plane: Plane) -> str:
        """The host of a plane: of this tenant's own vault, where vaults have hosts."""
        if plane in (Plane.MANAGEMENT, Plane.CRYPTO):
            return f"{self.prefix}-{plane.value}.kms.{REGION}.localhost"
        return HOSTS[plane]

    def path(self, route: Route) -> str:
        """The path of an operation on this tenant's things."""
        parts = route.path.split("/")
        return "/".join(quote(self.ids[part.strip("{+}")], safe="") if part[:1] == "{" else part for part in parts)

    def query(self) -> str:
        """Everything that any operation wants to know in its query."""
        ids = self.ids
        told = {name: ids[name] for name in ("compartmentId", "vaultId", "namespaceName")}
        return urlencode({**told, "secretName": "one"})

    def body(self, route: Route) -> bytes | None:
        """Everything that any operation wants in its body."""
        if route.body == "file":
            return b"content"
        content = {"contentType": "BASE64", "content": base64.b64encode(b"other").decode()}
        told = {
            **{name: self.ids[name] for name in ("compartmentId", "vaultId", "keyId", "keyVersionId")},
            "displayName": "taken over",
            "name": "taken-over",
            "secretName": "taken-over",
            "description": "taken over",
            "secretContent": content,
            "vaultType": "DEFAULT",
            "keyShape": {"algorithm": "AES", "length": 32},
            "wrappedImportKey": {"keyMaterial": "AAAA", "wrappingAlgorithm": "RSA_OAEP_SHA256"},
            "plaintext": "AAAA",
            "ciphertext": "AAAA",
            "includePlaintextKey": True,
            "message": "AAAA",
            "messageType": "RAW",
            "signature": "AAAA",
            "signingAlgorithm": "SHA_256_RSA_PKCS_PSS",
            "algorithm": "RSA_OAEP_SHA256",
            "publicKey": api_key_of("stranger")[1],
            "replicaRegion": "eu-frankfurt-1",
            "accessType": "ObjectRead",
            "timeExpires": "2030-01-01T00:00:00Z",
            "backupLocation": {"destination": "BUCKET", **_bucket_of(self.ids)},
        }
        return json.dumps(told).encode() if route.body == "json" else None


def _bucket_of(ids: dict[str, str]) -> dict[str, str]:
    return {"namespace": ids["namespaceName"], "bucketName": "bucket", "objectName": "object"}


class Desk:
    """The whole embedded OCI on one database, with two tenancies that have nothing to do with one another."""

    def __init__(self, store: Store, oci: Ocikms, owner: Tenant, stranger: Tenant) -> None:
        self.store = store
        self.oci = oci
        self.owner = owner
        self.stranger = stranger

    @property
    def routes(self) -> Sequence[Route]:
        """All of them."""
        return self.oci.routing.routes

    async def ask(self, client: OciClient, route: Route, host: str) -> httpx.Response:
        """An operation on the owner's things, asked for by whomever."""
        owner = self.owner
        return await client.ask(route.method, host, f"{owner.path(route)}?{owner.query()}", owner.body(route))

    async def stored(self) -> dict[str, list[str]]:
        """All rows that are OCI's, but those of the stranger's own things."""
        tables = [row[0] for row in await self.store.read(TABLES[self.store.kind])]
        found = {}
        for table in sorted(str(name) for name in tables):
            rows = await self.store.read(f"SELECT * FROM {table}")
            found[table] = sorted(repr(tuple(row)) for row in rows)
        return found


TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'oci_%'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE tablename LIKE 'oci_%' AND schemaname = current_schema()",
}


@asynccontextmanager
async def open_desk(url: str) -> AsyncIterator[Desk]:
    clock = ManualClock(START)
    store = await open_store(url, clock)
    keyring = Keyring(store, EnvironmentKeys(Sensitive("A" * 43 + "=")), clock)
    await keyring.load()
    oci = Ocikms(Ground(store, keyring, clock, clock), Choices(), lambda *_: None)
    try:
        owner, stranger = Tenant(oci, store, clock, "acme"), Tenant(oci, store, clock, "evil")
        await owner.settle()
        await stranger.settle()
        yield Desk(store, oci, owner, stranger)
    finally:
        await oci.stop()
        await store.close()


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database_url) as made:
        yield made


async def test_every_operation_says_what_it_needs(sqlite_url: str) -> None:
    async with open_desk(sqlite_url) as desk:
        assert len(desk.routes) > 50
        for route in desk.routes:
            assert route.planes, route.operation
            assert isinstance(route.verb, Verb)
            assert route.subject_kind, route.operation
            assert (route.kind == "change") or route.method in ("GET", "HEAD", "POST"), route.operation
            assert route.body == "none" or route.method in ("POST", "PUT"), route.operation
            assert not (route.takes_retry_token and route.method != "POST"), route.operation
            assert route.quick is None or (route.method in ("GET", "POST") and route.kind == "read"), route.operation
            assert route.is_public == route.path.startswith("/p/"), route.operation
            assert route.is_body_signed or (route.method, route.planes) == ("PUT", (Plane.STORAGE,)) or route.is_public
        public = [route for route in desk.routes if route.is_public]
        names = [route.operation for route in desk.routes if not route.is_public]
        assert len(names) == len(set(names))
        assert {route.planes for route in public} == {(Plane.STORAGE,)}


async def test_its_owner_is_answered_every_read(sqlite_url: str) -> None:
    async with open_desk(sqlite_url) as desk:
        reads = [route for route in desk.routes if route.method in ("GET", "HEAD") and not route.is_public]
        for route in reads:
            answer = await desk.ask(desk.owner.client, route, desk.owner.host(route.planes[0]))
            expected = 404 if route.operation in NEVER_THERE else 200
            assert answer.status_code == expected, (route.operation, answer.text)


async def test_no_operation_answers_what_nobody_has_signed(desk: Desk) -> None:
    nobody = OciClient(desk.oci.app, None)
    before = await desk.stored()
    for route in desk.routes:
        answer = await desk.ask(nobody, route, desk.owner.host(route.planes[0]))
        if route.is_public:
            assert answer.status_code in (401, 404), route.operation
        elif route.method == "HEAD":
            assert answer.status_code == 401, route.operation
        else:
            assert code_of(answer) == (401, "NotAuthenticated"), route.operation
    assert await desk.stored() == before


@pytest.mark.parametrize("at_own_host", [True, False], ids=["at-his-own-vault", "at-the-vault-of-the-other"])
async def test_no_operation_tells_a_stranger_anything(desk: Desk, at_own_host: bool) -> None:
    stranger = desk.stranger
    before = await desk.stored()
    for route in desk.routes:
        if route.operation in SHARED or (at_own_host and route.operation in OF_THE_VAULT):
            continue
        host = (stranger if at_own_host else desk.owner).host(route.planes[0])
        answer = await desk.ask(stranger.client, route, host)
        if answer.status_code in NOT_OFFERED:
            continue
        told = f"{route.operation}: {answer.status_code} {answer.text[:200]}"
        assert answer.status_code in (HIDDEN | {401} if route.is_public else HIDDEN), told
        if route.method != "HEAD" and not route.is_public:
            assert answer.json()["code"] in CODES, told

    assert await desk.stored() == before
