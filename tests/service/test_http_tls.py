"""TLS as clients see it: strict verification, a certificate for each host, real programs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cryptography import x509

from claviger.core.clock import ManualClock, SystemClock
from claviger.server.authority import Authority, open_authority, write_bundle
from claviger.server.contexts import HostContexts
from claviger.server.run import Tls
from scripts.machine import node
from tests.needs import missing
from tests.wire_server import MemoryBox, Served, read_answer, served, until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ca.pem and bundle.pem are."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    """An authority made for these tests."""
    made = asyncio.run(open_authority(folder, MemoryBox(), SystemClock()))
    write_bundle(folder / "bundle.pem", None, made)
    return made


@pytest.fixture(scope="module")
def it(authority: Authority) -> Iterator[Served]:
    """A server with its certificates; one further host is allowed."""
    contexts = HostContexts(authority, lambda host: host == "demo.vault.azure.net", SystemClock())
    with served(tls=Tls(contexts.context, contexts.refresh)) as running:
        yield running


def strict(folder: Path) -> ssl.SSLContext:
    """A client's context as Python 3.13 makes it, on every Python."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def hello(it: Served, context: ssl.SSLContext, host: str) -> Mapping[str, object]:
    """Says hello over TLS; the certificate that was shown."""
    with it.connection(context, host) as connection:
        connection.sendall(b"GET /hello/tls HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
        answer = read_answer(connection.makefile("rb"))
        assert answer is not None
        assert answer.json == {"hello": "tls"}
        assert isinstance(connection, ssl.SSLSocket)
        shown = connection.getpeercert()
        assert shown
        return shown


class TestCertificates:
    @pytest.mark.parametrize(
        "host", ["localhost", "login.localhost", "management.localhost", "demo.vault.localhost", "127.0.0.1"]
    )
    def test_our_own_names_pass_strict_verification(self, it: Served, folder: Path, host: str) -> None:
        hello(it, strict(folder), host)

    def test_an_allowed_host_gets_a_certificate_of_its_own(self, it: Served, folder: Path) -> None:
        shown = hello(it, strict(folder), "demo.vault.azure.net")
        assert shown["subjectAltName"] == (("DNS", "demo.vault.azure.net"),)
        assert hello(it, strict(folder), "DEMO.vault.azure.net")["serialNumber"] == shown["serialNumber"]

    @pytest.mark.parametrize("host", ["example.org", "other.vault.azure.net", "a..b", "x" * 70 + ".org"])
    def test_no_other_host_does(self, it: Served, folder: Path, host: str) -> None:
        with pytest.raises((ssl.SSLCertVerificationError, UnicodeError, ValueError)):
            hello(it, strict(folder), host)

    def test_another_authority_is_not_trusted(self, it: Served, tmp_path: Path) -> None:
        asyncio.run(open_authority(tmp_path, MemoryBox(), SystemClock()))
        with pytest.raises(ssl.SSLCertVerificationError):
            hello(it, strict(tmp_path), "localhost")

    def test_old_protocols_and_weak_ciphers_are_refused(self, it: Served, folder: Path) -> None:
        weak = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers("AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            hello(it, weak, "localhost")
        sound = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        sound.maximum_version = ssl.TLSVersion.TLSv1_2
        hello(it, sound, "localhost")

    def test_only_http_1_1_is_negotiated(self, it: Served, folder: Path) -> None:
        context = strict(folder)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with it.connection(context) as connection:
            assert isinstance(connection, ssl.SSLSocket)
            assert connection.selected_alpn_protocol() == "http/1.1"

    def test_plain_http_on_the_tls_port_is_closed(self, it: Served) -> None:
        with it.connection() as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert not connection.recv(100).startswith(b"HTTP")

    def test_certificates_are_renewed_while_serving(self, authority: Authority, folder: Path) -> None:
        clock = ManualClock(SystemClock().now())
        moved = Authority(authority._key, authority._certificate, clock)
        contexts = HostContexts(moved, lambda host: host == "demo.vault.azure.net", clock)
        context = strict(folder)
        with served(tls=Tls(contexts.context, contexts.refresh)) as running:
            for host in ("localhost", "demo.vault.azure.net"):
                first = hello(running, context, host)["serialNumber"]
                clock.advance(50 * 86400)
                assert hello(running, context, host)["serialNumber"] == first
                clock.advance(11 * 86400)
                assert shown_serial(running, host) != first
                clock.set(SystemClock().now())


def shown_serial(it: Served, host: str) -> str:
    """The serial number of the certificate shown for a host; it may begin in the future."""
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    with it.connection(trusting, host) as connection:
        assert isinstance(connection, ssl.SSLSocket)
        found = connection.getpeercert(binary_form=True)
        assert found
        return f"{x509.load_der_x509_certificate(found).serial_number:X}"


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])
def test_a_client_that_takes_its_answer_slowly_gets_it_whole(
    authority: Authority, folder: Path, encrypted: bool, more: bytes
) -> None:
    """Ten minutes for 40 MB, by the connections' clock."""
    size, taken = 40_000_000, 0
    contexts = HostContexts(authority, lambda _: False, SystemClock())
    tls = Tls(contexts.context) if encrypted else None
    with (
        served(tls=tls, clock=ManualClock(0)) as it,
        it.connection(strict(folder) if encrypted else None, buffer=65536) as connection,
    ):
        connection.sendall(b"GET /blob/%d HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (size, more))
        for minute in range(1, 13):
            until(lambda: write_deadline(it) == (minute - 1) * 50 + 60)  # noqa: B023 - called at once
            it.advance(50)
            while taken < minute * size // 20:
                taken += len(connection.recv(65536))
        while taken < size:
            piece = connection.recv(1_000_000)
            assert piece, f"cut off after {taken}"
            taken += len(piece)


def test_an_idle_client_that_takes_no_leave_does_not_hold_up_the_stop(authority: Authority, folder: Path) -> None:
    contexts = HostContexts(authority, lambda _: False, SystemClock())
    with contextlib.ExitStack() as stack:
        it = stack.enter_context(served(tls=Tls(contexts.context), grace_s=600.0))
        connection = stack.enter_context(it.connection(strict(folder)))
        connection.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(connection.makefile("rb")) is not None
        it.loop.call_soon_threadsafe(it.serving.stop)
        until(it.loop.is_closed)


def write_deadline(it: Served) -> float:
    """When the only connection would be cut off for taking nothing."""
    return next((connection.write_deadline for connection in tuple(it.serving.connections)), 0.0)


class TestPrograms:
    def test_curl(self, it: Served, folder: Path) -> None:
        curl = shutil.which("curl") or missing("curl", "apt-get install curl")
        for host in ("demo.vault.localhost", "demo.vault.azure.net"):
            said = subprocess.run(
                [curl, "-sS", "--resolve", f"{host}:{it.port}:127.0.0.1", "--cacert", folder / "ca.pem",
                 f"https://{host}:{it.port}/hello/curl"],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert said.stdout == '{"hello": "curl"}', said.stderr

    def test_openssl_verifies_strictly(self, it: Served, folder: Path) -> None:
        openssl = shutil.which("openssl") or missing("openssl", "apt-get install openssl")
        said = subprocess.run(
            [openssl, "s_client", "-connect", f"127.0.0.1:{it.port}", "-servername", "demo.vault.localhost",
             "-verify_hostname", "demo.vault.localhost", "-CAfile", folder / "ca.pem",
             "-x509_strict", "-verify_return_error"],
            input="", capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Verify return code: 0 (ok)" in said.stdout, said.stdout + said.stderr

    def test_node(self, it: Served, folder: Path, tmp_path: Path) -> None:
        program = node()
        if program is None:
            missing("Node.js", "apt-get install nodejs")
        script = tmp_path / "hello.mjs"
        script.write_text(_NODE_HELLO)
        environment = {"NODE_EXTRA_CA_CERTS": str(folder / "ca.pem"), "PATH": os.environ["PATH"]}
        said = subprocess.run(
            [*program.command, script, str(it.port)],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert said.stdout.splitlines() == ['{"hello":"node"}'] * 2, said.stderr


_NODE_HELLO = """
import https from "node:https";
const here = {address: "127.0.0.1", family: 4};
const lookup = (_, options, done) => options.all ? done(null, [here]) : done(null, here.address, here.family);
for (const host of ["demo.vault.localhost", "demo.vault.azure.net"]) {
    await new Promise((done, fail) => https.get({host, port: process.argv[2], path: "/hello/node", lookup}, answer => {
        let text = "";
        answer.on("data", part => text += part);
        answer.on("end", () => { console.log(JSON.stringify(JSON.parse(text))); done(); });
    }).on("error", fail));
}
"""
