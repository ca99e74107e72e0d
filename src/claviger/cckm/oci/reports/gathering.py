"""Fills reports with their rows, in the background, a portion at a time.

A report is a picture of the moment it is made. One that a server could not finish is begun anew by the next: its rows
and how far it is are one transaction each, and rows of an attempt that was cut short are forgotten first.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from claviger.audit import queries
from claviger.audit.queries import Filters, record_id
from claviger.cckm.journal import SERVICE
from claviger.cckm.oci.asking import written
from claviger.cckm.oci.reports import records
from claviger.cckm.oci.reports.records import Report
from claviger.cckm.oci.reports.rules import MOST_ROWS, Type, whole_days
from claviger.cckm.resource import timestamp
from claviger.core.clock import Clock
from claviger.jobs.runs import Run, Runs
from claviger.store.contract import Store, Tx

KIND = "oci-report"
PORTION = 200
_KEYS = frozenset({"oci-key", "oci-key-version"})
_MOST_VAULTS_A_READ = 500

Row = dict[str, Any]


class Request(msgspec.Struct, frozen=True):
    """Which report a run is to fill."""

    report_id: str


class Gatherer:
    """The worker that `jobs.runs.Runner` calls."""

    def __init__(self, store: Store, clock: Clock, runs: Runs) -> None:
        self._store = store
        self._clock = clock
        self._runs = runs

    async def run(self, run: Run) -> None:
        """Fills a report. Raises Conflict("TakenOver") where another server does."""
        wanted = msgspec.json.decode(run.request, type=Request)
        report = await records.by_id(self._store, run.domain_id, wanted.report_id)
        if report is None:
            await self._runs.end(run, "completed", {}, "the report was deleted")
            return
        num, count, is_cut = report.num, 0, False
        await self._runs.save(run, {"rows": 0}, lambda tx: records.forget_rows(tx, num))
        async for portion in self._portions(report):
            room = MOST_ROWS - count
            is_cut = is_cut or len(portion) > room
            kept = [(str(row.get("key_id") or ""), msgspec.json.encode(row).decode()) for row in portion[:room]]
            await self._runs.save(run, {"rows": count + len(kept)}, _adding(num, count, kept))
            count += len(kept)
            if is_cut:
                break
        message = f"only the first {MOST_ROWS} rows are in it; ask for a shorter time or fewer vaults" if is_cut else ""
        now, total = self._clock.now(), count
        await self._runs.end(
            run,
            "completed",
            {"rows": total},
            message,
            lambda tx: records.set_state(tx, num, "completed", message, total, now),
        )

    def _portions(self, report: Report) -> AsyncIterator[list[Row]]:
        kind = Type(report.report_type)
        if kind is Type.AGING:
            return self._aging(report)
        if kind is Type.ROTATION:
            return self._rotation(report)
        return self._activity(report)

    async def _aging(self, report: Report) -> AsyncIterator[list[Row]]:
        now = self._clock.now()
        for vaults in _in_parts(report.vaults):
            after = 0
            while found := await records.aging_after(self._store, vaults, after, PORTION):
                after = found[-1].num
                yield [_aging(each, now) for each in found]

    async def _rotation(self, report: Report) -> AsyncIterator[list[Row]]:
        start, end = report.start_at or 0.0, report.end_at or self._clock.now()
        for vaults in _in_parts(report.vaults):
            after = 0
            while found := await records.rotated_after(self._store, vaults, start, end, after, PORTION):
                after = found[-1].num
                yield [
                    {
                        "time": written(each.oci_created_at),
                        "key_activity": "rotated",
                        "key_name": each.key_name,
                        "key_id": each.key_ocid,
                        "key_version_id": each.ocid,
                        "key_material_origin": each.origin,
                        "vault_name": each.vault_name,
                        "vault_id": each.vault_ocid,
                        "is_current": each.is_current,
                    }
                    for each in found
                ]

    async def _activity(self, report: Report) -> AsyncIterator[list[Row]]:
        """What the audit log has of keys in these vaults, oldest first. The report itself is the end of time."""
        wanted = frozenset(report.vaults)
        end = report.created_at if report.end_at is None else min(report.end_at, report.created_at)
        filters = Filters(service=(SERVICE,), created_after=report.start_at, created_before=end, newest_first=False)
        skip = 0
        while True:
            page = await queries.page(self._store, report.domain_id, filters, skip, PORTION)
            if not page.records:
                return
            skip += len(page.records)
            about = [each for each in page.records if each.entry.object.kind in _KEYS]
            known = await records.keys_by_id(self._store, sorted({each.entry.object.id for each in about}))
            rows = []
            for each in about:
                entry, of_key = each.entry, known.get(each.entry.object.id)
                if of_key is None or of_key[1] not in wanted:
                    continue
                rows.append(
                    {
                        "time": timestamp(entry.at),
                        "key_activity": entry.action,
                        "key_name": entry.object.name,
                        "key_id": of_key[0],
                        "vault_name": of_key[2],
                        "vault_id": of_key[3],
                        "user_name": entry.actor.username,
                        "stage": str(entry.details.get("stage", "")),  # work in OCI leaves two records, or more
                        "outcome": entry.outcome,
                        "status": entry.status,
                        "request_id": entry.request_id,
                        "audit_record_id": record_id(each.seq),
                    }
                )
            if rows:
                yield rows


def _adding(num: int, first: int, rows: Sequence[tuple[str, str]]) -> Any:
    def change(tx: Tx) -> None:
        records.add_rows(tx, num, first, rows)

    return change


def _in_parts(vaults: Sequence[str]) -> list[Sequence[str]]:
    return [vaults[at : at + _MOST_VAULTS_A_READ] for at in range(0, len(vaults), _MOST_VAULTS_A_READ)]


def _aging(found: records.Aging, now: float) -> Row:
    rotated_at = found.oci_created_at if found.current_created_at is None else found.current_created_at
    return {
        "key_name": found.name,
        "key_id": found.ocid,
        "vault_name": found.vault_name,
        "vault_id": found.vault_ocid,
        "compartment_name": found.compartment_name,
        "region": found.region,
        "algorithm": found.algorithm,
        "length": found.length,
        "protection_mode": found.protection_mode,
        "lifecycle_state": found.state,
        "time_created": written(found.oci_created_at),
        "age_days": whole_days(found.oci_created_at, now),
        "version_count": found.version_count,
        "current_version_created": written(rotated_at),
        "days_since_rotation": whole_days(rotated_at, now),
        "auto_rotate": bool(found.auto_rotate),
        "time_of_deletion": written(found.deletes_at),
        "gone": bool(found.gone),
    }
