"""What is left in a vault that is deleted: its keys, their versions and its secrets, row by row, until nothing opens.

Only for the end of a vault (`vaults.deletion`); in life they belong to `keys`, `versions` and `secrets`. Reads go on
behind the last row that was seen, along an index, so that a row of a large vault costs no more than one of a small one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from claviger.store.contract import Store, Tx


class Held(msgspec.Struct, frozen=True):
    """A key or a secret that is not deleted yet."""

    num: int
    id: str
    name: str
    compartment_id: str
    created_at: float


async def keys_after(store: Store, vault_num: int, last: Held | None, limit: int) -> list[Held]:
    """Keys of a vault that are not deleted, behind `last`."""
    sql = (
        "SELECT num, id, display_name, compartment_id, created_at FROM oci_keys"
        " WHERE vault_num = ? AND state <> 'DELETED' AND (compartment_id, created_at, num) > (?, ?, ?)"
        " ORDER BY compartment_id, created_at, num LIMIT ?"
    )
    behind = ("", 0.0, 0) if last is None else (last.compartment_id, last.created_at, last.num)
    return [Held(*row) for row in await store.read(sql, vault_num, *behind, limit)]


async def secrets_after(store: Store, vault_num: int, last: Held | None, limit: int) -> list[Held]:
    """Secrets of a vault that are not deleted, behind `last`."""
    sql = (
        "SELECT num, id, name, compartment_id, created_at FROM oci_secrets"
        " WHERE vault_num = ? AND state <> 'DELETED' AND name > ? ORDER BY name LIMIT ?"
    )
    return [Held(*row) for row in await store.read(sql, vault_num, "" if last is None else last.name, limit)]


def destroy_key_versions(tx: Tx, keys: Sequence[Held], limit: int) -> int:
    """Removes the material of up to `limit` versions of these keys, for good; how many it were."""
    return tx.execute(
        "UPDATE oci_key_versions SET sealed = NULL, data_key_id = NULL, state = 'DELETED', passing = '',"
        " passing_until = 0 WHERE num IN (SELECT num FROM oci_key_versions"
        f" WHERE key_num IN ({_marks(keys)}) AND (state <> 'DELETED' OR data_key_id IS NOT NULL) LIMIT ?)",
        *(key.num for key in keys),
        limit,
    )


def destroy_secret_versions(tx: Tx, secrets: Sequence[Held], limit: int) -> int:
    """Removes the content of up to `limit` versions of these secrets, for good; how many it were."""
    return tx.execute(
        "UPDATE oci_secret_versions SET sealed = NULL, data_key_id = NULL, state = 'DELETED'"
        " WHERE num IN (SELECT num FROM oci_secret_versions"
        f" WHERE secret_num IN ({_marks(secrets)}) AND (state <> 'DELETED' OR data_key_id IS NOT NULL)"
        " LIMIT ?)",
        *(secret.num for secret in secrets),
        limit,
    )


def mark_keys(tx: Tx, keys: Sequence[Held], now: float) -> None:
    """Writes that these keys are deleted."""
    tx.execute(
        "UPDATE oci_keys SET state = 'DELETED', passing = '', passing_until = 0, is_auto_rotated = 0,"
        f" updated_at = ? WHERE num IN ({_marks(keys)}) AND state <> 'DELETED'",
        now,
        *(key.num for key in keys),
    )


def mark_secrets(tx: Tx, secrets: Sequence[Held], now: float) -> None:
    """Writes that these secrets are deleted."""
    tx.execute(
        "UPDATE oci_secrets SET state = 'DELETED', passing = '', passing_until = 0,"
        f" updated_at = ? WHERE num IN ({_marks(secrets)}) AND state <> 'DELETED'",
        now,
        *(secret.num for secret in secrets),
    )


def _marks(rows: Sequence[Held]) -> str:
    return ", ".join("?" * len(rows))
