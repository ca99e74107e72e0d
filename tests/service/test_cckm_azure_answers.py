"""What becomes of every kind of answer, of none, and of broken ones: told once, and no change is ever sent twice."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from claviger.cckm.azure.connections.cloud import AzureCloud
from claviger.cckm.azure.connections.pace import AzureBudgets, Budget
from claviger.cckm.azure.connections.rules import AzureDetails, Credentials
from claviger.cckm.azure.secrets.cloud import VaultSecrets
from claviger.core.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Throttled, Unavailable
from claviger.core.sensitive import Sensitive
from tests.clouds import reaching
from tests.odd_cloud import OddCloud, odd_cloud
from tests.odd_server import CUT, HANG, Said

VALUE = "the-value-of-the-secret"
CLIENT_SECRET = "the-secret-of-the-client"
Work = Callable[[VaultSecrets], Awaitable[Any]]
CHANGES: dict[str, Work] = {
    "set": lambda secrets: secrets.set("s", Sensitive(VALUE)),
    "update": lambda secrets: secrets.update("s", "0" * 32, enabled=False),
    "delete": lambda secrets: secrets.delete("s"),
    "recover": lambda secrets: secrets.recover("s"),
    "purge": lambda secrets: secrets.purge("s"),
    "restore": lambda secrets: secrets.restore(Sensitive(b"blob")),
}
READS: dict[str, Work] = {
    "get": lambda secrets: secrets.get("s"),
    "deleted": lambda secrets: secrets.deleted("s"),
}


@pytest.fixture
async def odd(tmp_path: Path) -> AsyncIterator[OddCloud]:
    async with odd_cloud(tmp_path) as cloud:
        yield cloud


@asynccontextmanager
async def way_to(odd: OddCloud, **limits: Any) -> AsyncIterator[AzureCloud]:
    details = AzureDetails(client_id="c1", tenant_id="t1", **odd.endpoints())
    async with reaching(details, Credentials(client_secret=Sensitive(CLIENT_SECRET)), **limits) as cloud:
        yield cloud


def secrets_of(cloud: AzureCloud) -> VaultSecrets:
    return VaultSecrets(cloud, cloud.vault_url("demo", ""))


@pytest.fixture
async def secrets(odd: OddCloud) -> AsyncIterator[VaultSecrets]:
    async with way_to(odd) as cloud:
        yield secrets_of(cloud)


def error(status: int, code: str = "Code", message: str = "Some words.", **headers: str) -> Said:
    body = {"error": {"code": code, "message": message, "innererror": {"code": "Inner"}}}
    return Said(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def words(refusal: Refusal) -> str:
    return str(refusal.facts["message"])


async def refusal_of(work: Awaitable[Any]) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await work
    return refused.value


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, Invalid, "CloudInvalid"),
        (401, Forbidden, "CloudRefused"),
        (403, Forbidden, "CloudRefused"),
        (404, NotFound, "CloudNotFound"),
        (405, Invalid, "CloudInvalid"),
        (409, Conflict, "CloudConflict"),
        (412, Invalid, "CloudInvalid"),
        (418, Invalid, "CloudInvalid"),
        (500, Unavailable, "CloudUndecided"),
        (501, Invalid, "CloudInvalid"),
        (502, Unavailable, "CloudUndecided"),
        (503, Unavailable, "CloudUndecided"),
        (504, Unavailable, "CloudUndecided"),
        (505, Invalid, "CloudInvalid"),
        (599, Unavailable, "CloudUndecided"),
    ],
)
async def test_statuses(odd: OddCloud, status: int, kind: type[Refusal], reason: str) -> None:
    async with way_to(odd, read_retries=0) as cloud:
        for work in (CHANGES["set"], CHANGES["delete"], READS["get"]):
            odd.script = [error(status)]
            odd.seen.clear()
            refusal = await refusal_of(work(secrets_of(cloud)))
            assert (type(refusal), refusal.reason) == (kind, reason)
            assert words(refusal) == f"Azure answered {status}: Code (Inner): Some words"
            assert len(odd.seen) == 1


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("step", [CUT, error(500), error(503, Retry_After="1"), Said(200, b"<html>")], ids=str)
async def test_changes_are_sent_once(odd: OddCloud, secrets: VaultSecrets, change: str, step: Any) -> None:
    """Also after an answer over the same connection, which is where aiohttp would send a PUT or DELETE again."""
    if change == "purge" and isinstance(step, Said) and step.status == 200:
        pytest.skip("its answer has no body")
    await secrets.get("s")
    odd.seen.clear()
    odd.script = [step]
    refusal = await refusal_of(CHANGES[change](secrets))
    assert refusal.reason == "CloudUndecided"
    assert len(odd.seen) == 1


@pytest.mark.parametrize("change", CHANGES)
async def test_changes_after_429(odd: OddCloud, secrets: VaultSecrets, change: str) -> None:
    odd.script = [error(429, Retry_After="600")]
    refusal = await refusal_of(CHANGES[change](secrets))
    assert isinstance(refusal, Throttled)
    assert refusal.facts["retry_after_s"] == 600
    assert len(odd.seen) == 1


async def test_change_that_waits_out_a_429(odd: OddCloud, secrets: VaultSecrets) -> None:
    odd.script = [error(429, Retry_After="1")]
    assert (await secrets.set("s", Sensitive(VALUE))).name == "s"
    assert odd.asked == ["PUT", "PUT"]
    assert {body for _, _, body in odd.seen} == {b'{"value": "the-value-of-the-secret"}'}


async def test_change_that_is_throttled_for_longer_than_a_call_may_last(odd: OddCloud) -> None:
    async with way_to(odd, call_s=1.5) as cloud:
        odd.script = [error(429, Retry_After="1")] * 5
        assert (await refusal_of(secrets_of(cloud).delete("s"))).reason == "CloudThrottled"
        assert len(odd.seen) == 2


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("step", [CUT, error(503), error(429, Retry_After="0")], ids=str)
async def test_reads_are_repeated(odd: OddCloud, secrets: VaultSecrets, read: str, step: Any) -> None:
    odd.script = [step, step]
    await READS[read](secrets)
    assert len(odd.seen) == 3


async def test_reads_are_repeated_a_few_times_only(odd: OddCloud, secrets: VaultSecrets) -> None:
    odd.script = [error(503, Retry_After="0")] * 20
    assert (await refusal_of(secrets.get("s"))).reason == "CloudUndecided"
    assert len(odd.seen) == 4


@pytest.mark.parametrize("wait", ["600", "inf", "Fri, 31 Dec 2099 23:59:59 GMT"])
async def test_reads_do_not_wait_long(odd: OddCloud, secrets: VaultSecrets, wait: str) -> None:
    odd.script = [error(429, Retry_After=wait)]
    refusal = await refusal_of(secrets.get("s"))
    assert isinstance(refusal, Throttled)
    assert 1 <= int(str(refusal.facts["retry_after_s"])) <= 3600
    assert len(odd.seen) == 1


@pytest.mark.parametrize("wait", ["x", "-5", "nan", "99999999999999999999999", "Fri, 99 Foo 2099"])
async def test_retry_after_that_makes_no_sense(odd: OddCloud, wait: str) -> None:
    async with way_to(odd, patience_s=0.5) as cloud:
        odd.script = [error(429, Retry_After=wait)] * 9
        for work in (READS["get"], CHANGES["set"]):
            refusal = await refusal_of(work(secrets_of(cloud)))
            assert isinstance(refusal, Throttled)
            assert 1 <= int(str(refusal.facts["retry_after_s"])) <= 3600


async def test_nobody_answers(odd: OddCloud) -> None:
    async with way_to(odd, read_s=0.2, read_retries=0) as cloud:
        for work in (CHANGES["set"], READS["get"]):
            odd.script, odd.seen = [HANG], []
            assert (await refusal_of(work(secrets_of(cloud)))).reason == "CloudUndecided"
            assert len(odd.seen) == 1
    async with way_to(odd, call_s=0.3) as cloud:
        odd.script = [HANG]
        assert (await refusal_of(secrets_of(cloud).get("s"))).reason == "CloudUndecided"


async def test_sign_in_refused(odd: OddCloud, secrets: VaultSecrets) -> None:
    said = f"AADSTS7000215: Invalid client secret {CLIENT_SECRET} provided.\r\nTrace ID: 1\r\nTimestamp: 2"
    for status in (400, 401):
        odd.login = [Said(status, {"error": "invalid_client", "error_description": said})]
        refusal = await refusal_of(secrets.set("s", Sensitive(VALUE)))
        assert (type(refusal), refusal.reason) == (Forbidden, "CloudRefused")
        assert words(refusal) == (
            f"signing in failed: Azure answered {status}: AADSTS7000215: Invalid client secret <hidden> provided."
        )
    assert odd.seen == []
    assert (await secrets.set("s", Sensitive(VALUE))).name == "s"


@pytest.mark.parametrize(
    "step", [CUT, HANG, Said(500, b"no"), Said(503, b"<html>", {"Content-Type": "text/html"})], ids=str
)
async def test_sign_in_failed(odd: OddCloud, step: Any) -> None:
    async with way_to(odd, sign_in_s=1.0, read_s=0.5, read_retries=0) as cloud:
        odd.login = [step]
        refusal = await refusal_of(secrets_of(cloud).set("s", Sensitive(VALUE)))
        assert (type(refusal), refusal.reason) == (Unavailable, "CloudUnreachable")
        assert words(refusal).startswith("signing in failed: ")
        assert odd.seen == []


async def test_who_waits_for_a_sign_in_that_hangs_has_done_nothing(odd: OddCloud) -> None:
    async with way_to(odd, sign_in_s=0.4, call_s=1.0) as cloud:
        odd.login = [HANG] * 5
        changes = [secrets_of(cloud).delete("s") for _ in range(5)]
        done = await asyncio.gather(*changes, return_exceptions=True)
        assert [each.reason for each in done if isinstance(each, Refusal)] == ["CloudUnreachable"] * 5
        assert odd.seen == []


@pytest.mark.parametrize(
    "said",
    [
        Said(200, b"<html>hello</html>", {"Content-Type": "text/html"}),
        Said(200, b"{}", {"Content-Type": "application/json"}),
        Said(200, b"[1]", {"Content-Type": "application/json"}),
        Said(200, b"{", {"Content-Type": "application/json"}),
        Said(200, {"access_token": "t"}),
        Said(404, b"<html>hello</html>", {"Content-Type": "text/html"}),
        Said(302, b"", {"Location": "https://elsewhere.example/"}),
    ],
    ids=str,
)
async def test_login_that_is_none(odd: OddCloud, said: Said) -> None:
    async with way_to(odd, read_retries=0) as cloud:
        odd.login = [said] * 3
        refusal = await refusal_of(secrets_of(cloud).set("s", Sensitive(VALUE)))
        assert refusal.reason in ("CloudUnreachable", "CloudRefused")
        assert "hello" not in words(refusal)
        assert odd.seen == []


async def test_login_that_throttles(odd: OddCloud) -> None:
    async with way_to(odd, read_retries=0) as cloud:
        odd.login = [Said(429, {"error": "slow"}, {"Retry-After": "99"})]
        refusal = await refusal_of(secrets_of(cloud).get("s"))
        assert (refusal.reason, refusal.facts["retry_after_s"]) == ("CloudThrottled", 99)


async def test_one_sign_in_for_all_who_wait(odd: OddCloud, secrets: VaultSecrets) -> None:
    await asyncio.gather(*(secrets.get("s") for _ in range(20)))
    assert odd.sign_ins == 1
    assert len(odd.seen) == 20


async def test_token_that_the_vault_no_longer_takes(odd: OddCloud, secrets: VaultSecrets) -> None:
    await secrets.get("s")
    odd.script = [error(401), error(401)]
    refusal = await refusal_of(secrets.set("s", Sensitive(VALUE)))
    assert (type(refusal), refusal.reason) == (Forbidden, "CloudRefused")


async def test_challenge_that_names_another_resource(odd: OddCloud, secrets: VaultSecrets) -> None:
    odd.resource = "https://vault.azure.net"
    refusal = await refusal_of(secrets.set("s", Sensitive(VALUE)))
    assert refusal.reason == "CloudRefused"
    assert "challenge" in words(refusal)
    assert (odd.seen, odd.sign_ins) == ([], 0)


@pytest.mark.parametrize(
    "said",
    [
        Said(200, b"<html>hello</html>", {"Content-Type": "text/html"}),
        Said(200, b"", {"Content-Type": "application/json"}),
        Said(200, b"{", {"Content-Type": "application/json"}),
        Said(200, b"[]", {"Content-Type": "application/json"}),
        Said(200, b"{}", {"Content-Type": "application/json"}),
        Said(200, b'{"id": 7}', {"Content-Type": "application/json"}),
        Said(200, b'{"id": "x"}', {"Content-Type": "application/json"}),
        Said(200, {"id": f"https://v/secrets/s/{'0' * 32}", "attributes": {"created": "soon"}}),
        Said(200, gzip.compress(b"{}", mtime=0), {"Content-Type": "application/json", "Content-Encoding": "gzip"}),
        Said(200, b"\xff\xfe\x00", {"Content-Type": "application/json"}),
    ],
    ids=str,
)
async def test_answers_that_are_none_of_azures(odd: OddCloud, secrets: VaultSecrets, said: Said) -> None:
    for work in (CHANGES["set"], CHANGES["delete"], CHANGES["recover"]):
        odd.script, odd.seen = [said], []
        refusal = await refusal_of(work(secrets))
        assert (type(refusal), refusal.reason) == (Unavailable, "CloudUndecided")
        assert "hello" not in words(refusal)
        assert len(odd.seen) == 1


async def test_errors_without_azures_words(odd: OddCloud, secrets: VaultSecrets) -> None:
    odd.script = [Said(403, b"<html>hello</html>", {"Content-Type": "text/html"})]
    assert words(await refusal_of(secrets.delete("s"))) == "Azure answered 403: Odd"


async def test_words_are_bounded_and_one_line(odd: OddCloud, secrets: VaultSecrets) -> None:
    odd.script = [error(400, message="line\r\n\x1b[31m" + "x" * 100_000)]
    told = words(await refusal_of(secrets.delete("s")))
    assert len(told) < 520
    assert told.startswith("Azure answered 400: Code (Inner): line [31mxxx")


async def test_values_in_azures_words_are_hidden(odd: OddCloud, secrets: VaultSecrets) -> None:
    odd.script = [error(400, message=f"{VALUE} and {CLIENT_SECRET} are bad")]
    told = words(await refusal_of(secrets.set("s", Sensitive(VALUE))))
    assert told == "Azure answered 400: Code (Inner): <hidden> and <hidden> are bad"


async def test_huge_answer(odd: OddCloud) -> None:
    async with way_to(odd, body_bytes=10_000, read_retries=0) as cloud:
        for said in (Said(200, b"x" * 20_000), Said(200, json.dumps({"value": "x" * 20_000}).encode())):
            odd.script = [said]
            assert (await refusal_of(secrets_of(cloud).get("s"))).reason == "CloudUndecided"
        odd.script = [error(400, message="x" * 20_000)]
        assert (await refusal_of(secrets_of(cloud).delete("s"))).reason == "CloudUndecided"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_nothing_is_followed_elsewhere(odd: OddCloud, secrets: VaultSecrets, status: int) -> None:
    for work in (CHANGES["set"], CHANGES["delete"], READS["get"]):
        odd.script, odd.seen = [Said(status, b"", {"Location": f"https://demo.vault.localhost:{odd.port}/x"})], []
        refusal = await refusal_of(work(secrets))
        assert (refusal.reason, len(odd.seen)) == ("CloudUnreachable", 1)


async def test_names_that_do_not_resolve(odd: OddCloud) -> None:
    details = AzureDetails(
        client_id="c1",
        tenant_id="t1",
        **{**odd.endpoints(), "key_vault_dns_suffix": "vault.invalid"},
    )
    async with reaching(details, Credentials(client_secret=Sensitive("x")), read_retries=0) as cloud:
        refusal = await refusal_of(secrets_of(cloud).set("s", Sensitive(VALUE)))
        assert (type(refusal), refusal.reason) == (Unavailable, "CloudUnreachable")


async def test_too_many_at_once(odd: OddCloud) -> None:
    async with way_to(odd, at_once=1, queue_s=0.1, read_s=5) as cloud:
        odd.script = [HANG]
        slow = asyncio.create_task(secrets_of(cloud).get("s"))
        await odd.arrived.wait()
        assert (await refusal_of(secrets_of(cloud).get("s"))).reason == "CloudThrottled"
        assert len(odd.seen) == 1
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        await secrets_of(cloud).get("s")


async def test_after_closing(odd: OddCloud) -> None:
    async with way_to(odd) as cloud:
        secrets = secrets_of(cloud)
    assert (await refusal_of(secrets.get("s"))).reason == "CloudUnreachable"
    assert (await refusal_of(secrets.delete("s"))).reason == "CloudUnreachable"
    assert odd.seen == []


async def test_budgets() -> None:
    budget = Budget(3, 1, 0.05)
    await budget.take(creates=True)
    with pytest.raises(Throttled, match="CloudThrottled") as refused:
        await budget.take(creates=True)
    assert refused.value.facts["retry_after_s"] == 2
    await budget.take()
    await budget.take()
    with pytest.raises(Throttled, match="CloudThrottled"):
        await budget.take()
    budgets = AzureBudgets(1.0, most=2)
    first = budgets.of_vault("https://a")
    assert budgets.of_vault("https://a") is first
    assert budgets.of_subscription("https://a", "S") is budgets.of_subscription("https://a", "s")
    assert budgets.of_vault("https://a") is first
    budgets.of_vault("https://b")
    budgets.of_vault("https://c")
    assert budgets.of_vault("https://a") is not first
