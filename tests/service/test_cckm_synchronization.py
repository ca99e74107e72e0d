"""Synchronisation of real vaults: what was done behind our back is found, and nothing else is touched."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.agreeing import left_over
from tests.cloud_jobs import DRIFT
from tests.desk import SECRETS, Desk, Managed, execute
from tests.synchronizing import JOBS, differences, drifts, ended, start, stored, synchronized
from tests.vaults import spare_name

HEADER = {"id", "uri", "account", "application", "devAccount", "createdAt", "updatedAt"}


def only(desk: Desk, vault: Managed, name: str) -> Any:
    """The one record of a name."""
    [record] = desk.admin.records(vault, name)
    return record


def test_a_vault_that_was_never_read_is_recorded_whole(desk: Desk) -> None:
    vault = desk.vault()
    vault.azure.put("one", "first", tags={"a": "b"}, contentType="text/plain")
    vault.azure.put("one", "second", attributes={"enabled": False, "nbf": 5, "exp": 1_900_000_000})
    vault.azure.put("Two")
    vault.azure.put("left")
    vault.azure.delete("left")
    job = start(desk.admin, vault)
    assert job.keys() >= HEADER
    assert job["uri"].startswith("kylo:kylo:cckm:synchronize:")
    assert (job["cloud"], job["abort"], job["synchronize_all"]) == ("azure", False, False)
    name = vault.record["name"]
    assert job["key_vaults"] == [name]
    assert job["detailed_status"] == {name: "in_progress"}
    job = ended(desk.admin, job)
    assert (job["overall_status"], job["detailed_status"]) == ("completed", {name: "completed"})
    assert job["completed_at"] >= job["createdAt"]
    told = job["progress"]
    assert (told["vaults_done"], told["vaults_total"], told["secrets_done"], told["added"]) == (1, 1, 3, 3)
    assert (told["failed_items"], told["brake"]) == ([], [])
    assert differences(desk, vault) == []
    records = desk.admin.records(vault)
    assert [record["key_material_origin"] for record in records] == ["native"] * 4
    assert all(record["created_by"] == job["created_by"] for record in records)
    assert [record["version"] for record in desk.admin.records(vault, "one")] != []
    assert desk.admin.accept("GET", f"/cckm/azure/vaults/{vault.id}")["synced_at"]
    assert drifts(desk.admin, vault) == []  # nothing was known, so nothing has drifted


def test_a_second_run_over_an_unchanged_vault_writes_nothing(desk: Desk) -> None:
    vault = desk.vault()
    for number in range(60):
        vault.azure.put(f"s-{number}", tags={"n": str(number)} if number % 3 else None)
    desk.admin.create("ours", vault, tags={"a": "b"}, contentType="x")
    soft = desk.admin.create("ours-deleted", vault)
    desk.admin.act(soft, "soft-delete")
    synchronized(desk.admin, vault)
    before = stored(desk, vault)
    revision = "SELECT value FROM meta WHERE key = 'cckm_azure_secrets_revision'"
    was = execute(desk.server, revision)
    job = synchronized(desk.admin, vault)
    assert job["progress"]["secrets_done"] == 62
    assert stored(desk, vault) == before
    assert execute(desk.server, revision) == was
    synchronized(desk.admin, vault, all_versions=True)
    assert stored(desk, vault) == before
    assert differences(desk, vault) == []


def test_what_was_changed_behind_our_back_is_found_and_listed_as_drift(desk: Desk) -> None:
    vault, sdk_made = desk.vault(), f"sdk-{spare_name()}"
    kept, changed, deleted, purged = (desk.admin.create(spare_name(), vault, tags={"a": "b"}) for _ in range(4))
    synchronized(desk.admin, vault)
    sdk = vault.sdk()
    sdk.update_secret_properties(changed["secret_name"], enabled=False, tags={"a": "c"})
    vault.azure.delete(deleted["secret_name"])
    vault.azure.delete(purged["secret_name"])
    vault.azure.purge(purged["secret_name"])
    sdk.set_secret(sdk_made, "value")
    job = synchronized(desk.admin, vault)
    assert [job["progress"][name] for name in ("added", "changed", "gone")] == [1, 2, 1]
    assert desk.admin.read(kept) == kept | {"syncedAt": desk.admin.read(kept)["syncedAt"]}
    after = desk.admin.read(changed)
    assert (after["azure_param"]["attributes"]["enabled"], after["azure_param"]["tags"]) == (False, {"a": "c"})
    assert desk.admin.read(deleted)["status"] == "SOFT-DELETED"
    assert (desk.admin.read(purged)["status"], desk.admin.read(purged)["gone"]) == ("AVAILABLE", True)
    assert only(desk, vault, sdk_made)["key_material_origin"] == "native"
    assert differences(desk, vault) == []
    found = {each["secret_name"]: each for each in drifts(desk.admin, vault)}
    assert {name: each["kind"] for name, each in found.items()} == {
        changed["secret_name"]: "different",
        deleted["secret_name"]: "different",
        purged["secret_name"]: "missing",
        sdk_made: "new",
    }
    told = found[changed["secret_name"]]
    assert told["fields"] == {"enabled": {"was": True, "now": False}, "tags": {"was": {"a": "b"}, "now": {"a": "c"}}}
    assert (told["secret_id"], told["key_vault"]) == (changed["id"], vault.record["name"])
    assert found[deleted["secret_name"]]["fields"] == {"status": {"was": "AVAILABLE", "now": "SOFT-DELETED"}}
    assert [each["secret_name"] for each in drifts(desk.admin, vault, kind="missing")] == [purged["secret_name"]]
    assert [each["secret_name"] for each in drifts(desk.admin, vault, secret_name="SDK-*")] == [sdk_made]
    before = stored(desk, vault)
    synchronized(desk.admin, vault)
    assert stored(desk, vault) == before
    assert {each["id"] for each in drifts(desk.admin, vault)} == {each["id"] for each in found.values()}


def test_drift_goes_when_all_is_as_it_was_or_somebody_deals_with_it(desk: Desk) -> None:
    vault = desk.vault()
    back, dealt, twice = (desk.admin.create(spare_name(), vault, tags={"a": "b"}) for _ in range(3))
    synchronized(desk.admin, vault)
    for record in (back, dealt, twice):
        vault.sdk().update_secret_properties(record["secret_name"], tags={"a": "c"})
    synchronized(desk.admin, vault)
    assert len(drifts(desk.admin, vault)) == 3
    since = {each["secret_name"]: each["since"] for each in drifts(desk.admin, vault)}
    vault.sdk().update_secret_properties(back["secret_name"], tags={"a": "b"})
    vault.sdk().update_secret_properties(twice["secret_name"], tags={"a": "d"}, content_type="x")
    desk.admin.patch(dealt, tags={"a": "e"})
    assert dealt["secret_name"] not in [each["secret_name"] for each in drifts(desk.admin, vault)]
    synchronized(desk.admin, vault)
    [left] = drifts(desk.admin, vault)
    assert (left["secret_name"], left["since"]) == (twice["secret_name"], since[twice["secret_name"]])
    assert left["fields"]["tags"] == {"was": {"a": "b"}, "now": {"a": "d"}}
    assert left["fields"]["contentType"] == {"was": None, "now": "x"}


def test_what_comes_back_is_available_again(desk: Desk) -> None:
    vault = desk.vault()
    softly, purged = desk.admin.create(spare_name(), vault), desk.admin.create(spare_name(), vault)
    desk.admin.act(softly, "soft-delete")
    blob = vault.azure.backup(purged["secret_name"])
    vault.azure.delete(purged["secret_name"])
    vault.azure.purge(purged["secret_name"])
    synchronized(desk.admin, vault)
    assert desk.admin.read(purged)["gone"]
    vault.azure.recover(softly["secret_name"])
    vault.azure.restore(blob)
    synchronized(desk.admin, vault)
    for record in (softly, purged):
        found = desk.admin.read(record)
        assert (found["status"], found["gone"], found["id"]) == ("AVAILABLE", False, record["id"])
    assert differences(desk, vault) == []
    assert [each["kind"] for each in drifts(desk.admin, vault)] == ["different"]  # the one that was recovered


def test_a_name_that_was_purged_and_made_anew_loses_its_old_versions(desk: Desk) -> None:
    vault = desk.vault()
    live, softly = desk.admin.create(spare_name(), vault), desk.admin.create(spare_name(), vault)
    desk.admin.act(softly, "soft-delete")
    synchronized(desk.admin, vault)
    vault.azure.delete(live["secret_name"])
    for record in (live, softly):
        vault.azure.purge(record["secret_name"])
        vault.azure.put(record["secret_name"], "another")
    synchronized(desk.admin, vault)
    for record in (live, softly):
        old = desk.admin.read(record)
        assert (old["status"], old["gone"], old["deleted"]) == ("DELETED", True, True)
        assert len(desk.admin.records(vault, record["secret_name"])) == 2
    assert differences(desk, vault) == []


def test_a_deleted_secret_that_was_never_known_is_recorded_with_its_version(desk: Desk) -> None:
    vault, name = desk.vault(), spare_name()
    made = vault.azure.put(name)
    vault.azure.delete(name)
    synchronized(desk.admin, vault)
    record = only(desk, vault, name)
    assert record["status"] == "SOFT-DELETED"
    assert record["azure_param"]["id"] == made["id"]
    assert desk.admin.act(record, "recover")["status"] == "AVAILABLE"
    before = stored(desk, vault)
    synchronized(desk.admin, vault)
    assert stored(desk, vault) == before


def test_a_disabled_deleted_secret_hides_its_version_until_it_is_back(desk: Desk) -> None:
    vault, name = desk.vault(), spare_name()
    made = vault.azure.put(name, attributes={"enabled": False})
    vault.azure.delete(name)
    synchronized(desk.admin, vault)
    record = only(desk, vault, name)
    assert (record["status"], record["version"]) == ("SOFT-DELETED", "")
    before = stored(desk, vault)
    synchronized(desk.admin, vault)
    assert stored(desk, vault) == before
    vault.azure.recover(name)
    synchronized(desk.admin, vault)
    assert differences(desk, vault) == []
    after = only(desk, vault, name)
    assert (after["id"], after["version"]) == (record["id"], made["id"].rpartition("/")[2])


def test_a_new_version_is_found_although_it_looks_like_the_one_before(desk: Desk) -> None:
    vault, name = desk.vault(), spare_name()
    vault.azure.put(name, "first")
    synchronized(desk.admin, vault)
    vault.azure.put(name, "second")  # in the same second, perhaps
    synchronized(desk.admin, vault)
    assert len(desk.admin.records(vault, name)) == 2
    assert differences(desk, vault) == []


def test_vaults_without_soft_delete_are_read_as_well(desk: Desk) -> None:
    vault, name = desk.vault("--no-soft-delete"), spare_name()
    vault.azure.put(name)
    synchronized(desk.admin, vault)
    vault.azure.delete(name)
    synchronized(desk.admin, vault)
    assert only(desk, vault, name)["gone"]


def test_all_vaults_and_names_in_every_form(desk: Desk) -> None:
    vault = desk.vault()
    vault.azure.put("s")
    for named in (vault.id, vault.name, vault.record["name"]):
        job = synchronized(desk.admin, key_vaults=[named, vault.id])
        assert job["key_vaults"] == [vault.record["name"]]
    job = synchronized(desk.admin, synchronize_all=True, key_vaults=[])
    assert vault.record["name"] in job["key_vaults"]
    assert job["synchronize_all"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"key_vaults": []}, 400),
        ({"key_vaults": [], "synchronize_all": False}, 400),
        ({"key_vaults": ["a"], "synchronize_all": True}, 400),
        ({"key_vaults": "a"}, 400),
        ({"key_vaults": [1]}, 400),
        ({"key_vaults": ["no-such-vault"]}, 404),
        ({"key_vaults": ["x" * 5000]}, 404),
        ({"key_vaults": ["a\0b"]}, 400),
        ({"key_vaults": ["a"] * 1001}, 400),
        ({"synchronize_all": "yes"}, 400),
    ],
)
def test_bad_requests_are_refused(desk: Desk, body: Any, status: int) -> None:
    before = desk.admin.accept("GET", JOBS)["total"]
    desk.admin.refuse("POST", JOBS, body, status=status)
    assert desk.admin.accept("GET", JOBS)["total"] == before


def test_lists_of_jobs_and_of_drift_refuse_what_they_do_not_know(desk: Desk) -> None:
    desk.admin.refuse("GET", JOBS, status=400, query={"overall_status": "running"})
    desk.admin.refuse("GET", JOBS, status=400, query={"sort": "nothing"})
    desk.admin.refuse("GET", JOBS, status=400, query={"limit": "-2"})
    desk.admin.refuse("GET", DRIFT, status=400, query={"kind": "odd"})
    desk.admin.refuse("GET", DRIFT, status=400, query={"sort": "odd"})
    for odd in ("%", "_", "\\", "!", "*\\", "'"):
        assert desk.admin.accept("GET", DRIFT, query={"secret_name": odd})["resources"] == []
    assert desk.admin.accept("GET", JOBS, query={"id": "nobody"})["total"] == 0
    desk.admin.refuse("GET", f"{JOBS}/nobody", status=404)
    desk.admin.refuse("POST", f"{JOBS}/nobody/cancel", status=404)


def test_jobs_are_listed_by_filter(desk: Desk) -> None:
    vault, other = desk.vault(), desk.vault()
    first, second = synchronized(desk.admin, vault), synchronized(desk.admin, vault, other)
    for named in (vault.id, vault.name, vault.record["name"]):
        found = desk.admin.accept("GET", JOBS, query={"key_vaults": named})
        assert [job["id"] for job in found["resources"]] == [second["id"], first["id"]]
    assert desk.admin.accept("GET", JOBS, query={"key_vaults": other.id})["total"] == 1
    query = {"key_vaults": vault.id, "overall_status": "failed"}
    assert desk.admin.accept("GET", JOBS, query=query)["total"] == 0
    assert desk.admin.accept("GET", JOBS, query={"id": first["id"]})["resources"][0]["id"] == first["id"]
    assert desk.admin.accept("GET", JOBS, query={"key_vaults": vault.id, "limit": 1, "skip": 1})["total"] == 2


def test_only_who_may_synchronize_a_vault_does(desk: Desk) -> None:
    mine, seen, hidden = desk.vault(), desk.vault(), desk.vault()
    for vault in (mine, seen, hidden):
        vault.azure.put("s")
    user, user_id = desk.user("CCKM Users")
    user.refuse("POST", JOBS, {"synchronize_all": True}, status=403)
    desk.permit(mine, user_id, "secretview", "secretsynchronize")
    desk.permit(seen, user_id, "secretview")
    user.refuse("POST", JOBS, {"key_vaults": [seen.id]}, status=403, part="secretsynchronize")
    user.refuse("POST", JOBS, {"key_vaults": [mine.id, seen.id]}, status=403)
    user.refuse("POST", JOBS, {"key_vaults": [hidden.id]}, status=404)
    job = synchronized(user, synchronize_all=True)
    assert job["key_vaults"] == [mine.record["name"]]
    assert stored(desk, hidden) == stored(desk, seen) == []
    whole = synchronized(desk.admin, mine, seen, hidden)
    shown = user.accept("GET", f"{JOBS}/{whole['id']}")
    assert shown["key_vaults"] == list(shown["detailed_status"]) == [mine.record["name"], seen.record["name"]]
    assert {vault["key_vault_id"] for vault in shown["vaults"]} == {mine.id, seen.id}
    listed = {job["id"]: job for job in user.accept("GET", JOBS)["resources"]}
    assert set(listed) == {job["id"], whole["id"]}
    assert hidden.record["name"] not in str(listed)
    theirs = synchronized(desk.admin, hidden)
    user.refuse("GET", f"{JOBS}/{theirs['id']}", status=404)
    user.refuse("POST", f"{JOBS}/{theirs['id']}/cancel", status=404)
    user.refuse("POST", f"{JOBS}/{whole['id']}/cancel", status=403)
    for vault in (mine, hidden):
        vault.azure.put("new")
    synchronized(desk.admin, mine, hidden)
    assert {each["key_vault_id"] for each in user.accept("GET", DRIFT)["resources"]} == {mine.id}
    assert user.accept("GET", DRIFT, query={"key_vault": hidden.id})["total"] == 0


@pytest.mark.parametrize("seed", range(2))
def test_whatever_others_do_the_records_are_as_the_vault_is(desk: Desk, seed: int) -> None:
    """The model: a vault that others and operators change at random, and its records after each synchronisation."""
    chance = random.Random(seed)
    vault = desk.vault()
    names = [f"model-{number}" for number in range(30)]
    blobs: dict[str, str] = {}
    for _ in range(4):
        for _ in range(40):
            _anything(desk, vault, chance, chance.choice(names), blobs)
        synchronized(desk.admin, vault, override_brake=True)
        assert differences(desk, vault) == [], seed
        before = stored(desk, vault)
        synchronized(desk.admin, vault)
        assert stored(desk, vault) == before, seed
    assert left_over(desk.server) == []


def _anything(desk: Desk, vault: Managed, chance: random.Random, name: str, blobs: dict[str, str]) -> None:
    """One change by somebody, of a kind that the secret's state allows."""
    azure = vault.azure
    versions = azure.ask("GET", f"/secrets/{name}/versions").json().get("value")
    if name in {item["id"].split("/")[4] for item in azure.listed("/deletedsecrets")}:
        _of_deleted(vault, chance, name, blobs)
    elif versions:
        _of_live(desk, vault, chance, name, blobs, [each["id"].rpartition("/")[2] for each in versions])
    elif chance.random() < 0.5:
        azure.put(name, tags={"n": str(chance.randrange(3))})
    else:
        desk.admin.create(name, vault, tags={"n": str(chance.randrange(3))})


def _of_deleted(vault: Managed, chance: random.Random, name: str, blobs: dict[str, str]) -> None:
    kind = chance.randrange(3)
    if kind == 0:
        vault.azure.recover(name)
        return
    vault.azure.purge(name)
    if kind == 1:
        vault.azure.put(name, "anew")
    elif name in blobs and chance.random() < 0.5:
        vault.azure.restore(blobs[name])


def _of_live(
    desk: Desk, vault: Managed, chance: random.Random, name: str, blobs: dict[str, str], versions: list[str]
) -> None:
    azure = vault.azure
    match chance.randrange(5):
        case 0:
            azure.put(name, str(chance.random()))
        case 1:
            azure.patch(name, tags={"n": str(chance.randrange(3))}, attributes={"enabled": chance.random() < 0.7})
        case 2:
            blobs[name] = azure.backup(name)
            azure.delete(name)
        case 3:
            newest = max(desk.admin.records(vault, name), key=lambda each: each["createdAt"], default=None)
            if newest is not None and newest["status"] == "AVAILABLE":
                desk.admin.ask("POST", f"{SECRETS}/{newest['id']}/soft-delete")
        case _:
            azure.patch(name, chance.choice(versions), contentType=chance.choice(("a", "b")))
            azure.put(name, "newest")
