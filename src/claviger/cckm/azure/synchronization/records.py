"""What is stored of synchronisation: the vaults of jobs, drift, when a vault was last read; and what a reading has to
know of the secrets of a vault, asked a page at a time. The SQL for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from claviger.cckm.drift.records import Findings
from claviger.cckm.records import marks, portions
from claviger.cckm.synchronization.records import JobVaults
from claviger.store.contract import Store, Tx

_ALIVE = "status <> 'DELETED' AND gone = 0"
VAULTS = JobVaults("cckm_azure_synchronizations", separator="::")
FINDINGS = Findings("cckm_azure_drift", "name_key", "secret_id", "cckm_azure_secrets")


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


async def may_hide(store: Store, vault_num: int) -> bool:
    """Whether a name may be there by older versions alone, its newest row being of a life that has ended."""
    row = await store.read_one(
        f"SELECT MAX(CASE WHEN latest = 0 AND {_ALIVE} THEN 1 ELSE 0 END), "
        f"MAX(CASE WHEN latest = 1 AND NOT ({_ALIVE}) THEN 1 ELSE 0 END) "
        "FROM cckm_azure_secret_facets WHERE vault_num = ?",
        vault_num,
    )
    return row is not None and (row[0], row[1]) == (1, 1)


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
        "SELECT name_key, MAX(CASE WHEN latest = 1 THEN num ELSE 0 END), "
        f"MAX(CASE WHEN {_ALIVE} THEN purge_at END) FROM cckm_azure_secrets WHERE vault_num = ? AND name_key > ? "
        f"GROUP BY name_key HAVING MAX(CASE WHEN {_ALIVE} THEN 1 ELSE 0 END) = 1 ORDER BY name_key LIMIT ?",
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
