"""Where an import goes: the vault that is there or is made, and the rights that come with it."""

from __future__ import annotations

import msgspec

from claviger.audit.trail import BEGUN, DONE, about, silently, staged, telling
from claviger.core.errors import Conflict, Invalid
from claviger.core.ids import new_uuid
from claviger.keyvault.directory.operations import tenant_of
from claviger.keyvault.directory.records import bump_revision, find_tenant
from claviger.keyvault.moving import records, rules
from claviger.keyvault.moving.wire import ArchivedPolicy, ArchivedRole, ArchivedVault, VaultSettings
from claviger.keyvault.vaults import records as vault_records
from claviger.keyvault.vaults.operations import (
    DEFAULT_GROUP,
    DEFAULT_LOCATION,
    DEFAULT_SUBSCRIPTION,
    NewVault,
    add_assignment,
    add_vault,
    checked_vault,
    principal_id_of,
    scope_of,
)
from claviger.keyvault.vaults.records import AccessPolicy, RoleAssignment, Vault
from claviger.keyvault.vaults.rules import check_kind_permissions, check_uuid, find_role, is_uuid
from claviger.store.contract import Store, Tx

Right = ArchivedRole | ArchivedPolicy


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator asks for: another name or tenant for the vault, and whether rights come in too."""

    vault: str | None = None
    tenant: str | None = None
    rights: bool = False


class Arrival:
    """One vault of this server, before and after it is made. Use `find` first."""

    def __init__(self, store: Store, asked: Asked, now: int) -> None:
        self._store = store
        self._asked = asked
        self._now = now
        self._draft: Vault | None = None
        self._tenant: str | None = None
        self._vault: Vault | None = None
        self.name = ""

    async def find(self, archived: ArchivedVault) -> Vault | None:
        """The vault, or None where it is yet to be made, which is checked to be possible.

        Raises Invalid for settings that no vault can have, Invalid("VaultNameNeeded"), Conflict("VaultTaken") for the
        name of a soft-deleted vault, NotFound("TenantUnknown"), Invalid("TenantNeeded").
        """
        self.name = self._asked.vault or archived.name
        if not self.name:
            raise Invalid("VaultNameNeeded", fix="name the vault with --vault, or in the document: vault.name")
        draft = draft_of(self.name, archived.settings, self._now)

        def look(tx: Tx) -> tuple[Vault | None, str | None]:
            found = vault_records.find_vault(tx, self.name)
            if found is not None and found.deleted_at is None:
                return found, None
            if found is not None:
                raise Conflict(
                    "VaultTaken", vault=found.name, deleted=True, fix="purge the deleted vault, or use --vault NAME"
                )
            return None, tenant_for(tx, self._asked.tenant, archived.tenant_id)

        with silently():  # it only looks
            self._vault, self._tenant = await self._store.write(look)
        if self._vault is None:
            self._draft = draft
        else:
            self.name = self._vault.name
        return self._vault

    async def check_rights(self, rights: list[Right]) -> None:
        """Raises what `end` would: NotFound("RoleUnknown" | "ApplicationUnknown"), Invalid."""
        if self._asked.rights and rights:
            vault = self._vault or self._draft
            if vault is not None:
                with silently():
                    await self._store.write(lambda tx: [_resolved(tx, vault, right, self._now) for right in rights])

    async def begin(self) -> Vault:
        """The vault, made if need be, with the note that an import is under way."""

        def change(tx: Tx) -> Vault:
            vault = self._vault
            if vault is None and self._draft is not None:
                vault = add_vault(tx, self._draft, self._tenant)
            if vault is None:
                raise Invalid("VaultNameNeeded")
            about("vault", vault.path, vault.name, vault.resource_group)
            staged(BEGUN)
            records.note_import(tx, vault.id, self._now)
            return vault

        self._vault = await self._store.write(change)
        return self._vault

    async def end(self, rights: list[Right]) -> int:
        """Gives the rights, if they were asked for, and takes the note away; how many rights."""
        vault, given = self._vault, rights if self._asked.rights else []

        def change(tx: Tx) -> int:
            if vault is None:
                return 0
            staged(DONE)
            telling(versions=0, rights=len(given))
            for right in given:
                give_right(tx, vault, right, self._now)
            records.end_import(tx, vault.id)
            return len(given)

        return await self._store.write(change)


def give_right(tx: Tx, vault: Vault, right: Right, now: int, *, replace: bool = True) -> None:
    """Gives a right, an access policy in place of the principal's earlier one unless that is to stay.

    Raises NotFound("RoleUnknown" | "ApplicationUnknown"), Invalid.
    """
    resolved = _resolved(tx, vault, right, now)
    if isinstance(resolved, RoleAssignment):
        add_assignment(tx, resolved)
        return
    same = (resolved.object_id, resolved.application_id)
    held = next(
        (each for each in vault_records.policies_of(tx, vault.id) if (each.object_id, each.application_id) == same),
        None,
    )
    if held is None or (replace and held != resolved):
        vault_records.put_policy(tx, resolved)
        bump_revision(tx)


def draft_of(name: str, settings: VaultSettings, now: int) -> Vault:
    """The vault to store, but for its id and tenant. Raises Invalid."""
    draft = checked_vault(
        NewVault(
            name=name,
            subscription_id=settings.subscription_id or DEFAULT_SUBSCRIPTION,
            resource_group=settings.resource_group or DEFAULT_GROUP,
            location=settings.location or DEFAULT_LOCATION,
            sku=settings.sku,
            soft_delete=settings.soft_delete,
            retention_days=settings.retention_days,
            purge_protection=settings.purge_protection,
            rbac=settings.rbac,
        ),
        now,
    )
    plain = ("public_access", "network_acls", "tags", "other")
    enabled = [field for field in VaultSettings.__struct_fields__ if field.startswith("enabled_for_")]
    for text in ("network_acls", "tags", "other"):
        _check_object(text, getattr(settings, text))
    return msgspec.structs.replace(draft, **{field: getattr(settings, field) for field in (*plain, *enabled)})


def tenant_for(tx: Tx, asked: str | None, archived: str | None) -> str:
    """The id of the tenant of a vault to be made: the one asked for, the one it had if it is here, else the only one.

    Raises NotFound("TenantUnknown"), Invalid("TenantNeeded").
    """
    if asked is None and archived is not None and is_uuid(archived) and find_tenant(tx, archived) is None:
        archived = None  # of the server it comes from
    return tenant_of(tx, asked or archived).id


def _check_object(field: str, text: str | None) -> None:
    """Raises Invalid("VaultSetting") for JSON text that is no object, or too long."""
    try:
        whole = text is None or len(text) <= rules.MAX_JSON_TEXT
        fits = whole and (text is None or isinstance(msgspec.json.decode(text), dict))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        fits = False
    if not fits:
        raise Invalid("VaultSetting", setting=field, rule=f"an object of at most {rules.MAX_JSON_TEXT} bytes of JSON")


def _resolved(tx: Tx, vault: Vault, right: Right, now: int) -> RoleAssignment | AccessPolicy:
    """A right by ids of this server. Raises NotFound, Invalid."""
    principal_id = principal_id_of(tx, right.principal)
    if isinstance(right, ArchivedRole):
        return RoleAssignment(
            id=new_uuid(),
            scope=scope_of(vault, right.secret),
            role_id=find_role(right.role).id,
            principal_id=principal_id,
            created_at=now,
        )
    return AccessPolicy(
        vault_id=vault.id,
        tenant_id=vault.tenant_id,
        object_id=principal_id,
        application_id=check_uuid(right.application_id, "application") if right.application_id else "",
        permissions=check_kind_permissions(right.permissions),
    )
