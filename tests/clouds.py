"""Connections of the control plane to a running server's own Azure, as an operator would describe them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from claviger.cckm.azure.connections.cloud import AzureCloud
from claviger.cckm.azure.connections.pace import AzureBudgets, Limits
from claviger.cckm.azure.connections.rules import AzureDetails, Credentials
from claviger.core.sensitive import Sensitive
from tests.serving import Application, Estate


def endpoints(port: int, authority_pem: str) -> dict[str, Any]:
    """The fields of a connection that lead to an embedded Azure on a port."""
    return {
        "active_directory_endpoint": f"https://login.localhost:{port}",
        "management_url": f"https://management.localhost:{port}",
        "resource_manager_url": f"https://management.localhost:{port}",
        "key_vault_dns_suffix": f"vault.localhost:{port}",
        "vault_resource_url": f"https://vault.localhost:{port}",
        "azure_stack_server_cert": authority_pem,
    }


def authority_of(estate: Estate) -> str:
    """The certificate of the server's own authority, without all those of the machine."""
    return (estate.server.data / "tls" / "ca.pem").read_text()


def details_of(estate: Estate, **changed: Any) -> AzureDetails:
    """A connection to that server as its demo application."""
    found = AzureDetails(
        client_id=estate.demo_application.client_id,
        tenant_id=estate.tenant_id,
        **endpoints(estate.server.port, authority_of(estate)),
    )
    return msgspec.structs.replace(found, **changed)


def credentials_of(application: Application) -> Credentials:
    """The client secret of an application."""
    return Credentials(client_secret=Sensitive(application.client_secret))


@asynccontextmanager
async def reaching(details: AzureDetails, credentials: Credentials, **limits: Any) -> AsyncIterator[AzureCloud]:
    """The way of a connection, open until the end."""
    chosen = Limits(**limits)
    cloud = AzureCloud(details, credentials, chosen, AzureBudgets(chosen.queue_s), None)
    await cloud.open()
    try:
        yield cloud
    finally:
        await cloud.close()
