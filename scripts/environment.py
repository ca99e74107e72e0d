"""Makes `.venv`: `python -m scripts.environment running`, or `development` with tests and checks too.

Everything comes from a lock file, by hash, with plain pip. A stamp in `.venv` tells whether there is anything to do, so
that calling this again takes a moment. An environment whose Python is gone, or that came here with a copied folder, is
made anew; any other that is already there is kept and completed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from scripts.machine import INSTALL_TIMEOUT_S, ROOT, apt_install, run, say, stop

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCKS = {"running": ROOT / "requirements.lock", "development": ROOT / "requirements-dev.lock"}


def main(kind: str) -> None:
    """Brings the environment to what the lock of this kind says; where it cannot, ends with the reason and the fix."""
    if _is_ready(kind) or (kind == "running" and _is_ready("development")):
        return
    _make_venv()
    lock = LOCKS[kind]
    count = len(re.findall(r"^\S+==", lock.read_text(), re.MULTILINE))
    say(f"installing {count} Python packages into .venv ({lock.name})")
    _pip("install", "--require-hashes", "--no-compile", "-r", str(lock))
    _pip("install", "--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT))
    _compile()
    _stamp(kind).write_text(_fingerprint(kind))


def _stamp(kind: str) -> Path:
    return VENV / f".claviger-{kind}"


def _fingerprint(kind: str) -> str:
    told = hashlib.sha256(str(ROOT).encode())
    for path in (LOCKS[kind], ROOT / "pyproject.toml"):
        told.update(path.read_bytes())
    return told.hexdigest()


def _is_ready(kind: str) -> bool:
    stamp = _stamp(kind)
    wanted = (stamp, PYTHON, VENV / "bin" / "claviger")
    return all(path.exists() for path in wanted) and stamp.read_text() == _fingerprint(kind)


def _make_venv() -> None:
    if _works() and not _came_with_a_copy():
        return
    if VENV.exists():
        say("making .venv anew: its Python or its folder is not the one it was made with")
        shutil.rmtree(VENV)
    base = getattr(sys, "_base_executable", None) or sys.executable  # not the one that was just removed with .venv
    _need_ensurepip(base)
    made = run([base, "-m", "venv", str(VENV)], timeout_s=300)
    if made.returncode != 0 or not _works():
        shutil.rmtree(VENV, ignore_errors=True)
        stop(
            f"{base} -m venv failed:\n{_end_of(made.stdout)}",
            "see the lines above; disk full or read-only folder?",
        )


def _works() -> bool:
    check = [str(PYTHON), "-c", "import pip, sys; sys.exit(sys.version_info < (3, 11))"]
    return PYTHON.exists() and run(check, timeout_s=60).returncode == 0


def _came_with_a_copy() -> bool:
    """Scripts and the editable install name the folder they were made in."""
    pip = VENV / "bin" / "pip"
    first_line = pip.read_text().splitlines()[0] if pip.exists() else ""
    return first_line.startswith("#!/") and "/.venv/" in first_line and not first_line.startswith(f"#!{VENV}/")


def _need_ensurepip(base: str) -> None:
    check = [base, "-c", "import ensurepip, venv"]
    if run(check, timeout_s=60).returncode == 0:
        return
    versioned = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    why = apt_install(versioned) if base.startswith("/usr/bin/") else "it was built without ensurepip"
    if run(check, timeout_s=60).returncode != 0:
        stop(
            f"{base} cannot make virtual environments: {why or 'its package did not help'}.",
            f"apt-get install {versioned}, or name another Python: make PYTHON=/path/to/python3 ...",
        )


def _pip(*arguments: str) -> None:
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", *arguments]
    done = run(command, timeout_s=INSTALL_TIMEOUT_S)
    if done.returncode != 0:
        _explain(done)


def _compile() -> None:
    """Compiles what was installed but Oracle's SDK: 18,000 modules, of which a few dozen are ever loaded."""
    skipped = "/site-packages/oci/"
    run([str(PYTHON), "-m", "compileall", "-q", "-j", "0", "-x", skipped, str(VENV / "lib")], timeout_s=300)


def _explain(done: subprocess.CompletedProcess[str]) -> NoReturn:
    said = "\n".join(line for line in done.stdout.splitlines() if "WARNING: Retrying" not in line)
    print(_end_of(said), file=sys.stderr)
    if "DO NOT MATCH THE HASHES" in said:
        fix = "the index offers other files than the lock names: check PIP_INDEX_URL, or `make lock`"
    elif "No space left" in said:
        fix = "free some disk space"
    elif any(sign in said for sign in ("connection", "Connection", "name resolution", "No matching distribution")):
        fix = "reach a Python package index: check the network, HTTPS_PROXY and PIP_INDEX_URL, then call make again"
    else:
        fix = "see pip's lines above, then call make again; it goes on where it stopped"
    stop("pip could not install what the lock names.", fix)


def _end_of(text: str, line_count: int = 15) -> str:
    return "\n".join(text.strip().splitlines()[-line_count:])


if __name__ == "__main__":
    os.umask(0o022)
    main(sys.argv[1])
