"""How a value is sealed: AES-256-GCM under a key object that is made once and reused.

Whatever is sealed is bound to the place it was written for, by associated data that `associated_data` builds
from the fields that name the place. Sealed bytes copied to another place, changed, or opened with another key
do not open. The bytes are described, with test vectors, in docs/formats.md: change them only together with a
new format number.
"""

from __future__ import annotations

import os
import struct
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from claviger.core.errors import Damaged

KEY_LENGTH = 32
NONCE_LENGTH = 12
TAG_LENGTH = 16
FORMAT = b"\x01"
OVERHEAD = len(FORMAT) + NONCE_LENGTH + TAG_LENGTH

_BOUND_LABEL = b"claviger\x01"
_head = struct.Struct(">cI").pack
_integer = struct.Struct(">cIq").pack


def associated_data(*fields: str | bytes | int) -> bytes:
    """One unambiguous byte string out of `fields`, the first of which says what kind of thing is sealed.

    Different lists of fields never give the same bytes: each field carries its type and its length. An
    integer is eight bytes, signed. Raises struct.error for one that does not fit.
    """
    bound = _BOUND_LABEL
    for field in fields:  # on the hot path of every read, hence no list and no join
        if isinstance(field, str):
            content = field.encode()
            bound += _head(b"s", len(content)) + content
        elif isinstance(field, bytes):
            bound += _head(b"b", len(field)) + field
        else:
            bound += _integer(b"i", 8, field)
    return bound


def new_key() -> bytes:
    """Fresh bytes for a key, from the system's random source."""
    return os.urandom(KEY_LENGTH)


class SealingKey:
    """A key that seals and opens. It does not show its bytes, and is safe to use from several threads."""

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        """Raises ValueError unless `key` has 32 bytes."""
        if len(key) != KEY_LENGTH:
            raise ValueError("a sealing key has 32 bytes")
        self._aead = AESGCM(key)

    def seal(self, plaintext: bytes, bound_to: bytes) -> bytes:
        """The sealed form of `plaintext`, `OVERHEAD` bytes longer, that opens only with the same `bound_to`.

        The nonce is random: replace a key before it has sealed 2^32 values (NIST SP 800-38D §8.3).
        """
        nonce = os.urandom(NONCE_LENGTH)
        return FORMAT + nonce + self._aead.encrypt(nonce, plaintext, bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """What was sealed.

        Raises Damaged("SealBroken"), with no further word, for anything that is not exactly it.
        """
        if sealed[:1] != FORMAT or len(sealed) < OVERHEAD:
            raise Damaged("SealBroken")
        try:
            return self._aead.decrypt(sealed[1:13], sealed[13:], bound_to)
        except InvalidTag:
            raise Damaged("SealBroken") from None

    def __repr__(self) -> str:
        return "<sealing key>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a sealing key is never pickled")
