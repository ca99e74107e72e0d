"""When jobs run: by the clock of the product, each slot once, whatever ends a server in between, on several servers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cckm.scheduler.running import MOST_ATTEMPTS, SET_BACK_S
from claviger.core.errors import Conflict, Unavailable
from claviger.jobs import records as intent_records
from claviger.jobs.intents import LEASE_S
from claviger.store.opening import open_store
from tests.plane import START
from tests.scheduling import CONFIGS, SYNCHRONIZATION, Scheduling, Server, scheduling_on

HOUR_S, DAY_S = 3600, 86_400


@pytest.fixture
async def scheduling(database_url: str) -> AsyncIterator[Scheduling]:
    async with scheduling_on(database_url) as found:
        yield found


@pytest.fixture
async def other(scheduling: Scheduling, database_url: str) -> AsyncIterator[Server]:
    """Another server, with connections of its own to the same database."""
    store = await open_store(database_url, scheduling.clock)
    try:
        yield scheduling.another(store)
    finally:
        await store.close()


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


async def test_each_slot_runs_once_by_the_product_s_clock(scheduling: Scheduling) -> None:
    made = await scheduling.configured(run_at="0 3 * * *")
    assert await scheduling.scheduler.run_due() == 0
    scheduling.clock.set(at("2027-01-16T02:59:59"))
    assert await scheduling.scheduler.run_due() == 0
    scheduling.clock.set(at("2027-01-16T03:00:00"))
    assert await scheduling.scheduler.run_due() == 1
    assert await scheduling.scheduler.run_due() == 0
    [job] = await scheduling.jobs()
    assert (job["due_at"], job["status"], job["message"]) == ("2027-01-16T03:00:00Z", "in_progress", "")
    assert (await scheduling.config(made["id"]))["next_run_at"] == "2027-01-17T03:00:00Z"
    await scheduling.end_all()
    assert [job["status"] for job in await scheduling.jobs()] == ["completed"]
    scheduling.clock.advance(DAY_S)
    assert await scheduling.scheduler.run_due() == 1
    assert [config.id for config in scheduling.started] == [made["id"]] * 2


async def test_against_a_model_over_many_minutes(scheduling: Scheduling) -> None:
    """Every minute of two days: a job for each that the expression names, and for no other."""
    await scheduling.configured(run_at="*/20 1-3,22 * * *")
    due = []
    for minute in range(2 * 24 * 60):
        scheduling.clock.set(START + minute * 60)
        moment = datetime.fromtimestamp(scheduling.clock.now(), UTC)
        if moment.minute % 20 == 0 and moment.hour in (1, 2, 3, 22):
            due.append(scheduling.clock.now())
            assert await scheduling.scheduler.run_due() == 1
            await scheduling.end_all()
        elif minute % 7 == 0:
            assert await scheduling.scheduler.run_due() == 0
    jobs = await scheduling.jobs()
    assert [at(job["due_at"][:-1]) for job in reversed(jobs)] == due
    assert len(due) == 24


async def test_a_run_that_was_missed_happens_once(scheduling: Scheduling) -> None:
    made = await scheduling.configured(run_at="*/5 * * * *")
    scheduling.clock.advance(3 * DAY_S + 130)
    back = scheduling.another()
    assert await back.scheduler.run_due() == 1
    [job] = await scheduling.jobs()
    assert job["due_at"] == "2027-01-15T08:05:00Z"
    assert job["message"] == "started late: it was due at 2027-01-15T08:05:00Z"
    await scheduling.end_all()
    assert await back.scheduler.run_due() == 0
    assert (await scheduling.config(made["id"]))["next_run_at"] == "2027-01-18T08:05:00Z"


async def test_a_slot_that_comes_while_the_job_runs_is_left_out_and_said_so(scheduling: Scheduling) -> None:
    await scheduling.configured(run_at="0 * * * *")
    for hour in range(1, 4):
        scheduling.clock.set(START + hour * HOUR_S)
        assert await scheduling.scheduler.run_due() == (1 if hour == 1 else 0)
    [job] = await scheduling.jobs()
    assert job["skipped_count"] == 2
    assert job["message"] == (
        "2 runs that were due were left out while this one was in progress, last at 2027-01-15T11:00:00Z"
    )
    await scheduling.end_all("completed", "3 vaults")
    assert (await scheduling.jobs())[0]["message"].startswith("3 vaults; 2 runs")
    scheduling.clock.advance(HOUR_S)
    assert await scheduling.scheduler.run_due() == 1
    assert [job["skipped_count"] for job in await scheduling.jobs()] == [0, 2]


async def test_two_servers_claim_a_slot_once(scheduling: Scheduling, other: Server) -> None:
    for minute in range(10):
        await scheduling.configured(name=f"n{minute}", run_at=f"{minute} 9 * * *")
    for day in range(1, 4):
        scheduling.clock.set(START + day * DAY_S)
        counts = await asyncio.gather(*(server.scheduler.run_due() for server in (scheduling, other) * 3))
        assert sum(counts) == 10
        await scheduling.end_all()
    assert len(await scheduling.jobs()) == len(await scheduling.synchronizations()) == 30
    assert len(scheduling.started) + len(other.started) == 30


async def test_by_hand_and_by_schedule_at_once(scheduling: Scheduling, other: Server) -> None:
    made = await scheduling.configured(run_at="0 9 * * *")
    for day in range(5):
        scheduling.clock.set(START + HOUR_S + day * DAY_S)
        await asyncio.gather(
            scheduling.scheduler.run_due(),
            other.scheduler.run_due(),
            scheduling.plane.ask("POST", f"{CONFIGS}/{made['id']}/run-now"),
        )
        assert len(await scheduling.synchronizations()) == day + 1
        await scheduling.end_all()


async def test_what_was_claimed_and_not_started_is_started_by_another(scheduling: Scheduling, other: Server) -> None:
    """A server ends between the claim and the start: nothing is lost, and nothing happens twice."""
    made = await scheduling.configured(run_at="0 9 * * *")
    scheduling.clock.advance(HOUR_S)
    claimed = await scheduling.scheduler.claim(made["id"])
    assert claimed is not None
    [job] = await scheduling.jobs()
    assert (job["status"], "synchronization_id" in job) == ("in_progress", False)
    assert await other.scheduler.run_due() == await other.take_up() == 0
    await scheduling.refused("POST", f"{CONFIGS}/{made['id']}/run-now", status=409)
    scheduling.machine.advance(LEASE_S + 1)
    assert await other.take_up() == 1
    [run] = await scheduling.synchronizations()
    [job] = await scheduling.jobs()
    assert (job["id"], job["synchronization_id"]) == (claimed.id, run.id)
    assert await intent_records.next_try(scheduling.store) is None
    await scheduling.scheduler.finish(claimed)  # the first one was only slow
    assert [found.id for found in await scheduling.synchronizations()] == [run.id]
    assert [found["id"] for found in await scheduling.jobs()] == [job["id"]]


async def test_what_was_started_and_not_noted_is_not_started_again(scheduling: Scheduling, other: Server) -> None:
    """A server ends between the start and noting it."""
    made = await scheduling.configured(run_at="0 9 * * *")
    scheduling.clock.advance(HOUR_S)
    claimed = await scheduling.scheduler.claim(made["id"])
    assert claimed is not None
    started = await scheduling.runs.begin(SYNCHRONIZATION, ROOT_DOMAIN, {}, run_id=claimed.id)
    await scheduling.end_all("completed", "done meanwhile")
    scheduling.machine.advance(LEASE_S + 1)
    assert await other.take_up() == 1
    assert [run.id for run in await scheduling.synchronizations()] == [started.id]
    [job] = await scheduling.jobs()
    assert (job["synchronization_id"], job["status"], job["message"]) == (started.id, "completed", "done meanwhile")


async def test_the_dead_server_s_claim_is_found_by_the_finisher(scheduling: Scheduling, other: Server) -> None:
    made = await scheduling.configured(run_at="0 9 * * *")
    scheduling.clock.advance(HOUR_S)
    parts = scheduling.intents.holder.split(":")
    scheduling.intents.holder = ":".join([*parts[:2], "999999999", *parts[3:]])
    assert await scheduling.scheduler.claim(made["id"]) is not None
    task = asyncio.create_task(other.finisher.run())
    try:
        async with asyncio.timeout(60):
            while not (await scheduling.jobs())[0].get("synchronization_id"):  # noqa: ASYNC110 - a row, not an event
                await asyncio.sleep(0.01)
    finally:
        await cancelled(task)
    assert len(await scheduling.synchronizations()) == 1


@pytest.mark.parametrize("failure", [Conflict("AlreadyRuns", message="it is being done already"), KeyError("x")])
async def test_what_cannot_be_started_fails_and_is_tried_at_its_next_slot(
    scheduling: Scheduling, failure: Exception
) -> None:
    await scheduling.configured(run_at="0 9 * * *")
    scheduling.failure = failure
    scheduling.clock.advance(HOUR_S)
    assert await scheduling.scheduler.run_due() == 1
    [job] = await scheduling.jobs()
    assert (job["status"], job["finishedAt"]) == ("failed", "2027-01-15T09:00:00Z")
    assert "started" in job["message"] or "done already" in job["message"]
    assert "startedAt" not in job
    assert await intent_records.next_try(scheduling.store) is None
    scheduling.failure = None
    scheduling.clock.advance(DAY_S)
    assert await scheduling.scheduler.run_due() == 1
    assert [job["status"] for job in await scheduling.jobs()] == ["in_progress", "failed"]


async def test_what_is_away_is_tried_again_and_not_for_ever(scheduling: Scheduling, other: Server) -> None:
    await scheduling.configured(run_at="0 9 * * *")
    scheduling.failure = Unavailable("Away", message="away")
    scheduling.clock.advance(HOUR_S)
    await scheduling.scheduler.run_due()
    assert (await scheduling.jobs())[0]["status"] == "in_progress"
    for _ in range(MOST_ATTEMPTS):
        assert (await scheduling.jobs())[0]["status"] == "in_progress"
        scheduling.machine.advance(LEASE_S * 2)
        await scheduling.take_up()
    [job] = await scheduling.jobs()
    assert (job["status"], job["message"]) == ("failed", "away")
    assert len(scheduling.started) == MOST_ATTEMPTS + 1


async def test_a_configuration_that_is_gone_is_not_started(scheduling: Scheduling) -> None:
    made = await scheduling.configured(run_at="0 9 * * *")
    scheduling.clock.advance(HOUR_S)
    claimed = await scheduling.scheduler.claim(made["id"])
    assert claimed is not None
    await scheduling.plane.accept("DELETE", f"{CONFIGS}/{made['id']}", status=204)
    await scheduling.scheduler.finish(claimed)
    [job] = await scheduling.jobs()
    assert (job["status"], job["message"]) == ("failed", "its configuration was deleted")
    assert await scheduling.synchronizations() == []


async def test_dates_and_disabled(scheduling: Scheduling) -> None:
    made = await scheduling.configured(
        run_at="0 9 * * *", start_date="2027-01-17T00:00:00Z", end_date="2027-01-18T09:00:00Z"
    )
    one = f"{CONFIGS}/{made['id']}"
    ran = []
    for day in range(6):
        scheduling.clock.set(START + HOUR_S + day * DAY_S)
        ran.append(await scheduling.scheduler.run_due())
        await scheduling.end_all()
    assert ran == [0, 0, 1, 1, 0, 0]
    assert "next_run_at" not in await scheduling.config(made["id"])
    await scheduling.plane.accept("PATCH", one, {"end_date": "0001-01-01T00:00:00Z", "disabled": True})
    scheduling.clock.advance(DAY_S)
    assert await scheduling.scheduler.run_due() == 0
    await scheduling.plane.accept("PATCH", one, {"disabled": False})
    assert await scheduling.scheduler.run_due() == 0  # what came while it was disabled was not missed
    scheduling.clock.advance(DAY_S)
    assert await scheduling.scheduler.run_due() == 1


async def test_nothing_is_made_up_for_after_the_end_date(scheduling: Scheduling) -> None:
    made = await scheduling.configured(run_at="0 9 * * *", end_date="2027-01-16T00:00:00Z")
    scheduling.clock.advance(5 * DAY_S)
    assert await scheduling.scheduler.run_due() == 0
    assert await scheduling.jobs() == []
    assert "next_run_at" not in await scheduling.config(made["id"])


async def test_a_change_of_its_name_keeps_a_missed_run(scheduling: Scheduling) -> None:
    made = await scheduling.configured(run_at="0 9 * * *")
    scheduling.clock.advance(DAY_S)
    await scheduling.plane.accept("PATCH", f"{CONFIGS}/{made['id']}", {"name": "new", "run_at": "0 9 * * *"})
    assert await scheduling.scheduler.run_due() == 1
    assert (await scheduling.jobs())[0]["name"] == "new"


async def test_the_clock_set_back(scheduling: Scheduling) -> None:
    """Far back, slots are decided on anew; by as little as servers differ, none runs twice."""
    made = await scheduling.configured(run_at="0 9 * * *")
    scheduling.clock.set(START + 365 * DAY_S)
    assert await scheduling.scheduler.run_due() == 1
    await scheduling.end_all()
    scheduling.clock.set(START)
    assert await scheduling.scheduler.run_due() == 0
    assert (await scheduling.config(made["id"]))["next_run_at"] == "2027-01-15T09:00:00Z"
    scheduling.clock.advance(HOUR_S)
    assert await scheduling.scheduler.run_due() == 1
    await scheduling.end_all()
    scheduling.clock.advance(10 - SET_BACK_S)
    assert await scheduling.scheduler.run_due() == 0
    scheduling.clock.advance(SET_BACK_S)
    assert await scheduling.scheduler.run_due() == 0


async def test_the_task_wakes_for_changes_and_for_a_clock_that_was_moved(
    scheduling: Scheduling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claviger.cckm.scheduler.running.LONGEST_SLEEP_S", 600.0)
    task = asyncio.create_task(scheduling.scheduler.run())
    try:
        for count in (1, 2):
            await asyncio.sleep(0.05)
            await scheduling.configured(run_at="0 9 * * *")
            scheduling.clock.advance(DAY_S)
            scheduling.scheduler.wake()
            async with asyncio.timeout(60):
                while len(await scheduling.synchronizations()) < count:  # noqa: ASYNC110 - a row, not an event
                    await asyncio.sleep(0.01)
    finally:
        await cancelled(task)


async def test_at_random_nothing_is_lost_or_doubled(scheduling: Scheduling, other: Server) -> None:
    """Two servers, one of which ends wherever it likes; the clock jumps. Every slot's job has exactly one run."""
    chance = random.Random(7)
    made = [await scheduling.configured(name=f"n{n}", run_at=f"{n * 7} * * * *") for n in range(4)]
    for _ in range(25):
        scheduling.clock.advance(chance.randrange(60, 2 * HOUR_S))
        fragile = scheduling.another()
        for config in made:
            claimed = await fragile.scheduler.claim(config["id"])
            if claimed is not None and chance.random() < 0.5:
                fragile.intents.end = _killed  # type: ignore[method-assign, assignment]
                with suppress(ConnectionError):
                    await fragile.scheduler.finish(claimed)
                fragile = scheduling.another()
        await asyncio.gather(other.scheduler.run_due(), scheduling.scheduler.run_due())
        scheduling.machine.advance(LEASE_S + 1)
        await other.take_up()
        if chance.random() < 0.7:
            await scheduling.end_all()
    jobs = await scheduling.jobs()
    runs = await scheduling.synchronizations()
    assert sorted(job["synchronization_id"] for job in jobs) == sorted(run.id for run in runs)
    assert len({(job["job_config_id"], job["due_at"]) for job in jobs}) == len(jobs) > 30
    assert await intent_records.next_try(scheduling.store) is None


def _killed(*_: object) -> None:
    raise ConnectionError


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
