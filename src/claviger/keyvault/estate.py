"""The estate: tenants, vaults and rights as one immutable snapshot in memory, so that no request asks the database.

`Estates.fresh()` is the snapshot while nothing has been committed anywhere, at next to no cost; `await current()` finds
out whether what was committed concerns the directory, and reads it anew only then. `Estate.vault_at` knows vaults by
Host, `Estate.require` decides what a caller may do in a vault (Key Vault contract §8) and remembers what it found;
`Estate.permits` decides what a caller may do to vaults and resource groups themselves.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from claviger.core.errors import Busy, Forbidden
from claviger.keyvault.challenge import Caller
from claviger.keyvault.directory import records as directory
from claviger.keyvault.directory.records import Tenant
from claviger.keyvault.directory.signing import SigningKeys
from claviger.keyvault.groups import records as groups
from claviger.keyvault.groups.records import Group
from claviger.keyvault.hosts import VaultHosts
from claviger.keyvault.vaults import records as vaults
from claviger.keyvault.vaults.network import Firewall
from claviger.keyvault.vaults.records import AccessPolicy, RoleAssignment, Vault
from claviger.keyvault.vaults.rules import permits, role_allows, role_permits, scopes_above
from claviger.store.contract import Store

MAX_REMEMBERED_HOSTS = 4_096
MAX_REMEMBERED_GRANTS = 10_000
READ_ATTEMPTS = 8


class Grant(msgspec.Struct, frozen=True):
    """Where one caller has one right in one vault: on the whole of it, or on these secrets (names in lower case)."""

    whole: bool
    secrets: frozenset[str] = frozenset()


class Estate:
    """One snapshot. Nothing in it changes but what it remembers of its own answers."""

    __slots__ = (
        "_assignments",
        "_by_name",
        "_firewalls",
        "_grants",
        "_groups",
        "_hosts",
        "_policies",
        "_reached",
        "_tenants",
        "revision",
    )

    def __init__(
        self,
        revision: int,
        hosts: VaultHosts,
        tenants: Iterable[Tenant] = (),
        all_vaults: Iterable[Vault] = (),
        policies: Iterable[AccessPolicy] = (),
        assignments: Iterable[RoleAssignment] = (),
        groups: Iterable[Group] = (),
    ) -> None:
        self.revision = revision
        self._hosts = hosts
        self._by_name: Mapping[str, Vault] = {vault.name.lower(): vault for vault in all_vaults}
        self._tenants: dict[str, Tenant] = {}
        for tenant in tenants:
            self._tenants[tenant.id] = self._tenants[tenant.domain] = tenant
        self._policies: dict[int, list[AccessPolicy]] = defaultdict(list)
        for policy in policies:
            self._policies[policy.vault_id].append(policy)
        self._assignments: dict[str, list[RoleAssignment]] = defaultdict(list)
        for assignment in assignments:
            self._assignments[assignment.principal_id].append(assignment)
        self._groups: Mapping[tuple[str, str], Group] = {
            (group.subscription_id, group.name.lower()): group for group in groups
        }
        self._firewalls: dict[int, Firewall] = {}
        self._reached: dict[str, Vault] = {}
        self._grants: dict[tuple[object, ...], Grant] = {}

    def vault_at(self, host: str) -> Vault | None:
        """The live vault that a Host header names; None where there is none."""
        vault = self._reached.get(host)
        if vault is not None:
            return vault
        name = self._hosts.vault_name(host)
        vault = self._by_name.get(name) if name is not None else None
        if vault is None or vault.deleted_at is not None:
            return None
        if len(self._reached) >= MAX_REMEMBERED_HOSTS:
            self._reached.clear()
        self._reached[host] = vault
        return vault

    def vault(self, name: str) -> Vault | None:
        """The vault of this name in any case, soft-deleted or not."""
        return self._by_name.get(name.lower())

    def vaults(self) -> Sequence[Vault]:
        """Every vault by name, soft-deleted ones included."""
        return list(self._by_name.values())

    def policies(self, vault: Vault) -> Sequence[AccessPolicy]:
        """The access policies of a vault, oldest first."""
        return self._policies.get(vault.id, [])

    def group(self, subscription_id: str, name: str) -> Group | None:
        """The resource group of this name in any case."""
        return self._groups.get((subscription_id, name.lower()))

    def groups(self, subscription_id: str) -> Sequence[Group]:
        """The resource groups of a subscription, by name."""
        return [group for group in self._groups.values() if group.subscription_id == subscription_id]

    def subscriptions(self) -> frozenset[str]:
        """Every subscription that has a resource group, a vault, or somebody with a role in it."""
        scopes = (assignment.scope for held in self._assignments.values() for assignment in held)
        named = {scope.split("/")[2] for scope in scopes if scope.startswith("/subscriptions/")}
        used = {group.subscription_id for group in self._groups.values()}
        return frozenset(named | used | {vault.subscription_id for vault in self._by_name.values()})

    def first_tenant(self) -> Tenant | None:
        """The oldest tenant."""
        return next(iter(self._tenants.values()), None)

    def tenant(self, id_or_domain: str) -> Tenant | None:
        """The tenant of this id or domain, in any case."""
        return self._tenants.get(id_or_domain.lower())

    def allows(self, caller: Caller, vault: Vault, permission: str, data_action: str, secret_name: str | None) -> bool:
        """Whether a caller may do this to a secret, or with None to the whole vault.

        `permission` counts where the vault has access policies, `data_action` (in full) where it has roles.
        """
        key = (caller.oid, caller.appid, caller.tid, caller.groups, vault.id, permission, data_action)
        grant = self._grants.get(key)
        if grant is None:
            if len(self._grants) >= MAX_REMEMBERED_GRANTS:
                self._grants.clear()
            grant = self._grants[key] = self._work_out(caller, vault, permission, data_action)
        return grant.whole or (secret_name is not None and secret_name.lower() in grant.secrets)

    def require(self, caller: Caller, vault: Vault, permission: str, data_action: str, secret_name: str | None) -> None:
        """Returns where `allows` is true. Raises Forbidden("ForbiddenByRbac" | "ForbiddenByPolicy") otherwise.

        The facts fill the messages of Key Vault contract §6: appid, oid, iss, vault, location, and action and resource
        or permission.
        """
        if self.allows(caller, vault, permission, data_action, secret_name):
            return
        who = {"appid": caller.appid, "oid": caller.oid, "iss": caller.iss}
        where = {"vault": vault.name, "location": vault.location}
        if not vault.rbac:
            raise Forbidden("ForbiddenByPolicy", **who, permission=permission, **where)
        resource = vault.path.lower() + (f"/secrets/{secret_name.lower()}" if secret_name is not None else "")
        raise Forbidden("ForbiddenByRbac", **who, action=data_action, resource=resource, **where)

    def permits(self, caller: Caller, scope: str, action: str) -> bool:
        """Whether a caller has an action at a scope (an ARM path in any case), by a role there or above."""
        return any(role_permits(held.role_id, action) for held in self._held_above(caller, scope.lower()))

    def sees(self, caller: Caller, scope: str) -> bool:
        """Whether a caller has any role at a scope, above it or below it."""
        lower = scope.lower()
        below = any(held.scope.startswith(lower + "/") for held in self._held(caller))
        return below or next(self._held_above(caller, lower), None) is not None

    def _held(self, caller: Caller) -> Iterator[RoleAssignment]:
        for principal in (caller.oid, *caller.groups):
            yield from self._assignments.get(principal, ())

    def _held_above(self, caller: Caller, scope: str) -> Iterator[RoleAssignment]:
        for held in self._held(caller):
            if held.scope in ("/", scope) or scope.startswith(held.scope + "/"):
                yield held

    def admit(self, vault: Vault, address: str) -> None:
        """Lets requests from an address into a vault with network rules. Raises Forbidden as `Firewall.admit` does."""
        firewall = self._firewalls.get(vault.id)
        if firewall is None:
            firewall = self._firewalls[vault.id] = Firewall(vault)
        firewall.admit(address)

    def _work_out(self, caller: Caller, vault: Vault, permission: str, data_action: str) -> Grant:
        if caller.tid != vault.tenant_id:
            return Grant(False)
        if vault.rbac:
            return self._by_roles((caller.oid, *caller.groups), vault, data_action)
        return self._by_policies(caller, vault, permission)

    def _by_roles(self, principals: Iterable[str], vault: Vault, data_action: str) -> Grant:
        above = scopes_above(vault.path)
        below = vault.path.lower() + "/secrets/"
        secrets: set[str] = set()
        for principal in principals:
            for assignment in self._assignments.get(principal, ()):
                here, beneath = assignment.scope in above, assignment.scope.startswith(below)
                if not (here or beneath) or not role_allows(assignment.role_id, data_action):
                    continue
                if here:
                    return Grant(True)
                secrets.add(assignment.scope.removeprefix(below))
        return Grant(False, frozenset(secrets))

    def _by_policies(self, caller: Caller, vault: Vault, permission: str) -> Grant:
        principals = {caller.oid, *caller.groups}
        for policy in self._policies.get(vault.id, ()):
            if policy.object_id not in principals or policy.tenant_id != caller.tid:
                continue
            if policy.application_id and policy.application_id != caller.appid:
                continue
            if permits(policy.permissions.get("secrets", ()), permission):
                return Grant(True)
        return Grant(False)


class Estates:
    """Holds the newest snapshot, and keeps the signing keys beside it as new."""

    def __init__(self, store: Store, hosts: VaultHosts, keys: SigningKeys) -> None:
        self._store = store
        self._hosts = hosts
        self._keys = keys
        self._estate: Estate | None = None
        self._seen = -1
        self._reading = asyncio.Lock()

    def fresh(self) -> Estate | None:
        """The snapshot, if it is the newest, and that can be told without waiting."""
        generation, estate = self._store.generation(), self._estate
        if generation == self._seen or estate is None:
            return estate
        if directory.revision_now(self._store) != estate.revision:
            return None
        self._seen = generation  # whatever was committed, it was not about the directory
        return estate

    async def current(self) -> Estate:
        """The snapshot in which everything is that this process committed before. Raises what the store raises."""
        estate = self.fresh()
        if estate is not None:
            return estate
        async with self._reading:
            return self.fresh() or await self._renewed()

    async def newest(self) -> Estate:
        """As `current`, but asks the database in any case.

        On PostgreSQL `current` may miss for half a second what another process has done: whoever is about to refuse a
        caller because of a snapshot should look here first.
        """
        async with self._reading:
            return await self._renewed()

    async def _renewed(self) -> Estate:
        generation = self._store.generation()
        revision = await directory.revision(self._store)
        estate = self._estate
        if estate is None or estate.revision != revision:
            estate = await self._read(revision)
        self._estate = estate
        self._seen = generation
        return estate

    async def _read(self, revision: int) -> Estate:
        """Reads until no change of the directory came between the first statement and the last."""
        for _ in range(READ_ATTEMPTS):
            estate = Estate(
                revision,
                self._hosts,
                await directory.all_tenants(self._store),
                await vaults.all_vaults(self._store),
                await vaults.all_policies(self._store),
                await vaults.all_assignments(self._store),
                await groups.all_groups(self._store),
            )
            await self._keys.refresh()
            after = await directory.revision(self._store)
            if after == revision:
                return estate
            revision = after
        raise Busy("DirectoryUnsettled")
