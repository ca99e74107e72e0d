"""The switches by themselves: movable clock, faults by chance and count, throttling windows, claims challenge."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from claviger.core.clock import ManualClock
from claviger.core.errors import Conflict, Invalid, NotFound, Throttled, Unauthenticated, Unavailable
from claviger.switches.board import Switches
from claviger.switches.clock import MovableClock
from claviger.switches.faults import MAX_FAULTS, Fault, Faults
from claviger.switches.throttle import Limits, Throttle

START = 1_800_000_000.0


def test_the_clock_follows_the_machine_until_it_is_moved() -> None:
    machine = ManualClock(START)
    clock = MovableClock(machine)
    machine.advance(10)
    assert clock.now() == START + 10
    clock.advance(90 * 86_400)
    machine.advance(5)
    assert clock.now() == START + 15 + 90 * 86_400
    clock.freeze()
    machine.advance(1000)
    assert clock.now() == START + 15 + 90 * 86_400
    clock.advance(-1)
    assert clock.now() == START + 14 + 90 * 86_400
    clock.run()
    machine.advance(1)
    assert clock.now() == START + 15 + 90 * 86_400
    clock.reset()
    assert (clock.now(), clock.offset_s, clock.frozen) == (machine.now(), 0.0, False)


@pytest.mark.parametrize("at", [0.0, -1e12, 1e12, float("nan"), float("inf")])
def test_the_clock_refuses_times_that_cannot_be_shown(at: float) -> None:
    clock = MovableClock(ManualClock(START))
    with pytest.raises(Invalid):
        clock.set(at)
    assert clock.now() == START


def test_a_fault_strikes_what_it_names_and_as_often_as_it_says() -> None:
    faults = Faults()
    faults.add(Fault(kind="status", service="keyvault", operation="secretget", place="Demo", count=2))
    calls = [("keyvault", "SecretSet", "demo"), ("login", "SecretGet", "demo"), ("keyvault", "SecretGet", "other")]
    assert [faults.striking(*call) for call in calls] == [None, None, None]
    struck = [faults.striking("keyvault", "SecretGet", "demo") is not None for _ in range(3)]
    assert struck == [True, True, False]
    assert [(each.hits, each.left) for each in faults.standing()] == [(2, 0)]


async def test_who_takes_a_fault_away_lets_go_of_what_it_delays() -> None:
    switches = Switches(MovableClock(ManualClock(START)))
    for disarm in (switches.faults.remove, lambda _: switches.faults.clear()):
        fault = switches.faults.add(Fault(kind="delay", delay_s=60.0))
        waiting = asyncio.create_task(switches.meet("keyvault", "SecretGet", "demo"))
        await asyncio.sleep(0)
        assert ([each.hits for each in switches.faults.standing()], waiting.done()) == ([1], False)
        disarm(fault.id)
        async with asyncio.timeout(30):
            assert await waiting is False
    switches.faults.add(Fault(kind="delay", delay_s=0.01))
    async with asyncio.timeout(30):
        assert await switches.meet("keyvault", "SecretGet", "demo") is False


def test_the_share_is_kept_and_the_seed_replays_it() -> None:
    def run(seed: int) -> list[bool]:
        faults = Faults()
        faults.add(Fault(kind="status", share=0.3, seed=seed))
        return [faults.striking("s", "o", "p") is not None for _ in range(2000)]

    assert run(7) == run(7) != run(8)
    assert 500 < sum(run(7)) < 700


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "status", "status": 200},
        {"kind": "delay"},
        {"kind": "delay", "delay_s": 61},
        {"kind": "status", "share": 0},
        {"kind": "status", "share": 1.5},
        {"kind": "status", "count": 0},
        {"kind": "status", "retry_after_s": -1},
        {"kind": "status", "operation": ""},
        {"kind": "status", "place": "p" * 300},
    ],
)
def test_bad_faults_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(Invalid, match="Fault"):
        Faults().add(Fault(**fields))  # type: ignore[arg-type]


def test_faults_are_bounded_and_removed_one_by_one() -> None:
    faults = Faults()
    ids = [faults.add(Fault(kind="drop")).id for _ in range(MAX_FAULTS)]
    with pytest.raises(Conflict):
        faults.add(Fault(kind="drop"))
    faults.remove(ids[3])
    with pytest.raises(NotFound):
        faults.remove(ids[3])
    faults.clear()
    assert faults.standing() == []


def test_a_window_holds_so_many_calls_per_vault_and_the_next_one_starts_anew() -> None:
    throttle = Throttle()
    throttle.take("v", "s", True, START)
    throttle.set(Limits(creates=2, others=3, window_s=10, subscription_factor=2, retry_after=True))
    now = START - START % 10
    for _ in range(2):
        throttle.take("v", "s", True, now)
    with pytest.raises(Throttled) as refused:
        throttle.take("v", "s", True, now + 9)
    assert refused.value.facts["retry_after_s"] == 2
    throttle.take("v", "s", False, now + 9)
    for _ in range(2):
        throttle.take("w", "s", True, now)
    with pytest.raises(Throttled):  # the subscription's ceiling
        throttle.take("x", "s", True, now)
    throttle.take("v", "s", True, now + 10)
    with pytest.raises(Invalid):
        throttle.set(Limits(creates=0))
    throttle.set(None)
    for _ in range(10):
        throttle.take("v", "s", True, now)


async def test_error_answers_by_kind() -> None:
    switches = Switches(MovableClock(ManualClock(START)))
    switches.faults.add(Fault(kind="status", status=429, retry_after_s=7, operation="a"))
    switches.faults.add(Fault(kind="status", status=503, operation="b"))
    switches.faults.add(Fault(kind="drop", operation="c"))
    with pytest.raises(Throttled) as throttled:
        await switches.meet("s", "a", "p")
    assert throttled.value.facts == {"retry_after_s": 7}
    with pytest.raises(Unavailable, match="Fault503"):
        await switches.meet("s", "b", "p")
    assert await switches.meet("s", "c", "p") is True
    assert await switches.meet("s", "d", "p") is False


def test_an_older_token_gets_a_claims_challenge_that_every_parser_takes() -> None:
    switches = Switches(MovableClock(ManualClock(START)))
    switches.check_token(0, "t")
    switches.revoke_tokens()
    switches.check_token(int(START), "t")
    with pytest.raises(Unauthenticated) as refused:
        switches.check_token(int(START) - 1, "t")
    claims = str(refused.value.facts["claims"])
    assert "=" not in claims
    assert json.loads(base64.b64decode(claims))["access_token"]["nbf"]["value"] == str(int(START))
    switches.revoke_tokens(0)
    switches.check_token(1, "t")
