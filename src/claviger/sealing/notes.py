"""The server's own few secrets (its authority's key, the demo application's password), sealed and kept by
name.
"""

from __future__ import annotations

from collections.abc import Callable

from claviger.core.clock import Clock
from claviger.core.errors import Invalid
from claviger.core.sensitive import Sensitive
from claviger.crypto.envelope import associated_data
from claviger.sealing import records
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

SCOPE = "notes"
LONGEST_NAME = 128
LARGEST_NOTE = 64 * 1024


def note_bound(name: str) -> bytes:
    """What a note is bound to."""
    return associated_data("note", name)


class SealedNotes:
    """Notes of at most 64 KiB by name. A `Resealer` for the rotation of its data key."""

    scope_prefix = SCOPE

    def __init__(self, store: Store, keyring: Keyring, clock: Clock) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock

    async def get(self, name: str) -> Sensitive | None:
        """The note, or None. Raises Damaged("SealBroken")."""

        async def read_and_open() -> Sensitive | None:
            found = await records.note(self._store, name)
            if found is None:
                return None
            data_key_id, sealed = found
            return Sensitive(await self._keyring.open(data_key_id, sealed, note_bound(name)))

        return await self._keyring.again_if_retired(read_and_open)

    async def put(self, name: str, value: Sensitive) -> None:
        """Stores a note in place of the one of that name.

        Raises Invalid("Note") for a name or value too long.
        """
        _check(name, value)

        async def seal_and_store(data_key_id: int) -> None:
            sealed = self._keyring.seal(data_key_id, value.reveal(), note_bound(name))
            now = int(self._clock.now())
            await self._store.write(lambda tx: records.put_note(tx, name, data_key_id, sealed, now))

        await self._keyring.with_data_key(SCOPE, seal_and_store)

    async def ensure(self, name: str, make: Callable[[], Sensitive]) -> Sensitive:
        """The note, made by `make` if there is none.

        All who ask at once, in any process, get the same one.
        """
        found = await self.get(name)
        if found is not None:
            return found
        value = make()
        _check(name, value)

        async def seal_and_store(data_key_id: int) -> None:
            sealed = self._keyring.seal(data_key_id, value.reveal(), note_bound(name))
            now = int(self._clock.now())
            await self._store.write(lambda tx: records.put_note_if_absent(tx, name, data_key_id, sealed, now))

        await self._keyring.with_data_key(SCOPE, seal_and_store)
        stored = await self.get(name)
        return value if stored is None else stored

    async def delete(self, name: str) -> bool:
        """Removes a note; whether there was one."""
        return await self._store.write(lambda tx: records.delete_note(tx, name))

    def reseal_batch(self, tx: Tx, scope: str, old_key_id: int, new_key_id: int, keyring: Keyring, limit: int) -> int:
        """See `rotation.Resealer`."""
        notes = records.notes_under(tx, old_key_id, limit)
        for name, sealed in notes:
            resealed = keyring.reseal(old_key_id, new_key_id, sealed, note_bound(name))
            records.move_note(tx, name, new_key_id, resealed)
        return len(notes)


def _check(name: str, value: Sensitive) -> None:
    if not 0 < len(name) <= LONGEST_NAME or len(value) > LARGEST_NOTE:
        raise Invalid("Note", name=name[:LONGEST_NAME])
