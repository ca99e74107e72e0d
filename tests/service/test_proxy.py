"""The proxy of `claviger exec` on real sockets: who may use it, what it leads where, how tunnels live and end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.ports import kept_ports
from claviger.core.clock import SystemClock
from claviger.proxy.tunnels import USER, Limits
from claviger.proxy.upstream import Upstream
from claviger.server.authority import open_authority
from claviger.server.contexts import load_leaf, new_context
from tests.proxying import PASSWORD, PATIENCE_S, PROOF, Twin, echo, proxied, serving
from tests.wire_server import MemoryBox

SERVED = "demo.vault.azure.net:443"


@pytest.fixture
async def far() -> AsyncIterator[int]:
    """The port of a server that is none of ours."""
    async with serving(echo) as port:
        yield port


async def signed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that can be told from others."""
    writer.write(b"ours:")
    await echo(reader, writer)


@pytest.mark.parametrize(
    "target",
    [
        SERVED,
        "DEMO.vault.azure.net.:443",
        "login.microsoftonline.com:443",
        "management.azure.com:443",
        "x.vault.usgovcloudapi.net:443",
    ],
)
async def test_a_cloud_host_is_led_to_the_server(target: str) -> None:
    async with serving(signed) as ours, proxied(("127.0.0.1", ours)) as it:
        client = await it.tunnel(target)
        assert await client.reader.readexactly(5) == b"ours:"
        assert await client.say(b"hello") == b"hello"


async def test_any_other_host_is_led_to_itself(far: int) -> None:
    async with serving(signed) as ours, proxied(("127.0.0.1", ours)) as it:
        for target in (f"localhost:{far}", f"127.0.0.1:{far}"):
            client = await it.tunnel(target)
            assert await client.say(b"hello") == b"hello"


async def test_another_port_of_a_cloud_host_is_not_led_to_the_server(far: int) -> None:
    twin = Twin()
    async with (
        serving(signed) as ours,
        serving(twin.serve) as port,
        proxied(("127.0.0.1", ours), upstream=Upstream("127.0.0.1", port)) as it,
    ):
        client = await it.tunnel(f"demo.vault.azure.net:{far}")
        assert await client.say(b"hello") == b"hello"
    assert twin.targets == [f"demo.vault.azure.net:{far}"]


async def test_a_certificate_arrives_as_it_was_sent(tmp_path: Path) -> None:
    """Nothing in between speaks TLS: the client sees the far end's own certificate and no other."""
    theirs = await open_authority(tmp_path / "theirs", MemoryBox(), SystemClock())
    leaf = theirs.mint(["localhost"])
    far_tls = new_context()
    load_leaf(far_tls, leaf)
    trust = ssl.create_default_context(cafile=str(tmp_path / "theirs" / "ca.pem"))
    sent = ssl.PEM_cert_to_DER_cert(leaf.chain.decode().split("-----END CERTIFICATE-----")[0] + _END)
    async with serving(echo, far_tls) as far, serving(signed) as ours, proxied(("127.0.0.1", ours)) as it:
        client = await it.tunnel(f"localhost:{far}")
        await client.writer.start_tls(trust, server_hostname="localhost")
        assert client.writer.get_extra_info("ssl_object").getpeercert(True) == sent
        assert await client.say(b"hello") == b"hello"


_END = "-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "proof",
    [
        None,
        "",
        "=",
        PROOF + "x",
        PROOF[:-1],
        base64.b64encode(f"{USER}:".encode()).decode(),
        base64.b64encode(f"other:{PASSWORD}".encode()).decode(),
        "\u00e9",
    ],
)
@pytest.mark.parametrize("target", [SERVED, "far"])
async def test_nobody_but_the_program_may_use_it(far: int, target: str, proof: str | None) -> None:
    async with serving(signed) as ours, proxied(("127.0.0.1", ours)) as it:
        client = await it.client()
        status, headers, body = await client.ask(target.replace("far", f"127.0.0.1:{far}"), proof)
        assert (status, headers["proxy-authenticate"]) == (407, 'Basic realm="claviger exec"')
        assert PASSWORD.encode() not in body


async def test_a_client_that_waits_to_be_asked_gets_its_tunnel_on_the_same_connection(far: int) -> None:
    async with proxied() as it:
        client = await it.client()
        assert (await client.ask(f"127.0.0.1:{far}", None))[0] == 407
        assert (await client.ask(f"127.0.0.1:{far}"))[0] == 200
        assert await client.say(b"hello") == b"hello"


async def test_guesses_are_counted_out(far: int) -> None:
    async with proxied() as it:
        client = await it.client()
        answers = [await client.ask(f"127.0.0.1:{far}", "wrong") for _ in range(4)]
        assert [status for status, _, _ in answers] == [407] * 4
        assert answers[3][1]["connection"] == "close"
        client.writer.write_eof()
        assert await client.ended()


async def test_without_a_server_nothing_for_a_cloud_goes_anywhere() -> None:
    twin = Twin()
    async with serving(twin.serve) as port, proxied(None, upstream=Upstream("127.0.0.1", port), no_proxy="*") as it:
        status, _, body = await (await it.client()).ask(SERVED)
        assert status == 502
        assert b"claviger start" in body
    with kept_ports() as (closed,):
        gone = ("127.0.0.1", closed)
        async with serving(twin.serve) as port, proxied(gone, upstream=Upstream("127.0.0.1", port)) as it:
            assert (await (await it.client()).ask(SERVED))[0] == 502
    assert twin.heads == []


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n", 405),
        (b"POST http://example.org/ HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", 405),
        (b"\x16\x03\x01 not at all\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"CONNECT a:1 HTTP/1.1\r\nX: " + b"x" * 400_000 + b"\r\n\r\n", 431),
    ],
)
async def test_what_is_no_request_for_a_tunnel_gets_an_answer_and_the_end(head: bytes, expected: int) -> None:
    async with proxied() as it:
        client = await it.client()
        status, headers, body = await client.send(head)
        assert (status, headers["connection"]) == (expected, "close")
        assert body.startswith(b"claviger exec: ")
        client.writer.write_eof()
        assert await client.ended()


async def test_a_client_that_says_nothing_is_sent_away() -> None:
    async with proxied(limits=Limits(head_s=0.05)) as it:
        client = await it.client()
        assert (await client.send(b"CONNECT a:1 HT"))[0] == 408
        client.writer.write_eof()
        assert await client.ended()


async def test_a_host_that_is_not_there_or_has_no_name() -> None:
    with kept_ports() as (closed,):
        async with proxied(limits=Limits(connect_s=20)) as it:
            for target in (f"127.0.0.1:{closed}", "no..name:443", f"{'a' * 70}.example:443"):
                status, _, body = await (await it.client()).ask(target)
                assert status == 502, target
                assert b"no connection" in body


async def test_a_host_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, contextlib.ExitStack() as opened:
        for _ in range(2):  # more than its queue holds: the system lets every further one wait
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        async with proxied(limits=Limits(connect_s=0.2)) as it:
            status, _, body = await (await it.client()).ask(f"127.0.0.1:{deaf.getsockname()[1]}")
            assert (status, body) == (504, b"claviger exec: no connection in 0.2 s\n")


async def test_too_many_at_once_are_told(far: int) -> None:
    async with proxied(limits=Limits(connections=2)) as it:
        for _ in range(2):
            await it.tunnel(f"127.0.0.1:{far}")
        third = await it.client()
        assert (await third.ask(f"127.0.0.1:{far}"))[0] == 503


async def test_one_direction_may_end_before_the_other() -> None:
    async def after_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = await reader.read()
        writer.write(hashlib.sha256(said).digest())

    async with serving(after_the_end) as far, proxied() as it:
        client = await it.tunnel(f"127.0.0.1:{far}")
        sent = b"x" * 1_000_000
        client.writer.write(sent)
        client.writer.write_eof()
        async with asyncio.timeout(PATIENCE_S):
            assert await client.reader.read() == hashlib.sha256(sent).digest()


async def test_the_end_of_the_far_side_is_passed_on_after_its_last_byte() -> None:
    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"y" * 3_000_000)
        await writer.drain()

    async with serving(flood) as far, proxied() as it:
        client = await it.tunnel(f"127.0.0.1:{far}")
        async with asyncio.timeout(PATIENCE_S):
            assert len(await client.reader.read()) == 3_000_000


async def test_what_is_not_read_is_not_fetched() -> None:
    blocks, sent = 2_000, 0

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        for _block in range(blocks):
            writer.write(b"z" * 65_536)
            await writer.drain()
            sent += 1

    async with serving(flood) as far, proxied() as it:
        client = await it.tunnel(f"127.0.0.1:{far}")
        before = -1
        while before != sent:  # until it stands still
            before = sent
            await asyncio.sleep(0.2)
        assert sent < blocks / 4, "the proxy took more than the sockets' own buffers hold"
        async with asyncio.timeout(PATIENCE_S):
            assert len(await client.reader.readexactly(blocks * 65_536)) == blocks * 65_536


async def test_a_tunnel_in_which_nothing_moves_ends(far: int) -> None:
    async with proxied(limits=Limits(idle_s=1.5)) as it:
        client = await it.tunnel(f"127.0.0.1:{far}")
        for _ in range(6):  # twice the limit in all, never the limit at once, not even where this process must wait
            assert await client.say(b"still here") == b"still here"
            await asyncio.sleep(0.5)
        assert await client.ended()


async def test_a_half_closed_tunnel_ends_sooner() -> None:
    async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await asyncio.sleep(PATIENCE_S * 2)

    async with serving(silent) as far, proxied(limits=Limits(half_closed_s=0.2)) as it:
        client = await it.tunnel(f"127.0.0.1:{far}")
        client.writer.write_eof()
        assert await client.ended()


async def test_a_reset_ends_both_sides() -> None:
    gone = asyncio.Event()

    async def watching(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            gone.set()

    async with serving(watching) as far, proxied() as it:
        client = await it.tunnel(f"127.0.0.1:{far}")
        client.writer.transport.abort()
        async with asyncio.timeout(PATIENCE_S):
            await gone.wait()


async def test_the_end_of_the_program_cuts_everything(far: int) -> None:
    async with proxied() as it:
        client = await it.tunnel(f"127.0.0.1:{far}")
        idle = await it.client()
        it.end.set()
        assert await client.ended()
        assert await idle.ended()
        with pytest.raises(ConnectionRefusedError):
            await it.client()
