"""A real server of ours in a thread of its own, an application that shows what it was given, and raw sockets to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from claviger.core.asgi import Receive, Scope, Send
from claviger.core.clock import Clock, ManualClock, SystemClock
from claviger.core.sensitive import Sensitive
from claviger.server.asgi import reply
from claviger.server.front import Front
from claviger.server.limits import Limits
from claviger.server.metrics import Metrics
from claviger.server.run import Serving, Tls, run, serve

PATIENCE_S = 30.0


class ShowingApp:
    """Answers by the first segment of the path; `seen` keeps what reached it, `gate` holds back /wait."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.disconnects = 0
        self.body_bytes = 0
        self.gate = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        what, _, rest = scope["path"].lstrip("/").partition("/")
        self.seen.append(scope["path"])
        handler = getattr(self, f"_{what or 'hello'}", None)
        if handler is None:
            await reply(send, 404, b'{"error":"no such path"}')
        else:
            await handler(scope, receive, send, rest)

    async def _hello(self, _: Scope, __: Receive, send: Send, rest: str) -> None:
        await reply(send, 200, json.dumps({"hello": rest}).encode())

    async def _scope(self, scope: Scope, _: Receive, send: Send, __: str) -> None:
        shown = {
            name: scope[name].decode("latin-1") if isinstance(scope[name], bytes) else scope[name]
            for name in ("method", "path", "raw_path", "query_string", "scheme", "http_version")
        }
        shown["headers"] = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
        await reply(send, 200, json.dumps(shown).encode())

    async def _echo(self, _: Scope, receive: Receive, send: Send, __: str) -> None:
        body = await self._read(receive)
        await reply(send, 200, json.dumps({"length": len(body), "start": body[:64].decode("latin-1")}).encode())

    async def _read(self, receive: Receive, limit: float = float("inf")) -> bytes:
        body = b""
        while len(body) <= limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnects += 1
                break
            body += message["body"]
            self.body_bytes += len(message["body"])
            if not message["more_body"]:
                break
        return body

    async def _early(self, _: Scope, __: Receive, send: Send, rest: str) -> None:
        await reply(send, int(rest), json.dumps({"early": int(rest)}).encode())

    async def _limited(self, _: Scope, receive: Receive, send: Send, rest: str) -> None:
        body = await self._read(receive, int(rest))
        status = 413 if len(body) > int(rest) else 200
        await reply(send, status, json.dumps({"status": status}).encode())

    async def _crash(self, _: Scope, __: Receive, send: Send, rest: str) -> None:
        if rest in ("started", "half"):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        if rest == "half":
            await send({"type": "http.response.body", "body": b"12345", "more_body": True})
        raise ValueError("the canary value s3cr3t")

    async def _silent(self, _: Scope, __: Receive, send: Send, ___: str) -> None:
        return

    async def _inject(self, _: Scope, __: Receive, send: Send, ___: str) -> None:
        await reply(send, 200, b"{}", more=[(b"x-echo", b"a\r\nset-cookie: b")])

    async def _blob(self, _: Scope, __: Receive, send: Send, rest: str) -> None:
        await reply(send, 200, bytes(int(rest)))

    async def _length(self, _: Scope, __: Receive, send: Send, rest: str) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"x" * int(rest)})

    async def _wait(self, _: Scope, receive: Receive, send: Send, rest: str) -> None:
        while not self.gate.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)
        await reply(send, 200, json.dumps({"waited": rest}).encode())

    async def _big(self, _: Scope, __: Receive, send: Send, rest: str) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _block in range(int(rest)):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class MemoryBox:
    """A key box that forgets with the process."""

    def __init__(self) -> None:
        self.kept: dict[str, Sensitive] = {}

    async def ensure(self, name: str, make: Callable[[], Sensitive]) -> Sensitive:
        """See `authority.KeyBox`."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]


@dataclass
class Answer:
    """One answer as it was on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


def read_answer(stream: Any, method: str = "GET") -> Answer | None:
    """The next final answer from a file-like stream; None at its end."""
    while True:
        line = stream.readline()
        if not line:
            return None
        version, status, *_ = line.split(b" ", 2)
        assert version == b"HTTP/1.1", line
        headers: dict[str, str] = {}
        while (line := stream.readline().rstrip(b"\r\n")) != b"":
            name, _, value = line.decode("latin-1").partition(": ")
            assert name not in headers, f"{name} twice"
            headers[name] = value
        if int(status) != 100:
            break
    if method == "HEAD" or int(status) in (204, 304):
        body = b""
    elif headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            assert stream.readline() == b"\r\n"
        assert stream.readline() == b"\r\n"
    elif "content-length" in headers:
        body = stream.read(int(headers["content-length"]))
    else:
        body = stream.read()
    return Answer(int(status), headers, body)


class Served:
    """A running server, and ways to talk to it."""

    def __init__(self, app: ShowingApp, clock: Clock) -> None:
        self.app = app
        self.clock = clock
        self.serving: Serving
        self.loop: asyncio.AbstractEventLoop
        self.failure: BaseException | None = None

    @property
    def port(self) -> int:
        """The first listener's."""
        return self.serving.port

    def advance(self, seconds: float) -> None:
        """Moves the connections' clock, and has the server look at it at once."""
        assert isinstance(self.clock, ManualClock)
        self.clock.advance(seconds)
        noticed = threading.Event()

        def tick() -> None:
            self.serving.wire.tick(self.serving.connections)
            noticed.set()

        self.loop.call_soon_threadsafe(tick)
        assert noticed.wait(PATIENCE_S)

    @contextlib.contextmanager
    def connection(
        self, context: ssl.SSLContext | None = None, host: str = "localhost", buffer: int = 0
    ) -> Iterator[socket.socket]:
        """A connected socket that gives up after a while; `buffer` limits what the kernel takes in for it."""
        with socket.socket() as plain:
            plain.settimeout(PATIENCE_S)
            if buffer:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            plain.connect(("127.0.0.1", self.port))
            if context is None:
                yield plain
            else:
                with context.wrap_socket(plain, server_hostname=host) as tls:
                    yield tls

    def talk(self, sent: bytes, count: int = 1, method: str = "GET") -> list[Answer]:
        """Sends bytes on a connection of their own; up to `count` answers, fewer where the connection ends before."""
        with self.connection() as connection:
            connection.sendall(sent)
            stream = connection.makefile("rb")
            answers = (read_answer(stream, method) for _ in range(count))
            return [answer for answer in answers if answer is not None]

    def ask(self, sent: bytes, method: str = "GET") -> Answer:
        """Sends bytes, gets exactly one answer, and sees the connection closed after it if it says so."""
        with self.connection() as connection:
            connection.sendall(sent)
            stream = connection.makefile("rb")
            answer = read_answer(stream, method)
            assert answer is not None, "the connection was closed without an answer"
            if answer.headers.get("connection") == "close":
                assert stream.read() == b""
            return answer


@contextlib.contextmanager
def served(
    *,
    app: ShowingApp | None = None,
    limits: Limits | None = None,
    clock: Clock | None = None,
    tls: Tls | None = None,
    front: Callable[[ShowingApp], Front] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    **more: Any,
) -> Iterator[Served]:
    """A server, on a free port unless one is given, stopped at the end, with no request left behind."""
    showing = app or ShowingApp()
    it = Served(showing, clock or SystemClock())
    made = front(showing) if front else plain_front(showing)
    ready = threading.Event()

    def started(serving: Serving) -> None:
        it.serving = serving
        it.loop = asyncio.get_running_loop()
        ready.set()

    def live() -> None:
        try:
            run(serve(made, listen=(host, port), tls=tls, started=started, limits=limits, clock=it.clock, **more))
        except BaseException as failure:  # noqa: BLE001 - told to the test's thread
            it.failure = failure
        finally:
            ready.set()

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S)
    if it.failure is not None:
        raise it.failure
    try:
        yield it
    finally:
        showing.gate.set()
        with contextlib.suppress(RuntimeError):  # stopped by the test already
            it.loop.call_soon_threadsafe(it.serving.stop)
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "the server did not stop"
        assert it.failure is None, it.failure


def plain_front(app: ShowingApp) -> Front:
    """A front that gives every request to `app`."""
    return Front(
        lambda _host, _path: app, metrics=Metrics(), clock=SystemClock(), version="1.2.3", services={"showing": "1"}
    )


def until(holds: Callable[[], bool]) -> None:
    """Waits for something that another thread is about to do. Fails after a while."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up_at, "it did not come to be"
        time.sleep(0.005)
