"""Raw group commit, the measure for durable writes: tasks that each hand over one row and wait until it is on disk.

One thread takes all rows that wait into one transaction. The connection is the product's own (same settings of SQLite),
the row is as large as a stored version of a secret with a value of 100 bytes; there is no HTTP, no token, no rule and
no encryption. Run as a program of its own: `python -m bench.commit FOLDER CLIENTS SECONDS` prints its figures as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue

import apsw
import uvloop

from claviger.store.sqlite import connect

SEALED_LENGTH = 129
TABLE = """
CREATE TABLE rows (
    id INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    version TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    sealed BLOB NOT NULL
);
CREATE UNIQUE INDEX rows_by_version ON rows (owner, version);
"""
INSERT = "INSERT INTO rows (owner, version, created_at, sealed) VALUES (?, ?, ?, ?)"

Item = tuple[tuple[int, str, int, bytes], "asyncio.Future[None]"]


def open_database(folder: Path) -> apsw.Connection:
    """A fresh database in WAL mode, set up as every database of the product is."""
    path = folder / "raw.db"
    for old in folder.glob("raw.db*"):
        old.unlink()
    path.touch(mode=0o600)
    connection = connect(path)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute(TABLE).fetchall()
    return connection


def _write(connection: apsw.Connection, queue: SimpleQueue[Item | None], loop: asyncio.AbstractEventLoop) -> None:
    cursor = connection.cursor()
    item = queue.get()
    while item is not None:
        batch = [item]
        try:
            while (more := queue.get(False)) is not None:
                batch.append(more)
            item = None
        except Empty:
            pass
        cursor.execute("BEGIN IMMEDIATE")
        for row, _ in batch:
            cursor.execute(INSERT, row)
        cursor.execute("COMMIT")
        loop.call_soon_threadsafe(_answer, batch)
        if item is not None:
            item = queue.get()
    connection.close()


def _answer(batch: list[Item]) -> None:
    for _, waiting in batch:
        waiting.set_result(None)


async def run(folder: Path, clients: int, seconds: float) -> dict[str, float]:
    """Rows committed in so many seconds by so many waiting clients."""
    loop = asyncio.get_running_loop()
    queue: SimpleQueue[Item | None] = SimpleQueue()
    thread = threading.Thread(target=_write, args=(open_database(folder), queue, loop))
    thread.start()
    done = 0
    sealed = os.urandom(SEALED_LENGTH)
    end_at = time.perf_counter() + seconds

    async def client(number: int) -> None:
        nonlocal done
        while time.perf_counter() < end_at:
            waiting = loop.create_future()
            queue.put(((number, os.urandom(16).hex(), 1_800_000_000, sealed), waiting))
            await waiting
            done += 1

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client(number) for number in range(clients)))
    lasted = time.perf_counter() - began
    queue.put(None)
    await asyncio.to_thread(thread.join)
    used = time.process_time() - used
    return {"rows": done, "seconds": lasted, "processor_us": used / done * 1e6}


def main() -> None:
    """Runs once and prints the figures as a line of JSON."""
    parser = argparse.ArgumentParser(prog="bench.commit")
    parser.add_argument("folder", type=Path)
    parser.add_argument("clients", type=int)
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(given.folder, given.clients, given.seconds))))


if __name__ == "__main__":
    main()
