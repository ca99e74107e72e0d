"""What a program under `claviger exec` finds in its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from claviger.proxy.environment import AZURE, OCI, Changes, SignIn, changes_for, has_credentials
from claviger.proxy.trust import trust_files, trusts_others

PROXY = "http://claviger:word@127.0.0.1:4711"
TRUST = {"SSL_CERT_FILE": "/data/tls/bundle.pem"}
DEMO = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}
OCI_DEMO = {"OCI_CLI_CONFIG_FILE": "/data/oci/config", "OCI_CONFIG_FILE": "/data/oci/config"}
OURS = {"login.localhost"}
REGIONS = {"OCI_DEVELOPER_TOOL_CONFIGURATION_FILE_PATH": "/data/oci/regions.json"}
AUTHORITY = b"-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n"
THEIRS = b"-----BEGIN CERTIFICATE-----\ntheirs\n-----END CERTIFICATE-----"


def changed(environment: dict[str, str]) -> dict[str, str]:
    given = [SignIn(AZURE, DEMO), SignIn(OCI, OCI_DEMO)]
    made = changes_for(
        environment, proxy_url=PROXY, trust=TRUST, sign_ins=given, login_names=OURS, local_variables=REGIONS
    )
    return made.applied_to(environment)


def test_an_empty_environment_gets_all_that_is_needed() -> None:
    expected = {"HTTPS_PROXY": PROXY, "https_proxy": PROXY, "NODE_USE_ENV_PROXY": "1", **TRUST}
    assert changed({}) == expected | DEMO | OCI_DEMO


def test_everything_else_stays() -> None:
    own = {
        "PATH": "/bin",
        "HTTP_PROXY": "http://corp:1",
        "ALL_PROXY": "http://corp:1",
        "AWS_CA_BUNDLE": "/aws.pem",
        "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.us",
        "IDENTITY_ENDPOINT": "http://127.0.0.1:42356/msi/token",
        "IDENTITY_HEADER": "h",
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        "NODE_USE_ENV_PROXY": "0",
        "AZURE_KEYVAULT_URL": "https://demo.vault.localhost:8443",
        "OCI_DEVELOPER_TOOL_CONFIGURATION_FILE_PATH": "/home/me/regions.json",
        "OCI_CLI_REGION": "eu-frankfurt-1",
    }
    after = changed(own)
    assert {name: after[name] for name in own} == own


@pytest.mark.parametrize(
    "name",
    [
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_CLIENT_CERTIFICATE_PATH",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_USERNAME",
    ],
)
def test_credentials_of_ones_own_are_left_alone(name: str) -> None:
    assert has_credentials({name: "own"})
    after = changed({name: "own"})
    assert {each: after[each] for each in after if each.startswith("AZURE_")} == {name: "own"}


@pytest.mark.parametrize("name", ["OCI_CLI_CONFIG_FILE", "OCI_CONFIG_FILE", "OCI_CLI_AUTH", "OCI_CLI_KEY_FILE"])
def test_those_for_oci_are_told_from_those_for_azure(name: str) -> None:
    assert has_credentials({name: "own"}, OCI)
    assert not has_credentials({name: "own"})
    after = changed({name: "own"})
    assert {each: after[each] for each in after if each.startswith("OCI_")} == {name: "own"}
    assert {each: after[each] for each in DEMO} == DEMO
    assert {each: changed(DEMO)[each] for each in OCI_DEMO} == OCI_DEMO


def test_an_empty_credential_is_none() -> None:
    assert not has_credentials({"AZURE_CLIENT_ID": ""})
    assert changed({"AZURE_CLIENT_ID": ""})["AZURE_CLIENT_ID"] == "c"


@pytest.mark.parametrize("url", ["https://login.localhost:8443", "https://LOGIN.localhost:1/", "login.localhost:8443"])
def test_what_leads_to_the_local_names_goes(url: str) -> None:
    before = {
        "AZURE_AUTHORITY_HOST": url,
        "IDENTITY_ENDPOINT": f"{url.rstrip('/')}/msi/token",
        "IDENTITY_HEADER": "h",
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        **REGIONS,
    }
    assert not set(before) & set(changed(before))


def test_a_choice_of_credentials_that_is_not_from_claviger_env_stays() -> None:
    before = {"IDENTITY_ENDPOINT": "https://login.localhost:8443/msi/token", "AZURE_TOKEN_CREDENTIALS": "dev"}
    assert changed(before)["AZURE_TOKEN_CREDENTIALS"] == "dev"
    assert "IDENTITY_ENDPOINT" not in changed(before)


def test_a_broken_address_is_left_to_who_set_it() -> None:
    assert changed({"AZURE_AUTHORITY_HOST": "https://[::1"})["AZURE_AUTHORITY_HOST"] == "https://[::1"


def test_exceptions_from_the_proxy_stay_but_for_cloud_hosts() -> None:
    after = changed({"NO_PROXY": "localhost,.azure.net, 10.0.0.0/8", "no_proxy": "*"})
    assert after["NO_PROXY"] == "localhost,10.0.0.0/8"
    assert "no_proxy" not in after
    assert changed({"NO_PROXY": "localhost, example.org"})["NO_PROXY"] == "localhost, example.org"


def test_changes_do_not_print_what_they_hold() -> None:
    assert "secret" not in repr(Changes({"AZURE_CLIENT_SECRET": "secret"}, ()))
    assert "secret" not in repr(SignIn(AZURE, {"AZURE_CLIENT_SECRET": "secret"}))


class Tls:
    """The server's folder of trust files, and a place for merged ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.merged: list[tuple[Path, bytes]] = []
        (folder / "ca.pem").write_bytes(AUTHORITY)
        (folder / "bundle.pem").write_bytes(THEIRS + b"\n" + AUTHORITY)

    def merge(self, given: Path, content: bytes) -> str:
        self.merged.append((given, content))
        return f"merged-{len(self.merged)}"

    def files(self, environment: dict[str, str]) -> dict[str, str]:
        return trust_files(environment, self.folder, self.merge)


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


def test_without_any_of_ones_own_the_servers_files_serve(tls: Tls) -> None:
    bundle, authority = str(tls.folder / "bundle.pem"), str(tls.folder / "ca.pem")
    expected = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), bundle)
    assert tls.files({}) == {**expected, "NODE_EXTRA_CA_CERTS": authority}
    assert tls.merged == []


def test_a_file_of_ones_own_is_added_to(tls: Tls, tmp_path: Path) -> None:
    own = tmp_path / "corp.pem"
    own.write_bytes(THEIRS)
    files = tls.files({"REQUESTS_CA_BUNDLE": str(own), "NODE_EXTRA_CA_CERTS": str(own)})
    assert files["REQUESTS_CA_BUNDLE"] == files["NODE_EXTRA_CA_CERTS"] == "merged-1"
    assert files["SSL_CERT_FILE"] == str(tls.folder / "bundle.pem")
    assert tls.merged == [(own, THEIRS + b"\n" + AUTHORITY)]


def test_a_folder_of_ones_own_is_made_a_file(tls: Tls, tmp_path: Path) -> None:
    own = tmp_path / "hashed"
    (own / "below").mkdir(parents=True)
    (own / "1.pem").write_bytes(THEIRS)
    (own / "README").write_text("no certificate")
    assert tls.files({"REQUESTS_CA_BUNDLE": str(own)})["REQUESTS_CA_BUNDLE"] == "merged-1"
    assert tls.merged == [(own, THEIRS + b"\n" + AUTHORITY)]


def test_a_file_that_has_the_authority_serves_as_it_is(tls: Tls) -> None:
    given = {"SSL_CERT_FILE": str(tls.folder / "bundle.pem"), "NODE_EXTRA_CA_CERTS": str(tls.folder / "ca.pem")}
    files = tls.files(given)
    assert {name: files[name] for name in given} == given
    assert tls.merged == []


def test_a_file_that_cannot_be_read_gives_way(tls: Tls) -> None:
    files = tls.files({"SSL_CERT_FILE": "/nowhere/at/all.pem", "NODE_EXTRA_CA_CERTS": "/nowhere/at/all.pem"})
    assert files["SSL_CERT_FILE"] == str(tls.folder / "bundle.pem")
    assert files["NODE_EXTRA_CA_CERTS"] == str(tls.folder / "ca.pem")


def test_a_machine_without_a_trust_store_is_noticed(tls: Tls) -> None:
    assert trusts_others(tls.folder)
    (tls.folder / "bundle.pem").write_bytes(AUTHORITY)
    assert not trusts_others(tls.folder)
