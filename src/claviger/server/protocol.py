"""One connection: bytes in, requests out to the application, answers back in order. uvicorn's protocol class.

It stands where uvicorn's own httptools protocol would and takes the same arguments, but bounds everything a client
can stretch: target, headers, trailers, pipelining, and the time for each of them (limits.py). Whatever is not HTTP is
answered in JSON, never in plain text, and in its turn: an answer to a later request never overtakes an earlier one.
What makes a head acceptable is in head.py, how a connection ends in ending.py, one request and its answer in
exchange.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from claviger.core.asgi import Headers, Scope
from claviger.server.ending import BODY, HEAD, IDLE, Ending
from claviger.server.exchange import Exchange
from claviger.server.head import WATCHED, Refused, body_length, decode_path, head_size, read_framing, read_target
from claviger.server.limits import NEVER, Wire

_ASGI = {"version": "3.0", "spec_version": "2.3"}
_QUICK_METHODS = frozenset(("GET", "POST"))
_SPARE_CONNECTIONS = 256  # over the limit, that are still told so before they are closed


class WireProtocol(Ending):
    """See the module. Made by uvicorn, once per connection; `wire` is bound beforehand with functools.partial."""

    __slots__ = (
        "_app", "_body_bytes", "_body_since", "_client", "_empty_bytes", "_headers", "_parser", "_quick", "_scheme",
        "_seen_bytes", "_server", "_state", "_tasks", "_url", "_watched",
    )  # fmt: skip

    _parser: httptools.HttpRequestParser

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        wire: Wire,
    ) -> None:
        super().__init__(wire, _loop or asyncio.get_running_loop())
        self._app = config.loaded_app
        self._quick: Callable[[Scope, bytes], bytes | None] | None = getattr(config.loaded_app, "quick", None)
        self._state = server_state
        self._tasks = server_state.tasks
        self._url = b""
        self._headers: Headers = []
        self._watched: Headers | None = None
        self._body_bytes = self._seen_bytes = self._empty_bytes = 0
        self._body_since = 0.0

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection in, or marks it as one too many."""
        self.transport = transport  # type: ignore[assignment]  # uvloop's is an asyncio.Transport in all but name
        self.flow = FlowControl(self.transport)
        self._server = get_local_addr(self.transport)
        self._client = get_remote_addr(self.transport)
        self._scheme = "https" if is_ssl(self.transport) else "http"
        wire, limits = self._wire, self._wire.limits
        connections: set[Any] = self._state.connections
        connections.add(self)
        if len(connections) <= limits.connections:
            self.deadline = wire.now + limits.head_s
            self._parser = httptools.HttpRequestParser(self)
            return
        wire.connections_refused += 1
        self._deaf = self._surplus = True
        self.deadline = wire.now + limits.leave_s
        if len(connections) > limits.connections + _SPARE_CONNECTIONS:
            self._abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells everybody who still waits for this client."""
        connections: set[Any] = self._state.connections
        connections.discard(self)
        for exchange in (self._running, self._incoming, *self._waiting):
            if exchange is not None and not exchange.response_complete:
                exchange.disconnect()
        self._waiting.clear()
        self._running = self._incoming = None
        if not self._surplus:
            del self._parser  # it holds bound methods of this object: a cycle
        self._deaf = True
        self.deadline = self.write_deadline = NEVER
        self.flow.resume_writing()

    def eof_received(self) -> bool:
        """A client that only stopped sending still gets its answer, where a transport can be half open (not TLS)."""
        self._eof = True
        if not self._deaf and self._phase != IDLE:
            self.refuse(400, "The request ended before it was complete.")
        self._deaf = True
        last = self._waiting[-1] if self._waiting else self._running
        if last is not None and self._last_word is None:
            last.keep_alive = False
        return last is not None and self._scheme == "http"

    def pause_writing(self) -> None:
        """The transport's buffer is full: the client takes its answer slowly or not at all."""
        self.write_deadline = self._wire.now + self._wire.limits.write_stall_s
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        """The client took something."""
        self.write_deadline = NEVER
        self.flow.resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parses; every callback below happens inside."""
        if self._deaf:
            self._throw_away(len(data))
            return
        self._fed += len(data)
        in_body, body_bytes = self._phase == BODY, self._body_bytes
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # answered as if it had not asked; what follows is not for us
            return
        except httptools.HttpParserError as error:
            self._unparsable(error)
            return
        if self._phase == IDLE:
            self._fed = self._began_at = 0
        elif self._phase == HEAD:
            if self._fed - self._began_at > self._wire.limits.head_bytes:
                self.refuse(431, "The request's headers are too large.")
        elif in_body and self._body_bytes == body_bytes:
            self._empty_bytes += len(data)  # chunk extensions and trailers: bytes that lead nowhere
            if self._empty_bytes > self._wire.limits.head_bytes:
                self.refuse(431, "The request's trailers are too large.")

    def _unparsable(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(error, httptools.HttpParserInvalidURLError):
            self._url = self._url or b"?"  # it has begun, though nothing of it was passed on
        if isinstance(cause, Refused):
            self.refuse(cause.status, cause.message)
        elif isinstance(error, httptools.HttpParserCallbackError):
            self.refuse(400, "The request cannot be read.")
        else:
            self.refuse(400, f"The request is not valid HTTP: {error}.")

    def _is_reading_head_request(self) -> bool:
        # Of a request whose target has not begun, the parser may still have the method of the one before.
        return bool(self._url) and self._phase != IDLE and self._parser.get_method() == b"HEAD"

    def _path_being_read(self) -> str:
        return "" if self._phase == IDLE else self._url.partition(b"?")[0].decode("latin-1")

    # The parser's side

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._phase = HEAD
        self._url = b""
        self._headers = []
        self._watched = None
        self.deadline = self._wire.now + self._wire.limits.head_s

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._url += url
        if len(self._url) > self._wire.limits.target_bytes:
            raise Refused(414, "The request URI is too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; after `on_headers_complete` a trailer, which lands in a list that nobody reads."""
        name, value = name.lower(), value.rstrip(b" \t")
        headers = self._headers
        headers.append((name, value))
        if name in WATCHED:
            if self._watched is None:
                self._watched = []
            self._watched.append((name, value))
        if len(headers) > self._wire.limits.header_count:
            raise Refused(431, "The request has too many headers.")

    def on_headers_complete(self) -> None:
        """Checks the head, and gives the request to its application or puts it in line."""
        parser, wire = self._parser, self._wire
        target, headers = self._url, self._headers
        self._headers = []
        if self._fed > wire.limits.head_bytes and head_size(target, headers) > wire.limits.head_bytes:
            raise Refused(431, "The request's headers are too large.")
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Refused(400, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
        keep_alive = version == "1.1" and parser.should_keep_alive()
        awaits_continue = False
        if self._watched is not None:
            upgrades = parser.should_upgrade()
            awaits_continue = read_framing(self._watched, version, upgrades)
            keep_alive = keep_alive and not upgrades
        raw_path, query, headers = read_target(target, headers)
        scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "scheme": self._scheme,
            "path": decode_path(raw_path),
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": self._client,
            "server": self._server,
        }
        self._phase = BODY
        self._body_bytes = self._seen_bytes = self._empty_bytes = 0
        self._body_since = wire.now
        self.deadline = wire.now + wire.limits.stall_s
        exchange = self._incoming = Exchange(self, scope, keep_alive, awaits_continue)
        if self._running is None:
            self._start(exchange)
            return
        self._waiting.append(exchange)
        if len(self._waiting) > wire.limits.pipelined:
            raise Refused(400, "Too many requests at once on one connection.")
        self.flow.pause_reading()

    def on_body(self, body: bytes) -> None:
        """A piece of the body; thrown away once the answer is complete."""
        self._body_bytes += len(body)
        exchange = self._incoming
        if exchange is None or exchange.response_complete:
            self._linger_left -= len(body)
            if self._linger_left < 0:
                self._close()
            return
        exchange.body += body
        if len(exchange.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        exchange.wake()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._phase = IDLE
        self._began_at = self._fed
        self.deadline = NEVER
        exchange, self._incoming = self._incoming, None
        if exchange is not None:
            exchange.more_body = False
            exchange.wake()
            if exchange.response_complete and self._running is None:
                self.deadline = self._wire.now + self._wire.limits.idle_s

    # The exchanges' side

    def _start(self, exchange: Exchange) -> None:
        """Begins to answer: without a task where the application knows the whole answer at once.

        It is asked from the loop's queue and not from here, in the middle of reading: what a store reads there is as
        new as what a task would read, and a request with a small body has arrived as a whole.
        """
        self._running = exchange
        self._wire.requests += 1
        if self._quick is not None and exchange.scope["method"] in _QUICK_METHODS:
            self.loop.call_soon(self._answer_quickly, exchange)
        else:
            self._run(exchange)

    def _answer_quickly(self, exchange: Exchange) -> None:
        simple = exchange.keep_alive and not (exchange.more_body or exchange.disconnected or self.flow.write_paused)
        answer = self._quick(exchange.scope, bytes(exchange.body)) if simple and self._quick is not None else None
        if answer is None:
            self._run(exchange)
        else:
            exchange.answer(answer)

    def _run(self, exchange: Exchange) -> None:
        task = self.loop.create_task(exchange.run(self._app))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def can_drain(self, exchange: Exchange) -> bool:
        """True when the rest of the body is known to be small."""
        if exchange is not self._incoming:
            return True
        length = body_length(self._watched or [])
        return length is not None and length - self._body_bytes <= self._wire.limits.drain_bytes

    def exchange_done(self, exchange: Exchange) -> None:
        """Turns to the next request, or ends the connection."""
        self._state.total_requests += 1
        self._running = None
        if self.transport.is_closing():
            return
        if not exchange.keep_alive:
            self._linger()
            return
        if self._waiting:
            self._start(self._waiting.popleft())
        elif self._last_word is not None:
            self._say_last_word(self._last_word)
            return
        elif self._phase == IDLE:
            self.deadline = self._wire.now + self._wire.limits.idle_s
        elif self._incoming is exchange:
            self._linger_left = self._wire.limits.drain_bytes
            self.deadline = self._wire.now + self._wire.limits.leave_s
        self.flow.resume_reading()

    # The tick

    def overdue(self, now: float) -> None:
        """Called on the first tick after a deadline."""
        limits = self._wire.limits
        if self.transport.is_closing() or self.write_deadline <= now:
            self._abort()
        elif self.flow.read_paused and self._phase != IDLE:
            self._body_since = now  # it is the application that takes its time
            self.deadline = now + limits.stall_s
        elif self._phase == HEAD:
            self.refuse(408, "The request's headers did not arrive in time.")
        elif self._phase == BODY and self._incoming is not None and not self._incoming.response_complete:
            late = now >= self._body_since + limits.body_s + self._body_bytes / limits.body_rate
            if late or self._body_bytes == self._seen_bytes:
                self.refuse(408, "The request's body did not arrive in time.")
            else:
                self._seen_bytes = self._body_bytes
                self.deadline = now + limits.stall_s
        else:
            self._close()
