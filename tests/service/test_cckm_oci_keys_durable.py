"""Keys of OCI while things go wrong: the server ends in the middle, OCI does not answer, somebody else is quicker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from claviger.switches.client import Switchboard
from tests.agreeing import finished, open_intents, until
from tests.cutting import Wire
from tests.desk import execute, still, struck
from tests.oci_agreeing import left_over
from tests.oci_plane import KEYS, OciDesk, OciManaged, rough_oci_desk_on, state_of
from tests.vaults import spare_name

SOON_S = 60.0
LEASED_S = 60.0  # who looks at a key has it for longer than this; others wait for less
LATE_S = 120.0  # what has no token is not sent again before half a minute has passed
POINTS = ("intended", "changed", "acted", "concluded")
OPERATIONS = ("create", "update", "enable", "disable", "schedule-deletion", "cancel-deletion", "change-compartment")
CALLS = {
    "create": "CreateKey",
    "update": "UpdateKey",
    "enable": "EnableKey",
    "disable": "DisableKey",
    "schedule-deletion": "ScheduleKeyDeletion",
    "cancel-deletion": "CancelKeyDeletion",
    "change-compartment": "ChangeKeyCompartment",
}
"""What OCI is asked for by each operation."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def rough(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciDesk]:
    yield from rough_oci_desk_on(request.param, request, tmp_path_factory.mktemp("rough-oci"))


@pytest.fixture(scope="module")
def vault(rough: OciDesk) -> OciManaged:
    return rough.vault()


@pytest.fixture
def switches(rough: OciDesk) -> Iterator[Switchboard]:
    yield rough.board()
    still(rough.board())


def ready_for(desk: OciDesk, vault: OciManaged, operation: str) -> Any:
    """A key in the state that an operation needs."""
    key = desk.made(vault, freeform_tags={"n": "1"})
    before = {"enable": "disable", "cancel-deletion": "schedule-deletion"}.get(operation)
    if before is not None:
        desk.act(key, before)
        key = desk.settled(key, "DISABLED" if before == "disable" else "PENDING_DELETION")
    return key


def ask(desk: OciDesk, vault: OciManaged, operation: str, key: Any) -> httpx.Response:
    """The answer to an operation, whatever it is."""
    if operation == "create":
        return desk.admin.ask("POST", KEYS, desk.body(vault, key["key_name"], freeform_tags={"n": "2"}))
    if operation == "update":
        return desk.admin.ask("PATCH", f"{KEYS}/{key['id']}", {"freeform_tags": {"n": "2"}})
    body = {"compartment_id": desk.compartment("staging")} if operation == "change-compartment" else None
    return desk.admin.ask("POST", f"{KEYS}/{key['id']}/{operation}", body)


def has_happened(desk: OciDesk, vault: OciManaged, operation: str, key: Any) -> bool:
    """Whether OCI shows the operation, and the record the same as OCI; of a create, that one key more is there."""
    if operation == "create":
        there = vault.keys_in_oci(key["key_name"])
        records = desk.records(key_name=key["key_name"])
        assert {each["oci_params"]["key_id"] for each in records} <= {each.id for each in there}
        assert len(there) <= 2, "made twice"
        assert len(records) == len(there), "a key without a record"
        return len(there) == 2
    now, there = desk.settled(key), vault.in_oci(key)
    params = now["oci_params"]
    assert params["lifecycle_state"] == there.lifecycle_state
    assert params["freeform_tags"] == there.freeform_tags
    assert params["compartment_id"] == there.compartment_id
    return {
        "update": there.freeform_tags == {"n": "2"},
        "enable": there.lifecycle_state == "ENABLED",
        "disable": there.lifecycle_state == "DISABLED",
        "schedule-deletion": there.lifecycle_state == "PENDING_DELETION",
        "cancel-deletion": there.lifecycle_state == "ENABLED",
        "change-compartment": there.compartment_id == desk.compartment("staging"),
    }[operation]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_server_that_is_killed_anywhere_finishes_it_once(rough: OciDesk, vault: OciManaged, operation: str) -> None:
    for point in POINTS:
        key = ready_for(rough, vault, operation)
        rough.board().fault_add(kind="crash", service="cckm", operation=f"oci-key-{operation}:{point}")
        with pytest.raises(httpx.TransportError):
            ask(rough, vault, operation, key)
        rough.server.kill()
        rough.admin.close()
        rough.server.start()
        assert finished(rough.server, SOON_S) == [], point
        assert has_happened(rough, vault, operation, key), point


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each != "update"])
def test_one_answer_that_is_lost_is_asked_for_by_the_token(
    rough: OciDesk, vault: OciManaged, switches: Switchboard, operation: str
) -> None:
    key = ready_for(rough, vault, operation)
    switches.fault_add(kind="drop", service="ocikms", operation=CALLS[operation], count=1)
    answer = ask(rough, vault, operation, key)
    assert answer.status_code in (200, 201), answer.text
    assert has_happened(rough, vault, operation, key)
    assert open_intents(rough.server) == []


@pytest.mark.parametrize("operation", ["create", "disable", "schedule-deletion"])
def test_what_is_not_known_stays_open_and_is_finished(
    rough: OciDesk, vault: OciManaged, switches: Switchboard, operation: str
) -> None:
    key = ready_for(rough, vault, operation)
    switches.fault_add(kind="status", status=503, service="ocikms", operation=CALLS[operation])
    answer = ask(rough, vault, operation, key)
    assert answer.status_code == 504, answer.text
    assert "the operation stays open" in answer.json()["message"]
    again = ask(rough, vault, operation, key)
    assert again.status_code == 409
    assert "it waits: " in again.json()["message"]
    switches.faults_clear()
    assert finished(rough.server, SOON_S) == []
    assert has_happened(rough, vault, operation, key)


def test_a_backup_that_may_have_been_taken_is_never_left_behind(rough: OciDesk, switches: Switchboard) -> None:
    wire = Wire(rough.server.port)
    vault = rough.vault("VIRTUAL_PRIVATE", bucket=True, connection=rough.connect(wire.port))
    lost, open_for_now = (rough.made(vault, protection_mode="HSM") for _ in range(2))
    wire.cut_answer()
    assert "backup_at" in rough.act(lost, "schedule-deletion")
    assert wire.cuts == 1
    switches.fault_add(kind="drop", service="ocikms", operation="BackupKey")
    assert "stays open" in rough.refuse_act(open_for_now, "schedule-deletion", 504)
    assert vault.state(open_for_now) == "ENABLED"
    switches.faults_clear()
    assert finished(rough.server, SOON_S) == []
    for key in (lost, open_for_now):
        assert "backup_at" in rough.settled(key, "PENDING_DELETION")
    assert left_over(rough) == []
    wire.close()


def test_an_update_without_an_answer_waits_until_nothing_can_arrive(
    rough: OciDesk, vault: OciManaged, switches: Switchboard
) -> None:
    if rough.server.kind != "sqlite":
        pytest.skip("waits for half a minute, nothing of which is the database's")
    key = ready_for(rough, vault, "update")
    switches.fault_add(kind="drop", service="ocikms", operation="UpdateKey", count=1)
    assert ask(rough, vault, "update", key).status_code == 504
    assert finished(rough.server, LATE_S) == []
    assert has_happened(rough, vault, "update", key)


def test_what_somebody_else_has_done_meanwhile_stays(rough: OciDesk, vault: OciManaged, switches: Switchboard) -> None:
    key = ready_for(rough, vault, "disable")
    switches.fault_add(kind="status", status=503, service="ocikms", operation="DisableKey")
    assert ask(rough, vault, "disable", key).status_code == 504
    vault.sdk.schedule_key_deletion(key["oci_params"]["key_id"], schedule_key_deletion_details=_no_date())
    switches.faults_clear()
    assert finished(rough.server, SOON_S) == []
    assert state_of(rough.settled(key)) == vault.state(key) == "PENDING_DELETION"


def _no_date() -> Any:
    from oci.key_management import models

    return models.ScheduleKeyDeletionDetails()


def test_a_cloud_that_refuses_leaves_nothing_open(rough: OciDesk, vault: OciManaged, switches: Switchboard) -> None:
    key = rough.made(vault)
    vault.sdk.disable_key(key["oci_params"]["key_id"])
    rough.refuse_act(key, "disable", 409, "IncorrectState")
    assert open_intents(rough.server) == []
    assert state_of(rough.settled(key, "DISABLED")) == "DISABLED"
    wrong = rough.body(vault, spare_name("key")) | {"defined_tags": {"Nowhere": {"a": "b"}}}
    answer = rough.admin.ask("POST", KEYS, wrong)
    assert answer.status_code in (201, 400, 409), answer.text


def test_a_connection_that_oci_no_longer_knows_is_never_a_401(rough: OciDesk) -> None:
    vault = rough.vault()
    key = rough.made(vault)
    name = spare_name("connection")
    told = rough.config
    body = {
        "name": name,
        "user_ocid": told["user"],
        "tenancy_ocid": told["tenancy"],
        "fingerprint": told["fingerprint"],
        "region": told["region"],
        "credentials": {"key_file": _pem(told)},
        "realm_domain": f"localhost:{rough.server.port}",
        "server_certificate": (rough.server.data / "tls" / "ca.pem").read_text(),
    }
    rough.admin.accept("POST", "/connectionmgmt/services/oci/connections", body, 201)
    rough.admin.accept("PATCH", f"/cckm/oci/vaults/{vault.id}", {"connection": name})
    assert state_of(rough.refresh(key)) == "ENABLED"
    wrong = {"fingerprint": ":".join(["00"] * 16)}
    rough.admin.accept("PATCH", f"/connectionmgmt/services/oci/connections/{name}", wrong)
    for action in ("disable", "refresh", "schedule-deletion"):
        rough.refuse_act(key, action, 403, "NotAuthenticated")
    rough.admin.refuse("POST", KEYS, rough.body(vault), status=403, part="NotAuthenticated")
    assert state_of(rough.read(key)) == "ENABLED"
    assert open_intents(rough.server) == []
    assert rough.admin.ask("POST", f"/connectionmgmt/connections/{name}/delete", {"force": True}).status_code == 204
    rough.refuse_act(key, "disable", 409, f"connection {name} was deleted")


def test_a_look_that_a_crash_has_ended_is_taken_up_by_the_next_start(
    rough: OciDesk, vault: OciManaged, switches: Switchboard
) -> None:
    switches.fault_add(kind="delay", delay_s=30, service="ocikms", operation="GetKey")
    key = rough.create(vault)
    rows = f"SELECT refresh_at - updated_at FROM cckm_oci_keys WHERE id = '{key['id']}'"
    assert until(lambda: execute(rough.server, rows)[0][0] > LEASED_S, SOON_S), "somebody looks at it"
    rough.server.kill()
    rough.admin.close()
    rough.server.start()
    assert state_of(rough.settled(key)) == "ENABLED"
    (version,) = rough.admin.accept("GET", f"{KEYS}/{key['id']}/versions")["resources"]
    rough.settled_version(key, version, "ENABLED")


def _pem(config: Any) -> str:
    from pathlib import Path

    return str(config.get("key_content") or Path(config["key_file"]).read_text())


def test_a_network_that_is_slow_does_not_hold_reads_up(
    rough: OciDesk, vault: OciManaged, switches: Switchboard
) -> None:
    held = switches.fault_add(kind="delay", delay_s=12, service="ocikms", operation="GetKey")
    made = rough.create(vault)
    struck(switches, held)
    assert state_of(rough.read(made)) == "CREATING"  # nobody has heard from OCI yet, and that is told
    switches.fault_remove(held)
    assert state_of(rough.settled(made)) == "ENABLED"
