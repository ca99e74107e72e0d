"""Writes into the records what turned out to be so in the cloud. Everything here runs inside one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from claviger.audit.trail import telling
from claviger.cckm.oci.asking import written
from claviger.cckm.oci.keys import records, rows
from claviger.cckm.oci.keys.cloud import CloudKey, CloudVersion
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.keys.rules import NATIVE, State
from claviger.cckm.oci.keys.work import Outcome, Saved, Work
from claviger.cckm.oci.synchronization.following import finding_of, follow
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions import records as versions
from claviger.cckm.oci.versions import rows as version_rows
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.core.ids import new_uuid
from claviger.store.contract import Tx

MATERIAL = "oci-intent"
"""How wrapped material of an open intent is called in the safe."""
_SCHEDULES = "schedule-deletion"


def made(tx: Tx, vault: OciVault, work: Work, outcome: Outcome, now: float) -> Saved:
    """Adds the record of a key that was made here, of OCI's own material."""
    return add_key(tx, vault, work, outcome, NATIVE, now)


def add_key(tx: Tx, vault: OciVault, work: Work, outcome: Outcome, origin: str, now: float) -> Saved:
    """Adds the record of a key that was made from here, with those of its versions.

    A record that came about meanwhile, by a synchronisation that has met the key, is the one that stays.
    """
    key = needed(outcome)
    fresh = rows.fresh(work.key_id, vault.num, key, work.compartment_name or "", origin, work.user_id, now)
    met = records.load_by_ocid(tx, vault.num, key.ocid)
    if met is not None:
        fresh = msgspec.structs.replace(
            fresh, num=met.num, id=met.id, created_at=met.created_at, backup=met.backup, backup_at=met.backup_at
        )
    stored = records.put(tx, fresh)
    put_versions(tx, stored, outcome.versions, origin, now)
    return Saved(stored.id)


def changed(tx: Tx, vault: OciVault, work: Work, outcome: Outcome, now: float) -> Saved:
    """Brings the record of a key to what OCI says now."""
    row = records.load(tx, work.key_id)
    if row is None:
        return Saved(work.key_id)
    key = needed(outcome)
    after = msgspec.structs.replace(
        rows.told(row, key, work.compartment_name, now),
        refreshed_at=row.refreshed_at,
        modified_by=work.user_id,
        deleted_by=_deleted_by(row, work, outcome),
        updated_at=now,
    )
    if key.deletes_at is not None and work.operation == _SCHEDULES:
        telling(time_of_deletion=written(key.deletes_at))
    stored = records.put(tx, after)
    put_versions(tx, stored, outcome.versions, None, now, is_all=outcome.is_all)
    return Saved(stored.id, not outcome.differs)


def _deleted_by(row: KeyRow, work: Work, outcome: Outcome) -> str:
    if work.operation == _SCHEDULES:
        return work.user_id
    return "" if not outcome.differs and outcome.key is not None and outcome.key.deletes_at is None else row.deleted_by


def backup_gone(tx: Tx, vault: OciVault, work: Work, outcome: Outcome, now: float) -> Saved:
    """Notes that CCKM holds no backup of a key any more."""
    row = records.load(tx, work.key_id)
    if row is not None:
        records.put(
            tx,
            msgspec.structs.replace(row, backup=None, backup_at=None, modified_by=work.user_id, updated_at=now),
        )
    return Saved(work.key_id)


def removed(tx: Tx, vault: OciVault, work: Work, outcome: Outcome, now: float) -> Saved:
    """Takes a key out of CCKM, with its versions."""
    row = records.load(tx, work.key_id)
    if row is not None:
        records.remove(tx, row.num)
    return Saved(work.key_id)


def keep_backup(tx: Tx, work: Work, now: float) -> None:
    """Notes that a backup lies in the work's place now."""
    row = records.load(tx, work.key_id)
    if row is not None:
        records.put(tx, msgspec.structs.replace(row, backup=work.backup, backup_at=now))


def look_soon(tx: Tx, work: Work, now: float) -> None:
    """Has the record of a key, and of a version, looked at in OCI: an operation was refused that they would allow."""
    row = records.load(tx, work.key_id)
    if row is not None and (row.refresh_at is None or row.refresh_at > now):
        records.put(tx, msgspec.structs.replace(row, refresh_at=now, tries=0))
    version = versions.load(tx, work.version_id) if work.version_ocid else None
    if version is not None and (version.refresh_at is None or version.refresh_at > now):
        versions.put(tx, msgspec.structs.replace(version, refresh_at=now, tries=0))


# ---------------------------------------------------------------------- what was only read


def note_read(
    tx: Tx,
    seen: KeyRow,
    key: CloudKey,
    compartment_name: str | None,
    read: Sequence[CloudVersion],
    seen_versions: Sequence[VersionRow],
    now: float,
    *,
    is_all: bool,
    tries: int | None = None,
) -> KeyRow | None:
    """Brings a record to what was read of its key; the row as it is then.

    None, with nothing changed, where the row is no longer the one that was `seen` before the reading began. Of versions
    those are left alone that have changed since. `tries` as in `rows.told`.
    """
    row = records.load_by_num(tx, seen.num)
    if row != seen:
        return None
    finding = finding_of(tx, row)
    after = rows.told(row, key, compartment_name, now, tries=tries)
    if _shows_other(row, after):
        after = msgspec.structs.replace(after, updated_at=now)
    stored = records.put(tx, after)
    known = {each.ocid: each for each in seen_versions}
    standing = {each.ocid: each for each in versions.load_of_key(tx, row.num)}
    moved = {ocid for ocid in standing if standing[ocid] != known.get(ocid)}
    fit = [each for each in read if each.ocid not in moved]
    put_versions(tx, stored, fit, None, now, is_all=is_all, kept=moved)
    follow(tx, finding, stored, versions.load_of_key(tx, row.num) if finding is not None else ())
    return stored


def note_absent(tx: Tx, seen: KeyRow, now: float) -> KeyRow | None:
    """Notes that OCI does not show a key any more whose date has passed; the row as it is then, None as `note_read`."""
    row = records.load_by_num(tx, seen.num)
    if row != seen:
        return None
    finding = finding_of(tx, row)
    after = msgspec.structs.replace(
        row, state=State.DELETED.value, gone=1, refresh_at=None, tries=0, refreshed_at=now, updated_at=now
    )
    stored = records.put(tx, after)
    put_versions(tx, stored, (), None, now)
    follow(tx, finding, stored, versions.load_of_key(tx, row.num) if finding is not None else ())
    return stored


def note_version(tx: Tx, key_num: int) -> None:
    """Has the drift list follow a version of a key that was looked at by itself."""
    row = records.load_by_num(tx, key_num)
    finding = None if row is None else finding_of(tx, row)
    if row is not None and finding is not None:
        follow(tx, finding, row, versions.load_of_key(tx, key_num))


def _shows_other(before: KeyRow, after: KeyRow) -> bool:
    """Whether there is more news than that it was looked at."""
    return (
        msgspec.structs.replace(
            after, refresh_at=before.refresh_at, tries=before.tries, refreshed_at=before.refreshed_at
        )
        != before
    )


def put_versions(
    tx: Tx,
    key: KeyRow,
    said: Sequence[CloudVersion],
    origin: str | None,
    now: float,
    *,
    is_all: bool = False,
    kept: Collection[str] = frozenset(),
) -> None:
    """Brings the records of a key's versions to what OCI says of them. `origin` is where fresh ones are from.

    With `is_all`, those that OCI does not name are gone, but for `kept`. Versions of a deleted key are deleted.
    """
    standing = {each.ocid: each for each in versions.load_of_key(tx, key.num)}
    for each in said:
        row = standing.pop(each.ocid, None)
        if row is None:
            after = version_rows.fresh(new_uuid(), key.num, each, origin, now)
        else:
            after = version_rows.told(row, each, now)
            if after.state != row.state or after.deletes_at != row.deletes_at:
                after = msgspec.structs.replace(after, updated_at=now)
        versions.put(tx, _with_key(key, after))
    for row in standing.values():
        after = _with_key(key, row)
        if is_all and row.ocid not in kept and after.state != State.DELETED.value:
            after = msgspec.structs.replace(after, gone=1, refresh_at=None)
        if after != row:
            versions.put(tx, msgspec.structs.replace(after, updated_at=now))


def _with_key(key: KeyRow, row: VersionRow) -> VersionRow:
    if key.state != State.DELETED.value or row.state == State.DELETED.value:
        return row
    return msgspec.structs.replace(row, state=State.DELETED.value, refresh_at=None, tries=0)


def needed(outcome: Outcome) -> CloudKey:
    """The key of an outcome that is about one."""
    if outcome.key is None:
        raise LookupError("what was done to a key has a key")
    return outcome.key
