"""What the product has beside its clouds: consumed clouds, settings, properties, alarms (CCKM contract §10, §11).

Of most of it this server has nothing, and says so. Its settings are those of its start (docs/settings.md), and notices
take the place of alarms and of letters about expiry. One property tells clients where audit records are.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from claviger.cckm.azure.subscriptions import records as subscriptions
from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, Route, members
from claviger.cckm.oci.tenancies import records as tenancies
from claviger.cckm.oci.vaults import records as oci_vaults
from claviger.cckm.unbuilt import Unbuilt
from claviger.core.errors import NotFound
from claviger.store.contract import Store

TAG = "System"
_MAY = members(CCKM_ADMINS)
_SETTINGS = ("azure_key_expiry_notification", "aws_key_expiry_notification", "backups")


class CloudUnits(msgspec.Struct, frozen=True):
    """How many accounts in clouds the domain has under management."""

    total: int
    azure: int
    oci: int


class PropertyShown(msgspec.Struct, frozen=True):
    """A property of the product."""

    name: str
    value: str
    description: str


_PROPERTIES = {
    each.name: each
    for each in (
        PropertyShown("ENABLE_RECORDS_DB_STORE", "true", "Audit records are in the database: see /v1/audit/records."),
    )
}


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
                description="The only one is `ENABLE_RECORDS_DB_STORE`.",
                gives=PropertyShown,
                errors=(404,),
            ),
            *_unbuilt(),
        ]

    async def cloud_units(self, call: Call) -> Answer:
        """GET /cckm/cloud-units."""
        domain_id = call.caller.domain_id
        azure = len(await subscriptions.all_of(self._store, domain_id))
        known = {row.name for row in await tenancies.all_of(self._store, domain_id)}
        oci = len(known | {row.tenancy_name for row in await oci_vaults.all_of(self._store, domain_id)})
        return Answer(CloudUnits(azure + oci, azure, oci))

    async def read_property(self, call: Call) -> Answer:
        """GET /configs/properties/{name}."""
        found = _PROPERTIES.get(call.params["name"])
        if found is None:
            raise NotFound("NotFound", message="there is no such property")
        return Answer(found)


def _unbuilt() -> Iterator[Route]:
    yield from Unbuilt("/system", "the product").read("alarms", TAG, "alarms", _MAY)
    settings = Unbuilt("/cckm/settings", "the product")
    for name in _SETTINGS:
        what = f"settings of {name}"
        yield next(settings.read(name, TAG, what, _MAY))
        yield from settings.changes({(f"PATCH {name}", ""): f"Change the {what}"}, TAG, what, lambda _: _MAY)
