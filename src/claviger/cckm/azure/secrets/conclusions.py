"""Writes into the records what turned out to be so in the cloud. Everything here runs inside one transaction.

What happens to a name happens to all its versions: rows of the same vault, name and status belong together. Of a name
that was deleted for good more than once, each time has its own backup, which keeps those rows apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from claviger.cckm.azure.secrets import records
from claviger.cckm.azure.secrets.cloud import CloudSecret
from claviger.cckm.azure.secrets.rows import SecretRow, Told
from claviger.cckm.azure.secrets.rules import Operation, Status, decide
from claviger.cckm.azure.secrets.work import CREATE, RESTORE_ELSEWHERE, Outcome, Work
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.sealed import Safe
from claviger.store.contract import Tx

BACKUP, VALUE, INTENT = "backup", "value", "intent"
ORIGIN = "cckm"


def told_of(secret: CloudSecret) -> Told:
    """What a record keeps of what the cloud says about a version."""
    return Told(
        azure_id=secret.id,
        content_type=secret.content_type,
        tags=secret.tags or {},
        managed=secret.managed,
        enabled=secret.enabled,
        not_before=secret.not_before,
        expires_at=secret.expires_at,
        created_at=secret.created_at,
        updated_at=secret.updated_at,
        recovery_level=secret.recovery_level,
        recoverable_days=secret.recoverable_days,
        deleted_at=secret.deleted_at,
        purge_at=secret.purge_at,
    )


def save(tx: Tx, vault: VaultRow, work: Work, outcome: Outcome, record_id: str, backup: str | None, now: float) -> bool:
    """Brings the records to what the outcome says; whether that is what the work wanted.

    `backup` names the backup that the versions have from now on.
    """
    fresh_backup = outcome.backup is not None
    if work.operation in (CREATE, RESTORE_ELSEWHERE):
        if outcome.secret is None:
            raise LookupError("a secret that was made has properties")
        if fresh_backup:
            _share_backup(tx, vault, work.name, backup, now)
        _add(tx, vault, work, outcome.secret, record_id, backup, now)
        return True
    row = records.load_by_id(tx, work.secret_id)
    if row is None:
        return True
    operation = Operation(work.operation)
    wanted = decide(operation, row.status)
    changed = [_changed(each, work, outcome, now, is_asked=each.version == row.version) for each in _together(tx, row)]
    if fresh_backup:
        changed = [msgspec.structs.replace(each, backup=backup, backup_at=now) for each in changed]
    records.change_many(tx, changed)
    kept_after_all = operation is Operation.DELETE_FOR_GOOD and outcome.status is Status.SOFT_DELETED
    return outcome.status is wanted or kept_after_all


def forget(tx: Tx, row: SecretRow) -> None:
    """Takes a secret out of CCKM: all its versions, its backup, its echoed values."""
    rows = _together(tx, row)
    records.remove(tx, rows)
    for each in rows:
        Safe.remove(tx, VALUE, each.id)
    if row.backup is not None and not records.names_backup(tx, row.backup):
        Safe.remove(tx, BACKUP, row.backup)


def _share_backup(tx: Tx, vault: VaultRow, name: str, backup: str | None, now: float) -> None:
    """A backup holds all versions of its name, so those that are live share it."""
    rows = records.of_name(tx, vault.num, name, Status.AVAILABLE)
    records.change_many(tx, [msgspec.structs.replace(each, backup=backup, backup_at=now) for each in rows])


def _add(
    tx: Tx, vault: VaultRow, work: Work, secret: CloudSecret, record_id: str, backup: str | None, now: float
) -> None:
    records.add(
        tx,
        vault.domain_id,
        SecretRow(
            id=record_id,
            vault_num=vault.num,
            name=secret.name,
            version=secret.version,
            status=Status.AVAILABLE,
            soft_deleted=False,
            origin=ORIGIN,
            told=told_of(secret),
            backup=backup,
            backup_at=now if backup else None,
            synced_at=now,
            created_by=work.user_id,
            modified_by=work.user_id,
            created_at=now,
            updated_at=now,
        ),
    )


def _changed(row: SecretRow, work: Work, outcome: Outcome, now: float, *, is_asked: bool) -> SecretRow:
    """A row as the outcome has it. What Azure says of one version is noted on that version alone."""
    status = outcome.status
    if status is None:  # nowhere in the cloud: the record stays what it was, and says that its secret is gone
        return msgspec.structs.replace(row, gone=True, synced_at=now, updated_at=now)
    soft_deleted = status is Status.SOFT_DELETED or (status is Status.DELETED and row.soft_deleted)
    told = msgspec.structs.replace(row.told, deleted_at=None, purge_at=None)
    if status is not Status.AVAILABLE:
        said = outcome.secret
        told = msgspec.structs.replace(
            told,
            deleted_at=said.deleted_at if said else row.told.deleted_at,
            purge_at=said.purge_at if said and status is Status.SOFT_DELETED else None,
        )
    elif outcome.secret is not None and is_asked:
        told = told_of(outcome.secret)
    version = row.version
    if work.operation == Operation.RESTORE.value and is_asked and outcome.secret is not None:
        version = outcome.secret.version or version
    return msgspec.structs.replace(
        row,
        status=status,
        soft_deleted=soft_deleted,
        gone=False,
        version=version,
        told=told,
        synced_at=now,
        modified_by=work.user_id,
        updated_at=now,
    )


def _together(tx: Tx, row: SecretRow) -> Sequence[SecretRow]:
    """The rows that share the fate of one: all of its name and status, of the same backup where that is final."""
    if row.status is not Status.DELETED:
        return records.of_name(tx, row.vault_num, row.name, row.status)
    rows = records.of_name(tx, row.vault_num, row.name, Status.DELETED)
    return [each for each in rows if each.backup == row.backup]
