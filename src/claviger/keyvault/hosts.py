"""Which vault a Host header names, and which resource host its tokens are for. Pure; every vault host is read here.

A vault is reached at `NAME.vault.localhost`, at `NAME.` plus the suffix of a public cloud or one of your own, or at any
full host mapped to it by setting; case and port never matter for that (Key Vault contract §1, §7.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

LOCAL_SUFFIX = "vault.localhost"
LOCAL_MANAGEMENT = "management.localhost"


class Cloud(msgspec.Struct, frozen=True):
    """A public cloud as programs know it: the suffix of its vaults, its login host with other names of it, and ARM."""

    vault_suffix: str
    login: str
    login_aliases: tuple[str, ...]
    management: str

    @property
    def logins(self) -> tuple[str, ...]:
        """Every name of the login host, the usual one first."""
        return (self.login, *self.login_aliases)


CLOUDS = (
    Cloud(
        "vault.azure.net",
        "login.microsoftonline.com",
        ("login.windows.net", "login.microsoft.com", "sts.windows.net"),
        "management.azure.com",
    ),
    Cloud(
        "vault.azure.cn",
        "login.chinacloudapi.cn",
        ("login.partner.microsoftonline.cn",),
        "management.chinacloudapi.cn",
    ),
    Cloud(
        "vault.usgovcloudapi.net",
        "login.microsoftonline.us",
        ("login.usgovcloudapi.net", "login-us.microsoftonline.com"),
        "management.usgovcloudapi.net",
    ),
    Cloud("vault.microsoftazure.de", "login.microsoftonline.de", (), "management.microsoftazure.de"),
)
"""The one list of the clouds' names: routing, certificates, challenges and `claviger exec` all go by it."""
CLOUD_SUFFIXES = tuple(cloud.vault_suffix for cloud in CLOUDS)
LOGIN_HOSTS = frozenset(name for cloud in CLOUDS for name in cloud.logins)
REGIONAL_LOGINS = "login.microsoft.com"
"""Clients that are told a region put its name before this one."""
MANAGEMENT_HOSTS = frozenset(cloud.management for cloud in CLOUDS)
MANAGEMENT_AUDIENCES = (
    "https://management.core.windows.net",
    "https://management.azure.com",
    "https://management.core.chinacloudapi.cn",
    "https://management.chinacloudapi.cn",
    "https://management.core.usgovcloudapi.net",
    "https://management.usgovcloudapi.net",
    "https://management.core.cloudapi.de",
    "https://management.microsoftazure.de",
)
"""What clients ask tokens for management with, in each cloud; an older name and the host's own."""

MAX_REMEMBERED_HOSTS = 1_024

_HOST = re.compile(r"([0-9A-Za-z._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?", re.ASCII)
_IPV4 = re.compile(r"[0-9.]+", re.ASCII)


class Host(msgspec.Struct, frozen=True):
    """A Host header taken apart: `name` as the client wrote it, `port` with its colon, or empty."""

    name: str
    port: str


def parse_host(host: str) -> Host | None:
    """The parts of a Host header; None for what cannot be one (no blank, quote or comma ever gets through)."""
    match = _HOST.fullmatch(host)
    if match is None:
        return None
    return Host(match[1], f":{match[2]}" if match[2] else "")


def resource_host(host: Host) -> str:
    """The host that tokens for this vault are issued for: the first label dropped, the port kept (contract §7.2).

    A host without a dot, and an address, stays as it is: there clients must have the resource check switched off.
    """
    label, dot, rest = host.name.partition(".")
    if not dot or not rest or not label or host.name[0] == "[" or _IPV4.fullmatch(host.name):
        return host.name + host.port
    return rest + host.port


def cloud_of(host: Host) -> Cloud | None:
    """The cloud whose vault a host is, by name and port; None for a name of ours, and for any other port than 443."""
    if host.port not in ("", ":443"):
        return None
    suffix = host.name.lower().rstrip(".").partition(".")[2]
    return next((cloud for cloud in CLOUDS if cloud.vault_suffix == suffix), None)


def management_cloud(host: Host) -> Cloud | None:
    """The cloud whose management host this is; None for a name of ours."""
    name = host.name.lower().rstrip(".")
    return next((cloud for cloud in CLOUDS if cloud.management == name), None)


def is_management_host(name: str) -> bool:
    """Whether a lower-case name without port is one that the management API answers at."""
    return name == LOCAL_MANAGEMENT or name in MANAGEMENT_HOSTS


def is_login_host(name: str) -> bool:
    """Whether a lower-case name is a login host of a public cloud, a regional one included."""
    return name in LOGIN_HOSTS or name.partition(".")[2] == REGIONAL_LOGINS


def is_cloud_host(name: str) -> bool:
    """Whether a lower-case name without port is one of a public cloud's that this server answers for."""
    label, _, rest = name.partition(".")
    return is_login_host(name) or name in MANAGEMENT_HOSTS or (rest in CLOUD_SUFFIXES and label != "")


class VaultHosts:
    """The names under which vaults are reached. `mapped` is full host to vault name, `suffixes` come after `NAME.`."""

    def __init__(self, suffixes: Iterable[str] = (), mapped: Mapping[str, str] | None = None) -> None:
        names = (LOCAL_SUFFIX, *CLOUD_SUFFIXES, *suffixes)
        self._suffixes = frozenset(suffix.lower().strip(".") for suffix in names)
        self._known: dict[str, str | None] = {}
        self._mapped = {host.lower().rstrip("."): name.lower() for host, name in (mapped or {}).items()}

    def vault_name(self, host: str) -> str | None:
        """The lower-case name of the vault that `host` is for; None where the host is nobody's."""
        try:
            return self._known[host]
        except KeyError:
            if len(self._known) >= MAX_REMEMBERED_HOSTS:
                self._known.clear()
            name = self._known[host] = self._read(host)
            return name

    def _read(self, host: str) -> str | None:
        parts = parse_host(host)
        if parts is None:
            return None
        plain = parts.name.lower().rstrip(".")
        mapped = self._mapped.get(plain)
        if mapped is not None:
            return mapped
        label, _, suffix = plain.partition(".")
        return label if label and suffix in self._suffixes else None
