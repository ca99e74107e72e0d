"""What a start finds: all that was answered before a kill, migrations applied once, no guess at a strange database."""

from __future__ import annotations

import asyncio

import pytest

from claviger.core.clock import ManualClock, SystemClock
from claviger.core.errors import Damaged
from claviger.store.migrate import Migration, load_migrations
from claviger.store.opening import migrate, open_store
from tests.stores import add, make_things, names, opened, start_python


async def test_what_was_answered_outlives_a_kill(blank_url: str):
    await make_things(blank_url)
    process = start_python(_WRITES_FOR_EVER, blank_url)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(100)]
    process.kill()
    told += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.wait()
    async with opened(blank_url) as store:
        stored = await names(store)
        assert set(told) <= set(stored)
        await add(store, "after")
    assert len(told) >= 100


async def test_processes_that_start_at_once_migrate_once(blank_url: str):
    processes = [start_python(_MIGRATES, blank_url) for _ in range(4)]
    for process in processes:
        assert await asyncio.to_thread(process.wait, 60) == 0
    store = await open_store(blank_url, SystemClock())
    applied = await store.read("SELECT number, name, checksum FROM schema_migrations ORDER BY number")
    await store.close()
    assert applied == [(known.number, known.name, known.checksum) for known in load_migrations()]


async def test_a_migration_that_fails_leaves_nothing_behind(blank_url: str):
    broken = Migration(9001, "broken", "CREATE TABLE fine (id INTEGER); CREATE TABLE fine (id INTEGER);")
    with pytest.raises(Exception, match="fine"):
        await asyncio.to_thread(migrate, blank_url, ManualClock(5.0), [*load_migrations(), broken])
    store = await open_store(blank_url, SystemClock())
    ledger = await store.read("SELECT DISTINCT applied_at FROM schema_migrations WHERE number < 9000")
    with pytest.raises(Exception, match="fine"):
        await store.read("SELECT id FROM fine")
    await store.close()
    assert ledger == [(5.0,)]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (
            "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (9999, 'later', 'x', 0)",
            "DatabaseNewer",
        ),
        ("UPDATE schema_migrations SET checksum = 'x' WHERE number = 1", "MigrationChanged"),
        ("DROP TABLE meta", "DatabaseIncomplete"),
    ],
)
async def test_a_database_that_is_newer_or_not_whole_is_refused_unchanged(blank_url: str, damage: str, reason: str):
    store = await open_store(blank_url, SystemClock())
    await store.write(lambda tx: tx.execute(damage))
    ledger = await store.read("SELECT * FROM schema_migrations ORDER BY number")
    with pytest.raises(Damaged) as refused:
        await open_store(blank_url, SystemClock())
    assert refused.value.reason == reason
    assert refused.value.facts["fix"]
    assert await store.read("SELECT * FROM schema_migrations ORDER BY number") == ledger
    await store.close()


_MIGRATES = """
import sys
from claviger.core.clock import SystemClock
from claviger.store.opening import migrate
migrate(sys.argv[1], SystemClock())
"""
_WRITES_FOR_EVER = """
import asyncio, itertools, sys
from claviger.store.postgres import GENERATION_S
from tests.stores import add, opened
async def main():
    names = (f"{n:08d}" for n in itertools.count())
    async def one(store):
        for name in names:
            await add(store, name)
            print(name, flush=True)
    async with opened(sys.argv[1]) as store:
        await asyncio.gather(*(one(store) for _ in range(8)))
asyncio.run(main())
"""
