"""Which part of OCI a host name is, and under which names a vault is published. Pure; every OCI host is read here.

There are three ways here (OCI contract §1, §16): the genuine names, where `claviger exec` leads them; the same names
under `localhost`; and any other name or address of the server, by the paths alone. There a vault is told by its own
port, where the server has ports for vaults. What a client is told to use next is always in the style that it has used.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import msgspec

from claviger.ocikms.calls import Place, Plane

CLOUD_DOMAIN = "oraclecloud.com"
LOCAL_DOMAIN = "localhost"
_OCI = "oci."
"""The newer names of OCI have this before the domain; both are served for every host."""

_SERVICES: dict[str, Plane] = {
    "kms": Plane.CONTROL,
    "vaults": Plane.SECRETS,
    "secrets.vaults": Plane.BUNDLES,
    "identity": Plane.IDENTITY,
    "objectstorage": Plane.STORAGE,
}
"""What stands before the region, and which plane it is."""
_VAULT_PLANES = {"management": Plane.MANAGEMENT, "crypto": Plane.CRYPTO}
"""The last word of the label that stands before `kms` at the two hosts of a vault."""

_KEY_PLANES = (Plane.CONTROL, Plane.MANAGEMENT, Plane.CRYPTO)

_REGION = r"[a-z]{2,12}(?:-[a-z0-9]{1,20}){0,4}-[0-9]{1,3}"
_NAME = re.compile(
    r"(?:(?P<prefix>[a-z0-9]{1,48})-(?P<vault>" + "|".join(_VAULT_PLANES) + r")\.)?"
    r"(?P<service>" + "|".join(re.escape(service) for service in _SERVICES) + r")\."
    r"(?P<region>" + _REGION + r")\."
    r"(?P<oci>" + re.escape(_OCI) + r")?"
    r"(?P<domain>" + re.escape(CLOUD_DOMAIN) + "|" + LOCAL_DOMAIN + r")",
    re.ASCII,
)
_HOST = re.compile(r"([0-9A-Za-z._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?", re.ASCII)
_PATHS = frozenset({"20180608", "20190301", "20160918", "n", "p"})
"""The first part of each path of OCI; the last two are Object Storage's. No other service here has one of them."""

CLOUD_HOSTS = tuple(
    f"{before}.*.{domain}"
    for before in (*(f"*-{word}.kms" for word in _VAULT_PLANES), *_SERVICES)
    for domain in (CLOUD_DOMAIN, _OCI + CLOUD_DOMAIN)
)
"""Oracle's own names that are served here; a star stands for what a label may have there."""

MAX_REMEMBERED_HOSTS = 1024

Endpoints = tuple[str, str]
"""A vault's management and crypto endpoint."""


class _Named(msgspec.Struct, frozen=True):
    """A name of OCI taken apart."""

    plane: Plane
    region: str
    prefix: str | None
    domain: str


@functools.lru_cache(maxsize=MAX_REMEMBERED_HOSTS)
def _read(name: str) -> _Named | None:
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    service, prefix = match["service"], match["prefix"]
    domain = (match["oci"] or "") + match["domain"]
    if prefix is None:
        return _Named(_SERVICES[service], match["region"], None, domain)
    if service != "kms":
        return None
    return _Named(_VAULT_PLANES[match["vault"]], match["region"], prefix, domain)


def is_oci_host(name: str) -> bool:
    """Whether a lower-case name without port says by itself that OCI is meant: one of Oracle's, or one of ours."""
    return _read(name) is not None


def is_oci_path(path: str) -> bool:
    """Whether a path is one of OCI's. Clients that were given an address with a slash at its end begin with two."""
    return path.lstrip("/").partition("/")[0] in _PATHS


class OciHosts:
    """The names and ports under which OCI is reached. `ports` are those of the vaults: slot n has the n-th, from 0."""

    def __init__(self, ports: Sequence[int] = ()) -> None:
        self.ports = tuple(ports)
        self._slots = {port: slot for slot, port in enumerate(self.ports)}
        self._known: dict[tuple[str, str], Place | None] = {}

    def owns(self, host: str, path: str) -> bool:
        """Whether a request is OCI's, by its host (lower case, without port) and, at any other host, by its path."""
        return is_oci_host(host) or is_oci_path(path)

    def place(self, host: str, scheme: str = "https") -> Place | None:
        """What a Host header asks for; None for what is no host. At a name that is none of OCI's the plane is left to
        the path, the region is the empty text (the home region is meant), and the port may tell the vault's slot.
        """
        try:
            return self._known[host, scheme]
        except KeyError:
            if len(self._known) >= MAX_REMEMBERED_HOSTS:
                self._known.clear()
            place = self._known[host, scheme] = self._place(host, scheme)
            return place

    def _place(self, host: str, scheme: str) -> Place | None:
        match = _HOST.fullmatch(host)
        if match is None:
            return None
        name, port = match[1].lower().removesuffix("."), match[2]
        suffix = f":{port}" if port else ""
        named = _read(name)
        if named is None:
            slot = self._slots.get(int(port)) if port else None
            published = functools.partial(self._by_port, scheme, name, suffix)
            return Place(None, "", None, host, published, slot)
        # The other planes have `oci.` in their usual names, the key planes have not.
        domain = named.domain if named.plane in _KEY_PLANES else named.domain.removeprefix(_OCI)
        return Place(named.plane, named.region, named.prefix, host, functools.partial(_by_name, scheme, domain, suffix))

    def _by_port(self, scheme: str, name: str, suffix: str, prefix: str, region: str, slot: int | None) -> Endpoints:
        """A port of its own serves both planes of a vault; without one only the local names tell vaults apart."""
        if slot is None or slot >= len(self.ports):
            return _by_name(scheme, LOCAL_DOMAIN, suffix, prefix, region, slot)
        endpoint = f"{scheme}://{name}:{self.ports[slot]}"
        return endpoint, endpoint


def _by_name(scheme: str, domain: str, suffix: str, prefix: str, region: str, _: int | None) -> Endpoints:
    management, crypto = (f"{scheme}://{prefix}-{word}.kms.{region}.{domain}{suffix}" for word in _VAULT_PLANES)
    return management, crypto
