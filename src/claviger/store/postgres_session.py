"""One connection to PostgreSQL: how it is set up, how values cross it, what its errors mean, and the writing session.

Values look the same as on SQLite: whole numbers are 64-bit on the way in, sums and truth values are numbers on the way
out. `PostgresSession` is the writer's connection; it lives on the writer's thread and finds its way back to a server
that went away.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import conninfo, errors, pq
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import AdaptersMap, Dumper, Loader
from psycopg.types.numeric import NumericBinaryLoader

from claviger.core.errors import Busy, Conflict, Damaged, Misconfigured
from claviger.store.contract import Row, Value
from claviger.store.dialect import migration_to_postgres, refuse_nul, to_postgres

_log = logging.getLogger(__name__)

WRITER_LOCK = 0x434C4156  # "CLAV": the advisory lock that serialises writers, and migrations, of all processes
CONNECT_TIMEOUT_S = 5
LOCK_TIMEOUT_S = 10
STATEMENT_TIMEOUT_S = 15
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0

_DEFAULTS: dict[str, str | int] = {
    "application_name": "claviger",
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "target_session_attrs": "read-write",  # after a fail-over: the server that may be written to
}

# A server that is set to answer before it has written is made to wait; one that waits for more is left alone.
_SETTINGS = """
SELECT set_config('lock_timeout', '{lock_s}s', false),
       set_config('statement_timeout', '{statement_s}s', false),
       set_config('idle_in_transaction_session_timeout', '{statement_s}s', false),
       set_config('synchronous_commit',
                  CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
                       THEN 'on' ELSE current_setting('synchronous_commit') END, false)
"""


def session_settings(*, lock_s: int = LOCK_TIMEOUT_S, statement_s: int = STATEMENT_TIMEOUT_S) -> str:
    """The statement that every connection of ours starts with. Times in seconds, 0 for none."""
    return _SETTINGS.format(lock_s=lock_s, statement_s=statement_s)


def connection_info(url: str) -> str:
    """`url` with our time-outs where it does not say otherwise. Raises Misconfigured("DatabaseUrl")."""
    try:
        given = conninfo.conninfo_to_dict(url)
        return conninfo.make_conninfo(url, **{**_DEFAULTS, **given, "client_encoding": "UTF8"})
    except psycopg.ProgrammingError:
        # What libpq says may quote the URL, and with it a password.
        raise Misconfigured(
            "DatabaseUrl",
            problem="PostgreSQL's client library does not understand the database URL",
            fix="use postgresql://user@host:port/database",
        ) from None


def told(error: BaseException) -> str:
    """The first line of what PostgreSQL said: no detail, which may quote stored values."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def neutral(error: psycopg.Error) -> Exception:
    """What the rest of Claviger is told of an error of PostgreSQL's; mistakes in SQL are passed on as they are."""
    match error:
        case errors.IntegrityError():
            return Conflict("RowConstraint", rule=error.diag.constraint_name or told(error))
        case errors.DiskFull():
            return Busy("StoreFull", problem=told(error))
        case errors.QueryCanceled() | errors.LockNotAvailable() | errors.DeadlockDetected():
            return Busy("StoreBusy", problem=told(error))
        case errors.SerializationFailure():
            return Busy("StoreBusy", problem=told(error))
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return Damaged("DatabaseCorrupt", problem=told(error), fix="restore the database from a backup")
        case errors.OperationalError() | errors.ReadOnlySqlTransaction():
            return Busy("StoreUnavailable", problem=told(error))
        case _:
            return error


class _WholeNumberDumper(Dumper):
    """Whole numbers and truth values, always as BIGINT: one prepared statement whatever their size."""

    oid = psycopg.adapters.types["int8"].oid

    def dump(self, obj: Any) -> Buffer:
        return b"%d" % obj


class _SumLoader(Loader):
    """NUMERIC, which sums of BIGINT are, as int where it has no fraction."""

    format = pq.Format.BINARY

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._inner = NumericBinaryLoader(oid, context)

    def load(self, data: Buffer) -> int | float:
        number: Decimal = self._inner.load(data)
        return int(number) if number.as_tuple().exponent == 0 else float(number)


class _TruthLoader(Loader):
    """BOOLEAN as 0 or 1."""

    format = pq.Format.BINARY

    def load(self, data: Buffer) -> int:
        return bytes(data)[0]


def adapt(adapters: AdaptersMap) -> None:
    """Makes a connection's values look as SQLite's do."""
    adapters.register_dumper(int, _WholeNumberDumper)
    adapters.register_dumper(bool, _WholeNumberDumper)
    adapters.register_loader("numeric", _SumLoader)
    adapters.register_loader("bool", _TruthLoader)


def sever(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Cuts a connection's wire, from any thread: whoever waits for an answer on it gets an OperationalError at once.

    The one way to end a wait for a server that is frozen and does not heed a cancel request.
    """
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


class PostgresSession:
    """The writing connection. Connects when first needed and after a loss, as often as back-off allows."""

    def __init__(self, url: str, *, settings: str | None = None) -> None:
        self._info = connection_info(url)
        self._settings = settings or session_settings()
        self._connection: psycopg.Connection[Any] | None = None
        self._cursor: psycopg.RawCursor[Any] | None = None
        self._retry_at = 0.0
        self._delay_s = FIRST_DELAY_S
        self._began_at: float | None = None

    def connect(self) -> None:
        """Connects if need be. Raises psycopg.Error."""
        if self._connection is not None and not self._connection.closed:
            return
        connection = psycopg.connect(self._info, autocommit=True, prepare_threshold=2)
        try:
            adapt(connection.adapters)
            self._cursor = psycopg.RawCursor(connection)
            self._cursor.execute(self._settings)
        except psycopg.Error:
            connection.close()
            raise
        self._connection = connection

    def begin(self) -> None:
        """Opens a transaction and takes the lock that all writers share."""
        self._began_at = time.monotonic()
        if self._connection is None or self._connection.closed:
            self._reconnect()
        # READ COMMITTED whatever the server's default: what follows the lock must see what its last holder committed.
        try:
            self._run(f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;SELECT pg_advisory_xact_lock({WRITER_LOCK})")
        except psycopg.Error as error:  # such as from a server that is a standby by now: look for the new one
            if self._connection is not None:
                self._connection.close()
            raise Busy("StoreUnavailable", problem=told(error)) from None

    def fetch(self, sql: str, args: tuple[Value, ...]) -> list[Row]:
        """All rows of one statement."""
        cursor = self._ask(sql, args)
        try:
            return cursor.fetchall()
        except psycopg.Error as error:
            raise neutral(error) from None

    def execute(self, sql: str, args: tuple[Value, ...]) -> int:
        """Runs one statement; the count of rows it changed."""
        return max(self._ask(sql, args).rowcount, 0)

    def run_script(self, script: str) -> None:
        """Runs a migration inside the open transaction."""
        self._run(migration_to_postgres(script))

    def commit(self) -> None:
        """Returns once the server, and the standbys it is told to wait for, have it on disk."""
        cursor = self._open_cursor()
        try:
            # A statement time-out here would only cut the wait for a standby short, and pass for success.
            cursor.execute("SET LOCAL statement_timeout = 0; COMMIT", prepare=False)
            while cursor.nextset():
                pass
            said = cursor.statusmessage
        except psycopg.Error as error:
            if self._lost():
                raise Busy("CommitUnknown", problem=told(error)) from None
            raise neutral(error) from None
        if said != "COMMIT":
            raise Busy("StoreUnavailable", problem="the server rolled the transaction back")
        self._began_at = None

    def rollback(self) -> None:
        """Leaves the transaction; a connection that cannot is dropped."""
        connection = self._connection
        if connection is not None and not connection.closed:
            try:
                if connection.info.transaction_status != pq.TransactionStatus.IDLE:
                    connection.execute("ROLLBACK")
            except psycopg.Error:
                connection.close()
        self._began_at = None

    def tidy(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()

    def sever_if_stuck(self, deadline_s: float) -> None:
        """Cuts the connection of a transaction that has been open for longer than `deadline_s`. For another thread."""
        began_at, connection = self._began_at, self._connection
        if began_at is not None and connection is not None and time.monotonic() - began_at > deadline_s:
            sever(connection)

    def _reconnect(self) -> None:
        if time.monotonic() < self._retry_at:
            raise Busy("StoreUnavailable", problem="the database server cannot be reached")
        try:
            self.connect()
        except psycopg.Error as error:
            self._delay_s = min(self._delay_s * 2, LONGEST_DELAY_S)
            self._retry_at = time.monotonic() + self._delay_s
            _log.warning("the database server cannot be reached: %s", told(error))
            raise Busy("StoreUnavailable", problem=told(error)) from None
        self._delay_s = FIRST_DELAY_S

    def _ask(self, sql: str, args: tuple[Value, ...]) -> psycopg.RawCursor[Any]:
        refuse_nul(args)
        cursor = self._open_cursor()
        try:
            cursor.execute(to_postgres(sql), args, binary=True)
        except psycopg.Error as error:
            raise neutral(error) from None
        return cursor

    def _run(self, sql: str) -> None:
        cursor = self._open_cursor()
        try:
            cursor.execute(sql, prepare=False)
        except psycopg.Error as error:
            raise neutral(error) from None

    def _open_cursor(self) -> psycopg.RawCursor[Any]:
        if self._cursor is None or self._lost():
            raise Busy("StoreUnavailable", problem="the connection to the database server was lost")
        return self._cursor

    def _lost(self) -> bool:
        return self._connection is None or self._connection.closed
