"""What differs from api-version to api-version, and that nothing else does (Key Vault contract §3)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving import Estate
from tests.vaults import VaultClient, accepted, refused

OLDEST, PLAIN = "2016-10-01", "7.0"
STABLE = [OLDEST, PLAIN, "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"]
PREVIEWS = ["7.0-preview", "7.2-preview", "7.3-preview", "7.4-preview.1", "7.5-preview.1", "7.6-preview.1"]
PREVIEWS += ["7.6-preview.2", "2025-06-01-preview", "2026-01-01-preview", "2026-03-01-preview"]
PREVIEWS += ["2026-05-01-preview", "2026-07-01-preview"]


@pytest.mark.parametrize("version", STABLE + PREVIEWS)
def test_every_version_answers_with_the_same_but_for_the_recovery_fields(vault: VaultClient, name: str, version: str):
    made = vault.put(name, version=version, contentType="text/plain", tags={"a": "b"})
    shown = vault.get(name, version=version)
    assert shown == made
    modern = vault.get(name, version="7.6")
    days = modern["attributes"].pop("recoverableDays")
    if version not in (OLDEST, PLAIN, "7.0-preview"):
        assert shown["attributes"].pop("recoverableDays") == days
    assert shown == modern
    for path in ("/secrets", f"/secrets/{name}/versions"):
        (item,) = (each for each in _items(vault, path, version) if f"/secrets/{name}" in each["id"])
        assert item["attributes"] == made["attributes"]
        assert "value" not in item


def _items(vault: VaultClient, path: str, version: str) -> list[Any]:
    items: list[Any] = []
    page = accepted(vault.ask("GET", path, version=version))
    while True:
        items += page["value"]
        if page["nextLink"] is None:
            return items
        assert f"api-version={version}&" in page["nextLink"]
        page = accepted(vault.follow(page["nextLink"]))


@pytest.mark.parametrize("version", [OLDEST, PLAIN, "7.1", "2026-04-01"])
def test_deletion_exists_in_every_version(vault: VaultClient, name: str, version: str):
    vault.put(name)
    deleted = accepted(vault.ask("DELETE", f"/secrets/{name}", version=version))
    days = deleted["attributes"].get("recoverableDays")
    assert days == (None if version in (OLDEST, PLAIN) else 90)
    assert accepted(vault.ask("GET", f"/deletedsecrets/{name}", version=version)) == deleted
    recovered = accepted(vault.ask("POST", f"/deletedsecrets/{name}/recover", version=version))
    assert recovered["attributes"] == deleted["attributes"]


def test_the_four_oldest_levels_have_no_customized_ones(estate: Estate, name: str):
    vault = estate.shared_vault("--retention-days", "7")
    vault.put(name, version=OLDEST)
    for path in ("/secrets", f"/secrets/{name}/versions"):
        levels = {item["attributes"]["recoveryLevel"] for item in _items(vault, path, OLDEST)}
        assert levels == {"Recoverable+Purgeable"}
    deleted = accepted(vault.ask("DELETE", f"/secrets/{name}", version=OLDEST))
    assert deleted["attributes"]["recoveryLevel"] == "Recoverable+Purgeable"
    assert deleted["scheduledPurgeDate"] - deleted["deletedDate"] == 7 * 86_400


def test_a_client_may_go_on_with_another_version_than_it_began_with(empty_vault: VaultClient):
    for number in range(3):
        empty_vault.put(f"s{number}")
    page = accepted(empty_vault.ask("GET", "/secrets", version="7.4", maxresults=2))
    link = page["nextLink"].replace("api-version=7.4", "api-version=7.0")
    rest = accepted(empty_vault.follow(link))
    assert [item["id"] for item in rest["value"]] == [f"{empty_vault.url}/secrets/s2"]
    assert "recoverableDays" not in rest["value"][0]["attributes"]


@pytest.mark.parametrize("version", ["2025-06-01-preview", "2025-07-01", "2026-04-01"])
@pytest.mark.parametrize("content_type", ["application/x-pkcs12", "application/x-pem-file", "text/odd"])
def test_an_out_content_type_leaves_a_plain_secret_as_it_is(
    vault: VaultClient, name: str, version: str, content_type: str
):
    vault.put(name, "plain", contentType="text/plain")
    shown = accepted(vault.ask("GET", f"/secrets/{name}", version=version, outContentType=content_type))
    assert (shown["value"], shown["contentType"]) == ("plain", "text/plain")


@pytest.mark.parametrize("version", ["7.7", "2016-10-02", "v7.6", "7.6 ", "٧.٦", "7.6%00", "latest", "x" * 500])
def test_an_unknown_version_is_refused_with_the_latest_one(vault: VaultClient, version: str):
    told = refused(vault.ask("GET", "/secrets", version=version), 400, "BadParameter")
    assert told == (
        f"The specified version ({version[:64]}) is not recognized. "
        "Consider using the latest supported version (2026-04-01)."
    )


@pytest.mark.parametrize("query", ["", "?api-version=", "?apiversion=7.6", "?foo=api-version"])
def test_the_version_has_no_default(vault: VaultClient, query: str):
    answer = vault.ask("GET", f"/secrets{query}", version=None)
    refused(answer, 400, "BadParameter", "api-version must be specified")
