"""Oracle's command line, unmodified: under `claviger exec`, by the local names, and by address."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.machine import oci_cli
from tests.needs import missing
from tests.oci_clients import PROGRAMS, OciHouse, oci_house

SCRIPT_LIMIT_S = 240.0


@pytest.fixture(scope="module")
def program() -> Path:
    found = oci_cli()
    if found is None:
        missing("the OCI CLI", "`python3 -m scripts.system tests`, or `make test`")
    return found


@pytest.fixture(scope="module")
def house(
    program: Path, tmp_path_factory: pytest.TempPathFactory, names_for_programs: dict[str, str]
) -> Iterator[OciHouse]:
    with oci_house(tmp_path_factory.mktemp("oci-cli"), names_for_programs) as made:
        yield made


def test_the_life_of_keys(house: OciHouse, program: Path, tmp_path: Path) -> None:
    for needed in ("bash", "openssl"):
        if shutil.which(needed) is None:
            missing(needed, f"`apt-get install {needed}`")
    more = {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    said = house.shell.said("bash", str(PROGRAMS / "key_life.sh"), more=more, cwd=tmp_path, limit_s=SCRIPT_LIMIT_S)
    assert said == "lived\n"


def test_by_the_local_names(house: OciHouse, program: Path) -> None:
    said = house.run_by_local_names(str(program), "iam", "region-subscription", "list")
    assert [each["region-name"] for each in json.loads(said)["data"]] == ["us-ashburn-1", "eu-frankfurt-1"]


def test_by_address(house: OciHouse, program: Path) -> None:
    words = ["kms", "management", "vault", "create", "--endpoint", house.at, "--vault-type", "DEFAULT"]
    words += ["--display-name", "by address", "--compartment-id", house.compartment()]
    data = json.loads(house.run_by_local_names(str(program), *words))["data"]
    assert int(data["management-endpoint"].removeprefix("https://127.0.0.1:")) in house.ports
