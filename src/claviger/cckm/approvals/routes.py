"""Requests for approval over HTTP.

Who asks sees his own requests; who may approve sees those of the vaults in which he may. Everybody else sees none. The
routes name the right that approvers have in vaults of Azure; in those of OCI it is `keydelete`.
"""

from __future__ import annotations

from claviger.cckm.approvals.operations import Approvals, Seen
from claviger.cckm.approvals.rules import AZURE, RIGHTS, SHOWN
from claviger.cckm.approvals.wire import ApprovalShown, RefuseApproval
from claviger.cckm.calls import Answer, Call, ListOf, Parameter, Route, in_container
from claviger.cckm.listing import PAGING

_TAG = "Approvals"
_MANY = "/claviger/approvals"
_ONE = f"{_MANY}/{{id}}"
_SEEN = in_container(RIGHTS[AZURE].action, RIGHTS[AZURE].view)
_FILTERS = (
    Parameter("id", repeated=True),
    Parameter("state", description="How the request stands.", repeated=True, values=SHOWN),
    Parameter("action", description="What is asked for.", repeated=True),
    Parameter("container_id", description="Id of the vault in which it is to happen.", repeated=True),
    Parameter("object_id", description="Id of the record that it is about.", repeated=True),
    Parameter("mine", "boolean", "Only the caller's own requests, or only others."),
    Parameter("to_approve", "boolean", "Only those that wait for the caller's vote, or only others."),
)


def seen_by(call: Call) -> Seen:
    """By cloud, the vaults in which the caller may approve."""
    return {cloud: call.containers_with_all(right) for cloud, right in RIGHTS.items()}


class ApprovalRoutes:
    """Answers calls."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path=_MANY,
                handler=self.listing,
                permission=_SEEN,
                tag=_TAG,
                summary="List requests for approval",
                description="The caller's own, and those he may approve; in vaults of OCI by `view` and `keydelete`.",
                gives=ListOf[ApprovalShown],
                query=(*PAGING, *_FILTERS),
            ),
            Route(
                method="GET",
                path=_ONE,
                handler=self.read,
                permission=_SEEN,
                tag=_TAG,
                summary="Read a request for approval",
                gives=ApprovalShown,
            ),
            Route(
                method="POST",
                path=f"{_ONE}/approve",
                handler=self.approve,
                permission=_SEEN,
                tag=_TAG,
                summary="Approve a request",
                description="Never one's own. Once enough people agree, whoever asked repeats the very same call, "
                "which then goes through once.",
                gives=ApprovalShown,
                errors=(409,),
            ),
            Route(
                method="POST",
                path=f"{_ONE}/refuse",
                handler=self.refuse,
                permission=_SEEN,
                tag=_TAG,
                summary="Refuse a request",
                description="Ends it. Also for who has approved it before.",
                takes=RefuseApproval,
                gives=ApprovalShown,
                errors=(409,),
                example={"reason": "still in use by the shop"},
            ),
            Route(
                method="DELETE",
                path=_ONE,
                handler=self.withdraw,
                permission=_SEEN,
                tag=_TAG,
                summary="Withdraw a request for approval",
                description="For who has made it.",
                status=204,
                errors=(409,),
            ),
        ]

    async def listing(self, call: Call) -> Answer:
        """GET /claviger/approvals."""
        return Answer(await self._approvals.listing(call.caller, seen_by(call), call.query))

    async def read(self, call: Call) -> Answer:
        """GET /claviger/approvals/{id}."""
        return Answer(await self._approvals.read(call.caller, seen_by(call), call.params["id"]))

    async def approve(self, call: Call) -> Answer:
        """POST /claviger/approvals/{id}/approve."""
        return Answer(await self._approvals.approve(call.caller, seen_by(call), call.params["id"]))

    async def refuse(self, call: Call) -> Answer:
        """POST /claviger/approvals/{id}/refuse."""
        asked = call.body(RefuseApproval)
        ident = call.params["id"]
        return Answer(await self._approvals.refuse(call.caller, seen_by(call), ident, asked.reason))

    async def withdraw(self, call: Call) -> Answer:
        """DELETE /claviger/approvals/{id}."""
        await self._approvals.withdraw(call.caller, seen_by(call), call.params["id"])
        return Answer(status=204)
