"""What is particular to PostgreSQL: servers that restart, freeze or hang up at the worst moment; strange databases."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest

from bench.ports import kept_ports
from claviger.core.clock import SystemClock
from claviger.core.errors import Busy, Damaged, Invalid, Misconfigured
from claviger.store.contract import Store
from claviger.store.opening import migrate, open_store
from claviger.store.postgres_session import PostgresSession, session_settings
from scripts.machine import postgres_programs
from tests.needs import missing
from tests.postgres import Cluster, Databases
from tests.stores import add, make_things, names, opened

DEADLINES = {"read_deadline_s": 4.0, "write_deadline_s": 4.0}  # short, and no machine is so slow by itself


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    await make_things(postgres_url)
    async with opened(postgres_url) as store:
        yield store


async def _settled(calls: Sequence[Awaitable[Any]], within_s: float) -> list[Any]:
    """Results and errors of all calls, none of which may hang."""
    async with asyncio.timeout(within_s):
        return await asyncio.gather(*calls, return_exceptions=True)


# ---------------------------------------------------------------- the wire between


class Wire:
    """A TCP port in front of a server's socket that can stop passing bytes on, or hang up when the client commits."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._flowing = threading.Event()
        self._flowing.set()
        self._hang_up_on: bytes | None = None
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def freeze(self) -> None:
        """No byte passes any more; connections stay open, and new ones are accepted."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def hang_up_on(self, word: bytes) -> None:
        """The next time the client sends `word`, the server gets it, and the client gets no answer."""
        self._hang_up_on = word

    def close(self) -> None:
        self._flowing.set()
        for end in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._open += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, sink, client), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                word = self._hang_up_on
                if source is client and word is not None and word in data:
                    self._hang_up_on = None
                    client.shutdown(socket.SHUT_RDWR)
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(postgres_cluster: Cluster) -> Iterator[Wire]:
    wire = Wire(f"{postgres_cluster.folder}/.s.PGSQL.5432")
    yield wire
    wire.close()


@pytest.fixture
def own_databases(postgres_cluster: Cluster) -> Databases:
    """On the private server, whose socket the wire can reach."""
    return Databases(postgres_cluster.url)


@pytest.fixture
async def far_store(wire: Wire, own_databases: Databases) -> AsyncIterator[Store]:
    """A store that reaches its server through the wire."""
    url = own_databases.create()
    await make_things(url)
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    far = f"postgresql://claviger@127.0.0.1:{wire.port}/{name}?connect_timeout=2"
    async with opened(far, **DEADLINES) as store:
        yield store
    own_databases.drop(url)


async def test_nobody_hangs_on_a_server_that_froze_and_all_is_well_when_it_thaws(far_store: Store, wire: Wire):
    await add(far_store, "before")
    wire.freeze()
    calls = [*(add(far_store, f"{n}") for n in range(5)), *(names(far_store) for _ in range(5))]
    outcomes = await _settled(calls, 60)
    assert [isinstance(outcome, Busy) for outcome in outcomes] == [True] * 10
    wire.thaw()
    await _until_it_works(lambda: add(far_store, "after"))
    assert {"before", "after"} <= set(await names(far_store))


async def test_a_commit_without_an_answer_is_told_as_unknown(far_store: Store, wire: Wire):
    await add(far_store, "before")
    wire.hang_up_on(b"; COMMIT")
    outcomes = await _settled([add(far_store, "perhaps")], 60)
    assert isinstance(outcomes[0], Busy)
    assert outcomes[0].reason == "CommitUnknown"
    await add(far_store, "after")
    assert await names(far_store) == ["after", "before", "perhaps"]  # the server had it


async def test_a_connection_lost_before_the_commit_is_replaced_and_the_change_run_again(far_store: Store, wire: Wire):
    await add(far_store, "before")
    wire.hang_up_on(b"things")
    assert isinstance((await _settled([add(far_store, "once")], 60))[0], int)
    wire.hang_up_on(b"things")
    assert await _settled([names(far_store)], 60) == [["before", "once"]]


async def _until_it_works(call: Callable[[], Awaitable[Any]], within_s: float = 20.0) -> None:
    give_up_at = time.monotonic() + within_s
    while True:
        try:
            await call()
        except Busy:
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.05)
        else:
            return


# ---------------------------------------------------------------- restarts


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A server of this test's own, to stop and start."""
    programs = postgres_programs()
    if programs is None:
        missing("PostgreSQL", "`apt-get install postgresql`")
    cluster = Cluster.make(programs)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


async def test_a_crash_of_the_server_under_traffic_loses_nothing_that_was_answered(own_cluster: Cluster):
    url = Databases(own_cluster.url).create()
    # A server that is set to answer before it has written: the store must not go along with that.
    with psycopg.connect(own_cluster.url, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET synchronous_commit = off")
        admin.execute("SELECT pg_reload_conf()")
    await make_things(url)
    answered: list[str] = []
    refused: list[str] = []
    slowest = 0.0
    stop = asyncio.Event()

    async def traffic(store: Store, who: int) -> None:
        nonlocal slowest
        step = 0
        while not stop.is_set():
            step += 1
            name = f"{who}-{step}"
            started = time.monotonic()
            try:
                await add(store, name)
                answered.append(name)
                await store.read("SELECT COUNT(*) FROM things")
            except Busy as busy:
                refused.append(busy.reason)
                await asyncio.sleep(0.01)
            slowest = max(slowest, time.monotonic() - started)

    async with opened(url) as store:
        tasks = [asyncio.create_task(traffic(store, who)) for who in range(8)]
        for _ in range(2):
            before = len(answered)
            while len(answered) < before + 100:  # noqa: ASYNC110 - what is waited for is traffic itself
                await asyncio.sleep(0.01)
            so_far = len(refused)
            await asyncio.to_thread(own_cluster.stop, at_once=True)
            while "StoreUnavailable" not in refused[so_far:]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await asyncio.to_thread(own_cluster.start)
        before = len(answered)
        while len(answered) < before + 100:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        stop.set()
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks)
        stored = await names(store)
    assert set(answered) <= set(stored)
    assert len(stored) == len(set(stored))
    assert set(refused) <= {"StoreUnavailable", "CommitUnknown", "StoreBusy"}
    assert slowest < 60, "somebody was left hanging"


# ---------------------------------------------------------------- reads in pipelines


async def test_a_read_that_fails_hurts_only_itself(store: Store):
    await add(store, "one")
    asked = ["SELECT name FROM things", "SELECT nothing FROM things", "SELECT 1 / (id - id) FROM things"] * 20
    outcomes = await asyncio.gather(*(store.read(sql) for sql in asked), return_exceptions=True)
    assert outcomes[0::3] == [[("one",)]] * 20
    assert {type(outcome) for outcome in outcomes[1::3]} == {psycopg.errors.UndefinedColumn}
    assert {type(outcome) for outcome in outcomes[2::3]} == {psycopg.errors.DivisionByZero}


async def test_a_reader_that_went_away_disturbs_nobody(store: Store):
    await add(store, "one")
    reads = [asyncio.create_task(names(store)) for _ in range(100)]
    await asyncio.sleep(0)
    for task in reads[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*reads, return_exceptions=True)
    assert outcomes[1::2] == [["one"]] * 50
    assert await names(store) == ["one"]


async def test_ten_thousand_reads_at_once_are_bounded(store: Store):
    outcomes = await _settled([store.read("SELECT ?", f"{n}") for n in range(10_000)], 60)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Busy)]
    assert {busy.reason for busy in refused} == {"StoreBusy"}
    assert [row for row in outcomes if isinstance(row, list)] == [[(f"{n}",)] for n in range(10_000 - len(refused))]
    assert await names(store) == []


# ---------------------------------------------------------------- set-up


async def test_every_connection_waits_for_the_disk(store: Store, postgres_url: str):
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET synchronous_commit = off")
    async with opened(postgres_url) as fresh:
        assert await fresh.write(lambda tx: tx.fetch("SHOW synchronous_commit")) == [("on",)]
        assert await fresh.read("SHOW synchronous_commit") == [("on",)]
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {admin.info.dbname} SET synchronous_commit = remote_apply")
    async with opened(postgres_url) as fresh:
        assert await fresh.write(lambda tx: tx.fetch("SHOW synchronous_commit")) == [("remote_apply",)]


def test_writers_wait_for_one_another_and_then_give_up(postgres_url: str):
    settings = session_settings(lock_s=1)
    first, second = PostgresSession(postgres_url, settings=settings), PostgresSession(postgres_url, settings=settings)
    first.begin()
    with pytest.raises(Busy) as refused:
        second.begin()
    assert refused.value.reason == "StoreBusy"
    second.rollback()
    first.commit()
    second.begin()
    second.commit()
    first.close()
    second.close()


def test_a_server_that_is_not_there_is_a_mistake_in_the_settings_and_no_password_is_told(
    caplog: pytest.LogCaptureFixture,
):
    with kept_ports() as (port,), pytest.raises(Misconfigured) as refused:
        migrate(f"postgresql://claviger:hunter2@127.0.0.1:{port}/claviger", SystemClock())
    assert refused.value.reason == "DatabaseUnreachable"
    assert "hunter2" not in str(refused.value) + caplog.text


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@h:port/d", "postgresql://u:hunter2@h/d?no_such_option=1"])
def test_a_url_that_is_not_understood_is_not_repeated(url: str):
    with pytest.raises(Misconfigured) as refused:
        migrate(url, SystemClock())
    assert refused.value.facts["fix"]
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("table", ["accounts (id INTEGER)", "schema_migrations (version TEXT)"])
async def test_a_database_of_another_program_is_refused(postgres_url: str, table: str):
    with psycopg.connect(postgres_url, autocommit=True) as theirs:
        theirs.execute(f"CREATE TABLE {table}")
    with pytest.raises(Damaged) as refused:
        await open_store(postgres_url, SystemClock())
    assert refused.value.reason == "DatabaseForeign"
    with psycopg.connect(postgres_url) as theirs:
        assert theirs.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (1,)


def test_a_database_in_another_encoding_is_refused(postgres_databases: Databases):
    name = "claviger_latin"
    with psycopg.connect(postgres_databases.admin_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        with pytest.raises(Misconfigured) as refused:
            migrate(_as_url(postgres_databases, name), SystemClock())
        assert refused.value.reason == "DatabaseEncoding"
    finally:
        with psycopg.connect(postgres_databases.admin_url, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name}")


def _as_url(databases: Databases, name: str) -> str:
    url = databases.create()
    databases.drop(url)
    return url.replace(str(psycopg.conninfo.conninfo_to_dict(url)["dbname"]), name)


async def test_a_text_that_postgresql_cannot_hold_is_refused_and_not_quoted(postgres_url: str) -> None:
    store = await open_store(postgres_url, SystemClock())
    try:
        for asked in (
            store.read("SELECT 1 WHERE ? = ''", "hidden\0text"),
            store.write(lambda tx: tx.execute("UPDATE meta SET value = ? WHERE key = 'none'", "hidden\0text")),
        ):
            with pytest.raises(Invalid, match="NulInText") as refused:
                await asked
            assert "hidden" not in str(refused.value)
        assert await store.read("SELECT 1") == [(1,)]
    finally:
        await store.close()
