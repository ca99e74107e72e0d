"""Pages of secrets, whatever is filtered and sorted by, in a time that hardly depends on how many there are.

Totals are sums over facets, and a page is read from the nearer end (`ways.py`). Sorting by what a facet has (status,
vault, region) makes groups, whose counts say which of them a page lies in. What facets cannot tell is scanned for
(`scans.py`), and what is sorted by more than one property of a row's own is settled page by page (`ties.py`).
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from claviger.cckm.azure.secrets.listing.filters import Vault, asked_of, vaults_among
from claviger.cckm.azure.secrets.listing.memory import Memory, Notes
from claviger.cckm.azure.secrets.listing.records import Clause, Counted, Key, ListReads, Order, every
from claviger.cckm.azure.secrets.listing.scans import scanned
from claviger.cckm.azure.secrets.listing.ties import untied
from claviger.cckm.azure.secrets.listing.ways import Scope, Ways
from claviger.cckm.azure.secrets.showing import shown
from claviger.cckm.azure.secrets.wire import SecretRecord
from claviger.cckm.calls import Query
from claviger.cckm.listing import Page, sort_of, window_of
from claviger.core.clock import Clock
from claviger.store.contract import Store

VIEWS_A_READ = 1000
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


class Group(NamedTuple):
    """Rows that are equal by the sorts that facets know."""

    place: tuple[Any, ...]
    statuses: set[str]
    vaults: set[int]
    rows: int


class SecretLists:
    """Lists of the secrets in one store. Keep it: it remembers."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._clock = clock
        self._reads = ListReads(store)
        self._ways = Ways(self._reads)
        self._memory = Memory()

    async def page(self, domain_id: str, query: Query, containers: frozenset[str] | None) -> Page:
        """One page of the domain's secrets, of those in `containers` (ids of vaults; None: all).

        Filters are ANDed, values of one ORed; equal ones are in the order of creation, reversed where the last property
        to sort by descends. Raises Invalid("Validation"), and Invalid("TooMany") for a page that is too long.
        """
        window = window_of(query)
        sorts = _telling(sort_of(query, SORTS, "updatedAt"))
        asked = asked_of(query, self._clock.now())
        nothing = Page(window.skip, window.limit, 0, [])
        if asked.nothing or containers == frozenset():
            return nothing
        notes = self._memory.notes(await self._reads.revision())
        vaults: list[Vault] | None = None
        known: Mapping[int, Vault] = {}
        by_vault = any(name in ("key_vault", "region") for name, _ in sorts)
        if asked.vaults or asked.secret_ids or containers is not None or by_vault:
            known = await self._vaults(notes, domain_id)
        if asked.vaults or containers is not None:
            vaults = vaults_among(known.values(), asked, containers)
            if not vaults:
                return nothing
        facet = self._reads.facet(domain_id, asked, vaults)
        scope = Scope(facet, asked.tag_values, asked, None if vaults is None else tuple(each.num for each in vaults))
        if asked.has_keys or asked.has_scans:
            found = await self._scanned(notes, scope, sorts, known)
            total = len(found)
            nums = found[window.skip : window.skip + window.count_of(total)].tolist()
        else:
            measured = await self._ways.measured(notes, scope)
            total = measured.rows
            count = window.count_of(total)
            coarse = _coarse(sorts)
            nums = await self._nums(notes, scope, measured, coarse, known, window.skip, count) if count else []
            if nums and len(coarse) < len(sorts):
                where = every([self._reads.in_facet(scope.facet), self._reads.has_tag(scope.asked)])
                nums = await untied(self._reads, where, sorts, len(coarse), known, nums)
        records = await self._shown(nums, scope)
        if notes.found:
            self._memory.keep(notes, await self._reads.revision())
        return Page(window.skip, window.limit, total, records)

    async def _vaults(self, notes: Notes, domain_id: str) -> Mapping[int, Vault]:
        """The vaults of a domain, by num. One that was added since a secret last changed has none yet."""
        key = ("vaults", domain_id)
        found: Mapping[int, Vault] | None = notes.get(key)
        if found is None:
            found = {vault.num: vault for vault in await self._reads.vaults(domain_id)}
            notes.put(key, found)
        return found

    async def _shown(self, nums: Sequence[int], scope: Scope) -> list[SecretRecord]:
        where = every([self._reads.in_facet(scope.facet), self._reads.has_tag(scope.asked)])
        records: list[SecretRecord] = []
        for at in range(0, len(nums), VIEWS_A_READ):
            if at:
                await asyncio.sleep(0)
            records += [shown(view) for view in await self._reads.views(nums[at : at + VIEWS_A_READ], where)]
        return records

    async def _scanned(self, notes: Notes, scope: Scope, sorts: Sort, known: Mapping[int, Vault]) -> array[int]:
        key = ("scan", scope.facet, repr(scope.asked), tuple(sorts))
        found: array[int] | None = notes.get(key)
        if found is None:
            few = False
            if not scope.asked.has_keys:
                few = await self._ways.has_few(notes, scope._replace(tag=None))
            found = await scanned(self._reads, scope.facet, scope.asked, sorts, known, few=few)
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
            return await self._ways.ordered(notes, scope, measured, order, skip, count)
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
                facets = (await self._ways.measured(notes, inner._replace(tag=None))).facets
                nums += await self._ways.ordered(notes, inner, Counted(facets, group.rows), order, first, wanted)
            else:
                nums += await self._whole_groups(inner, group, order, keys, known)
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

    async def _whole_groups(
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


def _telling(sorts: Sort) -> Sort:
    """Those that tell anything: no two rows were created alike."""
    ends = [at for at, (name, _) in enumerate(sorts) if name == "createdAt"]
    return sorts[: ends[0] + 1] if ends else sorts


def _coarse(sorts: Sort) -> Sort:
    """Those up to the first that is a row's own."""
    own = [at for at, (name, _) in enumerate(sorts) if SORTS[name] is not None]
    return sorts[: own[0] + 1] if own else sorts
