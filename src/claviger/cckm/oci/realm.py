"""Where OCI is: the hosts of a realm, by region and domain, and which addresses belong to it. Pure (OCI contract §1).

A connection names the domain of its realm: `oraclecloud.com`, or `localhost:8443` for the embedded one. An address that
came from elsewhere, such as a vault's management endpoint, is asked only where it lies in that domain.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

REALM_DOMAIN = "oraclecloud.com"
LONGEST_DOMAIN = 255

Service = Literal["control", "management", "identity", "storage"]

_REGION = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+){1,5}")
_DOMAIN = re.compile(
    r"(?=.{1,255}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::[0-9]{1,5})?"
)
_ENDPOINT = re.compile(r"https://([a-z0-9.-]{1,253}(?::[0-9]{1,5})?)/?", re.IGNORECASE)
_HOSTS: dict[Service, str] = {
    "control": "kms.{region}.{domain}",
    "identity": "identity.{region}.oci.{domain}",
    "storage": "objectstorage.{region}.{domain}",
}


class Handle(msgspec.Struct, frozen=True):
    """One of OCI's services at one address; what clients of the SDK are kept by."""

    service: Service
    endpoint: str


def is_region(text: str) -> bool:
    """Whether this can be a region's name, and so a label of hosts."""
    return len(text) <= 64 and _REGION.fullmatch(text) is not None


def is_domain(text: str) -> bool:
    """Whether this can be the domain of a realm: a name, and perhaps a port."""
    return len(text) <= LONGEST_DOMAIN and _DOMAIN.fullmatch(text) is not None


def host_alone(endpoint: str) -> str:
    """An endpoint's host without its port."""
    found = _ENDPOINT.fullmatch(endpoint)
    return "" if found is None else found[1].lower().partition(":")[0]


def handle(service: Service, region: str, domain: str) -> Handle:
    """A regional service of a realm. `region` has been checked."""
    return Handle(service, f"https://{_HOSTS[service].format(region=region, domain=domain)}")


def vault_handle(management_endpoint: str, domain: str) -> Handle | None:
    """The management endpoint of a vault, as OCI published it; None where it is not one of the realm.

    A realm at a port of its own has all its hosts there: what it published before it moved to another port leads to it.
    """
    found = _ENDPOINT.fullmatch(management_endpoint)
    if found is None:
        return None
    host, _, port = found[1].lower().removesuffix(":443").partition(":")
    name, _, realm_port = domain.removesuffix(":443").partition(":")
    if not host.endswith(f".{name}") or (port and not realm_port):
        return None
    return Handle("management", f"https://{host}:{realm_port}" if realm_port else f"https://{host}")
