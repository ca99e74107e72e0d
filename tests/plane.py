"""The control plane's funnel around some of its parts, in-process, with a gate that believes what a test says.

`Bearer ada;CCKM Admins` is the user ada of the root domain, a member of that group; `Bearer bob;;other` is bob in the
domain `other`. What containers permit is read from the table of ACLs, as the real gate's snapshot is.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any

import httpx

from claviger.cckm.app import ControlPlane, permits
from claviger.cckm.azure.connections import records as connections
from claviger.cckm.azure.connections.cloud import AzureClouds, sealed_form
from claviger.cckm.azure.connections.rules import AzureDetails, Connection, Credentials
from claviger.cckm.calls import ADMINS, CCKM_ADMINS, ROOT_DOMAIN, Caller, Permission, Rights, Route
from claviger.cckm.connections.operations import SEALED_AS
from claviger.cckm.routing import Routing
from claviger.cckm.sealed import Safe
from claviger.core.clock import ManualClock
from claviger.core.sensitive import Sensitive
from claviger.crypto.root_key import EnvironmentKeys
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx
from claviger.store.opening import open_store

START = 1_800_000_000.0
OTHER_DOMAIN = "9c1f0d5e-0000-4000-8000-00000000000d"
ADMIN = f"ada;{CCKM_ADMINS}"
ELSEWHERE = f"eve;{ADMINS};{OTHER_DOMAIN}"
USERS = ("ada", "bob", "carl")


def user_id(name: str) -> str:
    """The id of a test's user."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


class AclRights:
    """What the table of ACLs says."""

    def __init__(self, rows: Iterable[tuple[str, str, str]]) -> None:
        self._rows = [(container, grantee, set(actions.split())) for container, grantee, actions in rows]

    def allows(self, caller: Caller, container_id: str, action: str) -> bool:
        return container_id in self.containers(caller, action)

    def containers(self, caller: Caller, action: str) -> frozenset[str]:
        names = {f"user:{caller.user_id}", *(f"group:{group}" for group in caller.groups)}
        return frozenset(row[0] for row in self._rows if row[1] in names and action in row[2])


class OpenGate:
    """Lets in whoever says who he is."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def admit(self, authorization: bytes | None, permission: Permission) -> tuple[Caller | None, Rights]:
        caller = None
        if authorization is not None:
            name, groups, domain = [*authorization.decode().removeprefix("Bearer ").split(";"), "", ""][:3]
            caller = Caller(user_id(name), name, domain or ROOT_DOMAIN, frozenset(filter(None, groups.split(","))), "s")
        permits(permission, caller)
        rows = await self._store.read("SELECT container_id, grantee, actions FROM cckm_acls")
        return caller, AclRights([(row[0], row[1], row[2]) for row in rows])


class Plane:
    """Speaks to the funnel. `counted` are all answers: route and status."""

    def __init__(self, store: Store, clock: ManualClock, safe: Safe, clouds: AzureClouds) -> None:
        self.store = store
        self.clock = clock
        self.safe = safe
        self.clouds = clouds
        self.counted: list[tuple[str, int]] = []
        self._http: httpx.AsyncClient | None = None

    def serve(self, routes: Iterable[Route]) -> None:
        """Makes these routes the whole API."""
        app = ControlPlane(Routing(routes), OpenGate(self.store), lambda *told: self.counted.append(told))
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        self._http = httpx.AsyncClient(transport=transport, base_url="https://cckm.localhost/api/v1/cckm/azure")

    async def ask(
        self, method: str, path: str, body: Any = None, *, caller: str | None = ADMIN, content: bytes | None = None
    ) -> httpx.Response:
        """One request. `path` is below /cckm/azure."""
        assert self._http is not None
        headers = {} if caller is None else {"Authorization": f"Bearer {caller}"}
        raw = content if body is None else json.dumps(body).encode()
        answer = await self._http.request(method, path, content=raw, headers=headers)
        assert answer.status_code < 500 or answer.status_code in (501, 502, 504), answer.text
        return answer

    async def accept(self, method: str, path: str, body: Any = None, *, status: int = 200, **more: Any) -> Any:
        """The JSON of an answer with this status; None where it has no body."""
        answer = await self.ask(method, path, body, **more)
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def refuse(
        self, method: str, path: str, body: Any = None, *, status: int, part: str = "", **more: Any
    ) -> str:
        """Checks a refusal: its status, its shape, that `part` is in its message; nothing is changed. The message."""
        before = await self.everything()
        answer = await self.ask(method, path, body, **more)
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        told = answer.json()
        assert set(told) == {"code", "codeDesc", "message", "requestID"}, told
        assert told["codeDesc"].startswith("NCERR")
        assert isinstance(told["code"], int)
        assert part in told["message"], told["message"]
        assert await self.everything() == before
        return str(told["message"])

    async def everything(self) -> dict[str, list[Any]]:
        """All rows that have to do with vaults."""
        tables = ("cckm_azure_vaults", "cckm_azure_subscriptions", "cckm_acls", "cckm_azure_secrets")
        return {table: sorted(await self.store.read(f"SELECT * FROM {table}"), key=repr) for table in tables}

    async def count(self, table: str, where: str = "1 = 1") -> int:
        """How many rows there are."""
        row = await self.store.read_one(f"SELECT COUNT(*) FROM {table} WHERE {where}")
        assert row is not None
        return int(row[0])

    async def connect(
        self, name: str, details: AzureDetails, secret: str = "a client secret", domain_id: str = ROOT_DOMAIN
    ) -> Connection:
        """Stores a connection."""
        made = Connection(
            id=str(uuid.uuid4()),
            domain_id=domain_id,
            name=name,
            cloud_name=details.cloud_name,
            details=details,
            revision=1,
            created_at=self.clock.now(),
            updated_at=self.clock.now(),
        )

        sealed = sealed_form(Credentials(client_secret=Sensitive(secret)))
        await self.safe.write([(SEALED_AS, made.id, sealed)], lambda tx: connections.add(tx, made))
        return made


async def open_plane(url: str) -> Plane:
    """A plane on a database, with the root domain and another one, users and groups."""
    clock = ManualClock(START)
    store = await open_store(url, clock)
    keyring = Keyring(store, EnvironmentKeys(Sensitive("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), None), clock)
    await keyring.load()
    safe = Safe(store, keyring)
    await store.write(_people)
    return Plane(store, clock, safe, AzureClouds(safe))


def _people(tx: Tx) -> None:
    for domain_id, name in ((ROOT_DOMAIN, "root"), (OTHER_DOMAIN, "other")):
        if tx.fetch_one("SELECT 1 FROM cckm_domains WHERE id = ?", domain_id) is None:
            tx.execute("INSERT INTO cckm_domains VALUES (?, ?, '{}', 0, 0)", domain_id, name)
    for group in ("CCKM Admins", "CCKM Users", "Operators"):
        tx.execute("INSERT INTO cckm_groups VALUES (?, ?, '{}', 0, 0)", ROOT_DOMAIN, group)
    for name in USERS:
        tx.execute(
            "INSERT INTO cckm_users (id, domain_id, username, username_key, name, email, password_hash, "
            "password_change_required, password_changed_at, token_epoch, failed_count, locked_until, details, "
            "created_at, updated_at) VALUES (?, ?, ?, ?, '', '', '', 0, 0, 0, 0, 0, '{}', 0, 0)",
            user_id(name),
            ROOT_DOMAIN,
            name,
            name,
        )
