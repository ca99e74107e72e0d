"""Programs of the official SDKs, written for Azure, under `claviger exec`: not a word of them is changed or ours."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.conftest import NodeClients
from tests.executing import Shell
from tests.vaults import spare_name

PROGRAMS = Path(__file__).parent / "genuine"
PYTHON = sorted(path.name for path in PROGRAMS.glob("*.py"))


@pytest.mark.parametrize("program", PYTHON)
def test_a_python_program(shell: Shell, program: str) -> None:
    assert shell.said(sys.executable, str(PROGRAMS / program)) == "lived\n"


@pytest.mark.parametrize("program", ["default_credential.mjs", "environment_credential.mjs", "client_secret.mjs"])
def test_a_javascript_program(shell: Shell, node_clients: NodeClients, program: str) -> None:
    assert shell.said(*node_clients.command, str(node_clients.folder / program)) == "lived\n"


def test_they_know_nothing_of_this_server() -> None:
    assert len(PYTHON) == 5
    for path in PROGRAMS.glob("*.py"):
        assert not re.search(
            "claviger|localhost|127[.]0|proxy|[.]pem|verify|discovery", path.read_text(), re.IGNORECASE
        )


def test_in_a_shell_made_ready_for_the_local_names(shell: Shell) -> None:
    """What `claviger env` exports would send DefaultAzureCredential to the identity endpoint; here it is not needed."""
    exported = {name: text for name, text in shell.server.exported.items() if name != "AZURE_KEYVAULT_URL"}
    assert exported["AZURE_TOKEN_CREDENTIALS"] == "ManagedIdentityCredential"
    assert shell.said(sys.executable, str(PROGRAMS / "default_credential.py"), more=exported) == "lived\n"


def test_no_exception_of_the_user_hides_a_cloud_host(shell: Shell) -> None:
    more = {"NO_PROXY": "*", "no_proxy": "azure.net,.microsoftonline.com,localhost"}
    assert shell.said(sys.executable, str(PROGRAMS / "default_credential.py"), more=more) == "lived\n"


def test_credentials_that_a_pipeline_has_already(shell: Shell, tmp_path: Path) -> None:
    """Its tenant is here already; its application is made known by the id and the secret that it has."""
    name, client_id = spare_name("app"), "0b6bbd19-d3b4-4be5-9d3c-1f2d6c2f9c11"
    secret = "Gx78Q~from.Entra_generated-0123456789abcd"
    (tmp_path / "secret").write_text(secret + "\n")
    own = {
        "AZURE_TENANT_ID": shell.server.exported["AZURE_TENANT_ID"],
        "AZURE_CLIENT_ID": client_id,
        "AZURE_CLIENT_SECRET": secret,
    }
    program = (sys.executable, str(PROGRAMS / "environment_credential.py"))
    before = shell.run(*program, more=own)
    assert b"AADSTS700016" in before.stderr, "unknown here, and nobody else is asked"
    told = shell.server.command("app", "create", name, "--client-id", client_id, "--secret-file", f"{tmp_path}/secret")
    assert (told["client_id"], told["client_secret"]) == (client_id, None)
    shell.server.command("role", "assign", "Key Vault Secrets Officer", name, "--vault", "demo")
    assert shell.said(*program, more=own) == "lived\n"
