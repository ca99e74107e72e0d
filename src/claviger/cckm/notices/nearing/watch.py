"""Tells of secrets that expire soon, and of deleted secrets and keys that soon cannot be brought back any more.

Each number of days is told once for each object and date, by whichever server comes first; a date that has changed is
told anew. One that is met within several of the numbers at once is told by the nearest alone. In a domain where
nobody hears of it nothing is noted, so the first subscription hears of all that is near at that time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence, Set

import msgspec

from claviger.cckm.notices import records as subscriptions
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.notices.nearing import records
from claviger.cckm.notices.nearing.records import ALL, Dated, Dates, Kind
from claviger.cckm.notices.rules import MOST_WAITING, Type, bands
from claviger.cckm.notices.wire import NearExpiry, NearFinalDeletion
from claviger.cckm.resource import seconds, uri
from claviger.core.clock import Clock
from claviger.core.errors import Refusal
from claviger.store.contract import Store, Tx

DAY_S = 86_400
EVERY_S = 900.0
_NEVER_A_NUM = 2**62
EXPIRY_DAYS = (30, 7, 1)
FINAL_DAYS = (7, 1)
ROWS_AT_ONCE = 250

log = logging.getLogger("claviger.notices")


class Watch:
    """Looks through the dates for as long as the server runs; several servers on one database may each run one."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        notices: Notices,
        *,
        expiry_days: Sequence[int] = EXPIRY_DAYS,
        final_days: Sequence[int] = FINAL_DAYS,
        every_s: float = EVERY_S,
    ) -> None:
        """Raises ValueError for a number of days below 1."""
        self._store = store
        self._clock = clock
        self._notices = notices
        self._bands: dict[Kind, list[tuple[int, int]]] = {
            "near-expiry": bands(expiry_days),
            "near-final-deletion": bands(final_days),
        }
        self._every_s = every_s
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Looks now: the clock was moved, or many dates came in."""
        self._woken.set()

    async def run(self) -> None:
        """Looks until cancelled. What fails is logged, and looked at again the next time."""
        while True:
            self._woken.clear()
            try:
                await self.look()
            except Refusal as refusal:
                log.warning("the dates of secrets could not be looked at: %s", refusal.reason)
            try:
                async with asyncio.timeout(self._every_s):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def look(self) -> int:
        """Tells of all that is near now and was not told yet; of how many objects."""
        told = 0
        for dates in ALL:
            hearing = await subscriptions.domains_that_hear(self._store, Type(dates.kind), MOST_WAITING)
            if not hearing:
                continue
            now = int(self._clock.now())
            for low, high in self._bands[dates.kind]:
                told += await self._tell_from(dates, now + low * DAY_S, now + high * DAY_S, high, hearing)
        return told

    async def _tell_from(self, dates: Dates, first: int, last: int, days: int, hearing: Set[str]) -> int:
        """Tells of the dates after `first` and until `last`, in portions that other work can come between."""
        told = 0
        place: tuple[float, int] = (first, _NEVER_A_NUM)
        while True:
            rows = await records.nums_from(self._store, dates, place, last, ROWS_AT_ONCE)
            if rows:
                place = rows[-1]
                found = await records.look(self._store, dates, days, [num for _, num in rows])
                fresh = [row.num for row in found if _is_due(row, hearing)]
                if fresh:
                    count, full = await self._tell(dates, days, fresh, (first, last), hearing)
                    told += count
                    hearing = hearing - full  # those hear the rest when there is room again
            if len(rows) < ROWS_AT_ONCE:
                return told
            await asyncio.sleep(0)

    async def _tell(
        self, dates: Dates, days: int, nums: Sequence[int], within: tuple[int, int], hearing: Set[str]
    ) -> tuple[int, set[str]]:
        """Emits and notes what still is as it was read; how many, and the domains whose outbox is full."""

        def change(tx: Tx) -> tuple[int, set[str]]:
            told = 0
            full: set[str] = set()
            for row in records.look_again(tx, dates, days, nums):
                if row.domain_id in full or not _is_due(row, hearing) or not within[0] < row.at <= within[1]:
                    continue
                if self._emit(tx, dates, days, row):
                    records.note_told(tx, dates, row, days)
                    told += 1
                else:
                    full.add(row.domain_id)
            return told, full

        return await self._store.write(change)

    def _emit(self, tx: Tx, dates: Dates, days: int, row: Dated) -> int:
        subject = uri("cckm", dates.of, row.id, row.name if dates.of == "azure-secret" else "")
        data = _data(dates, days, row)
        return self._notices.emit(tx, row.domain_id, dates.kind, subject, data, object_key=row.id)


def _is_due(row: Dated, hearing: Set[str]) -> bool:
    return row.stands and not row.told and row.domain_id in hearing


def _data(dates: Dates, days: int, row: Dated) -> msgspec.Struct:
    date = seconds(row.at)
    of = {"cloud": dates.of.partition("-")[0], "id": row.id, "name": row.name, "version": row.version}
    where = {"vault": row.vault, "vault_id": row.vault_id}
    if dates.kind == "near-expiry":
        return NearExpiry(**of, **where, expires_at=date, days=days)
    return NearFinalDeletion(**of, **where, final_at=date, days=days)
