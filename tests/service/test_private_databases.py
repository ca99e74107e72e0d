"""The databases that tests get: each one empty, its own, and where the fixtures say."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.postgres import Cluster


def _tables(url: str) -> list[tuple[str]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()


@pytest.mark.parametrize("round_number", [1, 2])
def test_a_postgresql_database_is_empty_each_time(postgres_url: str, round_number: int):
    assert _tables(postgres_url) == []
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE left_behind (round INTEGER)")
    assert _tables(postgres_url) == [("left_behind",)]


def test_an_sqlite_database_does_not_exist_yet(sqlite_url: str):
    scheme, _, path = sqlite_url.partition("://")
    assert scheme == "sqlite"
    assert Path(path).is_absolute()
    assert not Path(path).exists()


def test_a_cluster_is_durable_and_survives_a_crash(postgres_cluster: Cluster):
    cluster = Cluster.make(postgres_cluster.programs)
    try:
        cluster.start()
        with psycopg.connect(cluster.url) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            connection.execute("CREATE TABLE kept (number INTEGER)")
        cluster.stop(at_once=True)
        cluster.start()
        assert _tables(cluster.url) == [("kept",)]
    finally:
        cluster.remove()
    assert not cluster.folder.exists()
