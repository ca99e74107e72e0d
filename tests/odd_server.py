"""What the clouds that misbehave on demand share: answers that a test has written down, and a server with TLS."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.certificates import pem, rsa_key

CUT = "cut"
HANG = "hang"


@dataclass
class Said:
    """An answer. A body that is not bytes is sent as JSON."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.body!r}"[:60]

    def raw(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        kind = {} if isinstance(self.body, bytes) else {"Content-Type": "application/json"}
        told = {"Content-Length": str(len(body)), **kind, **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        return f"HTTP/1.1 {self.status} Odd\r\n{head}\r\n".encode() + body


Step = Said | str


class Odd(Protocol):
    """A cloud that misbehaves. `over` is set at its end."""

    port: int
    authority: str
    over: asyncio.Event

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for as long as it lasts."""
        ...


@asynccontextmanager
async def standing(cloud: Odd, hosts: Sequence[str], folder: Path) -> AsyncIterator[None]:
    """The cloud on a free port, under these hosts."""
    certificate = _certificate(tuple(hosts))
    file = folder / f"{type(cloud).__name__}.pem"
    file.write_bytes(pem(certificate, rsa_key()))
    cloud.authority = certificate.public_bytes(Encoding.PEM).decode()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = await asyncio.start_server(cloud.serve, "127.0.0.1", 0, ssl=context)
    cloud.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        cloud.over.set()
        server.close()


@lru_cache(maxsize=2)
def _certificate(hosts: tuple[str, ...]) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"the odd {hosts[0]}")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(rsa_key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(rsa_key(), hashes.SHA256())
    )
