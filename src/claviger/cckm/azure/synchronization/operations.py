"""What callers do with synchronisation jobs of Azure's secrets: choose vaults, and what any cloud's jobs offer."""

from __future__ import annotations

from collections.abc import Sequence

from claviger.cckm.azure.synchronization.records import VAULTS
from claviger.cckm.azure.synchronization.showing import shown
from claviger.cckm.azure.synchronization.visiting import KIND
from claviger.cckm.azure.synchronization.wire import SynchronizationShown
from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.errors import validation
from claviger.cckm.synchronization.operations import Jobs
from claviger.cckm.synchronization.rules import choice_problems
from claviger.cckm.synchronization.runner import Request
from claviger.core.clock import Clock
from claviger.core.errors import Invalid, NotFound
from claviger.jobs.runs import Runs
from claviger.store.contract import Store

LONGEST_NAME = 300


class Synchronizations(Jobs[SynchronizationShown]):
    """Everything about jobs of a domain."""

    def __init__(self, store: Store, clock: Clock, runs: Runs) -> None:
        super().__init__(store, clock, runs, KIND, VAULTS, "key_vaults", shown)

    async def chosen(self, domain_id: str, key_vaults: Sequence[str], synchronize_all: bool) -> list[VaultRow]:
        """The vaults that a job is for, each once. Raises Invalid and NotFound."""
        problems = choice_problems(key_vaults, synchronize_all, "key_vaults")
        if problems:
            raise validation(problems)
        if synchronize_all:
            return [row for row in await vaults.all_of(self._store, domain_id) if not row.is_managed_hsm]
        found: dict[str, VaultRow] = {}
        for name in key_vaults:
            could_be = len(name) <= LONGEST_NAME and name.isprintable()
            row = await vaults.find(self._store, domain_id, name) if could_be else None
            if row is None:
                raise NotFound("NotFound", message=f"there is no key vault {name[:80]!r} under management")
            if row.is_managed_hsm:
                raise Invalid("ManagedHsm", message=f"key_vaults: {row.name} is a managed HSM, which holds no secrets")
            found[row.id] = row
        return list(found.values())

    async def start(
        self,
        domain_id: str,
        key_vaults: Sequence[str] = (),
        *,
        synchronize_all: bool = False,
        by: str = "",
        run_id: str = "",
    ) -> str:
        """Starts a job for the scheduler, which may choose any vault of the domain; the id of the job.

        Raises Invalid and NotFound.
        """
        chosen = await self.chosen(domain_id, key_vaults, synchronize_all)
        named = [(row.id, row.name) for row in chosen]
        return (await self.begin(domain_id, named, Request(synchronize_all), by=by, run_id=run_id)).id
