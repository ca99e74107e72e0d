"""Rows of job configurations and jobs, and the SQL for them. A job shows the state of the run that it started."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from claviger.cckm.scheduler import rules
from claviger.cckm.scheduler.rules import Params
from claviger.jobs.run_records import State
from claviger.store.contract import Row, Store, Tx, Value

KEPT = 10_000

_CONFIG_COLUMNS = (
    "id, domain_id, name, operation, run_at, disabled, start_at, end_at, description, params, next_run_at, planned_at, "
    "created_by, created_at, updated_at"
)
_CONFIGS = f"SELECT {_CONFIG_COLUMNS} FROM cckm_job_configs"
_OWN = "id, domain_id, job_config_id, name, operation, status, message, due_at, run_id, skipped_count, skipped_at"
_JOB_COLUMNS = f"{_OWN}, created_at, started_at, finished_at"
_STATUS = "COALESCE(r.state, j.status)"
_FINISHED = "CASE WHEN r.id IS NULL THEN j.finished_at ELSE r.completed_at END"
_JOBS_FROM = "FROM cckm_jobs j LEFT JOIN job_runs r ON r.id = j.run_id"
_JOBS = (
    "SELECT j.id, j.domain_id, j.job_config_id, j.name, j.operation, "
    f"{_STATUS}, j.message, j.due_at, j.run_id, j.skipped_count, j.skipped_at, j.created_at, j.started_at, "
    f"{_FINISHED}, COALESCE(r.message, ''), COALESCE(r.updated_at, 0) {_JOBS_FROM}"
)
JOB_FILTERS: Mapping[str, str] = {
    "id": "j.id",
    "job_config_id": "j.job_config_id",
    "name": "j.name",
    "operation": "j.operation",
    "status": _STATUS,
    "synchronization_id": "COALESCE(j.run_id, '')",
}
JOB_SORTS: Mapping[str, str] = {
    "createdAt": "j.num",
    "startedAt": "COALESCE(j.started_at, 0)",
    "finishedAt": f"COALESCE({_FINISHED}, 0)",
    "updatedAt": f"COALESCE(r.updated_at, {_FINISHED}, j.started_at, j.created_at)",
    "name": "j.name",
    "operation": "j.operation",
    "status": _STATUS,
    "id": "j.id",
}
_PARAMS = msgspec.json.Decoder(Params)


class JobConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run when. Times are epoch seconds of the product's clock.

    An operation is given one with `job_id`, the job that is being started by it: asked again with the same, because
    nobody knows whether the first time succeeded, it must not start a second run.
    """

    id: str
    domain_id: str
    name: str
    operation: str
    run_at: str
    disabled: bool
    start_at: float | None
    end_at: float | None
    description: str
    params: Params
    next_run_at: int | None
    planned_at: float
    created_by: str
    created_at: float
    updated_at: float
    job_id: str = ""

    def planned(self, now: float) -> JobConfig:
        """The same, due at its next slot from now on."""
        slot = rules.next_run(self.run_at, now, disabled=self.disabled, start_at=self.start_at, end_at=self.end_at)
        return msgspec.structs.replace(self, next_run_at=slot, planned_at=now)


class Job(msgspec.Struct, frozen=True):
    """One run of a configuration, by schedule (`due_at`) or by hand. The last two fields are of the run it started."""

    id: str
    domain_id: str
    job_config_id: str
    name: str
    operation: str
    status: State
    message: str
    due_at: float | None
    run_id: str | None
    skipped_count: int
    skipped_at: float | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    run_message: str = ""
    run_updated_at: float = 0.0

    @property
    def in_progress(self) -> bool:
        """Whether it, or what it started, has not ended."""
        return self.status == "in_progress"


def _config(row: Row) -> JobConfig:
    known = dict(zip(_CONFIG_COLUMNS.split(", "), row, strict=True))
    return JobConfig(**{**known, "disabled": bool(known["disabled"]), "params": _PARAMS.decode(known["params"])})


def _config_values(config: JobConfig) -> list[Value]:
    values = {name: getattr(config, name) for name in _CONFIG_COLUMNS.split(", ")}
    return [*({**values, "disabled": int(config.disabled), "params": encode(config.params)}).values()]


def encode(params: Params) -> str:
    """The JSON of a row's parameters."""
    return msgspec.json.encode(params).decode()


# Configurations.


async def all_of(store: Store, domain_id: str) -> list[JobConfig]:
    """The configurations of a domain, oldest first."""
    rows = await store.read(f"{_CONFIGS} WHERE domain_id = ? ORDER BY created_at, id", domain_id)
    return [_config(row) for row in rows]


async def by_id(store: Store, domain_id: str, ident: str) -> JobConfig | None:
    """A configuration of the domain."""
    row = await store.read_one(f"{_CONFIGS} WHERE id = ? AND domain_id = ?", ident, domain_id)
    return None if row is None else _config(row)


def load(tx: Tx, ident: str) -> JobConfig | None:
    """A configuration, within a change."""
    row = tx.fetch_one(f"{_CONFIGS} WHERE id = ?", ident)
    return None if row is None else _config(row)


def count(tx: Tx, domain_id: str) -> int:
    """How many configurations a domain has."""
    row = tx.fetch_one("SELECT COUNT(*) FROM cckm_job_configs WHERE domain_id = ?", domain_id)
    return 0 if row is None else int(row[0])


def add(tx: Tx, config: JobConfig) -> None:
    """Stores a new configuration."""
    tx.execute(
        f"INSERT INTO cckm_job_configs ({_CONFIG_COLUMNS}) VALUES ({', '.join('?' * 15)})", *_config_values(config)
    )


def replace(tx: Tx, config: JobConfig) -> None:
    """Stores what has changed about a configuration."""
    columns = ", ".join(f"{name} = ?" for name in _CONFIG_COLUMNS.split(", "))
    tx.execute(f"UPDATE cckm_job_configs SET {columns} WHERE id = ?", *_config_values(config), config.id)


def remove(tx: Tx, domain_id: str, ident: str) -> bool:
    """Removes a configuration; whether there was one. Its jobs stay."""
    return tx.execute("DELETE FROM cckm_job_configs WHERE id = ? AND domain_id = ?", ident, domain_id) == 1


async def due(store: Store, now: float, most: int) -> list[str]:
    """Ids of configurations whose slot has come, the earliest first."""
    rows = await store.read(
        "SELECT id FROM cckm_job_configs WHERE next_run_at <= ? ORDER BY next_run_at LIMIT ?", now, most
    )
    return [row[0] for row in rows]


async def next_due(store: Store) -> float | None:
    """When the next slot is due."""
    row = await store.read_one("SELECT MIN(next_run_at) FROM cckm_job_configs")
    return None if row is None else row[0]


async def planned_after(store: Store, at: float) -> list[str]:
    """Ids of configurations whose next slot was decided on after a time."""
    return [row[0] for row in await store.read("SELECT id FROM cckm_job_configs WHERE planned_at > ?", at)]


def move_on(tx: Tx, planned: JobConfig, from_slot: int | None) -> bool:
    """Stores the next slot; whether the slot was still the one to move on from: that claims it."""
    changed = tx.execute(
        "UPDATE cckm_job_configs SET next_run_at = ?, planned_at = ? WHERE id = ? AND COALESCE(next_run_at, -1) = ?",
        *(planned.next_run_at, planned.planned_at, planned.id, -1 if from_slot is None else from_slot),
    )
    return changed == 1


# Jobs.


def add_job(tx: Tx, job: Job) -> None:
    """Stores a new job. Of a domain's jobs that ended, the newest `KEPT` are kept."""
    tx.execute(
        f"INSERT INTO cckm_jobs ({_JOB_COLUMNS}) VALUES ({', '.join('?' * 14)})", *msgspec.structs.astuple(job)[:14]
    )
    row = tx.fetch_one(
        "SELECT num FROM cckm_jobs WHERE domain_id = ? ORDER BY num DESC LIMIT 1 OFFSET ?", job.domain_id, KEPT
    )
    if row is not None:
        tx.execute(
            "DELETE FROM cckm_jobs WHERE domain_id = ? AND num <= ? AND status <> 'in_progress'", job.domain_id, row[0]
        )


def load_job(tx: Tx, ident: str) -> Job | None:
    """A job, within a change."""
    row = tx.fetch_one(f"{_JOBS} WHERE j.id = ?", ident)
    return None if row is None else Job(*row)


def last_job(tx: Tx, config_id: str) -> Job | None:
    """The newest job of a configuration: if any is in progress, it is this one."""
    row = tx.fetch_one(f"{_JOBS} WHERE j.job_config_id = ? ORDER BY j.num DESC LIMIT 1", config_id)
    return None if row is None else Job(*row)


def note_skipped(tx: Tx, job_id: str, slot: int) -> None:
    """Notes on a job that a slot was left out because of it."""
    tx.execute("UPDATE cckm_jobs SET skipped_count = skipped_count + 1, skipped_at = ? WHERE id = ?", slot, job_id)


def note_started(tx: Tx, job_id: str, run_id: str, now: float) -> None:
    """Notes the run that a job has started; from then on the run's state is the job's."""
    tx.execute(
        "UPDATE cckm_jobs SET status = 'completed', run_id = ?, started_at = ? WHERE id = ?", run_id, now, job_id
    )


def note_failed(tx: Tx, job_id: str, message: str, now: float) -> None:
    """Notes that a job could not start its run."""
    tx.execute(
        "UPDATE cckm_jobs SET status = 'failed', message = ?, finished_at = ? WHERE id = ?",
        *(message[:2000], now, job_id),
    )


def remove_job(tx: Tx, ident: str) -> None:
    """Removes a job's record."""
    tx.execute("DELETE FROM cckm_jobs WHERE id = ?", ident)


async def job_by_id(store: Store, domain_id: str, ident: str) -> Job | None:
    """A job of the domain."""
    row = await store.read_one(f"{_JOBS} WHERE j.id = ? AND j.domain_id = ?", ident, domain_id)
    return None if row is None else Job(*row)


async def find_job(store: Store, ident: str) -> Job | None:
    """A job of any domain."""
    row = await store.read_one(f"{_JOBS} WHERE j.id = ?", ident)
    return None if row is None else Job(*row)


async def count_jobs(store: Store, domain_id: str, filters: Mapping[str, Sequence[str]]) -> int:
    """How many jobs of a domain match. `filters` are by names of `JOB_FILTERS`; `*` stands for anything."""
    where, args = _where(domain_id, filters)
    row = await store.read_one(f"SELECT COUNT(*) {_JOBS_FROM} WHERE {where}", *args)
    return 0 if row is None else int(row[0])


async def page_of_jobs(
    store: Store,
    domain_id: str,
    filters: Mapping[str, Sequence[str]],
    order: Iterable[tuple[str, bool]],
    skip: int,
    limit: int,
) -> list[Job]:
    """Up to `limit` of the jobs that match; `order` names keys of `JOB_SORTS`, with whether one descends."""
    where, args = _where(domain_id, filters)
    by = ", ".join(f"{JOB_SORTS[name]}{' DESC' if descends else ''}" for name, descends in order)
    rows = await store.read(f"{_JOBS} WHERE {where} ORDER BY {by}, j.num LIMIT ? OFFSET ?", *args, limit, skip)
    return [Job(*row) for row in rows]


def _where(domain_id: str, filters: Mapping[str, Sequence[str]]) -> tuple[str, list[Value]]:
    clauses, args = ["j.domain_id = ?"], list[Value]([domain_id])
    for name, words in filters.items():
        column, any_of = JOB_FILTERS[name], []
        for word in words:
            in_any_case = name == "name" or "*" in word
            any_of.append(f"lower({column}) LIKE lower(?) ESCAPE '!'" if in_any_case else f"{column} = ?")
            args.append(_like(word) if in_any_case else word)
        clauses.append(f"({' OR '.join(any_of)})")
    return " AND ".join(clauses), args


def _like(word: str) -> str:
    escaped = word.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return re.sub(r"\*+", "%", escaped)
