"""The official management SDKs against a real server: vaults, resource groups, subscriptions, and their pollers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.core.polling import LROPoller
from azure.identity import ClientSecretCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from azure.keyvault.secrets import SecretClient
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.keyvault.aio import KeyVaultManagementClient as AsyncKeyVaultManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.subscription import SubscriptionClient
from azure.mgmt.subscription.aio import SubscriptionClient as AsyncSubscriptionClient

from tests.server import CommandFailed
from tests.serving import Application, Estate
from tests.vaults import spare_name

GROUP = "sdk"
LOCATION = "westeurope"
THEIRS = ["3b1f5c0e-9e0a-4c55-9a4e-0d9d2a0c7b11", "f1e2d3c4-0000-4000-8000-abcdefabcdef"]
SCOPES = ["https://management.azure.com/.default"]


@pytest.fixture
def credential(exported: dict[str, str]) -> ClientSecretCredential:
    return ClientSecretCredential(
        exported["AZURE_TENANT_ID"],
        exported["AZURE_CLIENT_ID"],
        exported["AZURE_CLIENT_SECRET"],
        authority=exported["AZURE_AUTHORITY_HOST"],
        disable_instance_discovery=True,
    )


@pytest.fixture
def base_url(estate: Estate) -> str:
    return f"https://management.localhost:{estate.server.port}"


@pytest.fixture
def subscription_id(credential: ClientSecretCredential, base_url: str) -> str:
    (found,) = SubscriptionClient(credential, base_url=base_url, credential_scopes=SCOPES).subscriptions.list()
    return str(found.subscription_id)


@pytest.fixture
def groups(credential: ClientSecretCredential, base_url: str, subscription_id: str) -> Iterator[Any]:
    with ResourceManagementClient(credential, subscription_id, base_url=base_url, credential_scopes=SCOPES) as client:
        client.resource_groups.create_or_update(GROUP, {"location": LOCATION})
        yield client.resource_groups


@pytest.fixture
def client(groups: Any, credential: ClientSecretCredential, base_url: str, subscription_id: str) -> Iterator[Any]:
    with KeyVaultManagementClient(
        credential, subscription_id, base_url=base_url, credential_scopes=SCOPES, polling_interval=0
    ) as client:
        yield client


@pytest.fixture
async def asynchronous(exported: dict[str, str]) -> AsyncIterator[AsyncClientSecretCredential]:
    """The same credential for asynchronous clients, which want the trusted certificates named."""
    async with AsyncClientSecretCredential(
        exported["AZURE_TENANT_ID"],
        exported["AZURE_CLIENT_ID"],
        exported["AZURE_CLIENT_SECRET"],
        authority=exported["AZURE_AUTHORITY_HOST"],
        disable_instance_discovery=True,
        connection_verify=exported["SSL_CERT_FILE"],
    ) as credential:
        yield credential


@pytest.fixture
def wanted(exported: dict[str, str], client: Any) -> dict[str, Any]:
    """A vault in which the demo application may do everything."""
    found = client.vaults.get("claviger", "demo")
    assert found.properties.enable_rbac_authorization
    return {
        "location": LOCATION,
        "properties": {
            "tenantId": exported["AZURE_TENANT_ID"],
            "sku": {"family": "A", "name": "standard"},
            "enableRbacAuthorization": True,
        },
    }


def _done(poller: LROPoller[Any]) -> Any:
    return poller.result(timeout=120)


def test_the_whole_life_of_a_vault(
    estate: Estate, client: Any, wanted: dict[str, Any], credential: ClientSecretCredential
):
    name = spare_name("vault")
    assert client.vaults.check_name_availability({"name": name, "type": "Microsoft.KeyVault/vaults"}).name_available
    made = _done(client.vaults.begin_create_or_update(GROUP, name, wanted))
    assert (made.name, made.location, made.properties.provisioning_state) == (name, LOCATION, "Succeeded")
    assert made.properties.vault_uri == f"https://{name}.vault.localhost:{estate.server.port}/"
    estate.server.command("role", "assign", "Key Vault Secrets Officer", "demo", "--vault", name)
    secrets = SecretClient(made.properties.vault_uri, credential)

    def may() -> bool:
        try:
            return list(secrets.list_properties_of_secrets()) == []
        except HttpResponseError:
            return False

    estate.noticed(may)
    secrets.set_secret("s", "value")
    updated = client.vaults.update(GROUP, name, {"tags": {"a": "b"}, "properties": {"enabledForDeployment": True}})
    assert (updated.tags, updated.properties.enabled_for_deployment) == ({"a": "b"}, True)
    assert client.vaults.get(GROUP, name).tags == {"a": "b"}

    client.vaults.delete(GROUP, name)
    with pytest.raises(ResourceNotFoundError):
        secrets.get_secret("s")
    with pytest.raises(ResourceNotFoundError) as missing:
        client.vaults.get(GROUP, name)
    assert missing.value.error is not None
    assert missing.value.error.code == "ResourceNotFound"
    with pytest.raises(ResourceExistsError):
        client.vaults.begin_create_or_update(GROUP, name, wanted)
    gone = client.vaults.get_deleted(name, LOCATION)
    assert (gone.properties.scheduled_purge_date - gone.properties.deletion_date).days == 90
    assert name in [each.name for each in client.vaults.list_deleted()]

    recover = {**wanted, "properties": {**wanted["properties"], "createMode": "recover"}}
    back = _done(client.vaults.begin_create_or_update(GROUP, name, recover))
    assert back.tags == {"a": "b"}
    estate.server.command("role", "assign", "Key Vault Secrets Officer", "demo", "--vault", name)
    secret = None

    def is_back() -> bool:
        nonlocal secret
        with contextlib.suppress(HttpResponseError):
            secret = secrets.get_secret("s").value
        return secret is not None

    estate.noticed(is_back)
    assert secret == "value"

    client.vaults.delete(GROUP, name)
    assert _done(client.vaults.begin_purge_deleted(name, LOCATION)) is None
    with pytest.raises(ResourceNotFoundError):
        client.vaults.get_deleted(name, LOCATION)
    assert client.vaults.check_name_availability({"name": name, "type": "Microsoft.KeyVault/vaults"}).name_available


def test_listings_and_pages(client: Any, wanted: dict[str, Any]):
    names = sorted(spare_name("vault") for _ in range(3))
    for name in names:
        _done(client.vaults.begin_create_or_update(GROUP, name, wanted))
    assert set(names) <= {each.name for each in client.vaults.list_by_resource_group(GROUP, top=2)}
    assert {*names, "demo"} <= {each.name for each in client.vaults.list_by_subscription(top=1)}
    assert {*names, "demo"} <= {each.name for each in client.vaults.list(top=2)}


async def test_every_page_asynchronously_is_of_the_size_first_asked_for(
    client: Any,
    wanted: dict[str, Any],
    asynchronous: AsyncClientSecretCredential,
    base_url: str,
    subscription_id: str,
    exported: dict[str, str],
):
    names = {spare_name("vault") for _ in range(4)}
    for name in names:
        _done(client.vaults.begin_create_or_update(GROUP, name, wanted))
    links: list[Any] = []
    async with AsyncKeyVaultManagementClient(
        asynchronous,
        subscription_id,
        base_url=base_url,
        credential_scopes=SCOPES,
        connection_verify=exported["SSL_CERT_FILE"],
    ) as management:
        for listing, top in (
            (management.vaults.list_by_subscription, 2),
            (management.vaults.list_by_subscription, 1),
            (management.vaults.list, 3),
        ):
            links.clear()
            listed = listing(top=top, raw_response_hook=lambda told: links.append(_next_link(told)))
            pages = [[each.name async for each in page] async for page in listed.by_page()]
            assert [len(page) for page in pages[:-1]] == [top] * (len(pages) - 1)
            assert 1 <= len(pages[-1]) <= top
            seen = [name for page in pages for name in page]
            assert len(seen) == len(set(seen))
            assert {*names, "demo"} <= set(seen)
            assert links[-1] is None
            for link in links[:-1]:
                parts = urlsplit(link)
                assert f"{parts.scheme}://{parts.netloc}" == base_url
                assert parse_qs(parts.query)["$top"] == [str(top)]
                assert parse_qs(parts.query)["$skiptoken"]
        whole = [each.name async for each in management.vaults.list_by_subscription()]
        assert whole == sorted(whole, key=str)
        assert names <= set(whole)


def _next_link(response: Any) -> Any:
    return response.http_response.json().get("nextLink")


def test_there_are_no_managed_hsms(client: Any):
    hsms = client.managed_hsms
    for listed in (
        hsms.list_by_subscription(),
        hsms.list_by_subscription(top=1),
        hsms.list_by_resource_group(GROUP),
        hsms.list_deleted(),
    ):
        assert list(listed) == []
    with pytest.raises(ResourceNotFoundError) as missing:
        hsms.get(GROUP, "hsm1")
    assert missing.value.error is not None
    assert missing.value.error.code == "ResourceNotFound"
    assert "'Microsoft.KeyVault/managedHSMs/hsm1' under resource group 'sdk'" in str(missing.value)
    with pytest.raises(ResourceNotFoundError, match="ResourceGroupNotFound"):
        hsms.get("nowhere", "hsm1")


def test_access_policies(client: Any, wanted: dict[str, Any], exported: dict[str, str]):
    name = spare_name("vault")
    with_policies = {**wanted, "properties": {**wanted["properties"], "enableRbacAuthorization": False}}
    with_policies["properties"]["accessPolicies"] = []
    _done(client.vaults.begin_create_or_update(GROUP, name, with_policies))
    entry = {
        "tenantId": exported["AZURE_TENANT_ID"],
        "objectId": "11111111-2222-3333-4444-555555555555",
        "permissions": {"secrets": ["get", "list"], "keys": ["wrapKey"]},
    }
    change = {"properties": {"accessPolicies": [entry]}}
    for how, expected in (("add", ["get", "list"]), ("replace", ["get", "list"])):
        answer = client.vaults.update_access_policy(GROUP, name, how, change)
        assert list(answer.properties.access_policies[0].permissions.secrets) == expected
    assert client.vaults.get(GROUP, name).properties.access_policies[0].object_id == entry["objectId"]
    client.vaults.update_access_policy(GROUP, name, "remove", change)
    assert client.vaults.get(GROUP, name).properties.access_policies == []


def test_network_rules_hold_for_the_secrets_client(
    estate: Estate, client: Any, wanted: dict[str, Any], credential: ClientSecretCredential
):
    name = spare_name("vault")
    made = _done(client.vaults.begin_create_or_update(GROUP, name, wanted))
    estate.server.command("role", "assign", "Key Vault Secrets Officer", "demo", "--vault", name)
    secrets = SecretClient(made.properties.vault_uri, credential)

    def may() -> bool:
        with contextlib.suppress(HttpResponseError):
            return secrets.set_secret("s", "value").value == "value"
        return False

    estate.noticed(may)
    assert secrets.get_secret("s").value == "value"
    for rules, comes_in in (
        ({"networkAcls": {"defaultAction": "Deny"}}, False),
        ({"networkAcls": {"defaultAction": "Deny", "ipRules": [{"value": "127.0.0.1"}]}}, True),
        ({"publicNetworkAccess": "Disabled"}, False),
        ({"publicNetworkAccess": "Enabled"}, True),
    ):
        client.vaults.update(GROUP, name, {"properties": rules})
        if comes_in:
            assert secrets.get_secret("s").value == "value"
        else:
            with pytest.raises(HttpResponseError, match="Forbidden") as refused:
                secrets.get_secret("s")
            assert refused.value.status_code == 403


def test_what_can_never_change(client: Any, wanted: dict[str, Any]):
    name = spare_name("vault")
    protected = {**wanted, "properties": {**wanted["properties"], "enablePurgeProtection": True}}
    _done(client.vaults.begin_create_or_update(GROUP, name, protected))
    for change in (
        {"enablePurgeProtection": False},
        {"enableSoftDelete": False},
        {"softDeleteRetentionInDays": 7},
    ):
        with pytest.raises(HttpResponseError, match="BadRequest"):
            client.vaults.update(GROUP, name, {"properties": change})
    client.vaults.delete(GROUP, name)
    with pytest.raises(HttpResponseError, match="MethodNotAllowed"):
        client.vaults.begin_purge_deleted(name, LOCATION)


def test_resource_groups(groups: Any):
    name = spare_name("group")
    assert not groups.check_existence(name)
    assert groups.create_or_update(name, {"location": "West US", "tags": {"a": "b"}}).location == "westus"
    assert groups.check_existence(name)
    assert groups.get(name).tags == {"a": "b"}
    assert groups.update(name, {"tags": {}}).tags == {}
    assert name in [each.name for each in groups.list()]
    assert _done(groups.begin_delete(name, polling_interval=0)) is None
    assert not groups.check_existence(name)


def test_subscriptions_tenants_and_locations(
    credential: ClientSecretCredential, base_url: str, subscription_id: str, exported: dict[str, str]
):
    client = SubscriptionClient(credential, base_url=base_url, credential_scopes=SCOPES)
    found: Any = client.subscriptions.get(subscription_id)
    assert (found.display_name, found.state) == ("Claviger", "Enabled")
    assert [each.tenant_id for each in client.tenants.list()] == [exported["AZURE_TENANT_ID"]]
    assert LOCATION in [each.name for each in client.subscriptions.list_locations(subscription_id)]


@pytest.fixture
def reader(estate: Estate) -> Application:
    """An application that may read in two subscriptions that nobody else knows."""
    made = estate.make_application()
    for each in THEIRS:
        estate.server.command("role", "assign", "Reader", made.client_id, "--subscription", each)
    return made


async def test_every_subscription_that_the_caller_sees_is_told_whole(
    estate: Estate, reader: Application, base_url: str, exported: dict[str, str]
):
    """`tenantId` is looked for in the answer itself: the model of this SDK has no room for it."""
    trusted = exported["SSL_CERT_FILE"]
    async with (
        AsyncClientSecretCredential(
            estate.tenant_id,
            reader.client_id,
            reader.client_secret,
            authority=estate.server.login,
            disable_instance_discovery=True,
            connection_verify=trusted,
        ) as credential,
        AsyncSubscriptionClient(
            credential, base_url=base_url, credential_scopes=SCOPES, connection_verify=trusted
        ) as client,
    ):
        found: list[Any] = [each async for each in client.subscriptions.list()]
        assert [each.subscription_id for each in found] == THEIRS
        for each in found:
            assert each.id == f"/subscriptions/{each.subscription_id}"
            assert each.display_name == f"Claviger {each.subscription_id[:8]}"
            assert (each.state, each.authorization_source) == ("Enabled", "RoleBased")
            policies = each.subscription_policies
            assert (policies.location_placement_id, policies.quota_id, policies.spending_limit) == (
                "Public_2014-09-01",
                "PayAsYouGo_2014-09-01",
                "Off",
            )
    token = estate.token(reader, "https://management.azure.com")
    answer = estate.http.get(
        f"{base_url}/subscriptions?api-version=2022-12-01", headers={"Authorization": f"Bearer {token}"}
    )
    assert [each["tenantId"] for each in answer.json()["value"]] == [estate.tenant_id] * 2


def test_an_application_without_a_role_is_refused(estate: Estate, base_url: str, subscription_id: str):
    made = estate.make_application()
    credential = ClientSecretCredential(
        estate.tenant_id,
        made.client_id,
        made.client_secret,
        authority=estate.server.login,
        disable_instance_discovery=True,
    )
    scopes: dict[str, Any] = {"base_url": base_url, "credential_scopes": SCOPES}
    assert list(SubscriptionClient(credential, **scopes).subscriptions.list()) == []
    client = KeyVaultManagementClient(credential, subscription_id, **scopes)
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        list(client.vaults.list_by_subscription())
    estate.server.command("role", "assign", "Reader", made.client_id, "--resource-group", "claviger")
    assert "demo" in [each.name for each in client.vaults.list_by_resource_group("claviger")]
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        client.vaults.delete("claviger", "demo")
    estate.server.command("role", "remove", "--role", "Reader", "--app", made.client_id, "--resource-group", "claviger")
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        client.vaults.get("claviger", "demo")
    with pytest.raises(CommandFailed, match="name a vault"):
        estate.server.command("role", "assign", "Reader", made.client_id)
    foreign = KeyVaultManagementClient(
        credential, subscription_id, base_url=base_url, credential_scopes=["https://vault.azure.net/.default"]
    )
    with pytest.raises(ClientAuthenticationError, match="InvalidAuthenticationTokenAudience"):
        foreign.vaults.get("claviger", "demo")
