"""Stored keys of OCI vaults: one by one, and in pages filtered and sorted by the database.

What is shown is joined with the vault; keys of a removed vault are shown to nobody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from claviger.cckm.oci.keys.parts.records import note_moved
from claviger.cckm.oci.keys.rows import KeyRow, KeyView
from claviger.cckm.records import portions
from claviger.store.contract import Store, Tx

_FIELDS = KeyRow.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_NEW = _COLUMNS.removeprefix("num, ")
_SELECT = f"SELECT {_COLUMNS} FROM cckm_oci_keys"
_OF_VAULT = "v.domain_id, v.id, v.ocid, v.display_name, v.tenancy_name, v.region"
_VIEWED = f"{', '.join('k.' + name for name in _FIELDS)}, {_OF_VAULT}"
_JOINED = "FROM cckm_oci_keys k JOIN cckm_oci_vaults v ON v.num = k.vault_num WHERE v.domain_id = ? AND v.removed = 0"

COLUMNS: Mapping[str, str] = {
    "id": "k.id",
    "key_name": "k.name",
    "display_name": "k.name",
    "algorithm": "k.algorithm",
    "length": "k.length",
    "key_id": "k.ocid",
    "vault_name": "v.display_name",
    "cckm_vault_id": "v.id",
    "protection_mode": "k.protection_mode",
    "job_config_id": "k.job_config_id",
    "lifecycle_state": "k.state",
    "tenancy": "v.tenancy_name",
    "compartment_name": "k.compartment_name",
    "curve_id": "k.curve_id",
    "region": "v.region",
    "key_material_origin": "k.origin",
    "gone": "k.gone",
}
"""What lists filter by, and in which column it lies."""
ORDERS: Mapping[str, str] = {
    "createdAt": "k.num",
    "updatedAt": "k.updated_at",
    "key_name": "k.name_key",
    "display_name": "k.name_key",
    "name": "k.name_key",
    "key_id": "k.ocid",
    "algorithm": "k.algorithm",
    "length": "k.length",
    "region": "v.region",
    "lifecycle_state": "k.state",
    "time_created": "k.oci_created_at",
    "time_of_deletion": "k.deletes_at",
    "linked_state": "k.num",
    "blocked": "k.num",
    "local_hyok_key_id": "k.num",
}
"""What lists are sorted by, as clients of the product know it; of external keys there are none to be told apart."""


class Wanted(msgspec.Struct, frozen=True):
    """A condition of a list: SQL over `k` and `v`, and its values."""

    sql: str
    args: tuple[Any, ...] = ()


NOTHING = Wanted("1 = 0")
_SPECIAL = re.compile(r"([\\%_])")


def among(column: str, values: Collection[str | int]) -> Wanted:
    """One of these values; without any, nothing."""
    if not values:
        return NOTHING
    return Wanted(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))


def matching(column: str, words: Sequence[str]) -> Wanted:
    """One of these words; `*` in one stands for any characters, in any case."""
    exact = sorted({word for word in words if "*" not in word})
    patterns = sorted({re.sub(r"\*+", "*", word) for word in words if "*" in word})
    conditions = [among(column, exact)] if exact else []
    for word in patterns:
        pattern = _SPECIAL.sub(r"\\\1", word.lower()).replace("*", "%")
        conditions.append(Wanted(f"LOWER({column}) LIKE ? ESCAPE '\\'", (pattern,)))
    return any_of(conditions)


def any_of(conditions: Sequence[Wanted]) -> Wanted:
    """At least one of these."""
    args = tuple(arg for each in conditions for arg in each.args)
    return Wanted(f"({' OR '.join(each.sql for each in conditions)})", args)


def order(name: str, descending: bool) -> str:
    """What to sort by. Keys that are not to be deleted come last by that date, either way, on either database."""
    direction = "DESC" if descending else "ASC"
    column = ORDERS[name]
    if name == "time_of_deletion":
        return f"CASE WHEN {column} IS NULL THEN 1 ELSE 0 END, {column} {direction}"
    return f"{column} {direction}"


def _row(row: Sequence[object]) -> KeyRow:
    return KeyRow(**dict(zip(_FIELDS, row, strict=True)))  # type: ignore[arg-type]  # columns in their order


def _view(row: Sequence[Any]) -> KeyView:
    of_vault = row[len(_FIELDS) :]
    return KeyView(
        row=_row(row[: len(_FIELDS)]),
        domain_id=of_vault[0],
        vault_id=of_vault[1],
        vault_ocid=of_vault[2],
        vault_name=of_vault[3],
        tenancy=of_vault[4],
        region=of_vault[5],
    )


async def view(store: Store, domain_id: str, ident: str) -> KeyView | None:
    """A key of the domain by its record's id, as it is shown."""
    row = await store.read_one(f"SELECT {_VIEWED} {_JOINED} AND k.id = ?", domain_id, ident)
    return None if row is None else _view(row)


async def page(
    store: Store, domain_id: str, wanted: Sequence[Wanted], orders: Sequence[str], skip: int, count: int
) -> list[KeyView]:
    """Keys that meet every condition, in order. `orders` are columns with their direction."""
    where = "".join(f" AND {each.sql}" for each in wanted)
    args = [value for each in wanted for value in each.args]
    rows = await store.read(
        f"SELECT {_VIEWED} {_JOINED}{where} ORDER BY {', '.join([*orders, 'k.num'])} LIMIT ? OFFSET ?",
        domain_id,
        *args,
        count,
        skip,
    )
    return [_view(row) for row in rows]


async def views(store: Store, domain_id: str, nums: Sequence[int]) -> list[KeyView]:
    """Keys of the domain by their numbers, in the order of those; the ones that are not there are left out."""
    found: dict[int, KeyView] = {}
    for portion in portions(nums):
        read = await page(store, domain_id, [among("k.num", portion)], [], 0, len(portion))
        found |= {each.row.num: each for each in read}
    return [found[num] for num in nums if num in found]


async def count(store: Store, domain_id: str, wanted: Sequence[Wanted]) -> int:
    """How many there are."""
    where = "".join(f" AND {each.sql}" for each in wanted)
    args = [value for each in wanted for value in each.args]
    row = await store.read_one(f"SELECT COUNT(*) {_JOINED}{where}", domain_id, *args)
    return 0 if row is None else int(row[0])


def load(tx: Tx, ident: str) -> KeyRow | None:
    """A key by its record's id within a change."""
    row = tx.fetch_one(f"{_SELECT} WHERE id = ?", ident)
    return None if row is None else _row(row)


def ocids_of_name(tx: Tx, vault_num: int, name: str) -> tuple[str, ...]:
    """OCI's identifiers of the keys of a name."""
    rows = tx.fetch(
        "SELECT ocid FROM cckm_oci_keys WHERE vault_num = ? AND name_key = ? ORDER BY num", vault_num, name.lower()
    )
    return tuple(str(row[0]) for row in rows)


def load_by_num(tx: Tx, num: int) -> KeyRow | None:
    """A key by its number within a change."""
    row = tx.fetch_one(f"{_SELECT} WHERE num = ?", num)
    return None if row is None else _row(row)


def load_by_ocid(tx: Tx, vault_num: int, ocid: str) -> KeyRow | None:
    """A key of a vault by OCI's identifier within a change."""
    row = tx.fetch_one(f"{_SELECT} WHERE vault_num = ? AND ocid = ?", vault_num, ocid)
    return None if row is None else _row(row)


def put(tx: Tx, row: KeyRow) -> KeyRow:
    """Stores a key, new or changed; it as it is then, with its num."""
    values = msgspec.structs.astuple(row)
    if row.num:
        note_moved(tx, [row.num])
        columns = ", ".join(f"{name} = ?" for name in _NEW.split(", "))
        tx.execute(f"UPDATE cckm_oci_keys SET {columns} WHERE num = ?", *values[1:], row.num)
        return row
    num = tx.fetch_one(
        f"INSERT INTO cckm_oci_keys ({_NEW}) VALUES ({', '.join('?' * (len(_FIELDS) - 1))}) RETURNING num",
        *values[1:],
    )
    assert num is not None  # noqa: S101 - an INSERT that succeeds returns its row
    note_moved(tx, [int(num[0])])
    return msgspec.structs.replace(row, num=int(num[0]))


def remove(tx: Tx, num: int) -> None:
    """Removes a key; its versions go with it."""
    note_moved(tx, [num])
    tx.execute("DELETE FROM cckm_oci_keys WHERE num = ?", num)


_DUE = (
    "FROM cckm_oci_keys k JOIN cckm_oci_vaults v ON v.num = k.vault_num WHERE k.refresh_at IS NOT NULL "
    "AND v.removed = 0"
)


async def due(store: Store, now: float, astray: float, most: int) -> list[int]:
    """The nums of keys that it is time to look at again, the first ones first.

    Those too that pass and are dated after `astray`, as nothing is that was dated by this clock: it was moved back.
    """
    rows = await store.read(
        f"SELECT k.num {_DUE} AND (k.refresh_at <= ? OR (k.refresh_at > ? AND k.state <> 'PENDING_DELETION')) "
        "ORDER BY k.refresh_at LIMIT ?",
        now,
        astray,
        most,
    )
    return [int(row[0]) for row in rows]


async def next_due(store: Store) -> float | None:
    """When the next one is due."""
    row = await store.read_one(f"SELECT MIN(k.refresh_at) {_DUE}")
    return None if row is None or row[0] is None else float(row[0])


def claim(tx: Tx, num: int, now: float, astray: float, until: float) -> KeyRow | None:
    """Takes a key that is due for as long as looking at it may take; None where another server was quicker."""
    row = load_by_num(tx, num)
    if row is None or row.refresh_at is None:
        return None
    is_astray = row.refresh_at > astray and row.state != "PENDING_DELETION"
    if row.refresh_at > now and not is_astray:
        return None
    return put_off(tx, row, until, row.tries)


def take_up(tx: Tx, now: float, until: float) -> None:
    """Makes due now what is to be looked at by then: who has claimed it may have ended. Two looks do no harm."""
    tx.execute("UPDATE cckm_oci_keys SET refresh_at = ? WHERE refresh_at > ? AND refresh_at <= ?", now, now, until)


def put_off(tx: Tx, row: KeyRow, at: float | None, tries: int) -> KeyRow:
    """Sets when a key is looked at again, where it is still the row that was read; it as it is then."""
    tx.execute(
        "UPDATE cckm_oci_keys SET refresh_at = ?, tries = ? WHERE num = ? AND refresh_at = ?",
        at,
        tries,
        row.num,
        row.refresh_at,
    )
    return msgspec.structs.replace(row, refresh_at=at, tries=tries)
