"""Signed notes and checkpoints as C2SP defines them (signed-note, tlog-checkpoint), with Ed25519.

A note is text that ends in a line feed, an empty line, and a line for each signature. A checkpoint is a note whose text
says of which log (its origin), how many records, and the root of their tree. Whoever has the public key, in its text
form `name+hash+key`, can check one without anything else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from claviger.audit.tree import HASH_LENGTH
from claviger.core.errors import Damaged, Invalid
from claviger.core.sensitive import Sensitive

SEED_LENGTH = 32
LARGEST_NOTE = 64 * 1024
_ED25519 = b"\x01"
_DASH = "\u2014"
_PUBLIC = re.compile(r"([^\s+]{1,256})\+([0-9a-f]{8})\+([A-Za-z0-9+/]{1,64}={0,2})")
_SIGNATURE = re.compile(rf"{_DASH} ([^\s+]+) ([A-Za-z0-9+/]+={{0,2}})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


class PublicKey:
    """A key that checks notes of one name."""

    def __init__(self, name: str, raw: bytes) -> None:
        """`raw` is the Ed25519 public key. Raises ValueError where it is none."""
        self.name = name
        self._raw = raw
        self._key = Ed25519PublicKey.from_public_bytes(raw)

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """A key from its text form. Raises Invalid("PublicKey")."""
        found = _PUBLIC.fullmatch(text.strip())
        try:
            typed = b"" if found is None else base64.b64decode(found[3], validate=True)
            if found is not None and typed[:1] == _ED25519:
                key = cls(found[1], typed[1:])
                if str(key) == text.strip():
                    return key
        except (binascii.Error, ValueError):
            pass
        raise Invalid(
            "PublicKey", message="the public key must read NAME+HASH+KEY, as `claviger audit public-key` prints"
        )

    @property
    def hash(self) -> bytes:
        """The four bytes by which a signature names its key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self._raw).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.hash.hex()}+{base64.b64encode(_ED25519 + self._raw).decode()}"

    def opened(self, note: str) -> str:
        """The text of a note that this key has signed. Raises Damaged("AuditNote") for any other."""
        text, separator, signatures = note.rpartition("\n\n")
        if not separator or not signatures.endswith("\n") or len(note) > LARGEST_NOTE:
            raise Damaged("AuditNote", problem="is not a signed note")
        text += "\n"
        lines = [_SIGNATURE.fullmatch(line) for line in signatures[:-1].split("\n")]
        if None in lines:
            raise Damaged("AuditNote", problem="has a line that is no signature")
        if any(line is not None and line[1] == self.name and self._signed(line[2], text) for line in lines):
            return text
        raise Damaged("AuditNote", problem="is not signed by this key")

    def _signed(self, signature: str, text: str) -> bool:
        try:
            raw = base64.b64decode(signature, validate=True)
            if base64.b64encode(raw).decode() != signature or raw[:4] != self.hash:
                return False
            self._key.verify(raw[4:], text.encode())
        except (binascii.Error, InvalidSignature, UnicodeError):
            return False
        return True


class Signer:
    """A key that signs notes. It does not show itself."""

    def __init__(self, name: str, seed: Sensitive) -> None:
        """`seed` is the private key's 32 bytes."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed.reveal())
        self.public = PublicKey(name, self._key.public_key().public_bytes_raw())

    def signed(self, text: str) -> str:
        """The note of a text that ends in a line feed."""
        signature = base64.b64encode(self.public.hash + self._key.sign(text.encode())).decode()
        return f"{text}\n{_DASH} {self.public.name} {signature}\n"

    def __repr__(self) -> str:
        return f"<signer {self.public.name}>"


class Checkpoint(msgspec.Struct, frozen=True):
    """The first `size` records of a log and their root, as of `at` (seconds since the epoch)."""

    origin: str
    size: int
    root: bytes
    at: int

    def text(self) -> str:
        """The text to be signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\ntime {self.at}\n"


def checkpoint_of(text: str) -> Checkpoint:
    """A checkpoint from its text. Raises Damaged("AuditNote")."""
    lines = text.split("\n")
    problem = Damaged("AuditNote", problem="is not a checkpoint")
    if len(lines) != 5 or lines[4] or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise problem
    word, _, at = lines[3].partition(" ")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (binascii.Error, ValueError):
        raise problem from None
    if word != "time" or not _SIZE.fullmatch(at) or len(root) != HASH_LENGTH:
        raise problem
    found = Checkpoint(lines[0], int(lines[1]), root, int(at))
    if found.text() != text:
        raise problem
    return found
