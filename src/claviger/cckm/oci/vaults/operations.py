"""What can be done with vaults of OCI: find them, manage them, say who may do what in them, let go of them.

Nothing here changes anything in OCI. A vault is looked at there before its record is stored or its connection changed,
and what OCI answers is what the record says (CCKM contract, OCI §3).
"""

from __future__ import annotations

from functools import partial

import msgspec
from msgspec import UNSET

from claviger.audit.trail import also_about, telling
from claviger.cckm.access.acls.operations import remove_acls
from claviger.cckm.approvals import records as approvals
from claviger.cckm.approvals.guarding import Guard
from claviger.cckm.calls import Caller
from claviger.cckm.oci import asking
from claviger.cckm.oci.asking import Found
from claviger.cckm.oci.cloud import OciCloud
from claviger.cckm.oci.compartments.naming import names_of
from claviger.cckm.oci.connections.cloud import OciClouds
from claviger.cckm.oci.connections.rules import OciConnection
from claviger.cckm.oci.tenancies.cloud import tenancy_name
from claviger.cckm.oci.vaults import cloud, effects, protection, records, rules, shown
from claviger.cckm.oci.vaults.cloud import CloudVault
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.vaults.shown import KIND
from claviger.cckm.oci.vaults.wire import AddOciVaults, GetOciVaults, OciVaultRecord, PatchOciVault
from claviger.cckm.planning.draft import foresee
from claviger.cckm.vaults.operations import ManagedVaults, Own
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Invalid, NotFound
from claviger.core.ids import new_uuid
from claviger.store.contract import Store, Tx

_OWN: Own[OciVault, OciVaultRecord] = Own(
    kind=KIND,
    actions=rules.ACTIONS,
    all_of=records.all_of,
    by_id=records.by_id,
    load=records.load,
    replace=records.replace,
    told=lambda row: (row.display_name, row.region),
    filters=shown.FILTERS,
    sorts=shown.SORTS,
    shown=shown.vault,
)


class OciVaults:
    """Everything about vaults; `managed` is what is alike in all clouds."""

    def __init__(self, store: Store, clock: Clock, clouds: OciClouds) -> None:
        self._store = store
        self._clock = clock
        self._clouds = clouds
        self.managed = ManagedVaults(store, clock, _OWN)

    async def discover(self, domain_id: str, asked: GetOciVaults) -> Found:
        """A page of the vaults of a compartment in a region. Raises Invalid, NotFound, the cloud's refusals."""
        rules.check_discovery(asked.compartment_id, asked.region)
        paging = asking.paging(asked.limit, asked.next_page)
        _, way = await asking.reach(self._store, self._clouds, domain_id, asked.connection)
        return await cloud.list_vaults(way, asked.region, asked.compartment_id, paging)

    async def add(self, caller: Caller, asked: AddOciVaults) -> list[OciVaultRecord]:
        """Brings vaults under management, all or none; one that was managed before is the same one again.

        Raises Invalid for what is wrong with the request or not there in OCI, NotFound for the connection,
        Conflict("AlreadyManaged"), and the cloud's other refusals.
        """
        ocids = rules.check_added(asked.vault_id, asked.region)
        bucket = rules.check_bucket(asked.bucket_name or None, asked.bucket_namespace or None)
        domain_id = caller.domain_id
        connection, way = await asking.reach(self._store, self._clouds, domain_id, asked.connection)
        told = await asking.of_each(ocids, partial(_looked_up, way, asked.region))
        tenancy = await tenancy_name(way)
        named = await names_of(self._store, domain_id, way, {each.compartment_ocid for each in told})
        now = self._clock.now()
        rows = [
            _fresh(caller, connection, tenancy, asked.region, each, named.get(each.compartment_ocid, ""), bucket, now)
            for each in told
        ]

        def change(tx: Tx) -> list[OciVault]:
            asking.check_stands(tx, connection)
            stored = [_put(tx, row) for row in rows]
            rules.check_room(records.count(tx, domain_id), 0)
            foresee(lambda: effects.added(rows))
            for row in stored:
                also_about(KIND, row.id, row.display_name, row.region)
            return stored

        return [await self.managed.shown(row) for row in await self._store.write(change)]

    async def patch(
        self, domain_id: str, ident: str, asked: PatchOciVault, guard: Guard | None = None
    ) -> OciVaultRecord:
        """Changes a vault's connection, once that has reached the same vault, its bucket, or its protection (§3.5).

        Raises NotFound, Invalid, the cloud's refusals, and Wanted for less protection than before.
        """
        row = await self.managed.row(domain_id, ident)
        protection.asked_for(await approvals.read_protection(self._store, ident), asked)
        bucket = _bucket(row, asked)
        connection, way = await asking.reach(self._store, self._clouds, domain_id, _wanted(row, asked))
        told = await _looked_up(way, row.region, row.ocid)
        tenancy_ocid, tenancy = row.tenancy_ocid, row.tenancy_name
        if connection.details.tenancy_ocid != tenancy_ocid:
            tenancy_ocid, tenancy = connection.details.tenancy_ocid, await tenancy_name(way)
        named = await names_of(self._store, domain_id, way, {told.compartment_ocid})
        now = self._clock.now()

        def change(tx: Tx) -> OciVault:
            asking.check_stands(tx, connection)
            before = self.managed.loaded(tx, domain_id, ident)
            telling(connection=connection.name)
            changed = msgspec.structs.replace(
                refreshed(before, told, named.get(told.compartment_ocid, ""), now),
                connection_id=connection.id,
                connection_name=connection.name,
                tenancy_ocid=tenancy_ocid,
                tenancy_name=tenancy,
                bucket_name=bucket[0],
                bucket_namespace=bucket[1],
                updated_at=now,
            )
            was = approvals.protection(tx, ident)
            set_on = protection.change(tx, guard, before, changed, asked)
            foresee(lambda: effects.changed(before, changed, was, set_on))
            records.replace(tx, changed)
            return changed

        return await self.managed.shown(await self._store.write(change))

    async def remove(self, domain_id: str, ident: str, guard: Guard | None = None) -> None:
        """Stops managing a vault: it is hidden with its keys, OCI is untouched (§3.6).

        Raises NotFound, Conflict("OperationUnderWay") while something in it is being changed in the cloud, and Wanted
        for a vault in which one person alone destroys nothing.
        """
        now = self._clock.now()

        def change(tx: Tx) -> None:
            row = self.managed.loaded(tx, domain_id, ident)
            if records.operation_under_way(tx, row.id):
                told = "an operation in this vault is under way; try again when it is done"
                raise Conflict("OperationUnderWay", message=told)
            protection.remove(tx, guard, row)
            foresee(lambda: effects.removed(tx, row))
            records.replace(tx, msgspec.structs.replace(row, removed=1, updated_at=now))
            remove_acls(tx, row.id)

        await self._store.write(change)


def refreshed(row: OciVault, told: CloudVault, compartment_name: str, now: float) -> OciVault:
    """A row with what OCI says now."""
    return msgspec.structs.replace(
        row,
        compartment_ocid=told.compartment_ocid,
        compartment_name=compartment_name or (row.compartment_name if _same_place(row, told) else ""),
        display_name=told.display_name,
        vault_type=told.vault_type,
        state=told.state,
        management_endpoint=told.management_endpoint,
        details=shown.details_of(told),
        refreshed_at=now,
    )


def _same_place(row: OciVault, told: CloudVault) -> bool:
    return row.compartment_ocid == told.compartment_ocid


def _fresh(
    caller: Caller,
    connection: OciConnection,
    tenancy: str,
    region: str,
    told: CloudVault,
    compartment_name: str,
    bucket: tuple[str, str],
    now: float,
) -> OciVault:
    return OciVault(
        num=0,
        id=new_uuid(),
        domain_id=caller.domain_id,
        removed=0,
        connection_id=connection.id,
        connection_name=connection.name,
        tenancy_ocid=connection.details.tenancy_ocid,
        tenancy_name=tenancy,
        region=region,
        ocid=told.ocid,
        compartment_ocid=told.compartment_ocid,
        compartment_name=compartment_name,
        display_name=told.display_name,
        vault_type=told.vault_type,
        state=told.state,
        management_endpoint=told.management_endpoint,
        bucket_name=bucket[0],
        bucket_namespace=bucket[1],
        details=shown.details_of(told),
        refreshed_at=now,
        read_began_at=None,
        created_by=caller.user_id,
        created_at=now,
        updated_at=now,
    )


def _put(tx: Tx, fresh: OciVault) -> OciVault:
    """Stores a vault, in the place of the row that it had before it was removed. Raises Conflict("AlreadyManaged")."""
    before = records.load_even_removed(tx, fresh.domain_id, fresh.ocid)
    if before is None:
        return records.add(tx, fresh)
    if not before.removed:
        raise Conflict("AlreadyManaged", message=f"the vault {fresh.name} is managed already, as {before.id}")
    again = msgspec.structs.replace(
        fresh, num=before.num, id=before.id, created_at=before.created_at, created_by=before.created_by
    )
    records.replace(tx, again)
    return again


def _wanted(row: OciVault, asked: PatchOciVault) -> str:
    """The connection to look at a vault by. Raises Conflict("ConnectionGone") where it has none and none is given."""
    if asked.connection is not UNSET:
        return asked.connection
    if not row.connection_id:
        told = f"the connection {row.connection_name} of this vault was deleted; name another one"
        raise Conflict("ConnectionGone", message=told)
    return row.connection_id


def _bucket(row: OciVault, asked: PatchOciVault) -> tuple[str, str]:
    name = row.bucket_name if asked.bucket_name is UNSET else asked.bucket_name
    namespace = row.bucket_namespace if asked.bucket_namespace is UNSET else asked.bucket_namespace
    if "" in (asked.bucket_name, asked.bucket_namespace) and UNSET in (asked.bucket_name, asked.bucket_namespace):
        return "", ""
    return rules.check_bucket(name or None, namespace or None)


async def _looked_up(way: OciCloud, region: str, ocid: str) -> CloudVault:
    """What OCI says about a vault; one that is not there is the request's mistake, in OCI's words."""
    try:
        told = await cloud.get_vault(way, region, ocid)
    except NotFound as refusal:
        raise Invalid("CloudInvalid", message=f"{ocid}: {refusal.facts.get('message')}") from None
    if told.ocid != ocid:
        raise Invalid("CloudInvalid", message=f"{ocid}: OCI told about another vault")
    return told
