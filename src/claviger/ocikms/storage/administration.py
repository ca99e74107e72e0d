"""What an operator does about buckets, at the command line: they are named by tenancy, region and compartment."""

from __future__ import annotations

import msgspec

from claviger.core.clock import Clock
from claviger.core.errors import Invalid
from claviger.ocikms.identity import records as identity
from claviger.ocikms.identity.naming import place_named, tenancy_named
from claviger.ocikms.identity.rules import ROOT_PATH, check_region
from claviger.ocikms.ocids import new_regional_ocid
from claviger.ocikms.storage import records, rules
from claviger.ocikms.storage.operations import add_bucket
from claviger.ocikms.storage.records import BucketRow
from claviger.store.contract import Store, Tx


class PlacedBucket(msgspec.Struct, frozen=True):
    """A bucket with its namespace and the name of its tenancy."""

    bucket: BucketRow
    namespace: str
    tenancy: str


async def create_bucket(
    store: Store,
    clock: Clock,
    name: str,
    *,
    compartment: str = ROOT_PATH,
    tenancy: str | None = None,
    region: str | None = None,
) -> PlacedBucket:
    """Makes a bucket; in the home region where none is named.

    Raises Invalid("BucketName" | "RegionNotSubscribed" | "LimitExceeded"), Conflict("BucketExists"), and what naming
    raises.
    """
    rules.check_bucket_name(name)
    now = clock.now()

    def change(tx: Tx) -> PlacedBucket:
        owner, found = place_named(tx, compartment, tenancy)
        where = owner.home_region if region is None else check_region(region)
        if where not in identity.subscriptions(tx, owner.num):
            raise Invalid("RegionNotSubscribed", region=where, fix="subscribe first: claviger oci tenancy subscribe")
        made = BucketRow(
            num=0,
            id=new_regional_ocid("bucket", where),
            tenancy_num=owner.num,
            region=where,
            compartment_id=owner.id if found is None else found.id,
            name=name,
            freeform_tags="{}",
            defined_tags="{}",
            created_by="",
            created_at=now,
        )
        add_bucket(tx, made, owner.namespace)
        return PlacedBucket(made, owner.namespace, owner.name)

    return await store.write(change)


async def list_buckets(store: Store, tenancy: str | None = None) -> list[PlacedBucket]:
    """All buckets, or those of one tenancy, by tenancy, region and name. Raises what naming raises."""

    def change(tx: Tx) -> list[PlacedBucket]:
        owners = identity.tenancies(tx) if tenancy is None else [tenancy_named(tx, tenancy)]
        known = {owner.num: owner for owner in owners}
        return [
            PlacedBucket(each, known[each.tenancy_num].namespace, known[each.tenancy_num].name)
            for each in records.all_buckets(tx)
            if each.tenancy_num in known
        ]

    return await store.write(change)
