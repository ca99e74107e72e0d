"""How fast a cloud may be asked, and for how long it is waited for.

Clouds publish limits per vault, subscription or tenancy; budgets stay below them in any ten seconds, so that
throttling by the cloud is the exception. The numbers are each cloud's own (`azure/connections/pace.py`, `oci/pace.py`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from claviger.core.errors import Throttled

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds, and counts, for all that is asked of a cloud.

    `call_s` is the whole of one call with all its repetitions, `sign_in_s` of getting a token, `queue_s` of waiting for
    a turn; `patience_s` is the longest Retry-After that is waited for.
    """

    connect_s: float = 5.0
    read_s: float = 15.0
    sign_in_s: float = 15.0
    call_s: float = 30.0
    queue_s: float = 10.0
    patience_s: float = 10.0
    read_retries: int = 3
    at_once: int = 64
    body_bytes: int = 16 * 1024 * 1024
    idle_s: float = 300.0
    clouds: int = 64


class Budget:
    """Turns for calls of one vault or subscription. Whoever has to wait for longer than `queue_s` is refused."""

    def __init__(self, calls_per_s: float, creates_per_s: float, queue_s: float) -> None:
        from aiolimiter import AsyncLimiter

        # A bucket as deep as one second's share: what flows through in any ten seconds stays below the limit, where
        # one as deep as the whole share would let twice the share through.
        self._calls = AsyncLimiter(calls_per_s, 1)
        self._creates = AsyncLimiter(creates_per_s, 1)
        self._queue_s = queue_s

    async def take(self, *, creates: bool = False) -> None:
        """Waits for a turn. Raises Throttled("CloudThrottled")."""
        if creates:
            await self._wait_for(self._creates)
        await self._wait_for(self._calls)

    async def _wait_for(self, limiter: AsyncLimiter) -> None:
        try:
            async with asyncio.timeout(self._queue_s):
                await limiter.acquire()
        except TimeoutError:
            raise too_busy("more calls are waiting than the cloud's limits let through") from None


class Budgets:
    """Budgets by key; the least recently used are forgotten."""

    def __init__(self, queue_s: float, most: int = 4096) -> None:
        self._queue_s = queue_s
        self._most = most
        self._known: OrderedDict[str, Budget] = OrderedDict()

    def of(self, key: str, calls_per_s: float, creates_per_s: float) -> Budget:
        """That of whatever the key names, made with these rates when it is first asked for."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Budget(calls_per_s, creates_per_s, self._queue_s)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return found


class Slots:
    """At most so many calls at once; the others wait for their turn, though not for long."""

    def __init__(self, count: int, queue_s: float) -> None:
        self._free = asyncio.Semaphore(count)
        self._queue_s = queue_s

    async def __aenter__(self) -> None:
        """Raises Throttled("CloudThrottled")."""
        try:
            async with asyncio.timeout(self._queue_s):
                await self._free.acquire()
        except TimeoutError:
            raise too_busy("too many calls to this cloud are under way") from None

    async def __aexit__(self, *_: object) -> None:
        self._free.release()


def too_busy(why: str, retry_after_s: int = 2) -> Throttled:
    """The refusal of a call that was not made."""
    return Throttled("CloudThrottled", message=why, retry_after_s=retry_after_s)
