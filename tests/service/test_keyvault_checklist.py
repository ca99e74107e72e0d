"""The conformance checklist of the Key Vault contract (§13): each line is one test, on both kinds of database.

Lines about what a client sees go through the official Python SDK with its challenge verification on; lines about the
wire itself go through plain HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import ApiVersion, SecretClient

from tests.serving import Estate
from tests.vaults import VaultClient, accepted, name_of, refused, spare_name, unpadded, version_of

LIVE_MISSING = r"A secret with \(name/id\) {} was not found in this key vault\. .*"


@pytest.fixture
def client(exported: dict[str, str], vault: VaultClient) -> Iterator[SecretClient]:
    with _client(exported, vault) as client:
        yield client


def _client(exported: dict[str, str], vault: VaultClient, **options: str) -> SecretClient:
    credential = ClientSecretCredential(
        exported["AZURE_TENANT_ID"],
        exported["AZURE_CLIENT_ID"],
        exported["AZURE_CLIENT_SECRET"],
        authority=exported["AZURE_AUTHORITY_HOST"],
        disable_instance_discovery=True,
    )
    return SecretClient(vault.url, credential, **options)


def test_01_a_put_without_token_and_body_is_challenged_and_then_accepted(estate: Estate, vault: VaultClient, name: str):
    probe = vault.as_caller(None).ask("PUT", f"/secrets/{name}", headers={"Content-Length": "0"})
    refused(probe, 401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
    port = estate.server.port
    assert probe.headers["www-authenticate"] == (
        f'Bearer authorization="https://login.localhost:{port}/{estate.tenant_id}", '
        f'resource="https://vault.localhost:{port}"'
    )
    assert accepted(vault.ask("PUT", f"/secrets/{name}", {"value": "after the challenge"}))["value"]


def test_02_a_trailing_slash_and_an_encoded_query_name_change_nothing(vault: VaultClient, name: str):
    vault.put(name, "same")
    plain = accepted(vault.ask("GET", f"/secrets/{name}"))
    assert accepted(vault.ask("GET", f"/secrets/{name}/")) == plain
    assert accepted(vault.ask("GET", f"/secrets/{name}/?api%2Dversion=7.6", version=None)) == plain
    refused(vault.ask("GET", f"/secrets/{name}/", version=None), 400, "BadParameter")


def test_03_setting_twice_makes_two_versions(client: SecretClient, name: str):
    made = [client.set_secret(name, value).properties.version for value in ("one", "two", "three", "four")]
    listed = [each.version for each in client.list_properties_of_secret_versions(name)]
    assert listed == sorted(str(version) for version in made)
    assert all(re.fullmatch("[0-9a-f]{32}", str(version)) for version in made)
    latest = client.get_secret(name)
    assert (latest.value, latest.properties.version) == ("four", made[-1])
    assert client.get_secret(name, made[0]).value == "one"


def test_04_tags_are_echoed_as_sent_and_an_empty_value_is_accepted(vault: VaultClient, name: str):
    assert "tags" not in vault.put(name)
    assert "tags" not in vault.get(name)
    assert vault.put(name, tags={})["tags"] == {}
    assert vault.get(name)["tags"] == {}
    assert vault.put(name, tags={"b": "2", "a": ""})["tags"] == {"b": "2", "a": ""}
    assert list(vault.get(name)["tags"]) == ["b", "a"]
    assert "tags" not in vault.put(name, "")
    assert vault.get(name)["value"] == ""


def test_05_an_update_shows_no_value_and_an_empty_segment_means_the_latest(vault: VaultClient, name: str):
    first, second = vault.put(name, "one"), vault.put(name, "two")
    updated = vault.patch(name, contentType="text/plain")
    assert updated["id"] == second["id"]
    assert "value" not in updated
    assert "contentType" not in vault.get(name, version_of(first))
    assert vault.get(name)["contentType"] == "text/plain"
    assert vault.get(name)["value"] == "two"


def test_06_seven_secrets_in_pages_of_six(estate: Estate, empty_vault: VaultClient):
    names = sorted(spare_name("page") for _ in range(7))
    for each in names:
        empty_vault.put(each)
    first = accepted(empty_vault.ask("GET", "/secrets", maxresults=6))
    link = first["nextLink"]
    prefix = re.escape(f"https://{empty_vault.host}/secrets?api-version=7.6&$skiptoken=")
    assert re.fullmatch(prefix + r"[^&]+&maxresults=6", link), link
    last = accepted(empty_vault.follow(link))
    assert [name_of(item) for item in first["value"] + last["value"]] == names
    assert (len(first["value"]), len(last["value"])) == (6, 1)
    assert last["nextLink"] is None
    assert not any("value" in item for item in first["value"] + last["value"])
    assert accepted(empty_vault.follow(link.replace("$", "%24"))) == last


def test_07_a_disabled_secret_gives_no_value_but_can_be_updated(client: SecretClient, name: str):
    client.set_secret(name, "hidden", enabled=False)
    with pytest.raises(HttpResponseError) as caught:
        client.get_secret(name)
    assert (caught.value.status_code, _inner(caught.value)) == (403, "SecretDisabled")
    version = client.update_secret_properties(name, content_type="still works").version
    with pytest.raises(HttpResponseError, match="disabled secret"):
        client.get_secret(name, version)
    client.begin_delete_secret(name).wait()
    with pytest.raises(HttpResponseError) as caught:
        client.get_deleted_secret(name)
    assert (caught.value.status_code, _inner(caught.value)) == (403, "SecretDisabled")
    client.begin_recover_deleted_secret(name).wait()
    client.update_secret_properties(name, enabled=True)
    assert client.get_secret(name).value == "hidden"


def test_08_a_deleted_secret_is_on_the_other_side(vault: VaultClient, name: str):
    made = vault.put(name)
    gone = vault.delete(name)
    refused(vault.ask("GET", f"/secrets/{name}"), 404, "SecretNotFound", LIVE_MISSING.format(name))
    assert name not in [name_of(item) for item in vault.listed()]
    (item,) = (item for item in vault.listed("/deletedsecrets") if name_of(item) == name)
    assert item["id"] == f"{vault.url}/secrets/{name}"
    assert item["recoveryId"] == f"{vault.url}/deletedsecrets/{name}"
    shown = vault.deleted(name)
    assert shown["id"] == made["id"]
    assert shown == gone
    refused(
        vault.ask("PUT", f"/secrets/{name}", {"value": "again"}),
        409,
        "Conflict",
        rf"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; .*",
        inner="ObjectIsDeletedButRecoverable",
    )


def test_09_recovery_brings_everything_back(client: SecretClient, vault: VaultClient, name: str):
    for value in ("one", "two"):
        client.set_secret(name, value, tags={"kept": value})
    before = vault.versions(name), vault.get(name)
    client.begin_delete_secret(name).wait()
    recovered = client.begin_recover_deleted_secret(name)
    recovered.wait()
    assert recovered.result().id == before[1]["id"]
    assert (vault.versions(name), vault.get(name)) == before
    with pytest.raises(ResourceNotFoundError):
        client.begin_recover_deleted_secret(spare_name("unknown"))
    unknown = vault.ask("POST", f"/deletedsecrets/{name}/recover")
    refused(unknown, 404, "SecretNotFound", LIVE_MISSING.format(name))


def test_10_a_purge_is_for_good_unless_the_vault_forbids_it(
    exported: dict[str, str], client: SecretClient, vault: VaultClient, protected_vault: VaultClient, name: str
):
    client.set_secret(name, "soon gone")
    client.begin_delete_secret(name).wait()
    purged = vault.ask("DELETE", f"/deletedsecrets/{name}")
    assert (purged.status_code, purged.content) == (204, b"")
    with pytest.raises(ResourceNotFoundError) as missing:
        client.get_deleted_secret(name)
    assert f"Deleted Secret not found: {name}" in str(missing.value)
    protected = _client(exported, protected_vault)
    protected.set_secret(name, "stays")
    protected.begin_delete_secret(name).wait()
    with pytest.raises(HttpResponseError) as caught:
        protected.purge_deleted_secret(name)
    assert (caught.value.status_code, _inner(caught.value)) == (403, None)
    assert "purge protection is enabled" in str(caught.value)
    assert protected.get_deleted_secret(name).name == name


def test_11_a_restored_backup_keeps_ids_and_dates(client: SecretClient, vault: VaultClient, name: str):
    for value in ("one", "two", "three"):
        client.set_secret(name, value)
    before = vault.versions(name), vault.get(name)
    blob = client.backup_secret(name)
    with pytest.raises(ResourceExistsError):
        client.restore_secret_backup(blob)
    client.begin_delete_secret(name).wait()
    with pytest.raises(ResourceExistsError, match="conflict restoring"):
        client.restore_secret_backup(blob)
    client.purge_deleted_secret(name)
    assert client.restore_secret_backup(blob).id == before[1]["id"]
    assert (vault.versions(name), vault.get(name)) == before
    garbage = vault.ask("POST", "/secrets/restore", {"value": unpadded(b"garbage")})
    refused(garbage, 400, "Malformed backup blob", r"Backup blob contains invalid or corrupt version\.")


def test_12_recovery_level_and_days_follow_version_and_vault(estate: Estate, name: str):
    vaults = {
        ("Recoverable+Purgeable", 90): estate.shared_vault(),
        ("Recoverable", 90): estate.shared_vault("--purge-protection"),
        ("CustomizedRecoverable+Purgeable", 7): estate.shared_vault("--retention-days", "7"),
        ("CustomizedRecoverable", 7): estate.shared_vault("--retention-days", "7", "--purge-protection"),
        ("Purgeable", 0): estate.shared_vault("--no-soft-delete"),
    }
    for (level, days), vault in vaults.items():
        modern = vault.put(name, version="7.1")["attributes"]
        assert (modern["recoveryLevel"], modern["recoverableDays"]) == (level, days)
        plain = vault.get(name, version="7.0")["attributes"]
        assert plain["recoveryLevel"] == level
        assert "recoverableDays" not in plain
        oldest = vault.get(name, version="2016-10-01")["attributes"]
        assert oldest["recoveryLevel"] == level.removeprefix("Customized")
        assert "recoverableDays" not in oldest


@pytest.mark.parametrize("version", list(ApiVersion), ids=lambda version: version.value)
def test_13_plain_secrets_have_no_previous_version(
    exported: dict[str, str], vault: VaultClient, name: str, version: ApiVersion
):
    with _client(exported, vault, api_version=version) as client:
        client.set_secret(name, "one")
        client.set_secret(name, "two")
        assert client.get_secret(name).properties.version
        bundles = [vault.put(name, version=version.value), vault.get(name, version=version.value)]
        client.begin_delete_secret(name).wait()
        bundles.append(accepted(vault.ask("GET", f"/deletedsecrets/{name}", version=version.value)))
    assert not any("previousVersion" in bundle for bundle in bundles)


def test_14_names_that_differ_in_case_are_one_secret(client: SecretClient, vault: VaultClient, name: str):
    upper = f"Mixed-{name}".upper()
    client.set_secret(upper, "one")
    client.set_secret(upper.lower(), "two")
    assert client.get_secret(upper.title()).value == "two"
    assert len(vault.versions(upper.lower())) == 2
    assert [name_of(item) for item in vault.listed() if name_of(item).lower() == upper.lower()] == [upper]
    client.begin_delete_secret(upper.title()).wait()
    with pytest.raises(ResourceNotFoundError):
        client.get_secret(upper)


def test_15_two_hosts_are_two_vaults(estate: Estate, vault: VaultClient, name: str):
    other = estate.shared_vault("--purge-protection")
    mine, theirs = vault.put(name, "mine"), other.put(name, "theirs")
    assert (vault.get(name)["value"], other.get(name)["value"]) == ("mine", "theirs")
    assert mine["id"].startswith(f"https://{vault.name}.vault.localhost:{estate.server.port}/secrets/{name}/")
    assert theirs["id"].startswith(f"https://{other.name}.vault.localhost:{estate.server.port}/secrets/{name}/")
    refused(vault.ask("GET", f"/secrets/{name}/{version_of(theirs)}"), 404, "SecretNotFound")


def _inner(error: HttpResponseError) -> str | None:
    inner = error.error.innererror if error.error is not None else None
    return inner["code"] if inner else None
