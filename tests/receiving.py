"""A receiver of webhooks on the loopback, over HTTP or HTTPS, that does what a test tells it; and its authority.

It reads requests by hand and checks signatures by an HMAC of its own, written from RFC 2104, so that a mistake of the
product is not shared.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ipaddress
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

PATIENCE_S = 60.0


@dataclass
class Received:
    """One request as it came."""

    head: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        """The CloudEvent."""
        return json.loads(self.body)

    @property
    def id(self) -> str:
        """Its `webhook-id`."""
        return self.headers["webhook-id"]


@dataclass
class Reply:
    """What is answered: all of it as bytes, then either the end or silence. Nothing before `once` is set."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: bool = False
    cut: bool = False
    endless: bool = False
    once: asyncio.Event | None = None

    def encoded(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Word", *(f"{name}: {value}" for name, value in self.headers.items())]
        if not self.endless:
            lines.append(f"Content-Length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + self.body


class Receiver:
    """`answer` decides on each request, and may be replaced at any time."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], Reply] = lambda _: Reply()
        self.url = ""
        self.sent_bytes = 0
        self.under_way = 0
        self.most_under_way = 0
        self._came = asyncio.Condition()

    @property
    def ids(self) -> list[str]:
        return [request.id for request in self.received]

    def told(self, name: str = "n") -> list[Any]:
        """What the events' data say, in the order in which they came."""
        return [request.event["data"].get(name) for request in self.received]

    async def until(self, count: int) -> None:
        """Waits for so many requests."""
        async with asyncio.timeout(PATIENCE_S), self._came:
            await self._came.wait_for(lambda: len(self.received) >= count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Received(first, headers, body)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            async with self._came:
                self.received.append(request)
                self._came.notify_all()
            return await self._reply(self.answer(request), reader, writer)
        finally:
            self.under_way -= 1

    async def _reply(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if reply.once is not None:
            await reply.once.wait()
        if reply.hang:
            await reader.read()  # until the client gives up
            return False
        if reply.cut:
            return False
        writer.write(reply.encoded())
        await writer.drain()
        while reply.endless and self.sent_bytes < 64 * 1024 * 1024:
            writer.write(b"x" * 65536)
            await writer.drain()
            self.sent_bytes += 65536
        return not reply.endless


@contextlib.asynccontextmanager
async def receiving(*, tls: bool = False, hosts: tuple[str, ...] = ("127.0.0.1",)) -> AsyncIterator[Receiver]:
    """A receiver, at `receiver.url`."""
    receiver = Receiver()
    context = server_context(hosts) if tls else None
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=context)
    receiver.url = f"{'https' if tls else 'http'}://{hosts[0]}:{server.sockets[0].getsockname()[1]}/hooks?for=tests"
    try:
        yield receiver
    finally:
        server.close()


@lru_cache(maxsize=4)
def authority(number: int) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A certificate authority of the tests."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"an authority of tests {number}")])
    builder = _certificate(name, name, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    usage = x509.KeyUsage(*[name == "key_cert_sign" for name in _USES])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(usage, critical=True).add_extension(identifier, critical=False)
    return key, builder.sign(key, hashes.SHA256())


_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def authority_pem(number: int = 0) -> str:
    """Its certificate."""
    return authority(number)[1].public_bytes(Encoding.PEM).decode()


def server_context(hosts: tuple[str, ...]) -> ssl.SSLContext:
    """A server's side of TLS for these hosts, by the authority."""
    ca_key, ca = authority(0)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _certificate(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")]), ca.subject, key.public_key()
    )
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    leaf = builder.add_extension(issuer, critical=False).sign(ca_key, hashes.SHA256())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "leaf.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + leaf.public_bytes(Encoding.PEM))
        context.load_cert_chain(path)
    return context


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    start = datetime.now(UTC) - timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=30))
    )


def is_signed(request: Received, secret: str) -> bool:
    """Whether one of the signatures is right, by the published algorithm (Standard Webhooks 1.0)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac_sha256(key, content)).decode()
    return f"v1,{expected}" in request.headers["webhook-signature"].split(" ")


def hmac_sha256(key: bytes, content: bytes) -> bytes:
    """RFC 2104 by the letter."""
    block = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + content).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()
