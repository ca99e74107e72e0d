"""Programs written for Azure Key Vault run against this server with nothing but what `claviger env` exports.

The programs know the official SDKs and no more: no certificate, no port, no host is named in them, and verification of
the challenge's resource is on.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NodeClients
from tests.serving import Estate

PROGRAMS = Path(__file__).parent / "programs"
EXAMPLES = Path(__file__).parents[2] / "examples"
STANDALONE = sorted(path.name for path in PROGRAMS.glob("*.py") if not path.name.startswith("whole_life"))
LIMIT_S = 90


def _environment(estate: Estate, names_for_programs: dict[str, str], home: Path) -> dict[str, str]:
    """What a shell has after `eval "$(claviger env)"`, and nothing else of the caller's."""
    shell = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    return {**shell, **names_for_programs, **estate.server.exported}


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("program", STANDALONE)
def test_a_python_program(estate: Estate, names_for_programs: dict[str, str], tmp_path: Path, program: str):
    environment = _environment(estate, names_for_programs, tmp_path)
    assert _run([sys.executable, str(PROGRAMS / program)], environment) == "lived\n"


def test_every_program_was_run():
    assert len(STANDALONE) == 6


@pytest.mark.parametrize("program", sorted(path.name for path in PROGRAMS.iterdir() if path.is_file()))
def test_a_program_knows_nothing_of_this_server(program: str):
    text = (PROGRAMS / program).read_text()
    assert re.findall("claviger|localhost|127[.]0|verify|verification|[.]pem|bundle", text, re.IGNORECASE) == []


@pytest.mark.parametrize("program", sorted(path.name for path in (EXAMPLES / "python").glob("*.py")))
def test_an_example(estate: Estate, names_for_programs: dict[str, str], tmp_path: Path, program: str):
    said = _run(
        [sys.executable, str(EXAMPLES / "python" / program)], _environment(estate, names_for_programs, tmp_path)
    )
    assert said
    assert "False" not in said


@pytest.mark.parametrize("program", ["client_secret.mjs", "managed_identity.mjs", "default_credential.mjs"])
def test_a_javascript_program(
    estate: Estate, names_for_programs: dict[str, str], node_clients: NodeClients, tmp_path: Path, program: str
):
    environment = _environment(estate, names_for_programs, tmp_path)
    assert _run([*node_clients.command, str(node_clients.folder / program)], environment) == "lived\n"


def test_curl(estate: Estate, names_for_programs: dict[str, str], tmp_path: Path):
    script = Path(__file__).parents[1] / "clients" / "curl" / "whole_life.sh"
    assert _run(["bash", str(script)], _environment(estate, names_for_programs, tmp_path)).endswith("lived\n")


def test_the_exported_variables_are_those_that_clients_read(estate: Estate):
    named = {
        "AZURE_KEYVAULT_URL",
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_AUTHORITY_HOST",
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER",
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
    }
    assert named <= estate.server.exported.keys()


def test_the_shell_form_of_env_says_the_same_as_its_json(estate: Estate):
    said = estate.server.program("env")
    assert said.returncode == 0, said.stderr
    shown = subprocess.run(
        ["bash", "-c", 'eval "$(cat)" && env -0'], input=said.stdout, capture_output=True, text=True, check=True, env={}
    ).stdout
    told = dict(line.split("=", 1) for line in shown.split("\0") if line)
    exported = {name: told.get(name) for name in estate.server.exported}
    assert exported == estate.server.exported
