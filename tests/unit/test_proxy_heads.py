"""Heads of HTTP as the proxy reads them: strict, and with an answer for everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claviger.core.sensitive import Sensitive
from claviger.proxy.heads import END, Connect, Refused, read_connect, read_status, write_connect


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [
        ("demo.vault.azure.net:443", "demo.vault.azure.net", 443),
        ("Demo_1.example:1", "Demo_1.example", 1),
        ("10.0.0.1:65535", "10.0.0.1", 65535),
        ("[::1]:8443", "::1", 8443),
    ],
)
def test_a_request(target: str, host: str, port: int) -> None:
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nproxy-authorization:  Basic eDp5 \r\n\r\n".encode()
    assert read_connect(head) == Connect(host, port, b"Basic eDp5")
    assert read_connect(f"CONNECT {target} HTTP/1.0\r\n\r\n".encode()) == Connect(host, port, None)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\n\r\n", 405),
        (b"POST https://demo.vault.azure.net/ HTTP/1.1\r\n\r\n", 405),
        (b"connect a:1 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/2\r\n\r\n", 400),
        (b"CONNECT  a:1 HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"CONNECT a HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT :1 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT a:0 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT a:65536 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT a:+1 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT a@b:1 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT https://a:1 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nName : x\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\n folded: x\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: a\r\nproxy-authorization: b\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_for_a_tunnel(head: bytes, status: int) -> None:
    with pytest.raises(Refused) as refused:
        read_connect(head)
    answer = refused.value.answer()
    assert refused.value.status == status
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nConnection: close\r\n" in answer
    length = int(answer.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    assert len(answer.partition(END)[2]) == length
    assert (b"\r\nAllow: CONNECT\r\n" in answer) == (status == 405)


@given(st.binary(max_size=300))
def test_no_head_breaks_it(noise: bytes) -> None:
    for head in (noise + END, b"CONNECT " + noise + END, b"CONNECT a:1 HTTP/1.1\r\n" + noise + END):
        found = _outcome(head)
        assert found in (400, 405) or isinstance(found, Connect)


def _outcome(head: bytes) -> Connect | int:
    try:
        return read_connect(head)
    except Refused as refused:
        return refused.status


def test_a_request_to_another_proxy() -> None:
    assert write_connect("a.example", 443, None) == b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"
    written = write_connect("::1", 8443, Sensitive("Basic eDp5"))
    assert written.startswith(b"CONNECT [::1]:8443 HTTP/1.1\r\n")
    assert read_connect(written) == Connect("::1", 8443, b"Basic eDp5")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"HTTP/1.1 200 Connection established\r\n\r\n", 200),
        (b"HTTP/1.0 407\r\nA: b\r\n\r\n", 407),
        (b"HTTP/1.1 20x OK\r\n\r\n", None),
        (b"SSH-2.0-OpenSSH\r\n\r\n", None),
        (b"", None),
    ],
)
def test_the_status_of_an_answer(head: bytes, status: int | None) -> None:
    assert read_status(head) == status
