"""Connections to Azure over HTTP (CCKM contract, common §7.1)."""

from __future__ import annotations

from claviger.cckm.approvals.guarding import Guards
from claviger.cckm.azure.connections.operations import Connections
from claviger.cckm.azure.connections.rules import AZURE
from claviger.cckm.azure.connections.wire import (
    AzureConnectionIn,
    AzureConnectionOut,
    CsrIn,
    CsrOut,
)
from claviger.cckm.calls import Answer, Call, Route
from claviger.cckm.connections.operations import AllConnections
from claviger.cckm.connections.routes import CHANGES, TAG, Service, ServiceRoutes

_SERVICE = Service(
    service=AZURE,
    cloud="Azure",
    takes=AzureConnectionIn,
    gives=AzureConnectionOut,
    example={
        "name": "production",
        "tenant_id": "0f0f0f0f-0000-4000-8000-000000000001",
        "client_id": "0f0f0f0f-0000-4000-8000-000000000002",
        "client_secret": "$CLIENT_SECRET",
    },
    making="With a client secret, with a certificate that this server makes (`is_certificate_used`), or with one for a "
    "signing request made here (`certificate`). Every address of the cloud may be given.",
    leading="To renew a certificate that this server made, give another `cert_duration`. Where protected vaults are "
    "reached by it, other addresses need the approval of others.",
    users="vaults",
    testing="Signs in anew.",
)


class ConnectionRoutes:
    """Routes of connections to Azure, and of certificates for them."""

    def __init__(self, connections: Connections, all_connections: AllConnections, guards: Guards | None = None) -> None:
        self._connections = connections
        self._shared = ServiceRoutes(_SERVICE, connections, all_connections, guards)

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._shared.table(), *self._requests()]

    def _requests(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/connectionmgmt/connections/csr",
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

    async def request_certificate(self, call: Call) -> Answer:
        """POST /connections/csr."""
        made = await self._connections.request_certificate(call.caller.domain_id, call.body(CsrIn))
        return Answer(made, status=201)
