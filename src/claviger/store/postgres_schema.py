"""A PostgreSQL database at start: taken if it is empty, refused if it is not ours, then migrated.

Nothing that exists is dropped or altered outside the numbered migrations.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from claviger.core.clock import Clock
from claviger.core.errors import Damaged, Misconfigured
from claviger.store.migrate import LEDGER, Migration, apply_due
from claviger.store.postgres_session import PostgresSession, session_settings, told

MIGRATION_WAIT_S = 60

_RELATIONS = """
SELECT relname FROM pg_catalog.pg_class
WHERE relnamespace = to_regnamespace(current_schema()) AND relkind IN ('r', 'p', 'v', 'm', 'f')
"""
_LEDGER_COLUMNS = """
SELECT attname FROM pg_catalog.pg_attribute
WHERE attrelid = to_regclass('schema_migrations') AND attnum > 0 AND NOT attisdropped
"""


def prepare_postgres(url: str, migrations: Sequence[Migration], clock: Clock) -> None:
    """Makes the database that `url` names ready to be opened; it must exist, in UTF-8, and be empty or ours.

    Raises Misconfigured when it cannot be reached or used, Damaged when it holds something else or is newer, Busy when
    another process migrates it for longer than MIGRATION_WAIT_S.
    """
    session = PostgresSession(url, settings=session_settings(lock_s=MIGRATION_WAIT_S, statement_s=0))
    try:
        session.connect()
    except psycopg.Error as error:
        raise Misconfigured(
            "DatabaseUnreachable",
            problem=told(error),
            fix="start PostgreSQL, and give its address, database, user and password in the database URL",
        ) from None
    try:
        _claim(session)
        apply_due(session, migrations, clock)
    finally:
        session.close()


def _claim(session: PostgresSession) -> None:
    """Gives an empty schema its ledger, or sees that it is ours already."""
    session.begin()
    try:
        ((encoding, schema),) = session.fetch("SELECT current_setting('server_encoding'), current_schema()", ())
        if encoding != "UTF8":
            raise Misconfigured(
                "DatabaseEncoding",
                problem=f"the database is encoded in {encoding}",
                fix="create it with ENCODING 'UTF8'",
            )
        if schema is None:
            raise Misconfigured(
                "DatabaseSchema",
                problem="the search path names no schema that exists",
                fix="create the schema, or correct search_path for this user",
            )
        tables = {name for (name,) in session.fetch(_RELATIONS, ())}
        if not tables:
            session.run_script(LEDGER)
        elif {name for (name,) in session.fetch(_LEDGER_COLUMNS, ())} != {"number", "name", "checksum", "applied_at"}:
            raise Damaged(
                "DatabaseForeign",
                problem=f"the schema {schema} holds tables of another program",
                fix="give Claviger a database of its own",
            )
        elif "meta" not in tables and session.fetch("SELECT 1 FROM schema_migrations LIMIT 1", ()):
            raise Damaged(
                "DatabaseIncomplete",
                problem="the table meta is gone",
                fix="restore the database from a backup",
            )
        session.commit()
    except BaseException:
        session.rollback()
        raise
