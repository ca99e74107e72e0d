"""The product at large over HTTP (CCKM contract §10, §11). Of most of it this server has nothing, and says so.

Its settings are those of its start (docs/settings.md), and notices take the place of alarms and of warnings of expiry.
"""

from __future__ import annotations

from collections.abc import Iterator

from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, Route, members
from claviger.cckm.system.operations import RECORDS_IN_DATABASE, cloud_units, read_property
from claviger.cckm.system.wire import CloudUnits, PropertyShown
from claviger.cckm.unbuilt import Unbuilt
from claviger.store.contract import Store

TAG = "System"
_MAY = members(CCKM_ADMINS)
_SETTINGS = ("azure_key_expiry_notification", "aws_key_expiry_notification", "backups")


class SystemRoutes:
    """Answers calls about the product at large."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path="/cckm/cloud-units",
                handler=self.cloud_units,
                permission=_MAY,
                tag=TAG,
                summary="Count the clouds that are under management",
                description="Subscriptions of Azure with a vault here, and tenancies of OCI.",
                gives=CloudUnits,
            ),
            Route(
                method="GET",
                path="/configs/properties/{name}",
                handler=self.read_property,
                permission=_MAY,
                tag=TAG,
                summary="Read a property",
                description=f"The only one is `{RECORDS_IN_DATABASE}`.",
                gives=PropertyShown,
                errors=(404,),
            ),
            *_unbuilt(),
        ]

    async def cloud_units(self, call: Call) -> Answer:
        """GET /cckm/cloud-units."""
        return Answer(await cloud_units(self._store, call.caller.domain_id))

    async def read_property(self, call: Call) -> Answer:
        """GET /configs/properties/{name}."""
        return Answer(read_property(call.params["name"]))


def _unbuilt() -> Iterator[Route]:
    yield from Unbuilt("/system", "the product").read("alarms", TAG, "alarms", _MAY)
    settings = Unbuilt("/cckm/settings", "the product")
    for name in _SETTINGS:
        what = f"settings of {name}"
        yield next(settings.read(name, TAG, what, _MAY))
        yield from settings.changes({(f"PATCH {name}", ""): f"Change the {what}"}, TAG, what, lambda _: _MAY)
