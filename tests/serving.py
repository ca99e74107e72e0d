"""Fixtures around real servers: one per kind of database and session, vaults and callers made on it by command line."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests import names
from tests.server import RunningServer
from tests.vaults import VaultClient, accepted, spare_name

OFFICER = "Key Vault Secrets Officer"
# A server on PostgreSQL may take half a second to notice what another process changed; on SQLite it notices at once.
NOTICED_WITHIN_S = {"sqlite": 0.0, "postgresql": 2.0}
_PATIENCE_S = 30.0
_RENEW_S = 1800.0  # half of the time that a token holds: a session may last for longer


@dataclass(frozen=True)
class Application:
    """A program that may sign in."""

    client_id: str
    object_id: str
    client_secret: str


class Estate:
    """A running server with what tests make on it: vaults, applications, tokens, HTTP connections."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.http = httpx.Client(verify=server.trust, timeout=60, trust_env=False)
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}
        self._shared: dict[tuple[str, ...], VaultClient] = {}
        self.untouched: tuple[VaultClient, object] | None = None

    @property
    def tenant_id(self) -> str:
        """The tenant that `claviger env` names."""
        return self.server.exported["AZURE_TENANT_ID"]

    @property
    def demo_application(self) -> Application:
        """The application that `claviger env` names."""
        told = self.server.exported
        return Application(told["AZURE_CLIENT_ID"], "", told["AZURE_CLIENT_SECRET"])

    def assert_nothing_failed(self) -> None:
        """Fails where the server gave anyone a 5xx or logged an error: whatever was sent, that must not happen."""
        metrics = self.http.get(f"{self.server.login}/metrics")
        assert metrics.status_code == 200
        assert "claviger_requests_total" in metrics.text
        assert [line for line in metrics.text.splitlines() if '"5xx"' in line and not line.endswith(" 0.0")] == []
        said = self.server.said()
        assert [line for line in said.splitlines() if " error " in line or "Traceback" in line] == [], said[-5000:]

    def make_vault(self, *options: str, for_application: Application | None = None) -> VaultClient:
        """A new vault with these options of `vault create`; the demo application may do everything in it."""
        name = spare_name("vault")
        self.server.command("vault", "create", name, "--tenant", self.tenant_id, *options)
        caller = for_application or self.demo_application
        if "--access-policies" in options:
            self.server.command("policy", "set", name, caller.client_id, "--secrets", "all,purge")
        else:
            self.server.command("role", "assign", OFFICER, caller.client_id, "--vault", name)
        made = VaultClient(self.server, name, self.http, lambda: self.token(caller))
        self.noticed(lambda: made.ask("GET", "/secrets").status_code == 200)
        return made

    def noticed(self, check: Callable[[], bool]) -> None:
        """Fails unless the server notices a command's change: on SQLite with the next request, else soon."""
        give_up_at = time.monotonic() + (_PATIENCE_S if NOTICED_WITHIN_S[self.server.kind] else 0.0)
        while not check():
            assert time.monotonic() < give_up_at, "the server did not notice"
            time.sleep(0.05)

    def shared_vault(self, *options: str) -> VaultClient:
        """A vault with these options that several tests share; each uses names of its own in it."""
        if options not in self._shared:
            self._shared[options] = self.make_vault(*options)
        return self._shared[options]

    def make_application(self) -> Application:
        """A new application without any right."""
        told = self.server.command("app", "create", spare_name("app"), "--tenant", self.tenant_id)
        return Application(told["client_id"], told["object_id"], told["client_secret"])

    def token(self, application: Application, audience: str | None = None) -> str:
        """An access token by client credentials, for vaults of this server unless told otherwise."""
        resource = audience or f"https://vault.localhost:{self.server.port}"
        key = (application.client_id, resource)
        token, renew_at = self._tokens.get(key, ("", 0.0))
        if time.monotonic() > renew_at:
            form = {
                "grant_type": "client_credentials",
                "client_id": application.client_id,
                "client_secret": application.client_secret,
                "scope": f"{resource}/.default",
            }
            answer = self.http.post(f"{self.server.login}/{self.tenant_id}/oauth2/v2.0/token", data=form)
            token = str(accepted(answer)["access_token"])
            self._tokens[key] = token, time.monotonic() + _RENEW_S
        return token


@pytest.fixture(scope="session", autouse=True)
def localhost_names() -> Iterator[bool]:
    """Makes `*.localhost` known to this process where the machine does not know it; whether the machine does."""
    if names.resolves():
        yield True
        return
    real = socket.getaddrinfo
    socket.getaddrinfo = names.knowing_localhost(real)
    yield False
    socket.getaddrinfo = real


@pytest.fixture(scope="session")
def names_for_programs(localhost_names: bool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a program started by a test needs in its environment to find `*.localhost`; often nothing."""
    if localhost_names:
        return {}
    return names.settings_for_programs(tmp_path_factory.mktemp("names"))


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def estate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """The server that tests of a session share, one after the other on each kind of database."""
    yield from estate_on(request.param, request, tmp_path_factory.mktemp(f"server-{request.param}"))


def estate_on(kind: str, request: pytest.FixtureRequest, folder: Path, **settings: str) -> Iterator[Estate]:
    """A server on that kind of database with these settings (`CLAVIGER_...`), checked for failures at the end."""
    databases = request.getfixturevalue("postgres_databases") if kind == "postgresql" else None
    url = databases.create() if databases is not None else None
    server = RunningServer(folder, url, settings)
    try:
        server.start()
        estate = Estate(server)
        yield estate
        estate.assert_nothing_failed()
        estate.http.close()
        assert server.stop() == 0
    finally:
        server.kill()
        if databases is not None and url is not None:
            databases.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Estate]:
    """A server for one test alone, which may stop and kill it."""
    yield from estate_on(request.param, request, tmp_path)


@pytest.fixture
def vault(estate: Estate) -> VaultClient:
    """A vault with everything at its default; shared, so a test uses names of its own."""
    return estate.shared_vault()


@pytest.fixture
def empty_vault(estate: Estate) -> VaultClient:
    """A vault of the test's own."""
    return estate.make_vault()


@pytest.fixture
def protected_vault(estate: Estate) -> VaultClient:
    """A vault with purge protection; shared."""
    return estate.shared_vault("--purge-protection")


@pytest.fixture
def name() -> str:
    """A secret's name that no other test uses."""
    return spare_name()


@pytest.fixture
def exported(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What `claviger env` exports, set in this process too, as in the shell of a user."""
    for variable, value in estate.server.exported.items():
        monkeypatch.setenv(variable, value)
    return estate.server.exported


@pytest.fixture
def kept(estate: Estate) -> Iterator[VaultClient]:
    """A vault for bad input: a live secret `s` of two versions, and a deleted one; the same after each test."""
    if estate.untouched is None:
        vault = estate.make_vault()
        vault.put("s", "first", tags={"a": "b"})
        vault.put("s", "second", contentType="text/plain", attributes={"nbf": 1, "exp": 2})
        vault.put("gone")
        vault.delete("gone")
        estate.untouched = vault, vault.everything()
    vault, before = estate.untouched
    estate.untouched = None  # made anew after a test that did change something, so that it fails alone
    yield vault
    assert vault.everything() == before
    estate.untouched = vault, before
