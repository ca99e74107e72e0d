"""The routes of key versions at their vault's management host (OCI contract §5)."""

from __future__ import annotations

from typing import Any

from claviger.ocikms.calls import Handler, Plane, Route, Verb
from claviger.ocikms.versions.operations import Versions

BASE = "/20180608/keys/{keyId}/keyVersions"
_TOKEN: dict[str, Any] = {"takes_retry_token": True}
_BOTH: dict[str, Any] = {"takes_retry_token": True, "takes_if_match": True}
_SLOW: dict[str, Any] = {**_BOTH, "provisions": True}


class VersionRoutes:
    """Key versions on the wire."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    def routes(self) -> list[Route]:
        """All of them."""
        versions, one, act = self._versions, f"{BASE}/{{keyVersionId}}", f"{BASE}/{{keyVersionId}}/actions"
        schedule, cancel = versions.schedule_deletion, versions.cancel_deletion
        return [
            _change("CreateKeyVersion", BASE, versions.create, body="json", **_TOKEN),
            _change("ImportKeyVersion", f"{BASE}/import", versions.import_, body="json", **_TOKEN),
            _read("ListKeyVersions", BASE, Verb.INSPECT, versions.list, kind="list"),
            _read("GetKeyVersion", one, Verb.READ, versions.get),
            _change("ScheduleKeyVersionDeletion", f"{act}/scheduleDeletion", schedule, body="json", **_SLOW),
            _change("CancelKeyVersionDeletion", f"{act}/cancelDeletion", cancel, **_SLOW),
        ]


def _route(operation: str, path: str, verb: Verb, handler: Handler, **more: Any) -> Route:
    given: dict[str, Any] = {"planes": (Plane.MANAGEMENT,), "subject_kind": "version", **more}
    return Route(operation=operation, path=path, verb=verb, handler=handler, **given)


def _read(operation: str, path: str, verb: Verb, handler: Handler, **more: Any) -> Route:
    return _route(operation, path, verb, handler, **{"method": "GET", "kind": "read", **more})


def _change(operation: str, path: str, handler: Handler, **more: Any) -> Route:
    return _route(operation, path, Verb.MANAGE, handler, method="POST", kind="change", **more)
