"""The endpoints of synchronisation jobs for OCI's keys (CCKM contract, OCI §7)."""

from __future__ import annotations

from claviger.cckm.calls import Answer, Call, ListOf, Parameter, Route, in_container
from claviger.cckm.listing import PAGING
from claviger.cckm.oci.synchronization.operations import OciSynchronizations, told_apart
from claviger.cckm.oci.synchronization.wire import OciSynchronizationShown, StartOciSynchronization
from claviger.cckm.oci.vaults.rules import VIEW
from claviger.cckm.synchronization.runner import Request
from claviger.core.errors import Forbidden

TAG = "OCI synchronization"
PATH = "/cckm/oci/synchronization-jobs"
_VIEW = in_container(VIEW, VIEW)
_SYNCHRONIZE = in_container("keysynchronize", VIEW)

_FILTERS = (
    Parameter("id", description="Id of the job.", repeated=True),
    Parameter(
        "overall_status",
        description="How the job stands.",
        repeated=True,
        values=("in_progress", "completed", "failed"),
    ),
    Parameter("vaults", description="A vault that the job is for, by id or name.", repeated=True),
)


class OciSynchronizationRoutes:
    """Answers calls."""

    def __init__(self, operations: OciSynchronizations) -> None:
        self._operations = operations

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self._list,
                permission=_VIEW,
                tag=TAG,
                summary="List synchronization jobs",
                description="Of each job only the vaults that the caller may see.",
                gives=ListOf[OciSynchronizationShown],
                query=(*PAGING, *_FILTERS),
            ),
            Route(
                method="POST",
                path=PATH,
                handler=self._start,
                permission=_SYNCHRONIZE,
                tag=TAG,
                summary="Synchronize vaults",
                description=(
                    "Reads whole vaults in OCI, in every compartment that can be listed, and brings the records of "
                    "keys and versions to what is there. Nothing in OCI is changed. A vault that cannot be read wholly "
                    "leaves its records as they are."
                ),
                takes=StartOciSynchronization,
                gives=OciSynchronizationShown,
                status=201,
                example={"vaults": ["production"]},
            ),
            Route(
                method="GET",
                path=f"{PATH}/{{id}}",
                handler=self._read,
                permission=_VIEW,
                tag=TAG,
                summary="Read a synchronization job",
                gives=OciSynchronizationShown,
            ),
            Route(
                method="POST",
                path=f"{PATH}/{{id}}/cancel",
                handler=self._cancel,
                permission=_SYNCHRONIZE,
                tag=TAG,
                summary="Cancel a synchronization job",
                description="It ends soon as completed; vaults that were not read yet count as failed.",
                gives=OciSynchronizationShown,
            ),
        ]

    async def _list(self, call: Call) -> Answer:
        return Answer(await self._operations.page(call.caller.domain_id, call.query, call.containers()))

    async def _start(self, call: Call) -> Answer:
        asked = call.body(StartOciSynchronization)
        domain_id, allowed = call.caller.domain_id, call.containers()
        chosen = await self._operations.chosen(domain_id, asked.vaults, asked.synchronize_all)
        if asked.synchronize_all:
            chosen = [row for row in chosen if allowed is None or row.id in allowed]
            if allowed is not None and not chosen:
                raise Forbidden("ActionMissing", message="you lack the permission keysynchronize in every vault")
        for row in chosen:
            call.require(row.id)
        request = Request(asked.synchronize_all, asked.override_brake)
        job = await self._operations.begin(domain_id, told_apart(chosen), request, by=call.caller.user_id)
        return Answer(job, status=201)

    async def _read(self, call: Call) -> Answer:
        ident, caller = call.params["id"], call.caller
        return Answer(await self._operations.read(caller.domain_id, ident, call.containers(), user_id=caller.user_id))

    async def _cancel(self, call: Call) -> Answer:
        ident, caller = call.params["id"], call.caller
        run, of_job = await self._operations.found(caller.domain_id, ident, None)
        call.containers()  # a job without vaults may be cancelled by anybody who is signed in: there is nothing to do
        for each in of_job:
            call.require(each.vault_id)
        return Answer(await self._operations.cancel(caller.domain_id, run.id))
