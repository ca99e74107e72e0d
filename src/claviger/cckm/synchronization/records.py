"""What is stored of jobs: their vaults, and what came of each. A table a cloud, all alike; the SQL for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from claviger.cckm.records import ROWS_AT_ONCE, marks, portions
from claviger.cckm.synchronization.rules import CANCELLED, COMPLETED, FAILED, IN_PROGRESS, WAITING
from claviger.store.contract import Row, Store, Tx, Value

ENDED = (COMPLETED, FAILED, CANCELLED)
MOST_JOBS = 10_000


class Brake(msgspec.Struct, frozen=True):
    """Why the brake stopped a vault."""

    would_be_gone: int
    known: int
    allowed_percent: int


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a vault. So many secrets or keys were read (stored by the older name, secrets), and `left` were left
    for the next job, because they were being changed."""

    message: str = ""
    read: int = msgspec.field(default=0, name="secrets")
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


_OUTCOME = msgspec.json.Decoder(Outcome)


def _of_job(row: Row) -> VaultOfJob:
    return VaultOfJob(row[0], row[1], row[2], row[3], _OUTCOME.decode(row[4]))


class JobVaults:
    """The vaults of a cloud's jobs. `separator` is what may follow a vault's plain name in its record's name."""

    def __init__(self, table: str, separator: str = "") -> None:
        self._table = table
        self._separator = separator

    def add(self, tx: Tx, run_id: str, vaults: Sequence[tuple[str, str]]) -> None:
        """Notes which vaults, by id and name, a job is for; nothing where that was noted before."""
        for at, portion in enumerate(portions(vaults)):
            places = ", ".join(["(?, ?, ?, ?, ?, '{}')"] * len(portion))
            values = [
                value
                for place, (vault_id, name) in enumerate(portion, at * ROWS_AT_ONCE)
                for value in (run_id, place, vault_id, name, WAITING)
            ]
            tx.execute(
                f"INSERT INTO {self._table} (run_id, place, vault_id, name, state, outcome) "
                f"VALUES {places} ON CONFLICT (run_id, vault_id) DO NOTHING",
                *values,
            )

    def set_state(self, tx: Tx, run_id: str, vault_id: str, state: str, outcome: Outcome) -> None:
        """Notes how far a vault is."""
        tx.execute(
            f"UPDATE {self._table} SET state = ?, outcome = ? WHERE run_id = ? AND vault_id = ?",
            *(state, msgspec.json.encode(outcome).decode(), run_id, vault_id),
        )

    def cancel_the_rest(self, tx: Tx, run_id: str) -> None:
        """Notes that what has not ended will not be read any more."""
        outcome = msgspec.json.encode(Outcome(message="the job was cancelled before this vault was read")).decode()
        tx.execute(
            f"UPDATE {self._table} SET state = ?, outcome = ? WHERE run_id = ? AND state IN (?, ?)",
            *(CANCELLED, outcome, run_id, WAITING, IN_PROGRESS),
        )

    async def of(self, store: Store, run_ids: Collection[str]) -> list[VaultOfJob]:
        """The vaults of some jobs, each job's in their order."""
        found: list[VaultOfJob] = []
        for portion in portions(sorted(run_ids)):
            rows = await store.read(
                f"SELECT run_id, vault_id, name, state, outcome FROM {self._table} "
                f"WHERE run_id IN ({marks(portion)}) ORDER BY run_id, place",
                *portion,
            )
            found += [_of_job(row) for row in rows]
        return found

    async def jobs_with(self, store: Store, domain_id: str, kind: str, named: Iterable[str]) -> set[str]:
        """The ids of the domain's jobs that have a vault of any of these names or ids."""
        found: set[str] = set()
        for name in named:
            is_it, values = "s.vault_id = ? OR lower(s.name) = lower(?)", [name, name]
            if self._separator:
                is_it += " OR (lower(s.name) >= lower(?) AND lower(s.name) < lower(?))"
                values += [f"{name}{self._separator}", f"{name}{self._separator[:-1]}{_next(self._separator[-1])}"]
            args: list[Value] = [domain_id, kind, *values, MOST_JOBS]
            rows = await store.read(
                f"SELECT s.run_id FROM {self._table} s JOIN job_runs r ON r.id = s.run_id "
                f"WHERE r.domain_id = ? AND r.kind = ? AND ({is_it}) ORDER BY r.num DESC LIMIT ?",
                *args,
            )
            found |= {row[0] for row in rows}
        return found

    async def jobs_in(self, store: Store, domain_id: str, kind: str, vault_ids: Collection[str]) -> set[str]:
        """The ids of the domain's jobs that have any of these vaults."""
        found: set[str] = set()
        for portion in portions(sorted(vault_ids)):
            rows = await store.read(
                f"SELECT DISTINCT s.run_id FROM {self._table} s JOIN job_runs r ON r.id = s.run_id "
                f"WHERE r.domain_id = ? AND r.kind = ? AND s.vault_id IN ({marks(portion)})",
                *(domain_id, kind, *portion),
            )
            found |= {row[0] for row in rows}
        return found


def open_intents(tx: Tx, subjects: Sequence[str]) -> set[str]:
    """Those of the subjects on which an operation is under way, or waits to be finished."""
    found: set[str] = set()
    for portion in portions(subjects):
        sql = f"SELECT subject FROM intents WHERE subject IN ({marks(portion)})"
        found |= {str(row[0]) for row in tx.fetch(sql, *portion)}
    return found


def _next(character: str) -> str:
    return chr(ord(character) + 1)
