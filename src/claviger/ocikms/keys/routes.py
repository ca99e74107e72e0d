"""The routes of keys at their vault's management host (OCI contract §4); backups have theirs in `ocikms.backups`."""

from __future__ import annotations

from typing import Any

from claviger.ocikms.calls import Handler, Plane, Route, Verb
from claviger.ocikms.keys.operations import Keys

BASE = "/20180608/keys"
REPLICATION = "/20180608/replicaOperations/{replicationId}/status"
_TOKEN: dict[str, Any] = {"takes_retry_token": True}
_ETAG: dict[str, Any] = {"takes_if_match": True}
_BOTH: dict[str, Any] = {**_TOKEN, **_ETAG}
_SLOW: dict[str, Any] = {**_BOTH, "provisions": True}


class KeyRoutes:
    """Keys on the wire."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def routes(self) -> list[Route]:
        """All of them."""
        keys, one, act = self._keys, f"{BASE}/{{keyId}}", f"{BASE}/{{keyId}}/actions"
        return [
            _change("CreateKey", "POST", BASE, keys.create, body="json", **_TOKEN),
            _change("ImportKey", "POST", f"{BASE}/import", keys.import_, body="json", **_TOKEN),
            _read("ListKeys", BASE, Verb.INSPECT, keys.list, kind="list"),
            _read("GetKey", one, Verb.READ, keys.get, quick=keys.get_now),
            _change("UpdateKey", "PUT", one, keys.update, body="json", **_ETAG),
            _change("EnableKey", "POST", f"{act}/enable", keys.enable, **_BOTH),
            _change("DisableKey", "POST", f"{act}/disable", keys.disable, **_BOTH),
            _change(
                "ScheduleKeyDeletion",
                "POST",
                f"{act}/scheduleDeletion",
                keys.schedule_deletion,
                body="json",
                **_SLOW,
            ),
            _change("CancelKeyDeletion", "POST", f"{act}/cancelDeletion", keys.cancel_deletion, **_SLOW),
            _change("ChangeKeyCompartment", "POST", f"{act}/changeCompartment", keys.move, body="json", **_SLOW),
            _read("GetReplicationStatus", REPLICATION, Verb.READ, keys.replication_status),
        ]


def _route(operation: str, path: str, verb: Verb, handler: Handler, **more: Any) -> Route:
    given: dict[str, Any] = {"planes": (Plane.MANAGEMENT,), "subject_kind": "key", **more}
    return Route(operation=operation, path=path, verb=verb, handler=handler, **given)


def _read(operation: str, path: str, verb: Verb, handler: Handler, **more: Any) -> Route:
    return _route(operation, path, verb, handler, **{"method": "GET", "kind": "read", **more})


def _change(operation: str, method: str, path: str, handler: Handler, **more: Any) -> Route:
    return _route(operation, path, Verb.MANAGE, handler, method=method, kind="change", **more)
