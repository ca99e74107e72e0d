"""One request and its answer, as an ASGI application sees them: `receive` gives the body, `send` takes the answer.

The answer's head is held back until the first piece of its body, so that both leave in one write and a failure in
between can still be answered properly. The connection (protocol.py) decides when an exchange may write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl

from claviger.core.asgi import Application, Message, Scope
from claviger.server.asgi import status_line
from claviger.server.logs import describe_failure

STATUS_LINES = {status: status_line(status) for status in range(100, 600)}
_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"connection"))
_PIECE = 64 * 1024
_BODILESS = frozenset((204, 304))
_DISCONNECT: Message = {"type": "http.disconnect"}

logger = logging.getLogger(__name__)


class Owner(Protocol):
    """The connection, as far as an exchange needs it."""

    transport: asyncio.Transport
    flow: FlowControl
    loop: asyncio.AbstractEventLoop

    def can_drain(self, exchange: Exchange) -> bool:
        """True when so little of the request's body is still to come that the connection can be kept."""
        ...

    def exchange_done(self, exchange: Exchange) -> None:
        """The last byte of the answer was handed to the transport."""
        ...

    def exchange_failed(self, exchange: Exchange) -> None:
        """The application is gone without a whole answer."""
        ...


class Exchange:
    """Carries one request to its application and the answer back. Used once, by one task."""

    __slots__ = (
        "_bodiless",
        "_chunked",
        "_head",
        "_left",
        "_told_end",
        "_waiter",
        "awaits_continue",
        "body",
        "disconnected",
        "keep_alive",
        "more_body",
        "owner",
        "response_complete",
        "scope",
        "started",
    )

    def __init__(self, owner: Owner, scope: Scope, keep_alive: bool, awaits_continue: bool) -> None:
        self.owner = owner
        self.scope = scope
        self.keep_alive = keep_alive
        self.awaits_continue = awaits_continue
        self.body = bytearray()
        self.more_body = True
        self.disconnected = False
        self.started = False
        self.response_complete = False
        self._told_end = False
        self._waiter: asyncio.Future[None] | None = None
        self._head: bytes | None = None
        self._left = 0
        self._chunked = False
        self._bodiless = False

    @property
    def untouched(self) -> bool:
        """True while no byte of the answer is on the wire, so that another answer may take its place."""
        return not self.started or self._head is not None

    async def run(self, app: Application) -> None:
        """Runs the application to its end; whatever it does, the client gets an answer or a closed connection."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self.owner.exchange_failed(self)
            raise
        except Exception as failure:  # noqa: BLE001 - the last place that can answer for it
            logger.error("an application failed: %s", describe_failure(failure))
            self.owner.exchange_failed(self)
        else:
            if not self.response_complete and not self.disconnected:
                logger.error("an application ended without a whole answer")
                self.owner.exchange_failed(self)

    def answer(self, whole: bytes) -> None:
        """Gives a whole answer, head and body, with nothing of an application left to run."""
        self.started = self.response_complete = True
        self.owner.transport.write(whole)
        self.owner.exchange_done(self)

    def wake(self) -> None:
        """Something changed for a `receive` that waits."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def disconnect(self) -> None:
        """Nobody listens any more: the application is told, and what it sends is dropped."""
        self.disconnected = True
        self.wake()

    async def receive(self) -> Message:
        """The next piece of the body (ASGI `http.request`), or `http.disconnect` once there is nobody to answer."""
        owner = self.owner
        if self.awaits_continue and not self.disconnected and not owner.transport.is_closing():
            self.awaits_continue = False
            owner.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self.disconnected or self.response_complete):
            if self.body or not (self.more_body or self._told_end):
                self._told_end = not self.more_body
                body, self.body = bytes(self.body), bytearray()
                return {"type": "http.request", "body": body, "more_body": self.more_body}
            owner.flow.resume_reading()
            self._waiter = owner.loop.create_future()
            await self._waiter
        return _DISCONNECT

    async def send(self, message: Message) -> None:
        """Takes ASGI `http.response.start`, then `http.response.body`. Raises RuntimeError when out of order.

        One word of our own: `http.response.cut` ends the connection without an answer, as a broken network does.
        """
        if self.owner.flow.write_paused and not self.disconnected:
            await self.owner.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.cut" and not self.response_complete:
            self.disconnected = True
            self.owner.transport.abort()
        elif not self.started:
            if kind != "http.response.start":
                raise RuntimeError(f"an answer begins with http.response.start, not {kind}")
            self._begin(message["status"], message.get("headers", ()))
        elif self.response_complete or kind != "http.response.body":
            raise RuntimeError(f"{kind} is out of place here")
        else:
            body, more = message.get("body", b""), message.get("more_body", False)
            if len(body) > _PIECE:
                body = await self._write_pieces(body)
            if not self.disconnected:
                self._write(body, more)

    async def _write_pieces(self, body: bytes) -> bytes:
        """Sends all but the last piece, at the client's pace: what is handed to a TLS transport is out of our sight."""
        last = (len(body) - 1) // _PIECE * _PIECE
        for at in range(0, last, _PIECE):
            self._write(body[at : at + _PIECE], more=True)
            if self.owner.flow.write_paused:
                await self.owner.flow.drain()
            if self.disconnected:
                break
        return body[last:]

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        if self.keep_alive and self.more_body:
            # After a final answer in place of 100 Continue the client may send the body or not: only closing is safe.
            self.keep_alive = not self.awaits_continue and self.owner.can_drain(self)
        self.awaits_continue = False
        parts = [STATUS_LINES[status]]
        lines = 2
        length: int | None = None
        for name, value in headers:
            if name in _FRAMING:
                if name == b"content-length":
                    length = int(value)
                elif name == b"connection" and b"close" in value.lower():
                    self.keep_alive = False
                    continue
                else:
                    continue  # how the answer is framed is not the application's to say
            parts += (name, b": ", value, b"\r\n")
            lines += 1
        self._bodiless = self.scope["method"] == "HEAD" or status in _BODILESS
        self._left = length or 0
        if length is None and not self._bodiless:
            if self.scope["http_version"] == "1.1":
                self._chunked = True
                parts.append(b"transfer-encoding: chunked\r\n")
                lines += 1
            else:
                self.keep_alive = False
                self._left = -1
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
            lines += 1
        parts.append(b"\r\n")
        head = b"".join(parts)
        if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
            raise RuntimeError("a header of the answer holds a control character")
        self._head = head
        self.started = True

    def _write(self, body: bytes, more: bool) -> None:
        if self._bodiless:
            body = b""
        elif self._chunked:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            if not more:
                body += b"0\r\n\r\n"
        elif self._left >= 0:  # -1: the answer ends with the connection
            left = self._left - len(body)
            if left < 0 or (left and not more):
                raise RuntimeError("the answer is not as long as its Content-Length")
            self._left = left
        transport = self.owner.transport
        head = self._head
        if head is not None:
            self._head = None
            transport.write(head + body)
        elif body:
            transport.write(body)
        if not more:
            self.response_complete = True
            if self._waiter is not None:
                self.wake()
            self.owner.exchange_done(self)
