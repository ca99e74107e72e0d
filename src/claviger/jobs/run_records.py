"""The table of job runs, and the SQL for it. What its columns mean stands in the migration that makes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from claviger.store.contract import Row, Store, Tx, Value

State = Literal["in_progress", "completed", "failed"]

LONGEST_MESSAGE = 2000
SORTS = {
    "createdAt": "num",
    "updatedAt": "updated_at",
    "completed_at": "COALESCE(completed_at, 0)",
    "state": "state",
    "id": "id",
}
_COLUMNS = (
    "id, kind, domain_id, run_key, state, request, progress, message, abort, holder, attempts, started_by, created_at, "
    "started_at, updated_at, completed_at"
)
_SELECT = f"SELECT {_COLUMNS} FROM job_runs"
_HELD = "id = ? AND holder = ? AND attempts = ? AND state = 'in_progress'"


class Run(msgspec.Struct, frozen=True):
    """A long piece of work. `request` and `progress` are JSON and hold no secret value.

    Times are by the clock that the product's dates go by; `started_at` is None until a server first takes the run up.
    `holder` and `attempts` tell one taking up from another: only the last one may save.
    """

    id: str
    kind: str
    domain_id: str
    key: str
    state: State
    request: str
    progress: str
    message: str
    abort: bool
    holder: str
    attempts: int
    by: str
    created_at: float
    started_at: float | None
    updated_at: float
    completed_at: float | None


def _run(row: Row) -> Run:
    return msgspec.structs.replace(Run(*row), abort=bool(row[8]))


def add(tx: Tx, run: Run) -> None:
    """Stores a new run, free to be taken up at once."""
    tx.execute(
        f"INSERT INTO job_runs ({_COLUMNS}, free_at, failures, last_error) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, '', 0, ?, ?, NULL, ?, NULL, 0, 0, '')",
        *(run.id, run.kind, run.domain_id, run.key, run.state, run.request, run.progress, run.message),
        *(run.by, run.created_at, run.updated_at),
    )


def load(tx: Tx, run_id: str) -> Run | None:
    """A run, within a change."""
    row = tx.fetch_one(f"{_SELECT} WHERE id = ?", run_id)
    return None if row is None else _run(row)


def active(tx: Tx, key: str) -> Run | None:
    """The run in progress that has this key."""
    row = tx.fetch_one(f"{_SELECT} WHERE run_key = ? AND run_key <> '' AND state = 'in_progress'", key)
    return None if row is None else _run(row)


def forget_oldest(tx: Tx, kind: str, domain_id: str, most: int) -> None:
    """Removes runs that ended, but for the newest `most` of this kind and domain."""
    row = tx.fetch_one(
        "SELECT num FROM job_runs WHERE kind = ? AND domain_id = ? ORDER BY num DESC LIMIT 1 OFFSET ?",
        kind,
        domain_id,
        most,
    )
    if row is not None:
        tx.execute(
            "DELETE FROM job_runs WHERE kind = ? AND domain_id = ? AND num <= ? AND state <> 'in_progress'",
            kind,
            domain_id,
            row[0],
        )


def take_up(
    tx: Tx, kinds: Sequence[str], holder: str, machine_now: float, free_at: float, now: float, most: int
) -> list[Run]:
    """Gives up to `most` runs that are free to `holder` until `free_at`, those waiting longest first."""
    rows = tx.fetch(
        f"SELECT id FROM job_runs WHERE state = 'in_progress' AND free_at <= ? AND kind IN ({_marks(kinds)}) "
        "ORDER BY free_at, num LIMIT ?",
        machine_now,
        *kinds,
        most,
    )
    taken = []
    for (run_id,) in rows:
        tx.execute(
            "UPDATE job_runs SET holder = ?, free_at = ?, attempts = attempts + 1, failures = failures + 1, "
            "started_at = COALESCE(started_at, ?), updated_at = ? WHERE id = ?",
            *(holder, free_at, now, now, run_id),
        )
        run = load(tx, run_id)
        if run is not None:
            taken.append(run)
    return taken


def failures(tx: Tx, run: Run) -> tuple[int, str]:
    """How often the run was taken up since it last saved progress, and what was wrong the last time."""
    row = tx.fetch_one("SELECT failures, last_error FROM job_runs WHERE id = ?", run.id)
    return (0, "") if row is None else (int(row[0]), str(row[1]))


def save(tx: Tx, run: Run, progress: str, free_at: float, now: float) -> bool:
    """Stores progress and renews the lease; whether the run is still held by this taking up."""
    changed = tx.execute(
        f"UPDATE job_runs SET progress = ?, free_at = ?, failures = 0, updated_at = ? WHERE {_HELD}",
        *(progress, free_at, now, *_holding(run)),
    )
    return changed == 1


def renew(tx: Tx, run: Run, free_at: float) -> bool:
    """Renews the lease alone; whether the run is still held by this taking up."""
    return tx.execute(f"UPDATE job_runs SET free_at = ? WHERE {_HELD}", free_at, *_holding(run)) == 1


def put_off(tx: Tx, run: Run, free_at: float, error: str) -> None:
    """Lets go of a run that failed for now."""
    tx.execute(
        f"UPDATE job_runs SET holder = '', free_at = ?, last_error = ? WHERE {_HELD}",
        *(free_at, error[:500], *_holding(run)),
    )


def release(tx: Tx, run: Run) -> None:
    """Lets go of a run that was stopped in good order: it may be taken up at once, and nothing failed."""
    tx.execute(
        "UPDATE job_runs SET holder = '', free_at = 0, failures = CASE WHEN failures > 0 THEN failures - 1 ELSE 0 END "
        f"WHERE {_HELD}",
        *_holding(run),
    )


def end(tx: Tx, run: Run, state: State, progress: str, message: str, now: float) -> bool:
    """Ends a run; whether it was still held by this taking up."""
    changed = tx.execute(
        "UPDATE job_runs SET state = ?, progress = ?, message = ?, holder = '', updated_at = ?, completed_at = ? "
        f"WHERE {_HELD}",
        *(state, progress, message[:LONGEST_MESSAGE], now, now, *_holding(run)),
    )
    return changed == 1


def ask_abort(tx: Tx, run_id: str, now: float) -> bool:
    """Notes that a run is to stop; whether it was in progress."""
    changed = tx.execute(
        "UPDATE job_runs SET abort = 1, updated_at = ? WHERE id = ? AND state = 'in_progress'", now, run_id
    )
    return changed == 1


async def held(store: Store) -> list[tuple[str, str]]:
    """Id and holder of every run that has a lease."""
    rows = await store.read("SELECT id, holder FROM job_runs WHERE state = 'in_progress' AND holder <> ''")
    return [(row[0], row[1]) for row in rows]


def expire(tx: Tx, run_id: str, holder: str) -> None:
    """Ends the lease of a holder that is dead."""
    tx.execute(
        "UPDATE job_runs SET holder = '', free_at = 0 WHERE id = ? AND holder = ? AND state = 'in_progress'",
        run_id,
        holder,
    )


async def next_free(store: Store, kinds: Sequence[str]) -> float | None:
    """When (by the machine's clock) the next run of these kinds is free to be taken up; None where there is none."""
    row = await store.read_one(
        f"SELECT MIN(free_at) FROM job_runs WHERE state = 'in_progress' AND kind IN ({_marks(kinds)})", *kinds
    )
    return None if row is None else row[0]


async def by_id(store: Store, kind: str, domain_id: str, run_id: str) -> Run | None:
    """A run of this kind and domain."""
    row = await store.read_one(f"{_SELECT} WHERE id = ? AND kind = ? AND domain_id = ?", run_id, kind, domain_id)
    return None if row is None else _run(row)


async def wants_abort(store: Store, run_id: str) -> bool:
    """Whether a run is to stop."""
    row = await store.read_one("SELECT abort FROM job_runs WHERE id = ?", run_id)
    return row is not None and bool(row[0])


async def page(
    store: Store,
    kind: str,
    domain_id: str,
    *,
    states: Sequence[str],
    ids: Sequence[str],
    order: Iterable[tuple[str, bool]],
    skip: int,
    limit: int,
) -> tuple[int, list[Run]]:
    """How many runs match, and up to `limit` of them (-1: all). `order`: keys of `SORTS`, with whether one descends."""
    where, args = "kind = ? AND domain_id = ?", [kind, domain_id]
    for column, wanted in (("state", states), ("id", ids)):
        if wanted:
            where += f" AND {column} IN ({_marks(wanted)})"
            args += wanted
    row = await store.read_one(f"SELECT COUNT(*) FROM job_runs WHERE {where}", *args)
    total = 0 if row is None else int(row[0])
    by = ", ".join(f"{SORTS[name]}{' DESC' if descends else ''}" for name, descends in order)
    bounds: list[Value] = [total if limit == -1 else limit, skip]
    rows = await store.read(f"{_SELECT} WHERE {where} ORDER BY {by or 'num'}, num LIMIT ? OFFSET ?", *args, *bounds)
    return total, [_run(row) for row in rows]


def _holding(run: Run) -> tuple[str, str, int]:
    return run.id, run.holder, run.attempts


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
