"""Reads one vault to its end and says what is not as it is recorded. Writes nothing.

Keys may lie in other compartments than their vault, so every compartment that is known or can be found is listed. One
that OCI does not let the user list is told of, and the keys that are recorded there are left as they are. Who is in no
list although his compartment was listed is asked for once more by himself, and counts as missing only if OCI answers
that there is nothing. Memory does not grow with the vault: who was seen is a bit for each row, news go to the spool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from claviger.cckm.oci.compartments import records as compartments
from claviger.cckm.oci.keys.cloud import CloudKey, CloudVersion
from claviger.cckm.oci.synchronization import records
from claviger.cckm.oci.synchronization.cloud import Keys, Tenancy, Whole
from claviger.cckm.oci.synchronization.comparing import Sighting, Stamp, is_over, settle
from claviger.cckm.oci.synchronization.records import Known, Missing
from claviger.cckm.oci.vaults.cloud import CloudVault
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.cckm.synchronization.records import Brake
from claviger.cckm.synchronization.rules import braked
from claviger.cckm.synchronization.seen import Seen
from claviger.cckm.synchronization.spool import Spool
from claviger.cckm.synchronization.visiting import Choice, Noted, few, side_by_side
from claviger.core.clock import Clock
from claviger.core.errors import Forbidden, NotFound
from claviger.store.contract import Store

ROWS_AT_ONCE = 500
_DELETED = "DELETED"
_ASYMMETRIC = frozenset({"RSA", "ECDSA"})


class Reading(msgspec.Struct):
    """What a whole reading found. `missing` are nowhere; `skipped` are the compartments that could not be listed, and
    `unread` counts keys that OCI lists but does not show.

    `brake` is set where the brake stops the vault: then nothing of all this is to be written.
    """

    began_at: float
    is_first: bool
    spool: Spool[Sighting]
    vault: CloudVault | None = None
    compartment_name: str = ""
    read: int = 0
    unread: int = 0
    lost: int = 0
    missing: list[Missing] = []
    skipped: list[str] = []
    brake: Brake | None = None


class VaultReader:
    """Reads one vault once."""

    def __init__(
        self, store: Store, clock: Clock, vault: OciVault, tenancy: Tenancy, choice: Choice, noted: Noted
    ) -> None:
        self._store = store
        self._clock = clock
        self._vault = vault
        self._tenancy = tenancy
        self._choice = choice
        self._noted = noted
        self._names: dict[str, str] = {}
        self._seen = Seen(1, 0)
        self._reading = Reading(
            clock.now(),
            vault.read_began_at is None,
            Spool(Sighting, lambda each: 1 + len(each.versions)),
        )

    async def read(self) -> Reading:
        """The whole of the vault. Raises why it could not be read; the spool is closed then."""
        try:
            return await self._read()
        except BaseException:
            self._reading.spool.close()
            raise

    async def _read(self) -> Reading:
        reading, num = self._reading, self._vault.num
        told = reading.vault = await self._told()
        places = await self._places(told)
        reading.compartment_name = self._names.get(told.compartment_ocid, "")
        if told.state == _DELETED:  # and so are all keys in it (OCI contract §8.4): there is nobody to be asked
            reading.missing = await self._unseen(None)
            return reading
        keys = self._tenancy.keys(told.management_endpoint)
        known = await records.alive(self._store, num)
        self._seen = Seen(*await records.nums(self._store, num))
        listed = set()
        for place in places:
            if await self._listed(keys, place):
                listed.add(place)
        if not listed:
            raise NotFound("CloudNotFound", message="OCI lists the keys of this vault in no compartment")
        if self._seen.count < known:
            reading.missing = await self._unseen(listed)
        now = self._clock.now()
        would_go = sum(1 for each in reading.missing if not is_over(each.state, each.deletes_at, now)) + reading.lost
        percent = self._choice.brake_percent
        if percent is not None and braked(known, would_go, percent):
            reading.brake = Brake(would_go, known, percent)
        elif reading.missing:
            reading.missing = await self._confirmed(keys, reading.missing)
        return reading

    async def _told(self) -> CloudVault:
        """The vault as it is now. Raises NotFound: it is not visible, which is not the same as gone."""
        try:
            return await self._tenancy.vault(self._vault.region, self._vault.ocid)
        except NotFound as refusal:
            message = f"the vault is not visible to the connection: {refusal.facts.get('message', '')}"
            raise NotFound("CloudNotFound", message=message) from None

    async def _places(self, told: CloudVault) -> list[str]:
        """Every compartment in which keys of the vault may lie, its own first."""
        vault = self._vault
        try:
            root, name = await self._tenancy.root()
            found = {root: name, **await self._tenancy.compartments()}
        except (NotFound, Forbidden):  # the user may not look around; what is recorded is left
            found = {}
        self._names = {**found, **await compartments.names(self._store, vault.domain_id)}
        recorded = await records.compartments(self._store, vault.domain_id, vault.tenancy_ocid, vault.num)
        return [told.compartment_ocid, *sorted((found.keys() | recorded) - {told.compartment_ocid})]

    async def _listed(self, keys: Keys, compartment_ocid: str) -> bool:
        """Reads the keys of a compartment; whether OCI lets the user list it."""
        try:
            async for page in keys.listed(compartment_ocid):
                await self._compare(keys, page)
        except (NotFound, Forbidden):
            self._reading.skipped.append(self._names.get(compartment_ocid) or compartment_ocid)
            return False
        return True

    async def _compare(self, keys: Keys, page: Sequence[str]) -> None:
        if page:
            known = await records.known(self._store, self._vault.num, page)
            for each in known.values():
                self._seen.add(each.key.num, counts=each.key.state != _DELETED and not each.key.gone)
            looked = await side_by_side(self._look(keys, some, known) for some in few(page, keys.a_turn))
            self._keep([sighting for some in looked for sighting in some], known)
        self._reading.read += len(page)
        await self._noted(self._reading.read)

    def _keep(self, looked: Sequence[Sighting | None], known: dict[str, Known]) -> None:
        """Puts what is not as it is recorded into the spool."""
        stamp = Stamp(self._vault.num, "", self._clock.now())
        for sighting in looked:
            if sighting is None:
                self._reading.unread += 1
                continue
            rows = known.get(sighting.key.ocid)
            row, versions = (None, []) if rows is None else (rows.key, rows.versions)
            ids = [""] * (1 + len(sighting.versions))
            if settle(sighting, row, versions, stamp, ids).key is not None:
                self._reading.spool.put(sighting)
                self._reading.lost += any(
                    not is_over(each.state, each.deletes_at, stamp.now)
                    for each in versions
                    if each.ocid in sighting.lost
                )

    async def _look(self, keys: Keys, ocids: Sequence[str], known: Mapping[str, Known]) -> list[Sighting | None]:
        """Keys with all their versions; None for one that OCI does not show, though it may have listed it."""
        at = self._clock.now()
        found = await keys.several(ocids)
        return [
            None if whole is None else await self._sighted(keys, at, whole, known.get(ocid))
            for ocid, whole in zip(ocids, found, strict=True)
        ]

    async def _sighted(self, keys: Keys, at: float, whole: Whole, known: Known | None) -> Sighting:
        key, said, _ = whole
        standing = {each.ocid: each for each in (() if known is None else known.versions)}
        versions = await side_by_side(self._whole(keys, key, each, standing.get(each.ocid)) for each in said)
        there = {each.ocid for each in said}
        unseen = [each for each in standing.values() if each.ocid not in there and not each.gone]
        asked = [each.ocid for each in unseen if _DELETED not in (each.state, key.state)]
        lost = await side_by_side(self._lost(keys, key, each) for each in asked)
        name = self._names.get(key.compartment_ocid) or None
        return Sighting(at, key, versions, [each for each in lost if each], name)

    async def _whole(self, keys: Keys, key: CloudKey, said: CloudVersion, row: VersionRow | None) -> CloudVersion:
        """A version with what lists leave out, where nobody has noted that yet."""
        is_new = row is None and key.algorithm in _ASYMMETRIC and said.state != _DELETED
        if not is_new and said.state:
            return said
        try:
            return await keys.version(key.ocid, said.ocid)
        except NotFound:
            return said

    async def _lost(self, keys: Keys, key: CloudKey, ocid: str) -> str:
        """The OCID of a version that is in no list and does not answer either; empty where it does."""
        try:
            await keys.version(key.ocid, ocid)
        except NotFound:
            return ocid
        return ""

    async def _unseen(self, listed: set[str] | None) -> list[Missing]:
        """Who is recorded as being there, in one of these compartments or anywhere, and was in no list."""
        found: list[Missing] = []
        after = 0
        while rows := await records.alive_after(self._store, self._vault.num, after, ROWS_AT_ONCE):
            found += [
                each
                for each in rows
                if listed is None or (each.compartment_ocid in listed and not self._seen.has(each.num))
            ]
            after = rows[-1].num
            await asyncio.sleep(0)
        return found

    async def _confirmed(self, keys: Keys, missing: Sequence[Missing]) -> list[Missing]:
        """Those whom OCI does not know when it is asked for them alone. Others are elsewhere by now."""
        gone: list[Missing] = []
        for at in range(0, len(missing), ROWS_AT_ONCE):
            portion = missing[at : at + ROWS_AT_ONCE]
            is_there = await side_by_side(self._found(keys, each) for each in portion)
            gone += [each for each, found in zip(portion, is_there, strict=True) if not found]
        return gone

    async def _found(self, keys: Keys, missing: Missing) -> bool:
        try:
            await keys.key(missing.ocid)
        except NotFound:
            return False
        except Forbidden:  # nobody says that it is gone
            return True
        known = await records.known(self._store, self._vault.num, [missing.ocid])
        self._keep(await self._look(keys, [missing.ocid], known), known)
        return True
