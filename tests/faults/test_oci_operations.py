"""The trial of operations on keys of OCI in a size for every run, and proof that it sees what is wrong."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claviger.cckm.oci.keys.trades import KEY_TRADES
from claviger.cckm.oci.uploads.acts import UPLOAD_TRADES
from claviger.cckm.oci.versions.trades import VERSION_TRADES
from figures import operations
from figures.databases import Database
from figures.ocilives import KeyLife, KeyState
from figures.ocipoints import OCI_POINTS
from figures.points import Point

KILLS, FEW = 2, 4


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_operations_on_keys_are_done_once_whoever_is_killed(
    tmp_path: Path, seed: int, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    points = tuple(random.Random(f"oci/{seed}").sample(OCI_POINTS, FEW))
    rounds = 1 if kind == "sqlite" else 0
    report = operations.run_on(Database(url), tmp_path, KILLS, seed, points, rounds=rounds, clouds=(operations.OCI,))
    assert (report.points, report.kills) == (FEW, KILLS)
    assert report.acknowledged > 0
    assert report.found == 0, report.table()


def point_of(operation: str, point: str) -> Point:
    return next(each for each in OCI_POINTS if (each.operation, each.point) == (operation, point))


BROKEN = """
from uuid import uuid4
import msgspec
from claviger.cckm.oci.keys import trades
from claviger.cckm.oci.keys.cloud import VaultKeys
from claviger.cckm.oci.keys.work import Outcome, Saved
from claviger.cckm.sealed import Safe
create, remove = VaultKeys.create, Safe.remove
async def as_it_is(cloud, work, doubt):
    return Outcome(key=await cloud.get(work.ocid))
async def fails(cloud, work, doubt):
    raise RuntimeError
def broken(operation, **parts):
    trades.KEY_TRADES[operation] = msgspec.structs.replace(trades.KEY_TRADES[operation], **parts)

VaultKeys.create = lambda self, details, token: create(self, details, str(uuid4()))
broken("disable", ask=as_it_is)
broken("update", save=lambda tx, vault, work, outcome, now: Saved(work.key_id))
Safe.remove = staticmethod(lambda tx, kind, ident: None if kind == "oci-intent" else remove(tx, kind, ident))
broken("cancel-deletion", ask=fails)
"""
"""A server in which each of some operations is broken in its own way: no token, no question, no record, no end."""
SEEN = {
    ("enable", "changed"): set(),
    ("create", "changed"): {"twice", "not agreed"},
    ("disable", "intended"): {"other than asked"},
    ("update", "changed"): {"not agreed", "other than asked"},
    ("add-local-version", "acted"): {"left over"},
    ("cancel-deletion", "intended"): {"still open", "other than asked", "left over"},
    ("enable", "nowhere"): {"not killed"},
}


def test_the_trial_sees_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "off").mkdir()
    (tmp_path / "off" / "sitecustomize.py").write_text(BROKEN)
    known = {each: point_of(*each) for each in SEEN if each[1] != "nowhere"}
    points = (*known.values(), Point("enable", "nowhere", known["enable", "changed"].kind))
    report = operations.run_on(
        Database(),
        tmp_path,
        0,
        1,
        points,
        rounds=0,
        environment={"PYTHONPATH": f"{tmp_path / 'off'}"},
        clouds=(operations.OCI,),
    )
    seen: dict[tuple[str, ...], set[str]] = {each: set() for each in SEEN}
    for kind, detail in report.findings:
        operation, point = detail.removeprefix("OCI: ").split(" ")[0].split(":")[:2]
        seen[operation, point].add(kind)
    assert seen == SEEN, report.table()


def record(state: str = "ENABLED", versions: int = 1, place: str = "production", **tags: str) -> dict[str, Any]:
    params = {"freeform_tags": tags, "lifecycle_state": state.removesuffix("*"), "protection_mode": "HSM"}
    backup = {"backup_at": "then"} if state.endswith("*") else {}
    return {"id": "x", "versions": versions, "compartment_name": place, "oci_params": params, **backup}


ONE = KeyState("ENABLED", 1, None, "production")


@pytest.mark.parametrize(
    ("doubt", "records", "kind", "happened"),
    [
        (None, [record()], None, False),
        (None, [record("DISABLED")], "lost", False),
        (None, [], "lost", False),
        (None, [record(), record()], "twice", False),
        ("update", [record()], None, False),
        ("update", [record(n="7")], None, True),
        ("update", [record(n="6")], "lost", False),
        ("disable", [record("DISABLED")], None, True),
        ("add-version", [record(versions=2)], None, True),
        ("add-version", [record(versions=3)], "twice", False),
        ("add-local-version", [record(versions=3)], "twice", False),
        ("change-compartment", [record(place="staging")], None, True),
        ("change-compartment", [record(place="archive")], "lost", False),
        ("schedule-deletion", [record("PENDING_DELETION")], None, True),
    ],
)
def test_what_became_of_a_key_is_judged(
    doubt: str | None, records: list[Any], kind: str | None, happened: bool
) -> None:
    life = KeyLife("k")
    life.state = ONE
    life.doubt = None if doubt is None else (doubt, ONE.after(doubt, "7"))
    finding, done = life.judge(records)
    assert (finding and finding[0], done) == (kind, happened)


def test_a_key_comes_back_as_it_was() -> None:
    disabled = ONE.after("disable", "")
    waiting = disabled.after("schedule-deletion", "")
    assert waiting.after("cancel-deletion", "") == disabled
    life = KeyLife("k")
    life.state, life.doubt = disabled, ("schedule-deletion", waiting)
    assert life.judge([record("PENDING_DELETION")]) == (None, True)
    assert life.state.after("cancel-deletion", "") == disabled


@pytest.mark.parametrize(
    ("operation", "records", "kind", "happened"),
    [
        ("restore", [record("DELETED*")], None, False),
        ("restore", [record()], None, True),
        ("restore", [record("DELETED")], "lost", False),
        ("delete-backup", [record("DELETED")], None, True),
        ("remove", [record("DELETED*")], None, False),
        ("remove", [], None, True),
    ],
)
def test_what_became_of_a_deleted_key_is_judged(
    operation: str, records: list[Any], kind: str | None, happened: bool
) -> None:
    life = KeyLife("k")
    life.state = replace(ONE, is_backed_up=True).after("schedule-deletion", "").days_later()
    life.doubt = operation, life.state.after(operation, "")
    finding, done = life.judge(records)
    assert (finding and finding[0], done) == (kind, happened)
    assert ONE.days_later() == ONE


def test_every_point_is_tried() -> None:
    assert len(OCI_POINTS) == len(set(OCI_POINTS)) == 17 * 4 + 2 + 2
    kinds = {f"oci-key-{operation}" for operation in (*KEY_TRADES, *VERSION_TRADES, *UPLOAD_TRADES)}
    assert {each.kind for each in OCI_POINTS} == kinds
