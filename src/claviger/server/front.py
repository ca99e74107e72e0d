"""The ASGI application that every request meets first: it picks the service by host, and answers /health and /metrics.

Which host belongs to which service is a function given to the constructor, so the front knows no service. Whatever a
service raises ends here as a JSON 500 and one line in the log; no text of an exception leaves the process.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from claviger.core.asgi import Application, Headers, Receive, Scope, Send
from claviger.core.clock import Clock
from claviger.server.asgi import FailuresAt, plain_failures, reply
from claviger.server.logs import describe_failure
from claviger.server.metrics import CONTENT_TYPE, Metrics

Pick = Callable[[str, str], Application | None]
"""Host name (lower case, without port and trailing dot, IPv6 without brackets) and decoded path in; its service out."""

State = Literal["starting", "ready", "stopping"]
_HOST = re.compile(rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9A-Za-z._-]{1,253}))(?::[0-9]{1,5})?")
_MAX_REMEMBERED_HOSTS = 1024
_MAX_HOST_LENGTH = 259
"""Of what can be a host, its port included."""

logger = logging.getLogger(__name__)


async def _nothing() -> None:
    return None


class Front:
    """Routes between services. `start` runs before the first request is let through, `stop` after the last one.

    `pick_plain`, where given, is asked instead of `pick` for requests that came without TLS. `services` are names and
    versions for /health. /metrics answers callers on this machine only, unless `metrics_public`.
    `failures_at` tells the shape of a refusal by the path that it answers ("" where none was read). `port` is where
    the server listens, known before `start` runs.
    """

    def __init__(
        self,
        pick: Pick,
        *,
        metrics: Metrics,
        clock: Clock,
        version: str,
        services: Mapping[str, str],
        pick_plain: Pick | None = None,
        metrics_public: bool = False,
        failures_at: FailuresAt = plain_failures,
        start: Callable[[], Awaitable[None]] = _nothing,
        stop: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._pick = pick
        self._pick_plain = pick_plain or pick
        self.metrics = metrics
        self.failures_at = failures_at
        self._clock = clock
        self._version = version
        self._services = dict(services)
        self._metrics_public = metrics_public
        self._start = start
        self._stop = stop
        self._since = clock.monotonic()
        self._hosts: dict[bytes, str | None] = {}
        self._meter = metrics.meter("front", "refused")
        self.state: State = "starting"
        self.port: int | None = None

    async def startup(self) -> None:
        """Runs the start hook and lets requests through. Raises what the hook raises."""
        await self._start()
        self.state = "ready"

    async def shutdown(self) -> None:
        """Runs the stop hook; to be called once no request is under way."""
        self.state = "stopping"
        await self._stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        path = scope["path"]
        if path in ("/health", "/metrics"):
            await (self._health if path == "/health" else self._show_metrics)(scope, send)
            return
        if self.state == "starting":
            await self._refuse(send, 503, "The server is starting.", [(b"retry-after", b"1")], path=path)
            return
        host = self.host_of(scope["headers"])
        if host is None:
            await self._refuse(send, 400, "The request needs exactly one valid Host header.", path=path)
            return
        app = (self._pick if scope["scheme"] == "https" else self._pick_plain)(host, path)
        if app is None:
            await self._refuse(send, 404, "This server has nothing at this host and path.", path=path)
            return
        try:
            await app(scope, receive, send)
        except Exception as failure:  # noqa: BLE001 - a service's mistake must not show its inside
            logger.error("a service failed: %s", describe_failure(failure))
            # Where the answer has begun already, this raises RuntimeError, and the connection is cut.
            await self._refuse(send, 500, "The server failed to answer.", path=path)

    def quick(self, scope: Scope, body: bytes = b"") -> bytes | None:
        """The whole answer, where the service at this host has a `quick` of its own and knows it; None otherwise.

        A service's `quick` never waits, changes nothing, and leaves whatever it refuses to the ordinary way. `body` is
        the whole of it.
        """
        if self.state != "ready" or scope["scheme"] != "https":
            return None
        host = self.host_of(scope["headers"])
        app = self._pick(host, scope["path"]) if host is not None else None
        quick = getattr(app, "quick", None)
        if quick is None:
            return None
        try:
            answer: bytes | None = quick(scope, body)
        except Exception:  # noqa: BLE001 - the ordinary way meets it again, and answers for it
            return None
        return answer

    def host_of(self, headers: Headers) -> str | None:
        """The name in the one Host header, as `pick` gets it; None where it is missing, double or no host."""
        raw: bytes | None = None
        for name, value in headers:
            if name == b"host":
                if raw is not None:
                    return None
                raw = value
        if raw is None:
            return None
        try:
            return self._hosts[raw]
        except KeyError:
            if len(raw) > _MAX_HOST_LENGTH:
                return None
            host = _read_host(raw)
            if len(self._hosts) >= _MAX_REMEMBERED_HOSTS:
                self._hosts.clear()
            self._hosts[raw] = host
            return host

    async def _refuse(
        self, send: Send, status: int, message: str, more: Headers | None = None, *, path: str = ""
    ) -> None:
        self._meter.count(status)
        failures = self.failures_at(path)
        await reply(send, status, failures.body(status, message), more=[*(more or ()), *failures.headers()])

    async def _health(self, scope: Scope, send: Send) -> None:
        if await self._wrong_method(scope, send):
            return
        told = {
            "status": self.state,
            "version": self._version,
            "services": self._services,
            "uptime_s": int(self._clock.monotonic() - self._since),
        }
        await reply(send, 200 if self.state == "ready" else 503, json.dumps(told).encode())

    async def _show_metrics(self, scope: Scope, send: Send) -> None:
        if await self._wrong_method(scope, send):
            return
        client = scope.get("client")
        if self._metrics_public or (client is not None and _is_this_machine(client[0])):
            await reply(send, 200, self.metrics.text(), CONTENT_TYPE)
        else:
            await self._refuse(send, 403, "Metrics are shown to this machine only.")

    async def _wrong_method(self, scope: Scope, send: Send) -> bool:
        if scope["method"] in ("GET", "HEAD"):
            return False
        await self._refuse(send, 405, "Only GET and HEAD here.", [(b"allow", b"GET, HEAD")])
        return True

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            raise RuntimeError("only HTTP is served")
        await receive()
        try:
            await self.startup()
        except Exception as failure:  # noqa: BLE001 - told to the server, which ends
            logger.error("the start failed: %s", describe_failure(failure))
            await send({"type": "lifespan.startup.failed", "message": type(failure).__name__})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.shutdown()
        await send({"type": "lifespan.shutdown.complete"})


def _read_host(raw: bytes) -> str | None:
    match = _HOST.fullmatch(raw)
    if match is None:
        return None
    if match[1] is not None:
        try:
            return str(ipaddress.IPv6Address(match[1].decode("ascii")))
        except ValueError:
            return None
    return match[2].decode("ascii").lower().removesuffix(".") or None


def _is_this_machine(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return found.is_loopback or (mapped is not None and mapped.is_loopback)
