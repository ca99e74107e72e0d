"""What is the same for all clouds, of OCI's keys: what is leaving and its undoing, search, notices, approvals."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.desk import Operator
from tests.oci_plane import DAY_S, KEYS, OciDesk, OciManaged, oci_desk_on, state_of
from tests.vaults import spare_name

LEAVING = "/claviger/leaving"
SEARCH = "/claviger/search"
PLAN = "/claviger/plan"
APPROVALS = "/claviger/approvals"
SUBSCRIPTIONS = "/claviger/notices/subscriptions"
DELIVERIES = "/claviger/notices/deliveries"
PATIENCE_S = 60.0


def listed(who: Operator, **query: Any) -> list[Any]:
    return list(who.accept("GET", LEAVING, query={"limit": -1, **query})["resources"])


def searched(who: Operator, query: str) -> list[str]:
    return [each["id"] for each in who.accept("GET", SEARCH, query={"q": query, "limit": -1})["resources"]]


# ---------------------------------------------------------------------- what is leaving


def test_a_key_that_leaves_is_listed_and_kept(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    oci_desk.act(key, "disable")
    oci_desk.settled(key, "DISABLED")
    oci_desk.act(key, "schedule-deletion", {"days": 9})
    leaving = oci_desk.settled(key, "PENDING_DELETION")
    [entry] = listed(oci_desk.admin, key_name=key["key_name"])
    path = f"/api/v1{KEYS}/{key['id']}/cancel-deletion"
    assert entry["undo"] == {
        "operation": "cancel-deletion",
        "method": "POST",
        "path": path,
        "permission": "keycanceldelete",
        "allowed": True,
    }
    assert (entry["uri"], entry["object_kind"], entry["status"]) == (key["uri"], "oci-key", "PENDING_DELETION")
    assert (entry["cckm_vault_id"], entry["vault_name"]) == (oci_vault.id, oci_vault.record["display_name"])
    assert (entry["deleted_by_username"], entry["days_left"]) == ("admin", 8)
    assert entry["becomes_final_at"][:19] == leaving["oci_params"]["time_of_deletion"][:19]
    assert listed(oci_desk.admin, key_name=key["key_name"], object_kind="oci-key-version") == []
    assert listed(oci_desk.admin, key_name=key["key_name"], secret_name="*") != []
    assert all(each["object_kind"] == "azure-secret" for each in listed(oci_desk.admin, secret_name="*"))
    undone = oci_desk.admin.accept("POST", f"{LEAVING}/{key['id']}/undo")
    assert (undone["id"], state_of(undone)) == (key["id"], "CANCELLING_DELETION")
    assert state_of(oci_desk.settled(key)) == "DISABLED"
    assert listed(oci_desk.admin, key_name=key["key_name"]) == []
    oci_desk.admin.refuse("POST", f"{LEAVING}/{key['id']}/undo", status=409, part="PENDING_DELETION")


def test_a_version_that_leaves_is_listed_and_kept(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    first = oci_desk.admin.accept("GET", f"{KEYS}/{key['id']}/versions")["resources"][0]
    made = oci_desk.admin.accept("POST", f"{KEYS}/{key['id']}/versions", {"is_native": True}, 201)
    oci_desk.settled_version(key, made, "ENABLED")
    path = f"{KEYS}/{key['id']}/versions/{first['id']}"
    oci_desk.admin.accept("POST", f"{path}/schedule-deletion", {"days": 7})
    oci_desk.settled_version(key, first, "PENDING_DELETION")
    [entry] = listed(oci_desk.admin, key_name=key["key_name"])
    assert (entry["object_kind"], entry["id"], entry["cckm_key_id"]) == ("oci-key-version", first["id"], key["id"])
    assert entry["version"] == first["oci_key_version_params"]["version_id"]
    assert entry["undo"]["path"] == f"/api/v1{path}/cancel-deletion"
    undone = oci_desk.admin.accept("POST", f"{LEAVING}/{first['id']}/undo")
    assert undone["id"] == first["id"]
    oci_desk.settled_version(key, first, "ENABLED")
    assert listed(oci_desk.admin, key_name=key["key_name"]) == []


def test_rights_to_see_and_to_undo(oci_desk: OciDesk) -> None:
    vault = oci_desk.vault()
    key = oci_desk.made(vault)
    oci_desk.act(key, "schedule-deletion")
    oci_desk.settled(key, "PENDING_DELETION")
    user, user_id = oci_desk.user("CCKM Users")
    undo = f"{LEAVING}/{key['id']}/undo"
    assert (listed(user), searched(user, key["key_name"])) == ([], [])
    user.refuse("POST", undo, status=404)
    oci_desk.permit(vault, user_id, "view")
    [entry] = listed(user)
    assert (entry["id"], entry["undo"]["allowed"]) == (key["id"], False)
    assert searched(user, key["key_name"]) == [key["id"]]
    user.refuse("POST", undo, status=403, part="keycanceldelete")
    oci_desk.permit(vault, user_id, "keycanceldelete")
    assert listed(user)[0]["undo"]["allowed"]
    assert state_of(user.accept("POST", undo)) == "CANCELLING_DELETION"
    refused = oci_desk.admin.accept("GET", f"/audit/records?object_id={key['id']}&success=false")["resources"]
    told = {(each["details"]["kind"], each["details"]["status"]) for each in refused}
    assert told == {("oci-key", 403), ("oci-key", 404)}
    user.close()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def moving(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciDesk]:
    """A desk whose clock may be moved."""
    yield from oci_desk_on(request.param, request, tmp_path_factory.mktemp("moving-everywhere"))


def test_a_deleted_key_is_restored_from_the_list(moving: OciDesk) -> None:
    vault = moving.vault("VIRTUAL_PRIVATE", bucket=True)
    moving.admin.accept("POST", SUBSCRIPTIONS, {"url": "https://localhost:9/", "types": ["near-final-deletion"]}, 201)
    key = moving.made(vault, protection_mode="HSM")
    moving.act(key, "schedule-deletion", {"days": 7})
    moving.settled(key, "PENDING_DELETION")
    moving.board().clock_advance(6.5 * DAY_S)
    until(lambda: [each["data"]["days"] for each in deliveries(moving, key)] == [1])
    moving.board().clock_advance(DAY_S)
    moving.settled(key, "DELETED")
    assert listed(moving.admin, key_name=key["key_name"]) == []
    [entry] = listed(moving.admin, key_name=key["key_name"], kind="restorable")
    assert (entry["undo"]["operation"], entry["undo"]["permission"]) == ("restore", "keyrestore")
    assert (entry["has_backup"], "backup_at" in entry, entry["deleted_by_username"]) == (True, True, "admin")
    assert moving.admin.accept("POST", f"{LEAVING}/{key['id']}/undo", status=204) is None
    moving.settled(key, "ENABLED")
    assert listed(moving.admin, key_name=key["key_name"], kind="restorable") == []


def until(check: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


# ---------------------------------------------------------------------- search


def test_a_key_is_found_by_what_it_is_now(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    word = spare_name("word")
    key = oci_desk.made(oci_vault, freeform_tags={"team": word})
    admin = oci_desk.admin
    for query in (word, f"tag:team={word}", f"{key['key_name']} kind:key algorithm:aes mode:software is:enabled"):
        assert searched(admin, query) == [key["id"]], query
    assert key["id"] in searched(admin, f"vault:{oci_vault.id} state:enabled cloud:oci region:ashburn created<1d")
    other = spare_name("renamed")
    admin.accept("PATCH", f"{KEYS}/{key['id']}", {"display_name": other, "freeform_tags": {}})
    assert (searched(admin, word), searched(admin, other)) == ([], [key["id"]])
    oci_desk.act(key, "schedule-deletion", {"days": 7})
    oci_desk.settled(key, "PENDING_DELETION")
    assert searched(admin, f"{other} final<8d state:pending-deletion") == [key["id"]]
    assert searched(admin, f"{other} final<6d") == searched(admin, f"{other} is:enabled") == []
    [record] = admin.accept("GET", SEARCH, query={"q": other})["resources"]
    assert record == oci_desk.read(key)


# ---------------------------------------------------------------------- notices


def deliveries(desk: OciDesk, record: Any) -> list[Any]:
    """The notices of a record, the oldest first."""
    query = {"object_key": record["id"], "limit": -1, "sort": "createdAt"}
    return list(desk.admin.accept("GET", DELIVERIES, query=query)["resources"])


@pytest.fixture
def heard(oci_desk: OciDesk) -> Iterator[None]:
    """Somebody wants to know everything about keys; nothing reaches him, so that all stays where it can be seen."""
    types = ["deletion-scheduled", "deletion-cancelled", "rotated", "failed-rotation"]
    made = oci_desk.admin.accept("POST", SUBSCRIPTIONS, {"url": "https://localhost:9/", "types": types}, 201)
    yield
    oci_desk.admin.accept("DELETE", f"{SUBSCRIPTIONS}/{made['id']}", status=204)


def test_what_is_done_to_keys_is_told(oci_desk: OciDesk, oci_vault: OciManaged, heard: None) -> None:
    key = oci_desk.made(oci_vault)
    known = {
        "cloud": "oci",
        "id": key["id"],
        "name": key["key_name"],
        "vault": oci_vault.record["display_name"],
        "vault_id": oci_vault.id,
    }
    by = oci_desk.admin.accept("GET", "/auth/self/user")["user_id"].removeprefix("local|")
    made = oci_desk.admin.accept("POST", f"{KEYS}/{key['id']}/versions", {"is_native": True}, 201)
    oci_desk.settled_version(key, made, "ENABLED")
    oci_desk.act(key, "schedule-deletion", {"days": 9})
    leaving = oci_desk.settled(key, "PENDING_DELETION")
    final_at = leaving["oci_params"]["time_of_deletion"][:19] + "Z"
    oci_desk.act(key, "cancel-deletion")
    oci_desk.settled(key)
    told = deliveries(oci_desk, key)
    version = made["oci_key_version_params"]["version_id"]
    assert [(each["type"], each["data"]) for each in told] == [
        ("rotated", {**known, "version": version, "origin": "native", "by": by}),
        ("deletion-scheduled", {**known, "final_at": final_at, "by": by}),
        ("deletion-cancelled", {**known, "by": by}),
    ]
    assert {each["subject"] for each in told} == {key["uri"]}


def test_what_is_done_to_versions_is_told(oci_desk: OciDesk, oci_vault: OciManaged, heard: None) -> None:
    key = oci_desk.made(oci_vault)
    first = oci_desk.admin.accept("GET", f"{KEYS}/{key['id']}/versions")["resources"][0]
    made = oci_desk.admin.accept("POST", f"{KEYS}/{key['id']}/versions", {"is_native": True}, 201)
    oci_desk.settled_version(key, made, "ENABLED")
    path = f"{KEYS}/{key['id']}/versions/{first['id']}"
    oci_desk.admin.accept("POST", f"{path}/schedule-deletion")
    oci_desk.settled_version(key, first, "PENDING_DELETION")
    oci_desk.admin.accept("POST", f"{path}/cancel-deletion")
    oci_desk.settled_version(key, first, "ENABLED")
    told = deliveries(oci_desk, first)
    assert [each["type"] for each in told] == ["deletion-scheduled", "deletion-cancelled"]
    assert {each["subject"] for each in told} == {first["uri"]}
    assert {each["data"]["version"] for each in told} == {first["oci_key_version_params"]["version_id"]}


def test_a_rotation_that_fails_is_told(oci_desk: OciDesk, oci_vault: OciManaged, heard: None) -> None:
    key = oci_desk.made(oci_vault)
    oci_vault.sdk.disable_key(key["oci_params"]["key_id"])  # behind the record's back
    oci_desk.admin.refuse("POST", f"{KEYS}/{key['id']}/versions", {"is_native": True}, status=409)
    [told] = deliveries(oci_desk, key)
    assert (told["type"], told["data"]["name"]) == ("failed-rotation", key["key_name"])
    assert told["data"]["reason"]


# ---------------------------------------------------------------------- approvals


def test_whom_a_vault_lets_delete_may_approve(oci_desk: OciDesk) -> None:
    vault, other = oci_desk.vault(), oci_desk.vault()
    key = oci_desk.made(vault)
    oci_desk.protect(vault)
    guard, guard_id = oci_desk.user("CCKM Users")
    stranger, stranger_id = oci_desk.user("CCKM Users")
    oci_desk.permit(vault, guard_id, "view", "keydelete")
    oci_desk.permit(other, stranger_id, "view", "keydelete")
    oci_desk.permit(vault, stranger_id, "view", "keyupdate")
    told = oci_desk.refuse_act(key, "schedule-deletion", 403, "whoever has keydelete in it")
    ident = re.search(r"approval request ([0-9a-f-]{36})", told)
    assert ident is not None
    path = f"{APPROVALS}/{ident[1]}"
    stranger.refuse("GET", path, status=404)
    stranger.refuse("POST", f"{path}/approve", {}, status=404)
    assert stranger.accept("GET", APPROVALS)["resources"] == []
    [wanted] = guard.accept("GET", APPROVALS, query={"to_approve": "true"})["resources"]
    assert (wanted["id"], wanted["object"]["kind"]) == (ident[1], "oci-key")
    oci_desk.permit(vault, guard_id, "keydelete", permit=False)
    guard.refuse("POST", f"{path}/approve", {}, status=404)
    oci_desk.permit(vault, guard_id, "keydelete")
    assert guard.accept("POST", f"{path}/approve", {})["state"] == "approved"
    oci_desk.permit(vault, guard_id, "keydelete", permit=False)  # whose vote counts no more
    oci_desk.refuse_act(key, "schedule-deletion", 403, "1 do")
    oci_desk.permit(vault, guard_id, "keydelete")
    assert state_of(oci_desk.act(key, "schedule-deletion")) == "SCHEDULING_DELETION"
    guard.close()
    stranger.close()
