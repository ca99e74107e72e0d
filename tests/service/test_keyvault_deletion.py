"""Delete, recover, purge on the wire (Key Vault contract §4); what time brings about is in test_keyvault_time."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.serving import Estate
from tests.vaults import VaultClient, accepted, name_of, refused, version_of

DAY_S = 86_400


def _missing(name: str) -> str:
    return rf"A secret with \(name/id\) {re.escape(name)} was not found in this key vault\. .*"


@pytest.mark.parametrize("days", [7, 90])
def test_a_deleted_secret_says_when_it_will_be_purged(estate: Estate, name: str, days: int):
    vault = estate.shared_vault() if days == 90 else estate.shared_vault("--retention-days", "7")
    made = vault.put(name, "hidden", contentType="text/plain", tags={"a": "b"})
    gone = vault.delete(name)
    assert abs(gone["deletedDate"] - time.time()) < 60
    assert gone["scheduledPurgeDate"] == gone["deletedDate"] + days * DAY_S
    assert gone["recoveryId"] == f"{vault.url}/deletedsecrets/{name}"
    without_dates = {field: gone[field] for field in ("contentType", "id", "attributes", "tags")}
    assert without_dates == {field: made[field] for field in without_dates}
    assert "value" not in gone
    (item,) = (each for each in vault.listed("/deletedsecrets") if name_of(each) == name)
    assert item == {**gone, "id": f"{vault.url}/secrets/{name}"}


def test_every_operation_on_a_deleted_secret_answers_as_if_there_were_none(vault: VaultClient, name: str):
    version = version_of(vault.put(name))
    vault.delete(name)
    for method, path in (("GET", ""), ("PATCH", "/"), ("DELETE", ""), ("POST", "/backup")):
        answer = vault.ask(method, f"/secrets/{name}{path}", {} if method == "PATCH" else None)
        refused(answer, 404, "SecretNotFound", _missing(name))
    for method in ("GET", "PATCH"):
        answer = vault.ask(method, f"/secrets/{name}/{version}", {} if method == "PATCH" else None)
        refused(answer, 404, "SecretNotFound")


def test_what_is_not_deleted_can_be_neither_shown_recovered_nor_purged(vault: VaultClient, name: str):
    for state in ("unknown", "live"):
        if state == "live":
            vault.put(name)
        told = rf"Deleted Secret not found: {name}"
        refused(vault.ask("GET", f"/deletedsecrets/{name}"), 404, "SecretNotFound", told)
        refused(vault.ask("DELETE", f"/deletedsecrets/{name}"), 404, "SecretNotFound", told)
        refused(vault.ask("POST", f"/deletedsecrets/{name}/recover"), 404, "SecretNotFound", _missing(name))
    assert vault.get(name)["value"] == "value"


@pytest.mark.parametrize("bad", ["under_score", "x" * 128, "a.b"])
def test_bad_names_are_refused_on_the_deleted_side_too(vault: VaultClient, bad: str):
    told = re.escape(f"The request URI contains an invalid name: {bad}")
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/recover")):
        refused(vault.ask(method, f"/deletedsecrets/{bad}{path}"), 400, "BadParameter", told)


def test_a_purged_name_starts_anew(vault: VaultClient, name: str):
    first = vault.put(name, "old", tags={"old": "1"})
    vault.delete(name)
    vault.purge(name)
    refused(vault.ask("GET", f"/secrets/{name}/{version_of(first)}"), 404, "SecretNotFound")
    assert vault.versions(name) == []
    fresh = vault.put(name, "new")
    assert "tags" not in fresh
    assert [item["id"] for item in vault.versions(name)] == [fresh["id"]]


def test_purge_protection_leaves_recovery_and_refuses_only_the_purge(protected_vault: VaultClient, name: str):
    vault = protected_vault
    vault.put(name, "kept")
    gone = vault.delete(name)
    told = r'Operation "purge" is not allowed because purge protection is enabled for this vault\. .*'
    refused(vault.ask("DELETE", f"/deletedsecrets/{name}"), 403, "Forbidden", told)
    refused(vault.ask("DELETE", "/deletedsecrets/none-such"), 404, "SecretNotFound")
    assert vault.deleted(name) == gone
    vault.recover(name)
    assert vault.get(name)["value"] == "kept"


def test_without_soft_delete_nothing_remains(estate: Estate, name: str):
    vault = estate.shared_vault("--no-soft-delete")
    made = vault.put(name, tags={"a": "b"})
    gone = vault.delete(name)
    assert set(gone) == {"id", "attributes", "tags"}
    assert gone["id"] == made["id"]
    refused(vault.ask("GET", f"/deletedsecrets/{name}"), 404, "SecretNotFound")
    refused(vault.ask("POST", f"/deletedsecrets/{name}/recover"), 404, "SecretNotFound")
    assert vault.listed("/deletedsecrets") == []
    assert "tags" not in vault.put(name)


def test_deletion_takes_all_versions_and_recovery_gives_all_back(vault: VaultClient, name: str):
    for number in range(5):
        vault.put(name, f"v{number}", tags={"n": str(number)}, attributes={"enabled": number != 2, "exp": number})
    before = vault.versions(name), vault.get(name)
    gone = vault.delete(name)
    assert gone["id"] == before[1]["id"]
    recovered = vault.recover(name)
    assert "value" not in recovered
    assert "deletedDate" not in recovered
    assert recovered["id"] == before[1]["id"]
    assert (vault.versions(name), vault.get(name)) == before
    assert name not in [name_of(item) for item in vault.listed("/deletedsecrets")]


def test_a_secret_survives_any_number_of_deletions(vault: VaultClient, name: str):
    made = vault.put(name)
    for _ in range(5):
        vault.delete(name)
        vault.recover(name)
    assert vault.get(name) == made


def test_of_many_deletions_at_once_one_wins(vault: VaultClient, name: str):
    vault.put(name)
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(lambda _: vault.ask("DELETE", f"/secrets/{name}").status_code, range(8)))
    assert statuses == [200] + [404] * 7


def test_of_many_recoveries_and_purges_at_once_one_wins(vault: VaultClient, name: str):
    def finish(number: int) -> int:
        if number % 2:
            return vault.ask("POST", f"/deletedsecrets/{name}/recover").status_code
        return vault.ask("DELETE", f"/deletedsecrets/{name}").status_code

    for _ in range(5):
        if vault.ask("GET", f"/secrets/{name}").status_code == 404:
            vault.put(name)
        vault.delete(name)
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(finish, range(8)))
        assert sorted(statuses)[1:] == [404] * 7
        alive = vault.ask("GET", f"/secrets/{name}").status_code
        assert (alive == 200) == (200 in statuses)
        assert (alive == 404) == (204 in statuses)


def test_many_sets_at_once_each_make_a_version_and_one_is_the_latest(vault: VaultClient, name: str):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: vault.put(name, str(number)), range(40)))
    assert len({bundle["id"] for bundle in made}) == 40
    assert {item["id"] for item in vault.versions(name)} == {bundle["id"] for bundle in made}
    latest = vault.get(name)
    assert latest["value"] in {bundle["value"] for bundle in made if bundle["id"] == latest["id"]}
    for bundle in made:
        assert vault.get(name, version_of(bundle))["value"] == bundle["value"]


def test_a_secret_is_gone_from_every_view_the_moment_the_answer_is_there(vault: VaultClient, name: str):
    for _ in range(10):
        vault.put(name)
        assert accepted(vault.ask("GET", f"/secrets/{name}"))
        vault.delete(name)
        assert vault.ask("GET", f"/secrets/{name}").status_code == 404
        assert accepted(vault.ask("GET", f"/deletedsecrets/{name}"))
        vault.purge(name)
        assert vault.ask("GET", f"/deletedsecrets/{name}").status_code == 404
