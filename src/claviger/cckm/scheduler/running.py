"""Runs what is due: a slot is claimed, with the intent to start it, in one change; then the operation starts a run.

Whoever moves a configuration's next slot on has claimed it: several servers on one database claim each slot once. What
a server that ends in between has claimed is started by the finisher of open operations (`jobs.intents`), under the same
job's id. A slot that nobody was there for is claimed late, once, however many came after it. A slot that comes while
the configuration's last job is in progress is left out, and that job says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from claviger.audit.trail import Trail, about, belongs_to, fail, following, telling, withhold
from claviger.cckm.resource import seconds
from claviger.cckm.scheduler import records
from claviger.cckm.scheduler.records import Job, JobConfig
from claviger.cckm.scheduler.rules import LATE_S
from claviger.core.clock import Clock
from claviger.core.errors import Busy, Conflict, NotFound, Refusal, Throttled, Unavailable
from claviger.core.ids import new_uuid
from claviger.jobs.intents import Intents
from claviger.jobs.records import Intent
from claviger.store.contract import Store, Tx

KIND = "scheduled-start"
ACTION = "Run what is scheduled"
LONGEST_SLEEP_S = 10.0
START_TIMEOUT_S = 60.0
SET_BACK_S = 300.0
MOST_ATTEMPTS = 20
AT_ONCE = 16

Operation = Callable[[JobConfig], Awaitable[str]]
"""Starts a run (`jobs.runs`) and answers its id. `JobConfig.job_id` tells one asked twice from two; see there."""

log = logging.getLogger("claviger.scheduler")


class Scheduler:
    """The clock's hand: claims slots and starts what they are for. `operations` are by name.

    `finish` belongs among the kinds of the finisher, under `KIND`.
    """

    def __init__(self, store: Store, clock: Clock, intents: Intents, operations: Mapping[str, Operation]) -> None:
        self._store = store
        self._clock = clock
        self._intents = intents
        self._operations = dict(operations)
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Looks now: a configuration has changed, or the clock was moved."""
        self._woken.set()

    async def run(self) -> None:
        """Works until cancelled. It looks at least every 10 seconds, for what other servers have changed."""
        while True:
            try:
                await self.run_due()
                pause = await self._until_next()
            except Refusal as refusal:
                log.warning("what is due could not be looked at: %s", refusal.reason)
                pause = LONGEST_SLEEP_S
            await self._wait(pause)

    async def run_due(self) -> int:
        """Claims every slot that has come, and starts what they are for; how many were started."""
        await self._follow_the_clock_back()
        count = 0
        while due := await records.due(self._store, self._clock.now(), AT_ONCE):
            claimed = [await self.claim(config_id) for config_id in due]
            intents = [intent for intent in claimed if intent is not None]
            await asyncio.gather(*(self.finish(intent) for intent in intents))
            count += len(intents)
        return count

    async def claim(self, config_id: str) -> Intent | None:
        """Claims a slot that has come; the intent to start it. None where another server did, or it is left out."""
        job_id = new_uuid()

        def change(tx: Tx) -> Intent | None:
            withhold()  # unless it comes to something
            config, now = records.load(tx, config_id), self._clock.now()
            if config is None or config.next_run_at is None or config.next_run_at > now:
                return None
            slot = config.next_run_at
            if not records.move_on(tx, config.planned(now), slot) or (
                config.end_at is not None and now > config.end_at
            ):
                return None
            last = records.last_job(tx, config.id)
            if last is not None and last.in_progress:
                records.note_skipped(tx, last.id, slot)
                return None
            withhold(False)
            belongs_to(config.domain_id)
            return self._open(tx, config, job_id, now, slot)

        with following(self._trail()):
            intent = await self._store.write(change)
        if intent is not None:
            log.info("job config %s is due: job %s", config_id, job_id)
        return intent

    async def run_now(self, domain_id: str, config_id: str) -> str:
        """Runs a configuration at once, also a disabled one; the id of its job.

        Raises NotFound, and Conflict("AlreadyRuns") while its last job is in progress.
        """
        job_id = new_uuid()

        def change(tx: Tx) -> Intent:
            config = records.load(tx, config_id)
            if config is None or config.domain_id != domain_id:
                raise NotFound("NotFound", message="there is no such job configuration")
            last = records.last_job(tx, config.id)
            if last is not None and last.in_progress:
                raise Conflict("AlreadyRuns", message=f"its job {last.id} is in progress; it never runs twice at once")
            return self._open(tx, config, job_id, self._clock.now(), None)

        await self.finish(await self._store.write(change))
        return job_id

    def _open(self, tx: Tx, config: JobConfig, job_id: str, now: float, slot: int | None) -> Intent:
        late = slot is not None and now - slot > LATE_S
        message = f"started late: it was due at {seconds(slot)}" if slot is not None and late else ""
        job = Job(
            id=job_id,
            domain_id=config.domain_id,
            job_config_id=config.id,
            name=config.name,
            operation=config.operation,
            status="in_progress",
            message=message,
            due_at=slot,
            run_id=None,
            skipped_count=0,
            skipped_at=None,
            created_at=now,
            started_at=None,
            finished_at=None,
        )
        about("job", job_id, config.name)
        telling(job_config_id=config.id)
        records.add_job(tx, job)
        return self._intents.begin(tx, job_id, KIND, f"scheduler/{config.id}", {"job_config_id": config.id})

    async def finish(self, intent: Intent) -> None:
        """Starts the job that an intent is for, or leaves that for later, or has it fail. Raises Busy by the store."""
        with following(self._trail()):
            await self._finish(intent)

    async def _finish(self, intent: Intent) -> None:
        job = await records.find_job(self._store, intent.id)
        if job is None:
            await self._close(intent, lambda _: None)
            return
        belongs_to(job.domain_id)
        about("job", job.id, job.name)
        config = await records.by_id(self._store, job.domain_id, job.job_config_id)
        operation = self._operations.get(job.operation)
        if config is None or operation is None:
            missing = "its configuration was deleted" if config is None else f"this server lacks {job.operation}"
            await self._fail(intent, missing)
            return
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                run_id = await operation(msgspec.structs.replace(config, job_id=job.id))
        except TimeoutError:
            await self._later(intent, Busy("StartTimeout", message="it could not be started in time"))
        except (Busy, Unavailable, Throttled) as refusal:
            await self._later(intent, refusal)
        except Refusal as refusal:
            await self._fail(intent, str(refusal.facts.get("message") or refusal.reason))
        except Exception as failure:
            log.exception("job %s could not be started", job.id)
            await self._fail(intent, f"it could not be started: {type(failure).__name__}")
        else:
            now = self._clock.now()
            await self._close(intent, lambda tx: records.note_started(tx, intent.id, run_id, now))

    async def _later(self, intent: Intent, refusal: Refusal) -> None:
        if intent.attempts >= MOST_ATTEMPTS:
            await self._fail(intent, str(refusal.facts.get("message") or refusal.reason))
            return
        log.warning("job %s could not be started yet: %s", intent.id, refusal.reason)
        await self._intents.let_go(intent, refusal)

    async def _fail(self, intent: Intent, message: str) -> None:
        log.warning("job %s failed: %s", intent.id, message)
        now = self._clock.now()

        def outcome(tx: Tx) -> None:
            withhold(False)
            fail(message)
            records.note_failed(tx, intent.id, message, now)

        about("job", intent.id)
        await self._close(intent, outcome)

    async def _close(self, intent: Intent, outcome: Callable[[Tx], None]) -> None:
        """Ends the intent together with the job's outcome, unless another server has taken it up meanwhile."""

        def change(tx: Tx) -> None:
            withhold()  # that it was started, the operation has told; a failure tells itself
            self._intents.end(tx, intent)
            outcome(tx)

        try:
            await self._store.write(change)
        except Conflict as refusal:
            if refusal.reason != "TakenOver":
                raise

    def _trail(self) -> Trail:
        return Trail(self._clock, origin="scheduler", service="cckm", action=ACTION)

    async def _follow_the_clock_back(self) -> None:
        """Decides anew on slots that were decided on in what is the future now: the clock was set back.

        Servers on one database may differ by some seconds; that is not meant.
        """
        for config_id in await records.planned_after(self._store, self._clock.now() + SET_BACK_S):

            def change(tx: Tx, config_id: str = config_id) -> None:
                config, now = records.load(tx, config_id), self._clock.now()
                if config is not None and config.planned_at > now + SET_BACK_S:
                    records.move_on(tx, config.planned(now), config.next_run_at)

            await self._store.write(change)

    async def _until_next(self) -> float:
        at = await records.next_due(self._store)
        return LONGEST_SLEEP_S if at is None else min(LONGEST_SLEEP_S, max(0.05, at - self._clock.now()))

    async def _wait(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()
