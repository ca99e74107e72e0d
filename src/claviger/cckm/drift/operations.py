"""What callers do with drift: look at it."""

from __future__ import annotations

from msgspec import UNSET

from claviger.cckm.calls import Query
from claviger.cckm.drift import records
from claviger.cckm.drift.records import Listed, Part
from claviger.cckm.drift.rules import AZURE, CLOUDS, KINDS, OCI
from claviger.cckm.drift.wire import DriftShown, FieldDrift
from claviger.cckm.errors import validation
from claviger.cckm.listing import Page, sort_of, window_of
from claviger.cckm.resource import timestamp
from claviger.store.contract import Store

Containers = frozenset[str] | None

OWN_FILTERS = {AZURE: ("key_vault", "secret_name"), OCI: ("vault", "key_name")}
"""Filters of one cloud alone: the vault, and the name of what is in it. Without those of the others, they leave those
out."""


class Drift:
    """The list."""

    def __init__(self, store: Store) -> None:
        self._lists = records.Lists(store)

    async def page(self, domain_id: str, query: Query, seen: dict[str, Containers]) -> Page:
        """One page. `seen`: by cloud, the vaults whose findings the caller sees; None for all. Raises Invalid."""
        window = window_of(query)
        order = sort_of(query, records.SORTS, "-since")
        for field, words in (("kind", KINDS), ("cloud", CLOUDS)):
            if any(word not in words for word in query.all(field)):
                raise validation({field: f"must be one of {', '.join(words)}"})
        own = [cloud for cloud in CLOUDS if any(query.all(name) for name in OWN_FILTERS[cloud])]
        parts = [
            Part(
                cloud=cloud,
                vault_ids=seen[cloud],
                vaults=query.all(OWN_FILTERS[cloud][0]),
                names=query.all(OWN_FILTERS[cloud][1]),
            )
            for cloud in own or CLOUDS
            if cloud in (query.all("cloud") or CLOUDS)
        ]
        found = await self._lists.found(domain_id, parts, query.all("kind"), order)
        chosen = found[window.skip : window.skip + window.count_of(len(found))]
        return Page(window.skip, window.limit, len(found), [shown(each) for each in await self._lists.read(chosen)])


def shown(listed: Listed) -> DriftShown:
    """A finding as callers see it."""
    of_azure = listed.cloud == AZURE
    return DriftShown(
        id=listed.id,
        kind=listed.kind,
        cloud=listed.cloud,
        secret_name=listed.name if of_azure else UNSET,
        secret_id=listed.record_id if of_azure else UNSET,
        version=listed.version if of_azure else UNSET,
        key_vault=listed.vault_name if of_azure else UNSET,
        key_vault_id=listed.vault_id if of_azure else UNSET,
        key_name=UNSET if of_azure else listed.name,
        cckm_key_id=UNSET if of_azure else listed.record_id,
        vault_name=UNSET if of_azure else listed.vault_name,
        cckm_vault_id=UNSET if of_azure else listed.vault_id,
        fields={name: FieldDrift(was=was, now=now) for name, (was, now) in sorted(listed.fields.items())},
        since=timestamp(listed.since),
    )
