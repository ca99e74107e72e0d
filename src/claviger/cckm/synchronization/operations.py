"""What callers do with a cloud's synchronisation jobs: choose vaults, start, list, read, cancel.

Who may do what is decided by the routes; here `containers` are the ids of the vaults that the caller may look at, None
for all of the domain. A job shows a caller only those of its vaults.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from claviger.audit.trail import BEGUN, Kept, about, current_trail, staged, telling
from claviger.cckm.calls import Query
from claviger.cckm.errors import validation
from claviger.cckm.listing import Page, sort_of, window_of
from claviger.cckm.synchronization.records import JobVaults, VaultOfJob
from claviger.cckm.synchronization.rules import STATUSES, choice_problems
from claviger.cckm.synchronization.runner import OBJECT, Request
from claviger.cckm.vaults.records import ManagedVault
from claviger.core.clock import Clock
from claviger.core.errors import NotFound
from claviger.jobs.run_records import SORTS
from claviger.jobs.runs import Run, Runs
from claviger.store.contract import Store, Tx

Containers = frozenset[str] | None
J_co = TypeVar("J_co", covariant=True)
J = TypeVar("J")
V = TypeVar("V", bound=ManagedVault)

LONGEST_NAME = 300


class Shows(Protocol[J_co]):
    """How a job becomes what callers see; `whole`: with what came of each vault."""

    def __call__(self, run: Run, of_job: Sequence[VaultOfJob], now: float, *, whole: bool = False) -> J_co: ...


@dataclass(frozen=True)
class Own(Generic[V, J]):
    """What the jobs of one cloud have of their own: the `kind` of their runs, the table of their vaults, their looks.

    `field` names vaults in bodies and filters, `noun` in messages. `find` knows a vault by id or name, and may refuse
    one that it knows; `told` gives the id of each with what a job calls it.
    """

    kind: str
    vaults: JobVaults
    field: str
    noun: str
    all_of: Callable[[Store, str], Awaitable[list[V]]]
    find: Callable[[Store, str, str], Awaitable[V | None]]
    told: Callable[[Sequence[V]], list[tuple[str, str]]]
    shows: Shows[J]


class Jobs(Generic[V, J]):
    """Everything about a cloud's jobs."""

    def __init__(self, store: Store, clock: Clock, runs: Runs, own: Own[V, J]) -> None:
        self.own = own
        self._store = store
        self._clock = clock
        self._runs = runs
        self._kind = own.kind
        self._vaults = own.vaults
        self._shows = own.shows

    async def chosen(self, domain_id: str, named: Sequence[str], synchronize_all: bool) -> list[V]:
        """The vaults that a job is for, each once. Raises Invalid and NotFound."""
        own = self.own
        problems = choice_problems(named, synchronize_all, own.field)
        if problems:
            raise validation(problems)
        if synchronize_all:
            return await own.all_of(self._store, domain_id)
        found: dict[str, V] = {}
        for name in named:
            could_be = len(name) <= LONGEST_NAME and name.isprintable()
            row = await own.find(self._store, domain_id, name) if could_be else None
            if row is None:
                raise NotFound("NotFound", message=f"there is no {own.noun} {name[:80]!r} under management")
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
        return await self._begin(domain_id, chosen, Request(synchronize_all), by, run_id)

    async def begin(self, domain_id: str, chosen: Sequence[V], request: Request, *, by: str) -> J:
        """Starts a job for these vaults, which begins at once."""
        return await self.read(domain_id, await self._begin(domain_id, chosen, request, by), None)

    async def _begin(self, domain_id: str, chosen: Sequence[V], request: Request, by: str, run_id: str = "") -> str:
        """Starts a job; its id. With a `run_id` it may be asked again."""
        vaults = self.own.told(chosen)
        trail = current_trail()
        kept = Kept() if trail is None else trail.kept()
        asked = Request(request.synchronize_all, request.override_brake, request.all_versions, kept)

        def change(tx: Tx) -> Run:
            run = self._runs.start(tx, self._kind, domain_id, asked, by=by, run_id=run_id)
            about(OBJECT, run.id)
            telling(vaults=[name for _, name in vaults], override_brake=asked.override_brake)
            staged(BEGUN)
            self._vaults.add(tx, run.id, vaults)
            return run

        run = await self._store.write(change)
        self._runs.wake()
        return run.id

    async def read(self, domain_id: str, ident: str, containers: Containers, *, user_id: str = "") -> J:
        """One job, with what came of each vault. Raises NotFound."""
        run, of_job = await self.found(domain_id, ident, containers, user_id=user_id)
        return self._shows(run, of_job, self._clock.now(), whole=True)

    async def found(
        self, domain_id: str, ident: str, containers: Containers, *, user_id: str = ""
    ) -> tuple[Run, list[VaultOfJob]]:
        """A job with those of its vaults that the caller may see. Raises NotFound."""
        run = await self._runs.by_id(self._kind, domain_id, ident)
        of_job = [] if run is None else await self._vaults.of(self._store, [run.id])
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
        named = query.all(self.own.field)
        if named:
            ids = _both(ids, await self._vaults.jobs_with(self._store, domain_id, self._kind, named))
        if containers is not None:
            ids = _both(ids, await self._vaults.jobs_in(self._store, domain_id, self._kind, containers))
        if ids is not None and not ids:
            return Page(window.skip, window.limit, 0, [])
        total, runs = await self._runs.page(
            self._kind,
            domain_id,
            states=states,
            ids=sorted(ids or ()),
            order=order,
            skip=window.skip,
            limit=window.limit,
        )
        of_runs: dict[str, list[VaultOfJob]] = {run.id: [] for run in runs}
        for each in _visible(await self._vaults.of(self._store, list(of_runs)), containers):
            of_runs[each.run_id].append(each)
        now = self._clock.now()
        return Page(window.skip, window.limit, total, [self._shows(run, of_runs[run.id], now) for run in runs])

    async def cancel(self, domain_id: str, ident: str) -> J:
        """Asks a job to stop; it, still in progress (CCKM contract §12).

        Raises NotFound, and Conflict("StateForbids") where it has ended.
        """
        if await self._runs.by_id(self._kind, domain_id, ident) is None:
            raise NotFound("NotFound", message="there is no such synchronization job")
        about(OBJECT, ident)
        run = await self._store.write(lambda tx: self._runs.ask_abort(tx, ident))
        self._runs.wake()
        return self._shows(run, await self._vaults.of(self._store, [run.id]), self._clock.now(), whole=True)


def _visible(of_job: Sequence[VaultOfJob], containers: Containers) -> list[VaultOfJob]:
    return [each for each in of_job if containers is None or each.vault_id in containers]


def _both(one: set[str] | None, other: set[str]) -> set[str]:
    return other if one is None else one & other
