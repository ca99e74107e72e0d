"""Bodies that nobody reads, answers that come early, requests on a kept connection, and applications that fail."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from claviger.core.asgi import Scope
from claviger.core.clock import SystemClock
from claviger.server.front import Front
from claviger.server.metrics import Metrics, resident_bytes
from tests.wire_server import Served, read_answer, served, until

HOST = b"Host: demo.vault.localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
MIB = 1024 * 1024
GROUND: dict[str, Any] = {"metrics": Metrics(), "clock": SystemClock(), "version": "1", "services": {}}


@pytest.fixture(scope="module")
def it() -> Iterator[Served]:
    """A server with the limits it has in earnest."""
    with served() as running:
        yield running


@pytest.fixture
def fresh() -> Iterator[Served]:
    """The same, untouched by other tests."""
    with served() as running:
        yield running


def get(path: bytes, more: bytes = b"") -> bytes:
    """A request without a body."""
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + more + b"\r\n"


def post(path: bytes, body: bytes, more: bytes = b"") -> bytes:
    """A request with a body of known length."""
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n" % len(body) + more + b"\r\n" + body


class QuickFront(Front):
    """Answers at once whatever it is asked that way, and tells what body it was given."""

    def quick(self, scope: Scope, body: bytes = b"") -> bytes | None:
        content = json.dumps({"quick": scope["method"], "length": len(body)}).encode()
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(content), content)


class TestTheQuickWay:
    def test_is_asked_once_the_whole_body_is_there(self) -> None:
        chunks = b"POST /echo HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        asked = get(b"/hello") + post(b"/echo", b"") + post(b"/echo", b"x" * 9000) + chunks + post(b"/echo", b"x")
        with served(front=lambda app: QuickFront(lambda *_: app, **GROUND)) as it:
            answers = it.talk(asked, 5)
        assert [(a.json["quick"], a.json["length"]) for a in answers] == [
            ("GET", 0),
            *(("POST", length) for length in (0, 9000, 5, 1)),
        ]

    def test_is_left_where_the_body_is_still_to_come(self) -> None:
        with served(front=lambda app: QuickFront(lambda *_: app, **GROUND)) as it, it.connection() as connection:
            stream = connection.makefile("rb")
            connection.sendall(post(b"/echo", b"x" * 5, b"Expect: 100-continue\r\n")[:-5])
            assert (stream.readline(), stream.readline()) == (b"HTTP/1.1 100 Continue\r\n", b"\r\n")
            connection.sendall(b"x" * 5)
            answer = read_answer(stream)
            assert answer is not None
            assert answer.json == {"length": 5, "start": "xxxxx"}
            connection.sendall(post(b"/echo", b"y"))
            following = read_answer(stream)
            assert following is not None
            assert following.json == {"quick": "POST", "length": 1}

    def test_is_not_for_changes_by_put(self) -> None:
        with served(front=lambda app: QuickFront(lambda *_: app, **GROUND)) as it:
            assert it.ask(post(b"/echo", b"xyz").replace(b"POST", b"PUT")).json["start"] == "xyz"


class TestOneConnection:
    def test_many_requests_one_after_the_other(self, it: Served) -> None:
        with it.connection() as connection:
            stream = connection.makefile("rb")
            for number in range(50):
                connection.sendall(post(b"/echo", b"x" * number) if number % 2 else get(b"/hello/%d" % number))
                answer = read_answer(stream)
                assert answer is not None
                assert answer.json == (
                    {"length": number, "start": "x" * number} if number % 2 else {"hello": str(number)}
                )
                assert "connection" not in answer.headers

    def test_many_requests_at_once_are_answered_in_order(self, it: Served) -> None:
        sent = b"".join(post(b"/echo", b"x" * (n * 100)) + get(b"/hello/%d" % n) for n in range(40))
        answers = it.talk(sent, 80)
        assert [a.json["length"] for a in answers[::2]] == [n * 100 for n in range(40)]
        assert [a.json["hello"] for a in answers[1::2]] == [str(n) for n in range(40)]

    def test_more_at_once_than_may_wait(self, fresh: Served) -> None:
        answers = fresh.talk(get(b"/hello") * 400, 400)
        assert [a.status for a in answers[:-1]] == [200] * (len(answers) - 1)
        assert answers[-1].status == 400
        assert 256 <= len(answers) < 300

    def test_a_bad_request_is_answered_after_the_good_ones_before_it(self, fresh: Served) -> None:
        with fresh.connection() as connection:
            connection.sendall(get(b"/wait/1") + get(b"/hello/2") + b"BAD\r\n\r\n" + get(b"/hello/never"))
            until(lambda: "/wait/1" in fresh.app.seen)
            fresh.app.gate.set()
            stream = connection.makefile("rb")
            answers = [read_answer(stream) for _ in range(3)]
            assert stream.read() == b""
        assert [a.status for a in answers if a] == [200, 200, 400]
        assert fresh.app.seen == ["/wait/1", "/hello/2"]

    def test_a_bad_body_behind_a_running_request_is_never_given_to_its_application(self, fresh: Served) -> None:
        with fresh.connection() as connection:
            connection.sendall(get(b"/wait/1") + b"POST /echo HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\nzz\r\n")
            until(lambda: "/wait/1" in fresh.app.seen)
            fresh.app.gate.set()
            stream = connection.makefile("rb")
            assert [a.status for a in (read_answer(stream), read_answer(stream)) if a] == [200, 400]
        assert fresh.app.seen == ["/wait/1"]

    def test_nothing_after_connection_close(self, fresh: Served) -> None:
        with fresh.connection() as connection:
            connection.sendall(get(b"/hello/1", b"Connection: close\r\n") + get(b"/hello/2"))
            stream = connection.makefile("rb")
            answer = read_answer(stream)
            assert answer is not None
            assert answer.headers["connection"] == "close"
            assert stream.read() == b""
        assert fresh.app.seen == ["/hello/1"]

    def test_http_1_0_is_closed_after_the_answer(self, it: Served) -> None:
        for more in (b"", b"Connection: keep-alive\r\n"):
            with it.connection() as connection:
                connection.sendall(b"GET /big/3 HTTP/1.0\r\n" + HOST + more + b"\r\n")
                stream = connection.makefile("rb")
                answer = read_answer(stream)
                assert answer is not None
                assert "transfer-encoding" not in answer.headers
                assert len(answer.body) == 3 * 65536

    def test_a_half_closed_client_gets_its_answer(self, fresh: Served) -> None:
        with fresh.connection() as connection:
            connection.sendall(get(b"/wait/x"))
            connection.shutdown(socket.SHUT_WR)
            until(lambda: "/wait/x" in fresh.app.seen)
            fresh.app.gate.set()
            stream = connection.makefile("rb")
            assert [a.json for a in [read_answer(stream)] if a] == [{"waited": "x"}]
            assert stream.read() == b""

    @pytest.mark.parametrize("upgrade", ["h2c", "websocket", "TLS/1.2"])
    def test_an_upgrade_is_ignored(self, it: Served, upgrade: str) -> None:
        more = f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAA\r\n".encode()
        answer = it.ask(get(b"/hello/plain", more) + get(b"/hello/never"))
        assert (answer.status, answer.json) == (200, {"hello": "plain"})
        assert answer.headers["connection"] == "close"

    def test_head_has_no_body(self, it: Served) -> None:
        with it.connection() as connection:
            connection.sendall(b"HEAD /hello HTTP/1.1\r\n" + HOST + b"\r\n" + get(b"/hello/2"))
            stream = connection.makefile("rb")
            head = read_answer(stream, "HEAD")
            assert head is not None
            assert int(head.headers["content-length"]) > 0
            assert [a.json for a in [read_answer(stream)] if a] == [{"hello": "2"}]


class TestWhatTheApplicationSees:
    def test_the_path_as_it_came(self, it: Served) -> None:
        shown = it.ask(get(b"//scope/a%2Fb%20c/?api%2Dversion=7.4&x=%ff")).json
        assert shown["raw_path"] == "//scope/a%2Fb%20c/"
        assert shown["path"] == "//scope/a/b c/"
        assert shown["query_string"] == "api%2Dversion=7.4&x=%ff"

    def test_the_host_of_an_absolute_target(self, it: Served) -> None:
        shown = it.ask(get(b"https://other.vault.localhost:1/scope?a")).json
        assert [value for name, value in shown["headers"] if name == "host"] == ["other.vault.localhost:1"]
        assert (shown["raw_path"], shown["query_string"]) == ("/scope", "a")

    def test_header_names_are_in_lower_case_and_values_untouched(self, it: Served) -> None:
        shown = it.ask(get(b"/scope", b"X-Odd_Name:  a \xff b  \r\n")).json
        assert ["x-odd_name", "a \xff b"] in shown["headers"]


class TestExpectContinue:
    def test_leave_is_given_when_the_application_reads(self, it: Served) -> None:
        with it.connection() as connection:
            head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
            connection.sendall(head)
            stream = connection.makefile("rb")
            assert stream.readline() == b"HTTP/1.1 100 Continue\r\n"
            assert stream.readline() == b"\r\n"
            connection.sendall(b"hello")
            answer = read_answer(stream)
            assert answer is not None
            assert answer.json["length"] == 5
            assert "connection" not in answer.headers

    def test_a_refusal_comes_instead_and_the_connection_ends(self, it: Served) -> None:
        with it.connection() as connection:
            connection.sendall(
                b"POST /early/413 HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
            )
            stream = connection.makefile("rb")
            assert stream.readline().startswith(b"HTTP/1.1 413 ")
            assert b"connection: close\r\n" in stream.read()

    def test_without_a_body_there_is_nothing_to_wait_for(self, it: Served) -> None:
        with it.connection() as connection:
            connection.sendall(get(b"/early/401", b"Expect: 100-continue\r\n") + get(b"/hello/next"))
            stream = connection.makefile("rb")
            assert [a.status for a in (read_answer(stream), read_answer(stream)) if a] == [401, 200]


class TestUnreadBodies:
    def test_a_small_rest_is_thrown_away_and_the_connection_kept(self, it: Served) -> None:
        with it.connection() as connection:
            stream = connection.makefile("rb")
            for _ in range(3):
                connection.sendall(
                    b"PUT /early/401 HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n" + b"x" * 10
                )
                answer = read_answer(stream)
                assert answer is not None
                assert answer.status == 401
                assert "connection" not in answer.headers
                connection.sendall(b"GET /hello HTTP/1.1\r\n\r\n".ljust(100000 - 10, b"x") + get(b"/hello/next"))
                following = read_answer(stream)
                assert following is not None
                assert following.json == {"hello": "next"}

    def test_a_large_rest_ends_the_connection(self, it: Served) -> None:
        with it.connection() as connection:
            connection.sendall(b"PUT /early/401 HTTP/1.1\r\n" + HOST + b"Content-Length: 9000000\r\n\r\n")
            answer = read_answer(connection.makefile("rb"))
            assert answer is not None
            assert answer.headers["connection"] == "close"

    def test_a_client_that_looks_up_only_when_all_is_sent_sees_the_answer(self, it: Served) -> None:
        size = 20 * MIB
        with it.connection() as connection:
            connection.sendall(b"PUT /early/413 HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size)
            for _ in range(20):
                connection.sendall(bytes(MIB))  # fails where the connection was reset
            answer = read_answer(connection.makefile("rb"))
            assert answer is not None
            assert answer.status == 413

    def test_a_client_that_ends_after_the_answer_gets_no_second_one(
        self, it: Served, caplog: pytest.LogCaptureFixture
    ) -> None:
        with it.connection() as connection:
            connection.sendall(b"PUT /early/401 HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nabc")
            stream = connection.makefile("rb")
            assert [answer.status for answer in [read_answer(stream)] if answer] == [401]
            connection.shutdown(socket.SHUT_WR)
            assert stream.read() == b""
        assert caplog.text == ""

    def test_a_body_is_not_taken_faster_than_it_is_read(self, fresh: Served) -> None:
        """An application that waits holds its sender back: memory does not grow."""
        before = resident_bytes()
        with fresh.connection() as connection:
            connection.settimeout(0.5)
            connection.sendall(b"POST /wait/x HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n")
            chunk = b"100000\r\n" + b"x" * MIB + b"\r\n"
            taken = 0
            with contextlib.suppress(TimeoutError):
                while taken < 200:
                    connection.sendall(chunk)
                    taken += 1
            assert taken < 50
        assert resident_bytes() - before < 40 * MIB


class TestApplicationsThatFail:
    @pytest.mark.parametrize(
        "path", [b"/crash", b"/crash/started", b"/silent", b"/inject", b"/length/5", b"/length/15"]
    )
    def test_get_a_json_500_that_tells_nothing(self, it: Served, path: bytes, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            answer = it.ask(get(path))
        assert answer.status == 500
        assert answer.json["error"]["code"] == "InternalServerError"
        assert "s3cr3t" not in caplog.text + str(answer)
        assert "set-cookie" not in answer.headers
        if path == b"/crash":
            assert "ValueError at _crash" in caplog.text

    def test_half_an_answer_is_cut_off(self, it: Served) -> None:
        with it.connection() as connection:
            connection.sendall(get(b"/crash/half"))
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(1000):
                    received += piece
        assert received.endswith(b"12345") or received == b""
        assert b"500" not in received

    def test_leave_the_connection_of_others_alone(self, it: Served) -> None:
        with it.connection() as connection:
            stream = connection.makefile("rb")
            connection.sendall(get(b"/hello/1"))
            assert read_answer(stream) is not None
            assert it.ask(get(b"/crash")).status == 500
            connection.sendall(get(b"/hello/2"))
            assert [a.json for a in [read_answer(stream)] if a] == [{"hello": "2"}]

    def test_a_client_that_leaves_is_told_to_the_application(self, fresh: Served) -> None:
        with fresh.connection() as connection:
            connection.sendall(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nabc")
            until(lambda: fresh.app.body_bytes == 3)
        until(lambda: fresh.app.disconnects == 1)
