"""A vault of Azure in a job: it is read to its end, and then the records are brought to what is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from claviger.cckm.azure.connections import records as connections
from claviger.cckm.azure.connections.cloud import AzureClouds
from claviger.cckm.azure.synchronization import records
from claviger.cckm.azure.synchronization.applying import Applier, Loss
from claviger.cckm.azure.synchronization.cloud import source
from claviger.cckm.azure.synchronization.comparing import Sighting
from claviger.cckm.azure.synchronization.reading import Reading, VaultReader
from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.synchronization.finding import Job
from claviger.cckm.synchronization.gate import Gates
from claviger.cckm.synchronization.records import Outcome
from claviger.cckm.synchronization.visiting import ROWS_AT_ONCE, Applied, Ground, Visit, Words, Work, few
from claviger.core.clock import Clock
from claviger.core.errors import Invalid
from claviger.core.ids import new_uuid
from claviger.store.contract import Store, Tx

KIND = "azure-secrets-synchronization"


class AzureTrade:
    """What Azure has of its own in synchronisation."""

    kind = KIND

    def __init__(self, store: Store, clock: Clock, clouds: AzureClouds, notices: Notices | None = None) -> None:
        self.ground = Ground(store, clock, notices, records.VAULTS, Words("azure", "azure-vault", "secrets"))
        self.clouds = clouds
        self.gates = Gates()

    async def vaults(self, domain_id: str) -> dict[str, VaultRow]:
        """The managed vaults of a domain, by the ids of their records."""
        return {row.id: row for row in await vaults.all_of(self.ground.store, domain_id)}

    async def expected(self, vault: VaultRow) -> int:
        """How many secrets are recorded as being there."""
        return await records.alive(self.ground.store, vault.num)

    def visit(self, work: Work, before: Outcome) -> AzureVisit:
        """A visit to a vault."""
        return AzureVisit(work, before, self.clouds, self.gates)


class AzureVisit(Visit[VaultRow]):
    """Reads a vault and writes what was found."""

    def __init__(self, work: Work, before: Outcome, clouds: AzureClouds, gates: Gates) -> None:
        super().__init__(work, before)
        self._clouds = clouds
        self._gates = gates

    async def synchronize(self, vault: VaultRow) -> None:
        """Raises the refusal that stands in the way."""
        if vault.is_managed_hsm:
            raise Invalid("ManagedHsm", message="a managed HSM holds no secrets")
        ground = self.work.ground
        connection = await connections.of_vault(ground.store, vault)
        gate = self._gates.of(vault.azure_vault_id.lower())
        noted = self.noting(vault, gate)
        await noted(0)
        reader = VaultReader(
            ground.store,
            ground.clock,
            vault,
            await source(self._clouds, connection, vault.azure_name, vault.vault_uri, self.asking(gate)),
            self.work.choice,
            noted,
        )
        reading = await reader.read()
        try:
            if reading.brake is not None:
                await self.stop(vault, reading.brake, vault.azure_name)
            else:
                await self._write(vault, reading)
        finally:
            reading.spool.close()

    async def _write(self, vault: VaultRow, reading: Reading) -> None:
        run, ground = self.work.run, self.work.ground
        applier = Applier(Job(vault, run.id, run.by, reading.began_at, reading.is_first), ground.notices)
        for portion in reading.spool.portions(ROWS_AT_ONCE):
            await self.batch(vault, self._sightings(applier, portion))
        losses = [Loss(each.name_key) for each in reading.missing]
        losses += [Loss(key, tuple(versions)) for key, versions in reading.lost.items()]
        for portion_of_losses in few(losses):
            await self.batch(vault, self._losses(applier, portion_of_losses))
        now = ground.clock.now()

        def note(tx: Tx) -> None:
            records.note_whole(tx, vault.num, reading.began_at, now)
            records.FINDINGS.sweep(tx, vault.num)

        await self.end(vault, note)

    def _sightings(self, applier: Applier, portion: Sequence[Sighting]) -> Callable[[Tx], Applied]:
        now = self.work.ground.clock.now()
        ids = [[new_uuid() for _ in each.versions] for each in portion]
        return lambda tx: applier.sightings(tx, portion, ids, now)

    def _losses(self, applier: Applier, losses: Sequence[Loss]) -> Callable[[Tx], Applied]:
        now = self.work.ground.clock.now()
        return lambda tx: applier.losses(tx, losses, now)
