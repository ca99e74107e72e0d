"""The embedded database: one SQLite file in WAL mode, read on the event loop's own thread and written by one other.

**Reads share one read transaction per turn of the event loop.** Taking and leaving SQLite's read lock costs more than a
point read, so the first read of a turn opens a transaction and `loop.call_soon` closes it. This stays correct:

* Loops run what is scheduled in the order of scheduling. So every task step and every callback that is scheduled after
  the snapshot was taken runs after it was closed: a request whose task is created by input that came after somebody's
  commit sees that commit. (Only under uvloop, code that reads inside a protocol's `data_received` itself, without a
  task, may meet the snapshot of the turn that is just ending.)
* A commit of our own is answered by one callback on the loop, which first closes the transaction, whatever the order.
  So what runs because of a write's answer reads a newer snapshot.
* Within a turn all readers see one snapshot, so `generation()` and the rows read beside it belong together. (SQLite's
  cheaper FCNTL_DATA_VERSION is not enough: it does not look at the file, and misses what others commit.)
* A long turn holds the snapshot for long, which only keeps the WAL from being reset; the writer waits for the gap.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar, cast

import apsw

from claviger.core.errors import Busy, Conflict, Damaged, Misconfigured
from claviger.store.contract import Row, Tx, Value
from claviger.store.writing import BATCH_LIMIT, QUEUE_LIMIT, GroupWriter

_log = logging.getLogger(__name__)
T = TypeVar("T")

BUSY_TIMEOUT_MS = 10_000
READ_BUSY_TIMEOUT_MS = 2_000  # spent on the event loop's thread; only while another process recovers or closes the file
READ_CACHE_KIB = 16_384
WRITE_CACHE_KIB = 16_384
CHECKPOINT_PAGES = 10_000
CHECKPOINT_RETRY_PAGES = 1_000
CHECKPOINT_WAIT_S = 0.2
CHECKPOINT_PAUSE_S = 0.002
WAL_KEPT_BYTES = 64 * 1024 * 1024
STATEMENTS_KEPT = 512


def neutral(error: apsw.Error) -> Exception:
    """What the rest of Claviger is told of an error of SQLite's; mistakes in SQL are passed on as they are."""
    match error:
        case apsw.ConstraintError():
            return Conflict("RowConstraint", rule=str(error))
        case apsw.BusyError() | apsw.LockedError():
            return Busy("StoreBusy", problem="another process holds the database")
        case apsw.FullError():
            return Busy("StoreFull", problem="no space left for the database")
        case apsw.IOError() | apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.PermissionsError():
            return Busy("StoreUnavailable", problem=str(error))
        case apsw.CorruptError() | apsw.NotADBError():
            return Damaged("DatabaseCorrupt", problem=str(error))
        case _:
            return error


def connect(path: Path, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS, cache_kib: int = WRITE_CACHE_KIB) -> apsw.Connection:
    """A connection to an existing file, set up as every connection of ours is; the file is not read yet.

    Deleted content is overwritten (`secure_delete`), so that a purged secret does not linger in free pages.
    Raises Misconfigured("DatabaseUnreadable") when the file cannot be opened.
    """
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, statementcachesize=STATEMENTS_KEPT)
    except apsw.CantOpenError as error:
        raise Misconfigured(
            "DatabaseUnreadable",
            path=path,
            problem=str(error),
            fix="give Claviger's user read and write permission on the file and its directory",
        ) from None
    connection.set_busy_timeout(busy_timeout_ms)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    # Else a join beside a partial index is planned anew for every value bound to it: four times the cost of the read.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    try:
        for setting in (
            "synchronous = FULL",
            "foreign_keys = ON",
            "secure_delete = ON",
            "temp_store = MEMORY",
            "mmap_size = 0",
            f"cache_size = -{cache_kib}",
            f"journal_size_limit = {WAL_KEPT_BYTES}",
        ):
            connection.execute(f"PRAGMA {setting}").fetchall()
    except apsw.Error as error:
        connection.close()
        raise neutral(error) from None
    connection.wal_autocheckpoint(CHECKPOINT_PAGES)
    return connection


class SqliteSession:
    """The writing connection. Checkpoints the WAL itself, after answers were given, so that no caller waits for it."""

    def __init__(self, connection: apsw.Connection, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        self._connection = connection
        self._busy_timeout_ms = busy_timeout_ms
        self._cursor = self._connection.cursor()
        self._wal_pages = 0
        self._checkpoint_at = CHECKPOINT_PAGES
        self._connection.set_wal_hook(self._note_wal)  # takes the place of the automatic checkpoint

    def _note_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def begin(self) -> None:
        """Takes SQLite's write lock; waits for other processes up to the busy time-out."""
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            raise neutral(error) from None

    def fetch(self, sql: str, args: tuple[Value, ...]) -> list[Row]:
        """All rows of one statement."""
        try:
            return self._cursor.execute(sql, args).fetchall()
        except apsw.Error as error:
            raise neutral(error) from None

    def execute(self, sql: str, args: tuple[Value, ...]) -> int:
        """Runs one statement; the count of rows it changed."""
        connection = self._connection
        try:
            before = connection.total_changes()
            self._cursor.execute(sql, args).fetchall()
        except apsw.Error as error:
            raise neutral(error) from None
        # changes() keeps the count of an earlier statement when this one was no INSERT, UPDATE or DELETE
        return connection.changes() if connection.total_changes() != before else 0

    def commit(self) -> None:
        """Writes the WAL and waits for the disk."""
        try:
            self._cursor.execute("COMMIT")
        except apsw.Error as error:
            # A write that failed left the commit incomplete; after a failed flush it may be on disk all the same.
            if isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) != apsw.SQLITE_IOERR_WRITE:
                raise Busy("CommitUnknown", problem=str(error)) from None
            raise neutral(error) from None

    def run_script(self, script: str) -> None:
        """Runs a migration inside the open transaction and sees that no reference is left dangling."""
        try:
            self._cursor.execute(script).fetchall()
            dangling = self._cursor.execute("PRAGMA foreign_key_check").fetchall()
        except apsw.Error as error:
            raise neutral(error) from None
        if dangling:
            raise Damaged("MigrationBroke", problem=f"{len(dangling)} rows refer to rows that are gone")

    def rollback(self) -> None:
        """Leaves the transaction; SQLite may have left it already."""
        try:
            if self._connection.in_transaction:
                self._cursor.execute("ROLLBACK")
        except apsw.Error as error:
            _log.error("rolling back failed: %s", error)

    def tidy(self) -> None:
        """Copies the WAL into the file and starts it afresh once it is long.

        A passive checkpoint would never find the gap between two readers under load, and the WAL would grow without
        end. RESTART with SQLite's own busy handler waits for a reader that has long moved on to a newer snapshot; asked
        again after each short pause, it takes two or three turns of the event loop.
        """
        if self._wal_pages < self._checkpoint_at:
            return
        give_up_at = time.monotonic() + CHECKPOINT_WAIT_S
        self._connection.set_busy_timeout(0)
        try:
            while not self._restart_wal():
                if time.monotonic() > give_up_at:
                    self._checkpoint_at = self._wal_pages + CHECKPOINT_RETRY_PAGES
                    return
                time.sleep(CHECKPOINT_PAUSE_S)
            self._checkpoint_at = CHECKPOINT_PAGES
        except apsw.Error as error:
            self._checkpoint_at = self._wal_pages + CHECKPOINT_RETRY_PAGES
            _log.error("checkpoint failed: %s", error)
        finally:
            self._connection.set_busy_timeout(self._busy_timeout_ms)
            self._wal_pages = 0

    def _restart_wal(self) -> bool:
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        except apsw.BusyError:
            return False
        return True

    def close(self) -> None:
        """Closes the connection; the last one of all processes folds the WAL into the file."""
        self.rollback()
        try:
            self._connection.close()
        except apsw.Error as error:
            _log.error("closing the database failed: %s", error)


class SqliteStore:
    """A `Store` on one SQLite file. Belongs to the event loop that it was opened on."""

    kind: Literal["sqlite", "postgresql"] = "sqlite"

    def __init__(self, path: Path, *, queue_limit: int, batch_limit: int, busy_timeout_ms: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = connect(path, busy_timeout_ms=READ_BUSY_TIMEOUT_MS, cache_kib=READ_CACHE_KIB)
        self._reader.execute("PRAGMA query_only = ON").fetchall()
        self._cursor = self._reader.cursor()
        self._turn_open = False
        self._generation = 0
        self._closed = False
        self._writer = GroupWriter(
            SqliteSession(connect(path, busy_timeout_ms=busy_timeout_ms), busy_timeout_ms=busy_timeout_ms),
            name="claviger-sqlite-writer",
            committed=self._end_turn,
            queue_limit=queue_limit,
            batch_limit=batch_limit,
        )

    async def read(self, sql: str, *args: Value) -> list[Row]:
        """All rows of one query. Raises Busy("StoreUnavailable") or Damaged when the file cannot be read."""
        if not self._turn_open:
            self._begin_turn()
        try:
            return self._cursor.execute(sql, args).fetchall()
        except apsw.Error as error:
            raise neutral(error) from None

    def read_now(self, sql: str, *args: Value) -> list[Row] | None:
        """All rows of one query, at once. Call it from a callback of the loop's own queue, as a task's steps are."""
        if not self._turn_open:
            self._begin_turn()
        try:
            return self._cursor.execute(sql, args).fetchall()
        except apsw.Error as error:
            raise neutral(error) from None

    async def read_one(self, sql: str, *args: Value) -> Row | None:
        """The first row of one query, or None. Reads the whole answer: end a long query in LIMIT 1."""
        if not self._turn_open:
            self._begin_turn()
        try:
            rows = self._cursor.execute(sql, args).fetchall()
        except apsw.Error as error:
            raise neutral(error) from None
        return rows[0] if rows else None

    async def write(self, change: Callable[[Tx], T]) -> T:
        """See the contract. Raises what `change` raises, and Busy or Damaged as `writing.Session` lists them."""
        answer: T = await self._writer.submit(change)
        return answer

    def generation(self) -> int:
        """SQLite's data version for the snapshot of this turn: moves with every commit of any process."""
        if not self._turn_open:
            self._begin_turn()
        return self._generation

    async def close(self) -> None:
        """Finishes what waits, then closes the file."""
        await self._writer.close()
        if not self._closed:
            self._closed = True
            self._end_turn()
            self._reader.close()

    def _begin_turn(self) -> None:
        cursor = self._cursor
        try:
            cursor.execute("BEGIN")
            version = cursor.execute("PRAGMA data_version").fetchall()[0][0]  # this is what takes the snapshot
        except apsw.Error as error:
            self._leave_transaction()
            raise neutral(error) from None
        self._generation = cast(int, version)
        self._turn_open = True
        self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        if self._turn_open:
            self._turn_open = False
            self._leave_transaction()

    def _leave_transaction(self) -> None:
        with contextlib.suppress(apsw.Error):  # an I/O error may have ended the transaction already
            self._cursor.execute("COMMIT")


async def open_sqlite(
    path: Path,
    *,
    queue_limit: int = QUEUE_LIMIT,
    batch_limit: int = BATCH_LIMIT,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
) -> SqliteStore:
    """Opens a file that `sqlite_file.prepare_sqlite` has brought up to date. Close it before the event loop ends.

    `busy_timeout_ms` is how long a change waits for other processes that write.
    """
    return SqliteStore(path, queue_limit=queue_limit, batch_limit=batch_limit, busy_timeout_ms=busy_timeout_ms)
