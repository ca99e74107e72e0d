"""What changes of vaults do, for plans: in words, and what of it can be undone."""

from __future__ import annotations

from collections.abc import Sequence

from claviger.cckm.approvals.rules import Protection
from claviger.cckm.azure.vaults import records
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.planning.draft import Effect
from claviger.cckm.vaults import effects as shared
from claviger.store.contract import Tx

KIND = "azure-vault"


def added(rows: Sequence[VaultRow]) -> Effect:
    """Vaults come under management."""
    return shared.added(rows, KIND, "Azure", "secrets", "remove-vault")


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
    told = shared.reached_otherwise(before, after, "Azure")
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
            **shared.protection_facts(was, kept),
        },
    )
