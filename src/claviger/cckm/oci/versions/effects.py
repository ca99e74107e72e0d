"""What operations on versions do, for plans: in words, until when each can be undone, and what nothing brings back."""

from __future__ import annotations

from typing import Any

from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.keys.work import Work
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.cckm.oci.versions.rules import WORDS, Operation
from claviger.cckm.oci.versions.showing import KIND
from claviger.cckm.planning.draft import Effect
from claviger.cckm.resource import seconds


def added(row: KeyRow, vault: OciVault, work: Work) -> Effect:
    """A key is rotated."""
    origin = f"of the local key {work.source_key_name}" if work.source_key_id else "of material that OCI makes"
    words = (
        f"the key {row.name} in {vault.name} gets a new version {origin}, which is the current one from then on; what "
        "the earlier ones have encrypted stays readable by them"
    )
    return _effect(
        "add",
        row,
        vault,
        words,
        "no call makes an earlier version the current one again; the next rotation takes the place of this one",
        facts={"is_native": not work.source_key_id, "current_key_version": row.current_version_ocid},
    )


def of(operation: Operation, key: KeyRow, row: VersionRow, vault: OciVault, work: Work) -> Effect:
    """What an operation does to a version that is there."""
    place = f"the version {row.ocid} of the key {key.name} in {vault.name}"
    what = WORDS[operation]
    if operation is Operation.CANCEL_DELETION:
        words = f"{place} is not deleted, and can be used again"
        return _effect(what, key, vault, words, "schedule-deletion, which has a date of its own", row)
    until = work.deletes_at or 0.0
    words = (
        f"{place} is out of use at once, and OCI deletes it in {work.days} days, at {seconds(until)}; what it has "
        "encrypted cannot be read from now on"
    )
    lost = f"what that version of {key.name} has encrypted, once it is deleted at {seconds(until)}"
    return _effect(what, key, vault, words, "cancel-deletion", row, until=until, lost=lost, facts={"days": work.days})


def _effect(
    what: str,
    key: KeyRow,
    vault: OciVault,
    words: str,
    undo: str | None,
    row: VersionRow | None = None,
    *,
    until: float | None = None,
    lost: str = "",
    facts: dict[str, Any] | None = None,
) -> Effect:
    return Effect(
        what=f"oci-key-version.{what}",
        words=words,
        kind=KIND,
        ident="" if row is None else row.id,
        name=key.name,
        container=vault.name,
        undo=undo,
        until=until,
        lost=lost,
        facts={"lifecycle_state": (key if row is None else row).state, **(facts or {})},
    )
