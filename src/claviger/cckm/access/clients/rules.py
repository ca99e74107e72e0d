"""How a client's secret is made and compared, and how many clients a user may have."""

from __future__ import annotations

import hashlib

MOST_PER_USER = 50
SECRET_BYTES = 32


def secret_hash(secret: bytes) -> bytes:
    """What is stored of a secret. It is 32 random bytes, so a plain hash cannot be reversed by guessing."""
    return hashlib.sha256(secret).digest()
