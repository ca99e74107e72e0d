"""Plans: every changing call of the table is planned, and nothing of it happens; what plans say is so."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.calls import CCKM_ADMINS, Route
from claviger.cckm.planning.rules import CHANGING, NOT_PLANNED, ONLY_ASKS
from claviger.store.contract import Tx
from tests.approving import APPROVALS, CONNECTIONS, SECRETS, VAULTS, Office, as_body, dump, open_office, user_id_of
from tests.arm import SUBSCRIPTION, TENANT, Arm
from tests.control import PASSWORD, ControlClient, domain_with_admin, quoted, spare

PLAN = "/claviger/plan"
NO_ID = "73524b70-1234-4f92-954b-6312f4567d1a"
AT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
async def office(database_url: str, arm: Arm) -> AsyncIterator[Office]:
    async with open_office(database_url, arm) as opened:
        yield opened


async def plan(who: ControlClient, method: str, path: str, body: Any = None, **more: Any) -> Any:
    """The plan of a call."""
    asked = {"method": method, "path": f"/api/v1{path}", **more} | ({} if body is None else {"body": body})
    return await who.accept("POST", PLAN, asked)


# ---------------------------------------------------------------- the whole table


async def objects(office: Office) -> dict[str, Any]:
    """By method and path: the segments of a real object, and a body that is good."""
    admin, arm = office.admin, office.arm
    user = await admin.accept("POST", "/usermgmt/users", {"username": spare(), "password": PASSWORD})
    group = (await admin.accept("POST", "/usermgmt/groups", {"name": spare("group")}))["name"]
    other = (await admin.accept("POST", "/usermgmt/groups", {"name": spare("group")}))["name"]
    await admin.accept("POST", f"/usermgmt/groups/{group}/users/{user['user_id']}")
    client = await admin.accept("POST", "/auth/clients", {})
    await admin.accept("POST", f"/client-management/groups/{group}/clients/{client['id']}")
    domain, _ = await domain_with_admin(office.control, admin)
    spare_connection = (await admin.accept("POST", CONNECTIONS, as_body(arm, spare("azure"))))["id"]
    vault = await office.vault()
    live, soft, dead = [await office.secret(vault, status) for status in Status]
    notices = await admin.accept("POST", "/claviger/notices/subscriptions", {"url": "https://hooks.localhost/x"})
    sync = "/cckm/azure/secrets/synchronization-jobs"
    job = await admin.accept("POST", sync, {"key_vaults": [(await office.vault())["id"]]})
    nightly = {
        "name": "nightly",
        "operation": "cckm_synchronization",
        "run_at": "0 0 29 2 *",
        "cckm_synchronization_params": {"cloud_name": "AzureCloud", "synchronize_all": True},
    }
    config = {"id": (await admin.accept("POST", "/scheduler/job-configs", nightly))["id"]}
    guarded = await office.vault(protected=True)
    wanted = await office.secret(guarded)
    await office.ada.refusal("DELETE", f"{SECRETS}/{wanted.id}", expect=403)
    approval = (await office.requests())[0]["id"]
    fresh = {"azure_vault_id": arm.add(spare("vault")), "properties": {"tenantId": TENANT}}
    adding = {"connection": "azure", "subscription_id": SUBSCRIPTION, "vaults": [fresh]}
    making = {"secret_name": spare("new"), "key_vault": vault["id"], "azure_param": {"value": "v"}}
    granting = {"acls": [{"group": "CCKM Users", "permit": True, "actions": ["secretview"]}]}
    finding = {"connection": "azure", "subscription_id": SUBSCRIPTION}
    member = {"name": group, "user_id": user["user_id"]}
    return {
        "DELETE /auth/clients/{id}": ({"id": client["id"]}, None),
        "DELETE /auth/tokens/{id}": ({"id": admin.tokens["refresh_token_id"]}, None),
        "POST /auth/rotate-auth-key": ({}, None),
        "PATCH /auth/self/user": ({}, {"nickname": "boss"}),
        "POST /auth/self/permissions": ({}, {"actions": ["secretview"]}),
        "POST /domains": ({}, {"name": spare("domain"), "admins": ["admin"]}),
        "PATCH /domains/{id}": ({"id": domain}, {"meta": {"a": "b"}}),
        "DELETE /domains/{id}": ({"id": NO_ID}, None),
        "POST /usermgmt/groups": ({}, {"name": spare("group")}),
        "PATCH /usermgmt/groups/{name}": ({"name": group}, {"name": spare("group")}),
        "DELETE /usermgmt/groups/{name}": ({"name": group}, None),
        "POST /usermgmt/groups/{name}/users/{user_id}": ({**member, "name": other}, None),
        "DELETE /usermgmt/groups/{name}/users/{user_id}": (member, None),
        "POST /client-management/groups/{name}/clients/{client_id}": ({"name": other, "client_id": client["id"]}, None),
        "DELETE /client-management/groups/{name}/clients/{client_id}": (
            {"name": group, "client_id": client["id"]},
            None,
        ),
        "POST /usermgmt/users": ({}, {"username": spare(), "password": PASSWORD}),
        "PATCH /usermgmt/users/{user_id}": ({"user_id": user["user_id"]}, {"password": "another-" + PASSWORD}),
        "DELETE /usermgmt/users/{user_id}": ({"user_id": user["user_id"]}, None),
        f"POST {CONNECTIONS}": ({}, as_body(arm, spare("azure"))),
        f"PATCH {CONNECTIONS}/{{id}}": ({"id": "azure"}, {"client_secret": "another secret"}),
        f"DELETE {CONNECTIONS}/{{id}}": ({"id": spare_connection}, None),
        f"POST {CONNECTIONS}/{{id}}/test": ({"id": "azure"}, None),
        "POST /connectionmgmt/services/azure/connection-test": ({}, as_body(arm)),
        "DELETE /connectionmgmt/connections/{id}": ({"id": spare_connection}, None),
        "POST /connectionmgmt/connections/{id}/delete": ({"id": "azure"}, {"force": True}),
        "POST /connectionmgmt/connections/csr": ({}, {"cn": "tests"}),
        f"POST {SECRETS}": ({}, making),
        f"PATCH {SECRETS}/{{id}}": ({"id": live.id}, {"tags": {"a": "b"}}),
        f"DELETE {SECRETS}/{{id}}": ({"id": dead.id}, None),
        f"POST {SECRETS}/{{id}}/soft-delete": ({"id": live.id}, None),
        f"POST {SECRETS}/{{id}}/hard-delete": ({"id": soft.id}, None),
        f"POST {SECRETS}/{{id}}/recover": ({"id": soft.id}, None),
        f"POST {SECRETS}/{{id}}/restore": ({"id": dead.id}, None),
        "POST /cckm/azure/get-subscriptions": ({}, {"connection": "azure"}),
        "POST /cckm/azure/get-vaults": ({}, finding),
        "POST /cckm/azure/get-managed-hsms": ({}, finding),
        "POST /cckm/azure/add-vaults": ({}, adding),
        f"PATCH {VAULTS}/{{id}}": ({"id": vault["id"]}, {"connection": "azure", "protected": True}),
        f"POST {VAULTS}/{{id}}/remove-vault": ({"id": vault["id"]}, None),
        f"POST {VAULTS}/{{id}}/update-acls": ({"id": vault["id"]}, granting),
        f"POST {VAULTS}/{{id}}/disable-rotation-job": ({"id": vault["id"]}, None),
        f"POST {sync}": ({}, {"key_vaults": [vault["id"]]}),
        f"POST {sync}/{{id}}/cancel": ({"id": job["id"]}, None),
        "POST /claviger/notices/subscriptions": ({}, {"url": "https://hooks.localhost/y"}),
        "PATCH /claviger/notices/subscriptions/{id}": ({"id": notices["id"]}, {"disabled": True}),
        "DELETE /claviger/notices/subscriptions/{id}": ({"id": notices["id"]}, None),
        "POST /claviger/notices/subscriptions/{id}/test": ({"id": notices["id"]}, None),
        "POST /scheduler/job-configs": ({}, nightly),
        "PATCH /scheduler/job-configs/{id}": (config, {"disabled": True}),
        "DELETE /scheduler/job-configs/{id}": (config, None),
        "POST /scheduler/job-configs/{id}/run-now": (config, None),
        f"POST {APPROVALS}/{{id}}/approve": ({"id": approval}, None),
        f"POST {APPROVALS}/{{id}}/refuse": ({"id": approval}, {"reason": "no"}),
    }


def is_unbuilt(route: Route) -> bool:
    return 501 in (route.status, *route.errors)


async def test_every_changing_call_can_be_planned_and_nothing_happens(office: Office) -> None:
    real = await objects(office)
    table = {f"{route.method} {route.path}": route for route in office.control.routing.routes}
    changing = {name: route for name, route in table.items() if route.method in CHANGING}
    told_not = {f"{method} {path}" for method, path in NOT_PLANNED}
    assert told_not <= set(table)
    assert {f"{method} {path}" for method, path in ONLY_ASKS} <= set(table)
    assert set(real) <= set(table)
    before = await dump(office.store)
    office.arm.asked.clear()
    refused = {}
    for name, route in changing.items():
        segments, body = real.get(name, ({}, {} if route.takes else None))
        path = re.sub(r"\{(\w+)\}", lambda found, known=segments: quoted(known.get(found[1], NO_ID)), route.path)
        asked = {"method": route.method, "path": f"/api/v1{path}"} | ({} if body is None else {"body": body})
        if name in told_not:
            await office.admin.refusal("POST", PLAN, asked, expect=400)
            continue
        told = await office.admin.accept("POST", PLAN, asked)
        assert (told["refusal"] is None) is told["allowed"], name
        assert bool(told["effects"]) is told["allowed"], name
        if is_unbuilt(route):
            assert told["refusal"]["status"] == 501, name
        elif not told["allowed"]:
            refused[name] = told["refusal"]
        assert await dump(office.store) == before, name
    hopeful = {name: why for name, why in refused.items() if name in real and name != "DELETE /domains/{id}"}
    assert hopeful == {}
    asked_for = {path.split("?")[0] for path in office.arm.asked}
    assert all(path.startswith("/subscriptions") for path in asked_for)  # the cloud was only asked, and that for vaults
    await office.admin.accept("GET", "/auth/self/user")  # nothing that is remembered has gone astray
    assert (await office.control.signed_in()).token


async def test_afterwards_the_calls_do_what_they_did_before(office: Office) -> None:
    """What was planned is not left in any memory: the same calls, made, have their effect once."""
    vault = await office.vault()
    secret = await office.secret(vault)
    name = spare("group")
    for _ in range(3):
        assert (await plan(office.admin, "POST", "/usermgmt/groups", {"name": name}))["allowed"]
        assert (await plan(office.admin, "DELETE", f"{SECRETS}/{secret.id}"))["allowed"]
    assert await office.is_there(secret)
    await office.admin.accept("POST", "/usermgmt/groups", {"name": name})
    again = await plan(office.admin, "POST", "/usermgmt/groups", {"name": name})
    assert (again["allowed"], again["refusal"]["status"]) == (False, 409)
    await office.admin.accept("DELETE", f"{SECRETS}/{secret.id}")
    assert not await office.is_there(secret)
    assert (await plan(office.admin, "DELETE", f"{SECRETS}/{secret.id}"))["refusal"]["status"] == 404


async def test_a_plan_does_not_disturb_other_changes_of_its_batch(office: Office) -> None:
    import asyncio

    names = [spare("group") for _ in range(20)]
    planned = [plan(office.admin, "POST", "/usermgmt/groups", {"name": spare("group")}) for _ in range(5)]
    made = [office.admin.accept("POST", "/usermgmt/groups", {"name": name}) for name in names]
    told = await asyncio.gather(*planned, *made)
    assert all(each["allowed"] for each in told[:5])
    groups = {row[0] for row in await office.store.read("SELECT name FROM cckm_groups")}
    assert groups >= set(names)
    assert not {each["effects"][0]["facts"].get("name") for each in told[:5]} & groups


# ---------------------------------------------------------------- what a plan says


async def one_effect(office: Office, method: str, path: str, body: Any = None, **more: Any) -> Any:
    told = await plan(office.admin, method, path, body, **more)
    assert told["allowed"], told
    assert len(told["effects"]) == 1
    return told, told["effects"][0]


async def test_soft_delete_says_until_when_it_can_be_undone(office: Office) -> None:
    vault = await office.vault()
    secret = await office.secret(vault, Status.AVAILABLE)
    told, effect = await one_effect(office, "POST", f"{SECRETS}/{secret.id}/soft-delete")
    assert (effect["effect"], effect["undo"], effect["reversible"]) == ("azure-secret.soft-delete", "recover", True)
    at = office.control.clock.now() + 90 * 86_400
    from claviger.cckm.resource import timestamp

    assert told["undo_until"] == effect["undo_until"] == timestamp(at)
    assert "90 days" in effect["message"]
    assert (told["irreversible"], told["status"]) == ([], 200)
    assert effect["object"] == {
        "kind": "azure-secret",
        "id": secret.id,
        "name": secret.name,
        "container": vault["name"],
    }


@pytest.mark.parametrize("backup", [True, False])
async def test_hard_delete_says_what_is_left(office: Office, backup: bool) -> None:
    secret = await office.secret(await office.vault(), Status.SOFT_DELETED, backup=backup)
    told, effect = await one_effect(office, "POST", f"{SECRETS}/{secret.id}/hard-delete")
    assert effect["final_in_cloud"]
    assert len(told["irreversible"]) == 1
    assert effect["undo"] == ("restore" if backup else None)
    part = r"keeps its backup of " + AT if backup else "holds no backup"
    assert re.search(part, effect["message"])
    assert ("nothing brings it back" in told["irreversible"][0]) is not backup


async def test_a_vault_without_soft_delete_is_final_at_once(office: Office) -> None:
    vault = await office.vault()
    row = await office.row_of(vault)
    details = row.details.replace('"enableSoftDelete":true', '"enableSoftDelete":false')
    assert details != row.details
    change = "UPDATE cckm_azure_vaults SET details = ? WHERE id = ?"
    await office.store.write(lambda tx: tx.execute(change, details, vault["id"]))
    secret = await office.secret(vault, Status.AVAILABLE)
    told, effect = await one_effect(office, "POST", f"{SECRETS}/{secret.id}/soft-delete")
    assert (effect["final_in_cloud"], effect["undo"], told["undo_until"]) == (True, "restore", None)
    assert len(told["irreversible"]) == 1


async def test_what_nothing_brings_back(office: Office) -> None:
    vault = await office.vault()
    secrets = [await office.secret(vault, status) for status in Status]
    told, effect = await one_effect(office, "DELETE", f"{SECRETS}/{secrets[2].id}")
    assert (effect["undo"], effect["reversible"], len(told["irreversible"])) == (None, False, 1)
    told, effect = await one_effect(office, "POST", f"{VAULTS}/{vault['id']}/remove-vault")
    assert (effect["facts"]["record_count"], effect["facts"]["backup_count"]) == (3, 3)
    assert not effect["reversible"]


async def test_create_update_recover_and_restore(office: Office) -> None:
    vault, other = await office.vault(), await office.vault()
    live, soft, dead = [await office.secret(vault, status) for status in Status]
    body = {"secret_name": live.name.upper(), "key_vault": vault["id"], "azure_param": {"value": "v"}}
    told, effect = await one_effect(office, "POST", SECRETS, body)
    assert (told["status"], effect["facts"]["name_exists"], "new version" in effect["message"]) == (201, True, True)
    _, effect = await one_effect(office, "POST", SECRETS, {**body, "secret_name": "a-new-one"})
    assert effect["facts"]["name_exists"] is False
    _, effect = await one_effect(office, "POST", SECRETS, {**body, "secret_name": soft.name})
    assert "Azure refuses" in effect["message"]
    _, effect = await one_effect(office, "PATCH", f"{SECRETS}/{live.id}", {"tags": {"n": "1"}})
    assert effect["facts"]["changes"]["tags"]["after"] == {"n": "1"}
    _, effect = await one_effect(office, "POST", f"{SECRETS}/{soft.id}/recover")
    assert effect["undo"] == "soft-delete"
    _, effect = await one_effect(office, "POST", f"{SECRETS}/{dead.id}/restore")
    assert effect["facts"]["elsewhere"] is False
    _, effect = await one_effect(office, "POST", f"{SECRETS}/{dead.id}/restore", {"key_vault": other["id"]})
    assert (effect["facts"]["elsewhere"], effect["object"]["container"]) == (True, other["name"])


async def test_rules_are_decided_on_the_rows_as_they_are(office: Office) -> None:
    vault = await office.vault()
    live = await office.secret(vault, Status.AVAILABLE)
    told = await plan(office.admin, "POST", f"{SECRETS}/{live.id}/hard-delete")
    real = await office.admin.refusal("POST", f"{SECRETS}/{live.id}/hard-delete", expect=400)
    assert not told["allowed"]
    assert (told["effects"], "status" in told) == ([], False)
    assert told["refusal"] == {
        "status": 400,
        "code": real["code"],
        "codeDesc": real["codeDesc"],
        "message": real["message"],
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/nothing/here", None, 404),
        ("PUT", SECRETS, None, 405),
        ("POST", SECRETS, {"secret_name": "x"}, 400),
        ("POST", SECRETS, [1], 400),
        ("POST", SECRETS, {"secret_name": "x", "key_vault": NO_ID, "azure_param": {"value": "v"}}, 404),
        ("POST", f"{SECRETS}/{NO_ID}/recover", None, 404),
        ("POST", "/cckm/azure/keys", None, 501),
        ("POST", "/usermgmt/users", {"username": "x" * 70_000}, 413),
    ],
)
async def test_a_refusal_is_part_of_the_plan(office: Office, method: str, path: str, body: Any, status: int) -> None:
    told = await plan(office.admin, method, path, body)
    assert (told["allowed"], told["refusal"]["status"]) == (False, status)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"method": "GET", "path": "/api/v1/domains"},
        {"method": "TRACE", "path": "/api/v1/domains"},
        {"method": "POST"},
        {"method": 5, "path": "/api/v1/domains"},
        {"method": "POST", "path": "domains"},
        {"method": "POST", "path": "/api/v1/domains?a=b"},
        {"method": "POST", "path": "/api/v1/döm"},
        {"method": "POST", "path": "/api/v1/domains/%00"},
        {"method": "POST", "path": "/" + "a" * 5000},
        {"method": "POST", "path": "/api/v1/domains\r\n"},
        {"method": "POST", "path": "/api/v1/domains", "query": 5},
        {"method": "POST", "path": "/api/v1/domains", "query": "ü"},
        {"method": "POST", "path": "/api/v1/domains", "query": {"a": {"b": "c"}}},
        {"method": "POST", "path": "/api/v1/claviger/plan", "body": {"method": "POST", "path": "/x"}},
        {"method": "POST", "path": "/api/v1/auth/tokens", "body": {"username": "admin", "password": "guess"}},
        {"method": "PATCH", "path": "/api/v1/auth/changepw", "body": {"username": "admin", "password": "guess"}},
        {"method": "POST", "path": "/api/v1/auth/clients", "body": {}},
        {"method": "post", "path": "//auth//tokens/"},
    ],
)
async def test_what_cannot_be_planned_is_refused(office: Office, asked: Any) -> None:
    await office.admin.refusal("POST", PLAN, asked, expect=400)


async def test_the_query_counts(office: Office) -> None:
    secret = await office.secret(await office.vault(), Status.AVAILABLE)
    path = f"{SECRETS}/{secret.id}/soft-delete"
    for query in ("wait=5", {"wait": 5}, {"wait": ["1", "5"]}):
        assert (await plan(office.admin, "POST", path, query=query))["allowed"]
    for bad in ("wait=x", {"wait": "x"}, {"wait": True}):
        assert (await plan(office.admin, "POST", path, query=bad))["refusal"]["status"] == 400


async def test_permissions_are_those_of_the_caller(office: Office) -> None:
    vault = await office.vault()
    live, soft = [await office.secret(vault, status) for status in (Status.AVAILABLE, Status.SOFT_DELETED)]
    nobody = await office.person()
    ident = await user_id_of(nobody)
    path = f"{SECRETS}/{soft.id}/hard-delete"
    hidden = await plan(nobody, "POST", path)
    assert (hidden["refusal"]["status"], hidden["permissions"][0]["held"]) == (404, False)
    await office.permit(vault, ident, "secretview", "secretdelete")
    told = await plan(nobody, "POST", path)
    assert (told["refusal"]["status"], told["permissions"][0]["held"]) == (403, False)
    assert told["permissions"][0] == {
        "kind": "container",
        "groups": sorted(["admin", CCKM_ADMINS]),
        "actions": ["secretpurge", "secretview"],
        "containers": [vault["id"]],
        "held": False,
    }
    may = await plan(nobody, "POST", f"{SECRETS}/{live.id}/soft-delete")
    assert (may["allowed"], may["permissions"][0]["held"]) == (True, True)
    group = await plan(nobody, "POST", "/usermgmt/groups", {"name": "x"})
    assert (group["refusal"]["status"], group["permissions"][0]["held"]) == (403, False)
    assert group["permissions"][0]["groups"] == ["User Admins", "admin"]
    await office.admin.refusal("POST", PLAN, {"method": "POST", "path": "/domains"}, expect=401, token=None)


async def test_a_plan_of_a_test_only_asks(office: Office) -> None:
    office.arm.asked.clear()
    told, effect = await one_effect(office, "POST", f"{CONNECTIONS}/azure/test")
    assert (effect["effect"], office.arm.asked) == ("asks", [])
    assert told["irreversible"] == []
    bad = await plan(office.admin, "POST", "/cckm/azure/get-vaults", {"connection": 5})
    assert bad["refusal"]["status"] == 400


async def test_a_change_that_forgets_it_is_planned_is_not_stored(office: Office) -> None:
    """The store itself holds back, whoever writes: nothing depends on a handler's care."""
    from claviger.cckm.planning.draft import Draft, Planned, current_draft, following
    from claviger.cckm.planning.store import PlannedStore

    store = PlannedStore(office.store)
    before = await dump(office.store)
    seen: list[bool] = []

    def change(tx: Tx) -> None:
        seen.append(current_draft() is not None)
        tx.execute("UPDATE meta SET value = 'spoilt' WHERE key = 'cckm_refused_sign_ins'")

    with following(Draft()), pytest.raises(Planned):
        await store.write(change)
    assert (await dump(office.store), all(seen)) == (before, True)
    await store.write(change)
    assert (await dump(office.store) != before, seen[-1]) == (True, False)
