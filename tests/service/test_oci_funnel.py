"""The funnel of the embedded OCI around a few operations: who is calling, what is asked, and what is recorded."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from claviger.audit.entry import NOTHING, Subject
from claviger.audit.log import AuditLog
from claviger.audit.trail import AuditedStore, about, telling
from claviger.core.clock import ManualClock
from claviger.core.errors import Damaged, Invalid
from claviger.core.sensitive import Sensitive
from claviger.crypto.api_keys import new_api_key
from claviger.ocikms.app import OciApp
from claviger.ocikms.calls import MAX_JSON_BYTES, Answer, Call, Plane, Route, Told, Verb
from claviger.ocikms.errors import NOT_AUTHENTICATED, absent
from claviger.ocikms.hosts import OciHosts
from claviger.ocikms.identity import administration, people
from claviger.ocikms.identity.snapshot import Identities
from claviger.ocikms.journal import OciJournal
from claviger.ocikms.routing import Routing
from claviger.server.front import Front
from claviger.server.metrics import Metrics
from claviger.store.contract import Store
from claviger.store.opening import open_store
from claviger.switches.board import Switches
from claviger.switches.clock import MovableClock
from claviger.switches.faults import Fault
from claviger.switches.throttle import Limits
from tests.oci_requests import OciClient, Signing, code_of

START = 1_800_000_000.0
HOME, OTHER = "us-ashburn-1", "eu-frankfurt-1"
CONTROL = f"kms.{HOME}.localhost"
CRYPTO = f"abcdefghijklm-crypto.kms.{HOME}.localhost"
VAULTS = "/20180608/vaults"
VAULT = "ocid1.vault.oc1.iad.abcdefghijklm.x"


@functools.cache
def api_key_of(name: str) -> tuple[Sensitive, str]:
    """One pair for each user of these tests; making one is slow."""
    return new_api_key()


class Shown(msgspec.Struct, rename="camel"):
    """What the operations of these tests answer."""

    vault_id: str
    said: Any
    region: str
    retry_token: str | None = None


class Desk:
    """One process's view of a database: the funnel in its front, with a caller who may manage his whole tenancy."""

    def __init__(self, store: Store, machine: ManualClock, switches: Switches | None, *, is_strict: bool) -> None:
        self.plain = store
        self.machine = machine
        self.log = AuditLog(store)
        self.store = AuditedStore(store, self.log)
        self.counted: list[tuple[str, int]] = []
        clock = switches.clock if switches else machine
        self.app = OciApp(
            Identities(self.store),
            OciHosts([9001]),
            Routing(self.routes()),
            clock,
            machine,
            lambda operation, status: self.counted.append((operation, status)),
            switches,
            OciJournal(self.log, clock, machine, is_strict=is_strict),
        )
        self.front = Front(lambda *_: self.app, metrics=Metrics(), clock=machine, version="", services={})
        self.front.state = "ready"

    def routes(self) -> list[Route]:
        made: dict[str, Any] = {"planes": (Plane.CONTROL,), "subject_kind": "vault", "verb": Verb.READ}
        one = f"{VAULTS}/{{vaultId}}"
        return [
            Route(
                operation="GetVault", method="GET", path=one, kind="read", handler=self.get, quick=self.get_now, **made
            ),
            Route(operation="ListVaults", method="GET", path=VAULTS, kind="list", handler=self.tell, **made),
            Route(
                operation="CreateVault",
                method="POST",
                path=VAULTS,
                kind="change",
                body="json",
                handler=self.create,
                takes_retry_token=True,
                **made,
            ),
            Route(
                operation="CancelVaultDeletion",
                method="POST",
                path=f"{one}/actions/cancelDeletion",
                kind="change",
                handler=self.create,
                provisions=True,
                **made,
            ),
            Route(
                operation="Encrypt",
                method="POST",
                path="/20180608/encrypt",
                kind="read",
                body="json",
                handler=self.tell,
                quick=self.tell_now,
                **{**made, "planes": (Plane.CRYPTO,)},
            ),
            Route(
                operation="GetObject",
                method="GET",
                path="/p/{secret}",
                kind="read",
                handler=self.file,
                is_public=True,
                **made,
            ),
        ]

    def get_now(self, call: Call) -> Told:
        vault_id = call.path["vaultId"]
        call.require(Verb.READ, call.query.get("in", call.caller.tenancy_id), "Vault")
        if vault_id == "damaged":
            raise Damaged("Material")
        if vault_id == "broken":
            raise KeyError("the canary s3cr3t")
        if vault_id == "unspeakable":
            return Told(Answer(body=object()), NOTHING)
        about("vault", vault_id, "shown", "compartment")
        subject = Subject(kind="vault", id=vault_id, name="shown", container="compartment")
        return Told(Answer(body=Shown(vault_id, None, call.place.region), etag="e7ag"), subject)

    async def get(self, call: Call) -> Answer:
        return self.get_now(call).answer

    def tell_now(self, call: Call) -> Told:
        return Told(Answer(body=[call.query, call.place.prefix], next_page="more", limit=10), NOTHING, {"said": "so"})

    async def tell(self, call: Call) -> Answer:
        if call.route.operation == "Encrypt":
            telling(said="so")
        return Answer(body=[call.query, call.place.prefix], next_page="more", limit=10)

    async def create(self, call: Call) -> Answer:
        said = call.body.decode()
        if said == '"refused"':
            raise Invalid("Value", message="displayName is wrong")
        about("vault", VAULT)
        await self.store.write(lambda tx: tx.execute("UPDATE meta SET value = value WHERE key = ?", "nothing"))
        return Answer(body=Shown(VAULT, said, call.place.region, call.retry_token))

    async def file(self, call: Call) -> Answer:
        if call.path["secret"] != "known":
            raise absent("Object")
        return Answer(body=b"\x00content", headers=[(b"content-type", b"text/plain")])

    async def signing(self, name: str, tenancy: str = "acme", *, verb: str | None = "manage") -> Signing:
        """A user with a key of his own; of a tenancy that is made where it is not there."""
        if tenancy not in [settled.tenancy.name for settled in await administration.list_tenancies(self.plain)]:
            await administration.create_tenancy(self.plain, self.machine, name=tenancy, home_region=HOME)
        person = await people.create_user(self.plain, self.machine, name=name, tenancy=tenancy)
        private, public = api_key_of(name)
        _, key = await people.add_api_key(self.plain, self.machine, name, public, tenancy)
        if verb is not None:
            await people.grant(self.plain, name, verb, "/", tenancy)
        return Signing(person.tenancy.id, person.user.id, key.fingerprint, private.reveal(), self.machine)

    def client(self, signing: Signing | None) -> OciClient:
        return OciClient(self.front, signing)

    async def records(self) -> list[tuple[Any, ...]]:
        """Action, outcome, status, object and user of all that the log has of OCI, oldest first."""
        await self.log.flush()
        rows = await self.plain.read("SELECT body FROM audit_records ORDER BY seq")
        found = [msgspec.json.decode(bytes(row[0])) for row in rows]
        return [
            (each["action"], each["outcome"], each["status"], each["object"]["id"], each["actor"]["username"])
            for each in found
            if each["origin"] == "ocikms"
        ]


@asynccontextmanager
async def open_desk(url: str, *, switched: bool = False, is_strict: bool = False) -> AsyncIterator[Desk]:
    machine = ManualClock(START)
    store = await open_store(url, machine)
    desk = Desk(store, machine, Switches(MovableClock(machine)) if switched else None, is_strict=is_strict)
    writing = asyncio.create_task(desk.log.run())
    await asyncio.sleep(0)
    try:
        yield desk
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await store.close()


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database_url) as made:
        yield made


async def test_a_signed_call_is_answered_with_the_headers_of_oci(desk: Desk) -> None:
    client = desk.client(await desk.signing("alice"))
    answer = await client.ask("GET", CONTROL, f"{VAULTS}/{VAULT}", headers={"opc-request-id": "A1B2"})
    assert (answer.status_code, answer.json()["vaultId"]) == (200, VAULT)
    assert re.fullmatch("A1B2/[0-9A-F]{32}/[0-9A-F]{32}", answer.headers["opc-request-id"])
    assert answer.headers["etag"] == "e7ag"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-cache, no-store, no-transform, must-revalidate"
    assert answer.headers["date"].endswith("GMT")
    listed = await client.ask("GET", CONTROL, f"{VAULTS}?compartmentId=a%2Fb&a=1&a=2&e=")
    assert listed.json() == [{"compartmentId": "a/b", "a": "1", "e": ""}, None]
    assert (listed.headers["opc-next-page"], listed.headers["opc-limit"]) == ("more", "10")
    assert "etag" not in listed.headers


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "ä", "a\tb"])
async def test_a_request_id_that_cannot_be_used_is_replaced(sqlite_url: str, given: str) -> None:
    async with open_desk(sqlite_url) as desk:
        client = desk.client(await desk.signing("alice"))
        answer = await client.ask("GET", CONTROL, VAULTS, headers={"opc-request-id": given.encode("latin-1")})  # type: ignore[dict-item]
        assert re.fullmatch("[0-9A-F]{32}(/[0-9A-F]{32}){2}", answer.headers["opc-request-id"])


async def test_the_crypto_plane_leaves_the_request_id_as_it_is(sqlite_url: str) -> None:
    async with open_desk(sqlite_url) as desk:
        client = desk.client(await desk.signing("alice"))
        answer = await client.ask("POST", CRYPTO, "/20180608/encrypt", {}, headers={"opc-request-id": "A1B2"})
        assert (answer.json(), answer.headers["opc-request-id"]) == ([{}, "abcdefghijklm"], "A1B2")
        refused = await client.ask("POST", CRYPTO, "/20180608/encrypt", b"no json", headers={"opc-request-id": "A1"})
        assert refused.headers["opc-request-id"] == "A1"


async def test_the_host_tells_plane_region_and_vault(sqlite_url: str) -> None:
    async with open_desk(sqlite_url) as desk:
        signing = await desk.signing("alice")
        client = desk.client(signing)
        get = f"{VAULTS}/{VAULT}"
        for host, region in ((CONTROL, HOME), ("127.0.0.1", HOME), ("kms.us-ashburn-1.oraclecloud.com", HOME)):
            assert (await client.ask("GET", host, get)).json()["region"] == region
        refused = [
            await client.ask("GET", CRYPTO, get),
            await client.ask("POST", CONTROL, "/20180608/encrypt", {}),
            await client.ask("POST", "127.0.0.1", "/20180608/encrypt", {}),
        ]
        assert [code_of(answer) for answer in refused] == [(404, "NotAuthorizedOrNotFound")] * 3
        own_port = OciClient(desk.front, signing, port=9001)
        assert (await own_port.ask("POST", "127.0.0.1", "/20180608/encrypt", {})).status_code == 200
        elsewhere = f"kms.{OTHER}.localhost"
        assert code_of(await client.ask("GET", elsewhere, get)) == (401, "NotAuthenticated")
        await administration.subscribe(desk.plain, desk.machine, "acme", OTHER)
        assert (await client.ask("GET", elsewhere, get)).json()["region"] == OTHER


async def test_nobody_is_let_through_without_a_good_signature(desk: Desk) -> None:
    alice = await desk.signing("alice")
    unsigned, client = desk.client(None), desk.client(alice)
    answers = [
        await unsigned.ask("GET", CONTROL, f"{VAULTS}/{VAULT}"),
        await unsigned.ask("GET", CONTROL, "/nothing/here"),
        await unsigned.ask("DELETE", CONTROL, VAULTS),
        await unsigned.ask("POST", CONTROL, VAULTS, b"no json"),
        await client.ask("GET", CONTROL, VAULTS, headers={"authorization": "Bearer x"}),
        await client.ask("POST", CONTROL, VAULTS, {"a": 1}, headers={"x-content-sha256": "AAAA"}),
    ]
    headers = alice.headers("GET", f"https://{CONTROL}:8443{VAULTS}")
    desk.machine.advance(301)
    answers.append(await unsigned.ask("GET", CONTROL, VAULTS, headers=headers))
    assert [code_of(answer) for answer in answers] == [(401, "NotAuthenticated")] * len(answers)
    assert {answer.json()["message"] for answer in answers} == {NOT_AUTHENTICATED}
    assert (await client.ask("GET", CONTROL, VAULTS)).status_code == 200


async def test_another_body_than_the_signed_one_does_nothing(desk: Desk) -> None:
    alice, unsigned = await desk.signing("alice"), desk.client(None)
    signed = b'{"displayName": "one"}'
    for target in (VAULTS, f"{VAULTS}/{VAULT}/actions/cancelDeletion", "/nothing"):
        headers = alice.headers("POST", f"https://{CONTROL}:8443{target}", signed)
        for sent in (signed.replace(b"one", b"two"), b"", signed + b" "):
            answer = await unsigned.ask("POST", CONTROL, target, sent, headers)
            assert code_of(answer) == (401, "NotAuthenticated")
    assert {record[1:3] for record in await desk.records()} == {("refused", 401)}


async def test_the_signature_comes_before_the_route_and_the_route_before_the_body(desk: Desk) -> None:
    client = desk.client(await desk.signing("alice"))
    asked: list[tuple[tuple[Any, ...], tuple[int, str]]] = [
        (("GET", "/nothing"), (404, "NotFound")),
        (("POST", "/nothing", b"no json"), (404, "NotFound")),
        (("DELETE", VAULTS), (405, "MethodNotAllowed")),
        (("PUT", VAULTS, b"no json"), (405, "MethodNotAllowed")),
        (("GET", f"{VAULTS}/%FF"), (404, "InvalidParameter")),
        (("GET", f"{VAULTS}?a=%00"), (400, "InvalidParameter")),
        (("GET", f"{VAULTS}?a=%FF"), (400, "InvalidParameter")),
        (("GET", VAULTS + "?" + "&".join(f"a{n}=1" for n in range(60))), (400, "InvalidParameter")),
        (("POST", f"{VAULTS}/{VAULT}/actions/cancelDeletion", b"no json"), (400, "CannotParseRequest")),
        (("POST", f"{VAULTS}/{VAULT}/actions/cancelDeletion", b"[]"), (400, "InvalidParameter")),
        (("POST", f"{VAULTS}/{VAULT}/actions/cancelDeletion", b"[" * 60_000), (400, "CannotParseRequest")),
        (("POST", VAULTS, b" " * (MAX_JSON_BYTES + 1)), (413, "PayloadTooLarge")),
        (("POST", VAULTS, b'"refused"'), (400, "InvalidParameter")),
        (("GET", f"{VAULTS}/damaged"), (500, "InternalServerError")),
    ]
    for (method, target, *body), expected in asked:
        answer = await client.ask(method, CONTROL, target, body[0] if body else None)
        assert code_of(answer) == expected, (method, target)
    allowed = await client.ask("DELETE", CONTROL, VAULTS)
    assert allowed.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("body", [None, b"", b" \n", b"{}", b"null", b'{"unknown": 1}'])
async def test_an_action_without_details_takes_an_empty_object_too(sqlite_url: str, body: bytes | None) -> None:
    async with open_desk(sqlite_url) as desk:
        client = desk.client(await desk.signing("alice"))
        answer = await client.ask("POST", CONTROL, f"{VAULTS}/{VAULT}/actions/cancelDeletion", body)
        assert answer.status_code == 200


async def test_slashes_are_coped_with_and_signed_as_they_are(sqlite_url: str) -> None:
    async with open_desk(sqlite_url) as desk:
        client = desk.client(await desk.signing("alice"))
        for target in (f"/{VAULTS}/{VAULT}", f"//{VAULTS}/{VAULT}/"):
            answer = await client.ask("GET", CONTROL, target)
            assert (answer.status_code, answer.json()["vaultId"]) == (200, VAULT)


async def test_a_retry_token_reaches_the_operation(sqlite_url: str) -> None:
    async with open_desk(sqlite_url) as desk:
        client = desk.client(await desk.signing("alice"))
        answer = await client.ask("POST", CONTROL, VAULTS, {}, headers={"opc-retry-token": "t0ken"})
        assert answer.json()["retryToken"] == "t0ken"


async def test_a_public_route_asks_nobody_for_a_signature(desk: Desk) -> None:
    client = desk.client(None)
    answer = await client.ask("GET", "127.0.0.1", "/p/known")
    assert (answer.content, answer.headers["content-type"]) == (b"\x00content", "text/plain")
    assert code_of(await client.ask("GET", "127.0.0.1", "/p/guessed")) == (404, "NotAuthorizedOrNotFound")
    assert await desk.records() == [
        ("GetObject", "granted", 200, "", ""),
        ("GetObject", "refused", 404, "", ""),
    ]


async def test_a_mistake_of_ours_shows_nothing_of_itself(sqlite_url: str) -> None:
    async with open_desk(sqlite_url) as desk:
        client = desk.client(await desk.signing("alice"))
        answer = await client.ask("GET", CONTROL, f"{VAULTS}/broken")
        assert answer.status_code == 500
        assert "s3cr3t" not in answer.text


# What another process has done.


async def test_a_key_that_another_process_gave_counts_at_once(database_url: str) -> None:
    async with open_desk(database_url) as desk, open_desk(database_url) as other:
        alice = await desk.signing("alice")
        assert (await desk.client(alice).ask("GET", CONTROL, VAULTS)).status_code == 200
        bob = await other.signing("bob", verb=None)
        assert (await desk.client(bob).ask("GET", CONTROL, VAULTS)).status_code == 200
        refused = await desk.client(bob).ask("GET", CONTROL, f"{VAULTS}/{VAULT}")
        assert code_of(refused) == (404, "NotAuthorizedOrNotFound")
        await people.grant(other.plain, "bob", "read", "/", "acme")
        assert (await desk.client(bob).ask("GET", CONTROL, f"{VAULTS}/{VAULT}")).status_code == 200


async def test_a_key_that_was_taken_away_is_refused(desk: Desk) -> None:
    alice = await desk.signing("alice")
    client = desk.client(alice)
    assert (await client.ask("GET", CONTROL, VAULTS)).status_code == 200
    await people.remove_api_key(desk.plain, "alice", alice.key_id.rpartition("/")[2], "acme")
    assert code_of(await client.ask("GET", CONTROL, VAULTS)) == (401, "NotAuthenticated")


async def test_a_key_of_one_tenancy_says_nothing_in_another(desk: Desk) -> None:
    alice, mallory = await desk.signing("alice"), await desk.signing("mallory", "evil")
    asked = f"{VAULTS}/{VAULT}?in={alice.tenancy_id}"
    assert (await desk.client(alice).ask("GET", CONTROL, asked)).status_code == 200
    assert code_of(await desk.client(mallory).ask("GET", CONTROL, asked)) == (404, "NotAuthorizedOrNotFound")
    mallory.key_id = mallory.key_id.replace(mallory.tenancy_id, alice.tenancy_id)
    assert code_of(await desk.client(mallory).ask("GET", CONTROL, VAULTS)) == (401, "NotAuthenticated")


# Records.


async def test_every_call_but_a_list_leaves_one_record(desk: Desk) -> None:
    client, unsigned = desk.client(await desk.signing("alice")), desk.client(None)
    await client.ask("GET", CONTROL, f"{VAULTS}/{VAULT}")
    await client.ask("POST", CONTROL, VAULTS, {"a": 1})
    await client.ask("POST", CONTROL, VAULTS, b'"refused"')
    await client.ask("GET", CONTROL, VAULTS)
    await client.ask("GET", CONTROL, f"{VAULTS}/{VAULT}?in=elsewhere")
    await client.ask("GET", CONTROL, f"{VAULTS}/no-ocid?in=elsewhere")
    await client.ask("PUT", CONTROL, f"{VAULTS}/{VAULT}")
    await unsigned.ask("GET", CONTROL, f"{VAULTS}/{VAULT}")
    await client.ask("GET", CONTROL, f"{VAULTS}/damaged")
    assert sorted(await desk.records()) == sorted(
        [
            ("GetVault", "granted", 200, VAULT, "alice"),
            ("CreateVault", "granted", 200, VAULT, "alice"),
            ("CreateVault", "refused", 400, "", "alice"),
            ("GetVault", "refused", 404, VAULT, "alice"),
            ("GetVault", "refused", 404, "", "alice"),
            ("OciCall", "refused", 405, "", "alice"),
            ("GetVault", "refused", 401, VAULT, ""),
            ("GetVault", "failed", 500, "", "alice"),
        ]
    )


async def test_strangers_cannot_fill_the_log(sqlite_url: str) -> None:
    async with open_desk(sqlite_url) as desk:
        client = desk.client(None)
        for _ in range(150):
            await client.ask("GET", CONTROL, f"{VAULTS}/{VAULT}")
        assert len(await desk.records()) == 120
        assert len(desk.counted) == 150


async def test_where_nothing_can_be_recorded_nothing_is_shown_or_done(desk: Desk) -> None:
    client = desk.client(await desk.signing("alice"))
    await desk.log.stop()
    assert code_of(await client.ask("GET", CONTROL, f"{VAULTS}/{VAULT}")) == (503, "ServiceUnavailable")


# The quick way.


def quick_scope(
    desk: Desk, signing: Signing, target: str, body: bytes | None = None, *, host: str = CONTROL, **more: str
) -> dict[str, Any]:
    path, _, query = target.partition("?")
    method = "GET" if body is None else "POST"
    headers = signing.headers(method, f"https://{host}:8443{target}", body, more)
    return {
        "type": "http",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }


@pytest.fixture
def nothing_ages(monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL a snapshot is fresh for half a second, which may pass at any moment: here it does not."""
    monkeypatch.setattr("claviger.store.postgres.GENERATION_S", 1e9)


@pytest.mark.usefixtures("nothing_ages")
async def test_the_quick_way_answers_as_the_ordinary_one(desk: Desk) -> None:
    alice = await desk.signing("alice")
    ordinary = await desk.client(alice).ask("GET", CONTROL, f"{VAULTS}/{VAULT}", headers={"opc-request-id": "A"})
    whole = desk.front.quick(quick_scope(desk, alice, f"{VAULTS}/{VAULT}", None, **{"opc-request-id": "A"}))
    assert whole is not None
    head, _, body = whole.partition(b"\r\n\r\n")
    assert body == ordinary.content
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    headers = dict(line.decode().split(": ", 1) for line in lines[1:])
    assert headers.pop("opc-request-id").startswith("A/")
    assert headers == {name: value for name, value in ordinary.headers.items() if name != "opc-request-id"}
    assert await desk.records() == [("GetVault", "granted", 200, VAULT, "alice")] * 2
    assert desk.counted == [("GetVault", 200)] * 2


@pytest.mark.usefixtures("nothing_ages")
async def test_the_quick_way_verifies_every_request(desk: Desk) -> None:
    alice = await desk.signing("alice")
    scope = quick_scope(desk, alice, f"{VAULTS}/{VAULT}")
    assert (await desk.client(alice).ask("GET", CONTROL, VAULTS)).status_code == 200
    assert desk.front.quick(scope) is not None
    assert desk.front.quick({**scope, "raw_path": f"{VAULTS}/another".encode()}) is None
    assert desk.front.quick({**scope, "query_string": b"a=1"}) is None
    desk.machine.advance(301)
    assert desk.front.quick(scope) is None


async def test_the_quick_way_leaves_all_else_to_the_ordinary_one(desk: Desk) -> None:
    alice = await desk.signing("alice")
    await desk.client(alice).ask("GET", CONTROL, VAULTS)
    some = f"{VAULT}?in=elsewhere", "damaged", "broken", "unspeakable"
    for target in (VAULTS, *(f"{VAULTS}/{each}" for each in some), "/nothing"):
        assert desk.front.quick(quick_scope(desk, alice, target)) is None
    assert await desk.records() == []  # the ordinary way records what it answers


@pytest.mark.usefixtures("nothing_ages")
async def test_the_quick_way_of_a_call_with_a_body(desk: Desk) -> None:
    alice, body, target = await desk.signing("alice"), b'{"a": 1}', "/20180608/encrypt"
    ordinary = await desk.client(alice).ask("POST", CRYPTO, target, body, headers={"opc-request-id": "A"})
    scope = quick_scope(desk, alice, target, body, host=CRYPTO, **{"opc-request-id": "A"})
    whole = desk.front.quick(scope, body)
    assert whole is not None
    head, _, content = whole.partition(b"\r\n\r\n")
    assert (ordinary.status_code, ordinary.content) == (200, content)
    assert dict(line.decode().split(": ", 1) for line in head.split(b"\r\n")[1:]) == dict(ordinary.headers)
    assert await desk.records() == [("Encrypt", "granted", 200, "", "alice")] * 2
    rows = await desk.plain.read("SELECT body FROM audit_records ORDER BY seq")
    assert [msgspec.json.decode(bytes(row[0]))["details"] for row in rows] == [{"said": "so"}] * 2
    for another in (b'{"a": 2}', b"", body + b" ", b" " * 70_000):
        assert desk.front.quick(scope, another) is None
    assert len(await desk.records()) == 2


async def test_strict_reads_have_no_quick_way(sqlite_url: str) -> None:
    async with open_desk(sqlite_url, is_strict=True) as desk:
        alice = await desk.signing("alice")
        assert (await desk.client(alice).ask("GET", CONTROL, f"{VAULTS}/{VAULT}")).status_code == 200
        assert desk.front.quick(quick_scope(desk, alice, f"{VAULTS}/{VAULT}")) is None


# Switches.


async def test_signatures_go_by_the_machine_where_the_clock_is_moved(sqlite_url: str) -> None:
    async with open_desk(sqlite_url, switched=True) as desk:
        client = desk.client(await desk.signing("alice"))
        assert isinstance(desk.app._switches, Switches)
        desk.app._switches.clock.advance(30 * 86_400)
        assert (await client.ask("GET", CONTROL, VAULTS)).status_code == 200


async def test_faults_strike(sqlite_url: str) -> None:
    async with open_desk(sqlite_url, switched=True) as desk:
        client = desk.client(await desk.signing("alice"))
        switches = desk.app._switches
        assert switches is not None
        for status, code in ((429, "TooManyRequests"), (503, "ServiceUnavailable"), (500, "InternalServerError")):
            switches.faults.add(Fault(kind="status", status=status, service="ocikms", operation="GetVault", count=1))
            assert code_of(await client.ask("GET", CONTROL, f"{VAULTS}/{VAULT}")) == (status, code)
        assert (await client.ask("GET", CONTROL, f"{VAULTS}/{VAULT}")).status_code == 200


async def test_each_class_of_calls_has_its_limit_per_tenancy(sqlite_url: str) -> None:
    async with open_desk(sqlite_url, switched=True) as desk:
        client = desk.client(await desk.signing("alice"))
        other = desk.client(await desk.signing("mallory", "evil"))
        switches = desk.app._switches
        assert switches is not None
        cancel = f"{VAULTS}/{VAULT}/actions/cancelDeletion"

        async def statuses(client: OciClient, method: str, target: str, count: int) -> list[int]:
            return [(await client.ask(method, CONTROL, target)).status_code for _ in range(count)]

        assert await statuses(client, "GET", VAULTS, 15) == [200] * 15
        switches.throttle.set(Limits(retry_after=True))
        assert await statuses(client, "GET", VAULTS, 11) == [200] * 10 + [429]
        assert await statuses(client, "POST", cancel, 11) == [200] * 10 + [429]
        assert await statuses(client, "POST", VAULTS, 10) == [200] * 10
        assert await statuses(other, "GET", VAULTS, 10) == [200] * 10
        refused = await client.ask("GET", CONTROL, f"{VAULTS}/{VAULT}")
        assert (code_of(refused), refused.headers["retry-after"]) == ((429, "TooManyRequests"), "1")
        assert (await client.ask("POST", CRYPTO, "/20180608/encrypt", {})).status_code == 200
        desk.machine.advance(1)
        assert await statuses(client, "GET", VAULTS, 10) == [200] * 10
