"""Vaults of Azure over HTTP (CCKM contract, Azure §3): what they have beside the vaults of all clouds."""

from __future__ import annotations

from claviger.cckm.approvals.guarding import Guards
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
from claviger.cckm.calls import Answer, Call, Parameter, Route, in_container
from claviger.cckm.vaults.routes import ASKING, ManagedVaultRoutes, Places

LARGEST_ADDITION = 4 * 1024 * 1024
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


_PLACES = Places(
    base="/cckm/azure",
    tag="Azure vaults",
    seen=in_container("secretview"),
    actions=ACTIONS,
    filters=_FILTERS,
    gives=Vault,
    patches=PatchVault,
    patch_summary="Change a vault's connection, or how it is protected",
    patch_description="The connection is required, even if it stays; it has to reach the same vault. Where more than "
    "one person must agree to destroy a secret in it (`protected`, `hard_delete_quorum`), they must agree to less "
    "protection and to another connection too.",
    acls=UpdateAcls,
)


class VaultRoutes:
    """Answers calls."""

    def __init__(self, vaults: Vaults, guards: Guards | None = None) -> None:
        self._vaults = vaults
        self._managed = ManagedVaultRoutes(_PLACES, vaults, guards)

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._finding(), *self._managed.reading(), *self._changing()]

    def _finding(self) -> list[Route]:
        return [
            _PLACES.post(
                "get-vaults",
                self.get_vaults,
                "Ask Azure for key vaults",
                GetVaults,
                FoundVaults,
                errors=ASKING,
                asks=True,
            ),
            _PLACES.post(
                "get-managed-hsms",
                self.get_managed_hsms,
                "Ask Azure for managed HSM pools",
                GetVaults,
                FoundVaults,
                errors=ASKING,
                asks=True,
            ),
            _PLACES.post(
                "add-vaults",
                self.add,
                "Bring vaults under management",
                AddVaults,
                AddedVaults,
                status=201,
                body_limit=LARGEST_ADDITION,
                errors=(*ASKING, 409),
                description="Each vault is looked up in Azure first; if one is refused, none is added. What is in a "
                "vault is not read by this.",
            ),
        ]

    def _changing(self) -> list[Route]:
        return [
            self._managed.patching(),
            _PLACES.post(
                "vaults/{id}/remove-vault",
                self._managed.remove,
                "Stop managing a vault",
                None,
                None,
                status=204,
                errors=(409,),
                description="Its secrets and their backups are removed here; nothing happens in Azure. Of a protected "
                "vault only once enough people agree.",
            ),
            self._managed.updating_acls(),
            _PLACES.post(
                "vaults/{id}/enable-rotation-job",
                self.enable_rotation_job,
                "Rotate the keys of a vault by schedule",
                RotationJob,
                Vault,
                description="Always refused: a job configuration that is there could rotate keys alone, which this "
                "server does not have for Azure.",
            ),
            _PLACES.post(
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

    async def enable_rotation_job(self, call: Call) -> Answer:
        """POST /vaults/{id}/enable-rotation-job."""
        wanted = call.body(RotationJob).job_config_id
        return Answer(await self._vaults.enable_rotation_job(call.caller.domain_id, call.params["id"], wanted))

    async def disable_rotation_job(self, call: Call) -> Answer:
        """POST /vaults/{id}/disable-rotation-job."""
        return Answer(await self._vaults.disable_rotation_job(call.caller.domain_id, call.params["id"]))
