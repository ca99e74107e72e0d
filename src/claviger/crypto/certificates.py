"""Keys and certificates by which a connection proves itself to a cloud: made here, or brought for a request made here.

Everything is PEM text. Making a key takes from a tenth of a second to several: call it in a thread.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.hazmat.primitives.serialization import load_pem_private_key as _load_key
from cryptography.x509.oid import NameOID

from claviger.core.errors import Invalid
from claviger.core.sensitive import Sensitive

SIZES = (2048, 4096)
BACKDATE_S = 300
_DAY = datetime.timedelta(days=1)
_NAMES = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
}


class Certificate(msgspec.Struct, frozen=True):
    """What is read off a certificate. `key_id` is the SHA-256 of its public key, in hex; the end is epoch seconds."""

    pem: str
    thumbprint: str
    key_id: str
    ends_at: float


class Pair(msgspec.Struct, frozen=True):
    """A private key, and what was made with it: a certificate or a request, in PEM."""

    private_key: Sensitive
    made: str
    key_id: str


def make_self_signed(common_name: str, days: int, now: float) -> Pair:
    """A new RSA key of 2048 bits and its certificate, for as many days from now on."""
    key = rsa.generate_private_key(65537, 2048)
    subject = _subject(common_name, {})
    starts = datetime.datetime.fromtimestamp(int(now) - BACKDATE_S, datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(starts + days * _DAY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Pair(_private(key), made.public_bytes(Encoding.PEM).decode(), _key_id(key.public_key()))


def make_request(common_name: str, names: Mapping[str, str], bits: int) -> Pair:
    """A new RSA key and a certificate signing request (PKCS #10) for it.

    `names` are parts of the subject by their short names: C, ST, L, O, OU. Raises Invalid("Subject") for what a
    certificate cannot hold.
    """
    if bits not in SIZES:
        raise ValueError(f"no size that is allowed: {bits}")
    subject = _subject(common_name, names)
    key = rsa.generate_private_key(65537, bits)
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return Pair(_private(key), made.public_bytes(Encoding.PEM).decode(), _key_id(key.public_key()))


def read_certificate(pem: str) -> Certificate:
    """The first certificate of a PEM text. Raises Invalid("Certificate") for anything but an RSA certificate."""
    found = read_certificates(pem)[0]
    key = found.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in SIZES:
        raise Invalid("Certificate", message="the certificate's key is not RSA of 2048 or 4096 bits")
    return Certificate(
        pem=found.public_bytes(Encoding.PEM).decode(),
        thumbprint=found.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303  Azure names certificates by it
        key_id=_key_id(key),
        ends_at=found.not_valid_after_utc.timestamp(),
    )


def read_certificates(pem: str) -> Sequence[x509.Certificate]:
    """All certificates of a PEM text. Raises Invalid("Certificate") where there is none, or one that is broken."""
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        found = []
    if not found:
        raise Invalid("Certificate", message="this is not a certificate in PEM")
    return found


def key_id_of(private_key: Sensitive) -> str:
    """The id of a private key's public half, as `Certificate.key_id`."""
    key = _load_key(private_key.reveal(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not a key that was made here")
    return _key_id(key.public_key())


def _subject(common_name: str, names: Mapping[str, str]) -> x509.Name:
    try:
        parts = [x509.NameAttribute(_NAMES[short], value) for short, value in names.items()]
        return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    except (KeyError, ValueError):
        raise Invalid("Subject", message="a part of the certificate's subject is not allowed or too long") from None


def _private(key: rsa.RSAPrivateKey) -> Sensitive:
    return Sensitive(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _key_id(key: rsa.RSAPublicKey) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()
