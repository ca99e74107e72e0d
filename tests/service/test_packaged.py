"""What the packaging says, done: the settings of image and compose file on a real server, and the image if it can be.

A container engine is seldom at hand where tests run; all that can be shown without one is shown without one.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.ports import KeptPort
from tests.packaging import PACKAGING, ROOT, ask, compose, image_environment, workflow_steps
from tests.postgres import Databases
from tests.server import RunningServer

LIMIT_S = 120


class Composed:
    """The server of compose.yaml, its mounts and its port replaced by what is here."""

    def __init__(self, folder: Path, database_url: str) -> None:
        shutil.copy(PACKAGING / "secrets.sh", folder)
        subprocess.run(["sh", str(folder / "secrets.sh")], check=True, timeout=30)
        (folder / "secrets" / "database_url").write_text(database_url)
        self.secrets = folder / "secrets"
        seed = (PACKAGING / "seed.toml").read_text().replace("/run/secrets", str(self.secrets))
        (folder / "seed.toml").write_text(seed)
        self._kept = KeptPort()
        self.port = self._kept.number
        told = {**image_environment(), **compose()["services"]["claviger"]["environment"]}
        settings = {name: self._here(value, folder) for name, value in told.items() if name.startswith("CLAVIGER_")}
        del settings["CLAVIGER_DATA"], settings["CLAVIGER_LISTEN"]
        self.server = RunningServer(folder, settings=settings)
        self.server.port = self.port

    def _here(self, value: str, folder: Path) -> str:
        value = value.replace("/run/secrets", str(self.secrets)).replace("/etc/claviger", str(folder))
        return value.replace(":8443", f":{self.port}")


@pytest.fixture
def composed(tmp_path: Path, postgres_databases: Databases) -> Iterator[Composed]:
    url = postgres_databases.create()
    made = Composed(tmp_path, url)
    try:
        made.server.start()
        yield made
    finally:
        made.server.kill()
        postgres_databases.drop(url)


def test_a_program_beside_the_server_of_the_compose_file(composed: Composed, monkeypatch: pytest.MonkeyPatch):
    from azure.identity import ClientSecretCredential
    from azure.keyvault.secrets import SecretClient

    aliases = compose()["services"]["claviger"]["networks"]["default"]["aliases"]
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        return real("127.0.0.1" if host in aliases else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(composed.server.data / "tls" / "ca.pem"))
    credential = ClientSecretCredential(
        "10ca1000-0000-4000-8000-000000000001",
        "10ca1000-0000-4000-8000-000000000002",
        (composed.secrets / "client_secret").read_text(),
        authority=f"https://login.claviger:{composed.port}",
        disable_instance_discovery=True,
    )
    client = SecretClient(f"https://demo.vault.claviger:{composed.port}", credential)
    assert client.get_secret("greeting").value == "hello"
    client.set_secret("mine", "1")
    composed.server.restart()
    assert client.get_secret("mine").value == "1"


def test_health_is_what_a_supervisor_asks(composed: Composed):
    assert composed.server.program("health").returncode == 0
    composed.server.stop()
    silent = composed.server.program("health")
    assert silent.returncode == 1
    assert "server not ready" in silent.stderr


def test_the_steps_of_the_workflow(tmp_path: Path, names_for_programs: dict[str, str]):
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed here; the machines that run workflows have it")
    steps = workflow_steps()
    exported = tmp_path / "exported"
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": programs, "HOME": str(tmp_path), "CLAVIGER_DATA": str(tmp_path / "data")}
    environment |= {"CLAVIGER_LISTEN": "127.0.0.1:0", "GITHUB_ENV": str(exported), **names_for_programs}

    def step(name: str) -> str:
        script = ["bash", "-e", "-o", "pipefail", "-c", steps[name]]
        done = ask(*script, env=environment, cwd=tmp_path, limit_s=LIMIT_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        assert "is ready" in step("Start a vault")
        said = step("Let the steps that follow use it")
        told = dict(line.split("=", 1) for line in exported.read_text().splitlines())
        assert f"::add-mask::{told['AZURE_CLIENT_SECRET']}" in said.splitlines()
        assert said.count("::add-mask::") == 2
        program = ROOT / "examples" / "python" / "secret_life.py"
        done = ask(sys.executable, str(program), env={**environment, **told}, limit_s=LIMIT_S)
        assert done.returncode == 0, done.stderr
        step("What the server said")
    finally:
        assert ask(sys.executable, "-m", "claviger", "stop", env=environment).returncode == 0


def _engine() -> str | None:
    for name in ("docker", "podman"):
        program = shutil.which(name)
        if program and ask(program, "info").returncode == 0:
            return program
    return None


def test_the_image_builds_and_serves(tmp_path: Path):
    engine = _engine()
    if engine is None:
        pytest.skip("no container engine runs here, so the image cannot be built; its parts are checked by other tests")

    def run(*words: str, limit_s: float = 60) -> str:
        done = ask(engine, *words, limit_s=limit_s, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    tag = f"claviger-test-{os.getpid()}"
    run("build", "--file", "packaging/Dockerfile", "--tag", tag, ".", limit_s=900)
    hardened = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    container = run("run", "--detach", "--rm", "--publish", "127.0.0.1::8443", *hardened, tag)
    try:
        give_up_at = time.monotonic() + LIMIT_S
        while ask(engine, "exec", container, "claviger", "health").returncode != 0:
            assert time.monotonic() < give_up_at, run("logs", container)
            time.sleep(0.5)
        assert run("exec", container, "id", "-u") == "10001"
        missing = ask(engine, "exec", container, "sh", "-c", "python -m pip --version || gcc --version")
        assert missing.returncode != 0
        port = run("port", container, "8443").rpartition(":")[2]
        answer = httpx.get(f"https://127.0.0.1:{port}/health", verify=False, timeout=10)
        assert answer.json()["status"] == "ready"
        assert json.loads(run("exec", container, "claviger", "env", "--json"))["AZURE_CLIENT_ID"]
    finally:
        ask(engine, "stop", container)
        ask(engine, "rmi", tag)
