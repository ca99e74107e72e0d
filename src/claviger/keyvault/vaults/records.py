"""Rows of vaults, access policies and role assignments, and the SQL for them.

`Vault` is what every other part of the Key Vault passes around. Vaults change rarely and are read from a snapshot
(`estate.py`), so nothing here stands on the hot path.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from claviger.core.errors import NotFound
from claviger.keyvault.vaults.rules import vault_scope
from claviger.store.contract import Row, Store, Tx


class Vault(msgspec.Struct, frozen=True, kw_only=True):
    """A vault with all its settings (Key Vault contract §10). Times are epoch seconds.

    `network_acls`, `tags` and `other` are JSON text as ARM had it, or None. `purge_at` is set, with `deleted_at`, on a
    soft-deleted vault.
    """

    id: int
    name: str
    tenant_id: str
    subscription_id: str
    resource_group: str
    location: str
    sku: str = "standard"
    soft_delete: bool = True
    retention_days: int = 90
    purge_protection: bool = False
    rbac: bool = True
    public_access: bool = True
    network_acls: str | None = None
    enabled_for_deployment: bool = False
    enabled_for_disk_encryption: bool = False
    enabled_for_template_deployment: bool = False
    tags: str | None = None
    other: str | None = None
    created_at: int = 0
    updated_at: int = 0
    deleted_at: int | None = None
    purge_at: int | None = None

    @property
    def path(self) -> str:
        """The vault's ARM path."""
        return vault_scope(self.subscription_id, self.resource_group, self.name)


class AccessPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What one principal may do in one vault. `application_id` is empty where any application may be used."""

    vault_id: int
    tenant_id: str
    object_id: str
    application_id: str = ""
    permissions: dict[str, list[str]]


class RoleAssignment(msgspec.Struct, frozen=True, kw_only=True):
    """A role of one principal at one scope, which is kept in lower case."""

    id: str
    scope: str
    role_id: str
    principal_id: str
    created_at: int


_VAULT_COLUMNS = Vault.__struct_fields__
_VAULT_LIST = ", ".join(_VAULT_COLUMNS)
_FLAGS = frozenset(name for name, kind in Vault.__annotations__.items() if kind == "bool")
_POLICY_LIST = "vault_id, tenant_id, object_id, application_id, permissions"
_ASSIGNMENT_LIST = "id, scope, role_id, principal_id, created_at"

_SELECT_VAULTS = f"SELECT {_VAULT_LIST} FROM kv_vaults"
_INSERT_VAULT = f"INSERT INTO kv_vaults ({_VAULT_LIST}) VALUES ({', '.join('?' * len(_VAULT_COLUMNS))})"
_UPDATE_VAULT = f"UPDATE kv_vaults SET {', '.join(f'{name} = ?' for name in _VAULT_COLUMNS[1:])} WHERE id = ?"
_SELECT_POLICIES = f"SELECT {_POLICY_LIST} FROM kv_access_policies"
_SELECT_ASSIGNMENTS = f"SELECT {_ASSIGNMENT_LIST} FROM kv_role_assignments"

# A vault that is being removed row by row has given its name up for this and its id, which no vault can be called.
_RETIRED = "-"

_permissions = msgspec.json.Decoder(dict[str, list[str]])


async def all_vaults(store: Store) -> list[Vault]:
    """Every vault by name, soft-deleted ones included."""
    rows = await store.read(f"{_SELECT_VAULTS} WHERE substr(name, 1, 1) <> ? ORDER BY lower(name)", _RETIRED)
    return [_vault(row) for row in rows]


def find_vault(tx: Tx, name: str) -> Vault | None:
    """The vault of this name in any case, soft-deleted or not; never one that has been given up."""
    if name.startswith(_RETIRED):
        return None
    row = tx.fetch_one(f"{_SELECT_VAULTS} WHERE lower(name) = ?", name.lower())
    return None if row is None else _vault(row)


def live_vault(tx: Tx, name: str) -> Vault:
    """The vault of this name. Raises NotFound("VaultNotFound") where there is none, or only a soft-deleted one."""
    vault = find_vault(tx, name)
    if vault is None or vault.deleted_at is not None:
        raise NotFound("VaultNotFound", vault=name[:100])
    return vault


def vaults_of_group(tx: Tx, subscription_id: str, group: str) -> list[Vault]:
    """The live vaults of a resource group, by name."""
    rows = tx.fetch(
        f"{_SELECT_VAULTS} WHERE subscription_id = ? AND lower(resource_group) = ? AND deleted_at IS NULL "
        "ORDER BY lower(name)",
        subscription_id,
        group.lower(),
    )
    return [_vault(row) for row in rows]


def add_vault(tx: Tx, vault: Vault) -> None:
    """Stores a new vault."""
    tx.execute(_INSERT_VAULT, *(getattr(vault, name) for name in _VAULT_COLUMNS))


def replace_vault(tx: Tx, vault: Vault) -> None:
    """Stores all settings of a vault anew."""
    tx.execute(_UPDATE_VAULT, *(getattr(vault, name) for name in _VAULT_COLUMNS[1:]), vault.id)


def retire_vault(tx: Tx, vault: Vault, now: int) -> None:
    """Gives a vault up: its name is free, nobody sees it any more, and `retired` finds it until its rows are gone."""
    tx.execute("DELETE FROM kv_access_policies WHERE vault_id = ?", vault.id)
    forget_scope(tx, vault.path.lower())
    tx.execute(
        "UPDATE kv_vaults SET name = ?, deleted_at = ?, purge_at = ? WHERE id = ?",
        f"{_RETIRED}{vault.id}",
        now if vault.deleted_at is None else vault.deleted_at,
        now,
        vault.id,
    )


def due(tx: Tx, now: int, most: int) -> list[Vault]:
    """Up to `most` soft-deleted vaults whose retention has ended, longest due first."""
    rows = tx.fetch(
        f"{_SELECT_VAULTS} WHERE purge_at IS NOT NULL AND purge_at <= ? AND substr(name, 1, 1) <> ? "
        "ORDER BY purge_at LIMIT ?",
        now,
        _RETIRED,
        most,
    )
    return [_vault(row) for row in rows]


async def retired(store: Store) -> list[int]:
    """Ids of the vaults that have been given up and are not gone yet."""
    return [row[0] for row in await store.read("SELECT id FROM kv_vaults WHERE substr(name, 1, 1) = ?", _RETIRED)]


async def next_due(store: Store) -> int | None:
    """When the next retention of a vault ends; None where none is deleted."""
    row = await store.read_one("SELECT MIN(purge_at) FROM kv_vaults WHERE purge_at IS NOT NULL")
    return None if row is None else row[0]


async def is_stored(store: Store, vault_id: int) -> bool:
    """Whether there is a row of this vault, be it retired."""
    return await store.read_one("SELECT id FROM kv_vaults WHERE id = ?", vault_id) is not None


def remove_vault(tx: Tx, vault_id: int) -> None:
    """Removes a vault that nothing refers to any more."""
    tx.execute("DELETE FROM kv_vaults WHERE id = ?", vault_id)


async def all_policies(store: Store) -> list[AccessPolicy]:
    """Every access policy, oldest first."""
    return [_policy(row) for row in await store.read(f"{_SELECT_POLICIES} ORDER BY id")]


def policies_of(tx: Tx, vault_id: int) -> list[AccessPolicy]:
    """The access policies of one vault, oldest first."""
    return [_policy(row) for row in tx.fetch(f"{_SELECT_POLICIES} WHERE vault_id = ? ORDER BY id", vault_id)]


def put_policy(tx: Tx, policy: AccessPolicy) -> None:
    """Stores a policy in place of the one that the same principal had."""
    tx.execute(
        f"INSERT INTO kv_access_policies ({_POLICY_LIST}) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (vault_id, tenant_id, object_id, application_id) DO UPDATE SET permissions = excluded.permissions",
        policy.vault_id,
        policy.tenant_id,
        policy.object_id,
        policy.application_id,
        msgspec.json.encode(policy.permissions).decode(),
    )


def replace_policies(tx: Tx, vault_id: int, policies: Iterable[AccessPolicy]) -> None:
    """Stores these as all the policies of a vault, in this order."""
    tx.execute("DELETE FROM kv_access_policies WHERE vault_id = ?", vault_id)
    for policy in policies:
        put_policy(tx, policy)


def remove_policy(tx: Tx, vault_id: int, object_id: str, application_id: str) -> int:
    """Removes a principal's policy; how many there were."""
    return tx.execute(
        "DELETE FROM kv_access_policies WHERE vault_id = ? AND object_id = ? AND application_id = ?",
        vault_id,
        object_id,
        application_id,
    )


async def all_assignments(store: Store) -> list[RoleAssignment]:
    """Every role assignment, oldest first."""
    return [_assignment(row) for row in await store.read(f"{_SELECT_ASSIGNMENTS} ORDER BY created_at, id")]


def assignment_at(tx: Tx, scope: str, role_id: str, principal_id: str) -> RoleAssignment | None:
    """The assignment of exactly this role at exactly this scope."""
    row = tx.fetch_one(
        f"{_SELECT_ASSIGNMENTS} WHERE scope = ? AND role_id = ? AND principal_id = ?", scope, role_id, principal_id
    )
    return None if row is None else _assignment(row)


def find_assignment(tx: Tx, assignment_id: str) -> RoleAssignment | None:
    """The assignment of this id."""
    row = tx.fetch_one(f"{_SELECT_ASSIGNMENTS} WHERE id = ?", assignment_id)
    return None if row is None else _assignment(row)


def add_assignment(tx: Tx, assignment: RoleAssignment) -> None:
    """Stores a new assignment."""
    tx.execute(
        f"INSERT INTO kv_role_assignments ({_ASSIGNMENT_LIST}) VALUES (?, ?, ?, ?, ?)",
        assignment.id,
        assignment.scope,
        assignment.role_id,
        assignment.principal_id,
        assignment.created_at,
    )


def remove_assignment(tx: Tx, assignment_id: str) -> None:
    """Removes one assignment."""
    tx.execute("DELETE FROM kv_role_assignments WHERE id = ?", assignment_id)


def forget_scope(tx: Tx, scope: str) -> None:
    """Removes every role assignment at or below a scope, in the form in which scopes are stored."""
    below = scope + "/"
    after = scope + chr(ord("/") + 1)  # the first text past all that begin with `below`, in byte order
    tx.execute("DELETE FROM kv_role_assignments WHERE scope = ? OR (scope > ? AND scope < ?)", scope, below, after)


def forget_principal(tx: Tx, object_id: str) -> None:
    """Removes every right of a principal that is going away."""
    tx.execute("DELETE FROM kv_role_assignments WHERE principal_id = ?", object_id)
    tx.execute("DELETE FROM kv_access_policies WHERE object_id = ?", object_id)


def _vault(row: Row) -> Vault:
    told = dict(zip(_VAULT_COLUMNS, row, strict=True))
    told.update((name, bool(told[name])) for name in _FLAGS)
    return Vault(**told)


def _policy(row: Row) -> AccessPolicy:
    vault_id, tenant_id, object_id, application_id, permissions = row
    return AccessPolicy(
        vault_id=vault_id,
        tenant_id=tenant_id,
        object_id=object_id,
        application_id=application_id,
        permissions=_permissions.decode(permissions),
    )


def _assignment(row: Row) -> RoleAssignment:
    return RoleAssignment(**dict(zip(RoleAssignment.__struct_fields__, row, strict=True)))
