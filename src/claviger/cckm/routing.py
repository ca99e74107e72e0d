"""Finds the route of a request: literal segments win over varying ones, slashes may be doubled or trailing."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from claviger.cckm.calls import Route
from claviger.core.errors import Invalid, NotFound

BASE = ("api", "v1")


class _Node:
    __slots__ = ("literal", "names", "routes", "varying")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.varying: _Node | None = None
        self.routes: dict[str, Route] = {}
        self.names: dict[str, tuple[tuple[int, str], ...]] = {}


class Routing:
    """All routes of the control plane. Raises ValueError for two of one method and shape."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._root = _Node()
        for route in self.routes:
            node = self._root
            for part in route.path.strip("/").split("/"):
                if part.startswith("{"):
                    node.varying = node.varying or _Node()
                    node = node.varying
                else:
                    node = node.literal.setdefault(part, _Node())
            if route.method in node.routes:
                raise ValueError(f"two routes for {route.method} {route.path}")
            node.routes[route.method] = route
            parts = enumerate(route.path.strip("/").split("/"))
            node.names[route.method] = tuple((at, part[1:-1]) for at, part in parts if part.startswith("{"))

    def match(self, method: str, raw_path: bytes) -> tuple[Route, dict[str, str]]:
        """The route and its varying segments, decoded. Raises NotFound, or Invalid("MethodNotAllowed")."""
        segments = segments_of(raw_path)
        if tuple(segments[:2]) != BASE:
            raise NotFound("NotFound", message="there is nothing at this path; the API is below /api/v1")
        rest = segments[2:]
        node = self._find(self._root, rest, 0)
        if node is None:
            raise NotFound("NotFound", message="there is no such endpoint")
        route = node.routes.get(method)
        if route is None:
            allowed = ", ".join(sorted(node.routes))
            raise Invalid("MethodNotAllowed", message=f"this endpoint takes {allowed}", allow=allowed)
        return route, {name: rest[at] for at, name in node.names[method]}

    def _find(self, node: _Node, rest: list[str], at: int) -> _Node | None:
        if at == len(rest):
            return node if node.routes else None
        literal = node.literal.get(rest[at])
        if literal is not None:
            found = self._find(literal, rest, at + 1)
            if found is not None:
                return found
        return self._find(node.varying, rest, at + 1) if node.varying is not None else None


def segments_of(raw_path: bytes) -> list[str]:
    """The path in decoded segments, empty ones left out (contract §1). Raises Invalid("Path")."""
    try:
        path = raw_path.decode("ascii")
        if "%" not in path:
            return [part for part in path.split("/") if part]
        segments = [unquote(part, errors="strict") for part in path.split("/") if part]
    except UnicodeDecodeError:
        raise Invalid("Path", message="the path is not valid UTF-8") from None
    if b"%00" in raw_path:
        raise Invalid("Path", message="the path holds a NUL")
    return segments
