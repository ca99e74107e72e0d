"""Brings the records of a vault to what a whole reading has found, a batch a transaction.

Everything is decided anew on the rows as they are within the transaction. A secret on which an operation is open, or
which was changed here since the reading began, is left alone: what was read of it may be older than what is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from claviger.cckm.azure.secrets import records as secrets
from claviger.cckm.azure.secrets.operations import subject_of
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.secrets.showing import KIND as SECRET
from claviger.cckm.azure.synchronization.comparing import Settled, Sighting, Stamp, end, settle
from claviger.cckm.azure.synchronization.records import FINDINGS
from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.drift.records import Finding
from claviger.cckm.drift.rules import DIFFERENT, MISSING, NEW
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.resource import uri
from claviger.cckm.synchronization.finding import Job, Thing, note
from claviger.cckm.synchronization.records import open_intents
from claviger.cckm.synchronization.visiting import Applied
from claviger.core.errors import NotFound
from claviger.core.ids import new_uuid
from claviger.store.contract import Tx


class Loss(msgspec.Struct, frozen=True):
    """A name that is not there any more, or (`versions`) some versions of one that is."""

    name_key: str
    versions: tuple[str, ...] = ()


class Applier:
    """Writes what was found within transactions of others."""

    def __init__(self, job: Job[VaultRow], notices: Notices | None) -> None:
        self._job = job
        self._notices = notices

    def sightings(self, tx: Tx, sightings: Sequence[Sighting], ids: Sequence[Sequence[str]], now: float) -> Applied:
        """Secrets that are not as they were known. `ids` are for rows that may be made. Raises NotFound."""
        job = self._job
        stamp = Stamp(job.vault.num, job.by, now)
        rows, touched = self._rows(tx, [each.name for each in sightings])
        known = FINDINGS.of(tx, job.vault.num, [each.name.lower() for each in sightings])
        settled: list[tuple[str, Settled]] = []
        left = 0
        for sighting, fresh in zip(sightings, ids, strict=True):
            key = sighting.name.lower()
            mine = rows.get(key, [])
            if key in touched or self._is_recent(mine, now):
                left += 1
                continue
            touched.add(key)
            done = settle(sighting, mine, stamp, fresh)
            if done.added or done.changed:
                settled.append((key, done))
        added = [row for _, done in settled for row in done.added]
        changed = [row for _, done in settled for row in done.changed]
        if added:
            secrets.add_many(tx, job.vault.domain_id, added)
        if changed:
            secrets.change_many(tx, changed)
        self._note(tx, settled, known, stamp)
        new = sum(1 for _, done in settled if done.is_new)
        return Applied(added=new, changed=len(settled) - new, left=left)

    def losses(self, tx: Tx, losses: Sequence[Loss], now: float) -> Applied:
        """Secrets, or versions of some, that are not there any more. Raises NotFound."""
        job = self._job
        stamp = Stamp(job.vault.num, job.by, now)
        rows, touched = self._rows(tx, [each.name_key for each in losses])
        ended: list[SecretRow] = []
        fresh = left = 0
        for loss in losses:
            there = [row for row in rows.get(loss.name_key, []) if _counts(row, now)]
            if loss.versions:
                there = [row for row in there if row.version in loss.versions]
            if loss.name_key in touched or self._is_recent(there, now):
                left += 1
                continue
            over = [row for row in there if _is_over(row, now)]
            # Of a name that lives on, versions go by a purge alone.
            ended += end(there, stamp, is_final=bool(over or loss.versions))
            fresh += any(not row.gone for row in there)
            newest = max(there, key=lambda row: (row.told.created_at, row.num), default=None)
            if newest is not None and not over and not loss.versions:
                found = Finding(new_uuid(), job.vault.num, newest.name, loss.name_key, MISSING, {}, newest.id, now, now)
                self._find(tx, found, newest)
        if ended:
            secrets.change_many(tx, ended)
        return Applied(gone=fresh, left=left)

    def _rows(self, tx: Tx, names: Sequence[str]) -> tuple[Mapping[str, list[SecretRow]], set[str]]:
        """The rows of names, and the names on which an operation is open."""
        job = self._job
        if vaults.load(tx, job.vault.domain_id, job.vault.id) is None:
            raise NotFound("VaultGone", message="the vault is no longer managed")
        keys = sorted({name.lower() for name in names})
        by_name: dict[str, list[SecretRow]] = {}
        for row in secrets.of_names(tx, job.vault.num, keys):
            by_name.setdefault(row.name_key, []).append(row)
        subjects = {subject_of(job.vault.id, key): key for key in keys}
        return by_name, {subjects[subject] for subject in open_intents(tx, list(subjects))}

    def _is_recent(self, rows: Sequence[SecretRow], now: float) -> bool:
        """Whether somebody has changed these rows since the reading began."""
        return any(self._job.began_at < row.updated_at <= now for row in rows)

    # What is shown of it.

    def _note(self, tx: Tx, settled: Iterable[tuple[str, Settled]], known: Mapping[str, Finding], stamp: Stamp) -> None:
        """Keeps what differs for the drift list, and forgets what is as it was again."""
        job = self._job
        resolved = []
        for key, done in settled:
            if job.is_first and done.is_new:
                continue
            touched = [*done.added, *done.changed]
            shown = next((row for row in touched if row.id == done.shown_by), touched[-1])
            finding = _merged(known.get(key), shown, done, stamp)
            if finding is not None:
                self._find(tx, finding, shown)
            elif key in known:
                resolved.append(key)
        FINDINGS.remove(tx, job.vault.num, resolved)

    def _find(self, tx: Tx, finding: Finding, row: SecretRow) -> None:
        thing = Thing("azure", uri("cckm", SECRET, row.id, row.name), row.id, row.name, row.version)
        note(tx, FINDINGS, finding, self._job, thing, self._notices)


def _is_over(row: SecretRow, now: float) -> bool:
    """Whether the retention of a soft-deleted version has ended."""
    return row.told.purge_at is not None and row.told.purge_at <= now


def _counts(row: SecretRow, now: float) -> bool:
    """Whether there is anything left to say of a version that is nowhere to be found."""
    return row.status is not Status.DELETED and (not row.gone or _is_over(row, now))


def _merged(known: Finding | None, shown: SecretRow, done: Settled, stamp: Stamp) -> Finding | None:
    """What the drift list says of a name from now on; None where all is as it was before it drifted."""
    before: Mapping[str, tuple[Any, Any]] = known.fields if known is not None else {}
    fields = {name: pair for name, pair in before.items() if name not in done.fields}
    for name, (was, now) in done.fields.items():
        first = before[name][0] if name in before else was
        if first != now:
            fields[name] = (first, now)
    kind = NEW if done.is_new or (known is not None and known.kind == NEW) else DIFFERENT
    if kind == DIFFERENT and not fields:
        return None
    ident, since = (new_uuid(), stamp.now) if known is None else (known.id, known.since)
    return Finding(ident, stamp.vault_num, shown.name, shown.name_key, kind, fields, shown.id, stamp.now, since)
