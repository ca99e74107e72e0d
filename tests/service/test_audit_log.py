"""The audit log on both databases: one commit with the change, in one order whoever writes, kept under a kill."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from claviger.audit import proofs, records, tree
from claviger.audit.entry import decoded
from claviger.audit.log import AuditLog
from claviger.audit.stored import verify_stored
from claviger.core.errors import Busy, Conflict, Damaged, Invalid
from claviger.core.sensitive import Sensitive
from claviger.crypto.key_file import KeyFile
from claviger.store.contract import Tx
from tests.auditing import Audited, audited, entry, until
from tests.sealing import Machine, secret

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def own(database_url: str) -> AsyncIterator[Audited]:
    async with audited(database_url) as own:
        yield own


async def request_ids(own: Audited) -> list[str]:
    """Of all records, in their order."""
    return [decoded(row.body).request_id for row in await records.rows_after(own.store, -1, 100_000)]


async def good(own: Audited) -> int:
    """Fails unless the log verifies; how many records."""
    report = await verify_stored(own.store, own.key)
    assert report.finding is None
    return report.record_count


async def test_a_change_and_its_record_are_one_commit(own: Audited):
    def change(tx: Tx) -> None:
        own.log.note(tx, entry(1))
        tx.execute("INSERT INTO meta (key, value) VALUES ('x', '')")
        own.log.note(tx, entry(2), entry(3))

    await own.store.write(change)
    assert await request_ids(own) == ["r-1", "r-2", "r-3"]
    with pytest.raises(Conflict):  # the row is there already
        await own.store.write(change)

    def changes_its_mind(tx: Tx) -> None:
        own.log.note(tx, entry(4))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await own.store.write(changes_its_mind)
    assert await good(own) == 3
    await own.log.record(entry(5))  # what was rolled back left nothing behind in memory either
    assert await request_ids(own) == ["r-1", "r-2", "r-3", "r-5"]
    assert await good(own) == 4


async def test_a_refused_neighbour_in_the_same_batch_leaves_no_gap(own: Audited):
    def change(tx: Tx, number: int) -> None:
        own.log.note(tx, entry(number))
        tx.execute("INSERT INTO meta (key, value) VALUES (?, '')", f"k-{number % 7}")

    for _ in range(3):
        await asyncio.gather(
            *(own.store.write(lambda tx, number=number: change(tx, number)) for number in range(20)),
            return_exceptions=True,
        )
    kept = await request_ids(own)
    assert sorted(kept) == sorted(f"r-{number}" for number in range(7))
    assert await good(own) == 7


async def test_many_at_once_each_get_a_number(own: Audited):
    await asyncio.gather(*(own.log.record(entry(number)) for number in range(300)))
    assert sorted(await request_ids(own)) == sorted(f"r-{number}" for number in range(300))
    assert await good(own) == 300
    many = [entry(number) for number in range(1000)]
    await own.log.record(*many)
    assert (await request_ids(own))[300:] == [one.request_id for one in many]
    assert await good(own) == 1300


async def test_two_logs_on_one_database_make_one_tree(own: Audited, database_url: str):
    async with audited(database_url, box=own.box) as other:
        for number in range(10):
            await asyncio.gather(own.log.record(entry(number)), other.log.record(entry(100 + number), entry(200)))
        assert await good(own) == 30
        assert await good(other) == 30


async def test_a_log_rolled_back_behind_our_back_is_seen(own: Audited):
    """What this process remembers of the head is only believed where the database has the same."""
    await own.log.record(entry(1), entry(2))

    def roll_back(tx: Tx) -> None:
        tx.execute("DELETE FROM audit_records")
        tx.execute("UPDATE audit_facets SET count = 0")
        tx.execute("UPDATE audit_head SET size = 0, frontier = ?", b"")

    await own.store.write(roll_back)
    await own.log.record(entry(3))
    assert await request_ids(own) == ["r-3"]
    assert await good(own) == 1


async def test_the_stored_row_of_a_record(own: Audited):
    await own.log.record(entry(1), entry(2), entry(3, outcome="refused"))
    rows = await records.rows_after(own.store, -1, 10)
    assert [len(row.hashes) for row in rows] == [32, 64, 32]
    assert rows[0].hashes == tree.leaf_hash(rows[0].body)
    assert (await records.head(own.store)).size == 3
    assert [count for _, _, count in await records.facets_after(own.store, -1, 10)] == [2, 1]


async def test_a_secret_value_is_refused_and_nothing_changes(own: Audited):
    def change(tx: Tx) -> None:
        tx.execute("INSERT INTO meta (key, value) VALUES ('x', '')")
        own.log.note(tx, entry(details={"value": Sensitive("s3cret")}))

    with pytest.raises(TypeError):
        await own.store.write(change)
    with pytest.raises(TypeError):
        await own.log.record("an entry")  # type: ignore[arg-type]
    assert await own.store.read("SELECT key FROM meta WHERE key = 'x'") == []
    assert await good(own) == 0


# What waits a moment.


async def test_buffered_entries_are_written_soon_and_in_order(own: Audited):
    task = asyncio.create_task(own.log.run())
    await asyncio.sleep(0)
    for number in range(1200):
        own.log.buffer(entry(number))
    assert await request_ids(own) == []

    async def all_written() -> bool:
        return len(await request_ids(own)) == 1200

    await until(all_written)
    own.log.buffer(entry(1200))
    task.cancel()
    await own.log.stop()
    assert await request_ids(own) == [f"r-{number}" for number in range(1201)]
    with pytest.raises(Busy) as caught:
        own.log.buffer(entry())
    assert caught.value.reason == "AuditUnavailable"
    assert await good(own) == 1201
    await asyncio.gather(task, return_exceptions=True)


async def test_a_full_buffer_refuses_the_call(own: Audited):
    log = AuditLog(own.store, buffer_limit=3)
    with pytest.raises(Busy):  # nobody writes yet
        log.buffer(entry())
    task = asyncio.create_task(log.run())
    await asyncio.sleep(0)
    for number in range(3):
        log.buffer(entry(number))
    with pytest.raises(Busy) as caught:
        log.buffer(entry(4))
    assert caught.value.reason == "AuditUnavailable"
    assert "too many" in str(caught.value.facts["message"])
    await log.flush()
    log.buffer(entry(5))
    task.cancel()
    await log.stop()
    assert await request_ids(own) == ["r-0", "r-1", "r-2", "r-5"]


class Reading:
    """A store during each of whose first writes somebody reads; it counts them."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.reads: list[Any] = []
        self.writes = 0

    async def write(self, change: Any) -> Any:
        self.writes += 1
        if self.reads:
            self.reads.pop()()
        return await self._store.write(change)


async def test_what_comes_while_entries_are_written_waits_for_the_next_ones(own: Audited):
    reading: Any = Reading(own.store)
    log = AuditLog(reading)
    task = asyncio.create_task(log.run())
    await asyncio.sleep(0)
    reading.reads = [lambda number=number: log.buffer(entry(number)) for number in (3, 2)]
    log.buffer(entry(1))
    await log.flush()
    assert (reading.writes, await request_ids(own)) == (1, ["r-1"])  # a busy server would never pause otherwise

    async def all_written() -> bool:
        return len(await request_ids(own)) == 3

    await until(all_written)  # although nobody else calls
    task.cancel()
    await log.stop()
    assert (reading.writes, await good(own)) == (3, 3)
    await asyncio.gather(task, return_exceptions=True)


class Failing:
    """A store whose disk is full for a while."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.full = True

    async def write(self, change: Any) -> Any:
        if self.full:
            raise Busy("StoreFull", problem="no space left for the database")
        return await self._store.write(change)


async def test_while_records_cannot_be_written_calls_are_refused_and_nothing_is_lost(own: Audited):
    failing: Any = Failing(own.store)
    log = AuditLog(failing)
    with pytest.raises(Busy) as caught:
        await log.record(entry())
    assert caught.value.reason == "AuditUnavailable"
    assert "no space left" in str(caught.value.facts["message"])
    task = asyncio.create_task(log.run())
    await asyncio.sleep(0)
    log.buffer(entry(1))

    async def refuses() -> bool:
        with contextlib.suppress(Busy):
            log.buffer(entry(2))
            return False
        return True

    async def takes() -> bool:
        with contextlib.suppress(Busy):
            log.buffer(entry(3))
            return True
        return False

    await until(refuses)
    with pytest.raises(Busy) as caught:
        log.buffer(entry(2))
    assert "no space left" in str(caught.value.facts["message"])
    failing.full = False
    await until(takes)
    task.cancel()
    await log.stop()
    kept = await request_ids(own)
    assert (kept[0], kept[-1]) == ("r-1", "r-3")
    assert await good(own) == len(kept)


# Other processes.


async def test_two_processes_and_a_kill(own: Audited, database_url: str):
    def start(name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.auditing", database_url, name]
        return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)

    async def said(process: subprocess.Popen[bytes], count: int) -> list[str]:
        assert process.stdout is not None
        return [(await asyncio.to_thread(process.stdout.readline)).decode().strip() for _ in range(count)]

    writers = [start("one"), start("two")]
    try:
        acknowledged = [word for words in await asyncio.gather(*(said(each, 60) for each in writers)) for word in words]
    finally:
        for each in writers:
            each.kill()
            rest, _ = each.communicate()
            acknowledged += [word for word in rest.decode().split("\n")[:-1] if word]
    changed = {
        row[0] for row in await own.store.read("SELECT key FROM meta WHERE key LIKE 'one-%' OR key LIKE 'two-%'")
    }
    noted = await request_ids(own)
    assert set(acknowledged) <= changed
    assert sorted(noted) == sorted(changed)
    assert await good(own) == len(noted)


# Checkpoints and proofs.


async def test_checkpoints_are_signed_shown_and_made_only_where_something_is_new(database_url: str, tmp_path: Path):
    witness = tmp_path / "witness"
    async with audited(database_url, witness=witness) as own:
        assert await own.checkpoints.make() is None
        await own.fill(5)
        note = await own.checkpoints.make()
        assert note is not None
        own.clock.advance(100)
        assert await own.checkpoints.make() == note
        await own.fill(3)
        assert await own.checkpoints.make() != note
        stored = await records.checkpoints_after(own.store, 0, 10)
        assert [size for size, _ in stored] == [5, 8]
        assert "\n8\n" in stored[1][1]
        assert witness.read_text().count("\n") == 2
        report = await verify_stored(own.store, own.key, [text for _, text in stored])
        assert (report.finding, report.signed_count, report.witnessed_count) == (None, 8, 8)


async def test_the_background_signs_what_is_new(own: Audited):
    task = asyncio.create_task(own.checkpoints.run())
    await own.fill(5)

    async def signed_up_to(size: int) -> bool:
        return (await records.last_checkpoint(own.store) or (0, ""))[0] == size

    await until(lambda: signed_up_to(5))
    await own.fill(2)
    own.clock.advance(61)
    await until(lambda: signed_up_to(7))
    task.cancel()
    assert await good(own) == 7


async def test_a_rewritten_log_is_not_signed(own: Audited, tmp_path: Path):
    await own.fill(20)
    await own.checkpoints.make()
    await own.fill(5)
    await own.store.write(lambda tx: tx.execute("UPDATE audit_head SET size = 19, frontier = ?", bytes(96)))
    with pytest.raises(Damaged) as caught:
        await own.checkpoints.make()
    assert caught.value.reason == "AuditRewritten"


async def test_a_log_rolled_back_below_its_witness_is_not_signed(sqlite_url: str, tmp_path: Path):
    witness = tmp_path / "witness"
    async with audited(sqlite_url, witness=witness) as own:
        await own.fill(20)
        await own.checkpoints.make()
    async with audited(f"sqlite://{tmp_path}/other/new.db", witness=witness, box=own.box) as rolled_back:
        await rolled_back.fill(20, seed=2)
        with pytest.raises(Damaged, match="not those that were signed"):
            await rolled_back.checkpoints.make()


async def test_a_witness_that_cannot_be_reached_holds_nothing_up(database_url: str, tmp_path: Path):
    async with audited(database_url, witness=tmp_path / "later" / "witness") as own:
        await own.fill(2)
        assert await own.checkpoints.make() is not None
        (tmp_path / "later").mkdir()
        await own.checkpoints.make()
        assert (tmp_path / "later" / "witness").read_text().count("\n") == 1


async def test_the_signing_key_is_sealed_and_the_same_for_all(database_url: str, tmp_path: Path):
    machine = Machine(database_url, KeyFile(tmp_path / "root.key"))
    try:
        first, second = await machine.process(), await machine.process()
        assert await first.notes.get("audit-signing-key") is None
        from claviger.audit.checkpoints import Checkpoints

        keys = await asyncio.gather(
            *(Checkpoints(each.store, each.notes, machine.clock).public_key() for each in (first, second))
        )
        assert str(keys[0]) == str(keys[1])
        await first.notes.put("x", secret("y"))
    finally:
        await machine.close()


@pytest.mark.parametrize("count", [1, 2, 7, 64, 150])
async def test_proofs_hold_for_every_record_and_size(own: Audited, count: int):
    await own.fill(count)
    whole = await proofs.root_at(own.store, count)
    for number in {0, count // 3, count - 1}:
        for size in {number + 1, count}:
            found = await proofs.inclusion(own.store, number, size)
            assert tree.includes(number, size, found.leaf, found.proof, await proofs.root_at(own.store, size))
        consistent = await proofs.consistency(own.store, number)
        assert tree.extends(number, count, consistent.old_root, whole, consistent.proof)
    for wrong in ((count, count), (-1, count), (0, count + 1)):
        with pytest.raises(Invalid):
            await proofs.inclusion(own.store, *wrong)
    for sizes in ((count + 1, count + 1), (-1, count), (1, 0)):
        with pytest.raises(Invalid):
            await proofs.consistency(own.store, *sizes)


async def test_stopping_in_the_middle_of_writing_writes_everything_once(own: Audited):
    for round_number in range(20):
        log = AuditLog(own.store)
        task = asyncio.create_task(log.run())
        await asyncio.sleep(0)
        log.buffer(entry(round_number))
        flushing = asyncio.create_task(log.flush())
        for _ in range(round_number % 4):
            await asyncio.sleep(0)
        flushing.cancel()
        task.cancel()
        await log.stop()
        await asyncio.gather(task, flushing, return_exceptions=True)
    assert await request_ids(own) == [f"r-{number}" for number in range(20)]
