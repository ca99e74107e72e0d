"""What changes of vaults do, for plans: in words, and what of it can be undone."""

from __future__ import annotations

from collections.abc import Sequence

from claviger.cckm.approvals.rules import Protection
from claviger.cckm.azure.vaults import records
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.planning.draft import Effect
from claviger.store.contract import Tx

KIND = "azure-vault"


def added(rows: Sequence[VaultRow]) -> Effect:
    """Vaults come under management."""
    named = ", ".join(row.name for row in rows[:20]) + (", ..." if len(rows) > 20 else "")
    return Effect(
        what="azure-vault.add",
        words=f"{len(rows)} of Azure's vaults come under management: {named}; nothing changes in Azure, and their "
        "secrets are not read by this",
        kind=KIND,
        name=rows[0].name if len(rows) == 1 else "",
        undo="remove-vault",
        facts={"vault_count": len(rows), "vaults": [row.name for row in rows]},
    )


def removed(tx: Tx, vault: VaultRow) -> Effect:
    """A vault leaves, with all that is known of it. To be asked before the rows go."""
    counts = records.counts_by_status(tx, vault.domain_id, vault.num)
    secrets, backups = sum(counts.values()), records.count_backups(tx, vault.num)
    lost = (
        f"the {secrets} records and {backups} backups that CCKM keeps of secrets in {vault.name}, and its ACL: adding "
        "the vault again brings back what Azure still has, and nothing of what is final there"
    )
    return Effect(
        what="azure-vault.remove",
        words=f"the vault {vault.name} is no longer managed: {secrets} records of secrets and {backups} backups leave "
        "CCKM; nothing changes in Azure",
        kind=KIND,
        ident=vault.id,
        name=vault.name,
        undo=None,
        lost=lost,
        facts={"record_count": secrets, "backup_count": backups, "records_by_status": counts},
    )


def changed(before: VaultRow, after: VaultRow, was: Protection, kept: Protection) -> Effect:
    """A vault is reached in another way, or guarded otherwise."""
    told = [f"the vault {before.name} is looked at in Azure again, and its record says what Azure says"]
    if before.connection_id != after.connection_id:
        told.append(f"it is reached by the connection {after.connection_name} instead of {before.connection_name}")
    if was != kept:
        told.append(
            f"to destroy a secret in it takes {kept.in_force or 1} people instead of {was.in_force or 1}"
            if was.in_force != kept.in_force
            else f"it is {'now' if kept.protected else 'no longer'} protected"
        )
    return Effect(
        what="azure-vault.change",
        words="; ".join(told),
        kind=KIND,
        ident=before.id,
        name=before.name,
        undo="change it back by the same call",
        facts={
            "connection": {"before": before.connection_name, "after": after.connection_name},
            "protected": {"before": was.protected, "after": kept.protected},
            "hard_delete_quorum": {"before": was.in_force, "after": kept.in_force},
        },
    )
