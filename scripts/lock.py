"""Writes the lock files anew: `make lock`. Every package by version and hash, no address of any index.

`requirements.lock` holds what the server needs and the build backend: all that an installation (`make up`) needs. To
that `requirements-dev.lock` adds what tests and checks need (`make test`). The OCI CLI of the client tests has a lock
of its own. The JavaScript lock carries no `resolved` and no other address. Arguments go to uv, such as `--upgrade` or
`--upgrade-package NAME`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from scripts.machine import INSTALL_TIMEOUT_S, JS_CLIENTS, OCI_CLI, ROOT, node, run, say, stop

OPTIONS = [
    "--quiet",
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-header",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--annotation-style=line",
]


def main(arguments: list[str]) -> None:
    """Python first, each lock within the one before; then JavaScript where npm is at hand."""
    before: list[str] = []
    for file, group in {
        "requirements.lock": "build",
        "requirements-dev.lock": "dev",
    }.items():
        _compile("pyproject.toml", file, "--group", "build", "--group", group, *before, *arguments)
        before = ["--constraints", file]
    client = OCI_CLI.relative_to(ROOT)
    _compile(f"{client}/requirements.in", f"{client}/requirements.lock", *arguments)
    found = node()
    if found is None or found.npm is None:
        say("no npm here: the JavaScript lock stays as it is")
        return
    _succeed([found.npm, "install", "--package-lock-only"], JS_CLIENTS)
    lock = JS_CLIENTS / "package-lock.json"
    lock.write_text(json.dumps(_without_addresses(json.loads(lock.read_text())), indent=2) + "\n")


def _compile(source: str, output: str, *arguments: str) -> None:
    compiler = [sys.executable, "-m", "uv", "pip", "compile", source]
    _succeed([*compiler, *OPTIONS, "--output-file", output, *arguments])


def _succeed(command: list[str], cwd: Path = ROOT) -> None:
    done = run(command, timeout_s=INSTALL_TIMEOUT_S, cwd=cwd)
    if done.returncode != 0:
        stop(done.stdout, "reach the package index and call `make lock` again")


def _without_addresses(lock: dict[str, Any]) -> dict[str, Any]:
    for package in lock["packages"].values():
        for key in ("resolved", "funding", "deprecated"):
            package.pop(key, None)
    return lock


if __name__ == "__main__":
    main(sys.argv[1:])
