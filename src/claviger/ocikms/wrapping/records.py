"""The wrapping key's columns of a vault's row: the public key in the clear, the private one sealed."""

from __future__ import annotations

import msgspec

from claviger.store.contract import Store, Tx


class Stored(msgspec.Struct, frozen=True):
    """A wrapping key as it is kept."""

    public_key: str
    data_key_id: int
    sealed: bytes


async def find(store: Store, vault_num: int) -> Stored | None:
    """The wrapping key of a vault; None where it was not made yet, or the vault's material is destroyed."""
    row = await store.read_one(
        "SELECT wrapping_public_key, wrapping_data_key_id, wrapping_sealed FROM oci_vaults"
        " WHERE num = ? AND wrapping_sealed IS NOT NULL",
        vault_num,
    )
    return None if row is None else Stored(row[0], row[1], bytes(row[2]))


def keep_first(tx: Tx, vault_num: int, made: Stored) -> bool:
    """Stores a wrapping key, unless there is one already or the vault is deleted; whether it did."""
    changed = tx.execute(
        "UPDATE oci_vaults SET wrapping_public_key = ?, wrapping_data_key_id = ?, wrapping_sealed = ?"
        " WHERE num = ? AND wrapping_sealed IS NULL AND state <> 'DELETED'",
        made.public_key,
        made.data_key_id,
        made.sealed,
        vault_num,
    )
    return changed == 1
