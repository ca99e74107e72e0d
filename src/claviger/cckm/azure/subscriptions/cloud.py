"""The subscriptions that a connection sees, through the official SDK (CCKM contract, Azure §2.1)."""

from __future__ import annotations

from typing import Any

from claviger.cckm.azure.connections.cloud import AzureCloud
from claviger.core.errors import Invalid

MOST = 10_000


async def list_subscriptions(cloud: AzureCloud) -> list[dict[str, Any]]:
    """All subscriptions, with Azure's own field names: id, subscriptionId, displayName, state and so on.

    Azure's version of this call that the SDK uses leaves the tenant out; it is the one that was signed in to. Raises as
    `AzureCloud.ask` does, and Invalid("CloudInvalid") for more subscriptions than can be told in one answer.
    """
    client = cloud.subscriptions()

    async def all_of_them() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        item: Any
        async for item in client.subscriptions.list():
            found.append({"tenantId": cloud.tenant_id, **item.serialize(keep_readonly=True)})
            if len(found) > MOST:
                raise Invalid("CloudInvalid", message=f"the connection sees more than {MOST} subscriptions")
        return found

    return await cloud.ask(all_of_them, cloud.arm_budget(""))
