"""Works on synchronisation jobs: several vaults at a time, each read wholly and only then written, in batches.

A batch and the progress it makes are one transaction, so a server that ends anywhere in it leaves a job that the next
one takes up: vaults that have ended are not read again; one that was being read, or written, is read anew, and what is
written of it already is found to be as it should be. A vault that fails leaves its records alone and stops no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from claviger.audit.trail import DONE, Kept, Trail, fail, following
from claviger.cckm.notices import wire as notices_wire
from claviger.cckm.notices.rules import Type
from claviger.cckm.resource import timestamp, uri
from claviger.cckm.synchronization.progress import Board
from claviger.cckm.synchronization.records import ENDED, Outcome, VaultOfJob
from claviger.cckm.synchronization.rules import BRAKE_PERCENT, COMPLETED, FAILED, overall
from claviger.cckm.synchronization.visiting import Choice, Ground, Visit, Work, side_by_side
from claviger.cckm.vaults.records import ManagedVault
from claviger.core.errors import Busy, Conflict, NotFound, Refusal
from claviger.jobs.runs import Run, Runs
from claviger.store.contract import Tx

T = TypeVar("T")

V = TypeVar("V", bound=ManagedVault)

URI_KIND = "synchronize"
OBJECT = "synchronization"
VAULTS_AT_ONCE = 6
LOOK_S = 1.0
MOST_TOLD = 400

log = logging.getLogger("claviger.cckm")


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a job was asked for, as it is stored with its run; `trail` is of the call that asked."""

    synchronize_all: bool = False
    override_brake: bool = False
    all_versions: bool = False
    trail: Kept = Kept()


def request_of(run: Run) -> Request:
    """What a job was asked for."""
    return msgspec.json.decode(run.request, type=Request)


class Trade(Protocol[V]):
    """What a cloud has of its own. `kind` is that of its jobs."""

    @property
    def kind(self) -> str:
        """The kind of its runs."""
        ...

    @property
    def ground(self) -> Ground:
        """What its visits stand on."""
        ...

    async def vaults(self, domain_id: str) -> Mapping[str, V]:
        """The managed vaults of a domain, by the ids of their records."""
        ...

    async def expected(self, vault: V) -> int:
        """How much is recorded as being there."""
        ...

    def visit(self, work: Work, before: Outcome) -> Visit[V]:
        """A visit to a vault."""
        ...


class Synchronizer(Generic[V]):
    """Does a cloud's jobs; `run` is the worker that `jobs.runs.Runner` calls."""

    def __init__(self, trade: Trade[V], runs: Runs, brake_percent: int = BRAKE_PERCENT) -> None:
        self.trade = trade
        self.runs = runs
        self.brake_percent = brake_percent
        self.vaults_at_once = asyncio.Semaphore(VAULTS_AT_ONCE)

    async def run(self, run: Run) -> None:
        """Works on a job until it has ended. Raises Conflict("TakenOver") where another server has it."""
        ground = self.trade.ground
        await _Job(self, run, await ground.vaults.of(ground.store, [run.id])).work()


class _Job(Generic[V]):
    """One job, on its way."""

    def __init__(self, synchronizer: Synchronizer[V], run: Run, vaults_of_job: Sequence[VaultOfJob]) -> None:
        self._trade = synchronizer.trade
        self._ground = synchronizer.trade.ground
        self._runs = synchronizer.runs
        self._vaults_at_once = synchronizer.vaults_at_once
        self._run = run
        self._vaults = vaults_of_job
        self._states = {each.vault_id: each.state for each in vaults_of_job}
        self._request = request_of(run)
        percent = None if self._request.override_brake else synchronizer.brake_percent
        self._choice = Choice(percent, self._request.all_versions)
        self._board = Board((), {}, 0.0)

    async def work(self) -> None:
        """All vaults that have not ended, then the end of the job."""
        ground = self._ground
        rows = await self._trade.vaults(self._run.domain_id)
        open_vaults = [each for each in self._vaults if each.state not in ENDED]
        expected = {
            each.vault_id: await self._trade.expected(rows[each.vault_id])
            for each in open_vaults
            if each.vault_id in rows
        }
        self._board = Board(self._vaults, expected, ground.clock.now())
        reading = asyncio.create_task(self._all(open_vaults, rows))
        watching = asyncio.create_task(self._watch(reading))
        try:
            await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done() and not watching.cancelled():
                failure = watching.exception()
                if failure is not None:
                    raise failure
        finally:
            watching.cancel()
            if not reading.done():
                reading.cancel()
            await asyncio.gather(reading, watching, return_exceptions=True)
        if reading.cancelled():
            await self._end_cancelled()
        else:
            reading.result()
            await self._end()

    async def _watch(self, reading: asyncio.Task[None]) -> None:
        """Stores how far the job is, and ends the reading when that is asked for."""
        while not reading.done():
            if await self._runs.wants_abort(self._run.id):
                reading.cancel()
                return
            await self._save()
            await asyncio.sleep(LOOK_S)

    async def _save(self, change: Callable[[Tx], T] | None = None) -> T:
        """Stores how far the job is, together with a change."""
        return await self._runs.save(self._run, self._board.progress(self._ground.clock.now()), change)

    async def _all(self, open_vaults: Sequence[VaultOfJob], rows: Mapping[str, V]) -> None:
        waiting = iter(open_vaults)

        async def work() -> None:
            for each in waiting:
                async with self._vaults_at_once:
                    await self._one(each, rows.get(each.vault_id))

        await side_by_side(work() for _ in range(min(VAULTS_AT_ONCE, len(open_vaults))))

    async def _one(self, each: VaultOfJob, vault: V | None) -> None:
        """One vault. What is wrong with it is its own affair; only a job that is not ours any more stops all."""
        work = self._trade.visit(Work(self._ground, self._run, self._choice, self._board, self._save), each.outcome)
        try:
            if vault is None:
                raise NotFound("VaultGone", message="the vault is no longer managed")
            await work.synchronize(vault)
        except (Conflict, Busy) as refusal:
            if isinstance(refusal, Busy) or refusal.reason == "TakenOver":
                raise
            await self._failed(each, work.outcome, refusal)
        except Refusal as refusal:
            await self._failed(each, work.outcome, refusal)
        except Exception as failure:  # one vault must not stop the others
            log.exception("a vault could not be synchronised: job %s", self._run.id)
            told = Conflict("Failed", message=f"the server failed at it ({type(failure).__name__})")
            await self._failed(each, work.outcome, told)
        else:
            self._states[each.vault_id] = FAILED if work.outcome.brake is not None else COMPLETED

    async def _failed(self, each: VaultOfJob, outcome: Outcome, refusal: Refusal) -> None:
        message = str(refusal.facts.get("message") or refusal.reason)
        log.warning("a vault could not be synchronised: %s", refusal.reason)
        failed = msgspec.structs.replace(outcome, message=message)
        self._board.ended(each.vault_id, failed)
        self._states[each.vault_id] = FAILED
        await self._save(lambda tx: self._ground.vaults.set_state(tx, self._run.id, each.vault_id, FAILED, failed))

    def _what_failed(self, count: int) -> str:
        """What the whole job says of its failures: enough for who reads a notice alone."""
        first = next(each for each in self._vaults if self._states[each.vault_id] == FAILED)
        told = f"{count} of {len(self._states)} vaults could not be synchronized"
        which = f"{first.name}: {self._board.message(first.vault_id)}"[:MOST_TOLD]
        return f"{told}; {which}" if count == 1 else f"{told}; the first is {which}"

    async def _end(self) -> None:
        state = overall(list(self._states.values()))
        count = list(self._states.values()).count(FAILED)
        message = self._what_failed(count) if count else ""
        progress = self._board.progress(self._ground.clock.now())

        def change(tx: Tx) -> None:
            if state == FAILED:
                fail(message)
                self._tell_failure(tx, message)

        end = "failed" if state == FAILED else "completed"
        with following(self._trail(message if state == FAILED else "")):
            await self._runs.end(self._run, end, progress, message, change)  # type: ignore[arg-type]

    async def _end_cancelled(self) -> None:
        progress = self._board.progress(self._ground.clock.now())
        with following(self._trail("the job was cancelled")):
            await self._runs.end(
                self._run,
                "completed",
                progress,
                "the job was cancelled",
                lambda tx: self._ground.vaults.cancel_the_rest(tx, self._run.id),
            )

    def _trail(self, message: str) -> Trail:
        """For the record of the job's end, which is told as its beginning was."""
        trail = self._request.trail.resumed(self._ground.clock)
        trail.about(OBJECT, self._run.id)
        trail.stage = DONE
        trail.details["vaults"] = {state: self._states_count(state) for state in sorted(set(self._states.values()))}
        if message:
            trail.details["message"] = message
        return trail

    def _states_count(self, state: str) -> int:
        return list(self._states.values()).count(state)

    def _tell_failure(self, tx: Tx, message: str) -> None:
        if self._ground.notices is None:
            return
        run = self._run
        data = notices_wire.FailedJob(
            job_id=run.id,
            kind=self._trade.kind,
            message=message,
            started_at=timestamp(run.started_at or run.created_at),
            ended_at=timestamp(self._ground.clock.now()),
        )
        subject = uri("cckm", URI_KIND, run.id, "")
        self._ground.notices.emit(tx, run.domain_id, Type.FAILED_JOB, subject, data, object_key=run.id)
