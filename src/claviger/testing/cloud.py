"""Clients of the official SDK for a test's vault: imported when a test asks for one, and not needed before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.identity import ClientSecretCredential as Credential
    from azure.keyvault.secrets import SecretClient as Client

    __all__ = ["Client", "Credential", "make_client", "make_credential"]


def make_credential(environment: Mapping[str, str], ca_file: Path) -> Credential:
    """The credential of the demo application. Raises ModuleNotFoundError without azure-identity."""
    from azure.identity import ClientSecretCredential

    return ClientSecretCredential(
        environment["AZURE_TENANT_ID"],
        environment["AZURE_CLIENT_ID"],
        environment["AZURE_CLIENT_SECRET"],
        authority=environment["AZURE_AUTHORITY_HOST"],
        disable_instance_discovery=True,
        connection_verify=str(ca_file),
    )


def make_client(url: str, credential: Any, ca_file: Path, **options: Any) -> Client:
    """A client of the vault at `url`. Raises ModuleNotFoundError without azure-keyvault-secrets."""
    from azure.keyvault.secrets import SecretClient

    return SecretClient(url, credential, **{"connection_verify": str(ca_file), **options})
