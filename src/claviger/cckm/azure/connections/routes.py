"""Connections over HTTP (CCKM contract, common §7.1)."""

from __future__ import annotations

from claviger.cckm.approvals.guarding import Guards, guarded
from claviger.cckm.azure.connections.operations import Connections
from claviger.cckm.azure.connections.rules import AZURE
from claviger.cckm.azure.connections.wire import (
    AzureConnectionIn,
    AzureConnectionOut,
    CsrIn,
    CsrOut,
)
from claviger.cckm.calls import Answer, Call, ListOf, Route
from claviger.cckm.connections.operations import AllConnections
from claviger.cckm.connections.routes import CHANGES, READS, TAG
from claviger.cckm.connections.shown import LIST_PARAMETERS
from claviger.cckm.connections.wire import TestResult

_ALL = "/connectionmgmt/connections"
_AZURE = "/connectionmgmt/services/azure"
_MANY = f"{_AZURE}/connections"
_ONE = f"{_MANY}/{{id}}"
_EXAMPLE = {
    "name": "production",
    "tenant_id": "0f0f0f0f-0000-4000-8000-000000000001",
    "client_id": "0f0f0f0f-0000-4000-8000-000000000002",
    "client_secret": "$CLIENT_SECRET",
}


class ConnectionRoutes:
    """Answers calls about connections."""

    def __init__(self, connections: Connections, all_connections: AllConnections, guards: Guards | None = None) -> None:
        self._connections = connections
        self._all = all_connections
        self._guards = guards

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._of_azure(), *self._changes(), *self._tests(), *self._requests()]

    def _of_azure(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=_MANY,
                handler=self.listing,
                permission=READS,
                tag=TAG,
                summary="List connections to Azure",
                gives=ListOf[AzureConnectionOut],
                query=LIST_PARAMETERS,
            ),
            Route(
                method="GET",
                path=_ONE,
                handler=self.read,
                permission=READS,
                tag=TAG,
                summary="Read a connection to Azure, by id or name",
                gives=AzureConnectionOut,
            ),
        ]

    def _changes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=_MANY,
                handler=self.create,
                permission=CHANGES,
                tag=TAG,
                summary="Make a connection to Azure",
                description="With a client secret, with a certificate that this server makes (`is_certificate_used`), "
                "or with one for a signing request made here (`certificate`). Every address of the cloud may be given.",
                takes=AzureConnectionIn,
                gives=AzureConnectionOut,
                status=201,
                errors=(409,),
                example=_EXAMPLE,
            ),
            Route(
                method="PATCH",
                path=_ONE,
                handler=self.change,
                permission=CHANGES,
                tag=TAG,
                summary="Change a connection to Azure",
                description='Fields that are absent, null or "" stay. `meta` and `labels` are merged; null removes a '
                "key. To renew a certificate that this server made, give another `cert_duration`. Where protected "
                "vaults are reached by it, other addresses need the approval of others.",
                takes=AzureConnectionIn,
                gives=AzureConnectionOut,
                errors=(409,),
            ),
            Route(
                method="DELETE",
                path=_ONE,
                handler=self.delete,
                permission=CHANGES,
                tag=TAG,
                summary="Delete a connection to Azure",
                description="Refused while vaults use it.",
                status=204,
                errors=(409,),
            ),
        ]

    def _tests(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=f"{_ONE}/test",
                asks=True,
                handler=self.test,
                permission=READS,
                tag=TAG,
                summary="Test a stored connection to Azure",
                description="Signs in anew. A failed test is an answer like any other.",
                gives=TestResult,
            ),
            Route(
                method="POST",
                path=f"{_AZURE}/connection-test",
                asks=True,
                handler=self.try_out,
                permission=CHANGES,
                tag=TAG,
                summary="Test what a connection to Azure would be made of",
                description="Nothing is stored.",
                takes=AzureConnectionIn,
                gives=TestResult,
                example=_EXAMPLE,
            ),
        ]

    def _requests(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=f"{_ALL}/csr",
                handler=self.request_certificate,
                permission=CHANGES,
                tag=TAG,
                summary="Make a certificate signing request",
                description="Its key stays here and waits 24 hours for the certificate.",
                takes=CsrIn,
                gives=CsrOut,
                status=201,
                errors=(409,),
            ),
        ]

    async def listing(self, call: Call) -> Answer:
        """GET /services/azure/connections."""
        return Answer(await self._connections.listing(call.caller.domain_id, call.query))

    async def create(self, call: Call) -> Answer:
        """POST /services/azure/connections."""
        asked = call.body(AzureConnectionIn)
        return Answer(await self._connections.create(call.caller.domain_id, asked), status=201)

    async def read(self, call: Call) -> Answer:
        """GET /services/azure/connections/{id}."""
        return Answer(await self._connections.read(call.caller.domain_id, call.params["id"]))

    async def change(self, call: Call) -> Answer:
        """PATCH /services/azure/connections/{id}."""
        asked = call.body(AzureConnectionIn)
        async with guarded(self._guards, call) as guard:
            return Answer(await self._connections.change(call.caller.domain_id, call.params["id"], asked, guard))

    async def delete(self, call: Call) -> Answer:
        """DELETE /services/azure/connections/{id}."""
        await self._all.delete(call.caller.domain_id, call.params["id"], service=AZURE)
        return Answer(status=204)

    async def test(self, call: Call) -> Answer:
        """POST /services/azure/connections/{id}/test."""
        return Answer(await self._connections.test(call.caller.domain_id, call.params["id"]))

    async def try_out(self, call: Call) -> Answer:
        """POST /services/azure/connection-test."""
        return Answer(await self._connections.try_out(call.caller.domain_id, call.body(AzureConnectionIn)))

    async def request_certificate(self, call: Call) -> Answer:
        """POST /connections/csr."""
        made = await self._connections.request_certificate(call.caller.domain_id, call.body(CsrIn))
        return Answer(made, status=201)
