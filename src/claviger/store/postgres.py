"""PostgreSQL: reads in pipelines on the event loop, changes in group commits on one connection of their own.

No call waits for ever on a server that went away or froze: connecting, waiting for a connection, locks, statements and
whole transactions have time-outs, and a wait that outlives them is cut at the socket. The caller is told
Busy("StoreUnavailable") or Busy("StoreBusy"), with nothing stored, or Busy("CommitUnknown") when the connection was
lost between COMMIT and its answer: then only reading tells whether the change is there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal, TypeVar

from claviger.store.contract import Row, Tx, Value
from claviger.store.postgres_reads import READ_DEADLINE_S, ReadLanes
from claviger.store.postgres_session import PostgresSession, connection_info
from claviger.store.writing import BATCH_LIMIT, QUEUE_LIMIT, GroupWriter

T = TypeVar("T")

WRITE_DEADLINE_S = 30.0
WATCH_INTERVAL_S = 1.0
GENERATION_S = 0.5


class PostgresStore:
    """A `Store` on one PostgreSQL database. Belongs to the event loop that it was opened on."""

    kind: Literal["sqlite", "postgresql"] = "postgresql"

    def __init__(
        self, url: str, *, queue_limit: int, batch_limit: int, read_deadline_s: float, write_deadline_s: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._own_commits = 0
        self._write_deadline_s = write_deadline_s
        self._reads = ReadLanes(connection_info(url), deadline_s=read_deadline_s)
        self._session = PostgresSession(url)
        self._writer = GroupWriter(
            self._session,
            name="claviger-postgres-writer",
            committed=self._note_commit,
            queue_limit=queue_limit,
            batch_limit=batch_limit,
        )
        self._watch = self._loop.call_later(WATCH_INTERVAL_S, self._watch_writer)

    async def open(self) -> None:
        """Connects for reading; writing connects when it is needed. Raises Busy("StoreUnavailable")."""
        try:
            await self._reads.open()
        except BaseException:
            await self.close()
            raise

    async def read(self, sql: str, *args: Value) -> list[Row]:
        """All rows of one query. Raises Busy when the server is away or does not answer in time."""
        return await self._reads.submit(sql, args)

    async def read_one(self, sql: str, *args: Value) -> Row | None:
        """The first row of one query, or None. Reads the whole answer: end a long query in LIMIT 1."""
        rows = await self._reads.submit(sql, args)
        return rows[0] if rows else None

    def read_now(self, sql: str, *args: Value) -> list[Row] | None:
        """None: an answer has to be waited for."""
        return None

    async def write(self, change: Callable[[Tx], T]) -> T:
        """See the contract. Raises what `change` raises, and Busy, Damaged or Conflict as `writing.Session` lists."""
        answer: T = await self._writer.submit(change)
        return answer

    def generation(self) -> int:
        """Moves with every commit of this store at once, and every GENERATION_S for what others may have done.

        So a change by another process may go unnoticed for up to GENERATION_S (half a second).
        """
        return (self._own_commits << 48) + int(time.monotonic() / GENERATION_S)

    async def close(self) -> None:
        """Finishes what waits, then closes all connections."""
        await self._writer.close()
        self._watch.cancel()
        await self._reads.close()

    def _note_commit(self) -> None:
        self._own_commits += 1

    def _watch_writer(self) -> None:
        self._session.sever_if_stuck(self._write_deadline_s)
        self._watch = self._loop.call_later(WATCH_INTERVAL_S, self._watch_writer)


async def open_postgres(
    url: str,
    *,
    queue_limit: int = QUEUE_LIMIT,
    batch_limit: int = BATCH_LIMIT,
    read_deadline_s: float = READ_DEADLINE_S,
    write_deadline_s: float = WRITE_DEADLINE_S,
) -> PostgresStore:
    """Opens a database that `prepare_postgres` has brought up to date. Close it before the event loop ends.

    The deadlines, in seconds, are when a server that does not answer is cut off, for a read and for a transaction.
    """
    store = PostgresStore(
        url,
        queue_limit=queue_limit,
        batch_limit=batch_limit,
        read_deadline_s=read_deadline_s,
        write_deadline_s=write_deadline_s,
    )
    await store.open()
    return store
