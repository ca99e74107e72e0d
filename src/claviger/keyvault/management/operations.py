"""What the management API does with vaults: each decision and its change in one transaction.

Who may call has been decided before; what depends on rows is decided here, on the very rows that change.
"""

from __future__ import annotations

import msgspec

from claviger.audit.trail import answering
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, NotFound
from claviger.keyvault.directory.records import bump_revision
from claviger.keyvault.groups.operations import group_named
from claviger.keyvault.management import properties
from claviger.keyvault.management.properties import VaultPath
from claviger.keyvault.management.wire import PolicyIn, VaultIn
from claviger.keyvault.vaults import deletion, records
from claviger.keyvault.vaults.deletion import Purges, standing
from claviger.keyvault.vaults.operations import make_room
from claviger.keyvault.vaults.records import AccessPolicy, Vault
from claviger.keyvault.vaults.rules import TRANSITIONS, Operation, State
from claviger.store.contract import Store, Tx

PATIENCE_S = 2.0


class Changed(msgspec.Struct, frozen=True):
    """A vault after a change, with its access policies; `created` where there was none before."""

    vault: Vault
    policies: list[AccessPolicy]
    created: bool = False


class By(msgspec.Struct, frozen=True):
    """Who changes a vault, as far as it matters: the tenant, and whether it may give roles there."""

    tenant_id: str
    may_assign_roles: bool


class Management:
    """All changes of vaults. `patience_s` is how long a purge may take before it goes on behind its answer."""

    def __init__(self, store: Store, clock: Clock, purges: Purges, patience_s: float = PATIENCE_S) -> None:
        self._store = store
        self._clock = clock
        self._purges = purges
        self.patience_s = patience_s

    async def put(self, path: VaultPath, asked: VaultIn, by: By, api_version: str) -> Changed:
        """Creates, replaces or recovers a vault.

        Raises Invalid for properties, NotFound("GroupNotFound" | "NothingToRecover"), Forbidden("PermissionModel"),
        Conflict("VaultTaken" | "VaultElsewhere").
        """
        recovers = properties.wants_recovery(asked)
        now = self._clock.now()

        def change(tx: Tx) -> Changed:
            answering(200)
            state, found = standing(tx, path.name, now)
            here = found is not None and path.is_of(found) and found.tenant_id == by.tenant_id
            kept = found if here else None
            if recovers:
                return self._recovered(tx, path, asked, state, kept, now)
            if kept is not None and state is State.LIVE:
                return self._replaced(tx, kept, asked, by, int(now))
            return self._created(tx, path, asked, by, api_version, int(now))

        return await self._store.write(change)

    def _recovered(
        self, tx: Tx, path: VaultPath, asked: VaultIn, state: State, kept: Vault | None, now: float
    ) -> Changed:
        there = kept is not None and (not asked.location or properties.location_of(asked) == kept.location)
        TRANSITIONS.decide(Operation.RECOVER, state if there else State.ABSENT, vault=path.name[:100])
        assert kept is not None  # noqa: S101 - a vault that stands anywhere is there
        if state is State.DELETED:
            group_named(tx, path.subscription_id, path.group)
            kept = deletion.recover_vault(tx, kept, now)
        return Changed(kept, records.policies_of(tx, kept.id))

    def _replaced(self, tx: Tx, kept: Vault, asked: VaultIn, by: By, now: int) -> Changed:
        if properties.location_of(asked) != kept.location:
            raise Conflict(
                "VaultElsewhere",
                vault=kept.name,
                group=kept.resource_group,
                location=kept.location,
                asked=properties.location_of(asked),
            )
        return self._stored(tx, kept, properties.replaced(kept, asked, now), asked, by)

    def _created(self, tx: Tx, path: VaultPath, asked: VaultIn, by: By, api_version: str, now: int) -> Changed:
        draft = properties.new_vault(asked, path, by.tenant_id, api_version, now)
        policies = properties.policies_of((asked.properties and asked.properties.access_policies) or (), draft)
        group = group_named(tx, path.subscription_id, path.group)
        make_room(tx, draft)
        made = msgspec.structs.replace(draft, resource_group=group.name, id=bump_revision(tx))
        records.add_vault(tx, made)
        answering(201)
        stored = [msgspec.structs.replace(policy, vault_id=made.id) for policy in policies]
        records.replace_policies(tx, made.id, stored)
        return Changed(made, stored, created=True)

    def _stored(self, tx: Tx, kept: Vault, after: Vault, asked: VaultIn, by: By) -> Changed:
        properties.check_model(kept, after, by.may_assign_roles)
        given = asked.properties.access_policies if asked.properties else None
        policies = records.policies_of(tx, kept.id) if given is None else properties.policies_of(given, after)
        records.replace_vault(tx, after)
        if given is not None:
            records.replace_policies(tx, kept.id, policies)
        bump_revision(tx)
        return Changed(after, policies)

    async def patch(self, path: VaultPath, asked: VaultIn, by: By) -> Changed:
        """Changes some properties of a live vault. Raises as `put`, and NotFound("VaultNotFound")."""
        now = self._clock.now()

        def change(tx: Tx) -> Changed:
            kept = _live(tx, path, by.tenant_id, Operation.PATCH, now)
            return self._stored(tx, kept, properties.patched(kept, asked, int(now)), asked, by)

        return await self._store.write(change)

    async def delete(self, path: VaultPath, tenant_id: str) -> Vault:
        """Deletes a live vault; as it was. Raises NotFound("VaultNotFound")."""
        now = self._clock.now()

        def change(tx: Tx) -> Vault:
            kept = _live(tx, path, tenant_id, Operation.DELETE, now)
            deletion.delete_vault(tx, kept, now)
            return kept

        return await self._store.write(change)

    async def change_policies(self, path: VaultPath, how: str, asked: list[PolicyIn], tenant_id: str) -> Changed:
        """Adds, replaces or removes access policies. Raises Invalid, NotFound("VaultNotFound")."""
        now = self._clock.now()

        def change(tx: Tx) -> Changed:
            kept = _live(tx, path, tenant_id, Operation.PATCH, now)
            policies = properties.policies_of(asked, kept)
            after = properties.combined(records.policies_of(tx, kept.id), policies, how)
            records.replace_policies(tx, kept.id, after)
            changed = msgspec.structs.replace(kept, updated_at=int(now))
            records.replace_vault(tx, changed)
            bump_revision(tx)
            return Changed(changed, after)

        return await self._store.write(change)

    async def purge(self, name: str, subscription_id: str, location: str, tenant_id: str) -> tuple[Vault, bool]:
        """Purges a deleted vault; the vault, and whether all of it is gone already.

        Raises NotFound("DeletedVaultNotFound"), Forbidden("VaultPurgeProtected").
        """
        vault = await self._purges.purge(name, subscription_id, location, tenant_id)
        return vault, await self._purges.erase_within(vault.id, self.patience_s)

    async def is_erased(self, vault_id: int) -> bool:
        """Whether nothing is left of a vault that was purged."""
        return await self._purges.is_erased(vault_id)


def _live(tx: Tx, path: VaultPath, tenant_id: str, operation: Operation, now: float) -> Vault:
    state, found = standing(tx, path.name, now)
    here = found is not None and path.is_of(found) and found.tenant_id == tenant_id
    TRANSITIONS.decide(operation, state if here else State.ABSENT, vault=path.name[:100], group=path.group[:90])
    if found is None:  # the table has no way here for an absent vault
        raise NotFound("VaultNotFound", vault=path.name[:100], group=path.group[:90])
    return found
