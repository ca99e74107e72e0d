"""Rows of what is backed up, read at once for many keys, and the SQL that puts restored ones in their place.

A backup is put together from several reads. `marks_in` says within the transaction that stores it whether they still
hold: every change of a key or a version moves its revision.
"""

from __future__ import annotations

from claviger.ocikms.backups import rules
from claviger.ocikms.keys import records as keys
from claviger.ocikms.keys.records import Key
from claviger.ocikms.versions import records as versions
from claviger.ocikms.versions.records import Version
from claviger.store.contract import Store, Tx, Value

Marks = frozenset[tuple[str, int]]
"""OCIDs of keys and versions, each with its revision."""

_TAKEN = f"k.protection_mode = '{rules.HSM}' AND k.state IN {rules.BACKED_UP_STATES}"
_JOINED = "oci_keys k JOIN oci_key_versions r ON r.key_num = k.num"


async def keys_of_vault(store: Store, vault_num: int) -> list[Key]:
    """The keys that go along with their vault; one more than there may be at most."""
    rows = await store.read(
        f"SELECT {keys.READ} FROM {keys.FROM} WHERE k.vault_num = ? AND {_TAKEN} ORDER BY k.num LIMIT ?",
        vault_num,
        rules.MAX_VERSIONS + 1,
    )
    return [keys.read(row) for row in rows]


async def versions_of_vault(store: Store, vault_num: int) -> list[tuple[Version, bytes | None]]:
    """Their versions with the sealed material, oldest first; one more than there may be at most."""
    columns = ", ".join(f"r.{name}" for name in Version.__struct_fields__)
    rows = await store.read(
        f"SELECT {columns}, r.sealed FROM {_JOINED} WHERE k.vault_num = ? AND {_TAKEN}"
        " ORDER BY k.num, r.created_at, r.num LIMIT ?",
        vault_num,
        rules.MAX_VERSIONS + 1,
    )
    return [(Version(*row[:-1]), None if row[-1] is None else bytes(row[-1])) for row in rows]


def marks_of_vault(tx: Tx, vault_num: int) -> Marks:
    """The keys that go along with their vault, and their versions, as they are now."""
    return _marks(tx, f"k.vault_num = ? AND {_TAKEN}", vault_num)


def marks_of_key(tx: Tx, key_num: int) -> Marks:
    """A key and its versions, as they are now."""
    return _marks(tx, "k.num = ?", key_num)


def _marks(tx: Tx, condition: str, value: Value) -> Marks:
    rows = tx.fetch(f"SELECT k.id, k.revision, r.id, r.revision FROM {_JOINED} WHERE {condition}", value)
    return frozenset(mark for row in rows for mark in ((row[0], row[1]), (row[2], row[3])))


def put_key(tx: Tx, key: Key) -> int:
    """Stores a restored key, in the place of the deleted one of its OCID if that has a row; its number."""
    if not key.num:
        return keys.add(tx, key)
    keys.replace(tx, key)
    tx.execute(
        "UPDATE oci_keys SET restored_from = ?, created_at = ? WHERE num = ?",
        key.restored_from,
        key.created_at,
        key.num,
    )
    return key.num


def revisions(tx: Tx, key_num: int) -> dict[str, int]:
    """The revision of each version that a key has a row of."""
    rows = tx.fetch("SELECT id, revision FROM oci_key_versions WHERE key_num = ?", key_num)
    return {str(row[0]): int(row[1]) for row in rows}


def put_version(tx: Tx, version: Version, sealed: bytes | None) -> None:
    """Stores a restored version, in the place of the row of its OCID, whose number nothing goes by any more."""
    tx.execute("DELETE FROM oci_key_versions WHERE id = ? AND key_num = ?", version.id, version.key_num)
    versions.add(tx, version, sealed)


# Data keys that backups are sealed under, which are kept for good.


async def backup_key(store: Store, uid: str) -> int | None:
    """The data key that sealed backups of that mark."""
    row = await store.read_one("SELECT data_key_id FROM oci_backup_keys WHERE uid = ?", uid)
    return None if row is None else int(row[0])


async def backup_key_uid(store: Store, data_key_id: int) -> str | None:
    """The mark under which backups name a data key."""
    row = await store.read_one("SELECT uid FROM oci_backup_keys WHERE data_key_id = ?", data_key_id)
    return None if row is None else str(row[0])


def add_backup_key(tx: Tx, uid: str, data_key_id: int, now: float) -> str:
    """Notes a data key as one that seals backups, and so keeps it for good; its mark, the older one if there is one."""
    row = tx.fetch_one("SELECT uid FROM oci_backup_keys WHERE data_key_id = ?", data_key_id)
    if row is not None:
        return str(row[0])
    tx.execute("INSERT INTO oci_backup_keys (uid, data_key_id, created_at) VALUES (?, ?, ?)", uid, data_key_id, now)
    return uid
