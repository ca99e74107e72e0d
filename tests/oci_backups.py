"""A desk with buckets and backups beside vaults and keys: a private vault, a bucket, and words for both ways."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from claviger.core.clock import ManualClock
from claviger.ocikms.backups.routes import BackupRoutes
from claviger.ocikms.hosts import OciHosts
from claviger.ocikms.keys import records as keys
from claviger.ocikms.materials import binding
from claviger.ocikms.storage.addresses import Addresses
from claviger.ocikms.storage.operations import Storage
from claviger.ocikms.storage.routes import StorageRoutes
from claviger.ocikms.sweeper import Sweeper, deletions
from claviger.ocikms.vaults.operations import Vaults
from claviger.ocikms.versions import records as versions
from tests.oci_keys import KeyDesk, open_key_desk
from tests.ocikms import Told

PRIVATE = "VIRTUAL_PRIVATE"
BUCKET = "backups"
RSA = {"algorithm": "RSA", "length": 256}


class BackupDesk:
    """Backs up what is in the private vault, into one bucket."""

    def __init__(self, of_keys: KeyDesk, settle_s: float) -> None:
        self.keys = of_keys
        self.desk = of_keys.desk
        self.clock = of_keys.clock
        store, keyring = self.desk.store, self.desk.keyring
        hosts, vaults = OciHosts(), Vaults(store, settle_s=settle_s)
        self.desk.add(BackupRoutes(store, keyring, hosts, vaults, settle_s=settle_s).routes())
        storage = Storage(store)
        signed = [route for route in StorageRoutes(storage, Addresses(store, storage)).routes() if not route.is_public]
        self.desk.add(signed)
        self.sweeper = Sweeper(deletions(store, keyring), store, self.clock, 60.0)

    @property
    def vault_id(self) -> str:
        """The private vault's."""
        return str(self.keys.vaults[PRIVATE]["id"])

    def at(self, name: str) -> dict[str, Any]:
        """A body that says: in the bucket, under that name."""
        place = {"namespace": self.desk.tenancy_id, "bucketName": BUCKET, "objectName": name}
        return {"backupLocation": {"destination": "BUCKET", **place}}

    async def file(self, name: str) -> bytes:
        """The content of an object."""
        call = self.desk.call("GetObject", self.desk.tenancy_id, BUCKET, name)
        content = (await call.route.handler(call)).body
        assert isinstance(content, bytes)
        return content

    async def keep(self, name: str, content: bytes) -> None:
        """Stores an object."""
        await self.desk.ask("PutObject", self.desk.tenancy_id, BUCKET, name, body=content)

    async def ask(self, operation: str, *path: str, **given: Any) -> Told:
        """Runs an operation at the host of the private vault, or of the control plane."""
        return await self.keys.ask(operation, *path, kind=PRIVATE, **given)

    async def refusal(self, operation: str, *path: str, **given: Any) -> tuple[int, str]:
        """Status and code of one that must be refused."""
        return await self.keys.refusal(operation, *path, kind=PRIVATE, **given)

    async def make(self, name: str = "main", **more: Any) -> str:
        """The OCID of a new key of the private vault."""
        return str((await self.keys.create(name, kind=PRIVATE, **more))["id"])

    async def back_up(self, key_id: str, name: str = "key") -> bytes:
        """The file of a key's backup."""
        told = await self.ask("BackupKey", key_id, body=self.at(name))
        assert told["lifecycleState"] == "BACKUP_IN_PROGRESS"
        return await self.file(name)

    async def back_up_vault(self, name: str = "vault", *, with_keys: bool = False) -> bytes:
        """The file of the vault's backup."""
        told = await self.ask("BackupVault", self.vault_id, body={**self.at(name), "isIncludeKeys": with_keys})
        assert told["lifecycleState"] == "BACKUP_IN_PROGRESS"
        return await self.file(name)

    async def restore_vault(self, content: bytes, **given: Any) -> Told:
        """What RestoreVaultFromFile answers."""
        query = {"compartmentId": self.desk.production}
        return await self.ask("RestoreVaultFromFile", body=content, query=query, **given)

    async def end_key(self, key_id: str) -> None:
        """Deletes a key: schedules it, and lets the time pass."""
        await self.ask("ScheduleKeyDeletion", key_id, body={})
        self.clock.advance(31 * 86_400)
        await self.sweeper.sweep()

    async def end_vault(self) -> None:
        """Deletes the vault with all that is in it."""
        await self.ask("ScheduleVaultDeletion", self.vault_id, body={})
        self.clock.advance(31 * 86_400)
        await self.sweeper.sweep()

    async def state(self, key_id: str) -> str:
        """A key's state."""
        return await self.keys.state(key_id, kind=PRIVATE)

    async def material(self, key_id: str) -> dict[str, bytes | None]:
        """The material of each version of a key that has any, in the clear."""
        key = await keys.find(self.desk.store, key_id)
        assert key is not None
        found: dict[str, bytes | None] = {}
        for version, sealed in await versions.all_of(self.desk.store, key.num):
            found[version.id] = None
            if sealed is not None and version.data_key_id is not None:
                found[version.id] = await self.desk.keyring.open(version.data_key_id, sealed, binding(version.id))
        return found


@asynccontextmanager
async def open_backup_desk(
    url: str, *, settle_s: float = 0.0, clock: ManualClock | None = None
) -> AsyncIterator[BackupDesk]:
    """A desk for backups on an empty database, with a bucket."""
    async with open_key_desk(url, settle_s=settle_s, clock=clock) as of_keys:
        desk = BackupDesk(of_keys, settle_s)
        body = {"name": BUCKET, "compartmentId": desk.desk.production}
        await desk.desk.ask("CreateBucket", desk.desk.tenancy_id, body=body)
        yield desk
