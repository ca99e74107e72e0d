"""Looks at one key, or one version, in OCI, and brings its record to what is there. Changes nothing in OCI.

What was read is stored only where the record is still the one that was there before the reading began: an operation
that has ended meanwhile knows better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from claviger.cckm.oci.compartments.naming import names_of
from claviger.cckm.oci.connections.cloud import OciClouds
from claviger.cckm.oci.keys import conclusions
from claviger.cckm.oci.keys.cloud import CloudKey, CloudVersion, VaultKeys
from claviger.cckm.oci.keys.reading import versions_of
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.keys.rules import State
from claviger.cckm.oci.keys.running import keys_of
from claviger.cckm.oci.keys.work import passed_on
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions import records as versions
from claviger.cckm.oci.versions import rows as version_rows
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.cckm.planning.draft import Effect, foresee
from claviger.core.clock import Clock
from claviger.core.errors import NotFound
from claviger.store.contract import Store, Tx

_BEGINNING = frozenset({State.CREATING.value, State.RESTORING.value})


class Looking:
    """Looks, for the stores that it is given: what the log tells of, and what only keeps the books."""

    def __init__(self, clouds: OciClouds, clock: Clock) -> None:
        self._clouds = clouds
        self._clock = clock

    async def look(
        self,
        store: Store,
        vault: OciVault,
        row: KeyRow,
        *,
        everything: bool = False,
        tries: int | None = None,
        effect: Callable[[], Effect] | None = None,
    ) -> KeyRow | None:
        """Reads a key, and its versions where there is news of them or `everything` is wanted; the row as it is then.

        None where the record has changed meanwhile, and nothing was stored. A key that is not there any more after the
        date of its deletion is DELETED and gone. Raises Forbidden("CloudRefused") for one that OCI does not show
        before, Conflict("ConnectionMissing"), the cloud's other refusals. `tries` as in `rows.told`;
        `effect` is for plans.
        """
        cloud = await keys_of(store, self._clouds, vault)
        seen_versions = await versions.of_key(store, row.num)
        try:
            key = await cloud.get(row.ocid)
        except NotFound as refusal:
            if row.deletes_at is None or row.deletes_at > self._clock.now():
                raise passed_on(refusal) from None
            at = self._clock.now()
            return await store.write(lambda tx: conclusions.note_absent(tx, row, at))
        named = await self._named(store, cloud, vault, row, key)
        is_all = everything or _has_news(row, key, seen_versions)
        read: tuple[CloudVersion, ...] = ()
        if is_all:
            read = await versions_of(cloud, key, {each.ocid for each in seen_versions})
        now = self._clock.now()

        def change(tx: Tx) -> KeyRow | None:
            if effect is not None:
                foresee(effect)
            return conclusions.note_read(tx, row, key, named, read, seen_versions, now, is_all=is_all, tries=tries)

        return await store.write(change)

    async def look_at_version(self, store: Store, vault: OciVault, key: KeyRow, row: VersionRow) -> None:
        """Reads one version. Raises as `look`."""
        cloud = await keys_of(store, self._clouds, vault)
        said: CloudVersion | None = None
        try:
            said = await cloud.version(key.ocid, row.ocid)
        except NotFound as refusal:
            if row.deletes_at is None or row.deletes_at > self._clock.now():
                raise passed_on(refusal) from None
        now = self._clock.now()

        def change(tx: Tx) -> None:
            if versions.load(tx, row.id) == row:
                versions.put(tx, version_rows.seen(row, said, now))
                conclusions.note_version(tx, row.key_num)

        await store.write(change)

    async def _named(self, store: Store, cloud: VaultKeys, vault: OciVault, row: KeyRow, key: CloudKey) -> str | None:
        """The name of the compartment that a key is in now, where that is not known; None where it is as before."""
        if key.compartment_ocid == row.compartment_ocid and row.compartment_name:
            return None
        wanted = [key.compartment_ocid]
        return (await names_of(store, vault.domain_id, cloud.cloud, wanted)).get(key.compartment_ocid)


def _has_news(row: KeyRow, key: CloudKey, known: Sequence[VersionRow]) -> bool:
    """Whether versions of a key are to be looked at: it is there at last, or has one that is not known."""
    is_there = row.state in _BEGINNING and key.state not in _BEGINNING
    return is_there or key.current_version_ocid not in {each.ocid for each in known}
