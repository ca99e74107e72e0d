"""Carries bytes both ways between two streams until both directions have ended, or nothing has moved for too long.

The end of one direction is passed on and the other goes on (a half-closed connection); a reset ends both. What one side
does not take in time is not read from the other side either.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

BLOCK = 65_536
CLOSE_S = 5.0


class Stream(NamedTuple):
    """Both ends of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def close(self) -> None:
        """Closes it once what was written has left, at the latest after `CLOSE_S`."""
        try:
            async with asyncio.timeout(CLOSE_S):
                self.writer.close()
                await self.writer.wait_closed()
        except OSError:
            self.writer.transport.abort()


class Relay:
    """One tunnel. It ends after `idle_s` without a byte in either direction, `half_closed_s` once one has ended."""

    def __init__(self, one: Stream, other: Stream, *, idle_s: float, half_closed_s: float) -> None:
        self._one = one
        self._other = other
        self._idle_s = idle_s
        self._half_closed_s = min(half_closed_s, idle_s)
        self._loop = asyncio.get_running_loop()
        self._moved_at = self._loop.time()

    async def run(self) -> None:
        """Returns when the tunnel has ended, however it did; closing the streams is left to the caller."""
        copies = (self._copy(self._one, self._other), self._copy(self._other, self._one))
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch())
                await asyncio.wait([group.create_task(copy) for copy in copies])
                watch.cancel()
        except* (OSError, _Ended):
            pass

    async def _copy(self, source: Stream, target: Stream) -> None:
        while block := await source.reader.read(BLOCK):
            target.writer.write(block)
            await target.writer.drain()
            self._moved_at = self._loop.time()
        if not target.writer.can_write_eof():  # TLS has no half that could be closed
            raise _Ended
        target.writer.write_eof()
        self._idle_s = self._half_closed_s

    async def _watch(self) -> None:
        """Looks again often enough to notice that a direction has ended and the time is shorter."""
        while (left := self._moved_at + self._idle_s - self._loop.time()) > 0:  # noqa: ASYNC110 - a time-out
            await asyncio.sleep(min(left, self._half_closed_s))
        raise _Ended


class _Ended(Exception):
    """Nothing moves any more."""
