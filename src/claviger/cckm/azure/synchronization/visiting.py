"""One vault in a job: it is read to its end, and then the records are brought to what is there, batch by batch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import msgspec

from claviger.cckm.azure.connections import records as connections
from claviger.cckm.azure.connections.cloud import AzureClouds
from claviger.cckm.azure.synchronization import records
from claviger.cckm.azure.synchronization.applying import NAMES_AT_ONCE, Applied, Applier, Loss, Work
from claviger.cckm.azure.synchronization.cloud import source
from claviger.cckm.azure.synchronization.comparing import Sighting
from claviger.cckm.azure.synchronization.drift import records as drift
from claviger.cckm.azure.synchronization.gate import Gate, Gates
from claviger.cckm.azure.synchronization.progress import Board
from claviger.cckm.azure.synchronization.reading import Choice, Reading, VaultReader
from claviger.cckm.azure.synchronization.records import Brake, Outcome
from claviger.cckm.azure.synchronization.rules import COMPLETED, FAILED, IN_PROGRESS
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.notices import wire as notices_wire
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.notices.rules import Type
from claviger.cckm.resource import uri
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Invalid
from claviger.core.ids import new_uuid
from claviger.jobs.runs import Run
from claviger.store.contract import Store, Tx

T = TypeVar("T")


class Ground(msgspec.Struct, frozen=True):
    """What visits stand on."""

    store: Store
    clock: Clock
    clouds: AzureClouds
    gates: Gates
    notices: Notices | None


class Save(Protocol):
    """Commits a change together with the progress of the job."""

    def __call__(self, change: Callable[[Tx], T]) -> Awaitable[T]: ...


class Visit:
    """`outcome` is what it has come to; it begins with what an earlier server has written of this vault."""

    def __init__(self, ground: Ground, run: Run, choice: Choice, board: Board, save: Save, before: Outcome) -> None:
        self._ground = ground
        self._run = run
        self._choice = choice
        self._board = board
        self._save = save
        self.outcome = msgspec.structs.replace(before, message="", secrets=0)

    async def synchronize(self, vault: VaultRow) -> None:
        """Raises the refusal that stands in the way; then nothing of the vault was written, or only part of what a
        whole reading has found."""
        if vault.is_managed_hsm:
            raise Invalid("ManagedHsm", message="a managed HSM holds no secrets")
        ground = self._ground
        connection = await connections.find(ground.store, vault.domain_id, vault.connection_id)
        if connection is None:
            raise Conflict(
                "ConnectionMissing",
                message=f"the vault's connection {vault.connection_name} was deleted; give the vault another one",
            )
        gate = ground.gates.of(vault.azure_vault_id.lower())
        noted = self._noting(vault, gate)
        await noted(0)
        reader = VaultReader(
            ground.store,
            ground.clock,
            vault,
            await source(ground.clouds, connection, vault.azure_name, vault.vault_uri, gate.ask),
            self._choice,
            noted,
        )
        reading = await reader.read()
        try:
            if reading.brake is not None:
                await self._stop(vault, reading.brake)
            else:
                await self._write(vault, reading)
        finally:
            reading.spool.close()

    def _noting(self, vault: VaultRow, gate: Gate) -> Callable[[int], Awaitable[None]]:
        before = self.outcome
        calls, throttled = gate.calls, gate.throttled

        async def noted(secrets: int) -> None:
            self.outcome = msgspec.structs.replace(
                self.outcome,
                secrets=secrets,
                calls=before.calls + gate.calls - calls,
                throttled=before.throttled + gate.throttled - throttled,
            )
            self._board.running(vault.id, self.outcome, gate)

        return noted

    async def _write(self, vault: VaultRow, reading: Reading) -> None:
        applier = Applier(
            Work(vault, self._run.id, self._run.by, reading.began_at, reading.is_first), self._ground.notices
        )
        for portion in reading.spool.portions(NAMES_AT_ONCE):
            await self._batch(vault, self._sightings(applier, portion))
        losses = [Loss(each.name_key) for each in reading.missing]
        losses += [Loss(key, tuple(versions)) for key, versions in reading.lost.items()]
        for few in _portions(losses, NAMES_AT_ONCE):
            await self._batch(vault, self._losses(applier, few))
        now = self._ground.clock.now()
        outcome = self.outcome

        def end(tx: Tx) -> None:
            records.note_whole(tx, vault.num, reading.began_at, now)
            drift.sweep(tx, vault.num)
            records.set_state(tx, self._run.id, vault.id, COMPLETED, outcome)

        self._board.ended(vault.id, outcome)
        await self._save(end)

    def _sightings(self, applier: Applier, portion: Sequence[Sighting]) -> Callable[[Tx], Applied]:
        now = self._ground.clock.now()
        ids = [[new_uuid() for _ in each.versions] for each in portion]
        return lambda tx: applier.sightings(tx, portion, ids, now)

    def _losses(self, applier: Applier, losses: Sequence[Loss]) -> Callable[[Tx], Applied]:
        now = self._ground.clock.now()
        return lambda tx: applier.losses(tx, losses, now)

    async def _batch(self, vault: VaultRow, apply: Callable[[Tx], Applied]) -> None:
        """Writes a batch, together with how far the vault and the job are."""

        def change(tx: Tx) -> Outcome:
            outcome = _plus(self.outcome, apply(tx))
            records.set_state(tx, self._run.id, vault.id, IN_PROGRESS, outcome)
            return outcome

        self.outcome = await self._save(change)

    async def _stop(self, vault: VaultRow, brake: Brake) -> None:
        """The brake: nothing of the vault is written, and the job says why."""
        message = (
            f"stopped by the brake: {brake.would_be_gone} of {brake.known} secrets would have been marked gone, and "
            f"at most {brake.allowed_percent} % may be; nothing was changed. If they are meant to be gone, start a job "
            "with override_brake"
        )
        self.outcome = outcome = msgspec.structs.replace(self.outcome, message=message, brake=brake)

        def change(tx: Tx) -> None:
            records.set_state(tx, self._run.id, vault.id, FAILED, outcome)
            self._tell(tx, vault, brake)

        self._board.ended(vault.id, outcome)
        await self._save(change)

    def _tell(self, tx: Tx, vault: VaultRow, brake: Brake) -> None:
        if self._ground.notices is None:
            return
        data = notices_wire.Brake(
            cloud="azure",
            vault=vault.name,
            vault_id=vault.id,
            job_id=self._run.id,
            would_be_gone=brake.would_be_gone,
            known=brake.known,
            allowed_percent=brake.allowed_percent,
        )
        subject = uri("cckm", "azure-vault", vault.id, vault.azure_name)
        self._ground.notices.emit(tx, vault.domain_id, Type.BRAKE, subject, data, object_key=vault.id)


def _plus(outcome: Outcome, applied: Applied) -> Outcome:
    return msgspec.structs.replace(
        outcome,
        added=outcome.added + applied.added,
        changed=outcome.changed + applied.changed,
        gone=outcome.gone + applied.gone,
        left=outcome.left + applied.left,
    )


def _portions(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    for at in range(0, len(items), most):
        yield items[at : at + most]
