"""The endpoints of OCI keys: HTTP in, one operation, HTTP out (CCKM contract, OCI §5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from claviger.audit.trail import about
from claviger.cckm.approvals.guarding import Guards, guarded
from claviger.cckm.calls import Answer, Call, Handler, ListOf, Route, in_container
from claviger.cckm.listing import PAGING
from claviger.cckm.oci.keys.listing import FILTERS
from claviger.cckm.oci.keys.operations import OciKeys, missing
from claviger.cckm.oci.keys.rows import KeyView
from claviger.cckm.oci.keys.rules import Operation
from claviger.cckm.oci.keys.showing import KIND
from claviger.cckm.oci.keys.wire import ChangeCompartment, CreateOciKey, OciKeyRecord, ScheduleDeletion, UpdateOciKey
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.vaults.rules import VIEW
from claviger.core.errors import NotFound

TAG = "OCI keys"
PATH = "/cckm/oci/keys"
_ONE = f"{PATH}/{{id}}"
_LARGEST_BODY = 256 * 1024
_MAY_FAIL = (409,)


class OciKeyRoutes:
    """Routes of keys, but for uploads, versions and rotation."""

    def __init__(self, keys: OciKeys, guards: Guards | None = None) -> None:
        self._keys = keys
        self._guards = guards

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            *self._reading(),
            *self._of_records(),
            *self._of_deletion(),
            *self._of_state(),
            *self._of_backups(),
        ]

    def _reading(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self.listing,
                permission=in_container(VIEW, VIEW),
                tag=TAG,
                summary="List keys",
                description="Filters are ANDed, repeated values of one are ORed; `*` stands for any characters.",
                gives=ListOf[OciKeyRecord],
                query=(*PAGING, *FILTERS),
            ),
            Route(
                method="GET",
                path=_ONE,
                handler=self.read,
                permission=in_container(VIEW, VIEW),
                tag=TAG,
                summary="Read a key's record",
                description="OCI is not asked: a state that passes moves on by itself.",
                gives=OciKeyRecord,
            ),
        ]

    def _of_records(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=PATH,
                handler=self.create,
                permission=in_container("keycreate", VIEW),
                tag=TAG,
                summary="Create a key in OCI",
                description="The answer shows CREATING; the record moves on by itself.",
                takes=CreateOciKey,
                gives=OciKeyRecord,
                status=201,
                body_limit=_LARGEST_BODY,
                cloud=True,
                errors=_MAY_FAIL,
            ),
            Route(
                method="PATCH",
                path=_ONE,
                handler=self.update,
                permission=in_container("keyupdate", VIEW),
                tag=TAG,
                summary="Change a key's name or tags",
                description="A set of tags that is given takes the place of the one before.",
                takes=UpdateOciKey,
                gives=OciKeyRecord,
                body_limit=_LARGEST_BODY,
                cloud=True,
                errors=_MAY_FAIL,
            ),
            Route(
                method="DELETE",
                path=_ONE,
                handler=self.remove,
                permission=in_container("keyremove", VIEW),
                tag=TAG,
                summary="Remove a deleted key from CCKM",
                description="With its versions, and its backup in the vault's bucket. Keys in OCI are not touched.",
                status=204,
                cloud=True,
                errors=_MAY_FAIL,
            ),
        ]

    def _of_deletion(self) -> list[Route]:
        return [
            action_on(
                f"{_ONE}/schedule-deletion",
                self.schedule_deletion,
                "keydelete",
                "Have OCI delete a key in 7 to 30 days",
                ScheduleDeletion,
                description="An HSM key of a private virtual vault with a bucket is backed up first. A date that is "
                "set is not changed: cancel, and schedule again.",
            ),
            action_on(
                f"{_ONE}/cancel-deletion",
                self._simply(Operation.CANCEL_DELETION),
                "keycanceldelete",
                "Cancel the deletion of a key",
                description="The key is enabled or disabled again, as it was before.",
            ),
        ]

    def _of_state(self) -> list[Route]:
        return [
            action_on(f"{_ONE}/enable", self._simply(Operation.ENABLE), "keyupdate", "Enable a key"),
            action_on(f"{_ONE}/disable", self._simply(Operation.DISABLE), "keyupdate", "Disable a key"),
            action_on(
                f"{_ONE}/change-compartment",
                self.change_compartment,
                "keyupdate",
                "Move a key to another compartment",
                ChangeCompartment,
            ),
            action_on(
                f"{_ONE}/refresh",
                self.refresh,
                "keysynchronize",
                "Read a key and its versions from OCI",
                description="Nothing changes in OCI.",
            ),
        ]

    def _of_backups(self) -> list[Route]:
        return [
            action_on(
                f"{_ONE}/delete-backup",
                self._silently(Operation.DELETE_BACKUP),
                "deletebackup",
                "Delete the backup of a deleted key",
                gives=None,
                status=204,
            ),
            action_on(
                f"{_ONE}/restore",
                self._silently(Operation.RESTORE),
                "keyrestore",
                "Restore a deleted key in OCI from its backup",
                gives=None,
                status=204,
            ),
        ]

    async def listing(self, call: Call) -> Answer:
        """GET /keys."""
        return Answer(await self._keys.page(call.caller.domain_id, call.query, call.containers()))

    async def read(self, call: Call) -> Answer:
        """GET /keys/{id}."""
        record = await self._keys.shown(call.caller.domain_id, call.params["id"])
        with hidden():
            call.require(record.cckm_vault_id)
        about(KIND, record.id, record.key_name, record.oci_params.vault_name)
        return Answer(record)

    async def create(self, call: Call) -> Answer:
        """POST /keys."""
        asked = call.body(CreateOciKey)
        with hidden("there is no such vault under management"):
            vault = await self._keys.vault(call.caller.domain_id, asked.vault)
            call.require(vault.id)
        ident = await self._keys.create(call.caller, vault, asked)
        return Answer(await self._keys.shown(call.caller.domain_id, ident), status=201)

    async def update(self, call: Call) -> Answer:
        """PATCH /keys/{id}."""
        view, vault = await self._found(call)
        return await self._answer(call, await self._keys.update(call.caller, view, vault, call.body(UpdateOciKey)))

    async def remove(self, call: Call) -> Answer:
        """DELETE /keys/{id}."""
        view, vault = await self._found(call)
        async with guarded(self._guards, call) as guard:
            await self._keys.remove(call.caller, view, vault, guard)
        return Answer(status=204)

    async def schedule_deletion(self, call: Call) -> Answer:
        """POST /keys/{id}/schedule-deletion."""
        view, vault = await self._found(call)
        asked = call.body(ScheduleDeletion)
        async with guarded(self._guards, call) as guard:
            ident = await self._keys.schedule_deletion(call.caller, view, vault, asked, guard)
        return await self._answer(call, ident)

    async def change_compartment(self, call: Call) -> Answer:
        """POST /keys/{id}/change-compartment."""
        view, vault = await self._found(call)
        asked = call.body(ChangeCompartment)
        return await self._answer(call, await self._keys.change_compartment(call.caller, view, vault, asked))

    async def refresh(self, call: Call) -> Answer:
        """POST /keys/{id}/refresh."""
        view, _ = await self._found(call)
        await self._keys.refresh(call.caller.domain_id, view.row.id)
        return await self._answer(call, view.row.id)

    def _simply(self, operation: Operation) -> Handler:
        async def handler(call: Call) -> Answer:
            return await self._answer(call, await self._acted(call, operation))

        return handler

    def _silently(self, operation: Operation) -> Handler:
        async def handler(call: Call) -> Answer:
            await self._acted(call, operation)
            return Answer(status=204)

        return handler

    async def _acted(self, call: Call, operation: Operation) -> str:
        view, vault = await self._found(call)
        async with guarded(self._guards, call) as guard:
            return await self._keys.act(operation, call.caller, view, vault, guard)

    async def _found(self, call: Call) -> tuple[KeyView, OciVault]:
        view, vault = await self._keys.found(call.caller.domain_id, call.params["id"])
        with hidden():
            call.require(vault.id)
        about(KIND, view.row.id, view.row.name, vault.name)
        return view, vault

    async def _answer(self, call: Call, ident: str) -> Answer:
        return Answer(await self._keys.shown(call.caller.domain_id, ident))


@contextmanager
def hidden(message: str = "") -> Iterator[None]:
    """What a caller may not see and what does not exist are refused in the same words."""
    try:
        yield
    except NotFound:
        raise (NotFound("NotFound", message=message) if message else missing()) from None


def action_on(
    path: str,
    handler: Handler,
    action: str,
    summary: str,
    takes: Any = None,
    *,
    gives: Any = OciKeyRecord,
    status: int = 200,
    description: str = "",
) -> Route:
    """A changing call of a key or version, for who has the right to that action in the key's vault."""
    return Route(
        method="POST",
        path=path,
        handler=handler,
        permission=in_container(action, VIEW),
        tag=TAG,
        summary=summary,
        description=description,
        takes=takes,
        gives=gives,
        status=status,
        cloud=True,
        errors=_MAY_FAIL,
    )
