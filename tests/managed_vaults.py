"""The control plane's vaults against a Resource Manager on the loopback: what the tests of vaults share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from claviger.cckm.azure.connections.rules import AzureDetails
from claviger.cckm.azure.subscriptions.operations import Subscriptions
from claviger.cckm.azure.subscriptions.routes import SubscriptionRoutes
from claviger.cckm.azure.unbuilt import unbuilt_routes
from claviger.cckm.azure.vaults.operations import Vaults
from claviger.cckm.azure.vaults.removal import Removals
from claviger.cckm.azure.vaults.routes import VaultRoutes
from tests.arm import SUBSCRIPTION, TENANT, Arm, arm_running
from tests.plane import Plane, open_plane

BATCH = 3
NO_ID = "73524b70-1234-4f92-954b-6312f4567d1a"
HEADER = {"id", "uri", "account", "application", "devAccount", "createdAt", "updatedAt"}


@pytest.fixture(scope="module")
def arm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arm]:
    with arm_running(tmp_path_factory.mktemp("arm")) as arm:
        yield arm


@pytest.fixture
def arm(arm_server: Arm) -> Arm:
    """The cloud, emptied."""
    url, authority = arm_server.url, arm_server.authority
    arm_server.__dict__.update(Arm().__dict__, url=url, authority=authority)
    return arm_server


def to_arm(arm: Arm, **more: Any) -> AzureDetails:
    return AzureDetails(
        client_id="8d1a2b3c-0000-4000-8000-000000000001",
        tenant_id=TENANT,
        active_directory_endpoint=arm.url,
        resource_manager_url=arm.url,
        management_url=arm.url,
        azure_stack_server_cert=arm.authority,
        **more,
    )


@asynccontextmanager
async def plane_on(url: str) -> AsyncIterator[Plane]:
    """All routes about vaults on a database, without a connection."""
    found = await open_plane(url)
    removals = Removals(found.store, BATCH)
    found.serve(
        [
            *SubscriptionRoutes(Subscriptions(found.store, found.clouds)).routes(),
            *VaultRoutes(Vaults(found.store, found.clock, found.clouds, removals)).routes(),
            *unbuilt_routes(),
        ]
    )
    try:
        yield found
    finally:
        await found.clouds.close()
        await found.store.close()


@pytest.fixture
async def plane(database_url: str, arm: Arm) -> AsyncIterator[Plane]:
    """All routes about vaults, with the connection `azure` to the cloud."""
    async with plane_on(database_url) as found:
        await found.connect("azure", to_arm(arm))
        yield found


async def discovered(plane: Plane, kind: str = "vaults", **more: Any) -> list[dict[str, Any]]:
    """What get-vaults or get-managed-hsms finds, all of it."""
    body = {"connection": "azure", "subscription_id": SUBSCRIPTION, "limit": 1000, **more}
    found = await plane.accept("POST", f"/get-{kind}", body)
    return list(found["vaults"])


def adding(*vaults: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"connection": "azure", "subscription_id": SUBSCRIPTION, "vaults": list(vaults), **more}


async def add(plane: Plane, arm: Arm, *names: str, kind: str = "vaults", **more: Any) -> list[dict[str, Any]]:
    """Makes vaults in the cloud and brings them under management."""
    entries = [entry(arm.add(name, kind)) for name in names]
    answer = await plane.accept("POST", "/add-vaults", adding(*entries, **more), status=201)
    return list(answer["vaults"])


def entry(ident: str, **more: Any) -> dict[str, Any]:
    return {"azure_vault_id": ident, "properties": {"tenantId": TENANT}, **more}
