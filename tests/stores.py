"""For tests of the store itself: a database with a table to play with, and a way to hold the writer still."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from claviger.core.clock import SystemClock
from claviger.store.contract import Store, Tx
from claviger.store.migrate import Migration, load_migrations
from claviger.store.opening import migrate, sqlite_path
from claviger.store.postgres import open_postgres
from claviger.store.sqlite import open_sqlite

THINGS = Migration(
    9000,
    "things",
    """
    CREATE TABLE things (
        id     INTEGER PRIMARY KEY,
        name   TEXT NOT NULL UNIQUE,
        value  BLOB,
        count  INTEGER NOT NULL DEFAULT 0,
        weight REAL,
        parent INTEGER REFERENCES things (id)
    );
    """,
)
HELD_TIMEOUT_S = 60.0
ROOT = Path(__file__).resolve().parent.parent


async def make_things(url: str) -> None:
    """Brings the database up to date, with the table `things` besides."""
    await asyncio.to_thread(migrate, url, SystemClock(), [*load_migrations(), THINGS])


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Store]:
    """The store on a database that `make_things` has made."""
    path = sqlite_path(url)
    store: Store = await (open_sqlite(path, **options) if path is not None else open_postgres(url, **options))
    try:
        yield store
    finally:
        await store.close()


async def add(store: Store, name: str) -> int:
    """Stores one thing; its id."""
    return await store.write(lambda tx: tx.insert("INSERT INTO things (name) VALUES (?) RETURNING id", name))


async def names(store: Store) -> list[str]:
    """The names of all things, in order."""
    return [name for (name,) in await store.read("SELECT name FROM things ORDER BY name")]


class Held:
    """A change that stops in its transaction until it is let go, so that what comes after it makes one batch."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._go = threading.Event()

    def change(self, tx: Tx) -> None:
        tx.execute("INSERT INTO things (name) VALUES (?)", "held")
        self.reached.set()
        assert self._go.wait(HELD_TIMEOUT_S)

    async def start(self, store: Store) -> asyncio.Task[None]:
        task = asyncio.create_task(store.write(self.change))
        assert await asyncio.to_thread(self.reached.wait, HELD_TIMEOUT_S)
        return task

    def let_go(self) -> None:
        self._go.set()


def start_python(script: str, *args: str) -> subprocess.Popen[str]:
    """Another process that runs `script`."""
    return subprocess.Popen([sys.executable, "-c", script, *args], stdout=subprocess.PIPE, text=True, cwd=ROOT)
