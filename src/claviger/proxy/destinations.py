"""Which hosts `claviger exec` leads to this server: one table, a line per provider. Pure; all else is let through.

A new provider is one more `Provider` in `PROVIDERS`, made of the names that its own service answers to.
"""

from __future__ import annotations

import re

import msgspec

from claviger.keyvault.hosts import CLOUD_SUFFIXES, LOGIN_HOSTS, MANAGEMENT_HOSTS, REGIONAL_LOGINS

PORT = 443
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?", re.ASCII)


class Provider(msgspec.Struct, frozen=True):
    """The hosts of a cloud that are served here: whole names, and suffixes that one label stands before."""

    name: str
    hosts: frozenset[str]
    suffixes: frozenset[str]

    def has(self, host: str) -> bool:
        """Whether a lower-case name is one of them."""
        label, _, rest = host.partition(".")
        return host in self.hosts or (rest in self.suffixes and _LABEL.fullmatch(label) is not None)


PROVIDERS = (Provider("Azure", LOGIN_HOSTS | MANAGEMENT_HOSTS, frozenset((*CLOUD_SUFFIXES, REGIONAL_LOGINS))),)


def is_served(host: str, port: int) -> bool:
    """Whether a request to this host and port is for this server. The name may be in any case and end in a dot."""
    name = host.lower().removesuffix(".")
    return port == PORT and any(provider.has(name) for provider in PROVIDERS)


def hides_served(exception: str) -> bool:
    """Whether an entry of NO_PROXY might keep a client from asking the proxy for a host that is served.

    Clients read such entries in many ways (with and without a leading dot, wildcards, ports, ends of words), so every
    entry that some client could take so is one.
    """
    entry = exception.strip().lower()
    if entry.count(":") > 1:  # an IPv6 address
        return False
    entry = entry.partition(":")[0].rpartition("*")[2].strip(".")
    names = {name for provider in PROVIDERS for name in provider.hosts}
    suffixes = {f".{suffix}" for provider in PROVIDERS for suffix in provider.suffixes}
    return any(name.endswith(entry) for name in names | suffixes) or entry.endswith(tuple(suffixes))
