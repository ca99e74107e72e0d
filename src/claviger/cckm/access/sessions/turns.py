"""One at a time for a key, in the order of asking: parallel guesses at one password count one after the other.

A turn takes as long as a hash, so the line is bounded in length and in time: nobody waits in it longer than a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from claviger.cckm.access.passwords import LONGEST_WAIT_S, too_many_sign_ins

MOST_WAITING = 128


class Turns:
    """Locks by key, forgotten when nobody waits for them.

    Raises Throttled beyond `most` that wait or work, and to whoever has waited for `longest_wait_s`.
    """

    def __init__(self, most: int = MOST_WAITING, longest_wait_s: float = LONGEST_WAIT_S) -> None:
        self._most = most
        self._longest_wait_s = longest_wait_s
        self._waiting = 0
        self._locks: dict[object, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, key: object) -> AsyncIterator[None]:
        """The turn of a key. Raises Throttled("TooManySignIns")."""
        if self._waiting >= self._most:
            raise too_many_sign_ins()
        lock, count = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, count + 1)
        self._waiting += 1
        try:
            await self._first_in_line(lock)
            try:
                yield
            finally:
                lock.release()
        finally:
            self._waiting -= 1
            lock, count = self._locks.pop(key)
            if count > 1:
                self._locks[key] = (lock, count - 1)

    async def _first_in_line(self, lock: asyncio.Lock) -> None:
        try:
            async with asyncio.timeout(self._longest_wait_s):
                await lock.acquire()
        except TimeoutError:
            raise too_many_sign_ins() from None
