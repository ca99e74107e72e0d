"""The proxy itself: answers CONNECT on a socket of the loopback for as long as one program lives.

A host that is served here gets a tunnel to the server's own TLS port, any other one a tunnel to where it always went.
Nothing is decrypted: the server shows a certificate for the name that the client asks for. A served host never goes
anywhere else; without the server it gets a refusal.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable

import msgspec

from claviger.core.sensitive import Sensitive
from claviger.proxy.destinations import is_served
from claviger.proxy.heads import END, ESTABLISHED, MAX_HEAD, Connect, Refused, read_connect, read_status, write_connect
from claviger.proxy.relay import BLOCK, Relay, Stream
from claviger.proxy.upstream import Exceptions, Upstream

USER = "claviger"
_ATTEMPTS = 4
"""Heads read on one connection: clients that wait to be asked for credentials need two."""

_LINGER_S = 1.0

logger = logging.getLogger(__name__)

Address = tuple[str, int]


class Limits(msgspec.Struct, frozen=True):
    """Of one proxy. Times in seconds. `idle_s` is for both directions of a tunnel that neither side has ended."""

    connections: int = 512
    head_s: float = 30.0
    connect_s: float = 10.0
    idle_s: float = 3600.0
    half_closed_s: float = 120.0


class Proxy:
    """Tunnels for whoever knows `password`. `server` says where the server answers now; None where none runs."""

    def __init__(
        self,
        password: Sensitive,
        server: Callable[[], Address | None],
        upstream: Upstream | None = None,
        exceptions: Exceptions | None = None,
        limits: Limits | None = None,
    ) -> None:
        pair = f"{USER}:{password.reveal_text()}".encode()
        self._expected = Sensitive(base64.b64encode(pair))
        self._server = server
        self._upstream = upstream
        self._tls = ssl.create_default_context() if upstream is not None and upstream.secure else None
        self._exceptions = exceptions or Exceptions({})
        self._limits = limits or Limits()
        self._open = 0

    async def serve(self, listening: socket.socket, until: Awaitable[object]) -> None:
        """Answers on a socket that listens already, until `until` is done; then every tunnel is cut."""
        talks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            talk = asyncio.create_task(self._talk(Stream(reader, writer)))
            talks.add(talk)
            talk.add_done_callback(talks.discard)

        server = await asyncio.start_server(accept, sock=listening, limit=BLOCK)
        try:
            await until
        finally:
            server.close()
            for talk in talks:
                talk.cancel()
            await asyncio.gather(*talks, return_exceptions=True)

    async def _talk(self, client: Stream) -> None:
        self._open += 1
        far: Stream | None = None
        try:
            far = await self._asked(client)
            if far is not None:
                _keep_alive(client, far)
                relay = Relay(client, far, idle_s=self._limits.idle_s, half_closed_s=self._limits.half_closed_s)
                await relay.run()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            self._open -= 1
            for stream in (client, far):
                if stream is not None:
                    await stream.close()

    async def _asked(self, client: Stream) -> Stream | None:
        """The far end of the tunnel that the client asks for; None where it gets none. Answers the client."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                request = await self._request(client)
                far = await self._reach(request)
            except Refused as refused:
                refused.final = refused.final or attempt == _ATTEMPTS
                client.writer.write(refused.answer())
                if refused.final:
                    await _dismiss(client)
                    return None
                await client.writer.drain()
                continue
            client.writer.write(ESTABLISHED)
            return far
        return None

    async def _request(self, client: Stream) -> Connect:
        """A request whose sender has proven to be the program. Raises Refused."""
        if self._open > self._limits.connections:
            raise Refused(503, "Too Many Connections", f"{self._limits.connections} connections are open already")
        try:
            async with asyncio.timeout(self._limits.head_s):
                head = await client.reader.readuntil(END)
        except TimeoutError:
            raise Refused(408, "Request Timeout", f"no request came in {self._limits.head_s:g} s") from None
        except asyncio.LimitOverrunError:
            head = b"x" * (MAX_HEAD + 1)
        if len(head) > MAX_HEAD:
            raise Refused(431, "Request Header Fields Too Large", f"a request may have {MAX_HEAD} bytes")
        request = read_connect(head)
        if not self._proves(request.authorization):
            more = 'Proxy-Authenticate: Basic realm="claviger exec"\r\n'
            told = "this proxy is for one program alone, and its credentials are in that program's environment"
            raise Refused(407, "Proxy Authentication Required", told, more=more, final=False)
        return request

    def _proves(self, authorization: bytes | None) -> bool:
        scheme, _, proof = (authorization or b"").partition(b" ")
        return scheme.lower() == b"basic" and hmac.compare_digest(proof.strip(), self._expected.reveal())

    async def _reach(self, request: Connect) -> Stream:
        """The far end: this server, the host itself, or the host by way of the upstream proxy. Raises Refused."""
        if is_served(request.host, request.port):
            address = self._server()
            if address is None:
                told = "Claviger does not run, and nothing for a cloud goes anywhere else: claviger start"
                raise Refused(502, "Claviger Does Not Run", told)
            logger.debug("%s:%d: to the server", request.host, request.port)
            return await self._connect(*address)
        if self._upstream is None or self._exceptions.cover(request.host, request.port):
            logger.debug("%s:%d: directly", request.host, request.port)
            return await self._connect(request.host, request.port)
        logger.debug("%s:%d: by the upstream proxy", request.host, request.port)
        return await self._pass_on(self._upstream, request)

    async def _connect(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> Stream:
        try:
            async with asyncio.timeout(self._limits.connect_s):
                opened = await asyncio.open_connection(host, port, limit=BLOCK, ssl=tls, happy_eyeballs_delay=0.25)
        except TimeoutError:
            raise Refused(504, "Gateway Timeout", f"no connection in {self._limits.connect_s:g} s") from None
        except (OSError, UnicodeError, ValueError) as failure:
            told = "the name is not known" if isinstance(failure, socket.gaierror) else type(failure).__name__
            raise Refused(502, "Bad Gateway", f"no connection: {told}") from None
        return Stream(*opened)

    async def _pass_on(self, upstream: Upstream, request: Connect) -> Stream:
        far = await self._connect(upstream.host, upstream.port, self._tls)
        try:
            far.writer.write(write_connect(request.host, request.port, upstream.authorization))
            async with asyncio.timeout(self._limits.head_s):
                head = await far.reader.readuntil(END)
            status = read_status(head)
            if status is None or not 200 <= status < 300:
                raise Refused(502, "Bad Gateway", f"the upstream proxy answered {status or 'no HTTP'}")
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await far.close()
            raise Refused(502, "Bad Gateway", "the upstream proxy gave no answer") from None
        except BaseException:
            await far.close()
            raise
        return far


def _keep_alive(*streams: Stream) -> None:
    """Lets the system find out about peers that are gone without a word."""
    for stream in streams:
        with contextlib.suppress(OSError):
            stream.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


async def _dismiss(client: Stream) -> None:
    """Says that no more will come, and reads on for a moment: a reset would overtake the answer."""
    client.writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            while await client.reader.read(BLOCK):
                pass
