"""Tells of secrets that expire soon, and of deleted secrets and keys that soon cannot be brought back any more.

Each subscription says how many days ahead it hears of dates. Each number is told once for each object and date, by
whichever server comes first; a date that has changed is told anew. One that is met within several of a subscription's
numbers at once is told by the nearest alone. Of an object it is noted which number was told last, and nothing in a
domain where nobody hears of it: the first subscription hears of all that is near at that time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence, Set

import msgspec

from claviger.cckm.notices import records as subscriptions
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.notices.nearing import records
from claviger.cckm.notices.nearing.records import ALL, Dated, Dates
from claviger.cckm.notices.records import SubscriptionRow
from claviger.cckm.notices.rules import DAY_S, MOST_WAITING, Type, days_due
from claviger.cckm.notices.wire import NearExpiry, NearFinalDeletion
from claviger.cckm.resource import seconds, uri
from claviger.core.clock import Clock
from claviger.core.errors import Refusal
from claviger.store.contract import Store, Tx

EVERY_S, SOONEST_S = 900.0, 15.0
"""The longest and the shortest pause. In between, looking takes `MOST_OF_THE_TIME` at most."""
MOST_OF_THE_TIME = 0.01
_NEVER_A_NUM = 2**62
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
        every_s: float = EVERY_S,
        soonest_s: float = SOONEST_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._notices = notices
        self._every_s = every_s
        self._soonest_s = soonest_s
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Looks now: the clock was moved, or many dates came in."""
        self._woken.set()

    async def run(self) -> None:
        """Looks until cancelled: often, where that takes little. What fails is logged, and looked at the next time."""
        while True:
            self._woken.clear()
            began = time.monotonic()
            try:
                await self.look()
            except Refusal as refusal:
                log.warning("the dates of secrets could not be looked at: %s", refusal.reason)
            try:
                pause_s = max(self._soonest_s, (time.monotonic() - began) / MOST_OF_THE_TIME)
                async with asyncio.timeout(min(pause_s, self._every_s)):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def look(self) -> int:
        """Tells of all that is near now and was not told yet; of how many objects."""
        told = 0
        for dates in ALL:
            hearing = await subscriptions.days_heard(self._store, Type(dates.kind), MOST_WAITING)
            if hearing:
                told += await self._tell_all(dates, int(self._clock.now()), hearing)
        return told

    async def _tell_all(self, dates: Dates, now: int, hearing: Mapping[str, Set[int]]) -> int:
        """Tells of the dates after `now`, in portions that other work can come between."""
        told = 0
        last = now + max(max(days) for days in hearing.values()) * DAY_S
        place: tuple[float, int] = (now, _NEVER_A_NUM)
        while True:
            rows = await records.nums_from(self._store, dates, place, last, ROWS_AT_ONCE)
            if rows:
                place = rows[-1]
                found = await records.look(self._store, dates, [num for _, num in rows])
                fresh = [row.num for row in found if _is_due(row, now, hearing.get(row.domain_id, ()))]
                if fresh:
                    count, full = await self._tell(dates, now, fresh)
                    told += count
                    # Those hear the rest when there is room again.
                    hearing = {domain_id: days for domain_id, days in hearing.items() if domain_id not in full}
            if len(rows) < ROWS_AT_ONCE:
                return told
            await asyncio.sleep(0)

    async def _tell(self, dates: Dates, now: int, nums: Sequence[int]) -> tuple[int, set[str]]:
        """Emits and notes what still is as it was read; how many, and the domains in which nobody had room."""

        def change(tx: Tx) -> tuple[int, set[str]]:
            told = 0
            full: set[str] = set()
            for row in records.look_again(tx, dates, nums):
                if row.domain_id in full or not row.stands or row.at <= now:
                    continue
                days = self._emit(tx, dates, now, row)
                if days:
                    records.note_told(tx, dates, row, min(days))
                    told += 1
                elif days is not None:
                    full.add(row.domain_id)
            return told, full

        return await self._store.write(change)

    def _emit(self, tx: Tx, dates: Dates, now: int, row: Dated) -> list[int] | None:
        """The numbers of days that were told, none of them where nobody had room; None where nobody is due to hear."""
        kind = Type(dates.kind)
        due = False

        def choose(subscription: SubscriptionRow) -> int | None:
            nonlocal due
            number = days_due(subscription.days_of(kind), row.at - now, row.told)
            due = due or number is not None
            return number

        subject = uri("cckm", dates.of, row.id, row.name if dates.of == "azure-secret" else "")
        told = self._notices.emit_chosen(
            tx, row.domain_id, kind, subject, choose, lambda days: _data(dates, days, row), object_key=row.id
        )
        return told if due else None


def _is_due(row: Dated, now: int, days: Set[int] | tuple[()]) -> bool:
    return row.stands and days_due(days, row.at - now, row.told) is not None


def _data(dates: Dates, days: int, row: Dated) -> msgspec.Struct:
    date = seconds(row.at)
    of = {"cloud": dates.of.partition("-")[0], "id": row.id, "name": row.name, "version": row.version}
    where = {"vault": row.vault, "vault_id": row.vault_id}
    if dates.kind == "near-expiry":
        return NearExpiry(**of, **where, expires_at=date, days=days)
    return NearFinalDeletion(**of, **where, final_at=date, days=days)
