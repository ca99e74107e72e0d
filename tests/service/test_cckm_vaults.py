"""Vaults under management: lists, records, changes, ACLs, and who sees what of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from claviger.cckm.azure.vaults import records
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.core.errors import Invalid
from tests.arm import SUBSCRIPTION, Arm, arm_running
from tests.managed_vaults import NO_ID, add, adding, entry, to_arm
from tests.plane import OTHER_DOMAIN, Plane, user_id

# ---------------------------------------------------------------- lists and records


async def test_the_envelope_of_a_list(plane: Plane, arm: Arm) -> None:
    assert await plane.accept("GET", "/vaults") == {"skip": 0, "limit": 10, "total": 0, "resources": []}
    await add(plane, arm, *[f"vault-{number:02}" for number in range(12)])
    page = await plane.accept("GET", "/vaults/?skip=1&unknown=5")
    assert (page["skip"], page["limit"], page["total"], len(page["resources"])) == (1, 10, 12, 10)
    assert len((await plane.accept("GET", "/vaults?limit=-1"))["resources"]) == 12
    page = await plane.accept("GET", "/vaults?sort=-azure_name&limit=2&skip=1")
    assert [one["azure_name"] for one in page["resources"]] == ["vault-10", "vault-09"]


async def test_lists_are_filtered(plane: Plane, arm: Arm) -> None:
    other = "2cda5d8b-c825-4976-9999-26022adb76b5"
    arm.add_subscription(other, "Second")
    (first,) = await add(plane, arm, "vault-1")
    body = {"connection": "azure", "subscription_id": other, "vaults": [entry(arm.add("vault-2", subscription=other))]}
    (second,) = (await plane.accept("POST", "/add-vaults", body, status=201))["vaults"]
    for query, found in (
        (f"id={first['id']}", [first]),
        (f"name=vault-2::{other}", [second]),
        ("name=vault-2", []),
        ("name=vault-*", [first, second]),
        ("location=northcentralus", [first, second]),
        ("location=eastus", []),
        ("cloud_name=AzureCloud", [first, second]),
        (f"subscription_id={other}", [second]),
        (f"subscription_id={other}&subscription_id={SUBSCRIPTION}", [first, second]),
        ("subscription_name=Second", [second]),
        ("job_config_id=" + NO_ID, []),
        (f"location=northcentralus&subscription_name=Second&id={second['id']}", [second]),
        ("id=&name=", [first, second]),
    ):
        assert (await plane.accept("GET", f"/vaults?{query}"))["resources"] == found, query


@pytest.mark.parametrize("query", ["skip=-1", "limit=-2", "limit=x", "sort=name;drop", "sort=,", "skip=9999999999"])
async def test_lists_refuse_bad_queries(plane: Plane, query: str) -> None:
    await plane.refuse("GET", f"/vaults?{query}", status=400)
    await plane.refuse("GET", f"/subscriptions?{query}", status=400)


@pytest.mark.parametrize("ident", [NO_ID, "x", "..%2f", "a" * 2000, "%F0%9F%98%80"])
async def test_vaults_that_are_not_there(plane: Plane, ident: str) -> None:
    await plane.refuse("GET", f"/vaults/{ident}", status=404)
    await plane.refuse("PATCH", f"/vaults/{ident}", {"connection": "azure"}, status=404)
    for action, body in (
        ("remove-vault", None),
        ("update-acls", {"acls": []}),
        ("enable-rotation-job", {"job_config_id": NO_ID}),
        ("disable-rotation-job", None),
    ):
        await plane.refuse("POST", f"/vaults/{ident}/{action}", body, status=404)
    await plane.refuse("GET", f"/subscriptions/{ident}", status=404)
    await plane.refuse("DELETE", f"/subscriptions/{ident}", status=404)


async def test_a_vault_is_found_by_its_names(plane: Plane, arm: Arm) -> None:
    other = "2cda5d8b-c825-4976-9999-26022adb76b5"
    arm.add_subscription(other, "Second")
    (first,) = await add(plane, arm, "vault-1")
    store = plane.store
    full = f"vault-1::{SUBSCRIPTION}"
    for name in (first["id"], first["id"].upper(), "vault-1", "VAULT-1", full, full.upper()):
        found = await records.find(store, ROOT_DOMAIN, name)
        assert found is not None, name
        assert found.id == first["id"]
        assert await records.by_num(store, ROOT_DOMAIN, found.num) == found
    for name in ("", "::", "vault-2", f"vault-1::{other}", "vault-1::", f"::{SUBSCRIPTION}"):
        assert await records.find(store, ROOT_DOMAIN, name) is None
        assert await records.find(store, OTHER_DOMAIN, first["id"]) is None
    body = {"connection": "azure", "subscription_id": other, "vaults": [entry(arm.add("vault-1", subscription=other))]}
    await plane.accept("POST", "/add-vaults", body, status=201)
    with pytest.raises(Invalid, match="InvalidParam"):
        await records.find(store, ROOT_DOMAIN, "vault-1")
    again = await records.find(store, ROOT_DOMAIN, f"vault-1::{SUBSCRIPTION}")
    assert again is not None
    assert again.id == first["id"]


# ---------------------------------------------------------------- changing


async def test_patch_needs_the_connection(plane: Plane, arm: Arm) -> None:
    (vault,) = await add(plane, arm, "vault-1")
    path = f"/vaults/{vault['id']}"
    for body in ({}, {"connection": ""}, {"connection": None, "cloud_key_backup_limit": 5}):
        await plane.refuse("PATCH", path, body, status=400, part="connection: is required")
    await plane.refuse("PATCH", path, {"connection": "azure-2"}, status=404, part="connection")
    for limit in (-1, "5", 2**80):
        await plane.refuse("PATCH", path, {"connection": "azure", "cloud_key_backup_limit": limit}, status=400)


async def test_patch_looks_at_the_vault_anew(plane: Plane, arm: Arm) -> None:
    (vault,) = await add(plane, arm, "vault-1", cloud_key_backup_limit=3)
    await plane.connect("azure-2", to_arm(arm))
    arm.add("vault-1", enablePurgeProtection=True)
    plane.clock.advance(60)
    path = f"/vaults/{vault['id']}"
    changed = await plane.accept("PATCH", path, {"connection": "azure-2", "cloud_key_backup_limit": None})
    protected = {**vault["properties"], "enablePurgeProtection": True}
    expected = {**vault, "connection": "azure-2", "properties": protected, "updatedAt": changed["updatedAt"]}
    assert (changed, vault["properties"]["enablePurgeProtection"]) == (expected, False)
    assert changed["updatedAt"] > vault["updatedAt"]
    changed = await plane.accept("PATCH", path, {"connection": "azure", "cloud_key_backup_limit": 7})
    assert (changed["connection"], changed["cloud_key_backup_limit"]) == ("azure", 7)
    assert await plane.accept("GET", path) == changed


async def test_patch_refuses_a_connection_that_does_not_reach_the_vault(plane: Plane, arm: Arm, tmp_path: Path) -> None:
    (vault,) = await add(plane, arm, "vault-1")
    path, body = f"/vaults/{vault['id']}", {"connection": "elsewhere"}
    with arm_running(tmp_path) as elsewhere:
        await plane.connect("elsewhere", to_arm(elsewhere))
        await plane.refuse("PATCH", path, body, status=400, part="ResourceNotFound")
        elsewhere.add("vault-1", tenantId=NO_ID)
        await plane.refuse("PATCH", path, body, status=400, part="another vault")
        elsewhere.refusing.add(elsewhere.add("vault-1"))
        await plane.refuse("PATCH", path, body, status=403, part="AuthorizationFailed")
        elsewhere.refusing.clear()
        await plane.accept("PATCH", path, body)


async def test_a_deleted_connection_is_noticed_in_time(plane: Plane, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection goes while the cloud is being asked."""
    ident = arm.add("vault-1")
    answer, loop = arm.answer, asyncio.get_running_loop()

    def deleting(path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        told = answer(path, query)
        if path.endswith("vault-1"):
            done = asyncio.run_coroutine_threadsafe(
                plane.store.write(lambda tx: tx.execute("DELETE FROM cckm_connections")), loop
            )
            done.result(20)
        return told

    monkeypatch.setattr(arm, "answer", deleting)
    answered = await plane.ask("POST", "/add-vaults", adding(entry(ident)))
    assert answered.status_code == 404
    assert await plane.count("cckm_azure_vaults") == 0


# ---------------------------------------------------------------- ACLs


async def test_acls_grow_and_shrink(plane: Plane, arm: Arm) -> None:
    (vault,) = await add(plane, arm, "vault-1")
    path = f"/vaults/{vault['id']}/update-acls"
    bob = f"local|{user_id('bob')}"

    async def update(*acls: dict[str, Any]) -> list[Any]:
        changed = await plane.accept("POST", path, {"acls": list(acls)})
        assert set(changed) == set(vault)
        assert await plane.accept("GET", f"/vaults/{vault['id']}") == changed
        (listed,) = (await plane.accept("GET", "/vaults"))["resources"]
        assert listed == changed
        return list(changed["acls"])

    assert await update({"user_id": bob, "permit": True, "actions": ["secretview", "secretcreate"]}) == [
        {"user_id": bob, "actions": ["secretcreate", "secretview"]}
    ]
    assert await update(
        {"group": "Operators", "user_id": "", "permit": True, "actions": ["view"]},
        {"user_id": bob, "permit": False, "actions": ["secretcreate", "keypurge"]},
    ) == [{"group": "Operators", "actions": ["view"]}, {"user_id": bob, "actions": ["secretview"]}]
    assert await update({"user_id": bob, "permit": False, "actions": ["secretview"]}) == [
        {"group": "Operators", "actions": ["view"]}
    ]


async def test_acls_that_are_refused(plane: Plane, arm: Arm) -> None:
    (vault,) = await add(plane, arm, "vault-1")
    path = f"/vaults/{vault['id']}/update-acls"
    bob = f"local|{user_id('bob')}"
    good = {"group": "Operators", "permit": True, "actions": ["view"]}
    for bad in (
        {"user_id": bob, "group": "Operators", "permit": True, "actions": ["view"]},
        {"permit": True, "actions": ["view"]},
        {**good, "actions": ["fly"]},
        {**good, "actions": ["view", ""]},
        {**good, "actions": "view"},
        {**good, "group": "Nobody"},
        {**good, "permit": "yes"},
        {"user_id": "bob", "permit": True, "actions": ["view"]},
        {"user_id": f"local|{NO_ID}", "permit": True, "actions": ["view"]},
        5,
    ):
        await plane.refuse("POST", path, {"acls": [good, bad]}, status=400)
    for body in ({}, {"acls": None}, {"acls": {}}, {"acls": [good] * 5000}):
        await plane.refuse("POST", path, body, status=400)


async def test_an_acl_moves_the_revision_of_rights(plane: Plane, arm: Arm) -> None:
    (vault,) = await add(plane, arm, "vault-1")

    async def revision() -> int:
        row = await plane.store.read_one("SELECT value FROM meta WHERE key = 'cckm_access_revision'")
        assert row is not None
        return int(row[0])

    before = await revision()
    acls = {"acls": [{"group": "Operators", "permit": True, "actions": ["view"]}]}
    await plane.accept("POST", f"/vaults/{vault['id']}/update-acls", acls)
    given = await revision()
    assert given > before
    await plane.accept("POST", f"/vaults/{vault['id']}/remove-vault", status=204)
    assert await revision() > given
    assert await plane.count("cckm_acls") == 0


# ---------------------------------------------------------------- rotation jobs


async def test_there_is_no_schedule_to_rotate_by(plane: Plane, arm: Arm) -> None:
    (vault,) = await add(plane, arm, "vault-1")
    path = f"/vaults/{vault['id']}/enable-rotation-job"
    for body in ({}, {"job_config_id": ""}, {"job_config_id": 5}, {"job_config_id": "x" * 1000}):
        await plane.refuse("POST", path, body, status=400, part="job_config_id")
    told = {"job_config_id": NO_ID, "override_key_scheduler": True}
    await plane.refuse("POST", path, told, status=404, part=f"job configuration {NO_ID}")


async def test_a_schedule_that_is_there_rotates_no_keys_of_azure(plane: Plane, arm: Arm) -> None:
    (vault,) = await add(plane, arm, "vault-1")
    path = f"/vaults/{vault['id']}/enable-rotation-job"
    params = '{"cloud_name":"oci"}'
    await plane.store.write(
        lambda tx: tx.execute(
            "INSERT INTO cckm_job_configs (id, domain_id, name, operation, run_at, disabled, description, params, "
            f"planned_at, created_by, created_at, updated_at) VALUES ('{NO_ID}', '{ROOT_DOMAIN}', 'weekly', "
            f"'cckm_key_rotation', '0 9 * * sat', 0, '', '{params}', 0, '', 0, 0)"
        )
    )
    await plane.refuse("POST", path, {"job_config_id": NO_ID}, status=400, part="rotates no keys of Azure")


async def test_disabling_clears_the_labels_of_the_schedule_alone(plane: Plane, arm: Arm) -> None:
    (vault,) = await add(plane, arm, "vault-1")
    path = f"/vaults/{vault['id']}/disable-rotation-job"
    assert await plane.accept("POST", path) == vault
    labels = f'{{"job_config_id":"{NO_ID}","team":"keys"}}'
    await plane.store.write(lambda tx: tx.execute("UPDATE cckm_azure_vaults SET labels = ?", labels))
    assert (await plane.accept("GET", f"/vaults?job_config_id={NO_ID}"))["total"] == 1
    plane.clock.advance(5)
    changed = await plane.accept("POST", path, {})
    assert changed == {**vault, "labels": {"team": "keys"}, "updatedAt": changed["updatedAt"]}
    assert (await plane.accept("GET", f"/vaults?job_config_id={NO_ID}"))["total"] == 0


@pytest.mark.parametrize("path", ["/vaults/%00", "/vaults/a%00b/remove-vault", "/subscriptions/%00"])
async def test_a_nul_in_the_path_names_nothing(plane: Plane, path: str) -> None:
    answer = await plane.ask("POST" if path.endswith("vault") else "GET", path)
    assert answer.status_code in (400, 404)  # one database can look for it, the other cannot
    answer = await plane.ask("POST", "/get-subscriptions", {"connection": "a\0b"})
    assert answer.status_code in (400, 404)
