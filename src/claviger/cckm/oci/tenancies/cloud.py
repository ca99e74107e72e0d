"""What OCI says of a connection's own tenancy, through the official SDK (CCKM contract, OCI §11)."""

from __future__ import annotations

from typing import Any

from claviger.cckm.oci.asking import text
from claviger.cckm.oci.cloud import OciCloud

READY = "READY"


async def subscribed_regions(cloud: OciCloud) -> list[str]:
    """The names of the regions that the tenancy can use, in OCI's order."""
    tenancy = cloud.tenancy_ocid

    def names(client: Any) -> list[str]:
        told = client.list_region_subscriptions(tenancy).data
        return [text(each.region_name) for each in told if text(each.status) == READY]

    return await cloud.ask(cloud.identity(), names, "others")


async def tenancy_name(cloud: OciCloud) -> str:
    """The tenancy's name."""
    tenancy = cloud.tenancy_ocid
    return await cloud.ask(cloud.identity(), lambda client: text(client.get_tenancy(tenancy).data.name), "others")
