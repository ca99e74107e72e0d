"""GetWrappingKey (OCI contract §4, §7.2)."""

from __future__ import annotations

from claviger.ocikms.calls import Plane, Route, Verb
from claviger.ocikms.wrapping.operations import Wrapping


class WrappingRoutes:
    """The one operation."""

    def __init__(self, wrapping: Wrapping) -> None:
        self._wrapping = wrapping

    def routes(self) -> list[Route]:
        """Where it is."""
        return [
            Route(
                operation="GetWrappingKey",
                method="GET",
                path="/20180608/wrappingKeys",
                planes=(Plane.MANAGEMENT,),
                verb=Verb.READ,
                handler=self._wrapping.get,
                kind="read",
                subject_kind="vault",
            )
        ]
