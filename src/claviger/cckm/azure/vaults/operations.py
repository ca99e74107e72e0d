"""What can be done with vaults: find them in Azure, manage them, say who may do what in them, let go of them.

Nothing here changes anything in Azure. A vault is looked at there before its record is stored or its connection
changed, and what Azure answers is what the record says, whatever the request said (Azure contract §3).
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from msgspec import UNSET

from claviger.audit.trail import also_about, telling
from claviger.cckm.access.acls.operations import remove_acls
from claviger.cckm.approvals import records as approvals
from claviger.cckm.approvals.guarding import Guard
from claviger.cckm.azure.connections import records as connections
from claviger.cckm.azure.connections.cloud import AzureCloud, AzureClouds
from claviger.cckm.azure.connections.rules import Connection
from claviger.cckm.azure.subscriptions import records as subscriptions
from claviger.cckm.azure.subscriptions.cloud import list_subscriptions
from claviger.cckm.azure.subscriptions.operations import fresh_record
from claviger.cckm.azure.vaults import cloud, effects, protection, records, rules, shown
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.azure.vaults.removal import Removals
from claviger.cckm.azure.vaults.wire import (
    AddedVaults,
    AddVaults,
    FoundVault,
    FoundVaults,
    GetVaults,
    PatchVault,
    Vault,
)
from claviger.cckm.calls import Caller
from claviger.cckm.errors import validation
from claviger.cckm.planning.draft import foresee
from claviger.cckm.scheduler import records as configs
from claviger.cckm.vaults.operations import UNPROTECTED, ManagedVaults, Own
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Unavailable
from claviger.core.ids import new_uuid
from claviger.store.contract import Store, Tx

AT_ONCE = 16
VERIFY_LIMIT_S = 120.0


_OWN: Own[VaultRow, Vault] = Own(
    kind=effects.KIND,
    actions=rules.ACTIONS,
    all_of=records.all_of,
    by_id=records.by_id,
    load=records.load,
    replace=records.replace,
    told=lambda row: (row.azure_name, row.subscription_id),
    filters=shown.FILTERS,
    sorts=shown.SORTS,
    shown=shown.vault,
)


class Vaults:
    """Everything about vaults; `managed` is what is alike in all clouds."""

    def __init__(self, store: Store, clock: Clock, clouds: AzureClouds, removals: Removals) -> None:
        self._store = store
        self._clock = clock
        self._clouds = clouds
        self._removals = removals
        self.managed = ManagedVaults(store, clock, _OWN)

    async def discover(self, domain_id: str, asked: GetVaults, *, hsms: bool) -> FoundVaults:
        """A page of the vaults, or of the managed HSMs, that a connection sees in a subscription.

        Raises Invalid, NotFound for the connection, and the cloud's refusals.
        """
        subscription_id = rules.check_subscription(asked.subscription_id)
        limit = rules.page_size(asked.limit)
        way = await self._clouds.reach(await self._connection(domain_id, asked.connection))
        listing = cloud.list_managed_hsms if hsms else cloud.list_vaults
        page = await listing(way, subscription_id, limit=limit, mark=asked.next_link)
        return FoundVaults(
            vaults=[shown.found(told) for told in page.vaults],
            connection=asked.connection,
            subscription_id=asked.subscription_id,
            next_link=page.mark or UNSET,
        )

    async def add(self, caller: Caller, asked: AddVaults) -> AddedVaults:
        """Brings vaults under management, all or none, with the record of their subscription (§3.2).

        Raises Invalid for what is wrong with the request or not there in Azure, NotFound for the connection,
        Conflict("AlreadyManaged"), and the cloud's other refusals.
        """
        subscription_id = rules.check_subscription(asked.subscription_id)
        limit = rules.check_backup_limit(asked.cloud_key_backup_limit)
        named = [rules.Asked(one.azure_vault_id, one.name, one.type) for one in asked.vaults]
        wanted = rules.check_added(named, subscription_id)
        domain_id = caller.domain_id
        connection = await self._connection(domain_id, asked.connection)
        _refuse_managed(wanted, await records.managed(self._store, domain_id))
        way = await self._clouds.reach(connection)
        told = await _verified(way, wanted)
        now = self._clock.now()
        subscription = fresh_record(domain_id, subscription_id, await _subscription(way, subscription_id), now)
        rows = [_fresh(connection, subscription, shown.found(one), limit, caller.user_id, now) for one in told]

        def change(tx: Tx) -> list[VaultRow]:
            self._check_connection(tx, connection)
            for row in rows:
                if records.is_managed(tx, domain_id, row.azure_vault_id):
                    raise _already(row.azure_name)
            rules.check_room(records.count(tx, domain_id), len(rows))
            subscriptions.note(tx, subscription)
            foresee(lambda: effects.added(rows))
            for row in rows:
                also_about(effects.KIND, row.id, row.azure_name, subscription_id)
            return [records.add(tx, row) for row in rows]

        added = [shown.vault(row, [], UNPROTECTED) for row in await self._store.write(change)]
        return AddedVaults(id=added[0].id if len(added) == 1 else UNSET, vaults=added, resources=added)

    async def patch(self, domain_id: str, ident: str, asked: PatchVault, guard: Guard | None = None) -> Vault:
        """Changes the connection of a vault, once that has reached the same vault, and what Azure says about it (§3.6).

        Raises NotFound, Invalid, the cloud's refusals, and Wanted for less protection than before.
        """
        row = await self.managed.row(domain_id, ident)
        protection.asked_for(await approvals.read_protection(self._store, ident), asked)
        limit = asked.cloud_key_backup_limit
        kept = row.cloud_key_backup_limit if limit is None else rules.check_backup_limit(limit)
        connection = await self._connection(domain_id, asked.connection)
        told = await _looked_up(await self._clouds.reach(connection), row.azure_vault_id, row.azure_name)
        one = shown.found(told)
        tenant = one.properties.tenant_id
        if not rules.same_vault(one.azure_vault_id, row.azure_vault_id) or tenant != (row.tenant_id or UNSET):
            raise Invalid("InvalidParam", message="the connection reaches another vault than the one that is managed")
        now = self._clock.now()

        def change(tx: Tx) -> VaultRow:
            self._check_connection(tx, connection)
            before = self.managed.loaded(tx, domain_id, ident)
            telling(connection=connection.name)
            changed = msgspec.structs.replace(
                before,
                connection_id=connection.id,
                connection_name=connection.name,
                cloud_name=connection.cloud_name,
                location=one.location,
                details=shown.details_of(one),
                cloud_key_backup_limit=kept,
                updated_at=now,
            )
            was = approvals.protection(tx, ident)
            set_on = protection.change(tx, guard, before, changed, asked)
            foresee(lambda: effects.changed(before, changed, was, set_on))
            records.replace(tx, changed)
            return changed

        return await self.managed.shown(await self._store.write(change))

    async def remove(self, domain_id: str, ident: str, guard: Guard | None = None) -> None:
        """Stops managing a vault: everything known of it goes, Azure is untouched (§3.7).

        Raises NotFound, Conflict("OperationUnderWay") while something in it is being changed in the cloud, and Wanted
        for a vault in which one person alone destroys nothing.
        """

        def change(tx: Tx) -> None:
            row = self.managed.loaded(tx, domain_id, ident)
            if records.operation_under_way(tx, row.id):
                raise Conflict(
                    "OperationUnderWay", message="an operation in this vault is under way; try again when it is done"
                )
            protection.remove(tx, guard, row)
            foresee(lambda: effects.removed(tx, row))
            self._removals.remove(tx, row)
            remove_acls(tx, row.id)
            subscriptions.remove_if_unused(tx, domain_id, row.subscription_id)

        await self._store.write(change)
        self._removals.wake()

    async def enable_rotation_job(self, domain_id: str, ident: str, job_config_id: str) -> Vault:
        """Refuses to link a vault to a schedule (§3.8), which would rotate its keys: this server has none of Azure.

        Raises NotFound for the vault and for a schedule that is not there, else Invalid("Validation").
        """
        await self.managed.row(domain_id, ident)
        if await configs.by_id(self._store, domain_id, job_config_id) is None:
            raise NotFound("NotFound", message=f"there is no job configuration {job_config_id[:100]}")
        raise validation({"job_config_id": "names a job that rotates no keys of Azure: this server has none"})

    async def disable_rotation_job(self, domain_id: str, ident: str) -> Vault:
        """Takes the link to a schedule off a vault; one that has none stays as it is. Raises NotFound."""
        now = self._clock.now()

        def change(tx: Tx) -> VaultRow:
            row = self.managed.loaded(tx, domain_id, ident)
            labels = {name: value for name, value in row.labels_map.items() if name not in rules.ROTATION_LABELS}
            if labels != row.labels_map:
                row = msgspec.structs.replace(row, labels=records.encode_labels(labels), updated_at=now)
                records.replace(tx, row)
            return row

        return await self.managed.shown(await self._store.write(change))

    async def _connection(self, domain_id: str, id_or_name: str) -> Connection:
        found = await connections.find(self._store, domain_id, id_or_name)
        if found is None:
            raise _no_connection()
        return found

    @staticmethod
    def _check_connection(tx: Tx, connection: Connection) -> None:
        """It may have been deleted while the cloud was asked."""
        if connections.load(tx, connection.domain_id, connection.id) is None:
            raise _no_connection()


def _refuse_managed(wanted: list[rules.ArmId], managed: list[str]) -> None:
    known = {rules.key_of(parsed) for text in managed if (parsed := rules.arm_id(text)) is not None}
    for one in wanted:
        if rules.key_of(one) in known:
            raise _already(one.name)


async def _verified(way: AzureCloud, wanted: list[rules.ArmId]) -> list[dict[str, Any]]:
    """What Azure says about each vault, in order. Raises the first refusal."""
    told: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(VERIFY_LIMIT_S):
            for start in range(0, len(wanted), AT_ONCE):
                portion = wanted[start : start + AT_ONCE]
                told += await asyncio.gather(*(_looked_up(way, one.text, one.name) for one in portion))
    except TimeoutError:
        raise Unavailable(
            "CloudUnreachable", message="Azure did not tell about all of these vaults in time; add fewer at once"
        ) from None
    return told


async def _looked_up(way: AzureCloud, azure_vault_id: str, name: str) -> dict[str, Any]:
    """What Azure says about a vault; one that is not there is the request's mistake, in Azure's words (§3.2)."""
    try:
        return await cloud.get_vault(way, azure_vault_id)
    except NotFound as refusal:
        raise Invalid("CloudInvalid", message=f"{name}: {refusal.facts.get('message')}") from None
    except Forbidden as refusal:
        raise Forbidden("CloudRefused", message=f"{name}: {refusal.facts.get('message')}") from None


async def _subscription(way: AzureCloud, subscription_id: str) -> dict[str, Any] | None:
    """What Azure says about a subscription; None where the connection may read its vaults but not itself."""
    try:
        told = await list_subscriptions(way)
    except (Forbidden, NotFound):
        return None
    return next((one for one in told if str(one.get("subscriptionId")).lower() == subscription_id), None)


def _fresh(
    connection: Connection,
    subscription: subscriptions.SubscriptionRow,
    one: FoundVault,
    limit: int,
    created_by: str,
    now: float,
) -> VaultRow:
    """The row of a vault that comes under management."""
    return VaultRow(
        num=0,
        id=new_uuid(),
        domain_id=connection.domain_id,
        connection_id=connection.id,
        connection_name=connection.name,
        subscription_id=subscription.subscription_id,
        subscription_name=subscription.display_name,
        azure_name=one.name,
        azure_vault_id=one.azure_vault_id,
        cloud_name=connection.cloud_name,
        location=one.location,
        type=one.type,
        details=shown.details_of(one),
        labels=records.encode_labels({}),
        cloud_key_backup_limit=limit,
        synced_at=None,
        created_by=created_by,
        created_at=now,
        updated_at=now,
    )


def _no_connection() -> Refusal:
    return NotFound("NotFound", message="there is no such connection")


def _already(name: str) -> Refusal:
    return Conflict("AlreadyManaged", message=f"the vault {name} is managed already")
