"""Key material of a cloud's keys: made here or brought in, and turned into objects that encrypt and sign.

A `Shape` says what a key is. `generate` makes material for it, `imported` takes what somebody brought after looking at
all of it, and `key_object` opens material that came out of our own seal. All three may take long for RSA: run them off
the event loop. What the objects can do is in `key_objects`; how material travels wrapped is in `key_wrapping`.
"""

from __future__ import annotations

import os

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from claviger.core.errors import Damaged, Invalid
from claviger.core.sensitive import Sensitive
from claviger.crypto.key_objects import AesKey, EcdsaKey, KeyObject, RsaKey

RSA_EXPONENT = 65537
AES_LENGTHS = (16, 24, 32)
RSA_LENGTHS = (256, 384, 512)
CURVES: dict[str, tuple[int, type[ec.EllipticCurve]]] = {
    "NIST_P256": (32, ec.SECP256R1),
    "NIST_P384": (48, ec.SECP384R1),
    "NIST_P521": (66, ec.SECP521R1),
}
"""Curve -> length of its keys in bytes, and the curve."""

_PKCS8_START = b"\x02\x01\x00\x30"  # version 0, then the algorithm: PKCS #1 has the modulus here


class Shape(msgspec.Struct, frozen=True):
    """What a key is: `AES`, `RSA` or `ECDSA`, its length in bytes, the curve of an ECDSA key (OCI contract §7.1)."""

    algorithm: str
    length: int
    curve_id: str | None = None


class Material(msgspec.Struct, frozen=True):
    """What is sealed of a key version: the bytes of an AES key, or a private key as PKCS #8 DER.

    `public_pem` is the public key as SubjectPublicKeyInfo, of asymmetric keys alone.
    """

    secret: Sensitive
    public_pem: str | None = None


def is_known(shape: Shape) -> bool:
    """Whether keys of this shape can be made at all."""
    if shape.algorithm == "ECDSA":
        curve = CURVES.get(shape.curve_id or "")
        return curve is not None and curve[0] == shape.length
    lengths = {"AES": AES_LENGTHS, "RSA": RSA_LENGTHS}.get(shape.algorithm, ())
    return shape.curve_id is None and shape.length in lengths


def generate(shape: Shape) -> Material:
    """Fresh material. Blocks, for seconds where the shape is RSA. Raises Invalid("Shape") for an unknown shape."""
    if not is_known(shape):
        raise Invalid("Shape", message="keyShape is not one that keys can have")
    if shape.algorithm == "AES":
        return Material(Sensitive(os.urandom(shape.length)))
    if shape.algorithm == "RSA":
        return _packed(rsa.generate_private_key(public_exponent=RSA_EXPONENT, key_size=shape.length * 8))
    return _packed(ec.generate_private_key(CURVES[shape.curve_id or ""][1]()))


def imported(raw: bytes, shape: Shape) -> Material:
    """Material that somebody brought, checked in full and written our own way. Blocks: 0.3 s for RSA-4096.

    AES is `shape.length` bytes. RSA is one private key as PKCS #8 DER, nothing behind it, of exactly that length, with
    exponent 65537 and numbers that belong together. Raises Invalid("Material"), and says no more, for all else.
    """
    if not is_known(shape):
        raise unusable()
    if shape.algorithm == "AES" and len(raw) == shape.length:
        return Material(Sensitive(raw))
    if shape.algorithm == "RSA" and raw[4:8] == _PKCS8_START:
        try:
            key = load_der_private_key(raw, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise unusable() from None
        if (
            isinstance(key, rsa.RSAPrivateKey)
            and key.key_size == shape.length * 8
            and key.public_key().public_numbers().e == RSA_EXPONENT
        ):
            return _packed(key)
    raise unusable()


def unusable() -> Invalid:
    """The one refusal of material that is not what it should be, so that nobody learns how far it got."""
    told = "does not unwrap to a key of this shape (AES: its bytes; RSA: PKCS #8 in DER, with exponent 65537)"
    return Invalid("Material", message=f"wrappedImportKey.keyMaterial {told}")


def key_object(secret: bytes, shape: Shape) -> KeyObject:
    """The working object of material that we sealed ourselves. Quick: its numbers were checked when it was sealed.

    Raises Damaged("Material") where it is not of that shape.
    """
    if shape.algorithm == "AES":
        if len(secret) != shape.length or shape.length not in AES_LENGTHS:
            raise Damaged("Material")
        return AesKey(secret)
    try:
        private = load_der_private_key(secret, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Damaged("Material") from None
    if isinstance(private, rsa.RSAPrivateKey) and shape.algorithm == "RSA":
        return RsaKey(private)
    if isinstance(private, ec.EllipticCurvePrivateKey) and shape.algorithm == "ECDSA":
        return EcdsaKey(private)
    raise Damaged("Material")


def _packed(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Material:
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Material(Sensitive(private), public.decode("ascii"))
