"""The endpoints that managed vaults of all clouds have alike (CCKM contract, Azure §3, OCI §3, common §8).

CCKM Admins find, add, change and remove vaults and say who may do what in them. Everybody else sees the vaults in
whose ACL he has any action at all, directly or by a group: who may read secrets sees the vault, and so does who may
only make reports. The permission that a route names stands for all of them; `_seen_by` asks for each.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from claviger.cckm.access.acls.wire import AclEntry
from claviger.cckm.approvals.guarding import Guard, Guards, guarded
from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, Handler, ListOf, Parameter, Permission, Route, members
from claviger.cckm.listing import PAGING
from claviger.cckm.vaults.operations import ManagedVaults

ADMINS = members(CCKM_ADMINS)
ASKING = (404, 429, 502, 504)
"""What the cloud may lead to where it is only asked."""
LARGEST_ACLS = 1024 * 1024

P = TypeVar("P", bound=msgspec.Struct)
P_contra = TypeVar("P_contra", bound=msgspec.Struct, contravariant=True)


class Vaults(Protocol[P_contra]):
    """What can be done with the vaults of a cloud."""

    @property
    def managed(self) -> ManagedVaults[Any, Any]:
        """What is alike in all clouds."""
        ...

    async def patch(self, domain_id: str, ident: str, asked: P_contra, guard: Guard | None = None) -> object:
        """Changes a vault's record."""
        ...

    async def remove(self, domain_id: str, ident: str, guard: Guard | None = None) -> None:
        """Stops managing a vault."""
        ...


class Acls(Protocol):
    """The body of a change of an ACL."""

    @property
    def acls(self) -> list[AclEntry]:
        """The entries, in order."""
        ...


class Places(msgspec.Struct, Generic[P], frozen=True, kw_only=True):
    """Where a cloud has them, what goes in and comes out, what is said of a change; any of `actions` shows a vault."""

    base: str
    tag: str
    seen: Permission
    actions: Collection[str]
    filters: Sequence[Parameter]
    gives: type[msgspec.Struct]
    patches: type[P]
    patch_summary: str
    patch_description: str
    acls: type[Any]

    @property
    def one(self) -> str:
        """The path of one vault."""
        return f"{self.base}/vaults/{{id}}"

    def post(self, path: str, handler: Handler, summary: str, takes: Any, gives: Any, **more: Any) -> Route:
        """A route for admins, by its path below the base."""
        return Route(
            method="POST",
            path=f"{self.base}/{path}",
            handler=handler,
            permission=ADMINS,
            tag=self.tag,
            summary=summary,
            takes=takes,
            gives=gives,
            **more,
        )


class ManagedVaultRoutes(Generic[P]):
    """Answers calls; a cloud's routes are made of its parts."""

    def __init__(self, places: Places[P], vaults: Vaults[P], guards: Guards | None = None) -> None:
        self._places = places
        self._vaults = vaults
        self._guards = guards

    def reading(self) -> list[Route]:
        """List and read."""
        places = self._places
        return [
            Route(
                method="GET",
                path=f"{places.base}/vaults",
                handler=self.listing,
                permission=places.seen,
                tag=places.tag,
                summary="List vaults",
                description="CCKM Users see those in whose ACL they have any action.",
                gives=ListOf[places.gives],  # type: ignore[name-defined]
                query=(*PAGING, *places.filters),
            ),
            Route(
                method="GET",
                path=places.one,
                handler=self.read,
                permission=places.seen,
                tag=places.tag,
                summary="Read a vault",
                description="CCKM Users see it if they have any action in its ACL.",
                gives=places.gives,
            ),
        ]

    def patching(self) -> Route:
        """Change a record."""
        places = self._places
        return Route(
            method="PATCH",
            path=places.one,
            handler=self.patch,
            permission=ADMINS,
            tag=places.tag,
            summary=places.patch_summary,
            description=places.patch_description,
            takes=places.patches,
            gives=places.gives,
            errors=ASKING,
        )

    def updating_acls(self) -> Route:
        """Say who may do what."""
        places = self._places
        return places.post(
            "vaults/{id}/update-acls",
            self.update_acls,
            "Change who may do what in a vault",
            places.acls,
            places.gives,
            body_limit=LARGEST_ACLS,
            description="Each entry adds its actions to those of the user or group, or with `permit` false takes "
            "them away.",
        )

    async def listing(self, call: Call) -> Answer:
        """GET /vaults."""
        return Answer(await self._vaults.managed.listing(call.caller.domain_id, self._seen_by(call), call.query))

    async def read(self, call: Call) -> Answer:
        """GET /vaults/{id}."""
        return Answer(await self._vaults.managed.read(call.caller.domain_id, self._seen_by(call), call.params["id"]))

    async def patch(self, call: Call) -> Answer:
        """PATCH /vaults/{id}."""
        asked = call.body(self._places.patches)
        async with guarded(self._guards, call) as guard:
            return Answer(await self._vaults.patch(call.caller.domain_id, call.params["id"], asked, guard))

    async def remove(self, call: Call) -> Answer:
        """Each cloud has a path of its own for this."""
        async with guarded(self._guards, call) as guard:
            await self._vaults.remove(call.caller.domain_id, call.params["id"], guard)
        return Answer(status=204)

    async def update_acls(self, call: Call) -> Answer:
        """POST /vaults/{id}/update-acls."""
        asked: Acls = call.body(self._places.acls)
        return Answer(await self._vaults.managed.update_acls(call.caller.domain_id, call.params["id"], asked.acls))

    def _seen_by(self, call: Call) -> frozenset[str] | None:
        """The vaults that the caller sees: those that give him any action. None is all of the domain."""
        return call.containers_with_any(self._places.actions)
