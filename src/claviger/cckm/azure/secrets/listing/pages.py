"""Pages of secrets, whatever is filtered and sorted by, in a time that hardly depends on how many there are.

Totals are sums over facets. A page is read from the nearer end, in the way that is expected to be the shortest: gather
the rows of the facets that match and sort them; merge what each facet has in order; or walk along the order of all rows
and leave out what does not match. A walk goes in steps and leaves marks, from which later ones start. Sorting by what a
facet has (status, vault, region) makes groups, whose counts say which of them a page lies in.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from claviger.cckm.azure.secrets.listing.filters import Asked, Vault, asked_of, vaults_among
from claviger.cckm.azure.secrets.listing.memory import Memory, Notes
from claviger.cckm.azure.secrets.listing.records import Clause, Counted, Key, ListReads, Order, every
from claviger.cckm.azure.secrets.listing.scans import scanned
from claviger.cckm.azure.secrets.showing import shown
from claviger.cckm.azure.secrets.wire import SecretRecord
from claviger.cckm.calls import Query
from claviger.cckm.listing import Page, sort_of, window_of
from claviger.store.contract import Row, Store

STEP = 8192
VIEWS_A_READ = 1000
MOST_LANES = 64
MOST_GROUPS = 8

SORTS: Mapping[str, Key | None] = {
    "updatedAt": "updated_at",
    "createdAt": "num",
    "secret_name": "name_key",
    "status": None,
    "key_vault": None,
    "region": None,
}
"""The column that a row is sorted by, or None where its facet says it. What was created later has a greater num."""

Sort = Sequence[tuple[str, bool]]


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


class Group(NamedTuple):
    """Rows that are equal by the sorts that facets know."""

    place: tuple[Any, ...]
    statuses: set[str]
    vaults: set[int]
    rows: int


class SecretLists:
    """Lists of the secrets in one store. Keep it: it remembers."""

    def __init__(self, store: Store) -> None:
        self._reads = ListReads(store)
        self._memory = Memory()

    async def page(self, domain_id: str, query: Query, containers: frozenset[str] | None) -> Page:
        """One page of the domain's secrets, of those in `containers` (ids of vaults; None: all).

        Filters are ANDed, values of one ORed; equal ones are in the order of creation, reversed where the last property
        to sort by descends. Raises Invalid("Validation"), and Invalid("TooMany") for a page that is too long.
        """
        window = window_of(query)
        sorts = sort_of(query, SORTS, "updatedAt")
        asked = asked_of(query)
        nothing = Page(window.skip, window.limit, 0, [])
        if asked.nothing or containers == frozenset():
            return nothing
        vaults: list[Vault] | None = None
        known: dict[int, Vault] = {}
        by_vault = any(name in ("key_vault", "region") for name, _ in sorts)
        if asked.vaults or asked.secret_ids or containers is not None or by_vault:
            every_vault = await self._reads.vaults(domain_id)
            known = {vault.num: vault for vault in every_vault}
            if asked.vaults or containers is not None:
                vaults = vaults_among(every_vault, asked, containers)
                if not vaults:
                    return nothing
        facet = self._reads.facet(domain_id, asked, vaults)
        scope = Scope(facet, asked.tag_values, asked, None if vaults is None else tuple(each.num for each in vaults))
        notes = self._memory.notes(await self._reads.revision())
        if asked.has_keys or asked.has_scans or not _is_plain(sorts):
            found = await self._scanned(notes, scope, sorts, known)
            total = len(found)
            nums = found[window.skip : window.skip + window.count_of(total)].tolist()
        else:
            measured = await self._measured(notes, scope)
            total = measured.rows
            count = window.count_of(total)
            nums = await self._nums(notes, scope, measured, sorts, known, window.skip, count) if count else []
        records = await self._shown(nums, scope)
        if notes.found:
            self._memory.keep(notes, await self._reads.revision())
        return Page(window.skip, window.limit, total, records)

    async def _shown(self, nums: Sequence[int], scope: Scope) -> list[SecretRecord]:
        where = every([self._reads.in_facet(scope.facet), self._reads.has_tag(scope.asked)])
        records: list[SecretRecord] = []
        for at in range(0, len(nums), VIEWS_A_READ):
            if at:
                await asyncio.sleep(0)
            records += [shown(view) for view in await self._reads.views(nums[at : at + VIEWS_A_READ], where)]
        return records

    async def _scanned(self, notes: Notes, scope: Scope, sorts: Sort, known: Mapping[int, Vault]) -> Any:
        key = ("scan", scope.facet, repr(scope.asked), tuple(sorts))
        found = notes.get(key)
        if found is None:
            found = await scanned(self._reads, scope.facet, scope.asked, sorts, known)
            notes.put(key, found)
        return found

    async def _measured(self, notes: Notes, scope: Scope) -> Counted:
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

    async def _nums(
        self,
        notes: Notes,
        scope: Scope,
        measured: Counted,
        sorts: Sort,
        known: Mapping[int, Vault],
        skip: int,
        count: int,
    ) -> list[int]:
        """The rows of a page. At most the last of `sorts` is a row's own."""
        last, descending = sorts[-1]
        order = Order(SORTS[last] or "num", descending)
        keys = [each for each in sorts if SORTS[each[0]] is None]
        if not keys:
            return await self._ordered(notes, scope, measured, order, skip, count)
        groups = await self._groups(notes, scope, keys, known)
        nums: list[int] = []
        before = 0
        touched = []
        for group in groups:
            first, end = max(skip - before, 0), min(skip + count - before, group.rows)
            if first < end:
                touched.append((group, first, end - first))
            before += group.rows
        if len(touched) > MOST_GROUPS:
            whole = touched[1:-1]
            touched = [touched[0], (_together([group for group, _, _ in whole]), 0, 0), touched[-1]]
        for group, first, wanted in touched:
            inner = scope._replace(facet=every([scope.facet, *self._of_group(group, keys)]))
            if wanted:
                nums += await self._ordered(notes, inner, await self._measured(notes, inner), order, first, wanted)
            else:
                nums += await self._whole(inner, group, order, keys, known)
        return nums

    async def _groups(self, notes: Notes, scope: Scope, keys: Sort, known: Mapping[int, Vault]) -> list[Group]:
        """What the rows have in common that are equal by `keys`, in their order."""
        by = tuple(name for name, _ in keys)
        note = ("groups", scope.facet, repr(scope.tag), tuple(keys))
        found: list[Group] | None = notes.get(note)
        if found is not None:
            return found
        tag = None if scope.tag is None else self._reads.tag("c", *scope.tag)
        parts = await self._reads.groups(
            scope.facet, tag, status="status" in by, vault="key_vault" in by or "region" in by
        )
        made: dict[tuple[str, ...], Group] = {}
        for status, vault_num, rows in parts:
            place = _place(by, status, vault_num, known)
            group = made.get(place) or Group(place, set(), set(), 0)
            made[place] = Group(place, group.statuses | {status}, group.vaults | {vault_num}, group.rows + rows)
        found = list(made.values())
        for at, (_, descending) in reversed(list(enumerate(keys))):
            found.sort(key=lambda group: group.place[at], reverse=descending)
        notes.put(note, found)
        return found

    def _of_group(self, group: Group, keys: Sort) -> list[Clause]:
        clauses = []
        if any(name == "status" for name, _ in keys):
            clauses.append(self._reads.among("f.status", sorted(group.statuses)))
        if any(name != "status" for name, _ in keys):
            clauses.append(self._reads.among("f.vault_num", sorted(group.vaults), numbers=True))
        return clauses

    async def _whole(
        self, scope: Scope, group: Group, order: Order, keys: Sort, known: Mapping[int, Vault]
    ) -> list[int]:
        """All rows of several groups, which are put together in `group`, in the order of the groups."""
        by = tuple(name for name, _ in keys)
        rows = await self._reads.grouped(order.key, scope.facet, self._reads.has_tag(scope.asked))
        ranks = {place: rank for rank, place in enumerate(group.place)}
        placed = [(ranks.get(_place(by, row[2], row[3], known)), row) for row in rows]
        inside = [(rank, row) for rank, row in placed if rank is not None]
        inside.sort(key=lambda each: (each[1][1], each[1][0]), reverse=order.descending)
        inside.sort(key=lambda each: each[0])
        return [row[0] for _, row in inside]

    async def _ordered(
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
        """The shortest of the ways, by what each row costs on it, in microseconds."""
        reads, tagged = self._reads, scope.tag is not None
        all_rows = await self._all_rows(notes)
        need, matches = skip + count, max(measured.rows, 1)
        each = 3.0 if tagged else 1.5 if order.key == "name_key" else 0.6
        facet_rows = measured.rows if not tagged else (await self._measured(notes, scope._replace(tag=None))).rows
        costs = {"gather": 3.0 * measured.facets + each * facet_rows}
        if tagged:
            costs["gather tagged"] = each * matches
        elif measured.facets <= MOST_LANES and order.key != "name_key":
            costs["merge"] = 30.0 * measured.facets + 0.5 * min(measured.facets * need, matches)
        elif order.key == "name_key" and scope.vaults is not None and len(scope.vaults) <= MOST_LANES:
            costs["merge"] = 30.0 * len(scope.vaults) + 2.0 * len(scope.vaults) * need
        examined = min(need * all_rows / matches, all_rows)
        is_all = not tagged and matches == all_rows
        costs["walk"] = examined * (0.05 if is_all else 3.0 if tagged else 1.0)
        way = min(costs, key=lambda name: costs[name])
        tag = reads.has_tag(scope.asked)
        if way == "gather":
            return await reads.gather(order, scope.facet, tag, skip, count)
        if way == "gather tagged" and scope.tag is not None:
            return await reads.gather_tagged(order, scope.facet, reads.tag("t", *scope.tag), skip, count)
        if way == "merge":
            return await reads.merge(order, await self._lanes(scope, order), skip, count)
        where = Clause("") if is_all else every([reads.in_facet(scope.facet), tag])
        return await self._walk(notes, order, where, all_rows / matches, skip, count)

    async def _lanes(self, scope: Scope, order: Order) -> list[Clause]:
        if order.key == "name_key":
            facet = self._reads.in_facet(scope.facet)
            return [every([Clause("s.vault_num = ?", (num,)), facet]) for num in scope.vaults or ()]
        ids = await self._reads.facet_ids(scope.facet, MOST_LANES)
        return [Clause("s.facet_id = ?", (ident,)) for ident in ids]

    async def _all_rows(self, notes: Notes) -> int:
        found: int | None = notes.get("rows")
        if found is None:
            found = await self._reads.all_rows()
            notes.put("rows", found)
        return found

    async def _walk(self, notes: Notes, order: Order, where: Clause, spread: float, skip: int, count: int) -> list[int]:
        """Along all rows in steps, from the last mark before the page. `spread`: rows to look at for a match."""
        note = ("walk", order, where)
        marks: list[Mark] = list(notes.get(note) or [Mark(0, None)])
        known = len(marks)
        at = bisect_right(marks, skip, key=lambda mark: mark.passed) - 1
        passed, start = marks[at]
        nums: list[int] = []
        while len(nums) < count:
            end = await self._reads.end_of_step(order, start, STEP)
            ahead, left = skip + len(nums) - passed, count - len(nums)
            here: int | None = None
            found: list[int] = []
            if (ahead + left) * spread > STEP:
                here = await self._reads.count_step(order, start, end, where)
            if here is None or here > ahead:
                found = await self._reads.step(order, start, end, where, ahead, left)
                nums += found
            if end is None or len(found) == left:
                break
            if here is None:
                here = ahead + len(found) if found else await self._reads.count_step(order, start, end, where)
            passed, start, at = passed + here, end, at + 1
            if at == len(marks):
                marks.append(Mark(passed, start))
            await asyncio.sleep(0)
        if len(marks) > known:
            notes.put(note, marks)
        return nums


def _together(groups: Sequence[Group]) -> Group:
    """Several groups, whose places become the place of this one."""
    return Group(
        tuple(group.place for group in groups),
        {status for group in groups for status in group.statuses},
        {vault for group in groups for vault in group.vaults},
        sum(group.rows for group in groups),
    )


def _place(by: Sequence[str], status: str, vault_num: int, known: Mapping[int, Vault]) -> tuple[str, ...]:
    vault = known.get(vault_num)
    values = {
        "status": status,
        "key_vault": vault.name if vault else "",
        "region": vault.location if vault else "",
    }
    return tuple(values[name] for name in by)


def _is_plain(sorts: Sort) -> bool:
    """Whether none but the last property is a row's own."""
    return all(SORTS[name] is None for name, _ in sorts[:-1])


async def list_secrets(store: Store, domain_id: str, query: Query, containers: frozenset[str] | None) -> Page:
    """One page, without a memory of earlier ones; see `SecretLists.page`."""
    return await SecretLists(store).page(domain_id, query, containers)
