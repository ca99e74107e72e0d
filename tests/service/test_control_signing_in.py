"""Signing in, on both databases: by password, refresh token and client; what is refused, locked out and throttled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from claviger.cckm import records as shared
from claviger.cckm.calls import ROOT_DOMAIN
from tests.control import PASSWORD, Control, ControlClient, domain_with_admin, open_control, quoted, spare

OTHER = "another-password-1"


@pytest.fixture
async def control(database_url: str) -> AsyncIterator[Control]:
    async with open_control(database_url) as opened:
        yield opened


@pytest.fixture
async def admin(control: Control) -> ControlClient:
    return await control.signed_in()


async def new_user(admin: ControlClient, **more: Any) -> Any:
    return await admin.accept("POST", "/usermgmt/users", {"username": spare(), "password": PASSWORD, **more})


def sign_in_body(username: str, password: str = PASSWORD, **more: Any) -> dict[str, Any]:
    return {"username": username, "password": password, **more}


async def refused(client: ControlClient, body: Any, expect: int = 401) -> str:
    told = await client.refusal("POST", "/auth/tokens", body, expect=expect)
    assert expect != 401 or (told["code"], told["codeDesc"]) == (5, "NCERRUnauthorizedAccess: Unauthorized access")
    return str(told["message"])


WAYS: list[dict[str, Any]] = [
    {},
    {"grant_type": "password"},
    {"grant_type": "", "domain": "", "auth_domain": "", "connection": ""},
    {"grant_type": None, "domain": None, "labels": ["x"], "cookies": False, "unknown": {"a": 1}},
    {"domain": "root", "auth_domain": "root", "connection": "local_account"},
    {"domain": "ROOT"},
    {"domain": ROOT_DOMAIN, "auth_domain": ROOT_DOMAIN},
    {"auth_domain_path": "/", "auth_domain": "nowhere"},
    {"auth_domain_path": "/root"},
]


async def test_the_ways_that_clients_sign_in(control: Control) -> None:
    for path in ("/auth/tokens", "/auth/tokens/", "//auth//tokens"):
        for more in WAYS:
            told = await control.client().accept("POST", path, sign_in_body("admin", **more), expect=200)
            await control.client(told["jwt"]).ask("GET", "/domain", expect=200)
            assert "password_change_required" not in told
            assert "codeDesc" not in told


async def test_usernames_are_known_in_any_case(control: Control) -> None:
    await control.signed_in("ADMIN")


INCOMPLETE: list[tuple[Any, str]] = [
    ({}, "username"),
    ({"username": "admin"}, "password"),
    ({"password": PASSWORD}, "username"),
    ({"grant_type": "refresh_token"}, "refresh_token"),
    ({"grant_type": "client_credential"}, "client_id"),
    ({"grant_type": "client_credential", "client_id": "x"}, "client_id"),
    ({"grant_type": "magic"}, "grant_type"),
    ({"username": 7, "password": PASSWORD}, "username"),
    ({"username": "admin", "password": 7}, "password"),
    ({"username": "admin", "password": PASSWORD, "connection": "ldap"}, "connection"),
    ({"username": "admin", "password": PASSWORD, "refresh_token_lifetime": "long"}, "refresh_token_lifetime"),
]


async def test_what_is_missing_or_wrong_in_a_sign_in_is_named(control: Control) -> None:
    for body, field in INCOMPLETE:
        message = await refused(control.client(), body, 400)
        assert message.startswith("Validation errors:\n")
        assert f"\n{field}: " in message
        assert PASSWORD not in message


async def test_no_answer_tells_whether_a_user_exists(control: Control) -> None:
    client = control.client()
    names = ["admin", "nobody", "x" * 10_000, "*", "' OR 1=1 --", "%", ROOT_DOMAIN]
    assert len({await refused(client, sign_in_body(name, "wrong password")) for name in names}) == 1


async def test_a_name_that_no_database_can_hold_is_nobodys(control: Control) -> None:
    answer = await control.client().ask("POST", "/auth/tokens", sign_in_body("a\0b", "wrong password"))
    assert answer.status_code in (400, 401)


async def test_a_refused_sign_in_takes_the_same_steps_for_everybody(
    control: Control, admin: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many reads, comparisons with a hash and writes for a user, a locked one, and nobody."""
    steps: list[str] = []
    read_one, write, verify = control.store.read_one, control.store.write, control.passwords.verify

    async def counted_read(*args: Any) -> Any:
        steps.append("read")
        return await read_one(*args)

    async def counted_write(change: Any) -> Any:
        steps.append("write")
        return await write(change)

    async def counted_verify(*args: Any) -> bool:
        steps.append("verify")
        return await verify(*args)

    monkeypatch.setattr(control.store, "read_one", counted_read)
    monkeypatch.setattr(control.store, "write", counted_write)
    monkeypatch.setattr(control.passwords, "verify", counted_verify)
    user = await new_user(admin)
    locked = await new_user(admin)
    client = control.client()
    for _ in range(5):
        await refused(client, sign_in_body(locked["username"], "wrong"))
    taken = {}
    for name in (user["username"], locked["username"], "nobody"):
        steps.clear()
        await refused(client, sign_in_body(name, "wrong"))
        taken[name] = list(steps)
    assert taken[user["username"]] == taken[locked["username"]] == taken["nobody"]
    assert taken["nobody"].count("verify") == 1
    assert taken["nobody"].count("write") == 1
    assert await shared.meta(control.store, "cckm_refused_sign_ins") == "2"  # a write that writes, as a user's own


async def test_five_failures_lock_a_user_out_for_a_minute_then_longer(control: Control, admin: ControlClient) -> None:
    name = (await new_user(admin))["username"]
    client = control.client()
    for _ in range(4):
        wrong = await refused(client, sign_in_body(name, "wrong"))
    await control.signed_in(name)  # the fourth in a row still lets in, and ends the row
    for _ in range(5):
        wrong = await refused(client, sign_in_body(name, "wrong"))
    for lock_s in (60, 120, 240, 480, 960, 1800, 1800):
        assert await refused(client, sign_in_body(name)) == wrong  # the right one, too
        control.clock.advance(lock_s - 0.5)
        assert await refused(client, sign_in_body(name)) == wrong
        control.clock.advance(0.5)
        if lock_s == 1800:
            break
        await refused(client, sign_in_body(name, "wrong"))
    await control.signed_in(name)
    for _ in range(4):
        await refused(client, sign_in_body(name, "wrong"))
    await control.signed_in(name)


async def test_attempts_while_locked_out_do_not_lock_longer(control: Control, admin: ControlClient) -> None:
    name = (await new_user(admin))["username"]
    client = control.client()
    for _ in range(9):
        await refused(client, sign_in_body(name, "wrong"))
    control.clock.advance(60)
    await control.signed_in(name)


async def test_parallel_guesses_count_one_by_one(control: Control, admin: ControlClient) -> None:
    name = (await new_user(admin))["username"]
    clients = [control.client(address=f"198.51.100.{at}") for at in range(12)]
    answers = await asyncio.gather(
        *(client.ask("POST", "/auth/tokens", sign_in_body(name, f"guess {at}")) for at, client in enumerate(clients))
    )
    assert {answer.status_code for answer in answers} == {401}
    me = await admin.accept("GET", "/usermgmt/users", username=name)
    assert me["resources"][0]["failed_logins_count"] == 5
    assert me["resources"][0]["account_lockout_at"]


async def test_parallel_sign_ins_with_the_right_password_all_succeed(control: Control, admin: ControlClient) -> None:
    name = (await new_user(admin))["username"]
    signed_in = await asyncio.gather(*(control.signed_in(name) for _ in range(12)))
    assert len({client.token for client in signed_in}) == 12


async def test_a_restart_forgets_no_lock(database_url: str) -> None:
    async with open_control(database_url) as control:
        admin = await control.signed_in()
        name = (await new_user(admin))["username"]
        for _ in range(5):
            await refused(control.client(), sign_in_body(name, "wrong"))
        clock = control.clock
    async with open_control(database_url, clock) as control:
        await refused(control.client(), sign_in_body(name))
        clock.advance(60)
        await control.signed_in(name)


async def test_an_admin_ends_a_lock(control: Control, admin: ControlClient) -> None:
    user = await new_user(admin)
    for _ in range(5):
        await refused(control.client(), sign_in_body(user["username"], "wrong"))
    after = await admin.accept("PATCH", f"/usermgmt/users/{user['user_id']}", {"failed_logins_count": 0})
    assert (after["failed_logins_count"], after["account_lockout_at"]) == (0, None)
    await control.signed_in(user["username"])


async def test_an_address_that_keeps_failing_has_to_wait(control: Control, admin: ControlClient) -> None:
    client = control.client(address="192.0.2.1")
    for at in range(30):
        await refused(client, sign_in_body(f"nobody-{at}", "wrong"))
    answer = await client.ask("POST", "/auth/tokens", sign_in_body("admin"), expect=429)
    assert answer.headers["retry-after"] == "60"
    await client.ask(
        "PATCH", "/auth/changepw", {"username": "admin", "password": "x", "new_password": OTHER}, expect=429
    )
    await client.ask(
        "POST", "/auth/tokens", {"grant_type": "client_credential", "client_id": "x", "client_secret": "y"}, expect=429
    )
    await control.signed_in()  # from elsewhere
    control.clock.advance(60)
    await client.ask("POST", "/auth/tokens", sign_in_body("admin"), expect=200)


# Domains.


async def test_a_token_acts_in_the_domain_that_was_asked_for(control: Control, admin: ControlClient) -> None:
    name = spare("domain")
    domain_id, boss = await domain_with_admin(control, admin, name)
    me = await boss.accept("GET", "/auth/self/user")
    for text in (name, name.upper(), domain_id):
        again = await control.signed_in(me["username"], domain=text)
        assert (await again.accept("GET", "/domain"))["id"] == domain_id
        assert (await again.accept("GET", "/auth/self/user"))["groups"] == ["admin"]
    home = await control.signed_in(me["username"])
    assert (await home.accept("GET", "/domain"))["id"] == ROOT_DOMAIN
    assert (await home.accept("GET", "/auth/self/user"))["groups"] == []
    found = await home.accept("GET", "/auth/self/domains")
    assert [each["id"] for each in found["resources"]] == [ROOT_DOMAIN, domain_id]
    assert set(found["resources"][0]) == {"id", "name"}


async def test_a_domain_that_is_not_there_or_not_open_is_refused_alike(control: Control, admin: ControlClient) -> None:
    closed, _ = await domain_with_admin(control, admin)
    shut = await refused(control.client(), sign_in_body("admin", domain=closed))
    for domain in ("nowhere", "00000000-0000-0000-0000-000000000001"):
        message = await refused(control.client(), sign_in_body("admin", domain=domain))
        assert message.replace(domain, closed) == shut
        wrong = await refused(control.client(), sign_in_body("admin", "wrong", domain=domain))
        assert wrong == await refused(control.client(), sign_in_body("nobody", "wrong"))


async def test_a_user_who_lives_in_a_domain_signs_in_there(control: Control, admin: ControlClient) -> None:
    name = spare("domain")
    domain_id, boss = await domain_with_admin(control, admin, name)
    user = await new_user(boss)
    assert user["is_domain_user"]
    await control.signed_in(user["username"], domain=name)
    await control.signed_in(user["username"], domain=name, auth_domain=domain_id)
    await control.signed_in(user["username"], domain=name, auth_domain_path=f"/tenant/{name}")
    await refused(control.client(), sign_in_body(user["username"]))
    await refused(control.client(), sign_in_body(user["username"], auth_domain=name))  # root is not open to him
    # A user of the same name in the root domain is another user, and comes first.
    same = await new_user(admin, username=user["username"], password=OTHER)
    await refused(control.client(), sign_in_body(user["username"], domain=name))
    await control.signed_in(user["username"], domain=name, auth_domain=name)
    assert same["user_id"] != user["user_id"]


# Refresh tokens.


async def refreshed(client: ControlClient, token: str, *, renew: bool = False) -> Any:
    body = {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "renew_refresh_token": renew,
        "username": "",
        "password": "",
        "domain": "",
    }
    return await client.accept("POST", "/auth/tokens", body, expect=200)


async def not_refreshed(client: ControlClient, token: str) -> None:
    await refused(client, {"grant_type": "refresh_token", "refresh_token": token})


async def test_a_refresh_token_gives_tokens_of_the_same_session(control: Control, admin: ControlClient) -> None:
    nobody = control.client()
    first = admin.tokens
    control.clock.advance(1000)
    again = await refreshed(nobody, first["refresh_token"])
    assert "refresh_token" not in again
    assert again["refresh_token_id"] == first["refresh_token_id"]
    assert again["client_id"] == first["client_id"]
    assert (first["refresh_token_expires_in"], again["refresh_token_expires_in"]) == (86_400, 85_400)
    await nobody.as_token(again["jwt"]).ask("GET", "/domain", expect=200)
    await refreshed(nobody, first["refresh_token"])
    control.clock.advance(85_400)
    await not_refreshed(nobody, first["refresh_token"])


async def test_a_refresh_token_that_comes_back_after_its_rotation_ends_the_line(
    control: Control, admin: ControlClient
) -> None:
    nobody = control.client()
    stolen = admin.tokens["refresh_token"]
    renewed = await refreshed(nobody, stolen, renew=True)
    assert len(renewed["refresh_token"]) == 64
    assert renewed["refresh_token"] != stolen
    twice = await refreshed(nobody, renewed["refresh_token"], renew=True)
    await nobody.as_token(twice["jwt"]).ask("GET", "/domain", expect=200)
    other = await control.signed_in()
    await not_refreshed(nobody, stolen)
    await not_refreshed(nobody, twice["refresh_token"])
    for token in (admin.token, renewed["jwt"], twice["jwt"]):
        told = await nobody.as_token(token).refusal("GET", "/domain", expect=401)
        assert told["message"] == "Bearer token malformed: it was revoked"
    await other.ask("GET", "/domain", expect=200)


async def test_two_renewals_at_once_are_one_too_many(control: Control, admin: ControlClient) -> None:
    token = admin.tokens["refresh_token"]
    body = {"grant_type": "refresh_token", "refresh_token": token, "renew_refresh_token": True}
    answers = await asyncio.gather(*(control.client().ask("POST", "/auth/tokens", body) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 401]


async def test_an_unused_refresh_token_ends(control: Control) -> None:
    client = await control.signed_in(refresh_token_revoke_unused_in=30, refresh_token_lifetime=120)
    token = client.tokens["refresh_token"]
    assert client.tokens["refresh_token_expires_in"] == 1800
    for _ in range(3):
        control.clock.advance(1799)
        assert (await refreshed(client, token))["refresh_token_expires_in"] in range(1, 1801)
    control.clock.advance(1800)
    await not_refreshed(client, token)
    client = await control.signed_in(refresh_token_revoke_unused_in=30, refresh_token_lifetime=40)
    control.clock.advance(1700)
    assert (await refreshed(client, client.tokens["refresh_token"]))["refresh_token_expires_in"] == 700
    control.clock.advance(700)
    await not_refreshed(client, client.tokens["refresh_token"])


async def test_what_never_was_a_refresh_token(control: Control) -> None:
    for token in ("x", "x" * 64, "ü" * 64, "x" * 65, "x" * 50_000, "a\0" * 32):
        body = {"grant_type": "refresh_token", "refresh_token": token}
        assert (await control.client().ask("POST", "/auth/tokens", body)).status_code in (400, 401)


async def test_refresh_tokens_are_listed_to_their_owner_and_to_admins(control: Control, admin: ControlClient) -> None:
    user = await control.user(admin)
    other = await control.user(admin)
    told = await user.accept("GET", "/auth/tokens")
    assert told["total"] == 1
    one = told["resources"][0]
    assert one["id"] == user.tokens["refresh_token_id"]
    assert user.tokens["refresh_token"] not in str(told)
    assert await user.accept("GET", f"/auth/tokens/{one['id']}") == one
    await other.ask("GET", f"/auth/tokens/{one['id']}", expect=404)
    await other.ask("DELETE", f"/auth/tokens/{one['id']}", expect=404)
    assert (await admin.accept("GET", "/auth/tokens"))["total"] == 3
    assert (await admin.accept("GET", "/auth/tokens", user_id=one["user_id"]))["resources"] == [one]
    paged = await admin.accept("GET", "/auth/tokens", skip=1, limit=1, sort="created_at")
    assert (paged["skip"], paged["limit"], paged["total"], len(paged["resources"])) == (1, 1, 3, 1)
    await admin.ask("DELETE", f"/auth/tokens/{one['id']}", expect=204)
    await not_refreshed(user, user.tokens["refresh_token"])
    await user.ask("GET", "/domain", expect=401)
    await other.ask("GET", "/domain", expect=200)


async def test_a_user_keeps_the_hundred_sessions_that_were_used_last(control: Control, admin: ControlClient) -> None:
    user = await new_user(admin)
    first = await control.signed_in(user["username"])
    for _ in range(100):
        control.clock.advance(0.01)
        last = await control.signed_in(user["username"])
    assert (await last.accept("GET", "/auth/tokens"))["total"] == 100
    await not_refreshed(first, first.tokens["refresh_token"])
    await refreshed(last, last.tokens["refresh_token"])


# The end of sessions.


async def test_logging_out_ends_one_session(control: Control, admin: ControlClient) -> None:
    other = await control.signed_in()
    again = await refreshed(admin, admin.tokens["refresh_token"])
    await admin.ask("POST", "/auth/logout", {}, expect=204)
    await admin.ask("GET", "/domain", expect=401)
    await admin.as_token(again["jwt"]).ask("GET", "/domain", expect=401)
    await not_refreshed(admin, admin.tokens["refresh_token"])
    await other.ask("GET", "/domain", expect=200)


async def test_what_can_be_revoked(control: Control, admin: ControlClient) -> None:
    mine, other, third = [await control.signed_in() for _ in range(3)]
    await admin.ask("POST", "/auth/revoke", {"refresh_token": mine.tokens["refresh_token"]}, expect=204)
    await mine.ask("GET", "/domain", expect=401)
    await not_refreshed(mine, mine.tokens["refresh_token"])
    again = await refreshed(other, other.tokens["refresh_token"])
    await admin.ask("POST", "/auth/revoke", {"jwt": other.token}, expect=204)
    await other.ask("GET", "/domain", expect=401)
    await other.as_token(again["jwt"]).ask("GET", "/domain", expect=200)
    await admin.ask("POST", "/auth/revoke", {"refresh_token_id": third.tokens["refresh_token_id"]}, expect=204)
    await third.ask("GET", "/domain", expect=401)
    await admin.ask("POST", "/auth/revoke", {"refresh_token": "x" * 64, "token": "y"}, expect=204)
    await admin.ask("POST", "/auth/revoke", {}, expect=400)
    await admin.ask("POST", "/auth/revoke", {"refresh_token_id": "nothing"}, expect=404)
    control.clock.advance(10_000)
    later = await control.signed_in()  # what was revoked is forgotten once it would have expired
    row = await control.store.read_one("SELECT COUNT(*) FROM cckm_revoked")
    assert row == (0,)
    await later.ask("GET", "/domain", expect=200)


# Passwords.


async def test_whoever_must_change_the_password_can_do_nothing_else(control: Control, admin: ControlClient) -> None:
    user = await new_user(admin, password_change_required=True)
    path = f"/usermgmt/groups/{quoted('User Admins')}/users/{user['user_id']}"
    await admin.accept("POST", path)
    client = await control.signed_in(user["username"])
    assert client.tokens["password_change_required"] is True
    assert (await refreshed(client, client.tokens["refresh_token"]))["password_change_required"] is True
    for route in ("/domain", "/usermgmt/users", "/auth/tokens"):
        told = await client.refusal("GET", route, expect=403)
        assert "/auth/changepw" in told["message"]
    await client.ask("GET", "/auth/self/user", expect=200)
    await client.ask("GET", "/auth/self/domains", expect=200)
    await client.ask("PATCH", "/auth/changepw", {"password": PASSWORD, "new_password": OTHER}, expect=204)
    await client.ask("GET", "/auth/self/user", expect=401)  # every session ends, this one too
    await not_refreshed(client, client.tokens["refresh_token"])
    await refused(client, sign_in_body(user["username"]))
    again = await control.signed_in(user["username"], OTHER)
    assert "password_change_required" not in again.tokens
    await again.ask("GET", "/usermgmt/users", expect=200)


async def test_a_password_is_changed_without_a_token(control: Control, admin: ControlClient) -> None:
    user = await new_user(admin)
    session = await control.signed_in(user["username"])
    body = {"username": user["username"], "password": PASSWORD, "new_password": OTHER, "auth_domain": ""}
    await control.client().ask("PATCH", "/auth/changepw", body, expect=204)
    await session.ask("GET", "/domain", expect=401)
    await control.signed_in(user["username"], OTHER)
    await admin.ask("GET", "/domain", expect=200)


async def test_a_password_in_a_domain_is_changed_there(control: Control, admin: ControlClient) -> None:
    name = spare("domain")
    _, boss = await domain_with_admin(control, admin, name)
    user = await new_user(boss)
    body = {"username": user["username"], "password": PASSWORD, "new_password": OTHER}
    await control.client().ask("PATCH", "/auth/changepw", body, expect=401)
    await control.client().ask("PATCH", "/auth/changepw", {**body, "auth_domain": name}, expect=204)
    await control.signed_in(user["username"], OTHER, domain=name)
    client = await control.signed_in(user["username"], OTHER, domain=name)
    own = {"password": OTHER, "new_password": PASSWORD}
    await client.ask("PATCH", "/auth/changepw", own, expect=204)


async def test_a_new_password_that_is_refused(control: Control, admin: ControlClient) -> None:
    user = await control.user(admin)
    for new in ("short", PASSWORD, "x" * 257, "", None, 7, "a" * 12):
        told = await user.refusal("PATCH", "/auth/changepw", {"password": PASSWORD, "new_password": new}, expect=400)
        assert "\nnew_password: " in told["message"]
        assert PASSWORD not in told["message"]
    await user.ask("GET", "/domain", expect=200)


async def test_a_wrong_old_password_counts_as_a_failure(control: Control, admin: ControlClient) -> None:
    user = await new_user(admin)
    body = {"username": user["username"], "password": "wrong", "new_password": OTHER}
    for _ in range(5):
        told = await control.client().refusal("PATCH", "/auth/changepw", body, expect=401)
        assert told["code"] == 5
    await refused(control.client(), sign_in_body(user["username"]))
    nobody = {**body, "username": "nobody"}
    assert (await control.client().refusal("PATCH", "/auth/changepw", nobody, expect=401))["message"] == told["message"]


async def test_changing_a_password_takes_a_name_or_a_token_that_holds(control: Control, admin: ControlClient) -> None:
    body = {"password": PASSWORD, "new_password": OTHER}
    for token in (None, "x", admin.token + "x" if admin.token else None):
        told = await admin.as_token(token).refusal("PATCH", "/auth/changepw", body, expect=401)
        assert told["code"] == 1


async def test_a_hash_of_old_parameters_is_renewed_at_sign_in(
    control: Control, admin: ControlClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await new_user(admin)
    before = await control.store.read_one("SELECT password_hash FROM cckm_users WHERE id = ?", user["id"])
    monkeypatch.setattr(control.passwords, "is_outdated", lambda stored: True)
    await control.signed_in(user["username"])
    after = await control.store.read_one("SELECT password_hash FROM cckm_users WHERE id = ?", user["id"])
    assert before != after
    monkeypatch.undo()
    await control.signed_in(user["username"])


# Clients.


async def test_a_client_signs_in_as_its_user(control: Control, admin: ControlClient) -> None:
    user = await control.user(admin, "User Admins")
    made = await user.accept("POST", "/auth/clients", {"name": "pipeline"}, expect=201)
    body = {"grant_type": "client_credential", "client_id": made["client_id"], "client_secret": made["client_secret"]}
    told = await control.client().accept("POST", "/auth/tokens", body, expect=200)
    assert told["client_id"] == made["client_id"]
    assert "refresh_token" not in told
    assert "refresh_token_id" not in told
    program = control.client(told["jwt"])
    assert (await program.accept("GET", "/auth/self/user"))["username"] == (
        await user.accept("GET", "/auth/self/user")
    )["username"]
    await program.ask("GET", "/usermgmt/users", expect=200)
    other = {
        "grant_type": "client_credentials",
        "client_id": made["client_id"],
        "client_credential": made["client_secret"],
    }
    await control.client().ask("POST", "/auth/tokens", other, expect=200)
    for wrong in ({"client_secret": "x"}, {"client_id": ROOT_DOMAIN}, {"client_id": "x" * 5000}):
        assert await refused(control.client(), {**body, **wrong}) == "Wrong client or credential."
    await user.ask("DELETE", f"/auth/clients/{made['id']}", expect=204)
    await program.ask("GET", "/domain", expect=401)
    await refused(control.client(), body)
    await user.ask("GET", "/domain", expect=200)


async def test_a_clients_secret_is_shown_once_and_stored_as_a_hash(control: Control, admin: ControlClient) -> None:
    made = await admin.accept("POST", "/auth/clients", {"name": "x"}, expect=201)
    shown = await admin.accept("GET", f"/auth/clients/{made['id']}")
    assert "client_secret" not in shown
    assert {**shown, "client_secret": made["client_secret"]} == made
    assert (await admin.accept("GET", "/auth/clients"))["resources"] == [shown]
    row = await control.store.read_one("SELECT sha256, details FROM cckm_clients")
    assert row is not None
    assert made["client_secret"] not in str(row)
    assert len(row[0]) == 32


async def test_clients_are_their_users_own(control: Control, admin: ControlClient) -> None:
    user, other = await control.user(admin), await control.user(admin)
    _, boss = await domain_with_admin(control, admin)
    made = await user.accept("POST", "/auth/clients", {})
    for stranger in (other, boss):
        await stranger.ask("GET", f"/auth/clients/{made['id']}", expect=404)
        await stranger.ask("DELETE", f"/auth/clients/{made['id']}", expect=404)
    await admin.ask("GET", f"/auth/clients/{made['id']}", expect=200)
    assert (await other.accept("GET", "/auth/clients"))["total"] == 0
    await user.ask("POST", "/auth/clients", {"name": "x" * 300}, expect=400)


async def test_a_user_has_at_most_fifty_clients(control: Control, admin: ControlClient) -> None:
    user = await control.user(admin)
    for _ in range(50):
        await user.accept("POST", "/auth/clients", {})
    await user.ask("POST", "/auth/clients", {}, expect=409)
    assert (await user.accept("GET", "/auth/clients", limit=-1))["total"] == 50


async def test_a_client_is_in_groups_beside_those_of_its_user(control: Control, admin: ControlClient) -> None:
    user = await control.user(admin)
    made = await user.accept("POST", "/auth/clients", {})
    body = {"grant_type": "client_credential", "client_id": made["client_id"], "client_secret": made["client_secret"]}
    told = await control.client().accept("POST", "/auth/tokens", body)
    program = control.client(told["jwt"])
    await program.ask("GET", "/usermgmt/users", expect=403)
    path = f"/client-management/groups/{quoted('User Admins')}/clients/{made['client_id']}"
    await admin.ask("POST", path, expect=200)
    await program.ask("GET", "/usermgmt/users", expect=200)
    await user.ask("GET", "/usermgmt/users", expect=403)
    found = await admin.accept("GET", "/usermgmt/groups", clients=made["client_id"])
    assert [group["name"] for group in found["resources"]] == ["User Admins"]
    await admin.ask("DELETE", path, expect=204)
    await program.ask("GET", "/usermgmt/users", expect=403)
    await admin.ask("DELETE", path, expect=404)
    helper = await control.user(admin, "User Admins")
    await helper.ask("POST", f"/client-management/groups/admin/clients/{made['client_id']}", expect=403)
    await admin.ask("POST", "/client-management/groups/admin/clients/nothing", expect=404)


async def test_a_client_ends_with_its_user(control: Control, admin: ControlClient) -> None:
    user = await control.user(admin)
    made = await user.accept("POST", "/auth/clients", {})
    body = {"grant_type": "client_credential", "client_id": made["client_id"], "client_secret": made["client_secret"]}
    await admin.accept("DELETE", f"/usermgmt/users/{made['user_id']}")
    await refused(control.client(), body)
