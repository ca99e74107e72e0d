"""Stored versions of keys."""

from __future__ import annotations

from claviger.cckm.oci.records import Looks
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.cckm.records import Table, bump_keys_revision
from claviger.store.contract import Store, Tx

_TABLE = Table("cckm_oci_key_versions", VersionRow)


async def of_key(store: Store, key_num: int) -> list[VersionRow]:
    """The versions of a key, newest first."""
    rows = await store.read(f"{_TABLE.select} WHERE key_num = ? ORDER BY oci_created_at DESC, num DESC", key_num)
    return [_TABLE.row(row) for row in rows]


async def by_id(store: Store, key_num: int, ident: str) -> VersionRow | None:
    """A version of a key by its record's id."""
    row = await store.read_one(f"{_TABLE.select} WHERE key_num = ? AND id = ?", key_num, ident)
    return None if row is None else _TABLE.row(row)


def load_of_key(tx: Tx, key_num: int) -> list[VersionRow]:
    """The versions of a key within a change, newest first."""
    rows = tx.fetch(f"{_TABLE.select} WHERE key_num = ? ORDER BY oci_created_at DESC, num DESC", key_num)
    return [_TABLE.row(row) for row in rows]


def load(tx: Tx, ident: str) -> VersionRow | None:
    """A version by its record's id within a change."""
    row = tx.fetch_one(f"{_TABLE.select} WHERE id = ?", ident)
    return None if row is None else _TABLE.row(row)


def load_by_ocid(tx: Tx, key_num: int, ocid: str) -> VersionRow | None:
    """A version of a key by OCI's identifier within a change."""
    row = tx.fetch_one(f"{_TABLE.select} WHERE key_num = ? AND ocid = ?", key_num, ocid)
    return None if row is None else _TABLE.row(row)


def put(tx: Tx, row: VersionRow) -> VersionRow:
    """Stores a version, new or changed; it as it is then, with its num."""
    bump_keys_revision(tx)
    if row.num:
        _TABLE.replace(tx, row)
        return row
    return _TABLE.add(tx, row)


_LOOKS = Looks(
    "cckm_oci_key_versions",
    "id",
    "cckm_oci_key_versions r JOIN cckm_oci_keys k ON k.num = r.key_num JOIN cckm_oci_vaults v ON v.num = k.vault_num",
    load,
)
due, next_due, claim = _LOOKS.due, _LOOKS.next_due, _LOOKS.claim
take_up, put_off = _LOOKS.take_up, _LOOKS.put_off
