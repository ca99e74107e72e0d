"""OCI's trials by crash and hostile input of `make figures` in a size for every run, and proof that they see."""

from __future__ import annotations

import json
import random
import statistics
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from claviger.core.clock import ManualClock
from claviger.crypto.envelope import OVERHEAD, SealingKey
from claviger.store.opening import migrate
from figures import crash, ocicrash, ocifuzz, ocileaks
from figures.answers import Answer
from figures.databases import Database
from figures.haystack import Haystack
from figures.ocichanges import next_change
from figures.ocijournal import Change, Journal, judge
from figures.ocijudging import NOT_AUTHENTICATED, OciAsked, OciJudge
from tests.postgres import Databases

KILLS = 4
INPUTS = 200
VALUES = 60

pytestmark = pytest.mark.usefixtures("patience")


def test_killed_servers_lose_nothing_of_vaults_and_keys(tmp_path: Path, seed: int) -> None:
    report = ocicrash.run(tmp_path, KILLS, seed)
    assert report.kills == KILLS
    assert report.acknowledged > KILLS, "hardly anything was written"
    assert report.under_way > 0, "no kill met a change under way"
    assert not report.findings, report.table()
    assert statistics.median(report.ready_s) < 4 * crash.READY_LIMIT_S, report.ready_s


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_spoilt_requests_break_nothing(tmp_path: Path, seed: int, kind: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    report = ocifuzz.run_on(Database(url), tmp_path, INPUTS, seed)
    assert report.inputs == INPUTS
    assert set(report.statuses) >= {"200", "400", "401", "404"}
    assert sum(1 for count in report.reached.values() if count) > 10, report.reached
    assert report.parts["HTTP"] > INPUTS / 5
    assert report.found == 0, report.table()


def test_no_material_is_found_anywhere(tmp_path: Path, seed: int) -> None:
    report = ocileaks.run_on(Database(), tmp_path, VALUES, seed)
    assert report.controls == 3
    assert report.made > 20
    assert report.statuses["200"] > VALUES / 3
    assert report.statuses["400"] > VALUES / 8
    assert report.found == 0, report.table()


def test_nor_on_postgresql(tmp_path: Path, seed: int, postgres_databases: Databases) -> None:
    url = postgres_databases.create()
    try:
        report = ocileaks.run_on(Database(url), tmp_path, VALUES, seed)
    finally:
        postgres_databases.drop(url)
    assert report.controls == 3
    assert report.found == 0, report.table()


# ---------------------------------------------------------------- what is wrong is seen: servers that are broken


def broken(folder: Path, program: str) -> dict[str, str]:
    """The environment of a server that runs this first."""
    (folder / "broken").mkdir()
    (folder / "broken" / "sitecustomize.py").write_text(program)
    return {"PYTHONPATH": str(folder / "broken")}


CARELESS = """
from claviger.core.errors import Conflict
from claviger.ocikms.keys.operations import Keys
from claviger.ocikms.signature import Verifier

Verifier._check = lambda *_: None
change = Keys.update

async def careless(self, call):
    await change(self, call)
    raise Conflict("WrongState", message="see app.py")

Keys.update = careless
"""


def test_a_server_that_lets_through_and_changes_what_it_refuses_is_found_out(tmp_path: Path, seed: int) -> None:
    report = ocifuzz.run_on(Database(), tmp_path, 3 * INPUTS, seed, broken(tmp_path, CARELESS))
    assert report.kinds["let through"] > 0
    assert report.kinds["changed by what was refused"] > 0
    assert report.kinds["error shape"] > 0  # it tells of its inside
    assert "let through" in report.table()


UNSEALED = f"""
from claviger.crypto.envelope import SealingKey

SealingKey.seal = lambda self, plaintext, bound_to: b"\\1" * {OVERHEAD} + plaintext
SealingKey.open = lambda self, sealed, bound_to: sealed[{OVERHEAD}:]
"""


def test_with_sealing_off_material_and_contents_are_found(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Haystack, "add_process", lambda self, pid: None)
    monkeypatch.setattr(SealingKey, "seal", lambda self, plaintext, bound_to: b"\1" * OVERHEAD + plaintext)
    monkeypatch.setattr(SealingKey, "open", lambda self, sealed, bound_to: sealed[OVERHEAD:])
    report = ocileaks.run_on(Database(), tmp_path, VALUES // 2, seed, broken(tmp_path, UNSEALED))
    written = [detail for kind, detail in report.findings if kind == "written down"]
    for kind in ("plain", "key", "wrapping key", "marking key"):
        assert any(f"({kind}) in after a stop: data/claviger.db" in detail for detail in written), (kind, written[-9:])
    assert {kind for kind, _ in report.findings} == {"written down"}


# ---------------------------------------------------------------- what is wrong is seen: the journal


@pytest.fixture
def journal() -> Journal:
    """A vault with keys and secrets, everything named."""
    made = Journal(1_800_000_000, ("here", "there"))
    dice = random.Random(5)
    for number in range(60):
        _, made = next_change(made, dice, f"n{number}")
        assert made.vault is not None
        made.vault.ident = "ocid1.vault.oc1.iad.prefix.x"
        for key in made.vault.keys:
            key.ident = f"ocid1.key.oc1.iad.prefix.{key.number}"
            for version in key.versions:
                version.ident = f"version-{version.number}"
        for at, secret in enumerate(made.secrets):
            secret.ident = f"secret-{at}"
    assert made.vault is not None
    assert len(made.vault.keys) > 2
    assert made.secrets
    return made


def test_the_journal_makes_only_changes_that_are_right_and_of_every_kind(journal: Journal) -> None:
    dice, names = random.Random(6), set()
    for number in range(600):
        change, after = next_change(journal, dice, f"m{number}")
        assert isinstance(change, Change)
        names.add(change.name)
        if change.name not in ("CreateKey", "CreateSecret", "CreateKeyVersion"):
            journal = after
    assert len(names) > 15, names


def test_what_was_under_way_may_have_happened_or_not(journal: Journal) -> None:
    dice = random.Random(7)
    for number in range(60):
        _, after = next_change(journal, dice, f"u{number}")
        assert judge(journal, after, journal.seen()).finding == ""
        told = deepcopy(after)
        assert told.vault is not None
        for key in told.vault.keys:
            key.ident = key.ident or "fresh"
            key.current.ident = key.current.ident or "fresh-version"
        for secret in told.secrets:
            secret.ident = secret.ident or "fresh"
        verdict = judge(journal, after, told.seen())
        assert verdict.finding == "", verdict.detail
        assert verdict.journal.seen() == told.seen()


def test_the_journal_tells_lost_from_half_written(journal: Journal) -> None:
    seen = journal.seen()
    key = next(iter(seen.keys))
    without = {ident: one for ident, one in seen.keys.items() if ident != key}
    half = {**seen.keys, key: replace(seen.keys[key], name="other")}
    _, after = next_change(journal, random.Random(8), "more")
    assert judge(journal, None, replace(seen, keys=without)).finding == "lost"
    assert judge(journal, None, replace(seen, name="other")).finding == "lost"
    assert judge(journal, after, replace(seen, keys=half)).finding == "half-written"
    assert judge(journal, None, replace(seen, keys={**seen.keys, "another": seen.keys[key]})).finding == "lost"
    secret = next(iter(seen.secrets))
    cut = replace(seen.secrets[secret], count=seen.secrets[secret].count + 1)
    assert judge(journal, None, replace(seen, secrets={**seen.secrets, secret: cut})).finding == "lost"


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("DELETE FROM oci_vaults", "a key without its vault"),
        ("DELETE FROM oci_key_versions", "a key whose current version is not its own"),
        ("DELETE FROM oci_keys", "a version without its key"),
        ("UPDATE oci_key_versions SET sealed = NULL", "a version without its material"),
        ("UPDATE oci_keys SET state = 'PENDING_DELETION'", "a key half scheduled"),
        ("UPDATE oci_vaults SET state = 'PENDING_DELETION'", "a vault half scheduled"),
        ("UPDATE oci_keys SET by_vault = 1", "a key that was left behind"),
        ("UPDATE oci_vaults SET state = 'PENDING_DELETION', deletes_at = 9", "a key that was left behind"),
        ("DELETE FROM oci_secret_versions", "a secret without its current"),
        ("UPDATE oci_secrets SET latest_version = 0", "a version of a secret that came after"),
        ("UPDATE oci_secret_versions SET sealed = NULL", "a content without its data key"),
        ("UPDATE oci_secrets SET deletes_at = 9", "a secret half scheduled"),
    ],
)
def test_rows_that_do_not_belong_together_are_found(tmp_path: Path, damage: str, what: str) -> None:
    database = tmp_path / "claviger.db"
    migrate(f"sqlite://{database}", ManualClock(1.0))
    connection = apsw.Connection(str(database))
    connection.execute("PRAGMA foreign_keys = OFF").fetchall()
    connection.execute(
        """
        INSERT INTO data_keys (id, scope, state, root_key_id, wrapped, created_at)
            VALUES (7, 's', 'current', 'r', x'', 1);
        INSERT INTO oci_vaults (num, id, tenancy_num, region, prefix, compartment_id, display_name, vault_type, state,
            passing, passing_until, freeform_tags, defined_tags, wrapping_key_id, revision, created_at, updated_at)
            VALUES (1, 'v', 1, 'r', 'p', 'c', 'n', 'DEFAULT', 'ACTIVE', '', 0, '{}', '{}', 'w', 1, 1, 1);
        INSERT INTO oci_keys (num, id, vault_num, compartment_id, display_name, algorithm, length, protection_mode,
            current_version_id, state, passing, passing_until, by_vault, is_auto_rotated, freeform_tags, defined_tags,
            revision, created_at, updated_at)
            VALUES (1, 'k', 1, 'c', 'n', 'AES', 32, 'HSM', 'r', 'ENABLED', '', 0, 0, 0, '{}', '{}', 1, 1, 1);
        INSERT INTO oci_key_versions (id, key_num, state, passing, passing_until, origin, is_auto_rotated, data_key_id,
            sealed, revision, created_at) VALUES ('r', 1, 'ENABLED', '', 0, 'INTERNAL', 0, 7, x'00', 1, 1);
        INSERT INTO oci_secrets (num, id, vault_num, key_id, compartment_id, name, rules, is_auto_generated,
            current_version, previous_version, pending_version, latest_version, state, passing, passing_until,
            freeform_tags, defined_tags, revision, created_at, updated_at)
            VALUES (1, 's', 1, 'k', 'c', 'n', '{}', 0, 1, 0, 0, 1, 'ACTIVE', '', 0, '{}', '{}', 1, 1, 1);
        INSERT INTO oci_secret_versions (secret_num, number, content_mark, is_auto_generated, state, data_key_id,
            sealed, created_at) VALUES (1, 1, 'm', 0, 'ACTIVE', 7, x'00', 1);
        """
    )
    before = [detail for _, detail in crash.orphans(database, queries=ocicrash.ORPHANS)]
    assert not [detail for detail in before if "leads nowhere" not in detail]
    connection.execute(damage)
    connection.close()
    found = [detail for _, detail in crash.orphans(database, queries=ocicrash.ORPHANS)]
    assert any(detail.startswith(what) for detail in found), found


# ---------------------------------------------------------------- what is wrong is seen: answers


IDS = "A" * 32 + "/" + "B" * 32
HEADERS = {
    "content-type": "application/json",
    "cache-control": "no-cache, no-store, no-transform, must-revalidate",
    "opc-request-id": f"mine/{IDS}",
    "etag": "0" * 40,
}
ERROR = {"code": "InvalidParameter", "message": "no"}
ASKED = OciAsked("GET", "/20180608/keys/x", b"GET /20180608/keys/x", "management", "mine")


def answer(status: int = 400, body: object = ERROR, **headers: str | None) -> Answer:
    """An answer with other headers; None leaves one out."""
    given = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name: value for name, value in given.items() if value is not None}, content)


@pytest.mark.parametrize(
    ("right", "asked"),
    [
        (answer(), ASKED),
        (answer(200, {"id": "x"}), ASKED),
        (answer(401, {"code": "NotAuthenticated", "message": NOT_AUTHENTICATED}), replace(ASKED, must_refuse=True)),
        (answer(200, {}, opc_request_id="mine"), replace(ASKED, plane="crypto", target="/20180608/encrypt")),
        (answer(501, {"code": "MethodNotImplemented", "message": "no"}), replace(ASKED, raw=b"DELETE /20160918/users")),
        (answer(200, b"\xff", content_type="application/octet-stream"), replace(ASKED, target="/n/a/b/c/o/d")),
        (answer(404, {"error": {"code": "NotFound", "message": "no"}}, opc_request_id=None, content_type=None), None),
    ],
)
def test_a_right_answer_passes(right: Answer, asked: OciAsked | None) -> None:
    if asked is None:  # somebody else's, at a host of his own
        right = replace(right, headers={"content-type": "application/json; charset=utf-8"})
        assert OciJudge().of(right, replace(ASKED, is_ours=False)) == []
    else:
        assert OciJudge().of(right, asked) == []


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (answer(500, {"code": "InternalServerError", "message": "no"}), "5xx"),
        (answer(501, {"code": "MethodNotImplemented", "message": "no"}), "5xx"),
        (answer(503, {"code": "ServiceUnavailable", "message": "no"}), "5xx"),
        (answer(body={"error": {"code": "X", "message": "no"}}), "error shape"),
        (answer(body={"code": "InvalidParameter", "message": ""}), "error shape"),
        (answer(body={"code": "IncorrectState", "message": "no"}), "error shape"),
        (answer(body={"code": "InvalidParameter", "message": "in app.py"}), "error shape"),
        (answer(401, {"code": "NotAuthenticated", "message": "who are you?"}), "error shape"),
        (answer(body=b"no"), "error shape"),
        (answer(content_type="text/html"), "content type"),
        (answer(opc_request_id=None, status=403), "header"),
        (answer(opc_request_id="mine"), "header"),
        (answer(opc_request_id=f"other/{IDS}"), "header"),
        (answer(200, {}, etag=None), "header"),
        (answer(200, {}, cache_control=None), "header"),
        (answer(202, {}), "undocumented"),
    ],
)
def test_a_wrong_answer_is_found(wrong: Answer, kind: str) -> None:
    assert kind in {found for found, _ in OciJudge().of(wrong, ASKED)}


def test_what_is_let_through_and_a_request_id_that_comes_twice_are_found() -> None:
    judge = OciJudge()
    assert judge.of(answer(200, {}), replace(ASKED, must_refuse=True))[0][0] == "let through"
    assert [kind for kind, _ in judge.of(answer(200, {}), ASKED)] == ["header"]
