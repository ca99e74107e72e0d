"""Finds the operation that a request asks for, by its path as it came and its method: one table for all planes.

Literal segments win over varying ones, so `/keys/import` is no key. Slashes may be doubled at the beginning, as clients
send them that were given an endpoint with a slash at its end, and one may stand at the end (OCI contract §16.1). What
varies is decoded once; what cannot be decoded is a malformed path, and never an identifier.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

from claviger.core.errors import Invalid, NotFound
from claviger.ocikms.calls import Place, Plane, Route
from claviger.ocikms.errors import HIDDEN
from claviger.ocikms.ocids import MAX_LENGTH

MAX_REST_LENGTH = 2048
MAX_REMEMBERED_PATHS = 2048
MAX_REMEMBERED_LENGTH = 256
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_KEY_PLANES = frozenset({Plane.MANAGEMENT, Plane.CRYPTO})


class _Node:
    __slots__ = ("literal", "names", "rest", "routes", "varying")

    def __init__(self) -> None:
        self.literal: dict[bytes, _Node] = {}
        self.varying: _Node | None = None
        self.rest: _Node | None = None
        self.routes: dict[str, Route] = {}
        self.names: dict[str, tuple[tuple[int, str], ...]] = {}

    def below(self, part: str) -> _Node:
        """The node that a segment of a route's path leads to, made where it is not there."""
        if part.endswith("+}"):
            self.rest = self.rest or _Node()
            return self.rest
        if part.startswith("{"):
            self.varying = self.varying or _Node()
            return self.varying
        return self.literal.setdefault(part.encode(), _Node())


class Routing:
    """All operations of the embedded OCI. Raises ValueError for two of one method and shape of path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._root = _Node()
        self._known: dict[tuple[str, bytes], tuple[Route, Mapping[str, str]]] = {}
        for route in self.routes:
            parts = route.path.strip("/").split("/")
            node = self._root
            for part in parts:
                node = node.below(part)
            if route.method in node.routes:
                raise ValueError(f"two routes for {route.method} {route.path}")
            node.routes[route.method] = route
            node.names[route.method] = tuple(
                (at, part.strip("{+}")) for at, part in enumerate(parts) if part.startswith("{")
            )

    def match(self, method: str, raw_path: bytes) -> tuple[Route, Mapping[str, str]]:
        """The route and what varies in its path, decoded. How a path was read is remembered: clients repeat them.

        Raises NotFound("NoOperation"), NotFound("MalformedPath") or Invalid("Method"), with what is allowed.
        """
        known = self._known.get((method, raw_path))
        if known is not None:
            return known
        found = self._match(method, raw_path)
        if len(raw_path) <= MAX_REMEMBERED_LENGTH and not found[0].is_public:  # whose address is a credential
            if len(self._known) >= MAX_REMEMBERED_PATHS:
                self._known.clear()
            self._known[method, raw_path] = found
        return found

    def _match(self, method: str, raw_path: bytes) -> tuple[Route, Mapping[str, str]]:
        parts = raw_path.lstrip(b"/").split(b"/")
        found = self._find(self._root, parts, 0)
        if found is None and len(parts) > 1 and not parts[-1]:
            parts.pop()
            found = self._find(self._root, parts, 0)
        if found is None:
            raise NotFound("NoOperation", message="There is no such operation.")
        node, has_rest = found
        route = node.routes.get(method)
        if route is None:
            allowed = ", ".join(sorted(node.routes))
            raise Invalid("Method", message=f"This path takes {allowed}.", allow=allowed)
        path = {}
        names = node.names[method]
        for at, name in names:
            is_rest = has_rest and at == names[-1][0]
            path[name] = _decoded(b"/".join(parts[at:]) if is_rest else parts[at], is_rest=is_rest)
        return route, path

    def _find(self, node: _Node, parts: list[bytes], at: int) -> tuple[_Node, bool] | None:
        if at == len(parts):
            return (node, False) if node.routes else None
        part = parts[at]
        below = node.literal.get(part)
        if below is not None:
            found = self._find(below, parts, at + 1)
            if found is not None:
                return found
        if node.varying is not None and part:
            found = self._find(node.varying, parts, at + 1)
            if found is not None:
                return found
        return (node.rest, True) if node.rest is not None and any(parts[at:]) else None


def _decoded(part: bytes, *, is_rest: bool) -> str:
    """One segment, or all that is left. Raises NotFound("MalformedPath") for what is no text."""
    if len(part) <= 3 * (MAX_REST_LENGTH if is_rest else MAX_LENGTH) and not _BAD_ESCAPE.search(part):
        try:
            text = (unquote_to_bytes(part) if b"%" in part else part).decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" not in text and len(text) <= (MAX_REST_LENGTH if is_rest else MAX_LENGTH):
            return text
    raise NotFound("MalformedPath", message="A component of the path cannot be used.")


def check_plane(route: Route, place: Place) -> None:
    """Raises NotFound, as for what is hidden, where an operation is asked for at a host of another plane (§1).

    Keys are told apart by their vault's host: where that says no vault, nobody can have meant one.
    """
    if place.plane is not None and place.plane not in route.planes:
        raise NotFound("Absent", message=HIDDEN)
    if place.plane is None and place.slot is None and not _KEY_PLANES.isdisjoint(route.planes):
        raise NotFound("Absent", message=HIDDEN)
