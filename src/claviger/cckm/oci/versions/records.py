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


_DUE = (
    "FROM cckm_oci_key_versions n JOIN cckm_oci_keys k ON k.num = n.key_num "
    "JOIN cckm_oci_vaults v ON v.num = k.vault_num WHERE n.refresh_at IS NOT NULL AND v.removed = 0"
)


async def due(store: Store, now: float, astray: float, most: int) -> list[str]:
    """The ids of versions that it is time to look at again, the first ones first; `astray` as for keys."""
    rows = await store.read(
        f"SELECT n.id {_DUE} AND (n.refresh_at <= ? OR (n.refresh_at > ? AND n.state <> 'PENDING_DELETION')) "
        "ORDER BY n.refresh_at LIMIT ?",
        now,
        astray,
        most,
    )
    return [str(row[0]) for row in rows]


async def next_due(store: Store) -> float | None:
    """When the next one is due."""
    row = await store.read_one(f"SELECT MIN(n.refresh_at) {_DUE}")
    return None if row is None or row[0] is None else float(row[0])


def claim(tx: Tx, ident: str, now: float, astray: float, until: float) -> VersionRow | None:
    """Takes a version that is due for as long as looking at it may take; None where another server was quicker."""
    row = load(tx, ident)
    if row is None or row.refresh_at is None:
        return None
    is_astray = row.refresh_at > astray and row.state != "PENDING_DELETION"
    if row.refresh_at > now and not is_astray:
        return None
    return put_off(tx, row, until, row.tries)


def take_up(tx: Tx, now: float, until: float) -> None:
    """Makes due now what is to be looked at by then, as for keys."""
    sql = "UPDATE cckm_oci_key_versions SET refresh_at = ? WHERE refresh_at > ? AND refresh_at <= ?"
    tx.execute(sql, now, now, until)


def put_off(tx: Tx, row: VersionRow, at: float | None, tries: int) -> VersionRow:
    """Sets when a version is looked at again, where it is still the row that was read; it as it is then."""
    tx.execute(
        "UPDATE cckm_oci_key_versions SET refresh_at = ?, tries = ? WHERE num = ? AND refresh_at = ?",
        at,
        tries,
        row.num,
        row.refresh_at,
    )
    return msgspec.structs.replace(row, refresh_at=at, tries=tries)


def remove_all(tx: Tx, key_nums: Iterable[int]) -> None:
    """Removes the versions of keys."""
    for key_num in key_nums:
        tx.execute("DELETE FROM cckm_oci_key_versions WHERE key_num = ?", key_num)
