"""What says where a connection to Azure leads; see `connections.protection`."""

from __future__ import annotations

from claviger.cckm.approvals.guarding import Guard
from claviger.cckm.azure.connections.rules import AzureDetails, Connection
from claviger.cckm.connections import protection
from claviger.store.contract import Tx

KIND = "azure-connection"
_LEADS = (
    "cloud_name",
    "active_directory_endpoint",
    "management_url",
    "resource_manager_url",
    "key_vault_dns_suffix",
    "vault_resource_url",
    "azure_stack_server_cert",
)


def require(tx: Tx, guard: Guard | None, before: Connection, after: AzureDetails) -> None:
    """Within the change of a connection: raises Wanted where it leads elsewhere and more people have to agree."""
    protection.require(tx, guard, KIND, before, after, _LEADS)
