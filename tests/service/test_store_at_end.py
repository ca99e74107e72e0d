"""What changes leave for the end of their transaction, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from claviger.core.errors import Conflict
from claviger.store.contract import Store, Tx
from tests.stores import Held, make_things, names, opened


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    await make_things(database_url)
    async with opened(database_url) as store:
        yield store


class Ledger:
    """Adds all that was left, and remembers how often it was called."""

    def __init__(self) -> None:
        self.calls: list[list[Any]] = []

    def write(self, tx: Tx, items: list[Any]) -> None:
        self.calls.append(items)
        for item in items:
            tx.execute("INSERT INTO things (name) VALUES (?)", item)


async def test_items_of_a_batch_are_written_together_in_their_order(store: Store):
    ledger, held = Ledger(), Held()
    first = await held.start(store)

    def change(tx: Tx, number: int) -> None:
        tx.at_end(ledger.write, f"b-{number}")
        tx.execute("INSERT INTO things (name) VALUES (?)", f"a-{number}")
        tx.at_end(ledger.write, f"c-{number}")

    rest = [asyncio.ensure_future(store.write(lambda tx, number=number: change(tx, number))) for number in range(3)]
    await asyncio.sleep(0)
    held.let_go()
    await asyncio.gather(first, *rest)
    assert ledger.calls == [["b-0", "c-0", "b-1", "c-1", "b-2", "c-2"]]
    assert await names(store) == ["a-0", "a-1", "a-2", "b-0", "b-1", "b-2", "c-0", "c-1", "c-2", "held"]


async def test_items_of_a_change_that_raises_are_dropped(store: Store):
    ledger, held = Ledger(), Held()
    first = await held.start(store)

    def early(tx: Tx) -> None:
        tx.at_end(ledger.write, "early")
        raise ValueError("before it wrote")

    def late(tx: Tx) -> None:
        tx.at_end(ledger.write, "late")
        tx.execute("INSERT INTO things (name) VALUES ('late-row')")
        raise ValueError("after it wrote")

    def good(tx: Tx) -> None:
        tx.at_end(ledger.write, "good")

    rest = [asyncio.ensure_future(store.write(change)) for change in (early, good, late)]
    await asyncio.sleep(0)
    held.let_go()
    answers = await asyncio.gather(first, *rest, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), ValueError, type(None), ValueError]
    assert await names(store) == ["good", "held"]


async def test_what_the_end_raises_refuses_only_the_change_it_is_about(store: Store):
    held = Held()
    first = await held.start(store)

    def picky(tx: Tx, items: list[Any]) -> None:
        for item in items:
            tx.execute("INSERT INTO things (name) VALUES (?)", item)
        if "bad" in items:
            raise KeyError("bad")

    def change(tx: Tx, name: str) -> str:
        tx.execute("INSERT INTO things (name) VALUES (?)", f"row-{name}")
        tx.at_end(picky, name)
        return name

    words = ["one", "bad", "held", "two"]  # "held" is there already
    rest = [asyncio.ensure_future(store.write(lambda tx, name=name: change(tx, name))) for name in words]
    await asyncio.sleep(0)
    held.let_go()
    answers = await asyncio.gather(first, *rest, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), str, KeyError, Conflict, str]
    assert await names(store) == ["held", "one", "row-one", "row-two", "two"]
