"""Vaults as the API shows them, from what Azure says and from what is stored; and by what they are listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from claviger.cckm.access.acls.wire import AclShown
from claviger.cckm.approvals.rules import Protection
from claviger.cckm.azure.answers import understood
from claviger.cckm.azure.vaults.records import VaultDetails, VaultRow, encode_details
from claviger.cckm.azure.vaults.rules import WORDS, arm_id
from claviger.cckm.azure.vaults.wire import FoundVault, Properties, Vault
from claviger.cckm.resource import header, timestamp

FILTERS: Mapping[str, Callable[[VaultRow], object]] = {
    "id": lambda row: row.id,
    "name": lambda row: row.name,
    "location": lambda row: row.location,
    "cloud_name": lambda row: row.cloud_name,
    "subscription_id": lambda row: row.subscription_id,
    "subscription_name": lambda row: row.subscription_name,
    "job_config_id": lambda row: row.labels_map.get("job_config_id"),
    "type": lambda row: [WORDS[row.type], row.type],
}
SORTS: Mapping[str, Callable[[VaultRow], Any]] = {
    "azure_name": lambda row: row.azure_name,
    "updatedAt": lambda row: row.updated_at,
    "createdAt": lambda row: row.created_at,
}


def found(told: dict[str, Any]) -> FoundVault:
    """A vault as Azure shows it. Raises Unavailable("CloudUndecided") where the answer is not one."""
    parsed = arm_id(str(told.get("azure_vault_id") or ""))
    if parsed is None:
        return understood(told, FoundVault)
    properties = told.get("properties")
    if not parsed.is_managed_hsm and isinstance(properties, dict):  # Azure says so of a vault only where it is on
        properties = {**properties, "enablePurgeProtection": properties.get("enablePurgeProtection") or False}
    return understood({**told, "type": parsed.type, "properties": properties}, FoundVault)


def details_of(one: FoundVault) -> str:
    """What is kept of Azure's answer, as JSON."""
    return encode_details(VaultDetails(one.tags, msgspec.to_builtins(one.properties)))


def vault(row: VaultRow, acls: list[AclShown], protection: Protection) -> Vault:
    """The record as it is on the wire."""
    said = row.said
    return Vault(
        **header("cckm", "azure-vault", row.id, row.name, row.domain_id, row.created_at, row.updated_at),
        name=row.name,
        azure_name=row.azure_name,
        azure_vault_id=row.azure_vault_id,
        cloud_name=row.cloud_name,
        connection=row.connection_name,
        location=row.location,
        subscription_id=row.subscription_id,
        subscription_name=row.subscription_name,
        type=row.type,
        tags=said.tags,
        labels=row.labels_map,
        synced_at=msgspec.UNSET if row.synced_at is None else timestamp(row.synced_at),
        cloud_key_backup_limit=row.cloud_key_backup_limit,
        properties=msgspec.convert(said.properties, Properties),
        acls=acls,
        protected=protection.protected,
        hard_delete_quorum=protection.in_force,
    )
