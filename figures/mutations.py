"""Requests spoilt at the level of bytes: every trick of the trade against an HTTP parser, and blind damage besides.

`Spoiler.spoil` takes good requests and dice, and gives bytes with the names of what was done to them. Pure: the same
requests and dice give the same bytes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

Trick = Callable[[bytes, random.Random], bytes]

_LINE = re.compile(rb"\r\n")
_NASTY = (
    b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\r\r\n", b"\n\n", b" ", b"\t", b"\x0b", b"\x7f", b"\x80", b"\xff",
    b"\xc3\x28", b":", b"%", b"%00", b"%0d%0a", b"#", b"?", b"//", b"\\", b"{}", b"${x}", b"\xef\xbb\xbf",
    b"HTTP/1.1", b"\x16\x03\x01\x02\x00", b"\x1b[2J",
)  # fmt: skip
_METHODS = (
    *(b"get", b"GET\t", b" GET", b"G\0ET", b"CONNECT", b"TRACE", b"PRI", b"OPTIONS", b"SOURCE", b"M-SEARCH", b"QUERY"),
    *(b"", b"GET GET", b"A" * 70_000, b"PUT/", b"\xff\xff", b"HEAD"),
)
_VERSIONS = (
    *(
        b"HTTP/1.0",
        b"HTTP/0.9",
        b"HTTP/2.0",
        b"HTTP/1.2",
        b"HTTP/1.10",
        b"HTTP/9.9",
        b"http/1.1",
        b"HTTP/1",
        b"HTTP/",
        b"",
    ),
    *(b"HTTP/1.1 x", b"HTTP/1.1\t", b"ICY", b"RTSP/1.0", b"HTTP/11", b"HTTP/ 1.1", b"HTTP/1.\xb9"),
)
_TARGETS = (
    b"*", b"//", b"/", b"", b"http://%h/secrets/s?api-version=7.6", b"https://%h/secrets/s", b"https://",
    b"https:///x", b"%h:443", b"http://u:p@%h/", b"https://nobody.vault.localhost/secrets", b"/secrets/#f",
    b"/secrets/%", b"/secrets/%zz", b"/secrets/%c0%ae%c0%ae/", b"/../../../etc/passwd", b"/secrets/\xff\xfe",
    b"/secrets/a b", b"/secrets/\t", b"/health", b"/metrics", b"/secrets/" + b"a" * 17_000,
    b"/?" + b"&".join([b"a=b"] * 3000), b"/claviger/switches", b"http://[::1/", b"http://[::1]/secrets",
    b"javascript:alert(1)", b"file:///etc/passwd", b"/secrets/..%2f..%2f", b"/" * 5000,
)  # fmt: skip
_LENGTHS = (
    *(
        b"-1",
        b"+5",
        b"5,5",
        b"5 5",
        b"0x5",
        b"5.0",
        b"1e3",
        b"",
        b" ",
        b"9" * 25,
        b"18446744073709551616",
        b"00000000000000000005",
    ),
    *(b"\xb9", b"5;q=1", b"9223372036854775807", b"4294967296", b"NaN", b"5\t"),
)
_CODINGS = (
    *(
        b"chunked, chunked",
        b"xchunked",
        b"gzip, chunked",
        b"chunked, identity",
        b"identity",
        b"",
        b"Chunked",
        b"chunked\t",
        b"\x0bchunked",
    ),
    *(b'"chunked"', b"chunked;q=0", b"chunked\0", b"deflate"),
)
_CHUNKS = (
    b"5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\nhello\r\n", b"7fffffff\r\nhello\r\n",
    b"5;a=b\r\nhello\r\n0\r\n\r\n", b"5;" + b"a" * 70_000 + b"\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n",
    b"5\r\nhelloworld\r\n0\r\n\r\n", b"4\r\nhello\r\n0\r\n\r\n", b"0\r\n", b"0\r\nX: y\r\n\r\n",
    b"0\r\n" + b"T: v\r\n" * 300 + b"\r\n", b"0\r\nContent-Length: 5\r\n\r\n", b"\r\n", b"zz\r\n\r\n",
    b"0\r\n" + b"X" * 70_000 + b": y\r\n\r\n", b"1\r\na\r\n" * 400 + b"0\r\n\r\n", b"5\r\nhello0\r\n\r\n",
    b"00000000000000005\r\nhello\r\n0\r\n\r\n", b"0;\r\n\r\n",
)  # fmt: skip
_LINES = (
    b"Host: %h", b"Host: other", b"Host:", b"Host : %h", b" folded: x", b"\tfolded", b"no colon at all",
    b": no name", b"X\0Y: z", b"X Y: z", b"X: a\0b", b"X: a\rb", b"X: a\nb", b"X\xff: y", b"X: \xff\xfe",
    b"X: " + b"y" * 70_000, b"X" * 70_000 + b": y", b"Content-Length: 5", b"Content-Length: 0",
    b"Content-Length : 5", b"Transfer-Encoding: chunked", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding\x0b: chunked", b"Transfer\0-Encoding: chunked", b"Expect: 100-continue",
    b"Expect: " + b"x" * 3000, b"Upgrade: h2c\r\nConnection: Upgrade\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    b"Upgrade: websocket\r\nConnection: Upgrade", b"Connection: close", b"Connection: keep-alive, close",
    b"Connection: \xff", b"Authorization: Bearer", b"Authorization: Bearer " + b"A" * 20_000,
    b"Authorization: Basic %%%", b"X-HTTP-METHOD: DELETE", b"Trailer: X", b"TE: trailers, chunked;q=\xff",
    b"Cookie: " + b"a=b;" * 4000, b"Keep-Alive: timeout=99999", b"x-ms-client-request-id: a\x01b",
    b"Content-Type: \x80", b"Content-Encoding: gzip, br, zstd", b"\xef\xbb\xbfHost: %h", b"Host: [::1]:443",
    b"Host: %h, %h", b"Host: user@%h", b"Host: %h/../", b"Content-Length: 5\r\nContent-Length: 6",
    b"Range: bytes=0-" + b"9" * 400,
)  # fmt: skip
STRANGERS = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"*1\r\n$4\r\nPING\r\n", b"EHLO x\r\n",
    b"\0\0\0\x08\x04\xd2\x16\x2f", b"GET /\r\n", b"GET / HTTP/1.1\n\n", b"\r\n" * 2000, b"\0" * 5000, b"\xff" * 300,
    b"PUT", b"G", b"\n", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 400 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"{}", b"USER anonymous\r\n", b"\x05\x01\x00",
    b"CONNECT %h:443 HTTP/1.1\r\nHost: %h\r\n\r\n" + b"\x16\x03\x01" * 9, b"A" * 200_000, b"\x80\x9e\x01\x03\x01",
)  # fmt: skip


def flip_bits(raw: bytes, dice: random.Random) -> bytes:
    """One to eight bits the other way round, mostly near the front, where the head is."""
    spoilt = bytearray(raw)
    for _ in range(dice.randrange(1, 9)):
        at = dice.randrange(len(spoilt) if dice.random() < 0.5 else min(len(spoilt), 120))
        spoilt[at] ^= 1 << dice.randrange(8)
    return bytes(spoilt)


def truncate(raw: bytes, dice: random.Random) -> bytes:
    """Only the beginning."""
    return raw[: dice.randrange(1, max(2, len(raw)))]


def remove(raw: bytes, dice: random.Random) -> bytes:
    """A piece out of the middle."""
    at = dice.randrange(len(raw))
    return raw[:at] + raw[at + dice.randrange(1, 30) :] or b"x"


def repeat(raw: bytes, dice: random.Random) -> bytes:
    """A piece of the middle several times."""
    at = dice.randrange(len(raw))
    piece = raw[at : at + dice.randrange(1, 60)]
    return raw[:at] + piece * dice.choice((2, 3, 50)) + raw[at:]


def insert(raw: bytes, dice: random.Random) -> bytes:
    """Something nasty in the middle."""
    at = dice.randrange(len(raw) + 1)
    return raw[:at] + dice.choice(_NASTY) * dice.choice((1, 1, 2, 20)) + raw[at:]


def noise(raw: bytes, dice: random.Random) -> bytes:
    """Random bytes in the middle."""
    at = dice.randrange(len(raw) + 1)
    return raw[:at] + dice.randbytes(dice.randrange(1, 40)) + raw[at:]


def line_ends(raw: bytes, dice: random.Random) -> bytes:
    """Some or all line ends of another kind."""
    other = dice.choice((b"\n", b"\r", b"\r\r\n", b"\n\r", b" \r\n", b"\r\n ", b"\0\r\n", b"\x85", b"\r\n\r\n"))
    return (
        raw.replace(b"\r\n", other)
        if dice.random() < 0.3
        else _LINE.sub(lambda m: m[0] if dice.random() < 0.7 else other, raw)
    )


def request_line(raw: bytes, dice: random.Random) -> bytes:
    """Another method, target or version."""
    first, end, rest = raw.partition(b"\r\n")
    words = [*first.split(b" "), b"", b""][:3]
    at = dice.randrange(3)
    words[at] = dice.choice((_METHODS, _TARGETS, _VERSIONS)[at])
    return b" ".join(words) + end + rest


def header_line(raw: bytes, dice: random.Random) -> bytes:
    """A line more, somewhere in the head; or all lines of the head in another order, or twice."""
    head, end, body = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    way = dice.randrange(8)
    if way == 0:
        lines[1:] = dice.sample(lines[1:], len(lines) - 1)
    elif way == 1:
        lines += lines[1:]
    elif way == 2:
        lines += [b"X-%d: y" % number for number in range(dice.choice((90, 101, 400)))]
    else:
        lines.insert(dice.randrange(1, len(lines) + 1), dice.choice(_LINES))
    return b"\r\n".join(lines) + end + body


def framing(raw: bytes, dice: random.Random) -> bytes:
    """A wrong length, a wrong coding, or chunks that are none."""
    head, end, body = raw.partition(b"\r\n\r\n")
    lines = [
        line for line in head.split(b"\r\n") if not line.lower().startswith((b"content-length", b"transfer-encoding"))
    ]
    way = dice.randrange(4)
    if way == 0:
        lines.append(
            b"Content-Length: " + dice.choice((*_LENGTHS, b"%d" % (len(body) + dice.choice((-1, 1, 7, 100_000)))))
        )
    elif way == 1:
        lines.append(b"Transfer-Encoding: " + dice.choice(_CODINGS))
        body = dice.choice(_CHUNKS)
    else:
        lines.append(b"Transfer-Encoding: chunked")
        body = dice.choice(_CHUNKS)
        if way == 3:
            lines.append(b"Content-Length: " + dice.choice((b"0", b"5", b"6")))
    return b"\r\n".join(lines) + end + body


def other_text(raw: bytes, dice: random.Random) -> bytes:
    """The whole of it in another encoding, upside down, or nothing of it."""
    text, stranger = raw.decode("latin-1"), dice.choice(STRANGERS)
    others = (
        text.encode("utf-16"), text.encode("utf-8"), raw[::-1], raw.upper(), raw.lower(), raw.replace(b" ", b"\t"),
        dice.randbytes(dice.randrange(1, 2000)), raw.replace(b":", b""), b"\r\n" * dice.randrange(1, 9) + raw,
        stranger, stranger,
    )  # fmt: skip
    return dice.choice(others)


TRICKS: Sequence[tuple[str, Trick, int]] = (
    ("bits", flip_bits, 4), ("truncated", truncate, 2), ("removed", remove, 2), ("repeated", repeat, 2),
    ("inserted", insert, 4), ("noise", noise, 2), ("line ends", line_ends, 2), ("request line", request_line, 4),
    ("header", header_line, 5), ("framing", framing, 5), ("other text", other_text, 2),
)  # fmt: skip


class Spoiler:
    """Spoils what `good` holds. `host` is put where a trick names the host."""

    def __init__(self, good: Sequence[bytes], host: bytes) -> None:
        self._good = good
        self._host = host

    def spoil(self, dice: random.Random) -> tuple[bytes, tuple[str, ...]]:
        """Bytes, and what was done to them: one to three tricks, to one request or in the midst of several."""
        how_many = 1 if dice.random() < 0.8 else dice.choice((2, 3, 8, 40, 300))
        requests = [dice.choice(self._good) for _ in range(how_many)]
        done: list[str] = []
        if how_many > 1:
            done.append(f"pipelined {how_many}")
        if how_many == 1 or dice.random() < 0.7:
            at = dice.randrange(how_many)
            for name, trick, _ in dice.choices(
                TRICKS, [weight for *_, weight in TRICKS], k=dice.choice((1, 1, 1, 2, 3))
            ):
                requests[at] = trick(requests[at] or b"x", dice)
                done.append(name)
        return b"".join(requests).replace(b"%h", self._host), tuple(done)


def cuts(raw: bytes, dice: random.Random) -> list[bytes]:
    """The bytes in one piece mostly; else in several, or byte by byte where they are few."""
    way = dice.random()
    if way < 0.6 or len(raw) < 2:
        return [raw]
    if way < 0.7 and len(raw) < 400:
        return [raw[at : at + 1] for at in range(len(raw))]
    at = sorted({0, *(dice.randrange(1, len(raw)) for _ in range(dice.randrange(1, 8)))})
    return [raw[start:end] for start, end in zip(at, [*at[1:], len(raw)], strict=True)]
