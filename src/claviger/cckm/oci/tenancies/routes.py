"""Tenancies over HTTP (CCKM contract, OCI §2.1, §2.2)."""

from __future__ import annotations

from claviger.cckm.calls import Answer, Call, Route
from claviger.cckm.noted.routes import ADMINS, ASKING, NotedRoutes, Places
from claviger.cckm.oci.tenancies.operations import Tenancies
from claviger.cckm.oci.tenancies.wire import AddTenancy, GetRegions, Regions, TenancyRecord

_TAG = "OCI tenancies"
_BASE = "/cckm/oci"

_PLACES = Places(
    path=f"{_BASE}/tenancy",
    tag=_TAG,
    noun="tenancy",
    nouns="tenancies",
    gives=TenancyRecord,
    filters=("id", "tenancy_ocid", "tenancy"),
    removal="Refused while vaults or compartments of it are managed. Nothing happens in OCI.",
    removal_errors=(409,),
)


class TenancyRoutes:
    """Answers calls about tenancies."""

    def __init__(self, tenancies: Tenancies) -> None:
        self._tenancies = tenancies
        self._noted = NotedRoutes(_PLACES, tenancies)

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._cloud(), *self._noted.table()]

    def _cloud(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=f"{_BASE}/get-subscribed-regions",
                asks=True,
                handler=self.regions,
                permission=ADMINS,
                tag=_TAG,
                summary="Ask OCI for the regions of a tenancy",
                takes=GetRegions,
                gives=Regions,
                errors=ASKING,
            ),
            Route(
                method="POST",
                path=f"{_BASE}/add-tenancy",
                handler=self.add,
                permission=ADMINS,
                tag=_TAG,
                summary="Add a tenancy",
                description="By a connection, which names its tenancy; or by OCID and name, for vaults without one.",
                takes=AddTenancy,
                gives=TenancyRecord,
                errors=ASKING,
            ),
        ]

    async def regions(self, call: Call) -> Answer:
        """POST /get-subscribed-regions."""
        asked = call.body(GetRegions)
        return Answer(Regions(await self._tenancies.regions(call.caller.domain_id, asked.connection)))

    async def add(self, call: Call) -> Answer:
        """POST /add-tenancy."""
        return Answer(await self._tenancies.add(call.caller.domain_id, call.body(AddTenancy)))
