"""What an operator does with vaults: make them, and say who may do what in them.

Each operation is one change of the store that decides on the rows it changes and moves the directory's revision. The
functions that take a `Tx` are the same decisions for use inside a larger change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from claviger.audit.trail import about, telling
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Invalid, NotFound
from claviger.core.ids import new_uuid
from claviger.keyvault.directory.operations import application_named, tenant_of
from claviger.keyvault.directory.records import bump_revision, find_application
from claviger.keyvault.groups import records as groups
from claviger.keyvault.groups.records import Group
from claviger.keyvault.vaults import records, rules
from claviger.keyvault.vaults.deletion import standing
from claviger.keyvault.vaults.records import AccessPolicy, RoleAssignment, Vault
from claviger.keyvault.vaults.rules import State
from claviger.lifecycle.retention import MAX_RETENTION_DAYS, check_retention_days
from claviger.store.contract import Store, Tx

DEFAULT_SUBSCRIPTION = "c1a51e50-0000-4000-8000-000000000001"
DEFAULT_GROUP = "claviger"
DEFAULT_LOCATION = "local"


class NewVault(msgspec.Struct, frozen=True, kw_only=True):
    """A vault to be made, with the defaults of control-plane version 2026-02-01 (Key Vault contract §10)."""

    name: str
    tenant: str | None = None
    subscription_id: str = DEFAULT_SUBSCRIPTION
    resource_group: str = DEFAULT_GROUP
    location: str = DEFAULT_LOCATION
    sku: str = "standard"
    soft_delete: bool = True
    retention_days: int = MAX_RETENTION_DAYS
    purge_protection: bool = False
    rbac: bool = True


async def create_vault(store: Store, clock: Clock, asked: NewVault) -> Vault:
    """Makes a vault.

    Raises Invalid("VaultName" | "Uuid" | "ResourceGroup" | "Location" | "Sku" | "RetentionDays" | "PurgeProtection" |
    "TenantNeeded"), NotFound("TenantUnknown"), Conflict("VaultTaken"), also where a soft-deleted one has the name.
    """
    draft = checked_vault(asked, int(clock.now()))
    return await store.write(lambda tx: add_vault(tx, draft, asked.tenant))


async def list_vaults(store: Store, *, deleted: bool = False) -> list[Vault]:
    """The live vaults by name, or the soft-deleted ones."""
    return [vault for vault in await records.all_vaults(store) if (vault.deleted_at is not None) == deleted]


async def show_vault(store: Store, name: str) -> Vault:
    """The live vault of this name. Raises NotFound("VaultNotFound")."""
    for vault in await list_vaults(store):
        if vault.name.lower() == name.lower():
            return vault
    raise NotFound("VaultNotFound", vault=name[:100])


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a role holds: in a vault or one secret of it, in a resource group, or in a whole subscription."""

    vault: str | None = None
    secret: str | None = None
    resource_group: str | None = None
    subscription_id: str | None = None


async def assign_role(
    store: Store,
    clock: Clock,
    *,
    role: str,
    principal: str,
    vault: str | None = None,
    secret: str | None = None,
    resource_group: str | None = None,
    subscription_id: str | None = None,
) -> RoleAssignment:
    """Gives an application a role at one place (see `Place`). Giving it again changes nothing.

    `role` is a role's name or id, `principal` an application's name, client id or object id. A resource group is one of
    the default subscription unless another is named, and need not exist yet. Raises NotFound("RoleUnknown" |
    "ApplicationUnknown" | "VaultNotFound"), Invalid("SecretName" | "ResourceGroup" | "Uuid" | "Place").
    """
    role_id, assignment_id, now = rules.find_role(role).id, new_uuid(), int(clock.now())
    place = Place(vault=vault, secret=secret, resource_group=resource_group, subscription_id=subscription_id)

    def change(tx: Tx) -> RoleAssignment:
        scope = scope_at(tx, place)
        principal_id = application_named(tx, principal).object_id
        made = RoleAssignment(id=assignment_id, scope=scope, role_id=role_id, principal_id=principal_id, created_at=now)
        about("role-assignment", assignment_id, role)
        telling(principal=principal_id, scope=scope)
        return add_assignment(tx, made)

    return await store.write(change)


async def list_roles(store: Store, *, vault: str | None = None, principal: str | None = None) -> list[RoleAssignment]:
    """Role assignments, oldest first: all, or those at or below a vault, or those of one application.

    Raises NotFound("VaultNotFound" | "ApplicationUnknown").
    """
    found = await records.all_assignments(store)
    if vault is not None:
        path = (await show_vault(store, vault)).path.lower()
        found = [each for each in found if each.scope == path or each.scope.startswith(path + "/")]
    if principal is not None:
        object_id = (await store.write(lambda tx: application_named(tx, principal))).object_id
        found = [each for each in found if each.principal_id == object_id]
    return found


async def remove_role(store: Store, assignment_id: str) -> RoleAssignment:
    """Takes a role away by the assignment's id. Raises NotFound("AssignmentUnknown")."""

    def change(tx: Tx) -> RoleAssignment:
        about("role-assignment", assignment_id.lower())
        found = records.find_assignment(tx, assignment_id.lower())
        if found is None:
            raise NotFound("AssignmentUnknown", assignment=assignment_id[:100])
        return _removed(tx, found)

    return await store.write(change)


async def remove_role_of(
    store: Store,
    *,
    role: str,
    principal: str,
    vault: str | None = None,
    secret: str | None = None,
    resource_group: str | None = None,
    subscription_id: str | None = None,
) -> RoleAssignment:
    """Takes away what `assign_role` gave with the same words. Raises as it does, and NotFound("AssignmentUnknown")."""
    role_id = rules.find_role(role).id
    place = Place(vault=vault, secret=secret, resource_group=resource_group, subscription_id=subscription_id)

    def change(tx: Tx) -> RoleAssignment:
        scope = scope_at(tx, place)
        found = records.assignment_at(tx, scope, role_id, application_named(tx, principal).object_id)
        if found is None:
            raise NotFound("AssignmentUnknown", role=role[:100], principal=principal[:120], scope=scope)
        about("role-assignment", found.id, role)
        telling(principal=found.principal_id, scope=scope)
        return _removed(tx, found)

    return await store.write(change)


async def set_access_policy(
    store: Store, *, vault: str, principal: str, permissions: Iterable[str], application_id: str | None = None
) -> AccessPolicy:
    """Says which secret permissions a principal has in a vault, in place of what it had; other kinds stay.

    `principal` is an application as in `assign_role`, or any object id. With `application_id` the policy holds only for
    tokens of that application. Raises NotFound, Invalid("Permission" | "Uuid"), Conflict("VaultUsesRoles").
    """
    granted = list(rules.check_permissions(permissions))
    application = rules.check_uuid(application_id, "application") if application_id else ""

    def change(tx: Tx) -> AccessPolicy:
        found = records.live_vault(tx, vault)
        if found.rbac:
            raise Conflict("VaultUsesRoles", vault=found.name, fix="assign a role instead")
        object_id = principal_id_of(tx, principal)
        _about(found)
        telling(principal=object_id, permissions=granted)
        kept = _policy_of(tx, found, object_id, application)
        held: Mapping[str, list[str]] = kept.permissions if kept else {}
        policy = AccessPolicy(
            vault_id=found.id,
            tenant_id=found.tenant_id,
            object_id=object_id,
            application_id=application,
            permissions={**held, "secrets": granted},
        )
        records.put_policy(tx, policy)
        bump_revision(tx)
        return policy

    return await store.write(change)


async def list_access_policies(store: Store, vault: str) -> list[AccessPolicy]:
    """The access policies of a vault, oldest first. Raises NotFound("VaultNotFound")."""
    found = await show_vault(store, vault)
    return [policy for policy in await records.all_policies(store) if policy.vault_id == found.id]


async def remove_access_policy(store: Store, *, vault: str, principal: str, application_id: str | None = None) -> None:
    """Takes all permissions of a principal in a vault away. Raises NotFound("PolicyUnknown" and as above)."""
    application = rules.check_uuid(application_id, "application") if application_id else ""

    def change(tx: Tx) -> None:
        found = records.live_vault(tx, vault)
        object_id = principal_id_of(tx, principal)
        _about(found)
        telling(principal=object_id)
        if not records.remove_policy(tx, found.id, object_id, application):
            raise NotFound("PolicyUnknown", vault=found.name, principal=principal[:120])
        bump_revision(tx)

    await store.write(change)


def _about(vault: Vault) -> None:
    about("vault", vault.path, vault.name, vault.resource_group)


def add_vault(tx: Tx, draft: Vault, tenant: str | None) -> Vault:
    """Stores a vault whose parts have been checked, and its resource group where that is new.

    The vault's id is the revision it came with. Raises Conflict("VaultTaken") and what `tenant_of` raises.
    """
    found = tenant_of(tx, tenant)
    make_room(tx, draft)
    if groups.find_group(tx, draft.subscription_id, draft.resource_group) is None:
        group = Group(draft.subscription_id, draft.resource_group, draft.location, None, draft.created_at)
        groups.add_group(tx, group)
    vault = msgspec.structs.replace(draft, tenant_id=found.id, id=bump_revision(tx))
    records.add_vault(tx, vault)
    _about(vault)
    return vault


def make_room(tx: Tx, draft: Vault) -> None:
    """Frees the name of a vault whose retention has ended by now. Raises Conflict("VaultTaken") for any other."""
    state, taken = standing(tx, draft.name, draft.created_at)
    if taken is None:
        return
    if state is not State.ABSENT:
        ours = taken.subscription_id == draft.subscription_id
        raise Conflict("VaultTaken", vault=taken.name, deleted=state is State.DELETED and ours)
    records.retire_vault(tx, taken, draft.created_at)


def add_assignment(tx: Tx, assignment: RoleAssignment) -> RoleAssignment:
    """Stores a role assignment, or answers the one that there is already for the same role, scope and principal."""
    present = records.assignment_at(tx, assignment.scope, assignment.role_id, assignment.principal_id)
    if present is not None:
        return present
    records.add_assignment(tx, assignment)
    bump_revision(tx)
    return assignment


def scope_of(vault: Vault, secret: str | None) -> str:
    """The scope of a vault, or of one secret of it, as stored. Raises Invalid("SecretName")."""
    return (vault.path if secret is None else rules.secret_scope(vault.path, secret)).lower()


def scope_at(tx: Tx, place: Place) -> str:
    """The scope of a place, as stored. Raises NotFound("VaultNotFound"), Invalid as `assign_role` does."""
    above = (place.resource_group, place.subscription_id)
    if place.vault is not None:
        if above != (None, None):
            raise Invalid("Place", fix="name a vault, or a resource group, or a subscription")
        return scope_of(records.live_vault(tx, place.vault), place.secret)
    if place.secret is not None or above == (None, None):
        raise Invalid("Place", fix="name a vault (--vault), a resource group or a subscription")
    subscription_id = rules.check_uuid(place.subscription_id or DEFAULT_SUBSCRIPTION, "subscription")
    if place.resource_group is None:
        return f"/subscriptions/{subscription_id}"
    return rules.group_scope(subscription_id, rules.check_resource_group(place.resource_group)).lower()


def principal_id_of(tx: Tx, principal: str) -> str:
    """The object id of an application, or an object id as it is. Raises NotFound("ApplicationUnknown")."""
    found = find_application(tx, principal)
    if found is None and rules.is_uuid(principal):
        return principal.lower()
    return application_named(tx, principal).object_id


def _policy_of(tx: Tx, vault: Vault, object_id: str, application_id: str) -> AccessPolicy | None:
    for policy in records.policies_of(tx, vault.id):
        if policy.object_id == object_id and policy.application_id == application_id:
            return policy
    return None


def _removed(tx: Tx, assignment: RoleAssignment) -> RoleAssignment:
    records.remove_assignment(tx, assignment.id)
    bump_revision(tx)
    return assignment


def checked_vault(asked: NewVault, now: int) -> Vault:
    """The vault to store, but for its id and tenant. Raises Invalid."""
    if asked.sku not in rules.SKUS:
        raise Invalid("Sku", sku=asked.sku[:40], known=" ".join(rules.SKUS))
    if asked.purge_protection and not asked.soft_delete:
        raise Invalid("PurgeProtection", fix="purge protection needs soft delete")
    return Vault(
        id=0,
        name=rules.check_vault_name(asked.name),
        tenant_id="",
        subscription_id=rules.check_uuid(asked.subscription_id, "subscription"),
        resource_group=rules.check_resource_group(asked.resource_group),
        location=rules.check_location(asked.location),
        sku=asked.sku,
        soft_delete=asked.soft_delete,
        retention_days=check_retention_days(asked.retention_days),
        purge_protection=asked.purge_protection,
        rbac=asked.rbac,
        created_at=now,
        updated_at=now,
    )
