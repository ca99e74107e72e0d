"""One at a time for a key, in the order of asking: parallel guesses at one password count one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from claviger.core.errors import Busy

MOST_WAITING = 128


class Turns:
    """Locks by key, forgotten when nobody waits for them. Raises Busy beyond `most` that wait or work."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._waiting = 0
        self._locks: dict[object, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, key: object) -> AsyncIterator[None]:
        """The turn of a key. Raises Busy("TooManySignIns")."""
        if self._waiting >= self._most:
            raise Busy("TooManySignIns", message="too many sign-ins at once; try again", retry_after_s=1)
        lock, count = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, count + 1)
        self._waiting += 1
        try:
            async with lock:
                yield
        finally:
            self._waiting -= 1
            lock, count = self._locks.pop(key)
            if count > 1:
                self._locks[key] = (lock, count - 1)
