"""Which vault a Host header names, and which resource host its tokens are for. Pure; every vault host is read here.

A vault is reached at `NAME.vault.localhost`, at `NAME.` plus the suffix of a public cloud or one of your own, or at any
full host mapped to it by setting; case and port never matter for that (Key Vault contract §1, §7.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

LOCAL_SUFFIX = "vault.localhost"
CLOUD_SUFFIXES = ("vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net", "vault.microsoftazure.de")

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


class VaultHosts:
    """The names under which vaults are reached. `mapped` is full host to vault name, `suffixes` come after `NAME.`."""

    def __init__(self, suffixes: Iterable[str] = (), mapped: Mapping[str, str] | None = None) -> None:
        names = (LOCAL_SUFFIX, *CLOUD_SUFFIXES, *suffixes)
        self._suffixes = frozenset(suffix.lower().strip(".") for suffix in names)
        self._mapped = {host.lower().rstrip("."): name.lower() for host, name in (mapped or {}).items()}

    def vault_name(self, host: str) -> str | None:
        """The lower-case name of the vault that `host` is for; None where the host is nobody's."""
        parts = parse_host(host)
        if parts is None:
            return None
        plain = parts.name.lower().rstrip(".")
        mapped = self._mapped.get(plain)
        if mapped is not None:
            return mapped
        label, _, suffix = plain.partition(".")
        return label if label and suffix in self._suffixes else None
