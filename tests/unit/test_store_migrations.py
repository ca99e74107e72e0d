"""Which migrations are due, how they are found, and which URLs name a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from claviger.core.errors import Damaged, Misconfigured
from claviger.store.migrate import Migration, due_migrations, load_migrations
from claviger.store.opening import sqlite_path

ONE = Migration(1, "one", "CREATE TABLE one (id INTEGER)")
TWO = Migration(2, "two", "CREATE TABLE two (id INTEGER)")
THREE = Migration(3, "three", "CREATE TABLE three (id INTEGER)")


def _row(migration: Migration) -> tuple[int, str, str]:
    return (migration.number, migration.name, migration.checksum)


def test_what_is_not_applied_is_due_in_order():
    assert due_migrations([THREE, ONE, TWO], []) == [ONE, TWO, THREE]
    assert due_migrations([ONE, TWO, THREE], [_row(ONE)]) == [TWO, THREE]
    assert due_migrations([ONE, TWO], [_row(ONE), _row(TWO)]) == []


@pytest.mark.parametrize(
    ("known", "applied", "reason"),
    [
        ([ONE], [_row(ONE), _row(TWO)], "DatabaseNewer"),
        ([ONE, TWO], [(1, "one", "another")], "MigrationChanged"),
        ([ONE, TWO, THREE], [_row(ONE), _row(THREE)], "MigrationSkipped"),
    ],
)
def test_a_database_that_does_not_fit_is_refused_with_a_way_out(
    known: list[Migration], applied: list[tuple[int, str, str]], reason: str
):
    with pytest.raises(Damaged) as refused:
        due_migrations(known, applied)
    assert refused.value.reason == reason
    assert refused.value.facts["fix"]


def test_line_endings_do_not_change_a_checksum():
    assert Migration(1, "one", "a\r\nb\r\n").checksum == Migration(1, "one", "a\nb\n").checksum
    assert ONE.checksum != TWO.checksum


def test_the_shipped_migrations_are_numbered_from_one_without_a_gap():
    shipped = load_migrations()
    assert [migration.number for migration in shipped] == list(range(1, len(shipped) + 1))


def test_two_migrations_of_one_number_or_of_no_number_are_a_mistake(tmp_path: Path):
    (tmp_path / "0001_one.sql").write_text("SELECT 1")
    (tmp_path / "notes.txt").write_text("not looked at")
    assert [migration.name for migration in load_migrations(tmp_path)] == ["one"]
    (tmp_path / "0001_other.sql").write_text("SELECT 1")
    with pytest.raises(ValueError, match="0001"):
        load_migrations(tmp_path)
    (tmp_path / "0001_other.sql").rename(tmp_path / "other.sql")
    with pytest.raises(ValueError, match=r"other\.sql"):
        load_migrations(tmp_path)


def test_a_url_names_a_file_or_a_server():
    assert sqlite_path("sqlite:///var/lib/claviger/claviger.db") == Path("/var/lib/claviger/claviger.db")
    assert sqlite_path("sqlite:///with%20space/a%3Fb.db") == Path("/with space/a?b.db")
    assert sqlite_path("postgresql://claviger@db:5432/claviger") is None


@pytest.mark.parametrize(
    "url",
    ["", "claviger.db", "sqlite://claviger.db", "sqlite:", "sqlite:///", "mysql://u:hunter2@h/d", "sqlite:///a?b=1"],
)
def test_another_url_is_refused_and_not_repeated(url: str):
    with pytest.raises(Misconfigured) as refused:
        sqlite_path(url)
    assert "hunter2" not in str(refused.value)
    assert "sqlite:///" in str(refused.value.facts["fix"])
