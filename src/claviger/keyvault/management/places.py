"""What a management host stands for: where its vaults and its login host are, and which tokens it takes. Pure.

Under a cloud's own name, where names are led here as `claviger exec` leads them, everything keeps that cloud's names.
Under ours, everything is on `localhost` with the client's own port.
"""

from __future__ import annotations

import msgspec

from claviger.keyvault.challenge import LOGIN_HOST, Challenge, issuers_at
from claviger.keyvault.hosts import (
    CLOUDS,
    LOCAL_MANAGEMENT,
    LOCAL_SUFFIX,
    MANAGEMENT_AUDIENCES,
    Cloud,
    Host,
    management_cloud,
    parse_host,
)

APPLICATION = "797f4846-ba00-4fd7-ba43-dac1f8f63013"
"""The application id of the real service, which tokens may name as their audience."""
_NAMES = ("AzureCloud", "AzureChinaCloud", "AzureUSGovernment", "AzureGermanCloud")  # in the order of CLOUDS


class Place(msgspec.Struct, frozen=True):
    """A management host as one client sees it. URLs are without a slash at their end; `cloud` is None for our own."""

    name: str
    base_url: str
    login_url: str
    vault_suffix: str
    audiences: frozenset[str]
    cloud: Cloud | None

    @property
    def graph_url(self) -> str:
        """Where the little of Microsoft Graph is that there is here."""
        return f"{self.base_url}/graph"

    def vault_url(self, vault: str) -> str:
        """The URL of a vault, as `vaultUri` has it."""
        return f"https://{vault.lower()}.{self.vault_suffix}/"

    def expected(self, tenant_id: str) -> Challenge:
        """What a token of this tenant must be like."""
        return Challenge(
            header=b"",
            resource=self.base_url,
            tenant_id=tenant_id,
            audiences=self.audiences,
            issuers=issuers_at(self.login_url, tenant_id),
        )


def place_at(host: str, login_url: str | None = None) -> Place:
    """The place that a Host header names. `login_url` is the setting of that name, for our own host."""
    parts = parse_host(host) or Host(LOCAL_MANAGEMENT, "")
    cloud = management_cloud(parts)
    port = "" if parts.port == ":443" else parts.port
    base_url = f"https://{parts.name.lower().rstrip('.')}{port}"
    ours = login_url.rstrip("/") if login_url else f"https://{LOGIN_HOST}{port}"
    urls = {
        base_url,
        f"{base_url}/graph",
        f"https://{LOCAL_MANAGEMENT}",
        f"https://{LOCAL_MANAGEMENT}{port}",
        *MANAGEMENT_AUDIENCES,
    }
    return Place(
        name=_NAMES[CLOUDS.index(cloud)] if cloud else "Claviger",
        base_url=base_url,
        login_url=f"https://{cloud.login}" if cloud else ours,
        vault_suffix=(cloud.vault_suffix if cloud else LOCAL_SUFFIX) + port,
        audiences=frozenset({APPLICATION, *urls, *(url + "/" for url in urls)}),
        cloud=cloud,
    )
