"""Seals and opens values under data keys, which are rows wrapped under a root key.

Every scope (`keyvault:7`, `notes`, ...) has one current data key, and during a rotation earlier ones. A row that holds
a sealed value names its data key by a foreign key, so nothing that is still needed can be removed. A keyring remembers
unwrapped data keys, and never has to be told of changes made by another process:

* a data key that was retired meanwhile: its id is never used again, so an insert that names it breaks the foreign key
  and changes nothing. `with_data_key` notices and runs the attempt again with the scope's new key.
* a root key that was replaced meanwhile: a new data key is wrapped only under the key that the open transaction shows
  as current; one that this keyring does not know yet is fetched from the source first (`write` does that).
* a data key that was wrapped anew: its row is read when it is needed, and says under which root key it is.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Damaged, Misconfigured
from claviger.crypto.envelope import SealingKey
from claviger.crypto.root_key import RootKey, RootKeySource
from claviger.sealing import records
from claviger.sealing.records import DataKeyRow, RootKeyRow
from claviger.sealing.wrapping import check_value, checked, made_data_key, unwrapped
from claviger.store.contract import Store, Tx

T = TypeVar("T")

REMEMBERED_KEYS = 4096
_LOAD_TRIES = 3
_REFRESH_PAUSE_S = 1.0
_CURRENT_FOR_S = 30.0  # so long a server may seal under a key that another process is retiring


class Keyring:
    """The one place that has data keys in the clear, in memory, at most `remembered` of them.

    Use `load` once before anything else. `seal`, `open_now`, `reseal` and what takes a `tx` may run on the
    store's writing thread; everything else belongs to the event loop.
    """

    def __init__(
        self, store: Store, root_keys: RootKeySource, clock: Clock, *, remembered: int = REMEMBERED_KEYS
    ) -> None:
        self._store = store
        self._source = root_keys
        self._clock = clock
        self._remembered = remembered
        self._roots: dict[str, RootKey] = {}
        self._keys: OrderedDict[int, SealingKey] = OrderedDict()
        self._held: Counter[int] = Counter()
        self._current: OrderedDict[str, tuple[int, float]] = OrderedDict()  # id, until when (steady time)
        self._refreshing = asyncio.Lock()
        self._ask_again_at = -math.inf  # steady time; after a root key could not be had

    # Root keys.

    async def load(self) -> None:
        """Makes or finds the root key and proves that it is the one this database is sealed under.

        An empty database gets the newest root key of the source, made if there is none. Beside any other
        database a missing key is never replaced: raises Misconfigured("RootKeyMissing") or what the source
        raises, and Damaged("RootKeyCheck") where key and database disagree.
        """
        if not await records.root_keys(self._store):
            first = await asyncio.to_thread(self._source.next_after, None, self._clock.now())
            await self._store.write(lambda tx: self._register_first(tx, first))
        await self.refresh()

    async def refresh(self) -> None:
        """Reads root keys again, from the database and from the source. Raises as `load` does."""
        for tries_left in reversed(range(_LOAD_TRIES)):
            rows = await records.root_keys(self._store)
            keys = {key.id: key for key in await asyncio.to_thread(self._source.read)}
            known = {**self._roots, **keys}
            missing = [row for row in rows if row.id not in known and await self._is_needed(row)]
            if missing and tries_left:
                continue  # a rotation may have ended between the two readings
            if missing:
                raise self._root_key_missing(missing[0].id, source_is_empty=not keys)
            if not rows or rows[0].state != "current":
                raise Damaged("RootKeyCheck", problem="the database names no current root key")
            self._roots = {row.id: checked(known[row.id], row) for row in rows if row.id in known}
            return

    async def _is_needed(self, row: RootKeyRow) -> bool:
        return row.state == "current" or await records.is_needed(self._store, row.id)

    def _root_key_missing(self, root_key_id: str, *, source_is_empty: bool) -> Misconfigured:
        found = "holds no key at all" if source_is_empty else "does not hold it"
        return Misconfigured(
            "RootKeyMissing",
            root_key_id=root_key_id,
            problem=f"this database is sealed under a root key, and {self._source.description} {found}",
            fix="bring the root key back from a copy, or set the source or passphrase that it was made with; "
            "a new root key is never made beside an existing database, for it could open nothing",
        )

    def _register_first(self, tx: Tx, key: RootKey) -> None:
        if records.current_root_key_id(tx) is None:
            self.register_root_key(tx, key)

    def register_root_key(self, tx: Tx, key: RootKey) -> None:
        """Makes `key`, which its source has kept for good already, the current root key."""
        records.make_root_key_current(tx, key.id, check_value(key), int(self._clock.now()))

    async def _known_root_key(self, root_key_id: str) -> RootKey | None:
        if root_key_id not in self._roots:
            async with self._refreshing:  # one reading for all that wait
                if root_key_id not in self._roots and self._clock.monotonic() >= self._ask_again_at:
                    try:
                        await self.refresh()
                    finally:
                        if root_key_id not in self._roots:
                            self._ask_again_at = self._clock.monotonic() + _REFRESH_PAUSE_S
        return self._roots.get(root_key_id)

    async def write(self, change: Callable[[Tx], T]) -> T:
        """`store.write` for changes that make data keys: fetches a root key that another process made meanwhile."""
        try:
            return await self._store.write(change)
        except Conflict as error:
            if error.reason != "RootKeyUnknown":
                raise
        await self.refresh()
        return await self._store.write(change)

    # Data keys.

    def create_data_key(self, tx: Tx, scope: str) -> int:
        """Makes the first data key of `scope` inside a change; its id, for the rows of the same change.

        Raises Conflict("RootKeyUnknown") when another process has made a new root key: run the change with
        `Keyring.write`, which knows what to do then.
        """
        made = made_data_key(self.current_root_key(tx), scope)
        records.insert_current_data_keys(tx, [made], int(self._clock.now()))
        return made.id

    def current_root_key(self, tx: Tx) -> RootKey:
        """The root key that the transaction shows as current. Raises Conflict("RootKeyUnknown") as above."""
        root_key_id = records.current_root_key_id(tx)
        root = self._roots.get(root_key_id or "")
        if root is None:
            raise Conflict("RootKeyUnknown", root_key_id=root_key_id)
        return root

    async def ensure_data_key(self, scope: str) -> int:
        """The scope's current data key, made if there is none, and loaded, so that `seal` may follow at once.

        "At once" is: before the next `await`. May answer a key that another process is retiring; see `with_data_key`.
        """
        for _ in range(2):
            data_key_id = self._remembered_current(scope) or await self._stored_or_new(scope)
            try:
                await self.loaded(data_key_id)
            except Conflict:  # remembered as current, and retired by another process since
                self._current.pop(scope, None)
                continue
            return data_key_id
        raise Conflict("DataKeyRetired", scope=scope)

    def _remembered_current(self, scope: str) -> int | None:
        data_key_id, until = self._current.get(scope, (0, 0.0))
        return data_key_id if data_key_id and self._clock.monotonic() < until else None

    def _remember_current(self, scope: str, data_key_id: int) -> None:
        self._current[scope] = data_key_id, self._clock.monotonic() + _CURRENT_FOR_S
        while len(self._current) > self._remembered:
            self._current.popitem(last=False)

    def forget_current(self) -> None:
        """Forgets which data keys are the current ones: the next use of each scope asks the database."""
        self._current.clear()

    async def _stored_or_new(self, scope: str) -> int:
        def ensured(tx: Tx) -> int:
            return records.current_data_key_in(tx, scope) or self.create_data_key(tx, scope)

        stored = await records.current_data_key_id(self._store, scope)
        if stored is None:
            stored = await self.write(ensured)
        self._remember_current(scope, stored)
        return stored

    async def with_data_key(self, scope: str, attempt: Callable[[int], Awaitable[T]]) -> T:
        """Runs `attempt` with the scope's current data key; once more where that key was retired meanwhile.

        `attempt` seals under the key it is given, before its first `await`, and stores the value. Raises what
        it raises, and Conflict("DataKeyRetired") when the key went away twice or the scope is gone.
        """
        for _ in range(2):
            data_key_id = await self.ensure_data_key(scope)
            try:
                return await attempt(data_key_id)
            except Conflict as error:
                if error.reason not in ("RowConstraint", "DataKeyRetired"):
                    raise
                self._current.pop(scope, None)
                now_current = await records.current_data_key_id(self._store, scope)
                if now_current == data_key_id:
                    raise  # the row was refused for a reason of its own
                if now_current is None:
                    break
        raise Conflict("DataKeyRetired", scope=scope)

    async def write_sealed(
        self,
        scope: str,
        plaintext: bytes,
        bound_to: bytes,
        change: Callable[[Tx, int, bytes], T],
        store: Store | None = None,
    ) -> T:
        """Seals a value under the scope's current data key and runs `change(tx, data_key_id, sealed)`.

        `store` is the caller's way to this database, where that is another one than the keyring's.

        Once more, sealed anew, where that key was retired meanwhile. Raises as `with_data_key`.
        """

        async def attempt(data_key_id: int) -> T:
            sealed = self.seal(data_key_id, plaintext, bound_to)
            return await (store or self._store).write(lambda tx: change(tx, data_key_id, sealed))

        return await self.with_data_key(scope, attempt)

    async def again_if_retired(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Runs `attempt`, which reads a row and opens it; once more where its key was retired in between."""
        try:
            return await attempt()
        except Conflict as error:
            if error.reason != "DataKeyRetired":
                raise
        return await attempt()

    def delete_data_keys(self, tx: Tx, scope: str) -> int:
        """Removes all data keys of a scope whose rows are gone, so that no copy of them opens again; how many.

        Raises Conflict("RowConstraint") while a row needs one of them.
        """
        return records.delete_scope(tx, scope)

    async def loaded(self, data_key_id: int) -> None:
        """Brings a data key into memory. Raises Conflict("DataKeyRetired") when there is none of that id any more.

        Raises Misconfigured("RootKeyMissing") when its root key cannot be had, Damaged("DataKeyBroken") when it does
        not unwrap.
        """
        if data_key_id in self._keys:
            return
        row: DataKeyRow | None = None
        for _ in range(2):  # the second time, if it was wrapped anew since it was read
            row = await records.data_key(self._store, data_key_id)
            if row is None:
                raise Conflict("DataKeyRetired", data_key_id=data_key_id)
            root = await self._known_root_key(row.root_key_id)
            if root is not None:
                self._remember(data_key_id, SealingKey(unwrapped(row, root)))
                return
        raise self._root_key_missing(row.root_key_id if row else "", source_is_empty=False)

    def _remember(self, data_key_id: int, key: SealingKey) -> None:
        self._keys[data_key_id] = key
        for oldest in list(islice(self._keys, max(0, len(self._keys) - self._remembered))):
            if oldest not in self._held:
                self.forget(oldest)

    def forget(self, data_key_id: int) -> None:
        """Drops a data key from memory."""
        self._keys.pop(data_key_id, None)

    @contextmanager
    def held(self, *data_key_ids: int) -> Iterator[None]:
        """Keeps data keys, loaded before or within, in memory until the end of the block."""
        self._held.update(data_key_ids)
        try:
            yield
        finally:
            self._held -= Counter(data_key_ids)

    # Values.

    def seal(self, data_key_id: int, plaintext: bytes, bound_to: bytes) -> bytes:
        """The sealed form of `plaintext`. Raises Conflict("DataKeyNotLoaded") unless the key is in memory."""
        key = self._found(data_key_id)
        if key is None:
            raise Conflict("DataKeyNotLoaded", data_key_id=data_key_id)
        return key.seal(plaintext, bound_to)

    def open_now(self, data_key_id: int, sealed: bytes, bound_to: bytes) -> bytes | None:
        """What was sealed, or None when the key is not in memory yet. Raises Damaged("SealBroken")."""
        key = self._found(data_key_id)
        return None if key is None else key.open(sealed, bound_to)

    async def open(self, data_key_id: int, sealed: bytes, bound_to: bytes) -> bytes:
        """What was sealed. Raises Damaged("SealBroken"), and what `loaded` raises.

        Conflict("DataKeyRetired") means that the row was sealed anew since it was read: read it again.
        """
        key = self._found(data_key_id)
        if key is None:
            await self.loaded(data_key_id)
            key = self._keys[data_key_id]
        return key.open(sealed, bound_to)

    def reseal(self, old_key_id: int, new_key_id: int, sealed: bytes, bound_to: bytes) -> bytes:
        """The same value under another key; both must be in memory. For the rotation's changes."""
        plaintext = self.open_now(old_key_id, sealed, bound_to)
        if plaintext is None:
            raise Conflict("DataKeyNotLoaded", data_key_id=old_key_id)
        return self.seal(new_key_id, plaintext, bound_to)

    def _found(self, data_key_id: int) -> SealingKey | None:
        key = self._keys.get(data_key_id)
        if key is not None:
            try:  # noqa: SIM105 - on the hot path
                self._keys.move_to_end(data_key_id)
            except KeyError:  # the other thread dropped it between the two lines; the key is good all the same
                pass
        return key

    def root_key(self, root_key_id: str) -> RootKey | None:
        """A root key of this database, if it is in memory."""
        return self._roots.get(root_key_id)
