"""Microsoft's own client library against the login host: it must accept the documents and come away with tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msal  # type: ignore[import-untyped]
import pytest

from claviger.keyvault.directory import signing
from claviger.keyvault.directory.operations import NewApplication
from tests.directory import LOGIN, RESOURCE, Directory, claims_of, keys_made_before, open_directory


class Reply:
    """An answer as the library wants it."""

    def __init__(self, status_code: int, headers: Mapping[str, str], text: str) -> None:
        self.status_code = status_code
        self.headers = headers
        self.text = text

    def raise_for_status(self) -> None:
        assert self.status_code < 400, self.text


class Bridge:
    """An HTTP client for the library that hands its requests to the application on the test's event loop."""

    def __init__(self, directory: Directory, loop: asyncio.AbstractEventLoop) -> None:
        self.directory = directory
        self.loop = loop
        self.asked: list[str] = []

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> Reply:
        return self._ask("GET", url, params, headers, None)

    def post(self, url: str, params: Any = None, headers: Any = None, data: Any = None, **_: Any) -> Reply:
        return self._ask("POST", url, params, headers, data)

    def close(self) -> None:
        """Nothing to close."""

    def _ask(self, method: str, url: str, params: Any, headers: Any, data: Any) -> Reply:
        parts = urlsplit(url)
        query = urlencode(params) if params else parts.query
        self.asked.append(f"{method} {parts.netloc}{parts.path}")
        sent = {name: str(value) for name, value in (headers or {}).items()}
        asking = self.directory.ask(
            method, f"{parts.path}?{query}", form=data, headers=sent, host=parts.netloc, client=("127.0.0.1", 1)
        )
        answer = asyncio.run_coroutine_threadsafe(asking, self.loop).result(20)
        return Reply(answer.status, answer.headers, answer.body.decode())


@pytest.fixture
async def directory(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Directory]:
    monkeypatch.setattr(signing, "new_key", keys_made_before())
    async with open_directory(sqlite_url) as opened:
        await opened.vault()
        yield opened


async def sign_in(
    bridge: Bridge, made: NewApplication, authority: str | None, secret: str | None = None, **more: Any
) -> Any:
    def run() -> Any:
        program = msal.ConfidentialClientApplication(
            made.application.app_id,
            authority=authority,
            client_credential=secret or made.secret.reveal_text(),
            http_client=bridge,
            **more,
        )
        return program.acquire_token_for_client([f"{RESOURCE}/.default"])

    return await asyncio.to_thread(run)


async def test_a_confidential_client(directory: Directory) -> None:
    made = await directory.application()
    bridge = Bridge(directory, asyncio.get_running_loop())
    authority = f"https://{LOGIN}/{made.application.tenant_id}"
    told = await sign_in(bridge, made, authority, instance_discovery=False, client_capabilities=["CP1"])
    claims = claims_of(told["access_token"])
    assert (claims["aud"], claims["appid"], claims["xms_cc"]) == (RESOURCE, made.application.app_id, ["CP1"])


async def test_instance_discovery_is_answered(directory: Directory) -> None:
    made = await directory.application()
    bridge = Bridge(directory, asyncio.get_running_loop())
    authority = f"https://{LOGIN}/{made.application.tenant_id}"
    told = await sign_in(bridge, made, authority, instance_discovery=f"https://{LOGIN}/common/discovery/instance")
    assert "access_token" in told
    assert bridge.asked[0] == f"GET {LOGIN}/common/discovery/instance"


async def test_an_oidc_authority_passes_the_check_of_its_issuer(directory: Directory) -> None:
    made = await directory.application()
    bridge = Bridge(directory, asyncio.get_running_loop())
    base = f"https://{LOGIN}/{made.application.tenant_id}/v2.0"
    told = await sign_in(bridge, made, None, oidc_authority=base)
    assert "access_token" in told


async def test_the_library_reports_our_errors(directory: Directory) -> None:
    made = await directory.application()
    bridge = Bridge(directory, asyncio.get_running_loop())
    authority = f"https://{LOGIN}/{made.application.tenant_id}"
    told = await sign_in(bridge, made, authority, "wrong", instance_discovery=False)
    assert (told["error"], told["error_codes"]) == ("invalid_client", [7000215])
    with pytest.raises(ValueError, match="tenant"):
        await sign_in(bridge, made, f"https://{LOGIN}/nowhere.example", instance_discovery=False)


async def test_a_managed_identity_by_app_service(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await directory.application("demo-identity", kind="managed-identity")
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"https://{LOGIN}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", made.secret.reveal_text())
    bridge = Bridge(directory, asyncio.get_running_loop())
    for who in (
        msal.SystemAssignedManagedIdentity(),
        msal.UserAssignedManagedIdentity(client_id=made.application.app_id),
    ):
        client = msal.ManagedIdentityClient(who, http_client=bridge)
        told = await asyncio.to_thread(client.acquire_token_for_client, resource=RESOURCE)
        assert claims_of(told["access_token"])["oid"] == made.application.object_id


async def test_a_managed_identity_by_imds(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await directory.application("demo-identity", kind="managed-identity")
    directory.login = directory.make_login(imds=True)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"https://{LOGIN}")
    bridge = Bridge(directory, asyncio.get_running_loop())
    client = msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=bridge)
    told = await asyncio.to_thread(client.acquire_token_for_client, resource=RESOURCE)
    assert claims_of(told["access_token"])["oid"] == made.application.object_id
