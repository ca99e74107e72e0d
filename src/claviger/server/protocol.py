"""One connection: bytes in, requests out to the application, answers back in order. Given to uvicorn as its protocol class.

It stands where uvicorn's own httptools protocol would and takes the same arguments, but bounds everything a client can
stretch: target, headers, trailers, pipelining, and the time for each of them (limits.py). Whatever is not HTTP is answered
in JSON, never in plain text, and in its turn: an answer to a later request never overtakes an earlier one. A body that
nobody read is thrown away for a while before the connection is closed, or its sender might never see the answer.

Reading and writing are separate: `_phase` is where the reading of requests is, `_running` the exchange whose turn it is
to write, `_waiting` those behind it. After the last answer a connection only lingers (`_deaf`).
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections import deque
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from claviger.server.asgi import Headers, Scope
from claviger.server.exchange import STATUS_LINES, Exchange
from claviger.server.limits import NEVER, Wire

_IDLE, _HEAD, _BODY = 0, 1, 2
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_WATCHED = frozenset((b"expect", b"content-length", b"transfer-encoding", b"upgrade"))
_SPARE_CONNECTIONS = 256  # over the limit, that are still told so before they are closed


class Refused(Exception):
    """A request that ends here: status, and a sentence for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


class WireProtocol(asyncio.Protocol):
    """See the module. Made by uvicorn, once per connection; `wire` is bound beforehand with functools.partial."""

    __slots__ = (
        "_app", "_began_at", "_body_bytes", "_body_since", "_client", "_deaf", "_empty_bytes", "_fed", "_headers",
        "_incoming", "_last_word", "_linger_left", "_linger_until", "_parser", "_phase", "_quiet", "_running", "_scheme",
        "_seen_bytes", "_server", "_state", "_surplus", "_tasks", "_url", "_waiting", "_watched", "_wire", "deadline",
        "flow", "loop", "transport", "write_deadline",
    )  # fmt: skip

    transport: asyncio.Transport
    flow: FlowControl

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        wire: Wire,
    ) -> None:
        self._app = config.loaded_app
        self._state = server_state
        self._tasks = server_state.tasks
        self.loop = _loop or asyncio.get_running_loop()
        self._wire = wire
        self._parser: httptools.HttpRequestParser | None = None
        self._running: Exchange | None = None
        self._incoming: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._last_word: bytes | None = None
        self._phase = _IDLE
        self._deaf = self._surplus = False
        self._fed = self._began_at = self._body_bytes = self._seen_bytes = self._empty_bytes = 0
        self._linger_left = 0
        self._body_since = self._linger_until = 0.0
        self._quiet = True
        self._url = b""
        self._headers: Headers = []
        self._watched: Headers | None = None
        self.deadline = self.write_deadline = NEVER

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes the connection in, or marks it as one too many."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.flow = FlowControl(transport)
        self._server = get_local_addr(transport)
        self._client = get_remote_addr(transport)
        self._scheme = "https" if is_ssl(transport) else "http"
        wire, limits = self._wire, self._wire.limits
        self.deadline = wire.now + limits.head_s
        connections: set[Any] = self._state.connections
        connections.add(self)
        if len(connections) > limits.connections:
            wire.connections_refused += 1
            if len(connections) > limits.connections + _SPARE_CONNECTIONS:
                transport.abort()
            self._deaf = self._surplus = True
            self.deadline = wire.now + limits.linger_s
            return
        self._parser = httptools.HttpRequestParser(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells everybody who still waits for this client."""
        connections: set[Any] = self._state.connections
        connections.discard(self)
        for exchange in (self._running, self._incoming, *self._waiting):
            if exchange is not None and not exchange.response_complete:
                exchange.disconnect()
        self._waiting.clear()
        self._running = self._incoming = self._parser = None  # the parser holds bound methods: a cycle
        self.deadline = self.write_deadline = NEVER
        self._deaf = True
        self.flow.resume_writing()

    def eof_received(self) -> bool:
        """A client that has said its last word still gets its answer, where the transport knows half-open connections."""
        if self._deaf and self._last_word is None:
            return False
        if self._phase != _IDLE:
            self.refuse(400, "The request ended before it was complete.")
        return self._running is not None and self._scheme == "http"

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
        parser = self._parser
        assert parser is not None
        self._fed += len(data)
        body_bytes = self._body_bytes
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = self._running is not None  # answered as if it had not asked; what follows is not for us
            return
        except httptools.HttpParserError as error:
            self._unparsable(error)
            return
        if self._phase == _IDLE:
            self._fed = self._began_at = 0
        elif self._phase == _HEAD:
            if self._fed - self._began_at > self._wire.limits.head_bytes:
                self.refuse(431, "The request's headers are too large.")
        elif self._body_bytes == body_bytes and body_bytes:
            # Chunk extensions and trailers: bytes that lead nowhere.
            self._empty_bytes += len(data)
            if self._empty_bytes > self._wire.limits.head_bytes:
                self.refuse(431, "The request's trailers are too large.")

    def _unparsable(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, Refused):
            self.refuse(cause.status, cause.message)
        elif isinstance(error, httptools.HttpParserCallbackError):
            self.refuse(400, "The request cannot be read.")
        elif self._phase == _IDLE and self._last_exchange_closes():
            self._deaf = True  # a further request after "Connection: close"
        else:
            self.refuse(400, f"The request is not valid HTTP: {error}.")

    def _last_exchange_closes(self) -> bool:
        last = self._waiting[-1] if self._waiting else self._running
        return last is not None and not last.keep_alive

    # The parser's side

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._phase = _HEAD
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
        name = name.lower()
        headers = self._headers
        headers.append((name, value))
        if name in _WATCHED:
            if self._watched is None:
                self._watched = []
            self._watched.append((name, value))
        if len(headers) > self._wire.limits.header_count:
            raise Refused(431, "The request has too many headers.")

    def on_headers_complete(self) -> None:
        """Checks what llhttp lets pass, and gives the request to its application, or puts it in line."""
        parser = self._parser
        assert parser is not None
        wire = self._wire
        target, headers = self._url, self._headers
        self._headers = []
        if self._fed > wire.limits.head_bytes and _head_size(target, headers) > wire.limits.head_bytes:
            raise Refused(431, "The request's headers are too large.")
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Refused(400, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
        keep_alive = version == "1.1" and parser.should_keep_alive()
        awaits_continue = False
        if self._watched is not None:
            awaits_continue = _check_framing(self._watched, version) and version == "1.1"
            keep_alive = keep_alive and not parser.should_upgrade()
        if target[:1] != b"/":
            target, headers = _unusual_target(target, headers)
        raw_path, _, query = target.partition(b"?")
        if b"#" in target:
            raise Refused(400, "The request URI holds a fragment.")
        path = raw_path.decode("ascii")
        scope: Scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "scheme": self._scheme,
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": self._client,
            "server": self._server,
        }
        self._phase = _BODY
        self._body_bytes = self._seen_bytes = self._empty_bytes = 0
        self._body_since = wire.now
        self.deadline = wire.now + wire.limits.stall_s
        exchange = self._incoming = Exchange(self, scope, keep_alive, awaits_continue)
        if self._running is None:
            self._start(exchange)
        elif len(self._waiting) < wire.limits.pipelined:
            self.flow.pause_reading()
            self._waiting.append(exchange)
        else:
            raise Refused(400, "Too many requests at once on one connection.")

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
        self._phase = _IDLE
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
        """Begins to answer. The place for a path that needs no task: a hot route could be answered here at once."""
        self._running = exchange
        self._wire.requests += 1
        task = self.loop.create_task(exchange.run(self._app))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def can_drain(self, exchange: Exchange) -> bool:
        """True when the rest of the body is known to be small."""
        if exchange is not self._incoming:
            return True
        for name, value in self._watched or ():
            if name == b"content-length":
                return int(value) - self._body_bytes <= self._wire.limits.linger_bytes
        return False

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
        elif self._phase == _IDLE:
            self.deadline = self._wire.now + self._wire.limits.idle_s
        elif self._incoming is exchange:
            self._linger_left = self._wire.limits.linger_bytes
            self.deadline = self._wire.now + self._wire.limits.linger_s
        self.flow.resume_reading()

    def exchange_failed(self, exchange: Exchange) -> None:
        """Answers 500 where nothing was answered yet; half an answer can only be cut off."""
        if exchange.disconnected or self.transport.is_closing():
            return
        if exchange is not self._running or not exchange.untouched:
            self.transport.abort()
            return
        exchange.disconnect()
        self._running = None
        self._waiting.clear()
        self._say_last_word(self._refusal(500, "The server failed to answer."))

    # Ends

    def _refusal(self, status: int, message: str, more: bytes = b"") -> bytes:
        self._wire.count_refusal(status)
        body = self._wire.bad_request_body(status, message)
        return (
            b"%bcontent-type: application/json; charset=utf-8\r\ncontent-length: %d\r\n"
            b"cache-control: no-cache\r\n%bconnection: close\r\n\r\n%b" % (STATUS_LINES[status], len(body), more, body)
        )

    def refuse(self, status: int, message: str) -> None:
        """Ends the reading of requests with a refusal, said when those before it are answered."""
        incoming, running = self._incoming, self._running
        self._incoming = None
        self._deaf = True
        self.deadline = NEVER
        if incoming is not None and not incoming.response_complete and incoming is not running:
            incoming.disconnect()  # never started
            if incoming in self._waiting:
                self._waiting.remove(incoming)
        elif incoming is not None:
            if incoming.response_complete:
                self._close()
                return
            if not incoming.untouched:
                incoming.disconnect()
                self.transport.abort()
                return
            incoming.disconnect()
            running = self._running = None
        word = self._refusal(status, message)
        if running is None:
            self._say_last_word(word)
        elif self._last_word is None and not self._last_exchange_closes():
            self._last_word = word

    def _say_last_word(self, word: bytes) -> None:
        self._last_word = None
        if not self.transport.is_closing():
            self.transport.write(word)
            self._linger()

    def _linger(self) -> None:
        """Reads on and throws away, for a while: closing with unread bytes would take the answer away from the client."""
        limits = self._wire.limits
        self._deaf, self._last_word = True, None
        self._waiting.clear()
        if self._phase == _IDLE and not self._surplus and self._fed == self._began_at:
            self._close()
            return
        self._linger_left = limits.linger_bytes
        self._linger_until = self.loop.time() + limits.linger_s
        self._quiet = True
        self.deadline = NEVER
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(limits.linger_quiet_s, self._linger_on)

    def _linger_on(self) -> None:
        if self.transport.is_closing():
            return
        if self._quiet or self.loop.time() >= self._linger_until:
            self._close()
            return
        self._quiet = True
        self.loop.call_later(self._wire.limits.linger_quiet_s, self._linger_on)

    def _throw_away(self, size: int) -> None:
        if self._surplus and self._linger_until == 0.0:
            self._say_last_word(self._refusal(503, "Too many connections; try again.", b"retry-after: 1\r\n"))
        self._quiet = False
        if self._linger_until:
            self._linger_left -= size
            if self._linger_left < 0:
                self._close()

    def _close(self) -> None:
        if not self.transport.is_closing():
            self._deaf = True
            self.deadline = self._wire.now + self._wire.limits.linger_s  # for a peer that takes no leave
            self.transport.close()

    def shutdown(self) -> None:
        """Asked by the server when it stops: closes now, or with the answer that is under way."""
        if self._running is None:
            self._close()
        else:
            self._running.keep_alive = False

    def overdue(self, now: float) -> None:
        """Called on the tick after a deadline."""
        limits = self._wire.limits
        if self.transport.is_closing() or self.write_deadline <= now:
            self.transport.abort()
        elif self.flow.read_paused and self._phase != _IDLE:
            self._body_since = now  # it is the application that takes its time
            self.deadline = now + limits.stall_s
        elif self._phase == _HEAD:
            self.refuse(408, "The request's headers did not arrive in time.")
        elif self._phase == _BODY and self._incoming is not None and not self._incoming.response_complete:
            late = now >= self._body_since + limits.body_s + self._body_bytes / limits.body_rate
            if late or self._body_bytes == self._seen_bytes:
                self.refuse(408, "The request's body did not arrive in time.")
            else:
                self._seen_bytes = self._body_bytes
                self.deadline = now + limits.stall_s
        else:
            self._close()


def _head_size(target: bytes, headers: Headers) -> int:
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)


def _check_framing(watched: Headers, version: str) -> bool:
    """Refuses what could be read in two ways; True when the client waits for leave to send the body."""
    awaits_continue = has_body = upgrade = False
    for name, value in watched:
        if name == b"transfer-encoding":
            if value.strip().lower() != b"chunked" or version != "1.1":
                raise Refused(400, "The only transfer encoding is chunked, of HTTP/1.1.")
            has_body = True
        elif name == b"content-length":
            has_body = has_body or int(value) > 0
        elif name == b"upgrade":
            upgrade = True
        elif value.lower() == b"100-continue":
            awaits_continue = True
    if upgrade and has_body:
        raise Refused(400, "An upgrade with a body is not accepted.")
    return awaits_continue and has_body


def _unusual_target(target: bytes, headers: Headers) -> tuple[bytes, Headers]:
    """The path of an absolute-form target, whose host takes the Host header's place (RFC 9112 §3.2.2)."""
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        raise Refused(400, "The request URI must begin with a slash.")
    end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    host, path = rest[:end], rest[end:]
    if not path.startswith(b"/"):
        path = b"/" + path
    return path, [(b"host", host), *((name, value) for name, value in headers if name != b"host")]
