"""Secrets that somebody changes in Azure behind the control plane's back: refused, or done, and the record learns."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from claviger.switches.client import Switchboard
from tests.agreeing import left_over
from tests.desk import SECRETS, Desk, Managed, struck
from tests.vaults import spare_name

Behind = Callable[[Managed, str], Any]


def made(desk: Desk, vault: Managed, *actions: str) -> Any:
    """A record on which these were done."""
    record = desk.admin.create(spare_name(), vault)
    for action in actions:
        record = desk.admin.act(record, action)
    return record


def deletes(vault: Managed, name: str) -> None:
    vault.azure.delete(name)


def purges_live(vault: Managed, name: str) -> None:
    vault.azure.delete(name)
    vault.azure.purge(name)


def purges(vault: Managed, name: str) -> None:
    vault.azure.purge(name)


def recovers(vault: Managed, name: str) -> None:
    vault.azure.recover(name)


def replaces_live(vault: Managed, name: str) -> None:
    purges_live(vault, name)
    vault.azure.put(name, "another")


def replaces_deleted(vault: Managed, name: str) -> None:
    vault.azure.purge(name)
    vault.azure.put(name, "another")


PATCH = "patch"
LEAVING = "/claviger/leaving"
CASES: list[tuple[tuple[str, ...], Behind, str, int, str, bool]] = [
    # state before, what is done behind our back, what the operator asks for; status, the record's status, gone
    ((), deletes, PATCH, 409, "SOFT-DELETED", False),
    ((), deletes, "soft-delete", 200, "SOFT-DELETED", False),
    ((), purges_live, PATCH, 409, "AVAILABLE", True),
    ((), purges_live, "soft-delete", 409, "AVAILABLE", True),
    ((), replaces_live, PATCH, 409, "AVAILABLE", True),
    ((), replaces_live, "soft-delete", 409, "AVAILABLE", True),
    (("soft-delete",), recovers, "hard-delete", 409, "AVAILABLE", False),
    (("soft-delete",), recovers, "recover", 200, "AVAILABLE", False),
    (("soft-delete",), purges, "hard-delete", 200, "DELETED", False),
    (("soft-delete",), purges, "recover", 409, "DELETED", False),
    (("soft-delete",), replaces_deleted, "hard-delete", 200, "DELETED", False),
    (("soft-delete",), replaces_deleted, "recover", 409, "DELETED", False),
]


@pytest.mark.parametrize(("before", "behind", "action", "status", "after", "gone"), CASES)
def test_the_record_learns(
    desk: Desk,
    desk_vault: Managed,
    before: tuple[str, ...],
    behind: Behind,
    action: str,
    status: int,
    after: str,
    gone: bool,
) -> None:
    record, admin = made(desk, desk_vault, *before), desk.admin
    behind(desk_vault, record["secret_name"])
    if action == PATCH:
        answer = admin.ask("PATCH", f"{SECRETS}/{record['id']}", {"tags": {"a": "b"}})
    else:
        answer = admin.ask("POST", f"{SECRETS}/{record['id']}/{action}")
    assert answer.status_code == status, answer.text
    if status == 409:
        assert "the secret was changed in Azure" in answer.json()["message"]
    now = admin.read(record)
    assert (now["status"], now["gone"]) == (after, gone)
    if behind in (replaces_live, replaces_deleted):
        assert desk_vault.azure.get(record["secret_name"])["value"] == "another"
    assert left_over(desk.server) == []


def test_what_was_purged_can_be_restored(desk: Desk, desk_vault: Managed) -> None:
    """A live record whose secret is gone is marked first, for Azure may still be deleting it; then it is believed."""
    record, admin = made(desk, desk_vault), desk.admin
    purges_live(desk_vault, record["secret_name"])
    admin.refuse_act(record, "soft-delete", 409, "is not there now")
    admin.refuse_act(record, "soft-delete", 409, "is DELETED there")
    assert admin.act(record, "restore")["status"] == "AVAILABLE"
    assert desk_vault.azure.get(record["secret_name"])["value"] == "value"


def gone(desk: Desk, vault: Managed) -> list[Any]:
    """The records of a secret's two versions, purged behind our back and found missing."""
    admin, first = desk.admin, made(desk, vault)
    second = admin.create(first["secret_name"], vault, value="newer")
    purges_live(vault, first["secret_name"])
    admin.refuse_act(second, "soft-delete", 409, "is not there now")
    records = [admin.read(first), admin.read(second)]
    assert [(each["status"], each["gone"]) for each in records] == [("AVAILABLE", True)] * 2
    return records


def test_what_is_gone_can_be_restored(desk: Desk, desk_vault: Managed) -> None:
    records, admin = gone(desk, desk_vault), desk.admin
    admin.refuse_act(records[1], "recover", 400, "restore brings it back")
    query = {"kind": "restorable", "secret_name": records[1]["secret_name"]}
    [entry] = admin.accept("GET", LEAVING, query=query)["resources"]
    assert (entry["id"], entry["gone"], entry["name_taken"]) == (records[1]["id"], True, False)
    assert admin.accept("POST", f"{LEAVING}/{entry['id']}/undo")["id"] == records[1]["id"]
    assert [(each["status"], each["gone"]) for each in map(admin.read, records)] == [("AVAILABLE", False)] * 2
    assert desk_vault.azure.get(records[0]["secret_name"])["value"] == "newer"
    assert left_over(desk.server) == []


def test_what_is_gone_is_not_restored_over_another(desk: Desk, desk_vault: Managed) -> None:
    records, admin = gone(desk, desk_vault), desk.admin
    name = records[0]["secret_name"]
    other = admin.create(name, desk_vault, value="another")
    admin.refuse_act(records[1], "restore", 409)
    assert [admin.read(each)["gone"] for each in (*records, other)] == [True, True, False]
    assert desk_vault.azure.get(name)["value"] == "another"
    assert admin.read(other)["backup"] != records[1]["backup"]
    admin.act(admin.act(other, "soft-delete"), "hard-delete")
    admin.act(records[1], "restore")
    assert desk_vault.azure.get(name)["value"] == "newer"


def test_what_is_gone_can_be_removed_and_takes_nothing_of_another_along(desk: Desk, desk_vault: Managed) -> None:
    records, admin = gone(desk, desk_vault), desk.admin
    other = admin.create(records[0]["secret_name"], desk_vault, value="another")
    admin.remove(records[0])  # both of its versions, with their backup
    admin.refuse("GET", f"{SECRETS}/{records[1]['id']}", status=404)
    assert admin.act(admin.act(other, "soft-delete"), "hard-delete")["status"] == "DELETED"
    assert admin.act(other, "restore")["status"] == "AVAILABLE"


def test_what_is_gone_keeps_its_backup_whatever_happens_to_another_of_its_name(desk: Desk, desk_vault: Managed) -> None:
    records, admin = gone(desk, desk_vault), desk.admin
    other = admin.create(records[0]["secret_name"], desk_vault, value="another")
    for _ in range(2):
        other = admin.patch(other, tags={"a": "b"})
    other = admin.act(admin.act(other, "soft-delete"), "recover")
    admin.act(admin.act(admin.patch(other, tags={}), "soft-delete"), "hard-delete")
    assert [(each["gone"], each["backup"]) for each in map(admin.read, records)] == [(True, records[0]["backup"])] * 2
    admin.act(records[1], "restore")
    assert desk_vault.azure.get(records[1]["secret_name"])["value"] == "newer"
    assert left_over(desk.server) == []


def test_what_was_purged_unseen_keeps_its_backup_when_the_name_is_used_again(desk: Desk, desk_vault: Managed) -> None:
    first, admin = made(desk, desk_vault), desk.admin
    purges_live(desk_vault, first["secret_name"])
    other = admin.create(first["secret_name"], desk_vault, value="another")
    assert admin.read(first)["status"] == "DELETED"
    admin.act(admin.act(other, "soft-delete"), "hard-delete")
    admin.act(first, "restore")
    assert desk_vault.azure.get(first["secret_name"])["value"] == "value"
    assert left_over(desk.server) == []


@pytest.mark.parametrize("action", ["hard-delete", "recover"])
def test_what_was_deleted_anew_is_left_alone_once(
    desk: Desk, desk_vault: Managed, board: Switchboard, action: str
) -> None:
    record, admin = made(desk, desk_vault, "soft-delete"), desk.admin
    desk_vault.azure.recover(record["secret_name"])
    board.clock_advance(5)
    desk_vault.azure.delete(record["secret_name"])
    admin.refuse_act(record, action, 409, "is SOFT-DELETED there")
    assert desk_vault.azure.deleted(record["secret_name"])
    assert admin.read(record)["status"] == "SOFT-DELETED"
    admin.act(record, action)  # now it is known


def test_the_backup_holds_what_azure_holds_when_it_is_deleted(desk: Desk, desk_vault: Managed) -> None:
    record, admin = made(desk, desk_vault), desk.admin
    desk_vault.sdk().set_secret(record["secret_name"], "newer")
    for action in ("soft-delete", "hard-delete", "restore"):
        record = admin.act(record, action)
    assert (record["status"], record["gone"]) == ("AVAILABLE", False)
    assert desk_vault.azure.get(record["secret_name"])["value"] == "newer"
    assert desk_vault.azure.get(record["secret_name"], record["version"])["value"] == "value"


def test_a_life_that_was_purged_keeps_its_backup_when_the_name_is_used_again(desk: Desk, desk_vault: Managed) -> None:
    first, admin = made(desk, desk_vault, "soft-delete"), desk.admin
    name = first["secret_name"]
    desk_vault.azure.purge(name)
    second = admin.create(name, desk_vault, "second")
    assert admin.read(first)["status"] == "DELETED"
    assert admin.read(first)["backup"] != second["backup"]
    for action in ("soft-delete", "hard-delete"):
        admin.act(second, action)
    admin.act(first, "restore")
    assert desk_vault.azure.get(name)["value"] == "value"


def test_two_operators_at_one_secret(desk: Desk, desk_vault: Managed, board: Switchboard) -> None:
    record, admin = made(desk, desk_vault), desk.admin
    held = board.fault_add(kind="delay", delay_s=40, service="cckm", operation="soft-delete:intended", count=1)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(admin.ask, "POST", f"{SECRETS}/{record['id']}/soft-delete")
        struck(board, held)
        admin.refuse_act(record, "soft-delete", 409, "another operation (azure-secret-soft-delete)")
        body = {"secret_name": record["secret_name"].upper(), "key_vault": desk_vault.id, "azure_param": {"value": "x"}}
        admin.refuse("POST", SECRETS, body, status=409, part="under way")
        admin.refuse("POST", f"/cckm/azure/vaults/{desk_vault.id}/remove-vault", status=409, part="under way")
        board.fault_remove(held)
        assert first.result().status_code == 200
    assert admin.read(record)["status"] == "SOFT-DELETED"


def test_a_crowd_at_one_secret(desk: Desk, desk_vault: Managed) -> None:
    """Whoever is told of success has done it alone; the others are told of the state or of the one before them."""
    record, admin = made(desk, desk_vault), desk.admin

    def act(action: str) -> tuple[str, int]:
        return action, admin.ask("POST", f"{SECRETS}/{record['id']}/{action}").status_code

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(act, ["soft-delete", "recover", "soft-delete", "recover"] * 12))
    assert {status for _, status in answers} <= {200, 400, 409}
    deleted, recovered = (sum(each == (action, 200) for each in answers) for action in ("soft-delete", "recover"))
    now = admin.read(record)
    assert deleted - recovered == (now["status"] == "SOFT-DELETED")
    assert deleted >= 1
    assert left_over(desk.server) == []
