"""Connections over HTTP: of all clouds in one list, and what each cloud offers alike (CCKM contract, §7.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from claviger.cckm.approvals.guarding import Guard, Guards, guarded
from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, ListOf, Query, Route, members
from claviger.cckm.connections.operations import AllConnections
from claviger.cckm.connections.shown import LIST_PARAMETERS
from claviger.cckm.connections.wire import CommonIn, CommonOut, DeleteIn, TestResult
from claviger.cckm.listing import Page

CONNECTION_ADMINS = "Connection Admins"
TAG = "Connections"
READS = members(CCKM_ADMINS, CONNECTION_ADMINS)
CHANGES = members(CONNECTION_ADMINS)
_ALL = "/connectionmgmt/connections"

B = TypeVar("B", bound=CommonIn)
B_contra = TypeVar("B_contra", bound=CommonIn, contravariant=True)


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


class OfService(Protocol[B_contra]):
    """What can be done with a domain's connections to one cloud."""

    async def listing(self, domain_id: str, query: Query) -> Page:
        """A page of them."""
        ...

    async def create(self, domain_id: str, asked: B_contra) -> CommonOut:
        """Makes one."""
        ...

    async def read(self, domain_id: str, id_or_name: str) -> CommonOut:
        """One of them."""
        ...

    async def change(self, domain_id: str, id_or_name: str, asked: B_contra, guard: Guard | None = None) -> CommonOut:
        """Changes what is given."""
        ...

    async def test(self, domain_id: str, id_or_name: str) -> TestResult:
        """Tests a stored one."""
        ...

    async def try_out(self, domain_id: str, asked: B_contra) -> TestResult:
        """Tests what one would be made of."""
        ...


class Service(msgspec.Struct, Generic[B], frozen=True, kw_only=True):
    """A cloud: its name in paths and in words, the bodies, and what the descriptions of its own say.

    `making`, `leading` and `testing` are added to what is said of the calls; `users` is who may use a connection.
    """

    service: str
    cloud: str
    takes: type[B]
    gives: type[CommonOut]
    example: Mapping[str, Any]
    making: str
    leading: str
    users: str
    testing: str


class ServiceRoutes(Generic[B]):
    """Answers calls about connections to one cloud; `table` is what the cloud gives as its routes."""

    def __init__(
        self, of: Service[B], connections: OfService[B], all_connections: AllConnections, guards: Guards | None = None
    ) -> None:
        self._of = of
        self._connections = connections
        self._all = all_connections
        self._guards = guards
        self._services = f"/connectionmgmt/services/{of.service}"
        self._many = f"{self._services}/connections"
        self._one = f"{self._many}/{{id}}"

    def table(self) -> list[Route]:
        """All of them."""
        return [*self._reads(), *self._changes(), *self._tests()]

    def _reads(self) -> list[Route]:
        of = self._of
        return [
            Route(
                method="GET",
                path=self._many,
                handler=self.listing,
                permission=READS,
                tag=TAG,
                summary=f"List connections to {of.cloud}",
                gives=ListOf[of.gives],  # type: ignore[name-defined]
                query=LIST_PARAMETERS,
            ),
            Route(
                method="GET",
                path=self._one,
                handler=self.read,
                permission=READS,
                tag=TAG,
                summary=f"Read a connection to {of.cloud}, by id or name",
                gives=of.gives,
            ),
        ]

    def _changes(self) -> list[Route]:
        of = self._of
        return [
            Route(
                method="POST",
                path=self._many,
                handler=self.create,
                permission=CHANGES,
                tag=TAG,
                summary=f"Make a connection to {of.cloud}",
                description=of.making,
                takes=of.takes,
                gives=of.gives,
                status=201,
                errors=(409,),
                example=of.example,
            ),
            Route(
                method="PATCH",
                path=self._one,
                handler=self.change,
                permission=CHANGES,
                tag=TAG,
                summary=f"Change a connection to {of.cloud}",
                description='Fields that are absent, null or "" stay. `meta` and `labels` are merged; null removes a '
                f"key. {of.leading}",
                takes=of.takes,
                gives=of.gives,
                errors=(409,),
            ),
            Route(
                method="DELETE",
                path=self._one,
                handler=self.delete,
                permission=CHANGES,
                tag=TAG,
                summary=f"Delete a connection to {of.cloud}",
                description=f"Refused while {of.users} use it.",
                status=204,
                errors=(409,),
            ),
        ]

    def _tests(self) -> list[Route]:
        of = self._of
        return [
            Route(
                method="POST",
                path=f"{self._one}/test",
                asks=True,
                handler=self.test,
                permission=READS,
                tag=TAG,
                summary=f"Test a stored connection to {of.cloud}",
                description=f"{of.testing} A failed test is an answer like any other.",
                gives=TestResult,
            ),
            Route(
                method="POST",
                path=f"{self._services}/connection-test",
                asks=True,
                handler=self.try_out,
                permission=CHANGES,
                tag=TAG,
                summary=f"Test what a connection to {of.cloud} would be made of",
                description="Nothing is stored.",
                takes=of.takes,
                gives=TestResult,
                example=of.example,
            ),
        ]

    async def listing(self, call: Call) -> Answer:
        """GET .../connections."""
        return Answer(await self._connections.listing(call.caller.domain_id, call.query))

    async def create(self, call: Call) -> Answer:
        """POST .../connections."""
        return Answer(await self._connections.create(call.caller.domain_id, call.body(self._of.takes)), status=201)

    async def read(self, call: Call) -> Answer:
        """GET .../connections/{id}."""
        return Answer(await self._connections.read(call.caller.domain_id, call.params["id"]))

    async def change(self, call: Call) -> Answer:
        """PATCH .../connections/{id}."""
        asked = call.body(self._of.takes)
        async with guarded(self._guards, call) as guard:
            return Answer(await self._connections.change(call.caller.domain_id, call.params["id"], asked, guard))

    async def delete(self, call: Call) -> Answer:
        """DELETE .../connections/{id}."""
        await self._all.delete(call.caller.domain_id, call.params["id"], service=self._of.service)
        return Answer(status=204)

    async def test(self, call: Call) -> Answer:
        """POST .../connections/{id}/test."""
        return Answer(await self._connections.test(call.caller.domain_id, call.params["id"]))

    async def try_out(self, call: Call) -> Answer:
        """POST .../connection-test."""
        return Answer(await self._connections.try_out(call.caller.domain_id, call.body(self._of.takes)))
