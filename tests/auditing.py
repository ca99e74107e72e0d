"""For tests, trials and benchmarks of the audit log: entries, and a log on a database with a key of its own."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claviger.audit.checkpoints import Checkpoints
from claviger.audit.entry import Actor, Entry, Subject
from claviger.audit.log import AuditLog
from claviger.audit.signed_note import PublicKey
from claviger.audit.witness import FileWitness, Witness
from claviger.core.clock import ManualClock
from claviger.core.sensitive import Sensitive
from claviger.store.contract import Store
from claviger.store.opening import open_store

START = 1_800_000_000.0
DOMAIN = "00000000-0000-0000-0000-000000000000"
ACTIONS = ("Get Secret", "Set Secret", "Soft-delete Azure Secret", "Create Token")


def entry(number: int = 0, **given: Any) -> Entry:
    """A plain entry; `given` wins."""
    fields: dict[str, Any] = {
        "at": START + number,
        "action": "Set Secret",
        "actor": Actor(address="127.0.0.1", session_id="s-1", user_id="u-1", username="demo"),
        "domain_id": DOMAIN,
        "object": Subject(container="demo", id=f"demo/secret-{number}", kind="secret", name=f"secret-{number}"),
        "origin": "keyvault",
        "outcome": "granted",
        "request_id": f"r-{number}",
        "service": "keyvault",
        "status": 200,
        "details": {"number": number},
    }
    return Entry(**{**fields, **given})


def varied(number: int, dice: random.Random) -> Entry:
    """An entry as diverse as those of a server."""
    who = dice.randrange(4)
    return entry(
        number,
        at=START + dice.randrange(500),
        action=dice.choice(ACTIONS),
        actor=Actor(address=f"10.0.0.{who % 3}", user_id=f"u-{who}", username=f"user-{who}"),
        domain_id=dice.choice((DOMAIN, DOMAIN, DOMAIN, "11111111-1111-1111-1111-111111111111")),
        object=Subject(id=dice.choice(("", f"object-{dice.randrange(9)}")), name="größe"),
        origin=dice.choice(("api", "keyvault", "cli")),
        outcome=dice.choice(("granted", "granted", "refused", "failed")),
        severity=dice.choice(("info", "info", "warning", "error")),
        service=dice.choice(("cckm", "keyvault")),
        details={"wörter": [1, 2.5, None, True, "x"], "number": number},
    )


async def until(check: Callable[[], Awaitable[bool]], limit_s: float = 60.0) -> None:
    """Returns once `check` holds. Raises TimeoutError."""
    async with asyncio.timeout(limit_s):
        while not await check():  # noqa: ASYNC110 - what is waited for is in a database
            await asyncio.sleep(0.005)


class OpenBox:
    """Keeps the signing key in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, Sensitive] = {}

    async def ensure(self, name: str, make: Callable[[], Sensitive]) -> Sensitive:
        """What is kept, made if nothing is."""
        return self.kept.setdefault(name, make())


@dataclass
class Audited:
    """A log on a database."""

    store: Store
    log: AuditLog
    checkpoints: Checkpoints
    key: PublicKey
    clock: ManualClock
    box: OpenBox

    async def fill(self, count: int, start: int = 0, seed: int = 1) -> None:
        """So many diverse records."""
        dice = random.Random(seed)
        await self.log.record(*(varied(number, dice) for number in range(start, start + count)))


@asynccontextmanager
async def audited(
    url: str, *, witness: Path | Witness | None = None, box: OpenBox | None = None
) -> AsyncIterator[Audited]:
    """The log of a database, with nothing running in the background."""
    clock, box = ManualClock(START), box or OpenBox()
    store = await open_store(url, clock)
    try:
        witness = FileWitness(witness) if isinstance(witness, Path) else witness
        witnesses = [] if witness is None else [witness]
        checkpoints = Checkpoints(store, box, clock, witnesses)
        yield Audited(store, AuditLog(store), checkpoints, await checkpoints.public_key(), clock, box)
    finally:
        await store.close()


async def write_for_ever(url: str, name: str) -> None:
    """What `python -m tests.auditing URL NAME` does until it is killed: a change and its record, again and again."""
    async with audited(url) as own:

        async def client(number: int) -> None:
            count = 0
            while True:
                word, noted = f"{name}-{number}-{count}", entry(count, request_id=f"{name}-{number}-{count}")

                def change(tx: Any, word: str = word, noted: Entry = noted) -> None:
                    tx.execute("INSERT INTO meta (key, value) VALUES (?, '')", word)
                    own.log.note(tx, noted)

                await own.store.write(change)
                sys.stdout.write(f"{word}\n")
                sys.stdout.flush()
                count += 1

        await asyncio.gather(*(client(number) for number in range(4)))


if __name__ == "__main__":
    asyncio.run(write_for_ever(sys.argv[1], sys.argv[2]))
