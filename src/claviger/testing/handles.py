"""What the fixtures give to a test: a server, a vault in it, its clock, and faults on request.

Standard library only; everything else is imported when it is first used.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from claviger.testing import names

if TYPE_CHECKING:
    from claviger.switches.client import Switchboard
    from claviger.testing.cloud import Client, Credential
    from claviger.testing.process import ServerProcess

_NO_PROXY = "localhost,.localhost,127.0.0.1"


class Clock:
    """The time by which the server dates, deletes and purges. Tokens go by the machine's own clock."""

    def __init__(self, server: Claviger) -> None:
        self._server = server

    def now(self) -> float:
        """The server's time, in seconds since 1970."""
        return float(self._server.switchboard.show()["clock"]["now"])

    def set(self, at: float | datetime) -> None:
        """Moves to a time: seconds since 1970, or a datetime, which without a zone is UTC."""
        self._server.touched.switchboard.clock_set(at)

    def advance(self, seconds: float | timedelta = 0, **more: float) -> None:
        """Moves on, or back: `advance(30)`, `advance(timedelta(...))`, `advance(days=90, hours=1)`."""
        given = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        self._server.touched.switchboard.clock_advance(given + timedelta(**more).total_seconds())

    def freeze(self, at: float | datetime | None = None) -> None:
        """Stands still, at once or at a time."""
        self._server.touched.switchboard.clock_freeze()
        if at is not None:
            self.set(at)

    def run(self) -> None:
        """Goes on from where it stands."""
        self._server.touched.switchboard.clock_run()

    def reset(self) -> None:
        """Follows the machine's clock again."""
        self._server.switchboard.clock_reset()


class Fault:
    """A fault that is armed. As a context manager, it is disarmed at the end of the block."""

    def __init__(self, switchboard: Switchboard, fault_id: int) -> None:
        self._switchboard = switchboard
        self.id = fault_id

    @property
    def hits(self) -> int:
        """How many calls it has hit. Raises LookupError once it was removed."""
        for each in self._switchboard.show()["faults"]:
            if each["fault"]["id"] == self.id:
                return int(each["hits"])
        raise LookupError("the fault was removed")

    def remove(self) -> None:
        """Disarms it."""
        self._switchboard.fault_remove(self.id)

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Claviger:
    """A running server. `env` is what `claviger env --json` says: the environment of the official clients."""

    def __init__(self, process: ServerProcess, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._switchboard: Switchboard | None = None
        self._is_touched = False
        self.env = process.exported()
        self.clock = Clock(self)

    @property
    def url(self) -> str:
        """The demo vault."""
        return self.env["AZURE_KEYVAULT_URL"]

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._process.port

    @property
    def ca_file(self) -> Path:
        """The certificate that clients must trust."""
        return self._process.data / "tls" / "ca.pem"

    @property
    def data(self) -> Path:
        """The data directory, for the `claviger` command."""
        return self._process.data

    @property
    def log(self) -> Path:
        """What the server says."""
        return self._process.log

    @property
    def switchboard(self) -> Switchboard:
        """All switches, as `claviger clock`, `fault`, `delay`, `limits` and `revoke` move them."""
        if self._switchboard is None:
            self._switchboard = self._process.switchboard()
        return self._switchboard

    @property
    def touched(self) -> Claviger:
        """This server, noting that a switch is about to be moved."""
        self._is_touched = True
        return self

    def make_vault(self, name: str | None = None, **settings: Any) -> ClavigerVault:
        """A new vault. Settings: retention_days, purge_protection, soft_delete, rbac and so on."""
        name = name or f"t-{uuid.uuid4().hex[:16]}"
        self._process.make_vault(name, **settings)
        return ClavigerVault(self, name)

    def vault(self, name: str) -> ClavigerVault:
        """A vault that is there, of a seed for example."""
        return ClavigerVault(self, name)

    def fault(
        self,
        kind: Literal["status", "delay", "drop"] = "status",
        *,
        vault: str = "*",
        operation: str = "*",
        service: str = "*",
        **more: Any,
    ) -> Fault:
        """Arms a fault: calls fail with a `status` (503), late by `delay_s` seconds, or by a cut connection.

        `retry_after_s` adds the header; `share` (0 to 1, by a `seed`) and `count` say how many calls are hit.
        `operation` is SecretGet, token, of OCI GetKey and so on, `service` keyvault, management, login or ocikms.
        """
        board = self.touched.switchboard
        fields = {"kind": kind, "place": vault, "operation": operation, "service": service, **more}
        return Fault(board, board.fault_add(**fields))

    def delays(self, delete_s: int = 0, recover_s: int = 0) -> None:
        """How long a delete and a recover are under way from now on, as in the real service."""
        self.touched.switchboard.settle(delete_s, recover_s)

    def limits(self, **limits: Any) -> None:
        """Throttles from now on; without arguments by the published limits."""
        self.touched.switchboard.limits(**limits)

    def revoke_tokens(self) -> None:
        """Refuses the tokens of before, with the claims challenge of continuous access evaluation."""
        self.touched.switchboard.revoke_tokens()

    def reset(self) -> None:
        """Puts all switches back. Costs nothing where none was moved by this object."""
        if not self._is_touched:
            return
        board = self.switchboard
        board.faults_clear()
        board.clock_reset()
        board.settle(0, 0)
        board.limits_off()
        board.revoke_tokens(0)
        self._is_touched = False

    def environ(self, **more: str) -> contextlib.AbstractContextManager[Mapping[str, str]]:
        """Sets `env` in this process until the end of the block; programs started meanwhile have it too."""
        return _environ({**self.env, **more}, self._folder / "names")


class ClavigerVault:
    """One vault of a server. `env` makes it the vault of the official clients."""

    def __init__(self, server: Claviger, name: str) -> None:
        self.server = server
        self.name = name
        self.clock = server.clock
        port = urlsplit(server.url).netloc.partition(":")[1:]
        self.url = f"https://{name}.vault.localhost{''.join(port)}"
        self.env = {**server.env, "AZURE_KEYVAULT_URL": self.url}

    def environ(self, **more: str) -> contextlib.AbstractContextManager[Mapping[str, str]]:
        """Sets `env` in this process until the end of the block; programs started meanwhile have it too."""
        return self.server.environ(AZURE_KEYVAULT_URL=self.url, **more)

    def credential(self) -> Credential:
        """A credential of azure-identity that needs nothing of the environment."""
        from claviger.testing.cloud import make_credential

        return make_credential(self.env, self.server.ca_file)

    def client(self, credential: Any = None, **options: Any) -> Client:
        """A client of azure-keyvault-secrets for this vault; `options` go to its constructor."""
        from claviger.testing.cloud import make_client

        return make_client(self.url, credential or self.credential(), self.server.ca_file, **options)

    def fault(self, kind: Literal["status", "delay", "drop"] = "status", **more: Any) -> Fault:
        """Arms a fault for calls to this vault; see `Claviger.fault`."""
        return self.server.fault(kind, vault=self.name, **more)


@contextlib.contextmanager
def _environ(wanted: Mapping[str, str], folder: Path) -> Iterator[Mapping[str, str]]:
    changes = dict(wanted)
    if any(os.environ.get(name) for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy", "all_proxy")):
        kept = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
        changes["NO_PROXY"] = changes["no_proxy"] = ",".join(filter(None, (kept, _NO_PROXY)))
    if not names.resolves_by_itself():
        changes.update(_joined(names.settings_for_programs(folder)))
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield wanted
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _joined(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings for programs, together with what the caller has set by the same names."""
    separators = {"PYTHONPATH": os.pathsep, "NODE_OPTIONS": " "}
    joined = {}
    for name, value in settings.items():
        kept = os.environ.get(name)
        joined[name] = f"{value}{separators[name]}{kept}" if kept and name in separators else value
    return joined
