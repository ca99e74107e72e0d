"""The embedded OCI in this process, on a database of its own, under a clock that is set by hand.

Requests are signed as the official SDKs sign them and go through the same funnel as those that come by socket, their
signatures verified; reads take the hot path where the server would. `OciProduct.running` may be entered again and
again: what lies between is the time in which no server runs.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.oci_signing import Signer
from claviger.core.clock import ManualClock
from claviger.house import House, audited, opened
from claviger.ocikms.assembly import Choices, Ground, Ocikms
from claviger.ocikms.identity import administration, people
from claviger.settings import load_settings
from figures.answers import Answer, AnswerReader
from figures.databases import Database
from figures.ocioperations import OPERATIONS, REGION, host

START_AT = 1_800_000_000.0
TENANCY = "trial"
COMPARTMENTS = ("production", "staging", "archive")
MANAGER, READER = "manager", "reader"
PORT = 8443


class OciProduct:
    """A data directory and what runs on it. `settle_s` is how long transitional states are shown."""

    def __init__(self, folder: Path, database: Database, *, settle_s: float = 0.0) -> None:
        self.clock = ManualClock(START_AT)
        self.signers: dict[str, Signer] = {}
        self.compartments: dict[str, str] = {}
        self.namespace = ""
        self._folder = folder
        self._database = database
        self.settle_s = settle_s

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OciDesk]:
        """The product's own objects, audit log included, without sockets. It sweeps only where it is told to."""
        settings = load_settings(self._database.settings, data=self._folder, demo=False)
        async with opened(settings, self.clock) as house, audited(house):
            if not self.signers:
                await self._settle(house)
            ground = Ground(house.store, house.keyring, self.clock, self.clock, None, house.log)
            service = Ocikms(ground, Choices(settle_s=self.settle_s), lambda *_: None)
            try:
                yield OciDesk(self, house, service)
            finally:
                await service.stop()

    async def _settle(self, house: House) -> None:
        """A tenancy with compartments; one user may manage all of it, the other one read in `production`."""
        store, clock = house.store, self.clock
        made = await administration.create_tenancy(store, clock, name=TENANCY, home_region=REGION)
        self.namespace = made.tenancy.namespace
        for name in COMPARTMENTS:
            placed = await administration.create_compartment(store, clock, name=name, tenancy=TENANCY)
            self.compartments[name] = placed.compartment.id
        for name, verb, path in ((MANAGER, "manage", "/"), (READER, "read", COMPARTMENTS[0])):
            person = await people.create_user(store, clock, name=name, tenancy=TENANCY)
            key = await people.create_api_key(store, clock, name, TENANCY)
            await people.grant(store, name, verb, path, TENANCY)
            pem = key.private_key.reveal()
            self.signers[name] = Signer(made.tenancy.id, person.user.id, key.key.fingerprint, pem)


class Unexpected(RuntimeError):
    """A call that had to succeed was refused."""


class OciDesk:
    """Asks a running product."""

    def __init__(self, product: OciProduct, house: House, service: Ocikms) -> None:
        self.product = product
        self.house = house
        self.service = service
        self.clock = product.clock

    async def ask(
        self,
        name: str,
        *idents: str,
        body: object = None,
        query: Mapping[str, object] | None = None,
        vault: str = "",
        headers: Mapping[str, str] | None = None,
        caller: str = MANAGER,
        quickly: bool = True,
    ) -> Answer:
        """One operation. `body` is sent as JSON, or as it is where it is bytes; `vault` is the prefix of the host.

        `quickly` False has a read go the ordinary way, past the hot path.
        """
        operation = OPERATIONS[name]
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        target = operation.target(*idents, query=query)
        place = f"{host(operation.plane, vault)}:{PORT}"
        signed = self.product.signers[caller].headers(operation.method, place, target, content, self.clock.now())
        given = [*signed, *(headers or {}).items()]
        scope = _scope(operation.method, target, given)
        answer = self._quick(scope) if quickly and operation.method == "GET" else None
        return answer or await self._asked(scope, content or b"")

    def _quick(self, scope: dict[str, Any]) -> Answer | None:
        raw = self.service.app.quick(scope)
        if raw is None:
            return None
        reader = AnswerReader()
        reader.feed(raw)
        return reader.next()

    async def _asked(self, scope: dict[str, Any], content: bytes) -> Answer:
        said: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        await self.service.app(scope, receive, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in said[0]["headers"]}
        return Answer(said[0]["status"], headers, said[1]["body"])

    async def must(self, name: str, *idents: str, **given: Any) -> Any:
        """The JSON of an operation that has to succeed. Raises Unexpected."""
        answer = await self.ask(name, *idents, **given)
        if answer.status != 200:
            raise Unexpected(f"{name} was answered {answer.status} {answer.body[:300]!r}")
        return answer.json() if answer.body else None

    async def listed(self, name: str, *idents: str, limit: int = 1000, vault: str = "", **query: object) -> list[Any]:
        """All items of a list, page by page."""
        found: list[Any] = []
        page: dict[str, object] = {}
        while True:
            answer = await self.ask(name, *idents, query={"limit": limit, **query, **page}, vault=vault)
            if answer.status != 200:
                raise Unexpected(f"{name} was answered {answer.status} {answer.body[:300]!r}")
            found += answer.json()
            if "opc-next-page" not in answer.headers:
                return found
            page = {"page": answer.headers["opc-next-page"]}

    async def sweep(self) -> None:
        """What the server does by itself when a date has come."""
        await self.service.sweeper.sweep()


def code_of(answer: Answer) -> str:
    """The code of a refusal; empty for a success or where there is none."""
    if answer.status < 300:
        return ""
    try:
        return str(answer.json()["code"])
    except (ValueError, LookupError, TypeError):
        return ""


def _scope(method: str, target: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
    parts = urlsplit(target)
    return {
        "type": "http",
        "method": method,
        "scheme": "https",
        "path": parts.path,
        "raw_path": parts.path.encode("latin-1"),
        "query_string": parts.query.encode("latin-1"),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 40000),
    }
