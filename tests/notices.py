"""Notices on a database of either kind: subscriptions over the API, a courier, and the clocks that both go by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from claviger.cckm.azure.connections.cloud import AzureClouds
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.notices.delivery import Courier
from claviger.cckm.notices.operations import Subscriptions
from claviger.cckm.notices.routes import NoticeRoutes
from claviger.cckm.sealed import Safe
from claviger.core.clock import ManualClock
from claviger.core.sensitive import Sensitive
from claviger.crypto.root_key import EnvironmentKeys
from claviger.sealing.keyring import Keyring
from claviger.store.opening import open_store
from tests.plane import START, Plane, open_plane

BASE = "https://cckm.localhost/api/v1/claviger/notices"
MANY = f"{BASE}/subscriptions"
DELIVERIES = f"{BASE}/deliveries"


class Office:
    """One server's part in notices. `machine` is the clock that waits go by, `plane.clock` the one of dates."""

    def __init__(self, plane: Plane, machine: ManualClock, *, attempt_s: float = 10.0) -> None:
        self.plane = plane
        self.store = plane.store
        self.machine = machine
        self.notices = Notices(plane.clock)
        self.courier = Courier(
            plane.store, plane.safe, plane.clock, machine, source="https://here", poll_s=0.02, attempt_s=attempt_s
        )
        self.subscriptions = Subscriptions(plane.store, plane.safe, plane.clock, machine, self.notices, self.courier)
        plane.serve(NoticeRoutes(self.subscriptions).routes())

    async def subscribe(self, url: str, **more: Any) -> dict[str, Any]:
        """A new subscription, with its secret."""
        made: dict[str, Any] = await self.plane.accept("POST", MANY, {"url": url, **more}, status=201)
        return made

    async def emit(self, number: int, *, key: str = "one", kind: str = "drift", domain_id: str = ROOT_DOMAIN) -> int:
        """A notice that says its number."""
        return await self.store.write(
            lambda tx: self.notices.emit(tx, domain_id, kind, f"subject-{key}", {"n": number}, object_key=key)
        )

    async def emit_all(self, count: int, *, keys: int = 1) -> None:
        """So many at once, of objects in turn."""

        def change(tx: Any) -> None:
            for number in range(count):
                self.notices.emit(tx, ROOT_DOMAIN, "drift", "s", {"n": number}, object_key=f"key-{number % keys}")

        await self.store.write(change)

    async def after(self, seconds: float) -> int:
        """Lets time pass and delivers what is due then; how many attempts."""
        self.machine.advance(seconds)
        return await self.courier.deliver_due()

    async def deliveries(self, query: str = "") -> list[dict[str, Any]]:
        """What became of notices, oldest first."""
        found = await self.plane.accept("GET", f"{DELIVERIES}?sort=createdAt&limit=-1&{query}")
        return list(found["resources"])

    async def states(self) -> list[str]:
        """The states of all deliveries, oldest first."""
        return [each["state"] for each in await self.deliveries()]

    async def close(self) -> None:
        await self.courier.close()
        await self.store.close()


@asynccontextmanager
async def office(url: str, *, beside: Office | None = None, attempt_s: float = 10.0) -> AsyncIterator[Office]:
    """A server's part in notices; `beside` another one on the same database, with its clocks."""
    if beside is None:
        made = Office(await open_plane(url), ManualClock(START), attempt_s=attempt_s)
    else:
        made = Office(await _second(url, beside.plane.clock), beside.machine, attempt_s=attempt_s)
    try:
        yield made
    finally:
        await made.close()


async def _second(url: str, clock: ManualClock) -> Plane:
    """The database opened once more, by a keyring that knows what it reads there."""
    store = await open_store(url, clock)
    keyring = Keyring(store, EnvironmentKeys(Sensitive("A" * 43 + "="), None), clock)
    await keyring.load()
    safe = Safe(store, keyring)
    return Plane(store, clock, safe, AzureClouds(safe))
