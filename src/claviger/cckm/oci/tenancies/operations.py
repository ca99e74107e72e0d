"""What can be done with tenancies: the regions of one, and their records (CCKM contract, OCI §2.1, §2.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET

from claviger.audit.trail import about
from claviger.cckm.errors import validation
from claviger.cckm.noted.operations import Noted, Own
from claviger.cckm.oci import asking
from claviger.cckm.oci.connections.cloud import OciClouds
from claviger.cckm.oci.connections.rules import OciConnection, is_ocid
from claviger.cckm.oci.tenancies import cloud, records
from claviger.cckm.oci.tenancies.records import TenancyRow
from claviger.cckm.oci.tenancies.wire import AddTenancy, TenancyRecord
from claviger.cckm.resource import header
from claviger.core.clock import Clock
from claviger.core.errors import Conflict
from claviger.core.ids import new_uuid
from claviger.store.contract import Store, Tx

KIND = "oci-tenancy"
_FILTERS: Mapping[str, Callable[[TenancyRow], object]] = {
    "id": lambda row: row.id,
    "tenancy_ocid": lambda row: row.ocid,
    "tenancy": lambda row: row.name,
}
_SORTS: Mapping[str, Callable[[TenancyRow], Any]] = {
    "tenancy": lambda row: row.name,
    "createdAt": lambda row: row.created_at,
    "updatedAt": lambda row: row.updated_at,
}


class Tenancies:
    """Everything about tenancies of a domain; `noted` is what is done with their records."""

    def __init__(self, store: Store, clock: Clock, clouds: OciClouds) -> None:
        self._store = store
        self._clock = clock
        self._clouds = clouds
        self.noted = Noted(store, _OWN)

    async def regions(self, domain_id: str, connection: str) -> list[str]:
        """The regions that a connection's tenancy has subscribed to. Raises NotFound, and the cloud's refusals."""
        _, way = await asking.reach(self._store, self._clouds, domain_id, connection)
        return await cloud.subscribed_regions(way)

    async def add(self, domain_id: str, asked: AddTenancy) -> TenancyRecord:
        """Records a tenancy; again, what is new about it. Raises Invalid, NotFound, and the cloud's refusals."""
        by: OciConnection | None
        by_connection = asked.connection is not UNSET
        by_name = asked.tenancy_ocid is not UNSET or asked.tenancy is not UNSET
        if by_connection == by_name:
            raise validation({"connection": "give either a connection, or tenancy_ocid and tenancy"})
        if asked.connection is not UNSET:
            by, way = await asking.reach(self._store, self._clouds, domain_id, asked.connection)
            name = await cloud.tenancy_name(way)
            ocid, connection_id, connection_name = by.details.tenancy_ocid, by.id, by.name
        else:
            by = None
            ocid, name, connection_id, connection_name = _named(asked)
        now = self._clock.now()
        fresh = TenancyRow(new_uuid(), domain_id, ocid, name, connection_id, connection_name, now, now)

        def change(tx: Tx) -> TenancyRow:
            if by is not None:
                asking.check_stands(tx, by)
            noted = records.note(tx, fresh)
            about(KIND, noted.id, noted.name)
            return noted

        return shown(await self._store.write(change))


def _named(asked: AddTenancy) -> tuple[str, str, str, str]:
    problems = {}
    if asked.tenancy_ocid is UNSET or not is_ocid(asked.tenancy_ocid, "tenancy"):
        problems["tenancy_ocid"] = "must be a tenancy's OCID"
    if asked.tenancy is UNSET or not asked.tenancy.strip():
        problems["tenancy"] = "is required"
    if problems:
        raise validation(problems)
    return str(asked.tenancy_ocid), str(asked.tenancy), "", ""


def shown(row: TenancyRow) -> TenancyRecord:
    """The record as it is on the wire."""
    return TenancyRecord(
        **header("cckm", KIND, row.id, "", row.domain_id, row.created_at, row.updated_at),
        tenancy_ocid=row.ocid,
        tenancy=row.name,
        connection=row.connection_name or UNSET,
    )


def _refuse_used(tx: Tx, row: TenancyRow) -> None:
    if records.users_count(tx, row.domain_id, row.ocid):
        raise Conflict("InUse", message="vaults or compartments of this tenancy are managed; remove them first")


_OWN: Own[TenancyRow, TenancyRecord] = Own(
    kind=KIND,
    noun="tenancy",
    all_of=records.all_of,
    by_id=records.by_id,
    load=records.load,
    remove=records.remove,
    filters=_FILTERS,
    sorts=_SORTS,
    shown=shown,
    refuse=_refuse_used,
)
