"""What a process that searches keeps in memory of the rows of secrets, or of keys, renewed by what has changed since.

Nothing is read before the first search, which then reads all rows once: some seven seconds for a million. Later ones
look whether the revision has moved, and read the parts anew that have: a few milliseconds each. Any number of processes
may search one database; none of them tells the others anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from claviger.cckm.azure.secrets.parts import records as secrets
from claviger.cckm.estate.parts import Part, Search, keys_part, secrets_part
from claviger.cckm.oci.keys.parts import records as keys
from claviger.store.contract import Store

PARTS_AT_ONCE = 32
SAMPLES = 4
_NOTHING_READ = -1


class Source(NamedTuple):
    """Where rows are read from: the revision of all, the parts that have moved since one, and the rows of a part."""

    revision_of: Callable[[Store], Awaitable[int]]
    moved_since: Callable[[Store, int], Awaitable[list[int]]]
    rows_of: Callable[[Store, int], Awaitable[Sequence[Any]]]
    part_of: Callable[[Any], Part]


SECRETS = Source(secrets.PARTS.revision_of, secrets.PARTS.moved_since, secrets.rows_of, secrets_part)
KEYS = Source(keys.PARTS.revision_of, keys.PARTS.moved_since, keys.rows_of, keys_part)


class Found(NamedTuple):
    """The nums of a page, and how many rows match; where it is not exact, there are more.

    `ages`, where they are wanted, are what pages of several indexes are put in one order by: see `find`.
    """

    nums: list[int]
    total: int
    is_exact: bool
    ages: Sequence[int] = ()


NOTHING = Found([], 0, True)


class Index:
    """The rows of one kind in one store. Keep it: it remembers."""

    def __init__(self, store: Store, source: Source) -> None:
        self._store = store
        self._source = source
        self._parts: dict[int, Part] = {}
        self._newest_first: Sequence[Part] = ()
        self._made_before: Sequence[int] = ()
        self._revision = _NOTHING_READ
        self._lock = asyncio.Lock()

    async def renew(self) -> int:
        """Reads what has changed; the revision of which everything is known now, if not of a later one."""
        async with self._lock:
            revision = await self._source.revision_of(self._store)
            if revision == self._revision:
                return revision
            if revision < self._revision:  # another database is in its place
                self._parts, self._revision = {}, _NOTHING_READ
            for number in await self._source.moved_since(self._store, self._revision):
                rows = await self._source.rows_of(self._store, number)
                if rows:
                    self._parts[number] = self._source.part_of(rows)
                else:
                    self._parts.pop(number, None)
            self._newest_first = [self._parts[number] for number in sorted(self._parts, reverse=True)]
            latest = accumulate((part.last_made_at for part in reversed(self._newest_first)), max, initial=0)
            self._made_before = list(latest)[:-1][::-1]
            self._revision = revision
            return revision

    async def find(
        self, search: Search, skip: int, count: int, enough: int | None, *, with_ages: bool = False
    ) -> Found:
        """The newest rows that match, `count` of them after `skip`.

        Once `enough` are found, and the page, the rest is not counted; None: all are counted. The newest are those of
        the highest nums, whatever clock they were dated by. `with_ages` tells of each the latest time at which it, or
        any that came before it, was made: an order that never contradicts that of the nums.
        """
        nums: list[int] = []
        ages: list[int] = []
        total = 0
        end = skip + count
        parts = self._newest_first
        search.order_by(parts[:: max(1, len(parts) // SAMPLES)][:SAMPLES])
        for at, part in enumerate(parts):
            if at % PARTS_AT_ONCE == PARTS_AT_ONCE - 1:
                await asyncio.sleep(0)
            if enough is not None and total > max(enough, end):
                return Found(nums, max(enough, end), False, ages)
            rows = part.matching(search)
            if total < end and total + len(rows) > skip:
                chosen = rows[::-1][max(skip - total, 0) : end - total]
                nums += [part.num(row) for row in chosen]
                if with_ages:
                    made = list(accumulate(part.made_at(), max, initial=self._made_before[at]))
                    ages += [made[row + 1] for row in chosen]
            total += len(rows)
        if enough is not None and total > max(enough, end):
            return Found(nums, max(enough, end), False, ages)
        return Found(nums, total, True, ages)
