"""HTTP by hand over TLS: bytes out as the test writes them, the answer back as it came."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from tests.server import RunningServer

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class RawAnswer:
    """One answer: status, headers with lower-case names, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class RawConnection:
    """One TLS connection to a server, under the name of one of its hosts."""

    def __init__(self, server: RunningServer, host: str) -> None:
        plain = socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S)
        self._socket: ssl.SSLSocket = server.trust.wrap_socket(plain, server_hostname=host.partition(":")[0])

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Sends bytes. Raises OSError once the server has closed the connection."""
        self._socket.sendall(data)

    def answer(self, method: str = "GET") -> RawAnswer:
        """Reads one answer to a request of that method."""
        found = http.client.HTTPResponse(self._socket, method=method)
        found.begin()
        body = found.read()
        return RawAnswer(found.status, {name.lower(): value for name, value in found.getheaders()}, body)

    def interim(self) -> bytes:
        """Reads what the server says before the answer itself, such as `100 Continue`, to its blank line."""
        said = b""
        while not said.endswith(b"\r\n\r\n"):
            piece = self._socket.recv(1)
            assert piece, f"the server closed after {said!r}"
            said += piece
        return said


def exchange(server: RunningServer, host: str, request: bytes, method: str = "GET") -> RawAnswer:
    """Sends one request on a connection of its own and reads the answer."""
    with RawConnection(server, host) as connection:
        connection.send(request)
        return connection.answer(method)


def head(method: str, target: str, host: str, token: str | None, *more: str) -> bytes:
    """A request head; `more` are whole header lines."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, *more, "", ""]).encode("latin-1")
