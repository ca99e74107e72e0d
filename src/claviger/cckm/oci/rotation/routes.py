"""The endpoints that link a key to the job that rotates it (CCKM contract, OCI §5.10)."""

from __future__ import annotations

from claviger.audit.trail import about
from claviger.cckm.calls import Answer, Call, Route, in_container
from claviger.cckm.oci.keys.operations import OciKeys
from claviger.cckm.oci.keys.routes import PATH, TAG, hidden
from claviger.cckm.oci.keys.rows import KeyView
from claviger.cckm.oci.keys.showing import KIND
from claviger.cckm.oci.keys.wire import EnableAutoRotation, OciKeyRecord
from claviger.cckm.oci.rotation.operations import Rotations
from claviger.cckm.oci.rotation.rules import NATIVE
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.vaults.rules import VIEW
from claviger.cckm.oci.versions.routes import TO_LOCAL, TO_NATIVE

_UPDATE = "keyupdate"


class RotationRoutes:
    """Answers calls."""

    def __init__(self, keys: OciKeys, rotations: Rotations) -> None:
        self._keys = keys
        self._rotations = rotations

    def routes(self) -> list[Route]:
        """Both of them."""
        return [
            Route(
                method="POST",
                path=f"{PATH}/{{id}}/enable-auto-rotation",
                handler=self.enable,
                permission=in_container(_UPDATE, VIEW),
                tag=TAG,
                summary="Have a job rotate a key",
                description="The job is a configuration of the scheduler for `cckm_key_rotation` and `oci`. New "
                "material is OCI's own (`native`), or a local key that is made for it (`ciphertrust`); beside "
                f"`{_UPDATE}` that needs the permission `{TO_NATIVE}` or `{TO_LOCAL}`. A key that is not ENABLED when "
                "the job runs is left as it is.",
                takes=EnableAutoRotation,
                gives=OciKeyRecord,
                errors=(409,),
                example={
                    "job_config_id": "3e954908-285b-4b91-bd59-620819392b03",
                    "auto_rotate_key_source": NATIVE,
                },
            ),
            Route(
                method="POST",
                path=f"{PATH}/{{id}}/disable-auto-rotation",
                handler=self.disable,
                permission=in_container(_UPDATE, VIEW),
                tag=TAG,
                summary="Have no job rotate a key",
                gives=OciKeyRecord,
            ),
        ]

    async def enable(self, call: Call) -> Answer:
        """POST /keys/{id}/enable-auto-rotation."""
        asked = call.body(EnableAutoRotation)
        key, vault = await self._found(call)
        call.require(vault.id, TO_NATIVE if asked.auto_rotate_key_source == NATIVE else TO_LOCAL)
        await self._rotations.enable(call.caller, key.row, vault, asked)
        return await self._answer(call, key)

    async def disable(self, call: Call) -> Answer:
        """POST /keys/{id}/disable-auto-rotation."""
        key, vault = await self._found(call)
        await self._rotations.disable(call.caller, key.row, vault)
        return await self._answer(call, key)

    async def _found(self, call: Call) -> tuple[KeyView, OciVault]:
        key, vault = await self._keys.found(call.caller.domain_id, call.params["id"])
        with hidden():
            call.require(vault.id)
        about(KIND, key.row.id, key.row.name, vault.name)
        return key, vault

    async def _answer(self, call: Call, key: KeyView) -> Answer:
        return Answer(await self._keys.shown(call.caller.domain_id, key.row.id))
