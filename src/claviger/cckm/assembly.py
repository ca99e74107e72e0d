"""Puts the control plane together: every resource, the table of all routes, the background work.

A new provider, or a new kind of resource, is a few lines here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from claviger.audit.checkpoints import Checkpoints
from claviger.audit.log import AuditLog
from claviger.cckm.access.assembly import AccessParts, access_parts
from claviger.cckm.access.first import ensure_admin
from claviger.cckm.app import ControlPlane
from claviger.cckm.approvals.guarding import Guards
from claviger.cckm.approvals.operations import Approvals
from claviger.cckm.approvals.routes import ApprovalRoutes
from claviger.cckm.approvals.rules import LAPSE_S
from claviger.cckm.auditing.operations import AuditTrail
from claviger.cckm.auditing.routes import AuditRoutes
from claviger.cckm.azure.connections.cloud import AzureClouds
from claviger.cckm.azure.connections.operations import Connections, EmbeddedAzure
from claviger.cckm.azure.connections.operations import ensure_embedded as ensure_embedded_azure
from claviger.cckm.azure.connections.routes import ConnectionRoutes
from claviger.cckm.azure.secrets.guarded import VERSIONS as SECRET_VERSIONS
from claviger.cckm.azure.secrets.operations import KIND as SECRETS
from claviger.cckm.azure.secrets.operations import Operations as Secrets
from claviger.cckm.azure.secrets.routes import SecretRoutes
from claviger.cckm.azure.secrets.work import KINDS
from claviger.cckm.azure.subscriptions.operations import Subscriptions
from claviger.cckm.azure.subscriptions.routes import SubscriptionRoutes
from claviger.cckm.azure.synchronization import operations as azure_jobs
from claviger.cckm.azure.synchronization.routes import SynchronizationRoutes
from claviger.cckm.azure.synchronization.visiting import KIND as SYNCHRONIZATION
from claviger.cckm.azure.synchronization.visiting import AzureTrade
from claviger.cckm.azure.unbuilt import unbuilt_routes as unbuilt_azure_routes
from claviger.cckm.azure.vaults.operations import Vaults
from claviger.cckm.azure.vaults.protection import VERSIONS as VAULT_VERSIONS
from claviger.cckm.azure.vaults.removal import Removals
from claviger.cckm.azure.vaults.routes import VaultRoutes
from claviger.cckm.calls import Route
from claviger.cckm.connections.operations import AllConnections
from claviger.cckm.connections.protection import VERSIONS as CONNECTION_VERSIONS
from claviger.cckm.connections.routes import AllConnectionRoutes
from claviger.cckm.drift.operations import Drift
from claviger.cckm.drift.routes import DriftRoutes
from claviger.cckm.estate.operations import Searches
from claviger.cckm.estate.routes import SearchRoutes
from claviger.cckm.journal import Journal
from claviger.cckm.leaving.operations import Leavings
from claviger.cckm.leaving.routes import LeavingRoutes
from claviger.cckm.local.keys.operations import LocalKeys
from claviger.cckm.local.keys.routes import LocalKeyRoutes
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.notices.delivery import SOURCE, Courier
from claviger.cckm.notices.nearing.watch import Watch
from claviger.cckm.notices.operations import Subscriptions as NoticeSubscriptions
from claviger.cckm.notices.routes import NoticeRoutes
from claviger.cckm.oci.assembly import VERSIONS as OCI_VERSIONS
from claviger.cckm.oci.assembly import KeyParts, RotationParts
from claviger.cckm.oci.compartments.operations import Compartments
from claviger.cckm.oci.compartments.routes import CompartmentRoutes
from claviger.cckm.oci.connections.cloud import OciClouds
from claviger.cckm.oci.connections.operations import EmbeddedOci, OciConnections
from claviger.cckm.oci.connections.operations import ensure_embedded as ensure_embedded_oci
from claviger.cckm.oci.connections.routes import OciConnectionRoutes
from claviger.cckm.oci.reports.gathering import KIND as REPORT
from claviger.cckm.oci.reports.gathering import Gatherer
from claviger.cckm.oci.reports.operations import Reports
from claviger.cckm.oci.reports.routes import ReportRoutes
from claviger.cckm.oci.rotation.operations import KIND as OCI_ROTATION
from claviger.cckm.oci.synchronization import operations as oci_jobs
from claviger.cckm.oci.synchronization.routes import OciSynchronizationRoutes
from claviger.cckm.oci.synchronization.visiting import KIND as OCI_SYNCHRONIZATION
from claviger.cckm.oci.synchronization.visiting import OciTrade
from claviger.cckm.oci.tenancies.operations import Tenancies
from claviger.cckm.oci.tenancies.routes import TenancyRoutes
from claviger.cckm.oci.unbuilt import unbuilt_routes as unbuilt_oci_routes
from claviger.cckm.oci.vaults.operations import OciVaults
from claviger.cckm.oci.vaults.routes import OciVaultRoutes
from claviger.cckm.planning.operations import Planner
from claviger.cckm.planning.routes import PlanRoutes
from claviger.cckm.planning.store import PlannedStore
from claviger.cckm.reference import ReferenceRoutes
from claviger.cckm.routing import Routing
from claviger.cckm.scheduler.operations import JobConfigs
from claviger.cckm.scheduler.records import JobConfig
from claviger.cckm.scheduler.routes import SchedulerRoutes
from claviger.cckm.scheduler.rules import OCI
from claviger.cckm.scheduler.rules import ROTATION as ROTATING
from claviger.cckm.scheduler.rules import SYNCHRONIZATION as SYNCHRONIZING
from claviger.cckm.scheduler.running import KIND as SCHEDULED
from claviger.cckm.scheduler.running import Scheduler
from claviger.cckm.sealed import Safe
from claviger.cckm.synchronization.operations import Jobs
from claviger.cckm.synchronization.rules import BRAKE_PERCENT
from claviger.cckm.synchronization.runner import Synchronizer
from claviger.cckm.system.routes import SystemRoutes
from claviger.core.clock import Clock
from claviger.core.errors import Refusal
from claviger.core.sensitive import Sensitive
from claviger.jobs.intents import Finisher, Intents
from claviger.jobs.runs import Runner, Runs
from claviger.sealing.keyring import Keyring
from claviger.sealing.notes import SealedNotes
from claviger.store.contract import Store
from claviger.switches.board import Switches

STOP_LIMIT_S = 5.0
_VERSIONS = {**SECRET_VERSIONS, **VAULT_VERSIONS, **CONNECTION_VERSIONS, **OCI_VERSIONS}

log = logging.getLogger("claviger.cckm")


@dataclass(frozen=True)
class Ground:
    """What the control plane stands on. `clock` dates records; tokens and leases go by `machine`.

    `plain` is the store for what only keeps the books, which no record tells of; `log` is missing where nothing does.
    """

    store: Store
    keyring: Keyring
    notes: SealedNotes
    clock: Clock
    machine: Clock
    switches: Switches | None = None
    plain: Store | None = None
    log: AuditLog | None = None
    checkpoints: Checkpoints | None = None


@dataclass(frozen=True)
class Choices:
    """What the settings say about the control plane."""

    version: str
    admin_password: Sensitive | None = None
    echo_values: bool = False
    sync_brake_percent: int = BRAKE_PERCENT
    approval_lapse_s: int = LAPSE_S
    notices_source: str = SOURCE


class Plane:
    """The control plane as one thing that starts, answers (`app`) and stops."""

    def __init__(self, ground: Ground, choices: Choices, count: Callable[[str, int], None]) -> None:
        plain = ground.plain or ground.store
        ground = replace(ground, store=PlannedStore(ground.store), plain=plain)
        self._ground = ground
        self._choices = choices
        store, clock = ground.store, ground.clock
        self._safe = Safe(store, ground.keyring)
        self.access: AccessParts = access_parts(store, self._safe, ground.notes, clock, ground.machine)
        self._clouds = AzureClouds(self._safe)
        self._oci = OciClouds(self._safe)
        self.local_keys = LocalKeys(store, self._safe, clock)
        self._removals = Removals(plain)
        self.notices = Notices(clock)
        self._courier = Courier(plain, self._safe, clock, ground.machine, source=choices.notices_source)
        self._watch = Watch(plain, clock, self.notices)
        intents = Intents(plain, clock, ground.machine)
        self.secrets = Secrets(
            store,
            self._safe,
            intents,
            self._clouds,
            clock,
            ground.switches,
            echo=choices.echo_values,
            notices=self.notices,
        )
        runs = self._runs = Runs(store, clock, ground.machine)
        self.synchronizations = Jobs(store, clock, runs, azure_jobs.OWN)
        self.oci_synchronizations = Jobs(store, clock, runs, oci_jobs.OWN)
        self.oci_keys = KeyParts(
            store,
            plain,
            self._safe,
            intents,
            self._oci,
            clock,
            ground.machine,
            self.local_keys,
            switches=ground.switches,
            notices=self.notices,
        )
        self.oci_rotation = RotationParts(store, clock, runs, self.oci_keys, self.local_keys, self.notices)
        started = {SYNCHRONIZING: self._synchronize, ROTATING: self.oci_rotation.rotations.start}
        self._scheduler = Scheduler(store, clock, intents, started)
        finishes = {SECRETS + kind: self.secrets.finish for kind in KINDS} | self.oci_keys.finishes
        self._finisher = Finisher(intents, {**finishes, SCHEDULED: self._scheduler.finish})
        percent = choices.sync_brake_percent
        azure = Synchronizer(AzureTrade(store, clock, self._clouds, self.notices), runs, percent)
        oci = Synchronizer(OciTrade(store, clock, self._oci, self.notices), runs, percent)
        gatherer = Gatherer(store, clock, runs)
        work = {SYNCHRONIZATION: azure.run, OCI_SYNCHRONIZATION: oci.run, REPORT: gatherer.run}
        self._runner = Runner(runs, {**work, OCI_ROTATION: self.oci_rotation.rotator.run})
        self._guards = Guards(store, clock, ground.machine, self.notices, choices.approval_lapse_s)
        self._planner = Planner()
        self.routing = self._planner.routing = Routing(self._routes())
        journal = None if ground.log is None else Journal(ground.log, clock, ground.machine)
        self.app = ControlPlane(self.routing, self.access.gate, count, journal)
        self._tasks: list[asyncio.Task[None]] = []

    def _routes(self) -> list[Route]:
        store, clock, clouds = self._ground.store, self._ground.clock, self._clouds
        secrets = SecretRoutes(self.secrets, self._guards)
        keys = self.oci_keys.routes(self._guards)
        connections = AllConnections(store, clock, [clouds.forget, self._oci.forget])
        return [
            *self.access.routes,
            *AllConnectionRoutes(connections).routes(),
            *ConnectionRoutes(
                Connections(store, self._safe, clock, clouds, connections), connections, self._guards
            ).routes(),
            *OciConnectionRoutes(
                OciConnections(store, self._safe, clock, self._oci, connections), connections, self._guards
            ).routes(),
            *TenancyRoutes(Tenancies(store, clock, self._oci)).routes(),
            *CompartmentRoutes(Compartments(store, clock, self._oci)).routes(),
            *OciVaultRoutes(OciVaults(store, clock, self._oci), self._guards).routes(),
            *keys,
            *self.oci_rotation.routes(),
            *LocalKeyRoutes(self.local_keys).routes(),
            *ReportRoutes(Reports(store, clock, self._runs)).routes(),
            *SubscriptionRoutes(Subscriptions(store, clouds)).routes(),
            *VaultRoutes(Vaults(store, clock, clouds, self._removals), self._guards).routes(),
            *secrets.routes(),
            *LeavingRoutes(Leavings(store, clock), [*secrets.routes(), *keys]).routes(),
            *SearchRoutes(Searches(store, clock)).routes(),
            *ApprovalRoutes(Approvals(store, clock, self._ground.machine, _VERSIONS)).routes(),
            *PlanRoutes(self._planner).routes(),
            *SynchronizationRoutes(self.synchronizations).routes(),
            *OciSynchronizationRoutes(self.oci_synchronizations).routes(),
            *DriftRoutes(Drift(store)).routes(),
            *SchedulerRoutes(JobConfigs(store, clock, self._scheduler)).routes(),
            *NoticeRoutes(
                NoticeSubscriptions(store, self._safe, clock, self._ground.machine, self.notices, self._courier)
            ).routes(),
            *AuditRoutes(AuditTrail(store, self._ground.checkpoints)).routes(),
            *SystemRoutes(store).routes(),
            *unbuilt_azure_routes(),
            *unbuilt_oci_routes(),
            *ReferenceRoutes(lambda: self.routing.routes, self._choices.version).routes(),
        ]

    async def prepare(self) -> None:
        """Makes what every installation has: the root domain, and the user `admin`. Raises Misconfigured."""
        ground = self._ground
        preset = self._choices.admin_password
        await ensure_admin(ground.store, self.access.passwords, ground.notes, ground.clock, preset)

    async def start(self, azure: EmbeddedAzure | None, oci: EmbeddedOci | None = None) -> None:
        """Registers the embedded clouds where they now listen, and takes up what an earlier process left open."""
        ground = self._ground
        if azure is not None:
            await ensure_embedded_azure(ground.store, self._safe, ground.clock, azure)
        if oci is not None:
            await ensure_embedded_oci(ground.store, self._safe, ground.clock, oci)
        work: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (
            self._finisher.run,
            self._runner.run,
            self._scheduler.run,
            self._removals.run,
            self._courier.run,
            self._watch.run,
            self.oci_keys.refresher.run,
        )
        self._tasks = [asyncio.create_task(run()) for run in work]

    def wake(self) -> None:
        """Looks at everything that has a date: the clock was moved."""
        self._watch.wake()
        self._scheduler.wake()
        self.oci_keys.refresher.wake()

    async def _synchronize(self, config: JobConfig) -> str:
        """What the scheduler starts; the id of the run."""
        chosen = config.params
        of_oci = chosen.cloud_name == OCI
        jobs: Jobs[Any, Any] = self.oci_synchronizations if of_oci else self.synchronizations
        return await jobs.start(
            config.domain_id,
            chosen.oci_vaults if of_oci else chosen.key_vaults,
            synchronize_all=chosen.synchronize_all,
            by=config.created_by,
            run_id=config.job_id,
        )

    async def stop(self) -> None:
        """Ends the background work, which the next start goes on with."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await self._clouds.close()
                await self._oci.close()
        except (TimeoutError, Refusal):
            log.warning("connections to a cloud were cut off by the stop")
        self.access.passwords.close()
