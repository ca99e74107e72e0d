"""The endpoints of records of things around vaults: list, read, remove; for admins of the domain's CCKM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, ListOf, Parameter, Route, members
from claviger.cckm.listing import PAGING
from claviger.cckm.noted.operations import Noted

ADMINS = members(CCKM_ADMINS)
ASKING = (404, 502, 504)
"""What the cloud may lead to where it is only asked."""


class HasNoted(Protocol):
    """The operations of one kind."""

    @property
    def noted(self) -> Noted[Any, Any]:
        """Those of its records."""
        ...


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where they are, and in which words: `noun` is one thing, `nouns` several."""

    path: str
    tag: str
    noun: str
    nouns: str
    gives: type[msgspec.Struct]
    filters: Sequence[str]
    removal: str
    removal_errors: tuple[int, ...] = ()


class NotedRoutes:
    """Answers calls; `table` is part of what each kind gives as its routes."""

    def __init__(self, places: Places, operations: HasNoted) -> None:
        self._places = places
        self._operations = operations

    def table(self) -> list[Route]:
        """All of them."""
        places = self._places
        return [
            Route(
                method="GET",
                path=places.path,
                handler=self.listing,
                permission=ADMINS,
                tag=places.tag,
                summary=f"List {places.nouns}",
                gives=ListOf[places.gives],  # type: ignore[name-defined]
                query=(*PAGING, *(Parameter(name, repeated=True) for name in places.filters)),
            ),
            Route(
                method="GET",
                path=f"{places.path}/{{id}}",
                handler=self.read,
                permission=ADMINS,
                tag=places.tag,
                summary=f"Read a {places.noun}",
                gives=places.gives,
            ),
            Route(
                method="DELETE",
                path=f"{places.path}/{{id}}",
                handler=self.delete,
                permission=ADMINS,
                tag=places.tag,
                summary=f"Remove a {places.noun}'s record",
                description=places.removal,
                status=204,
                errors=places.removal_errors,
            ),
        ]

    async def listing(self, call: Call) -> Answer:
        """GET of all."""
        return Answer(await self._operations.noted.listing(call.caller.domain_id, call.query))

    async def read(self, call: Call) -> Answer:
        """GET of one."""
        return Answer(await self._operations.noted.read(call.caller.domain_id, call.params["id"]))

    async def delete(self, call: Call) -> Answer:
        """DELETE of one."""
        await self._operations.noted.delete(call.caller.domain_id, call.params["id"])
        return Answer(status=204)
