"""How connections to Azure look in answers (CCKM contract, common §7.3)."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from claviger.cckm.azure.connections.rules import Connection
from claviger.cckm.azure.connections.wire import AzureConnectionOut
from claviger.cckm.connections.shown import common_fields

_SHOWN_IF_SET = (
    "cert_duration",
    "certificate",
    "certificate_thumbprint",
    "active_directory_endpoint",
    "management_url",
    "resource_manager_url",
    "key_vault_dns_suffix",
    "vault_resource_url",
    "azure_stack_server_cert",
    "azure_stack_connection_type",
)


def shown(found: Connection) -> AzureConnectionOut:
    """A connection to Azure."""
    details = found.details
    if_set: dict[str, Any] = {field: getattr(details, field) or UNSET for field in _SHOWN_IF_SET}
    return AzureConnectionOut(
        **common_fields(found),
        client_id=details.client_id,
        tenant_id=details.tenant_id,
        is_certificate_used=details.is_certificate_used,
        external_certificate_used=details.external_certificate_used,
        **if_set,
    )
