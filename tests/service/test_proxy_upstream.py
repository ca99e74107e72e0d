"""What is not for the server goes on through the user's own proxy, as it did before."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.ports import kept_ports
from claviger.core.clock import SystemClock
from claviger.core.sensitive import Sensitive
from claviger.proxy.tunnels import Limits
from claviger.proxy.upstream import Upstream
from claviger.server.authority import open_authority
from claviger.server.contexts import load_leaf, new_context
from tests.proxying import Twin, echo, proxied, serving
from tests.wire_server import MemoryBox


def through(port: int, authorization: Sensitive | None = None) -> Upstream:
    return Upstream("127.0.0.1", port, authorization=authorization)


async def test_other_hosts_go_through_it_by_name_and_cloud_hosts_do_not() -> None:
    twin = Twin()
    async with serving(echo) as far, serving(echo) as ours, serving(twin.serve) as port:
        upstream = through(port, authorization=Sensitive("Basic dXM6cHc="))
        async with proxied(("127.0.0.1", ours), upstream=upstream) as it:
            client = await it.tunnel(f"internal.example:{far}")
            assert await client.say(b"hello") == b"hello"
            assert await (await it.tunnel("demo.vault.azure.net:443")).say(b"hello") == b"hello"
    assert twin.targets == [f"internal.example:{far}"], "the name is theirs to resolve"
    assert "\r\nProxy-Authorization: Basic dXM6cHc=\r\n" in twin.heads[0]
    assert twin.heads[0].count("Proxy-Authorization") == 1, "our own credentials stay here"


async def test_exceptions_go_directly() -> None:
    twin = Twin()
    async with (
        serving(echo) as far,
        serving(twin.serve) as port,
        proxied(upstream=through(port), no_proxy="example.org,127.0.0.0/8") as it,
    ):
        assert await (await it.tunnel(f"127.0.0.1:{far}")).say(b"hello") == b"hello"
        assert twin.targets == []
        assert await (await it.tunnel(f"localhost:{far}")).say(b"hello") == b"hello"
    assert twin.targets == [f"localhost:{far}"]


async def test_bytes_that_come_with_its_answer_are_not_lost() -> None:
    twin = Twin(answer=b"HTTP/1.1 200 OK\r\n\r\nfirst words")
    async with serving(twin.serve) as port, proxied(upstream=through(port)) as it:
        client = await it.tunnel("internal.example:22")
        assert await client.reader.readexactly(11) == b"first words"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n", b"answered 407"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", b"answered 403"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", b"answered 302"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", b"answered no HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", b"gave no answer"),
        (b"", b"gave no answer"),
    ],
)
async def test_its_refusal_is_told_as_its_own(answer: bytes, told: bytes) -> None:
    twin = Twin(answer=answer)
    limits = Limits(head_s=20.0 if answer else 0.5)  # what does come has all the time that it may need
    async with serving(twin.serve) as port, proxied(upstream=through(port), limits=limits) as it:
        status, headers, body = await (await it.client()).ask("internal.example:443")
        assert status == 502
        assert told in body
        assert "proxy-authenticate" not in headers, "the client would take its own credentials for wrong"


async def test_one_that_is_not_there() -> None:
    with kept_ports() as (port,):
        async with proxied(upstream=through(port)) as it:
            assert (await (await it.client()).ask("internal.example:443"))[0] == 502


async def test_one_that_speaks_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = await open_authority(tmp_path, MemoryBox(), SystemClock())
    tls = new_context()
    load_leaf(tls, theirs.mint(["localhost"]))
    twin = Twin()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with serving(echo) as far, serving(twin.serve, tls) as port:
        upstream = Upstream("localhost", port, secure=True)
        async with proxied(upstream=upstream) as it:
            client = await it.tunnel(f"internal.example:{far}")
            assert await client.say(b"hello") == b"hello"
            client.writer.write_eof()
            assert await client.ended(), "TLS cannot be half closed"
    assert twin.targets == [f"internal.example:{far}"]


async def test_one_whose_certificate_does_not_hold_is_refused(tmp_path: Path) -> None:
    theirs = await open_authority(tmp_path, MemoryBox(), SystemClock())
    tls = new_context()
    load_leaf(tls, theirs.mint(["localhost"]))
    twin = Twin()
    async with serving(twin.serve, tls) as port, proxied(upstream=Upstream("localhost", port, secure=True)) as it:
        assert (await (await it.client()).ask("internal.example:443"))[0] == 502
    assert twin.heads == []
