"""Keys of OCI and time: states that pass, dates that come, backups, and the example of the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from oci.key_management import models

from tests.desk import execute
from tests.oci_plane import DAY_S, KEYS, OciDesk, OciManaged, oci_desk_on, state_of
from tests.oci_synchronizing import drifts, synchronized
from tests.service.test_cckm_secrets_seeds import example_of, seed

SETTLE_S = 1.5


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def moving(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciDesk]:
    """A desk whose OCI takes its time, and whose clock may be moved."""
    folder = tmp_path_factory.mktemp("moving-oci")
    yield from oci_desk_on(request.param, request, folder, CLAVIGER_OCI_SETTLE_S=str(SETTLE_S))


@pytest.fixture
def desk(moving: OciDesk) -> Iterator[OciDesk]:
    yield moving
    moving.board().clock_reset()


@pytest.fixture(scope="module")
def private(moving: OciDesk) -> OciManaged:
    return moving.settled_vault("VIRTUAL_PRIVATE", bucket=True)


def versions_of(desk: OciDesk, key: Any) -> list[str]:
    """The states of a key's versions, as they are recorded."""
    sql = "SELECT n.state FROM cckm_oci_key_versions n JOIN cckm_oci_keys k ON k.num = n.key_num WHERE k.id = "
    return [row[0] for row in execute(desk.server, f"{sql}'{key['id']}'")]


def test_a_state_that_lasts_is_shown_until_oci_says_another(desk: OciDesk, private: OciManaged) -> None:
    desk.board().clock_freeze()
    made = desk.create(private)
    assert state_of(made) == state_of(desk.read(made)) == "CREATING"
    assert state_of(desk.refresh(made)) == "CREATING"
    desk.refuse_act(made, "schedule-deletion", 409, "OCI is still at it")
    desk.board().clock_run()
    key = desk.settled(made, "ENABLED")
    desk.awaited(key, lambda _: versions_of(desk, key) == ["ENABLED"])
    desk.board().clock_freeze()
    assert state_of(desk.act(key, "disable")) == "DISABLING"
    desk.refuse_act(key, "enable", 409, "DISABLING")
    desk.board().clock_run()
    desk.settled(key, "DISABLED")


def test_records_move_on_where_the_clock_stands_still_or_goes_back(desk: OciDesk) -> None:
    vault = desk.settled_vault()
    desk.board().clock_advance(20 * DAY_S)
    key = desk.create(vault)
    desk.board().clock_reset()
    assert state_of(desk.settled(key)) == "ENABLED"


def test_the_date_comes(desk: OciDesk) -> None:
    vault = desk.settled_vault()
    key = desk.made(vault)
    desk.act(key, "schedule-deletion", {"days": 10})
    key = desk.settled(key, "PENDING_DELETION")
    desk.board().clock_advance(9 * DAY_S)
    assert state_of(desk.read(key)) == "PENDING_DELETION"
    desk.board().clock_advance(1 * DAY_S + 10)
    key = desk.settled(key, "DELETED")
    assert versions_of(desk, key) == ["DELETED"]
    desk.refuse_act(key, "cancel-deletion", 409, "can only be restored")
    desk.refuse_act(key, "restore", 400, "CCKM holds no backup")
    desk.refuse_act(key, "delete-backup", 400, "CCKM holds no backup")
    desk.admin.accept("DELETE", f"{KEYS}/{key['id']}", status=204)
    desk.admin.refuse("GET", f"{KEYS}/{key['id']}", status=404)
    assert desk.records(id=key["id"]) == []


def test_drift_stays_on_the_list_while_its_key_goes_on_by_itself(desk: OciDesk) -> None:
    vault = desk.settled_vault()
    disabled, ending = desk.made(vault, "disabled"), desk.made(vault, "ending")
    synchronized(desk.admin, vault)
    desk.board().clock_freeze()
    vault.sdk.disable_key(disabled["oci_params"]["key_id"])
    vault.sdk.schedule_key_deletion(ending["oci_params"]["key_id"], models.ScheduleKeyDeletionDetails())
    vault.made_in_oci("new")
    synchronized(desk.admin, vault)
    first = {each["key_name"]: each for each in drifts(desk.admin, vault)}
    assert first["disabled"]["fields"] == {"lifecycle_state": {"was": "ENABLED", "now": "DISABLING"}}
    assert (first["new"]["kind"], first["ending"]["kind"]) == ("new", "different")
    desk.board().clock_run()
    desk.settled({"id": first["disabled"]["cckm_key_id"]}, "DISABLED")
    desk.settled({"id": first["new"]["cckm_key_id"]}, "ENABLED")
    desk.settled(ending, "PENDING_DELETION")
    desk.board().clock_advance(31 * DAY_S)
    gone = desk.settled(ending, "DELETED")
    then = {each["key_name"]: each for each in drifts(desk.admin, vault)}
    assert {name: (each["id"], each["since"]) for name, each in then.items()} == {
        name: (each["id"], each["since"]) for name, each in first.items()
    }
    assert then["disabled"]["fields"] == {"lifecycle_state": {"was": "ENABLED", "now": "DISABLED"}}
    assert then["ending"]["fields"]["lifecycle_state"] == {"was": "ENABLED", "now": "DELETED"}
    desk.settled(desk.act(disabled, "enable"))
    desk.admin.accept("DELETE", f"{KEYS}/{gone['id']}", status=204)
    assert [each["key_name"] for each in drifts(desk.admin, vault)] == ["new"]


def test_a_deleted_key_comes_back_from_the_backup_that_was_taken_first(desk: OciDesk, private: OciManaged) -> None:
    key = desk.made(private, protection_mode="HSM")
    ocid = key["oci_params"]["key_id"]
    private.sdk.create_key_version(ocid)
    key = desk.awaited(desk.refresh(key), lambda _: set(versions_of(desk, key)) == {"ENABLED"})
    plan = {"method": "POST", "path": f"/api/v1{KEYS}/{key['id']}/schedule-deletion"}
    told = desk.admin.accept("POST", "/claviger/plan", plan)["effects"][0]
    assert f"a backup goes to the bucket {desk.bucket()[0]} first" in told["message"]
    assert desk.objects() == []
    pending = desk.act(key, "schedule-deletion")
    assert "backup_at" in pending
    assert desk.objects() == [f"cckm-key-{key['id']}"]
    desk.settled(key, "PENDING_DELETION")
    desk.refuse_act(key, "restore", 400, "cancel-deletion brings it back")
    desk.refuse_act(key, "delete-backup", 400, "wait until it is deleted")
    desk.board().clock_advance(8 * DAY_S)
    desk.settled(key, "DELETED")
    assert desk.act(key, "restore", status=204) is None
    back = desk.settled(key, "ENABLED")
    assert back["oci_params"]["key_id"] == ocid
    assert "time_of_deletion" not in back["oci_params"]
    assert "backup_at" in back
    assert private.state(key) == "ENABLED"
    assert versions_of(desk, key) == ["ENABLED", "ENABLED"]
    desk.act(key, "schedule-deletion")
    desk.settled(key, "PENDING_DELETION")
    desk.board().clock_advance(8 * DAY_S)
    desk.settled(key, "DELETED")
    assert desk.act(key, "delete-backup", status=204) is None
    assert desk.objects() == []
    assert "backup_at" not in desk.read(key)
    desk.refuse_act(key, "restore", 400, "CCKM holds no backup")


def test_a_record_takes_its_backup_with_it(desk: OciDesk, private: OciManaged) -> None:
    key = desk.made(private, protection_mode="HSM")
    desk.act(key, "schedule-deletion")
    desk.settled(key, "PENDING_DELETION")
    desk.board().clock_advance(8 * DAY_S)
    desk.settled(key, "DELETED")
    assert f"cckm-key-{key['id']}" in desk.objects()
    desk.protect(private)
    desk.admin.refuse("DELETE", f"{KEYS}/{key['id']}", status=403, part="needs 2 people to agree")
    desk.refuse_act(key, "delete-backup", 403, "needs 2 people to agree")
    execute(desk.server, f"DELETE FROM cckm_protections WHERE container_id = '{private.id}'")
    desk.admin.accept("DELETE", f"{KEYS}/{key['id']}", status=204)
    assert desk.objects() == []
    assert versions_of(desk, key) == []


def test_without_its_backup_a_deletion_is_not_scheduled(desk: OciDesk) -> None:
    vault = desk.settled_vault("VIRTUAL_PRIVATE")
    name, namespace = desk.new_bucket(), desk.bucket()[1]
    body = {"bucket_name": name, "bucket_namespace": namespace}
    desk.admin.accept("PATCH", f"/cckm/oci/vaults/{vault.id}", body)
    desk.storage_sdk.delete_bucket(namespace, name)
    key = desk.made(vault, protection_mode="HSM")
    desk.refuse_act(key, "schedule-deletion", 409, f"could not be backed up to the bucket {name}")
    assert vault.state(key) == "ENABLED"
    plain = desk.made(vault)  # a SOFTWARE key, which cannot be backed up
    assert "backup_at" not in desk.act(plain, "schedule-deletion")


def test_a_backup_counts_as_gone_only_where_oci_says_that_the_object_is(desk: OciDesk) -> None:
    vault = desk.settled_vault("VIRTUAL_PRIVATE")
    name, namespace = desk.new_bucket(), desk.bucket()[1]
    body = {"bucket_name": name, "bucket_namespace": namespace}
    desk.admin.accept("PATCH", f"/cckm/oci/vaults/{vault.id}", body)
    keys = [desk.made(vault, protection_mode="HSM") for _ in range(2)]
    for key in keys:
        desk.act(key, "schedule-deletion")
        desk.settled(key, "PENDING_DELETION")
    desk.board().clock_advance(8 * DAY_S)
    for key in keys:
        desk.settled(key, "DELETED")
        desk.storage_sdk.delete_object(namespace, name, f"cckm-key-{key['id']}")
    desk.storage_sdk.delete_bucket(namespace, name)
    desk.refuse_act(keys[0], "delete-backup", 403, "BucketNotFound")
    desk.admin.refuse("DELETE", f"{KEYS}/{keys[1]['id']}", status=403, part="BucketNotFound")
    assert all("backup_at" in desk.read(key) for key in keys)
    desk.new_bucket(name)
    desk.act(keys[0], "delete-backup", status=204)
    assert "backup_at" not in desk.read(keys[0])
    desk.admin.accept("DELETE", f"{KEYS}/{keys[1]['id']}", status=204)


# ---------------------------------------------------------------------- the example of the documentation

SHAPES = (
    ("uuid", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    ("time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"),
    ("version", r"ocid1\.keyversion\.oc1\.iad\.[a-z0-9]+\.[a-z0-9]+\.[a-z0-9]{60}"),
    ("key", r"ocid1\.key\.oc1\.iad\.[a-z0-9]+\.[a-z0-9]{60}"),
    ("vault", r"ocid1\.vault\.oc1\.iad\.[a-z0-9]+\.[a-z0-9]{60}"),
    ("compartment", r"ocid1\.(tenancy|compartment)\.oc1\.\.[a-z0-9]{60}"),
    ("uri", r"kylo:kylo:cckm:oci-key:[0-9a-f-]{36}"),
)
SAME = {"account", "key_material_origin", "region", "algorithm", "length", "lifecycle_state", "is_primary"}
OURS = {"application", "devAccount", "created_at", "updated_at", "cloud_name", "key_name", "cckm_vault_id"} | {
    "compartment_name",
    "auto_rotate",
    "labels",
    "gone",
}
"""What the contract wants beside what the page of 2022 prints."""


def shape(value: Any) -> str:
    if not isinstance(value, str):
        return type(value).__name__
    return next((name for name, pattern in SHAPES if re.fullmatch(pattern, value)), "text")


def test_cancelling_the_deletion_of_an_oci_key(desk: OciDesk, private: OciManaged) -> None:
    example = example_of(seed(3))
    key = desk.made(private, compartment_id=desk.tenancy)
    desk.act(key, "schedule-deletion")
    desk.settled(key, "PENDING_DELETION")
    ours = desk.act(key, "cancel-deletion")
    theirs, ours_params = dict(example["oci_params"]), dict(ours["oci_params"])
    assert set(ours) == set(example) | OURS
    assert set(ours_params) == set(theirs)
    for name in set(example) - {"oci_params", "vault_id"}:
        assert shape(ours[name]) == shape(example[name]), name
    for name, value in theirs.items():
        assert shape(ours_params[name]) == shape(value), name
    both = [(ours | ours_params), (example | theirs)]
    assert {name: both[0][name] for name in SAME} == {name: both[1][name] for name in SAME}
    assert ours_params["defined_tags"] == ours_params["freeform_tags"] == {}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ours_params["time_created"])
    assert shape(ours["vault_id"]) == "vault"  # the page shows what clients of today call cckm_vault_id
    assert shape(ours["cckm_vault_id"]) == shape(example["vault_id"]) == "uuid"
    assert ours["updatedAt"] > ours["refreshed_at"]
    desk.settled(key, "ENABLED")
