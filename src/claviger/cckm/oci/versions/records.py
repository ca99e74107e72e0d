"""Stored versions of keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from claviger.cckm.oci.versions.rows import VersionRow
from claviger.store.contract import Store, Tx

_FIELDS = VersionRow.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_NEW = _COLUMNS.removeprefix("num, ")
_SELECT = f"SELECT {_COLUMNS} FROM cckm_oci_key_versions"


def _row(row: Sequence[object]) -> VersionRow:
    return VersionRow(**dict(zip(_FIELDS, row, strict=True)))  # type: ignore[arg-type]  # columns in their order


async def of_key(store: Store, key_num: int) -> list[VersionRow]:
    """The versions of a key, newest first."""
    rows = await store.read(f"{_SELECT} WHERE key_num = ? ORDER BY oci_created_at DESC, num DESC", key_num)
    return [_row(row) for row in rows]


async def by_id(store: Store, key_num: int, ident: str) -> VersionRow | None:
    """A version of a key by its record's id."""
    row = await store.read_one(f"{_SELECT} WHERE key_num = ? AND id = ?", key_num, ident)
    return None if row is None else _row(row)


def load_of_key(tx: Tx, key_num: int) -> list[VersionRow]:
    """The versions of a key within a change, newest first."""
    rows = tx.fetch(f"{_SELECT} WHERE key_num = ? ORDER BY oci_created_at DESC, num DESC", key_num)
    return [_row(row) for row in rows]


def load(tx: Tx, ident: str) -> VersionRow | None:
    """A version by its record's id within a change."""
    row = tx.fetch_one(f"{_SELECT} WHERE id = ?", ident)
    return None if row is None else _row(row)


def load_by_ocid(tx: Tx, key_num: int, ocid: str) -> VersionRow | None:
    """A version of a key by OCI's identifier within a change."""
    row = tx.fetch_one(f"{_SELECT} WHERE key_num = ? AND ocid = ?", key_num, ocid)
    return None if row is None else _row(row)


def put(tx: Tx, row: VersionRow) -> VersionRow:
    """Stores a version, new or changed; it as it is then, with its num."""
    values = msgspec.structs.astuple(row)
    if row.num:
        columns = ", ".join(f"{name} = ?" for name in _NEW.split(", "))
        tx.execute(f"UPDATE cckm_oci_key_versions SET {columns} WHERE num = ?", *values[1:], row.num)
        return row
    num = tx.fetch_one(
        f"INSERT INTO cckm_oci_key_versions ({_NEW}) VALUES ({', '.join('?' * (len(_FIELDS) - 1))}) RETURNING num",
        *values[1:],
    )
    assert num is not None  # noqa: S101 - an INSERT that succeeds returns its row
    return msgspec.structs.replace(row, num=int(num[0]))


async def due(store: Store, now: float, most: int) -> list[tuple[int, str]]:
    """Key and id of versions in a passing state that it is time to look at again."""
    rows = await store.read(
        "SELECT key_num, id FROM cckm_oci_key_versions WHERE refresh_at IS NOT NULL AND refresh_at <= ? "
        "ORDER BY refresh_at LIMIT ?",
        now,
        most,
    )
    return [(int(row[0]), str(row[1])) for row in rows]


async def next_due(store: Store) -> float | None:
    """When the next one is due."""
    row = await store.read_one("SELECT MIN(refresh_at) FROM cckm_oci_key_versions WHERE refresh_at IS NOT NULL")
    return None if row is None or row[0] is None else float(row[0])


def remove_all(tx: Tx, key_nums: Iterable[int]) -> None:
    """Removes the versions of keys."""
    for key_num in key_nums:
        tx.execute("DELETE FROM cckm_oci_key_versions WHERE key_num = ?", key_num)
