"""The control plane for tests: a client for a running server or one in the process, and one in the process itself.

`open_control` runs the real funnel, gate and routes on a database of either kind, without sockets, with hashing made
cheap and a clock that the test moves. Further routes can be put beside those of access.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from argon2 import Parameters
from argon2.low_level import Type

from claviger.cckm.access.assembly import AccessParts, access_parts
from claviger.cckm.access.first import ensure_admin
from claviger.cckm.access.passwords import Passwords
from claviger.cckm.app import ControlPlane
from claviger.cckm.calls import Route
from claviger.cckm.routing import Routing
from claviger.cckm.sealed import Safe
from claviger.core.clock import ManualClock
from claviger.core.sensitive import Sensitive
from claviger.crypto.root_key import EnvironmentKeys
from claviger.sealing.keyring import Keyring
from claviger.sealing.notes import SealedNotes
from claviger.store.contract import Store
from claviger.store.opening import open_store
from tests.server import RunningServer

START = 1_800_000_000.0
PASSWORD = "correct-horse-9-Battery"
CHEAP = Parameters(type=Type.ID, version=19, salt_len=16, hash_len=32, time_cost=1, memory_cost=64, parallelism=1)
_SPARE = itertools.count(1)
MoreRoutes = Callable[["Control"], Iterable[Route]]


def spare(prefix: str = "user") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{next(_SPARE)}"


def quoted(segment: str) -> str:
    """A name as one segment of a path."""
    return quote(segment, safe="")


class ControlClient:
    """Speaks to the control plane as one user, or as nobody (`token` None)."""

    def __init__(self, http: httpx.AsyncClient, token: str | None = None) -> None:
        self.http = http
        self.token = token
        self.tokens: dict[str, Any] = {}

    def as_token(self, token: str | None) -> ControlClient:
        """The same server with another token."""
        return ControlClient(self.http, token)

    async def sign_in(self, username: str = "admin", password: str = PASSWORD, domain: str = "", **more: Any) -> Any:
        """Signs in; the whole answer. Its token is used from now on."""
        body = {"grant_type": "password", "username": username, "password": password, "domain": domain, **more}
        self.tokens = (await self.ask("POST", "/auth/tokens", body, expect=200, token=None)).json()
        self.token = self.tokens["jwt"]
        return self.tokens

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        expect: int | None = None,
        token: str | None = "own",
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> httpx.Response:
        """One request to a path below /api/v1. `content` is sent as it is; `expect` is the status it must have."""
        sent = dict(headers or {})
        bearer = self.token if token == "own" else token
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer}"
        if body is not None:
            content = json.dumps(body).encode()
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        answer = await self.http.request(method, f"/api/v1{path}", content=content, headers=sent, params=query or None)
        told = f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
        assert answer.status_code < 500 or answer.status_code in (501, expect), told  # 501: honestly not built
        assert expect is None or answer.status_code == expect, told
        if answer.status_code >= 400:
            assert set(answer.json()) == {"code", "codeDesc", "message", "requestID"}, told
        return answer

    async def accept(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The JSON of a request that must succeed; None where it has no body."""
        answer = await self.ask(method, path, body, **more)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def refusal(self, method: str, path: str, body: Any = None, *, expect: int, **more: Any) -> Any:
        """The error body of a request that must fail with this status."""
        return (await self.ask(method, path, body, expect=expect, **more)).json()


def remote(server: RunningServer, host: str = "localhost") -> ControlClient:
    """A client for a server that runs as a program of its own. Its commands belong in `asyncio.to_thread`."""
    with ThreadPoolExecutor(1) as thread:  # to find out whom to trust takes a command, with an event loop of its own
        trust = thread.submit(lambda: server.trust).result()
    base_url = f"https://{host}:{server.port}"
    return ControlClient(httpx.AsyncClient(base_url=base_url, verify=trust, timeout=30, trust_env=False))


class Control:
    """One process's view of a control plane. Open two on one URL and they are two processes."""

    def __init__(self, store: Store, keyring: Keyring, clock: ManualClock, more: MoreRoutes | None) -> None:
        self.store = store
        self.keyring = keyring
        self.clock = clock
        self.notes = SealedNotes(store, keyring, clock)
        self.safe = Safe(store, keyring)
        self.passwords = Passwords(CHEAP)
        self.parts: AccessParts = access_parts(store, self.safe, self.notes, clock, clock, self.passwords)
        self.routing = Routing([*self.parts.routes, *(more(self) if more else ())])
        self.counted: list[tuple[str, int]] = []
        self.plane = ControlPlane(
            self.routing, self.parts.gate, lambda name, status: self.counted.append((name, status))
        )
        self.address = "203.0.113.9"

    def _count(self, route: str, status: int) -> None:
        self.counted.append((route, status))

    def client(self, token: str | None = None, address: str | None = None) -> ControlClient:
        """A client, of an address of its own where one is given."""
        plane: Any = self.plane
        transport = httpx.ASGITransport(app=plane, client=(address or self.address, 5000))
        return ControlClient(httpx.AsyncClient(transport=transport, base_url="https://control.localhost"), token)

    async def signed_in(
        self, username: str = "admin", password: str = PASSWORD, domain: str = "", **more: Any
    ) -> ControlClient:
        """A client that is signed in."""
        client = self.client()
        await client.sign_in(username, password, domain, **more)
        return client

    async def user(
        self, admin: ControlClient, *groups: str, username: str | None = None, domain: str = "", **more: Any
    ) -> ControlClient:
        """A new user of the admin's domain, in these groups of it, signed in there."""
        name = username or spare()
        made = await admin.accept("POST", "/usermgmt/users", {"username": name, "password": PASSWORD, **more})
        for group in groups:
            await admin.accept("POST", f"/usermgmt/groups/{quoted(group)}/users/{made['user_id']}")
        return await self.signed_in(name, domain=domain)


async def domain_with_admin(
    control: Control, root: ControlClient, name: str | None = None
) -> tuple[str, ControlClient]:
    """A new domain's id, and its admin, a user of the root domain, signed in there."""
    username, domain = spare("boss"), name or spare("domain")
    await root.accept("POST", "/usermgmt/users", {"username": username, "password": PASSWORD})
    made = await root.accept("POST", "/domains", {"name": domain, "admins": [username]})
    return made["id"], await control.signed_in(username, domain=domain)


def all_other_routes(control: Control) -> list[Route]:
    """Every route that a server has beside those of access, on the same database; for `open_control(more=...)`."""
    from claviger.cckm.assembly import Choices, Ground, Plane

    ground = Ground(control.store, control.keyring, control.notes, control.clock, control.clock)
    plane = Plane(ground, Choices("0"), lambda name, status: None)
    plane.access.passwords.close()
    own = {(route.method, route.path) for route in control.parts.routes}
    return [route for route in plane.routing.routes if (route.method, route.path) not in own]


@asynccontextmanager
async def open_control(
    url: str,
    clock: ManualClock | None = None,
    *,
    preset: str | None = PASSWORD,
    more: MoreRoutes | None = None,
) -> AsyncIterator[Control]:
    """A control plane on a database, which is made if need be; `admin` has the password `preset`, or a one-time one.

    All that are opened share one root key. `more` gives further routes.
    """
    clock = clock or ManualClock(START)
    if url.startswith("sqlite://"):
        Path(url.removeprefix("sqlite://")).parent.mkdir(parents=True, exist_ok=True)
    store = await open_store(url, clock)
    try:
        keyring = Keyring(store, EnvironmentKeys(Sensitive(base64.b64encode(b"k" * 32))), clock)
        await keyring.load()
        control = Control(store, keyring, clock, more)
        given = None if preset is None else Sensitive(preset)
        await ensure_admin(store, control.passwords, control.notes, clock, given)
        yield control
        control.passwords.close()
    finally:
        await store.close()
