"""Secrets while the cloud is in trouble: busy, slow, cut off, refusing. Record and cloud agree in the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from claviger.keyvault.vaults.operations import DEFAULT_SUBSCRIPTION
from claviger.switches.client import Switchboard
from tests.agreeing import disagreements, finished, left_over, open_intents, until
from tests.cutting import Wire
from tests.desk import SECRETS, SETTINGS, Desk, Managed, still, struck
from tests.server import RunningServer
from tests.vaults import spare_name

LATE_S = 100  # a request that was not answered is not sent again before half a minute has passed
CONNECTIONS = "/connectionmgmt/services/azure/connections"
CALLS = {
    "create": ("SecretSet", 0),
    "update": ("SecretUpdate", 0),
    "soft-delete": ("SecretDelete", 2),
    "hard-delete": ("SecretPurge", 1),
    "recover": ("SecretRecover", 1),
    "restore": ("SecretRestore", 0),
}
"""The changing call of each operation, and how many calls come before it."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def rough(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk of one's own: what tests here provoke is counted as failures."""
    databases = request.getfixturevalue("postgres_databases") if request.param == "postgresql" else None
    url = databases.create() if databases is not None else None
    server = RunningServer(tmp_path_factory.mktemp("rough"), url, SETTINGS)
    try:
        server.start()
        found = Desk(server)
        yield found
        found.close()
    finally:
        server.kill()
        if databases is not None and url is not None:
            databases.drop(url)


@pytest.fixture
def switches(rough: Desk) -> Iterator[Switchboard]:
    board = rough.board()
    yield board
    still(board)


@pytest.fixture
def plain(rough: Desk) -> Managed:
    return rough.vault()


def ready_for(desk: Desk, vault: Managed, operation: str, name: str | None = None) -> Any:
    """A record in the state that an operation needs."""
    record = desk.admin.create(name or spare_name(), vault)
    needed = {"hard-delete": 1, "recover": 1, "restore": 2}.get(operation, 0)
    for action in ("soft-delete", "hard-delete")[:needed]:
        record = desk.admin.act(record, action)
    return record


def ask(desk: Desk, vault: Managed, operation: str, record: Any, **query: Any) -> Any:
    """The answer to an operation, whatever it is."""
    if operation == "create":
        body = {"secret_name": record["secret_name"], "key_vault": vault.id, "azure_param": {"value": "new"}}
        return desk.admin.ask("POST", SECRETS, body, query=query)
    if operation == "update":
        return desk.admin.ask("PATCH", f"{SECRETS}/{record['id']}", {"tags": {"new": "yes"}}, query=query)
    return desk.admin.ask("POST", f"{SECRETS}/{record['id']}/{operation}", query=query)


def has_happened(desk: Desk, vault: Managed, operation: str, record: Any) -> bool:
    """Whether the record shows the operation; of a create, that there is one version more and no other."""
    if operation == "create":
        return len(vault.azure.versions(record["secret_name"])) == 2
    now = desk.admin.read(record)
    if operation == "update":
        return bool(now["azure_param"].get("tags") == {"new": "yes"})
    after = {"soft-delete": "SOFT-DELETED", "hard-delete": "DELETED"}.get(operation, "AVAILABLE")
    return bool(now["status"] == after)


def agreed(desk: Desk, *vaults: Managed) -> None:
    for vault in vaults:
        assert disagreements(desk, vault) == []
    assert left_over(desk.server) == []


def test_a_state_that_azure_is_still_changing_is_reported_or_waited_for(
    rough: Desk, plain: Managed, switches: Switchboard
) -> None:
    admin = rough.admin
    record = admin.create(spare_name(), plain)
    switches.settle(delete_s=2, recover_s=2)
    switches.clock_freeze()  # a state lasts for as long as it is looked at
    gone = admin.act(record, "soft-delete")
    assert gone["status"] == "SOFT-DELETED"
    admin.refuse_act(record, "hard-delete", 409, "ObjectIsBeingDeleted")
    admin.refuse_act(record, "recover", 409, "ObjectIsBeingDeleted")
    assert ask(rough, plain, "create", record).status_code == 409
    assert admin.read(record) == gone
    switches.clock_run()
    back = admin.act(record, "recover", wait=20)
    assert plain.azure.get(record["secret_name"])["value"] == "value"  # it was also waited for its end
    assert back["status"] == "AVAILABLE"
    admin.act(record, "soft-delete", wait=20)
    assert plain.azure.deleted(record["secret_name"])
    switches.clock_freeze()
    admin.act(record, "recover")
    admin.refuse_act(record, "soft-delete", 409, "ObjectIsBeingRecovered")
    admin.refuse("PATCH", f"{SECRETS}/{record['id']}", {"tags": {}}, status=409, part="ObjectIsBeingRecovered")
    switches.clock_run()
    assert ask(rough, plain, "create", record, wait=20).status_code == 201
    assert admin.act(record, "soft-delete", wait=20)["status"] == "SOFT-DELETED"
    assert admin.act(record, "hard-delete", wait=20)["status"] == "DELETED"
    for wait in ("-1", "241", "soon", "1.5"):
        admin.refuse("POST", f"{SECRETS}/{record['id']}/restore", status=400, part="wait", query={"wait": wait})
    agreed(rough, plain)


@pytest.mark.parametrize("operation", CALLS)
def test_throttling_is_waited_for_or_passed_on(
    rough: Desk, plain: Managed, switches: Switchboard, operation: str
) -> None:
    record = ready_for(rough, plain, operation)
    before = rough.admin.read(record)
    call = CALLS[operation][0]
    switches.fault_add(kind="status", status=429, retry_after_s=77, service="keyvault", operation=call, count=1)
    answer = ask(rough, plain, operation, record)
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, "77")
    assert "Throttled" in answer.json()["message"]
    now = rough.admin.read(record)
    renewed = {"backup": "", "backup_at": "", "updatedAt": ""}
    assert {**now, **renewed} == {**before, **renewed}
    assert open_intents(rough.server) == []
    switches.fault_add(kind="status", status=429, retry_after_s=1, service="keyvault", operation=call, count=1)
    assert ask(rough, plain, operation, record).status_code in (200, 201)
    assert has_happened(rough, plain, operation, record)
    agreed(rough, plain)


def once_is_enough(desk: Desk) -> None:
    """For tests that wait for a minute, nothing of which is the database's: `make figures` does the same on both."""
    if desk.server.kind != "sqlite":
        pytest.skip("waits for a minute; runs on SQLite, and on both databases in make figures")


FAULTS: list[dict[str, Any]] = [
    {"kind": "drop"},
    *({"kind": "status", "status": status} for status in (500, 502, 503, 504, 408)),
]


def test_calls_that_fail_without_a_word_are_done_once_in_the_end(
    rough: Desk, plain: Managed, switches: Switchboard
) -> None:
    """The request never had an effect, which the control plane cannot know: it asks, waits, and does it then."""
    once_is_enough(rough)
    records = {}
    for number in range(len(FAULTS)):
        for operation in CALLS:
            records[number, operation] = ready_for(rough, plain, operation)
    for (number, operation), record in records.items():
        fault = FAULTS[number]
        call = CALLS[operation][0]
        switches.fault_add(service="keyvault", operation=call, place=plain.name, count=1, **fault)
        answer = ask(rough, plain, operation, record)
        if fault.get("status") == 408:  # a plain no
            assert answer.status_code == 400, answer.text
            continue
        if operation == "hard-delete":  # purging again does no harm
            assert answer.status_code == 200, answer.text
            continue
        assert answer.status_code == 504, (operation, fault, answer.text)
        assert "the operation stays open" in answer.json()["message"]
        again = ask(rough, plain, operation, record)
        assert again.status_code == 409
        assert "it waits: CloudUndecided" in again.json()["message"]
    assert finished(rough.server, LATE_S + 30) == []
    for (number, operation), record in records.items():
        refused = FAULTS[number].get("status") == 408
        assert has_happened(rough, plain, operation, record) != refused, (number, operation)
    agreed(rough, plain)


def test_a_request_that_arrives_late_is_not_sent_twice(rough: Desk, plain: Managed, switches: Switchboard) -> None:
    """Azure sits on a request for longer than it is waited for, and carries it out then."""
    once_is_enough(rough)
    records = {operation: ready_for(rough, plain, operation) for operation in CALLS}
    for call, _ in CALLS.values():
        switches.fault_add(kind="delay", delay_s=20, service="keyvault", operation=call, place=plain.name, count=1)
    with ThreadPoolExecutor(len(CALLS)) as pool:
        asked = {each: pool.submit(ask, rough, plain, each, record) for each, record in records.items()}
        answers = {operation: future.result().status_code for operation, future in asked.items()}
    assert set(answers.values()) <= {504, 200}
    assert answers["create"] == 504
    assert finished(rough.server, LATE_S) == []
    time.sleep(5)  # whatever might still arrive has arrived
    for operation, record in records.items():
        assert has_happened(rough, plain, operation, record), operation
    agreed(rough, plain)


@pytest.fixture
def wire(rough: Desk) -> Iterator[Wire]:
    found = Wire(rough.server.port)
    yield found
    found.close()


def by_wire(desk: Desk, wire: Wire) -> Managed:
    """A vault that the control plane reaches through the wire alone."""
    return desk.manage(desk.cloud.make_vault(), desk.wired(wire))


@pytest.mark.parametrize("operation", CALLS)
def test_an_answer_that_is_cut_off_is_asked_for(rough: Desk, wire: Wire, operation: str) -> None:
    vault = by_wire(rough, wire)
    record = ready_for(rough, vault, operation)
    rough.admin.create(spare_name(), vault)  # the connection is open
    wire.cut_answer(CALLS[operation][1])
    answer = ask(rough, vault, operation, record)
    assert wire.cuts == 1
    assert answer.status_code in (200, 201), answer.text
    assert has_happened(rough, vault, operation, record)
    agreed(rough, vault)


@pytest.mark.parametrize("operation", CALLS)
def test_a_cloud_that_cannot_be_reached(rough: Desk, wire: Wire, operation: str) -> None:
    vault = by_wire(rough, wire)
    record = ready_for(rough, vault, operation)
    wire.cut_all()
    time.sleep(0.2)
    answer = ask(rough, vault, operation, record)
    assert answer.status_code in (502, 504), answer.text
    wire.restore()
    assert finished(rough.server, LATE_S) == []
    if answer.status_code == 502:
        assert ask(rough, vault, operation, record).status_code in (200, 201)
    assert has_happened(rough, vault, operation, record)
    agreed(rough, vault)


def test_a_vault_that_cannot_be_reached_can_be_let_go(rough: Desk, wire: Wire, switches: Switchboard) -> None:
    """What stays open in it must not hold it for ever, nor leave a value behind."""
    vault = by_wire(rough, wire)
    rough.admin.create("there", vault)
    fault = {"service": "keyvault", "operation": "SecretSet", "place": vault.name, "count": 1}
    held = switches.fault_add(kind="delay", delay_s=12, **fault)
    with ThreadPoolExecutor() as pool:
        body = {"secret_name": "s", "key_vault": vault.id, "azure_param": {"value": "x"}}
        asked = pool.submit(rough.admin.ask, "POST", SECRETS, body)
        struck(switches, held)
        wire.cut_all()
        assert asked.result().status_code == 504
    switches.fault_remove(held)
    path = f"/cckm/azure/vaults/{vault.id}/remove-vault"
    assert until(lambda: rough.admin.ask("POST", path).status_code in (200, 204), 60)
    assert finished(rough.server, 60) == []
    assert left_over(rough.server) == []


def test_a_connection_that_was_deleted(rough: Desk) -> None:
    name = rough.connect(rough.server)
    vault = rough.manage(rough.cloud.make_vault(), name)
    record = rough.admin.create(spare_name(), vault)
    assert rough.admin.ask("POST", f"/connectionmgmt/connections/{name}/delete", {"force": True}).status_code == 204
    assert rough.admin.ask("GET", f"{CONNECTIONS}/{name}").status_code == 404
    rough.admin.refuse_act(record, "soft-delete", 409, f"the vault's connection {name} was deleted")
    assert rough.admin.read(record) == record


def test_a_connection_with_a_wrong_secret(rough: Desk, plain: Managed) -> None:
    name = rough.connect(rough.server)
    vault = rough.manage(rough.cloud.make_vault(), name)
    record = rough.admin.create(spare_name(), vault)
    rough.admin.accept("PATCH", f"{CONNECTIONS}/{name}", {"client_secret": "not the secret"})
    told = rough.admin.refuse_act(record, "soft-delete", 403, "AADSTS7000215")
    assert "not the secret" not in told
    body = {"secret_name": spare_name(), "key_vault": vault.id, "azure_param": {"value": "x"}}
    rough.admin.refuse("POST", SECRETS, body, status=403, part="signing in failed")
    assert rough.admin.read(record) == record
    rough.admin.accept(
        "PATCH", f"{CONNECTIONS}/{name}", {"client_secret": rough.server.exported["AZURE_CLIENT_SECRET"]}
    )
    rough.admin.act(record, "soft-delete")
    agreed(rough, vault)


def test_a_vault_that_is_gone_does_not_make_its_secrets_gone(rough: Desk) -> None:
    vault = rough.vault()
    record, softly, admin = ready_for(rough, vault, ""), ready_for(rough, vault, "recover"), rough.admin
    cloud = vault.cloud
    cloud.server.command(
        *("role", "assign", "Owner", cloud.demo_application.client_id, "--subscription", DEFAULT_SUBSCRIPTION)
    )
    url = f"https://management.localhost:{cloud.server.port}{vault.record['azure_vault_id']}?api-version=2023-07-01"
    token = cloud.token(cloud.demo_application, "https://management.azure.com")
    cloud.noticed(lambda: cloud.http.delete(url, headers={"Authorization": f"Bearer {token}"}).status_code == 200)
    for each, action in ((record, "soft-delete"), (softly, "hard-delete"), (softly, "recover")):
        admin.refuse_act(each, action, 502, "VaultNotFound")
        assert admin.read(each) == each
    admin.refuse("PATCH", f"{SECRETS}/{record['id']}", {"tags": {}}, status=502, part="VaultNotFound")
    assert open_intents(rough.server) == []
