"""Puts together what works on keys of OCI: their operations, how those survive, and how their records move on.

A further kind of operation on keys, or on their versions, is its trades and its routes here.
"""

from __future__ import annotations

from collections.abc import Mapping

from claviger.cckm.approvals.guarding import Guards
from claviger.cckm.calls import Route
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
from claviger.cckm.oci.vaults.protection import VERSIONS as VAULT_VERSIONS
from claviger.cckm.sealed import Safe
from claviger.core.clock import Clock
from claviger.jobs.intents import Finish, Intents
from claviger.store.contract import Store
from claviger.switches.board import Switches

VERSIONS = {**VAULT_VERSIONS, **KEY_VERSIONS}
"""What requests for approval about OCI are bound to, by action."""
TRADES: Mapping[str, Trade] = {**KEY_TRADES}
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
        *,
        switches: Switches | None = None,
        notices: Notices | None = None,
    ) -> None:
        self.looking = Looking(clouds, clock)
        self.refresher = Refresher(books, self.looking, clock, machine)
        ground = Ground(store, safe, intents, clouds, clock, switches, notices, self.refresher.wake)
        self.durable = Durable(ground, TRADES)
        self.keys = OciKeys(store, self.durable, self.looking, books)

    @property
    def finishes(self) -> dict[str, Finish]:
        """What finishes intents, by their kinds."""
        return dict.fromkeys(self.durable.kinds, self.durable.finish)

    def routes(self, guards: Guards | None) -> list[Route]:
        """Every endpoint of keys."""
        return [*OciKeyRoutes(self.keys, guards).routes()]
