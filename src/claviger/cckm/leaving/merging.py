"""One list out of several that are in order, page by page, without reading what lies before the page.

Of what lies before a page, each list surely contributes as many as the others have not: those are skipped by its own
database, and only as many as the others have are read to tell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol


class Ranked(NamedTuple):
    """A row of a list by what the list goes by (smaller ones first) and its number, which settles what is equal."""

    rank: float
    num: int


class Listed(Protocol):
    """A list in order."""

    async def count(self) -> int:
        """How many rows it has."""
        ...

    async def ranked(self, skip: int, count: int) -> list[Ranked]:
        """Up to `count` of its rows after `skip`."""
        ...


class Placed(NamedTuple):
    """A row of the whole: the place of its list among the lists, and its number there."""

    source: int
    num: int


async def page_of(sources: Sequence[Listed], counts: Sequence[int], skip: int, count: int) -> list[Placed]:
    """The rows from `skip` on of all lists together. Equal ranks go by list, then as the list has them."""
    if count == 0:
        return []
    total = sum(counts)
    found: list[tuple[float, int, int, int]] = []
    passed = 0
    for at, (source, own) in enumerate(zip(sources, counts, strict=True)):
        sure = max(0, skip - (total - own))
        passed += sure
        rows = await source.ranked(sure, min(own, skip + count) - sure) if own > sure else []
        found += [(row.rank, at, place, row.num) for place, row in enumerate(rows)]
    found.sort()
    return [Placed(at, num) for _, at, _, num in found[skip - passed : skip - passed + count]]


async def dated_first(
    dated: Callable[[int, int], Awaitable[list[Ranked]]],
    count_dated: Callable[[], Awaitable[int]],
    undated: Callable[[int, int], Awaitable[list[Ranked]]],
    skip: int,
    count: int,
) -> list[Ranked]:
    """Rows of a list in which those without a date come last."""
    found = await dated(skip, count)
    if len(found) < count:
        before = await count_dated() if skip and not found else skip + len(found)
        found += await undated(max(skip - before, 0), count - len(found))
    return found
