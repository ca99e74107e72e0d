"""What the OCI SDK raises, as refusals of ours; and calls in threads that end in time."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from claviger.cckm.oci.cloud import Account, OciCloud, refusal_of
from claviger.cckm.oci.realm import handle
from claviger.cckm.oci.workers import Workers
from claviger.cckm.pace import Budgets, Limits
from claviger.core.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Throttled, Unavailable
from claviger.core.sensitive import Sensitive
from claviger.crypto.api_keys import fingerprint_of, new_api_key

oci: Any = pytest.importorskip("oci")


def error(status: int, code: str, message: str = "words", **headers: str) -> Any:
    return oci.exceptions.ServiceError(status, code, headers, message)


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        (404, "NotAuthorizedOrNotFound", NotFound, "CloudHidden"),
        (404, "BucketNotFound", NotFound, "CloudHidden"),
        (404, "ObjectNotFound", NotFound, "CloudNotFound"),
        (409, "IncorrectState", Conflict, "CloudConflict"),
        (412, "NoEtagMatch", Conflict, "CloudConflict"),
        (401, "NotAuthenticated", Forbidden, "CloudRefused"),
        (403, "NotAllowed", Forbidden, "CloudRefused"),
        (400, "InvalidParameter", Invalid, "CloudInvalid"),
        (429, "TooManyRequests", Throttled, "CloudThrottled"),
        (501, "MethodNotImplemented", Invalid, "CloudInvalid"),
        (500, "InternalServerError", Unavailable, "CloudUndecided"),
        (503, "ServiceUnavailable", Unavailable, "CloudUndecided"),
        (302, "", Unavailable, "CloudUnreachable"),
        (200, "", Unavailable, "CloudUndecided"),
    ],
)
def test_answers(status: int, code: str, kind: type[Refusal], reason: str) -> None:
    refusal = refusal_of(error(status, code))
    assert type(refusal) is kind
    assert refusal.reason == reason
    if 400 <= status < 500:
        hint = "; look at the connection's user_ocid" if status == 401 else ""
        assert str(refusal.facts["message"]).startswith(f"OCI answered {status}: {code}: words{hint}")
        assert refusal.facts["code"] == code


def test_throttling_says_so_and_when_to_come_back() -> None:
    refusal = refusal_of(error(429, "", "slow down", **{"Retry-After": "17"}))
    assert refusal.facts["retry_after_s"] == 17
    assert "TooManyRequests" in str(refusal.facts["message"])


def test_hidden_values_are_struck_out_and_words_are_bounded() -> None:
    refusal = refusal_of(error(400, "InvalidParameter", "a secret\nword " + "x" * 5000), (Sensitive("secret"),))
    message = str(refusal.facts["message"])
    assert "secret" not in message
    assert "\n" not in message
    assert len(message) < 600


def test_what_nobody_expected_is_undecided() -> None:
    refusal = refusal_of(KeyError("a value that must not be shown"))
    assert (type(refusal), refusal.reason) == (Unavailable, "CloudUndecided")
    assert "shown" not in str(refusal.facts["message"])


@pytest.fixture
def cloud() -> OciCloud:
    private, public = new_api_key()
    account = Account(
        tenancy_ocid="ocid1.tenancy.oc1..aaaa",
        user_ocid="ocid1.user.oc1..aaaa",
        fingerprint=fingerprint_of(public),
        region="us-ashburn-1",
        private_key=private,
        realm_domain="localhost:1",
    )
    limits = Limits(connect_s=20.0, read_s=20.0, call_s=60.0, queue_s=0.2, read_retries=1)
    return OciCloud(account, limits, Budgets(0.2), Workers(2), None)


async def test_nobody_there_is_certain(cloud: OciCloud) -> None:
    for act in (cloud.ask, cloud.change):
        with pytest.raises(Unavailable) as raised:
            await act(cloud.control(), lambda client: client.list_vaults("ocid1.compartment.oc1..a"), "others")
        assert raised.value.reason == "CloudUnreachable"
    await cloud.close()


async def test_reads_are_repeated_and_changes_are_not(cloud: OciCloud) -> None:
    tries: list[int] = []

    def fails(_: object) -> None:
        tries.append(1)
        raise error(503, "ServiceUnavailable")

    with pytest.raises(Unavailable):
        await cloud.ask(cloud.control(), fails, "others")
    assert len(tries) == 2
    with pytest.raises(Unavailable):
        await cloud.change(cloud.control(), fails, "others")
    assert len(tries) == 3
    await cloud.close()


async def test_a_change_is_sent_again_after_a_429_alone(cloud: OciCloud) -> None:
    tries: list[int] = []

    def throttled_once(_: object) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise error(429, "TooManyRequests", **{"Retry-After": "1"})
        return "done"

    assert await cloud.change(cloud.control(), throttled_once, "others") == "done"
    with pytest.raises(Throttled):
        await cloud.change(
            cloud.control(),
            lambda _: (_ for _ in ()).throw(error(429, "TooManyRequests", **{"Retry-After": "3600"})),
            "others",
        )
    await cloud.close()


async def test_a_call_that_hangs_is_given_up_and_costs_its_turn_alone() -> None:
    let_go, workers = threading.Event(), Workers(1)
    with pytest.raises(TimeoutError):
        await workers.run(lambda: let_go.wait(20), queue_s=0.1, limit_s=0.1)
    with pytest.raises(Throttled):
        await workers.run(lambda: None, queue_s=0.1, limit_s=1.0)
    let_go.set()
    for _ in range(100):
        try:
            assert await workers.run(lambda: "free again", queue_s=0.1, limit_s=5.0) == "free again"
            break
        except Throttled:
            await asyncio.sleep(0.05)
    workers.close()


async def test_a_key_that_is_none_is_told_without_showing_it(cloud: OciCloud) -> None:
    account = cloud._account
    broken = OciCloud(
        Account(
            tenancy_ocid=account.tenancy_ocid,
            user_ocid=account.user_ocid,
            fingerprint=account.fingerprint,
            region=account.region,
            private_key=Sensitive("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"),
        ),
        Limits(),
        Budgets(1.0),
        Workers(1),
        None,
    )
    with pytest.raises(Invalid) as raised:
        await broken.open()
    assert raised.value.reason == "CloudInvalid"
    assert "AAAA" not in str(raised.value.facts["message"])


async def test_a_closed_way_is_not_used_again(cloud: OciCloud) -> None:
    await cloud.close()
    with pytest.raises(Unavailable):
        await cloud.ask(cloud.control(), lambda _: None, "others")


def test_an_address_that_is_not_the_realms_is_never_asked(cloud: OciCloud) -> None:
    with pytest.raises(Invalid):
        cloud.management("https://vault.example.org")
    with pytest.raises(Invalid):
        cloud.control("us/ashburn")
    assert cloud.identity() == handle("identity", "us-ashburn-1", "localhost:1")
