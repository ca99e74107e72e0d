"""Tokens, versions, headers and bad input at the management host: errors in Resource Manager's shape, never a 5xx."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from claviger.keyvault.directory import signing
from claviger.keyvault.directory.records import bump_revision
from claviger.store.contract import Tx
from tests.directory import claims_of
from tests.inprocess import AUDIENCE as VAULT_AUDIENCE
from tests.inprocess import PORT, MovableServer
from tests.management import (
    ALL_VAULTS,
    AUDIENCE,
    HOST,
    IN_GROUP,
    LOCATION,
    ONE,
    VAULTS,
    Manager,
    deleted,
    refused,
    sign_in,
)

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def _token(managed: MovableServer, audience: str) -> str:
    return await sign_in(managed, managed.demo.client_id, managed.demo.client_secret.reveal_text(), audience)


@pytest.mark.parametrize(
    "audience",
    [
        "https://management.azure.com",
        "https://management.azure.com/",
        "https://management.core.windows.net/",
        "https://management.localhost",
        f"https://management.localhost:{PORT}",
        f"https://MANAGEMENT.localhost:{PORT}/",
        "https://management.core.usgovcloudapi.net/",
        "https://management.chinacloudapi.cn",
        "797f4846-ba00-4fd7-ba43-dac1f8f63013",
    ],
)
async def test_tokens_for_any_cloud_are_taken(managed: MovableServer, audience: str):
    token = await _token(managed, audience)
    manager = Manager(managed.services, managed.demo.tenant_id, token)
    assert await manager.status("GET", ONE, version="2022-12-01") == 200


async def test_a_token_is_for_a_vault_or_for_management_and_never_for_both(managed: MovableServer, manager: Manager):
    manager.token = await _token(managed, VAULT_AUDIENCE)
    answer = await manager.ask("GET", ONE, version="2022-12-01")
    refused(answer, 401, "InvalidAuthenticationTokenAudience", VAULT_AUDIENCE)
    other = await managed.ask("GET", "/secrets", token=await _token(managed, AUDIENCE))
    assert other.status_code == 401


async def test_without_a_token_everything_is_a_challenge(managed: MovableServer, manager: Manager):
    manager.token = None
    tenant = managed.demo.tenant_id
    for method, path, body in (
        ("GET", "/subscriptions", None),
        ("GET", "/nothing/at/all", None),
        ("PUT", f"{VAULTS}/abc", {"not": "valid"}),
        ("DELETE", "/subscriptions/x", None),
    ):
        answer = await manager.ask(method, path, body, version=None)
        told = refused(answer, 401, "AuthenticationFailed")
        assert answer.headers["www-authenticate"] == (
            f'Bearer authorization_uri="https://login.localhost:{PORT}/{tenant}", error="invalid_token", '
            f'error_description="{told}"'
        )
    under = await manager.ask("GET", "/subscriptions", host="management.azure.com")
    assert f'authorization_uri="https://login.microsoftonline.com/{tenant}"' in under.headers["www-authenticate"]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic eDp5", "Bearer x", "Bearer a.b.c", "Bearer é"])
async def test_what_is_no_token_is_refused(manager: Manager, header: str):
    headers = {b"Authorization": header.encode("latin-1")}
    answer = await manager.http.get(f"https://{HOST}{ONE}", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].isascii()


async def test_a_forged_an_expired_and_a_foreign_token(managed: MovableServer, manager: Manager):
    assert manager.token is not None
    head, body, seal = manager.token.split(".")
    good = manager.token
    manager.token = f"{head}.{body}.{seal[:-4]}AAAA"
    refused(await manager.ask("GET", ONE), 401, "InvalidAuthenticationToken")
    managed.clock.advance(claims_of(good)["exp"] - managed.clock.now())
    manager.token = good
    refused(await manager.ask("GET", ONE), 401, "InvalidAuthenticationToken", "expired")
    fresh = await _token(managed, AUDIENCE)
    manager.token = fresh
    assert await manager.status("GET", ONE, version="2022-12-01") == 200
    await signing.rotate_signing_key(managed.services.house.store, managed.services.house.keyring, managed.clock, 0)
    managed.clock.advance(2)
    refused(await manager.ask("GET", ONE), 401, "InvalidAuthenticationToken", "is not known")


async def test_a_token_of_a_tenant_that_is_gone(managed: MovableServer, manager: Manager):
    assert await manager.status("GET", ONE, version="2022-12-01") == 200

    def remove(tx: Tx) -> None:
        tx.execute("DELETE FROM kv_vaults")
        tx.execute("DELETE FROM kv_applications")
        tx.execute("DELETE FROM kv_tenants")
        bump_revision(tx)

    await managed.services.house.store.write(remove)
    answer = await manager.ask("GET", ONE)
    refused(answer, 401, "InvalidAuthenticationTokenTenant", managed.demo.tenant_id)
    assert 'authorization_uri="https://login.localhost:8443/common"' in answer.headers["www-authenticate"]


async def test_versions_are_asked_for_after_the_token(manager: Manager):
    refused(await manager.ask("GET", VAULTS, version=None), 400, "MissingApiVersionParameter")
    refused(await manager.ask("GET", VAULTS, version="7.4"), 400, "NoRegisteredProviderFound", "2023-07-01")
    refused(await manager.ask("GET", ONE, version="7.4"), 400, "InvalidApiVersionParameter")
    encoded = await manager.http.get(
        f"https://{HOST}{ONE}?api%2Dversion=2022-12-01", headers={"Authorization": f"Bearer {manager.token}"}
    )
    assert encoded.status_code == 200


async def test_every_answer_has_ids_by_which_it_is_found_again(manager: Manager):
    given = "0123abcd-0123-4567-89ab-0123456789ab"
    for path in (ONE, "/nothing"):
        answer = await manager.ask(
            "GET", path, headers={"x-ms-correlation-request-id": given, "x-ms-client-request-id": "mine"}
        )
        assert UUID.fullmatch(answer.headers["x-ms-request-id"])
        assert answer.headers["x-ms-correlation-request-id"] == given
        assert answer.headers["x-ms-client-request-id"] == "mine"
        assert answer.headers["cache-control"] == "no-cache"
    odd = await manager.ask("GET", ONE, headers={"x-ms-correlation-request-id": "x", "x-ms-client-request-id": "a b"})
    assert odd.headers["x-ms-correlation-request-id"] == odd.headers["x-ms-request-id"]
    assert "x-ms-client-request-id" not in odd.headers


GOOD: dict[str, Any] = {
    "location": LOCATION,
    "properties": {"tenantId": "TENANT", "sku": {"family": "A", "name": "standard"}, "accessPolicies": []},
}


def _but(path: str, value: Any) -> dict[str, Any]:
    """A good body with one value put in place of another."""
    body: dict[str, Any] = json.loads(json.dumps(GOOD))
    at = body
    *before, last = path.split(".")
    for word in before:
        at = at[word]
    at[last] = value
    return body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"location": "\\ud800"}',
        b'{"location": 1e999}',
        *(
            json.dumps(_but(path, value)).encode()
            for path, value in (
                ("location", 5),
                ("location", ""),
                ("location", "no where!"),
                ("location", "x" * 1000),
                ("location", None),
                ("tags", []),
                ("tags", {"a": 1}),
                ("tags", {"a": None}),
                ("tags", {"": "a"}),
                ("tags", {"a": "x" * 257}),
                ("tags", {str(number): "x" for number in range(51)}),
                ("properties", None),
                ("properties", []),
                ("properties.tenantId", "nobody"),
                ("properties.tenantId", 5),
                ("properties.sku", "standard"),
                ("properties.sku", {"name": "standard"}),
                ("properties.accessPolicies", {}),
                ("properties.accessPolicies", [{}]),
                ("properties.accessPolicies", [{"tenantId": "TENANT", "objectId": "x", "permissions": {}}]),
                ("properties.softDeleteRetentionInDays", "90"),
                ("properties.softDeleteRetentionInDays", 7.5),
                ("properties.softDeleteRetentionInDays", -(10**30)),
                ("properties.enableSoftDelete", "yes"),
                ("properties.createMode", 1),
                ("properties.createMode", "recover "),
                ("properties.networkAcls", []),
                ("properties.networkAcls", {"ipRules": [{"value": "1.2.3.4/99"}]}),
                ("properties.networkAcls", {"ipRules": [{"value": "10.0.0.1"}] * 1001}),
                ("properties.publicNetworkAccess", "perhaps"),
            )
        ),
    ],
)
async def test_bad_bodies_are_told_and_change_nothing(manager: Manager, content: bytes):
    await manager.group()
    content = content.replace(b"TENANT", manager.tenant_id.encode())
    answer = await manager.ask("PUT", f"{VAULTS}/abc", content=content)
    assert answer.status_code == 400, answer.text
    refused(answer, 400, answer.json()["error"]["code"])
    assert await manager.accept("GET", VAULTS) == {"value": []}


async def test_a_body_over_the_limit(manager: Manager):
    await manager.group()
    answer = await manager.ask("PUT", f"{VAULTS}/abc", content=b" " * 2_097_153)
    refused(answer, 413, "RequestContentTooLarge", "2097152")
    refused(
        await manager.ask("PUT", f"{VAULTS}/abc", headers={"Content-Length": "9" * 20}), 413, "RequestContentTooLarge"
    )


WORDS = ["%00", "%ff", "..", "%2e%2e", "x" * 3000, "'", '"', "%0d%0aX: y", "{0}", "$", "é", "-5", "0", "%7Bname%7D"]


@pytest.mark.parametrize("word", WORDS)
async def test_odd_words_in_paths_are_never_a_failure(manager: Manager, word: str):
    paths = [
        f"/{word}",
        f"/subscriptions/{word}",
        f"{ONE}/{word}",
        f"{ONE}/providers/{word}",
        f"{ONE}/resourceGroups/{word}",
        f"{VAULTS}/{word}",
        f"{VAULTS}/{word}/accessPolicies/{word}",
        f"{deleted(word, word)}",
        f"{deleted(word, word)}/purge",
        f"{ALL_VAULTS}/locations/local/operationResults/{word}",
    ]
    body = manager.wanted(createMode="recover")
    for method in ("GET", "PUT", "PATCH", "POST", "DELETE", "HEAD", "OPTIONS", "BREW"):
        for path in paths:
            answer = await manager.ask(method, path, body if method in ("PUT", "PATCH", "POST") else None)
            assert answer.status_code < 500, (method, path, answer.text)
            if answer.status_code >= 400 and method != "HEAD":
                assert set(answer.json()["error"]) == {"code", "message"}


@pytest.mark.parametrize(
    "query",
    ["api-version=%ff", "%ff=1", "&".join("a=b" for _ in range(60)), "api-version=2023-07-01&$skiptoken=%00", "="],
)
async def test_odd_queries_are_never_a_failure(manager: Manager, query: str):
    answer = await manager.http.get(
        f"https://{HOST}{VAULTS}?{query}", headers={"Authorization": f"Bearer {manager.token}"}
    )
    assert 400 <= answer.status_code < 500
    assert set(answer.json()["error"]) == {"code", "message"}


async def test_verbs_that_there_are_not(manager: Manager):
    answer = await manager.ask("POST", f"{VAULTS}/abc", {})
    refused(answer, 405, "MethodNotAllowed", "'POST'")
    assert answer.headers["allow"] == "DELETE, GET, PATCH, PUT"
    refused(await manager.ask("GET", "/nothing"), 404, "NotFound")
    refused(
        await manager.ask("GET", f"{ONE}/providers/Microsoft.Storage", version="2021-04-01"),
        404,
        "InvalidResourceNamespace",
    )
    refused(await manager.ask("GET", f"{VAULTS}/abc/secrets"), 404, "InvalidResourceType", "vaults")


async def test_other_hosts_are_not_the_management_host(managed: MovableServer):
    transport = httpx.ASGITransport(app=managed.services.front)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport) as http:
        for host in ("management.example", "x.management.localhost", "management.vault.localhost"):
            answer = await http.get(f"https://{host}:{PORT}/metadata/endpoints?api-version=2022-09-01")
            assert answer.status_code == 404, host


@pytest.mark.parametrize("host", [HOST, "management.azure.com", "MANAGEMENT.localhost.:8443"])
async def test_metadata_needs_no_token(manager: Manager, host: str):
    manager.token = None
    document = await manager.accept("GET", "/metadata/endpoints", version="2022-09-01", host=host)
    suffix = "vault.azure.net" if "azure" in host else f"vault.localhost:{PORT}"
    assert document["suffixes"]["keyVaultDns"] == suffix
    assert isinstance(await manager.accept("GET", "/metadata/endpoints/", version="2019-05-01", host=host), list)
    refused(await manager.ask("GET", "/metadata/endpoints", version=None), 400, "MissingApiVersionParameter")
    refused(await manager.ask("GET", "/metadata/endpoints", version="2001-01-01"), 400, "InvalidApiVersionParameter")
    refused(await manager.ask("POST", "/metadata/endpoints", version="2022-09-01"), 405, "MethodNotAllowed")


async def test_what_az_asks_of_graph(managed: MovableServer, manager: Manager):
    manager.token = await _token(managed, f"https://management.localhost:{PORT}/graph")
    refused(await manager.ask("GET", "/graph/v1.0/me", version=None), 400, "BadRequest", "/me")
    text = f"servicePrincipalNames/any(c:c eq '{managed.demo.client_id}')"
    found = await manager.accept("GET", "/graph/v1.0/servicePrincipals", version=None, query={"$filter": text})
    assert [each["appId"] for each in found["value"]] == [managed.demo.client_id]
    assert claims_of(manager.token)["oid"] == found["value"][0]["id"]
    other = {"$filter": text.replace(managed.demo.client_id, "11111111-2222-3333-4444-555555555555")}
    assert await manager.accept("GET", "/graph/v1.0/servicePrincipals", version=None, query=other) == {"value": []}
    manager.token = None
    assert await manager.status("GET", "/graph/v1.0/servicePrincipals", version=None) == 401


async def test_groups(manager: Manager):
    body = {"location": "West Europe", "tags": {"a": "b"}}
    made = await manager.accept("PUT", IN_GROUP, body, status=201, version="2021-04-01")
    assert made == {
        "id": IN_GROUP,
        "name": "lab",
        "type": "Microsoft.Resources/resourceGroups",
        "location": LOCATION,
        "tags": {"a": "b"},
        "properties": {"provisioningState": "Succeeded"},
    }
    lower = IN_GROUP.lower()
    assert await manager.accept("GET", lower, version="2021-04-01") == made
    assert await manager.status("HEAD", lower, version="2021-04-01") == 204
    assert await manager.status("HEAD", f"{ONE}/resourceGroups/none", version="2021-04-01") == 404
    again = await manager.accept("PUT", lower, {"location": LOCATION}, version="2021-04-01")
    assert again == {**made, "tags": {}}
    tagged = await manager.accept("PATCH", lower, {"tags": {"c": "d"}}, version="2021-04-01")
    assert tagged == {**made, "tags": {"c": "d"}}
    assert await manager.accept("PATCH", lower, {}, version="2021-04-01") == tagged
    refused(
        await manager.ask("PUT", lower, {"location": "eastus"}, version="2021-04-01"),
        409,
        "InvalidResourceGroupLocation",
        "already exists in location 'westeurope'",
    )
    refused(await manager.ask("PUT", lower, {}, version="2021-04-01"), 400, "LocationRequired")
    for name in ("x" * 91, "a.", "a!b"):
        path = f"{ONE}/resourceGroups/{name}"
        refused(await manager.ask("PUT", path, body, version="2021-04-01"), 400, "InvalidResourceGroup")
    assert await manager.status("DELETE", lower, version="2021-04-01") == 200
    refused(await manager.ask("DELETE", lower, version="2021-04-01"), 404, "ResourceGroupNotFound")


async def test_providers_locations_and_what_there_is_none_of(manager: Manager):
    name = await manager.vault()
    provider = await manager.accept("GET", f"{ONE}/providers/microsoft.keyvault", version="2021-04-01")
    assert (provider["namespace"], provider["registrationState"]) == ("Microsoft.KeyVault", "Registered")
    vaults = next(each for each in provider["resourceTypes"] if each["resourceType"] == "vaults")
    assert "2023-07-01" in vaults["apiVersions"]
    path = f"{ONE}/providers/Microsoft.KeyVault/register"
    assert await manager.accept("POST", path, version="2021-04-01") == provider
    listed = await manager.accept("GET", f"{ONE}/providers", version="2021-04-01")
    assert [each["namespace"] for each in listed["value"]] == ["Microsoft.KeyVault", "Microsoft.Resources"]
    places = await manager.accept("GET", f"{ONE}/locations", version="2022-12-01")
    assert {"local", LOCATION} <= {each["name"] for each in places["value"]}
    for path in (
        f"{ALL_VAULTS}/managedHSMs",
        f"{ALL_VAULTS}/deletedManagedHSMs",
        f"{IN_GROUP}/providers/Microsoft.KeyVault/managedHSMs",
        f"{VAULTS}/{name}/privateEndpointConnections",
        f"{VAULTS}/{name}/privateLinkResources",
    ):
        assert await manager.accept("GET", path) == {"value": []}
    refused(await manager.ask("GET", f"{VAULTS}/nobody/privateLinkResources"), 404, "ResourceNotFound")
