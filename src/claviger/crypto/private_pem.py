"""Private keys between PEM, as people have them, and PKCS #8 DER, as they are sealed."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from claviger.core.errors import Damaged
from claviger.crypto.material import unusable


def der_of(pem: bytes) -> bytes:
    """PKCS #8 DER of an RSA or EC key in PEM (PKCS #1, SEC 1 or PKCS #8, not encrypted). Blocks for some milliseconds.

    Raises Invalid("Material") for anything else.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise unusable() from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise unusable()
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def pem_of(der: bytes) -> str:
    """PKCS #8 PEM of a key that was sealed as DER. Raises Damaged."""
    try:
        key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Damaged("LocalKey") from None
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
