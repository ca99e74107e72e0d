"""Long work that survives: runs with progress, taken up by whoever is free, resumed from what was saved.

`Runs` is the ledger. `start` opens a run within the change that decides on it; call `wake` after that change's commit,
or let `begin` do both. A worker (a function registered for the run's kind) saves its progress together with what it
changed, so a server that dies in between leaves both or neither, and the run goes on from there. `Runner` is the
background task that takes runs up. Several servers on one database may each have one, and a run is worked on by one of
them at a time: who has lost a run, because its lease ended while the process stood still, can save nothing for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from claviger.core.clock import Clock
from claviger.core.errors import Conflict, NotFound, Refusal
from claviger.core.ids import new_uuid
from claviger.jobs import run_records as records
from claviger.jobs.holder import is_dead, own_name
from claviger.jobs.run_records import Run, State
from claviger.store.contract import Store, Tx

__all__ = ["Run", "Runner", "Runs", "State", "Work"]

LEASE_S = 60.0
BEAT_S = 15.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0
LONGEST_SLEEP_S = 5.0
MOST_FAILURES = 12
KEPT = 10_000
AT_ONCE = 4

T = TypeVar("T")
Work = Callable[[Run], Awaitable[None]]
"""Does a run from its saved progress on, and ends it (`Runs.end`). What it raises puts the run off until later."""

log = logging.getLogger("claviger.jobs")


class Runs:
    """The ledger of runs. `clock` dates them; leases go by `machine`, which nobody moves."""

    def __init__(self, store: Store, clock: Clock, machine: Clock, *, lease_s: float = LEASE_S) -> None:
        self._store = store
        self._clock = clock
        self._machine = machine
        self._lease_s = lease_s
        self._woken = asyncio.Event()
        self.holder = own_name()

    def start(
        self, tx: Tx, kind: str, domain_id: str, request: Any, *, key: str = "", by: str = "", run_id: str = ""
    ) -> Run:
        """Opens a run within a change; `request` is anything that JSON can hold. Call `wake` once it is committed.

        With a `run_id` it may be asked again: where that run exists, it is answered as it is. Raises
        Conflict("AlreadyRuns") where a run with the same `key`, if that is not empty, is in progress. Of the runs of
        one kind in one domain that ended, the newest 10,000 are kept.
        """
        known = records.load(tx, run_id) if run_id else None
        if known is not None:
            return known
        if key and records.active(tx, key) is not None:
            raise Conflict("AlreadyRuns", message="it is being done already; try again when that is done")
        now = self._clock.now()
        encoded = msgspec.json.encode(request).decode()
        ident = run_id or new_uuid()
        run = Run(ident, kind, domain_id, key, "in_progress", encoded, "{}", "", False, "", 0, by, now, None, now, None)
        records.add(tx, run)
        records.forget_oldest(tx, kind, domain_id, KEPT)
        return run

    async def begin(
        self, kind: str, domain_id: str, request: Any, *, key: str = "", by: str = "", run_id: str = ""
    ) -> Run:
        """Opens a run in a change of its own, and has it taken up at once. Raises as `start` does."""
        run = await self._store.write(
            lambda tx: self.start(tx, kind, domain_id, request, key=key, by=by, run_id=run_id)
        )
        self.wake()
        return run

    def wake(self) -> None:
        """Has this server's runner look for runs now. Without it they are found some seconds later."""
        self._woken.set()

    async def save(self, run: Run, progress: Any, change: Callable[[Tx], T] | None = None) -> T:
        """Commits progress together with a change, and renews the lease; the change's result (None without one).

        Raises Conflict("TakenOver"), with nothing of it stored, where another server has the run now or it has ended:
        the worker stops then. And whatever `change` raises.
        """

        def saved(tx: Tx) -> T:
            if not records.save(tx, run, _json(progress), self._machine.now() + self._lease_s, self._clock.now()):
                raise _taken_over()
            return cast(T, change(tx) if change is not None else None)

        return await self._store.write(saved)

    async def end(
        self, run: Run, state: State, progress: Any, message: str = "", change: Callable[[Tx], T] | None = None
    ) -> T:
        """Ends a run together with a last change; `message` is what its reader sees. Raises as `save` does."""

        def ended(tx: Tx) -> T:
            if not records.end(tx, run, state, _json(progress), message, self._clock.now()):
                raise _taken_over()
            return cast(T, change(tx) if change is not None else None)

        return await self._store.write(ended)

    async def wants_abort(self, run_id: str) -> bool:
        """Whether the run is asked to stop. A worker looks now and then, and ends it as it sees fit."""
        return await records.wants_abort(self._store, run_id)

    def ask_abort(self, tx: Tx, run_id: str) -> Run:
        """Asks a run to stop, within a change; the run, still in progress (CCKM contract §12).

        Raises NotFound, and Conflict("StateForbids") where it has ended.
        """
        asked = records.ask_abort(tx, run_id, self._clock.now())
        run = records.load(tx, run_id)
        if run is None:
            raise NotFound("NotFound")
        if not asked:
            raise Conflict("StateForbids", message="only a job that is in progress can be cancelled")
        return run

    async def by_id(self, kind: str, domain_id: str, run_id: str) -> Run | None:
        """A run of this kind and domain."""
        return await records.by_id(self._store, kind, domain_id, run_id)

    async def page(
        self,
        kind: str,
        domain_id: str,
        *,
        states: Sequence[str] = (),
        ids: Sequence[str] = (),
        order: Iterable[tuple[str, bool]] = (("createdAt", True),),
        skip: int = 0,
        limit: int = -1,
    ) -> tuple[int, list[Run]]:
        """How many runs match, and a page of them. `order` is of `run_records.SORTS`, each with whether it descends."""
        return await records.page(
            self._store, kind, domain_id, states=states, ids=ids, order=order, skip=skip, limit=limit
        )

    # For the runner.

    async def release_the_dead(self) -> int:
        """Ends the leases of processes of this machine that have ended; how many."""
        dead = [(run_id, holder) for run_id, holder in await records.held(self._store) if is_dead(holder)]
        for run_id, holder in dead:
            await self._store.write(lambda tx, i=run_id, h=holder: records.expire(tx, i, h))  # type: ignore[misc]
        return len(dead)

    async def take_up(self, kinds: Sequence[str], most: int) -> list[Run]:
        """Leases up to `most` runs of these kinds that nobody holds.

        A run that was taken up too often without saving any progress ends as failed instead.
        """
        free_at = await records.next_free(self._store, kinds)
        if most < 1 or free_at is None or free_at > self._machine.now():
            return []

        def taken(tx: Tx) -> list[Run]:
            at, now = self._machine.now(), self._clock.now()
            found = records.take_up(tx, kinds, self.holder, at, at + self._lease_s, now, most)
            return [run for run in found if not self._given_up(tx, run, now)]

        return await self._store.write(taken)

    def _given_up(self, tx: Tx, run: Run, now: float) -> bool:
        count, error = records.failures(tx, run)
        if count <= MOST_FAILURES:
            return False
        message = f"given up after {count - 1} attempts that came no further: {error or 'the server ended each time'}"
        records.end(tx, run, "failed", run.progress, message, now)
        log.error("%s %s: %s", run.kind, run.id, message)
        return True

    async def renew(self, run: Run) -> bool:
        """Renews the lease; whether the run is still ours."""
        return await self._store.write(lambda tx: records.renew(tx, run, self._machine.now() + self._lease_s))

    async def put_off(self, run: Run, refusal: Refusal) -> None:
        """Lets go of a run that failed for now, the longer the oftener it came no further."""
        told = f"{refusal.reason}: {refusal.facts.get('message', '')}".removesuffix(": ")

        def change(tx: Tx) -> None:
            count, _ = records.failures(tx, run)
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(max(count - 1, 0), 10))
            records.put_off(tx, run, self._machine.now() + pause, told)

        await self._store.write(change)

    async def release(self, run: Run) -> None:
        """Lets go of a run because this server stops."""
        await self._store.write(lambda tx: records.release(tx, run))

    async def until_next(self, kinds: Sequence[str]) -> float:
        """Seconds until there may be something to take up; at most `LONGEST_SLEEP_S`."""
        at = await records.next_free(self._store, kinds)
        left = LONGEST_SLEEP_S if at is None else at - self._machine.now()
        return min(LONGEST_SLEEP_S, max(0.05, left))

    async def wait(self, seconds: float) -> None:
        """Waits, or less long where `wake` is called meanwhile or was before."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()


class Runner:
    """Works on runs for as long as the server runs, up to `at_once` of them at a time."""

    def __init__(
        self, runs: Runs, kinds: Mapping[str, Work], *, at_once: int = AT_ONCE, beat_s: float = BEAT_S
    ) -> None:
        self._runs = runs
        self._kinds = dict(kinds)
        self._at_once = at_once
        self._beat_s = beat_s
        self._working: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Works until cancelled; then lets go of what it works on, which is resumed at the next start."""
        try:
            while True:
                try:
                    pause = await self._look()
                except Refusal as refusal:
                    log.warning("job runs could not be looked at: %s", refusal.reason)
                    pause = LONGEST_SLEEP_S
                await self._runs.wait(pause)
        finally:
            for task in self._working.values():
                task.cancel()
            await asyncio.gather(*self._working.values(), return_exceptions=True)

    async def _look(self) -> float:
        kinds = list(self._kinds)
        room = self._at_once - len(self._working)
        if not kinds or room < 1:
            return LONGEST_SLEEP_S
        await self._runs.release_the_dead()
        for run in await self._runs.take_up(kinds, room):
            if run.id in self._working:  # its lease ended while this process stood still; that work is void
                self._working[run.id].cancel()
                await asyncio.gather(self._working[run.id], return_exceptions=True)
            task = asyncio.create_task(self._hold(run), name=f"{run.kind} {run.id}")
            self._working[run.id] = task
            task.add_done_callback(lambda done, ident=run.id: self._done(ident, done))  # type: ignore[misc]
        return LONGEST_SLEEP_S if len(self._working) >= self._at_once else await self._runs.until_next(kinds)

    def _done(self, run_id: str, task: asyncio.Task[None]) -> None:
        if self._working.get(run_id) is task:
            del self._working[run_id]
        self._runs.wake()

    async def _hold(self, run: Run) -> None:
        """Works on a run, with its lease renewed, and lets go of it in every way that this can end."""
        work = asyncio.create_task(self._work(run))
        beat = asyncio.create_task(self._beat(run, work))
        try:
            await asyncio.wait({work})
        finally:
            beat.cancel()
            stopped = not work.done()
            work.cancel()
            await asyncio.gather(work, beat, return_exceptions=True)
            if stopped:
                await self._quietly(self._runs.release(run))

    async def _work(self, run: Run) -> None:
        try:
            await self._kinds[run.kind](run)
        except Conflict as refusal:
            if refusal.reason != "TakenOver":
                await self._put_off(run, refusal)
        except Refusal as refusal:
            await self._put_off(run, refusal)
        except Exception as failure:  # one run must not stop the others
            log.exception("%s %s failed", run.kind, run.id)
            await self._put_off(run, Conflict("WorkFailed", message=type(failure).__name__))
        else:
            await self._quietly(self._runs.put_off(run, Conflict("NotEnded")))  # nothing, where the worker ended it

    async def _put_off(self, run: Run, refusal: Refusal) -> None:
        log.warning("%s %s is put off: %s", run.kind, run.id, refusal.reason)
        await self._quietly(self._runs.put_off(run, refusal))

    async def _beat(self, run: Run, work: asyncio.Task[None]) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            try:
                held = await self._runs.renew(run)
            except Refusal as refusal:
                log.warning("the lease of %s %s could not be renewed: %s", run.kind, run.id, refusal.reason)
                continue
            if not held:  # ended by its worker, or another server's by now
                work.cancel()
                return

    @staticmethod
    async def _quietly(change: Awaitable[None]) -> None:
        """What cannot be stored now is found out by others when the lease ends."""
        try:
            await change
        except Refusal as refusal:
            log.warning("a run could not be let go of: %s", refusal.reason)


def _json(progress: Any) -> str:
    return progress if isinstance(progress, str) else msgspec.json.encode(progress).decode()


def _taken_over() -> Conflict:
    return Conflict("TakenOver", message="another server works on it by now, or it has ended")
