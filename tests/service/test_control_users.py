"""Users, groups and domains on both databases: every endpoint, filter, field and refusal; and ACLs of containers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from claviger.cckm.access.acls.operations import change_acls, remove_acls, shown_acls
from claviger.cckm.access.acls.wire import AclEntry, AclShown
from claviger.cckm.access.groups.rules import SYSTEM_GROUPS
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.core.errors import Invalid
from tests.control import PASSWORD, Control, ControlClient, domain_with_admin, open_control, quoted, spare

USERS = "/usermgmt/users"
GROUPS = "/usermgmt/groups"
KNOWN = {"view", "secretview", "secretcreate"}


@pytest.fixture
async def control(database_url: str) -> AsyncIterator[Control]:
    async with open_control(database_url) as opened:
        yield opened


@pytest.fixture
async def admin(control: Control) -> ControlClient:
    return await control.signed_in()


async def new_user(admin: ControlClient, username: str | None = None, **more: Any) -> Any:
    body = {"username": username or spare(), "password": PASSWORD, **more}
    return await admin.accept("POST", USERS, body, expect=201)


async def names(client: ControlClient, path: str = USERS, **query: Any) -> list[str]:
    field = "username" if path == USERS else "name"
    return [each[field] for each in (await client.accept("GET", path, **query))["resources"]]


# Users.


async def test_a_user_shows_what_it_was_made_with(control: Control, admin: ControlClient) -> None:
    body = {
        "username": "Ada.Lovelace",
        "password": PASSWORD,
        "name": "Ada Lovelace",
        "email": "ada@example.org",
        "nickname": "Ada",
        "password_change_required": True,
        "login_flags": {"prevent_ui_login": True},
        "app_metadata": {"team": {"a": [1, 2]}},
        "user_metadata": {"k": "v"},
        "is_domain_user": False,
        "connection": "local_account",
        "unknown": 1,
    }
    made = await admin.accept("POST", f"{USERS}/", body, expect=201)
    ident = made["id"]
    assert made == {
        "id": ident,
        "user_id": f"local|{ident}",
        "uri": f"kylo:kylo:usermgmt:users:ada-lovelace-{ident}",
        "account": "kylo:kylo:admin:accounts:kylo",
        "application": "ncryptify:gemalto:admin:apps:kylo",
        "devAccount": "ncryptify:gemalto:admin:accounts:gemalto",
        "createdAt": "2027-01-15T08:00:00.000000Z",
        "updatedAt": "2027-01-15T08:00:00.000000Z",
        "created_at": "2027-01-15T08:00:00.000000Z",
        "updated_at": "2027-01-15T08:00:00.000000Z",
        "username": "Ada.Lovelace",
        "name": "Ada Lovelace",
        "email": "ada@example.org",
        "nickname": "Ada",
        "last_login": None,
        "failed_logins_count": 0,
        "account_lockout_at": None,
        "password_changed_at": "2027-01-15T08:00:00.000000Z",
        "password_change_required": True,
        "is_domain_user": False,
        "auth_domain": ROOT_DOMAIN,
        "login_flags": {"prevent_ui_login": True},
        "app_metadata": {"team": {"a": [1, 2]}},
        "user_metadata": {"k": "v"},
        "groups": [],
    }
    for ident_form in (made["id"], made["user_id"], made["id"].upper(), quoted(made["user_id"])):
        assert await admin.accept("GET", f"{USERS}/{ident_form}") == made


async def test_the_least_that_makes_a_user(control: Control, admin: ControlClient) -> None:
    made = await new_user(admin, "bob", email="", name=None, nickname="", app_metadata={}, user_metadata=None)
    assert (made["name"], made["email"], made["nickname"]) == ("", "", "bob")
    assert "app_metadata" not in made
    assert "user_metadata" not in made


BAD_USERS: list[tuple[dict[str, Any], str]] = [
    ({"username": ""}, "username"),
    ({"username": None}, "username"),
    ({"username": " x"}, "username"),
    ({"username": "a|b"}, "username"),
    ({"username": "x" * 200}, "username"),
    ({"username": ["x"]}, "username"),
    ({"password": ""}, "password"),
    ({"password": "short"}, "password"),
    ({"password": "THE-User-Name", "username": "the-user-name"}, "password"),
    ({"email": "x" * 300}, "email"),
    ({"name": "a\nb"}, "name"),
    ({"app_metadata": []}, "app_metadata"),
    ({"app_metadata": {"x": "y" * 40_000}}, "app_metadata"),
    ({"login_flags": {"prevent_ui_login": "yes"}}, "login_flags.prevent_ui_login"),
    ({"password_change_required": "yes"}, "password_change_required"),
]


async def test_a_user_that_cannot_be_made(control: Control, admin: ControlClient) -> None:
    before = await admin.accept("GET", USERS, limit=-1)
    for changes, field in BAD_USERS:
        told = await admin.refusal("POST", USERS, {"username": "x", "password": PASSWORD, **changes}, expect=400)
        assert told["code"] == 15, changes
        assert told["message"].startswith("Validation errors:\n"), changes
        assert f"\n{field}: " in told["message"], changes
    several = await admin.refusal("POST", USERS, {"username": " ", "password": "x", "name": "\n"}, expect=400)
    assert len(several["message"].splitlines()) == 4
    assert await admin.accept("GET", USERS, limit=-1) == before


async def test_a_username_is_taken_once_in_a_domain(control: Control, admin: ControlClient) -> None:
    await new_user(admin, "Ada")
    for name in ("ada", "ADA"):
        told = await admin.refusal("POST", USERS, {"username": name, "password": PASSWORD}, expect=409)
        assert (told["code"], told["codeDesc"]) == (10, "NCERRConflict: Conflict")
    _, boss = await domain_with_admin(control, admin)
    there = await new_user(boss, "ada")
    other = await new_user(boss, "bea")
    await boss.ask("PATCH", f"{USERS}/{other['id']}", {"username": "ADA"}, expect=409)
    assert (await boss.accept("PATCH", f"{USERS}/{there['id']}", {"username": "ADA"}))["username"] == "ADA"


async def test_a_change_leaves_what_it_does_not_name(control: Control, admin: ControlClient) -> None:
    made = await new_user(admin, "ada", name="Ada", email="a@x", app_metadata={"a": 1, "b": 2}, user_metadata={"u": 1})
    path = f"{USERS}/{made['user_id']}"
    control.clock.advance(10)
    assert await admin.accept("PATCH", path, {}) == {
        **made,
        "updatedAt": "2027-01-15T08:00:10.000000Z",
        "updated_at": "2027-01-15T08:00:10.000000Z",
    }
    after = await admin.accept(
        "PATCH", path, {"email": "b@x", "name": "", "app_metadata": {"a": None, "c": 3}, "nickname": None}
    )
    assert (after["email"], after["name"]) == ("b@x", "Ada")
    assert after["app_metadata"] == {"b": 2, "c": 3}
    assert after["user_metadata"] == {"u": 1}
    flagged = await admin.accept("PATCH", path, {"login_flags": {"prevent_ui_login": True}, "username": "countess"})
    assert flagged["login_flags"] == {"prevent_ui_login": True}
    assert flagged["username"] == "countess"
    await control.signed_in("countess")
    for bad in ({"username": "a|b"}, {"email": "x" * 300}, {"password": "x"}, {"failed_logins_count": 7}):
        await admin.ask("PATCH", path, bad, expect=400)


async def test_a_new_password_ends_the_sessions_of_its_user(control: Control, admin: ControlClient) -> None:
    user = await control.user(admin)
    me = await user.accept("GET", "/auth/self/user")
    await admin.accept(
        "PATCH", f"{USERS}/{me['user_id']}", {"password": "a new password", "password_change_required": True}
    )
    await user.ask("GET", "/domain", expect=401)
    refresh = {"grant_type": "refresh_token", "refresh_token": user.tokens["refresh_token"]}
    await user.ask("POST", "/auth/tokens", refresh, expect=401)
    again = await control.signed_in(me["username"], "a new password")
    assert again.tokens["password_change_required"] is True


async def test_a_user_that_is_not_there(control: Control, admin: ControlClient) -> None:
    for ident in ("nothing", "local|nothing", "7b1d2a0c-5f3e-4d55-9a0f-0c9d8e7f6a5b", "x" * 500):
        for method in ("GET", "PATCH", "DELETE"):
            told = await admin.refusal(method, f"{USERS}/{ident}", {} if method == "PATCH" else None, expect=404)
            assert told["code"] == 16
            assert told["codeDesc"] == "NCERRResourceNotFound: Resource not found"


async def test_users_are_found_by_each_filter(control: Control, admin: ControlClient) -> None:
    ada = await new_user(admin, "Ada", name="Ada Lovelace", email="ada@example.org", password_change_required=True)
    bea = await new_user(admin, "bea", name="Bea_100%", email="BEA@example.com")
    await new_user(admin, "cyd", name="Cyd * Star")
    for user, group in ((ada, "CCKM Users"), (ada, "Key Users"), (bea, "Key Users")):
        await admin.accept("POST", f"{GROUPS}/{quoted(group)}/users/{user['user_id']}")
    assert await names(admin) == ["Ada", "admin", "bea", "cyd"]
    for query, expected in (
        ({"username": "ada"}, ["Ada"]),
        ({"username": "ad*"}, ["Ada", "admin"]),
        ({"username": ["bea", "cyd"]}, ["bea", "cyd"]),
        ({"username": "%"}, []),
        ({"username": "_ea"}, []),
        ({"name": "*love*"}, ["Ada"]),
        ({"name": "Bea_100%"}, ["bea"]),
        ({"name": "Bea*1*"}, ["bea"]),
        ({"name": "Bea\\*"}, []),
        ({"email": "*@EXAMPLE.*"}, ["Ada", "bea"]),
        ({"email": "bea@example.com"}, ["bea"]),
        ({"group": "Key Users"}, ["Ada", "bea"]),
        ({"groups": "CCKM Users"}, ["Ada"]),
        ({"groups": ["CCKM Users", "admin"]}, ["Ada", "admin"]),
        ({"groups": "Key Users", "username": "b*"}, ["bea"]),
        ({"exclude_groups": "Key Users"}, ["admin", "cyd"]),
        ({"user_id": ada["user_id"]}, ["Ada"]),
        ({"user_id": bea["id"]}, ["bea"]),
        ({"user_id": "nothing"}, []),
        ({"password_change_required": "true"}, ["Ada"]),
        ({"password_change_required": "false"}, ["admin", "bea", "cyd"]),
        ({"username": "", "unknown": "x"}, ["Ada", "admin", "bea", "cyd"]),
        ({"sort": "-username"}, ["cyd", "bea", "admin", "Ada"]),
        ({"sort": "-createdAt,-username"}, ["cyd", "bea", "admin", "Ada"]),
        ({"skip": 1, "limit": 2}, ["admin", "bea"]),
        ({"skip": 10}, []),
        ({"limit": -1}, ["Ada", "admin", "bea", "cyd"]),
        ({"limit": 0}, []),
    ):
        found = await admin.accept("GET", USERS, **query)
        assert [each["username"] for each in found["resources"]] == expected, query
        if not {"skip", "limit"} & set(query):
            assert found["total"] == len(expected), query
    shown = await admin.accept("GET", USERS, username="ada", return_groups="true")
    assert shown["resources"][0]["groups"] == ["CCKM Users", "Key Users"]
    assert "groups" not in (await admin.accept("GET", USERS, username="ada"))["resources"][0]
    for query in ({"limit": "x"}, {"skip": -1}, {"sort": "password"}, {"return_groups": "yes"}, {"limit": -2}):
        await admin.ask("GET", USERS, expect=400, **query)


async def test_users_are_seen_where_they_live_and_where_they_are_in_a_group(
    control: Control, admin: ControlClient
) -> None:
    _, boss = await domain_with_admin(control, admin)
    _, other = await domain_with_admin(control, admin)
    me = await boss.accept("GET", "/auth/self/user")
    native = await new_user(boss, "native")
    guest = await new_user(admin, "guest")
    assert await names(boss) == [me["username"], "native"]
    assert "native" not in await names(admin, limit=-1)
    await boss.ask("GET", f"{USERS}/{guest['user_id']}", expect=404)
    await boss.accept("POST", f"{GROUPS}/{quoted('CCKM Users')}/users/{guest['user_id']}")
    assert await names(boss) == [me["username"], "guest", "native"]
    assert (await boss.accept("GET", f"{USERS}/{guest['user_id']}"))["groups"] == ["CCKM Users"]
    assert (await admin.accept("GET", f"{USERS}/{guest['user_id']}"))["groups"] == []
    for method in ("PATCH", "DELETE"):  # a guest is changed at home
        told = await boss.refusal(method, f"{USERS}/{guest['user_id']}", {"name": "x"}, expect=403)
        assert told["code"] == 6
    for stranger in (admin, other):
        for method in ("GET", "PATCH", "DELETE"):
            await stranger.ask(method, f"{USERS}/{native['user_id']}", {"name": "x"}, expect=404)
        await stranger.ask("POST", f"{GROUPS}/{quoted('CCKM Users')}/users/{native['user_id']}", expect=404)


async def test_a_user_admin_leaves_admins_alone(control: Control, admin: ControlClient) -> None:
    helper = await control.user(admin, "User Admins")
    me = await helper.accept("GET", "/auth/self/user")
    chief = await admin.accept("GET", "/auth/self/user")
    _, boss = await domain_with_admin(control, admin)
    away = await boss.accept("GET", "/auth/self/user")  # an admin, if of another domain
    for ident in (chief["user_id"], away["user_id"]):
        for body in ({"password": "a new password"}, {"name": "x"}, {"password_change_required": True}):
            told = await helper.refusal("PATCH", f"{USERS}/{ident}", body, expect=403)
            assert "admin" in told["message"]
        await helper.ask("DELETE", f"{USERS}/{ident}", expect=403)
    for ident in (me["user_id"], chief["user_id"]):
        await helper.ask("POST", f"{GROUPS}/admin/users/{ident}", expect=403)
        await helper.ask("DELETE", f"{GROUPS}/admin/users/{ident}", expect=403)
    other = await new_user(helper)
    await helper.accept("PATCH", f"{USERS}/{other['user_id']}", {"password": "a new password"})
    await helper.accept("POST", f"{GROUPS}/{quoted('CCKM Admins')}/users/{other['user_id']}")
    await helper.ask("DELETE", f"{USERS}/{other['user_id']}", expect=204)
    await control.signed_in()
    await admin.ask("PATCH", f"{USERS}/{away['user_id']}", {"name": "x"}, expect=200)


async def test_the_last_admin_stays(control: Control, admin: ControlClient) -> None:
    chief = await admin.accept("GET", "/auth/self/user")
    assert (
        "nobody deletes himself"
        in (await admin.refusal("DELETE", f"{USERS}/{chief['user_id']}", expect=409))["message"]
    )
    told = await admin.refusal("DELETE", f"{GROUPS}/admin/users/{chief['user_id']}", expect=409)
    assert "last admin" in told["message"]
    second = await control.user(admin, "admin")
    await second.ask("DELETE", f"{GROUPS}/admin/users/{chief['user_id']}", expect=204)
    await admin.ask("GET", USERS, expect=403)
    me = await second.accept("GET", "/auth/self/user")
    await second.ask("DELETE", f"{GROUPS}/admin/users/{me['user_id']}", expect=409)
    await second.ask("DELETE", f"{USERS}/{chief['user_id']}", expect=204)
    domain_id, boss = await domain_with_admin(control, second)
    away = await boss.accept("GET", "/auth/self/user")
    await second.ask("DELETE", f"{USERS}/{away['user_id']}", expect=409)  # the domain would have no admin
    await second.ask("DELETE", f"/domains/{domain_id}", expect=204)
    await second.ask("DELETE", f"{USERS}/{away['user_id']}", expect=204)


async def test_a_deleted_user_leaves_nothing(control: Control, admin: ControlClient) -> None:
    user = await control.user(admin, "CCKM Users")
    me = await user.accept("GET", "/auth/self/user")
    await user.accept("POST", "/auth/clients", {})
    entry = AclEntry(user_id=me["user_id"], actions=["view"])
    await control.store.write(lambda tx: change_acls(tx, ROOT_DOMAIN, "c1", [entry], KNOWN))
    await admin.ask("DELETE", f"{USERS}/{me['user_id']}", expect=204)
    await admin.ask("GET", f"{USERS}/{me['user_id']}", expect=404)
    for table in ("cckm_members", "cckm_refresh_tokens", "cckm_clients"):
        rows = await control.store.read(f"SELECT * FROM {table} WHERE user_id = ?", me["id"])
        assert rows == [], table
    assert await shown_acls(control.store, "c1") == []
    await admin.accept("POST", USERS, {"username": me["username"], "password": PASSWORD}, expect=201)


async def test_a_domain_without_user_management_has_no_users_of_its_own(control: Control, admin: ControlClient) -> None:
    boss = await new_user(admin)
    made = await admin.accept(
        "POST", "/domains", {"name": "guests", "admins": [boss["user_id"]], "allow_user_management": False}
    )
    assert made["allow_user_management"] is False
    client = await control.signed_in(boss["username"], domain="guests")
    told = await client.refusal("POST", USERS, {"username": "x", "password": PASSWORD}, expect=403)
    assert "user management" in told["message"]
    guest = await new_user(admin)
    await client.accept("POST", f"{GROUPS}/{quoted('CCKM Users')}/users/{guest['user_id']}")


# The caller himself.


async def test_what_callers_may_change_of_themselves(control: Control, admin: ControlClient) -> None:
    user = await control.user(admin, "CCKM Users", app_metadata={"a": 1})
    before = await user.accept("GET", "/auth/self/user")
    assert before["groups"] == ["CCKM Users"]
    after = await user.accept(
        "PATCH",
        "/auth/self/user",
        {
            "name": "New",
            "email": "n@x",
            "nickname": "nick",
            "user_metadata": {"k": 1},
            "username": "admin2",
            "app_metadata": {"a": 2},
            "password_change_required": True,
            "login_flags": {"prevent_ui_login": True},
        },
    )
    changed = {"name": "New", "email": "n@x", "nickname": "nick", "user_metadata": {"k": 1}}
    assert {**after, "updatedAt": "", "updated_at": ""} == {**before, **changed, "updatedAt": "", "updated_at": ""}
    told = await user.refusal("PATCH", "/auth/self/user", {"password": "a new password"}, expect=400)
    assert "changepw" in told["message"]
    await user.ask("PATCH", "/auth/self/user", {"name": "x" * 300}, expect=400)


async def test_callers_learn_what_they_may_do(control: Control, admin: ControlClient) -> None:
    user = await control.user(admin, "CCKM Users")
    entry = AclEntry(group="CCKM Users", actions=["secretview"])
    await control.store.write(lambda tx: change_acls(tx, ROOT_DOMAIN, "c1", [entry], KNOWN))
    asked = {"actions": ["secretview", "secretcreate"]}

    async def allowed(client: ControlClient, **more: Any) -> list[bool]:
        told = await client.accept("POST", "/auth/self/permissions", {**asked, **more})
        assert [each["action"] for each in told["permissions"]] == asked["actions"]
        return [each["allowed"] for each in told["permissions"]]

    assert await allowed(user) == [True, False]
    assert await allowed(user, container_id="c1") == [True, False]
    assert await allowed(user, container_id="c2") == [False, False]
    assert await allowed(admin, container_id="c2") == [True, True]
    assert (await user.accept("POST", "/auth/self/permissions", {})) == {"permissions": [], "groups": ["CCKM Users"]}
    await user.ask("POST", "/auth/self/permissions", {"actions": ["x"] * 201}, expect=400)
    await user.ask("POST", "/auth/self/permissions", {"actions": "x"}, expect=400)


# Groups.


async def test_every_domain_has_the_system_groups_and_keeps_them(control: Control, admin: ControlClient) -> None:
    _, boss = await domain_with_admin(control, admin)
    for client in (admin, boss):
        found = await client.accept("GET", GROUPS, limit=-1)
        assert {group["name"] for group in found["resources"]} == set(SYSTEM_GROUPS)
        assert all(group["app_metadata"] == {"system": True} for group in found["resources"])
        for name in SYSTEM_GROUPS:
            await client.ask("DELETE", f"{GROUPS}/{quoted(name)}", expect=409)
            await client.ask("PATCH", f"{GROUPS}/{quoted(name)}", {"name": "other"}, expect=409)
    path = f"{GROUPS}/{quoted('CCKM Users')}"
    same = await admin.accept("PATCH", path, {"name": "CCKM Users", "app_metadata": {"system": None, "x": 1}})
    assert same["app_metadata"] == {"system": True, "x": 1}


async def test_a_groups_whole_life(control: Control, admin: ControlClient) -> None:
    for name in ("Ops", "Ops / Köln 100%", "a+b c", "*", "...", "%2F"):
        await live_through(control, admin, name)


async def live_through(control: Control, admin: ControlClient, name: str) -> None:
    body = {"name": name, "description": "d", "app_metadata": {"system": True, "a": 1}, "client_metadata": {"c": 1}}
    made = await admin.accept("POST", f"{GROUPS}/", body, expect=201)
    assert (made["id"], made["name"], made["description"], made["users_count"]) == (name, name, "d", 0)
    assert (made["app_metadata"], made["client_metadata"]) == ({"a": 1}, {"c": 1})
    assert "user_metadata" not in made
    assert {"uri", "account", "createdAt", "updatedAt", "created_at", "updated_at"} < set(made)
    path = f"{GROUPS}/{quoted(name)}"
    assert await admin.accept("GET", path) == made
    user = await new_user(admin)
    assert (await admin.accept("POST", f"{path}/users/{user['user_id']}"))["users_count"] == 1
    assert (await admin.accept("POST", f"{path}/users/{user['id']}"))["users_count"] == 1
    entry = AclEntry(group=name, actions=["view"])
    await control.store.write(lambda tx: change_acls(tx, ROOT_DOMAIN, "c1", [entry], KNOWN))
    after = await admin.accept("PATCH", path, {"description": "e", "name": "renamed", "app_metadata": {"b": 2}})
    assert (after["name"], after["description"], after["users_count"]) == ("renamed", "e", 1)
    assert after["app_metadata"] == {"a": 1, "b": 2}
    assert await shown_acls(control.store, "c1") == [AclShown(group="renamed", actions=["view"])]
    await admin.ask("GET", path, expect=404)
    assert (await admin.accept("GET", f"{USERS}/{user['id']}"))["groups"] == ["renamed"]
    await admin.ask("DELETE", f"{GROUPS}/renamed/users/{user['id']}", expect=204)
    await admin.ask("DELETE", f"{GROUPS}/renamed/users/{user['id']}", expect=404)
    await admin.accept("POST", f"{GROUPS}/renamed/users/{user['id']}")
    await admin.ask("DELETE", f"{GROUPS}/renamed", {"force": True}, expect=204)
    await admin.ask("DELETE", f"{GROUPS}/renamed", expect=404)
    assert await shown_acls(control.store, "c1") == []
    assert (await admin.accept("GET", f"{USERS}/{user['id']}"))["groups"] == []


async def test_groups_that_cannot_be_made_or_found(control: Control, admin: ControlClient) -> None:
    for body in ({}, {"name": ""}, {"name": " x"}, {"name": "x" * 200}, {"name": 7}, {"name": "a\tb"}, {"name": ".."}):
        assert "\nname: " in (await admin.refusal("POST", GROUPS, body, expect=400))["message"]
    await admin.ask("POST", GROUPS, {"name": "x", "description": "d" * 2000}, expect=400)
    await admin.ask("POST", GROUPS, {"name": "admin"}, expect=409)
    await admin.accept("POST", GROUPS, {"name": "Admin"}, expect=201)  # names of groups are exact
    await admin.ask("PATCH", f"{GROUPS}/Admin", {"name": "admin"}, expect=409)
    for method in ("GET", "PATCH", "DELETE"):
        await admin.ask(method, f"{GROUPS}/nothing", {}, expect=404)
    me = await admin.accept("GET", "/auth/self/user")
    await admin.ask("POST", f"{GROUPS}/nothing/users/{me['user_id']}", expect=404)
    for ident in ("nothing", "7b1d2a0c-5f3e-4d55-9a0f-0c9d8e7f6a5b"):
        await admin.ask("POST", f"{GROUPS}/Admin/users/{ident}", expect=404)


async def test_groups_are_found_by_each_filter(control: Control, admin: ControlClient) -> None:
    user = await new_user(admin)
    for group in ("CCKM Users", "Key Users"):
        await admin.accept("POST", f"{GROUPS}/{quoted(group)}/users/{user['user_id']}")
    assert await names(admin, GROUPS, name="CCKM*") == ["CCKM Admins", "CCKM Users"]
    assert await names(admin, GROUPS, name="key users") == ["Key Users"]
    assert await names(admin, GROUPS, users=user["user_id"]) == ["CCKM Users", "Key Users"]
    assert await names(admin, GROUPS, users=user["user_id"], name="Key*") == ["Key Users"]
    assert await names(admin, GROUPS, users="nothing") == []
    assert await names(admin, GROUPS, clients="nothing") == []
    assert await names(admin, GROUPS, sort="-users_count,name", limit=3) == ["admin", "CCKM Users", "Key Users"]
    await admin.ask("GET", GROUPS, sort="colour", expect=400)


# Domains.


async def test_a_domains_whole_life(control: Control, admin: ControlClient) -> None:
    chief = await admin.accept("GET", "/auth/self/user")
    made = await admin.accept(
        "POST", "/domains", {"name": "Shop", "admins": ["ADMIN"], "meta": {"a": 1}, "parent_ca_id": ""}, expect=201
    )
    assert made["admins"] == ["ADMIN"]
    assert made["account"] == f"kylo:kylo:admin:accounts:{made['id']}"
    assert made["allow_user_management"] is True
    assert "parent_ca_id" not in made
    for text in (made["id"], "Shop", "shop"):
        assert await admin.accept("GET", f"/domains/{text}") == made
    after = await admin.accept(
        "PATCH", f"/domains/{made['id']}", {"name": "Shop", "meta": {"a": None, "b": 2}, "hsm_connection_id": "h"}
    )
    assert (after["meta"], after["hsm_connection_id"]) == ({"b": 2}, "h")
    told = await admin.refusal("PATCH", f"/domains/{made['id']}", {"name": "Other"}, expect=400)
    assert "\nname: " in told["message"]
    inside = await control.signed_in(domain="shop")
    assert (await inside.accept("GET", "/domain"))["id"] == made["id"]
    assert (await inside.accept("GET", "/auth/self/user"))["user_id"] == chief["user_id"]
    native = await new_user(inside)
    told = await admin.refusal("DELETE", f"/domains/{made['id']}", expect=409)
    assert "1 users" in told["message"]
    await inside.ask("DELETE", f"{USERS}/{native['id']}", expect=204)
    await admin.ask("DELETE", f"/domains/{made['id']}", expect=204)
    await admin.ask("GET", f"/domains/{made['id']}", expect=404)
    await admin.ask("DELETE", f"/domains/{made['id']}", expect=404)
    await admin.accept("POST", "/domains", {"name": "Shop"}, expect=201)


async def test_domains_that_cannot_be_made_or_deleted(control: Control, admin: ControlClient) -> None:
    await admin.accept("POST", "/domains", {"name": "Shop"}, expect=201)
    _, boss = await domain_with_admin(control, admin)
    native = await new_user(boss)
    for body, field in (
        ({}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": ROOT_DOMAIN}, "name"),
        ({"name": "x", "admins": ["nobody"]}, "admins[0]"),
        ({"name": "x", "admins": ["admin", native["user_id"]]}, "admins[1]"),
        ({"name": "x", "admins": "admin"}, "admins"),
        ({"name": "x", "admins": ["admin"] * 101}, "admins"),
        ({"name": "x", "parent_ca_id": "y" * 300}, "parent_ca_id"),
    ):
        assert f"\n{field}: " in (await admin.refusal("POST", "/domains", body, expect=400))["message"], body
    for name in ("shop", "ROOT"):
        await admin.ask("POST", "/domains", {"name": name}, expect=409)
    await admin.ask("DELETE", f"/domains/{ROOT_DOMAIN}", expect=409)
    assert (await admin.accept("GET", "/domains"))["total"] == 3


async def test_a_domain_with_a_connection_or_a_vault_stays(control: Control, admin: ControlClient) -> None:
    domain_id, _ = await domain_with_admin(control, admin)
    await control.store.write(
        lambda tx: tx.execute(
            "INSERT INTO cckm_connections (id, domain_id, service, name, cloud_name, details, revision, created_at, "
            "updated_at) VALUES ('c', ?, 'azure', 'c', 'AzureCloud', '{}', 1, 0, 0)",
            domain_id,
        )
    )
    told = await admin.refusal("DELETE", f"/domains/{domain_id}", expect=409)
    assert "1 connections" in told["message"]


async def test_only_the_root_domains_admins_rule_domains(control: Control, admin: ControlClient) -> None:
    domain_id, boss = await domain_with_admin(control, admin)
    user = await control.user(admin)
    own = await boss.accept("GET", "/domain")
    assert own["id"] == domain_id
    assert (await boss.accept("GET", "/domains"))["resources"] == [own]
    assert (await user.accept("GET", "/domains"))["total"] == 1
    assert (await admin.accept("GET", "/domains", name="dom*"))["resources"] == [own]
    await boss.ask("GET", f"/domains/{ROOT_DOMAIN}", expect=404)
    await user.ask("GET", f"/domains/{domain_id}", expect=404)
    await boss.ask("POST", "/domains", {"name": "x"}, expect=403)
    await boss.ask("PATCH", f"/domains/{domain_id}", {"meta": {"a": 1}}, expect=403)
    await boss.ask("DELETE", f"/domains/{domain_id}", expect=403)
    await boss.ask("DELETE", f"/domains/{ROOT_DOMAIN}", expect=404)
    await user.ask("POST", "/domains", {"name": "x"}, expect=403)


# ACLs of containers.


async def test_an_acl_is_changed_step_by_step(control: Control, admin: ControlClient) -> None:
    user = await new_user(admin)
    me = user["user_id"]

    async def change(*entries: AclEntry) -> list[AclShown]:
        await control.store.write(lambda tx: change_acls(tx, ROOT_DOMAIN, "c1", entries, KNOWN))
        return await shown_acls(control.store, "c1")

    assert await change(AclEntry(user_id=me, actions=["secretview"])) == [AclShown(user_id=me, actions=["secretview"])]
    assert await change(
        AclEntry(user_id=user["id"], actions=["view"]), AclEntry(group="CCKM Users", actions=["secretcreate"])
    ) == [
        AclShown(group="CCKM Users", actions=["secretcreate"]),
        AclShown(user_id=me, actions=["secretview", "view"]),
    ]
    assert await change(AclEntry(group="CCKM Users", permit=False, actions=["secretcreate", "view"])) == [
        AclShown(user_id=me, actions=["secretview", "view"])
    ]
    await change(AclEntry(group="gone", permit=False, actions=["view"]))
    assert await shown_acls(control.store, "c2") == []
    await control.store.write(lambda tx: remove_acls(tx, "c1"))
    assert await shown_acls(control.store, "c1") == []


async def test_an_acl_names_only_whom_its_domain_has(control: Control, admin: ControlClient) -> None:
    _, boss = await domain_with_admin(control, admin)
    native = await new_user(boss)
    good = AclEntry(group="admin", actions=["view"])
    for entry in (
        AclEntry(group="nothing", actions=["view"]),
        AclEntry(user_id="7b1d2a0c-5f3e-4d55-9a0f-0c9d8e7f6a5b", actions=["view"]),
        AclEntry(user_id=native["user_id"], actions=["view"]),
    ):
        with pytest.raises(Invalid, match="acls"):
            await control.store.write(lambda tx, entry=entry: change_acls(tx, ROOT_DOMAIN, "c1", [good, entry], KNOWN))
    assert await shown_acls(control.store, "c1") == []


async def test_a_group_of_the_same_name_elsewhere_has_no_part_in_an_acl(control: Control, admin: ControlClient) -> None:
    domain_id, boss = await domain_with_admin(control, admin)
    for client in (admin, boss):
        await client.accept("POST", GROUPS, {"name": "ops"})
    entry = AclEntry(group="ops", actions=["view"])
    for domain, container in ((ROOT_DOMAIN, "c1"), (domain_id, "c2")):
        await control.store.write(
            lambda tx, domain=domain, container=container: change_acls(tx, domain, container, [entry], KNOWN)
        )
    await admin.ask("DELETE", f"{GROUPS}/ops", expect=204)
    assert await shown_acls(control.store, "c1") == []
    assert await shown_acls(control.store, "c2") == [AclShown(group="ops", actions=["view"])]
