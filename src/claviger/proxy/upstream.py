"""The proxy that the user's own environment asks for, and the hosts that it leaves out. Pure.

`claviger exec` takes the place of that proxy for one program, and sends on through it what is not for this server. The
variables mean what curl and Python take them to mean: lower case before upper case, an empty one is none.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

import msgspec

from claviger.core.errors import Misconfigured
from claviger.core.sensitive import Sensitive

PROXY_NAMES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
EXCEPTION_NAMES = ("no_proxy", "NO_PROXY")
_PORTS = {"http": 80, "https": 443}
_SEPARATORS = re.compile(r"[\s,]+")


class Upstream(msgspec.Struct, frozen=True):
    """A proxy to send CONNECT requests to. `authorization` is the value of Proxy-Authorization."""

    host: str
    port: int
    secure: bool = False
    authorization: Sensitive | None = None


def find_upstream(environment: Mapping[str, str]) -> Upstream | None:
    """The proxy for https:// requests that the environment names.

    Raises Misconfigured("UpstreamProxy") for one that cannot be used; its address is not shown, for it may hold a
    password.
    """
    for name in PROXY_NAMES:
        text = environment.get(name, "").strip()
        if text:
            return _read(name, text)
    return None


def _read(name: str, text: str) -> Upstream:
    try:
        url: SplitResult = urlsplit(text if "://" in text else f"http://{text}")
        host, port = url.hostname, url.port
    except ValueError:
        host, port, url = None, None, urlsplit("")
    if not host or url.scheme not in _PORTS:
        fix = f"give {name} an address http://HOST:PORT or https://HOST:PORT, or unset it for this call"
        raise Misconfigured("UpstreamProxy", variable=name, scheme=url.scheme, fix=fix)
    authorization = None
    if url.username is not None:
        pair = unquote_to_bytes(url.username) + b":" + unquote_to_bytes(url.password or "")
        authorization = Sensitive(b"Basic " + base64.b64encode(pair))
    return Upstream(host, port or _PORTS[url.scheme], url.scheme == "https", authorization)


def exception_entries(text: str) -> list[str]:
    """The entries of a NO_PROXY."""
    return [entry for entry in _SEPARATORS.split(text) if entry]


class Exceptions:
    """The hosts that are reached without the upstream proxy: what no_proxy, or else NO_PROXY, says."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        texts = [environment[name] for name in EXCEPTION_NAMES if environment.get(name)]
        self._entries = [_Entry(entry) for entry in exception_entries(texts[0])] if texts else []

    def cover(self, host: str, port: int) -> bool:
        """Whether a host is reached directly: named itself, below a domain that is named, or in a named network."""
        name = host.lower().rstrip(".")
        return any(entry.covers(name, port) for entry in self._entries)


class _Entry:
    """`*`, an address, a network, or a domain with or without leading dot or `*.`; a port may follow."""

    def __init__(self, text: str) -> None:
        text = text.lower()
        self._port: int | None = None
        self._network = _network(text.strip("[]"))
        if self._network is None:
            head, _, port = text.rpartition(":")
            if head and port.isdigit():
                text, self._port = head, int(port)
                self._network = _network(text.strip("[]"))
        self._all = text == "*"
        self._domain = text.removeprefix("*").strip(".")

    def covers(self, name: str, port: int) -> bool:
        if self._port not in (None, port):
            return False
        if self._all:
            return True
        if self._network is not None:
            address = _network(name)
            return address is not None and address.network_address in self._network
        return bool(self._domain) and (name == self._domain or name.endswith(f".{self._domain}"))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
