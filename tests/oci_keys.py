"""What tests of keys have on the desk: a vault of each type, and short words for what is done to a key in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from claviger.core.clock import ManualClock
from claviger.ocikms.keys.operations import Keys
from claviger.ocikms.keys.routes import KeyRoutes
from claviger.ocikms.materials import Materials
from claviger.ocikms.vaults.operations import Vaults
from claviger.ocikms.vaults.routes import VaultRoutes
from claviger.ocikms.versions.operations import Versions
from claviger.ocikms.versions.routes import VersionRoutes
from claviger.ocikms.wrapping.operations import Wrapping
from claviger.ocikms.wrapping.routes import WrappingRoutes
from tests.ocikms import Desk, Told, open_desk

AES = {"algorithm": "AES", "length": 32}


class KeyDesk:
    """A desk with the operations on vaults, keys and versions, and two vaults."""

    def __init__(self, desk: Desk, materials: Materials, settle_s: float) -> None:
        store, keyring = desk.store, desk.keyring
        wrapping = Wrapping(store, keyring, materials)
        self.desk = desk
        self.clock = desk.clock
        self.materials = materials
        self.vaults: dict[str, Told] = {}
        desk.add(VaultRoutes(Vaults(store, settle_s=settle_s)).routes())
        desk.add(KeyRoutes(Keys(store, keyring, materials, wrapping, settle_s=settle_s)).routes())
        desk.add(VersionRoutes(Versions(store, keyring, materials, wrapping, settle_s=settle_s)).routes())
        desk.add(WrappingRoutes(wrapping).routes())

    async def settle(self) -> None:
        """Makes the vaults."""
        for kind in ("DEFAULT", "VIRTUAL_PRIVATE"):
            body = {"compartmentId": self.desk.production, "displayName": kind.lower(), "vaultType": kind}
            self.vaults[kind] = await self.desk.ask("CreateVault", body=body)

    def prefix(self, kind: str = "DEFAULT") -> str:
        """The vault's, as it stands in its host."""
        return str(self.vaults[kind]["id"].split(".")[4])

    async def ask(self, operation: str, *path: str, kind: str = "DEFAULT", **given: Any) -> Told:
        """Runs an operation at the host of a vault."""
        return await self.desk.ask(operation, *path, vault=self.prefix(kind), **given)

    async def refusal(self, operation: str, *path: str, kind: str = "DEFAULT", **given: Any) -> tuple[int, str]:
        """Status and code of an operation that must be refused."""
        return await self.desk.refusal(operation, *path, vault=self.prefix(kind), **given)

    def details(self, name: str = "main", **more: Any) -> dict[str, Any]:
        """The body of CreateKey."""
        return {"compartmentId": self.desk.production, "displayName": name, "keyShape": AES, **more}

    async def create(self, name: str = "main", *, kind: str = "DEFAULT", **more: Any) -> Told:
        """A new key."""
        return await self.ask("CreateKey", kind=kind, body=self.details(name, **more))

    async def read(self, key_id: str, *, kind: str = "DEFAULT") -> Told:
        """The key as it is shown now."""
        return await self.ask("GetKey", key_id, kind=kind)

    async def state(self, key_id: str, *, kind: str = "DEFAULT") -> str:
        """Its state."""
        return str((await self.read(key_id, kind=kind))["lifecycleState"])


@asynccontextmanager
async def open_key_desk(url: str, *, settle_s: float = 0.0, clock: ManualClock | None = None) -> AsyncIterator[KeyDesk]:
    """A desk for keys on an empty database."""
    async with open_desk(url, clock) as desk:
        materials = Materials(desk.keyring)
        try:
            made = KeyDesk(desk, materials, settle_s)
            await made.settle()
            desk.clock.advance(settle_s)
            yield made
        finally:
            materials.stop()
