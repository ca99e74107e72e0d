"""The routes of vaults at the control host (OCI contract §3); backups have theirs in `ocikms.backups`."""

from __future__ import annotations

from typing import Any

from claviger.ocikms.calls import Handler, Plane, Route, Verb
from claviger.ocikms.vaults.operations import Vaults

BASE = "/20180608/vaults"


class VaultRoutes:
    """Vaults on the wire."""

    def __init__(self, vaults: Vaults) -> None:
        self._vaults = vaults

    def routes(self) -> list[Route]:
        """All of them."""
        vaults = self._vaults
        one, action = f"{BASE}/{{vaultId}}", f"{BASE}/{{vaultId}}/actions"
        etag: dict[str, Any] = {"takes_if_match": True}
        both: dict[str, Any] = {"takes_if_match": True, "takes_retry_token": True}
        return [
            _change("CreateVault", "POST", BASE, Verb.MANAGE, vaults.create, body="json", takes_retry_token=True),
            _read("ListVaults", BASE, Verb.INSPECT, vaults.list, kind="list"),
            _read("GetVault", one, Verb.READ, vaults.get),
            _change("UpdateVault", "PUT", one, Verb.USE, vaults.update, body="json", **etag),
            _change(
                "ScheduleVaultDeletion",
                "POST",
                f"{action}/scheduleDeletion",
                Verb.MANAGE,
                vaults.schedule_deletion,
                body="json",
                **both,
            ),
            _change(
                "CancelVaultDeletion", "POST", f"{action}/cancelDeletion", Verb.MANAGE, vaults.cancel_deletion, **both
            ),
            _change(
                "ChangeVaultCompartment",
                "POST",
                f"{action}/changeCompartment",
                Verb.MANAGE,
                vaults.move,
                body="json",
                **both,
            ),
            _read("GetVaultUsage", f"{one}/usage", Verb.READ, vaults.usage),
            _read("ListVaultReplicas", f"{action}/listReplicas", Verb.READ, vaults.list_replicas, kind="list", **etag),
            _change(
                "CreateVaultReplica",
                "POST",
                f"{action}/createReplica",
                Verb.MANAGE,
                vaults.create_replica,
                body="json",
                **both,
            ),
            _change(
                "DeleteVaultReplica",
                "POST",
                f"{action}/deleteReplica",
                Verb.MANAGE,
                vaults.delete_replica,
                body="json",
                **both,
            ),
            _change(
                "UpdateRegisteredVaultForMtls",
                "PUT",
                f"{one}/updateRegisteredVaultForMtls",
                Verb.USE,
                vaults.update_registered_for_mtls,
                body="json",
                **etag,
            ),
        ]


def _route(operation: str, path: str, verb: Verb, handler: Handler, **more: Any) -> Route:
    given: dict[str, Any] = {"planes": (Plane.CONTROL,), "subject_kind": "vault", "provisions": True, **more}
    return Route(operation=operation, path=path, verb=verb, handler=handler, **given)


def _read(operation: str, path: str, verb: Verb, handler: Handler, **more: Any) -> Route:
    return _route(operation, path, verb, handler, **{"method": "GET", "kind": "read", **more})


def _change(operation: str, method: str, path: str, verb: Verb, handler: Handler, **more: Any) -> Route:
    return _route(operation, path, verb, handler, method=method, kind="change", **more)
