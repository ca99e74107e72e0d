"""What is done to connections of any cloud: listing them, deleting them, noting how tests of them ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from claviger.audit.trail import about
from claviger.cckm.calls import Query
from claviger.cckm.connections import records, shown
from claviger.cckm.connections.records import Connected, Kind
from claviger.cckm.connections.wire import TestResult
from claviger.cckm.listing import Page
from claviger.cckm.sealed import Safe
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, NotFound
from claviger.store.contract import Store, Tx

CONNECTION = "connection"
SEALED_AS = "connection"
"""The kind under which a connection's credentials are sealed."""
MOST = 1000

C = TypeVar("C", bound=Connected)

Forget = Callable[[str], None]
"""Sets aside the ways to a cloud of a connection that is gone."""


class AllConnections:
    """Connections of a domain, named by id or name. `forgets` are told of each that was deleted."""

    def __init__(self, store: Store, clock: Clock, forgets: Sequence[Forget]) -> None:
        self._store = store
        self._clock = clock
        self._forgets = forgets

    async def listing(self, domain_id: str, query: Query) -> Page:
        """A page of the connections of all services. Raises Invalid."""
        return shown.listed(await records.all_kinds(self._store, domain_id), query, shown.common)

    async def delete(self, domain_id: str, id_or_name: str, *, service: str | None = None, force: bool = False) -> None:
        """Deletes a connection. Raises NotFound, and Conflict("ConnectionUsed") unless forced.

        After a forced delete what uses it keeps its name (CCKM contract §7.6).
        """

        def change(tx: Tx) -> str:
            known = records.find_any(tx, domain_id, id_or_name, service)
            if known is None:
                raise _missing()
            ident, name = known
            about(CONNECTION, ident, name)
            users = records.users_count(tx, ident)
            if users and not force:
                raise Conflict(
                    "ConnectionUsed",
                    message=f"the connection {name} is used by vaults or other records ({users}); give them another,"
                    " or stop managing them first, or force it by"
                    f" POST /api/v1/connectionmgmt/connections/{ident}/delete",
                )
            records.remove(tx, ident)
            Safe.remove(tx, SEALED_AS, ident)
            return ident

        ident = await self._store.write(change)
        for forget in self._forgets:
            forget(ident)

    async def note(self, ident: str, result: TestResult) -> None:
        """Keeps how a test of a stored connection ended."""
        error = None if result.connection_ok else str(result.connection_error)
        at = self._clock.now()
        await self._store.write(lambda tx: records.note_test(tx, ident, result.connection_ok, error, at))


def add(tx: Tx, made: records.Connected) -> None:
    """Stores a new connection within a change. Raises Conflict("NameTaken") or Conflict("TooMany")."""
    if records.name_is_taken(tx, made.domain_id, made.name):
        raise Conflict("NameTaken", message=f"there is a connection with the name {made.name} already")
    if records.count(tx, made.domain_id) >= MOST:
        raise Conflict("TooMany", message=f"a domain may have {MOST} connections")
    about(CONNECTION, made.id, made.name)
    records.add(tx, made)


async def found(store: Store, kind: Kind[C], domain_id: str, id_or_name: str) -> C:
    """A connection. Raises NotFound."""
    known = await kind.find(store, domain_id, id_or_name)
    if known is None:
        raise _missing()
    return known


def loaded(tx: Tx, kind: Kind[C], domain_id: str, ident: str) -> C:
    """A connection within a change, which is about it. Raises NotFound."""
    known = kind.load(tx, domain_id, ident)
    if known is None:
        raise _missing()
    about(CONNECTION, known.id, known.name)
    return known


def _missing() -> NotFound:
    return NotFound("NotFound", message="there is no such connection")
