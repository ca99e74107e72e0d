"""The endpoints of a cloud's synchronisation jobs, which are alike in all clouds (CCKM contract, Azure §6, OCI §7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from claviger.cckm.calls import Answer, Call, ListOf, Parameter, Permission, Route
from claviger.cckm.listing import PAGING
from claviger.cckm.synchronization.operations import Jobs
from claviger.cckm.synchronization.rules import STATUSES
from claviger.cckm.synchronization.runner import Request
from claviger.cckm.vaults.records import ManagedVault
from claviger.core.errors import Forbidden

B = TypeVar("B", bound=msgspec.Struct)
Named = tuple[Sequence[str], Request]


class Places(msgspec.Struct, Generic[B], frozen=True, kw_only=True):
    """Where a cloud has the endpoints, who may use them, and what goes in and comes out.

    `field` is the filter by vault; `asked` reads the body of a start: the vaults it names, and how they are to be read.
    """

    path: str
    tag: str
    field: str
    view: Permission
    synchronize: Permission
    description: str
    example: Mapping[str, Any]
    takes: type[B]
    gives: type[msgspec.Struct]
    asked: Callable[[B], Named]


class JobRoutes(Generic[B]):
    """Answers calls; `table` is what a cloud gives as its routes."""

    def __init__(self, jobs: Jobs[Any, Any], places: Places[B]) -> None:
        self._jobs = jobs
        self._places = places

    def table(self) -> list[Route]:
        """All of them."""
        return [*self._of_jobs(), *self._of_one_job()]

    def _of_jobs(self) -> list[Route]:
        places = self._places
        return [
            Route(
                method="GET",
                path=places.path,
                handler=self._list,
                permission=places.view,
                tag=places.tag,
                summary="List synchronization jobs",
                description="Of each job only the vaults that the caller may see.",
                gives=ListOf[places.gives],  # type: ignore[name-defined]
                query=(
                    *PAGING,
                    Parameter("id", description="Id of the job.", repeated=True),
                    Parameter("overall_status", description="How the job stands.", repeated=True, values=STATUSES),
                    Parameter(places.field, description="A vault that the job is for, by id or name.", repeated=True),
                ),
            ),
            Route(
                method="POST",
                path=places.path,
                handler=self._start,
                permission=places.synchronize,
                tag=places.tag,
                summary="Synchronize vaults",
                description=places.description,
                takes=places.takes,
                gives=places.gives,
                status=201,
                example=places.example,
            ),
        ]

    def _of_one_job(self) -> list[Route]:
        places = self._places
        return [
            Route(
                method="GET",
                path=f"{places.path}/{{id}}",
                handler=self._read,
                permission=places.view,
                tag=places.tag,
                summary="Read a synchronization job",
                gives=places.gives,
            ),
            Route(
                method="POST",
                path=f"{places.path}/{{id}}/cancel",
                handler=self._cancel,
                permission=places.synchronize,
                tag=places.tag,
                summary="Cancel a synchronization job",
                description="It ends soon as completed; vaults that were not read yet count as failed.",
                gives=places.gives,
            ),
        ]

    async def _list(self, call: Call) -> Answer:
        return Answer(await self._jobs.page(call.caller.domain_id, call.query, call.containers()))

    async def _start(self, call: Call) -> Answer:
        named, request = self._places.asked(call.body(self._places.takes))
        domain_id, allowed = call.caller.domain_id, call.containers()
        chosen: list[ManagedVault] = await self._jobs.chosen(domain_id, named, request.synchronize_all)
        if request.synchronize_all:
            chosen = [row for row in chosen if allowed is None or row.id in allowed]
            if allowed is not None and not chosen:
                action = self._places.synchronize.action
                raise Forbidden("ActionMissing", message=f"you lack the permission {action} in every vault")
        for row in chosen:
            call.require(row.id)
        return Answer(await self._jobs.begin(domain_id, chosen, request, by=call.caller.user_id), status=201)

    async def _read(self, call: Call) -> Answer:
        ident, caller = call.params["id"], call.caller
        return Answer(await self._jobs.read(caller.domain_id, ident, call.containers(), user_id=caller.user_id))

    async def _cancel(self, call: Call) -> Answer:
        ident, caller = call.params["id"], call.caller
        run, of_job = await self._jobs.found(caller.domain_id, ident, None)
        call.containers()  # a job without vaults may be cancelled by anybody who is signed in: there is nothing to do
        for each in of_job:
            call.require(each.vault_id)
        return Answer(await self._jobs.cancel(caller.domain_id, run.id))
