"""What rows of keys and of their versions share: when one that passes is looked at again; the SQL for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import msgspec

from claviger.store.contract import Store, Tx

_STAYS = "PENDING_DELETION"
"""The state that passes at a date of its own, however far that is."""


class Passing(Protocol):
    """A row that is looked at again at `refresh_at`, after so many `tries`."""

    @property
    def num(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def refresh_at(self) -> float | None: ...
    @property
    def tries(self) -> int: ...


P = TypeVar("P", bound=Passing)
K = TypeVar("K", bound=int | str)


class Looks(Generic[P, K]):
    """When rows of a table are looked at again. `load` reads one by its `key`, a column; rows are structs.

    `joined` is the table as `r`, with all that leads to its vault, as `v`: nothing in a removed vault is looked at.
    """

    def __init__(self, table: str, key: str, joined: str, load: Callable[[Tx, K], P | None]) -> None:
        self._table = table
        self._key = key
        self._due = f"FROM {joined} WHERE r.refresh_at IS NOT NULL AND v.removed = 0"
        self._load = load

    async def due(self, store: Store, now: float, astray: float, most: int) -> list[K]:
        """The keys of rows that it is time to look at again, the first ones first.

        Those too that pass and are dated after `astray`, as nothing is that was dated by this clock: it was moved back.
        """
        rows = await store.read(
            f"SELECT r.{self._key} {self._due} AND (r.refresh_at <= ? OR (r.refresh_at > ? AND r.state <> '{_STAYS}')) "
            "ORDER BY r.refresh_at LIMIT ?",
            now,
            astray,
            most,
        )
        return [row[0] for row in rows]

    async def next_due(self, store: Store) -> float | None:
        """When the next one is due."""
        row = await store.read_one(f"SELECT MIN(r.refresh_at) {self._due}")
        return None if row is None or row[0] is None else float(row[0])

    def claim(self, tx: Tx, key: K, now: float, astray: float, until: float) -> P | None:
        """Takes one that is due for as long as looking at it may take; None where another server was quicker."""
        row = self._load(tx, key)
        if row is None or row.refresh_at is None:
            return None
        is_astray = row.refresh_at > astray and row.state != _STAYS
        if row.refresh_at > now and not is_astray:
            return None
        return self.put_off(tx, row, until, row.tries)

    def take_up(self, tx: Tx, now: float, until: float) -> None:
        """Makes due now what is to be looked at by then: who has claimed it may have ended. Two looks do no harm."""
        sql = f"UPDATE {self._table} SET refresh_at = ? WHERE refresh_at > ? AND refresh_at <= ?"
        tx.execute(sql, now, now, until)

    def put_off(self, tx: Tx, row: P, at: float | None, tries: int) -> P:
        """Sets when one is looked at again, where it is still the row that was read; it as it is then."""
        tx.execute(
            f"UPDATE {self._table} SET refresh_at = ?, tries = ? WHERE num = ? AND refresh_at = ?",
            at,
            tries,
            row.num,
            row.refresh_at,
        )
        later: P = msgspec.structs.replace(row, refresh_at=at, tries=tries)  # type: ignore[type-var]
        return later
