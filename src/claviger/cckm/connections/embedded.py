"""The clouds that are part of this server, as connections like any other: registered once, then kept up to date."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cckm.connections import records
from claviger.cckm.connections.operations import SEALED_AS
from claviger.cckm.connections.records import Connected, Kind
from claviger.cckm.records import meta, set_meta
from claviger.cckm.sealed import Safe
from claviger.core.clock import Clock
from claviger.core.ids import new_uuid
from claviger.core.sensitive import Sensitive
from claviger.store.contract import Store, Tx

C = TypeVar("C", bound=Connected)


class Embedded(msgspec.Struct, Generic[C], frozen=True):
    """An embedded cloud. `note` is the key under which it is noted that it was registered, and as which connection.

    `made(id, name, now)` is the connection; `moved(connection)` the same where the cloud now listens;
    `is_ours(connection)` whether it still has the credentials that it was registered with.
    """

    note: str
    name: str
    kind: Kind[C]
    sealed: Sensitive
    made: Callable[[str, str, float], C]
    moved: Callable[[C, float], C]
    is_ours: Callable[[C], bool]


async def ensure(store: Store, safe: Safe, clock: Clock, embedded: Embedded[C]) -> None:
    """Registers an embedded cloud as a connection of the root domain, once for ever; for each start of a server.

    Where it is there, its addresses and authority are brought up to date, and the secret of whoever it was registered
    as. Where somebody has deleted it, it is not made again. The root domain has to exist.
    """
    ident = await meta(store, embedded.note)
    known = None if ident is None else await embedded.kind.find(store, ROOT_DOMAIN, ident)
    if ident is not None and known is None:
        return
    now = clock.now()
    items = [(SEALED_AS, ident or new_uuid(), embedded.sealed)]
    if known is not None:
        if not embedded.is_ours(known) or await safe.open(SEALED_AS, known.id) == embedded.sealed:
            items = []  # other credentials were chosen since, or these are what is there
        if not items and embedded.moved(known, now).details == known.details:
            return

    def update(tx: Tx) -> None:
        current = embedded.kind.load(tx, ROOT_DOMAIN, str(ident))
        if current is None:
            raise _Settled
        records.change(tx, embedded.moved(current, now))

    def register(tx: Tx) -> None:
        if records.embedded_is_noted(tx, embedded.note):
            raise _Settled
        name = embedded.name
        while records.name_is_taken(tx, ROOT_DOMAIN, name):
            name += "-"
        set_meta(tx, embedded.note, items[0][1])
        records.add(tx, embedded.made(items[0][1], name, now))

    with contextlib.suppress(_Settled):
        await safe.write(items, register if known is None else update)


class _Settled(Exception):
    """Another process has registered it, or somebody has deleted it, in this very moment."""
