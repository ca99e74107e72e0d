"""Connections of all clouds over HTTP (CCKM contract, common §7.1)."""

from __future__ import annotations

from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, ListOf, Route, members
from claviger.cckm.connections.operations import AllConnections
from claviger.cckm.connections.shown import LIST_PARAMETERS
from claviger.cckm.connections.wire import CommonOut, DeleteIn

CONNECTION_ADMINS = "Connection Admins"
TAG = "Connections"
READS = members(CCKM_ADMINS, CONNECTION_ADMINS)
CHANGES = members(CONNECTION_ADMINS)
_ALL = "/connectionmgmt/connections"


class AllConnectionRoutes:
    """Answers calls about connections of any cloud."""

    def __init__(self, connections: AllConnections) -> None:
        self._connections = connections

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path=_ALL,
                handler=self.listing,
                permission=READS,
                tag=TAG,
                summary="List connections to all clouds",
                gives=ListOf[CommonOut],
                query=LIST_PARAMETERS,
            ),
            Route(
                method="DELETE",
                path=f"{_ALL}/{{id}}",
                handler=self.delete,
                permission=CHANGES,
                tag=TAG,
                summary="Delete a connection to any cloud",
                description="Refused while something uses it.",
                status=204,
                errors=(409,),
            ),
            Route(
                method="POST",
                path=f"{_ALL}/{{id}}/delete",
                handler=self.force_delete,
                permission=CHANGES,
                tag=TAG,
                summary="Delete a connection even where something uses it",
                description="What uses it keeps its name, and can be given another connection.",
                takes=DeleteIn,
                status=204,
                errors=(409,),
            ),
        ]

    async def listing(self, call: Call) -> Answer:
        """GET /connections."""
        return Answer(await self._connections.listing(call.caller.domain_id, call.query))

    async def delete(self, call: Call) -> Answer:
        """DELETE /connections/{id}."""
        await self._connections.delete(call.caller.domain_id, call.params["id"])
        return Answer(status=204)

    async def force_delete(self, call: Call) -> Answer:
        """POST /connections/{id}/delete."""
        asked = call.body(DeleteIn)
        await self._connections.delete(call.caller.domain_id, call.params["id"], force=asked.force)
        return Answer(status=204)
