"""What the official Python SDK makes of the answers: pages, pollers, exceptions, dates."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential, DefaultAzureCredential, ManagedIdentityCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from azure.keyvault.secrets import ApiVersion, KeyVaultSecretIdentifier, SecretClient
from azure.keyvault.secrets.aio import SecretClient as AsyncSecretClient

from tests.serving import Estate
from tests.vaults import VaultClient, spare_name


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
def client(vault: VaultClient, credential: ClientSecretCredential) -> Iterator[SecretClient]:
    with SecretClient(vault.url, credential) as client:
        yield client


@pytest.fixture
async def asynchronous(vault: VaultClient, exported: dict[str, str]) -> AsyncIterator[AsyncSecretClient]:
    """The trusted certificates are named: aiohttp read the variable that names them when it was imported, long ago."""
    trusted = exported["SSL_CERT_FILE"]
    credential = AsyncClientSecretCredential(
        exported["AZURE_TENANT_ID"],
        exported["AZURE_CLIENT_ID"],
        exported["AZURE_CLIENT_SECRET"],
        authority=exported["AZURE_AUTHORITY_HOST"],
        disable_instance_discovery=True,
        connection_verify=trusted,
    )
    async with credential, AsyncSecretClient(vault.url, credential, connection_verify=trusted) as client:
        yield client


@pytest.fixture(params=list(ApiVersion), ids=lambda version: version.value)
def version(request: pytest.FixtureRequest) -> ApiVersion:
    return ApiVersion(request.param)


def test_a_secret_lives_in_every_version_of_the_api(
    vault: VaultClient, credential: ClientSecretCredential, version: ApiVersion, name: str
):
    with SecretClient(vault.url, credential, api_version=version) as client:
        made = client.set_secret(name, "value", tags={"a": "b"})
        assert client.get_secret(name, made.properties.version).value == "value"
        assert client.update_secret_properties(name, content_type="x").content_type == "x"
        assert name in [each.name for each in client.list_properties_of_secrets()]
        backup = client.backup_secret(name)
        assert client.begin_delete_secret(name).result().deleted_date is not None
        assert client.get_deleted_secret(name).properties.version == made.properties.version
        client.purge_deleted_secret(name)
        assert client.restore_secret_backup(backup).version == made.properties.version
        expected = None if version in (ApiVersion.V2016_10_01, ApiVersion.V7_0) else 90
        assert client.get_secret(name).properties.recoverable_days == expected


def test_dates_are_moments_in_utc(client: SecretClient, name: str):
    start = datetime.now(UTC).replace(microsecond=0)
    not_before, expires = start + timedelta(days=1), start + timedelta(days=2)
    made = client.set_secret(name, "v", not_before=not_before, expires_on=expires).properties
    assert (made.not_before, made.expires_on) == (not_before, expires)
    assert made.created_on == made.updated_on
    assert made.created_on is not None
    assert abs(made.created_on - start) < timedelta(minutes=1)
    gone = client.begin_delete_secret(name).result()
    assert gone.scheduled_purge_date is not None
    assert gone.deleted_date is not None
    assert gone.scheduled_purge_date - gone.deleted_date == timedelta(days=90)


def test_ids_can_be_taken_apart_again(client: SecretClient, vault: VaultClient, name: str):
    made = client.set_secret(name, "v")
    parts = KeyVaultSecretIdentifier(str(made.id))
    assert (parts.vault_url.rstrip("/"), parts.name, parts.version) == (vault.url, name, made.properties.version)
    deleted = client.begin_delete_secret(name).result()
    assert KeyVaultSecretIdentifier(str(deleted.recovery_id)).name == name


def test_pages_and_going_on_from_one(estate: Estate, credential: ClientSecretCredential):
    vault = estate.make_vault()
    names = [f"s{number:02}" for number in range(30)]
    for each in names:
        vault.put(each)
    with SecretClient(vault.url, credential) as client:
        assert [each.name for each in client.list_properties_of_secrets()] == names
        pages: Any = client.list_properties_of_secrets(max_page_size=7).by_page()
        first = [each.name for each in next(pages)]
        assert first == names[:7]
        later = client.list_properties_of_secrets(max_page_size=7).by_page(continuation_token=pages.continuation_token)
        sizes = [len(list(page)) for page in later]
        assert sizes == [7, 7, 7, 2]
        for each in names[:9]:
            client.begin_delete_secret(each)
        sizes = [len(list(page)) for page in client.list_deleted_secrets(max_page_size=4).by_page()]
        assert sizes == [4, 4, 1]


def test_pollers_are_done_without_waiting(client: SecretClient, name: str, monkeypatch: pytest.MonkeyPatch):
    def sleep(*_: object) -> NoReturn:
        raise AssertionError("the first look did not find what the poller waits for")

    monkeypatch.setattr(RequestsTransport, "sleep", sleep)
    client.set_secret(name, "v", enabled=False)
    deleting = client.begin_delete_secret(name)
    deleting.wait()
    assert deleting.done()
    assert deleting.status() == "finished"
    recovering = client.begin_recover_deleted_secret(name)
    recovering.wait()
    assert recovering.done()


def test_refusals_become_the_right_exceptions(client: SecretClient, name: str):
    with pytest.raises(ResourceNotFoundError) as missing:
        client.get_secret(name)
    assert missing.value.error is not None
    assert missing.value.error.code == "SecretNotFound"
    with pytest.raises(HttpResponseError, match="invalid name") as bad:
        client.set_secret("under_score", "v")
    assert bad.value.status_code == 400
    client.set_secret(name, "v")
    with pytest.raises(ResourceExistsError, match="conflict restoring"):
        client.restore_secret_backup(client.backup_secret(name))
    client.begin_delete_secret(name).wait()
    with pytest.raises(ResourceExistsError, match="deleted but recoverable"):
        client.set_secret(name, "v")
    with pytest.raises(HttpResponseError, match="corrupt") as corrupt:
        client.restore_secret_backup(b"garbage")
    assert corrupt.value.status_code == 400
    with pytest.raises(HttpResponseError, match="invalid value"):
        client.set_secret(f"{name}-long", "x" * 25_601)


def test_a_wrong_secret_does_not_sign_in(exported: dict[str, str], vault: VaultClient):
    credential = ClientSecretCredential(
        exported["AZURE_TENANT_ID"],
        exported["AZURE_CLIENT_ID"],
        "wrong",
        authority=exported["AZURE_AUTHORITY_HOST"],
        disable_instance_discovery=True,
    )
    with SecretClient(vault.url, credential) as client, pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        client.get_secret("any")


def test_an_application_without_rights_is_told_which_it_lacks(estate: Estate, exported: dict[str, str], name: str):
    application = estate.make_application()
    vault = estate.shared_vault()
    credential = ClientSecretCredential(
        exported["AZURE_TENANT_ID"],
        application.client_id,
        application.client_secret,
        authority=exported["AZURE_AUTHORITY_HOST"],
        disable_instance_discovery=True,
    )
    with SecretClient(vault.url, credential) as client, pytest.raises(HttpResponseError) as caught:
        client.set_secret(name, "v")
    assert caught.value.status_code == 403
    assert caught.value.error is not None
    assert caught.value.error.innererror == {"code": "ForbiddenByRbac"}
    assert "setSecret/action" in str(caught.value)


@pytest.mark.parametrize("kind", [ManagedIdentityCredential, DefaultAzureCredential])
def test_one_credential_serves_the_demo_vault_from_the_environment_alone(exported: dict[str, str], kind: type):
    with SecretClient(exported["AZURE_KEYVAULT_URL"], kind()) as client:
        name = spare_name("identity")
        assert client.set_secret(name, "v").value == "v"
        client.begin_delete_secret(name).wait()
        client.purge_deleted_secret(name)


def test_one_client_goes_on_while_keys_are_rotated(estate: Estate, client: SecretClient, name: str):
    client.set_secret(name, "before")
    estate.server.command("keys", "rotate", "--root", "--data-keys", "--signing")
    assert client.get_secret(name).value == "before"
    assert client.set_secret(name, "after").value == "after"
    assert [each.name for each in client.list_properties_of_secret_versions(name)] == [name, name]


async def test_the_asynchronous_client_lists_and_pages(asynchronous: AsyncSecretClient, name: str):
    for number in range(5):
        await asynchronous.set_secret(name, str(number))
    found = asynchronous.list_properties_of_secret_versions(name, max_page_size=2).by_page()
    assert [len([each async for each in page]) async for page in found] == [2, 2, 1]
    assert name in [each.name async for each in asynchronous.list_properties_of_secrets()]


async def test_the_asynchronous_client_raises_the_same(asynchronous: AsyncSecretClient, name: str):
    with pytest.raises(ResourceNotFoundError):
        await asynchronous.get_secret(name)
    await asynchronous.set_secret(name, "v", enabled=False)
    with pytest.raises(HttpResponseError, match="disabled secret") as disabled:
        await asynchronous.get_secret(name)
    assert disabled.value.status_code == 403
    blob = await asynchronous.backup_secret(name)
    deleted = await asynchronous.delete_secret(name)
    assert deleted.scheduled_purge_date is not None
    assert deleted.scheduled_purge_date > datetime.now(UTC)
    with pytest.raises(ResourceExistsError):
        await asynchronous.restore_secret_backup(blob)
    recovered = await asynchronous.recover_deleted_secret(name)
    assert recovered.enabled is False
