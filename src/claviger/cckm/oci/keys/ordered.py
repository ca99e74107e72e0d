"""Lists of keys in their order, as a process keeps them in memory, renewed by what has changed since.

A list that is asked for the first time is read whole, by a few columns of its rows, in portions between which others
run. After that, only the portions with keys that have changed are read again, which `keys.parts` tells, and any page is
a slice. What a few vaults have is read again as a whole. Memory is bounded; what was not asked for longest goes.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from claviger.cckm.oci.keys import records
from claviger.cckm.oci.keys.parts.records import PARTS
from claviger.cckm.oci.keys.records import ORDERS, Wanted
from claviger.store.contract import Row, Store

FEW = 2000
MOST_KEPT = 250_000
"""Rows of all lists together, of some 150 bytes each. The list that was asked for last is kept in any case."""
_FROM_THE_START = -1
_NEVER = 1e300
_SAME_TEXTS = ("algorithm", "lifecycle_state")

Sorts = Sequence[tuple[str, bool]]


class Ordered:
    """The rows of a list, in order: what it is sorted by, and last the num, negative where everything descends."""

    def __init__(self, revision: int, rows: list[Row]) -> None:
        self.revision = revision
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def nums(self, skip: int, count: int) -> list[int]:
        """The nums of `count` rows after `skip`."""
        return [abs(row[-1]) for row in self.rows[skip : skip + count]]


class _List(NamedTuple):
    """What a list asks for: vaults with their regions, conditions on keys, and what to sort by."""

    vaults: tuple[tuple[int, str], ...]
    wanted: tuple[tuple[str, tuple[Any, ...]], ...]
    sorts: tuple[tuple[str, bool], ...]


class Orders:
    """Lists of the keys in one store. Keep it: it remembers."""

    def __init__(self, store: Store, most: int = MOST_KEPT) -> None:
        self._store = store
        self._most = most
        self._known: OrderedDict[_List, Ordered] = OrderedDict()

    async def of(self, domain_id: str, wanted: Sequence[Wanted], sorts: Sorts) -> Ordered:
        """The domain's keys that meet these conditions, as they are now. Equal ones go by creation."""
        regions = await records.regions(self._store, domain_id, [each for each in wanted if each.of_vault])
        on_keys = tuple((each.sql, each.args) for each in wanted if not each.of_vault)
        asked = _List(tuple(sorted(regions.items())), on_keys, tuple(sorts))
        revision = await PARTS.revision_of(self._store)
        known = self._known.get(asked)
        if known is None or known.revision != revision:
            known = Ordered(revision, await self._read(asked, known, revision))
        self._keep(asked, known)
        return known

    async def _read(self, asked: _List, known: Ordered | None, revision: int) -> list[Row]:
        """All rows of a list. What is read of a later revision than this is read again by the next."""
        reads = _Reads(self._store, asked)
        if await records.has_few(self._store, reads.vaults, FEW):
            rows = await reads.of_all()
            reads.sort(rows)
            return rows
        after = _FROM_THE_START
        rows = []
        if known is not None and known.revision < revision:
            after, rows = known.revision, known.rows
        moved = await PARTS.moved_since(self._store, after)
        if known is not None and rows and not moved:
            return rows
        gone = frozenset(moved)
        rows = [row for row in rows if abs(row[-1]) // PARTS.rows_a_part not in gone]  # others may hold the old ones
        for part in moved:
            fresh = await reads.of_part(part)
            reads.sort(fresh)  # sorted runs make the sorting of all shorter
            rows += fresh
            await asyncio.sleep(0)
        reads.sort(rows)
        return rows

    def _keep(self, asked: _List, ordered: Ordered) -> None:
        self._known[asked] = ordered
        self._known.move_to_end(asked)
        kept = sum(len(each) for each in self._known.values())
        while kept > self._most and len(self._known) > 1:
            kept -= len(self._known.popitem(last=False)[1])


class _Reads:
    """How the rows of a list are read, and sorted."""

    def __init__(self, store: Store, asked: _List) -> None:
        self._store = store
        regions = dict(asked.vaults)
        self.vaults = list(regions)
        self._wanted = [Wanted(sql, args) for sql, args in asked.wanted]
        self._sorts = asked.sorts
        self._all_descend = all(descends for _, descends in asked.sorts)
        self._columns = [*(_column(name, descends) for name, descends in asked.sorts)]
        self._columns.append("-k.num" if self._all_descend else "k.num")
        self._shared = {at: _shared(name, regions) for at, (name, _) in enumerate(asked.sorts) if _is_shared(name)}

    async def of_all(self) -> list[Row]:
        """Those of all the vaults."""
        return self._told(await records.places(self._store, self._columns, self.vaults, self._wanted))

    async def of_part(self, part: int) -> list[Row]:
        """Those of one portion."""
        nums = PARTS.nums(part)
        return self._told(await records.places(self._store, self._columns, self.vaults, self._wanted, nums))

    def _told(self, rows: Sequence[Row]) -> list[Row]:
        shared = self._shared
        if not shared:
            return list(rows)
        return [tuple(shared[at](value) if at in shared else value for at, value in enumerate(row)) for row in rows]

    def sort(self, rows: list[Row]) -> None:
        """Puts rows in order: at once where all that they are sorted by goes one way."""
        if len({descends for _, descends in self._sorts}) == 1:
            rows.sort(reverse=self._all_descend)
            return
        rows.sort(key=itemgetter(-1))
        for at, (_, descends) in reversed(list(enumerate(self._sorts))):
            rows.sort(key=itemgetter(at), reverse=descends)


def _column(name: str, descends: bool) -> str:
    """What is read for a sort. Keys that are not to be deleted come last by that date, either way."""
    if name == "region":
        return "k.vault_num"
    if name == "time_of_deletion":
        return f"COALESCE({ORDERS[name]}, {-_NEVER if descends else _NEVER})"
    return ORDERS[name]


def _is_shared(name: str) -> bool:
    return name == "region" or name in _SAME_TEXTS


def _shared(name: str, regions: Mapping[int, str]) -> Callable[[Any], Any]:
    """What a value is kept as where many rows have the same."""
    return regions.__getitem__ if name == "region" else sys.intern
