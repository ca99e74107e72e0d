"""Portions (parts) of the rows of secrets, by num, and the revision at which each has changed last; the SQL for that.

Every change of rows notes its parts in its own transaction (`secrets/records.py`). Whoever keeps something of the rows
in memory reads the parts anew that have a greater revision than he knows. Rows of a removed vault go without a note:
their vault is in no domain any more.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from claviger.cckm.records import SECRETS_REVISION, meta, portions
from claviger.store.contract import Row, Store, Tx

ROWS_A_PART = 1024


class _Attributes(msgspec.Struct, frozen=True):
    enabled: bool = True


class _Param(msgspec.Struct, frozen=True):
    tags: dict[str, str] = {}
    managed: bool = False
    attributes: _Attributes = _Attributes()


class _Said(msgspec.Struct, frozen=True):
    azure_param: _Param


class PartRow(msgspec.Struct, frozen=True, array_like=True):
    """What is read of a row. Times are whole seconds since 1970; 0: there is none."""

    num: int
    vault_num: int
    name_key: str
    status: str
    latest: bool
    sole: bool
    gone: bool
    enabled: bool
    managed: bool
    tags: dict[str, str]
    created_at: int
    updated_at: int
    azure_created_at: int
    expires_at: int
    purge_at: int


_SAID = msgspec.json.Decoder(_Said)


def note_moved(tx: Tx, nums: Iterable[int]) -> None:
    """Notes that rows have changed, come or gone, once the revision of the secrets has been moved."""
    parts = sorted({num // ROWS_A_PART for num in nums})
    if not parts:
        return
    found = tx.fetch_one("SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?", SECRETS_REVISION)
    revision = 0 if found is None else int(found[0])
    for portion in portions(parts):
        tx.execute(
            f"INSERT INTO cckm_azure_secret_parts (part, revision) VALUES {', '.join(['(?, ?)'] * len(portion))} "
            "ON CONFLICT (part) DO UPDATE SET revision = excluded.revision",
            *(value for part in portion for value in (part, revision)),
        )


async def revision_of(store: Store) -> int:
    """Moves with every change of secrets, and of what their vaults show."""
    return int(await meta(store, SECRETS_REVISION) or 0)


async def moved_since(store: Store, revision: int) -> list[int]:
    """The parts that have changed after a revision, in order; all of them after -1."""
    rows = await store.read("SELECT part FROM cckm_azure_secret_parts WHERE revision > ? ORDER BY part", revision)
    return [int(row[0]) for row in rows]


async def rows_of(store: Store, part: int) -> list[PartRow]:
    """The rows of a part as they are now, by num."""
    first = part * ROWS_A_PART
    rows = await store.read(
        "SELECT num, vault_num, name_key, status, latest, sole, gone, created_at, updated_at, azure_created_at, "
        "expires_at, purge_at, details FROM cckm_azure_secrets WHERE num >= ? AND num < ? ORDER BY num",
        first,
        first + ROWS_A_PART,
    )
    return [_part_row(row) for row in rows]


def _part_row(row: Row) -> PartRow:
    said = _SAID.decode(row[12]).azure_param
    return PartRow(
        row[0],
        row[1],
        row[2],
        row[3],
        row[4] != 0,
        row[5] != 0,
        row[6] != 0,
        said.attributes.enabled,
        said.managed,
        said.tags,
        int(row[7]),
        int(row[8]),
        row[9],
        row[10] or 0,
        row[11] or 0,
    )
