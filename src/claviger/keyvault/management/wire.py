"""Requests and answers of the management API, exactly as they stand on the wire (Key Vault contract §10).

A field that is null counts as absent. What an answer leaves out is absent too, as the real service has it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from claviger.core.errors import Invalid

T = TypeVar("T")


class _In(msgspec.Struct, rename="camel"):
    pass


class SkuIn(_In, kw_only=True):
    """The tier asked for."""

    family: str
    name: str


class PermissionsIn(_In, kw_only=True):
    """Permissions by kind."""

    keys: list[str] | None = None
    secrets: list[str] | None = None
    certificates: list[str] | None = None
    storage: list[str] | None = None


class PolicyIn(_In, kw_only=True):
    """One entry of `accessPolicies`."""

    tenant_id: str
    object_id: str
    application_id: str | None = None
    permissions: PermissionsIn


class IpRuleIn(_In, kw_only=True):
    """An address or a range."""

    value: str


class SubnetRuleIn(_In, kw_only=True):
    """A subnet of a virtual network."""

    id: str
    ignore_missing_vnet_service_endpoint: bool | None = None


class AclsIn(_In, kw_only=True):
    """Network rules."""

    bypass: str | None = None
    default_action: str | None = None
    ip_rules: list[IpRuleIn] | None = None
    virtual_network_rules: list[SubnetRuleIn] | None = None


class PropertiesIn(_In, kw_only=True):
    """The properties of a vault, as PUT and PATCH have them. `vaultUri` and what else is read-only is ignored."""

    tenant_id: str | None = None
    sku: SkuIn | None = None
    access_policies: list[PolicyIn] | None = None
    enabled_for_deployment: bool | None = None
    enabled_for_disk_encryption: bool | None = None
    enabled_for_template_deployment: bool | None = None
    enable_soft_delete: bool | None = None
    soft_delete_retention_in_days: int | None = None
    enable_rbac_authorization: bool | None = None
    enable_purge_protection: bool | None = None
    create_mode: str | None = None
    network_acls: AclsIn | None = None
    public_network_access: str | None = None


class VaultIn(_In, kw_only=True):
    """The body of PUT and PATCH."""

    location: str | None = None
    tags: dict[str, str] | None = None
    properties: PropertiesIn | None = None


class PoliciesOnlyIn(_In, kw_only=True):
    """What a change of access policies names."""

    access_policies: list[PolicyIn]


class PolicyChangeIn(_In, kw_only=True):
    """The body of a change of access policies."""

    properties: PoliciesOnlyIn


class NameIn(_In, kw_only=True):
    """The body of a name check."""

    name: str
    type: str


class GroupIn(_In, kw_only=True):
    """The body of PUT and PATCH of a resource group."""

    location: str | None = None
    tags: dict[str, str] | None = None


class _Out(msgspec.Struct, rename="camel", omit_defaults=True):
    pass


class SkuOut(msgspec.Struct):
    """A tier."""

    family: str
    name: str


class PolicyOut(_Out, kw_only=True):
    """One entry of `accessPolicies`."""

    tenant_id: str
    object_id: str
    application_id: str | None = None
    permissions: dict[str, list[str]]


class PropertiesOut(_Out, kw_only=True):
    """The properties of a live vault."""

    sku: SkuOut
    tenant_id: str
    network_acls: msgspec.Raw | None = None
    access_policies: list[PolicyOut]
    enabled_for_deployment: bool
    enabled_for_disk_encryption: bool
    enabled_for_template_deployment: bool
    enable_soft_delete: bool
    soft_delete_retention_in_days: int
    enable_rbac_authorization: bool
    enable_purge_protection: bool | None = None  # present and true, or absent
    vault_uri: str
    provisioning_state: str
    public_network_access: str


class SystemDataOut(_Out, kw_only=True):
    """When a vault was made and last changed."""

    created_at: str
    last_modified_at: str


class ResourceOut(_Out, kw_only=True):
    """A resource as lists of resources have it."""

    id: str
    name: str
    type: str
    location: str
    tags: msgspec.Raw


class VaultOut(_Out, kw_only=True):
    """A live vault."""

    id: str
    name: str
    type: str
    location: str
    tags: msgspec.Raw
    system_data: SystemDataOut
    properties: PropertiesOut


class DeletedPropertiesOut(_Out, kw_only=True):
    """The properties of a deleted vault."""

    vault_id: str
    location: str
    tags: msgspec.Raw
    deletion_date: str
    scheduled_purge_date: str
    purge_protection_enabled: bool | None = None


class DeletedOut(_Out, kw_only=True):
    """A deleted vault."""

    id: str
    name: str
    type: str
    properties: DeletedPropertiesOut


class PoliciesOnlyOut(_Out, kw_only=True):
    """The access policies of a vault after a change."""

    access_policies: list[PolicyOut]


class PolicyChangeOut(_Out, kw_only=True):
    """The answer to a change of access policies."""

    id: str
    type: str
    location: str
    properties: PoliciesOnlyOut


class NameOut(_Out, kw_only=True):
    """The answer to a name check."""

    name_available: bool
    reason: str | None = None
    message: str | None = None


class GroupOut(_Out, kw_only=True):
    """A resource group."""

    id: str
    name: str
    type: str
    location: str
    tags: msgspec.Raw
    properties: dict[str, str]


class Page(_Out, kw_only=True):
    """One page of a listing; `nextLink` is absent on the last one."""

    value: list[Any]
    next_link: str | None = None


encode = msgspec.json.Encoder().encode
_vault = msgspec.json.Decoder(VaultIn)
_change = msgspec.json.Decoder(PolicyChangeIn)
_name = msgspec.json.Decoder(NameIn)
_group = msgspec.json.Decoder(GroupIn)


def decode_vault(body: bytes) -> VaultIn:
    """The body of a PUT or PATCH of a vault. Raises Invalid("Content")."""
    return _decoded(_vault, body)


def decode_change(body: bytes) -> PolicyChangeIn:
    """The body of a change of access policies. Raises Invalid("Content")."""
    return _decoded(_change, body)


def decode_name(body: bytes) -> NameIn:
    """The body of a name check. Raises Invalid("Content")."""
    return _decoded(_name, body)


def decode_group(body: bytes) -> GroupIn:
    """The body of a PUT or PATCH of a resource group. Raises Invalid("Content")."""
    return _decoded(_group, body)


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as fault:
        detail = str(fault) if isinstance(fault, msgspec.ValidationError) else "it is not JSON of the expected form"
        raise Invalid("Content", detail=detail[:200]) from None
