"""The management API of a server inside the test: requests as written, answers as they came, from any address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from claviger.bootstrap import Services
from claviger.core.clock import ManualClock
from claviger.keyvault.directory import signing
from claviger.keyvault.directory.operations import NewApplication, create_application
from claviger.keyvault.vaults.operations import DEFAULT_SUBSCRIPTION, assign_role
from tests.directory import keys_made_before
from tests.inprocess import PORT, START, MovableServer, runs_on
from tests.vaults import spare_name

VERSION = "2023-07-01"
AUDIENCE = "https://management.azure.com/"
HOST = f"management.localhost:{PORT}"
GROUP = "lab"
ONE = f"/subscriptions/{DEFAULT_SUBSCRIPTION}"
IN_GROUP = f"{ONE}/resourceGroups/{GROUP}"
VAULTS = f"{IN_GROUP}/providers/Microsoft.KeyVault/vaults"
ALL_VAULTS = f"{ONE}/providers/Microsoft.KeyVault"
LOCATION = "westeurope"


def deleted(name: str, location: str = LOCATION) -> str:
    """The path of a deleted vault."""
    return f"{ALL_VAULTS}/locations/{location}/deletedVaults/{name}"


class Manager:
    """Speaks to the management host as one application, or as nobody (`token` None)."""

    def __init__(self, services: Services, tenant_id: str, token: str | None, *, address: str = "127.0.0.1") -> None:
        self.services = services
        self.tenant_id = tenant_id
        self.token = token
        transport = httpx.ASGITransport(app=services.front, client=(address, 5))  # type: ignore[arg-type]
        self.http = httpx.AsyncClient(transport=transport)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str | None = VERSION,
        host: str = HOST,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> httpx.Response:
        """One request. `body` is sent as JSON, `content` as it is; `version` None leaves api-version away."""
        sent = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        asked = ({} if version is None else {"api-version": version}) | (query or {})
        url = path if path.startswith("https://") else f"https://{host}{path}"
        return await self.http.request(
            method, url, params=asked or None, json=body, content=content, headers=sent | (headers or {})
        )

    async def accept(self, method: str, path: str, body: Any = None, *, status: int = 200, **more: Any) -> Any:
        """The JSON of an answer with this status."""
        answer = await self.ask(method, path, body, **more)
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        if not answer.content:
            return None
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        return answer.json()

    async def status(self, method: str, path: str, body: Any = None, **more: Any) -> int:
        """Only the status of the answer."""
        return (await self.ask(method, path, body, **more)).status_code

    def wanted(self, location: str = LOCATION, tags: dict[str, str] | None = None, **properties: Any) -> dict[str, Any]:
        """The body of a PUT of a vault; a property that is None is left out."""
        full = {
            "tenantId": self.tenant_id,
            "sku": {"family": "A", "name": "standard"},
            "accessPolicies": [],
            **properties,
        }
        kept = {name: value for name, value in full.items() if value is not None}
        return {"location": location, "properties": kept} | ({} if tags is None else {"tags": tags})

    async def group(self, name: str = GROUP) -> None:
        """Makes a resource group."""
        answer = await self.ask("PUT", f"{ONE}/resourceGroups/{name}", {"location": LOCATION}, version="2021-04-01")
        assert answer.status_code in (200, 201), answer.text

    async def vault(self, **properties: Any) -> str:
        """Makes a vault in the group; its name."""
        await self.group()
        name = spare_name("vault")
        await self.accept("PUT", f"{VAULTS}/{name}", self.wanted(**properties), status=201)
        return name

    async def close(self) -> None:
        await self.http.aclose()


async def sign_in(server: MovableServer, client_id: str, secret: str, audience: str = AUDIENCE) -> str:
    """A token for an application."""
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": secret,
        "scope": f"{audience}/.default",
    }
    url = f"https://login.localhost:{PORT}/{server.demo.tenant_id}/oauth2/v2.0/token"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=server.services.front)) as http:  # type: ignore[arg-type]
        answer = await http.post(url, data=form)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def demo_manager(server: MovableServer, **more: Any) -> Manager:
    """The demo application, which may manage everything in the default subscription."""
    token = await sign_in(server, server.demo.client_id, server.demo.client_secret.reveal_text())
    return Manager(server.services, server.demo.tenant_id, token, **more)


async def new_application(server: MovableServer) -> NewApplication:
    """An application of the demo tenant without any right."""
    house = server.services.house
    return await create_application(house.store, house.clock, name=spare_name("app"), tenant=server.demo.tenant_id)


async def manager_with(server: MovableServer, *roles: str, **place: Any) -> Manager:
    """A new application with these roles at one place; the whole default subscription unless told otherwise."""
    made = await new_application(server)
    house = server.services.house
    where = place or {"subscription_id": DEFAULT_SUBSCRIPTION}
    for role in roles:
        principal = made.application.app_id
        await assign_role(house.store, house.clock, role=role, principal=principal, **where)
    token = await sign_in(server, made.application.app_id, made.secret.reveal_text())
    return Manager(server.services, server.demo.tenant_id, token)


def refused(answer: httpx.Response, status: int, code: str, message: str | None = None) -> str:
    """Checks a refusal in Resource Manager's shape; `message` must be a part of what it says. Returns all it says."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    error = answer.json()["error"]
    assert answer.json() == {"error": {"code": code, "message": error["message"]}}
    assert message is None or message in error["message"], error["message"]
    return str(error["message"])


@pytest.fixture
def keys_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signing keys that were made before, since making one takes longer than most tests."""
    monkeypatch.setattr(signing, "new_key", keys_made_before())


@pytest.fixture
async def managed(database_url: str, tmp_path: Path, keys_at_once: None) -> AsyncIterator[MovableServer]:
    """A server on a clock that stands still, its sweep left to the test."""
    (tmp_path / "database").mkdir(mode=0o700, exist_ok=True)
    async with runs_on(database_url, tmp_path / "data", ManualClock(START))(work=False) as server:
        server.services.management.patience_s = 60.0  # no purge goes on behind its answer unless a test wants that
        yield server


@pytest.fixture
async def manager(managed: MovableServer) -> AsyncIterator[Manager]:
    """The demo application at the management host of that server."""
    found = await demo_manager(managed)
    yield found
    await found.close()
