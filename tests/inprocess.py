"""A whole server inside the test, on a clock that the test moves: the real object graph without sockets and TLS."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx

from claviger import bootstrap
from claviger.bootstrap import Services
from claviger.core.clock import ManualClock
from claviger.core.sensitive import Sensitive
from claviger.keyvault.directory.demo import DemoAccess, load_demo
from claviger.settings import load_settings
from tests.vaults import API_VERSION, accepted

START = 1_800_000_000.0
DAY_S = 86_400
PORT = 8443
AUDIENCE = f"https://vault.localhost:{PORT}"


class MovableServer:
    """One run of a server, signed in as the demo application."""

    def __init__(self, services: Services, demo: DemoAccess, clock: ManualClock) -> None:
        self.services = services
        self.demo = demo
        self.clock = clock
        self.token: str | None = None
        front: Any = services.front  # an ASGI application under any of the names that its types go by
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app=front))

    async def sign_in(self) -> str:
        """A fresh token, used from now on."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.demo.client_id,
            "client_secret": self.demo.client_secret.reveal_text(),
            "scope": f"{AUDIENCE}/.default",
        }
        url = f"https://login.localhost:{PORT}/{self.demo.tenant_id}/oauth2/v2.0/token"
        self.token = str(accepted(await self._http.post(url, data=form))["access_token"])
        return self.token

    async def ask(
        self, method: str, path: str, body: Any = None, *, vault: str = "demo", token: str | None = None
    ) -> httpx.Response:
        """One request. Signs in anew where the clock has passed the token's end."""
        bearer = token or self.token or await self.sign_in()
        answer = await self._ask(method, path, body, vault, bearer)
        if answer.status_code == 401 and token is None:
            answer = await self._ask(method, path, body, vault, await self.sign_in())
        return answer

    async def _ask(self, method: str, path: str, body: Any, vault: str, token: str) -> httpx.Response:
        url = f"https://{vault}.vault.localhost:{PORT}{path}"
        return await self._http.request(
            method, url, params={"api-version": API_VERSION}, json=body, headers={"Authorization": f"Bearer {token}"}
        )

    async def accept(self, method: str, path: str, body: Any = None, *, vault: str = "demo") -> Any:
        """The JSON of a request that must succeed."""
        return accepted(await self.ask(method, path, body, vault=vault))

    async def status(self, method: str, path: str, body: Any = None, *, vault: str = "demo") -> int:
        """Only the status of the answer."""
        return (await self.ask(method, path, body, vault=vault)).status_code

    async def put(self, name: str, value: str = "value", *, vault: str = "demo", **more: Any) -> Any:
        """Sets a secret; the bundle."""
        return await self.accept("PUT", f"/secrets/{name}", {"value": value, **more}, vault=vault)

    async def stored(self) -> tuple[int, int]:
        """How many secrets and versions are in the database, seen by no api."""
        store = self.services.house.store
        counts = [
            await store.read_one(f"SELECT COUNT(*) FROM {table}") for table in ("kv_secrets", "kv_secret_versions")
        ]
        assert counts[0] is not None
        assert counts[1] is not None
        return int(counts[0][0]), int(counts[1][0])


Run = Callable[..., contextlib.AbstractAsyncContextManager[MovableServer]]


def runs_on(url: str, data: Path, clock: ManualClock) -> Run:
    """A function that runs the server once, on the same data each time; `work` False leaves the sweep to the test."""

    @contextlib.asynccontextmanager
    async def run(*, work: bool = True, **settings: Any) -> AsyncIterator[MovableServer]:
        given = load_settings({}, data=data, database_url=Sensitive(url), **settings)
        async with bootstrap.built(given, clock) as services:
            if work:
                await services.front.startup()
            else:
                services.front.state = "ready"
            demo = await load_demo(services.house.store, services.house.notes)
            assert demo is not None
            try:
                yield MovableServer(services, demo, clock)
            finally:
                if work:
                    await services.front.shutdown()

    return run
