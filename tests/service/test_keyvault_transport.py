"""How a vault answers whatever it is asked: headers, order of checks, paths and verbs (Key Vault contract §1, §2)."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime

import httpx
import pytest

from tests.serving import Estate
from tests.vaults import VaultClient, accepted, name_of, refused, unpadded, version_of

GUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
FIXED = {
    "cache-control": "no-cache",
    "pragma": "no-cache",
    "expires": "-1",
    "strict-transport-security": "max-age=31536000;includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-ms-keyvault-network-info": "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;",
}


def _answers(vault: VaultClient, name: str) -> dict[int, httpx.Response]:
    """One answer of every status that a client can bring about alone."""
    vault.put(name)
    vault.put(f"{name}-gone")
    vault.delete(f"{name}-gone")
    vault.put(f"{name}-off", attributes={"enabled": False})
    answers = [
        vault.ask("GET", f"/secrets/{name}"),
        vault.ask("GET", "/secrets/-_-"),
        vault.as_caller(None).ask("GET", f"/secrets/{name}"),
        vault.ask("GET", f"/secrets/{name}-off"),
        vault.ask("GET", f"/secrets/{name}-none"),
        vault.ask("PUT", f"/secrets/{name}-gone", {"value": ""}),
        vault.ask("PUT", f"/secrets/{name}", content=b" " * 1_000_000),
        vault.ask("DELETE", f"/deletedsecrets/{name}-gone"),
    ]
    return {answer.status_code: answer for answer in answers}


def test_every_answer_carries_the_headers_of_the_real_service(vault: VaultClient, name: str):
    answers = _answers(vault, name)
    assert sorted(answers) == [200, 204, 400, 401, 403, 404, 409, 413]
    for status, answer in answers.items():
        told = {header: answer.headers.get(header) for header in FIXED}
        assert told == FIXED, status
        assert re.fullmatch(GUID, answer.headers["x-ms-request-id"]), status
        assert re.fullmatch(r"1\.9\.\d+\.\d+", answer.headers["x-ms-keyvault-service-version"])
        assert re.fullmatch("[a-z0-9]+", answer.headers["x-ms-keyvault-region"])
        assert abs(parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time()) < 60
        assert ("www-authenticate" in answer.headers) == (status == 401)
        assert "server" not in answer.headers
        assert "x-ms-client-request-id" not in answer.headers
        if status == 204:
            assert answer.content == b""
            assert "content-type" not in answer.headers
        else:
            assert answer.headers["content-type"] == "application/json; charset=utf-8"
            assert int(answer.headers["content-length"]) == len(answer.content)
    assert len({answer.headers["x-ms-request-id"] for answer in answers.values()}) == len(answers)


@pytest.mark.parametrize("path", ["/secrets", "/secrets/none-such", "/secrets/-_-"])
def test_the_clients_own_request_id_comes_back(vault: VaultClient, path: str):
    for caller in (vault, vault.as_caller(None)):
        answer = caller.ask("GET", path, headers={"x-ms-client-request-id": "own-id-4711"})
        assert answer.headers["x-ms-client-request-id"] == "own-id-4711"


@pytest.mark.parametrize(
    ("method", "path", "version"),
    [
        ("PUT", "/secrets/-_-", "7.6"),
        ("PUT", "/secrets/fine", None),
        ("GET", "/secrets/fine", "1999-01-01"),
        ("PATCH", "/no/such/path", "7.6"),
        ("TRACE", "/", None),
        ("GET", "/secrets?maxresults=99", "7.6"),
    ],
)
def test_who_is_calling_is_asked_before_anything_else(vault: VaultClient, method: str, path: str, version: str | None):
    nobody = vault.as_caller(None)
    answer = nobody.ask(method, path, content=b"{", version=version)
    refused(answer, 401, "Unauthorized", r"AKV10000: Request is missing a Bearer or PoP token\.")
    assert answer.headers["www-authenticate"].startswith("Bearer authorization=")


def test_unknown_query_parameters_are_ignored(vault: VaultClient, name: str):
    vault.put(name)
    assert accepted(vault.ask("GET", f"/secrets/{name}", foo="bar", top="1")) == vault.get(name)


def test_the_api_version_is_found_whatever_the_case_of_its_name(vault: VaultClient, name: str):
    vault.put(name)
    assert accepted(vault.ask("GET", f"/secrets/{name}?API-Version=7.0", version=None)) == vault.get(
        name, version="7.0"
    )


def test_a_doubled_leading_slash_is_tolerated(vault: VaultClient, name: str):
    vault.put(name)
    assert accepted(vault.ask("GET", f"//secrets/{name}")) == vault.get(name)


def test_a_percent_encoded_path_is_the_same_path(vault: VaultClient, name: str):
    vault.put(name)
    encoded = "".join(f"%{ord(letter):02X}" for letter in name)
    assert accepted(vault.ask("GET", f"/%73ecrets/{encoded}")) == vault.get(name)


@pytest.mark.parametrize(("verb", "status"), [("PATCH", 200), ("DELETE", 200)])
def test_post_can_stand_for_verbs_that_a_client_cannot_send(vault: VaultClient, name: str, verb: str, status: int):
    vault.put(name)
    body = {"contentType": "text/plain"} if verb == "PATCH" else None
    answer = vault.ask("POST", f"/secrets/{name}", body, headers={"X-HTTP-METHOD": verb})
    assert answer.status_code == status, answer.text
    if verb == "PATCH":
        assert vault.get(name)["contentType"] == "text/plain"
    else:
        assert vault.deleted(name)["id"].startswith(f"{vault.url}/secrets/{name}/")


def test_the_override_does_not_turn_a_get_into_a_delete(vault: VaultClient, name: str):
    vault.put(name)
    answer = vault.ask("GET", f"/secrets/{name}", headers={"X-HTTP-METHOD": "DELETE"})
    assert accepted(answer)["value"] == "value"
    refused(
        vault.ask("POST", f"/secrets/{name}", headers={"X-HTTP-METHOD": "PURGE"}),
        400,
        "BadParameter",
        rf"Method POST does not allow operation '{name}'",
    )


def test_fields_stand_in_the_order_of_the_real_service(vault: VaultClient, name: str):
    attributes = {"exp": 2_000_000_000, "enabled": True, "nbf": 1_000_000_000}
    bundle = vault.put(name, contentType="text/plain", tags={"a": "1"}, attributes=attributes)
    assert list(bundle) == ["value", "contentType", "id", "attributes", "tags"]
    expected = ["enabled", "nbf", "exp", "created", "updated", "recoveryLevel", "recoverableDays"]
    assert list(bundle["attributes"]) == expected
    deleted = vault.delete(name)
    assert list(deleted)[:3] == ["recoveryId", "deletedDate", "scheduledPurgeDate"]
    assert list(deleted)[3:] == ["contentType", "id", "attributes", "tags"]


def test_what_has_no_value_is_absent_and_times_are_whole_seconds(vault: VaultClient, name: str):
    bundle = vault.put(name, contentType=None, tags=None, attributes={"nbf": None, "exp": None, "enabled": None})
    assert list(bundle) == ["value", "id", "attributes"]
    assert list(bundle["attributes"]) == ["enabled", "created", "updated", "recoveryLevel", "recoverableDays"]
    assert isinstance(bundle["attributes"]["created"], int)
    assert abs(bundle["attributes"]["created"] - time.time()) < 60
    assert bundle["attributes"]["created"] == bundle["attributes"]["updated"]


def test_a_listing_without_anything_is_an_empty_array_and_a_null_link(empty_vault: VaultClient):
    for path in ("/secrets", "/deletedsecrets", "/secrets/none/versions"):
        assert accepted(empty_vault.ask("GET", path)) == {"value": [], "nextLink": None}


def test_a_secret_may_be_named_after_the_reserved_words(vault: VaultClient):
    for reserved in ("restore", "versions", "backup", "recover", "secrets"):
        made = vault.put(reserved, f"named {reserved}")
        assert vault.get(reserved)["value"] == f"named {reserved}"
        assert [version_of(item) for item in vault.versions(reserved)][-1:] or made
        assert vault.patch(reserved, contentType="text/plain")["contentType"] == "text/plain"
    blob = vault.backup("restore")
    vault.delete("restore")
    vault.purge("restore")
    assert name_of(vault.restore(blob)) == "restore"


@pytest.mark.parametrize(
    ("method", "path", "segment"),
    [
        ("GET", "", ""),
        ("GET", "/", ""),
        ("GET", "/keys", "keys"),
        ("GET", "/secret/{n}", "{n}"),
        ("POST", "/secrets", "secrets"),
        ("PUT", "/secrets", "secrets"),
        ("DELETE", "/secrets", "secrets"),
        ("POST", "/secrets/{n}", "{n}"),
        ("HEAD", "/secrets/{n}", None),
        ("OPTIONS", "/secrets/{n}", "{n}"),
        ("GET", "/secrets/{n}/not-a-version", "not-a-version"),
        ("GET", "/secrets/{n}/0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcde"),
        ("GET", "/secrets/{n}/0123456789abcdef0123456789abcdeg", "0123456789abcdef0123456789abcdeg"),
        ("GET", "/secrets/{n}/backup", "backup"),
        ("POST", "/secrets/{n}/versions", "versions"),
        ("PUT", "/secrets/{n}/0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("DELETE", "/secrets/{n}/0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("GET", "/secrets/{n}/versions/more", "more"),
        ("GET", "/secrets/restore/extra/path", "path"),
        ("PUT", "/deletedsecrets/{n}", "{n}"),
        ("POST", "/deletedsecrets", "deletedsecrets"),
        ("GET", "/deletedsecrets/{n}/recover", "recover"),
        ("POST", "/deletedsecrets/{n}/purge", "purge"),
        ("GET", "/deletedsecrets/{n}/0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
    ],
)
def test_a_verb_or_path_that_does_not_exist_is_a_400(
    vault: VaultClient, name: str, method: str, path: str, segment: str | None
):
    answer = vault.ask(method, path.replace("{n}", name))
    if segment is None:  # HEAD: the same answer without its body
        assert (answer.status_code, answer.content) == (400, b"")
        return
    message = f"Method {method} does not allow operation '{segment.replace('{n}', name)}'"
    refused(answer, 400, "BadParameter", re.escape(message))


def test_an_unknown_vault_is_a_404_without_a_challenge(estate: Estate, vault: VaultClient):
    unknown = VaultClient(estate.server, "no-such-vault", estate.http, vault.token)
    for caller in (unknown, unknown.as_caller(None)):
        answer = caller.ask("GET", "/secrets")
        refused(answer, 404, "VaultNotFound")
        assert "www-authenticate" not in answer.headers


def test_the_host_is_read_without_regard_to_case(vault: VaultClient, name: str):
    made = vault.put(name)
    answer = vault.ask("GET", f"/secrets/{name}", headers={"Host": vault.host.upper()})
    shown = accepted(answer)
    assert shown["attributes"] == made["attributes"]
    assert shown["id"].lower() == made["id"].lower()


def test_a_body_that_an_operation_does_not_take_is_ignored(vault: VaultClient, name: str):
    vault.put(name)
    assert accepted(vault.ask("POST", f"/secrets/{name}/backup", {"value": "ignored"}))["value"]
    assert accepted(vault.ask("GET", f"/secrets/{name}", content=b"{not json"))["value"] == "value"
    assert accepted(vault.ask("DELETE", f"/secrets/{name}", content=unpadded(b"x")))["deletedDate"]
