"""What operations on keys do, for plans: in words, until when each can be undone, and what nothing brings back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from claviger.cckm.oci.keys.backups import place_of
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.keys.rules import Operation, State, no_backup
from claviger.cckm.oci.keys.showing import KIND
from claviger.cckm.oci.keys.work import Work
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.planning.draft import Effect
from claviger.cckm.resource import seconds


def created(vault: OciVault, work: Work) -> Effect:
    """A key is made, though there may be others of its name."""
    shape, mode = work.details["key_shape"], work.details["protection_mode"]
    same = len(work.known_ocids)
    words = f"a new {mode} key {work.name} ({shape['algorithm']}, {shape['length']} bytes) is made in {vault.name}"
    if same:
        words += f"; {'one key' if same == 1 else f'{same} keys'} of that name there already: OCI does not mind"
    return Effect(
        what="oci-key.create",
        words=words,
        kind=KIND,
        name=work.name,
        container=vault.name,
        undo="schedule-deletion",
        facts={"same_name_count": same, "compartment_id": work.compartment_ocid},
    )


def refreshed(row: KeyRow, vault: OciVault) -> Effect:
    """A key and its versions are read, and nothing happens in OCI."""
    return Effect(
        what="oci-key.refresh",
        words=f"the record of the key {row.name} in {vault.name}, and those of its versions, say what OCI says now; "
        "nothing changes in OCI",
        kind=KIND,
        ident=row.id,
        name=row.name,
        container=vault.name,
        undo="nothing is to be undone",
    )


def of(operation: Operation, row: KeyRow, vault: OciVault, work: Work) -> Effect:
    """What an operation does to a key that is there."""
    special = _SPECIAL.get(operation)
    if special is not None:
        return special(row, vault, work)
    words, undo = _PLAIN[operation]
    back = row.previous_state or State.ENABLED.value
    said = words.format(back=back, taken=_taken(row))
    return _effect(operation, row, vault, f"{_place(row, vault)} {said}", undo)


_PLAIN: Mapping[Operation, tuple[str, str]] = {
    Operation.CANCEL_DELETION: (
        "is not deleted, and is {back} again",
        "schedule-deletion, which has a date of its own",
    ),
    Operation.ENABLE: ("can be used again by everybody who may", "disable"),
    Operation.DISABLE: (
        "can no longer be used: what it has encrypted cannot be read until it is enabled again",
        "enable",
    ),
    Operation.RESTORE: ("is restored from its backup of {taken} with all its versions", "schedule-deletion"),
}


def _scheduled(row: KeyRow, vault: OciVault, work: Work) -> Effect:
    until = work.deletes_at or 0.0
    words = (
        f"{_place(row, vault)} is out of use at once, and OCI deletes it with all its versions in {work.days} days, "
        f"at {seconds(until)}"
    )
    lost = f"{row.name}, once it is deleted at {seconds(until)}: "
    if work.backup:
        words += f"; a backup goes to the bucket {place_of(work.backup).bucket} first"
        lost += "then only its backup can bring it back"
    else:
        why = no_backup(vault.vault_type, row.protection_mode, vault.bucket_name)
        kept = f"only the backup of {_taken(row)} is there" if row.backup is not None else "no backup is taken"
        words += f"; {kept}: {why}"
        lost += "then nothing brings it back" if row.backup is None else "then only its backup can bring it back"
    facts = {"days": work.days, "takes_backup": bool(work.backup), "has_backup": row.backup is not None}
    return _effect(
        Operation.SCHEDULE_DELETION, row, vault, words, "cancel-deletion", until=until, lost=lost, facts=facts
    )


def _moved(row: KeyRow, vault: OciVault, work: Work) -> Effect:
    target = work.compartment_name or work.compartment_ocid
    words = (
        f"{_place(row, vault)} moves from the compartment {row.compartment_name or row.compartment_ocid} to {target}, "
        "whose policies say from then on who may use it"
    )
    facts = {"compartment_id": {"before": row.compartment_ocid, "after": work.compartment_ocid}}
    undo = "change-compartment back"
    return _effect(Operation.CHANGE_COMPARTMENT, row, vault, words, undo, facts=facts)


def _backup_deleted(row: KeyRow, vault: OciVault, _: Work) -> Effect:
    words = f"the backup of {_taken(row)} of the key {row.name} in {vault.name} is deleted from its bucket"
    lost = f"{row.name}: it is deleted in OCI, and without its backup nothing brings it back"
    return _effect(Operation.DELETE_BACKUP, row, vault, words, None, lost=lost, is_final=True)


def _removed(row: KeyRow, vault: OciVault, _: Work) -> Effect:
    words = f"{_place(row, vault)} leaves CCKM with its versions; nothing happens to keys in OCI"
    if row.backup is None:
        lost = f"the record of {row.name}"
        return _effect(Operation.REMOVE, row, vault, words, None, lost=lost)
    words += f"; its backup of {_taken(row)} is deleted from its bucket"
    lost = f"{row.name}: it is deleted in OCI, and without its backup nothing brings it back"
    return _effect(Operation.REMOVE, row, vault, words, None, lost=lost, is_final=True)


def _updated(row: KeyRow, vault: OciVault, work: Work) -> Effect:
    changes = {
        name: {"before": work.before.get(name), "after": value}
        for name, value in work.details.items()
        if work.before.get(name) != value
    }
    words = f"{_place(row, vault)} gets another {', '.join(changes)}"
    if not changes:
        words = f"nothing about the key {row.name} in {vault.name} is other than it is asked for"
    undo = "the same call with what was there before, which this plan shows" if changes else "nothing is to be undone"
    return _effect(Operation.UPDATE, row, vault, words, undo, facts={"changes": changes})


_SPECIAL: Mapping[Operation, Callable[[KeyRow, OciVault, Work], Effect]] = {
    Operation.UPDATE: _updated,
    Operation.SCHEDULE_DELETION: _scheduled,
    Operation.CHANGE_COMPARTMENT: _moved,
    Operation.DELETE_BACKUP: _backup_deleted,
    Operation.REMOVE: _removed,
}


def _effect(
    operation: Operation,
    row: KeyRow,
    vault: OciVault,
    words: str,
    undo: str | None,
    *,
    until: float | None = None,
    lost: str = "",
    is_final: bool = False,
    facts: dict[str, Any] | None = None,
) -> Effect:
    return Effect(
        what=f"oci-key.{operation.value}",
        words=words,
        kind=KIND,
        ident=row.id,
        name=row.name,
        container=vault.name,
        undo=undo,
        until=until,
        final_in_cloud=is_final,
        lost=lost,
        facts={"lifecycle_state": row.state, **(facts or {})},
    )


def _place(row: KeyRow, vault: OciVault) -> str:
    return f"the key {row.name} in {vault.name}"


def _taken(row: KeyRow) -> str:
    return "an unknown time" if row.backup_at is None else seconds(row.backup_at)
