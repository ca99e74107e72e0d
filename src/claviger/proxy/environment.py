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

AZURE = (
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USERNAME",
    "AZURE_PASSWORD",
)
OCI = (
    "OCI_CLI_CONFIG_FILE",
    "OCI_CONFIG_FILE",
    "OCI_CLI_AUTH",
    "OCI_CLI_USER",
    "OCI_CLI_KEY_FILE",
    "OCI_CLI_KEY_CONTENT",
    "OCI_CLI_SECURITY_TOKEN_FILE",
    "OCI_RESOURCE_PRINCIPAL_VERSION",
)
"""Where one of a provider's is set, the program has credentials of its own for it, and gets none."""
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


class SignIn(msgspec.Struct, frozen=True):
    """Credentials for one provider, given where the environment has none of the variables `own`."""

    own: tuple[str, ...]
    given: Mapping[str, str]

    def __repr__(self) -> str:
        return f"<sign-in by {len(self.given)} variables>"


def has_credentials(environment: Mapping[str, str], own: tuple[str, ...] = AZURE) -> bool:
    """Whether the environment says by itself who the program is to a provider."""
    return any(environment.get(name) for name in own)


def changes_for(
    environment: Mapping[str, str],
    *,
    proxy_url: str,
    trust: Mapping[str, str],
    sign_ins: Collection[SignIn],
    login_names: Collection[str],
    local_variables: Mapping[str, str],
) -> Changes:
    """The changes for a program. `login_names` are our own; `local_variables` are those of `claviger env` that lead to
    the local names, with the values that it gives them.
    """
    put = dict.fromkeys(_PROXIES, proxy_url) | dict(trust)
    if not environment.get(_NODE):
        put[_NODE] = "1"
    for sign_in in sign_ins:
        if not has_credentials(environment, sign_in.own):
            put.update(sign_in.given)
    removed = _local_names(environment, login_names)
    removed += [name for name, value in local_variables.items() if environment.get(name) == value]
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
