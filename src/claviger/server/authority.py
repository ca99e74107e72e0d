"""The local certificate authority: made at first start, unique to its data directory, trusted only by who chooses to.

`open_authority` finds or makes it. The authority's key lives in a `KeyBox` (sealed in the database), never in a plain
file; its certificate lies in `<data>/tls/ca.pem` for clients, and beside it `bundle.pem`: the machine's own trust store
with it added, for programs that know one trust file only. `Authority.mint` makes certificates of hosts, in memory.
They are made to pass the strictest verifiers known (OpenSSL's VERIFY_X509_STRICT, Go, Java, .NET, Node).
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from claviger.core.clock import Clock
from claviger.core.errors import Damaged
from claviger.core.sensitive import Sensitive

AUTHORITY_DAYS = 3652
LEAF_DAYS = 90
"""Well under the 397 days that clients accept; a running server renews long before."""
RENEW_BEFORE_DAYS = 30
BACKDATE_S = 24 * 3600
"""For clients whose clocks are behind."""
KEY_NAME = "tls-authority"
SYSTEM_STORES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD, Alpine
)
_PEM = serialization.Encoding.PEM
_DAY = datetime.timedelta(days=1)


class KeyBox(Protocol):
    """Keeps small secrets of the server, sealed, by name."""

    async def ensure(self, name: str, make: Callable[[], Sensitive]) -> Sensitive:
        """What is kept under the name, made by `make` if nothing is; all who ask at once get the same."""
        ...


@dataclass(frozen=True, slots=True)
class Leaf:
    """A host's certificate with the authority's behind it, its key, and when to make another one."""

    chain: bytes
    key: ec.EllipticCurvePrivateKey
    renew_at: float

    def pem(self, password: str) -> bytes:
        """The chain and the key, the key encrypted: for the moment that OpenSSL needs to read it as a file."""
        how = serialization.BestAvailableEncryption(password.encode())
        # The old format, because deriving its key takes microseconds; the password lives no longer than that either.
        return self.chain + self.key.private_bytes(_PEM, serialization.PrivateFormat.TraditionalOpenSSL, how)


class Authority:
    """The authority's key and certificate, ready to sign."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, clock: Clock) -> None:
        self._key = key
        self._certificate = certificate
        self._clock = clock
        self._identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        self.certificate_pem = certificate.public_bytes(_PEM)

    def mint(self, hosts: Sequence[str]) -> Leaf:
        """A fresh key and a certificate for these names and addresses; `*.` may begin a name."""
        key = ec.generate_private_key(ec.SECP256R1())
        starts = max(self._moment(-BACKDATE_S), self._certificate.not_valid_before_utc)
        ends = min(self._moment(LEAF_DAYS * 86400), self._certificate.not_valid_after_utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name("Claviger local server"))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(starts)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(self._identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        renew_at = ends.timestamp() - min(RENEW_BEFORE_DAYS * 86400, (ends - starts).total_seconds() / 3)
        return Leaf(certificate.public_bytes(_PEM) + self.certificate_pem, key, renew_at)

    def _moment(self, from_now_s: float) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(int(self._clock.now() + from_now_s), datetime.UTC)


async def open_authority(directory: Path, box: KeyBox, clock: Clock) -> Authority:
    """The authority of this server, made where there is none; `directory`/ca.pem is (re)written to match it.

    Processes that start at once agree on one. Raises Damaged("TlsAuthority") where what the box keeps is no authority.
    """
    kept = await box.ensure(KEY_NAME, lambda: Sensitive(_make_authority(clock.now())))
    try:
        key = serialization.load_pem_private_key(kept.reveal(), password=None)
        certificate = x509.load_pem_x509_certificate(kept.reveal())
    except ValueError:
        raise Damaged("TlsAuthority", fix="restore the database from a backup") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise Damaged("TlsAuthority", fix="restore the database from a backup")
    authority = Authority(key, certificate, clock)
    write_whole(directory / "ca.pem", authority.certificate_pem)
    return authority


def names_of(pem: bytes) -> frozenset[str]:
    """The host names in a certificate, the first of a PEM, in lower case; none where it cannot be read."""
    try:
        found = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (
        ValueError,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ):
        return frozenset()
    return frozenset(name.lower() for name in found.value.get_values_for_type(x509.DNSName))


def write_bundle(path: Path, trust_store: Path | None, authority: Authority) -> None:
    """Writes the trust store (where there is one) with the authority's certificate added."""
    base = trust_store.read_bytes() if trust_store is not None else b""
    if base and not base.endswith(b"\n"):
        base += b"\n"
    write_whole(path, base + authority.certificate_pem)


def find_trust_store(environment: Mapping[str, str], ours: Path, stores: Iterable[str] = SYSTEM_STORES) -> Path | None:
    """The PEM file that programs on this machine trust: what SSL_CERT_FILE names, else the system's own.

    A variable that names our own bundle (the server was started in a shell made ready for its clients) does not count.
    """
    for candidate in (environment.get("SSL_CERT_FILE", ""), *stores):
        path = Path(candidate)
        if candidate and path.is_file() and path.resolve() != ours.resolve() and os.access(path, os.R_OK):
            return path
    return None


def write_whole(path: Path, content: bytes) -> None:
    """Puts a file that all may read in its place at once, and only where it changes. Makes the directory."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if path.is_file() and path.read_bytes() == content:
        return
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        beside.write_bytes(content)
        beside.chmod(0o644)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _make_authority(now: float) -> bytes:
    """A new key and its certificate, both PEM, one after the other."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Claviger local authority {secrets.token_hex(4)}")
    starts = datetime.datetime.fromtimestamp(int(now) - BACKDATE_S, datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(starts + AUTHORITY_DAYS * _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + certificate.public_bytes(_PEM)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
