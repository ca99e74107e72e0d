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
from claviger.cckm.oci.records import Looks
from claviger.cckm.records import Table, one_of, portions
from claviger.store.contract import Row, Store, Tx

_TABLE = Table("cckm_oci_keys", KeyRow)
_OF_VAULT = "v.domain_id, v.id, v.ocid, v.display_name, v.tenancy_name, v.region"
_VIEWED = f"{', '.join('k.' + name for name in _TABLE.fields)}, {_OF_VAULT}"
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
    "id": "k.id",
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

    @property
    def of_vault(self) -> bool:
        """Whether it is about nothing but the vault. Columns are named with their table, and values stand in `args`."""
        return "k." not in self.sql


NOTHING = Wanted("1 = 0")
_SPECIAL = re.compile(r"([\\%_])")


def among(column: str, values: Collection[str | int]) -> Wanted:
    """One of these values; without any, nothing."""
    if not values:
        return NOTHING
    return Wanted(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))


def matching(column: str, words: Sequence[str], *, any_case: bool = False) -> Wanted:
    """One of these words; `*` in one stands for any characters, in any case. With `any_case` it never counts.

    Both sides are in the database's own small letters: some know those of ASCII alone.
    """
    exact = sorted({word for word in words if "*" not in word and not any_case})
    patterns = sorted({re.sub(r"\*+", "*", word) for word in words if "*" in word or any_case})
    conditions = [among(column, exact)] if exact else []
    for word in patterns:
        pattern = _SPECIAL.sub(r"\\\1", word).replace("*", "%")
        conditions.append(Wanted(f"LOWER({column}) LIKE LOWER(?) ESCAPE '\\'", (pattern,)))
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


def _view(row: Sequence[Any]) -> KeyView:
    of_vault = row[len(_TABLE.fields) :]
    return KeyView(
        row=_TABLE.row(row[: len(_TABLE.fields)]),
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
    where, args = _all(wanted)
    rows = await store.read(
        f"SELECT {_VIEWED} {_JOINED}{where} ORDER BY {', '.join([*orders, 'k.num'])} LIMIT ? OFFSET ?",
        domain_id,
        *args,
        count,
        skip,
    )
    return [_view(row) for row in rows]


async def views(store: Store, domain_id: str, nums: Sequence[int], wanted: Sequence[Wanted] = ()) -> list[KeyView]:
    """Keys of the domain by their numbers, in the order of those.

    The ones that are not there, or do not meet every condition, are left out.
    """
    found: dict[int, KeyView] = {}
    for portion in portions(nums):
        read = await page(store, domain_id, [among("k.num", portion), *wanted], [], 0, len(portion))
        found |= {each.row.num: each for each in read}
    return [found[num] for num in nums if num in found]


async def count(store: Store, domain_id: str, wanted: Sequence[Wanted]) -> int:
    """How many there are."""
    where, args = _all(wanted)
    row = await store.read_one(f"SELECT COUNT(*) {_JOINED}{where}", domain_id, *args)
    return 0 if row is None else int(row[0])


async def regions(store: Store, domain_id: str, wanted: Sequence[Wanted]) -> dict[int, str]:
    """The nums and regions of the domain's vaults that meet these conditions, which are about vaults alone."""
    where, args = _all(wanted)
    rows = await store.read(
        f"SELECT v.num, v.region FROM cckm_oci_vaults v WHERE v.domain_id = ? AND v.removed = 0{where}",
        domain_id,
        *args,
    )
    return {int(row[0]): str(row[1]) for row in rows}


async def has_few(store: Store, vaults: Collection[int], most: int) -> bool:
    """Whether vaults have no more keys than this, whatever they are like."""
    is_in = one_of(store, "k.vault_num", numbers=True)
    row = await store.read_one(
        f"SELECT COUNT(*) FROM (SELECT 1 FROM cckm_oci_keys k WHERE {is_in} LIMIT ?) AS few",
        _encoded(vaults),
        most + 1,
    )
    return row is not None and int(row[0]) <= most


async def places(
    store: Store,
    columns: Sequence[str],
    vaults: Collection[int],
    wanted: Sequence[Wanted],
    nums: tuple[int, int] | None = None,
) -> list[Row]:
    """These columns of all keys of some vaults that meet the conditions, which are about keys alone.

    `nums`: of those from the first num on and before the second; it then is what they are found by.
    """
    where, args = _all(wanted)
    between = "" if nums is None else "k.num >= ? AND k.num < ? AND "
    is_in = one_of(store, "k.vault_num" if nums is None else "+k.vault_num", numbers=True)
    return await store.read(
        f"SELECT {', '.join(columns)} FROM cckm_oci_keys k WHERE {between}{is_in}{where}",
        *(nums or ()),
        _encoded(vaults),
        *args,
    )


def _encoded(nums: Collection[int]) -> str:
    """Nums as `one_of` is given them."""
    return msgspec.json.encode(sorted(nums)).decode()


def _all(wanted: Sequence[Wanted]) -> tuple[str, list[Any]]:
    """The end of a WHERE, and its values."""
    return "".join(f" AND {each.sql}" for each in wanted), [value for each in wanted for value in each.args]


def load(tx: Tx, ident: str) -> KeyRow | None:
    """A key by its record's id within a change."""
    row = tx.fetch_one(f"{_TABLE.select} WHERE id = ?", ident)
    return None if row is None else _TABLE.row(row)


def ocids_of_name(tx: Tx, vault_num: int, name: str) -> tuple[str, ...]:
    """OCI's identifiers of the keys of a name."""
    rows = tx.fetch(
        "SELECT ocid FROM cckm_oci_keys WHERE vault_num = ? AND name_key = ? ORDER BY num", vault_num, name.lower()
    )
    return tuple(str(row[0]) for row in rows)


def load_by_num(tx: Tx, num: int) -> KeyRow | None:
    """A key by its number within a change."""
    row = tx.fetch_one(f"{_TABLE.select} WHERE num = ?", num)
    return None if row is None else _TABLE.row(row)


def load_by_ocid(tx: Tx, vault_num: int, ocid: str) -> KeyRow | None:
    """A key of a vault by OCI's identifier within a change."""
    row = tx.fetch_one(f"{_TABLE.select} WHERE vault_num = ? AND ocid = ?", vault_num, ocid)
    return None if row is None else _TABLE.row(row)


def put(tx: Tx, row: KeyRow) -> KeyRow:
    """Stores a key, new or changed; it as it is then, with its num."""
    if row.num:
        note_moved(tx, [row.num])
        _TABLE.replace(tx, row)
        return row
    added = _TABLE.add(tx, row)
    note_moved(tx, [added.num])
    return added


def remove(tx: Tx, num: int) -> None:
    """Removes a key; its versions go with it."""
    note_moved(tx, [num])
    tx.execute("DELETE FROM cckm_oci_keys WHERE num = ?", num)


_LOOKS = Looks("cckm_oci_keys", "num", "cckm_oci_keys r JOIN cckm_oci_vaults v ON v.num = r.vault_num", load_by_num)
due, next_due, claim = _LOOKS.due, _LOOKS.next_due, _LOOKS.claim
take_up, put_off = _LOOKS.take_up, _LOOKS.put_off
