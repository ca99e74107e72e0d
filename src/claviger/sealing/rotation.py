"""Replaces root keys and data keys while servers go on working, here or in other processes.

A rotation is a row of small changes, each of which leaves the database right; what is still to do is read
from the rows alone. So a rotation that was killed is finished by the next call, and two that run at once do
the same work, not harm.

Root key: (1) the new key is on disk in its source; (2) one change makes it current and the old one previous;
(3) batches of data keys are wrapped anew; (4) the old row is deleted in a change that sees no data key under
it; (5) the source forgets it. Why no data key is lost:

* Nothing is wrapped under a key before (1) is done, nor does the source forget a key before (4) is on disk.
* Writers are serialised, and a new data key is wrapped only under the root key that its own transaction shows as
  current (`Keyring.current_root_key`). So after (2) nothing new comes under the old one, whatever a server has in
  memory. Were it otherwise, (4) would see it, and the foreign key would refuse to leave it without its root key.
* The source's order tells a next key (behind the current one: left by a crash after (1), used by the next call) from
  an old one (before the current one: left by a crash after (4), forgotten by the next call). A process that stalls
  between (1) and (2) finds that the key it meant to replace is no longer current, and does nothing.

Data keys: (1) one change gives every scope a new current key; the others become previous; (2) batches of values are
sealed anew; (3) the change that finds none left also deletes the old key. Why no value is lost:

* A server that still has the old key as current may insert under it until (3). Its rows are found by a later batch,
  for (3) looks and deletes in one change, between which no other writer comes. After (3) the foreign key refuses the
  row, and `Keyring.with_data_key` seals it under the new key.
* A reader that read a row before it was sealed anew opens it with the old key from memory, or is told
  "DataKeyRetired" and reads the row again.
* A scope without a `Resealer` keeps its earlier keys: nobody here knows what else is sealed under them (backups leave
  the server). Were a `Resealer` to overlook a row, the foreign key would refuse (3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Damaged, Refusal
from claviger.crypto.root_key import RootKey, RootKeySource
from claviger.sealing import records
from claviger.sealing.keyring import Keyring
from claviger.sealing.wrapping import made_data_key, rewrapped
from claviger.store.contract import Store, Tx

BATCH_SIZE = 100
PAUSE_S = 0.005  # about as long as a batch takes: a writer in another process finds every second moment free


class Resealer(Protocol):
    """A part that stores sealed values and can seal them anew. All rows of its scopes are its business."""

    scope_prefix: str
    """Of which scopes: `notes`, or `keyvault:` for all vaults."""

    def reseal_batch(self, tx: Tx, scope: str, old_key_id: int, new_key_id: int, keyring: Keyring, limit: int) -> int:
        """Seals up to `limit` rows under `old_key_id` anew (`Keyring.reseal`; both keys are in memory); how
        many.

        Fewer than `limit` means that this part has no row under the old key any more. Runs on the writing
        thread, maybe more than once: nothing but the transaction.
        """
        ...


@dataclass(frozen=True, slots=True)
class RootKeyRotation:
    """What a rotation of the root key did. `resumed`: it finished one begun earlier and began none."""

    root_key_id: str
    rewrapped_count: int
    resumed: bool


@dataclass(frozen=True, slots=True)
class DataKeyRotation:
    """What a rotation of data keys did. `resumed`: it finished one begun earlier and began none.

    `kept_scopes` have a new key now, and keep their earlier ones for good.
    """

    retired_count: int
    resealed_count: int
    resumed: bool
    kept_scopes: tuple[str, ...]


class Rotation:
    """Rotates keys of one database. Any number of these may work on it at once."""

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        root_keys: RootKeySource,
        clock: Clock,
        resealers: Sequence[Resealer],
        *,
        batch_size: int = BATCH_SIZE,
        pause_s: float = PAUSE_S,
    ) -> None:
        """`keyring` is loaded and uses the same store and source. Between two batches it pauses for `pause_s`."""
        self._store = store
        self._keyring = keyring
        self._source = root_keys
        self._clock = clock
        self._resealers = resealers
        self._batch_size = batch_size
        self._pause_s = pause_s
        self._one_at_a_time = asyncio.Lock()

    async def rotate_root_key(self) -> RootKeyRotation:
        """Makes a new root key, wraps every data key under it and forgets the old one; or finishes doing so.

        Raises what the source raises, Conflict("RotationElsewhere") when another process rotated meanwhile,
        and Damaged("DataKeyBroken") after all others are done when a data key does not unwrap (the old root
        key is kept).
        """
        async with self._one_at_a_time:
            await self._keyring.refresh()
            current, *previous = await records.root_keys(self._store)
            if not previous:
                key = await asyncio.to_thread(self._source.next_after, current.id, self._clock.now())
                await self._store.write(partial(self._replace_root_key, expected_id=current.id, key=key))
                await self._keyring.refresh()
            rewrapped_count = await self._finish_root_key()
            current, *_ = await records.root_keys(self._store)
            return RootKeyRotation(current.id, rewrapped_count, resumed=bool(previous))

    async def rotate_data_keys(self, scope_prefix: str = "") -> DataKeyRotation:
        """Gives every scope that begins so a new data key and seals its values anew; or finishes doing so.

        Raises Damaged("RotationUnfinished") after all other scopes are done when some could not be finished,
        naming one and why: they work on with both keys.
        """
        async with self._one_at_a_time:
            begun = await self._keyring.write(partial(self._begin_data_keys, scope_prefix=scope_prefix))
            self._keyring.forget_current()
            return await self._finish_data_keys(scope_prefix, begun)

    async def finish(self) -> None:
        """Finishes what a killed process began, and begins nothing. For the start of a server."""
        async with self._one_at_a_time:
            await self._finish_root_key()
            await self._finish_data_keys("", None)

    # Root keys.

    def _replace_root_key(self, tx: Tx, expected_id: str, key: RootKey) -> None:
        if records.current_root_key_id(tx) != expected_id:
            raise Conflict("RotationElsewhere", fix="another process has just replaced the root key")
        self._keyring.register_root_key(tx, key)

    async def _finish_root_key(self) -> int:
        _, *previous = await records.root_keys(self._store)
        rewrapped_count = 0
        for old in previous:
            rewrapped_count += await self._rewrap_all(old.id)
            if not await self._store.write(partial(records.delete_root_key, root_key_id=old.id)):
                raise Damaged(
                    "DataKeyBroken",
                    root_key_id=old.id,
                    problem="some data keys do not unwrap, so the old root key is kept",
                )
        await self._forget_old_root_keys()
        if previous:
            await self._keyring.refresh()
        return rewrapped_count

    async def _rewrap_all(self, old_id: str) -> int:
        rewrapped_count, after_id = 0, 0
        while True:
            batch = partial(self._rewrap_batch, old_id=old_id, after_id=after_id)
            count, after_id = await self._keyring.write(batch)
            rewrapped_count += count
            if after_id == 0:
                return rewrapped_count
            await asyncio.sleep(self._pause_s)

    def _rewrap_batch(self, tx: Tx, old_id: str, after_id: int) -> tuple[int, int]:
        """How many were wrapped anew, and the id to go on behind (0: all done).

        Broken ones stay as they are.
        """
        rows = records.data_keys_under(tx, old_id, after_id, self._batch_size)
        if not rows:
            return 0, 0
        new, old = self._keyring.current_root_key(tx), self._keyring.root_key(old_id)
        if old is None:
            raise Conflict("RootKeyUnknown", root_key_id=old_id)
        count = 0
        for row in rows:
            try:
                wrapped = rewrapped(row, old, new)
            except Damaged:
                continue
            records.rewrap_data_key(tx, row.id, new.id, wrapped)
            count += 1
        return count, rows[-1].id

    async def _forget_old_root_keys(self) -> None:
        """Step 5: drops from the source what stands before the current key and has no row."""
        rows = await records.root_keys(self._store)
        ids = [key.id for key in await asyncio.to_thread(self._source.read)]
        if rows and rows[0].id in ids:
            before = ids[: ids.index(rows[0].id)]
            old = set(before) - {row.id for row in rows}
            if old:
                await asyncio.to_thread(self._source.remove, old)

    # Data keys.

    def _resealers_of(self, scope: str) -> list[Resealer]:
        return [resealer for resealer in self._resealers if scope.startswith(resealer.scope_prefix)]

    def _to_retire(self, previous: Sequence[tuple[int, str]], scope_prefix: str) -> list[tuple[int, str]]:
        return [
            (data_key_id, scope)
            for data_key_id, scope in previous
            if scope.startswith(scope_prefix) and self._resealers_of(scope)
        ]

    def _begin_data_keys(self, tx: Tx, scope_prefix: str) -> tuple[str, ...] | None:
        """Step 1, unless a rotation is unfinished (None): the scopes that got a new key."""
        if self._to_retire(records.previous_data_keys_in(tx), scope_prefix):
            return None
        current = [key for key in records.current_data_keys(tx) if key[1].startswith(scope_prefix)]
        root = self._keyring.current_root_key(tx)
        made = [made_data_key(root, scope) for _, scope in current]
        records.retire_data_keys(tx, [data_key_id for data_key_id, _ in current])
        records.insert_current_data_keys(tx, made, int(self._clock.now()))
        return tuple(scope for _, scope in current)

    async def _finish_data_keys(self, scope_prefix: str, begun: tuple[str, ...] | None) -> DataKeyRotation:
        retired_count, resealed_count = 0, 0
        unfinished: list[tuple[str, Refusal]] = []
        for data_key_id, scope in self._to_retire(await records.previous_data_keys(self._store), scope_prefix):
            try:
                resealed_count += await self._retire_data_key(data_key_id, scope)
                retired_count += 1
            except (Conflict, Damaged) as refusal:
                unfinished.append((scope, refusal))
        if unfinished:
            first_scope, why = unfinished[0]
            raise Damaged("RotationUnfinished", count=len(unfinished), scope=first_scope, why=str(why)) from why
        kept_scopes = tuple(scope for scope in begun or () if not self._resealers_of(scope))
        return DataKeyRotation(retired_count, resealed_count, begun is None, kept_scopes)

    async def _retire_data_key(self, old_key_id: int, scope: str) -> int:
        """Steps 2 and 3 for one previous key; how many values were sealed anew."""
        resealed_count, done = 0, False
        while not done:
            new_key_id = await records.current_data_key_id(self._store, scope)
            if new_key_id is None or await records.data_key(self._store, old_key_id) is None:
                break  # another process was quicker, or the scope is gone
            with self._keyring.held(old_key_id, new_key_id):
                if not await self._both_loaded(old_key_id, new_key_id):
                    continue
                batch = partial(self._reseal_batch, scope=scope, old_key_id=old_key_id, new_key_id=new_key_id)
                count, done = await self._store.write(batch)
            resealed_count += count
            await asyncio.sleep(self._pause_s)
        self._keyring.forget(old_key_id)
        return resealed_count

    async def _both_loaded(self, *data_key_ids: int) -> bool:
        """Brings keys into memory; false where another process has retired one since it was looked for."""
        try:
            for data_key_id in data_key_ids:
                await self._keyring.loaded(data_key_id)
        except Conflict as refusal:
            if refusal.reason != "DataKeyRetired":
                raise
            return False
        return True

    def _reseal_batch(self, tx: Tx, scope: str, old_key_id: int, new_key_id: int) -> tuple[int, bool]:
        """How many values were sealed anew, and whether the old key is gone."""
        if records.current_data_key_in(tx, scope) != new_key_id:
            return 0, False  # another process began a further rotation
        count = 0
        for resealer in self._resealers_of(scope):
            left = self._batch_size - count
            count += resealer.reseal_batch(tx, scope, old_key_id, new_key_id, self._keyring, left)
            if count >= self._batch_size:
                return count, False
        records.delete_data_key(tx, old_key_id)
        return count, True
