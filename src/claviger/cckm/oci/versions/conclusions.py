"""Writes into the records what turned out to be so of versions in the cloud. All of it inside one transaction."""

from __future__ import annotations

import msgspec

from claviger.audit.trail import telling
from claviger.cckm.oci.asking import written
from claviger.cckm.oci.keys import records as keys
from claviger.cckm.oci.keys.cloud import CloudVersion
from claviger.cckm.oci.keys.rules import CCKM, NATIVE
from claviger.cckm.oci.keys.work import Outcome, Saved, Work
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions import records, rows
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.cckm.oci.versions.rules import Operation
from claviger.store.contract import Tx


def added(tx: Tx, vault: OciVault, work: Work, outcome: Outcome, now: float) -> Saved:
    """Adds the record of a version that was made here, and makes it the key's current one.

    A record that came about meanwhile, by a look that has met the version, gets the id that was meant for it.
    """
    key = keys.load(tx, work.key_id)
    if key is None:
        return Saved(work.version_id)
    said = needed(outcome)
    row = rows.fresh(work.version_id, key.num, said, NATIVE, now)
    met = records.load_by_ocid(tx, key.num, said.ocid)
    if met is not None:
        row = msgspec.structs.replace(row, num=met.num, created_at=met.created_at)
    records.put(tx, with_source(row, work))
    keys.put(
        tx,
        msgspec.structs.replace(key, current_version_ocid=said.ocid, modified_by=work.user_id, updated_at=now),
    )
    telling(version_ocid=said.ocid)
    return Saved(work.version_id)


def with_source(row: VersionRow, work: Work) -> VersionRow:
    """The row with what its material is from, where that is a local key."""
    if not work.source_key_id:
        return row
    return msgspec.structs.replace(
        row,
        key_origin=CCKM,
        source_key_id=work.source_key_id,
        source_key_name=work.source_key_name,
        source_key_tier=work.source_key_tier,
    )


def changed(tx: Tx, vault: OciVault, work: Work, outcome: Outcome, now: float) -> Saved:
    """Brings the record of a version to what OCI says now."""
    row = records.load(tx, work.version_id)
    if row is None:
        return Saved(work.version_id)
    said = needed(outcome)
    is_scheduling = work.operation == Operation.SCHEDULE_DELETION.value
    deleted_by = work.user_id if is_scheduling else row.deleted_by if said.deletes_at is not None else ""
    after = rows.told(row, said, now)
    records.put(
        tx,
        msgspec.structs.replace(after, refreshed_at=row.refreshed_at, deleted_by=deleted_by, updated_at=now),
    )
    if is_scheduling and said.deletes_at is not None:
        telling(time_of_deletion=written(said.deletes_at))
    return Saved(work.version_id, not outcome.differs)


def needed(outcome: Outcome) -> CloudVersion:
    """The version of an outcome that is about one."""
    if not outcome.versions:
        raise LookupError("what was done to a version has a version")
    return outcome.versions[0]
