"""Subscriptions over HTTP (Azure contract §2)."""

from __future__ import annotations

from claviger.cckm.azure.subscriptions.operations import Subscriptions
from claviger.cckm.azure.subscriptions.wire import FoundSubscription, GetSubscriptions, Subscription
from claviger.cckm.azure.vaults.rules import ACTIONS
from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, ListOf, Parameter, Route, in_container, members
from claviger.cckm.listing import PAGING

_TAG = "Azure subscriptions"
_BASE = "/cckm/azure"
_ADMINS = members(CCKM_ADMINS)
_SEEN = in_container("secretview")
_ONE = f"{_BASE}/subscriptions/{{id}}"


class SubscriptionRoutes:
    """Answers calls. Who has any right in a vault sees that vault's subscription."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="POST",
                path=f"{_BASE}/get-subscriptions",
                asks=True,
                handler=self.discover,
                permission=_ADMINS,
                tag=_TAG,
                summary="Ask Azure for subscriptions",
                description="The answer is a bare array: all subscriptions that the connection's application sees.",
                takes=GetSubscriptions,
                gives=list[FoundSubscription],
                errors=(404, 502, 504),
            ),
            Route(
                method="GET",
                path=f"{_BASE}/subscriptions",
                handler=self.listing,
                permission=_SEEN,
                tag=_TAG,
                summary="List subscriptions",
                description="Those of managed vaults. CCKM Users see a subscription if they have any right in one of "
                "its vaults.",
                gives=ListOf[Subscription],
                query=(
                    *PAGING,
                    Parameter("id", repeated=True),
                    Parameter("subscriptionId", repeated=True),
                    Parameter("displayName", repeated=True),
                ),
            ),
            Route(
                method="GET",
                path=_ONE,
                handler=self.read,
                permission=_SEEN,
                tag=_TAG,
                summary="Read a subscription",
                gives=Subscription,
            ),
            Route(
                method="DELETE",
                path=_ONE,
                handler=self.delete,
                permission=_ADMINS,
                tag=_TAG,
                summary="Remove a subscription's record",
                description="Refused while vaults of it are managed. With its last vault it goes by itself.",
                status=204,
                errors=(409,),
            ),
        ]

    async def discover(self, call: Call) -> Answer:
        """POST /get-subscriptions."""
        asked = call.body(GetSubscriptions)
        return Answer(await self._subscriptions.discover(call.caller.domain_id, asked.connection))

    async def listing(self, call: Call) -> Answer:
        """GET /subscriptions."""
        seen = call.containers_with_any(ACTIONS)
        return Answer(await self._subscriptions.listing(call.caller.domain_id, seen, call.query))

    async def read(self, call: Call) -> Answer:
        """GET /subscriptions/{id}."""
        seen = call.containers_with_any(ACTIONS)
        return Answer(await self._subscriptions.read(call.caller.domain_id, seen, call.params["id"]))

    async def delete(self, call: Call) -> Answer:
        """DELETE /subscriptions/{id}."""
        await self._subscriptions.delete(call.caller.domain_id, call.params["id"])
        return Answer(status=204)
