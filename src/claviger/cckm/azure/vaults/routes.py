"""Vaults over HTTP (Azure contract §3, §8 of the common part).

CCKM Admins find, add, change and remove vaults and say who may do what in them. Everybody else sees the vaults in
whose ACL he has any action at all, directly or by a group: who may read secrets sees the vault, and so does who may
only make reports. The permission that a route names stands for all of them; `seen_by` asks for each.
"""

from __future__ import annotations

from typing import Any

from claviger.cckm.approvals.guarding import Guards, guarded
from claviger.cckm.azure.vaults.operations import Vaults
from claviger.cckm.azure.vaults.rules import ACTIONS, WORDS
from claviger.cckm.azure.vaults.wire import (
    AddedVaults,
    AddVaults,
    FoundVaults,
    GetVaults,
    PatchVault,
    RotationJob,
    UpdateAcls,
    Vault,
)
from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, Handler, ListOf, Parameter, Route, in_container, members
from claviger.cckm.listing import PAGING

LARGEST_ADDITION = 4 * 1024 * 1024
LARGEST_ACLS = 1024 * 1024
_TAG = "Azure vaults"
_BASE = "/cckm/azure"
_ONE = f"{_BASE}/vaults/{{id}}"
_ADMINS = members(CCKM_ADMINS)
_SEEN = in_container("secretview")
_FILTERS = (
    Parameter("id", repeated=True),
    Parameter("name", description="The full name, `azure_name::subscription_id`.", repeated=True),
    Parameter("location", repeated=True),
    Parameter("cloud_name", repeated=True),
    Parameter("subscription_id", repeated=True),
    Parameter("subscription_name", repeated=True),
    Parameter("job_config_id", repeated=True),
    Parameter("type", repeated=True, values=tuple(WORDS.values())),
)


def seen_by(call: Call) -> frozenset[str] | None:
    """The vaults that the caller sees: those that give him any action. None is all of the domain."""
    return call.containers_with_any(ACTIONS)


class VaultRoutes:
    """Answers calls."""

    def __init__(self, vaults: Vaults, guards: Guards | None = None) -> None:
        self._vaults = vaults
        self._guards = guards

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._finding(), *self._reading(), *self._changing()]

    def _finding(self) -> list[Route]:
        return [
            _post(
                "get-vaults",
                self.get_vaults,
                "Ask Azure for key vaults",
                GetVaults,
                FoundVaults,
                errors=_ASKING,
                asks=True,
            ),
            _post(
                "get-managed-hsms",
                self.get_managed_hsms,
                "Ask Azure for managed HSM pools",
                GetVaults,
                FoundVaults,
                errors=_ASKING,
                asks=True,
            ),
            _post(
                "add-vaults",
                self.add,
                "Bring vaults under management",
                AddVaults,
                AddedVaults,
                status=201,
                body_limit=LARGEST_ADDITION,
                errors=(*_ASKING, 409),
                description="Each vault is looked up in Azure first; if one is refused, none is added. What is in a "
                "vault is not read by this.",
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
                gives=ListOf[Vault],
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
                gives=Vault,
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
                summary="Change a vault's connection, or how it is protected",
                description="The connection is required, even if it stays; it has to reach the same vault. Where more "
                "than one person must agree to destroy a secret in it (`protected`, `hard_delete_quorum`), they must "
                "agree to less protection and to another connection too.",
                takes=PatchVault,
                gives=Vault,
                errors=_ASKING,
            ),
            _post(
                "vaults/{id}/remove-vault",
                self.remove,
                "Stop managing a vault",
                None,
                None,
                status=204,
                errors=(409,),
                description="Its secrets and their backups are removed here; nothing happens in Azure. Of a protected "
                "vault only once enough people agree.",
            ),
            _post(
                "vaults/{id}/update-acls",
                self.update_acls,
                "Change who may do what in a vault",
                UpdateAcls,
                Vault,
                body_limit=LARGEST_ACLS,
                description="Each entry adds its actions to those of the user or group, or with `permit` false takes "
                "them away.",
            ),
            _post(
                "vaults/{id}/enable-rotation-job",
                self.enable_rotation_job,
                "Rotate the keys of a vault by schedule",
                RotationJob,
                Vault,
                description="This server has no scheduler yet, so every job configuration is unknown: 404.",
            ),
            _post(
                "vaults/{id}/disable-rotation-job",
                self.disable_rotation_job,
                "End the rotation of a vault's keys",
                None,
                Vault,
            ),
        ]

    async def get_vaults(self, call: Call) -> Answer:
        """POST /get-vaults."""
        return Answer(await self._vaults.discover(call.caller.domain_id, call.body(GetVaults), hsms=False))

    async def get_managed_hsms(self, call: Call) -> Answer:
        """POST /get-managed-hsms."""
        return Answer(await self._vaults.discover(call.caller.domain_id, call.body(GetVaults), hsms=True))

    async def add(self, call: Call) -> Answer:
        """POST /add-vaults."""
        return Answer(await self._vaults.add(call.caller, call.body(AddVaults)), 201)

    async def listing(self, call: Call) -> Answer:
        """GET /vaults."""
        return Answer(await self._vaults.listing(call.caller.domain_id, seen_by(call), call.query))

    async def read(self, call: Call) -> Answer:
        """GET /vaults/{id}."""
        return Answer(await self._vaults.read(call.caller.domain_id, seen_by(call), call.params["id"]))

    async def patch(self, call: Call) -> Answer:
        """PATCH /vaults/{id}."""
        asked = call.body(PatchVault)
        async with guarded(self._guards, call) as guard:
            return Answer(await self._vaults.patch(call.caller.domain_id, call.params["id"], asked, guard))

    async def remove(self, call: Call) -> Answer:
        """POST /vaults/{id}/remove-vault."""
        async with guarded(self._guards, call) as guard:
            await self._vaults.remove(call.caller.domain_id, call.params["id"], guard)
        return Answer(status=204)

    async def update_acls(self, call: Call) -> Answer:
        """POST /vaults/{id}/update-acls."""
        entries = call.body(UpdateAcls).acls
        return Answer(await self._vaults.update_acls(call.caller.domain_id, call.params["id"], entries))

    async def enable_rotation_job(self, call: Call) -> Answer:
        """POST /vaults/{id}/enable-rotation-job."""
        wanted = call.body(RotationJob).job_config_id
        return Answer(await self._vaults.enable_rotation_job(call.caller.domain_id, call.params["id"], wanted))

    async def disable_rotation_job(self, call: Call) -> Answer:
        """POST /vaults/{id}/disable-rotation-job."""
        return Answer(await self._vaults.disable_rotation_job(call.caller.domain_id, call.params["id"]))


_ASKING = (404, 429, 502, 504)
"""What the cloud may lead to where it is only asked."""


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
