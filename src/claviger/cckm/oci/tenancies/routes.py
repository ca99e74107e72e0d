"""Tenancies over HTTP (CCKM contract, OCI §2.1, §2.2)."""

from __future__ import annotations

from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, ListOf, Parameter, Route, members
from claviger.cckm.listing import PAGING
from claviger.cckm.oci.tenancies.operations import Tenancies
from claviger.cckm.oci.tenancies.wire import AddTenancy, GetRegions, Regions, TenancyRecord

_TAG = "OCI tenancies"
_BASE = "/cckm/oci"
_ONE = f"{_BASE}/tenancy/{{id}}"
_ADMINS = members(CCKM_ADMINS)
_CLOUD_ERRORS = (404, 502, 504)


class TenancyRoutes:
    """Answers calls about tenancies."""

    def __init__(self, tenancies: Tenancies) -> None:
        self._tenancies = tenancies

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._cloud(), *self._records()]

    def _cloud(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=f"{_BASE}/get-subscribed-regions",
                asks=True,
                handler=self.regions,
                permission=_ADMINS,
                tag=_TAG,
                summary="Ask OCI for the regions of a tenancy",
                takes=GetRegions,
                gives=Regions,
                errors=_CLOUD_ERRORS,
            ),
            Route(
                method="POST",
                path=f"{_BASE}/add-tenancy",
                handler=self.add,
                permission=_ADMINS,
                tag=_TAG,
                summary="Add a tenancy",
                description="By a connection, which names its tenancy; or by OCID and name, for vaults without one.",
                takes=AddTenancy,
                gives=TenancyRecord,
                errors=_CLOUD_ERRORS,
            ),
        ]

    def _records(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=f"{_BASE}/tenancy",
                handler=self.listing,
                permission=_ADMINS,
                tag=_TAG,
                summary="List tenancies",
                gives=ListOf[TenancyRecord],
                query=(
                    *PAGING,
                    Parameter("id", repeated=True),
                    Parameter("tenancy_ocid", repeated=True),
                    Parameter("tenancy", repeated=True),
                ),
            ),
            Route(
                method="GET",
                path=_ONE,
                handler=self.read,
                permission=_ADMINS,
                tag=_TAG,
                summary="Read a tenancy",
                gives=TenancyRecord,
            ),
            Route(
                method="DELETE",
                path=_ONE,
                handler=self.delete,
                permission=_ADMINS,
                tag=_TAG,
                summary="Remove a tenancy's record",
                description="Refused while vaults or compartments of it are managed. Nothing happens in OCI.",
                status=204,
                errors=(409,),
            ),
        ]

    async def regions(self, call: Call) -> Answer:
        """POST /get-subscribed-regions."""
        asked = call.body(GetRegions)
        return Answer(Regions(await self._tenancies.regions(call.caller.domain_id, asked.connection)))

    async def add(self, call: Call) -> Answer:
        """POST /add-tenancy."""
        return Answer(await self._tenancies.add(call.caller.domain_id, call.body(AddTenancy)))

    async def listing(self, call: Call) -> Answer:
        """GET /tenancy."""
        return Answer(await self._tenancies.listing(call.caller.domain_id, call.query))

    async def read(self, call: Call) -> Answer:
        """GET /tenancy/{id}."""
        return Answer(await self._tenancies.read(call.caller.domain_id, call.params["id"]))

    async def delete(self, call: Call) -> Answer:
        """DELETE /tenancy/{id}."""
        await self._tenancies.delete(call.caller.domain_id, call.params["id"])
        return Answer(status=204)
