"""Synchronisation of OCI when things go wrong: a cloud that fails or throttles, the brake, cancels, a killed server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from oci.key_management import models

from claviger.switches.client import Switchboard
from tests.agreeing import until
from tests.desk import execute, still, struck
from tests.oci_plane import DAY_S, EMBEDDED, OciDesk, OciManaged, rough_oci_desk_on, state_of
from tests.oci_synchronizing import JOBS, differences, drifts, ended, key_records, start, stored, synchronized
from tests.serving import NOTICED_WITHIN_S
from tests.vaults import spare_name


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciDesk]:
    """A desk whose cloud may fail, and whose clock may move."""
    yield from rough_oci_desk_on(request.param, request, tmp_path_factory.mktemp(f"oci-faulty-{request.param}"))


@pytest.fixture
def board(desk: OciDesk) -> Iterator[Switchboard]:
    """Its switches, put back afterwards."""
    found = desk.board()
    yield found
    still(found)


def filled(desk: OciDesk, count: int) -> tuple[OciManaged, list[Any]]:
    """A vault with so many keys that nobody has told the control plane of."""
    vault = desk.vault()
    return vault, [vault.made_in_oci(f"k-{number}") for number in range(count)]


def forgotten(desk: OciDesk, *keys: Any) -> None:
    """OCI does not know these keys any more, as it is some time after it has deleted them."""
    named = ", ".join(f"'{key.id}'" for key in keys)
    execute(
        desk.server,
        f"DELETE FROM oci_key_versions WHERE key_num IN (SELECT num FROM oci_keys WHERE id IN ({named}))",
    )
    execute(desk.server, f"DELETE FROM oci_keys WHERE id IN ({named})")


def prefix(vault: OciManaged) -> str:
    """The name of a vault in its addresses, which faults go by."""
    return str(vault.record["management_endpoint"]).removeprefix("https://").partition("-management")[0]


def failed(job: Any, vault: OciManaged) -> str:
    """What the job says of a vault that it could not read."""
    assert job["overall_status"] == "failed"
    assert job["detailed_status"][vault.record["display_name"]] == "failed"
    [item] = [item for item in job["progress"]["failed_items"] if item["cckm_vault_id"] == vault.id]
    return str(item["message"])


@pytest.mark.parametrize("operation", ["ListKeys", "GetKey", "ListKeyVersions"])
@pytest.mark.parametrize("fault", [{"status": 503}, {"kind": "drop"}])
def test_a_vault_that_cannot_be_read_wholly_is_left_as_it_was(
    desk: OciDesk, board: Switchboard, operation: str, fault: Any
) -> None:
    vault, keys = filled(desk, 3)
    other, _ = filled(desk, 2)
    synchronized(desk.admin, vault)
    vault.made_in_oci("new")
    forgotten(desk, keys[0])
    before = stored(desk, vault)
    place = prefix(vault)
    board.fault_add(**{"kind": "status", "service": "ocikms", "operation": operation, "place": place, **fault})
    job = synchronized(desk.admin, vault, other, status="failed")
    assert failed(job, vault)
    assert job["detailed_status"][other.record["display_name"]] == "completed"
    assert "1 of 2" in job["message"]
    assert stored(desk, vault) == before
    assert differences(desk, other) == []
    assert drifts(desk.admin, vault) == []
    board.faults_clear()
    synchronized(desk.admin, vault)
    assert differences(desk, vault) == []


def test_a_key_that_is_nowhere_and_does_not_answer_is_gone(desk: OciDesk) -> None:
    vault, keys = filled(desk, 4)
    synchronized(desk.admin, vault)
    forgotten(desk, keys[1])
    job = synchronized(desk.admin, vault)
    assert [job["progress"][name] for name in ("added", "changed", "gone")] == [0, 0, 1]
    record = key_records(desk, vault)[keys[1].id]
    assert (record["gone"], state_of(record)) == (True, "ENABLED")
    [found] = drifts(desk.admin, vault)
    assert (found["kind"], found["key_name"], found["cckm_key_id"]) == ("missing", "k-1", record["id"])
    before = stored(desk, vault)
    assert synchronized(desk.admin, vault)["progress"]["gone"] == 0
    assert stored(desk, vault) == before
    assert len(drifts(desk.admin, vault)) == 1


def test_a_throttled_tenancy_is_read_when_it_lets_us(desk: OciDesk, board: Switchboard) -> None:
    vault, _ = filled(desk, 12)
    fault = board.fault_add(
        kind="status", service="ocikms", place=prefix(vault), status=429, retry_after_s=1, share=0.5, seed=3
    )
    job = start(desk.admin, vault)
    seen = []

    def throttled() -> bool:
        found = desk.admin.accept("GET", f"{JOBS}/{job['id']}")
        seen.append(found)
        return "throttled_until" in found["progress"] or found["overall_status"] != "in_progress"

    assert until(throttled, 60)
    assert seen[-1]["overall_status"] == "in_progress"
    done = ended(desk.admin, job)
    board.fault_remove(fault)
    assert done["overall_status"] == "completed"
    assert done["progress"]["throttled"] > 0
    assert "throttled_until" not in done["progress"]
    assert differences(desk, vault) == []


def test_the_brake_stops_a_vault_that_would_lose_too_much(desk: OciDesk) -> None:
    vault, keys = filled(desk, 30)
    other, _ = filled(desk, 2)
    synchronized(desk.admin, vault)
    forgotten(desk, *keys[:11])
    vault.made_in_oci("new")
    before = stored(desk, vault)
    body = {"url": "https://127.0.0.1:9/notices", "types": ["drift", "brake", "failed-job"]}
    subscription = desk.admin.accept("POST", "/claviger/notices/subscriptions", body, 201)
    job = synchronized(desk.admin, vault, other, status="failed")
    assert "brake" in failed(job, vault)
    [brake] = job["progress"]["brake"]
    assert (brake["would_be_gone"], brake["known"], brake["allowed_percent"]) == (11, 30, 10)
    assert stored(desk, vault) == before
    assert drifts(desk.admin, vault) == []
    assert differences(desk, other) == []
    job = synchronized(desk.admin, vault, override_brake=True)
    assert job["override_brake"]
    assert job["progress"]["gone"] == 11
    assert differences(desk, vault) == []
    assert len(drifts(desk.admin, vault, kind="missing")) == 11
    sql = f"SELECT type, data FROM cckm_notice_deliveries WHERE subscription_id = '{subscription['id']}' ORDER BY num"
    told = execute(desk.server, sql)
    assert [kind for kind, _ in told[:2]] == ["brake", "failed-job"]
    assert '"would_be_gone":11' in told[0][1]
    assert {kind for kind, _ in told[2:]} == {"drift"}
    assert '"cloud":"oci"' in told[2][1]
    desk.admin.accept("DELETE", f"/claviger/notices/subscriptions/{subscription['id']}", status=204)


def test_keys_whose_time_has_come_are_deleted_without_a_question(desk: OciDesk, board: Switchboard) -> None:
    vault, keys = filled(desk, 12)
    for key in keys:
        vault.sdk.schedule_key_deletion(key.id, models.ScheduleKeyDeletionDetails())
    synchronized(desk.admin, vault)
    board.clock_advance(31 * DAY_S)
    forgotten(desk, keys[0])
    synchronized(desk.admin, vault)  # nobody has to override the brake for what was expected
    assert {state_of(record) for record in key_records(desk, vault).values()} == {"DELETED"}
    assert drifts(desk.admin, vault) == []
    before = stored(desk, vault)
    forgotten(desk, *keys[1:])
    synchronized(desk.admin, vault)
    assert stored(desk, vault) == before


def test_a_deleted_vault_takes_its_keys_along(desk: OciDesk, board: Switchboard) -> None:
    vault, _ = filled(desk, 3)
    synchronized(desk.admin, vault)
    desk.vaults_sdk.schedule_vault_deletion(vault.ocid, models.ScheduleVaultDeletionDetails())
    synchronized(desk.admin, vault)
    assert {state_of(record) for record in key_records(desk, vault).values()} == {"PENDING_DELETION"}
    shown = desk.admin.accept("GET", f"/cckm/oci/vaults/{vault.id}")
    assert (shown["lifecycle_state"], "time_of_deletion" in shown) == ("PENDING_DELETION", True)
    board.clock_advance(31 * DAY_S)
    synchronized(desk.admin, vault)
    assert {state_of(record) for record in key_records(desk, vault).values()} == {"DELETED"}
    assert desk.admin.accept("GET", f"/cckm/oci/vaults/{vault.id}")["lifecycle_state"] == "DELETED"


def stranger(desk: OciDesk, tmp_path: Path, place: str) -> tuple[str, str]:
    """A connection as a user who may do everything in one compartment; its name, and the user's."""
    name, server = spare_name("user"), desk.server
    made = server.command("oci", "user", "create", name)
    server.command("oci", "user", "grant", name, "manage", place)
    key_file = tmp_path / f"{name}.pem"
    fingerprint = server.command("oci", "api-key", "create", name, "--out", str(key_file))["fingerprint"]
    body = {
        "name": spare_name("connection"),
        "user_ocid": made["id"],
        "tenancy_ocid": desk.tenancy,
        "fingerprint": fingerprint,
        "region": desk.config["region"],
        "credentials": {"key_file": key_file.read_text()},
        "realm_domain": f"localhost:{server.port}",
        "server_certificate": (server.data / "tls" / "ca.pem").read_text(),
        "products": ["cckm"],
    }
    desk.admin.accept("POST", "/connectionmgmt/services/oci/connections", body, 201)
    return str(body["name"]), name


def test_a_vault_that_is_not_visible_fails_alone(desk: OciDesk, tmp_path: Path) -> None:
    vault, _ = filled(desk, 2)
    other, _ = filled(desk, 2)
    synchronized(desk.admin, vault, other)
    before = stored(desk, vault)
    connection, user = stranger(desk, tmp_path, "production")
    desk.admin.accept("PATCH", f"/cckm/oci/vaults/{vault.id}", {"connection": connection})
    desk.server.command("oci", "grant", "remove", user, "production")
    time.sleep(NOTICED_WITHIN_S["postgresql"] if desk.server.database_url else 0)
    job = synchronized(desk.admin, vault, other, status="failed")
    assert "not visible" in failed(job, vault)
    assert job["detailed_status"][other.record["display_name"]] == "completed"
    assert stored(desk, vault) == before


def test_compartments_that_cannot_be_listed_are_left_alone(desk: OciDesk, tmp_path: Path) -> None:
    vault, keys = filled(desk, 2)
    hidden = vault.made_in_oci("hidden", compartment_id=desk.compartment("staging"))
    synchronized(desk.admin, vault)
    connection, _ = stranger(desk, tmp_path, "production")
    time.sleep(NOTICED_WITHIN_S["postgresql"] if desk.server.database_url else 0)
    desk.admin.accept("PATCH", f"/cckm/oci/vaults/{vault.id}", {"connection": connection})
    forgotten(desk, keys[0])
    vault.sdk.disable_key(keys[1].id)
    [outcome] = synchronized(desk.admin, vault)["outcomes"]
    assert "left as they are" in outcome["message"]
    records = key_records(desk, vault)
    assert (records[hidden.id]["gone"], records[keys[0].id]["gone"]) == (False, True)
    assert state_of(records[keys[1].id]) == "DISABLED"
    desk.admin.accept("PATCH", f"/cckm/oci/vaults/{vault.id}", {"connection": EMBEDDED})
    synchronized(desk.admin, vault)
    assert differences(desk, vault) == []


def test_what_is_changed_here_while_a_vault_is_read_is_left_for_the_next_job(desk: OciDesk, board: Switchboard) -> None:
    vault = desk.vault()
    record = desk.made(vault)
    synchronized(desk.admin, vault)
    ocid = record["oci_params"]["key_id"]
    vault.sdk.update_key(ocid, models.UpdateKeyDetails(freeform_tags={"a": "theirs"}))
    place = prefix(vault)
    held = board.fault_add(
        kind="delay", service="ocikms", operation="ListKeyVersions", place=place, delay_s=12, count=1
    )
    job = start(desk.admin, vault)
    struck(board, held)
    desk.admin.accept("PATCH", f"/cckm/oci/keys/{record['id']}", {"freeform_tags": {"a": "ours"}})
    board.faults_clear()
    assert ended(desk.admin, job)["progress"]["left"] == 1
    assert desk.read(record)["oci_params"]["freeform_tags"] == {"a": "ours"}
    synchronized(desk.admin, vault)
    assert differences(desk, vault) == []


def test_a_cancelled_job_ends_as_completed(desk: OciDesk, board: Switchboard) -> None:
    vault, _ = filled(desk, 3)
    board.fault_add(kind="delay", service="ocikms", operation="ListKeys", place=prefix(vault), delay_s=30)
    job = start(desk.admin, vault)
    asked = desk.admin.accept("POST", f"{JOBS}/{job['id']}/cancel")
    assert (asked["abort"], asked["overall_status"]) == (True, "in_progress")
    done = ended(desk.admin, job, 14)  # sooner than the call that it has under way gives up
    assert (done["overall_status"], done["abort"]) == ("completed", True)
    assert done["outcomes"][0]["message"]
    assert stored(desk, vault) == []
    desk.admin.refuse("POST", f"{JOBS}/{job['id']}/cancel", status=400)
    board.faults_clear()
    synchronized(desk.admin, vault)
    assert differences(desk, vault) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_in_the_middle_a_job_is_finished_by_the_next_start(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    for own in rough_oci_desk_on(kind, request, tmp_path):
        vaults = [filled(own, 15)[0] for _ in range(3)]
        slow = {"operation": "GetKey", "place": prefix(vaults[-1]), "delay_s": 2}
        own.board().fault_add(kind="delay", service="ocikms", **slow)  # switches do not outlive the server
        job = start(own.admin, *vaults)
        assert until(lambda: bool(stored(own, vaults[0])), 60)  # noqa: B023 - asked before the next one
        own.server.kill()
        half = [len(stored(own, vault)) for vault in vaults]
        assert 0 < sum(half) < 90
        own.server.start()
        done = ended(own.admin, job)
        assert done["overall_status"] == "completed"
        assert done["progress"]["added"] == 45
        for vault in vaults:
            assert differences(own, vault) == []
            assert len(key_records(own, vault)) == 15
            assert drifts(own.admin, vault) == []
