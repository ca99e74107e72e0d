"""What every other part may ask of a database, the same for SQLite and PostgreSQL.

Reads are one statement on the latest committed state. Changes are functions of an open transaction, so that a rule can
be decided on the very rows that it will change; all changes that wait share one transaction and one commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar

Value = None | int | float | str | bytes
Row = tuple[Any, ...]
T = TypeVar("T")


class Tx(Protocol):
    """An open transaction, as a change sees it. SQL is the common subset of both databases, with `?` for values."""

    def fetch(self, sql: str, *args: Value) -> list[Row]:
        """All rows of a query."""
        ...

    def fetch_one(self, sql: str, *args: Value) -> Row | None:
        """The first row of a query, or None."""
        ...

    def execute(self, sql: str, *args: Value) -> int:
        """Runs a changing statement; the count of rows it changed."""
        ...

    def insert(self, sql: str, *args: Value) -> int:
        """Runs an INSERT that ends in `RETURNING id`; that id."""
        ...

    def at_end(self, write: Callable[[Tx, list[Any]], None], item: Any) -> None:
        """Has `write` called once before the commit, with the items of all changes that share it, in their order.

        For rows that many changes append to one table: one statement instead of one each. What `write` raises refuses
        the changes; items of a change that raised are dropped with it. `write` only uses the transaction it is given.
        """
        ...


class Store(Protocol):
    """One open database.

    A read started after a write's answer sees that write; nobody sees uncommitted rows; writers are serialised, also
    between processes.
    """

    kind: Literal["sqlite", "postgresql"]

    async def read(self, sql: str, *args: Value) -> list[Row]:
        """All rows of one query on the latest committed state."""
        ...

    async def read_one(self, sql: str, *args: Value) -> Row | None:
        """The first row of one query, or None."""
        ...

    def read_now(self, sql: str, *args: Value) -> list[Row] | None:
        """The same as `read` without waiting, or None where this database cannot do that. For the hottest path."""
        ...

    async def write(self, change: Callable[[Tx], T]) -> T:
        """Runs `change` in a transaction and answers its result once it is on disk.

        `change` may run more than once and must do nothing but use its transaction; it sees the earlier changes of
        its batch. Whatever it raises is raised here, with nothing of it stored. Raises Busy("StoreBusy") when too
        many changes wait already.
        """
        ...

    def generation(self) -> int:
        """A number that moves whenever anybody may have committed something; cheap enough for every request."""
        ...

    async def close(self) -> None:
        """Finishes what waits and lets go of the database."""
        ...
