"""The ways to one page of secrets in a row's own order, and which of them is the shortest.

Gather the rows of the facets that match and sort them; merge what each facet has in order, or those that begin first;
or walk along the order of all rows and leave out what does not match. A walk goes in steps, between which others run,
and leaves marks, from which later walks start. Whatever takes long is remembered until a secret changes.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from claviger.cckm.azure.secrets.listing.filters import Asked
from claviger.cckm.azure.secrets.listing.memory import Notes
from claviger.cckm.azure.secrets.listing.records import Clause, Counted, Key, ListReads, Order, every
from claviger.cckm.azure.secrets.listing.scans import scanned
from claviger.store.contract import Row

STEP = 8192
LEAST_STEP = 64
MOST_MARKS = 1000
MOST_LANES = 64
WORTH_REMEMBERING = 100.0
FEW_OF_ALL = 50

# Costs, in microseconds on a small machine. RISK: what matches may lie together, far from where a walk begins.
ROW_WALKED = 1.0
TAGGED_ROW = 3.0
RISK = 300.0
LONG = 20_000.0

_SORT_OF: Mapping[Key, str] = {"updated_at": "updatedAt", "num": "createdAt", "name_key": "secret_name"}


class Scope(NamedTuple):
    """What rows are wanted: a condition on facets, and at most one tag with its values."""

    facet: Clause
    tag: tuple[str, Sequence[str] | None] | None
    asked: Asked
    vaults: tuple[int, ...] | None


class Mark(NamedTuple):
    """A place on a walk: how many matches lie up to this row, which is none before the first."""

    passed: int
    row: Row | None


class Ways:
    """The ways to pages, by reads of one store."""

    def __init__(self, reads: ListReads) -> None:
        self._reads = reads

    async def measured(self, notes: Notes, scope: Scope) -> Counted:
        """How many facets and rows match."""
        key = ("count", scope.facet, repr(scope.tag))
        found: Counted | None = notes.get(key)
        if found is None:
            found = await self._reads.counted(scope.facet)
            if scope.tag is not None:
                tag = self._reads.tag("c", *scope.tag)
                found = Counted(found.facets, await self._reads.counted_tag(scope.facet, tag))
            notes.put(key, found)
        return found

    async def has_few(self, notes: Notes, scope: Scope) -> bool:
        """Whether so few rows match that looking at each takes less than looking through an index of all rows."""
        all_rows = await self._all_rows(notes)
        return (await self.measured(notes, scope)).rows <= all_rows // FEW_OF_ALL

    async def ordered(
        self, notes: Notes, scope: Scope, measured: Counted, order: Order, skip: int, count: int
    ) -> list[int]:
        """Rows from `skip` on in a row's own order, read from the nearer end."""
        far = measured.rows - skip - count
        if far >= skip:
            return await self._from_end(notes, scope, measured, order, skip, count)
        found = await self._from_end(notes, scope, measured, order.reversed(), max(far, 0), count)
        return found[::-1]

    async def _from_end(
        self, notes: Notes, scope: Scope, measured: Counted, order: Order, skip: int, count: int
    ) -> list[int]:
        """In the way that costs least; a walk that meets too few matches is given up for the next best."""
        all_rows = await self._all_rows(notes)
        costs = await self._costs(notes, scope, measured, order, skip + count, all_rows)
        is_all = scope.tag is None and measured.rows == all_rows
        where = Clause("") if is_all else self._matching(scope)
        way = min(costs, key=lambda name: costs[name])
        if way == "walk":
            spread = all_rows / max(measured.rows, 1)
            longest = all_rows * (TAGGED_ROW if scope.tag else ROW_WALKED)
            del costs["walk"]
            way = min(costs, key=lambda name: costs[name])
            hopeless = notes.get(("hopeless", order, where)) is not None
            patience = None if is_all or costs[way] > longest else 2 + 3 * (skip + count) * spread / STEP
            found = None if hopeless else await self._walk(notes, order, where, spread, skip, count, patience)
            if found is not None:
                return found
            notes.put(("hopeless", order, where), True)
        if way in ("merge", "tops"):
            lanes = await self._lanes(notes, scope, order, skip + count, only_tops=way == "tops")
            return await self._reads.merge(order, lanes, skip, count)
        if way != "scan" and costs[way] < WORTH_REMEMBERING:
            return await self._gathered(scope, measured, order, way, skip, count)
        nums = await self._whole(notes, scope, measured, order.key, way)
        if not order.descending:
            return nums[skip : skip + count].tolist()
        return nums[max(len(nums) - skip - count, 0) : max(len(nums) - skip, 0)].tolist()[::-1]

    async def _costs(
        self, notes: Notes, scope: Scope, measured: Counted, order: Order, need: int, all_rows: int
    ) -> dict[str, float]:
        """What each way would cost, in microseconds on a small machine with rows spread evenly."""
        facets, rows = measured
        by_name = order.key == "name_key"
        examined = min(need * all_rows / max(rows, 1), all_rows)
        if scope.tag is not None:
            in_facets = (await self.measured(notes, scope._replace(tag=None))).rows
            tagged = await self._tagged(notes, scope.tag)
            return {
                "gather": _unless_long(3.0 * facets + 4.0 * in_facets),
                "gather tagged": _unless_long(TAGGED_ROW * tagged),
                "scan": 4.0 * tagged,
                "walk": RISK + TAGGED_ROW * examined,
            }
        costs = {
            "gather": _unless_long(3.0 * facets + (1.5 if by_name else 0.6) * rows),
            "walk": 0.05 * examined if rows == all_rows else RISK + ROW_WALKED * examined,
        }
        lane = self._reads.lane_cost
        vaults = len(scope.vaults) if scope.vaults is not None else MOST_LANES + 1
        if by_name and vaults <= MOST_LANES:
            costs["merge"] = _unless_long(lane * vaults + 2.0 * vaults * need)
        elif not by_name and facets <= MOST_LANES:
            costs["merge"] = _unless_long(lane * facets + 0.5 * min(facets * need, rows))
        elif not by_name and need <= MOST_LANES:
            costs["tops"] = 6.0 * facets + lane * need + 0.5 * need * need
        return costs

    def _matching(self, scope: Scope) -> Clause:
        return every([self._reads.in_facet(scope.facet), self._reads.has_tag(scope.asked)])

    async def _tagged(self, notes: Notes, tag: tuple[str, Sequence[str] | None]) -> int:
        """How many rows have the tag, of all."""
        key = ("tagged", repr(tag))
        found: int | None = notes.get(key)
        if found is None:
            found = await self._reads.counted_tag(None, self._reads.tag("c", *tag))
            notes.put(key, found)
        return found

    async def _gathered(
        self, scope: Scope, measured: Counted, order: Order, way: str, skip: int, count: int
    ) -> list[int]:
        if way == "gather tagged" and scope.tag is not None:
            tag = self._reads.tag("t", *scope.tag)
            return await self._reads.gather_tagged(order, scope.facet, tag, skip, count)
        return await self._reads.gather(order, scope.facet, self._reads.has_tag(scope.asked), skip, count)

    async def _whole(self, notes: Notes, scope: Scope, measured: Counted, key: Key, way: str) -> array[int]:
        """All rows in ascending order, which is worth remembering."""
        note = ("whole", scope.facet, repr(scope.tag), key)
        found: array[int] | None = notes.get(note)
        if found is None:
            if way == "scan":
                found = await scanned(self._reads, scope.facet, scope.asked, [(_SORT_OF[key], False)], {})
            else:
                order = Order(key, False)
                found = array("q", await self._gathered(scope, measured, order, way, 0, measured.rows))
            notes.put(note, found)
        return found

    async def _lanes(self, notes: Notes, scope: Scope, order: Order, need: int, *, only_tops: bool) -> list[Clause]:
        """What is in order by itself: facets, or vaults by name. Tops: the facets that begin first."""
        if order.key == "name_key":
            facet = self._reads.in_facet(scope.facet)
            return [every([Clause("s.vault_num = ?", (num,)), facet]) for num in scope.vaults or ()]
        key = ("tops", scope.facet, order, need) if only_tops else ("lanes", scope.facet)
        ids: list[int] | None = notes.get(key)
        if ids is None:
            if only_tops:
                ids = await self._reads.top_facets(order, scope.facet, need)
            else:
                ids = await self._reads.facet_ids(scope.facet, MOST_LANES)
            notes.put(key, ids)
        return [Clause("s.facet_id = ?", (ident,)) for ident in ids]

    async def _all_rows(self, notes: Notes) -> int:
        found: int | None = notes.get("rows")
        if found is None:
            found = await self._reads.all_rows()
            notes.put("rows", found)
        return found

    async def _walk(
        self, notes: Notes, order: Order, where: Clause, spread: float, skip: int, count: int, patience: float | None
    ) -> list[int] | None:
        """Along all rows in steps, from the last mark before the page; None after more than `patience` steps.

        `spread`: how many rows to look at for one that matches.
        """
        note = ("walk", order, where)
        marks: list[Mark] = list(notes.get(note) or [Mark(0, None)])
        known = len(marks)
        passed, start = marks[_last_mark(marks, skip)]
        nums: list[int] = []
        steps = 0
        while len(nums) < count:
            steps += 1
            if patience is not None and steps > patience:
                return None
            ahead, left = skip + len(nums) - passed, count - len(nums)
            # Where matches are likely to be near, the first step is no longer than it has to be.
            size = STEP if steps > 1 else min(STEP, LEAST_STEP + int(4 * (ahead + left) * spread))
            end = await self._reads.end_of_step(order, start, size)
            here: int | None = None
            found: list[int] = []
            if (ahead + left) * spread > size:
                here = await self._reads.count_step(order, start, end, where)
            if here is None or here > ahead:
                found = await self._reads.step(order, start, end, where, ahead, left)
                nums += found
            if end is None or len(found) == left:
                break
            if here is None:
                here = ahead + len(found) if found else await self._reads.count_step(order, start, end, where)
            passed, start = passed + here, end
            _add_mark(marks, Mark(passed, start))
            await asyncio.sleep(0)
        if nums and where.sql and len(marks) < MOST_MARKS:
            before = await self._reads.place_before(order, nums[0])
            if before is not None:
                _add_mark(marks, Mark(skip, before))
        if len(marks) > known:
            notes.put(note, marks)
        return nums


def _last_mark(marks: Sequence[Mark], passed: int) -> int:
    """The mark that lies farthest, of those with no more than so many matches before it."""
    return bisect_right(marks, passed, key=lambda mark: mark.passed) - 1


def _add_mark(marks: list[Mark], mark: Mark) -> None:
    """Of marks with equally many matches before them, a new one lies farthest: walks begin at the last of them."""
    at = _last_mark(marks, mark.passed)
    if marks[at] != mark:
        marks.insert(at + 1, mark)


def _unless_long(cost: float) -> float:
    """A single statement keeps others waiting, which a walk in steps does not: long ones are made to look longer."""
    return cost if cost < LONG else 4 * cost
