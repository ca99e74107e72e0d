"""Brings the records of a vault to what a whole reading has found, a batch a transaction.

Everything is decided anew on the rows as they are within the transaction. A key on which an operation is open, or which
was changed or looked at here since it was read, is left alone: what was read of it may be older than what is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from claviger.cckm.drift.records import Finding
from claviger.cckm.drift.rules import DIFFERENT, MISSING, NEW
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.keys.running import subject_of
from claviger.cckm.oci.keys.showing import KIND
from claviger.cckm.oci.synchronization import records
from claviger.cckm.oci.synchronization.comparing import Settled, Sighting, Stamp, end, is_over, merged, settle
from claviger.cckm.oci.synchronization.following import follow
from claviger.cckm.oci.synchronization.records import FINDINGS, Known
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.cckm.resource import uri
from claviger.cckm.synchronization.finding import Job, Thing, note
from claviger.cckm.synchronization.records import open_intents
from claviger.cckm.synchronization.visiting import Applied
from claviger.core.errors import NotFound
from claviger.core.ids import new_uuid
from claviger.store.contract import Tx


class Loss(msgspec.Struct, frozen=True):
    """A key that is not there any more; `is_final` where OCI says that it is deleted for good."""

    ocid: str
    is_final: bool = False


class Applier:
    """Writes what was found within transactions of others."""

    def __init__(self, job: Job[OciVault], notices: Notices | None) -> None:
        self._job = job
        self._notices = notices

    def sightings(self, tx: Tx, sightings: Sequence[Sighting], ids: Sequence[Sequence[str]], now: float) -> Applied:
        """Keys that are not as they were known. `ids` are for rows that may be made. Raises NotFound."""
        vault = self._job.vault
        self._check_managed(tx)
        stamp = Stamp(vault.num, self._job.by, now)
        known = records.load(tx, vault.num, [each.key.ocid for each in sightings])
        touched = self._open(tx, sightings, known)
        found = FINDINGS.of(tx, vault.num, [each.key.ocid for each in sightings])
        settled: list[Settled] = []
        left = 0
        for sighting, fresh in zip(sightings, ids, strict=True):
            rows = known.get(sighting.key.ocid)
            if sighting.key.ocid in touched or (rows is not None and _is_recent(rows, sighting.at, now)):
                left += 1
                continue
            touched.add(sighting.key.ocid)
            row, versions = (None, []) if rows is None else (rows.key, rows.versions)
            done = settle(sighting, row, versions, stamp, fresh)
            if done.key is not None:
                settled.append(done)
        _store(tx, settled)
        self._note(tx, settled, found, now)
        new = sum(1 for done in settled if done.is_new)
        return Applied(added=new, changed=len(settled) - new, left=left)

    def losses(self, tx: Tx, losses: Sequence[Loss], now: float) -> Applied:
        """Keys that are not there any more. Raises NotFound."""
        vault = self._job.vault
        self._check_managed(tx)
        stamp = Stamp(vault.num, self._job.by, now)
        known = records.load(tx, vault.num, [loss.ocid for loss in losses])
        subjects = {subject_of(vault.id, loss.ocid): loss.ocid for loss in losses}
        touched = {subjects[subject] for subject in open_intents(tx, list(subjects))}
        found = FINDINGS.of(tx, vault.num, [loss.ocid for loss in losses])
        keys: list[KeyRow] = []
        versions: list[VersionRow] = []
        left = 0
        for loss in losses:
            rows = known.get(loss.ocid)
            if rows is None or rows.key.gone or rows.key.state == "DELETED":
                continue
            if loss.ocid in touched or _is_recent(rows, self._job.began_at, now):
                left += 1
                continue
            is_final = loss.is_final or is_over(rows.key.state, rows.key.deletes_at, now)
            key, its = end(rows.key, rows.versions, stamp, is_final=is_final)
            keys.append(key)
            versions += its
            if is_final:  # what was found of it before stays true: it was somebody else's doing
                moved = {each.num: each for each in its}
                follow(tx, found.get(loss.ocid), key, [moved.get(each.num, each) for each in rows.versions])
            else:
                finding = Finding(new_uuid(), vault.num, key.name, key.ocid, MISSING, {}, key.id, now, now)
                self._find(tx, finding, key)
        if keys:
            records.change(tx, keys, versions)
        return Applied(gone=len(keys), left=left)

    def _check_managed(self, tx: Tx) -> None:
        if vaults.load(tx, self._job.vault.domain_id, self._job.vault.id) is None:
            raise NotFound("VaultGone", message="the vault is no longer managed")

    def _open(self, tx: Tx, sightings: Sequence[Sighting], known: Mapping[str, Known]) -> set[str]:
        """The keys on which an operation is open; one that is being made is known by its name alone."""
        vault_id = self._job.vault.id
        subjects = {subject_of(vault_id, each.key.ocid) for each in sightings}
        new = {each.key.ocid: subject_of(vault_id, each.key.name) for each in sightings if each.key.ocid not in known}
        under_way = open_intents(tx, sorted(subjects | set(new.values())))
        return {
            each.key.ocid
            for each in sightings
            if subject_of(vault_id, each.key.ocid) in under_way or new.get(each.key.ocid) in under_way
        }

    # What is shown of it.

    def _note(self, tx: Tx, settled: Sequence[Settled], known: Mapping[str, Finding], now: float) -> None:
        """Keeps what differs for the drift list, and forgets what is as it was again."""
        resolved = []
        for done in settled:
            key = done.key
            if key is None or (self._job.is_first and done.is_new):
                continue
            before = known.get(key.ocid)
            fields = merged({} if before is None else before.fields, done)
            kind = NEW if done.is_new or (before is not None and before.kind == NEW) else DIFFERENT
            if kind == NEW or fields:
                ident, since = (new_uuid(), now) if before is None else (before.id, before.since)
                finding = Finding(ident, self._job.vault.num, key.name, key.ocid, kind, fields, key.id, now, since)
                self._find(tx, finding, key)
            elif before is not None:
                resolved.append(key.ocid)
        FINDINGS.remove(tx, self._job.vault.num, resolved)

    def _find(self, tx: Tx, finding: Finding, row: KeyRow) -> None:
        thing = Thing("oci", uri("cckm", KIND, row.id, ""), row.id, row.name, row.current_version_ocid)
        note(tx, FINDINGS, finding, self._job, thing, self._notices)


def _is_recent(rows: Known, at: float, now: float) -> bool:
    """Whether somebody has changed or looked at a key since it was read."""
    looks = (rows.key.updated_at, rows.key.refreshed_at, *(each.refreshed_at for each in rows.versions))
    return any(at < look <= now for look in looks)


def _store(tx: Tx, settled: Sequence[Settled]) -> None:
    if not settled:
        return
    new = [done.key for done in settled if done.key is not None and done.is_new]
    nums = records.add(tx, new) if new else {}
    fresh = [
        msgspec.structs.replace(version, key_num=nums[done.key.ocid]) if done.is_new else version
        for done in settled
        if done.key is not None
        for version in done.added
    ]
    records.add_versions(tx, fresh)
    records.change(
        tx,
        [done.key for done in settled if done.key is not None and not done.is_new],
        [version for done in settled for version in done.changed],
    )
