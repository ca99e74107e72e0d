"""What can be done with job configurations and jobs: load, decide, save, and tell the scheduler."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from claviger.audit.trail import about, telling
from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.calls import Caller, Query
from claviger.cckm.errors import validation
from claviger.cckm.listing import Page, page_of, sort_of, window_of
from claviger.cckm.oci.rotation import records as rotated_keys
from claviger.cckm.oci.vaults import records as oci_vaults
from claviger.cckm.resource import header, seconds, timestamp
from claviger.cckm.scheduler import blocks, records, rules
from claviger.cckm.scheduler.records import Job, JobConfig
from claviger.cckm.scheduler.rules import Params
from claviger.cckm.scheduler.running import Scheduler
from claviger.cckm.scheduler.wire import (
    CreateJobConfig,
    JobConfigShown,
    JobShown,
    OperationShown,
    PatchJobConfig,
    SynchronizationParams,
)
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Invalid, NotFound
from claviger.core.ids import new_uuid
from claviger.store.contract import Store, Tx

CONFIG = "job-config"
_FILTERS = {
    "id": lambda config: config.id,
    "name": lambda config: config.name,
    "operation": lambda config: config.operation,
    "disabled": lambda config: config.disabled,
    "cloud_name": lambda config: config.params.cloud_name,
    "expire_in": lambda config: config.params.expire_in,
}
_SORTS = {
    "name": lambda config: config.name,
    "operation": lambda config: config.operation,
    "run_at": lambda config: config.run_at,
    "createdAt": lambda config: config.created_at,
    "updatedAt": lambda config: config.updated_at,
    "next_run_at": lambda config: (config.next_run_at is None, config.next_run_at or 0),
}


class JobConfigs:
    """Everything about job configurations and jobs of a domain. Refusals are Invalid("Validation") and NotFound."""

    def __init__(self, store: Store, clock: Clock, scheduler: Scheduler) -> None:
        self._store = store
        self._clock = clock
        self._scheduler = scheduler

    async def create(self, caller: Caller, asked: CreateJobConfig) -> JobConfigShown:
        """Stores a configuration, due from now on. Raises Conflict("TooMany") for more than 1,000 in a domain."""
        now = self._clock.now()
        problems = _common_problems(asked)
        operation = rules.operation_problem(asked.operation)
        if operation is not None:
            problems["operation"] = operation
        start_at = _date("start_date", asked.start_date, None, problems)
        end_at = _date("end_date", asked.end_date, None, problems)
        if end_at is not None and end_at <= now:
            problems["end_date"] = "is in the past"
        problems.update(blocks.problems_of(asked, asked.operation, is_new=True))
        params = _given(Params(""), asked, asked.operation)
        if params is not None:
            problems.update(await self._params_problems(caller.domain_id, asked.operation, params))
        _refuse(problems, start_at, end_at)
        fresh = JobConfig(
            id=new_uuid(),
            domain_id=caller.domain_id,
            name=asked.name,
            operation=asked.operation,
            run_at=asked.run_at,
            disabled=asked.disabled,
            start_at=start_at,
            end_at=end_at,
            description=asked.description,
            params=params or Params(""),
            next_run_at=None,
            planned_at=now,
            created_by=caller.user_id,
            created_at=now,
            updated_at=now,
        ).planned(now)

        def change(tx: Tx) -> None:
            if records.count(tx, caller.domain_id) >= rules.MOST_CONFIGS:
                raise Conflict("TooMany", message=f"a domain holds at most {rules.MOST_CONFIGS} job configurations")
            about(CONFIG, fresh.id, fresh.name)
            records.add(tx, fresh)

        await self._store.write(change)
        self._scheduler.wake()
        return shown(fresh)

    async def patch(self, domain_id: str, ident: str, asked: PatchJobConfig) -> JobConfigShown:
        """Changes a configuration. When it is due is decided anew, from now on, if anything of that has changed."""
        known = await self._known(domain_id, ident)
        problems = _common_problems(asked)
        if asked.operation not in (None, known.operation):
            problems["operation"] = "cannot be changed"
        start_at = _date("start_date", asked.start_date, known.start_at, problems)
        end_at = _date("end_date", asked.end_date, known.end_at, problems)
        problems.update(blocks.problems_of(asked, known.operation, is_new=False))
        given = _given(known.params, asked, known.operation)
        if given is not None:
            problems.update(await self._params_problems(domain_id, known.operation, given))
        _refuse(problems, start_at, end_at)

        def change(tx: Tx) -> JobConfig:
            config, now = records.load(tx, ident), self._clock.now()
            if config is None:
                raise _missing("job configuration")
            about(CONFIG, ident, config.name)
            fresh = msgspec.structs.replace(
                config,
                name=asked.name or config.name,
                run_at=asked.run_at or config.run_at,
                disabled=config.disabled if asked.disabled is None else asked.disabled,
                start_at=config.start_at if asked.start_date is None else start_at,
                end_at=config.end_at if asked.end_date is None else end_at,
                description=config.description if asked.description is None else asked.description,
                params=_given(config.params, asked, config.operation) or config.params,
                updated_at=now,
            )
            if _timing(fresh) != _timing(config):
                fresh = fresh.planned(now)
            records.replace(tx, fresh)
            return fresh

        fresh = await self._store.write(change)
        self._scheduler.wake()
        return shown(fresh)

    async def listing(self, domain_id: str, query: Query) -> Page:
        """A page of the configurations."""
        after, before = self._moment(query, "createdAfter"), self._moment(query, "createdBefore")
        found = [
            config
            for config in await records.all_of(self._store, domain_id)
            if (after is None or config.created_at >= after) and (before is None or config.created_at <= before)
        ]
        return page_of(found, query, filters=_FILTERS, sorts=_SORTS, default_sort="createdAt", shown=shown)

    def _moment(self, query: Query, name: str) -> float | None:
        text = query.one(name)
        try:
            return None if text is None else rules.moment(text, self._clock.now())
        except ValueError:
            raise validation({name: "must be a date in RFC 3339, or back from now such as -1Y-2M-5D"}) from None

    async def read(self, domain_id: str, ident: str) -> JobConfigShown:
        """One configuration."""
        return shown(await self._known(domain_id, ident))

    async def delete(self, domain_id: str, ident: str) -> None:
        """Removes a configuration. Its jobs stay, and one that is in progress goes on.

        Keys that it was to rotate are not rotated any more, and say so.
        """
        now = self._clock.now()

        def change(tx: Tx) -> None:
            about(CONFIG, ident)
            if not records.remove(tx, domain_id, ident):
                raise _missing("job configuration")
            unlinked = rotated_keys.unlink(tx, ident, now)
            if unlinked:
                telling(unlinked_keys=unlinked)

        await self._store.write(change)

    async def run_now(self, domain_id: str, ident: str) -> JobShown:
        """Runs a configuration at once. Raises Conflict("AlreadyRuns") while its last job is in progress."""
        return await self.read_job(domain_id, await self._scheduler.run_now(domain_id, ident))

    async def jobs(self, domain_id: str, query: Query) -> Page:
        """A page of the jobs, newest first unless asked otherwise."""
        window = window_of(query)
        order = sort_of(query, records.JOB_SORTS, "-createdAt")
        filters = {name: query.all(name) for name in records.JOB_FILTERS if query.all(name)}
        total = await records.count_jobs(self._store, domain_id, filters)
        found = await records.page_of_jobs(self._store, domain_id, filters, order, window.skip, window.count_of(total))
        return Page(window.skip, window.limit, total, [shown_job(job) for job in found])

    async def read_job(self, domain_id: str, ident: str) -> JobShown:
        """One job."""
        job = await records.job_by_id(self._store, domain_id, ident)
        if job is None:
            raise _missing("job")
        return shown_job(job)

    async def delete_job(self, domain_id: str, ident: str) -> None:
        """Removes a job's record. Raises Conflict("StateForbids") while it is in progress."""

        def change(tx: Tx) -> None:
            job = records.load_job(tx, ident)
            if job is None or job.domain_id != domain_id:
                raise _missing("job")
            if job.in_progress:
                raise Conflict("StateForbids", message="it is in progress; cancel its synchronization job first")
            about("job", ident, job.name)
            records.remove_job(tx, ident)

        await self._store.write(change)

    async def _known(self, domain_id: str, ident: str) -> JobConfig:
        known = await records.by_id(self._store, domain_id, ident)
        if known is None:
            raise _missing("job configuration")
        return known

    async def _params_problems(self, domain_id: str, operation: str, params: Params) -> Mapping[str, str]:
        if operation == rules.ROTATION:
            return rules.prefixed(blocks.BLOCKS[operation], rules.rotation_problems(params))
        problems = rules.params_problems(params)
        if not problems:
            for name in (*params.key_vaults, *params.oci_vaults):
                problem = await self._vault_problem(domain_id, params.cloud_name, name)
                if problem:
                    problems[rules.VAULTS_OF[params.cloud_name]] = problem
                    break
        return rules.prefixed(blocks.BLOCKS[rules.SYNCHRONIZATION], problems)

    async def _vault_problem(self, domain_id: str, cloud_name: str, name: str) -> str:
        """Why a vault cannot be found; empty where it can."""
        look = oci_vaults.find if cloud_name == rules.OCI else vaults.find
        try:
            found = await look(self._store, domain_id, name)
        except Invalid as refusal:
            return str(refusal.facts.get("message") or refusal.reason)
        return f"there is no vault '{name}' in this domain" if found is None else ""


def _common_problems(asked: CreateJobConfig | PatchJobConfig) -> dict[str, str]:
    problems = rules.text_problems(asked.name, asked.description)
    cron = None if asked.run_at is None else rules.cron_problem(asked.run_at)
    if cron is not None:
        problems["run_at"] = cron
    if asked.run_on not in (None, rules.ANY_NODE):
        problems["run_on"] = f"must be {rules.ANY_NODE}: this server has no nodes to choose from"
    return problems


def _date(field: str, text: str | None, known: float | None, problems: dict[str, str]) -> float | None:
    if text is None:
        return known
    try:
        return rules.parse_date(text)
    except ValueError:
        problems[field] = "must be a date such as 2027-10-02T14:24:37Z (RFC 3339)"
        return None


def _refuse(problems: dict[str, str], start_at: float | None, end_at: float | None) -> None:
    dates = rules.dates_problem(start_at, end_at)
    if dates is not None:
        problems.setdefault("end_date", dates)
    if problems:
        raise validation(problems)


def _given(known: Params, asked: blocks.Asked, operation: str) -> Params | None:
    """Parameters with the operation's block, where that was given; None without it."""
    if operation == rules.ROTATION:
        rotation = asked.cckm_key_rotation_params
        return None if rotation is None else blocks.merged_rotation(known, rotation)
    given = asked.cckm_synchronization_params
    return None if given is None else _merged(known, given)


def _merged(known: Params, given: SynchronizationParams) -> Params:
    """Parameters with what was given: a choice of vaults replaces the one before, whatever it was."""
    chosen = bool(given.key_vaults or given.oci_vaults or given.synchronize_all)
    return Params(
        cloud_name=given.cloud_name or known.cloud_name,
        key_vaults=tuple(given.key_vaults) if chosen else known.key_vaults,
        oci_vaults=tuple(given.oci_vaults) if chosen else known.oci_vaults,
        synchronize_all=bool(given.synchronize_all) if chosen else known.synchronize_all,
        take_cloud_key_backup=known.take_cloud_key_backup
        if given.take_cloud_key_backup is None
        else given.take_cloud_key_backup,
    )


def _timing(config: JobConfig) -> tuple[object, ...]:
    return config.run_at, config.disabled, config.start_at, config.end_at


def operations_shown() -> list[OperationShown]:
    """All operations of the product, with what this server has of them."""
    return [
        OperationShown(
            name=offer.name, description=offer.meaning, supported=bool(offer.clouds), clouds=list(offer.clouds)
        )
        for offer in rules.OFFERS
    ]


def shown(config: JobConfig) -> JobConfigShown:
    """A configuration as it is on the wire."""
    return JobConfigShown(
        **header(
            "scheduler",
            "job-config",
            config.id,
            config.name,
            config.domain_id,
            config.created_at,
            config.updated_at,
        ),
        name=config.name,
        operation=config.operation,
        run_at=config.run_at,
        run_on=rules.ANY_NODE,
        disabled=config.disabled,
        description=config.description,
        start_date=_moment(config.start_at),
        end_date=_moment(config.end_at),
        job_config_params=blocks.shown(config.params, config.operation),
        created_by=config.created_by,
        next_run_at=_moment(config.next_run_at),
    )


def shown_job(job: Job) -> JobShown:
    """A job as it is on the wire."""
    updated_at = max(job.created_at, job.started_at or 0.0, job.finished_at or 0.0, job.run_updated_at)
    head = header("scheduler", "job", job.id, job.name, job.domain_id, job.created_at, updated_at)
    skipped = ""
    if job.skipped_count:
        runs = "a run that was due was" if job.skipped_count == 1 else f"{job.skipped_count} runs that were due were"
        skipped = f"{runs} left out while this one was in progress, last at {seconds(job.skipped_at or 0.0)}"
    return JobShown(
        **head,
        job_config_id=job.job_config_id,
        name=job.name,
        operation=job.operation,
        status=job.status,
        message="; ".join(filter(None, (job.message, job.run_message, skipped))),
        due_at=_moment(job.due_at),
        started_at=_moment(job.started_at),
        finished_at=_moment(job.finished_at),
        synchronization_id=(job.operation == rules.SYNCHRONIZATION and job.run_id) or msgspec.UNSET,
        skipped_count=job.skipped_count,
    )


def _moment(at: float | None) -> str | msgspec.UnsetType:
    """A time as the caller would have written it: without a fraction where there is none."""
    if at is None:
        return msgspec.UNSET
    return seconds(at) if at == int(at) else timestamp(at)


def _missing(what: str) -> NotFound:
    return NotFound("NotFound", message=f"there is no such {what}")
