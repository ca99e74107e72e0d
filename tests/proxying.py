"""A proxy of `claviger exec` on the test's event loop, servers to reach through it, and a CONNECT proxy as its twin."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from claviger.core.sensitive import Sensitive
from claviger.proxy.tunnels import USER, Address, Limits, Proxy
from claviger.proxy.upstream import Exceptions, Upstream

PASSWORD = "a-password-of-this-test"
PROOF = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
PATIENCE_S = 60.0

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Client:
    """A connection to the proxy."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, target: str, proof: str | None = PROOF) -> tuple[int, dict[str, str], bytes]:
        """Asks for a tunnel; status, headers and body of the answer."""
        head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
        head += "" if proof is None else f"Proxy-Authorization: Basic {proof}\r\n"
        return await self.send(head.encode() + b"\r\n")

    async def send(self, head: bytes) -> tuple[int, dict[str, str], bytes]:
        """Sends bytes and reads one answer."""
        self.writer.write(head)
        async with asyncio.timeout(PATIENCE_S):
            text = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = text.rstrip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(status.split(" ")[1]), headers, body

    async def ended(self) -> bool:
        """Whether the other side ends the connection, with no further byte, before the test's patience does."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True

    async def say(self, text: bytes) -> bytes:
        """Sends bytes through the tunnel and reads as many back."""
        self.writer.write(text)
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readexactly(len(text))


class Proxied:
    """A proxy that runs."""

    def __init__(self, port: int, loops_end: asyncio.Event) -> None:
        self.port = port
        self.end = loops_end
        self._clients: list[Client] = []

    async def client(self) -> Client:
        """A new connection to it."""
        made = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(made)
        return made

    async def tunnel(self, target: str) -> Client:
        """A connection that goes through it. Fails where it does not."""
        made = await self.client()
        status, _, body = await made.ask(target)
        assert status == 200, body
        return made

    def close(self) -> None:
        """Ends the connections of the test."""
        for client in self._clients:
            client.writer.close()


@contextlib.asynccontextmanager
async def proxied(
    server: Address | None = None,
    *,
    upstream: Upstream | None = None,
    no_proxy: str = "",
    limits: Limits | None = None,
) -> AsyncIterator[Proxied]:
    """Runs a proxy whose server is at this address."""
    proxy = Proxy(Sensitive(PASSWORD), lambda: server, upstream, Exceptions({"no_proxy": no_proxy}), limits)
    listening = socket.create_server(("127.0.0.1", 0))
    end = asyncio.Event()
    running = asyncio.create_task(proxy.serve(listening, end.wait()))
    made = Proxied(listening.getsockname()[1], end)
    try:
        yield made
    finally:
        made.close()
        end.set()
        async with asyncio.timeout(PATIENCE_S):
            await running


@contextlib.asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on the loopback; its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Gives every byte back."""
    while block := await reader.read(65536):
        writer.write(block)
        await writer.drain()


@dataclass
class Twin:
    """A CONNECT proxy of somebody else's: it notes what it is asked, and does what `answer` says."""

    answer: bytes | None = None
    heads: list[str] = field(default_factory=list)

    @property
    def targets(self) -> list[str]:
        """What it was asked for."""
        return [head.split(" ")[1] for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: a fixed answer where there is one, else a tunnel to the port on the loopback."""
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        if self.answer is not None:
            writer.write(self.answer)
            await reader.read()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(self.targets[-1].rpartition(":")[2]))
        # The first bytes of the far end may come in one packet with the answer.
        writer.write(b"HTTP/1.0 200 OK\r\nVia: twin\r\n\r\n")
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            far_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(65536):
        writer.write(block)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
