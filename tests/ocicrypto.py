"""A vault with keys and its crypto plane on a desk (`tests/ocikms.py`), and a second server on the same database."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from claviger.core.clock import ManualClock
from claviger.crypto.root_key import EnvironmentKeys, RootKeySource
from claviger.ocikms.crypto.operations import Crypto
from claviger.ocikms.crypto.routes import CryptoRoutes
from claviger.ocikms.keys.operations import Keys
from claviger.ocikms.keys.routes import KeyRoutes
from claviger.ocikms.materials import Materials
from claviger.ocikms.vaults.operations import Vaults
from claviger.ocikms.vaults.routes import VaultRoutes
from claviger.ocikms.versions.operations import Versions
from claviger.ocikms.versions.routes import VersionRoutes
from claviger.ocikms.wrapping.operations import Wrapping
from claviger.ocikms.wrapping.routes import WrappingRoutes
from claviger.sealing.keyring import Keyring
from claviger.store.opening import open_store
from tests.ocikms import ROOT_KEY, Desk, Told, open_desk

AES: dict[str, Any] = {"algorithm": "AES", "length": 32}
RSA: dict[str, Any] = {"algorithm": "RSA", "length": 256}
P256: dict[str, Any] = {"algorithm": "ECDSA", "length": 32, "curveId": "NIST_P256"}


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


class Shop:
    """One vault at its two hosts, and short words for what one does there."""

    def __init__(self, desk: Desk, url: str) -> None:
        self.desk = desk
        self.url = url
        self.prefix = ""
        self.vault_id = ""
        store, keyring = desk.store, desk.keyring
        self.materials = Materials(keyring)
        self.wrapping = Wrapping(store, keyring, self.materials)
        keys = Keys(store, keyring, self.materials, self.wrapping)
        desk.add(VaultRoutes(Vaults(store)).routes())
        desk.add(KeyRoutes(keys).routes())
        desk.add(VersionRoutes(Versions(store, keyring, self.materials, self.wrapping)).routes())
        desk.add(WrappingRoutes(self.wrapping).routes())
        desk.add(CryptoRoutes(Crypto(store, self.materials)).routes())

    async def open(self) -> None:
        self.vault_id, self.prefix = await self.new_vault()

    async def new_vault(self) -> tuple[str, str]:
        """OCID and prefix of one vault more."""
        body = {"compartmentId": self.desk.production, "displayName": "main", "vaultType": "DEFAULT"}
        made = await self.desk.ask("CreateVault", body=body)
        return made["id"], made["id"].split(".")[4]

    async def ask(self, operation: str, *path: str, **body: Any) -> Told:
        """An operation at this vault's host, with a body of those fields."""
        return await self.desk.ask(operation, *path, body=body or None, vault=self.prefix)

    async def refusal(self, operation: str, *path: str, **body: Any) -> tuple[int, str]:
        return await self.desk.refusal(operation, *path, body=body or None, vault=self.prefix)

    async def key(self, shape: dict[str, Any] | None = None, mode: str = "SOFTWARE", **more: Any) -> Told:
        """A new key."""
        operation = "ImportKey" if "wrappedImportKey" in more else "CreateKey"
        common = {"compartmentId": self.desk.production, "displayName": "key", "protectionMode": mode}
        return await self.ask(operation, **common, keyShape=shape or AES, **more)

    async def encrypted(self, key_id: str, plaintext: bytes = b"hello", **more: Any) -> Told:
        return await self.ask("Encrypt", keyId=key_id, plaintext=b64(plaintext), **more)

    async def rotated(self, key_id: str) -> str:
        """The OCID of a fresh version, which is the current one now."""
        return str((await self.ask("CreateKeyVersion", key_id))["id"])

    def another_server(self) -> AbstractAsyncContextManager[Crypto]:
        """The crypto plane of another process, in all but the operating system's sense."""
        return self.another_server_with(EnvironmentKeys(ROOT_KEY))

    @asynccontextmanager
    async def another_server_with(self, root_keys: RootKeySource) -> AsyncIterator[Crypto]:
        """The same with that source of the root key."""
        store = await open_store(self.url, self.desk.clock)
        try:
            keyring = Keyring(store, root_keys, self.desk.clock)
            await keyring.load()
            yield Crypto(store, Materials(keyring))
        finally:
            await store.close()


@asynccontextmanager
async def open_shop(url: str, clock: ManualClock | None = None) -> AsyncIterator[Shop]:
    """A shop on an empty database."""
    async with open_desk(url, clock) as desk:
        shop = Shop(desk, url)
        await shop.open()
        try:
            yield shop
        finally:
            shop.materials.stop()
