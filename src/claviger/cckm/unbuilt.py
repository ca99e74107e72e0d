"""Endpoints of a contract that this server does not have: they say so, each in its kind of answer.

Nothing of theirs can exist, so a list is empty, a single record is not found, and a changing call is a 501 that names
what is missing. Who may ask is decided as it would be if they were there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from claviger.cckm.calls import Answer, Call, Handler, ListOf, Permission, Route
from claviger.cckm.listing import PAGING, Page, window_of
from claviger.core.errors import Forbidden, Invalid, NotFound

_LARGEST_UPLOAD = 256 * 1024

Asked = tuple[str, str]
"""An endpoint's method and path, and the action that it needs."""


class Unbuilt:
    """Makes the routes of one cloud's group. `base` is where its paths begin, `cloud` its name in sentences."""

    def __init__(self, base: str, cloud: str) -> None:
        self._base = base
        self._cloud = cloud

    def read(self, path: str, tag: str, what: str, permission: Permission) -> Iterator[Route]:
        """A list, and one of its records."""
        yield Route(
            method="GET",
            path=f"{self._base}/{path}",
            handler=_nothing,
            permission=permission,
            tag=tag,
            summary=f"List {what}",
            description="Always empty: this server does not have them yet.",
            gives=ListOf[Any],
            query=PAGING,
        )
        yield self.missing(f"{path}/{{id}}", tag, f"Read one of the {what}", permission)

    def missing(self, path: str, tag: str, summary: str, permission: Permission) -> Route:
        """One record."""
        return Route(
            method="GET",
            path=f"{self._base}/{path}",
            handler=_not_found,
            permission=permission,
            tag=tag,
            summary=summary,
            description="Always 404: this server does not have them yet.",
        )

    def changes(
        self, changes: dict[Asked, str], tag: str, what: str, permission: Callable[[str], Permission]
    ) -> Iterator[Route]:
        """Changing calls with their summaries; `permission` is asked for that of an action."""
        for (call, action), summary in changes.items():
            method, path = call.split()
            yield Route(
                method=method,  # type: ignore[arg-type]
                path=f"{self._base}/{path}",
                handler=self._not_built(what),
                permission=permission(action),
                tag=tag,
                summary=summary,
                description="Always 501: this server does not have this function yet.",
                body_limit=_LARGEST_UPLOAD,
                errors=(501,),
            )

    def _not_built(self, what: str) -> Handler:
        told = f"this server does not have {what} for {self._cloud} yet; nothing was changed"

        async def refuse(call: Call) -> Answer:
            action = call.route.permission.action
            if action and call.containers() == frozenset():
                raise Forbidden("ActionMissing", message=f"you lack the permission {action} in every vault")
            raise Invalid("NotBuilt", message=told)

        return refuse


async def _nothing(call: Call) -> Answer:
    _seen(call)
    window = window_of(call.query)
    return Answer(Page(window.skip, window.limit, 0, []))


async def _not_found(call: Call) -> Answer:
    raise NotFound("NotFound")


def _seen(call: Call) -> None:
    """A list of nothing is the same for everybody; asking keeps the funnel's promise."""
    if call.route.permission.kind == "container":
        call.containers()
