"""Protected vaults: how many people must agree before something in one is destroyed for good.

What is set lies with the approvals (`cckm_protections`), since it is the same for the vaults of any cloud. Here is what
is special about Azure: by which names a vault is known there, so that a second record that leads to the same vault is
guarded like the first, and what of a change to a vault's record needs more than one person.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from claviger.cckm.approvals import containers
from claviger.cckm.approvals import records as approvals
from claviger.cckm.approvals.guarding import Guard
from claviger.cckm.approvals.rules import Protection, version_of
from claviger.cckm.azure.vaults import records
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.azure.vaults.wire import PatchVault
from claviger.store.contract import Tx

CHANGE, REMOVE = "change-vault", "remove-vault"
_KIND = "azure-vault"


def names_of(vault: VaultRow) -> frozenset[str]:
    """What the vault is called in Azure: its name, and the first label of its address, which ought to be the same."""
    host = urlsplit(vault.vault_uri).hostname or ""
    return frozenset(filter(None, (vault.azure_name.lower(), host.partition(".")[0].lower())))


def quorum_of(tx: Tx, vault: VaultRow) -> int | None:
    """How many people must agree to what destroys something in a vault, or None where one is enough."""
    return approvals.quorum_of(tx, vault.domain_id, vault.id, names_of(vault))


def asked_for(before: Protection, asked: PatchVault) -> Protection:
    """What is set after a change. Raises Invalid("Validation") for a quorum of less than two people."""
    return containers.after(before, asked.protected, asked.hard_delete_quorum)


def change(tx: Tx, guard: Guard | None, before: VaultRow, after: VaultRow, asked: PatchVault) -> Protection:
    """Sets what was asked for, within the change of the record. Raises Wanted where it needs more people to agree.

    That is so for whatever asks for less than before, and for another connection: through one that leads to a cloud
    of the caller's own, the backups could be exchanged for others.
    """
    known = approvals.protection(tx, before.id)
    kept = asked_for(known, asked)
    quorum = quorum_of(tx, before)
    words = containers.weakened(known, kept, "a secret")
    if before.connection_id != after.connection_id:
        words.append(f"is reached by the connection {after.connection_name} instead of {before.connection_name}")
    if quorum is not None and words:
        _require(tx, guard, CHANGE, before, f"the vault {before.name} {', and '.join(words)}", quorum)
    approvals.put_protection(tx, before.domain_id, before.id, names_of(after) | names_of(before), kept)
    return kept


def remove(tx: Tx, guard: Guard | None, vault: VaultRow) -> None:
    """Before a vault's record goes, and with it all backups: raises Wanted where that needs more people to agree."""
    quorum = quorum_of(tx, vault)
    if quorum is not None:
        words = f"the vault {vault.name} leaves CCKM with the records and backups of all its secrets"
        _require(tx, guard, REMOVE, vault, words, quorum)
    approvals.remove_protection(tx, vault.id)


def _require(tx: Tx, guard: Guard | None, action: str, vault: VaultRow, words: str, quorum: int) -> None:
    version = str(VERSIONS[action](tx, vault.domain_id, vault.id))
    containers.require_for(tx, guard, action, _KIND, vault, words, version, quorum)


def version_of_record(tx: Tx, domain_id: str, ident: str) -> str | None:
    """The version of a vault's record and of what is set on it, but for when it was last synchronised."""
    row = records.load(tx, domain_id, ident)
    if row is None:
        return None
    known = msgspec.structs.replace(row, synced_at=None)
    return version_of([msgspec.to_builtins(known), msgspec.to_builtins(approvals.protection(tx, ident))])


def version_with_contents(tx: Tx, domain_id: str, ident: str) -> str | None:
    """The same with how many secrets of which status it holds."""
    row = records.load(tx, domain_id, ident)
    if row is None:
        return None
    return version_of([version_of_record(tx, domain_id, ident), records.counts_by_status(tx, domain_id, row.num)])


VERSIONS = {CHANGE: version_of_record, REMOVE: version_with_contents}
"""What requests for approval about vaults are bound to, by action."""
