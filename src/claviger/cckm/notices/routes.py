"""Notices over HTTP: subscriptions, and what became of the deliveries to them. An addition of this product."""

from __future__ import annotations

from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, ListOf, Parameter, Route, members
from claviger.cckm.listing import PAGING
from claviger.cckm.notices import rules
from claviger.cckm.notices.operations import Subscriptions
from claviger.cckm.notices.wire import (
    NewNoticeSubscription,
    NoticeDelivery,
    NoticeSubscription,
    NoticeSubscriptionChange,
)

_TAG = "Notices"
_BASE = "/claviger/notices"
_MANY = f"{_BASE}/subscriptions"
_ONE = f"{_MANY}/{{id}}"
_DELIVERIES = f"{_BASE}/deliveries"
_ADMINS = members(CCKM_ADMINS)
_SECRET = "The secret is shown in this answer alone, and only if it was made here."  # noqa: S105 - words about one


class NoticeRoutes:
    """Answers calls; who is no CCKM admin of the domain sees nothing of its subscriptions."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._of_all(), *self._of_one(), *self._of_deliveries()]

    def _of_all(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=_MANY,
                handler=self.listing,
                permission=_ADMINS,
                tag=_TAG,
                summary="List subscriptions to notices",
                gives=ListOf[NoticeSubscription],
                query=(
                    *PAGING,
                    Parameter("id", description="Id of the subscription.", repeated=True),
                    Parameter("url", description="Where it sends to; `*` stands for anything.", repeated=True),
                    Parameter("disabled", "boolean", "Only disabled ones, or only others."),
                ),
            ),
            Route(
                method="POST",
                path=_MANY,
                handler=self.create,
                permission=_ADMINS,
                tag=_TAG,
                summary="Subscribe to notices",
                description="Notices are CloudEvents 1.0, sent by POST and signed as Standard Webhooks says. "
                + _SECRET,
                takes=NewNoticeSubscription,
                gives=NoticeSubscription,
                status=201,
                errors=(409,),
                example={"url": "https://hooks.example.com/claviger", "types": ["near-expiry", "drift"]},
            ),
        ]

    def _of_one(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=_ONE,
                handler=self.read,
                permission=_ADMINS,
                tag=_TAG,
                summary="Read a subscription to notices",
                gives=NoticeSubscription,
            ),
            Route(
                method="PATCH",
                path=_ONE,
                handler=self.update,
                permission=_ADMINS,
                tag=_TAG,
                summary="Change a subscription to notices",
                description="What is left out stays. For a day after a change of secret, notices are signed with the "
                "earlier one too. " + _SECRET,
                takes=NoticeSubscriptionChange,
                gives=NoticeSubscription,
            ),
            Route(
                method="DELETE",
                path=_ONE,
                handler=self.delete,
                permission=_ADMINS,
                tag=_TAG,
                summary="End a subscription to notices",
                description="Notices that wait for it are forgotten.",
                status=204,
            ),
            Route(
                method="POST",
                path=f"{_ONE}/test",
                handler=self.test,
                permission=_ADMINS,
                tag=_TAG,
                summary="Try a subscription out",
                description="Sends a notice of type `test`, once, and answers how that ended. It takes as long as the "
                "receiver does.",
                gives=NoticeDelivery,
                errors=(409, 429),
            ),
        ]

    def _of_deliveries(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=_DELIVERIES,
                handler=self.deliveries,
                permission=_ADMINS,
                tag=_TAG,
                summary="List deliveries of notices",
                description="Delivered ones are kept for a week, dead ones for 30 days.",
                gives=ListOf[NoticeDelivery],
                query=(
                    *PAGING,
                    Parameter("id", description="Id of the delivery.", repeated=True),
                    Parameter("subscription_id", description="Id of the subscription to notices.", repeated=True),
                    Parameter("notice_id", description="Id of the event.", repeated=True),
                    Parameter("object_key", description="What is kept in order.", repeated=True),
                    Parameter("subject", description="What the notice is about.", repeated=True),
                    Parameter("type", description="Type of the notice.", repeated=True, values=rules.TYPES),
                    Parameter("state", description="How far it is.", repeated=True, values=tuple(rules.STATES)),
                ),
            ),
            Route(
                method="GET",
                path=f"{_DELIVERIES}/{{id}}",
                handler=self.delivery,
                permission=_ADMINS,
                tag=_TAG,
                summary="Read a delivery of a notice",
                gives=NoticeDelivery,
            ),
            Route(
                method="POST",
                path=f"{_DELIVERIES}/{{id}}/retry",
                handler=self.retry,
                permission=_ADMINS,
                tag=_TAG,
                summary="Send a dead notice again",
                description="From its first attempt, under the same id.",
                gives=NoticeDelivery,
                errors=(409,),
            ),
        ]

    async def listing(self, call: Call) -> Answer:
        """GET /subscriptions."""
        return Answer(await self._subscriptions.listing(call.caller.domain_id, call.query))

    async def create(self, call: Call) -> Answer:
        """POST /subscriptions."""
        made = await self._subscriptions.create(call.caller.domain_id, call.body(NewNoticeSubscription))
        return Answer(made, 201)

    async def read(self, call: Call) -> Answer:
        """GET /subscriptions/{id}."""
        return Answer(await self._subscriptions.read(call.caller.domain_id, call.params["id"]))

    async def update(self, call: Call) -> Answer:
        """PATCH /subscriptions/{id}."""
        asked = call.body(NoticeSubscriptionChange)
        return Answer(await self._subscriptions.update(call.caller.domain_id, call.params["id"], asked))

    async def delete(self, call: Call) -> Answer:
        """DELETE /subscriptions/{id}."""
        await self._subscriptions.delete(call.caller.domain_id, call.params["id"])
        return Answer(status=204)

    async def test(self, call: Call) -> Answer:
        """POST /subscriptions/{id}/test."""
        caller = call.caller
        return Answer(await self._subscriptions.test(caller.domain_id, call.params["id"], caller.username))

    async def deliveries(self, call: Call) -> Answer:
        """GET /deliveries."""
        return Answer(await self._subscriptions.deliveries(call.caller.domain_id, call.query))

    async def delivery(self, call: Call) -> Answer:
        """GET /deliveries/{id}."""
        return Answer(await self._subscriptions.delivery(call.caller.domain_id, call.params["id"]))

    async def retry(self, call: Call) -> Answer:
        """POST /deliveries/{id}/retry."""
        return Answer(await self._subscriptions.retry(call.caller.domain_id, call.params["id"]))
