"""The heads of HTTP as a proxy reads and writes them: a request for a tunnel, an answer to one. Pure.

Read strictly: what is not a plain CONNECT with one host and one port is refused, with a sentence for the person who
looks at the client's message.
"""

from __future__ import annotations

import re

import msgspec

from claviger.core.sensitive import Sensitive

END = b"\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
MAX_HEAD = 16_384

_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([\x21-\x7e]{1,8000}) HTTP/1\.([01])")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?")
_TARGET = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9A-Za-z._-]{1,253})):([0-9]{1,5})", re.ASCII)


class Refused(Exception):
    """A request that gets no tunnel: the status, a reason for one line, a sentence, and further headers.

    `final` says that the connection ends with the answer.
    """

    def __init__(self, status: int, reason: str, told: str, *, more: str = "", final: bool = True) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.told = told
        self.more = more
        self.final = final

    def answer(self) -> bytes:
        """The whole answer."""
        body = f"claviger exec: {self.told}\n".encode()
        head = f"HTTP/1.1 {self.status} {self.reason}\r\n{self.more}Content-Type: text/plain; charset=utf-8\r\n"
        end = "Connection: close\r\n" if self.final else ""
        return f"{head}Content-Length: {len(body)}\r\n{end}\r\n".encode() + body


class Connect(msgspec.Struct, frozen=True):
    """A request for a tunnel. `authorization` is what Proxy-Authorization said."""

    host: str
    port: int
    authorization: bytes | None


def read_connect(head: bytes) -> Connect:
    """The request in a head that ends with an empty line. Raises Refused."""
    lines = head.removesuffix(END).split(b"\r\n")
    request = _REQUEST_LINE.fullmatch(lines[0])
    if request is None:
        raise Refused(400, "Bad Request", "this is not an HTTP/1 request")
    if request[1] != b"CONNECT":
        told = "this proxy carries https:// only, by CONNECT; plain http:// goes without it (unset HTTP_PROXY for it)"
        raise Refused(405, "Only CONNECT Here", told, more="Allow: CONNECT\r\n")
    authorization: bytes | None = None
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise Refused(400, "Bad Request", "a header line is malformed")
        if name.lower() == b"proxy-authorization":
            if authorization is not None:
                raise Refused(400, "Bad Request", "Proxy-Authorization came twice")
            authorization = value.strip()
    target = _TARGET.fullmatch(request[2].decode("ascii"))
    if target is None or not 1 <= int(target[3]) <= 65535:
        raise Refused(400, "Bad Request", "CONNECT needs HOST:PORT")
    return Connect(target[1] or target[2], int(target[3]), authorization)


def write_connect(host: str, port: int, authorization: Sensitive | None) -> bytes:
    """The request for a tunnel to send to another proxy."""
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    head = f"CONNECT {shown} HTTP/1.1\r\nHost: {shown}\r\n".encode("ascii")
    if authorization is not None:
        head += b"Proxy-Authorization: " + authorization.reveal() + b"\r\n"
    return head + b"\r\n"


def read_status(head: bytes) -> int | None:
    """The status of an answer; None where it is no HTTP."""
    status = _STATUS_LINE.fullmatch(head.partition(b"\r\n")[0])
    return int(status[1]) if status else None
