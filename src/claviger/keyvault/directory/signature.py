"""Certificates of applications, and the client assertions that prove an application holds a certificate's private key.

An assertion is a JWT that names a registered certificate in its header and is signed with that certificate's key. It is
checked as Entra ID checks it: first the signature, and nothing unsigned is looked at but the header; then for whom, by
whom and until when it was made. It may come again until it expires: Entra ID allows that and its clients rely on it
(azure-identity sends one assertion for nine minutes, whatever it asks tokens for). Source: RFC 7523 §3, and
https://learn.microsoft.com/entra/identity-platform/certificate-credentials
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError

from claviger.core.clock import Clock
from claviger.core.errors import Damaged, Invalid, Unauthenticated
from claviger.keyvault.directory.records import ApplicationCertificate

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("RS256", "PS256")
LEAST_KEY_BITS = 2048
MOST_KEY_BITS = 16_384
MAX_CERTIFICATE_FILE = 65_536
NOT_BEFORE_LEEWAY_S = 300  # what a client's clock may be ahead; an expiry has no leeway
MAX_ASSERTION_LIFE_S = 86_400
"""What the longest-lived client gives itself (go-autorest, in older Terraform); Entra ID itself sets no limit."""

_PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"
_PEM_END = b"-----END CERTIFICATE-----"
_LAST_MOMENT = 253_402_300_799  # the end of the year 9999, the last second that can be written


class Assertion(msgspec.Struct):
    """What an assertion says. Numbers may have fractions: MSAL for Python writes them so, and leaves `nbf` out."""

    iss: str
    sub: str
    exp: float
    aud: str = ""
    nbf: float | None = None


def read_certificate(file: bytes, now: int) -> ApplicationCertificate:
    """The certificate in a PEM or DER file, still without an application; of several in a PEM file, the first.

    Whatever else is in the file, a private key say, is left where it is. Raises Invalid("CertificateUnreadable" |
    "CertificateKey" | "CertificateExpired").
    """
    try:
        certificate = x509.load_der_x509_certificate(_der_in(file))
        key = certificate.public_key()
        der = certificate.public_bytes(Encoding.DER)
        not_before, not_after = _dates(certificate)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise Invalid("CertificateUnreadable", fix="give a PEM or DER file with one X.509 certificate in it") from None
    if not isinstance(key, rsa.RSAPublicKey) or not LEAST_KEY_BITS <= key.key_size <= MOST_KEY_BITS:
        raise Invalid("CertificateKey", rule=f"RSA of {LEAST_KEY_BITS} to {MOST_KEY_BITS} bits")
    if now >= not_after:
        raise Invalid("CertificateExpired", not_after=_moment(not_after))
    sha1 = hashlib.sha1(der, usedforsecurity=False).digest()
    return ApplicationCertificate(0, 0, sha1, hashlib.sha256(der).digest(), der, not_before, not_after, now)


class AssertionVerifier:
    """Checks client assertions against the certificates registered on an application, by the machine's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jws = PyJWS(algorithms=list(ALGORITHMS))
        self._decoder = msgspec.json.Decoder(Assertion)

    def verify(
        self,
        assertion: str,
        client_id: str,
        registered: Sequence[ApplicationCertificate],
        is_token_endpoint: Callable[[str], bool],
    ) -> None:
        """Returns where the assertion proves that the application of `client_id` is asking.

        `is_token_endpoint` says whether an audience is one of this tenant's token endpoints. Raises
        Invalid("AssertionMalformed" | "AssertionWithoutAudience"), Unauthenticated("AssertionAlgorithm" |
        "AssertionWithoutThumbprint" | "CertificateUnknown" | "CertificateOutdated" | "AssertionSignature" |
        "AssertionIdentifier" | "AssertionAudience" | "AssertionTime" | "AssertionTooLong").
        """
        now = self._clock.now()
        certificate = self._named(assertion, client_id, registered)
        if not certificate.not_before - NOT_BEFORE_LEEWAY_S <= now < certificate.not_after:
            state = "expired" if now >= certificate.not_after else "not yet valid"
            raise Unauthenticated("CertificateOutdated", **_told(certificate), state=state)
        claims = self._signed(assertion, certificate)
        if not claims.aud:
            raise Invalid("AssertionWithoutAudience")
        if not (_same(claims.iss, client_id) and _same(claims.sub, client_id)):
            raise Unauthenticated("AssertionIdentifier")
        if not is_token_endpoint(claims.aud):
            raise Unauthenticated("AssertionAudience")
        begins = claims.nbf if claims.nbf is not None else now
        times = {"now": _moment(now), "begins": _moment(begins), "ends": _moment(claims.exp)}
        if not begins - NOT_BEFORE_LEEWAY_S <= now < claims.exp:
            raise Unauthenticated("AssertionTime", **times)
        if claims.exp - now > MAX_ASSERTION_LIFE_S + NOT_BEFORE_LEEWAY_S:
            raise Unauthenticated("AssertionTooLong", **times, hours=MAX_ASSERTION_LIFE_S // 3600)

    def _named(
        self, assertion: str, client_id: str, registered: Sequence[ApplicationCertificate]
    ) -> ApplicationCertificate:
        """The registered certificate that the header names by one thumbprint, or by both."""
        try:
            header = self._jws.get_unverified_header(assertion)
        except (PyJWTError, UnicodeError, ValueError, RecursionError):
            raise Invalid("AssertionMalformed") from None
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise Unauthenticated("AssertionAlgorithm", given=str(algorithm)[:20], known=",".join(ALGORITHMS))
        sha1, sha256 = _thumbprint(header.get("x5t")), _thumbprint(header.get("x5t#S256"))
        if sha1 is None and sha256 is None:
            raise Unauthenticated("AssertionWithoutThumbprint")
        found = None
        for each in registered:
            is_sha1 = sha1 is None or hmac.compare_digest(each.sha1, sha1)
            is_sha256 = sha256 is None or hmac.compare_digest(each.sha256, sha256)
            if is_sha1 and is_sha256:
                found = each
        if found is None:
            thumbprint = (sha256 or sha1 or b"").hex().upper()
            raise Unauthenticated("CertificateUnknown", thumbprint=thumbprint[:64], app=client_id)
        return found

    def _signed(self, assertion: str, certificate: ApplicationCertificate) -> Assertion:
        key = x509.load_der_x509_certificate(certificate.der).public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise Damaged("CertificateKind", certificate=certificate.id)
        try:
            payload: bytes = self._jws.decode_complete(assertion, key, algorithms=list(ALGORITHMS))["payload"]
        except (PyJWTError, UnicodeError, ValueError, RecursionError):
            raise Unauthenticated("AssertionSignature", **_told(certificate)) from None
        try:
            return self._decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise Invalid("AssertionMalformed") from None


def _der_in(file: bytes) -> bytes:
    """The DER of the first PEM block that is a certificate, or the file itself."""
    begin = file.find(_PEM_BEGIN)
    if begin < 0:
        return file
    body, end, _ = file[begin + len(_PEM_BEGIN) :].partition(_PEM_END)
    if not end:
        raise ValueError("the block does not end")
    return base64.b64decode(b"".join(body.split()), validate=True)


def _dates(certificate: x509.Certificate) -> tuple[int, int]:
    return int(certificate.not_valid_before_utc.timestamp()), int(certificate.not_valid_after_utc.timestamp())


def _thumbprint(word: object) -> bytes | None:
    """The bytes of a thumbprint in base64url, with or without padding; None where there is none.

    Raises Invalid("AssertionMalformed").
    """
    if word is None:
        return None
    if not isinstance(word, str) or len(word) > 128:
        raise Invalid("AssertionMalformed")
    try:
        bare = word.rstrip("=").encode("ascii")
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeError):
        raise Invalid("AssertionMalformed") from None


def _same(given: str, client_id: str) -> bool:
    return hmac.compare_digest(given.lower().encode(), client_id.encode())


def _told(certificate: ApplicationCertificate) -> dict[str, str]:
    begins, ends = _moment(certificate.not_before), _moment(certificate.not_after)
    return {"thumbprint": certificate.sha1.hex().upper(), "begins": begins, "ends": ends}


def _moment(epoch_s: float) -> str:
    """A time as Entra ID writes it; the first or last one that can be written for any other."""
    at = datetime.fromtimestamp(min(max(epoch_s, 0.0), _LAST_MOMENT), UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
