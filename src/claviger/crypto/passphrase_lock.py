"""A key made of a passphrase, for a file that travels: what a reader needs beside the passphrase stands in the file.

The derivation is that of the passphrase file (`key_file.py`): scrypt with N = 2^15, r = 8, p = 3.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from claviger.core.errors import Damaged, Misconfigured
from claviger.core.sensitive import Sensitive
from claviger.crypto.envelope import KEY_LENGTH, SealingKey
from claviger.crypto.key_file import SALT_LENGTH, SHORTEST_PASSPHRASE

LOCK_LENGTH = 3 + SALT_LENGTH
_MOST_SCRYPT_MEMORY = 1 << 30  # bytes; what a tampered file could make us allocate


@dataclass(frozen=True, slots=True)
class PassphraseLock:
    """The cost of the derivation, and its salt."""

    log2_n: int
    r: int
    p: int
    salt: bytes

    @classmethod
    def fresh(cls, log2_n: int = 15) -> PassphraseLock:
        """One with a new salt."""
        return cls(log2_n, 8, 3, os.urandom(SALT_LENGTH))

    @classmethod
    def unpacked(cls, packed: bytes) -> PassphraseLock:
        """What `packed` made. Raises Damaged("PassphraseLock"), also for a cost that no honest file has."""
        if len(packed) != LOCK_LENGTH:
            raise Damaged("PassphraseLock")
        log2_n, r, p = packed[:3]
        bounded = 1 <= log2_n <= 24 and 1 <= r <= 32 and 1 <= p <= 16
        if not bounded or 128 * r << log2_n > _MOST_SCRYPT_MEMORY:
            raise Damaged("PassphraseLock")
        return cls(log2_n, r, p, packed[3:])

    def packed(self) -> bytes:
        """`LOCK_LENGTH` bytes: log2 N, r, p, salt."""
        return bytes((self.log2_n, self.r, self.p)) + self.salt

    def key(self, passphrase: Sensitive) -> SealingKey:
        """The key that the passphrase makes; some 0.3 s. Raises Misconfigured("PassphraseTooShort")."""
        if len(passphrase) < SHORTEST_PASSPHRASE:
            fix = f"choose a passphrase of at least {SHORTEST_PASSPHRASE} bytes"
            raise Misconfigured("PassphraseTooShort", fix=fix)
        kdf = Scrypt(salt=self.salt, length=KEY_LENGTH, n=1 << self.log2_n, r=self.r, p=self.p)
        return SealingKey(kdf.derive(passphrase.reveal()))
