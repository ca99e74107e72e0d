"""The scheduler on a database, by a clock that a test moves, with a stand-in for what it starts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cckm.scheduler.operations import JobConfigs
from claviger.cckm.scheduler.records import JobConfig
from claviger.cckm.scheduler.routes import SchedulerRoutes
from claviger.cckm.scheduler.running import KIND, Scheduler
from claviger.core.clock import ManualClock
from claviger.core.ids import new_uuid
from claviger.jobs.intents import Finisher, Intents
from claviger.jobs.runs import Run, Runs, State
from claviger.store.contract import Store
from tests.plane import ADMIN, Plane, open_plane

BASE = "https://cckm.localhost/api/v1/scheduler"
CONFIGS = f"{BASE}/job-configs"
JOBS = f"{BASE}/jobs"
DAILY = {
    "name": "nightly",
    "operation": "cckm_synchronization",
    "run_at": "0 3 * * *",
    "cckm_synchronization_params": {"cloud_name": "AzureCloud", "synchronize_all": True},
}
SYNCHRONIZATION = "synchronization"


class Server:
    """One server's scheduler. `started` are the configurations that its operation was asked with."""

    def __init__(self, store: Store, clock: ManualClock, machine: ManualClock) -> None:
        self.store = store
        self.runs = Runs(store, clock, machine)
        self.intents = Intents(store, clock, machine)
        self.started: list[JobConfig] = []
        self.failure: Exception | None = None
        self.scheduler = Scheduler(store, clock, self.intents, {"cckm_synchronization": self.start})
        self.finisher = Finisher(self.intents, {KIND: self.scheduler.finish})
        self.configs = JobConfigs(store, clock, self.scheduler)

    async def start(self, config: JobConfig) -> str:
        """The stand-in: a run that nobody works on."""
        self.started.append(config)
        if self.failure is not None:
            raise self.failure
        params = msgspec.to_builtins(config.params)
        run = await self.runs.begin(SYNCHRONIZATION, config.domain_id, params, run_id=config.job_id)
        return run.id

    async def take_up(self) -> int:
        """What the finisher does once; how many intents it took up."""
        taken = await self.intents.take_up()
        for intent in taken:
            await self.scheduler.finish(intent)
        return len(taken)


class Scheduling(Server):
    """A server with its API, and what tests do with it."""

    def __init__(self, plane: Plane, machine: ManualClock) -> None:
        super().__init__(plane.store, plane.clock, machine)
        self.plane = plane
        self.clock = plane.clock
        self.machine = machine
        plane.serve(SchedulerRoutes(self.configs).routes())

    def another(self, store: Store | None = None) -> Server:
        """A second server on the same database."""
        return Server(store or self.store, self.clock, self.machine)

    async def configured(self, **fields: Any) -> Any:
        """A new job configuration."""
        return await self.plane.accept("POST", CONFIGS, {**DAILY, **fields}, status=201)

    async def config(self, ident: str) -> Any:
        return await self.plane.accept("GET", f"{CONFIGS}/{ident}")

    async def jobs(self, query: str = "limit=-1", caller: str = ADMIN) -> list[Any]:
        """The jobs, newest first."""
        page = await self.plane.accept("GET", f"{JOBS}?{query}", caller=caller)
        assert page["total"] >= len(page["resources"])
        return list(page["resources"])

    async def synchronizations(self) -> list[Run]:
        """Everything that was started."""
        return (await self.runs.page(SYNCHRONIZATION, ROOT_DOMAIN))[1]

    async def end_all(self, state: State = "completed", message: str = "") -> None:
        """Ends whatever was started."""
        for run in await self.runs.take_up([SYNCHRONIZATION], 99):
            await self.runs.end(run, state, {}, message)

    async def refused(self, method: str, path: str, body: Any = None, **more: Any) -> str:
        """A refusal that changes nothing of the scheduler's either."""
        tables = ("cckm_job_configs", "cckm_jobs", "job_runs", "intents")
        before = [await self.store.read(f"SELECT * FROM {table}") for table in tables]
        message = await self.plane.refuse(method, path, body, **more)
        assert before == [await self.store.read(f"SELECT * FROM {table}") for table in tables]
        return message

    async def vault(self, name: str, domain_id: str = ROOT_DOMAIN, subscription: str = "s1") -> VaultRow:
        """A vault under management."""
        fresh = VaultRow(
            num=0,
            id=new_uuid(),
            domain_id=domain_id,
            connection_id="",
            connection_name="",
            subscription_id=subscription,
            subscription_name="",
            azure_name=name,
            azure_vault_id=f"/subscriptions/{subscription}/{name}",
            cloud_name="AzureCloud",
            location="",
            type="Microsoft.KeyVault/vaults",
            details="{}",
            labels="{}",
            cloud_key_backup_limit=0,
            synced_at=None,
            created_by="",
            created_at=0.0,
            updated_at=0.0,
        )
        return await self.store.write(lambda tx: vaults.add(tx, fresh))


@asynccontextmanager
async def scheduling_on(url: str) -> AsyncIterator[Scheduling]:
    """All of it on an empty database."""
    plane = await open_plane(url)
    try:
        yield Scheduling(plane, ManualClock(5000.0))
    finally:
        await plane.clouds.close()
        await plane.store.close()
