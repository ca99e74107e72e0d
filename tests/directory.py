"""A directory without a server around it: store, keys, estates, issuer and verifier, wired as in production."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from claviger.core.attempts import FailedAttempts
from claviger.core.clock import ManualClock
from claviger.core.sensitive import Sensitive
from claviger.crypto.root_key import EnvironmentKeys
from claviger.keyvault.challenge import Caller, Challenger, TokenVerifier
from claviger.keyvault.directory import operations
from claviger.keyvault.directory.issuer import Issuer
from claviger.keyvault.directory.operations import NewApplication
from claviger.keyvault.directory.routes import LoginHost
from claviger.keyvault.directory.signing import SigningKeys, new_key
from claviger.keyvault.directory.tokens import TokenMaker
from claviger.keyvault.estate import Estates
from claviger.keyvault.hosts import VaultHosts
from claviger.keyvault.vaults import operations as vaults
from claviger.keyvault.vaults.records import Vault
from claviger.sealing.keyring import Keyring
from claviger.sealing.notes import SealedNotes
from claviger.store.contract import Store
from claviger.store.opening import open_store

START = 1_795_000_000.0
HOST = "demo.vault.localhost:8443"
RESOURCE = "https://vault.localhost:8443"
LOGIN = "login.localhost:8443"


class Answer:
    """What came back from the login host."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Directory:
    """One process's view of a database. Open two on one URL and they are two processes."""

    def __init__(self, store: Store, keyring: Keyring, clock: ManualClock) -> None:
        self.store = store
        self.keyring = keyring
        self.clock = clock
        self.notes = SealedNotes(store, keyring, clock)
        self.keys = SigningKeys(store, keyring, clock)
        self.estates = Estates(store, VaultHosts(), self.keys)
        self.challenger = Challenger()
        self.verifier = TokenVerifier(self.keys, self.challenger, clock)
        self.tokens = TokenMaker(self.keys, clock)
        self.attempts = FailedAttempts(clock)
        self.login = self.make_login()

    def make_login(self, *, imds: bool = False, body_timeout_s: float = 5.0, **settings: Any) -> LoginHost:
        issuer = Issuer(self.store, self.tokens, self.clock, self.attempts, imds=imds)
        return LoginHost(self.estates, self.keys, issuer, self.clock, body_timeout_s=body_timeout_s, **settings)

    async def vault(self, name: str = "demo", **settings: Any) -> Vault:
        """A vault, in a tenant that is made with the first one."""
        if not await operations.list_tenants(self.store):
            await operations.set_tenant(self.store, self.clock, name="Contoso", domain="contoso.example")
        return await vaults.create_vault(self.store, self.clock, vaults.NewVault(name=name, **settings))

    async def application(self, name: str = "program", **settings: Any) -> NewApplication:
        return await operations.create_application(self.store, self.clock, name=name, **settings)

    async def bearer(self, made: NewApplication, audience: str = RESOURCE) -> bytes:
        """An Authorization header of an application."""
        issued = await self.tokens.issue(made.application, audience)
        await self.estates.current()
        return b"Bearer " + issued.token.reveal()

    async def caller(self, made: NewApplication, vault: Vault) -> Caller:
        return self.verifier.verify(await self.bearer(made), HOST, vault)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | None = None,
        body: bytes | Sequence[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        host: str = LOGIN,
        client: tuple[str, int] | None = ("203.0.113.9", 5000),
        login: LoginHost | None = None,
    ) -> Answer:
        """One request to the login host, as an ASGI server hands it over."""
        path, _, query = path.partition("?")
        sent = {"host": host, **{name.lower(): value for name, value in (headers or {}).items()}}
        if form is not None:
            body = urlencode(form).encode()
            sent.setdefault("content-type", "application/x-www-form-urlencoded")
        parts = [body] if isinstance(body, bytes) else list(body)
        messages = [{"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts]
        answered: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            answered.append(message)

        scope = {
            "type": "http",
            "method": method,
            "scheme": "https",
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
            "client": client,
        }
        await (login or self.login)(scope, receive, send)
        start, end = answered
        told = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], told, end["body"])


@asynccontextmanager
async def open_directory(url: str, clock: ManualClock | None = None) -> AsyncIterator[Directory]:
    """A directory on a database, which is made if need be. All that are opened share one root key."""
    clock = clock or ManualClock(START)
    if url.startswith("sqlite://"):
        Path(url.removeprefix("sqlite://")).parent.mkdir(parents=True, exist_ok=True)
    store = await open_store(url, clock)
    try:
        keyring = Keyring(store, EnvironmentKeys(Sensitive(base64.b64encode(b"k" * 32))), clock)
        await keyring.load()
        yield Directory(store, keyring, clock)
    finally:
        await store.close()


def claims_of(token: str | bytes) -> Any:
    """What a token says, unverified."""
    part = (token if isinstance(token, str) else token.decode()).split(".")[1]
    return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def keys_made_before() -> Callable[[], tuple[str, bytes]]:
    """Stands in for the making of RSA keys, which takes the most time of a test: real keys, made once for all tests."""
    numbers = itertools.count()
    return lambda: _key(next(numbers))


@lru_cache(maxsize=8)
def _key(number: int) -> tuple[str, bytes]:
    return new_key()
