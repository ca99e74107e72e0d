"""What the control plane's handlers are given and give back: a route of the table, one call of it, its answer.

A `Route` says everything about an endpoint that is not its work: where it is, who may use it, what goes in and comes
out. The funnel (`app.py`), the description of the API (`openapi.py`) and the tests all read the same table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

from claviger.cckm.bodies import read_struct
from claviger.cckm.errors import validation
from claviger.core.asgi import Headers
from claviger.core.errors import Forbidden, NotFound

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

ROOT_DOMAIN = "00000000-0000-0000-0000-000000000000"
ADMINS = "admin"
CCKM_ADMINS = "CCKM Admins"
LARGEST_BODY = 64 * 1024


class Caller(msgspec.Struct, frozen=True):
    """Who is calling, in which domain and session. `groups` are those of this domain."""

    user_id: str
    username: str
    domain_id: str
    groups: frozenset[str]
    session_id: str
    must_change_password: bool = False

    def is_in(self, *groups: str) -> bool:
        """Whether the caller is a member of one of these groups."""
        return not self.groups.isdisjoint(groups)


class Permission(msgspec.Struct, frozen=True):
    """Who may use a route. `view` and `action` are names of a container's ACL (CCKM contract, Azure §4)."""

    kind: Literal["public", "own-password", "signed-in", "members", "container"]
    groups: frozenset[str] = frozenset()
    view: str = ""
    action: str = ""


PUBLIC = Permission("public")
SIGNED_IN = Permission("signed-in")
OWN_PASSWORD = Permission("own-password")


def members(*groups: str) -> Permission:
    """Members of any of these groups of the domain, and its `admin` group."""
    return Permission("members", frozenset({ADMINS, *groups}))


def in_container(action: str, view: str = "secretview") -> Permission:
    """Admins of the domain's CCKM, and whom the object's container gives `action`; who lacks `view` sees nothing."""
    return Permission("container", frozenset({ADMINS, CCKM_ADMINS}), view, action)


class Parameter(msgspec.Struct, frozen=True):
    """A query parameter, for the description of the API. `values` are all that it may be, where that is a few words."""

    name: str
    type: Literal["string", "integer", "boolean"] = "string"
    description: str = ""
    repeated: bool = False
    default: str | int | bool | None = None
    least: int | None = None
    most: int | None = None
    values: tuple[str, ...] = ()


class ListOf(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list. As `Route.gives` of a list call it says what the records are: `ListOf[SecretRecord]`."""

    skip: int
    limit: int
    total: int
    resources: Sequence[T]


class Answer(msgspec.Struct, frozen=True):
    """What a handler answers: a status, a value to encode (None: no body), and headers beside the usual ones."""

    value: Any = None
    status: int = 200
    headers: Headers = msgspec.field(default_factory=list)


Handler = Callable[["Call"], Awaitable[Answer]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint. `path` is below /api/v1, with `{name}` for a segment that varies.

    `takes` and `gives` are the structs of the bodies, `status` that of success. `cloud` marks a call that changes
    something in a cloud. For the description of the API alone: `media` is the type of what it gives, `errors` are
    statuses that it answers beside those that follow from the rest (with 501 it never succeeds), `example` is a body
    that it takes, in which a secret is the name of a shell variable (`$PASSWORD`).

    What the audit log needs to know: `asks` marks a POST that only asks, `reveals` a call that shows a secret value.
    """

    method: Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
    path: str
    handler: Handler
    permission: Permission
    tag: str
    summary: str
    description: str = ""
    takes: Any = None
    gives: Any = None
    query: tuple[Parameter, ...] = ()
    status: int = 200
    body_limit: int = LARGEST_BODY
    cloud: bool = False
    media: str = "application/json"
    errors: tuple[int, ...] = ()
    example: Mapping[str, Any] | None = None
    asks: bool = False
    reveals: bool = False

    @property
    def is_silent(self) -> bool:
        """Whether the audit log has no business with it: nothing is changed, nothing shown that was secret."""
        return not self.reveals and (self.asks or self.method == "GET")


class Rights(Protocol):
    """What containers let callers do; see `access.snapshot`."""

    def allows(self, caller: Caller, container_id: str, action: str) -> bool:
        """Whether the container's ACL gives the caller this action."""
        ...

    def containers(self, caller: Caller, action: str) -> frozenset[str]:
        """Ids of the containers whose ACL gives the caller this action."""
        ...


Admit = Callable[[Permission], Awaitable[tuple["Caller | None", Rights]]]
"""Asks the gate whether the one who calls may use a route with this permission; raises as the gate does."""


class Query:
    """The query of a call: names with all their values, in order. An empty value counts as none (contract §1)."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if value:
                self._values.setdefault(name, []).append(value)

    def all(self, name: str) -> Sequence[str]:
        """Every value of a name."""
        return self._values.get(name, ())

    def one(self, name: str) -> str | None:
        """The last value of a name, or None."""
        values = self._values.get(name)
        return values[-1] if values else None

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number within limits. Raises Invalid."""
        text = self.one(name)
        if text is None:
            return default
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18) or not least <= int(text) <= most:
            raise validation({name: f"must be a whole number from {least} to {most}"})
        return int(text)

    def boolean(self, name: str) -> bool | None:
        """True, false or None. Raises Invalid."""
        text = self.one(name)
        if text is None:
            return None
        if text not in ("true", "false"):
            raise validation({name: "must be true or false"})
        return text == "true"

    def names(self) -> Collection[str]:
        """The names that were given a value."""
        return self._values.keys()


class Call:
    """One request that the gate has let through. `caller` of a public route is an empty one."""

    __slots__ = (
        "_caller",
        "_rights",
        "address",
        "admit",
        "checked",
        "params",
        "query",
        "raw_body",
        "request_id",
        "route",
    )

    def __init__(
        self,
        route: Route,
        params: Mapping[str, str],
        query: Query,
        caller: Caller | None,
        rights: Rights,
        request_id: str,
        address: str,
        admit: Admit | None = None,
    ) -> None:
        self.admit = admit
        self.route = route
        self.params = params
        self.query = query
        self._caller = caller
        self._rights = rights
        self.request_id = request_id
        self.address = address
        self.raw_body = b""
        self.checked = route.permission.kind != "container"

    @property
    def caller(self) -> Caller:
        """Who calls. Not for public routes."""
        if self._caller is None:
            raise LookupError("a public route has no caller")
        return self._caller

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is known to be calling, which is so on public routes alone."""
        return self._caller is None

    def body(self, kind: type[S]) -> S:
        """The body as a struct; null, and "" for an optional field, count as absent. Raises Invalid("Validation")."""
        return read_struct(self.raw_body, kind)

    def require(self, container_id: str, action: str = "") -> None:
        """Raises NotFound where the caller may not even view the container, Forbidden where the action is missing.

        `action` is for a call that needs another one than its route names, by what is in its body.
        """
        self.checked = True
        permission, caller = self.route.permission, self.caller
        if caller.is_in(*permission.groups):
            return
        if not self._rights.allows(caller, container_id, permission.view):
            raise NotFound("NotFound")
        needed = action or permission.action
        if not self._rights.allows(caller, container_id, needed):
            raise Forbidden("ActionMissing", message=f"you lack the permission {needed} in this container")

    def go_on_as(self, route: Route) -> None:
        """Makes this a call of another route, whose permission is asked for from now on; its handler is called next."""
        self.route = route

    def containers(self) -> frozenset[str] | None:
        """The containers whose objects the caller may list; None for all of the domain."""
        self.checked = True
        permission, caller = self.route.permission, self.caller
        if caller.is_in(*permission.groups):
            return None
        return self._rights.containers(caller, permission.view) & self._rights.containers(caller, permission.action)

    def containers_with_any(self, actions: Collection[str]) -> frozenset[str] | None:
        """The containers whose ACL gives the caller any of these actions; None for all of the domain."""
        self.checked = True
        if self.caller.is_in(*self.route.permission.groups):
            return None
        return frozenset().union(*(self._rights.containers(self.caller, action) for action in actions))

    def containers_with_all(self, actions: Sequence[str]) -> frozenset[str] | None:
        """The containers whose ACL gives the caller each of these actions; None for all of the domain."""
        self.checked = True
        if self.caller.is_in(*self.route.permission.groups):
            return None
        first, *others = (self._rights.containers(self.caller, action) for action in actions)
        return first.intersection(*others)
