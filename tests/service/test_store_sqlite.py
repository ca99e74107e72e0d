"""What is particular to the SQLite file: damage, modes, full disks, other processes, snapshots shared within a turn."""

from __future__ import annotations

import asyncio
import socket
import stat
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import apsw
import pytest
import uvloop

from claviger.core.clock import SystemClock
from claviger.core.errors import Busy, Damaged, Misconfigured
from claviger.store import sqlite as sqlite_module
from claviger.store import sqlite_file
from claviger.store.contract import Store, Tx
from claviger.store.opening import migrate, open_store, sqlite_path
from tests.stores import add, make_things, names, opened, start_python

LOOPS: list[Callable[[Coroutine[Any, Any, None]], None]] = [asyncio.run, uvloop.run]


@pytest.fixture
def path(sqlite_url: str) -> Path:
    path = sqlite_path(sqlite_url)
    assert path is not None
    return path


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _files(folder: Path) -> dict[str, int]:
    return {file.name: _mode(file) for file in folder.iterdir()}


def _size(path: Path) -> int:
    return path.stat().st_size


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


# ---------------------------------------------------------------- the file


async def test_the_file_is_for_its_owner_alone(sqlite_url: str, path: Path):
    store = await open_store(sqlite_url, SystemClock())
    await store.write(lambda tx: tx.execute("UPDATE meta SET value = value"))
    files = _files(path.parent)
    await store.close()
    assert files == {"claviger.db": 0o600, "claviger.db-wal": 0o600, "claviger.db-shm": 0o600}
    assert _mode(path.parent) == 0o700
    assert _files(path.parent) == {"claviger.db": 0o600}


def test_a_file_that_others_could_read_is_closed_to_them(sqlite_url: str, path: Path):
    migrate(sqlite_url, SystemClock())
    path.chmod(0o644)
    migrate(sqlite_url, SystemClock())
    assert _mode(path) == 0o600


async def test_every_commit_waits_for_the_disk(sqlite_url: str):
    await make_things(sqlite_url)
    async with opened(sqlite_url) as store:
        assert await store.write(lambda tx: tx.fetch("PRAGMA synchronous")) == [(2,)]
        assert await store.read("PRAGMA journal_mode") == [("wal",)]


def test_deleted_content_is_overwritten(sqlite_url: str, path: Path):
    asyncio.run(make_things(sqlite_url))
    marker = b"the value that was purged " * 400  # longer than a page: free pages count too
    insert = "INSERT INTO things (name, value) VALUES (?, ?)"
    asyncio.run(_write(sqlite_url, lambda tx: (tx.execute(insert, "x", marker), tx.execute(insert, "y", marker[:100]))))
    assert marker[:26] in path.read_bytes()
    asyncio.run(_write(sqlite_url, lambda tx: tx.execute("DELETE FROM things")))
    assert marker[:26] not in path.read_bytes()


async def _write(url: str, change: Callable[[Tx], object]) -> None:
    async with opened(url) as store:
        await store.write(change)


def test_an_empty_file_is_taken_as_new(sqlite_url: str, path: Path):
    path.parent.mkdir()
    path.touch()
    migrate(sqlite_url, SystemClock())
    assert path.read_bytes().startswith(b"SQLite format 3\0")


@pytest.mark.parametrize("there", [True, False], ids=["empty", "missing"])
def test_a_wal_without_its_database_is_not_thrown_away(sqlite_url: str, path: Path, there: bool):
    path.parent.mkdir()
    if there:
        path.touch()
    _beside(path, "-wal").write_bytes(b"somebody's changes")
    with pytest.raises(Damaged) as refused:
        migrate(sqlite_url, SystemClock())
    assert refused.value.reason == "DatabaseMissing"
    assert path.exists() == there
    assert _beside(path, "-wal").read_bytes() == b"somebody's changes"


def _text(content: bytes) -> bytes:
    return b"#!/bin/sh\necho this is no database\n" * 100


def _short(content: bytes) -> bytes:
    return b"short"


def _no_header(content: bytes) -> bytes:
    return bytes(100) + content[100:]


def _half(content: bytes) -> bytes:
    return content[: len(content) // 8192 * 4096]


def _torn(content: bytes) -> bytes:
    return content[:-1000]


def _scribbled(content: bytes) -> bytes:
    return content[:8192] + b"\xa5" * 4096 + content[12288:]


async def _fill(url: str, look: Callable[[], None] = lambda: None) -> None:
    """Many pages of rows; `look` is called while the store is still open."""
    await make_things(url)
    async with opened(url) as store:
        await asyncio.gather(*(add(store, f"{n:0100d}") for n in range(200)))
        look()


@pytest.mark.parametrize("damage", [_text, _short, _no_header, _half, _torn, _scribbled])
def test_a_damaged_file_is_refused_and_left_as_it_is(sqlite_url: str, path: Path, damage: Callable[[bytes], bytes]):
    asyncio.run(_fill(sqlite_url))
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(Damaged) as refused:
        asyncio.run(make_things(sqlite_url))
    assert refused.value.reason == "DatabaseCorrupt"
    assert refused.value.facts["path"] == path
    assert refused.value.facts["fix"]
    assert path.read_bytes() == before


def test_a_damaged_file_does_not_swallow_the_wal_beside_it(sqlite_url: str, path: Path):
    found = path.parent.parent / "found" / "claviger.db"
    found.parent.mkdir()
    seen: list[bytes] = []
    asyncio.run(_fill(sqlite_url, lambda: seen.extend((path.read_bytes(), _beside(path, "-wal").read_bytes()))))
    before, wal = _scribbled(seen[0]), seen[1]
    found.write_bytes(before)
    _beside(found, "-wal").write_bytes(wal)
    with pytest.raises(Damaged):
        asyncio.run(make_things(f"sqlite://{found}"))
    assert found.read_bytes() == before
    assert _beside(found, "-wal").read_bytes() == wal


@pytest.mark.parametrize("setting", ["user_version = 3", "application_id = 1234"])
def test_a_database_of_another_program_is_refused_and_left_as_it_is(sqlite_url: str, path: Path, setting: str):
    path.parent.mkdir()
    theirs = apsw.Connection(str(path))
    theirs.execute(f"PRAGMA {setting}; CREATE TABLE accounts (id INTEGER)")
    theirs.close()
    path.chmod(0o640)
    before = path.read_bytes()
    with pytest.raises(Damaged) as refused:
        migrate(sqlite_url, SystemClock())
    assert refused.value.reason == "DatabaseForeign"
    assert path.read_bytes() == before
    assert _mode(path) == 0o640


@pytest.mark.parametrize("there", [True, False], ids=["a directory", "no directory above"])
def test_a_path_that_cannot_be_a_database_is_a_mistake_in_the_settings(sqlite_url: str, path: Path, there: bool):
    if there:
        path.mkdir(parents=True)
    url = sqlite_url if there else f"{sqlite_url}/not/there/claviger.db"
    with pytest.raises(Misconfigured) as refused:
        migrate(url, SystemClock())
    assert refused.value.facts["fix"]


def test_the_check_at_start_ends_in_time(sqlite_url: str, monkeypatch: pytest.MonkeyPatch):
    asyncio.run(make_things(sqlite_url))
    monkeypatch.setattr(sqlite_file, "CHECK_BUDGET_S", -1.0)
    monkeypatch.setattr(sqlite_file, "CHECK_STEPS", 1)
    asyncio.run(make_things(sqlite_url))  # found nothing wrong in the time it had


# ---------------------------------------------------------------- full disks, other processes


async def test_a_full_disk_refuses_the_change_and_loses_nothing(sqlite_url: str):
    await make_things(sqlite_url)
    async with opened(sqlite_url) as store:
        await add(store, "before")
        ((pages,),) = await store.read("PRAGMA page_count")
        await store.write(lambda tx: tx.fetch(f"PRAGMA max_page_count = {pages + 2}"))
        outcomes = await asyncio.gather(
            store.write(lambda tx: tx.execute("INSERT INTO things (name, value) VALUES ('big', ?)", bytes(100_000))),
            add(store, "small"),
            return_exceptions=True,
        )
        assert isinstance(outcomes[0], Busy)
        assert outcomes[0].reason == "StoreFull"
        assert isinstance(outcomes[1], int)
        await store.write(lambda tx: tx.fetch("PRAGMA max_page_count = 1000000"))
        await add(store, "room again")
        assert await names(store) == ["before", "room again", "small"]


async def test_a_failing_disk_refuses_the_change_and_the_store_recovers(sqlite_url: str):
    await make_things(sqlite_url)
    process = start_python(_FAILS_FOR_A_WHILE, sqlite_url)
    told, _ = await asyncio.to_thread(process.communicate, timeout=60)
    assert told.split() == ["CommitUnknown", "StoreUnavailable"] or told.split()[0] in {
        "StoreUnavailable",
        "CommitUnknown",
    }
    async with opened(sqlite_url) as store:
        assert await names(store) == ["after", "before"]


_FAILS_FOR_A_WHILE = """
import asyncio, os, resource, sys
from claviger.core.errors import Busy
from tests.stores import add, opened
async def main():
    async with opened(sys.argv[1]) as store:
        await add(store, "before")
        size = os.path.getsize(sys.argv[1].removeprefix("sqlite://") + "-wal")
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10000, resource.RLIM_INFINITY))
        try:
            await store.write(lambda tx: tx.execute("UPDATE things SET value = ?", bytes(100_000)))
        except Busy as refused:
            print(refused.reason)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await add(store, "after")
asyncio.run(main())
"""


async def test_another_process_that_holds_the_file_makes_writers_wait_and_then_give_up(sqlite_url: str, path: Path):
    await make_things(sqlite_url)
    async with opened(sqlite_url, busy_timeout_ms=100) as store:
        theirs = apsw.Connection(str(path))
        theirs.execute("BEGIN IMMEDIATE; INSERT INTO things (name) VALUES ('theirs')")
        outcomes = await asyncio.gather(*(add(store, f"{n}") for n in range(5)), return_exceptions=True)
        assert [outcome.reason for outcome in outcomes if isinstance(outcome, Busy)] == ["StoreBusy"] * 5
        assert await names(store) == []
        waiting = asyncio.gather(*(add(store, f"{n}") for n in range(5)))
        theirs.execute("COMMIT")
        theirs.close()
        await waiting
        assert await names(store) == ["0", "1", "2", "3", "4", "theirs"]


# ---------------------------------------------------------------- turns of the event loop


@pytest.mark.parametrize("run", LOOPS, ids=["asyncio", "uvloop"])
def test_a_request_sees_what_was_committed_before_it_was_sent(
    run: Callable[[Coroutine[Any, Any, None]], None], sqlite_url: str, path: Path
):
    """Others commit and then ask over a socket, while reads keep a snapshot open in every turn."""
    run(_asks_after_committing(sqlite_url, path))


async def _asks_after_committing(url: str, path: Path) -> None:
    await make_things(url)
    async with opened(url) as store:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while name := (await reader.readline()).decode().strip():
                generation = store.generation()
                found = await store.read_one("SELECT 1 FROM things WHERE name = ?", name)
                writer.write(f"{found is not None} {generation}\n".encode())

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        busy = [asyncio.create_task(_read_for_ever(store)) for _ in range(3)]
        try:
            answers = await asyncio.to_thread(_commit_and_ask, path, server.sockets[0].getsockname())
        finally:
            for task in busy:
                task.cancel()
            server.close()
    assert [found for found, _ in answers] == ["True"] * len(answers)
    generations = [generation for _, generation in answers]
    assert len(set(generations)) == len(generations)


async def _read_for_ever(store: Store, rest_s: float = 0.0) -> None:
    """Opens a snapshot in every turn, and keeps the loop busy for `rest_s` before the turn ends."""
    while True:
        await store.read("SELECT COUNT(*) FROM things")
        time.sleep(rest_s)  # noqa: ASYNC251 - stands for work between two reads
        await asyncio.sleep(0)


def _commit_and_ask(path: Path, address: tuple[str, int]) -> list[tuple[str, str]]:
    answers = []
    theirs = apsw.Connection(str(path))
    theirs.set_busy_timeout(10_000)
    with socket.create_connection(address, timeout=20) as wire, wire.makefile("rwb") as lines:
        for n in range(200):
            theirs.execute("INSERT INTO things (name) VALUES (?)", (f"{n}",))
            lines.write(f"{n}\n".encode())
            lines.flush()
            found, generation = lines.readline().decode().split()
            answers.append((found, generation))
    theirs.close()
    return answers


async def test_the_wal_stays_short_while_readers_never_rest(
    sqlite_url: str, path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite_module, "CHECKPOINT_PAGES", 100)
    monkeypatch.setattr(sqlite_module, "CHECKPOINT_RETRY_PAGES", 10)
    await make_things(sqlite_url)
    async with opened(sqlite_url) as store:
        reading = asyncio.create_task(_read_for_ever(store, rest_s=0.003))
        longest = 0
        for round_number in range(60):
            await asyncio.gather(*(add(store, f"{round_number}-{n}" + "x" * 500) for n in range(16)))
            longest = max(longest, _size(_beside(path, "-wal")))
        reading.cancel()
        assert len(await names(store)) == 960
    assert longest < 300 * 4096  # all together wrote more than 900 pages
