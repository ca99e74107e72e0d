"""What becomes of every kind of answer of OCI, of none, and of broken ones, on the way and through the funnel.

The cloud here is one that misbehaves (`tests/odd_oci.py`). Nothing of it may become a 5xx of our own making, a 401, a
request to somewhere else, or a wait for whoever asks another cloud.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from claviger.cckm.connections.operations import AllConnections
from claviger.cckm.oci import workers
from claviger.cckm.oci.cloud import Account, OciCloud
from claviger.cckm.oci.compartments.operations import Compartments
from claviger.cckm.oci.compartments.routes import CompartmentRoutes
from claviger.cckm.oci.connections.cloud import OciClouds
from claviger.cckm.oci.connections.operations import OciConnections
from claviger.cckm.oci.connections.routes import OciConnectionRoutes
from claviger.cckm.oci.tenancies.operations import Tenancies
from claviger.cckm.oci.tenancies.routes import TenancyRoutes
from claviger.cckm.oci.vaults.operations import OciVaults
from claviger.cckm.oci.vaults.routes import OciVaultRoutes
from claviger.cckm.oci.workers import SHARE, Workers
from claviger.cckm.pace import Budgets, Limits
from claviger.core.errors import Invalid, Refusal, Throttled, Unavailable
from tests.odd_oci import (
    COMPARTMENT,
    DRIP,
    DRIP_HEAD,
    ENDLESS,
    OTHER_REGION,
    REGION,
    TENANCY,
    USER,
    VAULT,
    OddOci,
    api_key,
    odd_oci,
    refused,
)
from tests.odd_server import CUT, HANG, Said
from tests.plane import ELSEWHERE, Plane, open_plane

API = "https://cckm.localhost/api/v1"
OCI = f"{API}/cckm/oci"
CONNECTIONS = f"{API}/connectionmgmt/services/oci"
OFFICER = "ada;CCKM Admins,Connection Admins"
TABLES = ("cckm_oci_vaults", "cckm_oci_compartments", "cckm_oci_tenancies")
QUICK = Limits(connect_s=20.0, read_s=20.0, call_s=60.0, queue_s=20.0, read_retries=1, patience_s=0.5)
ONCE = msgspec.structs.replace(QUICK, read_retries=0)
SHORT = Limits(connect_s=3.0, read_s=0.5, call_s=3.0, queue_s=0.3, read_retries=0)
FINDING = {"connection": "odd", "compartment_id": COMPARTMENT, "region": REGION}
ADDING = {"connection": "odd", "region": REGION, "vault_id": [VAULT]}


@pytest.fixture
async def odd(tmp_path: Path) -> AsyncIterator[OddOci]:
    async with odd_oci(tmp_path) as cloud:
        yield cloud


def account(odd: OddOci, **more: Any) -> Account:
    private, fingerprint = api_key()
    told = {
        "tenancy_ocid": TENANCY,
        "user_ocid": USER,
        "fingerprint": fingerprint,
        "region": REGION,
        "private_key": private,
        "realm_domain": odd.domain,
        "authority_pem": odd.authority,
        **more,
    }
    return Account(**told)


@contextlib.asynccontextmanager
async def way_to(odd: OddOci, limits: Limits = QUICK, threads: Workers | None = None) -> AsyncIterator[OciCloud]:
    own = threads or Workers()
    way = OciCloud(account(odd), limits, Budgets(limits.queue_s), own, None)
    yield way
    await way.close()
    if threads is None:
        own.close()


def vaults_of(client: Any) -> Any:
    return client.list_vaults(COMPARTMENT).data


async def refusal_of(way: OciCloud, *, change: bool = False) -> Refusal:
    act = way.change if change else way.ask
    with pytest.raises(Refusal) as raised:
        await act(way.control(), vaults_of, "others")
    return raised.value


# ---------------------------------------------------------------- on the way

BROKEN: list[tuple[Said | str, str]] = [
    (Said(200, b"this is no JSON", {"Content-Type": "application/json"}), "CloudUndecided"),
    (Said(200, b"[" * 100_000, {"Content-Type": "application/json"}), "CloudUndecided"),
    (Said(200), "CloudUndecided"),
    (Said(204), "CloudUndecided"),
    (Said(301, b"", {"Location": "https://example.org/"}), "CloudUnreachable"),
    (Said(307, b"", {"Location": "/20180608/vaults"}), "CloudUnreachable"),
    (Said(400, b"<html>no</html>"), "CloudInvalid"),
    (Said(400, {"code": {"a": 1}, "message": ["b"]}), "CloudInvalid"),
    (refused(401, "NotAuthenticated"), "CloudRefused"),
    (refused(404, "NotAuthorizedOrNotFound"), "CloudHidden"),
    (refused(404, "NotFound"), "CloudNotFound"),
    (Said(404, b"<html>no</html>"), "CloudUnreachable"),
    (Said(404, b'{"error": "no route"}', {"Content-Type": "application/json"}), "CloudUnreachable"),
    (refused(409, "IncorrectState"), "CloudConflict"),
    (refused(429, "TooManyRequests", Retry_After="7"), "CloudThrottled"),
    (refused(429, "TooManyRequests", Retry_After="soon"), "CloudThrottled"),
    (refused(500, "InternalServerError"), "CloudUndecided"),
    (Said(599, b""), "CloudUndecided"),
    (CUT, "CloudUndecided"),
]


@pytest.mark.parametrize(("step", "reason"), BROKEN, ids=str)
async def test_every_answer_has_its_refusal(odd: OddOci, step: Said | str, reason: str) -> None:
    async with way_to(odd) as way:
        odd.script = [step]
        refusal = await refusal_of(way, change=True)
        assert refusal.reason == reason
        assert len(odd.seen) == 1  # a change is sent once


async def test_reads_are_asked_again_where_that_may_help(odd: OddOci) -> None:
    async with way_to(odd) as way:
        odd.script = [refused(503, "ServiceUnavailable"), Said(200, [odd.vault()])]
        assert [each.id for each in await way.ask(way.control(), vaults_of, "others")] == [VAULT]
        odd.script = [refused(404, "NotAuthorizedOrNotFound"), Said(200, [])]
        assert (await refusal_of(way)).reason == "CloudHidden"
        assert len(odd.seen) == 3


async def test_nobody_is_led_elsewhere(odd: OddOci) -> None:
    """Where a redirection leads, be it to this very cloud, nobody goes, with whatever it says about the method."""
    async with way_to(odd) as way:
        for status in (301, 302, 303, 307, 308):
            odd.seen.clear()
            odd.script = [Said(status, b"", {"Location": f"https://kms.{OTHER_REGION}.{odd.domain}/20180608/vaults"})]
            assert (await refusal_of(way, change=True)).reason == "CloudUnreachable"
            assert len(odd.seen) == 1
    assert odd.hosts == {f"kms.{REGION}.{odd.domain}"}


async def test_an_answer_without_end_is_left(odd: OddOci) -> None:
    limits = msgspec.structs.replace(ONCE, body_bytes=1024 * 1024)
    async with way_to(odd, limits) as way:
        odd.script = [ENDLESS]
        refusal = await refusal_of(way)
        assert refusal.reason == "CloudUndecided"
        assert "not answer in time" not in str(refusal.facts["message"])
        odd.script = [Said(200, b"[" + b" " * (1024 * 1024) + b"]", {"Content-Type": "application/json"})]
        assert (await refusal_of(way)).reason == "CloudUndecided"
        assert await way.ask(way.control(), vaults_of, "others") == []


@pytest.mark.parametrize("step", [HANG, DRIP, DRIP_HEAD])
async def test_who_does_not_answer_is_given_up_and_cut_off(odd: OddOci, step: str) -> None:
    """A byte now and then keeps the SDK's own time-out away; the thread is free again nevertheless."""
    threads = Workers(1)
    async with way_to(odd, SHORT, threads) as way:
        odd.script = [step]
        assert (await refusal_of(way)).reason == "CloudUndecided"
        async with asyncio.timeout(60):
            await odd.gone.wait()
        for _ in range(200):
            with contextlib.suppress(Throttled):
                assert await threads.run(lambda: "free", queue_s=0.1, limit_s=20.0) == "free"
                break
        else:
            pytest.fail("the thread never came back")
    async with way_to(odd, QUICK, threads) as way:
        assert await way.ask(way.control(), vaults_of, "others") == []
    threads.close()


async def test_a_program_that_ends_does_not_wait_for_a_cloud(odd: OddOci) -> None:
    threads = Workers(2)
    limits = Limits(connect_s=20.0, read_s=600.0, call_s=600.0, read_retries=0)
    async with way_to(odd, limits, threads) as way:
        odd.script = [DRIP]
        call = asyncio.ensure_future(way.ask(way.control(), vaults_of, "others"))
        await odd.arrived.wait()
        threads.close()
        with pytest.raises(Unavailable):
            async with asyncio.timeout(60):
                await call


async def test_a_cloud_that_hangs_leaves_the_others_theirs(odd: OddOci, tmp_path: Path) -> None:
    """As many calls as there are threads hang in one cloud; another is asked as if nothing were."""
    limits = Limits(connect_s=60.0, read_s=600.0, call_s=600.0, queue_s=0.5, read_retries=0)
    threads = Workers()
    odd.always = lambda _: HANG
    async with odd_oci(tmp_path) as well, way_to(odd, limits, threads) as hanging, way_to(well, QUICK, threads) as fine:
        calls = [
            asyncio.ensure_future(hanging.ask(hanging.control(), vaults_of, "others")) for _ in range(workers.THREADS)
        ]
        beyond = await asyncio.gather(*calls[SHARE:], return_exceptions=True)
        assert {type(each) for each in beyond} == {Throttled}
        for _ in range(20):
            assert await fine.ask(fine.control(), vaults_of, "others") == []
        async with asyncio.timeout(60):
            while len(odd.seen) < SHARE:  # noqa: ASYNC110 - what is waited for is on the other side of a socket
                await asyncio.sleep(0.01)
        assert len(odd.seen) == SHARE
        odd.over.set()
        threads.close()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_whose_certificate_nobody_trusts_is_not_asked(odd: OddOci, tmp_path: Path) -> None:
    private, _ = api_key()
    for told in ({"authority_pem": None}, {"region": "uk-london-1"}):  # the machine's trust; a name it does not have
        way = OciCloud(account(odd, **told), QUICK, Budgets(1.0), Workers(2), None)
        refusal = await refusal_of(way)
        assert refusal.reason == "CloudUnreachable"
        assert private.reveal_text() not in str(refusal.facts)
        await way.close()
    assert odd.seen == []


async def test_the_environment_leads_nowhere(odd: OddOci, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    async with way_to(odd) as way:
        assert await way.ask(way.control(), vaults_of, "others") == []


async def test_keys_of_other_kinds_are_told(odd: OddOci) -> None:
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from claviger.core.sensitive import Sensitive

    made = (
        ec.generate_private_key(ec.SECP256R1()),
        ed25519.Ed25519PrivateKey.generate(),
        dsa.generate_private_key(1024),
    )
    for each in made:
        pem = each.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        way = OciCloud(account(odd, private_key=Sensitive(pem)), QUICK, Budgets(1.0), Workers(2), None)
        with pytest.raises(Invalid) as raised:
            await way.open()
        assert "not an RSA key" in str(raised.value.facts["message"])
        await way.close()


# ---------------------------------------------------------------- through the funnel


@pytest.fixture
async def plane(database_url: str, odd: OddOci) -> AsyncIterator[Plane]:
    found = await open_plane(database_url)
    clouds = OciClouds(found.safe, ONCE)
    everyone = AllConnections(found.store, found.clock, [clouds.forget])
    own = OciConnections(found.store, found.safe, found.clock, clouds, everyone)
    found.serve(
        [
            *OciConnectionRoutes(own, everyone).routes(),
            *TenancyRoutes(Tenancies(found.store, found.clock, clouds)).routes(),
            *CompartmentRoutes(Compartments(found.store, found.clock, clouds)).routes(),
            *OciVaultRoutes(OciVaults(found.store, found.clock, clouds)).routes(),
        ]
    )
    await found.accept("POST", f"{CONNECTIONS}/connections", odd.connection(), status=201, caller=OFFICER)
    yield found
    await clouds.close()
    await found.store.close()


CALLS: list[tuple[str, Any]] = [
    ("get-subscribed-regions", {"connection": "odd"}),
    ("add-tenancy", {"connection": "odd"}),
    ("get-compartments", {"connection": "odd"}),
    ("add-compartments", {"connection": "odd", "compartment_id": [COMPARTMENT]}),
    ("get-defined-tags", {"connection": "odd"}),
    ("storage/list-buckets", {"connection": "odd", "compartment_id": COMPARTMENT}),
    ("get-vaults", FINDING),
    ("add-vaults", ADDING),
]
STATUSES = {
    "CloudUndecided": 504,
    "CloudUnreachable": 502,
    "CloudInvalid": 400,
    "CloudRefused": 403,
    "CloudHidden": 403,
    "CloudNotFound": 404,
    "CloudConflict": 409,
    "CloudThrottled": 429,
}


async def rows(plane: Plane) -> list[int]:
    return [await plane.count(table) for table in TABLES]


async def test_every_call_passes_on_what_the_cloud_says(plane: Plane, odd: OddOci) -> None:
    for step, reason in BROKEN:
        odd.always = lambda _, step=step: step
        for path, body in CALLS:
            answer = await plane.ask("POST", f"{OCI}/{path}", body, caller=OFFICER)
            told = answer.json()
            expected = STATUSES[reason]
            if reason in ("CloudHidden", "CloudNotFound") and path == "add-vaults":
                expected = 400  # a vault that is not there is a mistake of the request
            assert answer.status_code == expected, f"{path}: {step} {answer.status_code} {answer.text}"
            assert set(told) == {"code", "codeDesc", "message", "requestID"}
            if reason == "CloudThrottled":
                assert "TooManyRequests" in told["message"]
                assert int(answer.headers["retry-after"]) >= 1
            if isinstance(step, Said) and isinstance(step.body, dict) and isinstance(step.body["code"], str):
                assert step.body["code"] in told["message"], told
    assert await rows(plane) == [0, 0, 0]


async def test_answers_of_another_shape_are_no_failure_of_ours(plane: Plane, odd: OddOci) -> None:
    shapes: list[Any] = [None, 5, "x", [], [[["nested"]]], [None], ["x"], [5], {}, {"id": {}}, {"data": []}]
    for shape in shapes:
        odd.always = lambda _, shape=shape: Said(200, shape)
        for path, body in CALLS:
            answer = await plane.ask("POST", f"{OCI}/{path}", body, caller=OFFICER)
            assert answer.status_code in (200, 400, 504), f"{path}: {shape} {answer.status_code} {answer.text}"
    assert await rows(plane) == [0, 0, 0]


async def test_a_failed_test_is_an_answer_in_the_clouds_words(plane: Plane, odd: OddOci) -> None:
    for step, part in (
        (refused(401, "NotAuthenticated", "no such key"), "OCI answered 401: NotAuthenticated: no such key"),
        (refused(404, "NotAuthorizedOrNotFound"), "NotAuthorizedOrNotFound"),
        (refused(429, "TooManyRequests", Retry_After="60"), "TooManyRequests"),
        (CUT, "did not answer"),
        (Said(302, b"", {"Location": "https://example.org"}), "leads elsewhere"),
    ):
        odd.always = lambda _, step=step: step
        for path, body in (("connections/odd/test", None), ("connection-test", odd.connection())):
            told = await plane.accept("POST", f"{CONNECTIONS}/{path}", body, caller=OFFICER)
            assert told["connection_ok"] is False
            assert part in told["connection_error"]
        kept = await plane.accept("GET", f"{CONNECTIONS}/connections/odd", caller=OFFICER)
        assert (kept["last_connection_ok"], part in kept["last_connection_error"]) == (False, True)
    odd.always = None
    assert await plane.accept("POST", f"{CONNECTIONS}/connections/odd/test", caller=OFFICER) == {"connection_ok": True}
    kept = await plane.accept("GET", f"{CONNECTIONS}/connections/odd", caller=OFFICER)
    assert (kept["last_connection_ok"], kept["last_connection_error"]) == (True, None)


async def test_vaults_come_all_or_none(plane: Plane, odd: OddOci) -> None:
    missing = "ocid1.vault.oc1.iad.odd.missing"

    def answer(path: str) -> Said:
        lost = missing in path
        return refused(404, "NotAuthorizedOrNotFound") if lost else Said(200, odd.told(path))

    odd.always = answer
    body = {**ADDING, "vault_id": [VAULT, missing]}
    await plane.refuse("POST", f"{OCI}/add-vaults", body, status=400, part=missing, caller=OFFICER)
    assert await rows(plane) == [0, 0, 0]
    made = await plane.accept("POST", f"{OCI}/add-vaults", ADDING, caller=OFFICER)
    assert made["vaults"] == made["resources"]
    many = {**ADDING, "vault_id": [VAULT, "ocid1.vault.oc1.iad.odd.two"]}
    await plane.refuse("POST", f"{OCI}/add-vaults", many, status=409, part="managed already", caller=OFFICER)
    assert await rows(plane) == [1, 0, 0]


async def test_another_vault_is_not_taken_for_the_one_that_was_asked_for(plane: Plane, odd: OddOci) -> None:
    other = odd.vault("ocid1.vault.oc1.iad.odd.other")
    odd.always = lambda path: Said(200, other if "vaults" in path else odd.told(path))
    await plane.refuse("POST", f"{OCI}/add-vaults", ADDING, status=400, part="another vault", caller=OFFICER)
    odd.always = None
    made = (await plane.accept("POST", f"{OCI}/add-vaults", ADDING, caller=OFFICER))["vaults"][0]
    odd.always = lambda _: Said(200, other)
    await plane.refuse("PATCH", f"{OCI}/vaults/{made['id']}", {}, status=400, part="another vault", caller=OFFICER)


async def test_a_vault_elsewhere_is_never_asked(plane: Plane, odd: OddOci) -> None:
    """OCI may say of a vault that it is managed anywhere; what is not of the realm is not asked, and said so."""
    odd.endpoint = "https://abc-management.kms.us-ashburn-1.example.org"
    made = (await plane.accept("POST", f"{OCI}/add-vaults", ADDING, caller=OFFICER))["vaults"][0]
    assert made["management_endpoint"] == odd.endpoint
    way = OciCloud(account(odd), QUICK, Budgets(1.0), Workers(2), None)
    for elsewhere in (odd.endpoint, "https://127.0.0.1:22", f"https://localhost:{odd.port}", "file:///etc/passwd"):
        with pytest.raises(Invalid):
            way.management(elsewhere)
    await way.close()


async def test_a_connection_that_went_meanwhile_is_not_used(plane: Plane, odd: OddOci) -> None:
    loop = asyncio.get_running_loop()
    doing: list[asyncio.Task[Any]] = []
    for path, body in (CALLS[1], CALLS[3], CALLS[7]):
        held = threading.Event()

        def deleting(asked: str, held: threading.Event = held) -> Said:
            if not held.is_set():
                held.set()
                gone = plane.store.write(lambda tx: tx.execute("DELETE FROM cckm_connections"))
                doing.append(loop.create_task(gone))
            return Said(200, odd.told(asked))

        odd.always = deleting
        answer = await plane.ask("POST", f"{OCI}/{path}", body, caller=OFFICER)
        assert answer.status_code == 404, answer.text
        odd.always = None
        await plane.accept("POST", f"{CONNECTIONS}/connections", odd.connection(), status=201, caller=OFFICER)
    assert await rows(plane) == [0, 0, 0]


async def test_strange_things_that_a_cloud_may_say_are_kept_as_text(plane: Plane, odd: OddOci) -> None:
    """Tags that are no texts, no name, no time: the record is one that strict clients decode."""
    strange: dict[str, Any] = {
        "displayName": None,
        "timeCreated": None,
        "vaultType": "SOMETHING_NEW",
        "lifecycleState": "SOMETHING_ELSE",
        "freeformTags": {"a": 1, "b": None, "c": True},
        "definedTags": {"ns": {"x": 1.5, "y": [1], "z": None}},
        "wrappingkeyId": None,
        "isPrimary": None,
    }
    odd.always = lambda path: Said(200, odd.vault(**strange) if f"vaults/{VAULT}" in path else odd.told(path))
    made = (await plane.accept("POST", f"{OCI}/add-vaults", ADDING, caller=OFFICER))["vaults"][0]
    values = [*made["freeform_tags"].values(), *made["defined_tags"]["ns"].values()]
    assert [value for value in values if not isinstance(value, str)] == []
    assert (made["display_name"], made["wrappingkey_id"], made["is_primary"]) == ("", "", True)
    assert "time_created" not in made
    for query in ("", "?sort=display_name", "?display_name=x", "?lifecycle_state=SOMETHING*"):
        await plane.accept("GET", f"{OCI}/vaults{query}", caller=OFFICER)


async def test_a_name_with_a_nul_from_the_cloud_is_no_failure_of_ours(plane: Plane, odd: OddOci) -> None:
    odd.always = lambda path: Said(200, odd.vault(displayName="a\0b") if f"vaults/{VAULT}" in path else odd.told(path))
    answer = await plane.ask("POST", f"{OCI}/add-vaults", ADDING, caller=OFFICER)
    assert answer.status_code in (200, 400, 504), answer.text


BAD: list[tuple[str, Any]] = [
    ("get-subscribed-regions", {}),
    ("get-subscribed-regions", {"connection": 5}),
    ("get-subscribed-regions", {"connection": ""}),
    ("get-subscribed-regions", {"connection": "a\0b"}),
    ("get-subscribed-regions", {"connection": "x" * 1000}),
    ("add-tenancy", {}),
    ("add-tenancy", {"connection": "odd", "tenancy_ocid": TENANCY, "tenancy": "t"}),
    ("add-tenancy", {"connection": "odd", "tenancy": "t"}),
    ("add-tenancy", {"tenancy_ocid": TENANCY}),
    ("add-tenancy", {"tenancy": "t"}),
    ("add-tenancy", {"tenancy_ocid": USER, "tenancy": "t"}),
    ("add-tenancy", {"tenancy_ocid": TENANCY, "tenancy": "   "}),
    ("add-tenancy", {"tenancy_ocid": TENANCY, "tenancy": "x" * 300}),
    ("get-compartments", {"connection": "odd", "limit": -1}),
    ("get-compartments", {"connection": "odd", "limit": 1001}),
    ("get-compartments", {"connection": "odd", "limit": "5"}),
    ("get-compartments", {"connection": "odd", "limit": 2**80}),
    ("get-compartments", {"connection": "odd", "ociNextPage": "x" * 5000}),
    ("get-compartments", {"connection": "odd", "ociNextPage": "a\r\nb: c"}),
    ("get-compartments", {"connection": "odd", "ociNextPage": "\u00e9"}),
    ("add-compartments", {"connection": "odd"}),
    ("add-compartments", {"connection": "odd", "compartment_id": []}),
    ("add-compartments", {"connection": "odd", "compartment_id": COMPARTMENT}),
    ("add-compartments", {"connection": "odd", "compartment_id": ["../x"]}),
    ("add-compartments", {"connection": "odd", "compartment_id": [VAULT]}),
    ("add-compartments", {"connection": "odd", "compartment_id": [COMPARTMENT] * 201}),
    ("storage/list-buckets", {"connection": "odd"}),
    ("storage/list-buckets", {"connection": "odd", "compartment_id": "x?y=z"}),
    ("get-vaults", {**FINDING, "region": "us/../x"}),
    ("get-vaults", {**FINDING, "region": "example.org#"}),
    ("get-vaults", {**FINDING, "region": None}),
    ("get-vaults", {**FINDING, "compartment_id": VAULT}),
    ("get-vaults", {**FINDING, "compartment_id": f"{COMPARTMENT}/../x"}),
    ("add-vaults", {**ADDING, "vault_id": []}),
    ("add-vaults", {**ADDING, "vault_id": VAULT}),
    ("add-vaults", {**ADDING, "vault_id": [VAULT, VAULT]}),
    ("add-vaults", {**ADDING, "vault_id": [f"{VAULT}{n}" for n in range(201)]}),
    ("add-vaults", {**ADDING, "vault_id": ["ocid1.vault.oc1..a/../b"]}),
    ("add-vaults", {**ADDING, "vault_id": ["ocid1.vault.oc1..a\n"]}),
    ("add-vaults", {**ADDING, "vault_id": [COMPARTMENT]}),
    ("add-vaults", {**ADDING, "vault_id": [None]}),
    ("add-vaults", {**ADDING, "region": "https://example.org"}),
    ("add-vaults", {**ADDING, "bucket_name": "b"}),
    ("add-vaults", {**ADDING, "bucket_namespace": "n"}),
    ("add-vaults", {**ADDING, "bucket_name": "a/b", "bucket_namespace": "n"}),
    ("add-vaults", {**ADDING, "bucket_name": "b" * 300, "bucket_namespace": "n"}),
]


async def test_what_is_wrong_never_reaches_the_cloud(plane: Plane, odd: OddOci) -> None:
    for path, body in BAD:
        await plane.refuse("POST", f"{OCI}/{path}", body, status=400, caller=OFFICER)
    for raw in (b"{", b"[]", b"null", b"\xff", b'"x"', b"[" * 50_000):
        for path, _ in CALLS:
            await plane.refuse("POST", f"{OCI}/{path}", content=raw, status=400, caller=OFFICER)
    assert odd.seen == []


async def test_unknown_connections_and_other_domains(plane: Plane, odd: OddOci) -> None:
    for path, body in CALLS:
        unknown = {**body, "connection": "none"}
        await plane.refuse("POST", f"{OCI}/{path}", unknown, status=404, part="no such connection", caller=OFFICER)
        await plane.refuse("POST", f"{OCI}/{path}", body, status=404, part="no such connection", caller=ELSEWHERE)
    assert odd.seen == []


async def test_a_page_is_asked_for_as_it_was_said(plane: Plane, odd: OddOci) -> None:
    mark = "a mark/with+strange&things="
    odd.script = [Said(200, [odd.vault()], {"opc-next-page": mark, "Content-Type": "application/json"})]
    told = await plane.accept("POST", f"{OCI}/get-vaults", {**FINDING, "limit": 1, "ociNextPage": ""}, caller=OFFICER)
    assert told["ociNextPage"] == mark
    assert told["data"] == [
        {
            "compartment_id": COMPARTMENT,
            "display_name": f"name of {VAULT}",
            "vault_id": VAULT,
            "lifecycle_state": "ACTIVE",
            "management_endpoint": f"https://abc-management.kms.{REGION}.{odd.domain}",
            "time_created": "2026-11-22T10:11:12.345Z",
            "vault_type": "DEFAULT",
            "freeform_tags": {},
            "defined_tags": {},
        }
    ]
    told = await plane.accept("POST", f"{OCI}/get-vaults", {**FINDING, "ociNextPage": mark}, caller=OFFICER)
    assert told == {"data": [], "ociNextPage": ""}
    assert "limit=1" in odd.seen[0]
    assert "page=a%20mark%2Fwith%2Bstrange%26things%3D" in odd.seen[1].replace("+", "%20")
    assert json.dumps(told)
