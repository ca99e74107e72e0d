"""Gets what tests and measurements use beside Python: `python -m scripts.system tests`, or `bench`.

Tests use PostgreSQL, the OCI CLI, Node.js and the JavaScript packages of the client tests; measurements use wrk.

Uses what is there, installs what is missing where it may. What cannot be had is said in a line and is no error here:
the tests that need it say so themselves, and fail for it when CI=true.
"""

from __future__ import annotations

import hashlib
import shutil
import sys

from scripts.machine import (
    INSTALL_TIMEOUT_S,
    JS_CLIENTS,
    MIN_NODE,
    OCI_CLI,
    apt_install,
    node,
    oci_cli,
    oci_cli_fingerprint,
    postgres_programs,
    run,
    say,
)


def main(purpose: str) -> None:
    """Gets what `tests` or `bench` need; says what it could not get."""
    if purpose == "bench":
        _need_wrk()
        return
    _need_postgres()
    _need_oci_cli()
    if _need_node():
        _need_node_packages()


def _need_wrk() -> None:
    if shutil.which("wrk") is None and (why := apt_install("wrk")):
        fix = "brew install wrk" if sys.platform == "darwin" else "apt-get install wrk"
        say(f"no wrk, so a slower load generator measures: {why}; fix: {fix}")


def _need_postgres() -> None:
    if postgres_programs() is not None:
        return
    why = apt_install("postgresql")
    if postgres_programs() is None:
        fix = "brew install postgresql@17" if sys.platform == "darwin" else "apt-get install postgresql"
        say(f"no PostgreSQL: {why or 'its programs are not in a usual place'}; fix: {fix}")


def _need_oci_cli() -> None:
    """In an environment of its own: what it is pinned to does not go together with ours."""
    if oci_cli() is not None:
        return
    say("installing the OCI CLI of the client tests (480 MB, once)")
    venv = OCI_CLI / ".venv"
    shutil.rmtree(venv, ignore_errors=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
    install = [*pip, "install", "--no-compile", "--require-hashes", "-r", str(OCI_CLI / "requirements.lock")]
    for command in ([sys.executable, "-m", "venv", str(venv)], install):
        done = run(command, timeout_s=INSTALL_TIMEOUT_S)
        if done.returncode != 0:
            lines = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["pip failed without a word"]
            say(f"no OCI CLI: {lines[0].strip()}; fix: reach a Python package index, then `make test` again")
            return
    (venv / ".claviger").write_text(oci_cli_fingerprint())


def _need_node() -> bool:
    found = node()
    if found is not None and found.npm is not None:
        return True
    why = apt_install("npm") if found is not None else apt_install("nodejs", "npm")
    found = node()
    if found is None or found.npm is None:
        fix = "brew install node" if sys.platform == "darwin" else "apt-get install nodejs npm"
        say(f"no Node.js {MIN_NODE} or newer with npm: {why or 'the package is too old'}; fix: {fix}")
        return False
    return True


def _need_node_packages() -> None:
    lock = JS_CLIENTS / "package-lock.json"
    stamp = JS_CLIENTS / "node_modules" / ".claviger"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    found = node()
    if found is None or found.npm is None or (stamp.exists() and stamp.read_text() == wanted):
        return
    say("installing the JavaScript packages of the client tests (npm ci)")
    done = run([found.npm, "ci"], timeout_s=INSTALL_TIMEOUT_S, cwd=JS_CLIENTS)
    if done.returncode == 0:
        stamp.write_text(wanted)
        return
    lines = [line for line in done.stdout.splitlines() if "error" in line.lower()] or ["npm ci failed without a word"]
    say(f"no JavaScript packages: {lines[0].strip()}; fix: reach an npm registry, then `make test` again")


if __name__ == "__main__":
    main(sys.argv[1])
