"""Vaults of OCI over HTTP (CCKM contract, OCI §3, §4).

CCKM Admins find, add, change and remove vaults and say who may do what in them. Everybody else sees the vaults in
whose ACL he has any action at all, directly or by a group.
"""

from __future__ import annotations

from typing import Any

from claviger.cckm.approvals.guarding import Guards, guarded
from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, Handler, ListOf, Parameter, Route, in_container, members
from claviger.cckm.listing import PAGING
from claviger.cckm.oci.asking import Found
from claviger.cckm.oci.vaults.operations import OciVaults
from claviger.cckm.oci.vaults.rules import ACTIONS, VIEW
from claviger.cckm.oci.vaults.shown import FILTERS
from claviger.cckm.oci.vaults.wire import (
    AddedOciVaults,
    AddOciVaults,
    GetOciVaults,
    OciVaultRecord,
    PatchOciVault,
    UpdateOciAcls,
)

LARGEST_ACLS = 1024 * 1024
_TAG = "OCI vaults"
_BASE = "/cckm/oci"
_ONE = f"{_BASE}/vaults/{{id}}"
_WORDS = {"vault_name": "The same as `display_name`."}
_ADMINS = members(CCKM_ADMINS)
_SEEN = in_container(VIEW, VIEW)
_OF_EXTERNAL = "Of external vaults, of which this server has none."
_EXTERNAL = frozenset({"linked_state", "issuer_id", "state", "external_vault_type", "source_key_tier", "blocked"})
_FILTERS = tuple(
    Parameter(name, repeated=True, description=_OF_EXTERNAL if name in _EXTERNAL else _WORDS.get(name, ""))
    for name in FILTERS
)
_ASKING = (404, 429, 502, 504)
"""What the cloud may lead to where it is only asked."""


def seen_by(call: Call) -> frozenset[str] | None:
    """The vaults that the caller sees: those that give him any action. None is all of the domain."""
    return call.containers_with_any(ACTIONS)


class OciVaultRoutes:
    """Answers calls."""

    def __init__(self, vaults: OciVaults, guards: Guards | None = None) -> None:
        self._vaults = vaults
        self._guards = guards

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._finding(), *self._reading(), *self._changing()]

    def _finding(self) -> list[Route]:
        return [
            _post("get-vaults", self.get_vaults, "Ask OCI for vaults", GetOciVaults, Found, errors=_ASKING, asks=True),
            _post(
                "add-vaults",
                self.add,
                "Bring vaults under management",
                AddOciVaults,
                AddedOciVaults,
                errors=(*_ASKING, 409),
                description="Each vault is looked up in OCI first; if one is refused, none is added. One that was "
                "managed before comes back under its id, and so do its keys. What is in a vault is not read by this.",
            ),
        ]

    def _reading(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=f"{_BASE}/vaults",
                handler=self.listing,
                permission=_SEEN,
                tag=_TAG,
                summary="List vaults",
                description="CCKM Users see those in whose ACL they have any action.",
                gives=ListOf[OciVaultRecord],
                query=(*PAGING, *_FILTERS),
            ),
            Route(
                method="GET",
                path=_ONE,
                handler=self.read,
                permission=_SEEN,
                tag=_TAG,
                summary="Read a vault",
                description="CCKM Users see it if they have any action in its ACL.",
                gives=OciVaultRecord,
            ),
        ]

    def _changing(self) -> list[Route]:
        return [
            Route(
                method="PATCH",
                path=_ONE,
                handler=self.patch,
                permission=_ADMINS,
                tag=_TAG,
                summary="Change a vault's connection, its bucket, or how it is protected",
                description="A connection has to reach the same vault. Where more than one person must agree to "
                "destroy a key in it (`protected`, `hard_delete_quorum`), they must agree to less protection, to "
                "another connection and to another bucket too.",
                takes=PatchOciVault,
                gives=OciVaultRecord,
                errors=_ASKING,
            ),
            Route(
                method="DELETE",
                path=_ONE,
                handler=self.remove,
                permission=_ADMINS,
                tag=_TAG,
                summary="Stop managing a vault",
                description="It is hidden with its keys until it is added again; nothing happens in OCI. Of a "
                "protected vault only once enough people agree.",
                status=204,
                errors=(409,),
            ),
            _post(
                "vaults/{id}/update-acls",
                self.update_acls,
                "Change who may do what in a vault",
                UpdateOciAcls,
                OciVaultRecord,
                body_limit=LARGEST_ACLS,
                description="Each entry adds its actions to those of the user or group, or with `permit` false takes "
                "them away.",
            ),
        ]

    async def get_vaults(self, call: Call) -> Answer:
        """POST /get-vaults."""
        return Answer(await self._vaults.discover(call.caller.domain_id, call.body(GetOciVaults)))

    async def add(self, call: Call) -> Answer:
        """POST /add-vaults."""
        added = await self._vaults.add(call.caller, call.body(AddOciVaults))
        return Answer(AddedOciVaults(vaults=added, resources=added))

    async def listing(self, call: Call) -> Answer:
        """GET /vaults."""
        return Answer(await self._vaults.listing(call.caller.domain_id, seen_by(call), call.query))

    async def read(self, call: Call) -> Answer:
        """GET /vaults/{id}."""
        return Answer(await self._vaults.read(call.caller.domain_id, seen_by(call), call.params["id"]))

    async def patch(self, call: Call) -> Answer:
        """PATCH /vaults/{id}."""
        asked = call.body(PatchOciVault)
        async with guarded(self._guards, call) as guard:
            return Answer(await self._vaults.patch(call.caller.domain_id, call.params["id"], asked, guard))

    async def remove(self, call: Call) -> Answer:
        """DELETE /vaults/{id}."""
        async with guarded(self._guards, call) as guard:
            await self._vaults.remove(call.caller.domain_id, call.params["id"], guard)
        return Answer(status=204)

    async def update_acls(self, call: Call) -> Answer:
        """POST /vaults/{id}/update-acls."""
        entries = call.body(UpdateOciAcls).acls
        return Answer(await self._vaults.update_acls(call.caller.domain_id, call.params["id"], entries))


def _post(path: str, handler: Handler, summary: str, takes: Any, gives: Any, **more: Any) -> Route:
    return Route(
        method="POST",
        path=f"{_BASE}/{path}",
        handler=handler,
        permission=_ADMINS,
        tag=_TAG,
        summary=summary,
        takes=takes,
        gives=gives,
        **more,
    )
