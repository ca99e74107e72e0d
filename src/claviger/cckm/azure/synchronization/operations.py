"""What callers do with synchronisation jobs: start, list, read, cancel; and the drift list.

Who may do what is decided by the routes; here `containers` are the ids of the vaults that the caller may look at, None
for all of the domain. A job shows a caller only those of its vaults.
"""

from __future__ import annotations

from collections.abc import Sequence

from claviger.audit.trail import BEGUN, Kept, about, current_trail, staged, telling
from claviger.cckm.azure.synchronization import records
from claviger.cckm.azure.synchronization.drift import records as drift
from claviger.cckm.azure.synchronization.records import VaultOfJob
from claviger.cckm.azure.synchronization.rules import STATUSES, choice_problems
from claviger.cckm.azure.synchronization.runner import KIND, OBJECT, Request
from claviger.cckm.azure.synchronization.showing import shown, shown_drift
from claviger.cckm.azure.synchronization.wire import StartSynchronization, SynchronizationShown
from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.calls import Query
from claviger.cckm.errors import validation
from claviger.cckm.listing import Page, sort_of, window_of
from claviger.core.clock import Clock
from claviger.core.errors import Invalid, NotFound
from claviger.jobs.run_records import SORTS
from claviger.jobs.runs import Run, Runs
from claviger.store.contract import Store, Tx

LONGEST_NAME = 300
Containers = frozenset[str] | None


class Synchronizations:
    """Everything about jobs of a domain."""

    def __init__(self, store: Store, clock: Clock, runs: Runs) -> None:
        self._store = store
        self._clock = clock
        self._runs = runs

    async def chosen(self, domain_id: str, key_vaults: Sequence[str], synchronize_all: bool) -> list[VaultRow]:
        """The vaults that a job is for, each once. Raises Invalid and NotFound."""
        problems = choice_problems(key_vaults, synchronize_all)
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

    async def begin(
        self, domain_id: str, chosen: Sequence[VaultRow], asked: StartSynchronization, *, by: str = "", run_id: str = ""
    ) -> SynchronizationShown:
        """Starts a job for these vaults; it begins at once. With a `run_id` it may be asked again."""
        trail = current_trail()
        kept = Kept() if trail is None else trail.kept()
        request = Request(asked.synchronize_all, asked.override_brake, asked.all_versions, kept)

        def change(tx: Tx) -> Run:
            run = self._runs.start(tx, KIND, domain_id, request, by=by, run_id=run_id)
            about(OBJECT, run.id)
            telling(vaults=[row.name for row in chosen], override_brake=asked.override_brake)
            staged(BEGUN)
            records.add_vaults(tx, run.id, chosen)
            return run

        run = await self._store.write(change)
        self._runs.wake()
        return await self.read(domain_id, run.id, None)

    async def start(
        self,
        domain_id: str,
        key_vaults: Sequence[str] = (),
        *,
        synchronize_all: bool = False,
        by: str = "",
        run_id: str = "",
    ) -> str:
        """The same for the scheduler, which may choose any vault of the domain; the id of the job.

        Raises Invalid and NotFound.
        """
        chosen = await self.chosen(domain_id, key_vaults, synchronize_all)
        asked = StartSynchronization(synchronize_all=synchronize_all)
        return (await self.begin(domain_id, chosen, asked, by=by, run_id=run_id)).id

    async def read(
        self, domain_id: str, ident: str, containers: Containers, *, user_id: str = ""
    ) -> SynchronizationShown:
        """One job, with what came of each vault. Raises NotFound."""
        run, of_job = await self.found(domain_id, ident, containers, user_id=user_id)
        return shown(run, of_job, self._clock.now(), whole=True)

    async def found(
        self, domain_id: str, ident: str, containers: Containers, *, user_id: str = ""
    ) -> tuple[Run, list[VaultOfJob]]:
        """A job with those of its vaults that the caller may see. Raises NotFound."""
        run = await self._runs.by_id(KIND, domain_id, ident)
        of_job = [] if run is None else await records.vaults_of(self._store, [run.id])
        visible = _visible(of_job, containers)
        if run is None or (containers is not None and not visible and run.by != user_id):
            raise NotFound("NotFound", message="there is no such synchronization job")
        return run, visible

    async def page(self, domain_id: str, query: Query, containers: Containers) -> Page:
        """One page of the domain's jobs. Raises Invalid."""
        window = window_of(query)
        order = sort_of(query, SORTS, "-createdAt")
        states = query.all("overall_status")
        if any(state not in STATUSES for state in states):
            raise validation({"overall_status": f"must be one of {', '.join(STATUSES)}"})
        ids: set[str] | None = set(query.all("id")) or None
        if query.all("key_vaults"):
            ids = _both(ids, await records.jobs_with(self._store, domain_id, KIND, query.all("key_vaults")))
        if containers is not None:
            ids = _both(ids, await records.jobs_in(self._store, domain_id, KIND, containers))
        if ids is not None and not ids:
            return Page(window.skip, window.limit, 0, [])
        total, runs = await self._runs.page(
            KIND,
            domain_id,
            states=states,
            ids=sorted(ids or ()),
            order=order,
            skip=window.skip,
            limit=window.limit,
        )
        of_runs: dict[str, list[VaultOfJob]] = {run.id: [] for run in runs}
        for each in _visible(await records.vaults_of(self._store, list(of_runs)), containers):
            of_runs[each.run_id].append(each)
        now = self._clock.now()
        return Page(window.skip, window.limit, total, [shown(run, of_runs[run.id], now) for run in runs])

    async def cancel(self, domain_id: str, ident: str) -> SynchronizationShown:
        """Asks a job to stop; it, still in progress (CCKM contract §12).

        Raises NotFound, and Conflict("StateForbids") where it has ended.
        """
        if await self._runs.by_id(KIND, domain_id, ident) is None:
            raise NotFound("NotFound", message="there is no such synchronization job")
        about(OBJECT, ident)
        run = await self._store.write(lambda tx: self._runs.ask_abort(tx, ident))
        self._runs.wake()
        return shown(run, await records.vaults_of(self._store, [run.id]), self._clock.now(), whole=True)

    # Drift.

    async def drift(self, domain_id: str, query: Query, containers: Containers) -> Page:
        """One page of what has changed in the cloud without us. Raises Invalid."""
        window = window_of(query)
        order = sort_of(query, drift.SORTS, "-since")
        kinds = query.all("kind")
        if any(kind not in drift.KINDS for kind in kinds):
            raise validation({"kind": f"must be one of {', '.join(drift.KINDS)}"})
        wanted = drift.Wanted(
            domain_id=domain_id,
            vault_ids=containers,
            vaults=query.all("key_vault"),
            kinds=kinds,
            names=query.all("secret_name"),
        )
        total, found = await drift.page(self._store, wanted, order, window.skip, window.limit)
        window.count_of(total)
        return Page(window.skip, window.limit, total, [shown_drift(each) for each in found])


def _visible(of_job: Sequence[VaultOfJob], containers: Containers) -> list[VaultOfJob]:
    return [each for each in of_job if containers is None or each.vault_id in containers]


def _both(one: set[str] | None, other: set[str]) -> set[str]:
    return other if one is None else one & other
