"""The tests' own help with `*.localhost`, where the machine does not resolve it: for those names and no others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.machine import node
from tests import names

HOSTS = ["demo.vault.localhost", "LOGIN.localhost", "a.b.c.localhost."]


def _real(host: Any, *rest: Any, **more: Any) -> Any:
    return host, rest, more


@pytest.mark.parametrize("host", [*HOSTS, *(host.encode() for host in HOSTS)])
def test_names_below_localhost_are_this_machine(host: str | bytes):
    assert names.knowing_localhost(_real)(host, 443, type=1) == ("127.0.0.1", (443,), {"type": 1})


@pytest.mark.parametrize("host", ["example.org", "localhost", "notlocalhost", "localhost.example.org", None, b"x"])
def test_other_names_are_left_alone(host: Any):
    assert names.knowing_localhost(_real)(host, 443) == (host, (443,), {})


def _run(command: list[str], folder: Path) -> str:
    environment = {"PATH": os.environ["PATH"], **names.settings_for_programs(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_python_program_finds_them(tmp_path: Path):
    code = "import socket; print(socket.getaddrinfo('no.such.name.localhost', 1)[0][4][0])"
    assert _run([sys.executable, "-c", code], tmp_path) == "127.0.0.1"


def test_a_node_program_finds_them(tmp_path: Path):
    found = node()
    if found is None:
        pytest.skip("Node.js is not installed, so nothing is to be helped")
    code = "require('dns').lookup('no.such.name.localhost', (error, address) => console.log(error || address))"
    assert _run([*found.command, "-e", code], tmp_path) == "127.0.0.1"
