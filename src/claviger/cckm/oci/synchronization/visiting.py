"""A vault of OCI in a job: it is read to its end, and then the records are brought to what is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from claviger.cckm.notices.announcing import Notices
from claviger.cckm.oci.connections import records as connections
from claviger.cckm.oci.connections.cloud import OciClouds
from claviger.cckm.oci.synchronization import records
from claviger.cckm.oci.synchronization.applying import Applier, Loss
from claviger.cckm.oci.synchronization.cloud import Tenancy
from claviger.cckm.oci.synchronization.comparing import Sighting
from claviger.cckm.oci.synchronization.reading import Reading, VaultReader
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.operations import refreshed
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.vaults.shown import KIND as VAULT
from claviger.cckm.synchronization.finding import Job
from claviger.cckm.synchronization.gate import Gates
from claviger.cckm.synchronization.records import Outcome
from claviger.cckm.synchronization.visiting import ROWS_AT_ONCE, Applied, Ground, Visit, Words, Work, few
from claviger.core.clock import Clock
from claviger.core.ids import new_uuid
from claviger.store.contract import Store, Tx

KIND = "oci-keys-synchronization"
MOST_NAMED = 5


class OciTrade:
    """What OCI has of its own in synchronisation. Its limits are a tenancy's, and so is the gate."""

    kind = KIND

    def __init__(self, store: Store, clock: Clock, clouds: OciClouds, notices: Notices | None = None) -> None:
        self.ground = Ground(store, clock, notices, records.VAULTS, Words("oci", VAULT, "keys"))
        self.clouds = clouds
        self.gates = Gates()

    async def vaults(self, domain_id: str) -> dict[str, OciVault]:
        """The managed vaults of a domain, by the ids of their records."""
        return {row.id: row for row in await vaults.all_of(self.ground.store, domain_id)}

    async def expected(self, vault: OciVault) -> int:
        """How many keys are recorded as being there."""
        return await records.alive(self.ground.store, vault.num)

    def visit(self, work: Work, before: Outcome) -> OciVisit:
        """A visit to a vault."""
        return OciVisit(work, before, self.clouds, self.gates)


class OciVisit(Visit[OciVault]):
    """Reads a vault and writes what was found."""

    def __init__(self, work: Work, before: Outcome, clouds: OciClouds, gates: Gates) -> None:
        super().__init__(work, before)
        self._clouds = clouds
        self._gates = gates

    async def synchronize(self, vault: OciVault) -> None:
        """Raises the refusal that stands in the way."""
        ground = self.work.ground
        connection = await connections.of_vault(ground.store, vault)
        gate = self._gates.of(f"{connection.details.domain}/{connection.details.tenancy_ocid}")
        noted = self.noting(vault, gate)
        await noted(0)
        tenancy = Tenancy(await self._clouds.reach(connection), self.asking(gate))
        reading = await VaultReader(ground.store, ground.clock, vault, tenancy, self.work.choice, noted).read()
        try:
            if reading.brake is not None:
                await self.stop(vault, reading.brake)
            else:
                await self._write(vault, reading)
        finally:
            reading.spool.close()

    async def _write(self, vault: OciVault, reading: Reading) -> None:
        run, ground = self.work.run, self.work.ground
        applier = Applier(Job(vault, run.id, run.by, reading.began_at, reading.is_first), ground.notices)
        for portion in reading.spool.portions(ROWS_AT_ONCE):
            await self.batch(vault, self._sightings(applier, portion))
        is_final = reading.vault is not None and reading.vault.state == "DELETED"
        for missing in few(reading.missing):
            await self.batch(vault, self._losses(applier, [Loss(each.ocid, is_final) for each in missing]))
        now = ground.clock.now()
        await self.end(vault, lambda tx: _note(tx, vault, reading, now), _said(reading))

    def _sightings(self, applier: Applier, portion: Sequence[Sighting]) -> Callable[[Tx], Applied]:
        now = self.work.ground.clock.now()
        ids = [[new_uuid() for _ in range(1 + len(each.versions))] for each in portion]
        return lambda tx: applier.sightings(tx, portion, ids, now)

    def _losses(self, applier: Applier, losses: Sequence[Loss]) -> Callable[[Tx], Applied]:
        now = self.work.ground.clock.now()
        return lambda tx: applier.losses(tx, losses, now)


def _note(tx: Tx, vault: OciVault, reading: Reading, now: float) -> None:
    """Notes that a vault was read, and what OCI says of itself."""
    row = vaults.load(tx, vault.domain_id, vault.id)
    if row is not None and reading.vault is not None:
        after = refreshed(row, reading.vault, reading.compartment_name, now)
        if msgspec.structs.replace(after, refreshed_at=row.refreshed_at) != row:
            vaults.replace(tx, msgspec.structs.replace(after, updated_at=now))
    records.note_whole(tx, vault.num, reading.began_at, now)
    records.FINDINGS.sweep(tx, vault.num)


def _said(reading: Reading) -> str:
    """What has to be said of a reading that went well: what it could not see."""
    said = []
    if reading.skipped:
        named = ", ".join(reading.skipped[:MOST_NAMED]) + (", ..." if len(reading.skipped) > MOST_NAMED else "")
        said.append(
            f"OCI does not let the connection list keys in {len(reading.skipped)} compartments ({named}); keys that "
            "are recorded there were left as they are"
        )
    if reading.unread:
        said.append(f"{reading.unread} keys were listed and could not be read; they were left as they are")
    return "; ".join(said)
