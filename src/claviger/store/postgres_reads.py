"""Reads on PostgreSQL: all that wait go to the server together, as changes do, so that many cost little more than one.

A few lanes, each with a connection of the pool while it has work, take what waits and send it down one pipeline. The
caller's task never touches the connection, so a caller that goes away disturbs nobody.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple, cast

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from claviger.core.errors import Busy
from claviger.store.contract import Row, Value
from claviger.store.dialect import refuse_nul, to_postgres
from claviger.store.postgres_session import adapt, neutral, session_settings, sever

LANES = 4
PIPELINE_LIMIT = 64
QUEUE_LIMIT = 4096
CONNECTION_WAIT_S = 3.0
READ_DEADLINE_S = 20.0

_Connection = psycopg.AsyncConnection[Any]


class _Read(NamedTuple):
    statement: str
    args: tuple[Value, ...]
    rows: asyncio.Future[list[Row]]
    give_up_at: float


class ReadLanes:
    """The reading half of a PostgreSQL store. Belongs to one event loop; made and used on it."""

    def __init__(self, info: str, *, deadline_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline_s = deadline_s
        self._waiting: list[_Read] = []
        self._lanes: set[asyncio.Task[None]] = set()
        self._closed = False
        self._pool: AsyncConnectionPool[_Connection] = AsyncConnectionPool(
            info,
            kwargs={"autocommit": True, "prepare_threshold": 2, "cursor_factory": psycopg.AsyncRawCursor},
            configure=_set_up,
            min_size=1,
            max_size=LANES,
            timeout=CONNECTION_WAIT_S,
            reconnect_timeout=CONNECTION_WAIT_S,  # then the next read tries, rather than a delay that doubles
            open=False,
            name="claviger-reads",
        )

    async def open(self) -> None:
        """Connects. Raises Busy("StoreUnavailable") when that takes too long."""
        try:
            await self._pool.open(wait=True, timeout=CONNECTION_WAIT_S)
        except PoolTimeout:
            raise Busy("StoreUnavailable", problem="the database server cannot be reached") from None

    def submit(self, sql: str, args: tuple[Value, ...]) -> asyncio.Future[list[Row]]:
        """Queues a query; a future for its rows. Raises Busy("StoreBusy") when too many wait, Invalid("NulInText")."""
        if self._closed:
            raise Busy("StoreClosed")
        refuse_nul(args)
        if len(self._waiting) >= QUEUE_LIMIT:
            raise Busy("StoreBusy", problem="too many reads wait")
        future: asyncio.Future[list[Row]] = self._loop.create_future()
        self._waiting.append(_Read(to_postgres(sql), args, future, self._loop.time() + self._deadline_s))
        if len(self._lanes) < LANES:
            self._lanes.add(self._loop.create_task(self._run_lane()))
        return future

    async def close(self) -> None:
        """Answers what waits, then closes the connections."""
        self._closed = True
        while self._lanes:
            await asyncio.wait(self._lanes)
        await self._pool.close()

    async def _run_lane(self) -> None:
        try:
            while self._waiting:
                taken, self._waiting = self._waiting[:PIPELINE_LIMIT], self._waiting[PIPELINE_LIMIT:]
                await self._serve([read for read in taken if not read.rows.done()])
        finally:  # in the same step as the last look at the queue: nobody may count on a lane that has ended
            self._lanes.discard(cast(asyncio.Task[None], asyncio.current_task()))

    async def _serve(self, batch: list[_Read]) -> None:
        if not batch:
            return
        try:
            answers = await self._ask(batch)
        except Exception as error:  # noqa: BLE001 - passed on to the callers
            if len(batch) > 1 and not isinstance(error, Busy):  # one of them is wrong: which shows alone
                for read in batch:
                    await self._serve([read])
                return
            for read in batch:
                if not read.rows.done():
                    read.rows.set_exception(error)
            return
        for read, rows in zip(batch, answers, strict=True):
            if not read.rows.done():
                read.rows.set_result(rows)

    async def _ask(self, batch: list[_Read]) -> list[list[Row]]:
        """All answers or the first error, made neutral. A connection of before the server's restart is replaced."""
        give_up_at = batch[0].give_up_at
        connections_left = LANES + 1
        while True:
            if self._loop.time() >= give_up_at:
                raise Busy("StoreBusy", problem="no answer from the database server in time")
            connections_left -= 1
            connection = await self._take_connection()
            timer = self._loop.call_at(give_up_at, sever, connection)
            try:
                return await _send(connection, batch)
            except psycopg.Error as error:
                lost = connection.closed
                if len(batch) > 1:
                    # What came after the error was skipped, which psycopg's list of prepared statements does not know.
                    await connection.close()
                if not lost or not connections_left:
                    raise neutral(error) from None
            finally:
                timer.cancel()
                await self._pool.putconn(connection)

    async def _take_connection(self) -> _Connection:
        try:
            return await self._pool.getconn()
        except PoolTimeout:
            raise Busy("StoreUnavailable", problem="no connection to the database server in time") from None


async def _send(connection: _Connection, batch: list[_Read]) -> list[list[Row]]:
    if len(batch) == 1:
        cursor = await connection.execute(batch[0].statement, batch[0].args, binary=True)
        return [await cursor.fetchall()]
    async with connection.pipeline():
        cursors = [await connection.execute(read.statement, read.args, binary=True) for read in batch]
    return [await cursor.fetchall() for cursor in cursors]


async def _set_up(connection: _Connection) -> None:
    adapt(connection.adapters)
    await connection.execute(session_settings())
    await connection.execute("SET default_transaction_read_only = on")
