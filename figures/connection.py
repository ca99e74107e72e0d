"""A TLS connection made by hand, so that a trial decides about every byte: records, how they are cut, half-closing.

Python's own streams hide all three. `TlsConnection` keeps the socket and OpenSSL apart: `seal` turns text into records
without sending them, `transmit` sends any bytes at all. Everything ends after a time-out.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable, Sequence

HANDSHAKE_LIMIT_S = 20.0
_PIECE = 65_536


class TlsConnection:
    """One connection to a server on this machine; made by `open`, ended by `close`."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, name: str) -> None:
        self._plain = plain
        self._loop = asyncio.get_running_loop()
        self._from_server, self._to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._from_server, self._to_server, server_hostname=name)
        self._ended = False

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext, name: str) -> TlsConnection:
        """Connects and shakes hands as `name`. Raises OSError (an SSLError is one) or TimeoutError."""
        connection = cls(await connect(port), context, name)
        try:
            async with asyncio.timeout(HANDSHAKE_LIMIT_S):
                await connection._shake_hands()
        except BaseException:
            connection.close()
            raise
        return connection

    async def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.transmit([self._to_server.read()])
                if not await self._take_in():
                    raise ConnectionResetError("closed in the handshake") from None
            else:
                await self.transmit([self._to_server.read()])
                return

    def seal(self, text: bytes) -> bytes:
        """The TLS records that carry `text`, ready to be sent in this very order."""
        self._tls.write(text) if text else None
        return self._to_server.read()

    async def send(self, pieces: Iterable[bytes]) -> None:
        """Sends each piece in a record and a segment of its own. Raises OSError once the server has closed."""
        await self.transmit([self.seal(piece) for piece in pieces])

    async def transmit(self, segments: Sequence[bytes], pause_s: float = 0.0) -> None:
        """Sends bytes on the socket as they are, one after the other."""
        for number, segment in enumerate(segments):
            if number and pause_s:
                await asyncio.sleep(pause_s)
            if segment:
                await self._loop.sock_sendall(self._plain, segment)

    async def receive(self) -> bytes:
        """What the server said next; empty once it has closed, in whatever way. No time-out of its own."""
        while True:
            try:
                return self._tls.read(_PIECE)
            except ssl.SSLWantReadError:
                if not await self._take_in():
                    return b""
            except ssl.SSLError:
                return b""

    async def _take_in(self) -> bool:
        try:
            more = await self._loop.sock_recv(self._plain, _PIECE)
        except ConnectionError:
            more = b""
        if more:
            self._from_server.write(more)
        return bool(more)

    async def end_sending(self) -> None:
        """Says goodbye and stops sending; what the server still says can be received."""
        if self._ended:
            return
        self._ended = True
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            await self.transmit([self._to_server.read()])
            self._plain.shutdown(socket.SHUT_WR)

    def end_at_once(self) -> None:
        """Stops sending without a word of TLS."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._plain.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Lets go, without waiting."""
        if self._plain.fileno() < 0:
            return
        self._loop.remove_reader(self._plain)  # before its number is given to another socket
        self._loop.remove_writer(self._plain)
        self._plain.close()


async def connect(port: int) -> socket.socket:
    """A connected socket to a port of this machine, without delay in sending."""
    plain = socket.socket()
    try:
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(HANDSHAKE_LIMIT_S):
            await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
    except BaseException:
        plain.close()
        raise
    return plain
