"""Four eyes over a real server and its own Azure: nothing reaches the cloud before enough people agree."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError

from claviger.cckm.calls import CCKM_ADMINS
from tests.desk import SECRETS, Desk, Managed, Operator
from tests.vaults import spare_name

APPROVALS = "/claviger/approvals"


@pytest.fixture(scope="module")
def guarded(desk: Desk) -> Managed:
    vault = desk.vault()
    desk.admin.accept("PATCH", f"/cckm/azure/vaults/{vault.id}", {"connection": desk.connection, "protected": True})
    return vault


@pytest.fixture(scope="module")
def ada(desk: Desk) -> Operator:
    return desk.user(CCKM_ADMINS)[0]


def soft_deleted(desk: Desk, vault: Managed) -> Any:
    record = desk.admin.create(spare_name(), vault)
    return desk.admin.act(record, "soft-delete")


def test_a_purge_waits_for_a_second_person(desk: Desk, guarded: Managed, ada: Operator) -> None:
    record, sdk = soft_deleted(desk, guarded), guarded.sdk()
    name = record["secret_name"]
    told = ada.refuse_act(record, "hard-delete", 403, "approval request")
    assert sdk.get_deleted_secret(name).name == name
    assert ada.read(record)["status"] == "SOFT-DELETED"
    (one,) = ada.accept("GET", APPROVALS, query={"object_id": record["id"]})["resources"]
    assert one["id"] in told
    path = f"{APPROVALS}/{one['id']}"
    ada.refuse("POST", f"{path}/approve", status=403)
    desk.admin.accept("POST", f"{path}/approve")
    desk.admin.refuse_act(record, "hard-delete", 403)  # it is not his request
    assert sdk.get_deleted_secret(name).name == name
    assert ada.act(record, "hard-delete")["status"] == "DELETED"
    with pytest.raises(ResourceNotFoundError):
        sdk.get_deleted_secret(name)
    assert ada.accept("GET", path)["state"] == "used"
    restored = ada.act(record, "restore")
    ada.act(restored, "soft-delete")
    ada.refuse_act(record, "hard-delete", 403, "approval request")  # once
    assert sdk.get_deleted_secret(name).name == name


def test_a_change_of_the_record_makes_an_approval_void(desk: Desk, guarded: Managed, ada: Operator) -> None:
    record = soft_deleted(desk, guarded)
    ada.refuse_act(record, "hard-delete", 403)
    (one,) = ada.accept("GET", APPROVALS, query={"object_id": record["id"]})["resources"]
    desk.admin.accept("POST", f"{APPROVALS}/{one['id']}/approve")
    desk.admin.act(record, "recover")
    desk.admin.act(record, "soft-delete")
    ada.refuse_act(record, "hard-delete", 403)
    assert ada.accept("GET", f"{APPROVALS}/{one['id']}")["state"] == "void"
    assert guarded.sdk().get_deleted_secret(record["secret_name"])


def test_what_destroys_nothing_needs_nobody(desk: Desk, guarded: Managed, ada: Operator) -> None:
    record = ada.create(spare_name(), guarded)
    ada.patch(record, tags={"a": "b"})
    ada.act(record, "soft-delete")
    ada.act(record, "recover")
    other = desk.vault()
    free = ada.create(spare_name(), other)
    ada.act(free, "soft-delete")
    assert ada.act(free, "hard-delete")["status"] == "DELETED"


def test_a_plan_changes_nothing_in_azure(desk: Desk, guarded: Managed, ada: Operator) -> None:
    record = ada.create(spare_name(), guarded)
    gone = soft_deleted(desk, guarded)
    before, records = guarded.azure.everything(), ada.records(guarded)
    path = f"/api/v1{SECRETS}"
    making = {"secret_name": spare_name(), "key_vault": guarded.id, "azure_param": {"value": "v"}}
    for asked, effect in (
        ({"method": "POST", "path": path, "body": making}, "azure-secret.create"),
        ({"method": "PATCH", "path": f"{path}/{record['id']}", "body": {"tags": {"x": "y"}}}, "azure-secret.update"),
        ({"method": "POST", "path": f"{path}/{record['id']}/soft-delete"}, "azure-secret.soft-delete"),
        ({"method": "POST", "path": f"{path}/{gone['id']}/hard-delete"}, "azure-secret.hard-delete"),
        ({"method": "POST", "path": f"{path}/{gone['id']}/recover"}, "azure-secret.recover"),
    ):
        told = ada.accept("POST", "/claviger/plan", asked)
        assert [each["effect"] for each in told["effects"]] == [effect], told
        assert told["allowed"] is (effect != "azure-secret.hard-delete")
    assert (guarded.azure.everything(), ada.records(guarded)) == (before, records)
    assert ada.accept("GET", APPROVALS, query={"object_id": gone["id"]})["total"] == 0
    ada.act(record, "soft-delete")  # nothing was left under way
