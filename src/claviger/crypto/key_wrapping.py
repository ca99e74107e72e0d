"""Keys on their way from one place to another: wrapped to an RSA public key, directly or by way of an AES key.

Both ways are OCI's (contract §7.2). `RSA_OAEP_SHA256` is the key itself under RSA-OAEP with SHA-256; only AES keys are
short enough. `RSA_OAEP_AES_SHA256` is a fresh AES-256 key under that, followed by the key wrapped under the AES key as
RFC 5649 says. What is wrong with something that does not unwrap is never told.
"""

from __future__ import annotations

import os

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_public_key

from claviger.core.errors import Damaged, Invalid
from claviger.crypto.key_objects import OAEP
from claviger.crypto.material import unusable

DIRECT = "RSA_OAEP_SHA256"
BY_AES = "RSA_OAEP_AES_SHA256"
ALGORITHMS = (DIRECT, BY_AES)

MAX_PEM_LENGTH = 4096
PUBLIC_KEY_BITS = (2048, 3072, 4096)
_MAX_EXPONENT = 2**32
_KEK_LENGTH = 32
_OAEP_SHA256 = OAEP["SHA256"]


def unwrapped(wrapped: bytes, algorithm: str, private_der: bytes) -> bytes:
    """What was wrapped to the public key of `private_der`, which we sealed ourselves. Blocks for some milliseconds.

    Raises Invalid("Material") for whatever does not unwrap.
    """
    key = load_der_private_key(private_der, password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Damaged("WrappingKey")
    length = key.key_size // 8
    head, rest = wrapped[:length], wrapped[length:]
    if algorithm not in ALGORITHMS or len(head) != length or bool(rest) != (algorithm == BY_AES):
        raise unusable()
    try:
        found = key.decrypt(head, _OAEP_SHA256)
        if algorithm == DIRECT:
            return found
        if len(found) != _KEK_LENGTH:
            raise unusable()
        return aes_key_unwrap_with_padding(found, rest)
    except (ValueError, InvalidUnwrap):
        raise unusable() from None


def wrapped(secret: bytes, algorithm: str, public: rsa.RSAPublicKey) -> bytes:
    """The same way there. Raises ValueError where the secret is too long for `DIRECT`."""
    if algorithm == DIRECT:
        return public.encrypt(secret, _OAEP_SHA256)
    kek = os.urandom(_KEK_LENGTH)
    return public.encrypt(kek, _OAEP_SHA256) + aes_key_wrap_with_padding(kek, secret)


def public_key(pem: str) -> rsa.RSAPublicKey:
    """The RSA key of 2048, 3072 or 4096 bits in a PEM text. Raises Invalid("PublicKey") for anything else."""
    try:
        key = load_pem_public_key(pem.encode("ascii")) if len(pem) <= MAX_PEM_LENGTH else None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in PUBLIC_KEY_BITS:
        raise _no_public_key()
    numbers = key.public_numbers()
    if numbers.n % 2 == 0 or numbers.e % 2 == 0 or not 3 <= numbers.e <= _MAX_EXPONENT:
        raise _no_public_key()
    return key


def _no_public_key() -> Invalid:
    return Invalid("PublicKey", message="publicKey must be an RSA public key of 2048, 3072 or 4096 bits as PEM")
