"""The endpoints of versions: HTTP in, one operation, HTTP out (CCKM contract, OCI §6)."""

from __future__ import annotations

from claviger.audit.trail import about
from claviger.cckm.approvals.guarding import Guards, guarded
from claviger.cckm.calls import ADMINS, Answer, Call, ListOf, Parameter, Route, in_container
from claviger.cckm.listing import PAGING
from claviger.cckm.local.keys.routes import MAY_USE
from claviger.cckm.oci.keys.operations import OciKeys
from claviger.cckm.oci.keys.routes import PATH, TAG, action_on, hidden
from claviger.cckm.oci.keys.rows import KeyView
from claviger.cckm.oci.keys.showing import KIND as KEY
from claviger.cckm.oci.keys.wire import ScheduleDeletion
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.vaults.rules import VIEW
from claviger.cckm.oci.versions.operations import OciVersions
from claviger.cckm.oci.versions.showing import KIND
from claviger.cckm.oci.versions.wire import AddOciVersion, OciVersionRecord

TO_NATIVE, TO_LOCAL = "keyrotatetonative", "keyrotatetobyok"
_MANY = f"{PATH}/{{id}}/versions"
_ONE = f"{_MANY}/{{versionID}}"
_FILTERS = (
    Parameter("id", description="Id of the record.", repeated=True),
    Parameter("version_id", description="OCID of the version.", repeated=True),
    Parameter("origin", description="`INTERNAL` or `EXTERNAL`, as OCI says it.", repeated=True),
    Parameter("is_primary", "boolean", "Whether it is no replica."),
)


class OciVersionRoutes:
    """Routes of versions. The key is looked for first: who may not see its vault sees nothing."""

    def __init__(self, keys: OciKeys, versions: OciVersions, guards: Guards | None = None) -> None:
        self._keys = keys
        self._versions = versions
        self._guards = guards

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._of_many(), *self._of_one()]

    def _of_many(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=_MANY,
                handler=self.listing,
                permission=in_container(VIEW, VIEW),
                tag=TAG,
                summary="List a key's versions",
                description="Newest first, unless asked otherwise. OCI is not asked.",
                gives=ListOf[OciVersionRecord],
                query=(*PAGING, *_FILTERS),
            ),
            Route(
                method="POST",
                path=_MANY,
                handler=self.add,
                permission=in_container(TO_NATIVE, VIEW),
                tag=TAG,
                summary="Rotate a key: add a version",
                description="The new version is the key's current one. With `is_native` OCI makes its material; else "
                f"it is that of a local key of the same algorithm and size, and the permission is `{TO_LOCAL}`. The "
                "answer shows CREATING; the record moves on by itself.",
                takes=AddOciVersion,
                gives=OciVersionRecord,
                status=201,
                cloud=True,
                errors=(409,),
            ),
        ]

    def _of_one(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=_ONE,
                handler=self.read,
                permission=in_container(VIEW, VIEW),
                tag=TAG,
                summary="Read a version's record",
                description="OCI is not asked: a state that passes moves on by itself.",
                gives=OciVersionRecord,
            ),
            action_on(
                f"{_ONE}/schedule-deletion",
                self.schedule_deletion,
                "keydelete",
                "Have OCI delete a version in 7 to 30 days",
                ScheduleDeletion,
                gives=OciVersionRecord,
                description="Not the current version of its key. What it has encrypted cannot be read from then on.",
            ),
            action_on(
                f"{_ONE}/cancel-deletion",
                self.cancel_deletion,
                "keycanceldelete",
                "Cancel the deletion of a version",
                gives=OciVersionRecord,
            ),
        ]

    async def listing(self, call: Call) -> Answer:
        """GET /keys/{id}/versions."""
        key, _ = await self._found(call)
        return Answer(await self._versions.page(key, call.query))

    async def read(self, call: Call) -> Answer:
        """GET /keys/{id}/versions/{versionID}."""
        key, _ = await self._found(call)
        return Answer(await self._versions.shown(key, call.params["versionID"]))

    async def add(self, call: Call) -> Answer:
        """POST /keys/{id}/versions."""
        asked = call.body(AddOciVersion)
        key, vault = await self._found(call, TO_NATIVE if asked.is_native else TO_LOCAL)
        ident = await self._versions.add(call.caller, key, vault, asked, handles_all=handles_all(call))
        return Answer(await self._versions.shown(key, ident), status=201)

    async def schedule_deletion(self, call: Call) -> Answer:
        """POST /keys/{id}/versions/{versionID}/schedule-deletion."""
        asked = call.body(ScheduleDeletion)
        key, vault = await self._found(call)
        ident = call.params["versionID"]
        async with guarded(self._guards, call) as guard:
            await self._versions.schedule_deletion(call.caller, key, vault, ident, asked, guard)
        return Answer(await self._versions.shown(key, ident))

    async def cancel_deletion(self, call: Call) -> Answer:
        """POST /keys/{id}/versions/{versionID}/cancel-deletion."""
        key, vault = await self._found(call)
        ident = call.params["versionID"]
        await self._versions.cancel_deletion(call.caller, key, vault, ident)
        return Answer(await self._versions.shown(key, ident))

    async def _found(self, call: Call, action: str = "") -> tuple[KeyView, OciVault]:
        key, vault = await self._keys.found(call.caller.domain_id, call.params["id"])
        with hidden():
            call.require(vault.id, action)
        ident = call.params.get("versionID")
        about(*((KEY, key.row.id) if ident is None else (KIND, ident)), key.row.name, vault.name)
        return key, vault


def handles_all(call: Call) -> bool:
    """Whether the caller may use every local key of the domain, and not only those that he has made."""
    return call.caller.is_in(ADMINS, *MAY_USE)
