"""Lists, reads and removes records of things around vaults: `Own` says what one kind of them is, `Noted` does it.

Nothing happens in the cloud. How a record is made is each kind's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from claviger.audit.trail import about
from claviger.cckm.calls import Query
from claviger.cckm.listing import Page, page_of
from claviger.core.errors import NotFound
from claviger.store.contract import Store, Tx


class NotedRow(Protocol):
    """A record of something in a cloud."""

    @property
    def id(self) -> str:
        """The record's id."""
        ...

    @property
    def name(self) -> str:
        """What the thing is called."""
        ...


N = TypeVar("N", bound=NotedRow)
R = TypeVar("R")


def _never(_tx: Tx, _row: Any) -> None:
    return None


@dataclass(frozen=True)
class Own(Generic[N, R]):
    """What one kind of records has of its own: `noun` in messages, its rows, its looks.

    `refuse` raises within the removal what stands in its way.
    """

    kind: str
    noun: str
    all_of: Callable[[Store, str], Awaitable[list[N]]]
    by_id: Callable[[Store, str, str], Awaitable[N | None]]
    load: Callable[[Tx, str, str], N | None]
    remove: Callable[[Tx, str], None]
    filters: Mapping[str, Callable[[N], object]]
    sorts: Mapping[str, Callable[[N], Any]]
    shown: Callable[[N], R]
    refuse: Callable[[Tx, N], None] = _never


class Noted(Generic[N, R]):
    """The records of one kind."""

    def __init__(self, store: Store, own: Own[N, R]) -> None:
        self._store = store
        self._own = own

    async def listing(self, domain_id: str, query: Query) -> Page:
        """A page of a domain's records. Raises Invalid."""
        own = self._own
        return page_of(
            await own.all_of(self._store, domain_id),
            query,
            filters=own.filters,
            sorts=own.sorts,
            default_sort="createdAt",
            shown=own.shown,
        )

    async def read(self, domain_id: str, ident: str) -> R:
        """One record. Raises NotFound."""
        row = await self._own.by_id(self._store, domain_id, ident)
        if row is None:
            raise self._missing()
        return self._own.shown(row)

    async def delete(self, domain_id: str, ident: str) -> None:
        """Removes a record. Raises NotFound, and what `refuse` does."""
        own = self._own

        def change(tx: Tx) -> None:
            row = own.load(tx, domain_id, ident)
            if row is None:
                raise self._missing()
            own.refuse(tx, row)
            about(own.kind, row.id, row.name)
            own.remove(tx, row.id)

        await self._store.write(change)

    def _missing(self) -> NotFound:
        return NotFound("NotFound", message=f"there is no such {self._own.noun}")
