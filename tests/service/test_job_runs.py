"""Long runs: one at a time for a key, saved with what they changed, resumed by whoever is free, never done twice."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import pytest

from claviger.core.clock import ManualClock, SystemClock
from claviger.core.errors import Conflict, NotFound, Unavailable
from claviger.jobs import run_records
from claviger.jobs.runs import (
    FIRST_PAUSE_S,
    LEASE_S,
    MOST_FAILURES,
    Run,
    Runner,
    Runs,
)
from claviger.store.contract import Store, Tx
from claviger.store.opening import open_store
from tests.stores import start_python

START = 1_800_000_000.0
KINDS = ["count"]
T = TypeVar("T")


@dataclass
class Ledger:
    """Two servers' ledgers on one database."""

    store: Store
    clock: ManualClock
    machine: ManualClock
    mine: Runs
    theirs: Runs

    async def run(self, run_id: str) -> Run:
        found = await self.mine.by_id("count", "d", run_id)
        assert found is not None
        return found

    async def taken(self, who: Runs, most: int = 10) -> list[str]:
        return [run.id for run in await who.take_up(KINDS, most)]

    async def until(self, run_id: str, state: str = "completed") -> Run:
        return await eventually(lambda: self.run(run_id), lambda run: run.state == state)

    async def steps(self) -> list[str]:
        return [row[0] for row in await self.store.read("SELECT value FROM meta WHERE key LIKE 'step-%' ORDER BY key")]


async def eventually(ask: Callable[[], Awaitable[T]], holds: Callable[[T], bool]) -> T:
    """What is asked for, as soon as it is so."""
    async with asyncio.timeout(60):
        while True:
            found = await ask()
            if holds(found):
                return found
            await asyncio.sleep(0.01)


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    store = await open_store(database_url, SystemClock())
    clock, machine = ManualClock(START), ManualClock(5000.0)
    try:
        yield Ledger(store, clock, machine, Runs(store, clock, machine), Runs(store, clock, machine))
    finally:
        await store.close()


@asynccontextmanager
async def working(runs: Runs, work: Callable[[Run], Awaitable[None]], **options: float) -> AsyncIterator[None]:
    task = asyncio.create_task(Runner(runs, {"count": work}, **options).run())  # type: ignore[arg-type]
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def counting(
    runs: Runs, steps: int, at: Callable[[int], Awaitable[None]] | None = None
) -> Callable[[Run], Awaitable[None]]:
    """Work that writes a row for each step, together with its progress: a step done twice would be refused."""

    async def work(run: Run) -> None:
        done = json.loads(run.progress).get("done", 0)
        for step in range(done, steps):
            if at is not None:
                await at(step)

            def change(tx: Tx, step: int = step) -> None:
                tx.execute("INSERT INTO meta (key, value) VALUES (?, ?)", f"step-{step:04}", run.holder)

            await runs.save(run, {"done": step + 1}, change)
        await runs.end(run, "completed", {"done": steps}, "all done")

    return work


async def test_a_run_is_what_was_asked_for(ledger: Ledger) -> None:
    made = await ledger.mine.begin("count", "d", {"vaults": ["a"]}, key="k", by="ada")
    assert made == await ledger.run(made.id)
    assert (made.state, made.request, made.progress, made.by, made.key) == (
        "in_progress",
        '{"vaults":["a"]}',
        "{}",
        "ada",
        "k",
    )
    assert (made.created_at, made.started_at, made.completed_at, made.abort) == (START, None, None, False)
    assert await ledger.mine.by_id("count", "elsewhere", made.id) is None
    assert await ledger.mine.by_id("other", "d", made.id) is None


async def test_one_run_at_a_time_has_a_key(ledger: Ledger) -> None:
    first = await ledger.mine.begin("count", "d", {}, key="k")
    with pytest.raises(Conflict, match="AlreadyRuns"):
        await ledger.theirs.begin("count", "d", {}, key="k")
    await ledger.mine.begin("count", "d", {}, key="other")
    for _ in range(2):
        await ledger.mine.begin("count", "d", {})
    [run] = [run for run in await ledger.mine.take_up(KINDS, 9) if run.id == first.id]
    await ledger.mine.end(run, "completed", {})
    await ledger.theirs.begin("count", "d", {}, key="k")


async def test_asked_again_with_its_id_a_run_is_not_started_again(ledger: Ledger) -> None:
    first = await ledger.mine.begin("count", "d", {}, key="k", run_id="job-1")
    assert (await ledger.theirs.begin("count", "d", {}, key="k", run_id="job-1")).id == first.id == "job-1"
    [run] = await ledger.mine.take_up(KINDS, 9)
    await ledger.mine.end(run, "failed", {}, "no")
    again = await ledger.theirs.begin("count", "d", {}, key="k", run_id="job-1")
    assert (again.state, again.message) == ("failed", "no")
    assert (await ledger.mine.page("count", "d"))[0] == 1


async def test_a_refused_change_starts_nothing(ledger: Ledger) -> None:
    def change(tx: Tx) -> None:
        ledger.mine.start(tx, "count", "d", {})
        raise Conflict("Later")

    with pytest.raises(Conflict, match="Later"):
        await ledger.store.write(change)
    assert await ledger.mine.page("count", "d") == (0, [])


async def test_a_run_is_given_to_one(ledger: Ledger) -> None:
    ids = [(await ledger.mine.begin("count", "d", {})).id for _ in range(6)]
    await ledger.mine.begin("unknown", "d", {})
    taken = await asyncio.gather(*(ledger.taken(who, 2) for who in (ledger.mine, ledger.theirs) * 3))
    assert sorted(run_id for found in taken for run_id in found) == sorted(ids)
    assert await ledger.taken(ledger.mine) == []


async def test_progress_and_change_are_stored_together_or_not_at_all(ledger: Ledger) -> None:
    made = await ledger.mine.begin("count", "d", {})
    [run] = await ledger.mine.take_up(KINDS, 1)
    assert (run.attempts, run.started_at) == (1, START)

    def change(tx: Tx) -> str:
        tx.execute("INSERT INTO meta (key, value) VALUES ('step-1', 'x')")
        return "result"

    def refused(tx: Tx) -> None:
        tx.execute("INSERT INTO meta (key, value) VALUES ('step-2', 'x')")
        raise Conflict("No")

    ledger.clock.advance(5)
    assert await ledger.mine.save(run, {"done": 1}, change) == "result"
    with pytest.raises(Conflict, match="No"):
        await ledger.mine.save(run, {"done": 2}, refused)
    found = await ledger.run(made.id)
    assert (found.progress, found.updated_at) == ('{"done":1}', START + 5)
    assert await ledger.steps() == ["x"]


async def test_who_has_lost_a_run_can_store_nothing_for_it(ledger: Ledger) -> None:
    made = await ledger.mine.begin("count", "d", {})
    [run] = await ledger.mine.take_up(KINDS, 1)
    await ledger.mine.save(run, {"done": 1})
    ledger.machine.advance(LEASE_S - 1)
    assert await ledger.theirs.take_up(KINDS, 1) == []
    assert await ledger.mine.renew(run)
    ledger.machine.advance(LEASE_S - 1)
    assert await ledger.theirs.take_up(KINDS, 1) == []
    ledger.machine.advance(2)
    [taken] = await ledger.theirs.take_up(KINDS, 1)
    assert (taken.id, taken.progress, taken.attempts) == (made.id, '{"done":1}', 2)

    def change(tx: Tx) -> None:
        tx.execute("INSERT INTO meta (key, value) VALUES ('step-1', 'x')")

    assert not await ledger.mine.renew(run)
    with pytest.raises(Conflict, match="TakenOver"):
        await ledger.mine.save(run, {"done": 9}, change)
    with pytest.raises(Conflict, match="TakenOver"):
        await ledger.mine.end(run, "failed", {}, "", change)
    await ledger.mine.put_off(run, Conflict("X"))
    await ledger.mine.release(run)
    await ledger.theirs.end(taken, "completed", {"done": 2})
    assert (await ledger.run(made.id)).progress == '{"done":2}'
    assert await ledger.steps() == []
    with pytest.raises(Conflict, match="TakenOver"):
        await ledger.theirs.save(taken, {})


async def test_a_holder_that_takes_a_run_up_again_has_lost_its_earlier_hold(ledger: Ledger) -> None:
    await ledger.mine.begin("count", "d", {})
    [early] = await ledger.mine.take_up(KINDS, 1)
    ledger.machine.advance(LEASE_S + 1)
    [late] = await ledger.mine.take_up(KINDS, 1)
    assert early.holder == late.holder
    with pytest.raises(Conflict, match="TakenOver"):
        await ledger.mine.save(early, {})
    await ledger.mine.save(late, {})


async def test_an_abort_is_asked_for_once_and_seen_by_the_worker(ledger: Ledger) -> None:
    made = await ledger.mine.begin("count", "d", {})
    assert not await ledger.mine.wants_abort(made.id)
    asked = await ledger.store.write(lambda tx: ledger.theirs.ask_abort(tx, made.id))
    assert (asked.abort, asked.state) == (True, "in_progress")
    assert await ledger.mine.wants_abort(made.id)
    [run] = await ledger.mine.take_up(KINDS, 1)
    await ledger.mine.end(run, "completed", {}, "cancelled")
    with pytest.raises(Conflict, match="StateForbids"):
        await ledger.store.write(lambda tx: ledger.mine.ask_abort(tx, made.id))
    with pytest.raises(NotFound):
        await ledger.store.write(lambda tx: ledger.mine.ask_abort(tx, "nothing"))
    found = await ledger.run(made.id)
    assert (found.abort, found.message, found.completed_at, found.holder) == (True, "cancelled", START, "")


async def test_runs_are_listed_by_page(ledger: Ledger) -> None:
    ids = []
    for _ in range(5):
        ids.append((await ledger.mine.begin("count", "d", {})).id)
        ledger.clock.advance(1)
    await ledger.mine.begin("count", "elsewhere", {})
    [run] = await ledger.mine.take_up(KINDS, 1)
    await ledger.mine.end(run, "failed", {})
    total, found = await ledger.mine.page("count", "d", skip=1, limit=2)
    assert (total, [run.id for run in found]) == (5, [ids[3], ids[2]])
    total, found = await ledger.mine.page("count", "d", states=["failed"])
    assert (total, [run.id for run in found]) == (1, [ids[0]])
    total, found = await ledger.mine.page("count", "d", ids=ids[:2], order=[("createdAt", False)])
    assert (total, [run.id for run in found]) == (2, ids[:2])
    for name in run_records.SORTS:
        assert (await ledger.mine.page("count", "d", order=[(name, True)]))[0] == 5


async def test_the_oldest_ended_runs_are_forgotten(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claviger.jobs.runs.KEPT", 3)
    open_still = (await ledger.mine.begin("count", "d", {})).id
    await ledger.mine.take_up(KINDS, 1)
    ended = []
    for _ in range(6):
        ended.append((await ledger.mine.begin("count", "d", {})).id)
        [run] = await ledger.mine.take_up(KINDS, 1)
        await ledger.mine.end(run, "completed", {})
    _, found = await ledger.mine.page("count", "d")
    assert [run.id for run in found] == [*reversed(ended[-3:]), open_still]


async def test_a_new_run_is_worked_on_at_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claviger.jobs.runs.LONGEST_SLEEP_S", 600.0)
    asleep = await ledger.mine.begin("count", "d", {})
    async with working(ledger.mine, counting(ledger.mine, 3)):
        await ledger.until(asleep.id)
        await ledger.store.write(lambda tx: tx.execute("DELETE FROM meta WHERE key LIKE 'step-%'"))
        made = await ledger.mine.begin("count", "d", {})
        ended = await ledger.until(made.id)
    assert (ended.progress, ended.message, ended.completed_at) == ('{"done":3}', "all done", START)
    assert len(await ledger.steps()) == 3


async def test_a_stopped_run_is_resumed_from_what_was_saved(ledger: Ledger) -> None:
    reached, never = asyncio.Event(), asyncio.Event()

    async def stop_at_two(step: int) -> None:
        if step == 2:
            reached.set()
            await never.wait()

    made = await ledger.mine.begin("count", "d", {})
    async with working(ledger.mine, counting(ledger.mine, 5, stop_at_two)):
        await reached.wait()
    left = await ledger.run(made.id)
    assert (left.state, left.progress, left.holder) == ("in_progress", '{"done":2}', "")
    async with working(ledger.theirs, counting(ledger.theirs, 5)):
        ended = await ledger.until(made.id)
    assert ended.attempts == 2
    assert await ledger.steps() == [ledger.mine.holder] * 2 + [ledger.theirs.holder] * 3


async def test_a_dead_holder_s_run_is_taken_up_at_once(ledger: Ledger) -> None:
    dead = start_python("from claviger.jobs.holder import own_name; print(own_name())")
    name, _ = await asyncio.to_thread(dead.communicate)
    gone = Runs(ledger.store, ledger.clock, ledger.machine)
    gone.holder = name.strip()
    made = await gone.begin("count", "d", {})
    [run] = await gone.take_up(KINDS, 1)
    await gone.save(run, {"done": 1})
    async with working(ledger.mine, counting(ledger.mine, 3)):
        ended = await ledger.until(made.id)
    assert ended.progress == '{"done":3}'
    assert len(await ledger.steps()) == 2


async def test_a_killed_server_s_run_ends_as_an_undisturbed_one(ledger: Ledger, database_url: str) -> None:
    """A real process, killed between two steps that it has not saved."""
    script = """
import asyncio, json, sys
from claviger.core.clock import ManualClock, SystemClock
from claviger.jobs.runs import Runner, Runs
from claviger.store.opening import open_store

async def main():
    store = await open_store(sys.argv[1], SystemClock())
    runs = Runs(store, SystemClock(), ManualClock(5000.0))
    async def work(run):
        for step in range(3):
            await runs.save(run, {"done": step + 1}, lambda tx: tx.execute(
                "INSERT INTO meta (key, value) VALUES (?, 'child')", f"step-{step:04}"))
        print("saved", flush=True)
        await asyncio.Event().wait()
    await Runner(runs, {"count": work}).run()

asyncio.run(main())
"""
    made = await ledger.mine.begin("count", "d", {})
    child = start_python(script, database_url)
    assert child.stdout is not None
    try:
        assert await asyncio.to_thread(child.stdout.readline) == "saved\n"
        assert await ledger.taken(ledger.mine) == []
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    async with working(ledger.mine, counting(ledger.mine, 6)):
        ended = await ledger.until(made.id)
    assert (ended.progress, ended.attempts) == ('{"done":6}', 2)
    assert await ledger.steps() == ["child"] * 3 + [ledger.mine.holder] * 3


async def test_the_lease_is_renewed_while_the_work_goes_on(ledger: Ledger) -> None:
    go = asyncio.Event()

    async def wait(step: int) -> None:
        await go.wait()

    made = await ledger.mine.begin("count", "d", {})
    async with working(ledger.mine, counting(ledger.mine, 1, wait), beat_s=0.01):
        await eventually(lambda: ledger.run(made.id), lambda run: run.attempts == 1)
        for _ in range(4):
            ledger.machine.advance(LEASE_S * 0.75)
            until = ledger.machine.now() + LEASE_S
            await eventually(lambda: _free_at(ledger, made.id), until.__le__)
            assert await ledger.taken(ledger.theirs) == []
        go.set()
        assert (await ledger.until(made.id)).attempts == 1


async def test_work_that_was_taken_over_is_stopped(ledger: Ledger) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    async def work(run: Run) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    made = await ledger.mine.begin("count", "d", {})
    async with working(ledger.mine, work, beat_s=0.01):
        await started.wait()
        await ledger.store.write(lambda tx: run_records.expire(tx, made.id, ledger.mine.holder))
        async with asyncio.timeout(60):
            while not await ledger.taken(ledger.theirs):  # the runner here may be the one to find it
                await ledger.store.write(lambda tx: run_records.expire(tx, made.id, ledger.mine.holder))
            await stopped.wait()
    assert (await ledger.run(made.id)).holder == ledger.theirs.holder


async def test_no_more_than_so_many_at_once(ledger: Ledger) -> None:
    now_working, most, go = 0, 0, asyncio.Event()

    async def work(run: Run) -> None:
        nonlocal now_working, most
        now_working += 1
        most = max(most, now_working)
        if most == 2:
            go.set()
        await go.wait()
        await asyncio.sleep(0.01)
        now_working -= 1
        await ledger.mine.end(run, "completed", {})

    ids = [(await ledger.mine.begin("count", "d", {})).id for _ in range(7)]
    async with working(ledger.mine, work, at_once=2):
        for run_id in ids:
            await ledger.until(run_id)
    assert most == 2


async def test_what_fails_is_tried_again_later_and_not_for_ever(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    made = await ledger.mine.begin("count", "d", {})
    pauses = []
    for _ in range(MOST_FAILURES):
        [run] = await ledger.mine.take_up(KINDS, 1)
        await ledger.mine.put_off(run, Unavailable("Away", message="the cloud is away"))
        assert await ledger.taken(ledger.theirs) == []
        pauses.append(await _free_at(ledger, made.id) - ledger.machine.now())
        ledger.machine.advance(pauses[-1])
    assert pauses[:4] == [FIRST_PAUSE_S, 2.0, 4.0, 8.0]
    assert pauses == sorted(pauses)
    with caplog.at_level(logging.ERROR):
        assert await ledger.taken(ledger.mine) == []
    found = await ledger.run(made.id)
    assert found.state == "failed"
    assert "given up after 12 attempts" in found.message
    assert "the cloud is away" in found.message
    assert made.id in caplog.text


async def test_progress_and_good_order_are_no_failures(ledger: Ledger) -> None:
    await ledger.mine.begin("count", "d", {})
    for _ in range(MOST_FAILURES * 2):
        [run] = await ledger.mine.take_up(KINDS, 1)
        await ledger.mine.release(run)
    for done in range(MOST_FAILURES * 2):
        [run] = await ledger.mine.take_up(KINDS, 1)
        await ledger.mine.save(run, {"done": done})
        await ledger.mine.put_off(run, Conflict("X"))
        ledger.machine.advance(FIRST_PAUSE_S)
    assert len(await ledger.taken(ledger.mine)) == 1


@pytest.mark.parametrize("failure", [Unavailable("Away"), RuntimeError("a bug"), None])
async def test_the_runner_lives_through_any_failure(ledger: Ledger, failure: Exception | None) -> None:
    """What raises, and what returns without ending its run, is put off; others are worked on meanwhile."""

    async def work(run: Run) -> None:
        if run.request == '"bad"':
            if failure is not None:
                raise failure
            return
        await ledger.mine.end(run, "completed", {})

    bad = await ledger.mine.begin("count", "d", "bad")
    async with working(ledger.mine, work):
        good = await ledger.mine.begin("count", "d", "good")
        await ledger.until(good.id)
        left = await eventually(lambda: ledger.run(bad.id), lambda run: bool(run.attempts) and not run.holder)
    assert left.state == "in_progress"
    assert await _free_at(ledger, bad.id) == ledger.machine.now() + FIRST_PAUSE_S


async def _free_at(ledger: Ledger, run_id: str) -> float:
    row = await ledger.store.read_one("SELECT free_at FROM job_runs WHERE id = ?", run_id)
    assert row is not None
    return float(row[0])
