"""The routes of secrets at the secrets host, and of their retrieval at its own (OCI contract §10)."""

from __future__ import annotations

from typing import Any

from claviger.ocikms.bundles.operations import Bundles
from claviger.ocikms.calls import Handler, Plane, Route, Verb
from claviger.ocikms.secret_versions.operations import SecretVersions
from claviger.ocikms.secrets.operations import Secrets
from claviger.ocikms.secrets.uploads import Uploads
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store

BASE = "/20180608/secrets"
BUNDLES = "/20190301/secretbundles"


class SecretRoutes:
    """Secrets, their versions and their contents on the wire. `settle_s` is how long a transitional state is shown."""

    def __init__(self, store: Store, keyring: Keyring, *, settle_s: float = 0.0) -> None:
        self._secrets = Secrets(store, settle_s=settle_s)
        self._uploads = Uploads(store, keyring, settle_s=settle_s)
        self._versions = SecretVersions(store)
        self._bundles = Bundles(store, keyring)

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._of_secrets(), *self._of_versions(), *self._of_bundles()]

    def _of_secrets(self) -> list[Route]:
        secrets, uploads = self._secrets, self._uploads
        one, action = f"{BASE}/{{secretId}}", f"{BASE}/{{secretId}}/actions"
        etag: dict[str, Any] = {"takes_if_match": True}
        both: dict[str, Any] = {"takes_if_match": True, "takes_retry_token": True}
        return [
            _change("CreateSecret", BASE, uploads.create, body="json", takes_retry_token=True),
            _read("ListSecrets", BASE, Verb.INSPECT, secrets.list, kind="list"),
            _read("GetSecret", one, Verb.READ, secrets.get),
            _change("UpdateSecret", one, uploads.update, method="PUT", verb=Verb.USE, body="json", **etag),
            _change(
                "ScheduleSecretDeletion", f"{action}/scheduleDeletion", secrets.schedule_deletion, body="json", **etag
            ),
            _change("CancelSecretDeletion", f"{action}/cancelDeletion", secrets.cancel_deletion, **etag),
            _change("ChangeSecretCompartment", f"{action}/changeCompartment", secrets.move, body="json", **both),
            _change("RotateSecret", f"{action}/rotate", uploads.rotate, **both),
            _change("CancelSecretRotation", f"{action}/cancelRotation", secrets.cancel_rotation, **etag),
        ]

    def _of_versions(self) -> list[Route]:
        versions = self._versions
        one = f"{BASE}/{{secretId}}/version/{{secretVersionNumber}}"
        etag: dict[str, Any] = {"takes_if_match": True}
        return [
            _read("ListSecretVersions", f"{BASE}/{{secretId}}/versions", Verb.INSPECT, versions.list, kind="list"),
            _read("GetSecretVersion", one, Verb.READ, versions.get),
            _change(
                "ScheduleSecretVersionDeletion",
                f"{one}/actions/scheduleDeletion",
                versions.schedule_deletion,
                body="json",
                **etag,
            ),
            _change("CancelSecretVersionDeletion", f"{one}/actions/cancelDeletion", versions.cancel_deletion, **etag),
        ]

    def _of_bundles(self) -> list[Route]:
        bundles = self._bundles
        at: dict[str, Any] = {"planes": (Plane.BUNDLES,)}
        return [
            _read(
                "GetSecretBundleByName",
                f"{BUNDLES}/actions/getByName",
                Verb.READ,
                bundles.get_by_name,
                method="POST",
                **at,
            ),
            _read("GetSecretBundle", f"{BUNDLES}/{{secretId}}", Verb.READ, bundles.get, quick=bundles.get_now, **at),
            _read(
                "ListSecretBundleVersions",
                f"{BUNDLES}/{{secretId}}/versions",
                Verb.READ,
                bundles.list,
                kind="list",
                **at,
            ),
        ]


def _route(operation: str, path: str, verb: Verb, handler: Handler, **more: Any) -> Route:
    given: dict[str, Any] = {"planes": (Plane.SECRETS,), "subject_kind": "secret", **more}
    return Route(operation=operation, path=path, verb=verb, handler=handler, **given)


def _read(operation: str, path: str, verb: Verb, handler: Handler, **more: Any) -> Route:
    return _route(operation, path, verb, handler, **{"method": "GET", "kind": "read", **more})


def _change(operation: str, path: str, handler: Handler, *, verb: Verb = Verb.MANAGE, **more: Any) -> Route:
    return _route(operation, path, verb, handler, **{"method": "POST", "kind": "change", **more})
