"""What the operations on live secrets mean: names, versions, metadata, disabling, limits (Key Vault contract §4)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.vaults import VaultClient, accepted, name_of, refused, spare_name, version_of

DISABLED = r"Operation get is not allowed on a disabled secret\."
BAD_PROPERTY = "Property  has invalid value\r\n"
UNKNOWN_VERSION = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("length", [1, 127])
def test_a_name_may_be_this_long(vault: VaultClient, length: int):
    name = (spare_name() + "-" * 127)[:length] if length > 1 else "Z"
    assert name_of(vault.put(name)) == name
    assert vault.get(name)["value"] == "value"


@pytest.mark.parametrize(
    "bad", ["x" * 128, "under_score", "a.b", "a b", "ä", "a'b", "%41%00", "a%2Fb", "🔑", "a+b", "a~b", "a\u200bb"]
)
@pytest.mark.parametrize("verb", ["PUT", "GET", "PATCH", "DELETE"])
def test_a_bad_name_is_refused_and_told(vault: VaultClient, verb: str, bad: str):
    body = {"value": "x"} if verb == "PUT" else {} if verb == "PATCH" else None
    told = refused(vault.ask(verb, f"/secrets/{bad}", body), 400, "BadParameter")
    decoded = {"%41%00": "A\0", "a%2Fb": "a/b"}.get(bad, bad)
    assert told == f"The request URI contains an invalid name: {decoded}"


def test_a_name_is_shown_as_it_was_first_written(vault: VaultClient):
    name = f"Shown-{spare_name()}"
    assert name_of(vault.put(name)) == name
    vault.put(name.upper())
    assert name_of(vault.get(name.lower())) == name


def test_a_version_answers_to_either_case_of_its_digits(vault: VaultClient, name: str):
    version = version_of(vault.put(name))
    assert version_of(vault.get(name, version.upper())) == version


def test_metadata_does_not_carry_over_to_the_next_version(vault: VaultClient, name: str):
    attributes = {"enabled": True, "nbf": 1, "exp": 2}
    vault.put(name, contentType="text/plain", tags={"a": "b"}, attributes=attributes)
    bundle = vault.put(name, "value")
    assert set(bundle) == {"value", "id", "attributes"}
    assert not {"nbf", "exp"} & set(bundle["attributes"])


def test_an_identical_set_still_adds_a_version(vault: VaultClient, name: str):
    ids = {vault.put(name, "same", tags={"a": "b"})["id"] for _ in range(3)}
    assert len(ids) == 3
    assert {item["id"] for item in vault.versions(name)} == ids


def test_setting_disabled_still_shows_the_value(vault: VaultClient, name: str):
    bundle = vault.put(name, "seen once", attributes={"enabled": False})
    assert bundle["value"] == "seen once"
    assert bundle["attributes"]["enabled"] is False


@pytest.mark.parametrize(
    "value",
    ["", " ", "\n", "\0", "a\0b", "ä€🔑", '"\\\b', "<script>", "null", "{}", "\ufeff", "\u2028", "x" * 25_600],
    ids=ascii,
)
def test_a_value_comes_back_to_the_character(vault: VaultClient, name: str, value: str):
    assert vault.put(name, value)["value"] == value
    assert vault.get(name)["value"] == value


@pytest.mark.parametrize("character", ["x", "ä", "€", "🔑"])
def test_a_value_may_hold_25600_bytes_and_not_one_more(vault: VaultClient, name: str, character: str):
    size = len(character.encode())
    most = character * (25_600 // size) + "x" * (25_600 % size)
    assert vault.put(name, most)["value"] == most
    refused(vault.ask("PUT", f"/secrets/{name}", {"value": most + "x"}), 400, "BadParameter", BAD_PROPERTY)
    assert len(vault.versions(name)) == 1


def test_the_largest_secret_that_is_allowed_is_accepted_in_its_longest_spelling(vault: VaultClient, name: str):
    body = {
        "value": "\x01" * 25_600,
        "contentType": "\x01" * 255,
        "tags": {f"{number:02}" + "\U0001f511" * 510: "\U0001f511" * 512 for number in range(15)},
        "attributes": {"enabled": True, "nbf": 0, "exp": 253_402_300_799},
    }
    spelled = json.dumps(body, ensure_ascii=True).encode()
    bundle = accepted(vault.ask("PUT", f"/secrets/{name}", content=spelled))
    assert (bundle["value"], bundle["tags"]) == (body["value"], body["tags"])


@pytest.mark.parametrize(
    "metadata",
    [
        {"contentType": "c" * 256},
        {"tags": {f"t{number}": "" for number in range(16)}},
        {"tags": {"k" * 513: "v"}},
        {"tags": {"k": "v" * 513}},
    ],
    ids=["contentType", "sixteen tags", "tag name", "tag value"],
)
def test_metadata_over_its_limits_is_refused(vault: VaultClient, name: str, metadata: Any):
    before = vault.put(name)
    answer = vault.ask("PUT", f"/secrets/{name}", {"value": "x", **metadata})
    refused(answer, 400, "BadParameter", BAD_PROPERTY)
    refused(vault.ask("PATCH", f"/secrets/{name}", metadata), 400, "BadParameter", BAD_PROPERTY)
    assert vault.get(name) == before


def test_metadata_at_its_limits_is_kept(vault: VaultClient, name: str):
    metadata: dict[str, Any] = {"contentType": "ä" * 255, "tags": {f"{n:02}" + "k" * 510: "ä" * 512 for n in range(15)}}
    vault.put(name, **metadata)
    shown = vault.get(name)
    assert {field: shown[field] for field in metadata} == metadata


def test_an_update_merges_field_by_field(vault: VaultClient, name: str):
    attributes = {"enabled": True, "nbf": 10, "exp": 20}
    made = vault.put(name, contentType="one", tags={"a": "1", "b": "2"}, attributes=attributes)
    assert _changed(made, vault.patch(name, attributes={"exp": 30})) == {"exp"}
    assert _changed(made, vault.patch(name, contentType="two")) == {"exp", "contentType"}
    assert vault.patch(name, tags={"c": "3"})["tags"] == {"c": "3"}
    assert vault.patch(name)["tags"] == {"c": "3"}
    assert vault.patch(name, tags=None, contentType=None, attributes=None)["tags"] == {"c": "3"}
    assert vault.patch(name, tags={})["tags"] == {}
    assert vault.patch(name, contentType="")["contentType"] == ""
    shown = vault.patch(name, attributes={"enabled": False, "nbf": 5})["attributes"]
    assert (shown["enabled"], shown["nbf"], shown["exp"]) == (False, 5, 30)
    assert len(vault.versions(name)) == 1


def _changed(before: Any, after: Any) -> set[str]:
    """Names of the fields that differ; an update never shows the value, and moves `updated`."""
    fields = {"contentType", "id", "tags"}
    inner = {"enabled", "nbf", "exp", "created"}
    outside = {field for field in fields if before.get(field) != after.get(field)}
    return outside | {at for at in inner if before["attributes"].get(at) != after["attributes"].get(at)}


def test_the_value_cannot_be_updated(vault: VaultClient, name: str):
    vault.put(name, "fixed")
    vault.patch(name, value="changed", contentType="text/plain")
    assert vault.get(name)["value"] == "fixed"


def test_read_only_attributes_that_a_client_sends_are_ignored(vault: VaultClient, name: str):
    fake = {"created": 1, "updated": 2, "recoveryLevel": "Purgeable", "recoverableDays": 1}
    made = vault.put(name, attributes=fake, id="other", managed=True, kid="k")
    assert made["attributes"]["created"] > 1_000_000_000
    assert made["attributes"]["recoveryLevel"] == "Recoverable+Purgeable"
    assert set(made) == {"value", "id", "attributes"}
    patched = vault.patch(name, attributes=fake)["attributes"]
    assert patched["created"] == made["attributes"]["created"]


def test_an_older_version_can_be_updated_alone(vault: VaultClient, name: str):
    old, new = vault.put(name, "old"), vault.put(name, "new")
    vault.patch(name, version_of(old), attributes={"enabled": False})
    assert vault.get(name)["value"] == "new"
    refused(vault.ask("GET", f"/secrets/{name}/{version_of(old)}"), 403, "Forbidden", DISABLED, inner="SecretDisabled")
    assert vault.patch(name, version_of(old), attributes={"enabled": True})["id"] == old["id"]
    assert vault.get(name, version_of(old))["value"] == "old"
    assert vault.get(name, version_of(new))["id"] == new["id"]


def test_a_disabled_latest_version_is_not_skipped(vault: VaultClient, name: str):
    old = vault.put(name, "old")
    vault.put(name, "new", attributes={"enabled": False})
    for path in (f"/secrets/{name}", f"/secrets/{name}/"):
        refused(vault.ask("GET", path), 403, "Forbidden", DISABLED, inner="SecretDisabled")
    assert vault.get(name, version_of(old))["value"] == "old"


def test_everything_but_reading_the_value_works_on_a_disabled_secret(vault: VaultClient, name: str):
    made = vault.put(name, attributes={"enabled": False})
    (item,) = (each for each in vault.listed() if name_of(each) == name)
    assert item["attributes"] == made["attributes"]
    assert [each["attributes"]["enabled"] for each in vault.versions(name)] == [False]
    assert vault.patch(name, contentType="text/plain")["attributes"]["enabled"] is False
    blob = vault.backup(name)
    assert vault.delete(name)["attributes"]["enabled"] is False
    refused(vault.ask("GET", f"/deletedsecrets/{name}"), 403, "Forbidden", DISABLED, inner="SecretDisabled")
    assert [name_of(each) for each in vault.listed("/deletedsecrets")].count(name) == 1
    assert vault.recover(name)["attributes"]["enabled"] is False
    vault.delete(name)
    vault.purge(name)
    assert vault.restore(blob)["attributes"]["enabled"] is False


@pytest.mark.parametrize("window", [{"nbf": 4_000_000_000}, {"exp": 1}, {"nbf": 9, "exp": 3}, {"nbf": 0, "exp": 0}])
def test_not_before_and_expiry_only_inform(vault: VaultClient, name: str, window: Any):
    vault.put(name, "readable", attributes=window)
    shown = vault.get(name)
    assert shown["value"] == "readable"
    assert {field: shown["attributes"][field] for field in window} == window
    assert vault.patch(name, contentType="text/plain")["attributes"]["created"]


def test_an_unknown_secret_or_version_is_a_404_that_names_it(vault: VaultClient, name: str):
    for method, path in (("GET", ""), ("GET", "/"), ("PATCH", "/"), ("DELETE", ""), ("POST", "/backup")):
        answer = vault.ask(method, f"/secrets/{name}{path}", {} if method == "PATCH" else None)
        refused(answer, 404, "SecretNotFound", _missing(name))
    vault.put(name)
    for method in ("GET", "PATCH"):
        answer = vault.ask(method, f"/secrets/{name}/{UNKNOWN_VERSION}", {} if method == "PATCH" else None)
        refused(answer, 404, "SecretNotFound", _missing(f"{name}/{UNKNOWN_VERSION}"))


def _missing(what: str) -> str:
    return rf"A secret with \(name/id\) {re.escape(what)} was not found in this key vault\. If you recently .*"


def test_the_versions_of_an_unknown_name_are_an_empty_list(vault: VaultClient, name: str):
    assert vault.versions(name) == []
    vault.put(name)
    vault.delete(name)
    assert vault.versions(name) == []


def test_a_listing_shows_the_latest_versions_metadata(vault: VaultClient, name: str):
    vault.put(name, contentType="old", tags={"old": "1"})
    latest = vault.put(name, contentType="new", attributes={"enabled": False, "exp": 7})
    (item,) = (each for each in vault.listed() if name_of(each) == name)
    expected = {"contentType": "new", "id": f"{vault.url}/secrets/{name}", "attributes": latest["attributes"]}
    assert item == expected
