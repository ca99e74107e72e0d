"""What the head of a request must be, beyond what the parser (llhttp, strict) already refuses. Pure.

llhttp refuses by itself: Content-Length beside Transfer-Encoding, either of them twice, bad chunk sizes, folded
headers, bare CR or LF, NUL and control characters. It lets pass, and this module refuses: any coding before
`chunked`, chunked under HTTP/1.0, targets that are no path, fragments, and an upgrade that carries a body (which
llhttp would leave in the stream as the next request).
"""

from __future__ import annotations

import urllib.parse

from claviger.core.asgi import Headers

WATCHED = frozenset((b"expect", b"content-length", b"transfer-encoding", b"upgrade"))
"""The headers that `read_framing` wants to see; most requests have none of them."""


class Refused(Exception):
    """A request that ends here: status, and a sentence for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


def head_size(target: bytes, headers: Headers) -> int:
    """The bytes of a head as they were on the wire, give or take the method and some blanks."""
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)


def read_framing(watched: Headers, version: str, upgrades: bool) -> bool:
    """True when the client waits for leave (100 Continue) to send the body. Raises Refused."""
    awaits_continue = has_body = False
    for name, value in watched:
        if name == b"transfer-encoding":
            if value.strip().lower() != b"chunked" or version != "1.1":
                raise Refused(400, "The only transfer encoding is chunked, of HTTP/1.1.")
            has_body = True
        elif name == b"content-length":
            has_body = has_body or int(value) > 0
        elif name == b"expect":
            awaits_continue = value.lower() == b"100-continue"
    if upgrades and has_body:
        raise Refused(400, "An upgrade with a body is not accepted.")
    return awaits_continue and has_body and version == "1.1"


def body_length(watched: Headers) -> int | None:
    """The announced length of the body, or None where only its end will tell."""
    for name, value in watched:
        if name == b"content-length":
            return int(value)
    return None


def read_target(target: bytes, headers: Headers) -> tuple[bytes, bytes, Headers]:
    """The path and the query, percent-encoded as they came, and the headers. Raises Refused."""
    if target[:1] != b"/":
        target, headers = _absolute_form(target, headers)
    if b"#" in target:
        raise Refused(400, "The request URI holds a fragment.")
    path, _, query = target.partition(b"?")
    return path, query, headers


def decode_path(raw_path: bytes) -> str:
    """The path with its percent-encoding undone, for ASGI's `path`; `raw_path` stays the one to route on."""
    path = raw_path.decode("ascii")
    return urllib.parse.unquote(path) if "%" in path else path


def _absolute_form(target: bytes, headers: Headers) -> tuple[bytes, Headers]:
    """The path of `http://host/path`, whose host takes the place of the Host header (RFC 9112 §3.2.2)."""
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        raise Refused(400, "The request URI must begin with a slash.")
    end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    host, path = rest[:end], rest[end:]
    if not path.startswith(b"/"):
        path = b"/" + path
    return path, [(b"host", host), *((name, value) for name, value in headers if name != b"host")]
