"""Whole lists of what is leaving of one kind, in order, kept for as long as nothing of that kind changes.

Every row has to be looked at to tell whether it is leaving, alone or with others. So that is found once, in portions
between which others run. Memory is bounded; what was not asked for longest goes.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable

from claviger.cckm.leaving.merging import Ranked

MOST_KEPT = 500_000


class Whole:
    """A list in order, in 16 bytes a row."""

    def __init__(self, rows: Iterable[Ranked]) -> None:
        found = sorted(rows)
        self._ranks = array("d", [row.rank for row in found])
        self._nums = array("q", [abs(row.num) for row in found])

    def __len__(self) -> int:
        return len(self._nums)

    def page(self, skip: int, count: int) -> list[Ranked]:
        """Up to `count` rows after `skip`."""
        end = skip + count
        return [Ranked(rank, num) for rank, num in zip(self._ranks[skip:end], self._nums[skip:end], strict=True)]


class Remembered:
    """Whole lists of one store, of one revision. `most` rows are kept, and the list that was asked for last."""

    def __init__(self, revision: Callable[[], Awaitable[str]], most: int = MOST_KEPT) -> None:
        self._revision_now = revision
        self._most = most
        self._revision = ""
        self._known: OrderedDict[Hashable, Whole] = OrderedDict()

    async def whole(self, key: Hashable, read: Callable[[], Awaitable[list[Ranked]]]) -> Whole:
        """The list of this key, as it is now; `read` finds it where it is not known."""
        revision = await self._revision_now()
        if revision != self._revision:
            self._revision = revision
            self._known.clear()
        known = self._known.get(key)
        if known is None:
            known = Whole(await read())
            if revision != await self._revision_now() or revision != self._revision:  # in this order: time passes
                return known
        self._known[key] = known
        self._known.move_to_end(key)
        kept = sum(len(each) for each in self._known.values())
        while kept > self._most and len(self._known) > 1:
            kept -= len(self._known.popitem(last=False)[1])
        return known
