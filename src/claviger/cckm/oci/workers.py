"""Threads for the OCI SDK, which is synchronous: shared by all connections, a part of them for each account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from claviger.cckm.pace import too_busy

T = TypeVar("T")

THREADS = 64
SHARE = 16
"""Threads that the calls of one account have at most: a cloud that hangs leaves the others theirs."""
_CUT_AGAIN_S = 2.0


class Workers:
    """The threads that all connections share. A call that was given up keeps its turn until its thread has noticed."""

    def __init__(self, count: int = THREADS) -> None:
        self._count = count
        self._free = asyncio.Semaphore(count)
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: dict[asyncio.Future[Any], Callable[[], None]] = {}

    async def run(
        self,
        work: Callable[[], T],
        *,
        queue_s: float,
        limit_s: float,
        share: asyncio.Semaphore | None = None,
        cut: Callable[[], None] = lambda: None,
    ) -> T:
        """Runs `work` in a thread, one of the caller's `share` of them; `cut` ends what it waits for.

        Raises Throttled("CloudThrottled") without a thread, TimeoutError after `limit_s`.
        """
        turns = [self._free] if share is None else [share, self._free]
        held: list[asyncio.Semaphore] = []
        try:
            async with asyncio.timeout(queue_s):
                for turn in turns:
                    await turn.acquire()
                    held.append(turn)
        except TimeoutError:
            _give_back(held)
            raise too_busy("too many calls to OCI are under way") from None
        except BaseException:
            _give_back(held)
            raise
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="claviger-oci")
        loop = asyncio.get_running_loop()
        try:
            running = loop.run_in_executor(self._pool, work)
        except BaseException:
            _give_back(held)
            raise
        self._under_way[running] = cut
        running.add_done_callback(lambda done: self._ended(done, held))
        try:
            async with asyncio.timeout(limit_s):
                return await asyncio.shield(running)
        except TimeoutError:
            _cut_off(loop, running, cut)
            raise

    def _ended(self, running: asyncio.Future[Any], turns: list[asyncio.Semaphore]) -> None:
        del self._under_way[running]
        _give_back(turns)
        if not running.cancelled():
            running.exception()  # heard, so that nobody complains about one whose caller has gone

    def close(self) -> None:
        """Takes no more work, and cuts off what is under way: a program ends only after its threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        for cut in list(self._under_way.values()):
            cut()


def _cut_off(loop: asyncio.AbstractEventLoop, running: asyncio.Future[Any], cut: Callable[[], None]) -> None:
    """Cuts until the thread has noticed: it may have been about to connect."""
    if not running.done():
        cut()
        loop.call_later(_CUT_AGAIN_S, _cut_off, loop, running, cut)


def _give_back(turns: list[asyncio.Semaphore]) -> None:
    for turn in turns:
        turn.release()
