"""The checks of `make check`, side by side: style, types, arrows and (without `--static`) the unit tests.

Prints one line a check, and all that a failed one said. Ends with 1 if any failed.
"""

from __future__ import annotations

import subprocess
import sys
import time

from scripts.machine import ROOT

STATIC = {
    "ruff check": ["-m", "ruff", "check", "--quiet"],
    "ruff format": ["-m", "ruff", "format", "--check"],
    "lint-imports": ["-c", "from importlinter.cli import lint_imports_command as run; run()"],
}
TYPES = {"mypy --strict": ["-m", "mypy"]}
UNIT = {"unit tests": ["-m", "pytest", "-q", "tests/unit"]}
TIMEOUT_S = 600


def main(arguments: list[str]) -> int:
    """Types take the longest and run beside all the rest."""
    types = [_start(name, command) for name, command in TYPES.items()]
    others = STATIC if "--static" in arguments else STATIC | UNIT
    failed = [name for name, command in others.items() if not _finish(*_start(name, command))]
    failed += [running[0] for running in types if not _finish(*running)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _start(name: str, command: list[str]) -> tuple[str, subprocess.Popen[str], float]:
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return name, process, time.monotonic()


def _finish(name: str, process: subprocess.Popen[str], started: float) -> bool:
    try:
        said, _ = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    good = process.returncode == 0
    last = said.strip().splitlines()[-1:] if name in UNIT else []
    print(
        f"{'ok  ' if good else 'FAIL'}  {name} ({time.monotonic() - started:.1f} s) {' '.join(last)}",
        flush=True,
    )
    if not good:
        print(said, flush=True)
    return good


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
