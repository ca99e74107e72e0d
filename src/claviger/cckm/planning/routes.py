"""The endpoint of plans."""

from __future__ import annotations

from claviger.cckm.calls import SIGNED_IN, Answer, Call, Route
from claviger.cckm.planning.operations import Planner
from claviger.cckm.planning.rules import ENVELOPE_BYTES
from claviger.cckm.planning.wire import Plan, PlanCall

LARGEST_CALL = 4 * 1024 * 1024
"""The largest body that any call may have."""


class PlanRoutes:
    """Answers calls."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="POST",
                path="/claviger/plan",
                handler=self.plan,
                permission=SIGNED_IN,
                tag="Plans",
                summary="Plan a changing call",
                asks=True,
                description="What the call would do for this caller now: its effects, the permissions and approvals it "
                "needs, what it cannot undo, and until when the rest can be undone. Nothing is changed, here or in a "
                "cloud. A call that would be refused has that in its plan. Calls about tokens and passwords are not "
                "planned.",
                takes=PlanCall,
                gives=Plan,
                body_limit=LARGEST_CALL + ENVELOPE_BYTES,
                errors=(429,),
                example={
                    "method": "POST",
                    "path": "/api/v1/cckm/azure/secrets/73524b70-1234-4f92-954b-6312f4567d1a/hard-delete",
                },
            )
        ]

    async def plan(self, call: Call) -> Answer:
        """POST /claviger/plan."""
        return Answer(await self._planner.plan(call, call.body(PlanCall)))
