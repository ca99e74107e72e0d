"""Compartments, tags and buckets over HTTP (CCKM contract, OCI §2.3-2.5)."""

from __future__ import annotations

from claviger.cckm.calls import Answer, Call, Route
from claviger.cckm.noted.routes import ADMINS, ASKING, NotedRoutes, Places
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

_PLACES = Places(
    path=f"{_BASE}/compartments",
    tag=_TAG,
    noun="compartment",
    nouns="compartments",
    gives=CompartmentRecord,
    filters=("id", "name", "compartment_id", "tenancy"),
    removal="Nothing happens in OCI.",
)


class CompartmentRoutes:
    """Answers calls about compartments."""

    def __init__(self, compartments: Compartments) -> None:
        self._compartments = compartments
        self._noted = NotedRoutes(_PLACES, compartments)

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
                permission=ADMINS,
                tag=_TAG,
                summary="Ask OCI for compartments",
                description="The whole tree, page by page; the first page has the root compartment, the tenancy, too.",
                takes=Discover,
                gives=Found,
                errors=ASKING,
            ),
            Route(
                method="POST",
                path=f"{_BASE}/get-defined-tags",
                asks=True,
                handler=self.tags,
                permission=ADMINS,
                tag=_TAG,
                summary="Ask OCI for defined tags",
                description="Tag namespaces, each with its tags.",
                takes=Discover,
                gives=Found,
                errors=ASKING,
            ),
            Route(
                method="POST",
                path=f"{_BASE}/storage/list-buckets",
                asks=True,
                handler=self.buckets,
                permission=ADMINS,
                tag=_TAG,
                summary="Ask OCI for the buckets of a compartment",
                takes=DiscoverBuckets,
                gives=Found,
                errors=ASKING,
            ),
        ]

    def _records(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=f"{_BASE}/add-compartments",
                handler=self.add,
                permission=ADMINS,
                tag=_TAG,
                summary="Add compartments",
                takes=AddCompartments,
                gives=AddedCompartments,
                errors=ASKING,
            ),
            *self._noted.table(),
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
