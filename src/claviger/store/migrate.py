"""Numbered changes of the schema: finds them, decides which are due, applies each in a transaction of its own.

A migration is a file `migrations/NNNN_name.sql` in the common SQL of both databases, without BEGIN or COMMIT. Once
released it is never edited: its checksum is recorded with it, and a database that was made by other scripts, or by a
newer Claviger, is refused rather than guessed at. Several processes may migrate one database at once: each looks again
after it has the write lock.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Protocol

from claviger.core.clock import Clock
from claviger.core.errors import Damaged
from claviger.store.contract import Row, Value

_log = logging.getLogger(__name__)

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

LEDGER = """
CREATE TABLE schema_migrations (
    number     INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    checksum   TEXT NOT NULL,
    applied_at REAL NOT NULL
)
"""


@dataclass(frozen=True)
class Migration:
    """One script, as it is shipped."""

    number: int
    name: str
    script: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the script, in hex; the same for every line ending."""
        return hashlib.sha256(self.script.replace("\r\n", "\n").encode()).hexdigest()


class MigrationSession(Protocol):
    """What a migration needs of a connection; both databases' sessions have it."""

    def begin(self) -> None:
        """Opens a transaction, alone among all writers."""
        ...

    def fetch(self, sql: str, args: tuple[Value, ...]) -> list[Row]:
        """All rows of one statement."""
        ...

    def execute(self, sql: str, args: tuple[Value, ...]) -> int:
        """Runs one statement."""
        ...

    def run_script(self, script: str) -> None:
        """Runs a whole script."""
        ...

    def commit(self) -> None:
        """Makes the transaction last."""
        ...

    def rollback(self) -> None:
        """Leaves the transaction."""
        ...


def load_migrations(folder: Traversable | None = None) -> tuple[Migration, ...]:
    """The migrations in `folder` (default: the ones shipped with this package), by number.

    Raises ValueError when two have one number or a name does not fit: a mistake in the package, not at the site.
    """
    folder = folder or resources.files("claviger.store") / "migrations"
    found: dict[int, Migration] = {}
    for file in folder.iterdir():
        if not file.name.endswith(".sql"):
            continue
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise ValueError(f"not a migration's name: {file.name}")
        number = int(match[1])
        if number in found:
            raise ValueError(f"two migrations have the number {match[1]}: {found[number].name} and {match[2]}")
        found[number] = Migration(number, match[2], file.read_text(encoding="utf-8"))
    return tuple(found[number] for number in sorted(found))


def due_migrations(known: Iterable[Migration], applied: Sequence[Row]) -> list[Migration]:
    """The migrations still to apply, in order. `applied` holds (number, name, checksum) rows of the ledger.

    Raises Damaged when the database is newer than this program or was made by other scripts.
    """
    by_number = {migration.number: migration for migration in known}
    for number, name, checksum in applied:
        migration = by_number.get(number)
        if migration is None:
            raise Damaged(
                "DatabaseNewer",
                problem=f"migration {number:04d} ({name}) is applied and unknown to this version of Claviger",
                fix="run the version of Claviger that used this database last, or a newer one",
            )
        if migration.checksum != checksum:
            raise Damaged(
                "MigrationChanged",
                problem=f"migration {number:04d} ({name}) was applied with another content",
                fix="run a released version of Claviger; a database of a development version cannot be carried over",
            )
    done = {number for number, _, _ in applied}
    due = [migration for number, migration in sorted(by_number.items()) if number not in done]
    if due and done and due[0].number < max(done):
        raise Damaged(
            "MigrationSkipped",
            problem=f"migration {due[0].number:04d} ({due[0].name}) is missing below others that are applied",
            fix="run a released version of Claviger; a database of a development version cannot be carried over",
        )
    return due


def apply_due(session: MigrationSession, migrations: Sequence[Migration], clock: Clock) -> int:
    """Applies what is due, one transaction each; the count of those applied here. The ledger must exist.

    Raises Damaged as `due_migrations` does, and Busy when another process holds the database for too long.
    """
    count = 0
    while True:
        session.begin()
        try:
            applied = session.fetch("SELECT number, name, checksum FROM schema_migrations ORDER BY number", ())
            due = due_migrations(migrations, applied)
            if due:
                _apply(session, due[0], clock)
            session.commit()
        except BaseException:
            session.rollback()
            raise
        if not due:
            return count
        count += 1


def _apply(session: MigrationSession, migration: Migration, clock: Clock) -> None:
    session.run_script(migration.script)
    session.execute(
        "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
        (migration.number, migration.name, migration.checksum, clock.now()),
    )
    _log.info("applied migration %04d (%s)", migration.number, migration.name)
