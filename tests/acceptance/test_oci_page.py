"""What docs/oci-keys.md says to type works as it stands there, on a server as it is after its first start."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.needs import missing
from tests.oci_plane import KEYS, OciDesk, oci_desk_on
from tests.packaging import ROOT

PAGE = ROOT / "docs" / "oci-keys.md"
LIMIT_S = 120.0
BEFORE = r"""
set -euo pipefail
A="Authorization: Bearer $TOKEN"
J='Content-Type: application/json'
curl() { command curl --fail-with-body "$@"; }
"""
"""What the reader has from the page before; and each refusal ends the script."""


def typed() -> str:
    """All that the page has one type, in its order."""
    blocks = re.findall(r"(?:^    .*\n)+", PAGE.read_text(), re.MULTILINE)
    return "".join(blocks).replace("\n    ", "\n").removeprefix("    ")


def test_the_page_works_from_top_to_bottom(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for needed in ("jq", "curl"):
        if shutil.which(needed) is None:
            missing(needed, f"`apt-get install {needed}`")
    for desk in oci_desk_on("sqlite", request, tmp_path):
        _run(desk)


def _run(desk: OciDesk) -> None:
    asked = {"grant_type": "password", "username": "admin", "password": "correct-horse-9-Battery"}
    token = desk.admin.accept("POST", "/auth/tokens", asked)["jwt"]
    shell = {
        "PATH": os.environ["PATH"],
        "S": f"https://localhost:{desk.server.port}/api/v1",
        "TOKEN": token,
        "CURL_CA_BUNDLE": str(desk.server.authority),
    }
    done = subprocess.run(
        ["bash", "-c", BEFORE + typed()], env=shell, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-2000:]}"
    orders = desk.records(key_name="orders")[0]
    assert desk.settled(orders, "DISABLED")["oci_params"]["freeform_tags"] == {"team": "billing"}
    uploaded = desk.records(key_name="payments")[0]
    sources = [
        each["source_key_name"] for each in desk.admin.accept("GET", f"{KEYS}/{uploaded['id']}/versions")["resources"]
    ]
    assert sources[-2:] == ["payments-2027", "payments-2026"]
    assert "key_name,key_id" in done.stdout, "the report as CSV"
