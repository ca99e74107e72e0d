"""Where clouds are found, and what a connection may say of itself."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from claviger.cckm.azure.connections.cloud import AzureCloud, credentials_of, sealed_form
from claviger.cckm.azure.connections.pace import AzureBudgets, Limits
from claviger.cckm.azure.connections.rules import (
    CLOUDS,
    AzureDetails,
    Credentials,
    check_credentials,
    endpoints_of,
    host_of,
    problems_of,
)
from claviger.cckm.reaching import said
from claviger.core.errors import Invalid
from claviger.core.sensitive import Sensitive
from claviger.outgoing.hosts import is_local


def details(**more: Any) -> AzureDetails:
    return AzureDetails(client_id="c", tenant_id="t", **more)


def cloud(**more: Any) -> AzureCloud:
    return AzureCloud(details(**more), Credentials(), Limits(), AzureBudgets(1), "http://proxy.example:3128")


@pytest.mark.parametrize("name", [name for name in CLOUDS if name != "AzureStack"])
def test_known_clouds(name: str) -> None:
    found = endpoints_of(details(cloud_name=name))
    assert found == CLOUDS[name]
    assert problems_of("x", details(cloud_name=name)) == {}
    for url in (found.login, found.arm, found.arm_audience, found.vault_audience):
        assert url.startswith("https://")
        assert not url.endswith("/")


def test_any_address_may_be_given() -> None:
    found = endpoints_of(
        details(
            active_directory_endpoint="https://login.example/",
            resource_manager_url="https://arm.example:8443/",
            key_vault_dns_suffix=".vault.example:8443",
        )
    )
    assert (found.login, found.arm, found.arm_audience) == (
        "https://login.example",
        "https://arm.example:8443",
        "https://arm.example:8443",
    )
    assert (found.vault_suffix, found.own_vaults) == ("vault.example:8443", True)
    assert found.vault_audience == "https://vault.azure.net"
    assert endpoints_of(details(management_url="https://a.example/x")).arm_audience == "https://a.example/x"


@pytest.mark.parametrize(
    "url", ["https://a.example", "https://A.example/", "https://a.example:443", "https://login.localhost:8443"]
)
def test_addresses_that_are_fine(url: str) -> None:
    assert problems_of(None, details(active_directory_endpoint=url, resource_manager_url=url)) == {}


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example",
        "https://",
        "https:///x",
        "https://a.example/x",
        "https://a.example?x",
        "https://a.example#x",
        "https://u@a.example",
        "https://a.example:0",
        "https://a.example:99999",
        "https://a.example:x",
        "https://-a.example",
        "https://a..example",
        "https://a.example\\@b.example",
        "https://a.example\n",
        " https://a.example",
        "https://[::1]",
        "https://" + "a" * 64,
        "ftp://a.example",
    ],
)
def test_addresses_that_are_not(url: str) -> None:
    assert list(problems_of(None, details(active_directory_endpoint=url))) == ["active_directory_endpoint"]


def test_credentials_exclude_one_another() -> None:
    assert check_credentials(True, False, False, "AzureCloud") == {}
    assert check_credentials(False, True, False, "AzureCloud") == {}
    assert check_credentials(False, False, True, "AzureCloud") == {}
    assert check_credentials(False, False, False, "AzureCloud") != {}
    assert check_credentials(True, True, False, "AzureCloud") != {}
    assert check_credentials(False, True, True, "AzureCloud") != {}
    assert check_credentials(False, True, False, "AzureStack") != {}
    assert check_credentials(True, False, False, "AzureStack") == {}


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("https://Name.vault.azure.net/", "https://name.vault.azure.net"),
        ("https://name.vault.azure.net", "https://name.vault.azure.net"),
        ("https://name.vault.azure.net:443/", "https://name.vault.azure.net"),
    ],
)
def test_addresses_of_vaults(uri: str, url: str) -> None:
    assert cloud().vault_url("ignored", uri) == url


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://vault.azure.net",
        "https://evil.example",
        "https://evil.example/.vault.azure.net",
        "https://evil.example#.vault.azure.net",
        "https://evil.example?.vault.azure.net",
        "https://u@name.vault.azure.net",
        "https://evil.example\\.vault.azure.net",
        "https://a.b.vault.azure.net",
        "https://namevault.azure.net",
        "https://name.vault.azure.net.evil.example",
        "https://name.vault.azure.net:8443",
        "http://name.vault.azure.net",
        "https://name.vault.azure.cn",
        "https://-.vault.azure.net",
    ],
)
def test_vaults_of_other_clouds(uri: str) -> None:
    with pytest.raises(Invalid, match="VaultAddress"):
        cloud().vault_url("name", uri)


def test_vaults_where_the_connection_says_so() -> None:
    own = cloud(key_vault_dns_suffix="vault.localhost:8443")
    assert own.vault_url("Demo", "https://evil.example") == "https://demo.vault.localhost:8443"
    for bad in ("", "a.b", "a/b", "a#", "-a", "a" * 128, "a@b", "ä"):
        with pytest.raises(Invalid, match="VaultAddress"):
            own.vault_url(bad, "")
    assert own.budget("https://demo.vault.localhost:8443") is None
    assert cloud().budget("https://x.vault.azure.net") is not None


def test_names_of_this_machine() -> None:
    for name in ("localhost", "LOCALHOST", "a.localhost", "a.b.localhost."):
        assert is_local(name)
    for name in ("localhost.example", "xlocalhost", "127.0.0.1", ""):
        assert not is_local(name)
    assert host_of("https://A.example:8443/") == "a.example:8443"
    assert host_of("https://a.example/x") is None


def test_credentials_come_back_and_are_never_shown() -> None:
    given = Credentials(client_secret=Sensitive("s3cret"), private_key=Sensitive("k3y"))
    back = credentials_of(sealed_form(given))
    assert (back.client_secret, back.private_key) == (given.client_secret, given.private_key)
    assert "s3cret" not in repr(given) + str(back) + repr(sealed_form(given))
    assert credentials_of(sealed_form(Credentials(client_secret=Sensitive("x")))).private_key is None


def test_words_of_a_cloud() -> None:
    assert said("a\r\n b\tc.", ()) == "a b c"
    assert said("x secret y", (Sensitive("secret"), Sensitive(""))) == "x <hidden> y"
    assert len(said("x" * 10_000)) == 503


def test_nothing_of_the_sdk_is_loaded_before_a_cloud_is_used() -> None:
    """A server must start in a moment and stay small."""
    script = (
        "import sys, claviger.cckm.azure.connections.routes, claviger.cckm.azure.secrets.cloud, "
        "claviger.cckm.azure.vaults.cloud, claviger.cckm.azure.subscriptions.cloud\n"
        "print([name for name in ('azure', 'azure.core', 'aiohttp', 'aiolimiter', 'msal') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
