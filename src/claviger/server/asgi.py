"""How the front writes down a refusal of its own.

Every answer that the front gives by itself (malformed HTTP, unknown host, over capacity, failure) is JSON. The shape of
its body is a function that can be replaced, because each service's clients expect their own cloud's shape.
"""

from __future__ import annotations

import http
import json
from collections.abc import Callable, Iterable
from typing import NamedTuple

from claviger.core.asgi import Headers, Send

ErrorBody = Callable[[int, str], bytes]
"""Status and a sentence in; the JSON body of the answer out."""


class Failures(NamedTuple):
    """How the front refuses at one service's paths: the shape of the body, and the headers that are its own."""

    body: ErrorBody
    headers: Callable[[], Headers] = list


FailuresAt = Callable[[str], Failures]
"""How the front refuses what is asked for at a path, "" where none was read."""

JSON_TYPE = b"application/json; charset=utf-8"

_CODES = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "RequestTimeout",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


def error_body(status: int, message: str) -> bytes:
    """The default shape, that of the Azure data planes (Key Vault contract §6); BadParameter when in doubt."""
    return json.dumps({"error": {"code": _CODES.get(status, "BadParameter"), "message": message}}).encode()


def plain_failures(_: str) -> Failures:
    """The default shape, at every path."""
    return Failures(error_body)


def status_line(status: int) -> bytes:
    """The first line of an answer, with the standard phrase where there is one."""
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode("ascii")


async def reply(
    send: Send, status: int, body: bytes, content_type: bytes = JSON_TYPE, more: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Sends a whole answer with its length, marked as not to be cached."""
    headers: Headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-cache"),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
