"""The HTTP layer on real sockets: what is not HTTP, what is too much, what is too slow."""

from __future__ import annotations

import contextlib
import json
import random
import select
import socket
from collections.abc import Iterator

import pytest

from claviger.core.clock import ManualClock
from claviger.server.limits import Limits
from tests.wire_server import Served, read_answer, served, until

HOST = b"Host: demo.vault.localhost\r\n"
SMALL = Limits(
    target_bytes=200,
    head_bytes=1000,
    header_count=10,
    drain_bytes=2000,
    linger_bytes=20000,
    linger_s=1.0,
    linger_quiet_s=0.1,
    connections=6,
    pipelined=5,
)


@pytest.fixture(scope="module")
def small() -> Iterator[Served]:
    """A server with small limits; its clock stands still."""
    with served(limits=SMALL, clock=ManualClock(0)) as it:
        yield it


@pytest.fixture
def timed() -> Iterator[Served]:
    """A server of its own for tests that move the clock."""
    with served(limits=SMALL, clock=ManualClock(0)) as it:
        yield it


def pour(connection: socket.socket) -> None:
    """Sends more and more until there is an answer: what a server takes in one piece is not counted by the byte."""
    with contextlib.suppress(OSError):
        while not select.select([connection], [], [], 0.01)[0]:
            connection.sendall(b"a" * 100)


def get(path: bytes, more: bytes = b"") -> bytes:
    """A request without a body."""
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + more + b"\r\n"


def post(path: bytes, more: bytes, body: bytes = b"") -> bytes:
    """A request with whatever framing `more` says."""
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + more + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked\r\n"

MALFORMED = {
    "length and chunked": post(b"/echo", b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"),
    "chunked and length": post(b"/echo", CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"),
    "two lengths": post(b"/echo", b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"),
    "two equal lengths": post(b"/echo", b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    "list of lengths": post(b"/echo", b"Content-Length: 5, 5\r\n", b"hello"),
    "signed length": post(b"/echo", b"Content-Length: +5\r\n", b"hello"),
    "negative length": post(b"/echo", b"Content-Length: -5\r\n", b"hello"),
    "empty length": post(b"/echo", b"Content-Length:\r\n", b"hello"),
    "endless length": post(b"/echo", b"Content-Length: 99999999999999999999999\r\n", b"hello"),
    "coding before chunked": post(b"/echo", b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "coding after chunked": post(b"/echo", b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"),
    "identity": post(b"/echo", b"Transfer-Encoding: identity\r\n", b"hello"),
    "xchunked": post(b"/echo", b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "chunked twice": post(b"/echo", CHUNKED + CHUNKED, b"0\r\n\r\n"),
    "chunked with vertical tab": post(b"/echo", b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "chunked in HTTP/1.0": b"POST /echo HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n0\r\n\r\n",
    "blank before colon": post(b"/echo", b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "chunk size": post(b"/echo", CHUNKED, b"zz\r\n\r\n"),
    "chunk size in C notation": post(b"/echo", CHUNKED, b"0x3\r\nabc\r\n0\r\n\r\n"),
    "endless chunk size": post(b"/echo", CHUNKED, b"fffffffffffffffff\r\nabc\r\n"),
    "chunk without end": post(b"/echo", CHUNKED, b"3\r\nabcX0\r\n\r\n"),
    "chunk size ended by LF": post(b"/echo", CHUNKED, b"3\nabc\r\n0\r\n\r\n"),
    "length in a trailer": post(b"/echo", CHUNKED, b"0\r\nContent-Length: 5\r\n\r\n"),
    "folded header": get(b"/hello", b"X-A: a\r\n b\r\n"),
    "bare LF": b"GET /hello HTTP/1.1\nHost: a\n\n",
    "bare CR": b"GET /hello HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "NUL": get(b"/hello", b"X-A: a\0b\r\n"),
    "control character": get(b"/hello", b"X-A: a\x01b\r\n"),
    "NUL in the path": get(b"/he\0llo"),
    "blank in the path": get(b"/he llo"),
    "high bytes in the path": get(b"/\xff\xfe"),
    "fragment": get(b"/hello#x"),
    "asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "no slash": get(b"hello"),
    "other scheme": get(b"ftp://a/b"),
    "HTTP/0.9": b"GET /hello\r\n\r\n",
    "HTTP/2.0": b"GET /hello HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/1.2": b"GET /hello HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT": b"CONNECT example.org:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "small letters": b"get /hello HTTP/1.1\r\n" + HOST + b"\r\n",
    "unknown method": b"FROBNICATE /hello HTTP/1.1\r\n" + HOST + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no header name": get(b"/hello", b": a\r\n"),
    "no colon": get(b"/hello", b"X-A\r\n"),
    "blank in a header name": get(b"/hello", b"X A: b\r\n"),
    "upgrade with a body": post(
        b"/echo",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 30\r\n",
        b"GET /hello/smuggled HTTP/1.1\r\n\r\n",
    ),
    "no host": b"GET /hello HTTP/1.1\r\n\r\n",
    "two hosts": get(b"/hello", b"Host: other\r\n"),
    "no such host": b"GET /hello HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "user in the host": b"GET /hello HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "empty host": b"GET /hello HTTP/1.1\r\nHost:\r\n\r\n",
    "nothing but noise": bytes(range(256)),
}


class TestMalformed:
    @pytest.mark.parametrize("name", MALFORMED)
    def test_gets_a_json_400_and_is_not_executed(self, small: Served, name: str) -> None:
        small.app.seen.clear()
        answer = small.ask(MALFORMED[name])
        assert answer.status == 400
        assert answer.json["error"]["code"] == "BadParameter"
        assert answer.json["error"]["message"]
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert "server" not in answer.headers
        assert "date" not in answer.headers
        assert not any("smuggled" in path for path in small.app.seen)

    @pytest.mark.parametrize("name", MALFORMED)
    def test_in_single_bytes_it_is_the_same(self, small: Served, name: str) -> None:
        with small.connection() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for byte in MALFORMED[name]:
                    connection.send(bytes([byte]))
            except OSError:
                pass  # refused before its end
            answer = read_answer(connection.makefile("rb"))
        assert answer is not None
        assert answer.status == 400

    @pytest.mark.parametrize(
        "request_",
        [
            b"HEAD /hello HTTP/9.9\r\n" + HOST + b"\r\n",
            b"HEAD /hello HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
            b"HEAD /echo HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n0\r\n" + b"T: v\r\n" * 300 + b"\r\n",
            b"HEAD javascript:x HTTP/1.1\r\n\r\n",
            b"HEAD /silent HTTP/1.1\r\n" + HOST + b"\r\n",
        ],
        ids=["version", "header", "trailers", "target", "failure"],
    )
    def test_a_head_is_refused_without_a_body(self, small: Served, request_: bytes) -> None:
        for before in (b"", get(b"/hello/1")):
            with small.connection() as connection, connection.makefile("rb") as stream:
                connection.sendall(before + request_)
                if before:
                    assert read_answer(stream)
                answer = read_answer(stream, "HEAD")
                assert answer
                assert answer.status in (400, 431, 500)
                assert int(answer.headers["content-length"]) > 0
                assert stream.read() == b""

    def test_what_follows_a_head_is_refused_with_one(self, small: Served) -> None:
        with small.connection() as connection, connection.makefile("rb") as stream:
            connection.sendall(b"HEAD /hello HTTP/1.1\r\n" + HOST + b"\r\nBREW /pot HTTP/1.1\r\n\r\n")
            assert read_answer(stream, "HEAD")
            answer = read_answer(stream)
            assert answer
            assert (answer.status, answer.json["error"]["code"]) == (400, "BadParameter")

    def test_a_trailer_is_no_header(self, small: Served) -> None:
        sent = post(b"/scope", CHUNKED, b"3\r\nabc\r\n0\r\nAuthorization: Bearer forged\r\nHost: evil\r\n\r\n")
        names = [name for name, _ in small.ask(sent + get(b"/hello")).json["headers"]]
        assert names == ["host", "transfer-encoding"]

    def test_what_ends_early_gets_400(self, small: Served) -> None:
        for sent in (
            b"GET /hello HT",
            post(b"/echo", b"Content-Length: 10\r\n", b"abc"),
            post(b"/echo", CHUNKED, b"5\r\nab"),
        ):
            with small.connection() as connection:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                stream = connection.makefile("rb")
                answer = read_answer(stream)
                assert answer is not None
                assert answer.status == 400
                assert stream.read() == b""

    def test_noise_never_hangs_and_never_gets_a_5xx(self, small: Served, seed: int) -> None:
        chance = random.Random(seed)
        valid = [
            get(b"/hello/a"),
            post(b"/echo", b"Content-Length: 5\r\n", b"hello"),
            post(b"/echo", CHUNKED, b"1\r\na\r\n0\r\n\r\n"),
        ]
        for _ in range(300):
            sent = bytearray(b"".join(chance.choices(valid, k=chance.randint(1, 3))))
            for _ in range(chance.randint(1, 5)):
                at = chance.randrange(len(sent))
                sent[at : at + chance.randint(0, 2)] = bytes(chance.choices(range(256), k=chance.randint(0, 3)))
            with small.connection() as connection:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                stream = connection.makefile("rb")
                while (answer := read_answer(stream)) is not None:
                    assert answer.status < 500, bytes(sent)
                    json.loads(answer.body)


class TestSizes:
    def test_target(self, small: Served) -> None:
        fits = get(b"/hello/" + b"a" * (200 - 7))
        assert small.ask(fits).status == 200
        assert small.ask(get(b"/hello/" + b"a" * (200 - 6))).status == 414

    def test_header_bytes(self, small: Served) -> None:
        assert small.ask(get(b"/hello", b"X-A: " + b"a" * 900 + b"\r\n")).status == 200
        assert small.ask(get(b"/hello", b"X-A: " + b"a" * 1000 + b"\r\n")).status == 431

    def test_header_bytes_that_never_end(self, small: Served) -> None:
        with small.connection() as connection:
            connection.sendall(b"GET /hello HTTP/1.1\r\n" + HOST + b"X-A: ")
            pour(connection)
            answer = read_answer(connection.makefile("rb"))
        assert answer is not None
        assert answer.status == 431

    def test_header_count(self, small: Served) -> None:
        assert small.ask(get(b"/hello", b"X-A: a\r\n" * 9)).status == 200
        assert small.ask(get(b"/hello", b"X-A: a\r\n" * 10)).status == 431

    def test_many_bytes_in_one_read_are_not_taken_for_headers(self, small: Served) -> None:
        sent = post(b"/echo", b"Content-Length: 5000\r\n", b"a" * 5000) + get(b"/hello/after")
        with small.connection() as connection:
            connection.sendall(sent)
            stream = connection.makefile("rb")
            assert read_answer(stream).json["length"] == 5000  # type: ignore[union-attr]
            assert read_answer(stream).json["hello"] == "after"  # type: ignore[union-attr]

    def test_nor_for_those_of_a_request_that_begins_behind_them(self, small: Served) -> None:
        with small.connection() as connection:
            stream = connection.makefile("rb")
            connection.sendall(post(b"/echo", b"Content-Length: 5000\r\n", b"a" * 5000) + b"GET /hello/la")
            assert read_answer(stream).json["length"] == 5000  # type: ignore[union-attr]
            connection.sendall(b"ter HTTP/1.1\r\n" + HOST + b"\r\n")
            assert read_answer(stream).json["hello"] == "later"  # type: ignore[union-attr]

    def test_trailers_and_chunk_extensions(self, small: Served) -> None:
        for sent in (b"3\r\nabc\r\n0\r\nX-A: ", b"3;x="):
            with small.connection() as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.sendall(post(b"/echo", CHUNKED))
                connection.sendall(sent)
                stream = connection.makefile("rb")
                pour(connection)
                answer = read_answer(stream)
            assert answer is not None
            assert answer.status == 431

    def test_connections(self, timed: Served) -> None:
        with timed.connection() as first:
            others = [timed.connection() for _ in range(5)]
            opened = [other.__enter__() for other in others]
            until(lambda: timed.serving.wire.connections_refused == 0)
            answer = timed.ask(get(b"/hello"))
            assert answer.status == 503
            assert answer.json["error"]["code"] == "ServiceUnavailable"
            assert answer.headers["retry-after"] == "1"
            first.sendall(get(b"/hello"))
            assert read_answer(first.makefile("rb")).status == 200  # type: ignore[union-attr]
            for connection in opened:
                connection.close()
        until(lambda: timed.talk(get(b"/hello"))[0].status == 200)


class TestTimes:
    """The clock stands still; a connection is cut only when it was moved."""

    def test_slow_headers(self, timed: Served) -> None:
        with timed.connection() as connection:
            stream = connection.makefile("rb")
            connection.sendall(get(b"/hello"))
            assert read_answer(stream) is not None
            connection.sendall(b"GET /hello HTTP/1.1\r\n")
            until(lambda: [one.deadline for one in tuple(timed.serving.connections)] == [20])
            timed.advance(19)
            connection.sendall(b"X-A: a\r\n")  # a little more does not buy time
            timed.advance(2)
            answer = read_answer(stream)
            assert answer is not None
            assert (answer.status, answer.json["error"]["code"]) == (408, "RequestTimeout")
            assert stream.read() == b""

    def test_nothing_at_all(self, timed: Served) -> None:
        with timed.connection() as connection:
            until(lambda: len(timed.serving.connections) == 1)
            timed.advance(21)
            assert connection.recv(100) == b""

    def test_a_body_that_stops(self, timed: Served) -> None:
        with timed.connection() as connection:
            connection.sendall(post(b"/echo", b"Content-Length: 10\r\n", b"abc"))
            until(lambda: timed.app.body_bytes == 3)
            timed.advance(21)
            timed.advance(21)
            answer = read_answer(connection.makefile("rb"))
            assert answer is not None
            assert answer.status == 408
        until(lambda: timed.app.disconnects == 1)

    def test_a_body_that_drips(self, timed: Served) -> None:
        with timed.connection() as connection:
            connection.sendall(post(b"/echo", b"Content-Length: 1000\r\n", b"a"))
            stream = connection.makefile("rb")
            for passed in range(10, 80, 10):
                connection.sendall(b"a")
                until(lambda: timed.app.body_bytes >= passed // 10)  # noqa: B023 - called at once
                timed.advance(10)
            timed.advance(20)
            answer = read_answer(stream)
            assert answer is not None
            assert answer.status == 408

    def test_a_slow_application_is_not_the_clients_fault(self, timed: Served) -> None:
        with timed.connection() as connection:
            connection.sendall(get(b"/wait/long"))
            until(lambda: "/wait/long" in timed.app.seen)
            timed.advance(1000)
            timed.app.gate.set()
            answer = read_answer(connection.makefile("rb"))
            assert answer is not None
            assert answer.json == {"waited": "long"}

    def test_the_rest_of_an_unwanted_body(self, timed: Served) -> None:
        with timed.connection() as connection:
            connection.sendall(b"PUT /early/401 HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n")
            stream = connection.makefile("rb")
            answer = read_answer(stream)
            assert answer is not None
            assert (answer.status, answer.headers.get("connection")) == (401, None)
            timed.advance(5)
            assert stream.read() == b""

    def test_idle(self, timed: Served) -> None:
        with timed.connection() as connection:
            stream = connection.makefile("rb")
            for _ in range(3):
                connection.sendall(get(b"/hello"))
                assert read_answer(stream).status == 200  # type: ignore[union-attr]
                timed.advance(74)
            connection.sendall(get(b"/hello"))
            assert read_answer(stream).status == 200  # type: ignore[union-attr]
            timed.advance(76)
            assert stream.read() == b""

    @pytest.mark.parametrize("path", [b"/big/1000", b"/blob/60000000"])
    def test_a_client_that_takes_no_answer(self, timed: Served, path: bytes) -> None:
        with timed.connection() as connection:
            connection.sendall(get(path))
            until(lambda: any(c.write_deadline < 100 for c in tuple(timed.serving.connections)))
            timed.advance(61)
            until(lambda: not timed.serving.connections)
        assert timed.app.seen == [path.decode()]
