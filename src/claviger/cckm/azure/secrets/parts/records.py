"""Portions (parts) of the rows of secrets, as search keeps them in memory; the SQL for that.

Every change of rows notes its parts in its own transaction (`secrets/records.py`). Rows of a removed vault go without a
note: their vault is in no domain any more.
"""

from __future__ import annotations

import msgspec

from claviger.cckm.records import SECRETS_REVISION, Parts
from claviger.store.contract import Row, Store

PARTS = Parts("cckm_azure_secret_parts", SECRETS_REVISION)


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


async def rows_of(store: Store, part: int) -> list[PartRow]:
    """The rows of a part as they are now, by num."""
    rows = await store.read(
        "SELECT num, vault_num, name_key, status, latest, sole, gone, created_at, updated_at, azure_created_at, "
        "expires_at, purge_at, details FROM cckm_azure_secrets WHERE num >= ? AND num < ? ORDER BY num",
        *PARTS.nums(part),
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
