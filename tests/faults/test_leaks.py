"""The leak trial of `make figures` in a size for every run, and proof that it sees: with sealing off, for one."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from claviger.crypto.envelope import OVERHEAD, SealingKey
from figures.databases import Database
from figures.haystack import Haystack
from figures.leaks import run_on
from figures.needles import KINDS, Needle, Search, make_controls, make_needles, spellings
from tests.postgres import Databases

VALUES = 280
FEW = 120

pytestmark = pytest.mark.usefixtures("patience")


def test_no_value_is_found_anywhere(tmp_path: Path, seed: int) -> None:
    report = run_on(Database(), tmp_path, VALUES, seed)
    assert report.controls == 6
    assert report.made > 15
    assert report.statuses["200"] > VALUES / 10
    assert report.statuses["400"] > VALUES / 4
    assert report.found == 0, report.table()


def test_nor_on_postgresql(tmp_path: Path, seed: int, postgres_databases: Databases) -> None:
    url = postgres_databases.create()
    try:
        report = run_on(Database(url), tmp_path, VALUES, seed)
    finally:
        postgres_databases.drop(url)
    assert report.controls == 6
    assert report.found == 0, report.table()


UNSEALED = f"""
from claviger.crypto.envelope import SealingKey

SealingKey.seal = lambda self, plaintext, bound_to: b"\\1" * {OVERHEAD} + plaintext
SealingKey.open = lambda self, sealed, bound_to: sealed[{OVERHEAD}:]
"""


def test_with_sealing_off_the_trial_finds_the_values_and_knows_where_it_did_not_look(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Haystack, "add_process", lambda self, pid: None)
    (tmp_path / "off").mkdir()
    (tmp_path / "off" / "sitecustomize.py").write_text(UNSEALED)  # for the server; below, for commands in this process
    monkeypatch.setattr(SealingKey, "seal", lambda self, plaintext, bound_to: b"\1" * OVERHEAD + plaintext)
    monkeypatch.setattr(SealingKey, "open", lambda self, sealed, bound_to: sealed[OVERHEAD:])
    report = run_on(Database(), tmp_path, FEW, seed, environment={"PYTHONPATH": str(tmp_path / "off")})
    written = [detail for kind, detail in report.findings if kind == "written down"]
    for sealed in ("connection", "backup", "notice", "signing-key"):  # of the control plane
        assert any(f"(sealed {sealed}) in after a stop: data/" in each for each in written), (sealed, written[-20:])
    places = [detail.partition(" in ")[2] for detail in written]
    for place in ("after a kill: data/claviger.db", "after a stop: data/claviger.db"):
        assert any(each.startswith(place) for each in places), (place, places[:20])
    assert report.count("search blind") == os.path.exists("/proc/self/environ")
    # A backup that is open names its secret's version, which everybody is shown.
    kinds = {kind for kind, detail in report.findings if "(sealed backup)" not in detail}
    assert kinds <= {"written down", "search blind"}, report.table()


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


WRITTEN: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "JSON": lambda value: json.dumps({"value": value}).encode(),
    "JSON, not ASCII": lambda value: json.dumps({"value": value}, ensure_ascii=False).encode(),
    "JSON in JSON": lambda value: json.dumps(json.dumps({"value": value})).encode(),
    "a list's repr": lambda value: repr([value]).encode(),
    "bytes' repr": lambda value: repr(b"x" + value.encode()).encode(),
    "URL": lambda value: f"https://x/?a={quote(value, safe='')}&b".encode(),
    "hex": lambda value: b"7a" + value.encode().hex().encode(),
    "HEX": lambda value: b"7A" + value.encode().hex().upper().encode(),
    "base64": lambda value: base64.b64encode(b"" + value.encode() + b"more"),
    "base64 behind one": lambda value: base64.b64encode(b"1" + value.encode() + b"more"),
    "base64 behind two": lambda value: base64.b64encode(b"22" + value.encode() + b"mo"),
    "base64url behind one": lambda value: base64.urlsafe_b64encode(b"1" + value.encode()),
    "UTF-16": utf16,
    "UTF-16 the other way": lambda value: value.encode("utf-16-be"),
    "only the beginning": lambda value: value.encode()[:24],
    "only the end": lambda value: value.encode()[-24:],
    "only the middle": lambda value: value.encode()[4:28],
}


@pytest.mark.parametrize("how", WRITTEN)
def test_the_search_finds_a_value_however_it_was_written(how: str, seed: int) -> None:
    needles = make_needles(3 * len(KINDS), seed)
    search = Search(needles)
    for needle in needles:
        if needle.kind == "long" and how.startswith("only"):
            continue  # of very long values only so many pieces are known
        content = b"\0before " + WRITTEN[how](needle.value) + b" after\n"
        assert needle.number in search.places_in(content), needle
    assert (
        search.places_in(b"".join(spelling for other in make_controls(3, seed) for spelling in spellings(other.value)))
        == {}
    )


def test_a_piece_of_a_long_value_is_found(seed: int) -> None:
    needles = [needle for needle in make_needles(40, seed) if needle.kind == "long"]
    search = Search(needles)
    for needle in needles:
        assert needle.number in search.places_in(needle.value.encode()[100:2000])


def test_values_are_replayable_and_unlike() -> None:
    assert make_needles(200, 5) == make_needles(200, 5)
    assert len({needle.value for needle in [*make_needles(200, 5), *make_needles(200, 6)]}) == 400


@pytest.mark.parametrize("name", ["claviger.db-wal", "deep/down/core.1"])
def test_a_value_in_any_file_is_found(tmp_path: Path, name: str) -> None:
    needle = Needle(7, "a-value-of-more-than-sixteen-letters", "plain")
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(1000) + needle.value.encode() + os.urandom(1000))
    haystack = Haystack()
    haystack.add_files("data", tmp_path)
    assert [place.split(" at ")[0] for place in haystack.places_of([needle])[7]] == [f"data/{name}"]
