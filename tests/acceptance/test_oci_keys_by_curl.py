"""The life of keys in OCI with nothing but curl, as the example has it; Oracle's own programs say the same of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.machine import oci_cli
from tests.needs import missing
from tests.packaging import ROOT
from tests.server import RunningServer

SCRIPT = ROOT / "examples" / "curl" / "oci_keys.sh"
LIMIT_S = 240.0
DATE = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\S*"


@pytest.fixture(scope="module")
def program() -> Path:
    found = oci_cli()
    if found is None:
        missing("the OCI CLI", "`python3 -m scripts.system tests`, or `make test`")
    return found


def test_the_example(program: Path, tmp_path: Path, names_for_programs: dict[str, str]) -> None:
    for needed in ("jq", "curl", "openssl"):
        if shutil.which(needed) is None:
            missing(needed, f"`apt-get install {needed}`")
    server = RunningServer(tmp_path, None, {"CLAVIGER_SWITCHES": "true"})
    try:
        server.start()
        said = _said(server, program, tmp_path, names_for_programs)
    finally:
        server.kill()
    told = re.findall(r"^(.{10}) (.*)$", said, re.MULTILINE)
    steps = [(step.strip(), what) for step, what in told]
    wanted = [
        ("sign-in", r"good for 300 s"),
        ("regions", r"us-ashburn-1 eu-frankfurt-1"),
        ("found", r"compartments: .*\bproduction staging\b.*"),
        ("found", r"vaults: .+"),
        ("added", r".+"),
        ("create", r"CREATING, then ENABLED"),
        ("rotate", r"2 versions, the new one is current: true"),
        ("disable", r"DISABLED"),
        ("schedule", rf"PENDING_DELETION, until {DATE}"),
        ("oci says", rf"PENDING_DELETION {DATE}"),
        ("cancel", r"DISABLED"),
        ("oci says", r"DISABLED *"),
        ("upload", r"of example-\d+-aes, as cckm"),
        ("same key", r"true"),
        ("decrypt", r"open sesame"),
        ("30 days", r"DELETED"),
        ("remove", r"204, then 404"),
    ]
    assert [step for step, _ in steps] == [step for step, _ in wanted], said
    for (step, what), (_, pattern) in zip(steps, wanted, strict=True):
        assert re.fullmatch(pattern, what), f"{step}: {what}"


def _said(server: RunningServer, program: Path, home: Path, names: dict[str, str]) -> str:
    """What the example prints in a shell that has nothing but what its first lines say."""
    once = server.command("admin", "one-time-password")["password"]
    found = os.pathsep.join((str(ROOT / ".venv" / "bin"), str(program.parent), os.environ["PATH"]))
    given = {
        "PATH": found,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "CLAVIGER_DATA": str(server.data),
        "CLAVIGER_URL": f"https://localhost:{server.port}",
        "CURL_CA_BUNDLE": str(server.authority),
        "ONE_TIME_PASSWORD": once,
        "PASSWORD": "a-long-one-of-its-own-7",
    }
    done = subprocess.run(
        ["bash", str(SCRIPT)],
        env={**names, **given},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{server.said()[-2000:]}"
    return done.stdout
