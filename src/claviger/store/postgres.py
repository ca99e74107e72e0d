"""PostgreSQL: a pool of connections for reads on the event loop, and one connection with group commit for changes.

No call waits for ever on a server that went away or froze: connecting, waiting for a connection, locks, statements and
whole transactions have time-outs, and a wait that outlives them is cut at the socket. The caller is told
Busy("StoreUnavailable") or Busy("StoreBusy"), with nothing stored, or Busy("CommitUnknown") when the connection was
lost between COMMIT and its answer: then only reading tells whether the change is there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from claviger.core.errors import Busy
from claviger.store.contract import Row, Tx, Value
from claviger.store.dialect import to_postgres
from claviger.store.postgres_session import PostgresSession, adapt, connection_info, neutral, session_settings, sever
from claviger.store.writing import BATCH_LIMIT, QUEUE_LIMIT, GroupWriter

T = TypeVar("T")

READERS = 16
READERS_KEPT = 4
READS_WAITING_LIMIT = 2048
READ_WAIT_S = 5.0
READ_DEADLINE_S = 20.0
WRITE_DEADLINE_S = 30.0
WATCH_INTERVAL_S = 1.0
GENERATION_S = 0.5


class PostgresStore:
    """A `Store` on one PostgreSQL database. Belongs to the event loop that it was opened on."""

    kind: Literal["sqlite", "postgresql"] = "postgresql"

    def __init__(self, url: str, *, queue_limit: int, batch_limit: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._own_commits = 0
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] = AsyncConnectionPool(
            connection_info(url),
            kwargs={"autocommit": True, "prepare_threshold": 2, "cursor_factory": psycopg.AsyncRawCursor},
            configure=_set_up,
            min_size=READERS_KEPT,
            max_size=READERS,
            timeout=READ_WAIT_S,
            max_waiting=READS_WAITING_LIMIT,
            reconnect_timeout=READ_WAIT_S,  # then the next read tries, rather than a timer that doubles
            open=False,
            name="claviger-reads",
        )
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
        """Opens the pool. Raises Busy("StoreUnavailable") when no connection can be had in time."""
        try:
            await self._pool.open(wait=True, timeout=READ_WAIT_S)
        except PoolTimeout:
            await self.close()
            raise Busy("StoreUnavailable", problem="the database server cannot be reached") from None

    async def read(self, sql: str, *args: Value) -> list[Row]:
        """All rows of one query. Raises Busy when the server is away or does not answer in time."""
        statement = to_postgres(sql)
        give_up_at = self._loop.time() + READ_DEADLINE_S
        attempt = 0
        while True:
            attempt += 1
            connection = await self._take_reader()
            timer = self._loop.call_at(give_up_at, sever, connection)
            try:
                cursor = await connection.execute(statement, args, binary=True)
                return await cursor.fetchall()
            except psycopg.Error as error:
                # A connection of before the server's restart: reading does no harm twice, so another is tried.
                if not connection.closed or attempt > READERS or self._loop.time() >= give_up_at:
                    raise neutral(error) from None
            finally:
                timer.cancel()
                await self._pool.putconn(connection)

    async def read_one(self, sql: str, *args: Value) -> Row | None:
        """The first row of one query, or None. Reads the whole answer: end a long query in LIMIT 1."""
        rows = await self.read(sql, *args)
        return rows[0] if rows else None

    async def write(self, change: Callable[[Tx], T]) -> T:
        """See the contract. Raises what `change` raises, Busy, Damaged, or Conflict("RowConstraint")."""
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
        await self._pool.close()

    async def _take_reader(self) -> psycopg.AsyncConnection[Any]:
        try:
            return await self._pool.getconn()
        except TooManyRequests:
            raise Busy("StoreBusy", problem="too many reads wait") from None
        except PoolClosed:
            raise Busy("StoreClosed") from None
        except PoolTimeout:
            raise Busy("StoreUnavailable", problem="no connection to the database server in time") from None

    def _note_commit(self) -> None:
        self._own_commits += 1

    def _watch_writer(self) -> None:
        self._session.sever_if_stuck(WRITE_DEADLINE_S)
        self._watch = self._loop.call_later(WATCH_INTERVAL_S, self._watch_writer)


async def _set_up(connection: psycopg.AsyncConnection[Any]) -> None:
    adapt(connection.adapters)
    await connection.execute(session_settings())


async def open_postgres(url: str, *, queue_limit: int = QUEUE_LIMIT, batch_limit: int = BATCH_LIMIT) -> PostgresStore:
    """Opens a database that `prepare_postgres` has brought up to date. Close it before the event loop ends."""
    store = PostgresStore(url, queue_limit=queue_limit, batch_limit=batch_limit)
    await store.open()
    return store
