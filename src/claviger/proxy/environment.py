"""What changes in the environment of a program under `claviger exec`, by the names that each client family reads. Pure.

The program gets the proxy, the trust files, and credentials where it has none. What `claviger env` had set for this
server's local names goes, because it would keep the program from the way that it goes in the cloud.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

import msgspec

from claviger.proxy.destinations import hides_served
from claviger.proxy.upstream import EXCEPTION_NAMES, exception_entries

CREDENTIALS = (
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
)
"""Where one of them is set, the program has credentials of its own, and gets none."""
_PROXIES = ("HTTPS_PROXY", "https_proxy")
_NODE = "NODE_USE_ENV_PROXY"
"""Newer versions of Node.js look at HTTPS_PROXY only where this is 1; the Azure SDK for JavaScript always does."""
SECRETS = frozenset({*_PROXIES, "AZURE_CLIENT_SECRET"})


class Changes(msgspec.Struct, frozen=True):
    """Variables to set and to remove."""

    put: dict[str, str]
    removed: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<changes of {len(self.put) + len(self.removed)} variables>"

    def applied_to(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment with the changes made."""
        return {name: value for name, value in environment.items() if name not in self.removed} | self.put


def has_credentials(environment: Mapping[str, str]) -> bool:
    """Whether the environment says by itself who the program is to Azure."""
    return any(environment.get(name) for name in CREDENTIALS)


def changes_for(
    environment: Mapping[str, str],
    *,
    proxy_url: str,
    trust: Mapping[str, str],
    credentials: Mapping[str, str],
    login_names: Collection[str],
) -> Changes:
    """The changes for a program. `credentials` are set where the environment has none; `login_names` are our own."""
    put = dict.fromkeys(_PROXIES, proxy_url) | dict(trust)
    if not environment.get(_NODE):
        put[_NODE] = "1"
    if not has_credentials(environment):
        put.update(credentials)
    removed = _local_names(environment, login_names)
    for name in EXCEPTION_NAMES:
        before = exception_entries(environment.get(name, ""))
        kept = [entry for entry in before if not hides_served(entry)]
        if before and not kept:
            removed.append(name)
        elif kept != before:
            put[name] = ",".join(kept)
    return Changes(put, tuple(removed))


def _local_names(environment: Mapping[str, str], login_names: Collection[str]) -> list[str]:
    """The variables of `claviger env` that lead to this server by its local names; a user's own are not touched."""
    removed = []
    if _host(environment.get("AZURE_AUTHORITY_HOST", "")) in login_names:
        removed.append("AZURE_AUTHORITY_HOST")
    if _host(environment.get("IDENTITY_ENDPOINT", "")) in login_names:
        removed += [name for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER") if name in environment]
        if environment.get("AZURE_TOKEN_CREDENTIALS") == "ManagedIdentityCredential":
            removed.append("AZURE_TOKEN_CREDENTIALS")
    return removed


def _host(url: str) -> str:
    try:
        return urlsplit(url if "://" in url else f"https://{url}").hostname or ""
    except ValueError:
        return ""
