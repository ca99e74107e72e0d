"""Who has signed a request: OCI's request signatures of version 1, checked on the request exactly as it came.

`Verifier.admit` reads the Authorization header, finds the key, and checks the date and the signature over the head;
`check_body` holds the body, once it is read, against what was signed. What fails raises Unauthenticated, for whatever
reason, which only the audit log gets to know. No verdict is remembered: each request is verified. Source: OCI contract
§13; times are those of the machine, since clients sign by a clock of their own.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from calendar import timegm
from collections.abc import Callable
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from claviger.core.asgi import Headers, Scope
from claviger.core.clock import Clock
from claviger.core.errors import Unauthenticated
from claviger.ocikms.calls import Caller

WINDOW_S = 300
ALGORITHM = "rsa-sha256"
VERSION = "1"
MAX_HEADER_LENGTH = 8192
MAX_PARAMETERS = 16
MAX_SIGNED_HEADERS = 32
MAX_SIGNATURE_LENGTH = 1024
MAX_REMEMBERED_KEYS = 1024
MAX_REMEMBERED_DATES = 256
MAX_REMEMBERED_FORMS = 1024
MAX_REMEMBERED_LENGTH = 1024
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
UNKNOWN_KEY = "SignatureKey"
"""The reason where nobody has the key: the one that a newer look at the directory may change."""

_TARGET = b"(request-target)"
_BODY_NAMES = (b"content-length", b"content-type", b"x-content-sha256")
_SCHEME = re.compile(r"signature +", re.IGNORECASE)
_PARAMETER = re.compile(r'[ \t]*([A-Za-z][A-Za-z0-9_-]*)="([^"]*)"[ \t]*(?:,|\Z)')
_DATE = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4})"
    rb" (\d\d):(\d\d):(\d\d) GMT"
)
_MONTHS = {name: at for at, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_MOST = (31, 12, 9999, 23, 59, 60)

Find = Callable[[str, str, str], tuple[Caller, str] | None]
"""The caller, and its public key as PEM, of a tenancy's OCID, a user's and a key's fingerprint."""


class Signature(msgspec.Struct, frozen=True):
    """An Authorization header taken apart, but for the signature itself: what a client says the same of each time.

    `names` are those of the signed headers, in lower case and in order; `place` is that of the request line among them.
    `is_over_body` says that all is signed that a body needs.
    """

    names: tuple[bytes, ...]
    place: int
    is_over_body: bool
    tenancy_id: str
    user_id: str
    fingerprint: str


class Head:
    """A request's head as signatures need it: everything as it came. A header that came twice is in `doubled`."""

    __slots__ = ("doubled", "headers", "method", "path", "query")

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        given: Headers = scope["headers"]
        self.headers = dict(given)
        self.doubled: frozenset[bytes] = frozenset()
        if len(self.headers) != len(given):
            names = [name for name, _ in given]
            self.doubled = frozenset(name for name in self.headers if names.count(name) > 1)

    @property
    def target(self) -> bytes:
        """What stood between method and version. The HTTP layer does not keep the mark of an empty query."""
        return b"%b?%b" % (self.path, self.query) if self.query else self.path

    def values(self, names: tuple[bytes, ...]) -> list[bytes]:
        """The lines to be signed, `(request-target)` as a place for it. Raises Unauthenticated for a missing header."""
        lines = []
        for name in names:
            if name == _TARGET:
                lines.append(b"")
                continue
            value = self.headers.get(name)
            if value is None or name in self.doubled:
                raise Unauthenticated("SignatureHeaders")
            lines.append(b"%b: %b" % (name, value.strip(b" \t")))
        return lines


def read_authorization(value: bytes) -> tuple[Signature, bytes]:
    """Takes the header apart: what it says, and the signature itself.

    Raises Unauthenticated for whatever is not a signature of this kind, or not over enough (§13.2, 1 to 3).
    """
    try:
        text = value.decode("ascii")
    except UnicodeDecodeError:
        raise Unauthenticated("SignatureForm") from None
    given = _parameters(text)
    if given.get("algorithm") != ALGORITHM or given.get("version") != VERSION:
        raise Unauthenticated("SignatureKind")
    names = tuple(name.encode() for name in given.get("headers", "").lower().split(" ") if name)
    key_id = given.get("keyId", "").split("/")
    if not 0 < len(names) <= MAX_SIGNED_HEADERS or len(set(names)) != len(names) or len(key_id) != 3:
        raise Unauthenticated("SignatureForm")
    if _TARGET not in names or b"host" not in names or (b"date" not in names and b"x-date" not in names):
        raise Unauthenticated("SignatureHeaders")
    is_over_body = all(name in names for name in _BODY_NAMES)
    signature = Signature(names, names.index(_TARGET), is_over_body, *key_id)
    return signature, _unwritten(given.get("signature", "").encode())


def _unwritten(text: bytes) -> bytes:
    """The signature itself. Raises Unauthenticated for what is no base64."""
    try:
        signed = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise Unauthenticated("SignatureForm") from None
    if not 0 < len(signed) <= MAX_SIGNATURE_LENGTH:
        raise Unauthenticated("SignatureForm")
    return signed


def _parameters(text: str) -> dict[str, str]:
    """Names and values, in whatever order; none of them twice."""
    scheme = _SCHEME.match(text) if len(text) <= MAX_HEADER_LENGTH else None
    if scheme is None:
        raise Unauthenticated("SignatureForm")
    found: dict[str, str] = {}
    at = scheme.end()
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None or match[1] in found or len(found) >= MAX_PARAMETERS:
            raise Unauthenticated("SignatureForm")
        found[match[1]] = match[2]
        at = match.end()
    return found


def _read_date(value: bytes) -> float | None:
    """Epoch seconds of a date as RFC 7231 wants it; None for anything else."""
    match = _DATE.fullmatch(value)
    if match is None:
        return None
    parts = int(match[1]), _MONTHS[match[2]], int(match[3]), int(match[4]), int(match[5]), int(match[6])
    if any(part > most for part, most in zip(parts, _MOST, strict=True)) or not parts[0] or parts[2] < 1970:
        return None
    return timegm((parts[2], parts[1], parts[0], *parts[3:]))


class Verifier:
    """Verifies heads. It remembers how headers and dates were read, and public keys; nothing about what they proved."""

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._keys: dict[str, RSAPublicKey] = {}
        self._dates: dict[bytes, float | None] = {}
        self._forms: dict[bytes, Signature] = {}
        self._padding = PKCS1v15()
        self._hash = SHA256()

    def admit(self, head: Head, find: Find, *, is_body_exempt: bool = False) -> tuple[Caller, Signature]:
        """The caller who signed this head, and how (§13.2, 1 to 4 and 6). Raises Unauthenticated.

        `is_body_exempt` is for Object Storage's PUT, which need not sign its body.
        """
        value = head.headers.get(b"authorization")
        if value is None or b"authorization" in head.doubled:
            raise Unauthenticated("SignatureMissing" if value is None else "SignatureForm")
        signature, signed = self._read(value)
        names = signature.names
        if head.method in WITH_BODY and not is_body_exempt and not signature.is_over_body:
            raise Unauthenticated("SignatureHeaders")
        lines = head.values(names)
        self._check_date(head.headers[b"x-date" if b"x-date" in names else b"date"])
        found = find(signature.tenancy_id, signature.user_id, signature.fingerprint)
        if found is None:
            raise Unauthenticated(UNKNOWN_KEY)
        caller, pem = found
        self._check(self._key(pem), signed, head, lines, signature.place)
        return caller, signature

    def _read(self, value: bytes) -> tuple[Signature, bytes]:
        """`read_authorization`, with all but the signature itself taken from memory: a client repeats it each time."""
        start = value.find(b'signature="') + 11
        end = value.find(b'"', start)
        if not 11 <= start < end:
            return read_authorization(value)
        rest = value[:start] + value[end:]
        known = self._forms.get(rest)
        if known is not None:
            return known, _unwritten(value[start:end])
        signature, signed = read_authorization(value)
        if len(rest) <= MAX_REMEMBERED_LENGTH and rest.count(b'signature="') == 1:  # so that is where it stood
            if len(self._forms) >= MAX_REMEMBERED_FORMS:
                self._forms.clear()
            self._forms[rest] = signature
        return signature, signed

    def _check(self, key: RSAPublicKey, signed: bytes, head: Head, lines: list[bytes], place: int) -> None:
        lines[place] = line = b"(request-target): %b %b" % (head.method.lower().encode(), head.target)
        if self._holds(key, signed, lines):
            return
        lines[place] = line + b"?"
        if head.query or not self._holds(key, signed, lines):
            raise Unauthenticated("SignatureWrong")

    def _holds(self, key: RSAPublicKey, signed: bytes, lines: list[bytes]) -> bool:
        try:
            key.verify(signed, b"\n".join(lines), self._padding, self._hash)
        except InvalidSignature:
            return False
        return True

    def _check_date(self, value: bytes) -> None:
        value = value.strip(b" \t")
        try:
            at = self._dates[value]
        except KeyError:
            at = _read_date(value)
            if len(value) <= 29:  # so long they are; anything else is nothing to keep
                if len(self._dates) >= MAX_REMEMBERED_DATES:
                    self._dates.clear()
                self._dates[value] = at
        if at is None or abs(self._machine.now() - at) > WINDOW_S:
            raise Unauthenticated("SignatureDate")

    def _key(self, pem: str) -> RSAPublicKey:
        key = self._keys.get(pem)
        if key is None:
            try:
                loaded = load_pem_public_key(pem.encode())
            except (ValueError, UnsupportedAlgorithm):
                raise Unauthenticated("SignatureKeyDamaged") from None
            if not isinstance(loaded, RSAPublicKey):
                raise Unauthenticated("SignatureKeyDamaged")
            if len(self._keys) >= MAX_REMEMBERED_KEYS:
                self._keys.clear()
            key = self._keys[pem] = loaded
        return key


def check_body(head: Head, signature: Signature, body: bytes) -> None:
    """Raises Unauthenticated unless the body is the one that was signed (§13.2, 5).

    Only what is signed is compared: of a request whose head was admitted that is all there has to be.
    """
    names, headers = signature.names, head.headers
    if b"content-length" in names:
        length = headers[b"content-length"].strip(b" \t")
        if not length.isdigit() or len(length) > 12 or int(length) != len(body):
            raise Unauthenticated("SignatureBody")
    if b"x-content-sha256" in names:
        told = headers[b"x-content-sha256"].strip(b" \t")
        if not hmac.compare_digest(told, base64.b64encode(sha256(body).digest())):
            raise Unauthenticated("SignatureBody")
