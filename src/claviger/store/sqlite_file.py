"""The database file at start: made if there is none, refused if it is not ours or not whole, then migrated.

An existing file is never emptied, replaced or repaired here. What is wrong is said in a `Damaged` or `Misconfigured`
error together with what to do; the operator decides.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path

import apsw

from claviger.core.clock import Clock
from claviger.core.errors import Busy, Damaged, Misconfigured
from claviger.store.migrate import LEDGER, Migration, apply_due
from claviger.store.sqlite import SqliteSession, connect, neutral

APPLICATION_ID = 0x434C4156  # "CLAV"; tells `file` and us whose database this is
MIGRATION_WAIT_S = 60
CHECK_BUDGET_S = 0.1
CHECK_STEPS = 50_000
FILE_MODE = 0o600
_RESTORE = "restore the database from a backup; the file was left as it is"


def prepare_sqlite(path: Path, migrations: Sequence[Migration], clock: Clock) -> None:
    """Makes the file ready to be opened; a new one, and its directory, are made for their owner alone (0600, 0700).

    Every start checks the file's structure for up to CHECK_BUDGET_S: a small file wholly, of a large one the part that
    can be read in that time. Raises Damaged for a file that is broken, not Claviger's or newer; Misconfigured when it
    cannot be used; Busy when another process holds it for longer than MIGRATION_WAIT_S.
    """
    _settle_file(path)
    try:
        connection = connect(path, busy_timeout_ms=MIGRATION_WAIT_S * 1000)
        try:
            # A migration may rebuild a table that others refer to; `run_script` looks at the references afterwards.
            connection.execute("PRAGMA foreign_keys = OFF").fetchall()
            # A file that is refused stays as it is: closing it must not fold a -wal file into it.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            session = SqliteSession(connection)
            _claim(connection, session)
            _restrict(path)
            _check_structure(connection)
            apply_due(session, migrations, clock)
            _check_complete(connection)
            _use_wal(connection, path)
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        except apsw.Error as error:
            raise neutral(error) from None
        finally:
            connection.close()
    except Damaged as error:
        error.facts.setdefault("path", path)
        error.facts.setdefault("fix", _RESTORE)
        raise


def _settle_file(path: Path) -> None:
    """Creates the file, or sees that the one that is there may be opened."""
    wal = Path(f"{path}-wal")
    wal_found = wal.exists()  # before the file itself: another process may be making both
    try:
        found = path.stat()
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise _unusable(path, str(error)) from None
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise _unusable(path, "it is not a regular file")
    if wal_found and (found is None or found.st_size == 0):
        raise Damaged(
            "DatabaseMissing",
            path=path,
            problem=f"{wal} holds changes of a database that is gone or empty",
            fix="put the database file back beside its -wal file; to start anew, move the -wal file away",
        )
    if found is None:
        try:
            _create(path)
        except OSError as error:
            raise _unusable(path, str(error)) from None


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE))
    except FileExistsError:  # another process was quicker
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _restrict(path: Path) -> None:
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        try:
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                file.chmod(FILE_MODE)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unusable(path, str(error)) from None


def _unusable(path: Path, problem: str) -> Misconfigured:
    fix = "give Claviger the path of a file in a directory that its user may read and write"
    return Misconfigured("DatabaseUnreadable", path=path, problem=problem, fix=fix)


def _claim(connection: apsw.Connection, session: SqliteSession) -> None:
    """Marks an empty database as ours and gives it its ledger, or sees that it is ours already."""
    session.begin()
    try:
        application_id = connection.execute("PRAGMA application_id").fetchall()[0][0]
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if application_id == 0 and not tables:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}").fetchall()
            connection.execute(LEDGER)
        elif application_id != APPLICATION_ID:
            raise Damaged(
                "DatabaseForeign",
                problem="the file is a database of another program",
                fix="give Claviger a path of its own; the file was left as it is",
            )
        elif "schema_migrations" not in tables:
            raise Damaged("DatabaseIncomplete", problem="the table schema_migrations is gone")
        session.commit()
    except BaseException:
        session.rollback()
        raise


def _check_structure(connection: apsw.Connection) -> None:
    give_up_at = time.monotonic() + CHECK_BUDGET_S
    connection.set_progress_handler(lambda: time.monotonic() > give_up_at, CHECK_STEPS)
    try:
        said = connection.execute("PRAGMA quick_check(1)").fetchall()
    except apsw.InterruptError:  # nothing wrong in as much as could be read
        return
    finally:
        connection.set_progress_handler(None)
    if said != [("ok",)]:
        raise Damaged("DatabaseCorrupt", problem=str(said[0][0]))


def _check_complete(connection: apsw.Connection) -> None:
    """`meta` is the one table of migration 0001 that every part counts on."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'").fetchall():
        raise Damaged("DatabaseIncomplete", problem="the table meta is gone")


def _use_wal(connection: apsw.Connection, path: Path) -> None:
    """Switches to WAL mode, which a file remembers. SQLite does not wait for others here, so this does."""
    give_up_at = time.monotonic() + MIGRATION_WAIT_S
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchall()[0][0]
        except apsw.BusyError:
            mode = "busy"
        if mode == "wal":
            return
        if mode != "busy":
            raise _unusable(path, "the file system does not carry SQLite's WAL mode; use a local one")
        if time.monotonic() > give_up_at:
            raise Busy("StoreBusy", problem="another process holds the database")
        time.sleep(0.01)
