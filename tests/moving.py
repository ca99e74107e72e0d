"""A server without sockets for tests of moved vaults and seeds: what they make on it, and how they read it back."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from claviger import bootstrap
from claviger.bootstrap import Services
from claviger.core.clock import ManualClock
from claviger.core.sensitive import Sensitive
from claviger.keyvault.moving.archive import ArchiveWriter, ByPassphrase, ByServer, Lock, open_archive
from claviger.keyvault.moving.arrival import Asked
from claviger.keyvault.moving.importing import Imports
from claviger.keyvault.moving.operations import Exports
from claviger.keyvault.moving.reading import Source
from claviger.keyvault.moving.wire import Entry
from claviger.keyvault.secrets.wire import AttributesIn, SetSecret
from claviger.keyvault.vaults import operations as vaults
from claviger.keyvault.vaults.operations import NewVault
from claviger.keyvault.vaults.records import Vault
from claviger.settings import load_settings

START = 1_800_000_000.0
DAY_S = 86_400
PASSPHRASE = Sensitive("correct horse battery")


class Ground:
    """The services of one server without sockets, with what these tests do on it."""

    def __init__(self, services: Services, clock: ManualClock) -> None:
        self.services = services
        self.clock = clock
        self.store = services.house.store
        self.keyring = services.house.keyring
        self.secrets = services.secrets
        self.exports = Exports(self.store, self.keyring, clock)
        self.imports = Imports(self.store, self.keyring, clock)

    async def vault(self, name: str = "source", **more: Any) -> Vault:
        return await vaults.create_vault(self.store, self.clock, NewVault(name=name, **more))

    async def filled(self, name: str = "source") -> Vault:
        """A vault with one of everything."""
        vault = await self.vault(name, retention_days=30)
        tags = {"team": "ä€🔑"}
        await self.secrets.set(vault, "Plain", SetSecret("first"))
        self.clock.advance(10)
        limited = AttributesIn(enabled=False, nbf=1, exp=2_000_000_000)
        await self.secrets.set(vault, "Plain", SetSecret("second ä€🔑\n", "text/plain", tags, limited))
        self.clock.advance(10)
        await self.secrets.set(vault, "plain2", SetSecret(""))
        await self.secrets.set(vault, "gone", SetSecret("lost?"))
        self.clock.advance(10)
        await self.secrets.delete(vault, "gone")
        return vault

    async def entries(self, vault: Vault, *, rights: bool = False) -> list[Entry]:
        return [entry async for entry in self.exports.entries(vault, rights=rights)]

    async def contents(self, vault: Vault) -> list[Entry]:
        """All of a vault but for the first entry, which names it."""
        return (await self.entries(vault))[1:]

    async def archive(self, vault: Vault, lock: Lock, *, rights: bool = False) -> bytes:
        file = io.BytesIO()
        writer = await ArchiveWriter.begun(file, lock)
        for entry in await self.entries(vault, rights=rights):
            writer.add(entry)
        writer.close()
        return file.getvalue()

    async def opened(self, archive: bytes, passphrase: Sensitive = PASSPHRASE) -> Source:
        return await open_archive(
            io.BytesIO(archive),
            passphrase=lambda: passphrase,
            server_key=ByServer(self.store, self.keyring, self.clock).open,
        )

    async def take(self, source: Source, vault: str | None = "target", **more: Any) -> Any:
        on_conflict = more.pop("on_conflict", "refuse")
        return await self.imports.run(source, Asked(vault=vault, **more), on_conflict)

    async def shown(self, name: str) -> Vault:
        return await vaults.show_vault(self.store, name)

    async def names(self) -> list[str]:
        return [vault.name for vault in await vaults.list_vaults(self.store)]


@contextlib.asynccontextmanager
async def ground_on(url: str, data: Path, **settings: Any) -> AsyncIterator[Ground]:
    clock = ManualClock(START)
    given = load_settings({}, data=data, database_url=Sensitive(url), **settings)
    async with bootstrap.built(given, clock) as services:
        yield Ground(services, clock)


class Listed:
    """Entries from a list."""

    def __init__(self, *entries: Entry) -> None:
        self._entries = entries

    def entries(self) -> Iterator[Entry]:
        return iter(self._entries)


def fast() -> ByPassphrase:
    return ByPassphrase(PASSPHRASE, log2_n=4)
