"""One vault in a job, whatever its cloud: what came of it so far, written together with how far the job is.

A cloud's visit reads the vault to its end, and only then brings the records to what is there, batch by batch.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from claviger.cckm.notices import wire as notices_wire
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.notices.rules import Type
from claviger.cckm.resource import uri
from claviger.cckm.synchronization.gate import Count, Gate
from claviger.cckm.synchronization.progress import Board
from claviger.cckm.synchronization.records import Brake, JobVaults, Outcome
from claviger.cckm.synchronization.rules import COMPLETED, FAILED, IN_PROGRESS
from claviger.cckm.vaults.records import ManagedVault
from claviger.core.clock import Clock
from claviger.jobs.runs import Run
from claviger.store.contract import Store, Tx

T = TypeVar("T")

ROWS_AT_ONCE = 200
"""How many rows, or a few more, one transaction writes."""

Noted = Callable[[int], Awaitable[None]]
"""Hears how much was read so far."""


class Ask(Protocol):
    """Runs a call until it succeeds, or raises why it did not; `weight` is how many calls it is."""

    def __call__(self, call: Callable[[], Awaitable[Any]], weight: int = 1) -> Awaitable[Any]: ...


class Choice(msgspec.Struct, frozen=True):
    """How a job is to read. `brake_percent` None: nothing stops it."""

    brake_percent: int | None
    all_versions: bool = False


class Applied(msgspec.Struct, frozen=True):
    """How many secrets or keys were added, changed, marked gone, or left for the next job."""

    added: int = 0
    changed: int = 0
    gone: int = 0
    left: int = 0


class Words(msgspec.Struct, frozen=True):
    """What a cloud and its things are called: `azure`, `azure-vault`, `secrets`."""

    cloud: str
    vault: str
    things: str


class Ground(msgspec.Struct, frozen=True):
    """What visits stand on."""

    store: Store
    clock: Clock
    notices: Notices | None
    vaults: JobVaults
    words: Words


class Save(Protocol):
    """Commits a change together with the progress of the job."""

    def __call__(self, change: Callable[[Tx], T]) -> Awaitable[T]: ...


class Work(msgspec.Struct, frozen=True):
    """The job that a visit is part of."""

    ground: Ground
    run: Run
    choice: Choice
    board: Board
    save: Save


V = TypeVar("V", bound=ManagedVault)


class Visit(ABC, Generic[V]):
    """`outcome` is what it has come to; it begins with what an earlier server has written of this vault."""

    def __init__(self, work: Work, before: Outcome) -> None:
        self.work = work
        self.outcome = msgspec.structs.replace(before, message="", read=0)
        self._count = Count()

    @abstractmethod
    async def synchronize(self, vault: V) -> None:
        """Raises the refusal that stands in the way; then nothing of the vault was written, or only part of what a
        whole reading has found."""

    def asking(self, gate: Gate) -> Ask:
        """The way through a gate, with the calls of this visit counted."""

        async def ask(call: Callable[[], Awaitable[Any]], weight: int = 1) -> Any:
            return await gate.ask(call, self._count, weight)

        return ask

    def noting(self, vault: V, gate: Gate) -> Noted:
        """What a reading tells how far it is."""
        before, count = self.outcome, self._count

        async def noted(read: int) -> None:
            self.outcome = msgspec.structs.replace(
                self.outcome,
                read=read,
                calls=before.calls + count.calls,
                throttled=before.throttled + count.throttled,
            )
            self.work.board.running(vault.id, self.outcome, gate)

        return noted

    async def batch(self, vault: V, apply: Callable[[Tx], Applied]) -> None:
        """Writes a batch, together with how far the vault and the job are."""
        work = self.work

        def change(tx: Tx) -> Outcome:
            outcome = _plus(self.outcome, apply(tx))
            work.ground.vaults.set_state(tx, work.run.id, vault.id, IN_PROGRESS, outcome)
            return outcome

        self.outcome = await work.save(change)

    async def end(self, vault: V, note: Callable[[Tx], None], message: str = "") -> None:
        """The vault was read wholly, and its records are as it is; `note` writes that down."""
        work = self.work
        self.outcome = outcome = msgspec.structs.replace(self.outcome, message=message)

        def change(tx: Tx) -> None:
            note(tx)
            work.ground.vaults.set_state(tx, work.run.id, vault.id, COMPLETED, outcome)

        work.board.ended(vault.id, outcome)
        await work.save(change)

    async def stop(self, vault: V, brake: Brake, name: str = "") -> None:
        """The brake: nothing of the vault is written, and the job says why. `name` is the plain one in the cloud."""
        work = self.work
        message = (
            f"stopped by the brake: {brake.would_be_gone} of {brake.known} {work.ground.words.things} would have been "
            f"marked gone, and at most {brake.allowed_percent} % may be; nothing was changed. If they are meant to be "
            "gone, start a job with override_brake"
        )
        self.outcome = outcome = msgspec.structs.replace(self.outcome, message=message, brake=brake)

        def change(tx: Tx) -> None:
            work.ground.vaults.set_state(tx, work.run.id, vault.id, FAILED, outcome)
            self._tell(tx, vault, brake, name or vault.name)

        work.board.ended(vault.id, outcome)
        await work.save(change)

    def _tell(self, tx: Tx, vault: V, brake: Brake, name: str) -> None:
        ground = self.work.ground
        if ground.notices is None:
            return
        data = notices_wire.Brake(
            cloud=ground.words.cloud,
            vault=vault.name,
            vault_id=vault.id,
            job_id=self.work.run.id,
            would_be_gone=brake.would_be_gone,
            known=brake.known,
            allowed_percent=brake.allowed_percent,
        )
        subject = uri("cckm", ground.words.vault, vault.id, name)
        ground.notices.emit(tx, vault.domain_id, Type.BRAKE, subject, data, object_key=vault.id)


def _plus(outcome: Outcome, applied: Applied) -> Outcome:
    return msgspec.structs.replace(
        outcome,
        added=outcome.added + applied.added,
        changed=outcome.changed + applied.changed,
        gone=outcome.gone + applied.gone,
        left=outcome.left + applied.left,
    )


def few(items: Sequence[T], most: int = ROWS_AT_ONCE) -> Iterator[Sequence[T]]:
    """`items` in runs of up to `most`."""
    for at in range(0, len(items), most):
        yield items[at : at + most]


async def side_by_side(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The answers of calls that are made side by side; the first that fails ends them all."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
