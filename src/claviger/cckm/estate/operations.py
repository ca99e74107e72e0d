"""Search over the estate: one page of what matches a query, of secrets and keys, among what the caller may see."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from claviger.cckm.azure.secrets.listing.dates import dates_of
from claviger.cckm.azure.secrets.listing.records import Clause, ListReads
from claviger.cckm.azure.secrets.showing import shown as shown_secret
from claviger.cckm.calls import Query
from claviger.cckm.estate.index import KEYS, NOTHING, SECRETS, Found, Index
from claviger.cckm.estate.language import wanted_of
from claviger.cckm.estate.parts import Search, SoughtText
from claviger.cckm.estate.rules import EXACT_UP_TO, Date, Fact, Place, Text, Wanted
from claviger.cckm.listing import MOST_AT_ONCE, Window, window_of
from claviger.cckm.oci.keys import records as keys
from claviger.cckm.oci.keys.showing import shown as shown_key
from claviger.cckm.oci.vaults import records as oci_vaults
from claviger.core.clock import Clock
from claviger.store.contract import Store

VIEWS_A_READ = 1000
AZURE, OCI = "azure", "oci"

Seen = Mapping[str, frozenset[str] | None]
"""By cloud, ids of the vaults whose objects the caller sees; None for all."""

_SHOWN = {"items": {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("SecretRecord", "OciKeyRecord")]}}


class FoundPage(msgspec.Struct, frozen=True):
    """One page of what a search has found: records of secrets and of keys, the newest first.

    Where `total_is_exact` is false, more match than `total` says.
    """

    skip: int
    limit: int
    total: int
    total_is_exact: bool
    resources: Annotated[Sequence[Any], msgspec.Meta(extra_json_schema=_SHOWN)]


class Searches:
    """The search over one store. Keep it: it remembers."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._reads = ListReads(store)
        self._secrets = Index(store, SECRETS)
        self._keys = Index(store, KEYS)
        self._places: dict[tuple[str, str], Sequence[Place]] = {}
        self._places_at = (-1, -1)

    async def page(self, domain_id: str, query: Query, seen: Seen) -> FoundPage:
        """One page of the domain's secrets and keys, of those that are `seen`, the newest first.

        Raises Invalid("Validation"), and Invalid("TooMany") for a page that is too long.
        """
        window = window_of(query)
        wanted = wanted_in(query, self._clock.now())
        places = await self._seen(domain_id, seen)
        search = search_of(wanted, places[AZURE])
        most, enough = _most(window), EXACT_UP_TO if search.texts else None
        of_keys = NOTHING
        if places[OCI]:
            sought = search_of(wanted, places[OCI])
            of_keys = await self._keys.find(sought, 0, window.skip + most, enough, with_ages=True)
        passed = max(0, window.skip - of_keys.total)  # so many surely lie before the page
        of_secrets = NOTHING
        if places[AZURE] and (search.facts is None or 1 in search.facts.table):
            of_secrets = await self._secrets.find(
                search, passed, window.skip + most - passed, enough, with_ages=of_keys.total > 0
            )
        total = of_secrets.total + of_keys.total
        window.count_of(total)
        return FoundPage(
            window.skip,
            window.limit,
            total,
            of_secrets.is_exact and of_keys.is_exact,
            await self._records(domain_id, merged(of_secrets, of_keys, window.skip - passed, most), places),
        )

    async def _seen(self, domain_id: str, seen: Seen) -> dict[str, Sequence[Place]]:
        """By cloud, the vaults that the caller sees, once what is known of their rows is as new as they are."""
        revisions = (await self._secrets.renew(), await self._keys.renew())
        if revisions != self._places_at:
            self._places, self._places_at = {}, revisions
        found: dict[str, Sequence[Place]] = {}
        for cloud in (AZURE, OCI):
            places = self._places.get((domain_id, cloud))
            if places is None:
                read = self._places_in_azure if cloud == AZURE else self._places_in_oci
                places = self._places[domain_id, cloud] = await read(domain_id)
            own = seen[cloud]
            found[cloud] = [place for place in places if own is None or place.id in own]
        return found

    async def _places_in_azure(self, domain_id: str) -> list[Place]:
        """By its name in Azure; that of its record has a subscription's id in it, whose digits mean nothing."""
        return [
            Place(each.num, each.id, each.azure_name, (each.name, each.id), each.location, each.cloud_name)
            for each in await self._reads.vaults(domain_id)
        ]

    async def _places_in_oci(self, domain_id: str) -> list[Place]:
        return [
            Place(each.num, each.id, each.display_name, (each.ocid, each.id), each.region, OCI)
            for each in await oci_vaults.all_of(self._store, domain_id)
        ]

    async def _records(
        self, domain_id: str, page: Sequence[tuple[str, int]], places: Mapping[str, Sequence[Place]]
    ) -> list[Any]:
        """As they are now. One that has gone meanwhile is left out; one that has changed is shown as it is."""
        seen = {place.id for those in places.values() for place in those}
        records: list[Any] = []
        for at in range(0, len(page), VIEWS_A_READ):
            if at:
                await asyncio.sleep(0)
            portion = page[at : at + VIEWS_A_READ]
            found: dict[tuple[str, int], Any] = {}
            nums = [num for cloud, num in portion if cloud == AZURE]
            if nums:
                in_domain = Clause("coalesce(v.domain_id, '') = ?", (domain_id,))
                views = await self._reads.views_by_num(nums, in_domain)
                found |= {(AZURE, num): shown_secret(view) for num, view in views.items() if view.vault.id in seen}
            of_keys = [num for cloud, num in portion if cloud == OCI]
            if of_keys:
                for each in await keys.views(self._store, domain_id, of_keys):
                    if each.vault_id in seen:
                        found[OCI, each.row.num] = shown_key(each)
            records += [found[place] for place in portion if place in found]
        return records


def merged(of_secrets: Found, of_keys: Found, skip: int, count: int) -> list[tuple[str, int]]:
    """What two indexes have found as one page, each with its cloud and num: the newest first, then secrets first."""
    if not of_keys.nums:
        return [(AZURE, num) for num in of_secrets.nums[skip : skip + count]]
    rows = [(-age, 0, at) for at, age in enumerate(of_secrets.ages)]
    rows += [(-age, 1, at) for at, age in enumerate(of_keys.ages)]
    rows.sort()
    return [
        (OCI, of_keys.nums[at]) if is_key else (AZURE, of_secrets.nums[at])
        for _, is_key, at in rows[skip : skip + count]
    ]


def wanted_in(query: Query, now: float) -> Wanted:
    """What a call asks for: its query `q` and the filters beside it. Raises Invalid("Validation")."""
    wanted = wanted_of(query.one("q") or "", now)
    dates = [Date(each.column, each.low, each.high) for each in dates_of(query, now)]
    facts = []
    enabled, sole = query.boolean("enabled"), query.boolean("never_rotated")
    if enabled is not None:
        facts.append(Fact("is", "enabled" if enabled else "disabled"))
    if sole is not None:
        facts += [Fact("kind", "secret"), Fact("is", "never-rotated", not sole)]
    return wanted.and_also(dates, facts)


def search_of(wanted: Wanted, seen: Sequence[Place]) -> Search:
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


def _is_there(vault: Place, text: Text) -> bool:
    """Whether a vault is as `vault:`, `region:` or `cloud:` wants it."""
    pattern = text.pattern
    if text.field == "vault":
        has = _is_called(vault, text) or any(pattern.is_all_of(name.lower()) for name in vault.names)
    else:
        has = pattern.is_in((vault.region if text.field == "region" else vault.cloud_name).lower())
    return has is not text.negated


def _is_called(vault: Place, text: Text) -> bool:
    return text.pattern.is_in(vault.called.lower())


def _most(window: Window) -> int:
    return MOST_AT_ONCE + 1 if window.limit == -1 else min(window.limit, MOST_AT_ONCE + 1)
