"""What callers do with synchronisation jobs of OCI's keys: choose vaults, and what any cloud's jobs offer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from claviger.cckm.errors import validation
from claviger.cckm.oci.synchronization.records import VAULTS
from claviger.cckm.oci.synchronization.showing import shown
from claviger.cckm.oci.synchronization.visiting import KIND
from claviger.cckm.oci.synchronization.wire import OciSynchronizationShown
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.synchronization.operations import Jobs
from claviger.cckm.synchronization.rules import choice_problems
from claviger.cckm.synchronization.runner import Request
from claviger.core.clock import Clock
from claviger.core.errors import NotFound
from claviger.jobs.runs import Runs
from claviger.store.contract import Store

LONGEST_NAME = 300


class OciSynchronizations(Jobs[OciSynchronizationShown]):
    """Everything about jobs of a domain."""

    def __init__(self, store: Store, clock: Clock, runs: Runs) -> None:
        super().__init__(store, clock, runs, KIND, VAULTS, "vaults", shown)

    async def chosen(self, domain_id: str, named: Sequence[str], synchronize_all: bool) -> list[OciVault]:
        """The vaults that a job is for, each once. Raises Invalid and NotFound."""
        problems = choice_problems(named, synchronize_all, "vaults")
        if problems:
            raise validation(problems)
        if synchronize_all:
            return await vaults.all_of(self._store, domain_id)
        found: dict[str, OciVault] = {}
        for name in named:
            could_be = len(name) <= LONGEST_NAME and name.isprintable()
            row = await vaults.find(self._store, domain_id, name) if could_be else None
            if row is None:
                raise NotFound("NotFound", message=f"there is no vault {name[:80]!r} under management")
            found[row.id] = row
        return list(found.values())

    async def start(
        self,
        domain_id: str,
        named: Sequence[str] = (),
        *,
        synchronize_all: bool = False,
        by: str = "",
        run_id: str = "",
    ) -> str:
        """Starts a job for the scheduler, which may choose any vault of the domain; the id of the job.

        Raises Invalid and NotFound.
        """
        chosen = await self.chosen(domain_id, named, synchronize_all)
        return (await self.begin(domain_id, told_apart(chosen), Request(synchronize_all), by=by, run_id=run_id)).id


def told_apart(chosen: Sequence[OciVault]) -> list[tuple[str, str]]:
    """Vaults by id and name; in OCI several may have the same one, and then the id is added."""
    count = Counter(row.name for row in chosen)
    return [(row.id, row.name if count[row.name] == 1 else f"{row.name} ({row.id})") for row in chosen]
