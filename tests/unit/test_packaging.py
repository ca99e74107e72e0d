"""The files in packaging/ and the examples: nothing named in them is missing, misspelt or laxer than it should be."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

from claviger.settings import PREFIX, Settings
from tests.packaging import PACKAGING, ROOT, WORKFLOW, as_words, ask, compose, image_environment, instructions

SETTINGS = {PREFIX + name.upper() for name in Settings.__struct_fields__}
NAMED = re.compile(r"\bCLAVIGER_[A-Z_]+\b")
FILES = [path for path in [*PACKAGING.iterdir(), WORKFLOW] if path.is_file()]
OTHERS = {"CLAVIGER_REPOSITORY"}  # a variable of the workflow, not of Claviger


def _of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_that_is_named_is_one(path):
    named = set(NAMED.findall(path.read_text()))
    assert named - SETTINGS - OTHERS == set()


def test_the_image_copies_what_is_there_and_not_ignored():
    copied = [word for rest in _of("COPY") if not rest.startswith("--from") for word in rest.split()[:-1]]
    ignore = (PACKAGING / "Dockerfile.dockerignore").read_text().splitlines()
    assert copied
    assert "*" in ignore
    for word in copied:
        assert (ROOT / word).exists(), word
        assert f"!{word}" in ignore
    assert {line[1:] for line in ignore if line.startswith("!")} == set(copied)


def test_the_image_is_built_in_two_stages_of_the_same_base():
    bases = [rest.split()[0] for rest in _of("FROM")]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert _of("COPY")[-1].startswith("--from=build /opt/claviger /opt/claviger")


def _not_needed_to_run(lock: str, wanted: set[str]) -> set[str]:
    """What a lock holds that nothing of `wanted` needs; the comments of the lock say who needs what."""
    needed_by = {
        block[1].lower(): set(re.findall(r"[a-z0-9-]+", block[2].lower()))
        for block in re.finditer(r"^([A-Za-z0-9-]+)==(?:.*\n)*?    # via (.*)$", lock, re.MULTILINE)
    }
    needed = set(wanted)
    while more := {name for name, by in needed_by.items() if by & needed} - needed:
        needed |= more
    return set(needed_by) - needed


def test_the_image_installs_by_hash_and_takes_the_tools_out_again():
    run = " ".join(_of("RUN"))
    assert "--require-hashes" in run
    assert "--no-index ." in run
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[^A-Za-z0-9-]", each)[0].lower() for each in project["dependencies"]}
    tools = _not_needed_to_run((ROOT / "requirements.lock").read_text(), wanted)
    assert "hatchling" in tools
    removed = set(re.findall(r"uninstall --quiet --yes +([a-z -]+?) +&&", run)[0].split())
    assert removed == tools | {"pip", "setuptools"}


def test_the_image_runs_as_nobody_in_particular():
    assert _of("USER") == ["10001:10001"]
    assert as_words(_of("ENTRYPOINT")[0]) == ["claviger"]
    assert as_words(_of("CMD")[-1]) == ["serve"]
    assert as_words(_of("HEALTHCHECK")[0].partition("CMD ")[2]) == ["claviger", "health"]
    data = image_environment()["CLAVIGER_DATA"]
    assert as_words(_of("VOLUME")[0]) == [data]
    assert _of("EXPOSE") == [image_environment()["CLAVIGER_LISTEN"].rpartition(":")[2]]
    assert f"--owner=10001 --group=10001 --mode=0700 {data}" in " ".join(_of("RUN"))


def test_the_image_needs_no_place_of_the_net_by_name():
    assert not re.search(r"https?://|--(extra-)?index-url", (PACKAGING / "Dockerfile").read_text())


def test_the_commands_that_are_named_exist():
    from claviger.cli.main import main

    for name in [*as_words(_of("CMD")[-1]), "health", "start", "doctor", "env"]:
        assert name in main.commands


def test_compose_refers_to_what_it_defines():
    told = compose()
    for service in told["services"].values():
        assert set(service.get("secrets", [])) <= told["secrets"].keys()
        assert {each["source"] for each in service.get("configs", [])} <= told["configs"].keys()
        assert {each.partition(":")[0] for each in service.get("volumes", [])} <= told["volumes"].keys()
        assert service.get("depends_on", {}).keys() <= told["services"].keys()
        mounted = {f"/run/secrets/{name}" for name in service.get("secrets", [])}
        files = {value for value in service.get("environment", {}).values() if value.startswith("/run/secrets/")}
        assert files <= mounted
    assert (PACKAGING / told["services"]["claviger"]["build"]["context"]).resolve() == ROOT
    assert (ROOT / told["services"]["claviger"]["build"]["dockerfile"]).exists()
    assert all((PACKAGING / each["file"]).exists() for each in told["configs"].values())


def test_compose_hands_out_no_secret_and_no_privilege():
    told = compose()
    server = told["services"]["claviger"]
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])
    assert server["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert "healthcheck" in told["services"]["postgres"]
    for service in told["services"].values():
        for name, value in service["environment"].items():
            assert value.startswith("/run/secrets/") or not re.search("PASS|SECRET|KEY|DATABASE_URL", name), name


def test_the_secrets_script_makes_what_compose_reads_and_keeps_it(tmp_path):
    script = tmp_path / "secrets.sh"
    shutil.copy(PACKAGING / "secrets.sh", script)
    subprocess.run(["sh", str(script)], check=True, timeout=30)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert {f"secrets/{name}" for name in made} == {each["file"] for each in compose()["secrets"].values()}
    assert made["postgres_password"] in made["database_url"]
    assert all(len(value) >= 48 and "\n" not in value for value in made.values())
    assert len(set(made.values())) == len(made)
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    subprocess.run(["sh", str(script)], check=True, timeout=30)
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made
    assert "/packaging/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_compose_is_understood_by_docker():
    if shutil.which("docker") is None or ask("docker", "compose", "version").returncode != 0:
        pytest.skip("docker compose is not installed here, so only our own reading of the file was checked")
    done = ask("docker", "compose", "--file", str(PACKAGING / "compose.yaml"), "config", "--quiet")
    assert done.returncode == 0, done.stderr


def test_the_unit_is_hardened():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(PACKAGING / "claviger.service")
    service = unit["Service"]
    assert service["DynamicUser"] == "yes"
    for name in (
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateDevices",
        "ProtectHome",
        "LockPersonality",
        "RestrictNamespaces",
    ):
        assert service[name] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert service["ExecStart"].split()[1] == "serve"


def test_the_unit_is_understood_by_systemd():
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed here, so only our own reading of the unit was checked")
    told = ask("systemd-analyze", "verify", str(PACKAGING / "claviger.service"))
    complaints = [line for line in told.stderr.splitlines() if "claviger.service" in line]
    assert [line for line in complaints if "/opt/claviger/bin/claviger is not executable" not in line] == []
    rated = ask("systemd-analyze", "security", "--offline=true", "--threshold=20", str(PACKAGING / "claviger.service"))
    if "unrecognized option" in rated.stderr:
        pytest.skip("this systemd cannot rate a unit that is not installed")
    assert rated.returncode == 0, rated.stdout[-2000:]


def test_the_workflow_is_one():
    told = yaml.safe_load(WORKFLOW.read_text())
    assert told["permissions"] == {"contents": "read"}
    for job in told["jobs"].values():
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert not step.get("uses") or re.search(r"@v\d+$", step["uses"])
