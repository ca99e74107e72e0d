"""What is done alike with the records of managed vaults of all clouds: list, read and show them, say who may do what.

How a vault is found in its cloud, and what its record takes over from there, is each cloud's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from claviger.audit.trail import about
from claviger.cckm.access.acls.effects import acls_changed
from claviger.cckm.access.acls.operations import change_acls, shown_acls, shown_acls_by_container
from claviger.cckm.access.acls.wire import AclEntry, AclShown
from claviger.cckm.approvals import records as approvals
from claviger.cckm.approvals.rules import Protection
from claviger.cckm.calls import Query
from claviger.cckm.listing import Page, page_of
from claviger.cckm.planning.draft import foresee
from claviger.cckm.vaults.records import ManagedVault
from claviger.core.clock import Clock
from claviger.core.errors import NotFound, Refusal
from claviger.store.contract import Store, Tx

V = TypeVar("V", bound=ManagedVault)
R = TypeVar("R")

UNPROTECTED = Protection()


@dataclass(frozen=True)
class Own(Generic[V, R]):
    """What the vaults of one cloud have of their own: `kind`, rows (structs), the `actions` of their ACLs, and looks.

    `told` is what the audit log calls one: its plain name in the cloud, and where there.
    """

    kind: str
    actions: Collection[str]
    all_of: Callable[[Store, str], Awaitable[list[V]]]
    by_id: Callable[[Store, str, str], Awaitable[V | None]]
    load: Callable[[Tx, str, str], V | None]
    replace: Callable[[Tx, V], object]
    told: Callable[[V], tuple[str, str]]
    filters: Mapping[str, Callable[[V], object]]
    sorts: Mapping[str, Callable[[V], Any]]
    shown: Callable[[V, list[AclShown], Protection], R]


class ManagedVaults(Generic[V, R]):
    """The records of a cloud's vaults. `seen` are ids of the vaults that a caller sees; None is all of the domain."""

    def __init__(self, store: Store, clock: Clock, own: Own[V, R]) -> None:
        self._store = store
        self._clock = clock
        self._own = own

    async def listing(self, domain_id: str, seen: frozenset[str] | None, query: Query) -> Page:
        """A page of the vaults that the caller sees. Raises Invalid."""
        own = self._own
        rows = await own.all_of(self._store, domain_id)
        acls = await shown_acls_by_container(self._store, domain_id)
        set_on = await approvals.protections(self._store, domain_id)
        return page_of(
            [row for row in rows if seen is None or row.id in seen],
            query,
            filters=own.filters,
            sorts=own.sorts,
            default_sort="createdAt",
            shown=lambda row: own.shown(row, acls.get(row.id, []), set_on.get(row.id, UNPROTECTED)),
        )

    async def read(self, domain_id: str, seen: frozenset[str] | None, ident: str) -> R:
        """One vault. Raises NotFound, also where the caller does not see it."""
        row = await self.row(domain_id, ident)
        if seen is not None and row.id not in seen:
            raise missing()
        return await self.shown(row)

    async def update_acls(self, domain_id: str, ident: str, entries: list[AclEntry]) -> R:
        """Adds to and takes from what users and groups may do in a vault (contract §8). Raises NotFound, Invalid."""
        own, now = self._own, self._clock.now()

        def change(tx: Tx) -> V:
            row: V = msgspec.structs.replace(self.loaded(tx, domain_id, ident), updated_at=now)  # type: ignore[type-var]
            change_acls(tx, domain_id, row.id, entries, own.actions)
            foresee(lambda: acls_changed(own.kind, row.id, row.name, entries))
            own.replace(tx, row)
            return row

        return await self.shown(await self._store.write(change))

    async def shown(self, row: V) -> R:
        """A vault as callers see it."""
        set_on = await approvals.read_protection(self._store, row.id)
        return self._own.shown(row, await shown_acls(self._store, row.id), set_on)

    async def row(self, domain_id: str, ident: str) -> V:
        """A vault as it is stored. Raises NotFound."""
        row = await self._own.by_id(self._store, domain_id, ident)
        if row is None:
            raise missing()
        return row

    def loaded(self, tx: Tx, domain_id: str, ident: str) -> V:
        """The same within a change, which is about it. Raises NotFound."""
        row = self._own.load(tx, domain_id, ident)
        if row is None:
            raise missing()
        about(self._own.kind, row.id, *self._own.told(row))
        return row


def missing() -> Refusal:
    """The refusal for a vault that is not there, or not the caller's to see."""
    return NotFound("NotFound", message="there is no such vault")
