"""The Azure CLI for tests: the one that is installed, or one from the package index in an environment of its own.

It is big (370 MB), so it is installed only where CLAVIGER_TEST_AZ=1 asks for it, once for all later runs, and never
into the environment of this repository.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

LIMIT_S = 120.0
INSTALL_LIMIT_S = 900.0
SWITCH = "CLAVIGER_TEST_AZ"


def installed() -> Path | None:
    """The program `az`, on the PATH or in the environment of ours."""
    on_path = shutil.which("az")
    ours = place() / "bin" / "az"
    if on_path is not None:
        return Path(on_path)
    return ours if ours.exists() else None


def place() -> Path:
    """Where an `az` of ours lives: beside other caches of the user, kept between runs."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "claviger-tests" / "az"


def program() -> Path:
    """The program `az`, installed if that is asked for. Skips the running test where there is none, with the reason."""
    found = installed()
    if found is not None:
        return found
    if os.environ.get(SWITCH) != "1":
        pytest.skip(f"the Azure CLI is not installed. Fix: {SWITCH}=1 installs it into {place()} (370 MB), once")
    place().parent.mkdir(parents=True, exist_ok=True)
    uv = [sys.executable, "-m", "uv"]
    for command in (
        [*uv, "venv", "--quiet", "--python", sys.executable, str(place())],
        [*uv, "pip", "install", "--quiet", "--python", str(place() / "bin" / "python"), "azure-cli"],
    ):
        subprocess.run(command, check=True, timeout=INSTALL_LIMIT_S, stdin=subprocess.DEVNULL)
    return place() / "bin" / "az"


def run(command: list[str], environment: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """One program to its end, its output as text."""
    return subprocess.run(
        command,
        env=dict(environment),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
