"""Things of OCI brought into a given state over the wire, with all that any operation on them needs.

Transitional states are shown for `SETTLE_S`, and the clock stands still until `settled` moves it: so a scene stays in
its state while operations are tried on it.
"""

from __future__ import annotations

import base64
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from figures.ocidesk import COMPARTMENTS, OciDesk
from figures.ocioperations import prefix_of

SETTLE_S = 600
DAY_S = 86_400
AES = {"algorithm": "AES", "length": 32}
ECDSA = {"algorithm": "ECDSA", "length": 32, "curveId": "NIST_P256"}
SIGNING = "ECDSA_SHA_256"
BUCKET = "backups"
MESSAGE = base64.b64encode(b"a message").decode()
CONTENT = {"contentType": "BASE64", "content": base64.b64encode(b"a content").decode()}
GENERATED = {
    "enableAutoGeneration": True,
    "secretGenerationContext": {"generationType": "PASSPHRASE", "generationTemplate": "DBAAS_DEFAULT_PASSWORD"},
}


@dataclass
class Scene:
    """One thing in its state, and what lies around it. `version` is the one that a request names, if any."""

    vault_id: str
    key: str = ""
    version: str = ""
    current: str = ""
    to_schedule: str = ""
    to_cancel: str = ""
    ciphertext: str = MESSAGE
    signature: str = MESSAGE
    signed_by: str = ""
    secret: str = ""
    secret_name: str = ""
    number: int = 1
    deprecated: int = 1
    waiting: int = 1
    remembered: str = "ENABLED"
    others: dict[str, Scene] = field(default_factory=dict)
    """Other keys of the same vault, by the operations that want such a one."""

    @property
    def prefix(self) -> str:
        """What stands in the vault's hosts."""
        return prefix_of(self.vault_id)


class Stage:
    """Makes scenes at one desk."""

    def __init__(self, desk: OciDesk) -> None:
        self.desk = desk
        self.production, self.staging, self.archive = (desk.product.compartments[name] for name in COMPARTMENTS)
        self._numbers = itertools.count()
        self._backups = itertools.count()

    def settled(self, days: float = 0.0) -> None:
        """Lets transitional states pass, and so many days."""
        self.desk.clock.advance(SETTLE_S + 1 + days * DAY_S)

    def place(self, name: str) -> dict[str, Any]:
        """The body of a backup."""
        namespace = self.desk.product.namespace
        location = {"namespace": namespace, "bucketName": BUCKET, "objectName": name}
        return {"backupLocation": {"destination": "BUCKET", **location}}

    async def backed_up(self, name: str) -> bytes:
        """The content of a backup."""
        answer = await self.desk.ask("GetObject", self.desk.product.namespace, BUCKET, name)
        assert answer.status == 200, answer
        return answer.body

    # ------------------------------------------------------------------ vaults

    async def vault(self) -> Scene:
        """A vault that is CREATING."""
        asked = {"compartmentId": self.production, "displayName": "v", "vaultType": "VIRTUAL_PRIVATE"}
        return Scene((await self.desk.must("CreateVault", body=asked))["id"])

    async def filled(self, scene: Scene) -> None:
        """Gives an ACTIVE vault a key of each kind and a secret; the scene's own key is an HSM's."""
        main = await self.key_in("ENABLED", vault=scene)
        kinds: dict[str, dict[str, Any]] = {"ExportKey": {"mode": "SOFTWARE"}, "Sign": {"shape": ECDSA}}
        for operation, kind in kinds.items():
            scene.others[operation] = await self.key_in("ENABLED", vault=scene, **kind)
        scene.others["Verify"] = scene.others["Sign"]
        scene.others["EnableKey"] = await self.key_in("DISABLED", vault=scene)
        scene.others["CancelKeyDeletion"] = await self.key_in("PENDING_DELETION", vault=scene, days=7)
        for name in ("key", "version", "current", "to_schedule", "to_cancel", "ciphertext"):
            setattr(scene, name, getattr(main, name))
        of_secret = await self.secret_in("ACTIVE", main)
        scene.secret, scene.secret_name = of_secret.secret, of_secret.secret_name
        self.settled()

    async def vault_to(self, scene: Scene, state: str) -> None:
        """Takes an ACTIVE vault to another state; RESTORING from DELETED, CREATING not at all."""
        desk, ident = self.desk, scene.vault_id
        if state == "UPDATING":
            await desk.must("ChangeVaultCompartment", ident, body={"compartmentId": self.production})
        elif state == "BACKUP_IN_PROGRESS":
            await desk.must("BackupVault", ident, body={**self.place("vault"), "isIncludeKeys": True})
        elif state in ("SCHEDULING_DELETION", "PENDING_DELETION", "DELETED"):
            await desk.must("ScheduleVaultDeletion", ident)
            if state != "SCHEDULING_DELETION":
                self.settled(days=30 if state == "DELETED" else 0)
        elif state == "RESTORING":
            content = await self.backed_up("vault")
            await desk.must("RestoreVaultFromFile", body=content, query={"compartmentId": self.production})

    # ------------------------------------------------------------------ keys

    async def key_in(
        self,
        state: str,
        *,
        vault: Scene,
        shape: dict[str, Any] = AES,
        mode: str = "HSM",
        days: int = 30,
        disabled: bool = False,
    ) -> Scene:
        """A key in a state, with an old version, and one that waits for its deletion; `disabled` before the last step.

        `days` until its deletion, where it is scheduled.
        """
        named = {"compartmentId": self.production, "displayName": f"k{next(self._numbers)}"}
        asked = {**named, "keyShape": shape, "protectionMode": mode}
        made = await self.desk.must("CreateKey", vault=vault.prefix, body=asked)
        scene = Scene(vault.vault_id, made["id"], made["currentKeyVersion"], made["currentKeyVersion"])
        scene.to_schedule = scene.to_cancel = scene.current
        if state != "CREATING":
            self.settled()
            await self._used(scene, is_aes=shape is AES)
            if disabled:
                await self.desk.must("DisableKey", scene.key, vault=scene.prefix)
                self.settled()
                scene.remembered = "DISABLED"
            await self._key_to(scene, state, days)
        return scene

    async def _used(self, scene: Scene, *, is_aes: bool) -> None:
        """Rotates an ENABLED key twice and uses it once."""
        desk, given = self.desk, {"vault": scene.prefix}
        scene.to_cancel = scene.current
        scene.to_schedule = (await desk.must("CreateKeyVersion", scene.key, **given))["id"]
        scene.current = (await desk.must("CreateKeyVersion", scene.key, **given))["id"]
        self.settled()
        await desk.must("ScheduleKeyVersionDeletion", scene.key, scene.to_cancel, **given)
        self.settled()
        scene.version = scene.current
        if is_aes:
            told = await desk.must("Encrypt", body={"keyId": scene.key, "plaintext": MESSAGE}, **given)
            scene.ciphertext = told["ciphertext"]
        else:
            signed = {"keyId": scene.key, "message": MESSAGE, "signingAlgorithm": SIGNING}
            told = await desk.must("Sign", body=signed, **given)
            scene.signature, scene.signed_by = told["signature"], told["keyVersionId"]

    async def _key_to(self, scene: Scene, state: str, days: int) -> None:
        desk, key, vault = self.desk, scene.key, scene.prefix
        if state in ("DISABLING", "DISABLED", "ENABLING"):
            await desk.must("DisableKey", key, vault=vault)
            if state != "DISABLING":
                self.settled()
                scene.remembered = "DISABLED"
            if state == "ENABLING":
                await desk.must("EnableKey", key, vault=vault)
        elif state == "UPDATING":
            await desk.must("ChangeKeyCompartment", key, vault=vault, body={"compartmentId": self.production})
        elif state in ("BACKUP_IN_PROGRESS", "RESTORING"):
            name = f"key-{next(self._backups)}"
            await desk.must("BackupKey", key, vault=vault, body=self.place(name))
            if state == "RESTORING":
                self.settled()
                await self._scheduled(scene, days)
                self.settled(days=days)
                await desk.sweep()
                await desk.must("RestoreKeyFromFile", vault=vault, body=await self.backed_up(name))
        elif state != "ENABLED":
            await self._scheduled(scene, days)
            if state != "SCHEDULING_DELETION":
                self.settled(days=days if state == "DELETED" else 0)
            if state == "CANCELLING_DELETION":
                await desk.must("CancelKeyDeletion", key, vault=vault)

    async def _scheduled(self, scene: Scene, days: int) -> None:
        at = self.desk.clock.now() + days * DAY_S
        await self.desk.must("ScheduleKeyDeletion", scene.key, vault=scene.prefix, body={"timeOfDeletion": moment(at)})

    async def version_in(self, state: str, *, vault: Scene, shape: dict[str, Any]) -> Scene:
        """A key whose `version` is in a state; `current` and `old` are ENABLED ones."""
        mode = "SOFTWARE" if shape is AES else "HSM"
        scene = await self.key_in("ENABLED", vault=vault, shape=shape, mode=mode)
        given = {"vault": vault.prefix}
        if state == "CREATING":
            scene.version = (await self.desk.must("CreateKeyVersion", scene.key, **given))["id"]
            await self._encrypted_by_version(scene, is_aes=shape is AES)
        elif state != "current":
            scene.version = scene.to_schedule
            await self._encrypted_by_version(scene, is_aes=shape is AES)
        if state in ("SCHEDULING_DELETION", "PENDING_DELETION", "CANCELLING_DELETION", "DELETED"):
            await self.desk.must("ScheduleKeyVersionDeletion", scene.key, scene.version, **given)
            if state != "SCHEDULING_DELETION":
                self.settled(days=30 if state == "DELETED" else 0)
            if state == "CANCELLING_DELETION":
                await self.desk.must("CancelKeyVersionDeletion", scene.key, scene.version, **given)
        scene.to_schedule = scene.to_cancel = scene.version
        return scene

    async def _encrypted_by_version(self, scene: Scene, *, is_aes: bool) -> None:
        if is_aes:
            asked = {"keyId": scene.key, "keyVersionId": scene.version, "plaintext": MESSAGE}
            scene.ciphertext = (await self.desk.must("Encrypt", body=asked, vault=scene.prefix))["ciphertext"]

    # ------------------------------------------------------------------ secrets

    async def secret_in(self, state: str, key: Scene) -> Scene:
        """A secret in a state under an ENABLED key, with a version that is DEPRECATED and one that waits."""
        name = f"s{next(self._numbers)}"
        scene = Scene(key.vault_id, key.key, key.version, secret_name=name)
        asked = {"compartmentId": self.production, "secretName": name, "vaultId": key.vault_id, "keyId": key.key}
        scene.secret = (await self.desk.must("CreateSecret", body={**asked, **GENERATED}))["id"]
        if state == "CREATING":
            return scene
        self.settled()
        for _ in range(3):
            await self.desk.must("RotateSecret", scene.secret)
            self.settled()
        scene.waiting, scene.deprecated = 1, 2
        await self.desk.must("ScheduleSecretVersionDeletion", scene.secret, "1")
        await self._secret_to(scene, state)
        return scene

    async def _secret_to(self, scene: Scene, state: str) -> None:
        desk, secret = self.desk, scene.secret
        if state == "UPDATING":
            await desk.must("ChangeSecretCompartment", secret, body={"compartmentId": self.production})
        elif state != "ACTIVE":
            at = desk.clock.now() + DAY_S
            await desk.must("ScheduleSecretDeletion", secret, body={"timeOfDeletion": moment(at)})
            if state != "SCHEDULING_DELETION":
                self.settled(days=1 if state == "DELETED" else 0)
            if state == "CANCELLING_DELETION":
                await desk.must("CancelSecretDeletion", secret)

    async def secret_version_in(self, state: str, key: Scene) -> Scene:
        """A secret of five versions, whose `number` is in a stage or state."""
        name = f"s{next(self._numbers)}"
        scene = Scene(key.vault_id, key.key, key.version, secret_name=name)
        asked = {"compartmentId": self.production, "secretName": name, "vaultId": key.vault_id, "keyId": key.key}
        scene.secret = (await self.desk.must("CreateSecret", body={**asked, "secretContent": CONTENT}))["id"]
        self.settled()
        for stage in ("CURRENT", "CURRENT", "CURRENT", "PENDING"):
            await self.desk.must("UpdateSecret", scene.secret, body={"secretContent": {**CONTENT, "stage": stage}})
            self.settled()
        scene.number = {"CURRENT": 4, "PREVIOUS": 3, "PENDING": 5}.get(state, 2)
        scene.deprecated = scene.waiting = scene.number
        if state in ("PENDING_DELETION", "DELETED"):
            at = self.desk.clock.now() + DAY_S
            body = {"timeOfDeletion": moment(at)}
            await self.desk.must("ScheduleSecretVersionDeletion", scene.secret, "2", body=body)
            if state == "DELETED":
                self.settled(days=1)
        return scene


def moment(at: float) -> str:
    """A time as clients write it (§2)."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
