"""A small HTTP client for measuring and for crash trials: one kept TLS connection, whole requests out, answers in.

It connects to this machine whatever the host is called, because `*.localhost` does not resolve everywhere, and checks
the server's certificate against the authority it is given. No retry, no redirect: what happened is what is told.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_S = 20.0
API_VERSION = "7.4"


class Lost(ConnectionError):
    """The connection ended, or never came about, before there was a whole answer."""


@dataclass(frozen=True)
class Answer:
    """Status and body of an answer, and its headers by their names in lower case, where they are wanted."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def request(method: str, host: str, path: str, token: str | None = None, body: bytes | None = None) -> bytes:
    """A whole request as it stands on the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    elif method != "GET":
        lines.append("Content-Length: 0")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def ask(port: int, context: ssl.SSLContext, raw: bytes, server_name: str, timeout_s: float = 20.0) -> Answer:
    """Sends one request on a connection of its own and waits. Raises OSError where nobody listens, or Lost."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as plain:
        plain.settimeout(timeout_s)
        with context.wrap_socket(plain, server_hostname=server_name) as connection:
            connection.sendall(raw)
            received = b""
            while True:
                head, separator, body = received.partition(b"\r\n\r\n")
                if separator and len(body) >= (length := _length(head)):
                    return Answer(int(head[9:12]), body[:length], _headers(head))
                more = connection.recv(65_536)
                if not more:
                    raise Lost("the connection ended before the answer did")
                received += more


class Client:
    """A connection to one host, opened when it is first needed and again after it was lost."""

    def __init__(self, port: int, host: str, context: ssl.SSLContext, token: str | None = None) -> None:
        """`host` is the name without port; `token` goes with every call."""
        self.port = port
        self.host = host
        self.token = token
        self._context = context
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, body: object | None = None) -> Answer:
        """One call; `body` is sent as JSON. Raises Lost, and then nobody knows whether the call was carried out."""
        encoded = None if body is None else json.dumps(body).encode()
        return await self.exchange(request(method, f"{self.host}:{self.port}", path, self.token, encoded))

    async def exchange(self, raw: bytes) -> Answer:
        """One whole request as it stands on the wire. Raises Lost as `call` does."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._exchange(raw)
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError) as error:
            await self.close()
            raise Lost(str(error)) from None
        except BaseException:
            await self.close()
            raise

    async def secret(self, method: str, path: str, body: object | None = None) -> Answer:
        """A call of the secrets data plane: the api-version is added."""
        return await self.call(method, f"{path}{'&' if '?' in path else '?'}api-version={API_VERSION}", body)

    async def _exchange(self, raw: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self._context, server_hostname=self.host
            )
        reader, writer = self._streams
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_length(head))
        return Answer(int(head[9:12]), body)

    async def close(self) -> None:
        """Lets go of the connection."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()


def _headers(head: bytes) -> dict[str, str]:
    pairs = (line.partition(b": ") for line in head.split(b"\r\n")[1:])
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, _, value in pairs}


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
