"""The product as its users run it: `claviger serve` in a process of its own, on a data directory and a port of ours.

What clients need is taken from `claviger env --json`; the token is asked from the server's own token endpoint.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from bench import machine
from bench.client import API_VERSION, Answer, ask, request
from bench.ports import KeptPort

START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0
POLL_S = 0.002
SETTINGS_S = 30


class NotStarted(RuntimeError):
    """The server did not come up; the message ends with what it said."""


class Product:
    """One server process at a time on one data directory. Not started by the constructor."""

    def __init__(self, data: Path, cores: frozenset[int] | None = None) -> None:
        self.data = data
        self._port = KeptPort()
        self.port = self._port.number
        self.host = ""
        self.token = ""
        self.context = ssl.create_default_context()
        self._cores = cores
        self._log = data.with_name(f"{data.name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        data.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def pid(self) -> int:
        """The process that serves now."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """The environment for commands on this data: ours without any setting of Claviger's."""
        return {name: value for name, value in os.environ.items() if not name.startswith("CLAVIGER_")}

    def launch(self) -> None:
        """Starts the process and does not wait."""
        command = [sys.executable, "-m", "claviger", "serve"]
        self.launch_as([*command, "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}"])

    def launch_as(self, command: list[str]) -> None:
        """The same by another command line."""
        assert self._process is None, "the server runs already"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )
        machine.pin(self._process.pid, self._cores)

    def start(self) -> float:
        """Starts the server, waits for its first answer, and learns on the first start how clients reach it.

        Answers the seconds from starting the process to a whole answer: of a GET of a secret's name, once a token is
        known, so that everything that such a request needs is up; of /health before that. Raises NotStarted.
        """
        began = time.perf_counter()
        self.launch()
        self.wait_ready()
        lasted = time.perf_counter() - began
        machine.pin(self.pid, self._cores)  # threads made since the process was
        if not self.host:
            self._introduce()
        return lasted

    def wait_ready(self) -> None:
        """Returns with the first whole answer. Raises NotStarted."""
        assert self._process is not None
        give_up_at = time.monotonic() + START_LIMIT_S
        while time.monotonic() < give_up_at:
            if self._process.poll() is not None:
                break
            try:
                answer = self._probe()
            except OSError:
                time.sleep(POLL_S)
                continue
            if answer.status == 200 or (self.host and answer.status == 404):
                return
            time.sleep(POLL_S)
        said = self._log.read_text(errors="replace")[-2000:]
        self.kill()
        raise NotStarted(f"no answer on port {self.port}; the log ends with:\n{said}")

    def _probe(self) -> Answer:
        if not self.host:
            trusting = ssl.create_default_context()
            trusting.check_hostname = False  # the authority is being made at this moment
            trusting.verify_mode = ssl.CERT_NONE
            return ask(self.port, trusting, request("GET", f"localhost:{self.port}", "/health"), "localhost")
        raw = request("GET", f"{self.host}:{self.port}", "/secrets/no-such-name?api-version=7.4", self.token)
        return ask(self.port, self.context, raw, self.host)

    def _introduce(self) -> None:
        told = self.told()
        self.context.load_verify_locations(cafile=told["SSL_CERT_FILE"])
        self.host = urlsplit(told["AZURE_KEYVAULT_URL"]).hostname or ""
        self.renew_token()

    def told(self) -> dict[str, str]:
        """What `claviger env --json` says of this server."""
        command = [sys.executable, "-m", "claviger", "env", "--json", "--data", str(self.data)]
        said = subprocess.run(command, env=self.environment, capture_output=True, timeout=SETTINGS_S, check=False)
        if said.returncode:
            raise NotStarted(f"claviger env said: {said.stderr.decode(errors='replace')[-1000:]}")
        told: dict[str, str] = json.loads(said.stdout)
        return told

    def renew_token(self) -> None:
        """Asks for a fresh token with the credentials of the demo application."""
        told = self.told()
        login = urlsplit(told["AZURE_AUTHORITY_HOST"]).hostname or "login.localhost"
        form = {
            "grant_type": "client_credentials",
            "client_id": told["AZURE_CLIENT_ID"],
            "client_secret": told["AZURE_CLIENT_SECRET"],
            "scope": "https://vault.azure.net/.default",
        }
        path = f"/{told['AZURE_TENANT_ID']}/oauth2/v2.0/token"
        head = request("POST", f"{login}:{self.port}", path, None, urlencode(form).encode())
        raw = head.replace(b"Content-Type: application/json", b"Content-Type: application/x-www-form-urlencoded")
        answer = ask(self.port, self.context, raw, login)
        if answer.status != 200:
            raise NotStarted(f"the token endpoint answered {answer.status}")
        self.token = answer.json()["access_token"]

    def stop(self) -> None:
        """Ends the server in order, or with force after a while. Nothing if it does not run."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.wait()
        self._process = None

    def kill(self) -> None:
        """SIGKILL, now; returns once the process is gone. Nothing if it does not run."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """A whole request to the vault with the token, for a load generator."""
        versioned = f"{path}{'&' if '?' in path else '?'}api-version={API_VERSION}"
        return request(method, f"{self.host}:{self.port}", versioned, self.token, body)
