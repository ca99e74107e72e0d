"""What can be done with subscriptions: find them in Azure, read the records of those whose vaults are managed.

Records come and go with vaults (`azure/vaults/operations.py`); only one that was left over can be deleted by hand.
"""

from __future__ import annotations

from typing import Any

from claviger.audit.trail import about
from claviger.cckm.azure.answers import understood
from claviger.cckm.azure.connections import records as connections
from claviger.cckm.azure.connections.cloud import AzureClouds
from claviger.cckm.azure.subscriptions import cloud, records
from claviger.cckm.azure.subscriptions.records import SubscriptionDetails, SubscriptionRow
from claviger.cckm.azure.subscriptions.wire import FoundSubscription, Subscription
from claviger.cckm.calls import Query
from claviger.cckm.listing import Page, page_of
from claviger.cckm.resource import header
from claviger.core.errors import Conflict, NotFound
from claviger.core.ids import new_uuid
from claviger.store.contract import Store, Tx

_FILTERS = {
    "id": lambda row: row.id,
    "subscriptionId": lambda row: row.subscription_id,
    "displayName": lambda row: row.display_name,
}
_SORTS = {
    "subscription_id": lambda row: row.subscription_id,
    "createdAt": lambda row: row.created_at,
    "updatedAt": lambda row: row.updated_at,
}
_KEPT = ("state", "authorizationSource", "tenantId")


class Subscriptions:
    """Everything about subscriptions. `seen` are ids of the vaults that a caller sees; None is all of the domain."""

    def __init__(self, store: Store, clouds: AzureClouds) -> None:
        self._store = store
        self._clouds = clouds

    async def discover(self, domain_id: str, connection: str) -> list[FoundSubscription]:
        """The subscriptions that a connection sees. Raises NotFound for the connection, and the cloud's refusals."""
        known = await connections.find(self._store, domain_id, connection)
        if known is None:
            raise NotFound("NotFound", message="there is no such connection")
        told = await cloud.list_subscriptions(await self._clouds.reach(known))
        return [shown_found(one) for one in told]

    async def listing(self, domain_id: str, seen: frozenset[str] | None, query: Query) -> Page:
        """A page of the records that the caller sees. Raises Invalid."""
        rows = await records.all_of(self._store, domain_id)
        visible = await self._visible(domain_id, seen)
        return page_of(
            [row for row in rows if visible is None or row.subscription_id in visible],
            query,
            filters=_FILTERS,
            sorts=_SORTS,
            default_sort="createdAt",
            shown=shown,
        )

    async def read(self, domain_id: str, seen: frozenset[str] | None, ident: str) -> Subscription:
        """One record. Raises NotFound, also where the caller sees none of its vaults."""
        row = await records.by_id(self._store, domain_id, ident)
        visible = await self._visible(domain_id, seen)
        if row is None or (visible is not None and row.subscription_id not in visible):
            raise _missing()
        return shown(row)

    async def delete(self, domain_id: str, ident: str) -> None:
        """Removes a record. Raises NotFound, and Conflict("InUse") while vaults of it are managed."""

        def change(tx: Tx) -> None:
            row = records.load(tx, domain_id, ident)
            if row is None:
                raise _missing()
            if records.has_vaults(tx, domain_id, row.subscription_id):
                raise Conflict(
                    "InUse", message="vaults of this subscription are managed; its record goes with the last of them"
                )
            about("azure-subscription", row.id, row.subscription_id)
            records.remove(tx, row.id)

        await self._store.write(change)

    async def _visible(self, domain_id: str, seen: frozenset[str] | None) -> frozenset[str] | None:
        """The Azure ids of the subscriptions that hold any of the vaults seen."""
        if seen is None:
            return None
        of_vaults = await records.ids_of_vaults(self._store, domain_id)
        return frozenset(subscription for vault, subscription in of_vaults.items() if vault in seen)


def fresh_record(domain_id: str, subscription_id: str, told: dict[str, Any] | None, now: float) -> SubscriptionRow:
    """The record of a subscription as the cloud shows it; `told` None where the cloud does not show it."""
    known = told or {}
    details = understood({name: known.get(name) for name in _KEPT}, SubscriptionDetails)
    name = str(known.get("displayName") or "")
    return SubscriptionRow(new_uuid(), domain_id, subscription_id, name, details, now, now)


def shown_found(told: dict[str, Any]) -> FoundSubscription:
    """A subscription of discovery; what the cloud leaves out or calls null is absent."""
    ident = str(told.get("subscriptionId") or "")
    return understood({"id": f"/subscriptions/{ident}", **told}, FoundSubscription)


def shown(row: SubscriptionRow) -> Subscription:
    """The record as it is on the wire."""
    head = header("cckm", "subscription", row.id, "", row.domain_id, row.created_at, row.updated_at)
    return Subscription(
        **head,
        subscription_id=row.subscription_id,
        subscription_uri=f"/subscriptions/{row.subscription_id}",
        display_name=row.display_name,
        state=row.details.state,
        authorization_source=row.details.authorization_source,
        tenant_id=row.details.tenant_id,
        created_at_too=head["created_at"],
        updated_at_too=head["updated_at"],
    )


def _missing() -> NotFound:
    return NotFound("NotFound", message="there is no such subscription")
