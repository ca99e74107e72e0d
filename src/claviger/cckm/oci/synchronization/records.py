"""What is stored of synchronisation: the vaults of jobs, drift, when a vault was last read; and what a reading has to
know of the keys of a vault, asked a page at a time. The SQL for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from claviger.cckm.drift.records import Findings
from claviger.cckm.oci.keys.parts.records import note_moved
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.cckm.records import bump_keys_revision, marks, portions
from claviger.cckm.synchronization.records import JobVaults
from claviger.store.contract import Row, Store, Tx

VAULTS = JobVaults("cckm_oci_synchronizations")
FINDINGS = Findings("cckm_oci_drift", "key_ocid", "key_id", "cckm_oci_keys")

_ALIVE = "state <> 'DELETED' AND gone = 0"
_KEY_FIELDS = KeyRow.__struct_fields__
_KEYS = ", ".join(_KEY_FIELDS)
_VERSION_FIELDS = VersionRow.__struct_fields__
_VERSIONS = ", ".join(_VERSION_FIELDS)


class Missing(msgspec.Struct, frozen=True):
    """A key that is recorded as being there."""

    num: int
    ocid: str
    compartment_ocid: str
    state: str
    deletes_at: float | None


class Known(msgspec.Struct, frozen=True):
    """The rows of a key."""

    key: KeyRow
    versions: list[VersionRow]


def _key(row: Row) -> KeyRow:
    return KeyRow(**dict(zip(_KEY_FIELDS, row, strict=True)))


def _version(row: Row) -> VersionRow:
    return VersionRow(**dict(zip(_VERSION_FIELDS, row, strict=True)))


def _together(keys: Sequence[Row], versions: Sequence[Row]) -> dict[str, Known]:
    found = {row[0]: Known(_key(row), []) for row in keys}
    for row in versions:
        version = _version(row)
        found[version.key_num].versions.append(version)
    return {each.key.ocid: each for each in found.values()}


def _of_keys(ocids: Sequence[str]) -> str:
    return f"SELECT {_KEYS} FROM cckm_oci_keys WHERE vault_num = ? AND ocid IN ({marks(ocids)})"


def _of_versions(count: int) -> str:
    return f"SELECT {_VERSIONS} FROM cckm_oci_key_versions WHERE key_num IN ({marks(range(count))}) ORDER BY num"


async def known(store: Store, vault_num: int, ocids: Sequence[str]) -> dict[str, Known]:
    """What is recorded of a page of keys, by OCID."""
    found: dict[str, Known] = {}
    for portion in portions(ocids):
        keys = await store.read(_of_keys(portion), vault_num, *portion)
        nums = [int(row[0]) for row in keys]
        versions = await store.read(_of_versions(len(nums)), *nums) if nums else []
        found |= _together(keys, versions)
    return found


def load(tx: Tx, vault_num: int, ocids: Sequence[str]) -> dict[str, Known]:
    """The same within a change."""
    found: dict[str, Known] = {}
    for portion in portions(ocids):
        keys = list(tx.fetch(_of_keys(portion), vault_num, *portion))
        nums = [int(row[0]) for row in keys]
        versions = list(tx.fetch(_of_versions(len(nums)), *nums)) if nums else []
        found |= _together(keys, versions)
    return found


async def alive(store: Store, vault_num: int) -> int:
    """How many keys of a vault are recorded as being there."""
    row = await store.read_one(f"SELECT COUNT(*) FROM cckm_oci_keys WHERE vault_num = ? AND {_ALIVE}", vault_num)
    return 0 if row is None else int(row[0])


async def nums(store: Store, vault_num: int) -> tuple[int, int]:
    """The lowest and the highest number of the keys of a vault; (1, 0) where there are none."""
    row = await store.read_one("SELECT MIN(num), MAX(num) FROM cckm_oci_keys WHERE vault_num = ?", vault_num)
    return (1, 0) if row is None or row[0] is None else (int(row[0]), int(row[1]))


async def alive_after(store: Store, vault_num: int, num: int, most: int) -> list[Missing]:
    """The next keys of a vault, in order, that are recorded as being there."""
    rows = await store.read(
        "SELECT num, ocid, compartment_ocid, state, deletes_at FROM cckm_oci_keys "
        f"WHERE vault_num = ? AND num > ? AND {_ALIVE} ORDER BY num LIMIT ?",
        vault_num,
        num,
        most,
    )
    return [Missing(*row) for row in rows]


async def compartments(store: Store, domain_id: str, tenancy_ocid: str, vault_num: int) -> set[str]:
    """The compartments where keys of a vault may be: those of the tenancy that are recorded, and those of its keys."""
    recorded = await store.read(
        "SELECT ocid FROM cckm_oci_compartments WHERE domain_id = ? AND tenancy_ocid = ?", domain_id, tenancy_ocid
    )
    of_keys = await store.read(
        f"SELECT DISTINCT compartment_ocid FROM cckm_oci_keys WHERE vault_num = ? AND {_ALIVE}", vault_num
    )
    return {str(row[0]) for row in (*recorded, *of_keys) if row[0]}


# Writing.


def add(tx: Tx, keys: Sequence[KeyRow]) -> dict[str, int]:
    """Stores new keys; their numbers by OCID."""
    found: dict[str, int] = {}
    columns = _KEY_FIELDS[1:]
    one = f"({marks(columns)})"
    for portion in portions(keys):
        values = [value for key in portion for value in msgspec.structs.astuple(key)[1:]]
        rows = tx.fetch(
            f"INSERT INTO cckm_oci_keys ({', '.join(columns)}) VALUES {', '.join([one] * len(portion))} "
            "RETURNING ocid, num",
            *values,
        )
        found |= {str(row[0]): int(row[1]) for row in rows}
    note_moved(tx, found.values())
    return found


def add_versions(tx: Tx, versions: Sequence[VersionRow]) -> None:
    """Stores new versions."""
    if versions:
        bump_keys_revision(tx)
    columns = _VERSION_FIELDS[1:]
    one = f"({marks(columns)})"
    for portion in portions(versions):
        values = [value for version in portion for value in msgspec.structs.astuple(version)[1:]]
        tx.execute(
            f"INSERT INTO cckm_oci_key_versions ({', '.join(columns)}) VALUES {', '.join([one] * len(portion))}",
            *values,
        )


def change(tx: Tx, keys: Sequence[KeyRow], versions: Sequence[VersionRow]) -> None:
    """Stores what has changed about keys and versions that this transaction has read."""
    note_moved(tx, [row.num for row in keys])
    if versions and not keys:
        bump_keys_revision(tx)
    for table, fields, rows in (
        ("cckm_oci_keys", _KEY_FIELDS, keys),
        ("cckm_oci_key_versions", _VERSION_FIELDS, versions),
    ):
        columns = ", ".join(f"{name} = ?" for name in fields[1:])
        for row in rows:
            values = msgspec.structs.astuple(row)
            tx.execute(f"UPDATE {table} SET {columns} WHERE num = ?", *values[1:], values[0])


def note_whole(tx: Tx, vault_num: int, began: float, now: float) -> None:
    """Notes that a vault was read wholly, and its records brought to what is there."""
    tx.execute("UPDATE cckm_oci_vaults SET read_began_at = ?, refreshed_at = ? WHERE num = ?", began, now, vault_num)
