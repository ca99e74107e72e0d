"""A real server process for tests: `python -m claviger serve` on a port of the loopback that is kept for it.

Everything goes through what a user has: the command line, `claviger env`, HTTPS. Only names are helped along where the
machine does not resolve them (`tests/names.py`).
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner

from bench.ports import KeptPort

START_LIMIT_S = 90.0
STOP_LIMIT_S = 60.0
COMMAND_LIMIT_S = 90.0
_POLL_S = 0.02
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER")


class CommandFailed(AssertionError):
    """A `claviger` command ended with an exit code; `said` is what it wrote on standard error."""

    def __init__(self, arguments: Sequence[str], code: int, said: str) -> None:
        super().__init__(f"claviger {' '.join(arguments)} ended with {code}: {said[-2000:]}")
        self.code = code
        self.said = said


class RunningServer:
    """A data directory and the process that serves it. `start` and `stop` may follow one another, on one port."""

    def __init__(
        self, folder: Path, database_url: str | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.database_url = database_url
        self._port = KeptPort()  # a server that is down must find it free again
        self.port = self._port.number
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._exported: dict[str, str] | None = None
        self._trust: ssl.SSLContext | None = None

    @property
    def kind(self) -> str:
        """The kind of database."""
        return "sqlite" if self.database_url is None else "postgresql"

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone, whoever ended it."""
        return self._process is None or self._process.poll() is not None

    @property
    def login(self) -> str:
        """The base URL of the login host."""
        return f"https://login.localhost:{self.port}"

    @property
    def authority(self) -> Path:
        """The file with the certificate that clients must trust."""
        return Path(self.exported["SSL_CERT_FILE"])

    @property
    def trust(self) -> ssl.SSLContext:
        """A context that trusts this server and nobody else."""
        if self._trust is None:
            self._trust = ssl.create_default_context(cafile=str(self.authority))
        return self._trust

    @property
    def exported(self) -> dict[str, str]:
        """What `claviger env --json` says."""
        if self._exported is None:
            told = self.command("env")
            self._exported = {str(name): str(value) for name, value in told.items()}
        return self._exported

    def start(self) -> float:
        """Starts the process; returns the seconds until it answered at /health."""
        began = time.monotonic()
        command = [sys.executable, "-m", "claviger", "serve", "--data", str(self.data)]
        command += ["--listen", f"127.0.0.1:{self.port}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() - began > START_LIMIT_S:
                self.kill()
                raise AssertionError(f"the server did not start: {self.said()[-3000:]}")
            time.sleep(_POLL_S)
        return time.monotonic() - began

    def stop(self) -> int:
        """Asks the process to end and waits; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process at once, as a crash does."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stops, and starts on the same port."""
        assert self.stop() == 0, self.said()[-3000:]
        self.start()

    def said(self) -> str:
        """All that the process wrote on its standard output and error."""
        return self.log.read_text(errors="replace")

    def command(self, *arguments: str) -> Any:
        """Runs a `claviger` command on this data inside this process, to be quick; its JSON. Raises CommandFailed."""
        from claviger.cli.main import main

        words = [*arguments, "--data", str(self.data), "--json"]
        unset = {name: None for name in os.environ if name.startswith("CLAVIGER_")}
        done = CliRunner().invoke(main, words, env={**unset, **self._own_settings()})
        if done.exit_code != 0:
            raise CommandFailed(arguments, done.exit_code, done.stderr + repr(done.exception))
        return json.loads(done.stdout)

    def program(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a `claviger` command on this data as a program of its own, as a user does."""
        return subprocess.run(
            [sys.executable, "-m", "claviger", *arguments, "--data", str(self.data)],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """The settings of this server, and nothing else of the caller's but what any process needs."""
        kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return kept | self._own_settings()

    def _own_settings(self) -> dict[str, str]:
        url = {} if self.database_url is None else {"CLAVIGER_DATABASE_URL": self.database_url}
        return url | self._settings

    def _is_ready(self) -> bool:
        port = self._announced_port()
        if port is None:
            return False
        try:
            # Only readiness is asked here; whether the certificate holds is what every other request shows.
            answer = httpx.get(f"https://127.0.0.1:{port}/health", verify=False, timeout=5)
        except httpx.TransportError:
            return False
        if answer.status_code != 200:
            return False
        self.port = port
        return True

    def _announced_port(self) -> int | None:
        """The port in the file that a ready server writes, if this very process wrote it."""
        try:
            told = json.loads((self.data / "server.json").read_bytes())
        except (OSError, ValueError):
            return None
        return int(told["port"]) if told["pid"] == self.pid else None

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        try:
            code = self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_LIMIT_S)
            raise AssertionError(f"the server did not end: {self.said()[-3000:]}") from None
        finally:
            self._process = None
        return code
