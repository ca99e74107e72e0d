"""The retention trial: thousands of deletions while the clock is pushed forward and back and the server comes and goes.

The product's own object graph runs in this process under a clock that is set by hand. What must be gone, and what
must still be there, is worked out by `Calendar`, a few lines that know nothing of the product: a secret deleted in
second d of a vault that keeps for n days may be saved until d + 86,400 n and not a moment longer. After every move
of the clock, before any sweep, the operations must show exactly what may still be saved; after one sweep nothing that
is due may be stored any more. A secret purged while the clock was ahead stays purged when the clock goes back.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from claviger import bootstrap
from claviger.bootstrap import Services
from claviger.core.clock import ManualClock
from claviger.core.errors import NotFound
from claviger.keyvault.directory.operations import set_tenant
from claviger.keyvault.secrets.wire import SetSecret
from claviger.keyvault.vaults.operations import NewVault, create_vault
from claviger.keyvault.vaults.records import Vault
from claviger.settings import load_settings
from figures.findings import Findings

DAY_S = 86_400
Key = tuple[str, str]
"""A vault's name and a secret's."""

START_AT = 1_800_000_000.25
KEPT_DAYS = {"week": 7, "month": 30, "quarter": 90, "guarded": 14}
BATCH = 40
LOOKED_AT = 12


@dataclass
class Calendar:
    """The model: when each deleted secret falls due, and which ones a sweep has met since."""

    due: dict[Key, int] = field(default_factory=dict)
    gone: set[Key] = field(default_factory=set)

    def deleted(self, key: Key, now: float, kept_days: int) -> None:
        """A secret was deleted at this moment."""
        self.due[key] = math.floor(now) + kept_days * DAY_S

    def taken_back(self, key: Key) -> None:
        """A secret was recovered, or purged by hand: it has no date any more."""
        del self.due[key]

    def swept(self, now: float) -> int:
        """A sweep ran at this moment; how many secrets it should have met."""
        met = {key for key, at in self.due.items() if at <= now}
        self.gone |= met
        for key in met:
            del self.due[key]
        return len(met)


@dataclass
class RetentionReport(Findings):
    """What so many deletions came to."""

    seed: int
    deletions: int = 0
    jumps_forward: int = 0
    jumps_back: int = 0
    restarts: int = 0
    sweeps: int = 0
    purged: int = 0

    def as_json(self) -> dict[str, object]:
        """For the report."""
        return {
            "seed": self.seed,
            "deletions": self.deletions,
            "jumps_forward": self.jumps_forward,
            "jumps_back": self.jumps_back,
            "restarts": self.restarts,
            "sweeps": self.sweeps,
            "purged_by_sweeps": self.purged,
            "found": {kind: self.count(kind) for kind in ("early", "late", "shown")},
            "findings": self.findings[:50],
        }


async def run(folder: Path, deletions: int, seed: int) -> RetentionReport:
    """Deletes so many secrets in a fresh database below `folder`."""
    trial = _Trial(folder / "retention", seed)
    await trial.make_vaults()
    while trial.report.deletions < deletions:
        async with trial.services() as services:
            for _ in range(trial.dice.randrange(1, 12)):
                if trial.report.deletions >= deletions:
                    break
                await trial.delete_some(services, min(BATCH, deletions - trial.report.deletions))
                await trial.take_some_back(services)
                trial.move_clock()
                await trial.look_and_sweep(services)
        trial.report.restarts += 1
        trial.move_clock()  # while nothing ran
    async with trial.services() as services:
        await trial.look_and_sweep(services)
        trial.move_to(trial.furthest())
        await trial.look_and_sweep(services)
    return trial.report


class _Trial:
    def __init__(self, data: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.report = RetentionReport(seed)
        self._clock = ManualClock(START_AT)
        self._settings = load_settings({}, data=data, demo=False)
        self._calendar = Calendar()
        self._vaults: dict[str, Vault] = {}
        self._live: set[Key] = set()
        self._made = 0

    @asynccontextmanager
    async def services(self) -> AsyncIterator[Services]:
        """The object graph on the data as it is: leaving it is the downtime."""
        async with bootstrap.built(self._settings, self._clock) as services:
            yield services

    async def make_vaults(self) -> None:
        """One vault for each retention, one of them protected from purges by hand."""
        async with self.services() as services:
            store = services.house.store
            await set_tenant(store, self._clock, name="Trial", domain="trial.localhost")
            for name, days in KEPT_DAYS.items():
                asked = NewVault(name=name, retention_days=days, purge_protection=name == "guarded")
                self._vaults[name] = await create_vault(store, self._clock, asked)

    def _now(self) -> float:
        return self._clock.now()

    async def delete_some(self, services: Services, most: int) -> None:
        """Makes up to `most` secrets and deletes them at this moment."""
        keys = [self._new_key() for _ in range(self.dice.randint(1, most))]
        await asyncio.gather(*(self._make(services, key) for key in keys))
        await asyncio.gather(*(services.secrets.delete(self._vaults[vault], name) for vault, name in keys))
        for key in keys:
            self._calendar.deleted(key, self._now(), KEPT_DAYS[key[0]])
        self.report.deletions += len(keys)

    def _new_key(self) -> Key:
        self._made += 1
        return self.dice.choice(list(KEPT_DAYS)), f"kept-{self._made}"

    async def _make(self, services: Services, key: Key) -> None:
        await services.secrets.set(self._vaults[key[0]], key[1], SetSecret(value="v"))

    async def take_some_back(self, services: Services) -> None:
        """Recovers a few deleted secrets, for good, and purges a few by hand where that is allowed."""
        saveable = sorted(key for key, at in self._calendar.due.items() if at > self._now())
        for key in self.dice.sample(saveable, min(len(saveable), self.dice.randrange(3))):
            vault, name = key
            if self.dice.random() < 0.5 and vault != "guarded":
                await services.secrets.purge(self._vaults[vault], name)
            else:
                await services.secrets.recover(self._vaults[vault], name)
                self._live.add(key)
            self._calendar.taken_back(key)

    def move_clock(self) -> None:
        """Somewhere: a little on, to the very edge of a date, far on, or back."""
        kind = self.dice.choices(("little", "edge", "far", "back"), (3, 4, 1, 2))[0]
        if kind == "edge" and self._calendar.due:
            at = self._calendar.due[self.dice.choice(sorted(self._calendar.due))]
            self.move_to(at + self.dice.choice((-1.0, -0.001, 0.0, 0.25, 1.0)))
        elif kind == "far":
            self.move_to(self._now() + self.dice.uniform(1, 40) * DAY_S)
        elif kind == "back":
            self.move_to(self._now() - self.dice.uniform(0, 20) * DAY_S)
        else:
            self.move_to(self._now() + self.dice.uniform(0, DAY_S))

    def move_to(self, at: float) -> None:
        """Sets the clock."""
        if at >= self._now():
            self.report.jumps_forward += 1
        else:
            self.report.jumps_back += 1
        self._clock.set(at)

    def furthest(self) -> float:
        """The last date of all."""
        return float(max(self._calendar.due.values(), default=math.ceil(self._now())))

    async def look_and_sweep(self, services: Services) -> None:
        """What is shown before a sweep, then what is stored after it."""
        await self._look(services)
        self.report.purged += await services.sweeper.sweep()
        self.report.sweeps += 1
        self._calendar.swept(self._now())
        stored = await self._stored(services)
        kept = set(self._calendar.due)
        self._found("early", kept - stored, "is no longer stored")
        self._found("late", stored - kept, "is still stored")
        for key in kept - stored:
            self._calendar.taken_back(key)

    async def _look(self, services: Services) -> None:
        """Every deleted secret that may still be saved is listed, and no other; a few are asked for one by one."""
        now = self._now()
        right = {key for key, at in self._calendar.due.items() if now < at}
        listed: set[Key] = set()
        for name, vault in self._vaults.items():
            page = await services.secrets.list_deleted(vault, "", self._made + 1)
            listed |= {(name, item.name) for item in page}
        self._found("early", right - listed, "is no longer listed")
        self._found("shown", listed - right, "is listed past its date")
        every = sorted(self._calendar.due)
        for vault_name, name in self.dice.sample(every, min(len(every), LOOKED_AT)):
            try:
                await services.secrets.get_deleted(self._vaults[vault_name], name)
                answered = True
            except NotFound:
                answered = False
            if answered != ((vault_name, name) in right):
                self._found("shown" if answered else "early", {(vault_name, name)}, "is answered wrongly")
        for vault_name, name in self.dice.sample(sorted(self._live), min(len(self._live), LOOKED_AT)):
            try:
                await services.secrets.get(self._vaults[vault_name], name, None)
            except NotFound:
                self._found("early", {(vault_name, name)}, "was recovered, and is gone")
                self._live.discard((vault_name, name))

    async def _stored(self, services: Services) -> set[Key]:
        """The deleted secrets of which anything is left in the database."""
        names = {vault.id: name for name, vault in self._vaults.items()}
        rows = await services.house.store.read("SELECT vault_id, name FROM kv_secrets WHERE deleted = 1")
        return {(names[vault_id], name) for vault_id, name in rows}

    def _found(self, kind: str, keys: set[Key], what: str) -> None:
        for vault, name in sorted(keys):
            detail = f"{vault}/{name} {what} at {self._now()}, due {self._calendar.due.get((vault, name), 'before')}"
            self.report.findings.append((kind, detail))
