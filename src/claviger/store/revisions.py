"""A number that moves with every change of something, so that whoever remembers that knows when to read it anew."""

from __future__ import annotations

from claviger.core.errors import Damaged
from claviger.store.contract import Row, Store, Tx


class Revision:
    """A number under a key of `meta`, put there by a migration; `missing` is the reason of Damaged where it is gone."""

    def __init__(self, key: str, missing: str) -> None:
        self._select = f"SELECT value FROM meta WHERE key = '{key}'"  # noqa: S608 - a name of our own
        self._update = f"UPDATE meta SET value = ? WHERE key = '{key}'"  # noqa: S608
        self._missing = missing

    async def read(self, store: Store) -> int:
        """What it is. Raises Damaged."""
        return self._number(await store.read_one(self._select))

    def now(self, store: Store) -> int | None:
        """The same without waiting; None where the store cannot do that. Raises Damaged."""
        rows = store.read_now(self._select)
        return None if rows is None else self._number(rows[0] if rows else None)

    def bump(self, tx: Tx) -> int:
        """Says that something has changed; the new number, which no other change has ever had. Raises Damaged."""
        bumped = self._number(tx.fetch_one(self._select)) + 1
        tx.execute(self._update, str(bumped))
        return bumped

    def _number(self, row: Row | None) -> int:
        if row is None:
            raise Damaged(self._missing)
        return int(row[0])
