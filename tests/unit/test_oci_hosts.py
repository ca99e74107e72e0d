"""What the host that was asked says of OCI: the plane, the region, the vault, and the names to go on with."""

from __future__ import annotations

import pytest

from claviger.core.errors import Misconfigured
from claviger.ocikms.calls import Plane
from claviger.ocikms.hosts import MAX_REMEMBERED_HOSTS, OciHosts, is_oci_host
from claviger.settings import load_settings

PREFIX = "b5q6uxdhaahdg"


@pytest.mark.parametrize("domain", ["oraclecloud.com", "oci.oraclecloud.com", "localhost", "oci.localhost"])
@pytest.mark.parametrize(
    ("before", "plane", "prefix"),
    [
        ("kms", Plane.CONTROL, None),
        (f"{PREFIX}-management.kms", Plane.MANAGEMENT, PREFIX),
        (f"{PREFIX}-crypto.kms", Plane.CRYPTO, PREFIX),
        ("vaults", Plane.SECRETS, None),
        ("secrets.vaults", Plane.BUNDLES, None),
        ("identity", Plane.IDENTITY, None),
        ("objectstorage", Plane.STORAGE, None),
    ],
)
@pytest.mark.parametrize("port", ["", ":443", ":8443"])
def test_names_of_oci(before: str, plane: Plane, prefix: str | None, domain: str, port: str) -> None:
    name = f"{before}.eu-frankfurt-1.{domain}"
    for shown in (name + port, name.upper() + port, f"{name}.{port}"):
        place = OciHosts((8443,)).place(shown)
        assert place is not None
        assert (place.plane, place.region, place.prefix) == (plane, "eu-frankfurt-1", prefix)
        assert (place.shown, place.slot) == (shown, None)
    assert is_oci_host(name)


@pytest.mark.parametrize(
    ("asked", "management"),
    [
        ("kms.us-ashburn-1.oraclecloud.com", "https://p-management.kms.us-phoenix-1.oraclecloud.com"),
        ("kms.us-ashburn-1.oci.oraclecloud.com", "https://p-management.kms.us-phoenix-1.oci.oraclecloud.com"),
        ("vaults.us-ashburn-1.oci.oraclecloud.com", "https://p-management.kms.us-phoenix-1.oraclecloud.com"),
        ("kms.us-ashburn-1.localhost:8443", "https://p-management.kms.us-phoenix-1.localhost:8443"),
        ("x-crypto.kms.us-ashburn-1.localhost:8443", "https://p-management.kms.us-phoenix-1.localhost:8443"),
        ("identity.us-ashburn-1.oci.localhost:9", "https://p-management.kms.us-phoenix-1.localhost:9"),
    ],
)
def test_a_vault_is_published_in_the_style_that_was_asked(asked: str, management: str) -> None:
    place = OciHosts((8500, 8501)).place(asked)
    assert place is not None
    for slot in (None, 1):
        published = place.published("p", "us-phoenix-1", slot)
        assert published == (management, management.replace("p-management", "p-crypto"))


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "claviger", "[::1]"])
def test_without_names_a_vault_has_a_port(name: str) -> None:
    hosts = OciHosts((8500, 8503))
    control, vault = hosts.place(f"{name}:8443"), hosts.place(f"{name}:8503")
    assert control is not None
    assert vault is not None
    assert (control.plane, control.region, control.prefix, control.slot) == (None, "", None, None)
    assert (vault.plane, vault.slot) == (None, 1)
    for place in (control, vault):
        assert place.published("p", "us-phoenix-1", 1) == (f"https://{name}:8503",) * 2


@pytest.mark.parametrize("slot", [None, 1])
def test_where_there_is_no_port_for_it_a_vault_has_the_local_names(slot: int | None) -> None:
    place = OciHosts((8500,)).place("127.0.0.1:8443")
    assert place is not None
    assert place.published("p", "us-phoenix-1", slot) == (
        "https://p-management.kms.us-phoenix-1.localhost:8443",
        "https://p-crypto.kms.us-phoenix-1.localhost:8443",
    )


def test_plain_http_is_published_as_such() -> None:
    place = OciHosts().place("kms.us-ashburn-1.localhost:80", "http")
    assert place is not None
    assert place.published("p", "us-phoenix-1", None)[0] == "http://p-management.kms.us-phoenix-1.localhost:80"


@pytest.mark.parametrize(
    "host", ["", " ", "a b", "a:b", "a:123456", 'a"', "a,b", "[::1", "kms.us-ashburn-1.localhost:"]
)
def test_what_is_no_host(host: str) -> None:
    assert OciHosts().place(host) is None


@pytest.mark.parametrize(
    "name",
    [
        "kms.localhost",
        "kms.vault.localhost",  # a vault of Azure's that is called kms
        "demo.vault.localhost",
        "management.localhost",
        "x.kms.us-ashburn-1.localhost",
        "-management.kms.us-ashburn-1.localhost",
        "a-management.vaults.us-ashburn-1.localhost",
        "a-management.secrets.vaults.us-ashburn-1.localhost",
        "kms.us-ashburn-1.localhost.example.org",
        "kms.us-ashburn-1.example.org",
        "kms.us_ashburn_1.localhost",
        "iaas.us-ashburn-1.oraclecloud.com",
        "",
    ],
)
def test_names_that_are_none_of_ocis(name: str) -> None:
    hosts = OciHosts()
    assert not is_oci_host(name)
    assert not hosts.owns(name, "/secrets/a")
    assert not hosts.owns(name, "/api/v1/cckm")
    assert hosts.owns(name, "/20180608/vaults")


@pytest.mark.parametrize(
    ("path", "ocis"),
    [
        ("/20180608/keys", True),
        ("//20180608/keys", True),
        ("/20190301/secretbundles/x", True),
        ("/20160918/compartments", True),
        ("/n/demo/b/x/o/y", True),
        ("/p/secret/n/demo/b/x/o/y", True),
        ("/", False),
        ("", False),
        ("/2018060", False),
        ("/names", False),
        ("/api/20180608", False),
    ],
)
def test_at_any_other_host_the_path_decides(path: str, ocis: bool) -> None:
    assert OciHosts().owns("127.0.0.1", path) == ocis
    assert OciHosts().owns("kms.us-ashburn-1.localhost", path), "at a name of its own all is OCI's"


def test_hosts_are_remembered_within_bounds() -> None:
    hosts = OciHosts()
    first = hosts.place("kms.us-ashburn-1.localhost")
    assert hosts.place("kms.us-ashburn-1.localhost") is first
    for number in range(2 * MAX_REMEMBERED_HOSTS):
        hosts.place(f"h{number}")
        assert len(hosts._known) <= MAX_REMEMBERED_HOSTS


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("", ()),
        ("8500", (8500,)),
        ("8500-8503", (8500, 8501, 8502, 8503)),
        (" 8510 - 8511, 8500 ", (8510, 8511, 8500)),
        ("8500,,", (8500,)),
    ],
)
def test_ports_by_setting(text: str, ports: tuple[int, ...]) -> None:
    assert load_settings({"CLAVIGER_OCI_PORTS": text}).vault_ports == ports


@pytest.mark.parametrize("text", ["x", "0", "65536", "8500-", "-8500", "8503-8500", "8500,8500", "1-65535", "٨٥٠٠"])
def test_ports_that_cannot_be_used_are_refused_by_name(text: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        load_settings({"CLAVIGER_OCI_PORTS": text})
    assert refused.value.facts["setting"] == "CLAVIGER_OCI_PORTS"
