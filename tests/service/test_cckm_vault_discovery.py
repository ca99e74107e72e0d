"""Vaults that the control plane finds in Azure and brings under management, through the official SDK."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from claviger.cckm.azure.connections.rules import AzureDetails
from claviger.cckm.azure.vaults import records, rules
from claviger.cckm.calls import ROOT_DOMAIN
from tests.arm import SUBSCRIPTION, TENANT, Arm
from tests.clouds import details_of
from tests.managed_vaults import HEADER, NO_ID, add, adding, discovered, entry, plane_on, to_arm
from tests.plane import ADMIN, ELSEWHERE, OTHER_DOMAIN, Plane, user_id
from tests.serving import Estate
from tests.vaults import VaultClient

# ---------------------------------------------------------------- discovery


async def test_subscriptions_are_a_bare_array(plane: Plane, arm: Arm) -> None:
    found = await plane.accept("POST", "/get-subscriptions", {"connection": "azure"})
    assert isinstance(found, list)
    assert [one["subscriptionId"] for one in found] == [SUBSCRIPTION]
    assert {
        "id": f"/subscriptions/{SUBSCRIPTION}",
        "displayName": "Pay-As-You-Go",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
        "tenantId": TENANT,
    }.items() <= found[0].items()
    assert found[0]["subscriptionPolicies"]["quotaId"] == "PayAsYouGo_2014-09-01"


async def test_a_connection_is_found_by_id_too(plane: Plane) -> None:
    (row,) = await plane.store.read("SELECT id FROM cckm_connections")
    await plane.accept("POST", "/get-subscriptions", {"connection": row[0]})


@pytest.mark.parametrize("call", ["get-subscriptions", "get-vaults", "get-managed-hsms"])
async def test_discovery_says_what_is_missing(plane: Plane, call: str) -> None:
    for body in ({}, {"connection": None}, {"connection": ""}):
        await plane.refuse("POST", f"/{call}", body, status=400, part="connection: is required")
    body = {"connection": "azure-2", "subscription_id": SUBSCRIPTION}
    await plane.refuse("POST", f"/{call}", body, status=404, part="connection")


async def test_vaults_as_azure_shows_them(plane: Plane, arm: Arm) -> None:
    arm.add("secret-vault", enablePurgeProtection=None)
    body = {"connection": "azure", "subscription_id": SUBSCRIPTION, "limit": None, "nextLink": ""}
    found = await plane.accept("POST", "/get-vaults", body)
    assert set(found) == {"vaults", "connection", "subscription_id"}
    assert (found["connection"], found["subscription_id"]) == ("azure", SUBSCRIPTION)
    assert found["vaults"] == [
        {
            "name": "secret-vault",
            "azure_vault_id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/lab/providers/Microsoft.KeyVault/vaults/"
            "secret-vault",
            "type": "Microsoft.KeyVault/vaults",
            "location": "northcentralus",
            "tags": {"team": "keys"},
            "properties": {
                "tenantId": TENANT,
                "sku": {"family": "A", "name": "standard"},
                "vaultUri": "https://secret-vault.vault.azure.net/",
                "enableSoftDelete": True,
                "enablePurgeProtection": False,  # Azure says nothing of it
                "enableRbacAuthorization": True,
                "softDeleteRetentionInDays": 90,
                "provisioningState": "Succeeded",
            },
        }
    ]


async def test_discovery_goes_page_by_page(plane: Plane, arm: Arm) -> None:
    for number in range(25):
        arm.add(f"vault-{number:02}")
    names, mark, pages = [], None, 0
    while True:
        body = {"connection": "azure", "subscription_id": SUBSCRIPTION, "nextLink": mark}
        page = await plane.accept("POST", "/get-vaults", body)
        names += [one["name"] for one in page["vaults"]]
        pages += 1
        mark = page.get("nextLink")
        if not mark:
            break
    assert names == [f"vault-{number:02}" for number in range(25)]
    assert pages == 3


@pytest.mark.parametrize("mark", ["https://evil.example/", "x" * 9000, "%", "e30", "\u0661"])
async def test_a_next_link_of_ones_own_leads_nowhere(plane: Plane, arm: Arm, mark: str) -> None:
    body = {"connection": "azure", "subscription_id": SUBSCRIPTION, "nextLink": mark}
    asked = len(arm.asked)
    await plane.refuse("POST", "/get-vaults", body, status=400, part="nextLink")
    assert arm.asked[asked:] == []


@pytest.mark.parametrize("limit", [-1, 1001, "ten", 1.5, True])
async def test_discovery_refuses_a_limit(plane: Plane, limit: Any) -> None:
    body = {"connection": "azure", "subscription_id": SUBSCRIPTION, "limit": limit}
    await plane.refuse("POST", "/get-vaults", body, status=400, part="limit")


@pytest.mark.parametrize("ident", ["x", "../..", SUBSCRIPTION + "/", "a" * 300, 5, {}])
async def test_discovery_refuses_a_subscription(plane: Plane, ident: Any) -> None:
    body = {"connection": "azure", "subscription_id": ident}
    await plane.refuse("POST", "/get-vaults", body, status=400, part="subscription_id")


async def test_discovery_passes_on_the_clouds_words(plane: Plane) -> None:
    body = {"connection": "azure", "subscription_id": NO_ID}
    await plane.refuse("POST", "/get-vaults", body, status=404, part="SubscriptionNotFound")


async def test_a_cloud_that_cannot_be_reached(plane: Plane, arm: Arm) -> None:
    nowhere = to_arm(arm)
    nowhere = AzureDetails(
        client_id=nowhere.client_id,
        tenant_id=TENANT,
        active_directory_endpoint="https://localhost:9",
        resource_manager_url="https://localhost:9",
        azure_stack_server_cert=arm.authority,
    )
    await plane.connect("nowhere", nowhere)
    await plane.refuse("POST", "/get-subscriptions", {"connection": "nowhere"}, status=502)


# ---------------------------------------------------------------- adding


async def test_one_vault_is_added_as_discovered(plane: Plane, arm: Arm) -> None:
    ident = arm.add("secret-vault")
    (told,) = await discovered(plane)
    answer = await plane.accept("POST", "/add-vaults", adding(told, cloud_key_backup_limit=3), status=201)
    assert set(answer) == {"id", "vaults", "resources"}
    assert answer["vaults"] == answer["resources"]
    (vault,) = answer["vaults"]
    assert vault["id"] == answer["id"]
    assert set(vault) > HEADER
    name = f"secret-vault::{SUBSCRIPTION}"
    assert vault == {
        **{name: vault[name] for name in HEADER},
        "name": name,
        "azure_name": "secret-vault",
        "azure_vault_id": ident,
        "cloud_name": "AzureCloud",
        "connection": "azure",
        "location": "northcentralus",
        "subscription_id": SUBSCRIPTION,
        "subscription_name": "Pay-As-You-Go",
        "type": "Microsoft.KeyVault/vaults",
        "tags": {"team": "keys"},
        "labels": {},
        "cloud_key_backup_limit": 3,
        "properties": told["properties"],
        "acls": [],
        "protected": False,
        "hard_delete_quorum": None,
    }
    assert vault["uri"] == f"kylo:kylo:cckm:azure-vault:secret-vault-{SUBSCRIPTION}-{vault['id']}"
    assert vault["account"] == "kylo:kylo:admin:accounts:kylo"
    assert await plane.accept("GET", f"/vaults/{vault['id']}") == vault
    row = await records.by_id(plane.store, ROOT_DOMAIN, vault["id"])
    assert row is not None
    assert (row.created_by, row.tenant_id, row.soft_delete) == (user_id("ada"), TENANT, True)
    assert row.vault_uri == "https://secret-vault.vault.azure.net/"


async def test_several_vaults_are_added_at_once(plane: Plane, arm: Arm) -> None:
    entries = [entry(arm.add(f"vault-{number:02}")) for number in range(20)]
    answer = await plane.accept("POST", "/add-vaults", adding(*entries), status=201)
    assert "id" not in answer
    assert [one["azure_name"] for one in answer["resources"]] == [f"vault-{number:02}" for number in range(20)]
    assert await plane.count("cckm_azure_vaults") == 20
    assert await plane.count("cckm_azure_subscriptions") == 1


async def test_what_azure_says_counts(plane: Plane, arm: Arm) -> None:
    ident = arm.add("secret-vault", enableSoftDelete=False)
    told = entry(
        ident.replace("/lab/", "/LAB/"),
        name="SECRET-vault",
        location="the moon",
        tags={"team": "mine"},
        type="Microsoft.KeyVault/vaults",
    )
    told["properties"] |= {"enableSoftDelete": True, "vaultUri": "https://evil.example/", "sku": 5}
    answer = await plane.accept("POST", "/add-vaults", adding(told), status=201)
    (vault,) = answer["vaults"]
    assert (vault["azure_vault_id"], vault["azure_name"]) == (ident, "secret-vault")
    assert (vault["location"], vault["tags"]) == ("northcentralus", {"team": "keys"})
    assert vault["properties"]["vaultUri"] == "https://secret-vault.vault.azure.net/"
    assert vault["properties"]["enableSoftDelete"] is False


async def test_all_or_nothing(plane: Plane, arm: Arm) -> None:
    good = entry(arm.add("vault-1"))
    gone = entry(arm.add("vault-2").replace("vault-2", "vault-3"))
    told = await plane.refuse("POST", "/add-vaults", adding(good, gone), status=400, part="ResourceNotFound")
    assert "vault-3" in told
    forbidden = arm.add("vault-4")
    arm.refusing.add(forbidden)
    told = await plane.refuse(
        "POST", "/add-vaults", adding(good, entry(forbidden)), status=403, part="AuthorizationFailed"
    )
    assert "vault-4" in told
    assert await plane.count("cckm_azure_vaults") == 0
    assert await plane.count("cckm_azure_subscriptions") == 0


async def test_a_vault_is_managed_once(plane: Plane, arm: Arm) -> None:
    await add(plane, arm, "vault-1")
    ident = arm.add("vault-1")
    fresh, asked = entry(arm.add("vault-2")), len(arm.asked)
    for again in (ident, ident.upper()):
        body = adding(fresh, entry(again))
        await plane.refuse("POST", "/add-vaults", body, status=409, part="is managed already")
    assert arm.asked[asked:] == []


async def test_of_two_who_add_a_vault_at_once_one_is_refused(plane: Plane, arm: Arm) -> None:
    body = adding(entry(arm.add("vault-1")))
    answers = await asyncio.gather(*(plane.ask("POST", "/add-vaults", body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert await plane.count("cckm_azure_vaults") == 1


async def test_a_domain_has_room_for_so_many_vaults(plane: Plane, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST_VAULTS", 3)
    await add(plane, arm, "vault-1", "vault-2")
    two = adding(entry(arm.add("vault-3")), entry(arm.add("vault-4")))
    await plane.refuse("POST", "/add-vaults", two, status=409, part="at most 3 vaults")
    await add(plane, arm, "vault-3")


async def test_another_domain_may_manage_the_same_vault(plane: Plane, arm: Arm) -> None:
    (here,) = await add(plane, arm, "vault-1")
    await plane.connect("azure", to_arm(arm), domain_id=OTHER_DOMAIN)
    body = adding(entry(arm.add("vault-1")))
    there = await plane.accept("POST", "/add-vaults", body, status=201, caller=ELSEWHERE)
    assert there["vaults"][0]["account"] == f"kylo:kylo:admin:accounts:{OTHER_DOMAIN}"
    assert (await plane.accept("GET", "/vaults", caller=ELSEWHERE))["total"] == 1
    for caller, ident in ((ADMIN, there["id"]), (ELSEWHERE, here["id"])):
        await plane.refuse("GET", f"/vaults/{ident}", status=404, caller=caller)
        await plane.refuse("POST", f"/vaults/{ident}/remove-vault", status=404, caller=caller)
        acls = {"acls": [{"group": "CCKM Users", "permit": True, "actions": ["view"]}]}
        await plane.refuse("POST", f"/vaults/{ident}/update-acls", acls, status=404, caller=caller)
        await plane.refuse("PATCH", f"/vaults/{ident}", {"connection": "azure"}, status=404, caller=caller)
        await plane.refuse("POST", f"/vaults/{ident}/disable-rotation-job", status=404, caller=caller)


async def test_what_cannot_be_added(plane: Plane, arm: Arm) -> None:
    ident = arm.add("vault-1")
    good = entry(ident)
    asked = len(arm.asked)
    cases: list[tuple[Any, str]] = [
        ({**adding(good), "connection": None}, "connection: is required"),
        ({**adding(good), "subscription_id": ""}, "subscription_id: is required"),
        ({**adding(good), "vaults": None}, "vaults: is required"),
        (adding(), "at least one"),
        ({**adding(good), "vaults": {}}, "vaults"),
        ({**adding(good), "vaults": [5]}, "vaults"),
        ({**adding(good), "vaults": [None]}, "vaults"),
        (adding(good, good), "named twice"),
        (adding({"azure_vault_id": ident}), "properties: is required"),
        (adding({**good, "properties": None}), "properties: is required"),
        (adding({**good, "properties": {"tenantId": ""}}), "properties.tenantId: is required"),
        (adding({**good, "properties": []}), "properties"),
        (adding({**good, "azure_vault_id": None}), "azure_vault_id: is required"),
        (adding({**good, "azure_vault_id": ident.replace("/lab/", "/../")}), "must be the ARM id"),
        (adding({**good, "azure_vault_id": ident + "\u0000"}), "must not contain NUL"),
        (adding({**good, "azure_vault_id": "x" * 100_000}), "azure_vault_id"),
        (adding({**good, "name": "other"}), "name"),
        ({**adding(good), "subscription_id": NO_ID}, "another subscription"),
        (adding(good, cloud_key_backup_limit=-1), "cloud_key_backup_limit"),
        (adding(good, cloud_key_backup_limit="3"), "cloud_key_backup_limit"),
        (adding(good, cloud_key_backup_limit=10**30), "cloud_key_backup_limit"),
        (adding(*[entry(f"{ident}{number:04}") for number in range(1001)]), "at most 1000"),
    ]
    for body, part in cases:
        await plane.refuse("POST", "/add-vaults", body, status=400, part=part)
    for content in (b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000):
        await plane.refuse("POST", "/add-vaults", content=content, status=400)
    await plane.refuse("POST", "/add-vaults", content=b" " * 5_000_000, status=413)
    assert arm.asked[asked:] == []


async def test_a_subscription_that_azure_does_not_show_has_no_name(plane: Plane, arm: Arm) -> None:
    ident = arm.add("vault-1")
    del arm.subscriptions[SUBSCRIPTION]
    answer = await plane.accept("POST", "/add-vaults", adding(entry(ident)), status=201)
    assert answer["vaults"][0]["subscription_name"] == ""
    page = await plane.accept("GET", "/subscriptions")
    assert page["resources"][0]["displayName"] == ""


# ---------------------------------------------------------------- the embedded Azure


@pytest.fixture
def kept_and_unkept(estate: Estate) -> tuple[VaultClient, VaultClient]:
    """A vault with soft delete and one without. Commands run where no event loop does, so not in the test itself."""
    return estate.make_vault(), estate.make_vault("--no-soft-delete")


async def test_the_embedded_azure_is_a_cloud_like_any_other(
    estate: Estate, kept_and_unkept: tuple[VaultClient, VaultClient], sqlite_url: str
) -> None:
    """A server in a process of its own, reached over HTTPS as its demo application."""
    kept, unkept = kept_and_unkept
    async with plane_on(sqlite_url) as plane:
        await plane.connect("demo", details_of(estate), estate.demo_application.client_secret)
        (subscription,) = await plane.accept("POST", "/get-subscriptions", {"connection": "demo"})
        assert (subscription["displayName"], subscription["tenantId"]) == ("Claviger", estate.tenant_id)
        place = {"connection": "demo", "subscription_id": subscription["subscriptionId"]}
        page = await plane.accept("POST", "/get-vaults", {**place, "limit": 1000})
        told = [one for one in page["vaults"] if one["name"] in (kept.name, unkept.name)]
        assert len(told) == 2
        answer = await plane.accept("POST", "/add-vaults", {**place, "vaults": told}, status=201)
        by_name = {one["azure_name"]: one for one in answer["vaults"]}
        assert by_name[kept.name]["properties"]["vaultUri"].rstrip("/") == kept.url
        assert by_name[kept.name]["subscription_name"] == "Claviger"
        for one in answer["vaults"]:
            row = await records.by_id(plane.store, ROOT_DOMAIN, one["id"])
            assert row is not None
            assert row.soft_delete is (row.azure_name == kept.name)
        page = await plane.accept("POST", "/get-managed-hsms", place)
        assert page["vaults"] == []
        missing = {**told[0], "azure_vault_id": told[0]["azure_vault_id"] + "x", "name": None}
        await plane.refuse("POST", "/add-vaults", {**place, "vaults": [missing]}, status=400, part="Azure answered 404")
        await plane.connect("wrong", details_of(estate), "another secret")
        for path, body in (("get-vaults", place), ("add-vaults", {**place, "vaults": [missing]})):
            await plane.refuse(
                "POST", f"/{path}", {**body, "connection": "wrong"}, status=403, part="signing in failed"
            )


# ---------------------------------------------------------------- managed HSMs


async def test_a_managed_hsm_is_found_and_added(plane: Plane, arm: Arm) -> None:
    ident = arm.add("pool-1", "managedHSMs")
    arm.add("vault-1")
    (told,) = await discovered(plane, "managed-hsms")
    assert (told["name"], told["azure_vault_id"]) == ("pool-1", ident)
    assert told["type"] == "Microsoft.KeyVault/managedHSMs"
    assert told["properties"]["hsmUri"] == "https://pool-1.managedhsm.azure.net/"
    assert told["properties"]["sku"] == {"family": "B", "name": "Standard_B1"}
    answer = await plane.accept("POST", "/add-vaults", adding(told), status=201)
    (vault,) = answer["vaults"]
    assert (vault["type"], vault["name"]) == ("Microsoft.KeyVault/managedHSMs", f"pool-1::{SUBSCRIPTION}")
    assert vault["properties"] == told["properties"]
    row = await records.by_id(plane.store, ROOT_DOMAIN, vault["id"])
    assert row is not None
    assert row.is_managed_hsm
    assert row.vault_uri == ""


async def test_lists_tell_vaults_from_managed_hsms(plane: Plane, arm: Arm) -> None:
    await add(plane, arm, "vault-1")
    await add(plane, arm, "pool-1", kind="managedHSMs")
    for word, names in (
        ("vault", ["vault-1"]),
        ("managedHsm", ["pool-1"]),
        ("Microsoft.KeyVault/vaults", ["vault-1"]),
        ("neither", []),
    ):
        page = await plane.accept("GET", f"/vaults?type={word}")
        assert [one["azure_name"] for one in page["resources"]] == names
    assert (await plane.accept("GET", "/vaults?type=vault&type=managedHsm"))["total"] == 2
