"""The endpoints of synchronisation jobs for secrets (CCKM contract, Azure §6)."""

from __future__ import annotations

from claviger.cckm.azure.synchronization.operations import Synchronizations
from claviger.cckm.azure.synchronization.wire import StartSynchronization, SynchronizationShown
from claviger.cckm.calls import Answer, Call, ListOf, Parameter, Route, in_container
from claviger.cckm.listing import PAGING
from claviger.cckm.synchronization.runner import Request
from claviger.core.errors import Forbidden

TAG = "Azure secrets"
PATH = "/cckm/azure/secrets/synchronization-jobs"
_VIEW = in_container("secretview")
_SYNCHRONIZE = in_container("secretsynchronize")

_JOB_FILTERS = (
    Parameter("id", description="Id of the job.", repeated=True),
    Parameter(
        "overall_status",
        description="How the job stands.",
        repeated=True,
        values=("in_progress", "completed", "failed"),
    ),
    Parameter("key_vaults", description="A vault that the job is for, by id or name.", repeated=True),
)


class SynchronizationRoutes:
    """Routes of jobs."""

    def __init__(self, operations: Synchronizations) -> None:
        self._operations = operations

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._of_jobs(), *self._of_one_job()]

    def _of_jobs(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self._list,
                permission=_VIEW,
                tag=TAG,
                summary="List synchronization jobs",
                description="Of each job only the vaults that the caller may see.",
                gives=ListOf[SynchronizationShown],
                query=(*PAGING, *_JOB_FILTERS),
            ),
            Route(
                method="POST",
                path=PATH,
                handler=self._start,
                permission=_SYNCHRONIZE,
                tag=TAG,
                summary="Synchronize vaults",
                description=(
                    "Reads whole vaults in Azure, never a value, and brings the records to what is there. Nothing in "
                    "Azure is changed. A vault that cannot be read wholly leaves its records as they are."
                ),
                takes=StartSynchronization,
                gives=SynchronizationShown,
                status=201,
                example={"key_vaults": ["demo"]},
            ),
        ]

    def _of_one_job(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=f"{PATH}/{{id}}",
                handler=self._read,
                permission=_VIEW,
                tag=TAG,
                summary="Read a synchronization job",
                gives=SynchronizationShown,
            ),
            Route(
                method="POST",
                path=f"{PATH}/{{id}}/cancel",
                handler=self._cancel,
                permission=_SYNCHRONIZE,
                tag=TAG,
                summary="Cancel a synchronization job",
                description="It ends soon as completed; vaults that were not read yet count as failed.",
                gives=SynchronizationShown,
            ),
        ]

    async def _list(self, call: Call) -> Answer:
        return Answer(await self._operations.page(call.caller.domain_id, call.query, call.containers()))

    async def _start(self, call: Call) -> Answer:
        asked = call.body(StartSynchronization)
        domain_id, allowed = call.caller.domain_id, call.containers()
        chosen = await self._operations.chosen(domain_id, asked.key_vaults, asked.synchronize_all)
        if asked.synchronize_all:
            chosen = [row for row in chosen if allowed is None or row.id in allowed]
            if allowed is not None and not chosen:
                raise Forbidden("ActionMissing", message="you lack the permission secretsynchronize in every vault")
        for row in chosen:
            call.require(row.id)
        named = [(row.id, row.name) for row in chosen]
        request = Request(asked.synchronize_all, asked.override_brake, asked.all_versions)
        job = await self._operations.begin(domain_id, named, request, by=call.caller.user_id)
        return Answer(job, status=201)

    async def _read(self, call: Call) -> Answer:
        ident, caller = call.params["id"], call.caller
        job = await self._operations.read(caller.domain_id, ident, call.containers(), user_id=caller.user_id)
        return Answer(job)

    async def _cancel(self, call: Call) -> Answer:
        ident, caller = call.params["id"], call.caller
        run, of_job = await self._operations.found(caller.domain_id, ident, None)
        call.containers()  # a job without vaults may be cancelled by anybody who is signed in: there is nothing to do
        for each in of_job:
            call.require(each.vault_id)
        return Answer(await self._operations.cancel(caller.domain_id, run.id))
