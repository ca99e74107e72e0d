"""The documents that `az cloud register`, `az login` and Terraform read to find their way around a cloud (§7.5).

Services that there are not here are named on this host all the same, so that no client takes a token of ours to the
real ones. Under a cloud's own name only what is known of that cloud is told.
"""

from __future__ import annotations

from typing import Any

from claviger.keyvault.management.places import Place

_FIRST_LIST, _LAST_LIST = "2019-05-01", "2020-06-01"
_OF_THE_PUBLIC_CLOUD = {
    "portal": "https://portal.azure.com",
    "gallery": "https://gallery.azure.com/",
    "graph": "https://graph.microsoft.com/",
    "microsoftGraphResourceId": "https://graph.microsoft.com/",
    "graphAudience": "https://graph.windows.net/",
}


def endpoints(place: Place, api_version: str) -> Any:
    """The document of one version: of old only some addresses, in between a list of clouds, at last one cloud."""
    if api_version < _FIRST_LIST:
        return _addresses(place)
    document = cloud(place)
    return [document] if api_version <= _LAST_LIST else document


def cloud(place: Place) -> dict[str, Any]:
    """A cloud with all its addresses."""
    suffixes = {"keyVaultDns": place.vault_suffix}
    if place.cloud is None:
        suffixes |= {
            "storage": "storage.localhost",
            "mhsmDns": "managedhsm.localhost",
            "acrLoginServer": "registry.localhost",
            "sqlServerHostname": "database.localhost",
        }
    return {
        "name": place.name,
        "authentication": _authentication(place),
        "resourceManager": f"{place.base_url}/",
        **_elsewhere(place),
        "suffixes": suffixes,
    }


def _addresses(place: Place) -> dict[str, Any]:
    told = {"portal": "portalEndpoint", "gallery": "galleryEndpoint", "graphAudience": "graphEndpoint"}
    elsewhere = {told[name]: url for name, url in _elsewhere(place).items() if name in told}
    return {**elsewhere, "authentication": _authentication(place)}


def _authentication(place: Place) -> dict[str, Any]:
    """Clients ask tokens with the first of the audiences."""
    if place.cloud is None:
        audiences = [f"{place.base_url}/", "https://management.azure.com/"]
    else:
        audiences = [f"https://{place.cloud.management}/"]
        if place.name == "AzureCloud":
            audiences.insert(0, "https://management.core.windows.net/")
    return {
        "loginEndpoint": place.login_url,
        "audiences": audiences,
        "tenant": "common",
        "identityProvider": "AAD",
    }


def _elsewhere(place: Place) -> dict[str, str]:
    """Addresses of what is served by nobody here."""
    if place.cloud is not None:
        return _OF_THE_PUBLIC_CLOUD if place.name == "AzureCloud" else {}
    return {
        "portal": f"{place.base_url}/portal",
        "gallery": f"{place.base_url}/gallery/",
        "graph": f"{place.graph_url}/",
        "microsoftGraphResourceId": f"{place.graph_url}/",
        "graphAudience": f"{place.graph_url}/",
        "batch": f"{place.base_url}/batch/",
        "sqlManagement": f"{place.base_url}/sql/",
        "vmImageAliasDoc": f"{place.base_url}/images/aliases.json",
    }
