"""Self-signed certificates that programs sign in with, and client assertions put together by hand, right and wrong.

Nothing here goes through the libraries that the server checks with, so that a mistake of theirs is not shared.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

DAY_S = 86_400


def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key made once for all tests; another for each number."""
    return _made(number, bits)


@lru_cache(maxsize=8)
def _made(number: int, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def certificate(
    key: CertificateIssuerPrivateKeyTypes, begins: float, days: float = 30, name: str = "a program"
) -> x509.Certificate:
    """A self-signed certificate, good for some days from a moment on."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.fromtimestamp(int(begins), UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )


def pem(made: x509.Certificate, key: rsa.RSAPrivateKey | None = None) -> bytes:
    """The certificate as a PEM file, after its private key where that is given: what CertificateCredential reads."""
    private = b"" if key is None else key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + made.public_bytes(Encoding.PEM)


def der(made: x509.Certificate) -> bytes:
    """The certificate as a DER file."""
    return made.public_bytes(Encoding.DER)


def thumbprint(made: x509.Certificate, algorithm: str = "sha256") -> str:
    """A thumbprint as it stands in a header."""
    return _part(hashlib.new(algorithm, der(made)).digest())


def claims(client_id: str, audience: str, now: float, **changes: Any) -> dict[str, Any]:
    """What a right assertion says, with changes; None takes a claim out."""
    full = {
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": "6c6f9a1e-6d1b-4f6a-9f43-0c6f4a3f5b9e",
        "nbf": now,
        "exp": now + 600,
        **changes,
    }
    return {name: value for name, value in full.items() if value is not None}


def assertion(
    key: rsa.RSAPrivateKey,
    made: x509.Certificate,
    told: Mapping[str, Any] | bytes,
    *,
    algorithm: str = "PS256",
    **header: Any,
) -> str:
    """An assertion signed with the key that says what is told; None takes a parameter out of the header."""
    full = {"typ": "JWT", "alg": algorithm, "x5t#S256": thumbprint(made), **header}
    kept = {name: value for name, value in full.items() if value is not None}
    payload = told if isinstance(told, bytes) else json.dumps(told).encode()
    signed = f"{_part(json.dumps(kept).encode())}.{_part(payload)}"
    return f"{signed}.{_part(_signature(key, signed.encode(), algorithm))}"


def _signature(key: rsa.RSAPrivateKey, signed: bytes, algorithm: str) -> bytes:
    if algorithm == "RS256":
        return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    if algorithm == "PS256":
        return key.sign(signed, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    if algorithm == "RS384":
        return key.sign(signed, padding.PKCS1v15(), hashes.SHA384())
    if algorithm == "HS256":  # the old trick: the public key, which everybody knows, taken for a shared secret
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return hmac.digest(public, signed, "sha256")
    return b""


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
