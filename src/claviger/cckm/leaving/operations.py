"""Lists what is leaving in all clouds, in one order, and tells which call undoes the deletion of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from claviger.cckm.calls import Query
from claviger.cckm.leaving.asked import AZURE, CLOUD_OF, SECRET, SOFT_DELETED, WAYS, Asked, Kind, asked_of
from claviger.cckm.leaving.keys.entries import Keys, KeySource
from claviger.cckm.leaving.merging import page_of
from claviger.cckm.leaving.secrets.entries import Secrets, SecretSource
from claviger.cckm.leaving.wire import Leaving
from claviger.cckm.listing import Page, window_of
from claviger.core.clock import Clock
from claviger.store.contract import Store

May = Callable[[str], frozenset[str] | None]
"""The containers in which the caller has a permission; None: all."""


class Found(NamedTuple):
    """What a record is and how it is leaving, if it is; `key_id` is of the key, where it is one or is of one."""

    object_kind: str
    kind: Kind
    key_id: str = ""


class Leavings:
    """What is leaving in one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._clock = clock
        self._secrets = Secrets(store)
        self._keys = Keys(store, self._secrets.reads)

    async def page(self, domain_id: str, query: Query, seen: Mapping[str, frozenset[str] | None], may: May) -> Page:
        """One page of the domain's: what becomes final first, or what was deleted last.

        `seen`: by cloud, the vaults whose objects the caller sees; None for all. Raises Invalid.
        """
        window = window_of(query)
        asked = asked_of(query)
        sources = await self._sources(asked, domain_id, seen)
        counts = [await source.count() for source in sources]
        total = sum(counts)
        placed = await page_of(sources, counts, window.skip, window.count_of(total))
        nums: dict[int, list[int]] = defaultdict(list)
        for each in placed:
            nums[each.source].append(each.num)
        found: dict[tuple[int, int], Leaving] = {}
        for at, those in nums.items():
            object_kind = asked.object_kinds[at]
            allowed = may(WAYS[object_kind, asked.kind].permission)
            shown = await sources[at].shown(those, seen[CLOUD_OF[object_kind]], allowed, self._clock.now())
            found |= {(at, num): entry for num, entry in shown.items()}
        entries = [found[each.source, each.num] for each in placed if (each.source, each.num) in found]
        return Page(window.skip, window.limit, total, entries)

    async def find(self, domain_id: str, ident: str) -> Found:
        """What a record is; its state says what undoes its deletion. A secret, where there is no such record."""
        kind = await self._secrets.find(domain_id, ident)
        if kind is None:
            found = await self._keys.find(domain_id, ident)
            if found is not None:
                return Found(*found)
        return Found(SECRET, kind or SOFT_DELETED)

    async def _sources(
        self, asked: Asked, domain_id: str, seen: Mapping[str, frozenset[str] | None]
    ) -> Sequence[SecretSource | KeySource]:
        """A list for each of the kinds of objects that are asked for."""
        by: list[str] = []
        if asked.by:
            by = sorted({word.lower() for word in asked.by}.union(await self._secrets.reads.users_named(asked.by)))
        return [
            await self._secrets.source(asked, domain_id, seen[AZURE], by)
            if each == SECRET
            else await self._keys.source(each, asked, domain_id, seen[CLOUD_OF[each]], by)
            for each in asked.object_kinds
        ]
