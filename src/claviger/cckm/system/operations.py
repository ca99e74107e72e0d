"""What can be asked about the product at large. One property is there: it tells clients where audit records are."""

from __future__ import annotations

from claviger.cckm.azure.subscriptions import records as subscriptions
from claviger.cckm.oci.tenancies import records as tenancies
from claviger.cckm.oci.vaults import records as oci_vaults
from claviger.cckm.system.wire import CloudUnits, PropertyShown
from claviger.core.errors import NotFound
from claviger.store.contract import Store

RECORDS_IN_DATABASE = "ENABLE_RECORDS_DB_STORE"
_PROPERTIES = {
    RECORDS_IN_DATABASE: PropertyShown(
        RECORDS_IN_DATABASE, "true", "Audit records are in the database, and listed by GET /v1/audit/records."
    )
}


async def cloud_units(store: Store, domain_id: str) -> CloudUnits:
    """How many subscriptions of Azure and tenancies of OCI a domain has under management."""
    azure = len(await subscriptions.all_of(store, domain_id))
    known = {row.ocid for row in await tenancies.all_of(store, domain_id)}
    oci = len(known | {row.tenancy_ocid for row in await oci_vaults.all_of(store, domain_id)})
    return CloudUnits(azure + oci, azure, oci)


def read_property(name: str) -> PropertyShown:
    """A property by its name. Raises NotFound."""
    found = _PROPERTIES.get(name)
    if found is None:
        raise NotFound("NotFound", message="there is no such property")
    return found
