"""What operations on secrets do, for plans: in words, until when each can be undone, and what nothing brings back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import Operation, Status
from claviger.cckm.azure.secrets.showing import KIND
from claviger.cckm.azure.secrets.work import RESTORE_ELSEWHERE, Work
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.planning.draft import Effect
from claviger.cckm.resource import seconds

DAY_S = 86_400
_FIELDS = (
    ("tags", "tags"),
    ("content_type", "contentType"),
    ("enabled", "enabled"),
    ("not_before", "nbf"),
    ("expires_at", "exp"),
)


def created(vault: VaultRow, work: Work, rows: Sequence[SecretRow]) -> Effect:
    """A version is made of a name, of which `rows` are all that CCKM knows."""
    live = sum(row.status is Status.AVAILABLE and not row.gone for row in rows)
    deleted = sum(row.status is Status.SOFT_DELETED and not row.gone for row in rows)
    if live:
        words = f"the secret {work.name} in {vault.name} gets a new version beside {_versions(live)}, which stay"
    else:
        words = f"a new secret {work.name} is made in {vault.name}"
    if deleted and not live:
        words += "; a deleted secret has that name, so Azure refuses unless that was purged or recovered meanwhile"
    return Effect(
        what="azure-secret.create",
        words=words,
        kind=KIND,
        name=work.name,
        container=vault.name,
        undo="soft-delete, which takes all versions of the name",
        facts={"name_exists": bool(live), "version_count": live, "soft_deleted_count": deleted},
    )


def of(
    operation: Operation, row: SecretRow, rows: Sequence[SecretRow], vault: VaultRow, work: Work | None, now: float
) -> Effect:
    """What an operation does to a secret. `rows` are all of its name; `vault` is where it is done."""
    together = sum(each.status is row.status and each.gone == row.gone for each in rows)
    place = f"the secret {row.name} in {vault.name}, with {_versions(together)},"
    kept = _backup(row)
    facts: dict[str, Any] = {
        "version_count": together,
        "has_backup": row.backup is not None,
        "status": row.status.value,
    }
    match operation:
        case Operation.SOFT_DELETE:
            until = now + vault.retention_days * DAY_S
            words = f"{place} is soft-deleted: Azure keeps it for {vault.retention_days} days, until {seconds(until)}"
            return _effect(operation, row, vault, f"{words}; {kept}", undo="recover", until=until, facts=facts)
        case Operation.DELETE_FOR_GOOD:
            words = (
                f"{place} is deleted, which is final in Azure: the vault has no soft delete. A backup is taken first"
            )
            lost = f"Azure's own copy of {row.name}; what is restored from CCKM's backup comes back with its values"
            return _effect(operation, row, vault, words, undo="restore", is_final=True, lost=lost, facts=facts)
        case Operation.HARD_DELETE:
            return _purged(row, vault, f"{place} is purged", facts)
        case Operation.RECOVER:
            return _effect(operation, row, vault, f"{place} is live again", undo="soft-delete", facts=facts)
        case Operation.RESTORE:
            elsewhere = work is not None and work.operation == RESTORE_ELSEWHERE
            words = f"the secret {row.name} is restored from {kept} into {vault.name}"
            words += ", and its record here stays as it is" if elsewhere else ""
            return _effect(operation, row, vault, words, undo="soft-delete", facts=facts | {"elsewhere": elsewhere})
        case Operation.REMOVE:
            words = f"{place} leaves CCKM with its backup"
            lost = f"{row.name}: it is final in Azure, and the backup goes too, so nothing brings it back"
            return _effect(operation, row, vault, words, undo=None, is_final=True, lost=lost, facts=facts)
        case Operation.UPDATE:
            return _updated(row, vault, work, facts)


def _purged(row: SecretRow, vault: VaultRow, place: str, facts: dict[str, Any]) -> Effect:
    words = f"{place} in Azure; {_backup(row)}"
    if vault.has_purge_protection:
        words += ". The vault has purge protection, so Azure itself will refuse"
    if row.backup is None:
        lost = f"{row.name}: CCKM holds no backup of it, so nothing brings it back"
        return _effect(Operation.HARD_DELETE, row, vault, words, undo=None, is_final=True, lost=lost, facts=facts)
    lost = f"Azure's own copy of {row.name}; what is restored from CCKM's backup comes back with its values"
    return _effect(Operation.HARD_DELETE, row, vault, words, undo="restore", is_final=True, lost=lost, facts=facts)


def _updated(row: SecretRow, vault: VaultRow, work: Work | None, facts: dict[str, Any]) -> Effect:
    told = row.told
    changed = {}
    for field, shown in _FIELDS:
        value = getattr(work, field, None)
        if isinstance(value, (str, bool, int, dict)) and value != getattr(told, field):
            changed[shown] = {"before": getattr(told, field), "after": value}
    words = f"the version {row.version} of the secret {row.name} in {vault.name} gets other {', '.join(changed)}"
    if not changed:
        words = f"nothing about the secret {row.name} in {vault.name} is other than it is asked for"
    undo = "the same call with what was there before, which this plan shows" if changed else "nothing is to be undone"
    return _effect(Operation.UPDATE, row, vault, words, undo=undo, facts=facts | {"changes": changed})


def _effect(
    operation: Operation,
    row: SecretRow,
    vault: VaultRow,
    words: str,
    *,
    undo: str | None,
    facts: dict[str, Any],
    until: float | None = None,
    is_final: bool = False,
    lost: str = "",
) -> Effect:
    return Effect(
        what=f"azure-secret.{operation.value}",
        words=words,
        kind=KIND,
        ident=row.id,
        name=row.name,
        container=vault.name,
        undo=undo,
        until=until,
        final_in_cloud=is_final,
        lost=lost,
        facts=facts,
    )


def _backup(row: SecretRow) -> str:
    if row.backup is None:
        return "CCKM holds no backup of it"
    taken = "" if row.backup_at is None else f" of {seconds(row.backup_at)}"
    is_all_there_is = row.status is Status.DELETED or row.gone
    return f"CCKM's backup{taken}" if is_all_there_is else f"CCKM keeps its backup{taken}"


def _versions(count: int) -> str:
    return "one version" if count == 1 else f"{count} versions"
