"""The ledger of intents: one open intent a subject, ended by its holder alone, taken up when nobody holds it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from claviger.core.clock import ManualClock, SystemClock
from claviger.core.errors import Conflict, Unavailable
from claviger.jobs import records
from claviger.jobs.holder import is_dead, own_name
from claviger.jobs.intents import FIRST_PAUSE_S, LEASE_S, Finisher, Intents
from claviger.jobs.records import Intent
from claviger.store.contract import Store
from claviger.store.opening import open_store

START = 1_800_000_000.0


@dataclass
class Ledger:
    """Two servers' ledgers on one database."""

    store: Store
    machine: ManualClock
    mine: Intents
    theirs: Intents

    async def begin(self, subject: str = "s", who: Intents | None = None) -> Intent:
        intents = who or self.mine
        ident = Intents.new_id()
        return await self.store.write(lambda tx: intents.begin(tx, ident, "kind", subject, {"a": 1}))

    async def open_count(self) -> int:
        """How many intents are open."""
        [(count,)] = await self.store.read("SELECT COUNT(*) FROM intents")
        return int(count)


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    store = await open_store(database_url, SystemClock())
    machine = ManualClock(START)
    try:
        yield Ledger(store, machine, Intents(store, machine, machine), Intents(store, machine, machine))
    finally:
        await store.close()


async def test_a_subject_has_one_open_intent(ledger: Ledger) -> None:
    first = await ledger.begin()
    with pytest.raises(Conflict, match="OperationUnderWay"):
        await ledger.begin()
    await ledger.begin("another")
    await ledger.store.write(lambda tx: ledger.mine.end(tx, first))
    await ledger.begin()


async def test_a_refused_change_leaves_no_intent(ledger: Ledger) -> None:
    def change(tx: object) -> None:
        ledger.mine.begin(tx, Intents.new_id(), "kind", "s", {})  # type: ignore[arg-type]
        raise Conflict("Later")

    with pytest.raises(Conflict, match="Later"):
        await ledger.store.write(change)
    assert await ledger.open_count() == 0


async def test_what_is_held_is_left_alone_until_its_lease_ends(ledger: Ledger) -> None:
    intent = await ledger.begin()
    assert await ledger.theirs.take_up() == []
    ledger.machine.advance(LEASE_S + 1)
    taken = await ledger.theirs.take_up()
    assert [(found.id, found.payload, found.attempts) for found in taken] == [(intent.id, '{"a":1}', 1)]
    with pytest.raises(Conflict, match="TakenOver"):  # the first holder wakes up late: what it knows no longer counts
        await ledger.store.write(lambda tx: ledger.mine.end(tx, intent))
    await ledger.store.write(lambda tx: ledger.theirs.end(tx, taken[0]))
    assert await ledger.open_count() == 0


async def test_a_lease_that_has_ended_is_not_the_one_that_followed_it(ledger: Ledger) -> None:
    """Also within one server: whoever was too slow does not end what its own finisher has taken up meanwhile."""
    slow = await ledger.begin()
    ledger.machine.advance(LEASE_S + 1)
    (taken,) = await ledger.mine.take_up()
    for act in (ledger.mine.end, ledger.mine.check_held):
        with pytest.raises(Conflict, match="TakenOver"):
            await ledger.store.write(lambda tx, act=act: act(tx, slow))
    await ledger.mine.let_go(slow, Unavailable("CloudUndecided"))
    await ledger.store.write(lambda tx: ledger.mine.check_held(tx, taken))
    assert await ledger.mine.take_up() == []
    await ledger.store.write(lambda tx: ledger.mine.end(tx, taken))


async def test_what_was_sent_is_in_doubt_for_half_a_minute(ledger: Ledger) -> None:
    """As long as that it is too early to send it again; what a crash has left was certainly cut off with it."""
    intent = await ledger.begin()
    assert not ledger.mine.in_doubt(intent)
    await ledger.mine.let_go(intent, Unavailable("CloudUndecided"), sent=True)
    began = ledger.machine.now()
    while True:
        while not (taken := await ledger.mine.take_up()):
            ledger.machine.advance(0.25)
        (intent,) = taken
        if not ledger.mine.in_doubt(intent):
            break
        await ledger.mine.let_go(intent, Unavailable("CloudUndecided"))
    assert 25 < ledger.machine.now() - began < 40


async def test_a_refusal_tells_what_it_is_that_waits(ledger: Ledger) -> None:
    intent = await ledger.begin()
    with pytest.raises(Conflict) as refused:
        await ledger.begin()
    assert "another operation (kind)" in str(refused.value.facts["message"])
    await ledger.mine.let_go(intent, Unavailable("CloudUnreachable", message="no route"))
    with pytest.raises(Conflict) as refused:
        await ledger.begin()
    assert str(refused.value.facts["message"]).endswith("(it waits: CloudUnreachable: no route)")


async def test_what_was_let_go_is_not_under_way(ledger: Ledger) -> None:
    intent = await ledger.begin("azure/v/secrets/s")
    assert await ledger.store.write(lambda tx: records.under_way(tx, "azure/v/"))
    assert not await ledger.store.write(lambda tx: records.under_way(tx, "azure/w/"))
    await ledger.mine.let_go(intent, Unavailable("CloudUnreachable"))
    assert not await ledger.store.write(lambda tx: records.under_way(tx, "azure/v/"))


async def test_two_servers_never_take_up_the_same(ledger: Ledger) -> None:
    for number in range(20):
        await ledger.begin(f"s{number}")
    ledger.machine.advance(LEASE_S + 1)
    halves = await asyncio.gather(ledger.mine.take_up(20), ledger.theirs.take_up(20))
    ids = [found.id for half in halves for found in half]
    assert len(ids) == len(set(ids)) == 20


def name_of_one_that_has_ended() -> str:
    code = "from claviger.jobs.holder import own_name; print(own_name())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return told.stdout.strip()


async def test_the_leases_of_a_process_that_has_ended_end_at_once(ledger: Ledger) -> None:
    ledger.theirs.holder = name_of_one_that_has_ended()
    intent = await ledger.begin(who=ledger.theirs)
    await ledger.begin("mine")
    assert await ledger.mine.release_the_dead() == 1
    assert [found.id for found in await ledger.mine.take_up()] == [intent.id]


def test_only_a_process_that_is_known_to_be_gone_is_dead() -> None:
    alive = own_name()
    assert not is_dead(alive)
    boot, namespace, pid, started, mark = alive.split(":")
    assert int(pid) == os.getpid()
    assert is_dead(":".join([boot, namespace, pid, str(int(started) + 1), mark]))  # its number was given to another
    assert not is_dead(":".join(["another-boot", namespace, "1", started, mark]))
    assert not is_dead(":".join([boot, "1", "999999", started, mark]))
    assert not any(is_dead(name) for name in ("elsewhere:0123", "", "a:b:c:d:e"))


def test_the_remains_of_a_process_are_dead() -> None:
    """Killed, and nobody has asked for its exit code: as in a container whose first process does not."""
    code = "import sys; from claviger.jobs.holder import own_name; print(own_name(), flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert not is_dead(name)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_dead(name)
    finally:
        process.kill()
        process.communicate()


async def test_one_that_hangs_does_not_hold_up_the_others(ledger: Ledger) -> None:
    stuck, done = asyncio.Event(), asyncio.Event()

    async def finish(intent: Intent) -> None:
        if intent.subject == "stuck":
            stuck.set()
            await asyncio.Event().wait()
        await ledger.store.write(lambda tx: ledger.theirs.end(tx, intent))
        done.set()

    await ledger.begin("stuck")
    ledger.machine.advance(LEASE_S + 1)
    work = asyncio.create_task(Finisher(ledger.theirs, {"kind": finish}).run())
    try:
        async with asyncio.timeout(60):
            await stuck.wait()
            later = await ledger.begin("later")
            await ledger.mine.let_go(later, Unavailable("CloudUnreachable"))
            ledger.theirs.wake()
            ledger.machine.advance(2)
            ledger.theirs.wake()
            await done.wait()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert [row[0] for row in await ledger.store.read("SELECT subject FROM intents")] == ["stuck"]


async def test_what_cannot_be_finished_is_tried_again_ever_later(ledger: Ledger) -> None:
    intent = await ledger.begin()
    pauses = []
    for _ in range(4):
        await ledger.mine.let_go(intent, Unavailable("CloudUnreachable", message="no route"))
        before = ledger.machine.now()
        assert await ledger.mine.take_up() == []
        while not (taken := await ledger.mine.take_up()):
            ledger.machine.advance(0.5)
        pauses.append(ledger.machine.now() - before)
        intent = taken[0]
    assert pauses == [FIRST_PAUSE_S * 2**n for n in range(4)]


async def test_the_finisher_works_until_everything_is_ended(ledger: Ledger) -> None:
    """One that fails at first, one of an unknown kind, one that just works: each is dealt with for itself."""
    for subject in ("plain", "shy"):
        await ledger.begin(subject)
    await ledger.store.write(lambda tx: ledger.mine.begin(tx, Intents.new_id(), "unheard-of", "odd", {}))
    ledger.machine.advance(LEASE_S + 1)
    tried: list[str] = []
    done = asyncio.Event()

    async def finish(intent: Intent) -> None:
        tried.append(intent.subject)
        if intent.subject == "shy" and tried.count("shy") < 3:
            raise Unavailable("CloudUnreachable")
        await ledger.store.write(lambda tx: ledger.theirs.end(tx, intent))
        if await ledger.open_count() == 1:
            done.set()

    async def hurry() -> None:
        while not done.is_set():
            ledger.machine.advance(0.25)  # so slowly that no lease ends while its work is under way
            await asyncio.sleep(0.01)

    work = asyncio.create_task(Finisher(ledger.theirs, {"kind": finish}).run())
    try:
        await asyncio.wait_for(asyncio.gather(done.wait(), hurry()), 60)
    finally:
        work.cancel()
    assert (tried.count("plain"), tried.count("shy")) == (1, 3)
    left = await ledger.store.read("SELECT kind, last_error FROM intents")
    assert left == [("unheard-of", "KindUnknown: unheard-of")]
