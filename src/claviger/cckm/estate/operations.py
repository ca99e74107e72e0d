"""Search over the estate: one page of what matches a query, among what the caller may see."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from claviger.cckm.azure.secrets.listing.dates import dates_of
from claviger.cckm.azure.secrets.listing.filters import Vault
from claviger.cckm.azure.secrets.listing.records import Clause, ListReads
from claviger.cckm.azure.secrets.showing import shown
from claviger.cckm.azure.secrets.wire import SecretRecord
from claviger.cckm.calls import Query
from claviger.cckm.estate.index import Found, Index
from claviger.cckm.estate.language import wanted_of
from claviger.cckm.estate.parts import Search, SoughtText
from claviger.cckm.estate.rules import ENABLED, EXACT_UP_TO, SOLE, Date, Fact, Text, Wanted
from claviger.cckm.listing import MOST_AT_ONCE, Window, window_of
from claviger.core.clock import Clock
from claviger.store.contract import Store

VIEWS_A_READ = 1000
_FLAGS: Mapping[str, int] = {"enabled": ENABLED, "never_rotated": SOLE}


class FoundPage(msgspec.Struct, frozen=True):
    """One page of what a search has found. Where `total_is_exact` is false, more match than `total` says."""

    skip: int
    limit: int
    total: int
    total_is_exact: bool
    resources: Sequence[SecretRecord]


class Searches:
    """The search over one store. Keep it: it remembers."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._clock = clock
        self._reads = ListReads(store)
        self._index = Index(store)
        self._vaults: dict[str, Sequence[Vault]] = {}
        self._vaults_at = -1

    async def page(self, domain_id: str, query: Query, containers: frozenset[str] | None) -> FoundPage:
        """One page of the domain's secrets, of those in `containers` (ids of vaults; None: all), the newest first.

        Raises Invalid("Validation"), and Invalid("TooMany") for a page that is too long.
        """
        window = window_of(query)
        wanted = wanted_in(query, self._clock.now())
        if containers == frozenset():
            return FoundPage(window.skip, window.limit, 0, True, [])
        revision = await self._index.renew()
        vaults = await self._seen(domain_id, revision, containers)
        search = search_of(wanted, vaults)
        found = await self._index.find(search, window.skip, _most(window), EXACT_UP_TO if search.texts else None)
        window.count_of(found.total)
        records = await self._records(domain_id, found, {vault.id for vault in vaults})
        return FoundPage(window.skip, window.limit, found.total, found.is_exact, records)

    async def _seen(self, domain_id: str, revision: int, containers: frozenset[str] | None) -> Sequence[Vault]:
        if revision != self._vaults_at:
            self._vaults, self._vaults_at = {}, revision
        vaults = self._vaults.get(domain_id)
        if vaults is None:
            vaults = self._vaults[domain_id] = await self._reads.vaults(domain_id)
        return [vault for vault in vaults if containers is None or vault.id in containers]

    async def _records(self, domain_id: str, found: Found, seen: set[str]) -> list[SecretRecord]:
        """As they are now. One that has gone meanwhile is left out; one that has changed is shown as it is."""
        records: list[SecretRecord] = []
        for at in range(0, len(found.nums), VIEWS_A_READ):
            if at:
                await asyncio.sleep(0)
            views = await self._reads.views(
                found.nums[at : at + VIEWS_A_READ], Clause("coalesce(v.domain_id, '') = ?", (domain_id,))
            )
            records += [shown(view) for view in views if view.vault.id in seen]
        return records


def wanted_in(query: Query, now: float) -> Wanted:
    """What a call asks for: its query `q` and the filters beside it. Raises Invalid("Validation")."""
    wanted = wanted_of(query.one("q") or "", now)
    dates = [Date(each.column, each.low, each.high) for each in dates_of(query, now)]
    flags = [(bit, query.boolean(name)) for name, bit in _FLAGS.items()]
    return wanted.and_also(dates, [Fact(bit, bit if wish else 0) for bit, wish in flags if wish is not None])


def search_of(wanted: Wanted, seen: Sequence[Vault]) -> Search:
    """The search for what is wanted, among the vaults that are seen."""
    places = [text for text in wanted.texts if text.field not in ("any", "name")]
    vaults = frozenset(vault.num for vault in seen if all(_is_there(vault, text) for text in places))
    words = [text for text in wanted.texts if text.field in ("any", "name")]
    texts = [
        SoughtText(
            text,
            frozenset(v.num for v in seen if _is_called(v, text)) if text.field == "any" else frozenset(),
        )
        for text in words
    ]
    return Search(wanted, vaults, texts)


def _is_there(vault: Vault, text: Text) -> bool:
    """Whether a vault is as `vault:`, `region:` or `cloud:` wants it."""
    pattern = text.pattern
    if text.field == "vault":
        has = _is_called(vault, text) or pattern.is_all_of(vault.name.lower()) or pattern.is_all_of(vault.id)
    else:
        has = pattern.is_in((vault.location if text.field == "region" else vault.cloud_name).lower())
    return has is not text.negated


def _is_called(vault: Vault, text: Text) -> bool:
    """By its name in Azure; that of its record has a subscription's id in it, whose digits mean nothing to anybody."""
    return text.pattern.is_in(vault.azure_name.lower())


def _most(window: Window) -> int:
    return MOST_AT_ONCE + 1 if window.limit == -1 else min(window.limit, MOST_AT_ONCE + 1)
