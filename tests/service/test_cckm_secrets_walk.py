"""A walk by chance through all that may happen to secrets, here and behind our back: no backup is lost, none is left.

The model knows nothing but what sealed backups have held. A version that one has held stays in one, which its record
names, until an operator removes it; and there is no sealed backup that no record names. In the end, synchronisation
brings the records to what is there.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from claviger.cckm.azure.secrets import conclusions
from claviger.cckm.azure.secrets.cloud import CloudSecret
from claviger.cckm.azure.secrets.operations import Operations
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import Operation, Status
from claviger.cckm.azure.secrets.work import CREATE, RESTORE_ELSEWHERE, Work
from claviger.cckm.azure.synchronization.applying import Applier, Loss
from claviger.cckm.azure.synchronization.reading import VaultReader
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cckm.synchronization.finding import Job
from claviger.cckm.synchronization.visiting import Choice
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, NotFound, Refusal, Unavailable
from claviger.core.ids import new_uuid
from claviger.core.sensitive import Sensitive
from claviger.jobs.intents import Intents
from tests.many_secrets import make_vault
from tests.plane import Plane, open_plane

NAMES = ("one", "two")
STEPS = 150
RETENTION_S = 90 * 86_400
FITTING = {
    Status.AVAILABLE: (Operation.UPDATE, Operation.UPDATE, Operation.SOFT_DELETE),
    Status.SOFT_DELETED: (Operation.HARD_DELETE, Operation.HARD_DELETE, Operation.RECOVER),
    Status.DELETED: (Operation.RESTORE, Operation.RESTORE, Operation.RESTORE, Operation.REMOVE),
}
Version = tuple[int, str, str]
"""Vault, name, version."""


class Crash(BaseException):
    """The process ends here."""


class Cloud:
    """A vault with soft delete, as `VaultSecrets` shows it: names with versions, live or deleted."""

    def __init__(self, clock: Clock, chance: random.Random, vault: VaultRow) -> None:
        self._clock, self._chance, self.vault = clock, chance, vault
        self.alive: dict[str, dict[str, CloudSecret]] = {}
        self.bin: dict[str, tuple[dict[str, CloudSecret], int]] = {}
        self.cuts = 0.0

    def _now(self) -> int:
        return int(self._clock.now())

    def _answer(self, secret: CloudSecret) -> CloudSecret:
        if self._chance.random() < self.cuts:
            raise Unavailable("CloudUndecided", message="the answer was cut off")
        return secret

    def _live(self, name: str) -> dict[str, CloudSecret]:
        if name not in self.alive:
            raise NotFound("CloudNotFound", code="SecretNotFound", message="not there")
        return self.alive[name]

    async def set(self, name: str, value: Sensitive, **said: Any) -> CloudSecret:
        if name in self.bin:
            raise Conflict("CloudConflict", code="ObjectIsDeletedButRecoverable", message="deleted")
        version = f"{self._chance.getrandbits(64):016x}"
        ident = f"https://{self.vault.azure_name}.vault.azure.net/secrets/{name}/{version}"
        now = self._now()
        made = CloudSecret(name=name, version=version, id=ident, created_at=now, updated_at=now, **said)
        self.alive.setdefault(name, {})[version] = made
        return self._answer(made)

    async def update(self, name: str, version: str, **said: Any) -> CloudSecret:
        versions = self._live(name)
        if version not in versions:
            raise NotFound("CloudNotFound", code="SecretNotFound", message="no such version")
        given = {key: value for key, value in said.items() if value is not msgspec.UNSET}
        versions[version] = msgspec.structs.replace(versions[version], updated_at=self._now(), **given)
        return self._answer(versions[version])

    async def get(self, name: str, version: str = "") -> tuple[CloudSecret, Sensitive]:
        return self._live(name)[version], Sensitive("value")

    async def versions(self, name: str, most: int = 0) -> list[CloudSecret]:
        return list(self.alive.get(name, {}).values())

    async def delete(self, name: str) -> CloudSecret:
        self.bin[name] = (self._live(name), self._now())
        del self.alive[name]
        return self._answer(await self.deleted(name))

    async def deleted(self, name: str) -> CloudSecret:
        if name not in self.bin:
            raise NotFound("CloudNotFound", code="SecretNotFound", message="not there")
        versions, at = self.bin[name]
        return msgspec.structs.replace(list(versions.values())[-1], deleted_at=at, purge_at=at + RETENTION_S)

    async def purge(self, name: str) -> None:
        secret = await self.deleted(name)
        del self.bin[name]
        self._answer(secret)

    async def recover(self, name: str) -> CloudSecret:
        await self.deleted(name)
        self.alive[name] = self.bin.pop(name)[0]
        return self._answer(list(self.alive[name].values())[-1])

    async def backup(self, name: str) -> Sensitive:
        versions = self._live(name)
        if self._chance.random() < 0.05:
            raise Unavailable("CloudUndecided", message="no backup")
        return Sensitive(msgspec.json.encode([name, list(versions.values())]))

    async def restore(self, blob: Sensitive) -> CloudSecret:
        name, told = msgspec.json.decode(blob.reveal(), type=tuple[str, list[CloudSecret]])
        if name in self.alive or name in self.bin:
            raise Conflict("CloudConflict", code="", message="the name is taken")
        self.alive[name] = {each.version: each for each in told}
        return self._answer(told[-1])


class Source:
    """The same vault, as synchronisation reads it."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def live(self) -> AsyncIterator[list[CloudSecret]]:
        yield [_unnamed(list(versions.values())[-1]) for versions in self._cloud.alive.values()]

    async def deleted(self) -> AsyncIterator[list[CloudSecret]]:
        yield [_unnamed(await self._cloud.deleted(name)) for name in self._cloud.bin]

    async def versions(self, name: str) -> list[CloudSecret]:
        return await self._cloud.versions(name)

    async def one_deleted(self, name: str) -> CloudSecret | None:
        return await self._cloud.deleted(name) if name in self._cloud.bin else None

    async def is_there(self, name: str) -> bool:
        return name in self._cloud.bin or name in self._cloud.alive


def _unnamed(secret: CloudSecret) -> CloudSecret:
    return msgspec.structs.replace(secret, version="", id=secret.id.rpartition("/")[0])


class Dying:
    """Ends the process at the points of an operation, now and then."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.often = 0.0

    async def meet(self, service: str, point: str, name: str) -> None:
        if self._chance.random() < self.often:
            raise Crash(point)


class Walked(Operations):
    """Operations on the vaults of the walk."""

    clouds: dict[str, Cloud]

    async def _cloud(self, vault: VaultRow) -> Any:
        return self.clouds[vault.id]


class Walk:
    """Two vaults, and all that happens in them. `held` are the versions that have been in a backup."""

    def __init__(self, plane: Plane, chance: random.Random, vaults: list[VaultRow]) -> None:
        self._plane, self._chance, self._vaults = plane, chance, vaults
        dying: Any = Dying(chance)
        self._dying = dying
        self._intents = Intents(plane.store, plane.clock, plane.clock)
        nothing: Any = None
        self._operations = Walked(plane.store, plane.safe, self._intents, nothing, plane.clock, dying, echo=True)
        self._clouds = [Cloud(plane.clock, chance, vault) for vault in vaults]
        self._operations.clouds = {cloud.vault.id: cloud for cloud in self._clouds}
        self._old: list[Sensitive] = []
        self._told: list[str] = []
        self.held: set[Version] = set()

    async def step(self) -> None:
        self._plane.clock.advance(self._chance.choice((1, 5, 60)))
        steps = (self._operate, self._create, self._behind, self._synchronize, self._finish)
        [step] = self._chance.choices(steps, (10, 3, 4, 4, 2))
        self._trouble(0.06 if self._chance.random() < 0.3 else 0.0, 0.3 if self._chance.random() < 0.15 else 0.0)
        try:
            await step()
        except Refusal as refusal:
            self._told[-1] += f": {refusal.reason}"
        except Crash as crash:
            self._told[-1] += f": crash at {crash}"
            if self._chance.random() < 0.7:
                await self._finish()

    def _trouble(self, dies: float = 0.0, cuts: float = 0.0) -> None:
        self._dying.often = dies
        for cloud in self._clouds:
            cloud.cuts = cuts

    def _work(self, operation: str, vault: VaultRow, name: str, **more: Any) -> Work:
        known: dict[str, Any] = {
            "operation": operation,
            "vault_id": vault.id,
            "domain_id": ROOT_DOMAIN,
            "user_id": "ada",
        }
        return Work(**known, name=name, **more)

    async def _rows(self) -> list[SecretRow]:
        ids = await self._plane.store.read("SELECT id FROM cckm_azure_secrets ORDER BY num")
        return [(await self._operations.found(ROOT_DOMAIN, ident))[0] for (ident,) in ids]

    async def _create(self) -> None:
        vault, name = self._chance.choice(self._vaults), self._chance.choice(NAMES)
        self._told.append(f"create {vault.num}/{name}")
        await self._operations.create(vault, self._work(CREATE, vault, name), Sensitive("value"), 0)

    async def _operate(self) -> None:
        rows = await self._rows()
        if not rows:
            return
        row = self._chance.choice(rows)
        vault = next(each for each in self._vaults if each.num == row.vault_num)
        ends = row.gone and self._chance.random() < 0.5
        operation = self._chance.choice(FITTING[Status.DELETED if ends else row.status])
        more: dict[str, Any] = {"secret_id": row.id}
        kind = operation.value
        if operation is Operation.UPDATE:
            more["tags"] = {"a": str(self._chance.randrange(9))}
        if operation is Operation.RESTORE and self._chance.random() < 0.3:
            vault = next(each for each in self._vaults if each is not vault)
            kind, more = RESTORE_ELSEWHERE, {}
        self._told.append(f"{kind} {row.vault_num}/{row.name}/{row.version} {row.status.value} {row.gone}")
        if operation is not Operation.REMOVE:
            await self._operations.change(operation, row, vault, self._work(kind, vault, row.name, **more), 0)
            return
        self._trouble()
        await self._operations.remove(row, vault)
        left = {each.id for each in await self._rows()}
        gone = {each.version for each in rows if each.id not in left}
        self.held = {each for each in self.held if each[2] not in gone}

    async def _behind(self) -> None:
        """Somebody else does something."""
        cloud, name = self._chance.choice(self._clouds), self._chance.choice(NAMES)
        what = self._chance.choice(("delete", "purge", "purge", "recover", "set", "restore", "wipe"))
        self._told.append(f"behind {what} {cloud.vault.num}/{name}")
        self._trouble()
        if what in ("delete", "wipe") and name in cloud.alive:
            await cloud.delete(name)
        if what in ("purge", "wipe") and name in cloud.bin:
            await cloud.purge(name)
        if what == "recover" and name in cloud.bin:
            await cloud.recover(name)
        if what == "set" and name not in cloud.bin:
            await cloud.set(name, Sensitive("theirs"))
        if what == "restore" and self._old:
            await cloud.restore(self._chance.choice(self._old))
        if name in cloud.alive and self._chance.random() < 0.5:
            self._old.append(await cloud.backup(name))

    async def _synchronize(self) -> None:
        cloud = self._chance.choice(self._clouds)
        self._told.append(f"synchronize {cloud.vault.num}")
        await self._read(cloud)

    async def _read(self, cloud: Cloud) -> None:
        store, clock = self._plane.store, self._plane.clock

        async def noted(_: int) -> None:
            return

        source: Any = Source(cloud)
        choice = Choice(brake_percent=None, all_versions=True)
        reading = await VaultReader(store, clock, cloud.vault, source, choice, noted).read()
        clock.advance(1)
        now = clock.now()
        applier = Applier(Job(cloud.vault, "job", "ada", reading.began_at, reading.is_first), None)
        seen = [sighting for portion in reading.spool.portions(100) for sighting in portion]
        reading.spool.close()
        ids = [[new_uuid() for _ in each.versions] for each in seen]
        await store.write(lambda tx: applier.sightings(tx, seen, ids, now))
        losses = [Loss(each.name_key) for each in reading.missing]
        losses += [Loss(key, tuple(versions)) for key, versions in reading.lost.items()]
        await store.write(lambda tx: applier.losses(tx, losses, now))

    async def _finish(self) -> None:
        """The finisher takes up all that is open."""
        self._told.append("finish")
        self._trouble()
        while await self._plane.store.read("SELECT 1 FROM intents"):
            self._plane.clock.advance(1000)
            for intent in await self._intents.take_up():
                try:
                    await self._operations.finish(intent)
                except Refusal as refusal:
                    await self._intents.let_go(intent, refusal)

    async def agree(self) -> None:
        """Once all is finished and synchronised, the records say what is there, all of it, and nothing else."""
        await self._finish()
        for cloud in self._clouds:
            self._plane.clock.advance(5)
            await self._read(cloud)
        rows = [row for row in await self._rows() if not row.gone]
        for cloud in self._clouds:
            mine = [row for row in rows if row.vault_num == cloud.vault.num]
            live = {(name, version) for name, versions in cloud.alive.items() for version in versions}
            assert {(row.name, row.version) for row in mine if row.status is Status.AVAILABLE} == live, self._told
            assert {row.name for row in mine if row.status is Status.SOFT_DELETED} == set(cloud.bin), self._told

    async def check(self) -> None:
        """Nothing is lost, and nothing left."""
        store, rows = self._plane.store, await self._rows()
        sealed = {(row[0], row[1]) for row in await store.read("SELECT kind, ident FROM cckm_sealed")}
        named = {row.backup for row in rows if row.backup is not None}
        assert {ident for kind, ident in sealed if kind == conclusions.BACKUP} == named, self._told
        assert {ident for kind, ident in sealed if kind == conclusions.VALUE} <= {row.id for row in rows}, self._told
        if not await store.read("SELECT 1 FROM intents"):
            assert conclusions.INTENT not in {kind for kind, _ in sealed}, self._told
        inside: dict[str | None, set[str]] = {None: set()}
        for backup in sorted(named):
            blob = await self._plane.safe.must_open(conclusions.BACKUP, backup)
            inside[backup] = {each["version"] for each in json.loads(blob.reveal())[1]}
        kept = {(row.vault_num, row.name, row.version) for row in rows if row.version in inside[row.backup]}
        assert self.held <= kept, (self.held - kept, self._told)
        self.held = kept


@pytest.mark.parametrize("seed", [5, 6, 11, 12, 13])
async def test_no_backup_is_lost_and_none_is_left(database_url: str, seed: int) -> None:
    plane, chance = await open_plane(database_url), random.Random(seed)
    vaults = [await make_vault(plane.store, ROOT_DOMAIN, chance, name) for name in ("here", "there")]
    walk = Walk(plane, chance, vaults)
    for _ in range(STEPS):
        await walk.step()
        await walk.check()
    assert walk.held
    await walk.agree()
    await plane.store.close()
