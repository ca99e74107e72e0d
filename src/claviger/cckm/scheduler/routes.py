"""The scheduler over HTTP (CCKM contract §9.1). All of it is for CCKM Admins: it acts on every vault of the domain."""

from __future__ import annotations

from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, ListOf, Parameter, Route, members
from claviger.cckm.listing import PAGING, page_of
from claviger.cckm.scheduler.operations import JobConfigs, operations_shown
from claviger.cckm.scheduler.wire import CreateJobConfig, JobConfigShown, JobShown, OperationShown, PatchJobConfig

_TAG = "Scheduler"
_CONFIGS = "/scheduler/job-configs"
_JOBS = "/scheduler/jobs"
_ADMINS = members(CCKM_ADMINS)
_STATES = ("in_progress", "completed", "failed")
_CONFIG_FILTERS = (
    Parameter("id", repeated=True),
    Parameter("name", repeated=True),
    Parameter("operation", description="What is done.", repeated=True),
    Parameter("disabled", "boolean", "Whether it is disabled."),
    Parameter("cloud_name", repeated=True),
    Parameter("expire_in", description="Of rotations: which keys they rotate.", repeated=True),
    Parameter("createdAfter", description="RFC 3339, or back from now, such as -1Y-2M-5D."),
    Parameter("createdBefore", description="RFC 3339, or back from now, such as -1Y-2M-5D."),
)
_JOB_FILTERS = (
    Parameter("id", repeated=True),
    Parameter("job_config_id", description="The configuration that it is of.", repeated=True),
    Parameter("name", repeated=True),
    Parameter("operation", description="What is done.", repeated=True),
    Parameter("status", description="How far it is.", repeated=True, values=_STATES),
    Parameter("synchronization_id", description="The synchronization job that was started.", repeated=True),
)


class SchedulerRoutes:
    """Answers calls."""

    def __init__(self, configs: JobConfigs) -> None:
        self._configs = configs

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._of_configs(), *self._of_one_config(), *self._of_jobs()]

    def _of_configs(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=_CONFIGS,
                handler=self.create,
                permission=_ADMINS,
                tag=_TAG,
                summary="Schedule a job",
                description="Times are UTC. A run that was due while no server was there happens once, later.",
                takes=CreateJobConfig,
                gives=JobConfigShown,
                status=201,
                errors=(409,),
                example={
                    "name": "nightly",
                    "operation": "cckm_synchronization",
                    "run_at": "0 3 * * *",
                    "cckm_synchronization_params": {"cloud_name": "AzureCloud", "synchronize_all": True},
                },
            ),
            Route(
                method="GET",
                path=_CONFIGS,
                handler=self.listing,
                permission=_ADMINS,
                tag=_TAG,
                summary="List job configurations",
                gives=ListOf[JobConfigShown],
                query=(*PAGING, *_CONFIG_FILTERS),
            ),
        ]

    def _of_one_config(self) -> list[Route]:
        one = f"{_CONFIGS}/{{id}}"
        return [
            Route(
                method="GET",
                path=one,
                handler=self.read,
                permission=_ADMINS,
                tag=_TAG,
                summary="Read a job configuration",
                gives=JobConfigShown,
            ),
            Route(
                method="PATCH",
                path=one,
                handler=self.patch,
                permission=_ADMINS,
                tag=_TAG,
                summary="Change a job configuration",
                takes=PatchJobConfig,
                gives=JobConfigShown,
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self.delete,
                permission=_ADMINS,
                tag=_TAG,
                summary="Delete a job configuration",
                description="The records of its jobs stay; a job that is in progress goes on.",
                status=204,
            ),
            Route(
                method="POST",
                path=f"{one}/run-now",
                handler=self.run_now,
                permission=_ADMINS,
                tag=_TAG,
                summary="Run a job at once",
                description="Also one that is disabled. Refused while it is in progress.",
                gives=JobShown,
                status=201,
                errors=(409,),
            ),
        ]

    def _of_jobs(self) -> list[Route]:
        one = f"{_JOBS}/{{id}}"
        return [
            Route(
                method="GET",
                path=_JOBS,
                handler=self.jobs,
                permission=_ADMINS,
                tag=_TAG,
                summary="List jobs",
                description="What became of the job configurations, newest first.",
                gives=ListOf[JobShown],
                query=(*PAGING, *_JOB_FILTERS),
            ),
            Route(
                method="GET",
                path=one,
                handler=self.read_job,
                permission=_ADMINS,
                tag=_TAG,
                summary="Read a job",
                gives=JobShown,
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self.delete_job,
                permission=_ADMINS,
                tag=_TAG,
                summary="Delete a job's record",
                description="Refused while the job is in progress. The synchronization job that it started stays.",
                status=204,
            ),
            Route(
                method="GET",
                path="/scheduler/operations",
                handler=self.operations,
                permission=_ADMINS,
                tag=_TAG,
                summary="List operations",
                description="All that the product knows, and which of them this server has.",
                gives=ListOf[OperationShown],
                query=(
                    *PAGING,
                    Parameter("name", repeated=True),
                    Parameter("supported", "boolean", "Whether this server has it."),
                ),
            ),
        ]

    async def create(self, call: Call) -> Answer:
        """POST /scheduler/job-configs."""
        return Answer(await self._configs.create(call.caller, call.body(CreateJobConfig)), status=201)

    async def listing(self, call: Call) -> Answer:
        """GET /scheduler/job-configs."""
        call.query.boolean("disabled")
        return Answer(await self._configs.listing(call.caller.domain_id, call.query))

    async def read(self, call: Call) -> Answer:
        """GET /scheduler/job-configs/{id}."""
        return Answer(await self._configs.read(call.caller.domain_id, call.params["id"]))

    async def patch(self, call: Call) -> Answer:
        """PATCH /scheduler/job-configs/{id}."""
        asked = call.body(PatchJobConfig)
        return Answer(await self._configs.patch(call.caller.domain_id, call.params["id"], asked))

    async def delete(self, call: Call) -> Answer:
        """DELETE /scheduler/job-configs/{id}."""
        await self._configs.delete(call.caller.domain_id, call.params["id"])
        return Answer(status=204)

    async def run_now(self, call: Call) -> Answer:
        """POST /scheduler/job-configs/{id}/run-now."""
        return Answer(await self._configs.run_now(call.caller.domain_id, call.params["id"]), status=201)

    async def jobs(self, call: Call) -> Answer:
        """GET /scheduler/jobs."""
        return Answer(await self._configs.jobs(call.caller.domain_id, call.query))

    async def read_job(self, call: Call) -> Answer:
        """GET /scheduler/jobs/{id}."""
        return Answer(await self._configs.read_job(call.caller.domain_id, call.params["id"]))

    async def delete_job(self, call: Call) -> Answer:
        """DELETE /scheduler/jobs/{id}."""
        await self._configs.delete_job(call.caller.domain_id, call.params["id"])
        return Answer(status=204)

    async def operations(self, call: Call) -> Answer:
        """GET /scheduler/operations."""
        call.query.boolean("supported")
        found = page_of(
            operations_shown(),
            call.query,
            filters={"name": lambda one: one.name, "supported": lambda one: one.supported},
            sorts={"name": lambda one: one.name},
            default_sort="name",
            shown=lambda one: one,
        )
        return Answer(found)
