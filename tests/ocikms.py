"""A desk of the embedded OCI without sockets and signatures: calls made by hand, of a caller with the rights one gives.

`Desk.ask("GetKey", key_id)` runs an operation of the routes that were added, as the funnel would, and gives its answer
as the wire would show it. A refusal comes as the exception; `refusal` reads status and code off it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from claviger.core.clock import ManualClock
from claviger.core.errors import Refusal
from claviger.core.sensitive import Sensitive
from claviger.crypto.root_key import EnvironmentKeys
from claviger.ocikms import calls, errors
from claviger.ocikms.calls import Answer, Call, Caller, Place, Plane, Route, Verb
from claviger.ocikms.identity import records
from claviger.ocikms.identity.records import Compartment
from claviger.ocikms.ocids import new_ocid
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store
from claviger.store.opening import open_store

START = 1_800_000_000.0
DAY_S = 86_400
REGION = "us-ashburn-1"
ROOT_KEY = Sensitive("A" * 43 + "=")

ABSENT = (404, "NotAuthorizedOrNotFound")
WRONG_STATE = (409, "IncorrectState")
BAD = (400, "InvalidParameter")
STALE = (412, "NoEtagMatch")
SPENT = (409, "InvalidatedRetryToken")
RELATED = (400, "RelatedResourceNotAuthorizedOrNotFound")
NOT_OFFERED = (501, "MethodNotImplemented")
"""Refusals as the wire shows them: status and code."""


class Rights:
    """What a caller may do where; anything in a compartment that is not named is hidden from him."""

    def __init__(self, verbs: Mapping[str, Verb]) -> None:
        self.verbs = dict(verbs)

    def may(self, verb: Verb, compartment_id: str) -> bool:
        return self.verbs.get(compartment_id, 0) >= verb

    def has(self, compartment_id: str) -> bool:
        return compartment_id in self.verbs


class Told:
    """An answer as the wire shows it."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.etag = answer.etag
        self.next_page = answer.next_page
        self.json: Any = None if answer.body is None else json.loads(msgspec.json.encode(answer.body))

    def __getitem__(self, name: str) -> Any:
        return self.json[name]


class Desk:
    """One database with one tenancy, one caller who may do everything in it, and the routes that are `add`ed."""

    def __init__(self, store: Store, keyring: Keyring, clock: ManualClock) -> None:
        self.store = store
        self.keyring = keyring
        self.clock = clock
        self.tenancy_id = new_ocid("tenancy")
        self.production, self.staging = new_ocid("compartment"), new_ocid("compartment")
        self.rights = Rights(dict.fromkeys((self.tenancy_id, self.production, self.staging), Verb.MANAGE))
        self.caller = Caller(self.tenancy_id, 0, new_ocid("user"), "alice", "aa:bb")
        self.routes: dict[str, Route] = {}

    async def settle(self) -> None:
        """Stores the tenancy, whose number is the caller's, and the compartments."""
        insert = (
            "INSERT INTO oci_tenancies (id, name, description, home_region, namespace, created_at)"
            " VALUES (?, ?, '', ?, ?, ?) RETURNING num"
        )
        given = (self.tenancy_id, self.tenancy_id, REGION, self.tenancy_id, START)
        num = await self.store.write(lambda tx: tx.insert(insert, *given))
        self.caller = msgspec.structs.replace(self.caller, tenancy_num=num)
        for name, ident in (("production", self.production), ("staging", self.staging)):
            await self.add_compartment(name, ident)

    async def add_compartment(self, name: str, ident: str | None = None) -> str:
        """Stores a compartment, without a right in it; its OCID."""
        made = Compartment(
            0,
            ident or new_ocid("compartment"),
            self.caller.tenancy_num,
            self.tenancy_id,
            name,
            "",
            records.ACTIVE,
            {},
            {},
            START,
        )
        await self.store.write(lambda tx: records.add_compartment(tx, made))
        return made.id

    def add(self, routes: Iterable[Route]) -> None:
        """Makes operations known."""
        self.routes |= {route.operation: route for route in routes}

    def place(self, plane: Plane | None = Plane.CONTROL, prefix: str | None = None, region: str = REGION) -> Place:
        """A host; its vaults are published under `*.kms.<region>.localhost`."""
        return Place(plane, region, prefix, "kms.test", _published)

    def call(
        self,
        operation: str,
        *path: str,
        body: Any = None,
        query: Mapping[str, object] | None = None,
        vault: str | None = None,
        **more: Any,
    ) -> Call:
        """A call; `path` fills the variable parts of the route in order, `vault` is the prefix of the host."""
        route = self.routes[operation]
        names = [part.strip("{+}") for part in route.path.split("/") if part.startswith("{")]
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given: dict[str, Any] = {
            "place": self.place(route.planes[0], vault),
            "caller": self.caller,
            "sight": self.rights,
            "now": self.clock.now(),
            **more,
        }
        asked = {name: str(value) for name, value in (query or {}).items()}
        return Call(route=route, path=dict(zip(names, path, strict=True)), query=asked, body=raw, **given)

    async def ask(self, operation: str, *path: str, **given: Any) -> Told:
        """Runs an operation; see `call`. Raises what it raises. Where it has a quick way, that must say the same."""
        call = self.call(operation, *path, **given)
        try:
            answer = await call.route.handler(call)
        except Refusal:
            assert quickly(call) is None
            raise
        quick = quickly(call)
        assert quick is None or _lasting(quick.answer) == _lasting(answer)
        return Told(answer)

    async def refusal(self, operation: str, *path: str, **given: Any) -> tuple[int, str]:
        """Status and code of an operation that must be refused."""
        try:
            answer = await self.ask(operation, *path, **given)
        except Refusal as refusal:
            return errors.told(refusal)[:2]
        raise AssertionError(f"{operation} was done: {answer.json}")

    async def pages(self, operation: str, *path: str, query: Mapping[str, object], **given: Any) -> list[list[Any]]:
        """All pages of a list."""
        found, asked = [], dict(query)
        while True:
            told = await self.ask(operation, *path, query=asked, **given)
            found.append(told.json)
            if told.next_page is None:
                return found
            asked["page"] = told.next_page


def quickly(call: Call) -> calls.Told | None:
    """What the quick way gives to a call; None where it leaves it to the handler."""
    if call.route.quick is None:
        return None
    try:
        return call.route.quick(call)
    except Refusal:
        return None


def _lasting(answer: Answer) -> tuple[int, str | None, Any]:
    """All of an answer that is not made by chance."""
    said = json.loads(msgspec.json.encode(answer.body))
    if isinstance(said, dict):
        said = {name: value for name, value in said.items() if name not in ("ciphertext", "signature")}
    return answer.status, answer.etag, said


def _published(prefix: str, region: str, slot: int | None) -> tuple[str, str]:
    port = "" if slot is None else f":{slot}"
    management, crypto = (
        f"https://{prefix}-{plane}.kms.{region}.localhost{port}" for plane in ("management", "crypto")
    )
    return management, crypto


@asynccontextmanager
async def open_desk(url: str, clock: ManualClock | None = None) -> AsyncIterator[Desk]:
    """A desk on an empty database, with a root key of its own."""
    clock = clock or ManualClock(START)
    store = await open_store(url, clock)
    try:
        keyring = Keyring(store, EnvironmentKeys(ROOT_KEY), clock)
        await keyring.load()
        desk = Desk(store, keyring, clock)
        await desk.settle()
        yield desk
    finally:
        await store.close()
