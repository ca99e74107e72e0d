"""Which operations on secrets need more than one person, and what exactly their approval is bound to.

Everything after which a secret, or CCKM's backup of it, cannot be had back: a purge, a deletion in a vault without soft
delete, the removal of a deleted secret with its backup. A soft-delete too where CCKM holds no backup yet, since it
becomes final by itself. What approvers agree to is the name with all its versions as they are recorded, in this vault,
reached by this connection: whatever changes of that makes it another request.
"""

from __future__ import annotations

from claviger.cckm.approvals.guarding import Guard, Wanted, Wish
from claviger.cckm.approvals.rules import version_of
from claviger.cckm.azure.secrets import records
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import Operation
from claviger.cckm.azure.secrets.showing import KIND
from claviger.cckm.azure.vaults import protection
from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.store.contract import Tx

ACTIONS = {
    Operation.HARD_DELETE: "hard-delete",
    Operation.DELETE_FOR_GOOD: "soft-delete in a vault without soft delete",
    Operation.SOFT_DELETE: "soft-delete without a backup",
    Operation.REMOVE: "remove-secret",
}


def require(tx: Tx, guard: Guard | None, operation: Operation, row: SecretRow, vault: VaultRow) -> None:
    """Within the change that commits to an operation: raises Wanted where more people have to agree to it."""
    action = ACTIONS.get(operation)
    if action is None or (operation is Operation.SOFT_DELETE and row.backup is not None):
        return
    quorum = protection.quorum_of(tx, vault)
    if quorum is None:
        return
    wish = Wish(
        action=action,
        words=_words(operation, row, vault),
        kind=KIND,
        ident=row.id,
        name=row.name,
        container_id=vault.id,
        container_name=vault.name,
        version=_version(tx, row, vaults.load(tx, vault.domain_id, vault.id) or vault),
        quorum=quorum,
    )
    if guard is None:
        raise Wanted(wish)
    guard.require(tx, wish)


def version_now(tx: Tx, domain_id: str, ident: str) -> str | None:
    """The version of a secret's record, as requests for approval are bound to it; None where it is gone."""
    row = records.load_by_id(tx, ident)
    if row is None or row.domain_id != domain_id:
        return None
    vault = vaults.load_by_num(tx, domain_id, row.vault_num)
    return None if vault is None else _version(tx, row, vault)


VERSIONS = dict.fromkeys(ACTIONS.values(), version_now)
"""What requests for approval about secrets are bound to, by action."""


def _version(tx: Tx, row: SecretRow, vault: VaultRow) -> str:
    together = [
        [each.id, each.version, each.status.value, each.gone, each.backup, each.backup_at, each.updated_at]
        for each in records.of_name(tx, row.vault_num, row.name)
    ]
    place = [vault.id, vault.azure_vault_id, vault.connection_id, vault.vault_uri]
    return version_of([row.id, row.told.deleted_at, together, place])


def _words(operation: Operation, row: SecretRow, vault: VaultRow) -> str:
    place = f"the secret {row.name} in {vault.name}"
    kept = "CCKM keeps its backup" if row.backup is not None else "CCKM holds no backup of it"
    if operation is Operation.REMOVE:
        return f"{place} leaves CCKM with its backup: nothing brings it back"
    if operation is Operation.HARD_DELETE:
        return f"{place} is purged in Azure with all its versions; {kept}"
    if operation is Operation.DELETE_FOR_GOOD:
        return f"{place} is deleted with all its versions, which is final in that vault; a backup is taken first"
    return f"{place} is soft-deleted; {kept}, and what Azure keeps becomes final after {vault.retention_days} days"
