"""Processes that share one database and one source of root keys, as a server and a rotating command do.

`Machine.process` opens the same database once more, with a keyring that knows only what it reads there: another process
in all but the operating system's sense. `CrashingStore` and `CrashingKeys` die before or after a chosen step.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from claviger.core.clock import ManualClock
from claviger.core.sensitive import Sensitive
from claviger.crypto.envelope import associated_data
from claviger.crypto.key_file import KeyFile
from claviger.crypto.root_key import RootKey, RootKeySource
from claviger.sealing import records
from claviger.sealing.keyring import Keyring
from claviger.sealing.notes import SealedNotes
from claviger.sealing.rotation import Resealer, Rotation
from claviger.store.contract import Row, Store, Tx, Value
from claviger.store.opening import open_store

T = TypeVar("T")
START = 1_790_000_000.0


class Crash(BaseException):
    """Stands for kill -9: nothing in Claviger may catch it."""


class Steps:
    """Counts the steps that leave something behind, and crashes before or after the one that was chosen."""

    def __init__(self, crash_at: int | None = None, when: Literal["before", "after"] = "before") -> None:
        self.count = 0
        self._crash_at = crash_at
        self._when = when

    def begin(self) -> None:
        if self.count == self._crash_at and self._when == "before":
            raise Crash
        self.count += 1

    def end(self) -> None:
        if self.count - 1 == self._crash_at and self._when == "after":
            raise Crash


class CrashingStore:
    """The store, with every change a step."""

    def __init__(self, store: Store, steps: Steps) -> None:
        self._store = store
        self._steps = steps
        self.kind = store.kind

    async def read(self, sql: str, *args: Value) -> list[Row]:
        return await self._store.read(sql, *args)

    async def read_one(self, sql: str, *args: Value) -> Row | None:
        return await self._store.read_one(sql, *args)

    async def write(self, change: Callable[[Tx], T]) -> T:
        self._steps.begin()
        result = await self._store.write(change)
        self._steps.end()
        return result

    def generation(self) -> int:
        return self._store.generation()

    async def close(self) -> None:
        await self._store.close()


class CrashingKeys:
    """The source of root keys, with every change of it a step."""

    def __init__(self, source: RootKeySource, steps: Steps) -> None:
        self._source = source
        self._steps = steps
        self.description = source.description

    def read(self) -> list[RootKey]:
        return self._source.read()

    def next_after(self, current_id: str | None, now: float) -> RootKey:
        self._steps.begin()
        key = self._source.next_after(current_id, now)
        self._steps.end()
        return key

    def remove(self, root_key_ids: Collection[str]) -> None:
        self._steps.begin()
        self._source.remove(root_key_ids)
        self._steps.end()


class Shelf:
    """Values of many scopes (`shelf:NAME`), kept in the table of the notes; knows how to seal them anew."""

    scope_prefix = "shelf:"

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring

    async def put(self, scope: str, name: str, value: bytes) -> int:
        """Stores a value; the id of the data key that it was sealed under."""

        def change(tx: Tx, data_key_id: int, sealed: bytes) -> int:
            records.put_note(tx, name, data_key_id, sealed, int(START))
            return data_key_id

        return await self._keyring.write_sealed(scope, value, self.bound(name), change)

    async def get(self, name: str) -> bytes | None:
        async def attempt() -> bytes | None:
            found = await records.note(self._store, name)
            return None if found is None else await self._keyring.open(*found, self.bound(name))

        return await self._keyring.again_if_retired(attempt)

    def reseal_batch(self, tx: Tx, scope: str, old_key_id: int, new_key_id: int, keyring: Keyring, limit: int) -> int:
        rows = records.notes_under(tx, old_key_id, limit)
        for name, sealed in rows:
            records.move_note(tx, name, new_key_id, keyring.reseal(old_key_id, new_key_id, sealed, self.bound(name)))
        return len(rows)

    @staticmethod
    def bound(name: str) -> bytes:
        return associated_data("shelf", name)


@dataclass
class Process:
    """What one process has of its own."""

    store: Store
    keyring: Keyring
    notes: SealedNotes
    shelf: Shelf
    rotation: Rotation


class Machine:
    """One database, one source of root keys and one clock, for any number of processes."""

    def __init__(self, url: str, root_keys: RootKeySource) -> None:
        self.url = url
        self.root_keys = root_keys
        self.clock = ManualClock(START)
        self._open: list[Store] = []

    async def store(self) -> Store:
        """The database opened once more."""
        store = await open_store(self.url, self.clock)
        self._open.append(store)
        return store

    async def process(
        self,
        root_keys: RootKeySource | None = None,
        steps: Steps | None = None,
        *,
        remembered: int = 4096,
        batch_size: int = 3,
        resealers: list[Resealer] | None = None,
    ) -> Process:
        """A process that has loaded its keyring; only its rotation goes by the `steps`."""
        store = await self.store()
        source = root_keys or self.root_keys
        keyring = Keyring(store, source, self.clock, remembered=remembered)
        await keyring.load()
        notes, shelf = SealedNotes(store, keyring, self.clock), Shelf(store, keyring)
        by_steps: Any = store
        if steps is not None:
            by_steps, source = CrashingStore(store, steps), CrashingKeys(source, steps)
            keyring = Keyring(by_steps, source, self.clock, remembered=remembered)
            await keyring.refresh()
        rotation = Rotation(
            by_steps,
            keyring,
            source,
            self.clock,
            [notes, shelf] if resealers is None else resealers,
            batch_size=batch_size,
        )
        return Process(store, keyring, notes, shelf, rotation)

    async def close(self) -> None:
        """Closes every store that was opened."""
        for store in self._open:
            await store.close()


async def states(store: Store, table: Literal["root_keys", "data_keys"]) -> list[tuple[Any, str]]:
    """Id and state of every row."""
    return [(row[0], row[1]) for row in await store.read(f"SELECT id, state FROM {table} ORDER BY created_at, id")]


def secret(text: str) -> Sensitive:
    """A value for a note."""
    return Sensitive(text)


async def rotate_for_ever(url: str, key_path: Path) -> None:
    """What `python -m tests.sealing URL KEY_FILE` does until it is killed."""
    process = await Machine(url, KeyFile(key_path)).process(batch_size=2)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        await process.rotation.rotate_root_key()
        await process.rotation.rotate_data_keys()


if __name__ == "__main__":
    asyncio.run(rotate_for_ever(sys.argv[1], Path(sys.argv[2])))
