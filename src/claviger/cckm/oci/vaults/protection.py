"""Protected vaults of OCI: how many people must agree before the deletion of a key in one is scheduled.

What is set lies with the approvals (`cckm_protections`), as for the vaults of any cloud. A vault of OCI is known by its
OCID, so a second record that leads to the same vault is guarded like the first.
"""

from __future__ import annotations

import msgspec

from claviger.cckm.approvals import containers
from claviger.cckm.approvals import records as approvals
from claviger.cckm.approvals.guarding import Guard
from claviger.cckm.approvals.rules import Protection, version_of
from claviger.cckm.oci.vaults import records
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.vaults.shown import KIND
from claviger.cckm.oci.vaults.wire import PatchOciVault
from claviger.store.contract import Tx

CHANGE, REMOVE = "change-oci-vault", "remove-oci-vault"


def quorum_of(tx: Tx, vault: OciVault) -> int | None:
    """How many people must agree to what destroys something in a vault, or None where one is enough."""
    return approvals.quorum_of(tx, vault.domain_id, vault.id, [vault.ocid])


def asked_for(before: Protection, asked: PatchOciVault) -> Protection:
    """What is set after a change. Raises Invalid("Validation") for a quorum of less than two people."""
    return containers.after(before, asked.protected, asked.hard_delete_quorum)


def change(tx: Tx, guard: Guard | None, before: OciVault, after: OciVault, asked: PatchOciVault) -> Protection:
    """Sets what was asked for, within the change of the record. Raises Wanted where it needs more people to agree.

    That is so for whatever asks for less than before, for another connection, and for another bucket: backups could
    be had elsewhere.
    """
    known = approvals.protection(tx, before.id)
    kept = asked_for(known, asked)
    quorum = quorum_of(tx, before)
    words = containers.weakened(known, kept, "a key")
    if before.connection_id != after.connection_id:
        words.append(f"is reached by the connection {after.connection_name} instead of {before.connection_name}")
    if (before.bucket_namespace, before.bucket_name) != (after.bucket_namespace, after.bucket_name):
        words.append(f"keeps backups in {after.bucket_name or 'no bucket'}")
    if quorum is not None and words:
        _require(tx, guard, CHANGE, before, f"the vault {before.name} {', and '.join(words)}", quorum)
    approvals.put_protection(tx, before.domain_id, before.id, [before.ocid], kept)
    return kept


def remove(tx: Tx, guard: Guard | None, vault: OciVault) -> None:
    """Before a vault's record is hidden: raises Wanted where that needs more people to agree.

    What is set stays with the hidden record: a vault that is added again is as protected as it was.
    """
    quorum = quorum_of(tx, vault)
    if quorum is not None:
        words = f"the vault {vault.name} leaves CCKM with the records of all its keys"
        _require(tx, guard, REMOVE, vault, words, quorum)


def _require(tx: Tx, guard: Guard | None, action: str, vault: OciVault, words: str, quorum: int) -> None:
    version = str(VERSIONS[action](tx, vault.domain_id, vault.id))
    containers.require_for(tx, guard, action, KIND, vault, words, version, quorum)


def version_of_record(tx: Tx, domain_id: str, ident: str) -> str | None:
    """The version of a vault's record and of what is set on it, but for when it was last looked at."""
    row = records.load(tx, domain_id, ident)
    if row is None:
        return None
    known = msgspec.structs.replace(row, refreshed_at=None, read_began_at=None)
    return version_of([msgspec.to_builtins(known), msgspec.to_builtins(approvals.protection(tx, ident))])


def version_with_contents(tx: Tx, domain_id: str, ident: str) -> str | None:
    """The same with how many keys in which state it holds."""
    row = records.load(tx, domain_id, ident)
    if row is None:
        return None
    return version_of([version_of_record(tx, domain_id, ident), records.counts_by_state(tx, row.num)])


VERSIONS = {CHANGE: version_of_record, REMOVE: version_with_contents}
"""What requests for approval about vaults are bound to, by action."""
