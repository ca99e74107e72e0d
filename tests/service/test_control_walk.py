"""Every route of the control plane with every kind of caller and token, on both databases."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from claviger.cckm.access.acls.operations import change_acls
from claviger.cckm.access.acls.wire import AclEntry
from claviger.cckm.azure.secrets import records as secrets
from tests.control import Control, all_other_routes, open_control, quoted, spare
from tests.control_walk import (
    STRANGER,
    Walk,
    name_of,
    wrong_before_password_change,
    wrong_for_bad_tokens,
    wrong_for_foreigners,
    wrong_for_roles,
    wrong_in_containers,
)
from tests.many_secrets import draw_row, make_vault

PUBLIC = {"POST /auth/tokens", "PATCH /auth/changepw", "GET /auth/jwks.json", "GET /openapi.json", "GET /docs"}
OWN_PASSWORD = {"POST /auth/logout", "GET /auth/self/user", "GET /auth/self/domains"}
SIGNED_IN = {
    "GET /auth/tokens",
    "GET /auth/tokens/{id}",
    "DELETE /auth/tokens/{id}",
    "POST /auth/revoke",
    "PATCH /auth/self/user",
    "POST /auth/self/permissions",
    "POST /claviger/plan",
    "POST /auth/clients",
    "GET /auth/clients",
    "GET /auth/clients/{id}",
    "DELETE /auth/clients/{id}",
    "GET /domain",
    "GET /domains",
    "GET /domains/{id}",
}


@pytest.fixture
async def control(database_url: str) -> AsyncIterator[Control]:
    async with open_control(database_url, more=all_other_routes) as opened:
        yield opened


@pytest.fixture
async def walk(control: Control) -> Walk:
    """With an object of the first domain for every kind of path."""
    walk = await Walk.begin(control)
    boss = walk.admins[walk.here]
    user = f"local|{await walk.person(walk.here)}"
    group = await boss.accept("POST", "/usermgmt/groups", {"name": spare("group")})
    client = await boss.accept("POST", "/auth/clients", {})
    member = {"name": group["name"], "user_id": user}
    await boss.accept("POST", f"/usermgmt/groups/{quoted(group['name'])}/users/{user}")
    await boss.accept("POST", f"/client-management/groups/{quoted(group['name'])}/clients/{client['id']}")
    walk.real |= await objects_of_clouds(walk)
    walk.real |= {
        "/auth/tokens/{id}": {"id": boss.tokens["refresh_token_id"]},
        "/auth/clients/{id}": {"id": client["id"]},
        "/usermgmt/users/{user_id}": {"user_id": user},
        "/usermgmt/groups/{name}": member,
        "/usermgmt/groups/{name}/users/{user_id}": member,
        "/client-management/groups/{name}/clients/{client_id}": {"name": group["name"], "client_id": client["id"]},
        "/domains/{id}": {"id": walk.here},
    }
    return walk


async def objects_of_clouds(walk: Walk) -> dict[str, dict[str, str]]:
    """A connection, a vault and a secret of the first domain, by the paths that lead to them."""
    body = {"name": spare("azure"), "client_id": STRANGER, "tenant_id": STRANGER, "client_secret": "a secret"}
    connections = "/connectionmgmt/services/azure/connections"
    connection = await walk.admins[walk.here].accept("POST", connections, body)
    store, chance = walk.control.store, random.Random(4)
    vault = await make_vault(store, walk.here, chance, spare("vault"))
    secret = await store.write(lambda tx: secrets.add(tx, walk.here, draw_row(chance, [vault])))
    found = {}
    for prefix, ident in (
        (connections, connection["id"]),
        ("/connectionmgmt/connections", connection["id"]),
        ("/cckm/azure/vaults", vault.id),
        ("/cckm/azure/secrets", secret.id),
    ):
        for route in walk.control.routing.routes:
            if route.path.startswith(f"{prefix}/{{id}}"):
                found[route.path] = {"id": ident}
    return found


async def test_only_these_routes_ask_for_no_group_and_no_container(control: Control) -> None:
    by_kind: dict[str, set[str]] = {}
    for route in control.routing.routes:
        by_kind.setdefault(route.permission.kind, set()).add(name_of(route))
    assert by_kind["public"] == PUBLIC
    assert by_kind["own-password"] == OWN_PASSWORD
    assert by_kind["signed-in"] == SIGNED_IN
    assert all(route.permission.groups for route in control.routing.routes if route.permission.kind == "members")


async def test_a_token_that_holds_nobody_in_gets_in_nowhere(walk: Walk) -> None:
    for state, token in (await walk.bad_tokens()).items():
        assert await wrong_for_bad_tokens(walk, state, token) == []


async def test_who_must_change_the_password_gets_no_further(walk: Walk) -> None:
    assert await wrong_before_password_change(walk) == []


async def test_groups_open_what_they_should_and_nothing_else(walk: Walk) -> None:
    assert await wrong_for_roles(walk) == []


async def test_another_domains_objects_are_not_there(walk: Walk) -> None:
    paths = {route.path for route in walk.control.parts.routes if "{" in route.path}
    assert paths <= set(walk.real), "an object for every path of access"
    assert "/cckm/azure/secrets/{id}" in walk.real
    assert await wrong_for_foreigners(walk) == []
    boss = walk.admins[walk.here]  # and all of them are still there, for their own domain's admin
    for path, segments in walk.real.items():
        if any(route.method == "GET" and route.path == path for route in walk.control.routing.routes):
            shown = path
            for name, value in segments.items():
                shown = shown.replace("{" + name + "}", quoted(value))
            await boss.ask("GET", shown, expect=200)


async def test_a_container_opens_what_it_gives(walk: Walk) -> None:
    viewer = await walk.person(walk.here, "Key Users")
    vault = walk.real["/cckm/azure/vaults/{id}"]["id"]
    views = {route.permission.view for route in walk.control.routing.routes} - {""}
    entry = AclEntry(user_id=viewer, actions=sorted(views))
    await walk.control.store.write(lambda tx: change_acls(tx, walk.here, vault, [entry], views))
    assert await wrong_in_containers(walk, viewer) == []


async def test_the_walk_notices_a_gate_that_is_open(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claviger.cckm.access.gate.permits", lambda permission, caller: None)
    assert await wrong_for_roles(walk)
    assert await wrong_before_password_change(walk)
