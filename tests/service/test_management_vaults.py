"""Vaults through the management API: made, changed, listed, named; the rules of Key Vault contract §10 on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from tests.inprocess import PORT, START, MovableServer
from tests.management import (
    ALL_VAULTS,
    GROUP,
    IN_GROUP,
    LOCATION,
    ONE,
    VAULTS,
    Manager,
    manager_with,
    refused,
)
from tests.vaults import spare_name

MOMENT = "2027-01-15T08:00:00Z"  # START


async def test_a_vault_is_made_shown_and_used(managed: MovableServer, manager: Manager):
    await manager.group()
    body = manager.wanted(
        tags={"team": "a"},
        accessPolicies=[
            {
                "tenantId": manager.tenant_id,
                "objectId": "11111111-2222-3333-4444-555555555555",
                "permissions": {"secrets": ["get"]},
            }
        ],
    )
    made = await manager.accept("PUT", f"{VAULTS}/lab-one", body, status=201)
    assert made == {
        "id": f"{VAULTS}/lab-one",
        "name": "lab-one",
        "type": "Microsoft.KeyVault/vaults",
        "location": LOCATION,
        "tags": {"team": "a"},
        "systemData": {"createdAt": MOMENT, "lastModifiedAt": MOMENT},
        "properties": {
            "sku": {"family": "A", "name": "standard"},
            "tenantId": manager.tenant_id,
            "accessPolicies": body["properties"]["accessPolicies"],
            "enabledForDeployment": False,
            "enabledForDiskEncryption": False,
            "enabledForTemplateDeployment": False,
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": 90,
            "enableRbacAuthorization": False,
            "vaultUri": f"https://lab-one.vault.localhost:{PORT}/",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled",
        },
    }
    assert await manager.accept("GET", f"{VAULTS}/LAB-ONE") == made
    assert await managed.status("GET", "/secrets", vault="lab-one") == 403
    me = {"tenantId": manager.tenant_id, "objectId": await _own_object_id(managed), "permissions": {"secrets": ["all"]}}
    change = {"properties": {"accessPolicies": [me]}}
    answer = await manager.accept("PUT", f"{VAULTS}/lab-one/accessPolicies/add", change)
    assert answer["id"] == f"{VAULTS}/lab-one/accessPolicies/"
    assert answer["properties"]["accessPolicies"] == [*body["properties"]["accessPolicies"], me]
    await managed.put("s", vault="lab-one")
    await manager.accept("PUT", f"{VAULTS}/lab-one/accessPolicies/remove", change)
    assert await managed.status("GET", "/secrets/s", vault="lab-one") == 403


async def _own_object_id(server: MovableServer) -> str:
    store = server.services.house.store
    row = await store.read_one("SELECT object_id FROM kv_applications WHERE app_id = ?", server.demo.client_id)
    assert row is not None
    return str(row[0])


async def test_put_again_replaces_and_answers_200(managed: MovableServer, manager: Manager):
    name = await manager.vault(enabledForDeployment=True, softDeleteRetentionInDays=7)
    managed.clock.advance(100)
    again = await manager.accept("PUT", f"{VAULTS}/{name}", manager.wanted(tags={"a": "b"}))
    assert again["tags"] == {"a": "b"}
    assert again["properties"]["enabledForDeployment"] is False
    assert again["properties"]["softDeleteRetentionInDays"] == 7
    assert again["systemData"] == {"createdAt": MOMENT, "lastModifiedAt": "2027-01-15T08:01:40Z"}


async def test_patch_changes_only_what_it_names(manager: Manager):
    name = await manager.vault(enabledForDeployment=True)
    before = await manager.accept("GET", f"{VAULTS}/{name}")
    after = await manager.accept(
        "PATCH", f"{VAULTS}/{name}", {"properties": {"sku": {"family": "A", "name": "premium"}}}
    )
    before["properties"]["sku"]["name"] = "premium"
    assert after == before
    tagged = await manager.accept("PATCH", f"{VAULTS}/{name}", {"tags": {"x": "y"}})
    assert tagged == {**after, "tags": {"x": "y"}}
    assert await manager.accept("GET", f"{VAULTS}/{name}") == tagged


@pytest.mark.parametrize(("version", "roles"), [("2025-05-01", False), ("2026-02-01", True)])
async def test_roles_are_the_default_from_2026_on_at_creation_only(manager: Manager, version: str, roles: bool):
    await manager.group()
    path = f"{VAULTS}/{spare_name('vault')}"
    made = await manager.accept("PUT", path, manager.wanted(), status=201, version=version)
    assert made["properties"]["enableRbacAuthorization"] is roles
    for other in ("2025-05-01", "2026-02-01"):
        again = await manager.accept("PUT", path, manager.wanted(), version=other)
        assert again["properties"]["enableRbacAuthorization"] is roles


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"softDeleteRetentionInDays": 8}, '"softDeleteRetentionInDays" has been set already'),
        ({"enableSoftDelete": False}, '"enableSoftDelete" can be set to false only'),
        ({"enablePurgeProtection": False}, '"enablePurgeProtection" cannot be set to false'),
        ({"tenantId": "11111111-2222-3333-4444-555555555555"}, "tenantId"),
    ],
)
async def test_what_can_never_change(manager: Manager, change: dict[str, Any], told: str):
    name = await manager.vault(enablePurgeProtection=True, softDeleteRetentionInDays=7)
    before = await manager.accept("GET", f"{VAULTS}/{name}")
    refused(await manager.ask("PATCH", f"{VAULTS}/{name}", {"properties": change}), 400, "BadRequest", told)
    refused(await manager.ask("PUT", f"{VAULTS}/{name}", manager.wanted(**change)), 400, "BadRequest", told)
    assert await manager.accept("GET", f"{VAULTS}/{name}") == before
    assert before["properties"]["enablePurgeProtection"] is True


async def test_the_permission_model_changes_only_with_the_right_to_give_roles(managed: MovableServer, manager: Manager):
    name = await manager.vault()
    change = {"properties": {"enableRbacAuthorization": True}}
    refused(await manager.ask("PATCH", f"{VAULTS}/{name}", change), 403, "InsufficientPermissions")
    owner = await manager_with(managed, "Owner")
    assert (await owner.accept("PATCH", f"{VAULTS}/{name}", change))["properties"]["enableRbacAuthorization"] is True


async def test_a_name_is_had_once_in_the_world(manager: Manager):
    name = await manager.vault()
    await manager.group("other")
    other = f"{ONE}/resourceGroups/other/providers/Microsoft.KeyVault/vaults/{name.upper()}"
    refused(await manager.ask("PUT", other, manager.wanted()), 409, "VaultAlreadyExists", f"'{name}' is already in use")
    refused(await manager.ask("GET", other), 404, "ResourceNotFound", "under resource group 'other' was not found")
    refused(
        await manager.ask("PUT", f"{VAULTS}/{name}", manager.wanted(location="eastus")),
        409,
        "InvalidResourceLocation",
        f"already exists in location '{LOCATION}' in resource group '{GROUP}'",
    )


@pytest.mark.parametrize("name", ["ab", "a" * 25, "1abc", "a--b", "abc-", "a_b", "a.b", "%C3%A9tage"])
async def test_bad_names(manager: Manager, name: str):
    await manager.group()
    refused(await manager.ask("PUT", f"{VAULTS}/{name}", manager.wanted()), 400, "VaultNameNotValid", "3-24")


async def test_a_group_must_be_there(manager: Manager):
    path = f"{ONE}/resourceGroups/nowhere/providers/Microsoft.KeyVault/vaults"
    refused(await manager.ask("PUT", f"{path}/abc", manager.wanted()), 404, "ResourceGroupNotFound", "'nowhere'")
    refused(await manager.ask("GET", path), 404, "ResourceGroupNotFound")
    assert await manager.status("GET", f"{ALL_VAULTS}/vaults/abc") == 404


async def test_name_checks(manager: Manager):
    name = await manager.vault()
    path = f"{ALL_VAULTS}/checkNameAvailability"
    check = lambda asked: manager.accept("POST", path, {"name": asked, "type": "Microsoft.KeyVault/vaults"})  # noqa: E731
    assert await check(spare_name("vault")) == {"nameAvailable": True}
    taken = await check(name.upper())
    assert (taken["nameAvailable"], taken["reason"]) == (False, "AlreadyExists")
    assert "already in use" in taken["message"]
    bad = await check("a--b")
    assert (bad["nameAvailable"], bad["reason"]) == (False, "AccountNameInvalid")
    await manager.accept("DELETE", f"{VAULTS}/{name}")
    gone = await check(name)
    assert (gone["nameAvailable"], gone["reason"]) == (False, "AlreadyExists")
    assert "in deleted state" in gone["message"]
    refused(await manager.ask("POST", path, {"name": "abc", "type": "Microsoft.Storage/x"}), 400, "BadRequest")
    refused(await manager.ask("POST", path, {"name": "abc"}), 400, "InvalidRequestContent", "type")


async def test_listings_by_group_by_subscription_and_as_resources(manager: Manager):
    names = sorted([await manager.vault() for _ in range(3)])
    await manager.accept("DELETE", f"{VAULTS}/{names[1]}")
    left = [names[0], names[2]]
    of = lambda page: [each["name"] for each in page["value"]]  # noqa: E731
    by_group = await manager.accept("GET", VAULTS)
    assert of(by_group) == left
    assert "nextLink" not in by_group
    assert by_group["value"][0] == await manager.accept("GET", f"{VAULTS}/{left[0]}")
    assert of(await manager.accept("GET", f"{ALL_VAULTS}/vaults")) == ["demo", *left]
    what = {"$filter": "resourceType eq 'Microsoft.KeyVault/vaults'"}
    resources = await manager.accept("GET", f"{ONE}/resources", version="2015-11-01", query=what)
    assert of(resources) == ["demo", *left]
    assert resources["value"][1] == {
        "id": f"{VAULTS}/{left[0]}",
        "name": left[0],
        "type": "Microsoft.KeyVault/vaults",
        "location": LOCATION,
        "tags": {},
    }
    what["$filter"] += f" and name eq '{left[1].upper()}'"
    assert of(await manager.accept("GET", f"{ONE}/resources", version="2015-11-01", query=what)) == [left[1]]
    assert of(await manager.accept("GET", f"{IN_GROUP}/resources", version="2021-04-01")) == left
    what["$filter"] = "resourceType eq 'Microsoft.Storage/storageAccounts'"
    assert of(await manager.accept("GET", f"{ONE}/resources", version="2015-11-01", query=what)) == []
    refused(
        await manager.ask("GET", f"{ONE}/resources", version="2021-04-01", query={"$filter": "oops"}),
        400,
        "InvalidFilterInQueryString",
    )


async def test_resources_are_filtered_by_tag(manager: Manager):
    name = await manager.vault()
    await manager.accept("PATCH", f"{VAULTS}/{name}", {"tags": {"team": "a"}})
    for text, found in (
        ("tagName eq 'team'", [name]),
        ("tagName eq 'team' and tagValue eq 'a'", [name]),
        ("tagName eq 'team' and tagValue eq 'b'", []),
        ("tagName eq 'Team'", []),
    ):
        page = await manager.accept("GET", f"{ONE}/resources", version="2021-04-01", query={"$filter": text})
        assert [each["name"] for each in page["value"]] == found


async def test_pages_follow_one_another(manager: Manager):
    names = sorted([await manager.vault() for _ in range(5)])
    found, link, pages = [], VAULTS, 0
    more: dict[str, str] = {"$top": "2"}
    while link:
        page = await manager.accept("GET", link, version=None if pages else "2023-07-01", query=more)
        assert len(page["value"]) <= 2
        found += [each["name"] for each in page["value"]]
        link, more, pages = page.get("nextLink", ""), {}, pages + 1
        assert not link or link.startswith(f"https://management.localhost:{PORT}{VAULTS}?")
    assert (found, pages) == (names, 3)
    refused(await manager.ask("GET", VAULTS, query={"$skiptoken": "!"}), 400, "InvalidSkipToken")
    refused(await manager.ask("GET", VAULTS, query={"$top": "0"}), 400, "InvalidTopInQueryString")


async def test_policies_are_replaced_by_principal(manager: Manager):
    name = await manager.vault()
    one, two = ({"tenantId": manager.tenant_id, "objectId": f"{each * 8}-2222-3333-4444-555555555555"} for each in "12")
    path = f"{VAULTS}/{name}/accessPolicies"

    async def change(how: str, *policies: dict[str, Any]) -> list[Any]:
        answer = await manager.accept("PUT", f"{path}/{how}", {"properties": {"accessPolicies": list(policies)}})
        kept = (await manager.accept("GET", f"{VAULTS}/{name}"))["properties"]["accessPolicies"]
        assert answer["properties"]["accessPolicies"] == kept
        return [(each["objectId"][0], each["permissions"]) for each in kept]

    first = await change(
        "add", {**one, "permissions": {"secrets": ["get"]}}, {**two, "permissions": {"keys": ["sign"]}}
    )
    assert first == [("1", {"secrets": ["get"]}), ("2", {"keys": ["sign"]})]
    assert (await change("ADD", {**one, "permissions": {"secrets": ["List"]}}))[0] == (
        "1",
        {"secrets": ["get", "list"]},
    )
    assert (await change("replace", {**one, "permissions": {"secrets": ["set"]}}))[0] == ("1", {"secrets": ["set"]})
    assert await change("remove", {**one, "permissions": {"secrets": ["set"]}}) == [("2", {"keys": ["sign"]})]
    empty = {"properties": {"accessPolicies": []}}
    refused(await manager.ask("PUT", f"{path}/swap", empty), 404, "InvalidResourceType")
    refused(await manager.ask("PUT", f"{VAULTS}/nobody/accessPolicies/add", empty), 404, "ResourceNotFound")


async def test_only_the_application_of_a_policy_may_use_it(managed: MovableServer, manager: Manager):
    entry = {
        "tenantId": manager.tenant_id,
        "objectId": await _own_object_id(managed),
        "permissions": {"secrets": ["list"]},
    }
    name = await manager.vault(accessPolicies=[{**entry, "applicationId": "11111111-2222-3333-4444-555555555555"}])
    assert await managed.status("GET", "/secrets", vault=name) == 403
    through = {"properties": {"accessPolicies": [{**entry, "applicationId": managed.demo.client_id.upper()}]}}
    shown = await manager.accept("PUT", f"{VAULTS}/{name}/accessPolicies/add", through)
    assert shown["properties"]["accessPolicies"][1]["applicationId"] == managed.demo.client_id
    assert await managed.status("GET", "/secrets", vault=name) == 200


async def test_the_vaults_of_commands_are_seen_too(managed: MovableServer, manager: Manager):
    demo = f"{ONE}/resourceGroups/claviger/providers/Microsoft.KeyVault/vaults/demo"
    shown = await manager.accept("GET", demo)
    assert shown["properties"]["enableRbacAuthorization"] is True
    groups = await manager.accept("GET", f"{ONE}/resourcegroups", version="2021-04-01")
    assert [each["name"] for each in groups["value"]] == ["claviger"]
    assert managed.clock.now() == START


async def test_under_a_clouds_own_name_everything_keeps_it(manager: Manager):
    name = await manager.vault()
    host = "management.azure.com"
    shown = await manager.accept("GET", f"{VAULTS}/{name}", host=host)
    assert shown["properties"]["vaultUri"] == f"https://{name}.vault.azure.net/"
    page = await manager.accept("GET", f"{ALL_VAULTS}/vaults", host=host, query={"$top": "1"})
    assert page["nextLink"].startswith(f"https://{host}{ALL_VAULTS}/vaults?")
    china = await manager.accept("GET", f"{VAULTS}/{name}", host="management.chinacloudapi.cn")
    assert china["properties"]["vaultUri"] == f"https://{name}.vault.azure.cn/"
