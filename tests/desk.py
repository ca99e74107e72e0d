"""An operator's desk: the control plane of a real server over HTTPS, with vaults under management in its own Azure.

The same vaults are seen from the other side too: raw (`Managed.azure`), and by the official SDK (`Managed.sdk`), as
somebody sees and changes them who knows nothing of the control plane. The cloud may be a second server's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apsw
import httpx
import psycopg
import pytest
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

from claviger.core.sensitive import Sensitive
from claviger.keyvault.directory.control_plane import NAME as CONTROL_PLANE
from claviger.keyvault.vaults.operations import DEFAULT_SUBSCRIPTION
from claviger.switches.client import Switchboard
from tests.clouds import endpoints
from tests.cutting import Wire
from tests.server import RunningServer
from tests.serving import OFFICER, Estate, estate_on
from tests.vaults import VaultClient, spare_name

PASSWORD = "correct-horse-9-Battery"
SETTINGS = {"CLAVIGER_ADMIN_PASSWORD": PASSWORD, "CLAVIGER_SWITCHES": "true"}
EMBEDDED = "embedded-azure"
SECRETS = "/cckm/azure/secrets"
_RENEW_S = 200.0
_FIELDS = {"code", "codeDesc", "message", "requestID"}


class Operator:
    """One user, signed in and staying so."""

    def __init__(self, server: RunningServer, username: str = "admin", password: str = PASSWORD) -> None:
        self.server = server
        self._credentials = {"username": username, "password": password}
        self._http: httpx.Client | None = None
        self._token = ""
        self._renew_at = 0.0
        self._signing_in = threading.Lock()

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: bytes | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """One request to a path below /api/v1. Raises what httpx does where the server ends in it."""
        with self._signing_in:  # of many threads one does it: a server lets nobody wait long for his turn
            if time.monotonic() > self._renew_at:
                self._sign_in()
        headers = {"Authorization": f"Bearer {self._token}"}
        kinds: dict[str, Any] = {"json": body} if content is None else {"content": content}
        return self._client.request(method, f"{self._base}{path}", headers=headers, params=query, **kinds)

    def accept(self, method: str, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        """The JSON of an answer with this status."""
        answer = self.ask(method, path, body, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def refuse(self, method: str, path: str, body: Any = None, *, status: int, part: str = "", **more: Any) -> str:
        """Checks a refusal: its status, its shape, that `part` is in its message; the message."""
        answer = self.ask(method, path, body, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        told = answer.json()
        assert set(told) == _FIELDS, told
        assert part in told["message"], told["message"]
        return str(told["message"])

    # ------------------------------------------------------------------ secrets

    def create(self, name: str, vault: Managed, value: str = "value", status: int = 201, **param: Any) -> Any:
        """Creates a secret; its record."""
        body = {"secret_name": name, "key_vault": vault.id, "azure_param": {"value": value, **param}}
        return self.accept("POST", SECRETS, body, status)

    def act(self, record: Any, action: str, body: Any = None, *, wait: int | None = None) -> Any:
        """soft-delete, hard-delete, recover or restore; the record."""
        query = None if wait is None else {"wait": wait}
        return self.accept("POST", f"{SECRETS}/{record['id']}/{action}", body, query=query)

    def refuse_act(self, record: Any, action: str, status: int, part: str = "", body: Any = None, **more: Any) -> str:
        """The message of a refusal of one of these."""
        return self.refuse("POST", f"{SECRETS}/{record['id']}/{action}", body, status=status, part=part, **more)

    def read(self, record: Any) -> Any:
        """The record as it is now."""
        return self.accept("GET", f"{SECRETS}/{record['id']}")

    def patch(self, record: Any, **fields: Any) -> Any:
        """Changes a secret's attributes; the record."""
        return self.accept("PATCH", f"{SECRETS}/{record['id']}", fields)

    def remove(self, record: Any) -> None:
        """Removes a deleted secret from CCKM."""
        self.accept("DELETE", f"{SECRETS}/{record['id']}", status=204)

    def records(self, vault: Managed, name: str | None = None) -> list[Any]:
        """The records of a vault, of one name if it is given."""
        query = {"key_vault_id": vault.id, "limit": -1} | ({} if name is None else {"secret_name": name})
        return list(self.accept("GET", SECRETS, query=query)["resources"])

    def close(self) -> None:
        """Lets go of the connections."""
        if self._http is not None:
            self._http.close()
            self._http = None

    @property
    def _base(self) -> str:
        return f"https://localhost:{self.server.port}/api/v1"

    @property
    def _client(self) -> httpx.Client:
        if self._http is None:
            self._http = httpx.Client(verify=self.server.trust, timeout=60, trust_env=False)
        return self._http

    def _sign_in(self) -> None:
        answer = self._client.post(f"{self._base}/auth/tokens", json=self._credentials)
        assert answer.status_code == 200, answer.text
        self._token = answer.json()["jwt"]
        self._renew_at = time.monotonic() + _RENEW_S


@dataclass(frozen=True)
class Managed:
    """A vault under management: the id of its record, and the same vault in Azure."""

    id: str
    record: Any
    azure: VaultClient
    cloud: Estate

    @property
    def name(self) -> str:
        """Its name in Azure."""
        return self.azure.name

    def sdk(self) -> SecretClient:
        """The official SDK on it, as any program uses it."""
        told = self.cloud.server.exported
        authority = str(self.cloud.server.authority)
        credential = ClientSecretCredential(
            told["AZURE_TENANT_ID"],
            told["AZURE_CLIENT_ID"],
            told["AZURE_CLIENT_SECRET"],
            authority=told["AZURE_AUTHORITY_HOST"],
            disable_instance_discovery=True,
            connection_verify=authority,
        )
        return SecretClient(self.azure.url, credential, connection_verify=authority, retry_total=0)


class Desk:
    """A server with `admin` at work. `cloud` is whose Azure it manages: its own, or that of another server."""

    def __init__(self, server: RunningServer, cloud: RunningServer | None = None) -> None:
        self.server = server
        self.cloud = Estate(cloud or server)
        self.admin = Operator(server)
        self._boards: dict[int, Switchboard] = {}
        self.connection = EMBEDDED if cloud is None else self._connect(cloud)
        if cloud is None:  # whatever other connections to it are made may look at its vaults too
            self._let_manage(server)

    def vault(self, *options: str) -> Managed:
        """A new vault with these options of `claviger vault create`, brought under management."""
        azure = self.cloud.make_vault(*options)
        who = CONTROL_PLANE if self.connection == EMBEDDED else self.cloud.demo_application.client_id
        if "--access-policies" in options:
            self.cloud.server.command("policy", "set", azure.name, who, "--secrets", "all,purge")
        return self.manage(azure)

    def manage(self, azure: VaultClient, connection: str | None = None) -> Managed:
        """Brings a vault of the cloud under management."""
        place = f"/subscriptions/{DEFAULT_SUBSCRIPTION}/resourceGroups/claviger/providers/Microsoft.KeyVault"
        entry = {
            "azure_vault_id": f"{place}/vaults/{azure.name}",
            "name": azure.name,
            "properties": {"tenantId": self.cloud.tenant_id},
        }
        body = {
            "connection": connection or self.connection,
            "subscription_id": DEFAULT_SUBSCRIPTION,
            "vaults": [entry],
        }
        made = self.admin.accept("POST", "/cckm/azure/add-vaults", body, 201)
        return Managed(made["id"], made["vaults"][0], azure, self.cloud)

    def board(self, server: RunningServer | None = None) -> Switchboard:
        """The switches of the server, or of the cloud's."""
        asked = server or self.server
        found = self._boards.get(asked.pid)
        if found is None:
            told = asked.command("switches", "--token")
            found = Switchboard(told["url"], Sensitive(told["token"]), asked.data / "tls" / "ca.pem")
            self._boards = {asked.pid: found} | self._boards
        return found

    def user(self, *groups: str) -> tuple[Operator, str]:
        """A new user in these groups, and his id."""
        username = spare_name("user")
        made = self.admin.accept("POST", "/usermgmt/users", {"username": username, "password": PASSWORD}, 201)
        for group in groups:
            self.admin.ask("POST", f"/usermgmt/groups/{group.replace(' ', '%20')}/users/{made['user_id']}")
        return Operator(self.server, username), made["user_id"]

    def permit(self, vault: Managed, user_id: str, *actions: str) -> None:
        """Gives a user rights in a vault."""
        entry = {"user_id": user_id, "actions": list(actions), "permit": True}
        self.admin.accept("POST", f"/cckm/azure/vaults/{vault.id}/update-acls", {"acls": [entry]})

    def as_managed_hsm(self, vault: Managed) -> None:
        """Makes the record of a vault that of a managed HSM, beside the server."""
        execute(
            self.server,
            f"UPDATE cckm_azure_vaults SET type = 'Microsoft.KeyVault/managedHSMs' WHERE id = '{vault.id}'",
        )

    def close(self) -> None:
        """Lets go of the connections."""
        self.admin.close()
        self.cloud.http.close()

    def connect(self, cloud: RunningServer, *, port: int | None = None, **changed: Any) -> str:
        """A connection to a server's Azure as its demo application, at another port than its own; its name."""
        told = cloud.exported
        name = spare_name("connection")
        body = {
            "name": name,
            "client_id": told["AZURE_CLIENT_ID"],
            "tenant_id": told["AZURE_TENANT_ID"],
            "client_secret": told["AZURE_CLIENT_SECRET"],
            "cloud_name": "AzureCloud",
            "products": ["cckm"],
            **endpoints(port or cloud.port, (cloud.data / "tls" / "ca.pem").read_text()),
            **changed,
        }
        self.admin.accept("POST", "/connectionmgmt/services/azure/connections", body, 201)
        return name

    def wired(self, wire: Wire) -> str:
        """A connection to the cloud's Azure through a wire; its name."""
        return self.connect(self.cloud.server, port=wire.port)

    def _connect(self, cloud: RunningServer) -> str:
        self._let_manage(cloud)
        return self.connect(cloud)

    @staticmethod
    def _let_manage(cloud: RunningServer) -> None:
        """The demo application looks after secrets everywhere, and discovers vaults."""
        for role in (OFFICER, "Reader"):
            client_id = cloud.exported["AZURE_CLIENT_ID"]
            cloud.command("role", "assign", role, client_id, "--subscription", DEFAULT_SUBSCRIPTION)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The desk that tests of a session share; at its end nothing may have failed in any answer or line of the log."""
    for estate in estate_on(request.param, request, tmp_path_factory.mktemp(f"desk-{request.param}"), **SETTINGS):
        found = Desk(estate.server)
        yield found
        found.close()


@pytest.fixture(scope="session")
def desk_vault(desk: Desk) -> Managed:
    """A vault with everything at its default; shared, so a test uses names of its own."""
    return desk.vault()


@pytest.fixture
def board(desk: Desk) -> Iterator[Switchboard]:
    """The switches of the shared desk, put back afterwards."""
    found = desk.board()
    yield found
    still(found)


def execute(server: RunningServer, sql: str) -> list[tuple[Any, ...]]:
    """Runs a statement on the server's own database, beside it; the rows that it gives."""
    if server.database_url is not None:
        with psycopg.connect(server.database_url) as connection:
            done = connection.execute(sql)
            return done.fetchall() if done.description else []
    database = apsw.Connection(str(server.data / "claviger.db"), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        database.set_busy_timeout(10_000)
        return list(database.execute(sql))
    finally:
        database.close()


def struck(board: Switchboard, fault_id: int, within_s: float = 60.0) -> None:
    """Waits until a fault has hit a call; one that delays holds it from then on, until the fault is removed."""
    give_up_at = time.monotonic() + within_s
    while not any(each["fault"]["id"] == fault_id and each["hits"] for each in board.show()["faults"]):
        assert time.monotonic() < give_up_at, "no call has come that far"
        time.sleep(0.02)


def still(board: Switchboard) -> None:
    """Puts all switches back."""
    board.faults_clear()
    board.settle()
    board.limits_off()
    board.revoke_tokens(0)
    board.clock_reset()
