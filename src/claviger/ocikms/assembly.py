"""Puts the embedded OCI together: every resource, the table of all routes, the background work.

A new kind of resource is a few lines here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from claviger.audit.log import AuditLog
from claviger.core.clock import Clock
from claviger.ocikms.app import OciApp
from claviger.ocikms.backups.routes import BackupRoutes
from claviger.ocikms.calls import Route
from claviger.ocikms.crypto.operations import Crypto
from claviger.ocikms.crypto.routes import CryptoRoutes
from claviger.ocikms.hosts import OciHosts
from claviger.ocikms.identity.operations import IdentityCalls
from claviger.ocikms.identity.routes import IdentityRoutes
from claviger.ocikms.identity.snapshot import Identities
from claviger.ocikms.journal import OciJournal
from claviger.ocikms.keys.operations import Keys
from claviger.ocikms.keys.routes import KeyRoutes
from claviger.ocikms.materials import Materials
from claviger.ocikms.routing import Routing
from claviger.ocikms.secrets.routes import SecretRoutes
from claviger.ocikms.storage.addresses import Addresses
from claviger.ocikms.storage.operations import Storage
from claviger.ocikms.storage.routes import StorageRoutes
from claviger.ocikms.sweeper import Sweeper, deletions, rotations
from claviger.ocikms.vaults.operations import Vaults
from claviger.ocikms.vaults.records import by_slot
from claviger.ocikms.vaults.routes import VaultRoutes
from claviger.ocikms.versions.operations import Versions
from claviger.ocikms.versions.routes import VersionRoutes
from claviger.ocikms.wrapping.operations import Wrapping
from claviger.ocikms.wrapping.routes import WrappingRoutes
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store
from claviger.switches.board import Switches


@dataclass(frozen=True)
class Ground:
    """What the embedded OCI stands on. `clock` dates what is stored and shown; signatures go by `machine`.

    `log` is missing where nothing is recorded.
    """

    store: Store
    keyring: Keyring
    clock: Clock
    machine: Clock
    switches: Switches | None = None
    log: AuditLog | None = None


@dataclass(frozen=True)
class Choices:
    """What the settings say about it. Seconds; `ports` are those of the vaults, by slot."""

    settle_s: float = 0.0
    sweep_s: float = 60.0
    ports: Sequence[int] = ()
    reads_are_strict: bool = False


class Ocikms:
    """The embedded OCI as one thing that starts, answers (`app`) and stops."""

    def __init__(self, ground: Ground, choices: Choices, count: Callable[[str, int], None]) -> None:
        store, keyring, clock = ground.store, ground.keyring, ground.clock
        settle_s = choices.settle_s
        self._store = store
        self.hosts = OciHosts(choices.ports)
        self.identities = Identities(store)
        self.materials = Materials(keyring)
        self.wrapping = Wrapping(store, keyring, self.materials)
        self.vaults = Vaults(store, settle_s=settle_s, slots=len(choices.ports))
        self.keys = Keys(store, keyring, self.materials, self.wrapping, settle_s=settle_s)
        self.versions = Versions(store, keyring, self.materials, self.wrapping, settle_s=settle_s)
        self.crypto = Crypto(store, self.materials)
        self.secrets = SecretRoutes(store, keyring, settle_s=settle_s)
        self.storage = Storage(store)
        self.backups = BackupRoutes(store, keyring, self.hosts, self.vaults, settle_s=settle_s)
        due = [*deletions(store, keyring), rotations(store, keyring, self.materials)]
        self.sweeper = Sweeper(due, store, clock, choices.sweep_s)
        routes = self._routes()
        if store.kind != "sqlite":  # every read is waited for, so no request need be verified in vain
            routes = [msgspec.structs.replace(route, quick=None) for route in routes]
        self.routing = Routing(routes)
        journal = None
        if ground.log is not None:
            journal = OciJournal(ground.log, clock, ground.machine, is_strict=choices.reads_are_strict)
        self.app = OciApp(
            self.identities,
            self.hosts,
            self.routing,
            clock,
            ground.machine,
            count,
            ground.switches,
            journal,
            partial(by_slot, store),
        )
        self._tasks: list[asyncio.Task[None]] = []

    def _routes(self) -> list[Route]:
        return [
            *IdentityRoutes(IdentityCalls(self.identities)).routes(),
            *VaultRoutes(self.vaults).routes(),
            *KeyRoutes(self.keys).routes(),
            *VersionRoutes(self.versions).routes(),
            *WrappingRoutes(self.wrapping).routes(),
            *CryptoRoutes(self.crypto).routes(),
            *self.secrets.routes(),
            *self.backups.routes(),
            *StorageRoutes(self.storage, Addresses(self._store, self.storage)).routes(),
        ]

    async def start(self) -> None:
        """Begins the background work: what an earlier process left due is done now."""
        self._tasks = [asyncio.create_task(self.sweeper.run())]

    def wake(self) -> None:
        """Looks at everything that has a date: the clock was moved."""
        self.sweeper.wake()

    async def stop(self) -> None:
        """Ends the background work, which the next start goes on with."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.wrapping.stop()
        self.materials.stop()
