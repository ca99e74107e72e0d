"""The endpoints of what is leaving: the list, and the call that undoes a deletion (docs/control-plane.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from claviger.audit.trail import about
from claviger.cckm.azure.secrets.routes import PATH as SECRETS
from claviger.cckm.azure.secrets.routes import WAIT
from claviger.cckm.azure.secrets.wire import RestoreSecret
from claviger.cckm.calls import Answer, Call, ListOf, Parameter, Route, in_container
from claviger.cckm.leaving.asked import AZURE, KEY, KINDS, OBJECT_KINDS, OCI, SECRET, VERSION, WAYS
from claviger.cckm.leaving.operations import Found, Leavings
from claviger.cckm.leaving.wire import Leaving
from claviger.cckm.listing import PAGING
from claviger.cckm.oci.keys.routes import PATH as KEYS

TAG = "Leaving"
PATH = "/claviger/leaving"
_VIEWS = {AZURE: "secretview", OCI: "view"}
"""What lets a caller see what is in a vault."""
_BASES: Mapping[str, str] = {
    SECRET: f"{SECRETS}/{{}}",
    KEY: f"{KEYS}/{{}}",
    VERSION: f"{KEYS}/{{}}/versions/{{}}",
}
"""Where the calls are that undo, with a pair of braces for each segment that varies."""
_SEGMENT = re.compile(r"\{(\w+)\}")
_FILTERS = (
    Parameter(
        "kind",
        "string",
        "`soft-deleted`: final on a date to come. `restorable`: final in its cloud, and with a backup of ours.",
        default=KINDS[0],
        values=KINDS,
    ),
    Parameter("object_kind", "string", "What it is.", repeated=True, values=OBJECT_KINDS),
    Parameter(
        "key_vault",
        "string",
        "Vault in Azure: name of its record, its plain Azure name, or id of its record; `*` stands for any.",
        repeated=True,
    ),
    Parameter(
        "vault", "string", "Vault in OCI: its name, its OCID, or id of its record; `*` stands for any.", repeated=True
    ),
    Parameter("secret_name", "string", "Name of a secret, in any case; `*` stands for any characters.", repeated=True),
    Parameter("key_name", "string", "Name of a key, in any case; `*` stands for any characters.", repeated=True),
    Parameter("becomes_final_before", "string", "Is final before this time; RFC 3339, or seconds since 1970."),
    Parameter("becomes_final_after", "string", "Is final at this time or later; RFC 3339, or seconds since 1970."),
    Parameter("by", "string", "Who deleted it through this server: a user's name or id.", repeated=True),
)


class LeavingRoutes:
    """Routes of what is leaving. What undoes a deletion is done by the routes of secrets and keys themselves."""

    def __init__(self, leavings: Leavings, others: Sequence[Route]) -> None:
        """`others` are the routes of secrets, and of keys and their versions."""
        self._leavings = leavings
        self._others = others

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
                description=(
                    "Secrets of Azure, keys of OCI and versions of those. What becomes final first comes first; "
                    "restorable ones, the last deleted first. Of OCI's vaults those that the caller may `view`. "
                    "Filters of one cloud alone leave out what is of the other."
                ),
                query=(*PAGING[:2], *_FILTERS),
                gives=ListOf[Leaving],
            ),
            Route(
                method="POST",
                path=f"{PATH}/{{id}}/undo",
                handler=self._undo,
                permission=in_container("secretrecover"),
                tag=TAG,
                summary="Undo a deletion",
                description=(
                    "Recovers a soft-deleted secret, cancels the deletion of a key of OCI or of a version of one, and "
                    "restores what is deleted for good from its backup: by the very calls of secrets and keys, with "
                    "their permissions (`secretrecover`, `secretrestore`, `keycanceldelete`, `keyrestore`), rules and "
                    "answers."
                ),
                takes=RestoreSecret,
                gives=Any,
                query=(WAIT,),
                cloud=True,
            ),
        ]

    async def _list(self, call: Call) -> Answer:
        seen = {cloud: call.containers_with_any([view]) for cloud, view in _VIEWS.items()}
        page = await self._leavings.page(
            call.caller.domain_id, call.query, seen, lambda action: call.containers_with_any([action])
        )
        return Answer(page)

    async def _undo(self, call: Call) -> Answer:
        found = await self._leavings.find(call.caller.domain_id, call.params["id"])
        about(found.object_kind, call.params["id"])  # for a refusal that comes before its own route can say
        path = f"{_BASES[found.object_kind]}/{WAYS[found.object_kind, found.kind].operation}"
        route = next(each for each in self._others if _SEGMENT.sub("{}", each.path) == path)
        call.params = segments_of(route, found, call.params["id"])
        call.go_on_as(route)
        return await call.route.handler(call)


def segments_of(route: Route, found: Found, ident: str) -> dict[str, str]:
    """The segments of the call that undoes, by the names that its route gives them."""
    idents = [found.key_id, ident] if found.object_kind == VERSION else [ident]
    return dict(zip(_SEGMENT.findall(route.path), idents, strict=True))
