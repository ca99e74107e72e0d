"""Rotates the keys of a job configuration, one durable operation each, some at a time, in the order of their records.

A run that is taken up again goes on after the last portion that was saved. A key of that portion which has been rotated
by this run is known by the id of its new version's record, which only this run gives it: so no slot of the scheduler
rotates a key twice, wherever a server ends. What could not be rotated is told by the job, and by a notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Sequence
from enum import Enum

import msgspec

from claviger.audit.trail import DONE, Trail, fail, following
from claviger.cckm.calls import Caller
from claviger.cckm.local.keys.operations import LocalKeys, LocalMaterial
from claviger.cckm.local.keys.wire import CreateLocalKey
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.notices.rules import Type
from claviger.cckm.notices.wire import FailedJob
from claviger.cckm.oci.keys.operations import OciKeys
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.keys.rules import State
from claviger.cckm.oci.rotation import records, rules
from claviger.cckm.oci.rotation.operations import KIND, Request
from claviger.cckm.oci.rotation.records import Linked
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions import records as version_records
from claviger.cckm.oci.versions.operations import OciVersions
from claviger.cckm.resource import timestamp, uri
from claviger.core.clock import Clock
from claviger.core.errors import Busy, Conflict, NotFound, Refusal
from claviger.jobs.runs import Run, Runs
from claviger.store.contract import Store, Tx

AT_ONCE = 4
MOST_PROBLEMS = 20
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Between attempts at a key on which another operation is under way."""
ACTION = "Rotate keys that are due"
_UNDECIDED = frozenset({"CloudUndecided", "TakenOver"})
_MAY_BE_USED = _UNDECIDED | {"OperationUnderWay", "RotatedAlready"}
"""Refusals after which a local key that was made for a rotation may yet become a version."""
log = logging.getLogger("claviger.cckm")


class End(Enum):
    """What came of a key, in the words of the job."""

    ROTATED = "rotated"
    OPEN = "still under way"
    NOT_DUE = "not due yet"
    NOT_EXPIRING = "not expiring soon"
    NOT_ENABLED = "not ENABLED"
    FAILED = "failed"


_DECIDED_ELSE = {"RotatedAlready": End.ROTATED, "NotDue": End.NOT_DUE}


class Told(msgspec.Struct, frozen=True):
    """What came of one key, and why."""

    end: End
    problem: str = ""


class Progress(msgspec.Struct, frozen=True):
    """How far a run is: after which num it goes on, how many keys came to which end, what was wrong with some."""

    after: int = 0
    counts: dict[str, int] = {}
    problems: list[str] = []

    def plus(self, portion: Sequence[Linked], told: Sequence[Told]) -> Progress:
        """The same after a portion."""
        counts = Counter(self.counts)
        counts.update(each.end.value for each in told)
        problems = [f"{key.name}: {each.problem}" for key, each in zip(portion, told, strict=True) if each.problem]
        return Progress(portion[-1].num, dict(counts), [*self.problems, *problems][:MOST_PROBLEMS])

    @property
    def failed(self) -> int:
        """How many keys could not be rotated."""
        return self.counts.get(End.FAILED.value, 0)

    @property
    def message(self) -> str:
        """What the job says."""
        said = ", ".join(f"{self.counts[end.value]} {end.value}" for end in End if self.counts.get(end.value))
        return "; ".join([f"keys: {said}" if said else "no keys are linked to this job", *self.problems])


class Rotator:
    """Does the runs; `run` is the worker that `jobs.runs.Runner` calls."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        runs: Runs,
        keys: OciKeys,
        versions: OciVersions,
        local_keys: LocalKeys,
        notices: Notices | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._runs = runs
        self._keys = keys
        self._versions = versions
        self._local_keys = local_keys
        self._notices = notices

    async def run(self, run: Run) -> None:
        """Works on a run until it has ended. Raises Conflict("TakenOver") where another server has it, and Busy."""
        request = msgspec.json.decode(run.request, type=Request)
        progress = msgspec.json.decode(run.progress, type=Progress)
        while True:
            portion = await records.linked(self._store, run.domain_id, request.config_id, progress.after, AT_ONCE)
            if not portion:
                break
            told = await asyncio.gather(*(self._one(run, request, each) for each in portion), return_exceptions=True)
            for each in told:
                if isinstance(each, BaseException):
                    raise each
            progress = progress.plus(portion, [each for each in told if isinstance(each, Told)])
            await self._runs.save(run, progress)
        await self._end(run, request, progress)

    # ------------------------------------------------------------------ one key

    async def _one(self, run: Run, request: Request, key: Linked) -> Told:
        """What came of a key. What is wrong with it is its own affair. Raises Busy."""
        try:
            return await self._in_turn(run, request, key)
        except Busy:
            raise
        except Refusal as refusal:
            if refusal.reason in _UNDECIDED:
                return Told(End.OPEN, "OCI did not say in time what happened; it is finished as soon as it does")
            log.warning("a key could not be rotated: %s", refusal.reason)
            return Told(End.FAILED, str(refusal.facts.get("message") or refusal.reason))
        except Exception as failure:  # one key must not stop the others
            log.exception("a key could not be rotated: job %s", run.id)
            return Told(End.FAILED, f"the server failed at it ({type(failure).__name__})")

    async def _in_turn(self, run: Run, request: Request, key: Linked) -> Told:
        """The same, after whatever is under way on the key: it may be what this run began before."""
        for pause_s in PAUSES_S:
            try:
                return await self._attempt(run, request, key)
            except Conflict as refusal:
                if refusal.reason != "OperationUnderWay":
                    raise
            await asyncio.sleep(pause_s)
        return await self._attempt(run, request, key)

    async def _attempt(self, run: Run, request: Request, key: Linked) -> Told:
        ident = rules.version_id(run.id, key.id)
        try:
            view, vault = await self._keys.found(run.domain_id, key.id)
        except NotFound:
            return Told(End.NOT_ENABLED)
        if await version_records.by_id(self._store, view.row.num, ident) is not None:
            return Told(End.ROTATED)
        row = await self._keys.current(view.row, vault)
        if row.gone or row.state != State.ENABLED.value:
            return Told(End.NOT_ENABLED)
        left_alone = self._left_alone(request, await records.current_since(self._store, row))
        if left_alone is not None:
            return Told(left_alone)
        try:
            await self._rotated(run, request, row, vault, ident)
        except Conflict as refusal:
            if refusal.reason not in _DECIDED_ELSE:
                raise
            return Told(_DECIDED_ELSE[refusal.reason])
        return Told(End.ROTATED)

    async def _rotated(self, run: Run, request: Request, row: KeyRow, vault: OciVault, ident: str) -> None:
        """Rotates a key, where it is still to be rotated at the moment of the intent."""

        def check(tx: Tx, current: KeyRow) -> None:
            if version_records.load(tx, ident) is not None:
                raise Conflict("RotatedAlready")
            is_linked = current.job_config_id == request.config_id
            if not is_linked or self._left_alone(request, records.current_since_in(tx, current)) is not None:
                raise Conflict("NotDue")

        source, is_fresh = await self._source(run, request, row) if _takes_local(row) else (None, False)
        try:
            with following(self._trail(request, run)):
                await self._versions.rotate(row, vault, run.by, source, ident, check)
        except Refusal as refusal:
            if source is not None and is_fresh and refusal.reason not in _MAY_BE_USED:
                await self._discard(run, request, source)
            raise

    def _left_alone(self, request: Request, since: float) -> End | None:
        """Why a key is not rotated whose current version has been there since then; None where it is."""
        now = self._clock.now()
        if not rules.is_due(since, request.rotation_after_s, now):
            return End.NOT_DUE
        is_expiring = rules.is_expiring(since, request.life_s, request.expire_in_s, now)
        return None if is_expiring else End.NOT_EXPIRING

    async def _source(self, run: Run, request: Request, row: KeyRow) -> tuple[LocalMaterial, bool]:
        """A local key in the shape of the key, the same for as often as this run tries; whether it was just made."""
        name, is_fresh = rules.local_name(row.name, row.id, run.id), True
        who = Caller(run.by, "", run.domain_id, frozenset(), "")
        asked = CreateLocalKey(name=name, algorithm=row.algorithm, size=row.length * 8, unexportable=True)
        with following(self._trail(request, run)):
            try:
                await self._local_keys.create(who, asked)
            except Conflict as refusal:
                if refusal.reason != "NameTaken":
                    raise
                is_fresh = False  # what tried before may yet become a version
        return await self._local_keys.material(run.domain_id, name), is_fresh

    async def _discard(self, run: Run, request: Request, source: LocalMaterial) -> None:
        with following(self._trail(request, run)), contextlib.suppress(Refusal):
            await self._local_keys.delete(run.domain_id, source.id)

    # ------------------------------------------------------------------ the end

    async def _end(self, run: Run, request: Request, progress: Progress) -> None:
        message = progress.message

        def change(tx: Tx) -> None:
            if progress.failed:
                fail(message)
                self._tell(tx, run, request, message)

        trail = self._trail(request, run)
        trail.about("job", run.id, request.name)
        trail.stage = DONE
        trail.details["keys"] = progress.counts
        with following(trail):
            await self._runs.end(run, "failed" if progress.failed else "completed", progress, message, change)

    def _tell(self, tx: Tx, run: Run, request: Request, message: str) -> None:
        if self._notices is None:
            return
        data = FailedJob(
            job_id=run.id,
            kind=KIND,
            name=request.name,
            message=message,
            started_at=timestamp(run.started_at or run.created_at),
            ended_at=timestamp(self._clock.now()),
        )
        subject = uri("scheduler", "job", run.id, request.name)
        self._notices.emit(tx, run.domain_id, Type.FAILED_JOB, subject, data, object_key=run.id)

    def _trail(self, request: Request, run: Run) -> Trail:
        """For the record of one change, as it is told of what has started the run."""
        trail = request.trail.resumed(self._clock, "scheduler")
        trail.action = ACTION
        trail.domain_id = run.domain_id
        trail.details["job_id"] = run.id
        return trail


def _takes_local(row: KeyRow) -> bool:
    return row.labels_map.get(rules.SOURCE_LABEL) == rules.LOCAL
