"""Which operations on keys need more than one person, and what exactly their approval is bound to.

Everything that leads to a key, or CCKM's backup of it, being gone for good: the scheduling of its deletion, since that
becomes final by itself; the deletion of its backup; the removal of its record with a backup. What approvers agree to is
the key as it is recorded, in this vault, reached by this connection: whatever changes of that makes it another request.
"""

from __future__ import annotations

from claviger.cckm.approvals import containers
from claviger.cckm.approvals.guarding import Guard, Wish
from claviger.cckm.approvals.rules import version_of
from claviger.cckm.oci.keys import records
from claviger.cckm.oci.keys.effects import of as effect_of
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.keys.rules import Operation
from claviger.cckm.oci.keys.showing import KIND
from claviger.cckm.oci.keys.work import Work
from claviger.cckm.oci.vaults import protection
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.records import OciVault
from claviger.store.contract import Tx

ACTIONS = {
    Operation.SCHEDULE_DELETION: "schedule-oci-key-deletion",
    Operation.DELETE_BACKUP: "delete-oci-key-backup",
    Operation.REMOVE: "remove-oci-key",
}


def require(tx: Tx, guard: Guard | None, operation: Operation, row: KeyRow, vault: OciVault, work: Work) -> None:
    """Within the change that commits to an operation: raises Wanted where more people have to agree to it."""
    action = ACTIONS.get(operation)
    if action is None or (operation is Operation.REMOVE and row.backup is None):
        return
    quorum = protection.quorum_of(tx, vault)
    if quorum is None:
        return
    wish = Wish(
        action=action,
        words=effect_of(operation, row, vault, work).words,
        kind=KIND,
        ident=row.id,
        name=row.name,
        container_id=vault.id,
        container_name=vault.name,
        version=_version(row, vault),
        quorum=quorum,
    )
    containers.require(tx, guard, wish)


def version_now(tx: Tx, domain_id: str, ident: str) -> str | None:
    """The version of a key's record, as requests for approval are bound to it; None where it is gone."""
    row = records.load(tx, ident)
    vault = None if row is None else vaults.load_by_num(tx, row.vault_num)
    if row is None or vault is None or vault.domain_id != domain_id:
        return None
    return _version(row, vault)


VERSIONS = dict.fromkeys(ACTIONS.values(), version_now)
"""What requests for approval about keys are bound to, by action."""


def _version(row: KeyRow, vault: OciVault) -> str:
    key = [row.id, row.ocid, row.name, row.state, row.gone, row.compartment_ocid, row.current_version_ocid]
    kept = [row.protection_mode, row.deletes_at, row.backup, row.backup_at]
    place = [vault.id, vault.ocid, vault.connection_id, vault.management_endpoint, vault.bucket_namespace]
    return version_of([key, kept, place, vault.bucket_name])
