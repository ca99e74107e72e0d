"""The way to Azure against a real server: the whole life of a secret, vaults, subscriptions, failures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs

from bench.ports import kept_ports
from claviger.cckm.azure.connections.cloud import AzureCloud
from claviger.cckm.azure.secrets.cloud import VaultSecrets
from claviger.cckm.azure.subscriptions.cloud import list_subscriptions
from claviger.cckm.azure.vaults.cloud import get_vault, list_managed_hsms, list_vaults
from claviger.core.errors import Conflict, Forbidden, Invalid, NotFound, Refusal, Unavailable
from claviger.core.sensitive import Sensitive
from tests.clouds import credentials_of, details_of, reaching
from tests.serving import Application, Estate
from tests.vaults import VaultClient


@pytest.fixture
async def cloud(estate: Estate) -> AsyncIterator[AzureCloud]:
    async with reaching(details_of(estate), credentials_of(estate.demo_application)) as cloud:
        yield cloud


@pytest.fixture
def secrets(cloud: AzureCloud, vault: VaultClient) -> VaultSecrets:
    return secrets_of(cloud, vault)


@pytest.fixture
def final_vault(estate: Estate) -> VaultClient:
    """A vault in which a deleted secret is gone."""
    return estate.shared_vault("--no-soft-delete")


@pytest.fixture
def stranger(estate: Estate) -> Application:
    """A program without any right."""
    return estate.make_application()


def secrets_of(cloud: AzureCloud, vault: VaultClient) -> VaultSecrets:
    return VaultSecrets(cloud, cloud.vault_url(vault.name, "https://ignored.vault.azure.net/"))


def words(refusal: Refusal) -> str:
    return str(refusal.facts["message"])


async def test_whole_life_of_a_secret(secrets: VaultSecrets, name: str) -> None:
    first = await secrets.set(
        name,
        Sensitive("one"),
        content_type="text/plain",
        tags={"owner": "x"},
        enabled=True,
        not_before=1_000,
        expires_at=4_000_000_000,
    )
    assert (first.name, first.content_type, first.tags, first.enabled) == (name, "text/plain", {"owner": "x"}, True)
    assert (first.not_before, first.expires_at, first.managed) == (1_000, 4_000_000_000, False)
    assert first.id == f"{secrets.vault_url}/secrets/{name}/{first.version}"
    assert first.recovery_level == "Recoverable+Purgeable"
    assert first.recoverable_days == 90
    assert first.created_at == first.updated_at > 1_700_000_000
    second = await secrets.set(name, Sensitive("two"))
    assert second.tags is None
    found, value = await secrets.get(name)
    assert (found, value.reveal()) == (second, b"two")
    assert (await secrets.get(name, first.version))[1].reveal() == b"one"
    assert {each.version for each in await secrets.versions(name)} == {first.version, second.version}
    assert [each.created_at for each in await secrets.versions(name, most=1)] != []

    changed = await secrets.update(name, first.version, tags={}, expires_at=4_100_000_000)
    assert changed.expires_at == 4_100_000_000
    assert not changed.tags
    assert (changed.content_type, changed.not_before, changed.enabled) == ("text/plain", 1_000, True)
    kept = await secrets.update(name, first.version, enabled=False)
    assert (kept.expires_at, kept.enabled) == (4_100_000_000, False)
    with pytest.raises(Forbidden, match="CloudRefused"):
        await secrets.get(name, first.version)

    blob = await secrets.backup(name)
    gone = await secrets.delete(name)
    assert gone.version == second.version
    assert gone.deleted_at is not None
    assert gone.purge_at == gone.deleted_at + 90 * 86_400
    assert await secrets.deleted(name) == gone
    assert await secrets.versions(name) == []
    with pytest.raises(NotFound, match="CloudNotFound") as missing:
        await secrets.get(name)
    assert "Azure answered 404: SecretNotFound" in words(missing.value)
    with pytest.raises(Conflict, match="CloudConflict"):
        await secrets.set(name, Sensitive("three"))
    back = await secrets.recover(name)
    assert (back.name, back.deleted_at) == (name, None)
    assert (await secrets.get(name))[1].reveal() == b"two"
    with pytest.raises(NotFound, match="CloudNotFound"):
        await secrets.deleted(name)

    with pytest.raises(Conflict, match="CloudConflict"):
        await secrets.restore(blob)
    await secrets.delete(name)
    await secrets.purge(name)
    with pytest.raises(NotFound, match="CloudNotFound"):
        await secrets.purge(name)
    restored = await secrets.restore(blob)
    assert restored.name == name
    assert (await secrets.get(name))[1].reveal() == b"two"
    assert len(await secrets.versions(name)) == 2


async def test_names_stay_one_segment(secrets: VaultSecrets) -> None:
    for bad in ("../x", "a/b", "a?b", "a%2Fb"):
        with pytest.raises((Invalid, NotFound)):
            await secrets.delete(bad)
        with pytest.raises((Invalid, NotFound)):
            await secrets.get(bad)


async def test_vault_without_soft_delete(cloud: AzureCloud, final_vault: VaultClient, name: str) -> None:
    secrets = secrets_of(cloud, final_vault)
    await secrets.set(name, Sensitive("one"))
    gone = await secrets.delete(name)
    assert (gone.deleted_at, gone.purge_at) == (None, None)
    assert gone.recovery_level == "Purgeable"
    with pytest.raises(Refusal) as refused:
        await secrets.deleted(name)
    assert isinstance(refused.value, Invalid | NotFound | Forbidden)


async def test_purge_protection(cloud: AzureCloud, protected_vault: VaultClient, name: str) -> None:
    secrets = secrets_of(cloud, protected_vault)
    await secrets.set(name, Sensitive("one"))
    await secrets.delete(name)
    with pytest.raises(Refusal) as refused:
        await secrets.purge(name)
    assert refused.value.reason in ("CloudRefused", "CloudInvalid")
    assert (await secrets.deleted(name)).recovery_level.startswith("Recoverable")


async def test_subscriptions(cloud: AzureCloud, estate: Estate) -> None:
    await cloud.check()
    (found,) = await list_subscriptions(cloud)
    assert found["id"] == f"/subscriptions/{found['subscriptionId']}"
    assert found["tenantId"] == estate.tenant_id
    assert (found["state"], found["displayName"] != "") == ("Enabled", True)


async def test_vaults_by_pages(
    cloud: AzureCloud,
    estate: Estate,
    vault: VaultClient,
    protected_vault: VaultClient,
    final_vault: VaultClient,
) -> None:
    (subscription,) = await list_subscriptions(cloud)
    subscription_id = subscription["subscriptionId"]
    everything = await list_vaults(cloud, subscription_id, limit=1000)
    assert everything.mark is None
    found: list[dict[str, Any]] = []
    mark = None
    while True:
        page = await list_vaults(cloud, subscription_id, limit=2, mark=mark)
        assert len(page.vaults) <= 2
        found += page.vaults
        mark = page.mark
        if mark is None:
            break
        assert "://" not in mark
    assert sorted(each["name"] for each in found) == sorted(each["name"] for each in everything.vaults)
    assert len(found) >= 4
    (demo,) = [each for each in found if each["name"] == "demo"]
    assert set(demo) == {"name", "azure_vault_id", "type", "location", "tags", "properties"}
    assert demo["type"].lower() == "microsoft.keyvault/vaults"
    assert demo["properties"]["tenantId"] == estate.tenant_id
    assert demo["properties"]["vaultUri"] == f"https://demo.vault.localhost:{estate.server.port}/"
    assert demo["properties"]["sku"] == {"family": "A", "name": "standard"}
    assert await get_vault(cloud, demo["azure_vault_id"]) == demo
    assert (await list_managed_hsms(cloud, subscription_id)).vaults == []
    with pytest.raises(NotFound, match="CloudNotFound"):
        await get_vault(cloud, demo["azure_vault_id"] + "x")
    hsm = demo["azure_vault_id"].replace("/vaults/", "/managedHSMs/")
    with pytest.raises(NotFound, match="CloudNotFound"):
        await get_vault(cloud, hsm)


@pytest.mark.parametrize("mark", ["x", "!!", "aHR0cHM6Ly9ldmlsLmV4YW1wbGUv", "A" * 9000, "é"])
async def test_foreign_page_marks(cloud: AzureCloud, mark: str) -> None:
    with pytest.raises(Invalid, match="InvalidParam"):
        await list_vaults(cloud, "00000000-0000-0000-0000-000000000001", mark=mark)


@pytest.mark.parametrize("bad", ["", "x", "00000000-0000-0000-0000-00000000000/../x"])
async def test_foreign_ids(cloud: AzureCloud, bad: str) -> None:
    with pytest.raises(Invalid, match="InvalidParam"):
        await list_vaults(cloud, bad)
    with pytest.raises(Invalid, match="InvalidParam"):
        await get_vault(cloud, f"/subscriptions/{bad}/x")


async def test_wrong_secret(estate: Estate, vault: VaultClient, name: str) -> None:
    wrong = structs.replace(credentials_of(estate.demo_application), client_secret=Sensitive("wrong-4711"))
    async with reaching(details_of(estate), wrong) as cloud:
        secrets = secrets_of(cloud, vault)
        for work in (cloud.check, lambda: secrets.set(name, Sensitive("one"))):
            with pytest.raises(Forbidden, match="CloudRefused") as refused:
                await work()
            assert words(refused.value).startswith("signing in failed: Azure answered 401: AADSTS7000215: Invalid")
            assert "wrong-4711" not in words(refused.value)
            assert "Trace ID" not in words(refused.value)


async def test_application_that_is_not_there(estate: Estate) -> None:
    details = details_of(estate, client_id="00000000-0000-0000-0000-0000000000ff")
    async with reaching(details, credentials_of(estate.demo_application)) as cloud:
        with pytest.raises(Forbidden, match="CloudRefused") as refused:
            await cloud.check()
        assert "AADSTS700016" in words(refused.value)


async def test_right_missing(estate: Estate, vault: VaultClient, stranger: Application, name: str) -> None:
    async with reaching(details_of(estate, client_id=stranger.client_id), credentials_of(stranger)) as cloud:
        with pytest.raises(Forbidden, match="CloudRefused") as refused:
            await secrets_of(cloud, vault).get(name)
        assert "Azure answered 403: Forbidden (ForbiddenByRbac)" in words(refused.value)


async def test_vault_that_is_not_there(cloud: AzureCloud) -> None:
    secrets = VaultSecrets(cloud, cloud.vault_url("no-such-vault-at-all", ""))
    with pytest.raises(Refusal) as refused:
        await secrets.get("x")
    assert refused.value.reason in ("CloudNotFound", "CloudUnreachable", "CloudInvalid")


async def test_no_server(estate: Estate) -> None:
    with kept_ports() as (port,):
        gone = details_of(estate, active_directory_endpoint=f"https://login.localhost:{port}")
        async with reaching(gone, credentials_of(estate.demo_application)) as cloud:
            with pytest.raises(Unavailable, match="CloudUnreachable"):
                await cloud.check()
        gone = details_of(estate, key_vault_dns_suffix=f"vault.localhost:{port}")
        async with reaching(gone, credentials_of(estate.demo_application), read_retries=0) as cloud:
            with pytest.raises(Unavailable, match="CloudUnreachable"):
                await VaultSecrets(cloud, cloud.vault_url("demo", "")).set("x", Sensitive("y"))


async def test_authority_that_is_not_trusted(estate: Estate) -> None:
    async with reaching(
        details_of(estate, azure_stack_server_cert=""), credentials_of(estate.demo_application), read_retries=0
    ) as cloud:
        with pytest.raises(Unavailable, match="CloudUnreachable") as refused:
            await cloud.check()
        assert "certificate" in words(refused.value).lower()
