"""Right requests of every operation of OCI, to be spoilt: the bodies are those of the contract (§3 to §11)."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from figures.ocimodel import DAY_S
from figures.ocioperations import OPERATIONS, REGION
from figures.ocitarget import AES, BUCKET, OciTarget

LATER = "2033-03-03T03:03:03Z"
DOOMED = ("Disable", "Enable", "Schedule", "Cancel", "Change")
"""Operations whose names begin so are mostly asked for of things that nothing else is asked of."""


@dataclass
class Draft:
    """A request before it is signed. `headers` are those that are not signed; `host` is without port."""

    name: str
    method: str
    host: str
    target: str
    body: bytes | None
    headers: list[tuple[str, str]] = field(default_factory=list)
    caller: str = "officer"
    oddities: list[str] = field(default_factory=list)

    @property
    def plane(self) -> str:
        """The plane of the operation that was drawn."""
        return OPERATIONS[self.name].plane


_IDENTS: Mapping[str, tuple[str, ...]] = {
    "vaults": ("vault",),
    "keys": ("key", "key version"),
    "secrets": ("secret",),
    "secretbundles": ("secret",),
    "replicaOperations": ("key",),
    "compartments": ("open",),
    "tenancies": ("tenancy",),
    "users": ("user",),
    "n": ("namespace", "bucket", "object"),
}
"""First word of a path -> the things that its identifiers name, in order."""
_QUERIES: Mapping[str, Mapping[str, str]] = {
    "ListVaults": {"compartmentId": "open", "limit": "5", "sortBy": "DISPLAYNAME"},
    "ListKeys": {"compartmentId": "open", "limit": "3", "algorithm": "AES"},
    "ListKeyVersions": {"limit": "2", "sortOrder": "ASC"},
    "ListSecrets": {"compartmentId": "open", "vaultId": "vault", "limit": "4"},
    "ListSecretVersions": {"limit": "2"},
    "GetSecretBundle": {"versionNumber": "1"},
    "GetSecretBundleByName": {"secretName": "secret name", "vaultId": "vault"},
    "ListCompartments": {"compartmentId": "tenancy", "accessLevel": "ACCESSIBLE", "compartmentIdInSubtree": "true"},
    "ListTagNamespaces": {"compartmentId": "tenancy"},
    "ListBuckets": {"compartmentId": "open"},
    "ListObjects": {"limit": "10"},
    "RestoreVaultFromFile": {"compartmentId": "open"},
    "RestoreVaultFromObjectStore": {"compartmentId": "open"},
}
"""Name -> value, which may be the word of a thing."""


def drawn(target: OciTarget, dice: random.Random) -> Draft:
    """A right request of any operation, of a caller who mostly may ask for it."""
    name = dice.choice(list(OPERATIONS))
    operation, idents = OPERATIONS[name], _words(target, dice)
    first = operation.path.split("/")[2 if operation.path.startswith("/2") else 1]
    things = list(_IDENTS.get(first, ()))
    if name in ("ScheduleKeyVersionDeletion", "CancelKeyVersionDeletion"):
        things[1] = "old version"
    if "/version/" in operation.path:
        things.append("number")
    if name == "BackupKey":
        things = ["hsm key"]
    if name.startswith(DOOMED) and "Version" not in name and dice.random() < 0.85:
        things = [f"doomed {one}" if f"doomed {one}" in idents else one for one in things]
    count = operation.path.count("{}")
    query = {key: idents.get(value, value) for key, value in _QUERIES.get(name, {}).items()}
    body = bodies(target, dice).get(name)
    caller = dice.choice(("officer",) * 12 + ("reader", "nobody", "stranger"))
    raw = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = operation.target(*(idents[one] for one in things[:count]), query=query)
    return Draft(name, operation.method, target.host(operation.plane), asked, raw, caller=caller)


def _words(target: OciTarget, dice: random.Random) -> dict[str, str]:
    """The values that identifiers and queries may have, by a word for each."""
    fixed = {"bucket": BUCKET, "number": "1", "user": target.signers["officer"].user_id}
    return {**target.around.idents, **fixed, "object": dice.choice(("a", "a", "b/c", "d e"))}


def bodies(target: OciTarget, dice: random.Random) -> dict[str, Any]:
    """The body of each operation that has one."""
    idents = target.around.idents
    here = {"compartmentId": idents["open"]}
    tags = {"freeformTags": {"team": "billing"}, "definedTags": {"ops": {"cost": "42"}}}
    named = {**here, "displayName": "fuzz", **tags}
    wrapped = {"wrappedImportKey": {"keyMaterial": idents["wrapped"], "wrappingAlgorithm": "RSA_OAEP_SHA256"}}
    content = {"contentType": "BASE64", "content": "ZnV6eg==", "stage": "CURRENT"}
    bucket = {"namespace": idents["namespace"], "bucketName": BUCKET, "objectName": "backup"}
    place = {"backupLocation": {"destination": "BUCKET", **bucket}}
    in_ten_days = datetime.fromtimestamp(time.time() + 10 * DAY_S, UTC).isoformat()
    scheduled = dice.choice((None, {}, {"timeOfDeletion": in_ten_days}, {"timeOfDeletion": LATER}))
    asked: dict[str, Any] = {"keyId": idents["key"], "loggingContext": {"why": "fuzz"}, "associatedData": {"a": "b"}}
    signing = {"keyId": idents["ec key"], "message": "AAAA", "signingAlgorithm": "ECDSA_SHA_256", "messageType": "RAW"}
    of_secret = {**here, "vaultId": idents["vault"], "keyId": idents["key"], "secretContent": content}
    rotating = {"isAutoRotationEnabled": True, "autoKeyRotationDetails": {"rotationIntervalInDays": 90}}
    return {
        "CreateVault": {**named, "vaultType": dice.choice(("DEFAULT", "VIRTUAL_PRIVATE", "EXTERNAL"))},
        "UpdateVault": {"displayName": "open", **tags},
        "ScheduleVaultDeletion": scheduled,
        "ChangeVaultCompartment": {"compartmentId": idents[dice.choice(("open", "second"))]},
        "BackupVault": {**place, "isIncludeKeys": True},
        "RestoreVaultFromFile": b"no backup",
        "RestoreVaultFromObjectStore": place,
        "CreateVaultReplica": {"replicaRegion": REGION},
        "DeleteVaultReplica": {"replicaRegion": REGION},
        "UpdateRegisteredVaultForMtls": {"fleetId": "fleet"},
        "CreateKey": {**named, "keyShape": AES, "protectionMode": "HSM", **rotating},
        "ImportKey": {**named, "keyShape": AES, **wrapped},
        "UpdateKey": {"displayName": "k", **tags, **rotating},
        "ScheduleKeyDeletion": scheduled,
        "ChangeKeyCompartment": {"compartmentId": idents[dice.choice(("open", "second"))]},
        "BackupKey": place,
        "RestoreKeyFromFile": b"no backup",
        "RestoreKeyFromObjectStore": place,
        "ImportKeyVersion": wrapped,
        "CreateKeyVersion": dice.choice((None, {}, {"externalKeyVersionId": "x"})),
        "ScheduleKeyVersionDeletion": scheduled,
        "Encrypt": {**asked, "plaintext": "AAAA"},
        "Decrypt": {"keyId": idents["key"], "ciphertext": idents["ciphertext"]},
        "GenerateDataEncryptionKey": {**asked, "keyShape": AES, "includePlaintextKey": True},
        "Sign": signing,
        "Verify": {**signing, "keyVersionId": idents["ec key version"], "signature": idents["signature"]},
        "ExportKey": {
            "keyId": idents["key"],
            "algorithm": "RSA_OAEP_SHA256",
            "publicKey": target.signers["officer"].public_pem,
        },
        "CreateSecret": {**of_secret, "secretName": f"n{dice.getrandbits(40):x}", "metadata": {"a": "b"}, **tags},
        "UpdateSecret": dice.choice(({"secretContent": content}, {"description": "x"}, {"currentVersionNumber": 1})),
        "ScheduleSecretDeletion": scheduled,
        "ChangeSecretCompartment": {"compartmentId": idents[dice.choice(("open", "second"))]},
        "ScheduleSecretVersionDeletion": scheduled,
        "CreateCompartment": {"compartmentId": idents["tenancy"], "name": "x", "description": "x"},
        "CreateBucket": {**here, "name": f"b{dice.randrange(50)}"},
        "PutObject": dice.randbytes(dice.randrange(200)),
        "CreatePreauthenticatedRequest": {
            "name": "fuzz",
            "accessType": "ObjectRead",
            "objectName": "a",
            "timeExpires": LATER,
        },
    }
