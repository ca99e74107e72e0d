"""What a PUT or a PATCH makes of a vault, and what may never change again. Pure (Key Vault contract §10).

A PUT on a vault that is there replaces its settings: what it leaves out goes back to its default. That is not so for
what can be set only once or only be tightened (soft delete, retention, purge protection), nor for the choice between
roles and access policies: left out, those stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from claviger.core.errors import Forbidden, Invalid
from claviger.keyvault.management import rules
from claviger.keyvault.management.wire import AclsIn, PermissionsIn, PolicyIn, PropertiesIn, SkuIn, VaultIn
from claviger.keyvault.vaults.network import IpRule, NetworkAcls, SubnetRule, check_acls
from claviger.keyvault.vaults.records import AccessPolicy, Vault
from claviger.keyvault.vaults.rules import (
    SKUS,
    check_kind_permissions,
    check_location,
    check_resource_group,
    check_vault_name,
    is_uuid,
)
from claviger.lifecycle.retention import MAX_RETENTION_DAYS, check_retention_days

_PUBLIC = {"enabled": True, "disabled": False}


class VaultPath(msgspec.Struct, frozen=True):
    """Which vault a request is about, each part as the client wrote it; the subscription is a lower-case UUID."""

    subscription_id: str
    group: str
    name: str

    def is_of(self, vault: Vault) -> bool:
        """Whether this is the path of that vault."""
        mine = (self.subscription_id, self.group.lower(), self.name.lower())
        return mine == (vault.subscription_id, vault.resource_group.lower(), vault.name.lower())


def wants_recovery(asked: VaultIn) -> bool:
    """Whether a PUT is to bring a deleted vault back. Raises Invalid for a mode there is not, or no properties."""
    mode = (_properties(asked).create_mode or "default").lower()
    if mode not in ("default", "recover"):
        raise Invalid("Property", property="createMode")
    return mode == "recover"


def new_vault(asked: VaultIn, path: VaultPath, tenant_id: str, api_version: str, now: int) -> Vault:
    """A vault as asked for, but for its id. Raises Invalid with the property that is missing or wrong."""
    given = _properties(asked)
    draft = Vault(
        id=0,
        name=check_vault_name(path.name),
        tenant_id=tenant_id,
        subscription_id=path.subscription_id,
        resource_group=check_resource_group(path.group),
        location=location_of(asked),
        soft_delete=given.enable_soft_delete is not False,
        retention_days=MAX_RETENTION_DAYS,
        rbac=rules.has_roles_by_default(api_version),
        created_at=now,
        updated_at=now,
    )
    if given.soft_delete_retention_in_days is not None:
        draft = msgspec.structs.replace(draft, retention_days=check_retention_days(given.soft_delete_retention_in_days))
    return _put(draft, asked, now)


def replaced(kept: Vault, asked: VaultIn, now: int) -> Vault:
    """A live vault after a PUT. Raises as `new_vault`, and Invalid for what cannot change any more."""
    _check_fixed(kept, _properties(asked))
    return _put(kept, asked, now)


def patched(kept: Vault, asked: VaultIn, now: int) -> Vault:
    """A live vault after a PATCH: what is absent stays. Raises as `replaced`."""
    given = asked.properties or PropertiesIn()
    _check_fixed(kept, given)
    changes = _changes(kept, given)
    if asked.tags is not None:
        changes["tags"] = tags_of(asked.tags)
    return msgspec.structs.replace(kept, updated_at=now, **changes)


def check_model(kept: Vault, after: Vault, may_assign_roles: bool) -> None:
    """Raises Forbidden("PermissionModel") where roles and policies change places without the right to give roles."""
    if kept.rbac != after.rbac and not may_assign_roles:
        raise Forbidden("PermissionModel")


def policies_of(asked: Iterable[PolicyIn], vault: Vault) -> list[AccessPolicy]:
    """Access policies as stored, in the order given. Raises Invalid("Property" | "Permission")."""
    policies = [_policy(entry, vault) for entry in asked]
    if len(policies) > rules.MAX_POLICIES or len({_who(policy) for policy in policies}) != len(policies):
        raise Invalid("Property", property="accessPolicies")
    return policies


def combined(kept: Sequence[AccessPolicy], asked: Iterable[AccessPolicy], how: str) -> list[AccessPolicy]:
    """Access policies after `add`, `replace` or `remove`. Raises Invalid("Property") past the limit."""
    after = {_who(policy): policy for policy in kept}
    for policy in asked:
        held = after.get(_who(policy))
        if how == "remove":
            if held is not None:
                after[_who(policy)] = _without(held, policy)
        elif held is None or how == "replace":
            after[_who(policy)] = policy
        else:
            after[_who(policy)] = _with(held, policy)
    left = [policy for policy in after.values() if any(policy.permissions.values())]
    if len(left) > rules.MAX_POLICIES:
        raise Invalid("Property", property="accessPolicies")
    return left


def location_of(asked: VaultIn) -> str:
    """The location of a PUT, in short. Raises Invalid("PropertyMissing" | "Location")."""
    if not asked.location:
        raise Invalid("LocationMissing")
    return check_location(asked.location)


def tags_of(tags: dict[str, str] | None) -> str | None:
    """Tags as stored. Raises Invalid("Property")."""
    rules.check_tags(tags)
    return msgspec.json.encode(tags).decode() if tags else None


def _properties(asked: VaultIn) -> PropertiesIn:
    if asked.properties is None:
        raise Invalid("PropertyMissing", property="properties")
    return asked.properties


def _put(kept: Vault, asked: VaultIn, now: int) -> Vault:
    given = _properties(asked)
    if given.tenant_id is None:
        raise Invalid("PropertyMissing", property="tenantId")
    if given.sku is None:
        raise Invalid("PropertyMissing", property="sku")
    plain = msgspec.structs.replace(
        kept,
        public_access=True,
        network_acls=None,
        enabled_for_deployment=False,
        enabled_for_disk_encryption=False,
        enabled_for_template_deployment=False,
    )
    changes = _changes(plain, given)
    after = msgspec.structs.replace(plain, tags=tags_of(asked.tags), updated_at=now, **changes)
    if given.access_policies is None and not after.rbac:
        raise Invalid("PropertyMissing", property="accessPolicies")
    return after


def _changes(kept: Vault, given: PropertiesIn) -> dict[str, object]:
    """The fields of a vault that these properties set."""
    if given.tenant_id is not None and given.tenant_id.lower() != kept.tenant_id:
        raise Invalid("Property", property="tenantId")
    flags = {
        "enabled_for_deployment": given.enabled_for_deployment,
        "enabled_for_disk_encryption": given.enabled_for_disk_encryption,
        "enabled_for_template_deployment": given.enabled_for_template_deployment,
        "rbac": given.enable_rbac_authorization,
        "purge_protection": given.enable_purge_protection,
    }
    changes: dict[str, object] = {name: flag for name, flag in flags.items() if flag is not None}
    if given.enable_purge_protection is False:
        raise Invalid("PurgeProtectionOff")
    soft_delete = kept.soft_delete or given.enable_soft_delete is True
    if given.enable_purge_protection and not soft_delete:
        raise Invalid("PurgeProtection")
    changes["soft_delete"] = soft_delete
    if given.sku is not None:
        changes["sku"] = _sku(given.sku)
    if given.network_acls is not None:
        changes["network_acls"] = check_acls(_acls(given.network_acls))
    if given.public_network_access is not None:
        if given.public_network_access.lower() not in _PUBLIC:
            raise Invalid("Property", property="publicNetworkAccess")
        changes["public_access"] = _PUBLIC[given.public_network_access.lower()]
    return changes


def _check_fixed(kept: Vault, given: PropertiesIn) -> None:
    if given.enable_soft_delete is False and kept.soft_delete:
        raise Invalid("SoftDeleteOff")
    days = given.soft_delete_retention_in_days
    if days is not None and days != kept.retention_days:
        raise Invalid("RetentionSet")


def _sku(given: SkuIn) -> str:
    if given.family.upper() != "A" or given.name.lower() not in SKUS:
        raise Invalid("Property", property="sku")
    return given.name.lower()


def _acls(given: AclsIn) -> NetworkAcls:
    return NetworkAcls(
        bypass=given.bypass or "AzureServices",
        default_action=given.default_action or "Allow",
        ip_rules=[IpRule(rule.value) for rule in given.ip_rules or ()],
        virtual_network_rules=[
            SubnetRule(rule.id, rule.ignore_missing_vnet_service_endpoint) for rule in given.virtual_network_rules or ()
        ],
    )


def _policy(entry: PolicyIn, vault: Vault) -> AccessPolicy:
    ids = (entry.tenant_id, entry.object_id, entry.application_id or vault.tenant_id)
    if entry.tenant_id.lower() != vault.tenant_id or not all(is_uuid(each) for each in ids):
        raise Invalid("Property", property="accessPolicies")
    return AccessPolicy(
        vault_id=vault.id,
        tenant_id=vault.tenant_id,
        object_id=entry.object_id.lower(),
        application_id=(entry.application_id or "").lower(),
        permissions=check_kind_permissions(_kinds(entry.permissions)),
    )


def _kinds(given: PermissionsIn) -> dict[str, list[str]]:
    kinds = {
        "keys": given.keys,
        "secrets": given.secrets,
        "certificates": given.certificates,
        "storage": given.storage,
    }
    return {kind: words for kind, words in kinds.items() if words is not None}


def _who(policy: AccessPolicy) -> tuple[str, str]:
    return policy.object_id, policy.application_id


def _with(held: AccessPolicy, more: AccessPolicy) -> AccessPolicy:
    both = {
        kind: list(dict.fromkeys([*held.permissions.get(kind, ()), *more.permissions.get(kind, ())]))
        for kind in [*held.permissions, *(kind for kind in more.permissions if kind not in held.permissions)]
    }
    return msgspec.structs.replace(held, permissions=both)


def _without(held: AccessPolicy, less: AccessPolicy) -> AccessPolicy:
    left = {
        kind: [word for word in words if word not in less.permissions.get(kind, ())]
        for kind, words in held.permissions.items()
    }
    return msgspec.structs.replace(held, permissions=left)
