"""Search over many records: queries of every kind, each with its first page, to their JSON; and what memory it takes.

The records are those of `bench.lists`, and the pages are asked for in this process. Nothing that a query has found is
remembered by the product, so every one of them is a first one. Three more things are told: how long the very first
search of a process takes, which reads all records; a search right after a change of a record; and what memory the
process takes for it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from bench import lists, machine
from bench.report import Figure
from claviger.cckm.azure.secrets import records
from claviger.cckm.calls import ROOT_DOMAIN, Query
from claviger.cckm.estate.operations import FoundPage, Searches
from claviger.core.clock import SystemClock
from claviger.store.contract import Store, Tx
from claviger.store.opening import open_store

MOST_MS = 50.0
QUERIES_A_KIND = 12
CHANGES = 25
MOST_BYTES_A_ROW = 120
MOST_BYTES = 32_000_000
"""What reading anything at all takes: connections, their caches, room that is let go of and not given back."""
ENDS = ("db", "api", "cert", "token")

Draw = Callable[[random.Random, int], str]

KINDS: Mapping[str, Draw] = {
    "a whole name": lambda dice, count: f"secret-{dice.randrange(count):07d}-{dice.choice(ENDS)}",
    "a part of a name": lambda dice, count: f"{dice.randrange(count):07d}",
    "a short part of a name": lambda dice, _: f"{dice.randrange(1000):03d}-{dice.choice(ENDS)}",
    "a word that most have": lambda dice, _: dice.choice(("secret", "sec", "cre", "et-")) + dice.choice(("", " db")),
    "a word that some have": lambda dice, _: f"{dice.choice(ENDS)} {dice.randrange(100):02d}",
    "a word that nobody has": lambda dice, _: f"{dice.choice('qwxz')}{dice.randrange(10_000)}nothing",
    "a team": lambda dice, _: f"team-{dice.randrange(1000)}",
    "a tag": lambda dice, _: f"tag:owner=team-{dice.randrange(1000)}",
    "a tag and a word": lambda dice, _: (
        f"tag:env={dice.choice(('prod', 'qa'))} {dice.choice(ENDS)} {dice.randrange(1000):03d}"
    ),
    "a vault": lambda dice, count: f"vault-{dice.randrange(count // 1000 + 1):04d}",
    "a word in a vault": lambda dice, count: f"vault:vault-{dice.randrange(count // 1000 + 1):04d} {dice.choice(ENDS)}",
    "names that begin so": lambda dice, count: f"name:secret-{dice.randrange(count // 1000 + 1):04d}*",
    "names that end so": lambda dice, _: f"name:*{dice.randrange(1000):03d}-{dice.choice(ENDS)}",
    "a state and a word": lambda dice, _: (
        f"status:{dice.choice(('deleted', 'soft-deleted'))} {dice.randrange(1000):03d}"
    ),
    "a state": lambda dice, _: f"is:gone is:{dice.choice(('managed', 'disabled'))}",
    "a region, a cloud, a team": lambda dice, _: f"region:europe cloud:gov team-{dice.randrange(100)}",
    "what expires soon": lambda dice, _: f"expires>0d expires<{dice.randrange(1, 60)}d",
    "what is old": lambda dice, _: f"age>{dice.randrange(600, 690)}d is:latest",
    "created on a day": lambda dice, _: f"created:2024-{dice.randrange(1, 13):02d}-{dice.randrange(1, 29):02d}",
    "a word, and not another": lambda dice, _: (
        f"{dice.choice(ENDS)} -{dice.choice(('prod', 'dev'))} -{dice.choice(ENDS)}"
    ),
}


def measure(folder: Path, count: int, seed: int) -> list[Figure]:
    """Fills a database with `count` records and searches it."""
    return asyncio.run(_measure(f"sqlite://{folder}/search/claviger.db", count, random.Random(seed)))


async def _measure(url: str, count: int, dice: random.Random) -> list[Figure]:
    store = await open_store(url, SystemClock())
    try:
        _say(f"filling a database with {count:,} records of secrets")
        await lists.fill(store, count, dice)
        return await _searched(store, count, dice)
    finally:
        await store.close()


async def _searched(store: Store, count: int, dice: random.Random) -> list[Figure]:
    gc.collect()
    before = machine.resident_kib(os.getpid()) * 1024
    searches = Searches(store, lists.CLOCK)
    first_ms, _ = await _search(searches, "nothing-has-this-name")
    gc.collect()
    grown = machine.resident_kib(os.getpid()) * 1024 - before
    taken: dict[str, list[float]] = {}
    for _ in range(QUERIES_A_KIND):
        for kind, draw in KINDS.items():
            taken.setdefault(kind, []).append((await _search(searches, draw(dice, count)))[0])
    for kind, times in taken.items():
        _say(f"  {kind:28}{statistics.median(times):8.1f} ms  at most {max(times):8.1f} ms")
    changed = [await _after_a_change(store, searches, dice, count) for _ in range(CHANGES)]
    every = sorted(ms for times in taken.values() for ms in times)
    slowest = max(taken, key=lambda kind: statistics.median(taken[kind]))
    last = every[min(len(every) * 99 // 100, len(every) - 1)]
    of = f"over {count:,} records"
    note = f"slowest kind: {slowest}, {statistics.median(taken[slowest]):.1f} ms; p99 {last:.1f} ms"
    detail: dict[str, object] = {kind: [statistics.median(times), max(times)] for kind, times in taken.items()}
    detail |= {"p99": last, "first search of a process": first_ms, "bytes a record": grown / count}
    most_mb = (MOST_BYTES + count * MOST_BYTES_A_ROW) / 1e6
    read = f"the first search of a process reads all: {first_ms / 1000:.1f} s"
    return [
        Figure(f"median of {len(every)} searches {of}", statistics.median(every), MOST_MS, "at most", "ms",
               every[0], every[-1], note, detail),
        Figure(f"search right after a change {of}", statistics.median(changed), MOST_MS, "at most", "ms",
               min(changed), max(changed)),
        Figure(f"memory that search takes {of}", grown / 1e6, most_mb, "at most", "MB", note=read),
    ]  # fmt: skip


async def _search(searches: Searches, query: str) -> tuple[float, FoundPage]:
    """Milliseconds for the first ten, and the page."""
    began = time.perf_counter()
    page = await searches.page(ROOT_DOMAIN, Query([("q", query), ("limit", "10")]), {"azure": None, "oci": None})
    msgspec.json.encode(page)
    return (time.perf_counter() - began) * 1000, page


async def _after_a_change(store: Store, searches: Searches, dice: random.Random, count: int) -> float:
    """Of a record anywhere; it is looked for by its name."""
    num = dice.randrange(1, count + 1)

    def change(tx: Tx) -> str:
        row = records.load(tx, num)
        if row is None:
            raise LookupError(f"there is no record {num}")
        records.change(tx, msgspec.structs.replace(row, gone=not row.gone))
        return row.name

    name = await store.write(change)
    ms, page = await _search(searches, name)
    if name not in [record.secret_name for record in page.resources]:
        raise LookupError(f"the search did not find {name}")
    return ms


def _say(text: str) -> None:
    print(text, file=sys.stdout, flush=True)
