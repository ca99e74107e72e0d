"""Local keys over HTTP, at the places and in the words of CipherTrust Manager's key store."""

from __future__ import annotations

from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, ListOf, Parameter, Route, members
from claviger.cckm.listing import PAGING
from claviger.cckm.local.keys.operations import LocalKeys
from claviger.cckm.local.keys.wire import CreateLocalKey, ExportedLocalKey, LocalKeyRecord

KEY_ADMINS = "Key Admins"
MAY_USE = (CCKM_ADMINS, KEY_ADMINS)
"""Groups whose members handle all local keys of the domain, uploading them included."""
_TAG = "Local keys"
_MANY = "/vault/keys2"
_ONE = f"{_MANY}/{{id}}"
_ALLOWED = members(*MAY_USE)


class LocalKeyRoutes:
    """Answers calls about local keys."""

    def __init__(self, keys: LocalKeys) -> None:
        self._keys = keys

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path=_MANY,
                handler=self.listing,
                permission=_ALLOWED,
                tag=_TAG,
                summary="List local keys",
                gives=ListOf[LocalKeyRecord],
                query=(
                    *PAGING,
                    Parameter("id", repeated=True),
                    Parameter("name", repeated=True),
                    Parameter("algorithm", repeated=True),
                    Parameter("size", "integer", "Size in bits.", repeated=True),
                ),
            ),
            Route(
                method="POST",
                path=_MANY,
                handler=self.create,
                permission=_ALLOWED,
                tag=_TAG,
                summary="Make a local key, or import one",
                description="Its material is kept sealed. With `unexportable` it never leaves this server but wrapped, "
                "to a vault in a cloud.",
                takes=CreateLocalKey,
                gives=LocalKeyRecord,
                status=201,
                errors=(409,),
                example={"name": "payments-2026", "algorithm": "AES", "size": 256, "unexportable": True},
            ),
            Route(
                method="GET",
                path=_ONE,
                handler=self.read,
                permission=_ALLOWED,
                tag=_TAG,
                summary="Read a local key, by id or name",
                gives=LocalKeyRecord,
            ),
            *self._rest(),
        ]

    def _rest(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=f"{_ONE}/export",
                handler=self.export,
                permission=_ALLOWED,
                tag=_TAG,
                summary="Show a local key with its material",
                description="Only of a key that may be exported. That it was shown is recorded.",
                gives=ExportedLocalKey,
                reveals=True,
                asks=True,
            ),
            Route(
                method="DELETE",
                path=_ONE,
                handler=self.delete,
                permission=_ALLOWED,
                tag=_TAG,
                summary="Delete a local key",
                description="Its material is gone for good; what was uploaded of it stays in the clouds.",
                status=204,
                errors=(409,),
            ),
        ]

    async def listing(self, call: Call) -> Answer:
        """GET /vault/keys2."""
        return Answer(await self._keys.listing(call.caller.domain_id, call.query))

    async def create(self, call: Call) -> Answer:
        """POST /vault/keys2."""
        return Answer(await self._keys.create(call.caller, call.body(CreateLocalKey)), status=201)

    async def read(self, call: Call) -> Answer:
        """GET /vault/keys2/{id}."""
        return Answer(await self._keys.read(call.caller.domain_id, call.params["id"]))

    async def export(self, call: Call) -> Answer:
        """POST /vault/keys2/{id}/export."""
        return Answer(await self._keys.export(call.caller.domain_id, call.params["id"]))

    async def delete(self, call: Call) -> Answer:
        """DELETE /vault/keys2/{id}."""
        await self._keys.delete(call.caller.domain_id, call.params["id"])
        return Answer(status=204)
