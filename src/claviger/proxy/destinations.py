"""Which hosts `claviger exec` leads to this server: one table, a line per provider. Pure; all else is let through.

A new provider is one more `Provider` in `PROVIDERS`, made of the names that its own service answers to.
"""

from __future__ import annotations

import re

import msgspec

from claviger.keyvault.hosts import CLOUD_SUFFIXES, LOGIN_HOSTS, MANAGEMENT_HOSTS, REGIONAL_LOGINS
from claviger.ocikms.hosts import CLOUD_HOSTS

PORT = 443
ANY = "*"
_LABEL = "[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"


class Provider(msgspec.Struct, frozen=True):
    """The hosts of a cloud that are served here, by lower-case names. A star stands for a label, or for its start."""

    name: str
    hosts: frozenset[str]


PROVIDERS = (
    Provider(
        "Azure",
        LOGIN_HOSTS | MANAGEMENT_HOSTS | {f"{ANY}.{suffix}" for suffix in (*CLOUD_SUFFIXES, REGIONAL_LOGINS)},
    ),
    Provider("OCI", frozenset(CLOUD_HOSTS)),
)
_NAMES = frozenset().union(*(provider.hosts for provider in PROVIDERS))
_SERVED = re.compile("|".join(re.escape(name).replace(re.escape(ANY), _LABEL) for name in sorted(_NAMES)), re.ASCII)


def is_served(host: str, port: int) -> bool:
    """Whether a request to this host and port is for this server. The name may be in any case and end in a dot."""
    return port == PORT and _SERVED.fullmatch(host.lower().removesuffix(".")) is not None


def hides_served(exception: str) -> bool:
    """Whether an entry of NO_PROXY might keep a client from asking the proxy for a host that is served.

    Clients read such entries in many ways (with and without a leading dot, wildcards, ports, ends of words), so every
    entry that some client could take so is one.
    """
    entry = exception.strip().lower()
    if entry.count(":") > 1:  # an IPv6 address
        return False
    words = entry.partition(":")[0].rpartition(ANY)[2].strip(".").split(".")
    return any(_may_end_in(name.split("."), words) for name in _NAMES)


def _may_end_in(name: list[str], words: list[str]) -> bool:
    """Whether a host of that name may end in these words, the first of which may be the end of a label."""
    if len(words) > len(name):
        return False
    ends = name[-len(words) :]
    pairs = zip(ends[1:], words[1:], strict=True)
    return _may_end(ends[0], words[0]) and all(
        theirs == ours or (ANY in ours and _may_end(ours, theirs)) for ours, theirs in pairs
    )


def _may_end(label: str, word: str) -> bool:
    if ANY not in label:
        return label.endswith(word)
    fixed = label.rpartition(ANY)[2]
    return word.endswith(fixed) or fixed.endswith(word)
