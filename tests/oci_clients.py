"""Oracle's own programs against a server of ours: one server with ports for vaults, its demo user, the SDK in here."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import oci
from oci.key_management import KmsCryptoClient, KmsManagementClient, KmsVaultClient

from bench.ports import kept_ports
from tests.executing import LIMIT_S, Shell, shell_on

PROGRAMS = Path(__file__).parent / "clients" / "oci"
PORT_COUNT = 16


class OciHouse:
    """A shell for `claviger exec`, the ports of vaults, and clients of the official SDK in this process."""

    def __init__(self, shell: Shell, ports: list[int], names: Mapping[str, str]) -> None:
        self.shell = shell
        self.ports = ports
        self._names = names
        self.exported = shell.server.exported
        self.config = oci.config.from_file(self.exported["OCI_CONFIG_FILE"])

    @property
    def at(self) -> str:
        """The server by its address."""
        return f"https://127.0.0.1:{self.shell.server.port}"

    def client(self, kind: Any, endpoint: str, config: Mapping[str, Any] | None = None) -> Any:
        """A client of the SDK for an endpoint, which trusts this server."""
        given = dict(config or self.config)
        takes_any = kind not in (KmsManagementClient, KmsCryptoClient)
        made = kind(given, service_endpoint=endpoint) if takes_any else kind(given, endpoint)
        made.base_client.session.verify = str(self.shell.server.authority)
        return made

    def vaults(self, region: str | None = None) -> Any:
        """Vaults, by the local names of a region, or by the server's address."""
        named = f"https://kms.{region}.localhost:{self.shell.server.port}"
        return self.client(KmsVaultClient, named if region else self.at)

    def compartment(self, name: str = "production") -> str:
        """The OCID of a compartment of the demo."""
        found = self.client(oci.identity.IdentityClient, self.at).list_compartments(self.config["tenancy"]).data
        return next(str(each.id) for each in found if each.name == name)

    def run_by_local_names(self, *program: str, more: Mapping[str, str] | None = None) -> str:
        """What a program wrote that has nothing but what `claviger env` exports, and must end well."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        done = subprocess.run(
            program,
            env={**kept, "HOME": str(self.shell.home), **self.exported, **self._names, **(more or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            cwd=self.shell.home,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


def python(program: str) -> tuple[str, str]:
    """The command line of one of the programs."""
    return sys.executable, str(PROGRAMS / program)


@contextlib.contextmanager
def oci_house(folder: Path, names: Mapping[str, str], **more: str) -> Iterator[OciHouse]:
    """The server, with `more` settings, and all around it; in the end nothing may have gone out or failed."""
    with kept_ports(PORT_COUNT) as ports:
        settings = {"CLAVIGER_OCI_PORTS": ",".join(str(port) for port in ports)} | more
        with shell_on(folder, settings) as shell:
            yield OciHouse(shell, ports, names)
            said = shell.server.said()
            assert [line for line in said.splitlines() if " error " in line or "Traceback" in line] == [], said[-5000:]
