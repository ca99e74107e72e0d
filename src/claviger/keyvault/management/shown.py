"""Stored things as the management API shows them: vaults, deleted vaults, resource groups, subscriptions, tenants."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from claviger.keyvault.directory.records import Tenant
from claviger.keyvault.groups.records import Group
from claviger.keyvault.management import wire
from claviger.keyvault.management.places import Place
from claviger.keyvault.management.rules import KEY_VAULT, KEY_VAULT_VERSIONS, LOCATIONS, VAULT_TYPE
from claviger.keyvault.secrets.rules import MAX_EPOCH_S
from claviger.keyvault.vaults.operations import DEFAULT_SUBSCRIPTION
from claviger.keyvault.vaults.records import AccessPolicy, Vault
from claviger.keyvault.vaults.rules import group_scope

_NO_TAGS = msgspec.Raw(b"{}")
_TYPES: dict[str, tuple[str, ...]] = {
    KEY_VAULT: (
        "vaults",
        "vaults/accessPolicies",
        "operations",
        "deletedVaults",
        "locations",
        "locations/deletedVaults",
        "locations/operationResults",
        "checkNameAvailability",
    ),
    "Microsoft.Resources": ("subscriptions", "resourceGroups", "resources", "providers", "tenants"),
}


def moment(epoch_s: int) -> str:
    """A time as Azure writes it, UTC; the last one that can be written for any later one."""
    return datetime.fromtimestamp(min(epoch_s, MAX_EPOCH_S), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def vault(found: Vault, policies: Iterable[AccessPolicy], place: Place) -> wire.VaultOut:
    """A live vault with everything."""
    return wire.VaultOut(
        id=found.path,
        name=found.name,
        type=VAULT_TYPE,
        location=found.location,
        tags=_tags(found.tags),
        system_data=wire.SystemDataOut(created_at=moment(found.created_at), last_modified_at=moment(found.updated_at)),
        properties=wire.PropertiesOut(
            sku=wire.SkuOut("A", found.sku),
            tenant_id=found.tenant_id,
            network_acls=msgspec.Raw(found.network_acls.encode()) if found.network_acls else None,
            access_policies=[_policy(policy) for policy in policies],
            enabled_for_deployment=found.enabled_for_deployment,
            enabled_for_disk_encryption=found.enabled_for_disk_encryption,
            enabled_for_template_deployment=found.enabled_for_template_deployment,
            enable_soft_delete=found.soft_delete,
            soft_delete_retention_in_days=found.retention_days,
            enable_rbac_authorization=found.rbac,
            enable_purge_protection=True if found.purge_protection else None,
            vault_uri=place.vault_url(found.name),
            provisioning_state="Succeeded",
            public_network_access="Enabled" if found.public_access else "Disabled",
        ),
    )


def resource(found: Vault) -> wire.ResourceOut:
    """A vault as one resource among others."""
    return wire.ResourceOut(
        id=found.path, name=found.name, type=VAULT_TYPE, location=found.location, tags=_tags(found.tags)
    )


def deleted_vault(found: Vault) -> wire.DeletedOut:
    """A deleted vault that can still be recovered."""
    return wire.DeletedOut(
        id=deleted_path(found.subscription_id, found.location, found.name),
        name=found.name,
        type=f"{KEY_VAULT}/deletedVaults",
        properties=wire.DeletedPropertiesOut(
            vault_id=found.path,
            location=found.location,
            tags=_tags(found.tags),
            deletion_date=moment(found.deleted_at or 0),
            scheduled_purge_date=moment(found.purge_at or 0),
            purge_protection_enabled=True if found.purge_protection else None,
        ),
    )


def deleted_path(subscription_id: str, location: str, name: str) -> str:
    """The ARM path of a deleted vault."""
    return f"/subscriptions/{subscription_id}/providers/{KEY_VAULT}/locations/{location}/deletedVaults/{name}"


def changed_policies(found: Vault, policies: Iterable[AccessPolicy]) -> wire.PolicyChangeOut:
    """The answer to a change of access policies."""
    return wire.PolicyChangeOut(
        id=f"{found.path}/accessPolicies/",
        type=f"{VAULT_TYPE}/accessPolicies",
        location=found.location,
        properties=wire.PoliciesOnlyOut(access_policies=[_policy(policy) for policy in policies]),
    )


def group(found: Group) -> wire.GroupOut:
    """A resource group."""
    return wire.GroupOut(
        id=group_scope(found.subscription_id, found.name),
        name=found.name,
        type="Microsoft.Resources/resourceGroups",
        location=found.location,
        tags=_tags(found.tags),
        properties={"provisioningState": "Succeeded"},
    )


def subscription(subscription_id: str, tenant_id: str) -> dict[str, Any]:
    """A subscription. There is nothing of it but its id: it is shown to each tenant as the tenant's own."""
    more = "" if subscription_id == DEFAULT_SUBSCRIPTION else f" {subscription_id[:8]}"
    return {
        "id": f"/subscriptions/{subscription_id}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": subscription_id,
        "tenantId": tenant_id,
        "displayName": f"Claviger{more}",
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }


def tenant(found: Tenant) -> dict[str, Any]:
    """A tenant."""
    return {
        "id": f"/tenants/{found.id}",
        "tenantId": found.id,
        "displayName": found.name,
        "defaultDomain": found.domain,
        "domains": [found.domain],
        "tenantCategory": "Home",
        "tenantType": "AAD",
    }


def principal(object_id: str, app_id: str) -> dict[str, Any]:
    """An application as Graph shows it."""
    return {
        "id": object_id,
        "appId": app_id,
        "displayName": app_id,
        "servicePrincipalNames": [app_id],
        "servicePrincipalType": "Application",
    }


def location(subscription_id: str, name: str) -> dict[str, Any]:
    """A location."""
    title = LOCATIONS.get(name, name)
    return {
        "id": f"/subscriptions/{subscription_id}/locations/{name}",
        "name": name,
        "type": "Region",
        "displayName": title,
        "regionalDisplayName": title,
        "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
    }


def provider(subscription_id: str, namespace: str) -> dict[str, Any]:
    """A resource provider with its types; always registered."""
    versions = list(reversed(KEY_VAULT_VERSIONS)) if namespace == KEY_VAULT else ["2025-04-01", "2021-04-01"]
    return {
        "id": f"/subscriptions/{subscription_id}/providers/{namespace}",
        "namespace": namespace,
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationRequired" if namespace == KEY_VAULT else "RegistrationFree",
        "resourceTypes": [
            {
                "resourceType": name,
                "locations": list(LOCATIONS.values()) if namespace == KEY_VAULT else [],
                "apiVersions": versions,
                "capabilities": "None",
            }
            for name in _TYPES[namespace]
        ],
    }


def _policy(policy: AccessPolicy) -> wire.PolicyOut:
    return wire.PolicyOut(
        tenant_id=policy.tenant_id,
        object_id=policy.object_id,
        application_id=policy.application_id or None,
        permissions=policy.permissions,
    )


def _tags(tags: str | None) -> msgspec.Raw:
    return msgspec.Raw(tags.encode()) if tags else _NO_TAGS
