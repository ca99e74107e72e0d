"""Vaults of OCI over HTTP (CCKM contract, OCI §3, §4): what they have beside the vaults of all clouds."""

from __future__ import annotations

from claviger.cckm.approvals.guarding import Guards
from claviger.cckm.calls import Answer, Call, Parameter, Route, in_container
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
from claviger.cckm.vaults.routes import ADMINS, ASKING, ManagedVaultRoutes, Places

_WORDS = {"vault_name": "The same as `display_name`."}
_OF_EXTERNAL = "Of external vaults, of which this server has none."
_EXTERNAL = frozenset({"linked_state", "issuer_id", "state", "external_vault_type", "source_key_tier", "blocked"})
_FILTERS = tuple(
    Parameter(name, repeated=True, description=_OF_EXTERNAL if name in _EXTERNAL else _WORDS.get(name, ""))
    for name in FILTERS
)
_PLACES = Places(
    base="/cckm/oci",
    tag="OCI vaults",
    seen=in_container(VIEW, VIEW),
    actions=ACTIONS,
    filters=_FILTERS,
    gives=OciVaultRecord,
    patches=PatchOciVault,
    patch_summary="Change a vault's connection, its bucket, or how it is protected",
    patch_description="A connection has to reach the same vault. Where more than one person must agree to destroy a "
    "key in it (`protected`, `hard_delete_quorum`), they must agree to less protection, to another connection and to "
    "another bucket too.",
    acls=UpdateOciAcls,
)


class OciVaultRoutes:
    """Answers calls."""

    def __init__(self, vaults: OciVaults, guards: Guards | None = None) -> None:
        self._vaults = vaults
        self._managed = ManagedVaultRoutes(_PLACES, vaults, guards)

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._finding(), *self._managed.reading(), *self._changing()]

    def _finding(self) -> list[Route]:
        return [
            _PLACES.post(
                "get-vaults", self.get_vaults, "Ask OCI for vaults", GetOciVaults, Found, errors=ASKING, asks=True
            ),
            _PLACES.post(
                "add-vaults",
                self.add,
                "Bring vaults under management",
                AddOciVaults,
                AddedOciVaults,
                errors=(*ASKING, 409),
                description="Each vault is looked up in OCI first; if one is refused, none is added. One that was "
                "managed before comes back under its id, and so do its keys. What is in a vault is not read by this.",
            ),
        ]

    def _changing(self) -> list[Route]:
        return [
            self._managed.patching(),
            Route(
                method="DELETE",
                path=_PLACES.one,
                handler=self._managed.remove,
                permission=ADMINS,
                tag=_PLACES.tag,
                summary="Stop managing a vault",
                description="It is hidden with its keys until it is added again; nothing happens in OCI. Of a "
                "protected vault only once enough people agree.",
                status=204,
                errors=(409,),
            ),
            self._managed.updating_acls(),
        ]

    async def get_vaults(self, call: Call) -> Answer:
        """POST /get-vaults."""
        return Answer(await self._vaults.discover(call.caller.domain_id, call.body(GetOciVaults)))

    async def add(self, call: Call) -> Answer:
        """POST /add-vaults."""
        added = await self._vaults.add(call.caller, call.body(AddOciVaults))
        return Answer(AddedOciVaults(vaults=added, resources=added))
