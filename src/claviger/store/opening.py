"""Opens the database that a URL names. The way in for everyone: bootstrap, commands and tests call `open_store`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from claviger.core.clock import Clock
from claviger.core.errors import Misconfigured
from claviger.store.contract import Store
from claviger.store.migrate import Migration, load_migrations
from claviger.store.sqlite import open_sqlite
from claviger.store.sqlite_file import prepare_sqlite

_FIX = "use sqlite:///absolute/path/of/file or postgresql://user@host:port/database"


async def open_store(url: str, clock: Clock) -> Store:
    """Brings the database up to date and opens it: the one factory that bootstrap, commands and tests use.

    `url` is `sqlite:///absolute/path` (file and directory are made for their owner alone) or a
    `postgresql://` URL as libpq reads it. Call it on the event loop that will use the store, and `close()` the store
    there. Several processes may do this at once. Raises Misconfigured, Damaged or Busy, each saying what to do.
    """
    await asyncio.to_thread(migrate, url, clock)
    path = sqlite_path(url)
    if path is not None:
        return await open_sqlite(path)
    from claviger.store.postgres import open_postgres  # its driver takes a third of a start that may not need it

    return await open_postgres(url)


def migrate(url: str, clock: Clock, migrations: Sequence[Migration] | None = None) -> None:
    """Makes or checks the database and applies the migrations that are due (default: all that are shipped).

    Blocks for as long as that takes. Raises as `open_store` does.
    """
    known = load_migrations() if migrations is None else migrations
    path = sqlite_path(url)
    if path is not None:
        prepare_sqlite(path, known, clock)
    else:
        from claviger.store.postgres_schema import prepare_postgres

        prepare_postgres(url, known, clock)


def sqlite_path(url: str) -> Path | None:
    """The file that an `sqlite:` URL names, or None for a PostgreSQL URL. Raises Misconfigured("DatabaseUrl")."""
    parts = urlsplit(url)
    if parts.scheme in ("postgresql", "postgres"):
        return None
    if parts.scheme != "sqlite" or parts.netloc or parts.query or parts.fragment or len(parts.path) < 2:
        # The URL itself stays unsaid: it may hold a password.
        raise Misconfigured("DatabaseUrl", problem="the database URL is not understood", fix=_FIX)
    return Path(unquote(parts.path))
