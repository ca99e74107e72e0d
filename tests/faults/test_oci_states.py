"""The trials of OCI's states and the walk of `make figures` in a size for every run, and proof that they see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from claviger.core.errors import Conflict
from claviger.lifecycle.transitions import TransitionTable
from claviger.ocikms import states
from claviger.ocikms.calls import Answer, Call
from claviger.ocikms.keys import records
from claviger.ocikms.keys import rules as key_rules
from claviger.ocikms.keys.operations import Keys
from claviger.ocikms.keys.records import Key
from claviger.ocikms.sweeper import Sweeper
from figures import ocistates, ociwalk
from figures.databases import Database
from figures.ocimodel import CONFLICT, DAY_S, GONE, WRONG_STATE, WRONG_VALUE, Expected, Model
from figures.ocistatetables import SHOWS, TABLES, Cell

SHARE = 0.12
STEPS = 300
FIXED_SEED = 7
"""For proofs: that something wrong is met must not be a matter of luck."""
NOTHING: dict[str, tuple[Cell, ...]] = dict.fromkeys(TABLES, ())


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_cells_of_state_and_operation_are_as_the_contract_says(
    tmp_path: Path, seed: int, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    report = await ocistates.run_on(Database(url), tmp_path, 1, seed, SHARE if url is None else SHARE / 3)
    assert set(report.cells) == set(TABLES)
    assert report.cells.total() > 30
    assert not report.findings, report.table()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_walk_agrees_with_the_model(
    tmp_path: Path, seed: int, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    monkeypatch.setattr(ociwalk, "COMPARED_EVERY", 60)
    report = await ociwalk.run_on(Database(url), tmp_path, STEPS, seed)
    assert report.steps.total() == STEPS
    assert report.accepted.total() > STEPS / 4
    assert report.refused.total() > STEPS / 10
    assert report.comparisons >= 2 * (STEPS // 60)
    assert not report.findings, report.table()


# ---------------------------------------------------------------- what is wrong is seen


def cells(*operations: str) -> dict[str, tuple[Cell, ...]]:
    """The rows of these operations in the table of keys, alone."""
    return NOTHING | {"key": tuple(cell for cell in TABLES["key"] if cell.operation in operations)}


def lenient() -> TransitionTable[Any, Any]:
    """The product's table of keys with one cell that it must not have."""
    found: dict[Any, dict[Any, Any]] = {}
    for operation, state, cell in key_rules.TRANSITIONS.cells():
        found.setdefault(operation, {})[state] = cell
    found[key_rules.Operation.DISABLE][key_rules.State.DISABLED] = key_rules.State.DISABLING
    return TransitionTable(found)


async def meddling(self: Keys, call: Call) -> Answer:
    """Refuses, and has changed something all the same."""
    key_id = call.path["keyId"]
    await self._store.write(lambda tx: tx.execute("UPDATE oci_keys SET revision = revision + 1 WHERE id = ?", key_id))
    raise Conflict("WrongState", message="no")


BREAKS: dict[str, tuple[object, str, object]] = {
    "status": (key_rules, "TRANSITIONS", lenient()),
    "etag": (Key, "etag_at", lambda self, now: "0" * 40),
    "settled": (key_rules, "SETTLES", dict(key_rules.SETTLES) | {key_rules.State.DISABLING: key_rules.State.ENABLED}),
    "changed by what was refused": (Keys, "update", meddling),
}


@pytest.mark.parametrize("kind", BREAKS)
async def test_a_cell_that_is_wrong_is_found(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocistates, "TABLES", cells("DisableKey", "UpdateKey"))
    monkeypatch.setattr(*BREAKS[kind])
    report = await ocistates.run_on(Database(), tmp_path, 1, FIXED_SEED)
    assert report.count(kind) > 0, report.table()
    assert f"{report.count(kind)} found" in report.table()


async def test_a_wrong_cell_of_the_table_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way round: nothing but what is written there is asserted."""
    wrong = (Cell("GetKey", "ENABLED", 409), Cell("Encrypt", "DELETED", 409), Cell("EnableKey", "ENABLED", 400))
    monkeypatch.setattr(ocistates, "TABLES", NOTHING | {"key": wrong})
    report = await ocistates.run_on(Database(), tmp_path, 1, FIXED_SEED)
    assert {kind for kind, _ in report.findings} == {"status"}
    assert {detail.split()[0] for _, detail in report.findings} == {"GetKey", "Encrypt", "EnableKey"}


def test_the_tables_have_every_operation_in_every_state() -> None:
    of_keys = {cell.state for cell in TABLES["key"]}
    assert of_keys == {state.value for state in key_rules.State} - {"DELETING"}  # which nobody is ever shown
    for cell in TABLES["key"]:
        assert len([other for other in TABLES["key"] if other.operation == cell.operation]) == len(of_keys)
    assert {cell.operation for kind in TABLES.values() for cell in kind} >= set(SHOWS)


async def forgetful(*_: Any) -> int:
    return 0


async def uncounted(*_: Any) -> records.Usage:
    return records.Usage()


WALK_BREAKS: dict[str, tuple[object, str, object]] = {
    "date": (states, "DEFAULT_DAYS", 29),
    "estate": (records, "usage", uncounted),
    "etag": (Key, "etag_at", lambda self, now: f"{self.num:040x}"),
    "material": (Sweeper, "_acted", forgetful),
    "status": (records, "cancel_with_vault", lambda *_: 0),
}


@pytest.mark.parametrize("kind", WALK_BREAKS)
async def test_a_walk_finds_what_is_wrong(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ociwalk, "COMPARED_EVERY", 60)
    monkeypatch.setattr(*WALK_BREAKS[kind])
    report = await ociwalk.run_on(Database(), tmp_path, 4 * STEPS, FIXED_SEED)
    assert report.count(kind) > 0, report.table()
    assert f"{report.count(kind)} found" in report.table()
    assert report.steps.total() < 4 * STEPS, "it goes on"


async def test_the_same_seed_walks_the_same_way(tmp_path: Path) -> None:
    first, second = [await ociwalk.run_on(Database(), tmp_path / name, 80, 3) for name in "ab"]
    assert (first.steps, first.accepted, first.refused) == (second.steps, second.accepted, second.refused)


# ---------------------------------------------------------------- the model, against the contract by hand


@pytest.fixture
def model() -> Model:
    return Model(1_000_000)


def settled_key(model: Model) -> Any:
    _, vault = model.create_vault("here", "v", "DEFAULT")
    _, key = model.create_key(vault, "here", "k", "AES", "HSM")
    return key


def test_the_model_knows_the_window_of_deletion(model: Model) -> None:
    key = settled_key(model)
    for days, answer in ((7, 200), (30, 200), (6.9, 400), (30.1, 400)):
        expected = model.schedule_key(key, model.now + int(days * DAY_S))
        assert expected.status == answer
        if answer == 200:
            assert model.cancel_key(key) == Expected(shows="CANCELLING_DELETION")
    assert model.schedule_key(key, None).deletes_at == model.now + 30 * DAY_S


def test_the_model_knows_the_cascade(model: Model) -> None:
    key = settled_key(model)
    vault = key.vault
    _, own = model.create_key(vault, "here", "own", "AES", "HSM")
    assert own is not None
    model.disable_key(key)
    model.schedule_key(own, model.now + 20 * DAY_S)
    assert model.schedule_vault(vault, model.now + 10 * DAY_S) is CONFLICT
    assert model.schedule_vault(vault, model.now + 40 * DAY_S) is WRONG_VALUE
    assert model.schedule_vault(vault, model.now + 25 * DAY_S).status == 200
    assert [one.own(model.now) for one in (key, own)] == ["PENDING_DELETION"] * 2
    assert model.cancel_key(own) is WRONG_STATE
    assert model.cancel_vault(vault) == Expected(shows="ACTIVE")
    assert [one.own(model.now) for one in (key, own)] == ["DISABLED", "PENDING_DELETION"]
    model.schedule_vault(vault, model.now + 25 * DAY_S)
    model.now += 25 * DAY_S
    assert key.shown(model.now) == "DELETED"
    assert model.use(key, None, "AES") is GONE


def test_the_model_protects_the_current_version(model: Model) -> None:
    key = settled_key(model)
    assert model.schedule_version(key.current, None) is WRONG_STATE
    old = key.current
    assert model.rotate(key)[0].shows == "CREATING"
    assert model.schedule_version(old, None).shows == "SCHEDULING_DELETION"
    assert model.use(key, old, "AES") is WRONG_STATE
    assert model.use(key, None, "AES").status == 200
