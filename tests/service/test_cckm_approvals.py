"""Four eyes: a protected secret is destroyed when enough different people agree to that very call, and never otherwise.

What is tried mostly is the removal of a deleted secret with its backup, since that needs no cloud. The hard-delete goes
the same way; `test_cckm_approvals_azure.py` tries it against the server's own Azure.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from claviger.audit.log import AuditLog
from claviger.audit.trail import AuditedStore
from claviger.cckm.access.users import records as users
from claviger.cckm.approvals import guarding
from claviger.cckm.assembly import Choices, Ground, Plane
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.calls import CCKM_ADMINS, ROOT_DOMAIN
from tests.approving import APPROVALS, CONNECTIONS, SECRETS, VAULTS, Office, as_body, dump, open_office, user_id_of
from tests.arm import SUBSCRIPTION, TENANT, Arm
from tests.control import ControlClient, domain_with_admin, spare

DAY_S = 86_400
NO_ID = "73524b70-1234-4f92-954b-6312f4567d1a"


@pytest.fixture
async def office(database_url: str, arm: Arm) -> AsyncIterator[Office]:
    async with open_office(database_url, arm) as opened:
        yield opened


@pytest.fixture
async def vault(office: Office) -> Any:
    return await office.vault(protected=True)


@pytest.fixture
async def secret(office: Office, vault: Any) -> SecretRow:
    return await office.secret(vault)


def removal(secret: SecretRow) -> tuple[str, str]:
    return "DELETE", f"{SECRETS}/{secret.id}"


async def ask(office: Office, who: ControlClient, secret: SecretRow, **query: Any) -> str:
    """Tries to remove a protected secret, which is refused; the id of the request for approval that stands then."""
    told = await who.refusal(*removal(secret), expect=403, **query)
    assert await office.is_there(secret)
    pending = await office.requests(who, mine=True, object_id=secret.id)
    (found,) = [one for one in pending if one["id"] in told["message"]]
    return str(found["id"])


async def approve(who: ControlClient, ident: str, expect: int = 200) -> Any:
    return (await who.ask("POST", f"{APPROVALS}/{ident}/approve", expect=expect)).json()


async def goes_through(office: Office, who: ControlClient, secret: SecretRow) -> None:
    await who.accept(*removal(secret))
    assert not await office.is_there(secret)


async def is_refused(office: Office, who: ControlClient, secret: SecretRow, **query: Any) -> Any:
    told = await who.refusal(*removal(secret), expect=403, **query)
    assert await office.is_there(secret)
    return told


# ---------------------------------------------------------------- the way it is meant


async def test_two_people(office: Office, vault: Any, secret: SecretRow) -> None:
    assert (vault["protected"], vault["hard_delete_quorum"]) == (True, 2)
    ident = await ask(office, office.ada, secret)
    shown = await office.bob.accept("GET", f"{APPROVALS}/{ident}")
    assert (shown["state"], shown["quorum"], shown["agreed"], shown["to_approve"]) == ("pending", 2, 1, True)
    assert (shown["method"], shown["path"]) == ("DELETE", f"/api/v1{SECRETS}/{secret.id}")
    assert shown["object"] == {
        "kind": "azure-secret",
        "id": secret.id,
        "name": secret.name,
        "container_id": vault["id"],
        "container": vault["name"],
    }
    assert "nothing brings it back" in shown["message"]
    assert await ask(office, office.ada, secret) == ident  # asking again opens nothing
    approved = await approve(office.bob, ident)
    assert (approved["state"], approved["agreed"], approved["to_approve"]) == ("approved", 2, False)
    assert [vote["agrees"] for vote in approved["votes"]] == [True]
    await goes_through(office, office.ada, secret)
    ended = await office.ada.accept("GET", f"{APPROVALS}/{ident}")
    assert (ended["state"], ended["ended_at"] is not None) == ("used", True)


async def test_three_people(office: Office) -> None:
    vault = await office.vault(hard_delete_quorum=3)
    assert (vault["protected"], vault["hard_delete_quorum"]) == (False, 3)
    secret = await office.secret(vault)
    ident = await ask(office, office.ada, secret)
    assert (await approve(office.bob, ident))["state"] == "pending"
    assert "2 do" in (await is_refused(office, office.ada, secret))["message"]
    assert (await approve(office.admin, ident))["state"] == "approved"
    await goes_through(office, office.ada, secret)


async def test_an_unprotected_vault_needs_nobody_else(office: Office) -> None:
    vault = await office.vault()
    assert (vault["protected"], vault["hard_delete_quorum"]) == (False, None)
    await goes_through(office, office.ada, await office.secret(vault))


async def test_whom_a_vault_lets_purge_may_approve(office: Office, vault: Any, secret: SecretRow) -> None:
    guard, other = await office.person(), await office.person("CCKM Users")
    await office.permit(vault, await user_id_of(guard), "secretview", "secretpurge")
    await office.permit(await office.vault(), await user_id_of(other), "secretview", "secretpurge")
    ident = await ask(office, office.ada, secret)
    await other.ask("GET", f"{APPROVALS}/{ident}", expect=404)
    await approve(other, ident, 404)
    assert await office.requests(other) == []
    assert [one["id"] for one in await office.requests(guard, to_approve=True)] == [ident]
    await approve(guard, ident)
    assert await office.requests(guard, to_approve=True) == []
    await goes_through(office, office.ada, secret)


async def test_lists(office: Office, vault: Any) -> None:
    first, second = [await office.secret(vault) for _ in range(2)]
    one, two = await ask(office, office.ada, first), await ask(office, office.bob, second)
    for query, found in (
        ({}, {one, two}),
        ({"mine": True}, {one}),
        ({"mine": False}, {two}),
        ({"to_approve": True}, {two}),
        ({"to_approve": False}, {one}),
        ({"state": "pending"}, {one, two}),
        ({"state": "approved"}, set()),
        ({"object_id": first.id}, {one}),
        ({"action": "remove-secret"}, {one, two}),
        ({"container_id": vault["id"], "id": two}, {two}),
    ):
        assert {each["id"] for each in await office.requests(office.ada, **query)} == found, query
    await approve(office.bob, one)
    assert [each["id"] for each in await office.requests(state="approved")] == [one]
    for query in ({"state": "open"}, {"mine": "yes"}, {"to_approve": 1}, {"sort": "x"}):
        await office.ada.refusal("GET", APPROVALS, expect=400, **query)
    outsider = await office.person()
    assert await office.requests(outsider) == []


async def test_refused_and_withdrawn(office: Office, secret: SecretRow) -> None:
    ident = await ask(office, office.ada, secret)
    path = f"{APPROVALS}/{ident}"
    for bad in ({}, {"reason": " "}, {"reason": "x" * 1025}, {"reason": 5}):
        await office.bob.refusal("POST", f"{path}/refuse", bad, expect=400)
    await office.ada.refusal("POST", f"{path}/refuse", {"reason": "no"}, expect=403)
    await approve(office.bob, ident)
    told = await office.bob.accept("POST", f"{path}/refuse", {"reason": "still needed"})  # he has thought again
    assert (told["state"], told["reason"], told["agreed"]) == ("refused", "still needed", 1)
    await approve(office.admin, ident, 409)
    again = await ask(office, office.ada, secret)
    assert again != ident
    await office.bob.refusal("DELETE", f"{APPROVALS}/{again}", expect=403)
    await office.ada.accept("DELETE", f"{APPROVALS}/{again}")
    await office.ada.refusal("DELETE", f"{APPROVALS}/{again}", expect=409)
    await approve(office.bob, again, 409)
    assert {one["id"]: one["state"] for one in await office.requests()} == {ident: "refused", again: "withdrawn"}
    for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/approve")):
        await office.ada.refusal(method, f"{APPROVALS}/{NO_ID}{rest}", expect=404)


@pytest.mark.parametrize("quorum", [0, 1, -1, 11, 2.5, "two", True])
async def test_one_person_is_no_quorum(office: Office, quorum: Any) -> None:
    vault = await office.vault()
    body = {"connection": "azure", "hard_delete_quorum": quorum}
    await office.admin.refusal("PATCH", f"{VAULTS}/{vault['id']}", body, expect=400)
    assert (await office.admin.accept("GET", f"{VAULTS}/{vault['id']}"))["hard_delete_quorum"] is None


# ---------------------------------------------------------------- attempts to get around it


async def test_nobody_approves_himself(office: Office, secret: SecretRow) -> None:
    ident = await ask(office, office.ada, secret)
    await approve(office.ada, ident, 403)
    another = office.control.client()
    username = (await office.ada.accept("GET", "/auth/self/user"))["username"]
    await another.sign_in(username)  # another session, another token, the same person
    assert another.token != office.ada.token
    await approve(another, ident, 403)
    made = await office.ada.accept("POST", "/auth/clients", {})
    body = {"grant_type": "client_credential", "client_id": made["id"], "client_secret": made["client_secret"]}
    tokens = await office.control.client().accept("POST", "/auth/tokens", body)
    await approve(office.control.client(tokens["jwt"]), ident, 403)
    await is_refused(office, another, secret)
    assert (await office.requests())[0]["agreed"] == 1


async def test_the_groups_of_a_program_make_nobody_an_approver(office: Office, secret: SecretRow) -> None:
    ident = await ask(office, office.ada, secret)
    nobody = await office.person()
    made = await nobody.accept("POST", "/auth/clients", {})
    await office.admin.accept("POST", f"/client-management/groups/CCKM%20Admins/clients/{made['id']}")
    body = {"grant_type": "client_credential", "client_id": made["id"], "client_secret": made["client_secret"]}
    tokens = await office.control.client().accept("POST", "/auth/tokens", body)
    await approve(office.control.client(tokens["jwt"]), ident, 403)
    await is_refused(office, office.ada, secret)


async def test_one_person_has_one_vote(office: Office) -> None:
    secret = await office.secret(await office.vault(hard_delete_quorum=3))
    ident = await ask(office, office.ada, secret)
    await approve(office.bob, ident)
    await approve(office.bob, ident, 409)
    again = office.control.client()
    await again.sign_in((await office.bob.accept("GET", "/auth/self/user"))["username"])
    await approve(again, ident, 409)
    await is_refused(office, office.ada, secret)


async def test_an_approval_is_for_who_has_asked(office: Office, secret: SecretRow) -> None:
    ident = await ask(office, office.ada, secret)
    await approve(office.bob, ident)
    carl = await office.person(CCKM_ADMINS)
    await is_refused(office, carl, secret)
    await is_refused(office, office.bob, secret)
    await goes_through(office, office.ada, secret)


async def test_an_approval_is_for_the_very_call(office: Office, vault: Any, secret: SecretRow) -> None:
    other = await office.secret(vault)
    await approve(office.bob, await ask(office, office.ada, secret))
    await is_refused(office, office.ada, other)
    await is_refused(office, office.ada, secret, wait="1")
    told = await office.ada.refusal("DELETE", f"{SECRETS}/{secret.id}", {"force": True}, expect=403)
    assert len({one["id"] for one in await office.requests(office.ada, object_id=secret.id)}) == 3
    assert "approval request" in told["message"]
    await office.ada.refusal("DELETE", f"{SECRETS}/{secret.id.upper()}", expect=404)
    await office.ada.refusal("DELETE", f"/CCKM/azure/secrets/{secret.id}", expect=404)
    assert await office.is_there(secret)
    await office.ada.accept("DELETE", f"//cckm//azure/secrets/{secret.id}/")  # the same call, written otherwise
    assert not await office.is_there(secret)
    assert await office.is_there(other)


async def test_an_approval_is_used_once(office: Office) -> None:
    """What is done once, and can be asked for again by the same words: the change of a vault."""
    vault = await office.vault(hard_delete_quorum=3)
    path, body = f"{VAULTS}/{vault['id']}", {"connection": "azure", "hard_delete_quorum": 2}
    told = await office.ada.refusal("PATCH", path, body, expect=403)
    (one,) = await office.requests()
    assert one["id"] in told["message"]
    await approve(office.bob, one["id"])
    await approve(office.admin, one["id"])
    assert (await office.ada.accept("PATCH", path, body))["hard_delete_quorum"] == 2
    await office.protect(vault, hard_delete_quorum=3)  # more than before needs nobody
    await office.ada.refusal("PATCH", path, body, expect=403)
    assert (await office.admin.accept("GET", path))["hard_delete_quorum"] == 3


async def test_two_uses_at_once(office: Office, vault: Any) -> None:
    lowering = {"connection": "azure", "protected": False}
    path = f"{VAULTS}/{vault['id']}/remove-vault"
    await office.ada.refusal("POST", path, expect=403)
    await office.ada.refusal("PATCH", f"{VAULTS}/{vault['id']}", lowering, expect=403)
    for one in await office.requests():
        await approve(office.bob, one["id"])
    answers = await asyncio.gather(*(office.ada.ask("POST", path) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [204, *[404] * 7]
    secrets = [await office.secret(await office.vault(protected=True)) for _ in range(3)]
    for secret in secrets:
        await approve(office.bob, await ask(office, office.ada, secret))
        answers = await asyncio.gather(*(office.ada.ask(*removal(secret)) for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [204, 404, 404, 404, 404]
    used = [one for one in await office.requests() if one["state"] == "used"]
    assert len(used) == 1 + len(secrets)


async def test_it_is_not_used_up_by_what_comes_to_nothing(office: Office, secret: SecretRow) -> None:
    """The use of an approval and what it is for are one transaction."""
    ident = await ask(office, office.ada, secret)
    await approve(office.bob, ident)
    subject = "INSERT INTO intents VALUES ('x', 'k', ?, '', '', '', 0, 0, 0, '', 0)"
    row = await office.store.read_one("SELECT id FROM cckm_azure_vaults WHERE num = ?", secret.vault_num)
    assert row is not None
    about = f"azure/{row[0]}/secrets/{secret.name.lower()}"
    await office.store.write(lambda tx: tx.execute(subject, about))
    await office.ada.refusal(*removal(secret), expect=409)  # another operation is under way
    assert (await office.ada.accept("GET", f"{APPROVALS}/{ident}"))["state"] == "approved"
    await office.store.write(lambda tx: tx.execute("DELETE FROM intents"))
    await goes_through(office, office.ada, secret)


async def test_it_lapses(office: Office, secret: SecretRow) -> None:
    ident = await ask(office, office.ada, secret)
    await approve(office.bob, ident)
    # tokens go by the same clock here, so sign in anew
    office.control.clock.advance(DAY_S - 1)
    ada, bob = [await renewed(office, who) for who in (office.ada, office.bob)]
    assert (await ada.accept("GET", f"{APPROVALS}/{ident}"))["state"] == "approved"
    office.control.clock.advance(1)
    assert (await ada.accept("GET", f"{APPROVALS}/{ident}"))["state"] == "lapsed"
    await approve(bob, ident, 409)
    again = await ask(office, ada, secret)
    assert again != ident
    assert (await ada.accept("GET", f"{APPROVALS}/{ident}"))["state"] == "lapsed"
    await approve(bob, again)
    await goes_through(office, ada, secret)


async def renewed(office: Office, who: ControlClient) -> ControlClient:
    """Somebody with a fresh token."""
    fresh = await who.accept(
        "POST",
        "/auth/tokens",
        {
            "grant_type": "refresh_token",
            "refresh_token": who.tokens["refresh_token"],
        },
        token=None,
    )
    return who.as_token(fresh["jwt"])


@pytest.mark.parametrize("how", ["removed", "deleted", "locked out", "acl", "must change"])
async def test_an_approver_who_may_no_more_does_not_count(
    office: Office, vault: Any, secret: SecretRow, how: str
) -> None:
    carl = await office.person(*([CCKM_ADMINS] if how != "acl" else []))
    shown = await user_id_of(carl)
    plain = shown.removeprefix("local|")
    if how == "acl":
        await office.permit(vault, shown, "secretview", "secretpurge")
    await approve(carl, await ask(office, office.ada, secret))
    if how == "removed":
        await office.admin.accept("DELETE", f"/usermgmt/groups/CCKM%20Admins/users/{shown}")
    elif how == "deleted":
        await office.admin.accept("DELETE", f"/usermgmt/users/{shown}")
    elif how == "acl":
        await office.permit(vault, shown, "secretpurge", permit=False)
    elif how == "locked out":
        until = office.control.clock.now() + 60
        await office.store.write(lambda tx: users.set_failures(tx, plain, 0, until))
    else:
        body = {"password_change_required": True}
        await office.admin.accept("PATCH", f"/usermgmt/users/{shown}", body)
    assert "1 do" in (await is_refused(office, office.ada, secret))["message"]


async def test_a_larger_quorum_counts_at_once(office: Office, vault: Any, secret: SecretRow) -> None:
    ident = await ask(office, office.ada, secret)
    await approve(office.bob, ident)
    await office.protect(vault, hard_delete_quorum=3)
    assert "needs 3 people" in (await is_refused(office, office.ada, secret))["message"]
    assert (await office.ada.accept("GET", f"{APPROVALS}/{ident}"))["quorum"] == 3
    await approve(office.admin, ident)
    await goes_through(office, office.ada, secret)


async def test_a_changed_record_makes_it_void(office: Office, secret: SecretRow) -> None:
    ident = await ask(office, office.ada, secret)
    await approve(office.bob, ident)
    await office.touch(secret)
    await approve(office.admin, ident, 409)
    again = await ask(office, office.ada, secret)
    assert again != ident
    assert (await office.ada.accept("GET", f"{APPROVALS}/{ident}"))["state"] == "void"
    await approve(office.bob, again)
    await goes_through(office, office.ada, secret)


async def test_another_connection_makes_it_void(office: Office, vault: Any, secret: SecretRow) -> None:
    await approve(office.bob, await ask(office, office.ada, secret))
    sql = "UPDATE cckm_azure_vaults SET connection_id = 'another' WHERE id = ?"
    await office.store.write(lambda tx: tx.execute(sql, vault["id"]))
    await is_refused(office, office.ada, secret)


async def test_another_domain_sees_nothing(office: Office, secret: SecretRow) -> None:
    ident = await ask(office, office.ada, secret)
    _, boss = await domain_with_admin(office.control, office.admin)
    assert await office.requests(boss) == []
    for method, rest, body in (("GET", "", None), ("POST", "/approve", None), ("POST", "/refuse", {"reason": "x"})):
        await boss.refusal(method, f"{APPROVALS}/{ident}{rest}", body, expect=404)
    await boss.refusal("DELETE", f"{APPROVALS}/{ident}", expect=404)
    await boss.refusal(*removal(secret), expect=404)
    await approve(office.admin, ident)
    await goes_through(office, office.ada, secret)


# ---------------------------------------------------------------- other ways to lose a protected secret


async def test_protection_is_not_taken_off_by_one_person(office: Office, vault: Any) -> None:
    path = f"{VAULTS}/{vault['id']}"
    attempts: list[dict[str, Any]] = [{"protected": False}, {"protected": False, "hard_delete_quorum": 2}]
    for body in attempts:
        await office.ada.refusal("PATCH", path, {"connection": "azure", **body}, expect=403)
    await office.protect(vault, office.ada, hard_delete_quorum=3)
    attempts = [{"hard_delete_quorum": None}, {"hard_delete_quorum": 2}, {"protected": False}]
    for body in attempts:
        await office.ada.refusal("PATCH", path, {"connection": "azure", **body}, expect=403)
    shown = await office.admin.accept("GET", path)
    assert (shown["protected"], shown["hard_delete_quorum"]) == (True, 3)
    listed = (await office.admin.accept("GET", VAULTS, id=vault["id"]))["resources"][0]
    assert listed == shown
    for _ in range(2):  # what asks for no less needs nobody
        await office.protect(vault, office.ada, hard_delete_quorum=3, protected=True)
    await office.protect(vault, office.ada, hard_delete_quorum=4)
    body = {"connection": "azure", "protected": False, "hard_delete_quorum": None}
    told = await office.ada.refusal("PATCH", path, body, expect=403)
    ident = next(one["id"] for one in await office.requests() if one["id"] in told["message"])
    assert "no longer protected" in (await office.bob.accept("GET", f"{APPROVALS}/{ident}"))["message"]
    for who in (office.bob, office.admin, await office.person(CCKM_ADMINS)):
        await approve(who, ident)
    changed = await office.ada.accept("PATCH", path, body)
    assert (changed["protected"], changed["hard_delete_quorum"]) == (False, None)


async def test_a_protected_vault_is_not_removed_by_one_person(office: Office, vault: Any, secret: SecretRow) -> None:
    path = f"{VAULTS}/{vault['id']}/remove-vault"
    await office.ada.refusal("POST", path, expect=403)
    assert await office.is_there(secret)
    (one,) = await office.requests()
    assert (one["action"], one["object"]["kind"]) == ("remove-vault", "azure-vault")
    await approve(office.bob, one["id"])
    later = await office.secret(vault)  # not what was agreed to
    await office.ada.refusal("POST", path, expect=403)
    assert await office.is_there(later)
    fresh = next(each for each in await office.requests() if each["state"] == "pending")
    await approve(office.bob, fresh["id"])
    await office.ada.accept("POST", path)
    assert await office.store.read("SELECT 1 FROM cckm_protections") == []


async def test_without_its_connection_it_is_still_guarded(office: Office, vault: Any, secret: SecretRow) -> None:
    await office.admin.accept("POST", "/connectionmgmt/connections/azure/delete", {"force": True})
    await is_refused(office, office.ada, secret)
    await office.ada.refusal("POST", f"{VAULTS}/{vault['id']}/remove-vault", expect=403)
    assert await office.is_there(secret)


async def test_another_connection_needs_others_too(office: Office, vault: Any) -> None:
    await office.admin.accept("POST", CONNECTIONS, as_body(office.arm, "second"))
    path = f"{VAULTS}/{vault['id']}"
    await office.ada.refusal("PATCH", path, {"connection": "second"}, expect=403)
    assert (await office.admin.accept("GET", path))["connection"] == "azure"
    free = await office.vault()
    assert (await office.ada.accept("PATCH", f"{VAULTS}/{free['id']}", {"connection": "second"}))["connection"]


async def test_where_its_connection_leads_needs_others_too(office: Office, vault: Any) -> None:
    path = f"{CONNECTIONS}/azure"
    for body in ({"management_url": "https://elsewhere.localhost"}, {"key_vault_dns_suffix": "elsewhere.localhost"}):
        await office.admin.refusal("PATCH", path, body, expect=403)
    await office.admin.accept("PATCH", path, {"client_secret": "a new secret", "description": "the same cloud"})
    body = {"key_vault_dns_suffix": "elsewhere.localhost"}
    told = await office.admin.refusal("PATCH", path, body, expect=403)
    (one,) = [each for each in await office.requests(state="pending") if each["id"] in told["message"]]
    assert (one["action"], one["object"]["name"]) == ("change-connection", "azure")
    guard = await office.person()
    await office.permit(vault, await user_id_of(guard), "secretview", "secretpurge")
    await approve(guard, one["id"], 404)  # connections are the admins' own
    await approve(office.ada, one["id"])
    changed = await office.admin.accept("PATCH", path, body)
    assert changed["key_vault_dns_suffix"] == "elsewhere.localhost"
    await office.admin.accept("POST", CONNECTIONS, as_body(office.arm, "free"))
    await office.admin.accept("PATCH", f"{CONNECTIONS}/free", body)


async def test_a_second_record_of_the_same_vault_is_guarded_too(office: Office, vault: Any) -> None:
    """Through a Resource Manager of his own, somebody could have the same vault under another ARM id."""
    other = "2cda5d8b-c825-4976-9999-26022adb76b5"
    office.arm.add_subscription(other, "Second")
    uri = f"https://{vault['azure_name'].upper()}.vault.azure.net"
    for name in (vault["azure_name"].upper(), spare("alias")):
        ident = office.arm.add(name, subscription=other, vaultUri=uri)
        body = {
            "connection": "azure",
            "subscription_id": other,
            "vaults": [{"azure_vault_id": ident, "properties": {"tenantId": TENANT}}],
        }
        twin = (await office.admin.accept("POST", "/cckm/azure/add-vaults", body))["vaults"][0]
        assert not twin["protected"]
        await is_refused(office, office.ada, await office.secret(twin))
    free = await office.vault()
    await goes_through(office, office.ada, await office.secret(free))


async def test_a_soft_delete_without_a_backup_needs_others(office: Office, vault: Any) -> None:
    """What is soft-deleted becomes final by itself; then CCKM's backup is all there is."""
    bare = await office.secret(vault, Status.AVAILABLE, backup=False)
    await office.ada.refusal("POST", f"{SECRETS}/{bare.id}/soft-delete", expect=403)
    asked = {
        "method": "POST",
        "path": f"/api/v1{SECRETS}/{(await office.secret(vault, Status.AVAILABLE)).id}/soft-delete",
    }
    told = await office.ada.accept("POST", "/claviger/plan", asked)
    assert (told["allowed"], told["approvals"]) == (True, [])


async def test_a_vault_without_soft_delete_is_guarded_where_it_is_final(office: Office, vault: Any) -> None:
    sql = "UPDATE cckm_azure_vaults SET details = ? WHERE id = ?"
    details = (await office.row_of(vault)).details.replace('"enableSoftDelete":true', '"enableSoftDelete":false')
    await office.store.write(lambda tx: tx.execute(sql, details, vault["id"]))
    live = await office.secret(vault, Status.AVAILABLE)
    told = await office.ada.refusal("POST", f"{SECRETS}/{live.id}/soft-delete", expect=403)
    assert "approval request" in told["message"]
    assert await office.is_there(live)


async def test_without_guards_nothing_protected_is_destroyed(office: Office, vault: Any, secret: SecretRow) -> None:
    """Whoever calls the operations from somewhere else, and forgets the guard, is refused."""
    from claviger.cckm.azure.vaults.operations import Vaults
    from claviger.cckm.azure.vaults.removal import Removals

    vaults = Vaults(office.store, office.control.clock, None, Removals(office.store))  # type: ignore[arg-type]
    with pytest.raises(guarding.Wanted):
        await vaults.remove(ROOT_DOMAIN, vault["id"])
    assert await office.is_there(secret)


async def test_a_domain_with_a_protected_vault_stays(office: Office) -> None:
    ident, boss = await domain_with_admin(office.control, office.admin)
    await boss.accept("POST", CONNECTIONS, as_body(office.arm))
    entry = {"azure_vault_id": office.arm.add(spare("vault")), "properties": {"tenantId": TENANT}}
    body = {"connection": "azure", "subscription_id": SUBSCRIPTION, "vaults": [entry]}
    made = await boss.accept("POST", "/cckm/azure/add-vaults", body)
    await boss.accept("PATCH", f"{VAULTS}/{made['id']}", {"connection": "azure", "protected": True})
    await office.admin.refusal("DELETE", f"/domains/{ident}", expect=409)


# ---------------------------------------------------------------- plans, notices, limits


async def test_a_plan_says_what_is_needed_and_opens_nothing(office: Office, vault: Any, secret: SecretRow) -> None:
    asked = {"method": "DELETE", "path": f"/api/v1{SECRETS}/{secret.id}"}
    before = await dump(office.store)
    told = await office.ada.accept("POST", "/claviger/plan", asked)
    assert await dump(office.store) == before
    assert (told["allowed"], told["refusal"]["status"]) == (False, 403)
    (needed,) = told["approvals"]
    assert (needed["quorum"], needed["agreed"], needed["given"], needed["approval_id"]) == (2, 1, False, None)
    assert told["effects"][0]["effect"] == "azure-secret.remove"
    ident = await ask(office, office.ada, secret)
    await approve(office.bob, ident)
    before = await dump(office.store)
    told = await office.ada.accept("POST", "/claviger/plan", asked)
    assert await dump(office.store) == before
    (needed,) = told["approvals"]
    assert (told["allowed"], needed["given"], needed["approval_id"]) == (True, True, ident)
    assert (await office.bob.accept("POST", "/claviger/plan", asked))["allowed"] is False  # his would be another
    await goes_through(office, office.ada, secret)


async def test_a_notice_tells_that_approval_is_wanted(office: Office, secret: SecretRow) -> None:
    subscription = {"url": "https://hooks.localhost/x", "types": ["approval-wanted"]}
    await office.admin.accept("POST", "/claviger/notices/subscriptions", subscription)
    ident = await ask(office, office.ada, secret)
    await ask(office, office.ada, secret)
    (told,) = (await office.admin.accept("GET", "/claviger/notices/deliveries"))["resources"]
    assert (told["type"], told["data"]["approval_id"], told["data"]["name"]) == (
        "approval-wanted",
        ident,
        secret.name,
    )
    assert told["data"]["action"] == "remove-secret"


async def test_requests_that_stand_open_are_bounded(
    office: Office, vault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarding, "MOST_OPEN", 2)
    first, second, third = [await office.secret(vault) for _ in range(3)]
    await ask(office, office.ada, first)
    ident = await ask(office, office.ada, second)
    await office.ada.refusal(*removal(third), expect=409)
    await ask(office, office.ada, second)
    await office.ada.accept("DELETE", f"{APPROVALS}/{ident}")
    await ask(office, office.ada, third)


async def test_old_requests_make_room(office: Office, vault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from claviger.cckm.approvals import records

    monkeypatch.setattr(records, "MOST_KEPT", 2)
    ended = []
    for _ in range(3):
        ended.append(await ask(office, office.ada, await office.secret(vault)))
        await office.ada.accept("DELETE", f"{APPROVALS}/{ended[-1]}")
    standing = [await ask(office, office.ada, await office.secret(vault)) for _ in range(3)]
    left = {one["id"] for one in await office.requests()}
    assert left >= set(standing)
    assert not left & set(ended)


# ---------------------------------------------------------------- what the log says of it


async def test_it_is_all_recorded(office: Office, secret: SecretRow) -> None:
    store, control = office.store, office.control
    log = AuditLog(store)
    ground = Ground(
        AuditedStore(store, log), control.keyring, control.notes, control.clock, control.clock, plain=store, log=log
    )
    plane = Plane(ground, Choices("0"), lambda name, status: None)
    app: Any = plane.app
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://control.localhost")
    ada, bob = ControlClient(http, office.ada.token), ControlClient(http, office.bob.token)

    async def told() -> list[tuple[str, int, str | None, str | None]]:
        """Outcome, status, reason and approval of every record since the last look."""
        rows = await store.read("SELECT body FROM audit_records ORDER BY seq")
        await store.write(lambda tx: tx.execute("UPDATE audit_records SET body = ?", b"{}"))
        found = [msgspec.json.decode(row[0]) for row in rows]
        return [
            (one["outcome"], one["status"], one["details"].get("reason"), one["details"].get("approval_id"))
            for one in found
            if one
        ]

    asked = {"method": "DELETE", "path": f"/api/v1{SECRETS}/{secret.id}"}
    assert not (await ada.accept("POST", "/claviger/plan", asked))["allowed"]
    assert await told() == []  # nothing was changed, and nothing refused: it was only thought of
    await ada.refusal(*removal(secret), expect=403)
    (one,) = await office.requests()
    assert await told() == [("refused", 403, "ApprovalNeeded", one["id"])]
    await ada.refusal("POST", f"{APPROVALS}/{one['id']}/approve", expect=403)
    assert await told() == [("refused", 403, "OwnRequest", None)]
    await bob.accept("POST", f"{APPROVALS}/{one['id']}/approve")
    await bob.refusal("POST", f"{APPROVALS}/{one['id']}/approve", expect=409)
    assert await told() == [("granted", 200, None, None), ("refused", 409, "VotedAlready", None)]
    assert (await ada.accept("POST", "/claviger/plan", asked))["allowed"]
    assert await told() == []
    await ada.accept(*removal(secret))
    assert await told() == [("granted", 204, None, one["id"])]
    await http.aclose()
    plane.access.passwords.close()
    await plane.stop()
