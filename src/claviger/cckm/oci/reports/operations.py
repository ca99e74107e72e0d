"""Reports about keys of OCI: asked for, filled in the background, read as rows or as CSV (CCKM contract, OCI §10).

A report shows what its vaults hold, so only who may read reports in every one of them sees it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from claviger.audit.trail import about
from claviger.cckm.calls import Caller, Query
from claviger.cckm.errors import validation
from claviger.cckm.listing import MOST_AT_ONCE, Page, matches, page_of, window_of
from claviger.cckm.oci.reports import records, rules
from claviger.cckm.oci.reports.gathering import KIND, Request
from claviger.cckm.oci.reports.records import Report
from claviger.cckm.oci.reports.rules import COLUMNS, FILTERS, Type
from claviger.cckm.oci.reports.tables import head, written
from claviger.cckm.oci.reports.wire import CreateReport, ReportParams, ReportRecord, Row
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.resource import header, timestamp
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Forbidden, NotFound
from claviger.core.ids import new_uuid
from claviger.jobs.runs import Runs
from claviger.store.contract import Store, Tx

OBJECT = "oci-report"
PORTION = 1000
_SHOWN: Mapping[str, Callable[[Report], object]] = {
    "id": lambda row: row.id,
    "name": lambda row: row.name,
    "report_type": lambda row: row.report_type,
    "overall_status": lambda row: row.state,
}
_SORTS: Mapping[str, Callable[[Report], Any]] = {
    "name": lambda row: (row.name, row.num),
    "createdAt": lambda row: row.num,
    "updatedAt": lambda row: (row.updated_at, row.num),
}

Seen = frozenset[str] | None
"""Ids of the vaults in which the caller may do what he asks for; None is all of the domain."""


class Reports:
    """Everything about reports of a domain."""

    def __init__(self, store: Store, clock: Clock, runs: Runs) -> None:
        self._store = store
        self._clock = clock
        self._runs = runs

    async def create(self, caller: Caller, seen: Seen, asked: CreateReport) -> ReportRecord:
        """Begins a report. Raises Invalid, NotFound for a vault that the caller does not see, Forbidden without any."""
        kind = Type(asked.report_type)
        now = self._clock.now()
        start, end = _moment("start_time", asked.start_time), _moment("end_time", asked.end_time)
        start, end = rules.period(start, end, kind, now)
        rules.check(asked.name, start, end, kind)
        managed = [row.id for row in await vaults.all_of(self._store, caller.domain_id)]
        allowed = [ident for ident in managed if seen is None or ident in seen]
        if seen is not None and not allowed:
            raise Forbidden("ActionMissing", message="you lack the permission reportcreate in every vault")
        named = [ident for one in (() if asked.oci_params is UNSET else asked.oci_params) for ident in one.vaults]
        unknown = sorted(set(named) - set(allowed))
        if unknown:
            raise NotFound("NotFound", message=f"there is no vault {unknown[0][:100]} that you may report on")
        fresh = Report(
            num=0,
            id=new_uuid(),
            domain_id=caller.domain_id,
            name=asked.name,
            report_type=kind.value,
            params=msgspec.json.encode(list(dict.fromkeys(named)) or allowed).decode(),
            start_at=start,
            end_at=end,
            state="in_progress",
            message="",
            row_count=0,
            created_by=caller.user_id,
            created_at=now,
            updated_at=now,
        )

        def change(tx: Tx) -> None:
            if records.count(tx, caller.domain_id) >= rules.MOST_REPORTS:
                raise Conflict("TooMany", message=f"a domain may have {rules.MOST_REPORTS} reports; delete some")
            about(OBJECT, fresh.id, fresh.name)
            records.add(tx, fresh)
            self._runs.start(tx, KIND, caller.domain_id, Request(fresh.id), by=caller.user_id)

        await self._store.write(change)
        self._runs.wake()
        return shown(fresh)

    async def listing(self, domain_id: str, seen: Seen, query: Query) -> Page:
        """A page of the reports that the caller may read. Raises Invalid."""
        rows = [row for row in await records.all_of(self._store, domain_id) if _may(row, seen)]
        return page_of(rows, query, filters=_SHOWN, sorts=_SORTS, default_sort="createdAt", shown=shown)

    async def read(self, domain_id: str, seen: Seen, ident: str) -> ReportRecord:
        """One report. Raises NotFound."""
        return shown(await self._found(domain_id, seen, ident))

    async def contents(self, domain_id: str, seen: Seen, ident: str, query: Query) -> Page:
        """A page of a report's rows. Raises NotFound, and Conflict("InProgress")."""
        report = await self._ready(domain_id, seen, ident)
        window = window_of(query)
        given = {name: [word for each in spelt for word in query.all(each)] for name, spelt in FILTERS.items()}
        asked = {name: words for name, words in given.items() if words}
        rows: list[Row] = []
        if not asked:  # rows have places from 0 on
            count = window.count_of(report.row_count)
            async for portion in self._portions(report, window.skip, window.skip + count):
                rows += portion
            return Page(window.skip, window.limit, report.row_count, rows)
        end = window.skip + (MOST_AT_ONCE if window.limit == -1 else min(window.limit, MOST_AT_ONCE))
        total = 0
        async for portion in self._portions(report):
            for row in portion:
                if all(matches(row.get(name), words) for name, words in asked.items()):
                    if window.skip <= total < end:
                        rows.append(row)
                    total += 1
        window.count_of(total)
        return Page(window.skip, window.limit, total, rows)

    async def download(self, domain_id: str, seen: Seen, ident: str) -> tuple[str, str]:
        """A file name and the whole report as CSV. Raises as `contents`."""
        report = await self._ready(domain_id, seen, ident)
        name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in report.name)[:60]
        columns = COLUMNS[Type(report.report_type)]
        return f"{name}.csv", head(columns) + "".join(
            [written(columns, portion) async for portion in self._portions(report)]
        )

    async def delete(self, domain_id: str, seen: Seen, ident: str) -> None:
        """Deletes a report with its rows. Raises NotFound."""
        known = await self._found(domain_id, seen, ident)

        def change(tx: Tx) -> None:
            row = records.load(tx, domain_id, known.id)
            if row is None:
                raise _missing()
            about(OBJECT, row.id, row.name)
            records.remove(tx, row.num)

        await self._store.write(change)

    async def _portions(self, report: Report, first: int = 0, end: int = rules.MOST_ROWS) -> AsyncIterator[list[Row]]:
        """Rows from a place to another, some at a time: a report is larger than what one answer should hold."""
        place = first - 1
        while place + 1 < end:
            found = await records.rows_after(self._store, report.num, place, min(PORTION, end - place - 1))
            if not found:
                return
            place = found[-1][0]
            yield [row for _, row in found]

    async def _ready(self, domain_id: str, seen: Seen, ident: str) -> Report:
        report = await self._found(domain_id, seen, ident)
        if report.state != "completed":
            raise Conflict("InProgress", message=f"the report is {report.state}; ask again when it is completed")
        return report

    async def _found(self, domain_id: str, seen: Seen, ident: str) -> Report:
        row = await records.by_id(self._store, domain_id, ident)
        if row is None or not _may(row, seen):
            raise _missing()
        return row


def _may(report: Report, seen: Seen) -> bool:
    return seen is None or (bool(report.vaults) and seen.issuperset(report.vaults))


def _moment(field: str, text: str | UnsetType) -> float | None:
    if text is UNSET:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise validation({field: "must be a time in RFC 3339"}) from None


def shown(row: Report) -> ReportRecord:
    """A report as it is answered."""
    head: dict[str, Any] = header("cckm", OBJECT, row.id, "", row.domain_id, row.created_at, row.updated_at)
    return ReportRecord(
        **head,
        name=row.name,
        report_type=row.report_type,
        oci_params=[ReportParams(vaults=row.vaults)],
        start_time=UNSET if row.start_at is None else timestamp(row.start_at),
        end_time=UNSET if row.end_at is None else timestamp(row.end_at),
        overall_status=row.state,
        message=row.message,
        row_count=row.row_count,
    )


def _missing() -> NotFound:
    return NotFound("NotFound", message="there is no such report")
