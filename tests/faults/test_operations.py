"""The trial of operations on secrets in a size for every run, and proof that it sees what is wrong."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from claviger.cckm.azure.secrets.rules import Operation
from claviger.cckm.azure.secrets.work import KINDS
from figures import operations, points
from figures.crews import Crew
from figures.databases import Database
from figures.lives import Life, State
from figures.points import POINTS, Point
from tests.desk import Desk
from tests.server import RunningServer

KILLS, FEW = 3, 5
BLIND = """
from claviger.cckm.azure.secrets import {module}
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.secrets.work import Outcome
async def never(*_):
    {does}
{module}.{table}["{operation}"] = never
"""


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_operations_are_done_once_whoever_is_killed(
    tmp_path: Path, seed: int, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    points = tuple(random.Random(seed).sample(POINTS, FEW))
    rounds = 1 if kind == "sqlite" else 0
    report = operations.run_on(Database(url), tmp_path, KILLS, seed, points, rounds=rounds, clouds=(operations.AZURE,))
    assert (report.points, report.kills) == (FEW, KILLS)
    assert report.acknowledged > 0
    assert report.found == 0, report.table()


def broken(tmp_path: Path, point: Point, text: str) -> operations.OperationsReport:
    """The trial of one point with a server that is broken in one place."""
    (tmp_path / "off").mkdir()
    (tmp_path / "off" / "sitecustomize.py").write_text(text)
    settings = {"PYTHONPATH": f"{tmp_path / 'off'}"}
    return operations.run_on(Database(), tmp_path, 0, 1, (point,), rounds=0, environment=settings)


@pytest.mark.parametrize(
    ("point", "does", "kind"),
    [
        (Point("create", "changed"), "return None", "twice"),
        (Point("hard-delete", "intended"), "return Outcome(Status.DELETED)", "lost"),
        (Point("soft-delete", "intended"), "raise RuntimeError", "still open"),
    ],
)
def test_the_trial_sees_a_question_that_is_not_asked(tmp_path: Path, point: Point, does: str, kind: str) -> None:
    text = BLIND.format(module="asks", table="ASKS", operation=point.operation, does=does)
    report = broken(tmp_path, point, text)
    assert report.count(kind) >= 1, report.table()


def record(status: str, created: int = 1, **tags: str) -> dict[str, Any]:
    param = {"tags": tags, "attributes": {"created": created}}
    return {"id": f"{created}", "status": status, "createdAt": "x", "azure_param": param}


ONE = State("AVAILABLE", 1)


@pytest.mark.parametrize(
    ("doubt", "records", "kind", "happened"),
    [
        (None, [record("AVAILABLE")], None, False),
        (None, [record("SOFT-DELETED")], "lost", False),
        (None, [], "lost", False),
        ("create", [record("AVAILABLE")], None, False),
        ("create", [record("AVAILABLE"), record("AVAILABLE", 2)], None, True),
        ("create", [record("AVAILABLE"), record("AVAILABLE", 2), record("AVAILABLE", 3)], "twice", False),
        ("update", [record("AVAILABLE", n="7")], None, True),
        ("update", [record("AVAILABLE", n="6")], "lost", False),
        ("soft-delete", [record("SOFT-DELETED")], None, True),
        ("soft-delete", [record("DELETED")], "lost", False),
        ("remove", [], None, True),
    ],
)
def test_what_became_of_a_secret_is_judged(
    doubt: str | None, records: list[Any], kind: str | None, happened: bool
) -> None:
    life = Life("s")
    life.state = ONE
    life.doubt = None if doubt is None else (doubt, ONE.after(doubt, "7"))
    finding, done = life.judge(records)
    assert (finding and finding[0], done) == (kind, happened)


def test_every_point_is_tried() -> None:
    assert len(POINTS) == len(set(POINTS)) == 36
    assert {each.operation for each in POINTS} == {*KINDS, Operation.REMOVE.value}


def test_a_server_that_lives_on_was_not_killed_at_its_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "END_LIMIT_S", 0.0)
    desk = SimpleNamespace(
        board=lambda: SimpleNamespace(fault_add=lambda **_: None), server=SimpleNamespace(has_ended=False)
    )

    def never_answered() -> httpx.Response:
        raise httpx.ReadTimeout("no answer")

    found, ready_s = points.killed_at(POINTS[0], cast(Desk, desk), never_answered)
    assert ([kind for kind, _ in found], ready_s) == (["not killed"], None)


def test_kills_amid_nothing_are_worth_nothing() -> None:
    report = operations.OperationsReport(1, "SQLite")
    operations._add_up(report, operations.AZURE, Crew(cast(RunningServer, None), [], list, list, list))
    assert report.count("not tried") == report.found == 1
