"""What changes of vaults' records do, for plans."""

from __future__ import annotations

from collections.abc import Sequence

from claviger.cckm.approvals.rules import Protection
from claviger.cckm.oci.vaults import records
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.vaults.shown import KIND
from claviger.cckm.planning.draft import Effect
from claviger.cckm.vaults import effects as shared
from claviger.store.contract import Tx


def added(rows: Sequence[OciVault]) -> Effect:
    """Vaults come under management."""
    return shared.added(rows, KIND, "OCI", "keys", "delete the vault's record")


def removed(tx: Tx, vault: OciVault) -> Effect:
    """A vault leaves, and its keys with it; both are back once it is added again."""
    counts = records.counts_by_state(tx, vault.num)
    return Effect(
        what="oci-vault.remove",
        words=f"the vault {vault.name} is no longer managed, and {sum(counts.values())} records of keys are hidden "
        "until it is added again; its ACL goes; nothing changes in OCI",
        kind=KIND,
        ident=vault.id,
        name=vault.name,
        undo="add-vaults",
        lost=f"the ACL of {vault.name}",
        facts={"record_count": sum(counts.values()), "records_by_state": counts},
    )


def changed(before: OciVault, after: OciVault, was: Protection, kept: Protection) -> Effect:
    """A vault is reached in another way, or guarded otherwise."""
    told = shared.reached_otherwise(before, after, "OCI")
    if (before.bucket_namespace, before.bucket_name) != (after.bucket_namespace, after.bucket_name):
        told.append(f"backups of its keys go to {after.bucket_name or 'no bucket'}")
    if was != kept:
        told.append(f"to destroy a key in it takes {kept.in_force or 1} people instead of {was.in_force or 1}")
    return Effect(
        what="oci-vault.change",
        words="; ".join(told),
        kind=KIND,
        ident=before.id,
        name=before.name,
        undo="change it back by the same call",
        facts={
            "connection": {"before": before.connection_name, "after": after.connection_name},
            "bucket": {"before": before.bucket_name, "after": after.bucket_name},
            **shared.protection_facts(was, kept),
        },
    )
