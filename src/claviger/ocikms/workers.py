"""A few threads for arithmetic that would hold the event loop up, and a bound on how much of it may wait.

`cryptography` lets go of the interpreter while it makes or uses a private key, so others are answered meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from claviger.core.errors import Throttled, Unavailable

T = TypeVar("T")


class Workers:
    """`threads` threads; at most `most` pieces of work that run or wait. Belongs to one event loop."""

    def __init__(self, name: str, threads: int, most: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = most
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` gives, from one of the threads. Raises Throttled("TooMuchWork"), Unavailable after `stop`, and
        what `work` raises.

        Whoever goes away before the end does not make room: the thread is busy until the work is done.
        """
        if self._waiting >= self._most:
            raise Throttled("TooMuchWork", message="too many expensive operations at once; try again", retry_after_s=1)
        loop = asyncio.get_running_loop()

        def ended(_: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever counts
                loop.call_soon_threadsafe(self._ended)

        try:
            future = self._pool.submit(work)
        except RuntimeError:
            raise Unavailable("Stopping") from None
        self._waiting += 1
        future.add_done_callback(ended)
        return await asyncio.wrap_future(future)

    def _ended(self) -> None:
        self._waiting -= 1

    def stop(self) -> None:
        """Takes no more work, and does not begin what waits."""
        self._pool.shutdown(wait=False, cancel_futures=True)
