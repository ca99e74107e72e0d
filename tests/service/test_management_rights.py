"""Who may manage what: roles at subscriptions, groups and vaults, and the refusals of those who have none."""

from __future__ import annotations

from typing import Any

import pytest

from claviger.keyvault.directory.operations import create_application, set_tenant
from claviger.keyvault.directory.records import bump_revision
from claviger.keyvault.vaults.operations import DEFAULT_SUBSCRIPTION, NewVault, create_vault
from claviger.store.contract import Tx
from tests.inprocess import PORT, MovableServer
from tests.management import (
    ALL_VAULTS,
    AUDIENCE,
    GROUP,
    IN_GROUP,
    LOCATION,
    ONE,
    VAULTS,
    Manager,
    deleted,
    manager_with,
    refused,
)
from tests.vaults import spare_name

OTHER_SUBSCRIPTION = "22222222-3333-4444-5555-666666666666"
READS = {"get", "list", "list group", "list deleted", "get deleted"}
# What each role lets one do on the whole subscription, written out by hand.
MAY: dict[str, set[str]] = {
    "Owner": {*READS, "put", "patch", "delete", "purge", "policies", "group"},
    "Contributor": {*READS, "put", "patch", "delete", "purge", "policies", "group"},
    "Reader": READS,
    "Key Vault Contributor": {*READS, "put", "patch", "delete", "policies"},
    "Key Vault Administrator": READS,
    "Key Vault Reader": READS,
    "Key Vault Purge Operator": {"list deleted", "get deleted", "purge"},
    "Key Vault Secrets User": set(),
}


@pytest.fixture
async def ground(managed: MovableServer, manager: Manager) -> tuple[str, str]:
    """A live vault and a deleted one."""
    live, gone = await manager.vault(), await manager.vault()
    await manager.accept("DELETE", f"{VAULTS}/{gone}")
    return live, gone


@pytest.mark.parametrize("role", sorted(MAY))
async def test_a_role_lets_its_holder_do_its_actions_and_no_others(
    managed: MovableServer, ground: tuple[str, str], role: str
):
    live, gone = ground
    holder = await manager_with(managed, role)
    policies = {"properties": {"accessPolicies": []}}
    calls: dict[str, tuple[str, str, Any, str]] = {
        "get": ("GET", f"{VAULTS}/{live}", None, "vaults/read"),
        "list deleted": ("GET", f"{ALL_VAULTS}/deletedVaults", None, "deletedVaults/read"),
        "get deleted": ("GET", deleted(gone), None, "locations/deletedVaults/read"),
        "put": ("PUT", f"{VAULTS}/{live}", holder.wanted(), "vaults/write"),
        "patch": ("PATCH", f"{VAULTS}/{live}", {"tags": {}}, "vaults/write"),
        "policies": ("PUT", f"{VAULTS}/{live}/accessPolicies/add", policies, "vaults/accessPolicies/write"),
        "purge": ("POST", f"{deleted(gone)}/purge", None, "locations/deletedVaults/purge/action"),
        "delete": ("DELETE", f"{VAULTS}/{live}", None, "vaults/delete"),
    }
    for what, (method, path, body, action) in calls.items():
        answer = await holder.ask(method, path, body)
        if what in MAY[role]:
            assert answer.status_code in (200, 201), (what, answer.text)
        else:
            told = refused(
                answer, 403, "AuthorizationFailed", f"perform action 'Microsoft.KeyVault/{action}' over scope "
            )
            assert path.removesuffix("/purge").removesuffix("/accessPolicies/add") in told or what == "list deleted"
    assert (await holder.status("GET", VAULTS)) == 200, "who has a role sees the list"
    group = await holder.ask("PUT", f"{ONE}/resourceGroups/new", {"location": LOCATION}, version="2021-04-01")
    assert group.status_code == (201 if "group" in MAY[role] else 403)


async def test_a_stranger_sees_nothing(managed: MovableServer, ground: tuple[str, str]):
    live, gone = ground
    stranger = await manager_with(managed)
    assert await stranger.accept("GET", "/subscriptions", version="2022-12-01") == {"value": []}
    for method, path in (
        ("GET", ONE),
        ("GET", f"{ONE}/locations"),
        ("GET", f"{ONE}/providers"),
        ("GET", f"{ONE}/resourcegroups"),
        ("GET", f"{ONE}/resources"),
        ("GET", IN_GROUP),
        ("HEAD", IN_GROUP),
        ("GET", f"{IN_GROUP}/resources"),
    ):
        answer = await stranger.ask(method, path, version="2021-04-01")
        assert answer.status_code == 403
    for path in (VAULTS, f"{ALL_VAULTS}/vaults", f"{VAULTS}/{live}", f"{VAULTS}/nobody", deleted(gone)):
        refused(await stranger.ask("GET", path), 403, "AuthorizationFailed", "object id")
    refused(await stranger.ask("GET", f"{ONE}/providers/Microsoft.KeyVault/managedHSMs"), 403, "AuthorizationFailed")


async def test_what_is_refused_is_told_with_who_what_and_where(managed: MovableServer, ground: tuple[str, str]):
    holder = await manager_with(managed, "Reader")
    told = refused(await holder.ask("DELETE", f"{VAULTS}/{ground[0]}"), 403, "AuthorizationFailed")
    store = managed.services.house.store
    row = await store.read_one("SELECT app_id, object_id FROM kv_applications ORDER BY id DESC LIMIT 1")
    assert row is not None
    assert told == (
        f"The client '{row[0]}' with object id '{row[1]}' does not have authorization to perform action "
        f"'Microsoft.KeyVault/vaults/delete' over scope '{VAULTS}/{ground[0]}' or the scope is invalid. If access was "
        "recently granted, please refresh your credentials."
    )


async def test_a_role_in_a_group_holds_in_that_group(managed: MovableServer, manager: Manager, ground: tuple[str, str]):
    holder = await manager_with(managed, "Contributor", resource_group=GROUP)
    assert await holder.status("GET", f"{VAULTS}/{ground[0]}") == 200
    assert await holder.status("PUT", f"{VAULTS}/{spare_name('vault')}", holder.wanted()) == 201
    assert await holder.status("GET", f"{ONE}/resourceGroups/claviger/providers/Microsoft.KeyVault/vaults/demo") == 403
    assert await holder.status("POST", f"{deleted(ground[1])}/purge") == 403, "deleted vaults are in no group"
    listed = await holder.accept("GET", f"{ALL_VAULTS}/vaults")
    assert "demo" not in [each["name"] for each in listed["value"]]
    groups = await holder.accept("GET", f"{ONE}/resourcegroups", version="2021-04-01")
    assert [each["name"] for each in groups["value"]] == [GROUP]
    assert [
        each["subscriptionId"] for each in (await holder.accept("GET", "/subscriptions", version="2022-12-01"))["value"]
    ]


async def test_a_role_on_one_vault_holds_for_that_vault(
    managed: MovableServer, manager: Manager, ground: tuple[str, str]
):
    other = await manager.vault()
    holder = await manager_with(managed, "Contributor", vault=ground[0])
    assert await holder.status("PATCH", f"{VAULTS}/{ground[0]}", {"tags": {"a": "b"}}) == 200
    assert await holder.status("PATCH", f"{VAULTS}/{other}", {"tags": {"a": "b"}}) == 403
    assert [each["name"] for each in (await holder.accept("GET", VAULTS))["value"]] == [ground[0]]
    assert await holder.status("GET", IN_GROUP, version="2021-04-01") == 403


async def test_a_role_is_felt_at_once_and_no_longer_than_it_is_held(managed: MovableServer, ground: tuple[str, str]):
    holder = await manager_with(managed, "Reader")
    assert await holder.status("GET", f"{VAULTS}/{ground[0]}") == 200
    store = managed.services.house.store

    def take(tx: Tx) -> None:
        newest = "(SELECT object_id FROM kv_applications ORDER BY id DESC LIMIT 1)"
        tx.execute(f"DELETE FROM kv_role_assignments WHERE principal_id IN {newest}")
        bump_revision(tx)

    await store.write(take)
    assert await holder.status("GET", f"{VAULTS}/{ground[0]}") == 403


async def test_a_subscription_is_there_once_somebody_has_a_role_in_it(managed: MovableServer, manager: Manager):
    other = f"/subscriptions/{OTHER_SUBSCRIPTION}"
    refused(await manager.ask("GET", other, version="2022-12-01"), 404, "SubscriptionNotFound", OTHER_SUBSCRIPTION)
    owner = await manager_with(managed, "Owner", subscription_id=OTHER_SUBSCRIPTION.upper())
    shown = await owner.accept("GET", other, version="2022-12-01")
    assert (shown["displayName"], shown["tenantId"]) == ("Claviger 22222222", owner.tenant_id)
    refused(await manager.ask("GET", other, version="2022-12-01"), 403, "AuthorizationFailed")
    await owner.accept(
        "PUT", f"{other}/resourceGroups/{GROUP}", {"location": "eastus"}, status=201, version="2021-04-01"
    )
    name = spare_name("vault")
    path = f"{other}/resourceGroups/{GROUP}/providers/Microsoft.KeyVault/vaults/{name}"
    await owner.accept("PUT", path, owner.wanted(location="eastus"), status=201)
    assert await manager.status("GET", path) == 403
    listed = await owner.accept("GET", "/subscriptions", version="2022-12-01")
    assert [each["subscriptionId"] for each in listed["value"]] == [OTHER_SUBSCRIPTION]


async def test_tenants_do_not_see_one_anothers_vaults(managed: MovableServer, manager: Manager):
    house = managed.services.house
    tenant = await set_tenant(house.store, house.clock, name="Other", domain="other.example")
    theirs = await create_vault(
        house.store, house.clock, NewVault(name=spare_name("vault"), tenant=tenant.id, resource_group=GROUP)
    )
    path = f"{VAULTS}/{theirs.name}"
    refused(await manager.ask("GET", path), 404, "ResourceNotFound")
    refused(await manager.ask("PATCH", path, {"tags": {}}), 404, "ResourceNotFound")
    assert await manager.status("DELETE", path) == 204
    refused(await manager.ask("PUT", path, manager.wanted()), 409, "VaultAlreadyExists")
    refused(await manager.ask("DELETE", IN_GROUP, version="2021-04-01"), 403, "AuthorizationFailed", theirs.name)
    assert [each["name"] for each in (await manager.accept("GET", VAULTS))["value"]] == []

    made = await create_application(house.store, house.clock, name="stranger", tenant=tenant.id)
    form = {
        "grant_type": "client_credentials",
        "client_id": made.application.app_id,
        "client_secret": made.secret.reveal_text(),
        "scope": f"{AUDIENCE}/.default",
    }
    answer = await manager.http.post(f"https://login.localhost:{PORT}/{tenant.id}/oauth2/v2.0/token", data=form)
    other = Manager(managed.services, tenant.id, answer.json()["access_token"])
    assert await other.status("GET", path) == 403
    tenants = await other.accept("GET", "/tenants", version="2022-12-01")
    assert [each["tenantId"] for each in tenants["value"]] == [tenant.id]


async def test_the_demo_application_manages_the_default_subscription_and_the_demo_identity_does_not(
    managed: MovableServer, manager: Manager
):
    listed = await manager.accept("GET", "/subscriptions", version="2022-12-01")
    assert listed == {
        "value": [
            {
                "id": ONE,
                "authorizationSource": "RoleBased",
                "managedByTenants": [],
                "subscriptionId": DEFAULT_SUBSCRIPTION,
                "tenantId": manager.tenant_id,
                "displayName": "Claviger",
                "state": "Enabled",
                "subscriptionPolicies": {
                    "locationPlacementId": "Public_2014-09-01",
                    "quotaId": "PayAsYouGo_2014-09-01",
                    "spendingLimit": "Off",
                },
            }
        ]
    }
    header = managed.demo.identity_header
    assert header is not None
    answer = await manager.http.get(
        f"https://login.localhost:{PORT}/msi/token",
        params={"api-version": "2019-08-01", "resource": AUDIENCE},
        headers={"X-IDENTITY-HEADER": header.reveal_text()},
    )
    identity = Manager(managed.services, manager.tenant_id, answer.json()["access_token"])
    assert await identity.status("PUT", IN_GROUP, {"location": LOCATION}, version="2021-04-01") == 403
    assert (
        await identity.status("GET", f"{ONE}/resourceGroups/claviger/providers/Microsoft.KeyVault/vaults/demo") == 200
    )
