"""The examples run as README.md says: nothing of Claviger in them, and everything they print is right."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import NodeClients
from tests.packaging import ROOT, ask
from tests.serving import Estate

EXAMPLES = ROOT / "examples"
PROGRAMS = ["javascript/secret_life.mjs", "curl/secret_life.sh", "python/secret_life.py", "python/key_life.py"]


@pytest.fixture
def environment(estate: Estate, names_for_programs: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """What a shell has after `eval "$(claviger env)"`."""
    shell = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    return {**shell, **names_for_programs, **estate.server.exported}


def _judge(said: str) -> None:
    """Every step prints a line; what it checked is true."""
    told = dict(re.findall(r"^(\w+) +(.*)$", said, re.MULTILINE))
    assert {"set", "get", "older", "update", "versions", "delete", "recover", "purge", "restore"} <= told.keys(), said
    assert [told[name] for name in ("get", "older", "restore")] == ["true"] * 3
    assert told["versions"] == "2"


def test_the_javascript_example(environment: dict[str, str], node_clients: NodeClients, tmp_path: Path):
    (tmp_path / "node_modules").symlink_to(node_clients.folder / "node_modules")
    program = shutil.copy(EXAMPLES / "javascript" / "secret_life.mjs", tmp_path)
    done = ask(*node_clients.command, str(program), env=environment)
    assert done.returncode == 0, done.stderr
    _judge(done.stdout)


def test_the_javascript_example_wants_the_versions_that_are_tested():
    wanted = json.loads((EXAMPLES / "javascript" / "package.json").read_text())["dependencies"]
    tested = json.loads((ROOT / "tests" / "clients" / "js" / "package.json").read_text())["devDependencies"]
    assert {name: version.lstrip("^") for name, version in wanted.items()} == tested


def test_the_curl_example(environment: dict[str, str]):
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed here, which the example takes to read JSON; tests/clients/curl does without")
    done = ask("bash", str(EXAMPLES / "curl" / "secret_life.sh"), env=environment)
    assert done.returncode == 0, done.stderr
    _judge(done.stdout)


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_example_knows_nothing_of_this_server(program: str):
    assert not re.search(
        r"claviger|localhost|127\.0\.0\.1|verify|insecure", (EXAMPLES / program).read_text(), re.IGNORECASE
    )
