"""Identity of the embedded OCI without a server around it: the store, its snapshot, and calls as they come signed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from claviger.core.clock import ManualClock
from claviger.core.errors import Refusal
from claviger.core.sensitive import Sensitive
from claviger.crypto.root_key import EnvironmentKeys
from claviger.ocikms.calls import Answer, Call, Caller, Place, Plane, Route
from claviger.ocikms.errors import told
from claviger.ocikms.identity import administration, people
from claviger.ocikms.identity.administration import Settled
from claviger.ocikms.identity.operations import IdentityCalls
from claviger.ocikms.identity.routes import IdentityRoutes
from claviger.ocikms.identity.snapshot import Identities
from claviger.sealing.keyring import Keyring
from claviger.sealing.notes import SealedNotes
from claviger.store import migrations
from claviger.store.contract import Store, Tx, Value
from claviger.store.opening import open_store

START = 1_795_000_000.0
HOME = "us-ashburn-1"
OCI_TABLES = Path(next(iter(migrations.__path__))) / "0014_oci.sql"


class IdentityDesk:
    """One process's view of a database. Open two on one URL and they are two processes."""

    def __init__(self, store: Store, keyring: Keyring, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.notes = SealedNotes(store, keyring, clock)
        self.identities = Identities(store)
        self.routes: dict[str, Route] = {
            route.operation: route for route in IdentityRoutes(IdentityCalls(self.identities)).routes()
        }

    async def tenancy(self, name: str = "acme", **more: Any) -> Settled:
        return await administration.create_tenancy(self.store, self.clock, name=name, home_region=HOME, **more)

    async def compartment(self, path: str, tenancy: str = "acme") -> str:
        """Makes the last compartment of a path; its OCID."""
        self.clock.advance(1)
        parent, _, name = path.rpartition("/")
        made = await administration.create_compartment(
            self.store, self.clock, name=name, parent=parent or "/", tenancy=tenancy
        )
        return made.compartment.id

    async def caller(self, name: str, tenancy: str = "acme", **grants: str) -> Caller:
        """Makes a user who may do what `grants` says: verb=path."""
        person = await people.create_user(self.store, self.clock, name=name, tenancy=tenancy)
        for verb, path in grants.items():
            await people.grant(self.store, person.user.id, verb, path)
        owner = person.tenancy
        return Caller(owner.id, owner.num, person.user.id, name, "aa:bb")

    async def ask(
        self, caller: Caller, operation: str, path: Mapping[str, str] | None = None, region: str = HOME, **query: str
    ) -> Answer:
        """A call of one operation; `query` by the wire's names."""
        identity = await self.identities.current()
        place = Place(Plane.IDENTITY, region, None, f"identity.{region}.oci.localhost", lambda *_: ("", ""))
        call = Call(
            route=self.routes[operation],
            place=place,
            caller=caller,
            sight=identity.sight(caller),
            path=path or {},
            query=query,
            now=self.clock.now(),
        )
        return await call.route.handler(call)

    async def refused(self, caller: Caller, operation: str, *args: Any, **query: Any) -> tuple[int, str]:
        """Status and code of a call that is refused."""
        try:
            answer = await self.ask(caller, operation, *args, **query)
        except Refusal as refusal:
            return told(refusal)[:2]
        raise AssertionError(f"{operation} was answered: {answer}")

    async def listed(self, caller: Caller, operation: str, *args: Any, **query: Any) -> list[dict[str, Any]]:
        """The rows of a list, as JSON has them."""
        return shown(await self.ask(caller, operation, *args, **query))

    async def names(self, caller: Caller, compartment_id: str, **query: str) -> list[str]:
        """The names that ListCompartments tells."""
        rows = await self.listed(caller, "ListCompartments", compartmentId=compartment_id, **query)
        return [row["name"] for row in rows]


def shown(answer: Answer) -> Any:
    """The body of an answer, as JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(answer.body))


def insert_row(tx: Tx, table: str, **values: Value) -> int:
    """Stores a row with these values and, in every other column that needs one, the least that its type has; its num.

    For tests that need a thing to be there, whatever it may be like.
    """
    body = re.search(rf"CREATE TABLE {table} \((.*?)\n\);", OCI_TABLES.read_text(), re.DOTALL)
    assert body is not None
    for name, kind, rest in re.findall(r"^    ([a-z_0-9]+) (TEXT|INTEGER|REAL|BLOB)\b(.*)$", body[1], re.MULTILINE):
        if "NOT NULL" in rest and "PRIMARY KEY" not in rest:
            least: dict[str, Value] = {"TEXT": f"{name} of {table}", "INTEGER": 0, "REAL": 0.0, "BLOB": b""}
            values.setdefault(name, least[kind])
    names, places = ", ".join(values), ", ".join("?" * len(values))
    return tx.insert(f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING num", *values.values())


@asynccontextmanager
async def open_desk(url: str) -> AsyncIterator[IdentityDesk]:
    """Opens the database with the root key of tests."""
    clock = ManualClock(START)
    store = await open_store(url, clock)
    try:
        keyring = Keyring(store, EnvironmentKeys(Sensitive("A" * 43 + "="), None), clock)
        await keyring.load()
        yield IdentityDesk(store, keyring, clock)
    finally:
        await store.close()
