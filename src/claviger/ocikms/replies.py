"""How the embedded OCI's answers look: the headers that are on every one, the body, and the answer as a whole.

`Marks` gives what is another for each answer, the date and the request id; `content` and `refused` give the body and
add to the headers what says more about it; `whole` is head and body in one, for what is answered without ASGI messages.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Iterable
from email.utils import formatdate
from typing import Any

import msgspec

from claviger.core.asgi import Headers
from claviger.core.clock import Clock
from claviger.core.errors import Damaged, Refusal, TooLarge
from claviger.ocikms.calls import Answer
from claviger.ocikms.errors import body_of

FIXED: Headers = [
    (b"cache-control", b"no-cache, no-store, no-transform, must-revalidate"),
    (b"x-content-type-options", b"nosniff"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
]
_JSON = (b"content-type", b"application/json")
_FILE = (b"content-type", b"application/octet-stream")
_WHOLE_HEAD = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % header for header in FIXED)
_REQUEST_ID = re.compile(rb"[0-9A-Za-z._/-]{1,128}")
_ENCODER = msgspec.json.Encoder()

log = logging.getLogger("claviger.ocikms")


class Marks:
    """The date and the request id of each answer. Dates go by `machine`."""

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._date = (0, b"")
        self._dice = random.Random()  # request ids are no secret

    def date(self) -> bytes:
        """The present second, as HTTP has it."""
        second = int(self._machine.now())
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]

    def request_id(self, given: bytes | None, *, is_crypto: bool) -> bytes:
        """The client's own, with two words of ours behind it but for the crypto plane (contract §2)."""
        bits = self._dice.getrandbits
        if given is None or not _REQUEST_ID.fullmatch(given):
            given = b"%032X" % bits(128)
        return given if is_crypto else b"%b/%032X/%032X" % (given, bits(128), bits(128))


def failure_headers() -> Headers:
    """What is on every answer of OCI, for those that are given before the funnel: an id to ask about (contract §2)."""
    return [(b"opc-request-id", b"/".join(b"%032X" % random.getrandbits(128) for _ in range(3)))]


def content(answer: Answer, headers: Headers) -> bytes:
    """The body of an answer; what says more about it is added to the headers."""
    body: Any = answer.body
    if body is None:
        content = b""
    elif isinstance(body, bytes):
        content = body
        if not _has(answer.headers, b"content-type"):
            headers.append(_FILE)
    else:
        content = _ENCODER.encode(body)
        headers.append(_JSON)
    if answer.etag is not None:
        headers.append((b"etag", answer.etag.encode("latin-1", "replace")))
    if answer.limit is not None:
        headers.append((b"opc-limit", b"%d" % answer.limit))
    if answer.next_page is not None:
        headers.append((b"opc-next-page", answer.next_page.encode("ascii")))
    headers += answer.headers
    if answer.status != 204 and not _has(answer.headers, b"content-length"):
        headers.append((b"content-length", b"%d" % len(content)))
    return content


def _has(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bool:
    return any(name == wanted for name, _ in headers)


def refused(refusal: Refusal, headers: Headers) -> tuple[int, bytes]:
    """Status and body of a refusal; what says more about it is added to the headers."""
    status, body = body_of(refusal)
    if "retry_after_s" in refusal.facts:
        headers.append((b"retry-after", str(refusal.facts["retry_after_s"]).encode()))
    if "allow" in refusal.facts:
        headers.append((b"allow", str(refusal.facts["allow"]).encode()))
    if isinstance(refusal, TooLarge):
        headers.append((b"connection", b"close"))
    if isinstance(refusal, Damaged):
        log.error("stored data does not open: %s", refusal.reason)
    headers += [_JSON, (b"content-length", b"%d" % len(body))]
    return status, body


def whole(answer: Answer, date: bytes, request_id: bytes) -> bytes:
    """A granted answer, status 200, with its head in front of its body."""
    more: Headers = []
    body = content(answer, more)
    told = b"".join([b"%b: %b\r\n" % header for header in more])
    return b"%bdate: %b\r\nopc-request-id: %b\r\n%b\r\n%b" % (_WHOLE_HEAD, date, request_id, told, body)
