"""Requests whose head is wrong or odd: targets, hosts, verbs, headers. Never a 5xx, never a hang, nothing changed."""

from __future__ import annotations

import json
import re

import pytest

from tests.rawhttp import RawAnswer, RawConnection, exchange, head
from tests.serving import Estate
from tests.vaults import VaultClient

QUERY = "?api-version=7.6"


def _ask(vault: VaultClient, method: str, target: str, *more: str, host: str | None = None) -> RawAnswer:
    request = head(method, target, host or vault.host, vault.token, *more)
    return exchange(vault.server, vault.host, request, method)


def _error_of(answer: RawAnswer) -> str:
    assert 400 <= answer.status < 500, answer
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    told = answer.json()
    assert told.keys() == {"error"}
    assert told["error"]["code"]
    assert isinstance(told["error"]["message"], str)
    return str(told["error"]["code"])


WEIRD_TARGETS = [
    "/secrets/%", "/secrets/%z", "/secrets/%zz", "/secrets/%2", "/secrets/s%", "/secrets/%C3%28", "/secrets/%FF",
    "/secrets/%ED%A0%80", "/secrets/%00", "/secrets/s%00", "/secrets/%0d%0aX: y", "/secrets/..%2f..%2fetc%2fpasswd",
    "/secrets/../secrets/s", "/secrets/./s", "/secrets/..", "/..", "/secrets//s", "/secrets/s//", "/secrets/s;v=1",
    "/secrets/s%20", "/secrets/%c0%af", "/secrets/%E2%80%8Bs", "/secrets/%25", "/secrets/s%2Fversions",
    "/%2Fsecrets%2Fs", "/secrets/" + "a" * 8000, "/" + "a/" * 4000, "/secrets/" + "%41" * 3000, "/secrets/\xe4",
]  # fmt: skip


@pytest.mark.parametrize("target", WEIRD_TARGETS, ids=lambda target: ascii(target[:40]))
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_odd_paths_are_refused(kept: VaultClient, method: str, target: str):
    body = b'{"value":"x"}' if method == "PUT" else b""
    request = head(method, target + QUERY, kept.host, kept.token, f"Content-Length: {len(body)}") + body
    _error_of(exchange(kept.server, kept.host, request, method))


WEIRD_QUERIES = [
    "", "?", "?api-version", "?api-version=", "?api-version=%", "?api-version=%zz", "?api-version=7.6%FF", "?%FF=7.6",
    "?api-version=%ED%A0%80", "?api-version=\xff", "?" + "&".join(f"a{n}=b" for n in range(200)), "?" + "a=b&" * 3000,
    "?api-version=7.6&maxresults=%FF", "?api-version=7.6&$skiptoken=%FF", "?;api-version=7.6", "?=7.6",
    "?api-version=7.6&$skiptoken=" + "A" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("query", WEIRD_QUERIES, ids=lambda query: ascii(query[:40]))
def test_odd_queries_are_refused(kept: VaultClient, query: str):
    assert _error_of(_ask(kept, "GET", "/secrets" + query)) == "BadParameter"


@pytest.mark.parametrize("query", ["?&&api-version=7.6&", "?api-version=7.6&api-version=1", "?x=1;y=2&api-version=7.6"])
def test_queries_that_are_odd_but_clear_are_read(kept: VaultClient, query: str):
    assert _ask(kept, "GET", "/secrets/s" + query).status == 200


@pytest.mark.parametrize(
    "method", ["get", "FOO", "TRACE", "CONNECT", "PROPFIND", "G\x01T", "GET/", "PRI", "M-SEARCH", ""]
)
def test_verbs_that_nobody_uses(kept: VaultClient, method: str):
    target = kept.host if method == "CONNECT" else "/secrets/s" + QUERY
    assert _error_of(_ask(kept, method, target))


def test_a_target_that_names_the_host_is_read_like_any_other(kept: VaultClient):
    absolute = f"https://{kept.host}/secrets/s{QUERY}"
    answer = _ask(kept, "GET", absolute)
    assert (answer.status, answer.json()["value"]) == (200, "second")
    elsewhere = _ask(kept, "GET", f"https://no-such-vault.vault.localhost:{kept.server.port}/secrets/s{QUERY}")
    assert (elsewhere.status, _error_of(elsewhere)) == (404, "VaultNotFound")
    for target in (
        f"ftp://{kept.host}/secrets/s",
        "https://",
        "https:///secrets/s",
        f"//{kept.host}",
        "*",
        "secrets/s",
    ):
        assert _error_of(_ask(kept, "GET", target + QUERY))


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Host: {host}", "Host: {host}"],
        ["Host: {host}", "Host: other.vault.localhost"],
        ["Host:"],
        ["Host: "],
        ["Host: user@{host}"],
        ["Host: {host}/secrets"],
        ["Host: {host}, {host}"],
        ['Host: "{host}"'],
        ["Host: a b"],
        ["Host: \xe4.vault.localhost"],
        ["Host: " + "a" * 300 + ".vault.localhost"],
        ["Host: [::1"],
        ["Host: [zz]"],
        ["Host: vault.localhost:99999999"],
        ["Host: .vault.localhost"],
        ["Host: ..vault.localhost"],
        ["Host: -.vault.localhost"],
        ["Host: x.y.vault.localhost"],
        ["Host: localhost"],
        ["Host: 127.0.0.1"],
    ],
    ids=ascii,
)
def test_hosts_that_are_no_vault(kept: VaultClient, lines: list[str]):
    filled = [line.replace("{host}", kept.host) for line in lines]
    text = "\r\n".join([f"GET /secrets/s{QUERY} HTTP/1.1", *filled, f"Authorization: Bearer {kept.token}", "", ""])
    answer = exchange(kept.server, kept.host, text.encode("latin-1"))
    assert answer.status in (400, 404)
    assert _error_of(answer)
    assert "www-authenticate" not in answer.headers


def test_http_1_0_without_a_host_is_refused_too(kept: VaultClient):
    request = f"GET /secrets/s{QUERY} HTTP/1.0\r\nAuthorization: Bearer {kept.token}\r\n\r\n".encode()
    assert _error_of(exchange(kept.server, kept.host, request))


@pytest.mark.parametrize("port", ["", ":1", ":443", ":65535"])
def test_the_port_in_the_host_finds_the_vault_whatever_it_says(kept: VaultClient, port: str):
    host = f"{kept.name}.vault.localhost{port}"
    answer = exchange(kept.server, kept.host, head("GET", "/secrets/s" + QUERY, host, None))
    assert answer.status == 401
    resource = f"vault.localhost{port}"
    assert f'resource="https://{resource}"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("X-Long: " + "x" * 100_000, 431),
        ("no colon", 400),
        (": no name", 400),
        ("X-Nul: a\0b", 400),
        ("X-Folded: a\r\n b", 400),
        ("X Name: blank", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: abc", 400),
        ("Content-Length: 1e3", 400),
        ("Content-Length: 99999999999999999999999", 400),
        ("Content-Length: 5\r\nContent-Length: 6", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: gzip, chunked", 400),
        ("Transfer-Encoding: identity", 400),
        ("Transfer-Encoding: xchunked", 400),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_headers_that_are_no_headers(kept: VaultClient, line: str, status: int):
    answer = _ask(kept, "PUT", "/secrets/s" + QUERY, line)
    assert answer.status == status
    assert _error_of(answer)


def test_too_many_headers(kept: VaultClient):
    answer = _ask(kept, "GET", "/secrets/s" + QUERY, *(f"X-{number}: y" for number in range(500)))
    assert (answer.status, bool(_error_of(answer))) == (431, True)


def test_too_long_a_target(kept: VaultClient):
    answer = _ask(kept, "GET", f"/secrets/s{QUERY}&x=" + "y" * 50_000)
    assert (answer.status, bool(_error_of(answer))) == (414, True)


@pytest.mark.parametrize(
    "line",
    [
        "Accept: text/html",
        "Accept: ",
        "Accept-Encoding: gzip, br, zstd",
        "Accept-Charset: utf-7",
        "If-None-Match: *",
        "Range: bytes=0-1",
        "Cookie: a=b",
        "X-Forwarded-Host: other.vault.localhost",
        "X-Forwarded-For: 1.2.3.4",
        "X-HTTP-Method: DELETE",
        "X-HTTP-Method-Override: DELETE",
        "Upgrade: h2c",
        "Connection: Upgrade, HTTP2-Settings",
        "Origin: https://example.invalid",
        "\xe4: y",
    ],
    ids=ascii,
)
def test_headers_that_have_no_say_here(kept: VaultClient, line: str):
    answer = _ask(kept, "GET", "/secrets/s" + QUERY, line)
    if line.startswith("\xe4"):
        assert _error_of(answer)
        return
    assert (answer.status, answer.json()["value"]) == (200, "second")
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json; charset=utf-16", "\xff", "x" * 5000])
def test_the_content_type_of_a_body_does_not_matter(kept: VaultClient, name: str, kind: str):
    body = b'{"value":"typed"}'
    lines = (f"Content-Type: {kind}", f"Content-Length: {len(body)}")
    request = head("PUT", f"/secrets/{name}{QUERY}", kept.host, kept.token, *lines) + body
    answer = exchange(kept.server, kept.host, request, "PUT")
    assert (answer.status, answer.json()["value"]) == (200, "typed")
    kept.delete(name)
    kept.purge(name)


@pytest.mark.parametrize(
    "sent", ["a" * 257, "a" * 10_000, "\xe4\xff", "", "a b", "<script>"], ids=lambda text: ascii(text[:9])
)
def test_an_odd_request_id_breaks_no_header(kept: VaultClient, sent: str):
    answer = _ask(kept, "GET", "/secrets/s" + QUERY, f"x-ms-client-request-id: {sent}")
    assert answer.status == 200
    echoed = answer.headers.get("x-ms-client-request-id", "")
    assert echoed in ("", sent)
    assert re.fullmatch("[0-9a-f-]{36}", answer.headers["x-ms-request-id"])


@pytest.mark.parametrize("opening", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01", b"\0" * 100])
def test_what_is_no_http_1(kept: VaultClient, opening: bytes):
    answer = exchange(kept.server, kept.host, opening)
    assert (answer.status, bool(_error_of(answer))) == (400, True)


def test_one_bad_request_does_not_touch_the_ones_before_it(kept: VaultClient):
    good = head("GET", "/secrets/s" + QUERY, kept.host, kept.token)
    with RawConnection(kept.server, kept.host) as connection:
        connection.send(good)
        assert connection.answer().status == 200
        connection.send(good.replace(b"GET", b"G\x01T", 1))
        assert connection.answer().status == 400


def test_the_login_host_turns_bad_requests_away_too(estate: Estate):
    tenant = f"{estate.server.login}/{estate.tenant_id}"
    for body in (b"", b"{", b"\xff", b"grant_type=password", b"a=" + b"b" * 100_000, b"&" * 70_000, b"=&=&="):
        for path in ("/oauth2/v2.0/token", "/oauth2/token"):
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = estate.http.post(tenant + path, content=body, headers=kind)
            assert 400 <= answer.status_code < 500, answer.text
            assert "access_token" not in answer.text
            assert json.loads(answer.text)["error"]
    for path in (
        "/",
        "/nope",
        "/..",
        "/%FF",
        "/common/oauth2/v2.0/token",
        "/x/y/z/v2.0/.well-known/openid-configuration",
    ):
        answer = estate.http.get(estate.server.login + path)
        assert 400 <= answer.status_code < 500
        assert json.loads(answer.text)["error"]
