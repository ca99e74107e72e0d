"""The endpoints of what is leaving: the list, and the call that undoes a deletion (docs/control-plane.md)."""

from __future__ import annotations

from claviger.cckm.azure.secrets.routes import PATH as SECRETS
from claviger.cckm.azure.secrets.routes import WAIT, SecretRoutes
from claviger.cckm.azure.secrets.wire import RestoreSecret, SecretRecord
from claviger.cckm.calls import Answer, Call, ListOf, Parameter, Route, in_container
from claviger.cckm.leaving.operations import KINDS, OPERATIONS, Leavings
from claviger.cckm.leaving.wire import Leaving
from claviger.cckm.listing import PAGING

TAG = "Leaving"
PATH = "/claviger/leaving"
_FILTERS = (
    Parameter(
        "kind",
        "string",
        "`soft-deleted`: final when the vault's retention ends. `restorable`: final in Azure, and with a backup here.",
        default=KINDS[0],
        values=KINDS,
    ),
    Parameter(
        "key_vault",
        "string",
        "Vault: name of its record, its plain Azure name, or id of its record; `*` stands for any.",
        repeated=True,
    ),
    Parameter("secret_name", "string", "Name, in any case; `*` stands for any characters.", repeated=True),
    Parameter("becomes_final_before", "string", "Is purged before this time; RFC 3339, or seconds since 1970."),
    Parameter("becomes_final_after", "string", "Is purged at this time or later; RFC 3339, or seconds since 1970."),
    Parameter("by", "string", "Who deleted it through this server: a user's name or id.", repeated=True),
)


class LeavingRoutes:
    """Routes of what is leaving. What undoes a deletion is done by the routes of secrets themselves."""

    def __init__(self, leavings: Leavings, secrets: SecretRoutes) -> None:
        self._leavings = leavings
        self._secrets = secrets

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self._list,
                permission=in_container("secretview"),
                tag=TAG,
                summary="List what was deleted and can be brought back",
                description="What becomes final first comes first; restorable ones, the last deleted first.",
                query=(*PAGING[:2], *_FILTERS),
                gives=ListOf[Leaving],
            ),
            Route(
                method="POST",
                path=f"{PATH}/{{id}}/undo",
                handler=self._undo,
                permission=in_container("secretrecover"),
                tag=TAG,
                summary="Undo the deletion of a secret",
                description=(
                    "Recovers a soft-deleted secret, and restores one that is deleted for good from its backup here: "
                    "by the very calls of secrets, with their permissions (`secretrecover`, `secretrestore`), rules "
                    "and answers."
                ),
                takes=RestoreSecret,
                gives=SecretRecord,
                query=(WAIT,),
                cloud=True,
            ),
        ]

    async def _list(self, call: Call) -> Answer:
        containers = call.containers()
        page = await self._leavings.page(
            call.caller.domain_id, call.query, containers, lambda action: call.containers_with_any([action])
        )
        return Answer(page)

    async def _undo(self, call: Call) -> Answer:
        kind = await self._leavings.kind_of(call.caller.domain_id, call.params["id"])
        path = f"{SECRETS}/{{id}}/{OPERATIONS[kind][0]}"
        call.go_on_as(next(route for route in self._secrets.routes() if route.path == path))
        return await call.route.handler(call)
