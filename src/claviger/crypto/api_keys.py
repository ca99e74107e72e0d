"""API keys of OCI users: RSA pairs, known by the MD5 fingerprint of the public half (OCI contract §13.1).

Everything is PEM text. Making one takes a tenth of a second and more: call it in a thread.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from claviger.core.errors import Invalid
from claviger.core.sensitive import Sensitive

BITS = 2048
MAX_BITS = 8192
MAX_PEM_LENGTH = 16 * 1024


def new_api_key() -> tuple[Sensitive, str]:
    """A new pair: the private key (PKCS#8) and the public key (SubjectPublicKeyInfo), both PEM."""
    key = rsa.generate_private_key(65537, BITS)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Sensitive(private), key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def fingerprint_of(public_pem: str) -> str:
    """MD5 of the public key's DER form, in pairs of hex digits. Raises Invalid as `read_public_key`."""
    return read_public_key(public_pem)[0]


def read_public_key(public_pem: str) -> tuple[str, str]:
    """Fingerprint and the same key in the one form in which keys are kept.

    Raises Invalid("PublicKey") for anything but one RSA public key of 2048 to 8192 bits in PEM.
    """
    key = _loaded(public_pem)
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digits = hashlib.md5(der, usedforsecurity=False).hexdigest()
    fingerprint = ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
    return fingerprint, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def public_half(private_pem: Sensitive) -> str:
    """The public key of a private key, PEM. Raises Invalid("PrivateKey") for anything but an RSA key in the clear."""
    try:
        key = load_pem_private_key(private_pem.reveal(), None)
    except TypeError:
        raise Invalid("PrivateKey", message="The key is locked with a passphrase.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Invalid("PrivateKey", message="This is not a private key in PEM.") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Invalid("PrivateKey", message="The key is not an RSA key.")
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _loaded(public_pem: str) -> rsa.RSAPublicKey:
    if len(public_pem) > MAX_PEM_LENGTH:
        raise _refused("is too long for a public key")
    if "PRIVATE KEY" in public_pem:
        raise _refused("is a private key: give the public half of it alone")
    try:
        key = load_pem_public_key(public_pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _refused("is not a public key in PEM") from None
    if not isinstance(key, rsa.RSAPublicKey) or not BITS <= key.key_size <= MAX_BITS:
        raise _refused(f"is not an RSA key of {BITS} to {MAX_BITS} bits")
    return key


def _refused(problem: str) -> Invalid:
    return Invalid("PublicKey", message=f"The key {problem}.")
