"""Puts together what works on keys of OCI: their operations, how those survive, and how their records move on.

A further kind of operation on keys, or on their versions, is its trades and its routes here.
"""

from __future__ import annotations

from collections.abc import Mapping

from claviger.cckm.approvals.guarding import Guards
from claviger.cckm.calls import Route
from claviger.cckm.local.keys.operations import LocalKeys
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.oci.connections.cloud import OciClouds
from claviger.cckm.oci.keys.execution import Ground
from claviger.cckm.oci.keys.guarded import VERSIONS as KEY_VERSIONS
from claviger.cckm.oci.keys.looking import Looking
from claviger.cckm.oci.keys.operations import OciKeys
from claviger.cckm.oci.keys.refreshing import Refresher
from claviger.cckm.oci.keys.routes import OciKeyRoutes
from claviger.cckm.oci.keys.running import Durable
from claviger.cckm.oci.keys.trades import KEY_TRADES
from claviger.cckm.oci.keys.work import Trade
from claviger.cckm.oci.rotation.operations import Rotations
from claviger.cckm.oci.rotation.routes import RotationRoutes
from claviger.cckm.oci.rotation.running import Rotator
from claviger.cckm.oci.uploads.acts import UPLOAD_TRADES
from claviger.cckm.oci.uploads.operations import Uploads
from claviger.cckm.oci.uploads.routes import UploadRoutes
from claviger.cckm.oci.uploads.sources import Sources
from claviger.cckm.oci.vaults.protection import VERSIONS as VAULT_VERSIONS
from claviger.cckm.oci.versions.guarded import VERSIONS as VERSION_VERSIONS
from claviger.cckm.oci.versions.operations import OciVersions
from claviger.cckm.oci.versions.routes import OciVersionRoutes
from claviger.cckm.oci.versions.trades import VERSION_TRADES
from claviger.cckm.sealed import Safe
from claviger.core.clock import Clock
from claviger.jobs.intents import Finish, Intents
from claviger.jobs.runs import Runs
from claviger.store.contract import Store
from claviger.switches.board import Switches

VERSIONS = {**VAULT_VERSIONS, **KEY_VERSIONS, **VERSION_VERSIONS}
"""What requests for approval about OCI are bound to, by action."""
TRADES: Mapping[str, Trade] = {**KEY_TRADES, **VERSION_TRADES, **UPLOAD_TRADES}
"""Every operation on keys and versions."""


class KeyParts:
    """Everything about keys. `books` is the store for what no record tells of."""

    def __init__(
        self,
        store: Store,
        books: Store,
        safe: Safe,
        intents: Intents,
        clouds: OciClouds,
        clock: Clock,
        machine: Clock,
        local_keys: LocalKeys,
        *,
        switches: Switches | None = None,
        notices: Notices | None = None,
    ) -> None:
        self.looking = Looking(clouds, clock)
        self.refresher = Refresher(books, self.looking, clock, machine)
        ground = Ground(store, safe, intents, clouds, clock, switches, notices, self.refresher.wake)
        self.durable = Durable(ground, TRADES)
        self.keys = OciKeys(store, self.durable, self.looking, books)
        sources = Sources(local_keys, self.durable)
        self.uploads = Uploads(self.keys, self.durable, sources)
        self.versions = OciVersions(store, self.keys, self.durable, self.looking, sources, books)

    @property
    def finishes(self) -> dict[str, Finish]:
        """What finishes intents, by their kinds."""
        return dict.fromkeys(self.durable.kinds, self.durable.finish)

    def routes(self, guards: Guards | None) -> list[Route]:
        """Every endpoint of keys and versions."""
        return [
            *OciKeyRoutes(self.keys, guards).routes(),
            *UploadRoutes(self.keys, self.uploads).routes(),
            *OciVersionRoutes(self.keys, self.versions, guards).routes(),
        ]


class RotationParts:
    """The rotation of keys by the scheduler: what it starts (`rotations.start`), and what does it (`rotator`)."""

    def __init__(
        self, store: Store, clock: Clock, runs: Runs, parts: KeyParts, local_keys: LocalKeys, notices: Notices
    ) -> None:
        self._keys = parts.keys
        self.rotations = Rotations(store, clock, runs)
        self.rotator = Rotator(store, clock, runs, parts.keys, parts.versions, local_keys, notices)

    def routes(self) -> list[Route]:
        """The endpoints that link keys to jobs."""
        return RotationRoutes(self._keys, self.rotations).routes()
