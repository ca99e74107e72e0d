"""The request of any operation on a scene (`figures.ociscenes`), right in every part: only its state decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from figures.ocioperations import OF_VAULTS, OPERATIONS, REGION
from figures.ociscenes import AES, CONTENT, MESSAGE, SIGNING, Scene

ENCRYPTED_FOR = "RSA_OAEP_SHA256"


@dataclass(frozen=True)
class Around:
    """What requests need that is no scene's own: compartments, where a backup goes, an RSA key, wrapped material."""

    here: str
    there: str
    place: Mapping[str, Any]
    public_pem: str
    wrapped: str = MESSAGE


@dataclass(frozen=True)
class Asked:
    """Identifiers, body, query and the vault's prefix of one request."""

    idents: tuple[str, ...] = ()
    body: Mapping[str, Any] | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    vault: str = ""


def asked(name: str, scene: Scene, around: Around, *, names_version: bool) -> Asked:
    """The request. `names_version` has the crypto plane asked with the scene's version."""
    body = _bodies(scene, around, names_version).get(name)
    vault = scene.prefix if OPERATIONS[name].plane in OF_VAULTS else ""
    query = _QUERIES.get(name, lambda *_: {})(scene, around)
    return Asked(_idents(name, scene), body, query, vault)


def _idents(name: str, scene: Scene) -> tuple[str, ...]:
    operation = OPERATIONS[name]
    count = operation.path.count("{}")
    if not count:
        return ()
    if operation.plane == "control":
        return (scene.vault_id,)
    if operation.plane in ("secrets", "bundles"):
        numbers = {"ScheduleSecretVersionDeletion": scene.deprecated, "CancelSecretVersionDeletion": scene.waiting}
        return (scene.secret, str(numbers.get(name, scene.number)))[:count]
    versions = {"ScheduleKeyVersionDeletion": scene.to_schedule, "CancelKeyVersionDeletion": scene.to_cancel}
    return (scene.key, versions.get(name, scene.version or scene.current))[:count]


_QUERIES: Mapping[str, Callable[[Scene, Around], dict[str, Any]]] = {
    "ListVaults": lambda _, around: {"compartmentId": around.here, "limit": 1000},
    "ListKeys": lambda _, around: {"compartmentId": around.here, "limit": 1000},
    "ListSecrets": lambda scene, around: {"compartmentId": around.here, "name": scene.secret_name},
    "GetSecretBundle": lambda scene, _: {"versionNumber": scene.number} if scene.number > 1 else {},
    "GetSecretBundleByName": lambda scene, _: {"secretName": scene.secret_name, "vaultId": scene.vault_id},
}


def _bodies(scene: Scene, around: Around, names_version: bool) -> Mapping[str, Mapping[str, Any]]:
    named = {"keyVersionId": scene.version} if names_version else {}
    new = {"compartmentId": around.here, "displayName": "new", "keyShape": AES}
    wrapped = {"wrappedImportKey": {"keyMaterial": around.wrapped, "wrappingAlgorithm": ENCRYPTED_FOR}}
    secret = {"compartmentId": around.here, "vaultId": scene.vault_id, "keyId": scene.key, "secretContent": CONTENT}
    signing = {"keyId": scene.key, "message": MESSAGE, "signingAlgorithm": SIGNING}
    signed_by = {"keyVersionId": scene.version if names_version else scene.signed_by or scene.current}
    return {
        "UpdateVault": {"displayName": "changed"},
        "ChangeVaultCompartment": {"compartmentId": around.here},
        "BackupVault": {**around.place},
        "CreateVaultReplica": {"replicaRegion": REGION},
        "CreateKey": new,
        "ImportKey": {**new, **wrapped},
        "UpdateKey": {"displayName": "changed"},
        "ImportKeyVersion": wrapped,
        "ChangeKeyCompartment": {"compartmentId": around.there},
        "BackupKey": {**around.place},
        "Encrypt": {"keyId": scene.key, "plaintext": MESSAGE, **named},
        "Decrypt": {"keyId": scene.key, "ciphertext": scene.ciphertext, **named},
        "GenerateDataEncryptionKey": {"keyId": scene.key, "keyShape": AES, "includePlaintextKey": True},
        "Sign": {**signing, **named},
        "Verify": {**signing, "signature": scene.signature, **signed_by},
        "ExportKey": {"keyId": scene.key, "algorithm": ENCRYPTED_FOR, "publicKey": around.public_pem, **named},
        "CreateSecret": {**secret, "secretName": scene.secret_name or f"new-{scene.key[-20:]}"},
        "UpdateSecret": {"description": "changed"},
        "ChangeSecretCompartment": {"compartmentId": around.there},
    }


def looked(name: str, scene: Scene) -> tuple[str, tuple[str, ...], str]:
    """The read that shows what an operation changes, or must leave alone: its name, identifiers, the vault's prefix."""
    operation = OPERATIONS[name]
    if name.endswith("KeyVersionDeletion"):
        return "GetKeyVersion", _idents(name, scene), scene.prefix
    if name.endswith("SecretVersionDeletion"):
        return "GetSecretVersion", _idents(name, scene), ""
    if operation.plane in ("secrets", "bundles") and scene.secret:
        return "GetSecret", (scene.secret,), ""
    if scene.key and operation.plane != "control":
        return "GetKey", (scene.key,), scene.prefix
    return "GetVault", (scene.vault_id,), ""
