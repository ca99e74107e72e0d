"""How a connection ends so that the client still gets to read its answer. The lower half of `protocol.WireProtocol`.

Closing a socket while unread bytes wait in it makes the kernel reset the connection, and the reset may reach the
client before the answer does. So after a last answer the connection lingers: what still comes is read and thrown away
until it stops, is too much, or takes too long (limits.py).
"""

from __future__ import annotations

import asyncio
from collections import deque

from uvicorn.protocols.http.flow_control import FlowControl

from claviger.server.exchange import STATUS_LINES, Exchange
from claviger.server.limits import NEVER, Wire

IDLE, HEAD, BODY = 0, 1, 2
"""Where the reading of requests is: between two of them, in a head, in a body."""


class Ending(asyncio.Protocol):
    """A connection's own state, and the ways out of it."""

    __slots__ = (
        "_began_at", "_deaf", "_eof", "_fed", "_incoming", "_last_word", "_linger_left", "_linger_pause",
        "_linger_until", "_phase", "_quiet", "_running", "_surplus", "_waiting", "_wire", "deadline", "flow", "loop",
        "transport", "write_deadline",
    )  # fmt: skip

    transport: asyncio.Transport
    flow: FlowControl

    def __init__(self, wire: Wire, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.deadline = self.write_deadline = NEVER
        self._wire = wire
        self._phase = IDLE
        self._running: Exchange | None = None  # the one whose turn it is to answer
        self._incoming: Exchange | None = None  # the one whose body is being read
        self._waiting: deque[Exchange] = deque()  # read, and behind the running one
        self._last_word: bytes | None = None  # a refusal to be said after all of them
        self._deaf = False  # nothing more is parsed
        self._eof = False  # the client has stopped sending
        self._surplus = False  # one connection too many
        self._fed = self._began_at = 0
        self._linger_left = 0
        self._linger_until = self._linger_pause = 0.0
        self._quiet = True

    def refuse(self, status: int, message: str) -> None:
        """Ends the reading of requests with a refusal, said when those before it are answered.

        Nothing is said to what comes behind a request that asked for "Connection: close".
        """
        without_body, path = self._is_reading_head_request(), self._path_being_read()
        incoming, self._incoming = self._incoming, None
        self._deaf = True
        self.deadline = NEVER
        if incoming is not None and incoming is self._running:
            incoming.disconnect()
            if not incoming.untouched:
                self._abort()
                return
            self._running = None
        elif incoming is not None and incoming.response_complete:
            self._close()  # it had its answer, and only the rest of its body was bad
            return
        elif incoming is not None:
            incoming.disconnect()
            self._waiting.remove(incoming)
        if self._running is None:
            self._say_last_word(self._refusal(status, message, path=path, without_body=without_body))
        elif self._last_word is None and not self._last_exchange_closes():
            self._last_word = self._refusal(status, message, path=path, without_body=without_body)

    def exchange_failed(self, exchange: Exchange) -> None:
        """Answers 500 where nothing was answered yet; half an answer can only be cut off."""
        if exchange.disconnected or self.transport.is_closing():
            return
        if exchange is not self._running or not exchange.untouched:
            self._abort()
            return
        exchange.disconnect()
        self._running = None
        self._waiting.clear()
        path, without_body = exchange.scope["path"], exchange.scope["method"] == "HEAD"
        self._say_last_word(self._refusal(500, "The server failed to answer.", path=path, without_body=without_body))

    def shutdown(self) -> None:
        """Asked by the server when it stops: closes now, or with the answer that is under way."""
        if self._running is None:
            self._close()
        else:
            self._running.keep_alive = False

    def _last_exchange_closes(self) -> bool:
        last = self._waiting[-1] if self._waiting else self._running
        return last is not None and not last.keep_alive

    def _is_reading_head_request(self) -> bool:
        """Whether a HEAD is being read, whose answer has no body (RFC 9110 §9.3.2); False where nothing is known."""
        return False

    def _path_being_read(self) -> str:
        """As much of the path of the request that is being read as there is; its clients expect their own shape."""
        return ""

    def _refusal(
        self, status: int, message: str, more: bytes = b"", *, path: str = "", without_body: bool = False
    ) -> bytes:
        self._wire.count_refusal(status)
        failures = self._wire.failures_at(path)
        body = failures.body(status, message)
        more += b"".join(b"%b: %b\r\n" % header for header in failures.headers())
        head = (
            b"%bcontent-type: application/json; charset=utf-8\r\ncontent-length: %d\r\n"
            b"cache-control: no-cache\r\n%bconnection: close\r\n\r\n" % (STATUS_LINES[status], len(body), more)
        )
        return head if without_body else head + body

    def _say_last_word(self, word: bytes) -> None:
        self._last_word = None
        if not self.transport.is_closing():
            self.transport.write(word)
            self._linger()

    def _linger(self) -> None:
        limits = self._wire.limits
        self._deaf, self._last_word = True, None
        self._waiting.clear()
        if self._eof or (self._phase == IDLE and not self._surplus and self._fed == self._began_at):
            self._close()  # nothing is left unread
            return
        self._linger_left = limits.linger_bytes
        self._linger_until = self.loop.time() + limits.linger_s
        self._quiet = True
        self.deadline = NEVER
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._linger_pause = limits.linger_body_s if self._phase == BODY else limits.linger_quiet_s
        self.loop.call_later(self._linger_pause, self._linger_on)

    def _linger_on(self) -> None:
        if self.transport.is_closing():
            return
        if self._quiet or self.loop.time() >= self._linger_until:
            self._close()
            return
        self._quiet = True
        self.loop.call_later(self._linger_pause, self._linger_on)

    def _throw_away(self, size: int) -> None:
        self._quiet = False
        if self._surplus and not self._linger_until:
            self._say_last_word(self._refusal(503, "Too many connections; try again.", b"retry-after: 1\r\n"))
        elif self._linger_until:
            self._linger_left -= size
            if self._linger_left < 0:
                self._close()

    def _close(self) -> None:
        if not self.transport.is_closing():
            self._deaf = True
            self.deadline = self._wire.now + self._wire.limits.leave_s
            self.transport.close()

    def _abort(self) -> None:
        self._deaf = True
        self.transport.abort()
