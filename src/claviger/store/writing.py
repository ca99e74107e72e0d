"""Group commit, the same for both databases: one thread takes every change that waits into one transaction.

`GroupWriter` queues changes from the event loop, runs them on its thread over a `Session` (one database connection that
can begin, commit and roll back) and brings all results of a batch back to the loop in one call. A change that raises
before it wrote anything is dropped from its batch; any other failure rolls the batch back, and each of its changes is
run again in a transaction of its own, so that one caller's mistake costs the others time and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from copy import copy
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from claviger.core.errors import Busy
from claviger.store.contract import Row, Tx, Value
from claviger.store.dialect import only_reads

_log = logging.getLogger(__name__)

QUEUE_LIMIT = 2048
BATCH_LIMIT = 256
ALONE_BUDGET_S = 20.0

Change = Callable[[Tx], Any]
Waiting = tuple[Change, "asyncio.Future[Any]"]
Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]
Ending = tuple[Callable[[Tx, list[Any]], None], Any]


class Session(Protocol):
    """One writing connection, used by one thread.

    What a database says is made neutral here: Busy("StoreBusy") when a lock or a statement took too long,
    Busy("StoreFull"), Busy("StoreUnavailable") when disk or server failed, Conflict("RowConstraint") when a constraint
    forbids the row, Damaged("DatabaseCorrupt"). In all of these nothing was stored. Mistakes in SQL stay the
    driver's own errors.
    """

    def begin(self) -> None:
        """Opens a transaction that no other writer can have open too. Raises Busy when that takes too long."""
        ...

    def fetch(self, sql: str, args: tuple[Value, ...]) -> list[Row]:
        """All rows of one statement."""
        ...

    def execute(self, sql: str, args: tuple[Value, ...]) -> int:
        """Runs one statement; the count of rows it changed."""
        ...

    def commit(self) -> None:
        """Returns once the transaction is on disk. Raises Busy("CommitUnknown") when nobody can tell."""
        ...

    def rollback(self) -> None:
        """Leaves the transaction, if there still is one; never raises."""
        ...

    def tidy(self) -> None:
        """Housekeeping between batches, after their answers were given; never raises."""
        ...

    def close(self) -> None:
        """Lets go of the connection; never raises."""
        ...


class BatchTx:
    """The transaction as its changes see it, one after the other.

    Knows of the present change whether it wrote and what it left for the end, and whether the database refused it.
    """

    __slots__ = ("_session", "failure", "left", "wrote")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.wrote = False
        self.left: list[Ending] = []
        self.failure: BaseException | None = None

    def fetch(self, sql: str, *args: Value) -> list[Row]:
        """All rows of a query."""
        if not only_reads(sql):
            self.wrote = True
        try:
            return self._session.fetch(sql, args)
        except BaseException as error:
            self.failure = error
            raise

    def fetch_one(self, sql: str, *args: Value) -> Row | None:
        """The first row of a query, or None. Reads the whole answer: end the query in LIMIT 1 where it may be long."""
        rows = self.fetch(sql, *args)
        return rows[0] if rows else None

    def execute(self, sql: str, *args: Value) -> int:
        """Runs a changing statement; the count of rows it changed."""
        self.wrote = True
        try:
            return self._session.execute(sql, args)
        except BaseException as error:
            self.failure = error
            raise

    def insert(self, sql: str, *args: Value) -> int:
        """Runs an INSERT that ends in `RETURNING id`; that id."""
        return int(self.fetch(sql, *args)[0][0])

    def at_end(self, write: Callable[[Tx, list[Any]], None], item: Any) -> None:
        """Leaves `item` for one call of `write` before the commit."""
        self.left.append((write, item))

    def end(self, left: list[Ending]) -> None:
        """Writes what changes have left. Raises what their functions raise, and what the database refused."""
        items: dict[Callable[[Tx, list[Any]], None], list[Any]] = {}
        for write, item in left:
            items.setdefault(write, []).append(item)
        for write, of_it in items.items():
            write(self, of_it)
        if self.failure is not None:
            raise self.failure


class GroupWriter:
    """The writing half of a store. Belongs to one event loop; made and used on it."""

    def __init__(
        self,
        session: Session,
        *,
        name: str,
        committed: Callable[[], None],
        queue_limit: int = QUEUE_LIMIT,
        batch_limit: int = BATCH_LIMIT,
    ) -> None:
        """`committed` is called on the event loop after each batch, before any of its answers is given."""
        self._session = session
        self._committed = committed
        self._queue_limit = queue_limit
        self._batch_limit = batch_limit
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        self._fresh: list[Waiting] = []
        self._waiting_count = 0
        self._closed = False
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, change: Change) -> asyncio.Future[Any]:
        """Queues `change`; the future gets its result once on disk. Raises Busy("StoreBusy") when too many wait."""
        if self._closed:
            raise Busy("StoreClosed")
        if self._waiting_count >= self._queue_limit:
            raise Busy("StoreBusy", waiting_count=self._waiting_count)
        self._waiting_count += 1
        future = self._loop.create_future()
        self._fresh.append((change, future))
        if len(self._fresh) == 1:
            self._loop.call_soon(self._hand_over)
        return future

    async def close(self) -> None:
        """Finishes what waits, then ends the thread and its connection. A second call waits for the first."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._queue.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    # On the event loop.

    def _hand_over(self) -> None:
        """Gives the writer all changes of a turn at once: woken by the first, it would commit that one by itself."""
        for waiting in self._fresh:
            self._queue.put(waiting)
        self._fresh.clear()

    def _deliver(self, outcomes: list[Outcome]) -> None:
        self._waiting_count -= len(outcomes)
        self._committed()
        for future, result, error in outcomes:
            if future.done():  # the caller went away
                continue
            if error is None:
                future.set_result(result)
            elif isinstance(error, StopIteration):  # a future cannot carry it
                future.set_exception(RuntimeError("a change raised StopIteration"))
            else:
                future.set_exception(error)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    # On the writer's thread.

    def _run(self) -> None:
        batch: list[Waiting] = []
        last = False
        while not last:
            last = self._gather(batch)
            if batch:
                try:
                    outcomes = self._commit_together(batch)
                except BaseException as error:  # noqa: BLE001 - a session broke its promise; the thread lives on
                    _log.exception("a batch of changes failed")
                    outcomes = [(future, None, copy(error)) for _, future in batch]
                self._call_loop(self._deliver, outcomes)
                batch = []
            self._session.tidy()
        self._session.close()
        self._call_loop(self._end)

    def _gather(self, batch: list[Waiting]) -> bool:
        """Fills `batch` with all that waits, at least one unless the writer is closing; whether it is closing."""
        take = self._queue.get
        try:
            item = take()
            while item is not None:
                batch.append(item)
                if len(batch) >= self._batch_limit:
                    return False
                item = take(False)
        except Empty:
            return False
        return True

    def _commit_together(self, batch: list[Waiting]) -> list[Outcome]:
        session = self._session
        outcomes: list[Outcome] = []
        try:
            session.begin()
        except BaseException as error:  # noqa: BLE001 - passed on to every caller
            session.rollback()
            return [(future, None, copy(error)) for _, future in batch]
        tx = BatchTx(session)
        left: list[Ending] = []
        for change, future in batch:
            if future.cancelled():  # nobody waits for it any more
                outcomes.append((future, None, None))
                continue
            tx.wrote = False
            tx.left = []
            try:
                result = change(tx)
            except BaseException as error:  # noqa: BLE001 - passed on to its caller
                if tx.wrote or tx.failure is not None:
                    session.rollback()
                    return self._commit_alone(batch)
                outcomes.append((future, None, error))
                continue
            if tx.failure is not None:  # it went on after the database had refused a statement
                session.rollback()
                return self._commit_alone(batch)
            outcomes.append((future, result, None))
            left += tx.left
        try:
            tx.end(left)
        except BaseException:  # noqa: BLE001 - alone, each change is told of its own
            session.rollback()
            return self._commit_alone(batch)
        try:
            session.commit()
        except BaseException as error:  # noqa: BLE001 - passed on to every caller
            session.rollback()
            return [(future, None, refused or copy(error)) for future, _, refused in outcomes]
        return outcomes

    def _commit_alone(self, batch: list[Waiting]) -> list[Outcome]:
        session = self._session
        outcomes: list[Outcome] = []
        give_up_at = time.monotonic() + ALONE_BUDGET_S
        for change, future in batch:
            if future.cancelled():
                outcomes.append((future, None, None))
                continue
            if time.monotonic() > give_up_at:
                outcomes.append((future, None, Busy("StoreBusy", problem="the batch took too long")))
                continue
            tx = BatchTx(session)
            try:
                session.begin()
                result = change(tx)
                tx.end(tx.left)
                session.commit()
            except BaseException as error:  # noqa: BLE001 - passed on to its caller
                session.rollback()
                outcomes.append((future, None, error))
            else:
                outcomes.append((future, result, None))
        return outcomes

    def _call_loop(self, function: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop was closed without closing the store: nobody is left to answer
            _log.warning("a store's event loop was closed before the store")
