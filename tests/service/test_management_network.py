"""Network rules of a vault hold on its data plane: by the address of the peer, after the token, before all else."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from claviger.keyvault.vaults.operations import assign_role
from tests.inprocess import PORT, MovableServer
from tests.management import LOCATION, VAULTS, Manager
from tests.vaults import API_VERSION
from tests.vaults import refused as refused_by_vault


async def _ask(server: MovableServer, vault: str, address: str | None, *, token: bool = True) -> httpx.Response:
    client = None if address is None else (address, 1234)
    transport = httpx.ASGITransport(app=server.services.front, client=client)  # type: ignore[arg-type]
    headers = {"Authorization": f"Bearer {server.token or await server.sign_in()}"} if token else {}
    async with httpx.AsyncClient(transport=transport) as http:
        url = f"https://{vault}.vault.localhost:{PORT}/secrets"
        return await http.get(url, params={"api-version": API_VERSION}, headers=headers)


@pytest.fixture
async def vault(managed: MovableServer, manager: Manager) -> str:
    """A vault that the demo application may use."""
    name = await manager.vault(enableRbacAuthorization=True)
    house = managed.services.house
    await assign_role(house.store, house.clock, role="secrets officer", principal=managed.demo.client_id, vault=name)
    return name


async def _rules(manager: Manager, vault: str, **acls: Any) -> None:
    await manager.accept("PATCH", f"{VAULTS}/{vault}", {"properties": {"networkAcls": acls}})


async def test_rules_are_by_the_address_of_the_peer(managed: MovableServer, manager: Manager, vault: str):
    assert (await _ask(managed, vault, "203.0.113.9")).status_code == 200
    await _rules(manager, vault, defaultAction="Deny", ipRules=[{"value": "10.0.0.0/8"}, {"value": "::1"}])
    for address in ("10.9.8.7", "::1", "::ffff:10.0.0.1"):
        assert (await _ask(managed, vault, address)).status_code == 200, address
    for address in ("127.0.0.1", "203.0.113.9", "2001:db8::1"):
        told = refused_by_vault(await _ask(managed, vault, address), 403, "Forbidden", inner="ForbiddenByFirewall")
        assert f"Client address: {address}\r\nVault: {vault};location={LOCATION}" in told
    assert (await _ask(managed, vault, None)).status_code == 403
    await _rules(manager, vault, defaultAction="Deny", bypass="AzureServices")
    assert (await _ask(managed, vault, "10.9.8.7")).status_code == 403
    await _rules(manager, vault, defaultAction="Allow")
    assert (await _ask(managed, vault, "203.0.113.9")).status_code == 200


async def test_rules_come_after_the_token(managed: MovableServer, manager: Manager, vault: str):
    await _rules(manager, vault, defaultAction="Deny")
    assert (await _ask(managed, vault, "203.0.113.9", token=False)).status_code == 401


async def test_public_access_off_shuts_everybody_out(managed: MovableServer, manager: Manager, vault: str):
    await _rules(manager, vault, defaultAction="Deny", ipRules=[{"value": "127.0.0.1"}])
    await manager.accept("PATCH", f"{VAULTS}/{vault}", {"properties": {"publicNetworkAccess": "Disabled"}})
    refused_by_vault(await _ask(managed, vault, "127.0.0.1"), 403, "Forbidden", inner="ForbiddenByConnection")
    shown = await manager.accept("GET", f"{VAULTS}/{vault}")
    assert shown["properties"]["publicNetworkAccess"] == "Disabled"
    assert (await _ask(managed, "demo", "203.0.113.9")).status_code == 200
    await manager.accept("PATCH", f"{VAULTS}/{vault}", {"properties": {"publicNetworkAccess": "Enabled"}})
    assert (await _ask(managed, vault, "127.0.0.1")).status_code == 200


async def test_rules_are_shown_as_they_were_given(manager: Manager, vault: str):
    rules = {
        "bypass": "None",
        "defaultAction": "Deny",
        "ipRules": [{"value": "1.2.3.4"}, {"value": "10.0.0.0/8"}],
        "virtualNetworkRules": [{"id": "/subscriptions/x/subnets/y", "ignoreMissingVnetServiceEndpoint": True}],
    }
    await _rules(manager, vault, **rules)
    assert (await manager.accept("GET", f"{VAULTS}/{vault}"))["properties"]["networkAcls"] == rules
