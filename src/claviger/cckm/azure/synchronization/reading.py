"""Reads one vault to its end and says what is not as it is recorded. Writes nothing.

A `Reading` is only made of a vault whose two lists were read wholly. Who is in neither is asked for once more, by name
or by a second pass over the lists, before it counts as missing: between two pages a secret may have been recovered.
Memory does not grow with the vault: who was seen is a bit for each row, and news go to the spool.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import msgspec

from claviger.cckm.azure.secrets.cloud import CloudSecret
from claviger.cckm.azure.synchronization import records
from claviger.cckm.azure.synchronization.cloud import Source, with_version
from claviger.cckm.azure.synchronization.comparing import Sighting, in_order, is_as_known, told_in
from claviger.cckm.azure.synchronization.records import Known, Missing
from claviger.cckm.azure.synchronization.rules import MOST_CONFIRMED, is_racy
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.synchronization.records import Brake
from claviger.cckm.synchronization.rules import braked
from claviger.cckm.synchronization.seen import Seen
from claviger.cckm.synchronization.spool import Spool
from claviger.cckm.synchronization.visiting import Choice, Noted, side_by_side
from claviger.core.clock import Clock
from claviger.core.errors import Forbidden, Invalid, NotFound
from claviger.store.contract import Store

NAMES_AT_ONCE = 500


class Reading(msgspec.Struct):
    """What a whole reading found. `missing` are in neither list, `lost` live on without some versions that are known.

    `brake` is set where the brake stops the vault: then nothing of all this is to be written.
    """

    began_at: float
    is_first: bool
    spool: Spool[Sighting]
    secrets: int = 0
    missing: list[Missing] = []
    lost: dict[str, list[str]] = {}
    brake: Brake | None = None


class VaultReader:
    """Reads one vault once."""

    def __init__(
        self, store: Store, clock: Clock, vault: VaultRow, source: Source, choice: Choice, noted: Noted
    ) -> None:
        self._store = store
        self._clock = clock
        self._vault = vault
        self._source = source
        self._choice = choice
        self._noted = noted
        self._seen = Seen(1, 0)
        self._whole_at: float | None = None
        self._reading = Reading(0.0, True, Spool(Sighting, lambda each: len(each.versions)))

    async def read(self) -> Reading:
        """The whole of the vault. Raises why it could not be read; the spool is closed then."""
        try:
            return await self._read()
        except BaseException:
            self._reading.spool.close()
            raise

    async def _read(self) -> Reading:
        num, reading = self._vault.num, self._reading
        reading.began_at = self._clock.now()
        self._whole_at = await records.began_at(self._store, num)
        reading.is_first = self._whole_at is None
        alive = await records.alive(self._store, num)
        self._seen = Seen(*await records.nums(self._store, num))
        async for page in self._source.live():
            await self._compare(page, is_deleted=False)
        async for page in self._deleted():
            await self._compare(page, is_deleted=True)
        if self._seen.count < alive or await records.may_hide(self._store, num):
            reading.missing = await self._unseen()
        expected = [each for each in reading.missing if self._is_over(each)]
        would_go = len(reading.missing) - len(expected) + len(reading.lost)
        percent = self._choice.brake_percent
        if percent is not None and braked(alive, would_go, percent):
            reading.brake = Brake(would_go, alive, percent)
            return reading
        if reading.missing:
            reading.missing = await self._confirmed(reading.missing)
        reading.missing += await records.over(self._store, num, int(self._clock.now()))
        return reading

    def _is_over(self, missing: Missing) -> bool:
        """Whether its retention has ended, so that nobody has to wonder where it is."""
        return missing.purge_at is not None and missing.purge_at <= self._clock.now()

    async def _deleted(self) -> AsyncIterator[list[CloudSecret]]:
        """The deleted secrets. A vault that keeps none may refuse to list them."""
        try:
            async for page in self._source.deleted():
                yield page
        except (Invalid, Forbidden, NotFound):
            if self._vault.soft_delete:
                raise

    async def _compare(self, page: Sequence[CloudSecret], *, is_deleted: bool) -> None:
        named = {item.name.lower(): item for item in page}
        if named:
            known = await records.known(self._store, self._vault.num, list(named))
            for each in known.values():
                self._seen.add(each.num, counts=each.status != "DELETED" and not each.gone)
            news = [
                (item, known.get(key)) for key, item in named.items() if self._is_news(item, known.get(key), is_deleted)
            ]
            if news:
                look = self._look_deleted if is_deleted else self._look_live
                found = await side_by_side(look(item, row) for item, row in news)
                await self._keep([sighting for sighting in found if sighting is not None])
        self._reading.secrets += len(page)
        await self._noted(self._reading.secrets)

    def _is_news(self, item: CloudSecret, known: Known | None, is_deleted: bool) -> bool:
        if known is None or not is_as_known(item, known, is_deleted=is_deleted):
            return True
        if is_deleted:
            return False
        return self._choice.all_versions or is_racy(item.updated_at, self._verified_at(known))

    def _verified_at(self, known: Known) -> float:
        """When all versions of a name were last known to be recorded."""
        # A record that synchronisation made was made with all versions there were; one of ours says nothing of others.
        own = known.synced_at if known.details.startswith('{"origin":"native"') else 0.0
        return max(self._whole_at or 0.0, own)

    async def _look_live(self, item: CloudSecret, _: Known | None) -> Sighting | None:
        """All versions. None where the secret has gone since it was listed: the list of deleted ones, or the next job,
        has the rest of the story."""
        versions = in_order(await self._source.versions(item.name), item)
        return Sighting(item.name, False, versions) if versions else None

    async def _look_deleted(self, item: CloudSecret, known: Known | None) -> Sighting | None:
        """The version that a deleted secret had last, which the list does not name. None where it has gone since.

        Azure does not tell it of a disabled one: then it is the newest that is known, if that is as old, or nobody
        knows it ("").
        """
        told = None if known is None or known.status == "DELETED" else told_in(known.details)
        known_version = known.version if known and told and told.created_at == item.created_at else ""
        if not (known_version and told and told.updated_at == item.updated_at):
            try:
                found = await self._source.one_deleted(item.name)
            except Forbidden:
                found = item
            if found is None:
                return None
            if found.version:
                return Sighting(item.name, True, [found])
        return Sighting(item.name, True, [with_version(item, known_version)])

    async def _keep(self, sightings: Sequence[Sighting]) -> None:
        """Puts sightings into the spool, and notes which versions that are recorded they lack."""
        live = {each.name.lower(): each for each in sightings if not each.is_deleted}
        standing = await records.alive_versions(self._store, self._vault.num, list(live)) if live else {}
        for key, versions in standing.items():
            there = {version.version for version in live[key].versions}
            if live[key].versions[-1].version not in versions:
                there.add("")  # the version that nobody knew is this one
            lost = versions - there
            if lost:
                self._reading.lost[key] = sorted(lost)
        for each in sightings:
            self._reading.spool.put(each)

    async def _unseen(self) -> list[Missing]:
        """Who is recorded as being there and was in neither list."""
        found: list[Missing] = []
        after = ""
        while names := await records.alive_after(self._store, self._vault.num, after, NAMES_AT_ONCE):
            found += [each for each in names if each.num and not self._seen.has(each.num)]
            after = names[-1].name_key
            await asyncio.sleep(0)
        return found

    async def _confirmed(self, missing: Sequence[Missing]) -> list[Missing]:
        """Those who are not found when they are looked for once more."""
        if len(missing) <= MOST_CONFIRMED:
            with contextlib.suppress(Forbidden):  # of a disabled one, or to a connection that may only list
                there = await side_by_side(self._source.is_there(each.name_key) for each in missing)
                return [each for each, is_there in zip(missing, there, strict=True) if not is_there]
        left = {each.name_key: each for each in missing}
        for pages in (self._source.live(), self._deleted()):
            async for page in pages:
                for item in page:
                    left.pop(item.name.lower(), None)
        return list(left.values())
