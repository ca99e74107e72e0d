"""Every operation, by every way, with every outcome leaves exactly its records; without a record nothing is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claviger.audit.tree import includes, leaf_hash
from tests import recording
from tests.desk import PASSWORD, SECRETS, SETTINGS, Desk, execute, struck
from tests.recording import CANARY, LAST, STEPS, World, all_records, line_of
from tests.serving import estate_on
from tests.vaults import spare_name

TABLES = ("audit_records", "audit_facets", "audit_head", "audit_checkpoints")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp(f"recorded-{request.param}")
    witness = folder / "witness.jsonl"
    # What is simulated here is answered with a 5xx and logged, so nothing is asserted about that at the end.
    generator = estate_on(request.param, request, folder, **SETTINGS, CLAVIGER_AUDIT_WITNESS=str(witness))
    estate = next(generator)
    desk = Desk(estate.server)
    yield recording.world_at(desk, witness)
    desk.close()
    estate.assert_nothing_failed = lambda: None  # type: ignore[method-assign]
    for _ in generator:
        pass


def told_of(world: World, seen: int) -> list[str]:
    return [line_of(record, {}) for record in all_records(world.desk)[seen:]]


def test_every_operation_leaves_exactly_its_records(recorded: World) -> None:
    """The table of operation, outcome and origin. `make figures` runs it too."""
    assert recording.run_table(recorded, (*STEPS, *LAST)) == []


def test_what_a_sweep_purges_is_recorded_one_by_one(recorded: World) -> None:
    vault = recorded.vault.azure
    for name in ("swept-1", "swept-2"):
        vault.put(name, CANARY)
        vault.delete(name)
    seen = len(all_records(recorded.desk))
    board = recorded.desk.board()
    board.clock_advance(91 * 86_400)
    try:
        expected = {
            f"sweeper | SecretPurge | granted | 0 | nobody | secret swept-{number} | its retention has ended"
            for number in (1, 2)
        }
        give_up_at = time.monotonic() + 60
        while not expected <= set(told_of(recorded, seen)):
            assert time.monotonic() < give_up_at, told_of(recorded, seen)
            time.sleep(0.1)
    finally:
        board.clock_reset()


def test_the_api_shows_filters_and_proves(recorded: World) -> None:
    admin = recorded.admin
    before = all_records(recorded.desk)
    one = next(
        record
        for record in reversed(before)
        if record["message"] == recording.CREATE and record["success"] and record["details"]["id"]
    )
    page = admin.accept("GET", "/audit/records", query={"object_id": one["details"]["id"], "limit": 3})
    assert page["total"] >= len(page["resources"]) > 0
    assert {record["details"]["id"] for record in page["resources"]} == {one["details"]["id"]}
    for query, check in (
        ({"severity": "warning"}, lambda record: record["severity"] == "warning"),
        (
            {"service": ["keyvault", "usermgmt"], "severity": ["info", "warning"]},
            lambda record: record["service"] in ("keyvault", "usermgmt"),
        ),
        ({"success": "false"}, lambda record: not record["success"]),
        ({"message": "*SIGN*"}, lambda record: "Sign" in record["message"] or "sign" in record["message"]),
        ({"service": "keyvault"}, lambda record: record["service"] == "keyvault"),
        ({"source": "cli"}, lambda record: record["source"] == "cli"),
        ({"client_ip": "127.0.0.1"}, lambda record: record["clientIP"] == "127.0.0.1"),
        ({"username": "AD*"}, lambda record: record["username"].startswith("ad")),
        ({"createdAfter": one["createdAt"]}, lambda record: record["createdAt"] >= one["createdAt"]),
        ({"createdBefore": one["createdAt"]}, lambda record: record["createdAt"] <= one["createdAt"]),
    ):
        found = admin.accept("GET", "/audit/records", query={**query, "limit": -1})
        assert found["resources"], query
        assert all(check(record) for record in found["resources"]), query
        assert found["total"] == len(found["resources"]) < len(all_records(recorded.desk)) or query == {
            "client_ip": "127.0.0.1"
        }
    for query in (
        {"severity": "grim"},
        {"createdAfter": "soon"},
        {"sort": "message"},
        {"success": "yes"},
    ):
        admin.refuse("GET", "/audit/records", status=400, query=query)
    assert admin.accept("GET", "/audit/records", query={"source": "elsewhere"})["total"] == 0
    assert one["updatedAt"] == one["createdAt"]
    for order in ("updatedAt", "id", "-createdAt,id"):
        times = [r["createdAt"] for r in admin.accept("GET", "/audit/records", query={"sort": order})["resources"]]
        assert times == sorted(times, reverse=order.startswith("-"))
    single = admin.accept("GET", f"/audit/records/{one['id']}")
    proof = admin.accept("GET", "/claviger/audit/proofs/inclusion", query={"seq": one["seq"]})
    steps = [bytes.fromhex(step) for step in proof["proof"]]
    leaf = leaf_hash(single["canonical"].encode())
    assert includes(one["seq"], proof["size"], leaf, steps, bytes.fromhex(proof["root"]))
    assert not includes(one["seq"], proof["size"], leaf_hash(b"x"), steps, bytes.fromhex(proof["root"]))
    grown = admin.accept("GET", "/claviger/audit/proofs/consistency", query={"from": 5})
    assert (grown["from"], grown["to"] >= 5) == (5, True)
    admin.refuse("GET", "/claviger/audit/proofs/inclusion", status=400, part="seq")
    admin.refuse("GET", "/claviger/audit/proofs/inclusion", status=400, query={"seq": 10**9})
    assert admin.accept("GET", "/claviger/audit/public-key")["public_key"].startswith("claviger/audit/")
    assert admin.accept("GET", "/claviger/audit/checkpoint")["size"] > 0
    assert admin.accept("GET", "/audit/client-records")["resources"] == []
    admin.refuse("GET", f"/audit/client-records/{one['id']}", status=404)
    recorded.bob.refuse("GET", "/audit/records", status=403)


def test_who_may_see_what(recorded: World) -> None:
    keeper, _ = recorded.desk.user("CCKM Admins")
    seen = keeper.accept("GET", "/audit/records", query={"limit": -1})["resources"]
    assert {record["service"] for record in seen} == {"cckm"}
    assert keeper.accept("GET", "/audit/records", query={"service": "keyvault"})["total"] == 0
    other = next(record for record in all_records(recorded.desk) if record["service"] == "keyvault")
    keeper.refuse("GET", f"/audit/records/{other['id']}", status=404)
    domain = spare_name("domain")
    recorded.admin.accept("POST", "/domains", {"name": domain, "admins": ["admin"]}, 201)
    there = recorded.plain(
        "POST", "/auth/tokens", {"username": "admin", "password": PASSWORD, "domain": domain}
    ).json()["jwt"]
    told = recorded.plain("GET", "/audit/records?limit=-1", token=there).json()["resources"]
    assert [record["message"] for record in told] == ["Sign in"]
    assert recorded.plain("GET", f"/audit/records/{other['id']}", token=there).status_code == 404


def test_no_record_holds_a_secret(recorded: World) -> None:
    rows = execute(recorded.desk.server, "SELECT body FROM audit_records")
    assert len(rows) > 100
    assert not [row for row in rows if CANARY.encode() in bytes(row[0])]
    assert not [row for row in rows if PASSWORD.encode() in bytes(row[0])]


def break_log(recorded: World, how: str) -> list[str]:
    """Damages the log; what mends it again."""
    if how == "no head":
        gone = "DELETE FROM audit_head RETURNING size, frontier"  # in one: what is read is still being recorded
        ((size, frontier),) = execute(recorded.desk.server, gone)
        mended = f"INSERT INTO audit_head (id, size, frontier) VALUES (1, {size}, {{}})"
        blob = bytes(frontier).hex()
        return [mended.format(f"decode('{blob}', 'hex')" if recorded.desk.server.database_url else f"x'{blob}'")]
    execute(recorded.desk.server, "ALTER TABLE audit_records RENAME TO audit_gone")
    return ["ALTER TABLE audit_gone RENAME TO audit_records"]


@pytest.mark.parametrize("how", ["no head", "no table"])
def test_without_a_record_nothing_is_done(recorded: World, how: str) -> None:
    vault, admin = recorded.vault.azure, recorded.admin
    vault.put("kept", "before")
    record = admin.create(spare_name(), recorded.vault)
    admin.accept("GET", SECRETS)
    version = vault.get("kept")["id"]
    mend = break_log(recorded, how)
    try:
        for answer in (
            vault.ask("PUT", "/secrets/kept", {"value": "after"}),
            vault.ask("DELETE", "/secrets/kept"),
        ):
            assert answer.status_code == 503, answer.text
            assert answer.json()["error"]["code"] == "ServiceUnavailable"
            assert "audit record could not be written" in answer.json()["error"]["message"]
        refused = admin.ask("POST", f"{SECRETS}/{record['id']}/soft-delete")
        assert (refused.status_code, refused.json()["codeDesc"][:27]) == (503, "NCERRServiceUnavailable: Se")
        assert "audit record could not be written" in refused.json()["message"]
        assert admin.ask("POST", "/usermgmt/groups", {"name": "never"}).status_code == 503
        assert recorded.arm("PUT", "/resourceGroups/never", {"location": "westeurope"}) == 503
        assert (
            recorded.get_token(recorded.desk.cloud.demo_application, recorded.desk.cloud.demo_application.client_secret)
            == 503
        )
        assert recorded.plain("POST", "/auth/tokens", {"username": "admin", "password": PASSWORD}).status_code == 503
        give_up_at = time.monotonic() + 60  # what is buffered is noticed when it cannot be written
        while vault.ask("GET", "/secrets/kept").status_code == 200:
            assert time.monotonic() < give_up_at
            time.sleep(0.02)
        answer = vault.ask("GET", "/secrets/kept")
        assert answer.status_code == 503
        assert "audit record could not be written" in answer.json()["error"]["message"]
    finally:
        for statement in mend:
            execute(recorded.desk.server, statement)
    give_up_at = time.monotonic() + 60
    while vault.ask("GET", "/secrets/kept").status_code != 200:
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    assert vault.get("kept")["id"] == version
    assert admin.read(record)["status"] == "AVAILABLE"
    admin.refuse("GET", "/usermgmt/groups/never", status=404)


def test_what_a_killed_server_left_open_is_told_by_the_finisher(recorded: World) -> None:
    server = recorded.desk.server
    name = spare_name()
    seen = len(all_records(recorded.desk))
    board = recorded.desk.board()
    held = board.fault_add(kind="delay", delay_s=60, service="cckm", operation="create:acted", place=name, count=1)

    def create() -> None:
        try:
            recorded.admin.ask(
                "POST", SECRETS, {"secret_name": name, "key_vault": recorded.vault.id, "azure_param": {"value": CANARY}}
            )
        except Exception:  # noqa: BLE001 - the server ends in it
            return

    asked = threading.Thread(target=create)
    asked.start()
    struck(board, held)
    server.kill()
    asked.join()
    server.start()
    recorded.admin.close()
    expected = f"finisher | {recording.CREATE} | granted | 0 | admin | azure-secret {name} | done"
    give_up_at = time.monotonic() + 90
    while expected not in told_of(recorded, seen):
        assert time.monotonic() < give_up_at, told_of(recorded, seen)
        time.sleep(0.2)
    told = [
        record
        for record in all_records(recorded.desk)[seen:]
        if record["details"]["name"] == name and record["service"] == "cckm"
    ]
    assert [record["source"] for record in told] == ["api", "finisher"]
    assert len({record["details"]["request_id"] for record in told}) == 1
    assert {record["username"] for record in told} == {"admin"}


def test_a_record_that_shows_its_value_is_a_reveal(
    request: pytest.FixtureRequest, tmp_path: Path, recorded: World
) -> None:
    kind = recorded.desk.server.kind
    for estate in estate_on(kind, request, tmp_path, **SETTINGS, CLAVIGER_ECHO_VALUES="true"):
        desk = Desk(estate.server)
        record = desk.admin.create("shown", desk.vault(), CANARY)
        seen = len(all_records(desk))
        assert desk.admin.read(record)["azure_param"]["value"] == CANARY
        told = [line_of(each, {}) for each in all_records(desk)[seen:]]
        assert told == ["api | Read a secret's record | granted | 200 | admin | azure-secret shown"]
        desk.close()


def test_at_the_end_the_whole_log_proves_itself(recorded: World, tmp_path: Path) -> None:
    server = recorded.desk.server
    told: Any = server.command("audit", "verify")
    assert told["result"] == "good"
    assert told["records"] == told["signed_up_to"] or told["records"] > 100
    server.command("audit", "checkpoint")
    again: Any = server.command("audit", "verify", "--witness", str(recorded.memory["witness"]))
    assert (again["result"], again["records"]) == ("good", again["signed_up_to"])
    assert again["witnessed_up_to"] == again["records"]
    exported = tmp_path / "log.jsonl"
    key = server.command("audit", "export", str(exported))["public_key"]
    assert server.command("audit", "verify", "--export", str(exported), "--public-key", key)["result"] == "good"
