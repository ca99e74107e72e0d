"""What this machine has and what may be installed on it: PostgreSQL, Node, packages through apt-get.

Set-up asks here before it installs something and tests ask here for what they may use, so both always agree. Standard
library only: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
JS_CLIENTS = ROOT / "tests" / "clients" / "js"
OCI_CLI = ROOT / "tests" / "clients" / "ocicli"
MIN_NODE = 18
INSTALL_TIMEOUT_S = 1200

_POSTGRES_PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Fedora, RHEL
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)


def postgres_programs() -> Path | None:
    """The folder of `initdb` and `postgres`: that of the PATH, else the newest of the usual places, else None."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    for pattern in _POSTGRES_PLACES:
        folders += sorted(Path("/").glob(pattern.lstrip("/")), key=_major, reverse=True)
    return next(
        (folder for folder in folders if all((folder / name).exists() for name in ("initdb", "postgres"))),
        None,
    )


def _major(folder: Path) -> int:
    numbers = re.findall(r"\d+", folder.parent.name)
    return int(numbers[0]) if numbers else 0


@dataclass(frozen=True)
class Node:
    """A usable Node.js: the command that runs a script as the official Azure packages need it, and npm if there."""

    command: tuple[str, ...]
    version: str
    npm: str | None


def node() -> Node | None:
    """The machine's Node.js, or None if there is none of version 18 or newer."""
    program = shutil.which("node") or shutil.which("nodejs")
    if program is None:
        return None
    told = run([program, "--version"], timeout_s=30)
    version = told.stdout.strip().lstrip("v")
    if told.returncode != 0 or not version[:1].isdigit() or int(version.split(".")[0]) < MIN_NODE:
        return None
    command = [program]
    if version.startswith("18."):  # lacks the global `crypto`, and tries only the first address of a name
        command += ["--experimental-global-webcrypto", "--dns-result-order=ipv4first"]
    return Node(tuple(command), version, shutil.which("npm"))


def oci_cli() -> Path | None:
    """The official OCI CLI that the tests use, where it is installed as its lock says; else None."""
    stamp, program = OCI_CLI / ".venv" / ".claviger", OCI_CLI / ".venv" / "bin" / "oci"
    is_current = stamp.exists() and stamp.read_text() == oci_cli_fingerprint()
    return program if is_current and program.exists() else None


def oci_cli_fingerprint() -> str:
    """What the stamp of its environment holds: its lock, and its folder, which its scripts name."""
    return hashlib.sha256(str(OCI_CLI).encode() + (OCI_CLI / "requirements.lock").read_bytes()).hexdigest()


def run(command: list[str], *, timeout_s: float, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs a command without input and keeps what it says; a time-out or a missing program is an exit code too."""
    try:
        return subprocess.run(
            command,
            cwd=cwd,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, f"{command[0]}: no end after {timeout_s:.0f} s")
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, str(error))


def privilege() -> list[str] | None:
    """What goes before a command that needs root: nothing for root, `sudo -n` where that works; else None."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and run(["sudo", "-n", "true"], timeout_s=15).returncode == 0:
        return ["sudo", "-n"]
    return None


def apt_install(*packages: str) -> str | None:
    """Installs Debian packages; None when they are in place, otherwise why not (one line)."""
    if shutil.which("apt-get") is None:
        return "there is no apt-get here"
    before = privilege()
    if before is None:
        return "that takes root, and sudo asks for a password"
    say(f"installing {' '.join(packages)} (apt-get)")
    apt = [
        *before,
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-q",
        "-y",
        "-o",
        "DPkg::Lock::Timeout=300",
    ]
    install = [*apt, "install", "--no-install-recommends", *packages]
    done = run(install, timeout_s=INSTALL_TIMEOUT_S)
    if done.returncode != 0:  # a fresh machine has no package lists, an old one has stale lists
        run([*apt, "update"], timeout_s=INSTALL_TIMEOUT_S)
        done = run(install, timeout_s=INSTALL_TIMEOUT_S)
    if done.returncode == 0:
        return None
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith("E:")] or lines or ["apt-get failed without a word"]
    return telling[-1]


def say(line: str) -> None:
    """One line of progress, at once."""
    print(f"· {line}", flush=True)


def stop(what: str, fix: str) -> NoReturn:
    """Ends the program: what is missing, and what to do about it."""
    print(f"\n{what}\nFix: {fix}", file=sys.stderr)
    raise SystemExit(1)
