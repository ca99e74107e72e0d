"""Connections to OCI over HTTP (CCKM contract, common §7.1, §7.4)."""

from __future__ import annotations

from claviger.cckm.approvals.guarding import Guards, guarded
from claviger.cckm.calls import Answer, Call, ListOf, Route
from claviger.cckm.connections.operations import AllConnections
from claviger.cckm.connections.routes import CHANGES, READS, TAG
from claviger.cckm.connections.shown import LIST_PARAMETERS
from claviger.cckm.connections.wire import TestResult
from claviger.cckm.oci.connections.operations import OciConnections
from claviger.cckm.oci.connections.rules import OCI
from claviger.cckm.oci.connections.wire import OciConnectionIn, OciConnectionOut

_OCI = "/connectionmgmt/services/oci"
_MANY = f"{_OCI}/connections"
_ONE = f"{_MANY}/{{id}}"
_EXAMPLE = {
    "name": "production",
    "user_ocid": "ocid1.user.oc1..aaaa",
    "tenancy_ocid": "ocid1.tenancy.oc1..aaaa",
    "fingerprint": "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff",
    "region": "us-ashburn-1",
    "credentials": {"key_file": "$KEY_FILE"},
}


class OciConnectionRoutes:
    """Answers calls about connections to OCI."""

    def __init__(
        self, connections: OciConnections, all_connections: AllConnections, guards: Guards | None = None
    ) -> None:
        self._connections = connections
        self._all = all_connections
        self._guards = guards

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._reads(), *self._changes(), *self._tests()]

    def _reads(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=_MANY,
                handler=self.listing,
                permission=READS,
                tag=TAG,
                summary="List connections to OCI",
                gives=ListOf[OciConnectionOut],
                query=LIST_PARAMETERS,
            ),
            Route(
                method="GET",
                path=_ONE,
                handler=self.read,
                permission=READS,
                tag=TAG,
                summary="Read a connection to OCI, by id or name",
                gives=OciConnectionOut,
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
                summary="Make a connection to OCI",
                description="With an API key of a user. `realm_domain` and `server_certificate` lead to an OCI that is "
                "not Oracle's own, such as the one in this server.",
                takes=OciConnectionIn,
                gives=OciConnectionOut,
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
                summary="Change a connection to OCI",
                description='Fields that are absent, null or "" stay. `meta` and `labels` are merged; null removes a '
                "key. Where protected vaults are reached by it, another tenancy or realm needs the approval of others.",
                takes=OciConnectionIn,
                gives=OciConnectionOut,
                errors=(409,),
            ),
            Route(
                method="DELETE",
                path=_ONE,
                handler=self.delete,
                permission=CHANGES,
                tag=TAG,
                summary="Delete a connection to OCI",
                description="Refused while vaults, tenancies or compartments use it.",
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
                summary="Test a stored connection to OCI",
                description="Asks OCI for the user of the connection. A failed test is an answer like any other.",
                gives=TestResult,
            ),
            Route(
                method="POST",
                path=f"{_OCI}/connection-test",
                asks=True,
                handler=self.try_out,
                permission=CHANGES,
                tag=TAG,
                summary="Test what a connection to OCI would be made of",
                description="Nothing is stored.",
                takes=OciConnectionIn,
                gives=TestResult,
                example=_EXAMPLE,
            ),
        ]

    async def listing(self, call: Call) -> Answer:
        """GET /services/oci/connections."""
        return Answer(await self._connections.listing(call.caller.domain_id, call.query))

    async def create(self, call: Call) -> Answer:
        """POST /services/oci/connections."""
        made = await self._connections.create(call.caller.domain_id, call.body(OciConnectionIn))
        return Answer(made, status=201)

    async def read(self, call: Call) -> Answer:
        """GET /services/oci/connections/{id}."""
        return Answer(await self._connections.read(call.caller.domain_id, call.params["id"]))

    async def change(self, call: Call) -> Answer:
        """PATCH /services/oci/connections/{id}."""
        asked = call.body(OciConnectionIn)
        async with guarded(self._guards, call) as guard:
            return Answer(await self._connections.change(call.caller.domain_id, call.params["id"], asked, guard))

    async def delete(self, call: Call) -> Answer:
        """DELETE /services/oci/connections/{id}."""
        await self._all.delete(call.caller.domain_id, call.params["id"], service=OCI)
        return Answer(status=204)

    async def test(self, call: Call) -> Answer:
        """POST /services/oci/connections/{id}/test."""
        return Answer(await self._connections.test(call.caller.domain_id, call.params["id"]))

    async def try_out(self, call: Call) -> Answer:
        """POST /services/oci/connection-test."""
        return Answer(await self._connections.try_out(call.body(OciConnectionIn)))
