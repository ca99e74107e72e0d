"""Where OCI is: hosts of a realm, and which addresses belong to it."""

from __future__ import annotations

import pytest

from claviger.cckm.oci.realm import Handle, handle, host_alone, is_domain, is_region, vault_handle


@pytest.mark.parametrize("text", ["us-ashburn-1", "eu-frankfurt-1", "ap-chuncheon-1", "us-gov-phoenix-1"])
def test_regions(text: str) -> None:
    assert is_region(text)


@pytest.mark.parametrize(
    "text", ["", "us", "us.ashburn", "us-ashburn-1/", "US-ashburn-1", "a" * 65, "us-ashburn-1\n", "x@y", "us--1"]
)
def test_what_is_no_region(text: str) -> None:
    assert not is_region(text)


@pytest.mark.parametrize("text", ["oraclecloud.com", "localhost:8443", "oci.example.org", "localhost"])
def test_domains(text: str) -> None:
    assert is_domain(text)


@pytest.mark.parametrize(
    "text", ["", "a..b", "-a.com", "a_b", "a.com/", "a.com:", "a.com:123456", "u@a.com", "a" * 300]
)
def test_what_is_no_domain(text: str) -> None:
    assert not is_domain(text)


def test_regional_services() -> None:
    assert handle("control", "us-ashburn-1", "oraclecloud.com").endpoint == "https://kms.us-ashburn-1.oraclecloud.com"
    told = handle("identity", "us-ashburn-1", "localhost:8443").endpoint
    assert told == "https://identity.us-ashburn-1.oci.localhost:8443"
    told = handle("storage", "eu-frankfurt-1", "oraclecloud.com").endpoint
    assert told == "https://objectstorage.eu-frankfurt-1.oraclecloud.com"


def test_a_vault_is_asked_within_its_realm_alone() -> None:
    inside = "https://abc-management.kms.us-ashburn-1.oraclecloud.com"
    assert vault_handle(inside, "oraclecloud.com") == Handle("management", inside)
    assert vault_handle(f"{inside}/", "oraclecloud.com") == Handle("management", inside)
    assert vault_handle(f"{inside}:443", "oraclecloud.com") == Handle("management", inside)
    local = "https://abc-management.kms.us-ashburn-1.localhost:8443"
    assert vault_handle(local, "localhost:8443") == Handle("management", local)
    for outside in (
        "https://abc.example.org",
        "https://oraclecloud.com.example.org",
        "https://evil-oraclecloud.com",
        "http://abc-management.kms.us-ashburn-1.oraclecloud.com",
        "https://abc-management.kms.us-ashburn-1.oraclecloud.com/path",
        "https://user@abc-management.kms.us-ashburn-1.oraclecloud.com",
        "https://abc-management.kms.us-ashburn-1.oraclecloud.com:8443",
        "",
    ):
        assert vault_handle(outside, "oraclecloud.com") is None, outside


def test_a_realm_that_moved_to_another_port_is_asked_there() -> None:
    for before in (":9999", ":443", ""):
        told = vault_handle(f"https://abc-management.kms.us-ashburn-1.localhost{before}", "localhost:8443")
        assert told == Handle("management", "https://abc-management.kms.us-ashburn-1.localhost:8443"), before
    assert vault_handle("https://abc.example.org:9999", "localhost:8443") is None


def test_the_host_of_an_endpoint() -> None:
    assert host_alone("https://A.localhost:8443") == "a.localhost"
    assert host_alone("nonsense") == ""
