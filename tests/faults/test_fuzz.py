"""The hostile-input trials of `make figures` in a size for every run, and proof that they see what is wrong."""

from __future__ import annotations

import json
import random
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from figures import fuzz, rawfuzz
from figures.answers import Answer, AnswerReader, NotAnAnswer
from figures.databases import Database
from figures.judging import JSON_TYPE, VAULT_HEADERS, Asked, Judge
from figures.mutations import TRICKS, Spoiler, cuts
from figures.rawfuzz import expected_of
from figures.target import SetProduct

FUZZ_INPUTS = 400
RAW_INPUTS = 1_000

pytestmark = pytest.mark.usefixtures("patience")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_requests_drawn_from_the_api_documents_break_nothing(
    tmp_path: Path, seed: int, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    report = fuzz.run_on(Database(url), tmp_path, FUZZ_INPUTS, seed)
    assert report.inputs == FUZZ_INPUTS
    assert set(report.parts) >= {"vault", "issuer", "identity", "management"}
    assert set(report.statuses) >= {"200", "400", "401", "404"}
    assert sum(1 for count in report.reached.values() if count) > len(report.reached) / 3, report.reached
    assert report.found == 0, report.table()


def test_spoilt_bytes_break_nothing(tmp_path: Path, seed: int) -> None:
    report = rawfuzz.run(tmp_path, RAW_INPUTS, seed, held=0)
    assert report.inputs == RAW_INPUTS
    assert report.parts["TLS"] > RAW_INPUTS / 20
    assert report.statuses["400"] > RAW_INPUTS / 4
    assert report.statuses["200"] > RAW_INPUTS / 4
    assert report.found == 0, report.table()


@pytest.fixture
def product(tmp_path: Path) -> Iterator[SetProduct]:
    made = SetProduct(tmp_path / "data", {"CLAVIGER_LOG_LEVEL": "debug"})
    try:
        made.start()
        yield made
    finally:
        made.kill()


def test_a_greeting_that_names_no_host_is_one_line_in_the_log(product: SetProduct) -> None:
    """Python would print the bytes that the client sent, and a traceback."""
    to_server = ssl.MemoryBIO()
    tls = product.context.wrap_bio(ssl.MemoryBIO(), to_server, server_hostname="demo.vault.localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with socket.create_connection(("127.0.0.1", product.port), 60) as plain:
        plain.sendall(to_server.read().replace(b"demo.", b"de\xe3o."))
        assert plain.recv(1) == b""
    said = product.log.read_text()
    assert "Traceback" not in said
    assert "debug claviger.server.logs: nobody caught this: UnicodeDecodeError at do_handshake " in said
    assert product.token  # and others are served as ever


# What the trials take for wrong


GUID = "01234567-89ab-cdef-0123-456789abcdef"
HEADERS = {
    "content-type": JSON_TYPE,
    "cache-control": "no-cache",
    "pragma": "no-cache",
    "expires": "-1",
    "date": "Sun, 22 Nov 2026 09:00:00 GMT",
    "x-ms-request-id": GUID,
    "x-ms-keyvault-region": "local",
    "x-ms-keyvault-service-version": "1.9.2750.1",
    "x-ms-keyvault-network-info": "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;",
    "strict-transport-security": "max-age=31536000;includeSubDomains",
    "x-content-type-options": "nosniff",
}
ERROR = {"error": {"code": "BadParameter", "message": "no"}}
VAULT = Asked("vault", "GET")


def answer(status: int = 400, body: object = ERROR, **headers: str | None) -> Answer:
    """An answer with other headers; None leaves one out."""
    given = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name: value for name, value in given.items() if value is not None}, content)


def kinds(found: list[tuple[str, str]]) -> set[str]:
    return {kind for kind, _ in found}


def test_a_right_answer_passes() -> None:
    judge = Judge()
    assert judge.of_host(answer(), VAULT) == []
    assert judge.of_host(answer(204, b"", content_type=None, x_ms_request_id=GUID.replace("0", "1")), VAULT) == []
    assert Judge().of_bytes(answer()) == []
    assert Judge().of_bytes(Answer(400, {"content-type": JSON_TYPE}, json.dumps(ERROR).encode())) == []


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (answer(500), "5xx"),
        (answer(503), "5xx"),
        (answer(body=b"Bad Request"), "error shape"),
        (answer(body={"error": "no"}), "error shape"),
        (answer(body={"error": {"code": "", "message": "no"}}), "error shape"),
        (answer(body={"error": {"code": "X", "message": "no"}, "more": 1}), "error shape"),
        (answer(body={"error": {"code": "X", "message": "in app.py line 3"}}), "error shape"),
        (answer(body=b'{"error":{"code":"X","message":NaN}}'), "error shape"),
        (answer(body=b'{"error":{"code":"X","message":"\xff"}}'), "error shape"),
        (answer(content_type="text/plain; charset=utf-8"), "content type"),
        (answer(204, b"", content_type=JSON_TYPE), "content type"),
        (answer(401), "header"),
        (answer(401, www_authenticate='Bearer authorization="https://login.localhost"'), "header"),
        (answer(x_ms_keyvault_region=None), "header"),
        (answer(x_ms_request_id=None, x_ms_keyvault_region=None, status=403), "header"),
        *((Answer(400, HEADERS | {name: "other"}, json.dumps(ERROR).encode()), "header") for name in VAULT_HEADERS),
    ],
)
def test_a_wrong_answer_is_found(wrong: Answer, kind: str) -> None:
    assert kind in kinds(Judge().of_host(wrong, VAULT))


def test_shapes_are_told_apart() -> None:
    issuer = Asked("issuer", "POST")
    assert "error shape" in kinds(Judge().of_host(answer(), issuer))
    identity = answer(401, {"statusCode": 401, "message": "no"})
    assert "error shape" not in kinds(Judge().of_host(identity, Asked("identity", "GET")))
    assert "error shape" in kinds(Judge().of_host(identity, VAULT))
    assert kinds(Judge().of_bytes(answer(body={"statusCode": 1}))) == {"error shape"}


def test_a_request_id_that_comes_twice_is_found() -> None:
    judge = Judge()
    judge.of_host(answer(), VAULT)
    assert kinds(judge.of_host(answer(), VAULT)) == {"header"}


@pytest.mark.parametrize(
    ("said", "bodies"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", [b"{}"]),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [b""]),
        (b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", [b"", b"x"]),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", [b"{}"]),
    ],
)
def test_answers_are_read(said: bytes, bodies: list[bytes]) -> None:
    for size in (1, 7, len(said)):
        reader, found = AnswerReader(), []
        for at in range(0, len(said), size):
            reader.feed(said[at : at + size])
            while (read := reader.next()) is not None:
                found.append(read.body)
        assert found == bodies
        assert reader.idle


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"Internal Server Error",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX y\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nxx",
        b"HTTP/1.1 200",
    ],
)
def test_what_is_no_answer_is_refused(said: bytes) -> None:
    reader = AnswerReader()
    reader.feed(said)
    reader.feed(b"")
    with pytest.raises(NotAnAnswer):
        reader.next()


GOOD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "methods", "state"),
    [
        (GOOD, ("GET",), "idle"),
        (GOOD * 3, ("GET",) * 3, "idle"),
        (GOOD[:-2], (), "unfinished"),
        (GOOD + b"HEAD / HTTP", ("GET",), "unfinished"),
        (GOOD.replace(b"Host", b"Ho\0st"), (), "broken"),
        (GOOD + b"\0\0\r\n\r\n", ("GET",), "broken"),
        (b"GET / HTTP/1.0\r\n\r\n", ("GET",), "closing"),
        (GOOD.replace(b"GET", b"PUT").replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nab"), (), "unfinished"),
    ],
)
def test_what_must_be_answered_is_worked_out_apart(raw: bytes, methods: tuple[str, ...], state: str) -> None:
    found = expected_of(raw)
    assert (found.methods, found.state) == (methods, state)


def test_spoiling_is_replayable_and_cutting_loses_nothing(seed: int) -> None:
    spoiler, seen = Spoiler([GOOD, GOOD.replace(b"GET", b"PUT")], b"x:1"), set()
    for number in range(400):
        raw, tricks = spoiler.spoil(random.Random(f"{seed}/{number}"))
        assert (raw, tricks) == spoiler.spoil(random.Random(f"{seed}/{number}"))
        assert b"".join(cuts(raw, random.Random(number))) == raw
        seen |= set(tricks)
    assert seen >= {name for name, *_ in TRICKS}
