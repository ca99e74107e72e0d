"""Answers read strictly: what a trial takes for an answer is one by the letter of RFC 9112, and nothing is left over.

`AnswerReader` is fed bytes and gives answers. It knows no socket; it raises `NotAnAnswer` for anything that a strict
client could stumble over.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [ -~]*\Z")
_HEADER_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([^\x00\r\n]*)\Z")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}\Z")
_HEAD_LIMIT = 64 * 1024


class NotAnAnswer(ValueError):
    """The bytes are no answer of HTTP/1.1."""


@dataclass(frozen=True)
class Answer:
    """A whole answer. Names of headers are in lower case, values as latin-1."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether it is the last one of its connection."""
        return "close" in self.headers.get("connection", "").lower()

    def json(self) -> Any:
        """The body as JSON. Raises ValueError; a body that is not UTF-8, or holds NaN, is none."""
        return json.loads(self.body.decode("utf-8"), parse_constant=_refuse)


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


class AnswerReader:
    """Feeds on the bytes of one connection. `may_lack_body`: requests may have been HEAD, nobody knows which."""

    def __init__(self, *, may_lack_body: bool = False) -> None:
        self._left = b""
        self._at_end = False
        self._may_lack_body = may_lack_body
        self.interim_count = 0

    @property
    def idle(self) -> bool:
        """Nothing is left that was not given out."""
        return not self._left

    def feed(self, data: bytes) -> None:
        """Takes what the connection brought; nothing: it has ended."""
        self._left += data
        self._at_end = self._at_end or not data

    def next(self, method: str = "GET") -> Answer | None:
        """The next answer, to a request of that method; None while it is not complete. Raises NotAnAnswer."""
        while True:
            head, separator, rest = self._left.partition(b"\r\n\r\n")
            if not separator:
                self._check_unfinished(head)
                return None
            status, headers = _read_head(head)
            if status >= 200:
                break
            if status != 100:
                raise NotAnAnswer(f"an interim answer {status} that nobody asked for")
            self.interim_count += 1
            self._left = rest
        found = self._read_body(status, headers, rest, method)
        if found is None:
            if self._at_end:
                raise NotAnAnswer(f"the connection ended inside the answer: {self._left[:200]!r}")
            return None
        body, self._left = found
        return Answer(status, headers, body)

    def _check_unfinished(self, head: bytes) -> None:
        if len(head) > _HEAD_LIMIT or (head and not b"HTTP/1.1 ".startswith(head[:9])):
            raise NotAnAnswer(f"no answer: {head[:200]!r}")
        if head and self._at_end:
            raise NotAnAnswer(f"the connection ended inside a head: {head[:200]!r}")

    def _read_body(self, status: int, headers: dict[str, str], rest: bytes, method: str) -> tuple[bytes, bytes] | None:
        """The body and what follows it."""
        length, coding = headers.get("content-length"), headers.get("transfer-encoding")
        if length is not None and coding is not None:
            raise NotAnAnswer("both Content-Length and Transfer-Encoding")
        if method == "HEAD" or status in (204, 304):
            return b"", rest
        if coding is not None:
            if coding.lower() != "chunked":
                raise NotAnAnswer(f"Transfer-Encoding: {coding}")
            return _read_chunks(rest)
        if length is None or not length.isdigit():
            raise NotAnAnswer(f"a body without a good length: {length!r}")
        size = int(length)
        if self._may_lack_body and size and (rest.startswith(b"HTTP/1.1 ") or (self._at_end and not rest)):
            return b"", rest
        return None if len(rest) < size else (rest[:size], rest[size:])


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.split(b"\r\n")
    status = _STATUS_LINE.match(first)
    if status is None:
        raise NotAnAnswer(f"no status line: {first[:200]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        found = _HEADER_LINE.match(line)
        if found is None:
            raise NotAnAnswer(f"no header line: {line[:200]!r}")
        name = found[1].decode("ascii").lower()
        if name in headers:
            raise NotAnAnswer(f"{name} twice")
        headers[name] = found[2].decode("latin-1")
    return int(status[1]), headers


def _read_chunks(rest: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while True:
        line, separator, rest = rest.partition(b"\r\n")
        if not separator:
            return None
        if _CHUNK_SIZE.match(line) is None:
            raise NotAnAnswer(f"no chunk size: {line[:40]!r}")
        size = int(line, 16)
        if len(rest) < size + 2:
            return None
        if rest[size : size + 2] != b"\r\n":
            raise NotAnAnswer("a chunk longer than its size")
        body, rest = body + rest[:size], rest[size + 2 :]
        if not size:
            return body, rest
