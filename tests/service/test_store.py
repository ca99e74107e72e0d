"""What every database promises: isolation in group commits, read-your-writes, limits, durability, safe migrations."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from claviger.core.errors import Busy, Conflict, Refusal
from claviger.store.contract import Store, Tx
from claviger.store.postgres import GENERATION_S
from tests.stores import Held, add, make_things, names, opened, start_python


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    await make_things(database_url)
    async with opened(database_url) as store:
        yield store


class Refused(Exception):
    """What a change of these tests raises."""


# ---------------------------------------------------------------- values


async def test_values_come_back_as_they_went_in(store: Store):
    kept = [("plain", b"", 0, 0.0), ("ü 🗝 '?'", bytes(range(256)), 2**63 - 1, -1.5e300), ("", None, -(2**63), None)]
    for name, value, count, weight in kept:
        await store.write(
            lambda tx, row=(name, value, count, weight): tx.execute(
                "INSERT INTO things (name, value, count, weight) VALUES (?, ?, ?, ?)", *row
            )
        )
    assert await store.read("SELECT name, value, count, weight FROM things ORDER BY id") == kept
    assert await store.read_one("SELECT value FROM things WHERE count = ?", 2**63 - 1) == (bytes(range(256)),)
    assert await store.read_one("SELECT name FROM things WHERE name = ?", "absent") is None


async def test_sums_and_truth_values_are_numbers_and_text_sorts_by_bytes(store: Store):
    for name in ("a", "B", "ä", "_"):
        await add(store, name)
    await store.write(lambda tx: tx.execute("UPDATE things SET count = ?", 2**60))
    row = await store.read_one(
        "SELECT SUM(count - 1), COUNT(*), EXISTS(SELECT 1 FROM things WHERE name = ?), MAX(count) = ? FROM things",
        "a",
        0,
    )
    assert row == (4 * (2**60 - 1), 4, 1, 0)
    assert [type(value) for value in row] == [int] * 4
    assert await names(store) == sorted(["a", "B", "ä", "_"])


async def test_a_change_is_told_ids_and_how_many_rows_it_changed(store: Store):
    first, second = await add(store, "first"), await add(store, "second")
    assert second > first

    def change(tx: Tx) -> list[int]:
        return [
            tx.execute("UPDATE things SET count = count + ? WHERE id > ?", 1, 0),
            tx.execute("UPDATE things SET count = 9 WHERE name = ?", "absent"),
            tx.execute("DELETE FROM things WHERE id = ?", first),
            len(tx.fetch("UPDATE things SET count = 5 RETURNING id")),
        ]

    assert await store.write(change) == [2, 0, 1, 1]
    assert await store.read("SELECT id, count FROM things") == [(second, 5)]


# ---------------------------------------------------------------- group commit


async def test_a_batch_is_one_transaction_in_the_order_of_asking(store: Store):
    held = Held()
    first = await held.start(store)
    before = store.generation()
    seen = [
        asyncio.create_task(store.write(lambda tx, n=n: (tx.execute(_ADD, f"{n:02d}"), tx.fetch(_COUNT)[0][0])))
        for n in range(20)
    ]
    await asyncio.sleep(0)
    held.let_go()
    await first
    assert await asyncio.gather(*seen) == [(1, n + 2) for n in range(20)]
    assert store.generation() > before


async def test_a_refusal_before_writing_costs_its_batch_nothing(store: Store):
    held = Held()
    first = await held.start(store)
    runs: list[str] = []

    def refuses(tx: Tx) -> None:
        tx.fetch(_COUNT)
        raise Refused

    tasks = [
        asyncio.create_task(store.write(change))
        for change in (_adds("a", runs), refuses, _adds("b", runs), refuses, _adds("c", runs))
    ]
    await asyncio.sleep(0)
    held.let_go()
    await first
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [int, Refused, int, Refused, int]
    assert await names(store) == ["a", "b", "c", "held"]
    assert runs == ["a", "b", "c"]  # once each


async def test_a_refusal_after_writing_takes_back_its_own_writes_alone(store: Store):
    held = Held()
    first = await held.start(store)
    runs: list[str] = []

    def regrets(tx: Tx) -> None:
        tx.execute(_ADD, "regretted")
        tx.execute("UPDATE things SET count = 99")
        raise Refused

    def collides(tx: Tx) -> None:
        tx.execute(_ADD, "collided")
        tx.execute(_ADD, "held")

    def mistaken(tx: Tx) -> None:
        tx.fetch("SELECT no_such_column FROM things")

    changes = (_adds("a", runs), regrets, _adds("b", runs), collides, mistaken, _adds("c", runs))
    tasks = [asyncio.create_task(store.write(change)) for change in changes]
    await asyncio.sleep(0)
    held.let_go()
    await first
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(outcome, int) for outcome in outcomes] == [True, False, True, False, False, True]
    assert isinstance(outcomes[1], Refused)
    assert isinstance(outcomes[3], Conflict)
    assert await names(store) == ["a", "b", "c", "held"]
    assert await store.read("SELECT DISTINCT count FROM things") == [(0,)]
    assert len(runs) > len(set(runs))  # the batch was rolled back, and its good changes were run again


async def test_a_change_cannot_go_on_after_the_database_has_refused_it(store: Store):
    await add(store, "one")

    def stubborn(tx: Tx) -> str:
        tx.execute(_ADD, "two")
        with contextlib.suppress(Refusal):
            tx.execute(_ADD, "one")
        return "done"

    with pytest.raises(Conflict):
        await store.write(stubborn)
    assert await names(store) == ["one"]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO things (name) VALUES ('taken')",
        "INSERT INTO things (name, parent) VALUES ('orphan', 12345)",
        "INSERT INTO things (name) VALUES (NULL)",
        "DELETE FROM things WHERE name = 'taken'",
    ],
)
async def test_a_broken_constraint_is_a_conflict_that_names_no_value(store: Store, sql: str):
    parent = await add(store, "taken")
    await store.write(lambda tx: tx.execute("INSERT INTO things (name, parent) VALUES ('child', ?)", parent))
    with pytest.raises(Conflict) as refused:
        await store.write(lambda tx: tx.execute(sql))
    assert refused.value.reason == "RowConstraint"
    assert "taken" not in str(refused.value)
    assert "12345" not in str(refused.value)
    assert await names(store) == ["child", "taken"]


async def test_odd_errors_of_a_change_reach_its_caller_and_the_writer_lives_on(store: Store):
    def stops(tx: Tx) -> None:
        raise StopIteration

    with pytest.raises(RuntimeError):
        await store.write(stops)
    with pytest.raises(ZeroDivisionError):
        await store.write(lambda tx: tx.execute(_ADD, "zero") // 0)
    await add(store, "after")
    assert await names(store) == ["after"]


# ---------------------------------------------------------------- what readers see


async def test_a_read_after_the_answer_sees_the_write(store: Store):
    async def one(n: int) -> None:
        for step in range(10):
            name = f"{n}-{step}"
            await store.read(_COUNT)  # keeps a snapshot open in most turns
            await add(store, name)
            assert await store.read_one("SELECT 1 FROM things WHERE name = ?", name)

    await asyncio.gather(*(one(n) for n in range(16)))


async def test_nobody_sees_a_write_before_it_is_committed(store: Store):
    held = Held()
    task = await held.start(store)
    assert await names(store) == []
    held.let_go()
    await task
    assert await names(store) == ["held"]


async def test_a_reader_cannot_write(store: Store):
    await add(store, "kept")
    with pytest.raises(Refusal):
        await store.read("DELETE FROM things")
    assert await names(store) == ["kept"]


async def test_the_generation_stands_still_until_something_is_committed(store: Store):
    if store.kind == "sqlite":  # PostgreSQL's also moves with time
        before = store.generation()
        await store.read(_COUNT)
        await asyncio.sleep(0)
        assert store.generation() == before
    for name in ("a", "b", "c"):
        before = store.generation()
        await add(store, name)
        assert store.generation() > before


async def test_the_generation_moves_when_another_process_commits(store: Store, database_url: str):
    before = store.generation()
    process = start_python(_ADDS_ONE, database_url, "theirs")
    assert await asyncio.to_thread(process.wait, 30) == 0
    if store.kind == "postgresql":
        await asyncio.sleep(GENERATION_S)  # which is the promise
    assert store.generation() != before
    assert await names(store) == ["theirs"]


async def test_two_stores_lose_no_update_of_the_other(store: Store, database_url: str):
    thing = await add(store, "counted")

    def increment(tx: Tx) -> None:
        ((count,),) = tx.fetch("SELECT count FROM things WHERE id = ?", thing)
        tx.execute("UPDATE things SET count = ? WHERE id = ?", count + 1, thing)

    async def many(store: Store) -> None:
        for _ in range(10):
            await store.write(increment)

    async with opened(database_url) as other:
        await asyncio.gather(*(many(each) for each in (store, other) for _ in range(5)))
    assert await store.read_one("SELECT count FROM things WHERE id = ?", thing) == (100,)


# ---------------------------------------------------------------- limits, going away, closing


async def test_the_queue_is_bounded_and_empties_again(database_url: str):
    await make_things(database_url)
    async with opened(database_url, queue_limit=5) as store:
        held = Held()
        tasks = [await held.start(store)]
        tasks += [asyncio.create_task(store.write(_adds(f"{n}", []))) for n in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Busy) as refused:
            await add(store, "too many")
        assert refused.value.reason == "StoreBusy"
        held.let_go()
        await asyncio.gather(*tasks)
        await add(store, "room again")
        assert await names(store) == ["0", "1", "2", "3", "held", "room again"]


async def test_a_batch_has_a_limit_and_all_are_answered(database_url: str):
    await make_things(database_url)
    async with opened(database_url, batch_limit=3) as store:
        await asyncio.gather(*(add(store, f"{n}") for n in range(20)))
        assert len(await names(store)) == 20


async def test_a_caller_that_went_away_disturbs_nobody(store: Store):
    held = Held()
    first = await held.start(store)
    gone, stays = asyncio.create_task(add(store, "gone")), asyncio.create_task(add(store, "stays"))
    await asyncio.sleep(0)
    gone.cancel()
    first.cancel()
    await asyncio.sleep(0)
    held.let_go()
    await stays
    assert gone.cancelled()
    assert await names(store) == ["held", "stays"]  # what had begun was finished, what had not was left


async def test_closing_finishes_what_waits_and_refuses_what_comes(database_url: str):
    await make_things(database_url)
    async with opened(database_url) as store:
        held = Held()
        tasks = [await held.start(store)]
        tasks += [asyncio.create_task(store.write(_adds(f"{n}", []))) for n in range(3)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
        with pytest.raises(Busy) as refused:
            await add(store, "late")
        assert refused.value.reason == "StoreClosed"
        held.let_go()
        await asyncio.gather(closing, *tasks)
        await store.close()  # once more does no harm
    async with opened(database_url) as store:
        assert await names(store) == ["0", "1", "2", "held"]


_ADD = "INSERT INTO things (name) VALUES (?)"
_COUNT = "SELECT COUNT(*) FROM things"


def _adds(name: str, runs: list[str]):
    def change(tx: Tx) -> int:
        runs.append(name)
        return tx.execute(_ADD, name)

    return change


_ADDS_ONE = """
import asyncio, sys
from claviger.store.postgres import GENERATION_S
from tests.stores import add, opened
async def main():
    async with opened(sys.argv[1]) as store:
        await add(store, sys.argv[2])
asyncio.run(main())
"""
