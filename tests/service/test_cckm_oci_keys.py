"""Keys of OCI through a real server and the official SDK: calls, refusals, lists, rights, four eyes (CCKM, OCI §5)."""

from __future__ import annotations

from typing import Any

import pytest

from claviger.switches.client import Switchboard
from tests.desk import Operator, execute
from tests.oci_plane import KEYS, OciDesk, OciManaged, state_of
from tests.vaults import spare_name

PLAN = "/claviger/plan"
APPROVALS = "/claviger/approvals"


def test_a_key_from_creation_to_a_cancelled_deletion(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    made = oci_desk.create(oci_vault, freeform_tags={"team": "payments"})
    assert state_of(made) == "CREATING"
    assert made["key_material_origin"] == "native"
    key = oci_desk.settled(made, "ENABLED")
    assert key["key_name"] == key["oci_params"]["display_name"]
    assert key["vault_id"] == oci_vault.ocid
    assert key["oci_params"]["freeform_tags"] == {"team": "payments"}
    key = oci_desk.act(key, "disable")
    assert state_of(key) == "DISABLING"
    key = oci_desk.act(key, "schedule-deletion", {"days": 8})  # what passes is looked at before it is decided on
    assert state_of(key) == "SCHEDULING_DELETION"
    assert "time_of_deletion" in key["oci_params"]
    key = oci_desk.settled(key, "PENDING_DELETION")
    assert oci_vault.state(key) == "PENDING_DELETION"
    date = key["oci_params"]["time_of_deletion"]
    oci_desk.refuse_act(key, "schedule-deletion", 409, "PENDING_DELETION", {"days": 20})
    assert oci_desk.refresh(key)["oci_params"]["time_of_deletion"] == date
    key = oci_desk.act(key, "cancel-deletion")
    assert state_of(key) == "CANCELLING_DELETION"
    assert "time_of_deletion" not in key["oci_params"]
    key = oci_desk.settled(key, "DISABLED")
    assert oci_vault.state(key) == "DISABLED"
    assert state_of(oci_desk.act(key, "enable")) == "ENABLING"
    oci_desk.settled(key, "ENABLED")


@pytest.mark.parametrize(
    "shape",
    [
        {"algorithm": "AES", "length": 16, "curve_id": ""},
        {"algorithm": "RSA", "length": 256},
        {"algorithm": "ECDSA", "length": 0, "curve_id": "NIST_P521"},
    ],
)
def test_keys_of_every_shape(oci_desk: OciDesk, oci_vault: OciManaged, shape: dict[str, Any]) -> None:
    key = oci_desk.made(oci_vault, **shape, defined_tags=None, freeform_tags=None, description="not kept")
    params = key["oci_params"]
    assert params["algorithm"] == shape["algorithm"]
    assert params["length"] == (shape["length"] or 66)
    assert params.get("curve_id", "") == shape.get("curve_id", "")
    assert params["defined_tags"] == params["freeform_tags"] == {}
    assert key["oci_params"]["current_key_version"].startswith("ocid1.keyversion.")


def test_names_and_tags_are_changed(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault, freeform_tags={"a": "b", "c": "d"})
    name = spare_name("key")
    path = f"{KEYS}/{key['id']}"
    after = oci_desk.admin.accept("PATCH", path, {"display_name": name, "freeform_tags": {"e": "f"}, "name": None})
    assert after["key_name"] == name
    assert after["oci_params"]["freeform_tags"] == {"e": "f"}
    assert after["updatedAt"] > key["updatedAt"]
    assert oci_vault.in_oci(key).freeform_tags == {"e": "f"}
    assert oci_desk.admin.accept("PATCH", path, {"freeform_tags": {}})["oci_params"]["freeform_tags"] == {}
    same = oci_desk.admin.accept("PATCH", path, {"display_name": None, "freeform_tags": None})
    assert same["key_name"] == name
    oci_desk.admin.refuse("PATCH", path, {"display_name": " "}, status=400, part="display_name")


def test_a_key_moves_to_another_compartment(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    target = oci_desk.compartment("staging")
    after = oci_desk.act(key, "change-compartment", {"compartment_id": target})
    assert after["compartment_name"] == "staging"
    assert after["oci_params"]["compartment_id"] == target
    assert oci_vault.in_oci(key).compartment_id == target
    body = {"compartment_id": target}
    oci_desk.refuse_act(key, "change-compartment", 400, "is where the key is already", body)
    oci_desk.refuse_act(key, "change-compartment", 400, "must be the OCID", {"compartment_id": "staging"})
    stranger = "ocid1.compartment.oc1..aaaaaaaabbbbbbbb"
    told = oci_desk.admin.ask("POST", f"{KEYS}/{key['id']}/change-compartment", {"compartment_id": stranger})
    assert told.status_code in (400, 409), told.text
    assert state_of(oci_desk.refresh(key)) == "ENABLED"


def test_what_happened_in_oci_is_known_after_a_refresh(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    ocid = key["oci_params"]["key_id"]
    oci_vault.sdk.disable_key(ocid)
    version = oci_vault.sdk.list_key_versions(ocid).data
    assert state_of(oci_desk.read(key)) == "ENABLED", "nothing that is read asks OCI"
    after = oci_desk.refresh(key)
    assert state_of(after) == "DISABLED"
    assert after["refreshed_at"] > key["refreshed_at"]
    oci_vault.sdk.enable_key(ocid)
    oci_desk.refuse_act(key, "enable", 409, "IncorrectState")  # OCI's own word
    oci_desk.settled(key, "ENABLED")  # and the record was looked at for it
    newer = oci_vault.sdk.create_key_version(ocid).data
    after = oci_desk.refresh(key)
    assert after["oci_params"]["current_key_version"] == newer.id
    rows = execute(
        oci_desk.server,
        "SELECT n.ocid, n.state FROM cckm_oci_key_versions n JOIN cckm_oci_keys k ON k.num = n.key_num "
        f"WHERE k.id = '{key['id']}'",
    )
    assert {row[0] for row in rows} == {newer.id, *(each.id for each in version)}
    assert {row[1] for row in rows} == {"ENABLED"}


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"algorithm": "DES"}, "algorithm: must be one of"),
        ({"length": 31}, "length: must be one of"),
        ({"protection_mode": "PAPER"}, "protection_mode: must be one of"),
        ({"compartment_id": "production"}, "compartment_id: must be the OCID"),
        ({"name": ""}, "name: is required"),
        ({"name": "x" * 256}, "name: must have"),
        ({"freeform_tags": {"a": 1}}, "freeform_tags"),
        ({"length": "thirty-two"}, "length"),
    ],
)
def test_bad_keys_are_refused_before_oci_is_asked(
    oci_desk: OciDesk, oci_vault: OciManaged, changed: dict[str, Any], part: str
) -> None:
    oci_desk.admin.refuse("POST", KEYS, oci_desk.body(oci_vault) | changed, status=400, part=part)


@pytest.mark.parametrize("days", [6, 31, 0, "soon", 7.5])
def test_bad_days(oci_desk: OciDesk, oci_vault: OciManaged, days: Any) -> None:
    key = oci_desk.made(oci_vault)
    oci_desk.refuse_act(key, "schedule-deletion", 400, "days", {"days": days})
    assert oci_vault.state(key) == "ENABLED"


def test_states_refuse_what_they_must(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    oci_desk.refuse_act(key, "enable", 409, "enable needs it to be DISABLED")
    oci_desk.refuse_act(key, "cancel-deletion", 409, "cancel-deletion needs it to be PENDING_DELETION")
    oci_desk.refuse_act(key, "restore", 400, "restore needs it to be DELETED")
    oci_desk.refuse_act(key, "delete-backup", 400, "schedule its deletion first")
    oci_desk.admin.refuse("DELETE", f"{KEYS}/{key['id']}", status=400, part="remove needs it to be DELETED")
    oci_desk.act(key, "schedule-deletion")
    key = oci_desk.settled(key)
    for action in ("enable", "disable"):
        oci_desk.refuse_act(key, action, 409, "cancel its deletion first")
    oci_desk.admin.refuse("PATCH", f"{KEYS}/{key['id']}", {"display_name": "x"}, status=409, part="PENDING_DELETION")


def test_what_is_not_there(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    nobody = {"id": "3e954908-285b-4b91-bd59-620819392b03"}
    for action in ("enable", "refresh", "schedule-deletion", "restore", "delete-backup"):
        oci_desk.refuse_act(nobody, action, 404, "there is no such key")
    oci_desk.admin.refuse("GET", f"{KEYS}/{nobody['id']}", status=404)
    body = oci_desk.body(oci_vault) | {"vault": "nowhere"}
    oci_desk.admin.refuse("POST", KEYS, body, status=404, part="there is no such vault")


def test_keys_of_a_removed_vault_are_hidden_until_it_is_back(oci_desk: OciDesk) -> None:
    vault = oci_desk.vault()
    key = oci_desk.made(vault)
    oci_desk.admin.accept("DELETE", f"/cckm/oci/vaults/{vault.id}", status=204)
    oci_desk.admin.refuse("GET", f"{KEYS}/{key['id']}", status=404)
    oci_desk.refuse_act(key, "disable", 404)
    assert oci_desk.records(key_id=key["oci_params"]["key_id"]) == []
    oci_desk.manage(vault.ocid)
    assert oci_desk.read(key)["id"] == key["id"]


def test_lists(oci_desk: OciDesk, oci_private_vault: OciManaged) -> None:
    mark = spare_name("listed")
    vault = oci_private_vault
    first = oci_desk.made(vault, f"{mark}-One", protection_mode="HSM")
    second = oci_desk.made(vault, f"{mark}-two", algorithm="ECDSA", length=0, curve_id="NIST_P256")
    third = oci_desk.made(vault, f"{mark}_100%")
    oci_desk.act(third, "schedule-deletion")
    oci_desk.settled(third)

    def ids(**query: Any) -> list[str]:
        return [each["id"] for each in oci_desk.records(**{"key_name": f"{mark}*", **query})]

    everything = [first["id"], second["id"], third["id"]]
    assert ids() == everything
    assert ids(key_name=f"{mark.upper()}-ONE", vault_name=vault.record["display_name"].upper()) == everything[:1]
    assert ids(key_name=f"{mark}-on") == []
    assert ids(sort="-id") == sorted(everything, reverse=True)
    assert ids(key_name=f"{mark}-o*") == everything[:1]
    assert ids(display_name=f"{mark}-two", key_name="") == everything[1:2]
    assert ids(key_name=f"{mark}_*") == everything[2:]
    assert ids(key_name=f"{mark}*0%") == everything[2:]
    assert ids(algorithm="ECDSA", curve_id="NIST_P256") == everything[1:2]
    assert ids(length="32", protection_mode="HSM") == everything[:1]
    assert ids(protection_mode=["HSM", "SOFTWARE"]) == everything
    assert ids(key_id=second["oci_params"]["key_id"]) == everything[1:2]
    assert ids(id=second["id"]) == everything[1:2]
    for vault_filter in ({"vault_id": vault.ocid}, {"vault_id": vault.id}, {"cckm_vault_id": vault.id}):
        assert ids(**vault_filter) == everything
    assert ids(vault_id="elsewhere") == []
    assert ids(vault_name=vault.record["display_name"], tenancy="demo", region="us-ashburn-1") == everything
    assert ids(compartment_name="production", gone="false", key_material_origin="native") == everything
    assert ids(lifecycle_state="PENDING_DELETION") == everything[2:]
    assert ids(gone="true") == ids(job_config_id="x") == ids(length="99999999999999999999") == []
    for name in ("local_hyok_key_id", "linked_state", "blocked", "state", "local_key_store_id"):
        assert ids(**{name: "false"}) == []
    assert ids(sort="-createdAt") == everything[::-1]
    assert ids(sort="time_of_deletion")[0] == ids(sort="-time_of_deletion")[0] == third["id"]
    assert ids(sort="key_name") == [first["id"], second["id"], third["id"]]
    assert ids(sort="updatedAt")[-1] == third["id"]
    assert ids(sort="-name") == [third["id"], second["id"], first["id"]]
    for word in ("region", "key_id", "algorithm", "-length", "linked_state", "blocked", "local_hyok_key_id"):
        assert set(ids(sort=word)) == set(everything), word
    page = oci_desk.admin.accept("GET", KEYS, query={"key_name": f"{mark}*", "skip": 1, "limit": 1})
    assert (page["total"], [each["id"] for each in page["resources"]]) == (3, everything[1:2])
    row = page["resources"][0]
    assert (row["created_at"], row["updated_at"]) == (row["createdAt"], row["updatedAt"])
    oci_desk.admin.refuse("GET", KEYS, status=400, part="gone", query={"gone": "perhaps"})
    oci_desk.admin.refuse("GET", KEYS, status=400, part="sort", query={"sort": "colour"})


ACTIONS = {
    "enable": "keyupdate",
    "disable": "keyupdate",
    "change-compartment": "keyupdate",
    "schedule-deletion": "keydelete",
    "cancel-deletion": "keycanceldelete",
    "restore": "keyrestore",
    "delete-backup": "deletebackup",
    "refresh": "keysynchronize",
}


def test_rights_in_a_vault(oci_desk: OciDesk) -> None:
    vault, other = oci_desk.vault(), oci_desk.vault()
    key = oci_desk.made(vault)
    user, user_id = oci_desk.user("CCKM Users")
    path = f"{KEYS}/{key['id']}"

    def status(method: str, where: str, body: Any = None) -> int:
        return int(user.ask(method, where, body).status_code)

    assert status("GET", path) == status("POST", f"{path}/enable") == status("POST", KEYS, oci_desk.body(vault)) == 404
    assert user.accept("GET", KEYS)["resources"] == []
    oci_desk.permit(vault, user_id, "view")
    assert status("GET", path) == 200
    assert [each["id"] for each in user.accept("GET", KEYS)["resources"]] == [key["id"]]
    for action in ACTIONS:
        assert status("POST", f"{path}/{action}", {"compartment_id": "x"}) == 403, action
    assert status("PATCH", path, {}) == status("DELETE", path) == status("POST", KEYS, oci_desk.body(vault)) == 403
    for action, right in ACTIONS.items():
        oci_desk.permit(vault, user_id, right)
        assert status("POST", f"{path}/{action}", {"compartment_id": "x"}) in (200, 400, 409), action
        oci_desk.permit(vault, user_id, right, permit=False)
    oci_desk.permit(vault, user_id, "keyremove", "keycreate", "keyupdate")
    assert status("DELETE", path) == 400
    assert status("POST", KEYS, oci_desk.body(vault)) == 201
    assert status("POST", KEYS, oci_desk.body(other)) == 404
    user.close()


def plan(desk: OciDesk, method: str, path: str, body: Any = None) -> Any:
    return desk.admin.accept("POST", PLAN, {"method": method, "path": f"/api/v1{path}", "body": body})


def test_plans_tell_and_change_nothing(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    path = f"{KEYS}/{key['id']}"
    told = plan(oci_desk, "POST", f"{path}/schedule-deletion", {"days": 9})
    assert told["allowed"]
    [effect] = told["effects"]
    assert (effect["effect"], effect["undo"]) == ("oci-key.schedule-deletion", "cancel-deletion")
    assert told["undo_until"] == effect["undo_until"]
    assert "no backup is taken" in effect["message"]
    assert told["irreversible"]
    for method, where, body in (
        ("POST", KEYS, oci_desk.body(oci_vault)),
        ("POST", f"{path}/disable", None),
        ("POST", f"{path}/refresh", None),
        ("PATCH", path, {"display_name": "other"}),
        ("POST", f"{path}/change-compartment", {"compartment_id": oci_desk.compartment("staging")}),
    ):
        told = plan(oci_desk, method, where, body)
        assert told["allowed"], told
        assert told["effects"][0]["effect"].startswith("oci-key."), told
    refused = plan(oci_desk, "POST", f"{path}/enable")
    assert (refused["allowed"], refused["refusal"]["status"]) == (False, 409)
    assert oci_desk.read(key) == key
    assert oci_vault.state(key) == "ENABLED"


def test_a_protected_vault_needs_more_people(oci_desk: OciDesk) -> None:
    vault = oci_desk.vault()
    key = oci_desk.made(vault)
    oci_desk.protect(vault)
    told = oci_desk.refuse_act(key, "schedule-deletion", 403, "needs 2 people to agree", {"days": 7})
    assert vault.state(key) == "ENABLED"
    [wanted] = [each for each in open_requests(oci_desk.admin) if each["id"] in told]
    assert wanted["action"] == "schedule-oci-key-deletion"
    other, _ = oci_desk.user("CCKM Admins")
    other.accept("POST", f"{APPROVALS}/{wanted['id']}/approve", {})
    oci_desk.refuse_act(key, "schedule-deletion", 403, "needs 2 people to agree", {"days": 8})  # another call
    assert state_of(oci_desk.act(key, "schedule-deletion", {"days": 7})) == "SCHEDULING_DELETION"
    oci_desk.act(key, "cancel-deletion")  # which needs nobody
    oci_desk.settled(key)
    oci_desk.refuse_act(key, "schedule-deletion", 403, "needs 2 people to agree", {"days": 7})  # once used up
    other.close()


def open_requests(admin: Operator) -> list[Any]:
    return list(admin.accept("GET", APPROVALS, query={"limit": -1})["resources"])


def test_every_change_is_in_the_log(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    key = oci_desk.made(oci_vault)
    oci_desk.act(key, "disable")
    oci_desk.settled(key, "DISABLED")
    oci_desk.refuse_act(key, "cancel-deletion", 409)
    oci_desk.refresh(key)
    query = {"limit": 50, "object_id": key["id"], "service": "cckm"}
    found = oci_desk.admin.accept("GET", "/audit/records", query=query)["resources"]
    told = [
        (each["details"].get("stage", ""), each["success"]) for each in found if "disable" in each["message"].lower()
    ]
    assert sorted(told) == [("begun", True), ("done", True)]
    refused = [each for each in found if not each["success"]]
    assert len(refused) == 1
    assert refused[0]["details"]["status"] == 409
    assert [each for each in found if "refresh" in each["message"].lower() or "Read a key" in each["message"]]
    assert len(found) == 6, "what moves on by itself is no business of the log"


def test_throttling_is_told_in_words_that_clients_know(
    oci_desk: OciDesk, oci_vault: OciManaged, oci_board: Switchboard
) -> None:
    key = oci_desk.made(oci_vault)
    oci_board.fault_add(kind="status", status=429, retry_after_s=77, service="ocikms", operation="DisableKey", count=1)
    answer = oci_desk.admin.ask("POST", f"{KEYS}/{key['id']}/disable")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "77")
    assert "TooManyRequests" in answer.json()["message"]
    assert state_of(oci_desk.act(key, "disable")) == "DISABLING"
