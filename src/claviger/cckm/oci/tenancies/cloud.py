"""What OCI says of a connection's own tenancy, through the official SDK (CCKM contract, OCI §11)."""

from __future__ import annotations

from claviger.cckm.oci.cloud import OciCloud

READY = "READY"


async def subscribed_regions(cloud: OciCloud) -> list[str]:
    """The names of the regions that the tenancy can use, in OCI's order."""
    tenancy = cloud.tenancy_ocid
    told = await cloud.ask(cloud.identity(), lambda client: client.list_region_subscriptions(tenancy).data, "others")
    return [str(each.region_name) for each in told if each.status == READY]


async def tenancy_name(cloud: OciCloud) -> str:
    """The tenancy's name."""
    tenancy = cloud.tenancy_ocid
    return str(await cloud.ask(cloud.identity(), lambda client: client.get_tenancy(tenancy).data.name, "others"))
