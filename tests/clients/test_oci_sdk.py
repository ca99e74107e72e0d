"""The official Python SDK of OCI, unmodified: under `claviger exec`, by the local names, and by ports."""

from __future__ import annotations

import base64
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oci
import pytest
from oci.key_management import KmsCryptoClient, KmsManagementClient, models

from tests.oci_clients import PROGRAMS, OciHouse, oci_house, python

AES = models.KeyShape(algorithm="AES", length=32)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, names_for_programs: dict[str, str]) -> Iterator[OciHouse]:
    with oci_house(tmp_path_factory.mktemp("oci-sdk"), names_for_programs) as made:
        yield made


def made_vault(house: OciHouse, name: str, region: str | None = None) -> Any:
    """A vault that was just created."""
    details = models.CreateVaultDetails(
        compartment_id=house.compartment(), display_name=name, vault_type="VIRTUAL_PRIVATE"
    )
    return house.vaults(region).create_vault(details).data


def made_key(house: OciHouse, endpoint: str, name: str) -> Any:
    """A key that was just created."""
    details = models.CreateKeyDetails(compartment_id=house.compartment(), display_name=name, key_shape=AES)
    return house.client(KmsManagementClient, endpoint).create_key(details).data


def refusal(call: Any, *arguments: Any) -> tuple[int, str]:
    with pytest.raises(oci.exceptions.ServiceError) as refused:
        call(*arguments)
    return refused.value.status, refused.value.code


def test_the_life_of_keys(house: OciHouse) -> None:
    assert house.shell.said(*python("key_life.py")) == "lived\n"


def test_the_same_program_by_the_local_names(house: OciHouse) -> None:
    assert house.run_by_local_names(*python("key_life.py")) == "lived\n"


def test_the_same_in_a_shell_made_ready_for_the_local_names(house: OciHouse) -> None:
    """What `claviger env` exports would lead past the genuine names; under `claviger exec` it does not."""
    printed = "import oci; print(oci.key_management.KmsVaultClient(oci.config.from_file()).base_client.endpoint)"
    program = (python("key_life.py")[0], "-c", printed)
    assert house.run_by_local_names(*program) == f"https://kms.us-ashburn-1.localhost:{house.shell.server.port}\n"
    assert house.shell.said(*program, more=house.exported) == "https://kms.us-ashburn-1.oraclecloud.com\n"


def test_the_programs_know_nothing_of_this_server() -> None:
    programs = [*PROGRAMS.glob("*.py"), *PROGRAMS.glob("*.sh")]
    assert len(programs) == 3
    for path in programs:
        pattern = "claviger|localhost|127[.]0|proxy|verify *=|service_endpoint|no.ssl"
        assert not re.search(pattern, path.read_text(), re.IGNORECASE), path


@pytest.mark.parametrize("way", ["by exec", "by local names"])
def test_a_walk_finds_every_key_of_a_tenancy(house: OciHouse, way: str) -> None:
    """In another region than home, and in another compartment than its vault's."""
    vault = made_vault(house, f"walked {way}", "eu-frankfurt-1")
    key = made_key(house, vault.management_endpoint, "found")
    management = house.client(KmsManagementClient, vault.management_endpoint)
    for _ in range(2):
        management.create_key_version(key.id)
    moved = models.ChangeKeyCompartmentDetails(compartment_id=house.compartment("staging"))
    management.change_key_compartment(key.id, moved)
    management.disable_key(key.id)
    run = house.shell.said if way == "by exec" else house.run_by_local_names
    found = json.loads(run(*python("walk.py")))
    assert found[f"eu-frankfurt-1/walked {way}/staging/found"] == ["DISABLED", 3]
    states = {state for state, _ in found.values()}
    assert states >= {"ENABLED", "DISABLED", "PENDING_DELETION"}, "the demo's keys are in all states"


def test_where_no_name_resolves_each_vault_has_a_port(house: OciHouse) -> None:
    first, second = made_vault(house, "first"), made_vault(house, "second")
    endpoints = [each.management_endpoint for each in (first, second)]
    assert endpoints == [each.crypto_endpoint for each in (first, second)]
    taken = {int(endpoint.rpartition(":")[2]) for endpoint in endpoints}
    assert len(taken) == 2
    assert taken <= set(house.ports)
    assert all(endpoint.startswith("https://127.0.0.1:") for endpoint in endpoints)
    keys = [made_key(house, endpoint, "by port") for endpoint in endpoints]
    assert [key.vault_id for key in keys] == [first.id, second.id]
    for own, other, key in zip(endpoints, reversed(endpoints), keys, strict=True):
        management = house.client(KmsManagementClient, own)
        assert key.id in {each.id for each in management.list_keys(house.compartment()).data}
        assert refusal(house.client(KmsManagementClient, other).get_key, key.id)[0] == 404
        assert refusal(house.client(KmsManagementClient, house.at).get_key, key.id)[0] == 404
        crypto, plain = house.client(KmsCryptoClient, own), base64.b64encode(b"x").decode()
        sealed = crypto.encrypt(models.EncryptDataDetails(key_id=key.id, plaintext=plain)).data.ciphertext
        opened = crypto.decrypt(models.DecryptDataDetails(key_id=key.id, ciphertext=sealed))
        assert opened.data.plaintext == plain


def test_a_vaults_port_is_in_the_vaults_region(house: OciHouse) -> None:
    """By an address the home region is meant; the port of a vault says which vault, and so its region."""
    vault = made_vault(house, "abroad", "eu-frankfurt-1")
    assert refusal(house.vaults().get_vault, vault.id)[0] == 404
    for port in house.ports:
        control = house.client(oci.key_management.KmsVaultClient, f"https://127.0.0.1:{port}")
        listed = {each.id: each for each in control.list_vaults(house.compartment()).data}
        if vault.id in listed and listed[vault.id].management_endpoint == f"https://127.0.0.1:{port}":
            key = made_key(house, f"https://127.0.0.1:{port}", "abroad")
            assert key.vault_id == vault.id
            assert key.id.startswith("ocid1.key.oc1.eu-frankfurt-1.")
            return
    raise AssertionError("no port leads to the vault")


def test_a_vault_has_the_names_that_were_asked_for(house: OciHouse) -> None:
    vault, port = made_vault(house, "named"), house.shell.server.port
    by_name = house.vaults("us-ashburn-1").get_vault(vault.id).data
    prefix = vault.id.split(".")[4]
    assert by_name.management_endpoint == f"https://{prefix}-management.kms.us-ashburn-1.localhost:{port}"
    assert by_name.crypto_endpoint == f"https://{prefix}-crypto.kms.us-ashburn-1.localhost:{port}"
    management = house.client(KmsManagementClient, by_name.management_endpoint)
    assert management.list_keys(house.compartment()).data == []
    crypto = house.client(KmsManagementClient, by_name.crypto_endpoint)
    assert refusal(crypto.list_keys, house.compartment())[0] == 404, "each plane at its own host"


def test_who_is_not_known_is_refused(house: OciHouse) -> None:
    stranger = {**house.config, "fingerprint": ":".join(["00"] * 16)}
    told = refusal(house.client(KmsManagementClient, house.at, stranger).get_key, "ocid1.key.oc1.iad.a.b")
    assert told == (401, "NotAuthenticated")


def test_a_region_that_is_not_subscribed_to_is_refused(house: OciHouse) -> None:
    assert refusal(house.vaults("ap-tokyo-1").list_vaults, house.config["tenancy"])[0] == 401


def test_the_files_are_for_their_owner_alone(house: OciHouse) -> None:
    folder = Path(house.exported["OCI_CONFIG_FILE"]).parent
    files = sorted(folder.iterdir())
    assert [each.name for each in files] == ["config", "key.pem", "regions.json"]
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_doctor_looks_at_the_names_of_oci(house: OciHouse) -> None:
    said = house.shell.server.program("doctor").stdout
    assert "name a-management.kms.us-ashburn-1.localhost: " in said
    assert "ok    certificate of kms.us-ashburn-1.localhost: is trusted" in said


def test_what_would_change_is_shown(house: OciHouse) -> None:
    said = house.shell.run(options=("--print",)).stdout.decode()
    for name in ("OCI_CLI_CONFIG_FILE", "OCI_CONFIG_FILE"):
        assert f"set    {name}={house.exported[name]}\n" in said
        assert name not in house.shell.run(options=("--print", "--no-demo")).stdout.decode()


def test_a_profile_of_ones_own_is_used(house: OciHouse, tmp_path: Path) -> None:
    """A user with the OCID and the key that a program has already; his profile is where SDKs look first."""
    own_ocid = "ocid1.user.oc1..aaaaownownownown"
    server = house.shell.server
    server.command("oci", "user", "create", "own", "--id", own_ocid)
    server.command("oci", "api-key", "create", "own", "--out", str(tmp_path / "key.pem"))
    server.command("oci", "user", "grant", "own", "read", "production")
    (tmp_path / ".oci").mkdir()
    words = [
        "oci",
        "config",
        "own",
        "--key-file",
        str(tmp_path / "key.pem"),
        "--out",
        str(tmp_path / ".oci" / "config"),
    ]
    assert server.program(*words).returncode == 0
    printed = """
import oci
config = oci.config.from_file()
print(config["user"])
print(len(oci.identity.IdentityClient(config).list_compartments(config["tenancy"], access_level="ACCESSIBLE").data))
"""
    said = house.shell.said(python("walk.py")[0], "-c", printed, more={"HOME": str(tmp_path)})
    assert said == f"{own_ocid}\n1\n"
    told = house.shell.run("true", more={"HOME": str(tmp_path)}).stderr
    assert b"to OCI with the credentials that are set" in told
