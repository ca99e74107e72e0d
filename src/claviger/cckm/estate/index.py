"""What a process that searches keeps in memory of the rows of secrets, renewed by what has changed since.

Nothing is read before the first search, which then reads all rows once: some seven seconds for a million. Later ones
look whether the revision of the secrets has moved, and read the parts anew that have: a few milliseconds each. Any
number of processes may search one database; none of them tells the others anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from claviger.cckm.azure.secrets.parts.records import moved_since, revision_of, rows_of
from claviger.cckm.estate.parts import Part, Search
from claviger.store.contract import Store

PARTS_AT_ONCE = 32
SAMPLES = 4
_NOTHING_READ = -1


class Found(NamedTuple):
    """The nums of a page, and how many rows match; where it is not exact, there are more."""

    nums: list[int]
    total: int
    is_exact: bool


class Index:
    """The rows of one store. Keep it: it remembers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parts: dict[int, Part] = {}
        self._newest_first: Sequence[Part] = ()
        self._revision = _NOTHING_READ
        self._lock = asyncio.Lock()

    async def renew(self) -> int:
        """Reads what has changed; the revision of which everything is known now, if not of a later one."""
        async with self._lock:
            revision = await revision_of(self._store)
            if revision == self._revision:
                return revision
            if revision < self._revision:  # another database is in its place
                self._parts, self._revision = {}, _NOTHING_READ
            for number in await moved_since(self._store, self._revision):
                rows = await rows_of(self._store, number)
                if rows:
                    self._parts[number] = Part(rows)
                else:
                    self._parts.pop(number, None)
            self._newest_first = [self._parts[number] for number in sorted(self._parts, reverse=True)]
            self._revision = revision
            return revision

    async def find(self, search: Search, skip: int, count: int, enough: int | None) -> Found:
        """The newest rows that match, `count` of them after `skip`.

        Once `enough` are found, and the page, the rest is not counted; None: all are counted.
        """
        nums: list[int] = []
        total = 0
        end = skip + count
        parts = self._newest_first
        search.order_by(parts[:: max(1, len(parts) // SAMPLES)][:SAMPLES])
        for at, part in enumerate(parts):
            if at % PARTS_AT_ONCE == PARTS_AT_ONCE - 1:
                await asyncio.sleep(0)
            if enough is not None and total > max(enough, end):
                return Found(nums, max(enough, end), False)
            rows = part.matching(search)
            if total < end and total + len(rows) > skip:
                nums += [part.num(row) for row in reversed(rows)][max(skip - total, 0) : end - total]
            total += len(rows)
        if enough is not None and total > max(enough, end):
            return Found(nums, max(enough, end), False)
        return Found(nums, total, True)

    @property
    def rows(self) -> int:
        """How many rows are kept."""
        return sum(len(part) for part in self._newest_first)
