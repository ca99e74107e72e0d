"""Writes into the records what turned out to be so in the cloud. Everything here runs inside one transaction.

What happens to a name happens to all its versions: rows of the same vault, name and status belong together. Of a name
that was deleted for good more than once, each time has its own backup, which keeps those rows apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from claviger.cckm.azure.secrets import records
from claviger.cckm.azure.secrets.cloud import CloudSecret
from claviger.cckm.azure.secrets.rows import SecretRow, Told
from claviger.cckm.azure.secrets.rules import TARGETS, Operation, Status
from claviger.cckm.azure.secrets.work import CREATE, RESTORE_ELSEWHERE, Outcome, Work
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.sealed import Safe
from claviger.store.contract import Tx

BACKUP, VALUE, INTENT = "backup", "value", "intent"
ORIGIN = "cckm"
_DELETIONS = frozenset(each.value for each in (Operation.SOFT_DELETE, Operation.DELETE_FOR_GOOD, Operation.HARD_DELETE))


class Saved(msgspec.Struct, frozen=True):
    """The record that an operation was about, and whether the cloud has what was wanted."""

    record_id: str
    as_wanted: bool


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


def live_backup(rows: Sequence[SecretRow]) -> tuple[str, float | None] | None:
    """The backup that the live versions among the rows of a name share, and when it was taken.

    What is gone keeps a backup of its own: it is all that is left of it, and is not to be taken by a new secret.
    """
    live = (row for row in reversed(rows) if row.status is Status.AVAILABLE and not row.gone)
    return next(((row.backup, row.backup_at) for row in live if row.backup is not None), None)


def save(tx: Tx, vault: VaultRow, work: Work, outcome: Outcome, record_id: str, now: float) -> Saved:
    """Brings the records to what the outcome says. `record_id` is that of the record where one is made."""
    if work.operation in (CREATE, RESTORE_ELSEWHERE):
        return Saved(_made(tx, vault, work, outcome, record_id, now), not outcome.differs)
    row = records.load_by_id(tx, work.secret_id)
    if row is None:
        return Saved(work.secret_id, True)
    rows = _together(tx, row)
    if work.operation == Operation.RESTORE.value and outcome.status is Status.AVAILABLE:
        rows = _renamed(rows, outcome)
        _make_room(tx, rows, outcome, now)
    changed = [_changed(each, work, outcome, now) for each in rows]
    if outcome.backup is not None:
        changed = _backed_up(changed, work, outcome.versions, now)
    records.change_many(tx, changed)
    _drop_unnamed(tx, rows)
    return Saved(row.id, _is_as_wanted(Operation(work.operation), outcome))


def _is_as_wanted(operation: Operation, outcome: Outcome) -> bool:
    kept_after_all = operation is Operation.DELETE_FOR_GOOD and outcome.status is Status.SOFT_DELETED
    return not outcome.differs and (outcome.status is TARGETS[operation] or kept_after_all)


def keep_backup(tx: Tx, work: Work, versions: Sequence[CloudSecret], now: float) -> None:
    """Notes that a backup of the live versions (`versions`, if they are known) lies in the work's slot now."""
    row = records.load_by_id(tx, work.secret_id)
    if row is not None and row.status is Status.AVAILABLE:
        rows = _together(tx, row)
        records.change_many(tx, _backed_up(rows, work, versions, now))
        _drop_unnamed(tx, rows)


def _backed_up(rows: Sequence[SecretRow], work: Work, versions: Sequence[CloudSecret], now: float) -> list[SecretRow]:
    """Rows with their fresh backup. A version that was not there when it was taken keeps the one that it has."""
    there = {each.version for each in versions}
    return [
        msgspec.structs.replace(row, backup=work.slot, backup_at=now)
        if not there or row.version in there or row.id == work.secret_id
        else row
        for row in rows
    ]


def forget(tx: Tx, row: SecretRow) -> None:
    """Takes a secret out of CCKM: all its versions, its backup, its echoed values."""
    rows = _together(tx, row)
    records.remove(tx, rows)
    for each in rows:
        Safe.remove(tx, VALUE, each.id)
    _drop_unnamed(tx, rows)


def _drop_unnamed(tx: Tx, rows: Sequence[SecretRow]) -> None:
    """After a change: drops the backups that these rows named before it, and no row names any more."""
    for backup in {row.backup for row in rows if row.backup is not None}:
        if not records.names_backup(tx, backup):
            Safe.remove(tx, BACKUP, backup)


def _made(tx: Tx, vault: VaultRow, work: Work, outcome: Outcome, record_id: str, now: float) -> str:
    """Adds the record of a version that was made; the id of its record.

    A record that came about meanwhile, by a synchronisation that has met the version, is the one that stays. What was
    soft-deleted under the name was purged in Azure: else the name could not have been used. So was what is not among
    the versions that live now, and keeps its backup.
    """
    secret = outcome.secret
    if secret is None:
        raise LookupError("a secret that was made has properties")
    before = records.of_name(tx, vault.num, work.name)
    if work.operation == RESTORE_ELSEWHERE:
        _end_others(tx, vault.num, work.name, outcome, now)
    else:
        records.change_many(tx, [_ended(each, now) for each in before if _was_purged(each, outcome)])
    known = records.of_name(tx, vault.num, work.name, Status.AVAILABLE)
    live = [each for each in known if not each.gone]
    met = next((each for each in known if each.version == secret.version), None)
    backup, backup_at = live_backup(live) or (None, None)
    if outcome.backup is not None:
        backup, backup_at = work.slot, now
        if outcome.versions:  # else they may be another secret's, and keep what they have
            records.change_many(tx, _backed_up(live, work, outcome.versions, now))
    elif met is not None and met.backup is not None:
        backup, backup_at = met.backup, met.backup_at
    fresh = SecretRow(
        id=record_id,
        vault_num=vault.num,
        name=secret.name,
        version=secret.version,
        status=Status.AVAILABLE,
        soft_deleted=False,
        origin=ORIGIN,
        told=told_of(secret),
        backup=backup,
        backup_at=backup_at,
        synced_at=now,
        created_by=work.user_id,
        modified_by=work.user_id,
        created_at=now,
        updated_at=now,
    )
    if met is None:
        stored = records.add(tx, vault.domain_id, fresh)
    else:
        stored = msgspec.structs.replace(fresh, id=met.id, num=met.num, created_at=met.created_at)
        records.change_many(tx, [stored])
    _drop_unnamed(tx, before)
    return stored.id


def _was_purged(row: SecretRow, outcome: Outcome) -> bool:
    """Whether a version of a name under which one was made just now is not there any more."""
    if row.status is Status.SOFT_DELETED:
        return True
    is_live = row.status is Status.AVAILABLE and not row.gone
    return is_live and bool(outcome.versions) and row.version not in _said(outcome)


def _said(outcome: Outcome) -> Mapping[str, CloudSecret]:
    """What Azure says of each version that it has named."""
    said = {each.version: each for each in outcome.versions}
    if outcome.secret is not None and outcome.secret.version:
        said[outcome.secret.version] = outcome.secret
    return said


def _end_others(tx: Tx, vault_num: int, name: str, outcome: Outcome, now: float) -> None:
    """Azure restores only where nothing has the name: what else is recorded as being there was purged in Azure."""
    there = _said(outcome)
    rows = records.of_name(tx, vault_num, name)
    others = [row for row in rows if row.status is not Status.DELETED and row.version not in there]
    records.change_many(tx, [_ended(each, now) for each in others])


def _make_room(tx: Tx, rows: Sequence[SecretRow], outcome: Outcome, now: float) -> None:
    """Before rows become live again: whatever else stands for the same versions, or for another secret, goes."""
    restored, own = {row.version for row in rows}, {row.num for row in rows}  # own: live still, where they were gone
    twins = [
        each
        for each in records.of_name(tx, rows[0].vault_num, rows[0].name, Status.AVAILABLE)
        if each.version in restored and each.num not in own
    ]
    records.remove(tx, twins)
    for each in twins:
        Safe.remove(tx, VALUE, each.id)
    _drop_unnamed(tx, twins)
    _end_others(tx, rows[0].vault_num, rows[0].name, outcome, now)


def _ended(row: SecretRow, now: float) -> SecretRow:
    told = msgspec.structs.replace(row.told, purge_at=None)
    return msgspec.structs.replace(row, status=Status.DELETED, told=told, synced_at=now, updated_at=now)


def _renamed(rows: Sequence[SecretRow], outcome: Outcome) -> Sequence[SecretRow]:
    """The rows of a restored secret, where Azure has given it another version: the newest row stands for that then."""
    secret = outcome.secret
    if secret is None or not secret.version or not rows:
        return rows
    there = {each.version for each in outcome.versions} | {secret.version}
    if any(row.version in there for row in rows):
        return rows
    newest = max(rows, key=lambda row: (row.told.created_at, row.num))
    return [msgspec.structs.replace(row, version=secret.version) if row is newest else row for row in rows]


def _changed(row: SecretRow, work: Work, outcome: Outcome, now: float) -> SecretRow:
    """A row as the outcome has it. What Azure says of one version is noted on that version alone."""
    said = _said(outcome)
    status, told, soft_deleted = outcome.status or row.status, row.told, row.soft_deleted
    gone = False
    if status is Status.SOFT_DELETED:
        soft_deleted = True
        if outcome.secret is not None:
            told = msgspec.structs.replace(
                told, deleted_at=outcome.secret.deleted_at or told.deleted_at, purge_at=outcome.secret.purge_at
            )
    elif status is Status.DELETED:
        told = msgspec.structs.replace(told, purge_at=None)
        if outcome.secret is not None:
            told = msgspec.structs.replace(told, deleted_at=outcome.secret.deleted_at)
    else:
        soft_deleted = False
        told = msgspec.structs.replace(told, deleted_at=None, purge_at=None)
        if row.version in said:
            told = told_of(said[row.version])
        gone = row.version not in said and (outcome.status is None or bool(outcome.versions))
    return msgspec.structs.replace(
        row,
        status=status,
        soft_deleted=soft_deleted,
        gone=gone,
        told=told,
        synced_at=now,
        modified_by=work.user_id,
        updated_at=now,
        deleted_by=work.user_id if _has_deleted(row, work, outcome) else row.deleted_by,
    )


def _has_deleted(row: SecretRow, work: Work, outcome: Outcome) -> bool:
    """Whether it was this operation that has deleted the secret, or has made its deletion final."""
    deletes = work.operation in _DELETIONS and not outcome.differs
    return deletes and outcome.status in (Status.SOFT_DELETED, Status.DELETED) and outcome.status is not row.status


def _together(tx: Tx, row: SecretRow) -> Sequence[SecretRow]:
    """The rows that share the fate of one: all of its name and status, of the same backup where that is final or gone.

    What is gone has no part in what happens to others of its name, which are another secret then.
    """
    rows = records.of_name(tx, row.vault_num, row.name, row.status)
    if row.status is Status.DELETED:
        return [each for each in rows if each.backup == row.backup]
    return [each for each in rows if each.gone == row.gone and (not row.gone or each.backup == row.backup)]
