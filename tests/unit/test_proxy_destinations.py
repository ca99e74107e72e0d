"""Which hosts are led here under `claviger exec`, and which entries of NO_PROXY would hide one."""

from __future__ import annotations

import pytest

from claviger.keyvault.hosts import CLOUDS, VaultHosts, is_cloud_host, is_login_host
from claviger.ocikms import hosts as oci
from claviger.proxy.destinations import PROVIDERS, hides_served, is_served

SERVED = [
    "demo.vault.azure.net",
    "DEMO.Vault.Azure.NET",
    "demo.vault.azure.net.",
    "a-1.vault.azure.cn",
    "demo.vault.usgovcloudapi.net",
    "demo.vault.microsoftazure.de",
    "login.microsoftonline.com",
    "login.windows.net",
    "login.microsoft.com",
    "westus2.login.microsoft.com",
    "sts.windows.net",
    "login.chinacloudapi.cn",
    "login.partner.microsoftonline.cn",
    "login.microsoftonline.us",
    "login.microsoftonline.de",
    "management.azure.com",
    "management.chinacloudapi.cn",
    "management.usgovcloudapi.net",
    "management.microsoftazure.de",
]
OCI = [
    "kms.us-ashburn-1.oraclecloud.com",
    "KMS.uk-gov-london-1.OracleCloud.com.",
    "kms.eu-frankfurt-1.oci.oraclecloud.com",
    "b5q6uxdhaahdg-management.kms.us-ashburn-1.oraclecloud.com",
    "b5q6uxdhaahdg-crypto.kms.us-ashburn-1.oraclecloud.com",
    "b5q6uxdhaahdg-crypto.kms.us-ashburn-1.oci.oraclecloud.com",
    "vaults.us-ashburn-1.oci.oraclecloud.com",
    "secrets.vaults.us-ashburn-1.oci.oraclecloud.com",
    "identity.us-ashburn-1.oraclecloud.com",
    "identity.us-ashburn-1.oci.oraclecloud.com",
    "objectstorage.us-ashburn-1.oraclecloud.com",
]
OTHERS = [
    "vault.azure.net",
    ".vault.azure.net",
    "a.b.vault.azure.net",
    "-a.vault.azure.net",
    "demovault.azure.net",
    "demo.vault.azure.net.example.org",
    "demo.vault.azure.net..",
    "demo.vault.azure.network",
    "demo.managedhsm.azure.net",
    "graph.microsoft.com",
    "evil-login.microsoftonline.com",
    "a.login.microsoftonline.com",
    "a.b.login.microsoft.com",
    "azure.com",
    "kms.oraclecloud.com",
    "a.kms.us-ashburn-1.oraclecloud.com",
    "-management.kms.us-ashburn-1.oraclecloud.com",
    "a.b-management.kms.us-ashburn-1.oraclecloud.com",
    "b-management.vaults.us-ashburn-1.oci.oraclecloud.com",
    "kms.us-ashburn-1.us-phoenix-1.oraclecloud.com",
    "kms.us-ashburn-1.oraclecloud.com.example.org",
    "xkms.us-ashburn-1.oraclecloud.com",
    "iaas.us-ashburn-1.oraclecloud.com",
    "kms.us-ashburn-1.localhost",
    "oraclecloud.com",
    "example.org",
    "localhost",
    "127.0.0.1",
    "::1",
    "",
]


@pytest.mark.parametrize("host", [*SERVED, *OCI])
def test_a_cloud_host_is_served(host: str) -> None:
    assert is_served(host, 443)
    assert not is_served(host, 8443), "another port of it is none of the cloud's"
    assert not is_served(host, 80)


@pytest.mark.parametrize("host", OTHERS)
def test_any_other_host_is_not(host: str) -> None:
    assert not is_served(host, 443)


@pytest.mark.parametrize("host", SERVED)
def test_the_server_answers_and_has_a_certificate_for_each_of_them(host: str) -> None:
    name = host.lower().removesuffix(".")
    assert is_cloud_host(name)
    management = {cloud.management for cloud in CLOUDS}
    assert is_login_host(name) or name in management or VaultHosts().vault_name(name) is not None


@pytest.mark.parametrize("host", OCI)
def test_so_it_does_for_those_of_oci(host: str) -> None:
    name = host.lower().removesuffix(".")
    assert oci.is_oci_host(name)
    assert oci.OciHosts().owns(name, "/")


@pytest.mark.parametrize("host", [host for host in OTHERS if host != "-a.vault.azure.net"])
def test_the_server_makes_no_certificate_for_the_others(host: str) -> None:
    assert not is_cloud_host(host)
    assert host.endswith(".localhost") or not oci.is_oci_host(host)


def test_no_name_is_led_here_twice() -> None:
    names = [name for provider in PROVIDERS for name in provider.hosts]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        ".",
        "net",
        ".net",
        "azure.net",
        ".azure.net",
        "*.azure.net",
        "*azure.net:443",
        "VAULT.azure.net",
        "demo.vault.azure.net",
        "demo.vault.azure.net:443",
        "*.vault.*",
        "microsoftonline.com",
        "login.microsoftonline.com",
        "zure.com",
        "management.azure.com",
        "westus2.login.microsoft.com",
        "oraclecloud.com",
        ".us-ashburn-1.oraclecloud.com",
        "ashburn-1.oraclecloud.com",
        "kms.us-ashburn-1.oraclecloud.com",
        "b5q6uxdhaahdg-crypto.kms.us-ashburn-1.oraclecloud.com",
        "crypto.kms.us-ashburn-1.oraclecloud.com",
        "*.oci.oraclecloud.com",
    ],
)
def test_an_exception_that_some_client_could_take_for_a_cloud_host(entry: str) -> None:
    assert hides_served(entry)


@pytest.mark.parametrize(
    "entry",
    [
        "localhost",
        "127.0.0.1",
        "10.0.0.0/8",
        "::1",
        "[::1]",
        "[::1]:443",
        "fd00::/8",
        "example.org",
        ".internal.example.org",
        "*.corp.example",
        "graph.microsoft.com",
        "blob.core.windows.net",
        "xmanagement.azure.com",
        "x.vault.azure.net.net",
        "iaas.us-ashburn-1.oraclecloud.com",
        "a.kms.us-ashburn-1.oraclecloud.com",
        "us-ashburn-1.ocir.io",
        "cloud.oracle.com",
    ],
)
def test_an_exception_that_no_client_takes_for_one(entry: str) -> None:
    assert not hides_served(entry)
