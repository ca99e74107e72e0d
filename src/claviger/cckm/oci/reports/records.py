"""Stored reports and their rows, and where the rows come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from claviger.store.contract import Store, Tx


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report of a domain. `params` is the JSON of the ids of its vaults; times are epoch seconds. `num` 0: new."""

    num: int
    id: str
    domain_id: str
    name: str
    report_type: str
    params: str
    start_at: float | None
    end_at: float | None
    state: str
    message: str
    row_count: int
    created_by: str
    created_at: float
    updated_at: float

    @property
    def vaults(self) -> list[str]:
        """Ids of the records of its vaults."""
        return msgspec.json.decode(self.params, type=list[str])


class Aging(msgspec.Struct, frozen=True, kw_only=True):
    """A key with what its age is told by."""

    num: int
    name: str
    ocid: str
    vault_name: str
    vault_ocid: str
    compartment_name: str
    region: str
    algorithm: str
    length: int
    protection_mode: str
    state: str
    oci_created_at: float
    deletes_at: float | None
    auto_rotate: int
    gone: int
    version_count: int
    current_created_at: float | None


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """A version that is not the first one of its key."""

    num: int
    key_name: str
    key_ocid: str
    ocid: str
    origin: str
    oci_created_at: float
    vault_name: str
    vault_ocid: str
    is_current: bool


_FIELDS = Report.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_SELECT = f"SELECT {_COLUMNS} FROM cckm_oci_reports"


def _row(row: Sequence[object]) -> Report:
    return Report(**dict(zip(_FIELDS, row, strict=True)))  # type: ignore[arg-type]  # columns in their order


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


async def all_of(store: Store, domain_id: str) -> list[Report]:
    """The reports of a domain, oldest first."""
    return [_row(row) for row in await store.read(f"{_SELECT} WHERE domain_id = ? ORDER BY num", domain_id)]


async def by_id(store: Store, domain_id: str, ident: str) -> Report | None:
    """One report."""
    row = await store.read_one(f"{_SELECT} WHERE domain_id = ? AND id = ?", domain_id, ident)
    return None if row is None else _row(row)


def load(tx: Tx, domain_id: str, ident: str) -> Report | None:
    """The same within a change."""
    row = tx.fetch_one(f"{_SELECT} WHERE domain_id = ? AND id = ?", domain_id, ident)
    return None if row is None else _row(row)


def count(tx: Tx, domain_id: str) -> int:
    """How many reports a domain has."""
    row = tx.fetch_one("SELECT COUNT(*) FROM cckm_oci_reports WHERE domain_id = ?", domain_id)
    return 0 if row is None else int(row[0])


def add(tx: Tx, fresh: Report) -> None:
    """Stores a new report."""
    names = _COLUMNS.removeprefix("num, ")
    values = msgspec.structs.astuple(fresh)[1:]
    tx.execute(f"INSERT INTO cckm_oci_reports ({names}) VALUES ({_marks(values)})", *values)


def set_state(tx: Tx, num: int, state: str, message: str, row_count: int, now: float) -> None:
    """Notes how far a report is."""
    tx.execute(
        "UPDATE cckm_oci_reports SET state = ?, message = ?, row_count = ?, updated_at = ? WHERE num = ?",
        state,
        message,
        row_count,
        now,
        num,
    )


def remove(tx: Tx, num: int) -> None:
    """Removes a report with its rows."""
    tx.execute("DELETE FROM cckm_oci_report_rows WHERE report_num = ?", num)
    tx.execute("DELETE FROM cckm_oci_reports WHERE num = ?", num)


def forget_rows(tx: Tx, num: int) -> None:
    """Begins the rows of a report anew."""
    tx.execute("DELETE FROM cckm_oci_report_rows WHERE report_num = ?", num)


def add_rows(tx: Tx, num: int, first: int, rows: Sequence[tuple[str, str]]) -> None:
    """Stores rows, each the OCID of its key and its JSON, from a place on; none of a report that was deleted."""
    if tx.fetch_one("SELECT 1 FROM cckm_oci_reports WHERE num = ?", num) is None:
        return
    for place, (key_ocid, content) in enumerate(rows, first):
        tx.execute(
            "INSERT INTO cckm_oci_report_rows (report_num, place, key_ocid, content) VALUES (?, ?, ?, ?)",
            num,
            place,
            key_ocid,
            content,
        )


async def rows_after(store: Store, num: int, place: int, most: int) -> list[tuple[int, dict[str, Any]]]:
    """Rows of a report behind a place, in order."""
    rows = await store.read(
        "SELECT place, content FROM cckm_oci_report_rows WHERE report_num = ? AND place > ? ORDER BY place LIMIT ?",
        num,
        place,
        most,
    )
    return [(int(row[0]), msgspec.json.decode(row[1])) for row in rows]


async def aging_after(store: Store, vault_ids: Sequence[str], num: int, most: int) -> list[Aging]:
    """Keys of vaults behind a number, in order, with how many versions they have and when the current one was made."""
    rows = await store.read(
        "SELECT k.num, k.name, k.ocid, v.display_name, v.ocid, k.compartment_name, v.region, k.algorithm, k.length, "
        "k.protection_mode, k.state, k.oci_created_at, k.deletes_at, k.auto_rotate, k.gone, "
        "(SELECT COUNT(*) FROM cckm_oci_key_versions n WHERE n.key_num = k.num), "
        "(SELECT n.oci_created_at FROM cckm_oci_key_versions n WHERE n.key_num = k.num "
        "AND n.ocid = k.current_version_ocid) "
        "FROM cckm_oci_keys k JOIN cckm_oci_vaults v ON v.num = k.vault_num "
        f"WHERE v.id IN ({_marks(vault_ids)}) AND v.removed = 0 AND k.num > ? ORDER BY k.num LIMIT ?",
        *vault_ids,
        num,
        most,
    )
    return [Aging(**dict(zip(Aging.__struct_fields__, row, strict=True))) for row in rows]


async def rotated_after(
    store: Store, vault_ids: Sequence[str], start: float, end: float, num: int, most: int
) -> list[Rotated]:
    """Versions of a period behind a number that some other version of their key came before."""
    rows = await store.read(
        "SELECT n.num, k.name, k.ocid, n.ocid, n.key_origin, n.oci_created_at, v.display_name, v.ocid, "
        "CASE WHEN n.ocid = k.current_version_ocid THEN 1 ELSE 0 END "
        "FROM cckm_oci_key_versions n JOIN cckm_oci_keys k ON k.num = n.key_num "
        "JOIN cckm_oci_vaults v ON v.num = k.vault_num "
        f"WHERE v.id IN ({_marks(vault_ids)}) AND v.removed = 0 AND n.oci_created_at >= ? AND n.oci_created_at < ? "
        "AND n.num > ? AND EXISTS (SELECT 1 FROM cckm_oci_key_versions e WHERE e.key_num = n.key_num "
        "AND e.oci_created_at < n.oci_created_at) ORDER BY n.num LIMIT ?",
        *vault_ids,
        start,
        end,
        num,
        most,
    )
    names = Rotated.__struct_fields__
    return [Rotated(**{**dict(zip(names, row, strict=True)), "is_current": bool(row[8])}) for row in rows]


async def keys_by_id(store: Store, ids: Sequence[str]) -> dict[str, tuple[str, str, str, str]]:
    """By the id of a key's record, or of a version's: the key's OCID, vault's record id, vault's name and OCID."""
    if not ids:
        return {}
    rows = await store.read(
        "SELECT k.id, k.ocid, v.id, v.display_name, v.ocid FROM cckm_oci_keys k "
        f"JOIN cckm_oci_vaults v ON v.num = k.vault_num WHERE k.id IN ({_marks(ids)}) "
        "UNION ALL SELECT n.id, k.ocid, v.id, v.display_name, v.ocid FROM cckm_oci_key_versions n "
        "JOIN cckm_oci_keys k ON k.num = n.key_num JOIN cckm_oci_vaults v ON v.num = k.vault_num "
        f"WHERE n.id IN ({_marks(ids)})",
        *ids,
        *ids,
    )
    return {str(row[0]): (str(row[1]), str(row[2]), str(row[3]), str(row[4])) for row in rows}
