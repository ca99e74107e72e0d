"""What time brings about: dates, the end of retention, tokens that expire. The clock is the test's to move."""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from claviger.core.clock import ManualClock
from claviger.keyvault.directory.signing import SigningKeys
from claviger.keyvault.vaults.operations import NewVault, assign_role, create_vault
from tests.inprocess import AUDIENCE, DAY_S, START, MovableServer, Run, runs_on
from tests.vaults import refused, version_of

RETENTION_S = 90 * DAY_S


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def run(database_url: str, tmp_path: Path, clock: ManualClock) -> Run:
    data = tmp_path / "data"
    (tmp_path / "database").mkdir(mode=0o700, exist_ok=True)
    return runs_on(database_url, data, clock)


async def _make_vault(server: MovableServer, name: str, **settings: Any) -> str:
    house = server.services.house
    asked = NewVault(name=name, **settings)
    await create_vault(house.store, house.clock, asked)
    await assign_role(
        house.store,
        house.clock,
        role="Key Vault Secrets Officer",
        principal=server.demo.client_id,
        vault=name,
        secret=None,
    )
    return name


async def _until_swept(server: MovableServer, left: int) -> None:
    """The sweep runs beside requests: gives it turns of the loop until so many secrets are left."""
    give_up_at = time.monotonic() + 60
    while (await server.stored())[0] != left:
        assert time.monotonic() < give_up_at, f"{await server.stored()} secrets and versions are left, not {left}"
        await asyncio.sleep(0.01)


async def test_dates_are_those_of_the_moment(run: Run, clock: ManualClock):
    async with run() as server:
        clock.advance(0.9)
        first = await server.put("s")
        assert first["attributes"]["created"] == first["attributes"]["updated"] == int(START)
        clock.advance(100)
        second = await server.put("s", "second")
        assert second["attributes"]["created"] == int(START) + 100
        clock.advance(100)
        updated = await server.accept("PATCH", f"/secrets/s/{version_of(first)}", {"contentType": "x"})
        assert (updated["attributes"]["created"], updated["attributes"]["updated"]) == (int(START), int(START) + 200)
        untouched = await server.accept("GET", f"/secrets/s/{version_of(second)}")
        assert untouched["attributes"] == second["attributes"]
        clock.advance(100)
        gone = await server.accept("DELETE", "/secrets/s")
        assert (gone["deletedDate"], gone["scheduledPurgeDate"]) == (int(START) + 300, int(START) + 300 + RETENTION_S)
        assert gone["attributes"] == second["attributes"]
        clock.advance(100)
        assert (await server.accept("POST", "/deletedsecrets/s/recover"))["attributes"] == second["attributes"]
        blob = (await server.accept("POST", "/secrets/s/backup"))["value"]
        await server.accept("DELETE", "/secrets/s")
        assert await server.status("DELETE", "/deletedsecrets/s") == 204
        clock.advance(DAY_S)
        restored = await server.accept("POST", "/secrets/restore", {"value": blob})
        assert restored["attributes"] == second["attributes"]
        older = await server.accept("GET", f"/secrets/s/{version_of(first)}")
        assert older["attributes"] == updated["attributes"]


async def test_latest_is_the_version_made_last_even_when_the_clock_went_back(run: Run, clock: ManualClock):
    async with run() as server:
        await server.put("s", "first")
        clock.advance(-1000)
        await server.put("s", "last")
        assert (await server.accept("GET", "/secrets/s"))["value"] == "last"
        blob = (await server.accept("POST", "/secrets/s/backup"))["value"]
        await server.accept("DELETE", "/secrets/s")
        await server.status("DELETE", "/deletedsecrets/s")
        await server.accept("POST", "/secrets/restore", {"value": blob})
        assert (await server.accept("GET", "/secrets/s"))["value"] == "last"


@pytest.mark.parametrize(("days", "protected"), [(90, False), (7, False), (7, True), (90, True)])
async def test_retention_ends_on_its_second_and_not_before(run: Run, clock: ManualClock, days: int, protected: bool):
    async with run() as server:
        vault = await _make_vault(server, "timed", retention_days=days, purge_protection=protected)
        await server.put("s", vault=vault)
        await server.put("s", vault=vault)
        clock.advance(0.75)
        gone = await server.accept("DELETE", "/secrets/s", vault=vault)
        assert gone["scheduledPurgeDate"] == int(START) + days * DAY_S
        clock.set(gone["scheduledPurgeDate"] - 0.001)
        assert await server.services.sweeper.sweep() == 0
        assert await server.accept("GET", "/deletedsecrets/s", vault=vault) == gone
        clock.set(gone["scheduledPurgeDate"])
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/recover")):
            answer = await server.ask(method, f"/deletedsecrets/s{path}", vault=vault)
            refused(answer, 404, "SecretNotFound")
        assert (await server.accept("GET", "/deletedsecrets", vault=vault))["value"] == []
        server.services.sweeper.wake()
        await _until_swept(server, 0)
        assert await server.stored() == (0, 0)
        assert "tags" not in await server.put("s", "anew", vault=vault)


async def test_a_name_is_free_from_the_purge_date_on_even_before_the_sweep(run: Run, clock: ManualClock):
    async with run(work=False) as server:
        for name in ("set-again", "restored"):
            await server.put(name, "old", tags={"old": "1"})
        blob = (await server.accept("POST", "/secrets/restored/backup"))["value"]
        for name in ("set-again", "restored"):
            await server.accept("DELETE", f"/secrets/{name}")
        clock.advance(RETENTION_S - 1)
        assert await server.status("PUT", "/secrets/set-again", {"value": "too early"}) == 409
        assert await server.status("POST", "/secrets/restore", {"value": blob}) == 409
        clock.advance(1)
        await server.put("set-again", "new")
        await server.accept("POST", "/secrets/restore", {"value": blob})
        assert (await server.accept("GET", "/secrets/set-again"))["value"] == "new"
        assert (await server.accept("GET", "/secrets/restored"))["tags"] == {"old": "1"}
        assert len((await server.accept("GET", "/secrets/set-again/versions"))["value"]) == 1
        assert await server.services.sweeper.sweep() == 0
        assert await server.stored() == (2, 2)


async def test_what_became_due_while_the_server_was_down_is_purged_at_its_start(run: Run, clock: ManualClock):
    async with run() as server:
        for number in range(3):
            await server.put(f"s{number}")
        await server.accept("DELETE", "/secrets/s0")
        clock.advance(DAY_S)
        await server.accept("DELETE", "/secrets/s1")
    clock.advance(RETENTION_S - DAY_S)
    async with run() as server:
        assert await server.status("GET", "/deletedsecrets/s0") == 404
        assert await server.status("GET", "/deletedsecrets/s1") == 200
        await _until_swept(server, 2)
    clock.advance(10 * RETENTION_S)
    async with run() as server:
        await _until_swept(server, 1)
        assert (await server.accept("GET", "/secrets/s2"))["value"] == "value"


async def test_a_recovered_secret_is_not_purged_on_the_date_it_once_had(run: Run, clock: ManualClock):
    async with run() as server:
        await server.put("s", "kept")
        first = await server.accept("DELETE", "/secrets/s")
        clock.advance(DAY_S)
        await server.accept("POST", "/deletedsecrets/s/recover")
        clock.set(first["scheduledPurgeDate"] + 1)
        assert await server.services.sweeper.sweep() == 0
        assert (await server.accept("GET", "/secrets/s"))["value"] == "kept"
        second = await server.accept("DELETE", "/secrets/s")
        assert second["scheduledPurgeDate"] == first["scheduledPurgeDate"] + 1 + RETENTION_S


async def test_hundreds_that_are_due_at_once_all_go(run: Run, clock: ManualClock):
    async with run(work=False) as server:
        names = [f"s{number}" for number in range(450)]
        await server.sign_in()
        await asyncio.gather(*(server.put(name) for name in names))
        await asyncio.gather(*(server.accept("DELETE", f"/secrets/{name}") for name in names))
        clock.advance(RETENTION_S)
        assert await server.services.sweeper.sweep() == 450
        assert await server.stored() == (0, 0)


async def test_under_a_jumping_clock_nothing_goes_early_and_nothing_stays(run: Run, clock: ManualClock, seed: int):
    chance = random.Random(seed)
    due: dict[str, int] = {}
    async with run(work=False) as server:
        for number in range(60):
            name = f"s{number}"
            await server.put(name)
            due[name] = (await server.accept("DELETE", f"/secrets/{name}"))["scheduledPurgeDate"]
            clock.advance(chance.choice([-5 * DAY_S, -1, 0, 0.5, 1, DAY_S, 3 * DAY_S, 20 * DAY_S]))
            await server.services.sweeper.sweep()
            gone = [each for each, at in due.items() if at <= clock.now()]
            for each in gone:
                del due[each]
            assert (await server.stored())[0] == len(due), f"seed {seed}, step {number}"
            for each in chance.sample(sorted(due), min(3, len(due))):
                assert await server.status("GET", f"/deletedsecrets/{each}") == 200, f"seed {seed}, step {number}"


async def test_the_sweep_waits_until_the_next_date_by_itself(run: Run, clock: ManualClock):
    """The wait itself is real time: an instant short of the date, the clock is moved, and the sweep finds it is due."""
    async with run(sweep_s=1) as server:
        await server.put("s")
        gone = await server.accept("DELETE", "/secrets/s")
        clock.set(gone["scheduledPurgeDate"])
        await _until_swept(server, 0)


async def test_a_token_is_good_until_its_second_and_no_longer(run: Run, clock: ManualClock):
    async with run() as server:
        token = await server.sign_in()
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["exp"] == int(START) + 3600
        for at, status in ((0, 200), (claims["exp"] - 0.001, 200), (claims["exp"], 401), (claims["exp"] + 1, 401)):
            clock.set(max(at, START))
            answer = await server.ask("GET", "/secrets", token=token)
            assert answer.status_code == status, at
        refused(answer, 401, "Unauthorized", r"Error validating token: .*expired.*")
        assert answer.headers["www-authenticate"].startswith("Bearer authorization=")


async def test_a_token_outlives_a_restart(run: Run):
    async with run() as server:
        token = await server.sign_in()
    async with run() as server:
        assert (await server.ask("GET", "/secrets", token=token)).status_code == 200


WRONG_CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"exp": int(START) - 1}, r"Error validating token: .*expired.*"),
    "not yet valid": ({"nbf": int(START) + 301}, r"Error validating token: .*not yet valid.*"),
    "no expiry": ({"exp": None}, r"Error validating token: .+"),
    "expiry as text": ({"exp": "4000000000"}, r"Error validating token: .+"),
    "no audience": ({"aud": None}, r"Error validating token: .+"),
    "audience of another host": (
        {"aud": "https://vault.example.org"},
        rf"AKV10022: Invalid audience\. Expected {AUDIENCE}, found: https://vault\.example\.org\.",
    ),
    "several audiences": ({"aud": [AUDIENCE, "x"]}, r"Error validating token: .+"),
    "no tenant": ({"tid": None}, r"Error validating token: .+"),
    "another tenant": ({"tid": "0" * 8}, r"AKV10032: Invalid issuer\. Expected one of .+, found .+\."),
    "another issuer": (
        {"iss": "https://sts.example.org/"},
        r"AKV10032: Invalid issuer\. Expected one of .+, found https://sts\.example\.org/\.",
    ),
    "issuer of another tenant": (
        {"iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/"},
        r"AKV10032: Invalid issuer\. Expected one of .+, found .+\.",
    ),
    "no principal": ({"oid": None}, r"Error validating token: .+"),
    "principal as a number": ({"oid": 5}, r"Error validating token: .+"),
    "groups as text": ({"groups": "admins"}, r"Error validating token: .+"),
}


async def test_wrong_claims_do_not_hold_even_under_the_right_key(run: Run):
    async with run() as server:
        claims = jwt.decode(await server.sign_in(), options={"verify_signature": False})
        assert (await server.ask("GET", "/secrets", token=await _signed(server, claims))).status_code == 200
        for case, (changes, message) in WRONG_CLAIMS.items():
            wrong = {name: value for name, value in {**claims, **changes}.items() if value is not None}
            answer = await server.ask("GET", "/secrets", token=await _signed(server, wrong))
            assert answer.status_code == 401, case
            refused(answer, 401, "Unauthorized", message)


async def _signed(server: MovableServer, claims: dict[str, Any]) -> str:
    """A token under the server's own key, which no client could make."""
    house = server.services.house
    keys = SigningKeys(house.store, house.keyring, house.clock)
    await keys.refresh()
    signer = await keys.signer()
    # Signed as plain bytes: the library would not make a token of claims that are wrong.
    return jwt.PyJWS().encode(json.dumps(claims).encode(), signer.private, "RS256", headers={"kid": signer.kid})


async def test_the_accepted_issuers(run: Run):
    async with run() as server:
        claims = jwt.decode(await server.sign_in(), options={"verify_signature": False})
        tenant = claims["tid"]
        for issuer in (
            f"https://sts.windows.net/{tenant}/",
            f"https://login.microsoftonline.com/{tenant}/v2.0",
            f"https://login.localhost:8443/{tenant}/v2.0",
        ):
            token = await _signed(server, {**claims, "iss": issuer})
            assert (await server.ask("GET", "/secrets", token=token)).status_code == 200, issuer


async def test_the_windows_of_deletion_and_recovery_can_be_opened(run: Run, clock: ManualClock):
    async with run(switches=True) as server:
        assert server.services.switches is not None
        server.services.switches.settle(5, 5)
        made = await server.put("s", "kept")
        await server.accept("DELETE", "/secrets/s")
        refused(await server.ask("GET", "/deletedsecrets/s"), 404, "SecretNotFound", "Deleted Secret not found: s")
        refused(await server.ask("GET", "/secrets/s"), 404, "SecretNotFound")
        being = "Secret s is currently being deleted and cannot be re-created; retry later."
        refused(
            await server.ask("PUT", "/secrets/s", {"value": ""}), 409, "Conflict", being, inner="ObjectIsBeingDeleted"
        )
        purge = await server.ask("DELETE", "/deletedsecrets/s")
        refused(purge, 409, "Conflict", "Secret is currently being deleted.", inner="ObjectIsBeingDeleted")
        assert (await server.accept("GET", "/deletedsecrets"))["value"] == []
        clock.advance(5)
        assert await server.status("GET", "/deletedsecrets/s") == 200
        await server.accept("POST", "/deletedsecrets/s/recover")
        refused(await server.ask("GET", "/secrets/s"), 404, "SecretNotFound")
        assert (await server.accept("GET", "/secrets"))["value"] == []
        being = "Secret s is currently being recovered and cannot be re-created; retry later."
        refused(
            await server.ask("PUT", "/secrets/s", {"value": ""}), 409, "Conflict", being, inner="ObjectIsBeingRecovered"
        )
        clock.advance(5)
        assert await server.accept("GET", "/secrets/s") == made
