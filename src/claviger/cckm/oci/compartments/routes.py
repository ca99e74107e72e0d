"""Compartments, tags and buckets over HTTP (CCKM contract, OCI §2.3-2.5)."""

from __future__ import annotations

from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, ListOf, Parameter, Route, members
from claviger.cckm.listing import PAGING
from claviger.cckm.oci.asking import Found
from claviger.cckm.oci.compartments.operations import Compartments
from claviger.cckm.oci.compartments.wire import (
    AddCompartments,
    AddedCompartments,
    CompartmentRecord,
    Discover,
    DiscoverBuckets,
)

_TAG = "OCI compartments"
_BASE = "/cckm/oci"
_ONE = f"{_BASE}/compartments/{{id}}"
_ADMINS = members(CCKM_ADMINS)
_CLOUD_ERRORS = (404, 502, 504)


class CompartmentRoutes:
    """Answers calls about compartments."""

    def __init__(self, compartments: Compartments) -> None:
        self._compartments = compartments

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._discovery(), *self._records()]

    def _discovery(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=f"{_BASE}/get-compartments",
                asks=True,
                handler=self.discover,
                permission=_ADMINS,
                tag=_TAG,
                summary="Ask OCI for compartments",
                description="The whole tree, page by page; the first page has the root compartment, the tenancy, too.",
                takes=Discover,
                gives=Found,
                errors=_CLOUD_ERRORS,
            ),
            Route(
                method="POST",
                path=f"{_BASE}/get-defined-tags",
                asks=True,
                handler=self.tags,
                permission=_ADMINS,
                tag=_TAG,
                summary="Ask OCI for defined tags",
                description="Tag namespaces, each with its tags.",
                takes=Discover,
                gives=Found,
                errors=_CLOUD_ERRORS,
            ),
            Route(
                method="POST",
                path=f"{_BASE}/storage/list-buckets",
                asks=True,
                handler=self.buckets,
                permission=_ADMINS,
                tag=_TAG,
                summary="Ask OCI for the buckets of a compartment",
                takes=DiscoverBuckets,
                gives=Found,
                errors=_CLOUD_ERRORS,
            ),
        ]

    def _records(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=f"{_BASE}/add-compartments",
                handler=self.add,
                permission=_ADMINS,
                tag=_TAG,
                summary="Add compartments",
                takes=AddCompartments,
                gives=AddedCompartments,
                errors=_CLOUD_ERRORS,
            ),
            Route(
                method="GET",
                path=f"{_BASE}/compartments",
                handler=self.listing,
                permission=_ADMINS,
                tag=_TAG,
                summary="List compartments",
                gives=ListOf[CompartmentRecord],
                query=(
                    *PAGING,
                    Parameter("id", repeated=True),
                    Parameter("name", repeated=True),
                    Parameter("compartment_id", repeated=True),
                    Parameter("tenancy", repeated=True),
                ),
            ),
            Route(
                method="GET",
                path=_ONE,
                handler=self.read,
                permission=_ADMINS,
                tag=_TAG,
                summary="Read a compartment",
                gives=CompartmentRecord,
            ),
            Route(
                method="DELETE",
                path=_ONE,
                handler=self.delete,
                permission=_ADMINS,
                tag=_TAG,
                summary="Remove a compartment's record",
                description="Nothing happens in OCI.",
                status=204,
            ),
        ]

    async def discover(self, call: Call) -> Answer:
        """POST /get-compartments."""
        return Answer(await self._compartments.discover(call.caller.domain_id, call.body(Discover)))

    async def tags(self, call: Call) -> Answer:
        """POST /get-defined-tags."""
        return Answer(await self._compartments.tags(call.caller.domain_id, call.body(Discover)))

    async def buckets(self, call: Call) -> Answer:
        """POST /storage/list-buckets."""
        return Answer(await self._compartments.buckets(call.caller.domain_id, call.body(DiscoverBuckets)))

    async def add(self, call: Call) -> Answer:
        """POST /add-compartments."""
        added = await self._compartments.add(call.caller.domain_id, call.body(AddCompartments))
        return Answer(AddedCompartments(added, added))

    async def listing(self, call: Call) -> Answer:
        """GET /compartments."""
        return Answer(await self._compartments.listing(call.caller.domain_id, call.query))

    async def read(self, call: Call) -> Answer:
        """GET /compartments/{id}."""
        return Answer(await self._compartments.read(call.caller.domain_id, call.params["id"]))

    async def delete(self, call: Call) -> Answer:
        """DELETE /compartments/{id}."""
        await self._compartments.delete(call.caller.domain_id, call.params["id"])
        return Answer(status=204)
