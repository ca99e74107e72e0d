"""Synchronisation of real OCI vaults: what was done behind our back is found, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest
from oci.key_management import models

from tests.cloud_jobs import DRIFT
from tests.desk import execute
from tests.oci_plane import KEYS, OciDesk, OciManaged
from tests.oci_synchronizing import (
    JOBS,
    differences,
    drifts,
    ended,
    key_records,
    start,
    stored,
    synchronized,
    versions_of,
)

HEADER = {"id", "uri", "account", "application", "devAccount", "createdAt", "updatedAt"}
RSA = models.KeyShape(algorithm="RSA", length=256)
ECDSA = models.KeyShape(algorithm="ECDSA", length=32, curve_id="NIST_P256")


def record_of(desk: OciDesk, vault: OciManaged, key: Any) -> Any:
    """The record of a key of OCI."""
    return key_records(desk, vault)[key.id]


def test_a_vault_that_was_never_read_is_recorded_whole(oci_desk: OciDesk) -> None:
    desk, vault = oci_desk, oci_desk.vault()
    plain = vault.made_in_oci("plain", freeform_tags={"a": "b"}, protection_mode="SOFTWARE")
    vault.sdk.create_key_version(plain.id)
    signs = vault.made_in_oci("signs", key_shape=ECDSA, protection_mode="SOFTWARE")
    elsewhere = vault.made_in_oci("elsewhere", compartment_id=desk.compartment("team-a"))
    leaving = vault.made_in_oci("leaving")
    vault.sdk.schedule_key_deletion(leaving.id, models.ScheduleKeyDeletionDetails())
    job = start(desk.admin, vault)
    assert job.keys() >= HEADER
    assert job["uri"].startswith("kylo:kylo:cckm:synchronize:")
    assert (job["cloud"], job["abort"], job["synchronize_all"]) == ("oci", False, False)
    assert job["vaults"] == [vault.id]
    name = vault.record["display_name"]
    assert job["detailed_status"] == {name: "in_progress"}
    job = ended(desk.admin, job)
    assert (job["overall_status"], job["detailed_status"]) == ("completed", {name: "completed"})
    assert job["completed_at"] >= job["createdAt"]
    told = job["progress"]
    assert (told["vaults_done"], told["vaults_total"], told["keys_done"], told["added"]) == (1, 1, 4, 4)
    assert (told["failed_items"], told["brake"]) == ([], [])
    [outcome] = job["outcomes"]
    assert (outcome["cckm_vault_id"], outcome["message"], outcome["keys"]) == (vault.id, "", 4)
    assert differences(desk, vault) == []
    records = key_records(desk, vault)
    assert {each["key_material_origin"] for each in records.values()} == {"native"}
    assert records[elsewhere.id]["compartment_name"] == "team-a"
    [version] = versions_of(desk, records[signs.id])
    assert "BEGIN PUBLIC KEY" in version[-1]
    assert len(versions_of(desk, records[plain.id])) == 2
    assert drifts(desk.admin, vault) == []  # nothing was known, so nothing has drifted
    assert desk.act(records[leaving.id], "cancel-deletion")


def test_a_second_run_over_an_unchanged_vault_writes_nothing(oci_desk: OciDesk) -> None:
    desk, vault = oci_desk, oci_desk.vault()
    for number in range(8):
        vault.made_in_oci(f"k-{number}", freeform_tags={"z": "1", "a": str(number)})
    vault.made_in_oci("rsa", key_shape=RSA, protection_mode="SOFTWARE")
    ours = desk.made(vault, freeform_tags={"x": "y", "b": "c"})
    desk.settled(desk.act(ours, "disable"))
    leaving = desk.made(vault)
    desk.settled(desk.act(leaving, "schedule-deletion", {"days": 9}))
    synchronized(desk.admin, vault)
    before = stored(desk, vault)
    revision = f"SELECT updated_at, display_name FROM cckm_oci_vaults WHERE id = '{vault.id}'"
    was = execute(desk.server, revision)
    job = synchronized(desk.admin, vault)
    told = job["progress"]
    assert [told[name] for name in ("keys_done", "added", "changed", "gone", "left")] == [11, 0, 0, 0, 0]
    assert stored(desk, vault) == before
    assert execute(desk.server, revision) == was
    assert differences(desk, vault) == []
    assert drifts(desk.admin, vault) == []


def test_what_was_changed_behind_our_back_is_found_and_listed_as_drift(oci_desk: OciDesk) -> None:
    desk, vault = oci_desk, oci_desk.vault()
    kept, changed, rotated, moved = (desk.made(vault, f"drift-{n}", freeform_tags={"a": "b"}) for n in range(4))
    old = vault.in_oci(rotated).current_key_version
    desk.admin.accept("POST", f"{KEYS}/{rotated['id']}/refresh")
    synchronized(desk.admin, vault)
    sdk = vault.sdk
    ocid = changed["oci_params"]["key_id"]
    sdk.update_key(ocid, models.UpdateKeyDetails(display_name="other", freeform_tags={"a": "c"}))
    sdk.disable_key(ocid)
    newest = sdk.create_key_version(rotated["oci_params"]["key_id"]).data.id
    target = models.ChangeKeyCompartmentDetails(compartment_id=desk.compartment("staging"))
    sdk.change_key_compartment(moved["oci_params"]["key_id"], target)
    found = vault.made_in_oci("made-there")
    job = synchronized(desk.admin, vault)
    assert [job["progress"][name] for name in ("added", "changed", "gone")] == [1, 3, 0]
    assert differences(desk, vault) == []
    told = {each["key_name"]: each for each in drifts(desk.admin, vault)}
    assert {name: each["kind"] for name, each in told.items()} == {
        "other": "different",
        "drift-2": "different",
        "drift-3": "different",
        "made-there": "new",
    }
    assert told["other"]["fields"] == {
        "display_name": {"was": "drift-1", "now": "other"},
        "freeform_tags": {"was": {"a": "b"}, "now": {"a": "c"}},
        "lifecycle_state": {"was": "ENABLED", "now": "DISABLED"},
    }
    assert told["drift-2"]["fields"] == {
        "current_key_version": {"was": old, "now": newest},
        "versions": {"was": 1, "now": 2},
    }
    assert told["other"]["cckm_key_id"] == changed["id"]
    assert (told["other"]["cloud"], told["other"]["cckm_vault_id"]) == ("oci", vault.id)
    assert "secret_name" not in told["other"]
    assert record_of(desk, vault, found)["key_material_origin"] == "native"
    assert [each["key_name"] for each in drifts(desk.admin, vault, key_name="MADE*")] == ["made-there"]
    assert drifts(desk.admin, vault, cloud="azure") == []
    assert kept["oci_params"]["display_name"] not in told
    before = stored(desk, vault)
    synchronized(desk.admin, vault)
    assert stored(desk, vault) == before
    assert {each["id"] for each in drifts(desk.admin, vault)} == {each["id"] for each in told.values()}


def test_drift_goes_when_all_is_as_it_was_or_somebody_deals_with_it(oci_desk: OciDesk) -> None:
    desk, vault = oci_desk, oci_desk.vault()
    back, dealt, twice = (desk.made(vault, f"back-{number}") for number in range(3))
    synchronized(desk.admin, vault)
    for record in (back, dealt, twice):
        vault.sdk.disable_key(record["oci_params"]["key_id"])
    synchronized(desk.admin, vault)
    since = {each["key_name"]: each["since"] for each in drifts(desk.admin, vault)}
    assert len(since) == 3
    vault.sdk.enable_key(back["oci_params"]["key_id"])
    vault.sdk.enable_key(twice["oci_params"]["key_id"])
    vault.sdk.update_key(twice["oci_params"]["key_id"], models.UpdateKeyDetails(freeform_tags={"q": "r"}))
    desk.settled(desk.act(dealt, "enable"))
    synchronized(desk.admin, vault)
    [left] = drifts(desk.admin, vault)
    assert (left["key_name"], left["since"]) == ("back-2", since["back-2"])
    assert left["fields"] == {"freeform_tags": {"was": {}, "now": {"q": "r"}}}


def test_a_version_that_somebody_deletes_is_told_of(oci_desk: OciDesk) -> None:
    desk, vault = oci_desk, oci_desk.vault()
    key = vault.made_in_oci("versions")
    old = key.current_key_version
    vault.sdk.create_key_version(key.id)
    synchronized(desk.admin, vault)
    vault.sdk.schedule_key_version_deletion(key.id, old, models.ScheduleKeyVersionDeletionDetails())
    synchronized(desk.admin, vault)
    [found] = drifts(desk.admin, vault)
    states = {"was": {old: "ENABLED"}, "now": {old: "PENDING_DELETION"}}
    assert found["fields"] == {"version_states": states}
    vault.sdk.cancel_key_version_deletion(key.id, old)
    synchronized(desk.admin, vault)
    assert drifts(desk.admin, vault) == []
    assert differences(desk, vault) == []


def test_all_vaults_and_names_in_every_form(oci_desk: OciDesk) -> None:
    desk, vault = oci_desk, oci_desk.vault()
    for named in (vault.id, vault.ocid, vault.record["display_name"]):
        job = synchronized(desk.admin, vaults=[named, vault.id])
        assert job["vaults"] == [vault.id]
    listed = desk.admin.accept("GET", JOBS, query={"vaults": vault.record["display_name"]})
    assert listed["total"] == 3
    query = {"vaults": vault.id, "overall_status": "failed"}
    assert desk.admin.accept("GET", JOBS, query=query)["total"] == 0
    assert desk.admin.accept("GET", JOBS, query={"id": job["id"]})["resources"][0]["id"] == job["id"]
    assert "outcomes" not in listed["resources"][0]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"vaults": [], "synchronize_all": False}, 400),
        ({"vaults": ["a"], "synchronize_all": True}, 400),
        ({"vaults": "a"}, 400),
        ({"vaults": [1]}, 400),
        ({"vaults": ["no-such-vault"]}, 404),
        ({"vaults": ["x" * 5000]}, 404),
        ({"vaults": ["a"] * 1001}, 400),
        ({"synchronize_all": "yes"}, 400),
    ],
)
def test_bad_requests_are_refused(oci_desk: OciDesk, body: Any, status: int) -> None:
    before = oci_desk.admin.accept("GET", JOBS)["total"]
    oci_desk.admin.refuse("POST", JOBS, body, status=status)
    assert oci_desk.admin.accept("GET", JOBS)["total"] == before


def test_lists_refuse_what_they_do_not_know(oci_desk: OciDesk) -> None:
    admin = oci_desk.admin
    admin.refuse("GET", JOBS, status=400, query={"overall_status": "running"})
    admin.refuse("GET", JOBS, status=400, query={"sort": "nothing"})
    admin.refuse("GET", DRIFT, status=400, query={"cloud": "aws"})
    for odd in ("%", "_", "\\", "!", "'"):
        assert admin.accept("GET", DRIFT, query={"key_name": odd})["resources"] == []
    for order in ("key_name", "-cloud", "kind", "since"):
        admin.accept("GET", DRIFT, query={"sort": order})
    admin.refuse("GET", f"{JOBS}/nobody", status=404)
    admin.refuse("POST", f"{JOBS}/nobody/cancel", status=404)


def test_only_who_may_synchronize_a_vault_does(oci_desk: OciDesk) -> None:
    desk = oci_desk
    mine, seen, hidden = desk.vault(), desk.vault(), desk.vault()
    for vault in (mine, seen, hidden):
        vault.made_in_oci("k")
    user, user_id = desk.user("CCKM Users")
    user.refuse("POST", JOBS, {"synchronize_all": True}, status=403)
    desk.permit(mine, user_id, "view", "keysynchronize")
    desk.permit(seen, user_id, "view")
    user.refuse("POST", JOBS, {"vaults": [seen.id]}, status=403, part="keysynchronize")
    user.refuse("POST", JOBS, {"vaults": [mine.id, seen.id]}, status=403)
    user.refuse("POST", JOBS, {"vaults": [hidden.id]}, status=404)
    job = synchronized(user, synchronize_all=True)
    assert job["vaults"] == [mine.id]
    assert stored(desk, hidden) == stored(desk, seen) == []
    whole = synchronized(desk.admin, mine, seen, hidden)
    shown = user.accept("GET", f"{JOBS}/{whole['id']}")
    assert shown["vaults"] == [mine.id, seen.id]
    theirs = synchronized(desk.admin, hidden)
    user.refuse("GET", f"{JOBS}/{theirs['id']}", status=404)
    user.refuse("POST", f"{JOBS}/{theirs['id']}/cancel", status=404)
    user.refuse("POST", f"{JOBS}/{whole['id']}/cancel", status=403)
    for vault in (mine, hidden):
        vault.made_in_oci("new")
    synchronized(desk.admin, mine, hidden)
    assert {each["cckm_vault_id"] for each in user.accept("GET", DRIFT)["resources"]} == {mine.id}
    assert user.accept("GET", DRIFT, query={"vault": hidden.id})["total"] == 0


def test_the_scheduler_synchronizes_oci(oci_desk: OciDesk) -> None:
    desk, vault = oci_desk, oci_desk.vault()
    vault.made_in_oci("k")
    body = {
        "name": "nightly oci",
        "operation": "cckm_synchronization",
        "run_at": "0 0 29 2 *",
        "cckm_synchronization_params": {"cloud_name": "oci", "oci_vaults": [vault.id]},
    }
    config = desk.admin.accept("POST", "/scheduler/job-configs", body, 201)
    params = {"cloud_name": "oci", "oci_vaults": [vault.id]}
    assert config["job_config_params"] == {**params, "synchronize_all": False, "take_cloud_key_backup": False}
    job = desk.admin.accept("POST", f"/scheduler/job-configs/{config['id']}/run-now", status=201)
    done = ended(desk.admin, {"id": job["synchronization_id"]})
    assert (done["overall_status"], done["vaults"]) == ("completed", [vault.id])
    assert differences(desk, vault) == []
    for wrong in (
        {"cloud_name": "oci", "key_vaults": [vault.id]},
        {"cloud_name": "AzureCloud", "oci_vaults": [vault.id]},
        {"cloud_name": "oci"},
        {"cloud_name": "oci", "oci_vaults": ["nobody"]},
        {"cloud_name": "oci", "oci_vaults": [vault.id], "synchronize_all": True},
    ):
        asked = {**body, "cckm_synchronization_params": wrong}
        desk.admin.refuse("POST", "/scheduler/job-configs", asked, status=400)
    desk.admin.accept("DELETE", f"/scheduler/job-configs/{config['id']}", status=204)
