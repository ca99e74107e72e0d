"""Sends whole requests as they are over a few kept connections, and says what came of each.

An answer must be whole within 5 s of the request's last byte, not counting the time for which this program was held up
(a trial that makes its next callers holds up all channels, and what came meanwhile is not late), nor what `patience`
does not count. A connection that the
server ended, as it may after any answer, is made anew; where that happens before the answer to a request that reused
it, the request is sent once more.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from figures.answers import Answer, AnswerReader, NotAnAnswer
from figures.connection import TlsConnection
from figures.patience import in_time

ANSWER_LIMIT_S = 5.0
SEND_LIMIT_S = 30.0

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What came of a request: an answer, or the kind of finding and its detail."""

    answer: Answer | None
    seconds: float
    kind: str = ""
    detail: str = ""


class Channel:
    """One connection at a time, opened when needed."""

    def __init__(self, port: int, context: ssl.SSLContext, name: str) -> None:
        self._port, self._context, self._name = port, context, name
        self._connection: TlsConnection | None = None
        self._reader = AnswerReader()

    async def exchange(self, raw: bytes, method: str) -> Outcome:
        """Sends a request and waits for its answer."""
        reused = self._connection is not None
        outcome = await self._try(raw, method)
        if reused and outcome.kind == "no answer":
            outcome = await self._try(raw, method)
        return outcome

    async def _try(self, raw: bytes, method: str) -> Outcome:
        began = time.monotonic()
        try:
            if self._connection is None:
                self._connection = await TlsConnection.open(self._port, self._context, self._name)
                self._reader = AnswerReader()
            reading = asyncio.create_task(self._read(self._connection, method))
            try:
                async with asyncio.timeout(SEND_LIMIT_S):
                    await self._connection.send([raw])
            except OSError:
                pass  # closed while a long body was on its way: there may be an answer all the same
            began = time.monotonic()
            answer = await in_time(reading, ANSWER_LIMIT_S)
        except NotAnAnswer as problem:
            return self._failed(began, "not an answer", str(problem))
        except TimeoutError:
            return self._failed(began, "hang", f"no whole answer in {ANSWER_LIMIT_S:g} s")
        except OSError as problem:
            return self._failed(began, "no answer", f"{type(problem).__name__}: {problem}")
        if answer is None:
            return self._failed(began, "no answer", "closed without one")
        seconds = time.monotonic() - began
        if not self._reader.idle:
            return self._failed(began, "not an answer", "more bytes than the answer has")
        if answer.closes:
            self.close()
        return Outcome(answer, seconds)

    async def _read(self, connection: TlsConnection, method: str) -> Answer | None:
        while True:
            answer = self._reader.next(method)
            if answer is not None:
                return answer
            more = await connection.receive()
            self._reader.feed(more)
            if not more:
                return self._reader.next(method)

    def _failed(self, began: float, kind: str, detail: str) -> Outcome:
        self.close()
        return Outcome(None, time.monotonic() - began, kind, detail)

    def close(self) -> None:
        """Lets go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Crew(Generic[T]):
    """Several workers that take from one line, each until it is empty."""

    def __init__(self, line: Iterable[T], note: Callable[[T, Outcome], None]) -> None:
        self._line = iter(line)
        self._note = note

    async def work(self, channel: Channel, ready: Callable[[T], tuple[bytes, str]]) -> None:
        """One worker's day; `ready` gives the bytes and the method of each."""
        for each in self._line:
            self._note(each, await channel.exchange(*ready(each)))
        channel.close()
