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
from claviger.cckm.azure.synchronization import records
from claviger.cckm.azure.synchronization.comparing import Settled, Sighting, Stamp, end, settle
from claviger.cckm.azure.synchronization.drift import records as drift
from claviger.cckm.azure.synchronization.drift.records import Finding
from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.notices import wire as notices_wire
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.notices.rules import Type
from claviger.cckm.resource import timestamp, uri
from claviger.core.errors import NotFound
from claviger.core.ids import new_uuid
from claviger.store.contract import Tx

NAMES_AT_ONCE = 200


class Applied(msgspec.Struct, frozen=True):
    """How many secrets were added, changed, marked gone, or left for the next job."""

    added: int = 0
    changed: int = 0
    gone: int = 0
    left: int = 0


class Loss(msgspec.Struct, frozen=True):
    """A name that is not there any more, or (`versions`) some versions of one that is."""

    name_key: str
    versions: tuple[str, ...] = ()


class Work(msgspec.Struct, frozen=True):
    """Whose work it is, on which vault. `is_first`: nothing was known before, so nothing that is met is drift."""

    vault: VaultRow
    run_id: str
    by: str
    began_at: float
    is_first: bool = False


class Applier:
    """Writes what was found within transactions of others."""

    def __init__(self, work: Work, notices: Notices | None) -> None:
        self._work = work
        self._notices = notices

    def sightings(self, tx: Tx, sightings: Sequence[Sighting], ids: Sequence[Sequence[str]], now: float) -> Applied:
        """Secrets that are not as they were known. `ids` are for rows that may be made. Raises NotFound."""
        work = self._work
        stamp = Stamp(work.vault.num, work.by, now)
        rows, touched = self._rows(tx, [each.name for each in sightings], now)
        added: list[SecretRow] = []
        changed: list[SecretRow] = []
        settled: list[tuple[str, Settled]] = []
        left = 0
        for sighting, fresh in zip(sightings, ids, strict=True):
            key = sighting.name.lower()
            if key in touched:
                left += 1
                continue
            touched.add(key)
            done = settle(sighting, rows.get(key, []), stamp, fresh)
            if done.added or done.changed:
                settled.append((key, done))
                added += done.added
                changed += done.changed
        if added:
            secrets.add_many(tx, work.vault.domain_id, added)
        if changed:
            secrets.change_many(tx, changed)
        self._note(tx, settled, stamp)
        new = sum(1 for _, done in settled if done.is_new)
        return Applied(added=new, changed=len(settled) - new, left=left)

    def losses(self, tx: Tx, losses: Sequence[Loss], now: float) -> Applied:
        """Secrets, or versions of some, that are not there any more. Raises NotFound."""
        work = self._work
        stamp = Stamp(work.vault.num, work.by, now)
        rows, touched = self._rows(tx, [each.name_key for each in losses], now, own=True)
        ended: list[SecretRow] = []
        findings: list[tuple[str, SecretRow]] = []
        left = 0
        for loss in losses:
            if loss.name_key in touched:
                left += 1
                continue
            there = [row for row in rows.get(loss.name_key, []) if row.status is not Status.DELETED and not row.gone]
            if loss.versions:  # the name lives on without them, which a purge alone can bring about
                ended += end([row for row in there if row.version in loss.versions], stamp, is_final=True)
                continue
            over = [row for row in there if row.told.purge_at is not None and row.told.purge_at <= now]
            ended += end(there, stamp, is_final=bool(over))
            newest = max(there, key=lambda row: (row.told.created_at, row.num), default=None)
            if newest is not None and not over:
                findings.append((loss.name_key, newest))
        if ended:
            secrets.change_many(tx, ended)
        for key, row in findings:
            self._find(tx, Finding(new_uuid(), work.vault.num, row.name, key, drift.MISSING, {}, row.id, now, now), row)
        return Applied(gone=len({row.name_key for row in ended}), left=left)

    def _rows(
        self, tx: Tx, names: Sequence[str], now: float, *, own: bool = False
    ) -> tuple[Mapping[str, list[SecretRow]], set[str]]:
        """The rows of names, and the names that are to be left alone. `own`: this job has changed some of them."""
        work = self._work
        if vaults.load(tx, work.vault.domain_id, work.vault.id) is None:
            raise NotFound("VaultGone", message="the vault is no longer managed")
        keys = sorted({name.lower() for name in names})
        by_name: dict[str, list[SecretRow]] = {}
        for row in secrets.of_names(tx, work.vault.num, keys):
            by_name.setdefault(row.name_key, []).append(row)
        subjects = {subject_of(work.vault.id, key): key for key in keys}
        touched = {subjects[subject] for subject in records.open_intents(tx, list(subjects))}
        for key, rows in by_name.items():
            if not own and any(work.began_at <= row.updated_at <= now for row in rows):
                touched.add(key)
        return by_name, touched

    # What is shown of it.

    def _note(self, tx: Tx, settled: Iterable[tuple[str, Settled]], stamp: Stamp) -> None:
        """Keeps what differs for the drift list, and forgets what is as it was again."""
        work = self._work
        news = {key: done for key, done in settled if not (work.is_first and done.is_new)}
        if not news:
            return
        known = drift.of_names(tx, work.vault.num, sorted(news))
        stored = {row.id: row for row in secrets.of_names(tx, work.vault.num, news)}
        resolved = []
        for key, done in news.items():
            finding = _merged(known.get(key), key, done, stamp)
            if finding is None:
                resolved.append(key)
            else:
                self._find(tx, finding, stored[finding.secret_id])
        drift.remove(tx, work.vault.num, resolved)

    def _find(self, tx: Tx, finding: Finding, row: SecretRow) -> None:
        drift.put(tx, finding)
        if self._notices is None:
            return
        vault = self._work.vault
        data = notices_wire.Drift(
            cloud="azure",
            id=row.id,
            name=row.name,
            version=row.version,
            vault=vault.name,
            vault_id=vault.id,
            change=finding.kind,
            fields=sorted(finding.fields),
            since=timestamp(finding.since),
            job_id=self._work.run_id,
        )
        subject = uri("cckm", "azure-secret", row.id, row.name)
        self._notices.emit(tx, vault.domain_id, Type.DRIFT, subject, data, object_key=row.id)


def _merged(known: Finding | None, key: str, done: Settled, stamp: Stamp) -> Finding | None:
    """What the drift list says of a name from now on; None where all is as it was before it drifted."""
    shown = next(row for row in (*done.added, *done.changed) if row.id == done.shown_by or not done.shown_by)
    fields: dict[str, tuple[Any, Any]] = {}
    for name, (was, now) in done.fields.items():
        first = known.fields[name][0] if known is not None and name in known.fields else was
        if first != now:
            fields[name] = (first, now)
    if known is not None:
        fields = {name: pair for name, pair in known.fields.items() if name not in done.fields} | fields
    kind = drift.NEW if done.is_new or (known is not None and known.kind == drift.NEW) else drift.DIFFERENT
    if kind == drift.DIFFERENT and not fields:
        return None
    since = stamp.now if known is None else known.since
    ident = new_uuid() if known is None else known.id
    return Finding(ident, stamp.vault_num, shown.name, key, kind, fields, shown.id, stamp.now, since)
