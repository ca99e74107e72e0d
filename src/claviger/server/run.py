"""Listens, serves and stops: uvicorn's server with our protocol, on sockets bound before anything else happens.

`serve` is the whole life of a server inside a running event loop; `run` gives it the loop (uvloop where there is one).
A busy port or a wrong address is told before any state is opened. On SIGTERM or SIGINT no new connection is taken, what
is under way is finished within `grace_s`, and then the front's stop hook runs; a second signal cuts the waiting short.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import uvicorn

from claviger.core.clock import Clock, SystemClock
from claviger.core.errors import Misconfigured
from claviger.server.front import Front
from claviger.server.limits import Limits, Timed, Wire
from claviger.server.logs import describe_failure
from claviger.server.protocol import WireProtocol

Address = tuple[str, int]
T = TypeVar("T")

HANDSHAKE_S = 10.0
STOP_HOOK_S = 10.0
LAST_BYTES_S = 1.0
_TICKS_A_PASS = 5  # uvicorn's own tick is a tenth of a second
_REFRESH_PASSES = 60  # passes between two looks at the certificates
_BACKLOG = 2048
_SPARE_DESCRIPTORS = 512

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tls:
    """The context to listen with, and a function called about twice a minute that renews what it holds."""

    context: ssl.SSLContext
    refresh: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that is ready: where it listens, and how to stop it from inside."""

    host: str
    port: int
    plain_port: int | None
    wire: Wire
    connections: Collection[Timed]
    """Those open now; a live view."""
    stop: Callable[[], None]


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end in a fresh event loop, the fastest there is. For a program's main thread."""
    try:
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


async def serve(
    front: Front,
    *,
    listen: Address,
    tls: Tls | None,
    started: Callable[[Serving], None] = lambda _: None,
    plain_listen: Address | None = None,
    more_ports: Sequence[int] = (),
    limits: Limits | None = None,
    clock: Clock | None = None,
    grace_s: float = 10.0,
    reload: Callable[[], None] = lambda: None,
) -> None:
    """Serves until a signal or `Serving.stop`. `started` is called once requests are let through.

    `plain_listen` is a second address without TLS; `more_ports` are others at the host of the first one. `reload` is
    called on SIGHUP. Raises Misconfigured for an address that cannot be listened on, and whatever the front's start
    hook raises.
    """
    limits = limits or Limits()
    wire = Wire(limits, clock or SystemClock(), front.failures_at)
    context = tls.context if tls else None
    listeners: list[_Listener] = []
    plain: socket.socket | None = None
    try:
        listeners += [_Listener(bound, context) for bound in _bind_all(listen, "listen")]
        for port in more_ports:
            listeners += [_Listener(bound, context) for bound in _bind_all((listen[0], port), "oci_ports")]
        if plain_listen is not None:
            plain = _bind(plain_listen, "plain_listen")
            listeners.append(_Listener(plain, None))
        allow_descriptors(limits.connections + _SPARE_DESCRIPTORS)
        server = _Server(front, listeners, plain, wire, started, grace_s)
        server.reload = reload
        server.refresh = tls.refresh if tls else server.refresh
        await server.serve()
    finally:
        for listener in listeners:
            listener.socket.close()


@dataclass(frozen=True, slots=True)
class _Listener:
    socket: socket.socket
    context: ssl.SSLContext | None


class _Server(uvicorn.Server):
    """uvicorn's life cycle with our listeners, our signals and a bounded end."""

    def __init__(
        self,
        front: Front,
        listeners: Sequence[_Listener],
        plain: socket.socket | None,
        wire: Wire,
        started: Callable[[Serving], None],
        grace_s: float,
    ) -> None:
        protocol: Any = functools.partial(WireProtocol, wire=wire)
        config = uvicorn.Config(
            front,
            http=protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
        super().__init__(config)
        self._front, self._listeners, self._wire, self._on_started = front, listeners, wire, started
        self._plain = plain
        self._grace_s = grace_s
        self._passes = 0
        self.reload: Callable[[], None] = lambda: None
        self.refresh: Callable[[], None] = lambda: None
        front.metrics.show("open_connections", "Connections now.", lambda: len(self.server_state.connections))
        front.metrics.show("http_requests", "Requests read.", lambda: wire.requests, counts=True)
        front.metrics.show(
            "http_refusals", "Answers of the HTTP layer itself.", lambda: sum(wire.refused.values()), counts=True
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens (requests get 503, /health says starting), starts the services, and lets requests through."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_loop_failure)
        self.servers = []
        for listener in self._listeners:
            factory = functools.partial(
                self.config.http_protocol_class,  # type: ignore[call-arg]
                config=self.config,
                server_state=self.server_state,
                app_state={},
                _loop=loop,
            )
            timed = listener.context is not None
            self.servers.append(
                await loop.create_server(
                    factory,
                    sock=listener.socket,
                    ssl=listener.context,
                    backlog=_BACKLOG,
                    ssl_handshake_timeout=HANDSHAKE_S if timed else None,
                    ssl_shutdown_timeout=self._wire.limits.leave_s if timed else None,
                )
            )
        self._front.port = self._listeners[0].socket.getsockname()[1]
        try:
            await self._front.startup()
        except BaseException:
            self._cut_off()
            raise
        self.started = True
        host, port = self._listeners[0].socket.getsockname()[:2]
        plain = self._plain.getsockname()[1] if self._plain is not None else None
        connections: Any = self.server_state.connections
        self._on_started(Serving(host, port, plain, self._wire, connections, self._stop))

    def _stop(self) -> None:
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """uvicorn's tenth of a second: every fifth moves the connections' time."""
        if counter % _TICKS_A_PASS == 0:
            connections: set[Any] = self.server_state.connections
            self._wire.tick(connections)
            self._passes += 1
            if self._passes % _REFRESH_PASSES == 0:
                self.refresh()
        return self.should_exit

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends within `grace_s` and the time of the stop hook."""
        self._front.state = "stopping"
        for server in self.servers:
            server.close()
        connections: set[Any] = self.server_state.connections
        for connection in list(connections):
            connection.shutdown()
        await self._finish_requests()
        left = list(self.server_state.tasks)
        if left:
            logger.warning("%d requests were cut off by the stop", len(left))
        for task in left:
            task.cancel()
        self._cut_off()
        if left:
            await asyncio.wait(left, timeout=1.0)
        try:
            await asyncio.wait_for(self._front.shutdown(), STOP_HOOK_S)
        except TimeoutError:
            logger.error("the services did not stop within %d s", STOP_HOOK_S)

    async def _finish_requests(self) -> None:
        """Waits for what is under way, and then briefly for last bytes: an idle TLS client may never take leave."""
        loop, tasks, connections = asyncio.get_running_loop(), self.server_state.tasks, self.server_state.connections
        give_up_at = loop.time() + self._grace_s
        answered_at = None
        while (tasks or connections) and not self.force_exit and loop.time() < give_up_at:
            if tasks:
                answered_at = None
            elif answered_at is None:
                answered_at = loop.time()
            elif loop.time() > answered_at + LAST_BYTES_S:
                break
            await asyncio.sleep(0.02)

    def _cut_off(self) -> None:
        for server in self.servers:
            server.close()
        connections: set[Any] = self.server_state.connections
        for connection in list(connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handles signals inside the loop, and does not raise them again when all is stopped: the caller goes on."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGINT: self._on_stop_signal, signal.SIGTERM: self._on_stop_signal}
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = self._on_reload_signal
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _on_stop_signal(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    def _on_reload_signal(self) -> None:
        self.refresh()
        self.reload()


def _bind_all(address: Address, setting: str) -> list[socket.socket]:
    """The sockets for an address: `localhost` is both loopback addresses, the second one where the machine has it.

    Names under localhost resolve to either, and not every client tries both.
    """
    if address[0] != "localhost":
        return [_bind(address, setting)]
    first = _bind(("127.0.0.1", address[1]), setting)
    with contextlib.suppress(Misconfigured):
        return [first, _bind(("::1", first.getsockname()[1]), setting)]
    return [first]


def _bind(address: Address, setting: str) -> socket.socket:
    """A bound socket, not yet listening. Raises Misconfigured, naming the address and the fix."""
    host, port = address
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
    except (socket.gaierror, UnicodeError, OverflowError):
        raise _cannot_listen(address, setting, "give an address of this machine, for example 127.0.0.1") from None
    bound = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and host == "::":
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(place)
        bound.listen(_BACKLOG)
    except OSError as failure:
        bound.close()
        fix = {
            "EADDRINUSE": "stop the program that listens there, or choose another port",
            "EACCES": "choose a port above 1023, or give the program the right to this one",
            "EADDRNOTAVAIL": "give an address of this machine, for example 127.0.0.1",
        }.get(errno.errorcode.get(failure.errno or 0, ""), os.strerror(failure.errno or 0))
        raise _cannot_listen(address, setting, fix) from None
    return bound


def _cannot_listen(address: Address, setting: str, fix: str) -> Misconfigured:
    host, port = address
    return Misconfigured(
        "CannotListen", setting=setting, address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}", fix=fix
    )


def allow_descriptors(wanted: int) -> None:
    """Raises this process's soft limit of open files to `wanted` where the hard limit lets it."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _log_loop_failure(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    failure = context.get("exception")
    told = describe_failure(failure) if isinstance(failure, BaseException) else ""
    logger.error("in the event loop: %s %s", context.get("message", ""), told)
