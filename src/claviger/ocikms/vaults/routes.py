"""The routes of vaults at the control host (OCI contract §3); backups have theirs in `ocikms.backups`."""

from __future__ import annotations

from typing import Any

from claviger.ocikms.calls import Handler, Plane, Route, Verb
from claviger.ocikms.vaults.operations import Vaults

BASE = "/20180608/vaults"
_ETAG: dict[str, Any] = {"takes_if_match": True}
_BOTH: dict[str, Any] = {**_ETAG, "takes_retry_token": True}


class VaultRoutes:
    """Vaults on the wire."""

    def __init__(self, vaults: Vaults) -> None:
        self._vaults = vaults

    def routes(self) -> list[Route]:
        """All of them."""
        vaults, one, act = self._vaults, f"{BASE}/{{vaultId}}", f"{BASE}/{{vaultId}}/actions"
        schedule, cancel, register = vaults.schedule_deletion, vaults.cancel_deletion, vaults.update_registered_for_mtls
        return [
            _change("CreateVault", BASE, vaults.create, body="json", takes_retry_token=True),
            _read("ListVaults", BASE, Verb.INSPECT, vaults.list, kind="list"),
            _read("GetVault", one, Verb.READ, vaults.get),
            _read("GetVaultUsage", f"{one}/usage", Verb.READ, vaults.usage),
            _update("UpdateVault", one, vaults.update),
            _change("ScheduleVaultDeletion", f"{act}/scheduleDeletion", schedule, body="json", **_BOTH),
            _change("CancelVaultDeletion", f"{act}/cancelDeletion", cancel, **_BOTH),
            _change("ChangeVaultCompartment", f"{act}/changeCompartment", vaults.move, body="json", **_BOTH),
            _read("ListVaultReplicas", f"{act}/listReplicas", Verb.READ, vaults.list_replicas, kind="list", **_ETAG),
            _change("CreateVaultReplica", f"{act}/createReplica", vaults.create_replica, body="json", **_BOTH),
            _change("DeleteVaultReplica", f"{act}/deleteReplica", vaults.delete_replica, body="json", **_BOTH),
            _update("UpdateRegisteredVaultForMtls", f"{one}/updateRegisteredVaultForMtls", register),
        ]


def _route(operation: str, path: str, verb: Verb, handler: Handler, **more: Any) -> Route:
    given: dict[str, Any] = {"planes": (Plane.CONTROL,), "subject_kind": "vault", "provisions": True, **more}
    return Route(operation=operation, path=path, verb=verb, handler=handler, **given)


def _read(operation: str, path: str, verb: Verb, handler: Handler, **more: Any) -> Route:
    return _route(operation, path, verb, handler, **{"method": "GET", "kind": "read", **more})


def _change(operation: str, path: str, handler: Handler, **more: Any) -> Route:
    return _route(operation, path, Verb.MANAGE, handler, method="POST", kind="change", **more)


def _update(operation: str, path: str, handler: Handler) -> Route:
    return _route(operation, path, Verb.USE, handler, method="PUT", kind="change", body="json", **_ETAG)
