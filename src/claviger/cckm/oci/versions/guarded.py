"""Which operations on versions need more than one person: the scheduling of a deletion, which becomes final by itself.

As for keys (`keys/guarded.py`), approvers agree to the version as it is recorded, of this key, in this vault.
"""

from __future__ import annotations

from claviger.cckm.approvals import containers
from claviger.cckm.approvals.guarding import Guard, Wish
from claviger.cckm.approvals.rules import version_of
from claviger.cckm.oci.keys import records as keys
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.keys.work import Work
from claviger.cckm.oci.vaults import protection
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions import effects, records
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.cckm.oci.versions.rules import Operation
from claviger.cckm.oci.versions.showing import KIND
from claviger.store.contract import Tx

ACTIONS = {Operation.SCHEDULE_DELETION: "schedule-oci-key-version-deletion"}


def require(
    tx: Tx, guard: Guard | None, operation: Operation, key: KeyRow, row: VersionRow, vault: OciVault, work: Work
) -> None:
    """Within the change that commits to an operation: raises Wanted where more people have to agree to it."""
    action = ACTIONS.get(operation)
    quorum = None if action is None else protection.quorum_of(tx, vault)
    if action is None or quorum is None:
        return
    wish = Wish(
        action=action,
        words=effects.of(operation, key, row, vault, work).words,
        kind=KIND,
        ident=row.id,
        name=key.name,
        container_id=vault.id,
        container_name=vault.name,
        version=_version(key, row, vault),
        quorum=quorum,
    )
    containers.require(tx, guard, wish)


def version_now(tx: Tx, domain_id: str, ident: str) -> str | None:
    """The version of a record, as requests for approval are bound to it; None where it is gone."""
    row = records.load(tx, ident)
    key = None if row is None else keys.load_by_num(tx, row.key_num)
    vault = None if key is None else vaults.load_by_num(tx, key.vault_num)
    if row is None or key is None or vault is None or vault.domain_id != domain_id:
        return None
    return _version(key, row, vault)


VERSIONS = dict.fromkeys(ACTIONS.values(), version_now)
"""What requests for approval about versions are bound to, by action."""


def _version(key: KeyRow, row: VersionRow, vault: OciVault) -> str:
    of_key = [key.id, key.ocid, key.state, key.gone, key.current_version_ocid]
    of_version = [row.id, row.ocid, row.state, row.gone, row.deletes_at]
    return version_of([of_key, of_version, [vault.id, vault.ocid, vault.connection_id, vault.management_endpoint]])
