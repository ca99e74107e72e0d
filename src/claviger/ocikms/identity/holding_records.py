"""What lies in a compartment or tenancy, counted before it is deleted; and the remains of vaults that are gone.

The tables of vaults, keys, secrets and buckets belong to other resources: here they are only counted, or, with their
tenancy, removed once nothing in them is alive.
"""

from __future__ import annotations

from claviger.store.contract import Tx

_IN_COMPARTMENT = {
    "compartments": "SELECT COUNT(*) FROM oci_compartments WHERE parent_id = ? AND state <> 'DELETED'",
    "vaults": "SELECT COUNT(*) FROM oci_vaults WHERE compartment_id = ? AND state <> 'DELETED'",
    "keys": "SELECT COUNT(*) FROM oci_keys WHERE compartment_id = ? AND state <> 'DELETED'",
    "secrets": "SELECT COUNT(*) FROM oci_secrets WHERE compartment_id = ? AND state <> 'DELETED'",
    "buckets": "SELECT COUNT(*) FROM oci_buckets WHERE compartment_id = ?",
    "tag namespaces": "SELECT COUNT(*) FROM oci_tag_namespaces WHERE compartment_id = ?",
}
_REMAINS = (
    """DELETE FROM oci_secret_versions WHERE secret_num IN (SELECT num FROM oci_secrets
       WHERE vault_num IN (SELECT num FROM oci_vaults WHERE tenancy_num = ?))""",
    "DELETE FROM oci_secrets WHERE vault_num IN (SELECT num FROM oci_vaults WHERE tenancy_num = ?)",
    """DELETE FROM oci_key_versions WHERE key_num IN (SELECT num FROM oci_keys
       WHERE vault_num IN (SELECT num FROM oci_vaults WHERE tenancy_num = ?))""",
    "DELETE FROM oci_keys WHERE vault_num IN (SELECT num FROM oci_vaults WHERE tenancy_num = ?)",
    "DELETE FROM oci_vaults WHERE tenancy_num = ?",
)


def held_in(tx: Tx, compartment_id: str) -> dict[str, int]:
    """How many things of each kind lie directly in a compartment; kinds of which there are none are left out."""
    counts = {kind: _count(tx, sql, compartment_id) for kind, sql in _IN_COMPARTMENT.items()}
    return {kind: count for kind, count in counts.items() if count}


def vaults_of(tx: Tx, tenancy_num: int) -> int:
    """How many vaults of a tenancy are not deleted."""
    return _count(tx, "SELECT COUNT(*) FROM oci_vaults WHERE tenancy_num = ? AND state <> 'DELETED'", tenancy_num)


def remove_remains(tx: Tx, tenancy_num: int) -> None:
    """Removes the rows of the deleted vaults of a tenancy, and of what was in them. There are no others."""
    for statement in _REMAINS:
        tx.execute(statement, tenancy_num)


def _count(tx: Tx, sql: str, value: int | str) -> int:
    row = tx.fetch_one(sql, value)
    return 0 if row is None else int(row[0])
