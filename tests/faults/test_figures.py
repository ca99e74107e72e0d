"""The crash and retention trials of `make figures` in a size for every run, and proof that they see what is wrong."""

from __future__ import annotations

import asyncio
import random
import ssl
import statistics
from dataclasses import replace
from pathlib import Path
from typing import cast

import apsw
import pytest

from bench.client import Client
from bench.product import Product
from claviger.core.clock import ManualClock
from claviger.store.opening import migrate
from figures import crash, retention
from figures.__main__ import crash_table, retention_table
from figures.crash import Start
from figures.journal import Change, Content, Seen, State, after, judge, next_change

KILLS = 8
DELETIONS = 1_000


async def test_killed_servers_lose_nothing_they_acknowledged(tmp_path: Path, seed: int) -> None:
    report = await crash.run(tmp_path, KILLS, seed)
    assert report.kills == KILLS
    assert report.acknowledged > KILLS, "hardly anything was written"
    assert report.under_way > 0, "no kill met a change under way"
    assert not report.findings, crash_table(report)
    assert statistics.median(report.ready_s) < 4 * crash.READY_LIMIT_S, report.ready_s


@pytest.mark.parametrize(
    ("start", "own_s"),
    [
        (Start(1.5), 1.5),
        (Start(5.0, ran_s=0.9, waited_s=0.1), 4.9),  # it did not want a processor: it was slow
        (Start(5.0, ran_s=0.9, waited_s=3.6), 1.4),
        (Start(5.0, ran_s=0.9, waited_s=8.0), 0.9),  # several threads in line at a time
        (Start(5.0, ran_s=4.0, waited_s=3.0), 4.0),
    ],
)
def test_a_start_is_not_slow_for_standing_in_line(start: Start, own_s: float) -> None:
    assert start.own_s == pytest.approx(own_s)
    report = crash.CrashReport(1)
    report.started(start)
    assert report.slow == (own_s > crash.READY_LIMIT_S)


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="nobody tells who stood in line")
def test_the_system_tells_for_how_long_a_thread_ran() -> None:
    ran_s, _ = crash._scheduled(Path("/proc/thread-self"))
    assert 0 < ran_s < 1_000_000


async def test_a_connection_that_is_lost_before_the_kill_is_found() -> None:
    class Writer:
        stopping = False

        def __init__(self, ends: bool) -> None:
            self.client, self._ends, self._gone = Client(1, "", ssl.create_default_context()), ends, gone

        async def work(self) -> None:
            if not self._ends:
                await self._gone.wait()

    class Server:
        def kill(self) -> None:
            gone.set()

    gone = asyncio.Event()
    for ends in (False, True):
        found = await crash.kill_amid(cast(Product, Server()), [Writer(False), Writer(ends)], 0.05)
        assert [kind for kind, _ in found] == ["wrong answer"] * ends
        gone.clear()


async def test_a_jumping_clock_purges_nothing_early_or_late(tmp_path: Path, seed: int) -> None:
    report = await retention.run(tmp_path, DELETIONS, seed)
    assert report.deletions == DELETIONS
    assert report.purged > DELETIONS / 2
    assert report.jumps_back > 0
    assert not report.findings, retention_table(report)


OLD = Content("old", "text/a", (), 1)
NEW = Content("new", "text/b", (("k", "v"),), 2)
ONE = State((("v1", OLD),))
TWO = State((("v1", OLD), ("v2", NEW)))
SET = Change("set", NEW)
UPDATE = Change("update", replace(NEW, value="not looked at"))


def shown(state: State) -> Seen:
    return Seen(dict(state.versions), state.versions[-1][0] if state.versions else "", state.deleted)


@pytest.mark.parametrize("change", [SET, UPDATE, Change("delete")])
def test_a_change_under_way_may_have_happened_or_not(change: Change) -> None:
    assert judge(ONE, change, shown(ONE)).state == ONE
    done = after(ONE, change, "v2")
    verdict = judge(ONE, change, shown(done))
    assert (verdict.finding, verdict.state) == ("", done)


@pytest.mark.parametrize(
    ("acknowledged", "under_way", "seen", "finding"),
    [
        (TWO, None, shown(ONE), "lost"),
        (TWO, SET, shown(ONE), "lost"),
        (ONE, Change("delete"), Seen(), "lost"),
        (after(ONE, Change("delete")), None, shown(ONE), "lost"),
        (after(ONE, UPDATE), None, shown(ONE), "lost"),
        (State(), None, shown(ONE), "half-written"),
        (ONE, None, shown(TWO), "half-written"),
        (ONE, None, Seen({"v1": None}, "v1"), "half-written"),
        (ONE, SET, Seen({"v1": OLD, "v2": NEW}, "v1"), "half-written"),
        (ONE, SET, Seen({"v1": OLD, "v2": replace(NEW, value="ne")}, "v2"), "half-written"),
        (ONE, UPDATE, Seen({"v1": replace(OLD, tags=NEW.tags)}, "v1"), "half-written"),
        (TWO, Change("purge"), Seen({"v2": NEW}, "v2", deleted=True), "lost"),
    ],
)
def test_the_journal_tells_lost_from_half_written(
    acknowledged: State, under_way: Change | None, seen: Seen, finding: str
) -> None:
    assert judge(acknowledged, under_way, seen).finding == finding


def test_the_journal_makes_only_changes_that_are_right(seed: int) -> None:
    dice, state, verbs = random.Random(seed), State(), set()
    for number in range(500):
        change = next_change(state, dice, f"n{number}")
        verbs.add(change.verb)
        assert state.versions or change.verb == "set"
        assert state.deleted == (change.verb in ("recover", "purge"))
        state = after(state, change, f"v{number}")
    assert verbs == {"set", "update", "delete", "recover", "purge"}


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("DELETE FROM kv_secrets", "a version without its secret"),
        ("DELETE FROM kv_secret_versions", "a secret whose latest version is not its own"),
        ("DELETE FROM data_keys", "a value without its data key"),
        ("UPDATE kv_secrets SET deleted = 1", "a secret half deleted"),
    ],
)
def test_orphan_rows_are_found(tmp_path: Path, damage: str, what: str) -> None:
    database = tmp_path / "claviger.db"
    migrate(f"sqlite://{database}", ManualClock(1.0))
    connection = apsw.Connection(str(database))
    connection.execute(
        """
        INSERT INTO data_keys (id, scope, state, root_key_id, wrapped, created_at)
            VALUES (7, 's', 'current', 'r', x'', 1);
        INSERT INTO kv_secrets (id, vault_id, name_key, name, latest_id) VALUES (1, 1, 'a', 'a', 1);
        INSERT INTO kv_secret_versions (id, secret_id, version, enabled, created_at, updated_at, data_key_id, sealed)
            VALUES (1, 1, 'v', 1, 1, 1, 7, x'');
        """
    )
    before = [detail for _, detail in crash.orphans(database)]
    connection.execute(damage)
    connection.close()
    found = [detail for _, detail in crash.orphans(database) if detail not in before]
    assert any(detail.startswith(what) for detail in found), found
