"""The login host under the clouds' own names, as programs under `claviger exec` reach it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from claviger.keyvault.challenge import LOGIN_HOST
from claviger.keyvault.directory import signing
from claviger.keyvault.hosts import CLOUDS, LOGIN_HOSTS
from tests.directory import Directory, claims_of, keys_made_before, open_directory

DISCOVERY = (
    "/common/discovery/instance?api-version=1.1&authorization_endpoint=https://{}/t.example/oauth2/v2.0/authorize"
)
CONFIGURATION = "/{}/v2.0/.well-known/openid-configuration"


@pytest.fixture
async def directory(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Directory]:
    monkeypatch.setattr(signing, "new_key", keys_made_before())
    async with open_directory(sqlite_url) as opened:
        opened.login = opened.make_login(served=(LOGIN_HOST, *LOGIN_HOSTS), login_url="https://login.example.org")
        await opened.vault()
        yield opened


@pytest.mark.parametrize("host", sorted(LOGIN_HOSTS))
async def test_every_login_host_is_known_wherever_it_is_asked_for(directory: Directory, host: str) -> None:
    for asked_at in ("login.microsoftonline.com", host):
        told = await directory.ask("GET", DISCOVERY.format(host), host=asked_at)
        assert told.status == 200
        endpoint = f"https://{host}/t.example/v2.0/.well-known/openid-configuration"
        assert told.json["tenant_discovery_endpoint"] == endpoint
    assert (await directory.ask("GET", DISCOVERY.format("login.evil.example"), host=host)).status == 400


@pytest.mark.parametrize("host", [*(cloud.login for cloud in CLOUDS), "westus2.login.microsoft.com"])
async def test_addresses_stay_on_a_clouds_own_host(directory: Directory, host: str) -> None:
    told = (await directory.ask("GET", CONFIGURATION.format("common"), host=host)).json
    assert told["token_endpoint"] == f"https://{host}/common/oauth2/v2.0/token"
    local = (await directory.ask("GET", CONFIGURATION.format("common"), host="login.localhost:8443")).json
    assert local["token_endpoint"].startswith("https://login.example.org/"), "there the setting counts"


@pytest.mark.parametrize("cloud", CLOUDS, ids=lambda cloud: cloud.vault_suffix)
async def test_a_token_had_there_opens_a_vault_of_that_cloud(directory: Directory, cloud) -> None:
    vault = await directory.vault("other")
    made = await directory.application()
    host = f"{vault.name}.{cloud.vault_suffix}"
    challenge = directory.challenger.at(host, vault.tenant_id)
    assert challenge.header.decode().startswith(f'Bearer authorization="https://{cloud.login}/{vault.tenant_id}"')
    form = {
        "grant_type": "client_credentials",
        "client_id": made.application.app_id,
        "client_secret": made.secret.reveal_text(),
        "scope": f"{challenge.resource}/.default",
    }
    answer = await directory.ask("POST", f"/{vault.tenant_id}/oauth2/v2.0/token", form=form, host=cloud.login)
    token = answer.json["access_token"]
    assert claims_of(token)["aud"] == f"https://{cloud.vault_suffix}"
    caller = directory.verifier.verify(f"Bearer {token}".encode(), host, vault)
    assert caller.oid == made.application.object_id
