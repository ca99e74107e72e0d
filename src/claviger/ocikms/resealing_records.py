"""All rows of the embedded OCI that hold something sealed, for the rotation of data keys.

A table of its own here, and not one in each resource's records: whoever adds a sealed column must find the others.
"""

from __future__ import annotations

from claviger.store.contract import Tx


def versions_under(tx: Tx, data_key_id: int, limit: int) -> list[tuple[int, str, bytes]]:
    """Number, OCID and sealed material of some key versions under a data key."""
    rows = tx.fetch("SELECT num, id, sealed FROM oci_key_versions WHERE data_key_id = ? LIMIT ?", data_key_id, limit)
    return [(int(num), str(ident), bytes(sealed)) for num, ident, sealed in rows]


def move_version(tx: Tx, num: int, data_key_id: int, sealed: bytes) -> None:
    """Gives a version the same material under another data key."""
    tx.execute("UPDATE oci_key_versions SET data_key_id = ?, sealed = ? WHERE num = ?", data_key_id, sealed, num)


def wrapping_keys_under(tx: Tx, data_key_id: int, limit: int) -> list[tuple[int, str, bytes]]:
    """Number and OCID of some vaults whose wrapping key is under a data key, and that key sealed."""
    rows = tx.fetch(
        "SELECT num, id, wrapping_sealed FROM oci_vaults WHERE wrapping_data_key_id = ? LIMIT ?", data_key_id, limit
    )
    return [(int(num), str(ident), bytes(sealed)) for num, ident, sealed in rows]


def move_wrapping_key(tx: Tx, vault_num: int, data_key_id: int, sealed: bytes) -> None:
    """Gives a vault the same wrapping key under another data key."""
    tx.execute(
        "UPDATE oci_vaults SET wrapping_data_key_id = ?, wrapping_sealed = ? WHERE num = ?",
        data_key_id,
        sealed,
        vault_num,
    )


def secret_versions_under(tx: Tx, data_key_id: int, limit: int) -> list[tuple[int, str, int, bytes]]:
    """Number of the row, OCID of the secret, version number and sealed content of some secret versions."""
    rows = tx.fetch(
        "SELECT v.num, s.id, v.number, v.sealed FROM oci_secret_versions v JOIN oci_secrets s ON s.num = v.secret_num"
        " WHERE v.data_key_id = ? LIMIT ?",
        data_key_id,
        limit,
    )
    return [(int(num), str(ident), int(number), bytes(sealed)) for num, ident, number, sealed in rows]


def move_secret_version(tx: Tx, num: int, data_key_id: int, sealed: bytes) -> None:
    """Gives a secret's version the same content under another data key."""
    tx.execute("UPDATE oci_secret_versions SET data_key_id = ?, sealed = ? WHERE num = ?", data_key_id, sealed, num)
