"""Synchronisation when things go wrong: clouds that fail or throttle, the brake, cancels, a server that ends in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from claviger.switches.client import Switchboard
from tests.agreeing import until
from tests.desk import SETTINGS, Desk, Managed, execute, struck
from tests.server import RunningServer
from tests.serving import estate_on
from tests.synchronizing import JOBS, differences, drifts, ended, start, stored, synchronized
from tests.vaults import spare_name


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk whose cloud may fail; at its end the log may hold no error of the server's own."""
    databases = request.getfixturevalue("postgres_databases") if request.param == "postgresql" else None
    url = databases.create() if databases is not None else None
    server = RunningServer(tmp_path_factory.mktemp(f"faulty-{request.param}"), url, SETTINGS)
    try:
        server.start()
        found = Desk(server)
        yield found
        found.close()
        said = server.said()
        assert [line for line in said.splitlines() if " error " in line or "Traceback" in line] == [], said[-5000:]
        assert server.stop() == 0
    finally:
        server.kill()
        if databases is not None and url is not None:
            databases.drop(url)


def filled(desk: Desk, count: int, name: str = "s") -> Managed:
    """A vault with so many secrets that nobody has told the control plane of."""
    vault = desk.vault()
    for number in range(count):
        vault.azure.put(f"{name}-{number}")
    return vault


def emptied(vault: Managed, *names: str) -> None:
    for name in names:
        vault.azure.delete(name)
        vault.azure.purge(name)


def failed(job: Any, vault: Managed) -> str:
    """What the job says of a vault that it could not read."""
    assert job["overall_status"] == "failed"
    assert job["detailed_status"][vault.record["name"]] == "failed"
    [item] = [item for item in job["progress"]["failed_items"] if item["key_vault_id"] == vault.id]
    return str(item["message"])


@pytest.mark.parametrize("operation", ["SecretList", "SecretListDeleted"])
@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 500}, {"kind": "drop"}])
def test_a_vault_that_cannot_be_read_wholly_is_left_as_it_was(
    desk: Desk, board: Switchboard, operation: str, fault: Any
) -> None:
    vault, other = filled(desk, 3), filled(desk, 3)
    synchronized(desk.admin, vault)
    vault.azure.put("new")
    emptied(vault, "s-0")
    before = stored(desk, vault)
    board.fault_add(**{"kind": "status", "service": "keyvault", "operation": operation, "place": vault.name, **fault})
    job = synchronized(desk.admin, vault, other, status="failed")
    assert failed(job, vault)
    assert job["detailed_status"][other.record["name"]] == "completed"
    assert "1 of 2" in job["message"]
    assert stored(desk, vault) == before
    assert differences(desk, other) == []
    assert drifts(desk.admin, vault) == []
    board.faults_clear()
    synchronized(desk.admin, vault)
    assert differences(desk, vault) == []


def test_a_list_that_breaks_off_on_a_later_page_changes_nothing(desk: Desk, board: Switchboard) -> None:
    vault = filled(desk, 60)
    synchronized(desk.admin, vault)
    emptied(vault, "s-59")
    vault.azure.put("a-new-one")
    before = stored(desk, vault)
    # The first page is let through: a fault that strikes every second call of these, whatever is tried again.
    board.fault_add(kind="status", service="keyvault", operation="SecretList", place=vault.name, status=503, share=0.97)
    synchronized(desk.admin, vault, status="failed")
    assert stored(desk, vault) == before


def test_no_permission_is_told_in_the_clouds_words(desk: Desk) -> None:
    vault = filled(desk, 2)
    synchronized(desk.admin, vault)
    before = stored(desk, vault)
    strange = desk.cloud.make_application()
    name = desk.connect(desk.cloud.server, client_id=strange.client_id, client_secret=strange.client_secret)
    desk.cloud.server.command("role", "assign", "Reader", strange.client_id, "--vault", vault.name)
    desk.admin.accept("PATCH", f"/cckm/azure/vaults/{vault.id}", {"connection": name})
    job = synchronized(desk.admin, vault, status="failed")
    assert "403" in failed(job, vault)
    assert stored(desk, vault) == before


def test_a_throttled_vault_is_read_when_it_lets_us(desk: Desk, board: Switchboard) -> None:
    vault = filled(desk, 30)
    fault = board.fault_add(
        kind="status", service="keyvault", place=vault.name, status=429, retry_after_s=1, share=0.5, seed=3
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


def test_the_brake_stops_a_vault_that_would_lose_too_much(desk: Desk) -> None:
    vault, other = filled(desk, 120), filled(desk, 2)
    synchronized(desk.admin, vault)
    emptied(vault, *(f"s-{number}" for number in range(13)))
    vault.azure.put("new")
    before = stored(desk, vault)
    job = synchronized(desk.admin, vault, other, status="failed")
    assert "brake" in failed(job, vault)
    [brake] = job["progress"]["brake"]
    assert (brake["would_be_gone"], brake["known"], brake["allowed_percent"]) == (13, 120, 10)
    assert stored(desk, vault) == before
    assert drifts(desk.admin, vault) == []
    assert differences(desk, other) == []
    job = synchronized(desk.admin, vault, override_brake=True)
    assert job["override_brake"]
    assert job["progress"]["gone"] == 13
    assert differences(desk, vault) == []
    assert len(drifts(desk.admin, vault, kind="missing")) == 13


def test_a_vault_that_loses_more_than_can_be_asked_for_one_by_one_is_listed_again(desk: Desk) -> None:
    vault = filled(desk, 210)
    synchronized(desk.admin, vault)
    emptied(vault, *(f"s-{number}" for number in range(205)))
    job = synchronized(desk.admin, vault, override_brake=True)
    assert job["progress"]["gone"] == 205
    assert differences(desk, vault) == []


def test_a_few_may_go_from_a_small_vault(desk: Desk) -> None:
    vault = filled(desk, 10)
    synchronized(desk.admin, vault)
    emptied(vault, *(f"s-{number}" for number in range(10)))
    assert synchronized(desk.admin, vault)["progress"]["gone"] == 10


def test_when_the_retention_has_ended_the_record_is_deleted(desk: Desk, board: Switchboard) -> None:
    vault = desk.vault("--retention-days", "7")
    names = [spare_name() for _ in range(15)]
    for name in names:
        vault.azure.put(name)
    synchronized(desk.admin, vault)
    for name in names:
        vault.azure.delete(name)
    synchronized(desk.admin, vault)
    vault.azure.purge(names[0])
    synchronized(desk.admin, vault)
    assert [record["status"] for record in desk.admin.records(vault, names[0])] == ["SOFT-DELETED"]
    assert desk.admin.records(vault, names[0])[0]["gone"]
    board.clock_advance(8 * 86_400)
    synchronized(desk.admin, vault)  # nobody has to override the brake for what was expected
    for record in desk.admin.records(vault):
        assert (record["status"], record["deleted"], record["gone"]) == ("DELETED", True, True)
    assert drifts(desk.admin, vault, kind="missing") == []


def test_a_secret_with_an_open_operation_is_left_for_the_next_job(desk: Desk, board: Switchboard) -> None:
    vault = desk.vault()
    record = desk.admin.create(spare_name(), vault)
    synchronized(desk.admin, vault)
    fault = board.fault_add(kind="status", service="keyvault", operation="SecretDelete", place=vault.name, status=503)
    board.fault_add(kind="status", service="keyvault", operation="SecretGetDeleted", place=vault.name, status=503)
    assert desk.admin.ask("POST", f"/cckm/azure/secrets/{record['id']}/soft-delete").status_code == 504
    vault.sdk().update_secret_properties(record["secret_name"], tags={"a": "b"})
    board.fault_remove(fault)
    job = synchronized(desk.admin, vault)
    assert job["progress"]["left"] == 1
    assert "tags" not in desk.admin.read(record)["azure_param"]


def between_the_lists(desk: Desk, board: Switchboard, vault: Managed) -> Any:
    """A job that has read the live secrets, and waits for the deleted ones until the fault is taken away."""
    metrics = f"{desk.cloud.server.login}/metrics"
    waiting = 'claviger_requests_total{operation="SecretList",service="keyvault",status="2xx"}'
    before = _counted(desk, metrics, waiting)
    slow = {"service": "keyvault", "operation": "SecretListDeleted", "place": vault.name}
    held = board.fault_add(kind="delay", delay_s=12, **slow)
    job = start(desk.admin, vault)
    struck(board, held)
    assert until(lambda: _counted(desk, metrics, waiting) > before, 60)
    return job


def _counted(desk: Desk, metrics: str, line: str) -> float:
    told = desk.cloud.http.get(metrics).text
    return sum(float(each.rpartition(" ")[2]) for each in told.splitlines() if each.startswith(line))


def test_what_is_changed_here_while_a_vault_is_read_is_left_for_the_next_job(desk: Desk, board: Switchboard) -> None:
    vault = desk.vault()
    record = desk.admin.create(spare_name(), vault)
    synchronized(desk.admin, vault)
    vault.sdk().update_secret_properties(record["secret_name"], tags={"a": "theirs"})
    job = between_the_lists(desk, board, vault)
    desk.admin.patch(record, tags={"a": "ours"})
    board.faults_clear()
    assert ended(desk.admin, job)["progress"]["left"] == 1
    assert desk.admin.read(record)["azure_param"]["tags"] == {"a": "ours"}
    synchronized(desk.admin, vault)
    assert differences(desk, vault) == []


def test_who_is_in_neither_list_is_looked_for_before_it_counts_as_gone(desk: Desk, board: Switchboard) -> None:
    vault = desk.vault()
    record = desk.admin.create(spare_name(), vault)
    desk.admin.act(record, "soft-delete")
    synchronized(desk.admin, vault)
    job = between_the_lists(desk, board, vault)
    vault.azure.recover(record["secret_name"])
    board.faults_clear()
    assert ended(desk.admin, job)["progress"]["gone"] == 0
    assert not desk.admin.read(record)["gone"]
    synchronized(desk.admin, vault)
    assert desk.admin.read(record)["status"] == "AVAILABLE"


def test_a_cancelled_job_ends_as_completed(desk: Desk, board: Switchboard) -> None:
    vault = filled(desk, 30)
    board.fault_add(kind="delay", service="keyvault", operation="SecretList", place=vault.name, delay_s=30)
    job = start(desk.admin, vault)
    asked = desk.admin.accept("POST", f"{JOBS}/{job['id']}/cancel")
    assert (asked["abort"], asked["overall_status"]) == (True, "in_progress")
    done = ended(desk.admin, job, 14)  # sooner than the call that it has under way gives up
    assert (done["overall_status"], done["abort"]) == ("completed", True)
    assert done["vaults"][0]["message"]
    assert stored(desk, vault) == []
    desk.admin.refuse("POST", f"{JOBS}/{job['id']}/cancel", status=400)
    board.faults_clear()
    synchronized(desk.admin, vault)
    assert differences(desk, vault) == []


def test_a_vault_that_is_removed_meanwhile_fails_alone(desk: Desk, board: Switchboard) -> None:
    vault = filled(desk, 3)
    slow = {"service": "keyvault", "operation": "SecretListDeleted", "place": vault.name}
    held = board.fault_add(kind="delay", delay_s=12, **slow)
    job = start(desk.admin, vault)
    struck(board, held)
    answer = desk.admin.ask("POST", f"/cckm/azure/vaults/{vault.id}/remove-vault")
    assert answer.status_code in (200, 204)
    board.fault_remove(held)
    assert "no longer managed" in failed(ended(desk.admin, job), vault)
    assert execute(desk.server, "SELECT COUNT(*) FROM cckm_azure_drift d LEFT JOIN cckm_azure_vaults v ON "
                   "v.num = d.vault_num WHERE v.num IS NULL") == [(0,)]  # fmt: skip


def test_notices_tell_of_drift_the_brake_and_the_failed_job(desk: Desk) -> None:
    vault = filled(desk, 30)
    synchronized(desk.admin, vault)
    body = {"url": "https://127.0.0.1:9/notices", "types": ["drift", "brake", "failed-job"]}
    subscription = desk.admin.accept("POST", "/claviger/notices/subscriptions", body, 201)
    vault.azure.patch("s-0", tags={"a": "b"})
    synchronized(desk.admin, vault)
    emptied(vault, *(f"s-{number}" for number in range(11)))
    synchronized(desk.admin, vault, status="failed")
    sql = f"SELECT type, data FROM cckm_notice_deliveries WHERE subscription_id = '{subscription['id']}' ORDER BY num"
    told = execute(desk.server, sql)
    assert [kind for kind, _ in told] == ["drift", "brake", "failed-job"]
    assert '"fields":["tags"]' in told[0][1]
    assert '"would_be_gone":11' in told[1][1]


@pytest.fixture(params=["sqlite", "postgresql"])
def own_desk(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Desk]:
    """A desk that a test may kill."""
    for estate in estate_on(request.param, request, tmp_path, **SETTINGS):
        found = Desk(estate.server)
        yield found
        found.close()


def test_killed_in_the_middle_a_job_is_finished_by_the_next_start(own_desk: Desk) -> None:
    vaults = [filled(own_desk, 40, f"v{number}") for number in range(5)]
    slow = {"operation": "SecretListVersions", "place": vaults[-1].name, "delay_s": 2}
    own_desk.board().fault_add(kind="delay", service="keyvault", **slow)  # switches do not outlive the server
    job = start(own_desk.admin, *vaults)
    assert until(lambda: bool(stored(own_desk, vaults[0])), 60)
    own_desk.server.kill()
    half = [len(stored(own_desk, vault)) for vault in vaults]
    assert 0 < sum(half) < 200
    own_desk.server.start()
    done = ended(own_desk.admin, job)
    assert done["overall_status"] == "completed"
    assert done["progress"]["added"] == 200
    for vault in vaults:
        assert differences(own_desk, vault) == []
        assert len(own_desk.admin.records(vault)) == 40
        assert drifts(own_desk.admin, vault) == []


def test_a_server_that_stops_lets_go_of_its_job(own_desk: Desk) -> None:
    vault = filled(own_desk, 60)
    board = own_desk.board()
    held = board.fault_add(kind="delay", service="keyvault", operation="SecretList", place="*", delay_s=30)
    job = start(own_desk.admin, vault)
    struck(board, held)
    own_desk.server.restart()
    assert ended(own_desk.admin, job)["overall_status"] == "completed"
    assert differences(own_desk, vault) == []
