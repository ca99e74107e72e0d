"""A witness that is sent checkpoints by HTTPS: each is POSTed, as the line that a witness's file has for it.

Nobody waits for a receiver. One place holds the newest checkpoint that is not there yet: it covers all earlier ones of
its log, so a newer one takes its place. It is tried again as notices are, and given up after about a day; the next one
is tried all the same. What was delivered is known to this process alone, so a start sends the last checkpoint again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from claviger.audit.witness import line_of
from claviger.core.clock import Clock
from claviger.core.sensitive import Sensitive
from claviger.outgoing.rules import LONGEST_RETRY_AFTER_S, Outcome, pause_after, pause_of_receiver, retry_after
from claviger.outgoing.signature import headers_of

if TYPE_CHECKING:  # aiohttp, which most commands never need
    from claviger.outgoing.transport import Transport

CONTENT_TYPE = "application/json"
POLL_S = 1.0
CLOSE_S = 3.0

log = logging.getLogger("claviger.audit")


class WebhookWitness:
    """Sends to one receiver. `clock` is the machine's own: waits, and the receivers' idea of the time, go by it.

    `url` is as `outgoing.rules.url_problem` lets it through, and may hold a secret of its receiver: it is never shown.
    `key` signs (Standard Webhooks), None does not; `authority` is what the receiver's certificate is checked with, PEM,
    empty for what the machine trusts.
    """

    def __init__(
        self,
        url: Sensitive,
        clock: Clock,
        *,
        key: Sensitive | None = None,
        authority: str = "",
        poll_s: float = POLL_S,
        attempt_s: float | None = None,
        close_s: float = CLOSE_S,
    ) -> None:
        parts = urlsplit(url.reveal_text())
        self.name = f"{parts.scheme}://{parts.hostname}"
        self._url = url
        self._clock = clock
        self._keys = () if key is None else (key,)
        self._authority = authority
        self._poll_s = poll_s
        self._attempt_s = attempt_s
        self._close_s = close_s
        self._transport: Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._delivered: str | None = None
        self._note: str | None = None
        self._attempts = 0
        self._try_at = 0.0
        self._failures = 0
        self._free_at = 0.0
        self._told = ""
        self._closing = False
        self._tried = False

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt did not reach it."""
        return self._failures > 0

    async def show(self, note: str) -> None:
        """Has it sent, instead of one that waits; returns at once. Nothing is taken any more once it is closed."""
        if self._closing or note == self._note:
            return
        self._note, self._attempts, self._try_at, self._tried = note, 0, 0.0, False
        self._woken.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._deliver())

    async def last(self) -> str | None:
        """What this process delivered last."""
        return self._delivered

    async def close(self) -> None:
        """Tries what waits once more, for `close_s` at most, and ends the connection."""
        self._closing, self._tried = True, False
        self._woken.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=self._close_s)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._note is not None:
            log.warning("the witness %s has not taken the last checkpoint: the next start sends it again", self.name)
        if self._transport is not None:
            await self._transport.close()
            self._transport = None

    async def _deliver(self) -> None:
        """Until nothing waits; at the close until what waits was tried."""
        while (note := self._note) is not None and not (self._closing and self._tried):
            wait = max(self._try_at, self._free_at) - self._clock.monotonic()
            if wait > 0 and not self._closing:
                await self._sleep(min(wait, self._poll_s))
                continue
            outcome = await self._sent(note)
            if self._note == note:
                self._tried = True
            if outcome.error:
                self._failed(note, outcome)
            else:
                self._succeeded(note)

    async def _sleep(self, seconds: float) -> None:
        self._woken.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _sent(self, note: str) -> Outcome:
        body = line_of(note)
        ident = f"checkpoint-{hashlib.sha256(note.encode()).hexdigest()[:32]}"  # whoever sends it, and whenever
        headers = headers_of(ident, int(self._clock.now()), body, [key.reveal() for key in self._keys])
        headers["Content-Type"] = CONTENT_TYPE
        return await self._opened().post(self._url.reveal_text(), self._authority, headers, body)

    def _opened(self) -> Transport:
        if self._transport is None:
            from claviger.outgoing.transport import ATTEMPT_S, Transport

            self._transport = Transport(attempt_s=self._attempt_s or ATTEMPT_S)
        return self._transport

    def _succeeded(self, note: str) -> None:
        if self._failures:
            log.info("the witness %s takes checkpoints again", self.name)
        self._delivered, self._failures, self._free_at, self._told = note, 0, 0.0, ""
        if self._note == note:
            self._note = None

    def _failed(self, note: str, outcome: Outcome) -> None:
        now = self._clock.monotonic()
        asked = retry_after(outcome.retry_after, self._clock.now())
        self._failures += 1
        self._free_at = now + max(pause_of_receiver(self._failures), min(asked or 0.0, LONGEST_RETRY_AFTER_S))
        if outcome.error != self._told:  # once, not at every attempt
            log.error("the witness %s did not take a checkpoint: %s", self.name, outcome.error)
        self._told = outcome.error
        if self._note != note:
            return
        self._attempts += 1
        pause = pause_after(self._attempts, asked)
        if pause is None:
            log.error("the witness %s is not sent this checkpoint any more: %s", self.name, outcome.error)
            self._note = None
        else:
            self._try_at = now + pause
