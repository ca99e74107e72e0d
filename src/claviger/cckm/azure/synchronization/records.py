"""What is stored of synchronisation: the vaults of a job, when each vault was last read; and what a reading has to know
of the secrets of a vault, asked a page at a time. The SQL for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from claviger.cckm.azure.secrets.facets.records import ROWS_AT_ONCE, marks, portions
from claviger.cckm.azure.synchronization.rules import CANCELLED, COMPLETED, FAILED, IN_PROGRESS, WAITING
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.store.contract import Row, Store, Tx

_ALIVE = "status <> 'DELETED' AND gone = 0"
ENDED = (COMPLETED, FAILED, CANCELLED)
MOST_JOBS = 10_000


class Brake(msgspec.Struct, frozen=True):
    """Why the brake stopped a vault."""

    would_be_gone: int
    known: int
    allowed_percent: int


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a vault. `secrets` were read, `left` were left for the next job because they were being changed."""

    message: str = ""
    secrets: int = 0
    added: int = 0
    changed: int = 0
    gone: int = 0
    left: int = 0
    calls: int = 0
    throttled: int = 0
    brake: Brake | None = None


class VaultOfJob(msgspec.Struct, frozen=True):
    """A vault in a job."""

    run_id: str
    vault_id: str
    name: str
    state: str
    outcome: Outcome


class Known(msgspec.Struct, frozen=True):
    """The newest row of a name. `details` is as it is stored."""

    num: int
    version: str
    status: str
    gone: int
    details: str
    synced_at: float


class Missing(msgspec.Struct, frozen=True):
    """A name that is recorded as being there, by its newest row. `purge_at` is the latest of its rows."""

    name_key: str
    num: int
    purge_at: int | None


_OUTCOME = msgspec.json.Decoder(Outcome)


def _of_job(row: Row) -> VaultOfJob:
    return VaultOfJob(row[0], row[1], row[2], row[3], _OUTCOME.decode(row[4]))


# The vaults of jobs.


def add_vaults(tx: Tx, run_id: str, vaults: Sequence[VaultRow]) -> None:
    """Notes which vaults a job is for; nothing where that was noted before."""
    for at, portion in enumerate(portions(vaults)):
        places = ", ".join(["(?, ?, ?, ?, ?, '{}')"] * len(portion))
        values = [
            value
            for place, vault in enumerate(portion, at * ROWS_AT_ONCE)
            for value in (run_id, place, vault.id, vault.name, WAITING)
        ]
        tx.execute(
            "INSERT INTO cckm_azure_synchronizations (run_id, place, vault_id, name, state, outcome) "
            f"VALUES {places} ON CONFLICT (run_id, vault_id) DO NOTHING",
            *values,
        )


def set_state(tx: Tx, run_id: str, vault_id: str, state: str, outcome: Outcome) -> None:
    """Notes how far a vault is."""
    tx.execute(
        "UPDATE cckm_azure_synchronizations SET state = ?, outcome = ? WHERE run_id = ? AND vault_id = ?",
        *(state, msgspec.json.encode(outcome).decode(), run_id, vault_id),
    )


def cancel_the_rest(tx: Tx, run_id: str) -> None:
    """Notes that what has not ended will not be read any more."""
    outcome = msgspec.json.encode(Outcome(message="the job was cancelled before this vault was read")).decode()
    tx.execute(
        "UPDATE cckm_azure_synchronizations SET state = ?, outcome = ? WHERE run_id = ? AND state IN (?, ?)",
        *(CANCELLED, outcome, run_id, WAITING, IN_PROGRESS),
    )


async def vaults_of(store: Store, run_ids: Collection[str]) -> list[VaultOfJob]:
    """The vaults of some jobs, each job's in their order."""
    found: list[VaultOfJob] = []
    for portion in portions(sorted(run_ids)):
        rows = await store.read(
            "SELECT run_id, vault_id, name, state, outcome FROM cckm_azure_synchronizations "
            f"WHERE run_id IN ({marks(portion)}) ORDER BY run_id, place",
            *portion,
        )
        found += [_of_job(row) for row in rows]
    return found


async def jobs_with(store: Store, domain_id: str, kind: str, named: Iterable[str]) -> set[str]:
    """The ids of the domain's jobs that have a vault of any of these names or ids."""
    found: set[str] = set()
    for name in named:
        rows = await store.read(
            "SELECT s.run_id FROM cckm_azure_synchronizations s JOIN job_runs r ON r.id = s.run_id "
            "WHERE r.domain_id = ? AND r.kind = ? AND (s.vault_id = ? OR lower(s.name) = lower(?) "
            "OR (lower(s.name) >= lower(?) AND lower(s.name) < lower(?))) ORDER BY r.num DESC LIMIT ?",
            *(domain_id, kind, name, name, f"{name}::", f"{name}:;", MOST_JOBS),
        )
        found |= {row[0] for row in rows}
    return found


async def jobs_in(store: Store, domain_id: str, kind: str, vault_ids: Collection[str]) -> set[str]:
    """The ids of the domain's jobs that have any of these vaults."""
    found: set[str] = set()
    for portion in portions(sorted(vault_ids)):
        rows = await store.read(
            "SELECT DISTINCT s.run_id FROM cckm_azure_synchronizations s JOIN job_runs r ON r.id = s.run_id "
            f"WHERE r.domain_id = ? AND r.kind = ? AND s.vault_id IN ({marks(portion)})",
            *(domain_id, kind, *portion),
        )
        found |= {row[0] for row in rows}
    return found


# Vaults and their secrets.


async def began_at(store: Store, vault_num: int) -> float | None:
    """When the last whole reading of a vault was begun; None where there was none."""
    row = await store.read_one("SELECT began_at FROM cckm_azure_readings WHERE vault_num = ?", vault_num)
    return None if row is None else float(row[0])


def note_whole(tx: Tx, vault_num: int, began: float, now: float) -> None:
    """Notes that a vault was read wholly, and its records brought to what is there."""
    tx.execute(
        "INSERT INTO cckm_azure_readings (vault_num, began_at) VALUES (?, ?) "
        "ON CONFLICT (vault_num) DO UPDATE SET began_at = excluded.began_at",
        vault_num,
        began,
    )
    tx.execute("UPDATE cckm_azure_vaults SET synced_at = ? WHERE num = ?", now, vault_num)


async def alive(store: Store, vault_num: int) -> int:
    """How many secrets (names) of a vault are recorded as being there."""
    row = await store.read_one(
        f"SELECT SUM(count) FROM cckm_azure_secret_facets WHERE vault_num = ? AND latest = 1 AND {_ALIVE}", vault_num
    )
    return 0 if row is None or row[0] is None else int(row[0])


async def nums(store: Store, vault_num: int) -> tuple[int, int]:
    """The lowest and the highest number of the rows of a vault; (1, 0) where there are none."""
    row = await store.read_one("SELECT MIN(num), MAX(num) FROM cckm_azure_secrets WHERE vault_num = ?", vault_num)
    return (1, 0) if row is None or row[0] is None else (int(row[0]), int(row[1]))


async def known(store: Store, vault_num: int, keys: Sequence[str]) -> dict[str, Known]:
    """The newest rows of a page of names."""
    rows = await store.read(
        "SELECT name_key, num, version, status, gone, details, synced_at FROM cckm_azure_secrets "
        f"WHERE vault_num = ? AND latest = 1 AND name_key IN ({marks(keys)})",
        vault_num,
        *keys,
    )
    return {row[0]: Known(*row[1:]) for row in rows}


async def alive_versions(store: Store, vault_num: int, keys: Sequence[str]) -> dict[str, set[str]]:
    """The versions of names that are recorded as being there."""
    found: dict[str, set[str]] = {}
    for portion in portions(keys):
        rows = await store.read(
            f"SELECT name_key, version FROM cckm_azure_secrets WHERE vault_num = ? AND {_ALIVE} "
            f"AND name_key IN ({marks(portion)})",
            vault_num,
            *portion,
        )
        for key, version in rows:
            found.setdefault(key, set()).add(version)
    return found


async def alive_after(store: Store, vault_num: int, name_key: str, most: int) -> list[Missing]:
    """The next names of a vault, in order, that are recorded as being there."""
    rows = await store.read(
        "SELECT name_key, MAX(CASE WHEN latest = 1 THEN num ELSE 0 END), MAX(purge_at) FROM cckm_azure_secrets "
        f"WHERE vault_num = ? AND name_key > ? AND {_ALIVE} GROUP BY name_key ORDER BY name_key LIMIT ?",
        vault_num,
        name_key,
        most,
    )
    return [Missing(*row) for row in rows]


async def over(store: Store, vault_num: int, now: int) -> list[Missing]:
    """The names of a vault that were gone already, and whose retention has ended since."""
    rows = await store.read(
        "SELECT name_key, MAX(num), MAX(purge_at) FROM cckm_azure_secrets WHERE vault_num = ? AND gone = 1 "
        "AND status = 'SOFT-DELETED' AND purge_at <= ? GROUP BY name_key ORDER BY name_key",
        vault_num,
        now,
    )
    return [Missing(*row) for row in rows]


def open_intents(tx: Tx, subjects: Sequence[str]) -> set[str]:
    """Those of the subjects on which an operation is under way, or waits to be finished."""
    found: set[str] = set()
    for portion in portions(subjects):
        sql = f"SELECT subject FROM intents WHERE subject IN ({marks(portion)})"
        found |= {str(row[0]) for row in tx.fetch(sql, *portion)}
    return found
