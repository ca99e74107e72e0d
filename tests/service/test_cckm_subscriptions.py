"""Subscriptions of managed vaults, and who sees which vaults and subscriptions."""

from __future__ import annotations

import pytest

from tests.arm import SUBSCRIPTION, TENANT, Arm
from tests.managed_vaults import HEADER, add, entry
from tests.plane import ELSEWHERE, Plane, user_id

# ---------------------------------------------------------------- who sees what


@pytest.mark.parametrize(
    ("caller", "action"),
    [("bob;CCKM Users", "secretview"), ("carl;Operators", "view"), ("bob;CCKM Users", "reportdownload")],
)
async def test_whoever_has_a_right_in_a_vault_sees_it_alone(plane: Plane, arm: Arm, action: str, caller: str) -> None:
    other = "2cda5d8b-c825-4976-9999-26022adb76b5"
    arm.add_subscription(other, "Second")
    (seen,) = await add(plane, arm, "vault-1")
    body = {"connection": "azure", "subscription_id": other, "vaults": [entry(arm.add("vault-2", subscription=other))]}
    (unseen,) = (await plane.accept("POST", "/add-vaults", body, status=201))["vaults"]
    subscriptions = {one["subscriptionId"]: one for one in (await plane.accept("GET", "/subscriptions"))["resources"]}
    assert len(subscriptions) == 2
    for path in ("/vaults", "/subscriptions"):
        assert (await plane.accept("GET", path, caller=caller))["total"] == 0
    await plane.refuse("GET", f"/vaults/{seen['id']}", status=404, caller=caller)

    grantee = {"user_id": user_id("bob")} if caller.startswith("bob") else {"group": "Operators"}
    acls = {"acls": [{**grantee, "permit": True, "actions": [action]}]}
    seen = await plane.accept("POST", f"/vaults/{seen['id']}/update-acls", acls)
    page = await plane.accept("GET", "/vaults", caller=caller)
    assert (page["total"], page["resources"]) == (1, [seen])
    assert await plane.accept("GET", f"/vaults/{seen['id']}", caller=caller) == seen
    await plane.refuse("GET", f"/vaults/{unseen['id']}", status=404, caller=caller)
    page = await plane.accept("GET", "/subscriptions", caller=caller)
    assert page["resources"] == [subscriptions[SUBSCRIPTION]]
    await plane.accept("GET", f"/subscriptions/{subscriptions[SUBSCRIPTION]['id']}", caller=caller)
    await plane.refuse("GET", f"/subscriptions/{subscriptions[other]['id']}", status=404, caller=caller)


async def test_only_admins_change_vaults(plane: Plane, arm: Arm) -> None:
    (vault,) = await add(plane, arm, "vault-1")
    acls = {"acls": [{"user_id": user_id("bob"), "permit": True, "actions": ["view", "secretview"]}]}
    await plane.accept("POST", f"/vaults/{vault['id']}/update-acls", acls)
    (subscription,) = (await plane.accept("GET", "/subscriptions"))["resources"]
    calls = [
        ("POST", "/get-subscriptions"),
        ("POST", "/get-vaults"),
        ("POST", "/get-managed-hsms"),
        ("POST", "/add-vaults"),
        ("PATCH", f"/vaults/{vault['id']}"),
        ("POST", f"/vaults/{vault['id']}/remove-vault"),
        ("POST", f"/vaults/{vault['id']}/update-acls"),
        ("POST", f"/vaults/{vault['id']}/enable-rotation-job"),
        ("POST", f"/vaults/{vault['id']}/disable-rotation-job"),
        ("DELETE", f"/subscriptions/{subscription['id']}"),
    ]
    for method, path in calls:
        await plane.refuse(method, path, {}, status=403, caller="bob;CCKM Users,User Admins")
        await plane.refuse(method, path, {}, status=401, caller=None)
    for path in ("/vaults", f"/vaults/{vault['id']}", "/subscriptions"):
        await plane.refuse("GET", path, status=401, caller=None)
    await plane.refuse("DELETE", f"/vaults/{vault['id']}", status=405)


# ---------------------------------------------------------------- subscriptions


async def test_a_subscription_comes_and_goes_with_its_vaults(plane: Plane, arm: Arm) -> None:
    first, second = await add(plane, arm, "vault-1", "vault-2")
    page = await plane.accept("GET", "/subscriptions")
    (found,) = page["resources"]
    assert found == {
        **{name: found[name] for name in HEADER},
        "subscriptionId": SUBSCRIPTION,
        "subscriptionUri": f"/subscriptions/{SUBSCRIPTION}",
        "displayName": "Pay-As-You-Go",
        "state": found["state"],
        "authorizationSource": "RoleBased",
        "tenantId": TENANT,
        "created_at": found["createdAt"],
        "updated_at": found["updatedAt"],
    }
    assert found["state"] == "Enabled"
    assert found["uri"] == f"kylo:kylo:cckm:subscription:{found['id']}"
    path = f"/subscriptions/{found['id']}"
    assert await plane.accept("GET", path) == found
    await plane.refuse("DELETE", path, status=409, part="managed")
    await plane.accept("POST", f"/vaults/{first['id']}/remove-vault", status=204)
    assert await plane.accept("GET", path) == found
    await plane.accept("POST", f"/vaults/{second['id']}/remove-vault", status=204)
    await plane.refuse("GET", path, status=404)
    assert (await plane.accept("GET", "/subscriptions"))["total"] == 0


async def test_a_subscription_keeps_its_record(plane: Plane, arm: Arm) -> None:
    await add(plane, arm, "vault-1")
    (before,) = (await plane.accept("GET", "/subscriptions"))["resources"]
    arm.add_subscription(SUBSCRIPTION, "New name")
    plane.clock.advance(60)
    await add(plane, arm, "vault-2")
    (after,) = (await plane.accept("GET", "/subscriptions"))["resources"]
    assert (after["id"], after["createdAt"]) == (before["id"], before["createdAt"])
    assert after["displayName"] == "New name"
    assert after["updatedAt"] > before["updatedAt"]


async def test_subscriptions_are_filtered_and_sorted(plane: Plane, arm: Arm) -> None:
    other = "0cda5d8b-c825-4976-9999-26022adb76b5"
    arm.add_subscription(other, "Second")
    await add(plane, arm, "vault-1")
    plane.clock.advance(1)
    body = {"connection": "azure", "subscription_id": other, "vaults": [entry(arm.add("vault-2", subscription=other))]}
    await plane.accept("POST", "/add-vaults", body, status=201)
    first, second = (await plane.accept("GET", "/subscriptions"))["resources"]
    for query, found in (
        ("displayName=Second", [second]),
        (f"subscriptionId={SUBSCRIPTION}", [first]),
        (f"id={second['id']}", [second]),
        ("sort=subscription_id", [second, first]),
        ("sort=-createdAt", [second, first]),
        ("sort=updatedAt&limit=1", [first]),
        ("displayName=none", []),
    ):
        assert (await plane.accept("GET", f"/subscriptions?{query}"))["resources"] == found, query


async def test_a_record_that_was_left_over_can_be_deleted(plane: Plane, arm: Arm) -> None:
    await add(plane, arm, "vault-1")
    (found,) = (await plane.accept("GET", "/subscriptions"))["resources"]
    await plane.store.write(lambda tx: tx.execute("DELETE FROM cckm_azure_vaults"))
    await plane.refuse("DELETE", f"/subscriptions/{found['id']}", status=404, caller=ELSEWHERE)
    await plane.accept("DELETE", f"/subscriptions/{found['id']}", status=204)
    await plane.refuse("DELETE", f"/subscriptions/{found['id']}", status=404)
