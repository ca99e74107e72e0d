"""What can be done with compartments: finding them, their tags and buckets in OCI, and their records (OCI §2.3-2.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import UNSET

from claviger.audit.trail import also_about
from claviger.cckm.errors import validation
from claviger.cckm.noted.operations import Noted, Own
from claviger.cckm.oci import asking
from claviger.cckm.oci.asking import Found
from claviger.cckm.oci.cloud import OciCloud
from claviger.cckm.oci.compartments import cloud, records
from claviger.cckm.oci.compartments.records import CompartmentRow
from claviger.cckm.oci.compartments.wire import AddCompartments, CompartmentRecord, Discover, DiscoverBuckets
from claviger.cckm.oci.connections.cloud import OciClouds
from claviger.cckm.oci.connections.rules import OciConnection, is_ocid
from claviger.cckm.oci.tenancies.cloud import tenancy_name
from claviger.cckm.resource import header
from claviger.core.clock import Clock
from claviger.core.errors import Invalid, NotFound
from claviger.core.ids import new_uuid
from claviger.store.contract import Store, Tx

KIND = "oci-compartment"
_FILTERS: Mapping[str, Callable[[CompartmentRow], object]] = {
    "id": lambda row: row.id,
    "name": lambda row: row.name,
    "compartment_id": lambda row: row.ocid,
    "tenancy": lambda row: row.tenancy_name,
}
_SORTS: Mapping[str, Callable[[CompartmentRow], Any]] = {
    "name": lambda row: row.name,
    "createdAt": lambda row: row.created_at,
    "updatedAt": lambda row: row.updated_at,
}


class Compartments:
    """Everything about compartments of a domain; `noted` is what is done with their records."""

    def __init__(self, store: Store, clock: Clock, clouds: OciClouds) -> None:
        self._store = store
        self._clock = clock
        self._clouds = clouds
        self.noted = Noted(store, _OWN)

    async def discover(self, domain_id: str, asked: Discover) -> Found:
        """One page of the compartments that a connection sees. Raises Invalid, NotFound, the cloud's refusals."""
        paging = asking.paging(asked.limit, asked.next_page)
        _, way = await asking.reach(self._store, self._clouds, domain_id, asked.connection)
        return await cloud.list_compartments(way, paging)

    async def tags(self, domain_id: str, asked: Discover) -> Found:
        """One page of tag namespaces. Raises as `discover`."""
        paging = asking.paging(asked.limit, asked.next_page)
        _, way = await asking.reach(self._store, self._clouds, domain_id, asked.connection)
        return await cloud.list_defined_tags(way, paging)

    async def buckets(self, domain_id: str, asked: DiscoverBuckets) -> Found:
        """One page of a compartment's buckets. Raises as `discover`."""
        paging = asking.paging(asked.limit, asked.next_page)
        _check([asked.compartment_id])
        _, way = await asking.reach(self._store, self._clouds, domain_id, asked.connection)
        return await cloud.list_buckets(way, asked.compartment_id, paging)

    async def add(self, domain_id: str, asked: AddCompartments) -> list[CompartmentRecord]:
        """Records compartments, all of them or none; again, what is new about them.

        Raises Invalid, also for one that the connection does not see, NotFound, and the cloud's other refusals.
        """
        wanted = list(dict.fromkeys(asked.compartment_id))
        _check(wanted)
        known, way = await asking.reach(self._store, self._clouds, domain_id, asked.connection)
        tenancy = await tenancy_name(way)
        told = await asking.of_each(wanted, partial(_looked_up, way))
        now = self._clock.now()
        fresh = [_fresh(domain_id, known, tenancy, each, now) for each in told]

        def change(tx: Tx) -> list[CompartmentRow]:
            asking.check_stands(tx, known)
            noted = [records.note(tx, each) for each in fresh]
            for each in noted:
                also_about(KIND, each.id, each.name)
            return noted

        return [shown(row) for row in await self._store.write(change)]


def _check(ocids: list[str]) -> None:
    for ocid in ocids:
        if not (is_ocid(ocid, "compartment") or is_ocid(ocid, "tenancy")):
            raise validation({"compartment_id": "must be the OCID of a compartment or of the tenancy"})


async def _looked_up(way: OciCloud, ocid: str) -> dict[str, Any]:
    """What OCI says about a compartment; one that is not there is the request's mistake, in OCI's words."""
    try:
        return await cloud.get_compartment(way, ocid)
    except NotFound as refusal:
        raise Invalid("CloudInvalid", message=f"{ocid}: {refusal.facts.get('message')}") from None


def _fresh(domain_id: str, connection: OciConnection, tenancy: str, told: dict[str, Any], now: float) -> CompartmentRow:
    return CompartmentRow(
        id=new_uuid(),
        domain_id=domain_id,
        ocid=str(told["id"]),
        parent_ocid=str(told.get("compartment_id") or ""),
        tenancy_ocid=connection.details.tenancy_ocid,
        tenancy_name=tenancy,
        connection_id=connection.id,
        connection_name=connection.name,
        name=str(told.get("name") or ""),
        details=told,
        created_at=now,
        updated_at=now,
    )


def shown(row: CompartmentRow) -> CompartmentRecord:
    """The record as it is on the wire."""
    told = row.details
    return CompartmentRecord(
        **header("cckm", KIND, row.id, "", row.domain_id, row.created_at, row.updated_at),
        tenancy=row.tenancy_name,
        compartment_id=row.ocid,
        parent_compartment_id=row.parent_ocid,
        name=row.name,
        description=str(told.get("description") or ""),
        time_created=told.get("time_created", UNSET),
        lifecycle_state=str(told.get("lifecycle_state") or ""),
        is_accessible=told.get("is_accessible", UNSET),
        freeform_tags=told.get("freeform_tags", {}),
        defined_tags=told.get("defined_tags", {}),
        connection=row.connection_name,
    )


_OWN: Own[CompartmentRow, CompartmentRecord] = Own(
    kind=KIND,
    noun="compartment",
    all_of=records.all_of,
    by_id=records.by_id,
    load=records.load,
    remove=records.remove,
    filters=_FILTERS,
    sorts=_SORTS,
    shown=shown,
)
