"""The gate before whatever a cloud limits as one, a vault or a tenancy: every call of synchronisation to it goes
through here, of whatever job.

A call that is throttled closes the gate for all of them until the moment that the cloud has named; then the same call
is made again. A call that came to nothing otherwise (5xx, no connection) is tried a few times. What is refused for good
is raised at once. So a caller either gets the answer, or learns that there is none: nothing in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from claviger.cckm.synchronization.rules import LONGEST_RETRY_AFTER_S, is_given_up, pause_after
from claviger.core.errors import Throttled, Unavailable

T = TypeVar("T")

CALLS_AT_ONCE = 8


class Count:
    """How many calls somebody has made through a gate that others use too, and how many of them were throttled."""

    def __init__(self) -> None:
        self.calls = 0
        self.throttled = 0


class Gate:
    """Lets calls through, so many at once. `calls` and `throttled` count them since it was made.

    Waits are real, whatever the product's clock is moved to; a test gives a clock and a sleep of its own.
    """

    def __init__(
        self,
        at_once: int = CALLS_AT_ONCE,
        *,
        steady: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.calls = 0
        self.throttled = 0
        self._slots = asyncio.Semaphore(at_once)
        self._opens_at = 0.0
        self._in_a_row = 0
        self._steady = steady or asyncio.get_running_loop().time
        self._sleep = sleep
        self._last_success = self._steady()

    def closed_for(self) -> float:
        """Seconds until calls may be made again; 0 where it may be called now."""
        return max(0.0, self._opens_at - self._steady())

    async def ask(self, call: Callable[[], Awaitable[T]], count: Count | None = None, weight: int = 1) -> T:
        """The answer to a call that only reads, or to `weight` of them made as one. Raises the refusal that stays."""
        count = count or Count()
        failures = 0
        async with self._slots:
            while True:
                await self._open()
                self.calls += weight
                count.calls += weight
                try:
                    answer = await call()
                except Throttled as refusal:
                    count.throttled += 1
                    self._close(refusal)
                except Unavailable:
                    failures += 1
                    pause = pause_after(failures)
                    if pause is None:
                        raise
                    await self._sleep(pause)
                else:
                    self._in_a_row = 0
                    self._last_success = self._steady()
                    return answer

    async def _open(self) -> None:
        while True:
            wait = self.closed_for()
            if wait <= 0:
                return
            await self._sleep(wait)

    def _close(self, refusal: Throttled) -> None:
        """Closes the gate for as long as the cloud asks. Raises the refusal where that is no use any more."""
        now = self._steady()
        wait = float(str(refusal.facts.get("retry_after_s", 1)))
        self.throttled += 1
        self._in_a_row += 1
        if wait > LONGEST_RETRY_AFTER_S or is_given_up(self._in_a_row, now - self._last_success):
            raise refusal
        self._opens_at = max(self._opens_at, now + wait)


class Gates:
    """The gates that are in use, by what they stand before."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[str, Gate] = WeakValueDictionary()

    def of(self, place: str) -> Gate:
        """The gate of a place. It is forgotten once nobody holds it."""
        found = self._known.get(place)
        if found is None:
            found = self._known[place] = Gate()
        return found
