"""Synchronisation without a cloud: the brake, patience, what is compared, what is kept until a vault was read."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from claviger.cckm.azure.secrets.cloud import CloudSecret, parsed_page
from claviger.cckm.azure.secrets.conclusions import told_of
from claviger.cckm.azure.secrets.rows import SecretRow, encode_details
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.synchronization.cloud import with_version
from claviger.cckm.azure.synchronization.comparing import Sighting, Stamp, in_order, is_as_known, settle, told_in
from claviger.cckm.azure.synchronization.records import Known
from claviger.cckm.azure.synchronization.rules import is_racy
from claviger.cckm.synchronization.gate import Gate, Gates
from claviger.cckm.synchronization.rules import (
    THROTTLED_FOR_S,
    braked,
    choice_problems,
    is_given_up,
    overall,
    pause_after,
    shown_status,
)
from claviger.cckm.synchronization.seen import Seen
from claviger.cckm.synchronization.spool import Spool
from claviger.core.errors import Forbidden, Throttled, Unavailable

STAMP = Stamp(vault_num=7, by="somebody", now=1_800_000_100.0)


@pytest.mark.parametrize(
    ("known", "would_go", "stops"),
    [
        (5, 5, False),
        (10, 10, False),
        (11, 11, True),
        (100, 10, False),
        (100, 11, True),
        (1000, 100, False),
        (1000, 101, True),
        (0, 0, False),
        (0, 11, True),
    ],
)
def test_the_brake(known: int, would_go: int, stops: bool) -> None:
    assert braked(known, would_go, 10) is stops


def test_a_brake_of_all_never_stops() -> None:
    assert not braked(500, 500, 100)


def test_what_was_changed_shortly_before_is_looked_at_again() -> None:
    assert is_racy(1000, 1000.5)
    assert is_racy(1000, 1119.0)
    assert not is_racy(1000, 1121.0)
    assert is_racy(5, 0.0)


def test_patience_ends() -> None:
    assert pause_after(1) == 0.5
    assert pause_after(5) is None
    assert not is_given_up(1000, THROTTLED_FOR_S - 1)
    assert not is_given_up(5, 10_000)
    assert is_given_up(20, THROTTLED_FOR_S)


def test_exactly_one_choice_of_vaults() -> None:
    assert choice_problems(["a"], False, "key_vaults") == choice_problems([], True, "key_vaults") == {}
    assert "key_vaults" in choice_problems([], False, "key_vaults")
    assert "synchronize_all" in choice_problems(["a"], True, "key_vaults")
    assert "vaults" in choice_problems(["a"] * 1001, False, "vaults")


def test_how_jobs_end() -> None:
    assert overall([]) == overall(["completed", "completed"]) == overall(["completed", "cancelled"]) == "completed"
    assert overall(["completed", "failed"]) == "failed"
    assert [shown_status(state) for state in ("waiting", "in_progress", "cancelled")] == [
        "in_progress",
        "in_progress",
        "failed",
    ]


# The gate.


class Vault:
    """Answers calls by a script, and counts them."""

    def __init__(self, *script: Exception | str) -> None:
        self.script = list(script)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        told = self.script.pop(0)
        if isinstance(told, Exception):
            raise told
        return told


class Time:
    """A steady clock that moves by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def steady(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def gate(self) -> Gate:
        return Gate(steady=self.steady, sleep=self.sleep)


def throttled(seconds: int) -> Throttled:
    return Throttled("CloudThrottled", retry_after_s=seconds)


async def test_a_throttled_call_is_made_again_when_the_vault_lets_it() -> None:
    time = Time()
    gate = time.gate()
    assert await gate.ask(Vault(throttled(7), throttled(2), "done")) == "done"
    assert time.slept == [7, 2]
    assert (gate.calls, gate.throttled) == (3, 2)


async def test_one_throttled_call_holds_up_the_others() -> None:
    called: list[float] = []
    gate = Gate()

    async def refused_once() -> str:
        called.append(asyncio.get_running_loop().time())
        if len(called) == 1:
            raise throttled(1)
        return "done"

    async def another() -> str:
        called.append(asyncio.get_running_loop().time())
        return "done"

    first = asyncio.create_task(gate.ask(refused_once))
    await asyncio.sleep(0)
    assert gate.closed_for() > 0
    await asyncio.gather(first, *(gate.ask(another) for _ in range(5)))
    assert all(at - called[0] >= 1 for at in called[1:])
    assert len(called) == 7


async def test_what_fails_is_tried_a_few_times() -> None:
    time, undecided = Time(), Unavailable("CloudUndecided")
    assert await time.gate().ask(Vault(undecided, undecided, "done")) == "done"
    assert time.slept == [0.5, 1.0]
    with pytest.raises(Unavailable):
        await time.gate().ask(Vault(*[undecided] * 5))
    refused = Vault(Forbidden("CloudRefused"))
    with pytest.raises(Forbidden):
        await time.gate().ask(refused)
    assert refused.calls == 1


async def test_a_vault_that_never_lets_anything_through_is_given_up() -> None:
    time = Time()
    with pytest.raises(Throttled):
        await time.gate().ask(Vault(*[throttled(10)] * 1000))
    assert THROTTLED_FOR_S <= time.now <= 2 * THROTTLED_FOR_S
    with pytest.raises(Throttled):
        await time.gate().ask(Vault(throttled(3600)))


async def test_a_gate_is_shared_while_somebody_holds_it() -> None:
    known = Gates()
    gate = known.of("a")
    assert known.of("a") is gate
    assert known.of("b") is not gate


# What is seen, and kept.


def test_who_was_seen() -> None:
    seen = Seen(10, 30)
    for num in (10, 17, 30, 30, 31, 5):
        seen.add(num, counts=num != 17)
    assert seen.count == 2
    assert [num for num in range(5, 35) if not seen.has(num)] == [n for n in range(11, 30) if n != 17]
    assert Seen(1, 0).has(1)


def version(name: str = "s", ident: str = "1" * 32, **more: Any) -> CloudSecret:
    known: dict[str, Any] = {"created_at": 1000, "updated_at": 1000, "recovery_level": "Recoverable+Purgeable"}
    return CloudSecret(
        name=name, version=ident, id=f"https://v.vault.azure.net/secrets/{name}/{ident}", **{**known, **more}
    )


@pytest.mark.parametrize("in_memory_bytes", [100, 10_000_000])
def test_the_spool_gives_back_what_it_was_given(in_memory_bytes: int) -> None:
    spool = Spool(Sighting, lambda each: len(each.versions), in_memory_bytes)
    given = [Sighting(f"s-{number}", number % 2 == 0, [version(f"s-{number}")] * (number % 4)) for number in range(50)]
    for each in given:
        spool.put(each)
    for most in (1, 7, 1000):
        assert [each for portion in spool.portions(most) for each in portion] == given
    assert max(len(portion) for portion in spool.portions(7)) <= 7
    spool.close()


# Comparing.


def row(said: CloudSecret, num: int = 1, status: Status = Status.AVAILABLE, **more: Any) -> SecretRow:
    known: dict[str, Any] = {"backup": None, "backup_at": None, "synced_at": 1.0, "created_by": "", "modified_by": ""}
    return SecretRow(
        id=f"id-{num}",
        num=num,
        vault_num=7,
        name=said.name,
        version=said.version,
        status=status,
        soft_deleted=status is Status.SOFT_DELETED,
        origin="cckm",
        told=told_of(said),
        created_at=1.0,
        updated_at=1.0,
        **{**known, **more},
    )


def known_of(said: CloudSecret, origin: str = "native", status: str = "AVAILABLE", gone: int = 0) -> Known:
    return Known(1, said.version, status, gone, encode_details(told_of(said), origin), 0.0)


FACTS: dict[str, Any] = {
    "content_type": "text/plain",
    "tags": {"a": "b"},
    "managed": True,
    "enabled": False,
    "not_before": 5,
    "expires_at": 6,
    "created_at": 999,
    "updated_at": 1001,
    "recovery_level": "Purgeable",
    "recoverable_days": 7,
}


@pytest.mark.parametrize("field", FACTS)
@pytest.mark.parametrize("origin", ["cckm", "native", "unknown"])
def test_every_fact_of_a_list_is_compared(field: str, origin: str) -> None:
    said = version(tags={"x": "y", "z": "w"})
    listed = msgspec.structs.replace(said, version="", id=said.id.rpartition("/")[0])
    assert is_as_known(listed, known_of(said, origin), is_deleted=False)
    swapped = msgspec.structs.replace(listed, tags={"z": "w", "x": "y"})
    assert is_as_known(swapped, known_of(said, origin), is_deleted=False)
    other = msgspec.structs.replace(listed, **{field: FACTS[field]})
    assert not is_as_known(other, known_of(said, origin), is_deleted=False)
    assert not is_as_known(listed, known_of(said, origin), is_deleted=True)
    assert not is_as_known(listed, known_of(said, origin, gone=1), is_deleted=False)
    assert not is_as_known(listed, known_of(said, origin, "DELETED"), is_deleted=False)


def test_what_is_stored_is_read_back() -> None:
    said = version(**FACTS, deleted_at=3, purge_at=4)
    assert told_in(encode_details(told_of(said), "native")) == told_of(said)
    assert told_in(encode_details(told_of(version()), "native")) == told_of(version())


def test_of_versions_of_one_second_the_newest_is_the_one_that_is_listed() -> None:
    one, two, old = version(ident="1" * 32, tags={"a": "b"}), version(ident="2" * 32), version(ident="3" * 32)
    old = msgspec.structs.replace(old, created_at=900)
    assert in_order([one, two, old], version(tags={"a": "b"})) == [old, two, one]
    assert in_order([one, two, old], version()) == [old, one, two]


def settled(sighting: Sighting, *rows: SecretRow) -> Any:
    return settle(sighting, rows, STAMP, [f"new-{number}" for number in range(len(sighting.versions))])


def test_nothing_becomes_of_what_is_as_it_is_known() -> None:
    said = version()
    done = settled(Sighting("s", False, [said]), row(said))
    assert (done.added, done.changed) == ([], [])
    relabelled = msgspec.structs.replace(said, id=said.id.replace("/s/", "/S/"))
    assert settled(Sighting("s", False, [relabelled]), row(said)).changed == []


def test_a_record_that_was_deleted_for_good_lives_again_when_its_version_does() -> None:
    said, other = version(), version(ident="2" * 32)
    done = settled(Sighting("s", False, [said, other]), row(said, status=Status.DELETED))
    assert [each.version for each in done.added] == [other.version]
    assert [(each.num, each.status) for each in done.changed] == [(1, Status.AVAILABLE)]
    twins = (row(said, 1, Status.DELETED), row(said, 2))
    assert settled(Sighting("s", False, [said]), *twins).changed == []


def test_a_deleted_secret_takes_all_its_versions_along() -> None:
    said, older = version(deleted_at=5, purge_at=6), version(ident="2" * 32, created_at=500)
    rows = (row(version(), 1), row(older, 2), row(version(ident="3" * 32), 3, Status.DELETED))
    done = settled(Sighting("s", True, [said]), *rows)
    assert {each.num: each.status for each in done.changed} == {1: Status.SOFT_DELETED, 2: Status.SOFT_DELETED}
    assert all((each.told.deleted_at, each.told.purge_at) == (5, 6) for each in done.changed)
    assert done.fields == {"status": ("AVAILABLE", "SOFT-DELETED")}


def test_a_page_as_it_is_on_the_wire() -> None:
    raw = (
        b'{"value":[{"id":"https://v.vault.azure.net/secrets/s","attributes":{"enabled":null,"created":1,"updated":2,'
        b'"nbf":3,"exp":4,"recoveryLevel":"Purgeable","recoverableDays":0},"tags":{"a":"b"},"contentType":"c"}],'
        b'"nextLink":null}'
    )
    [found] = parsed_page(raw)
    assert (found.name, found.version, found.enabled, found.tags) == ("s", "", True, {"a": "b"})
    assert with_version(found, "v").id == "https://v.vault.azure.net/secrets/s/v"
    assert with_version(found, "") == found
    assert parsed_page(b"{}") == parsed_page(b'{"value":null}') == []
    for odd in (b"", b"[]", b'{"value":[{}]}', b'{"value":[{"id":"x"}]}'):
        with pytest.raises((ValueError, IndexError)):
            parsed_page(odd)
