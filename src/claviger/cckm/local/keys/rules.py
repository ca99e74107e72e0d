"""What a local key may be: algorithms, sizes, curves, names, in the words of CipherTrust Manager's key store. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

import msgspec

from claviger.cckm.errors import validation

AES, RSA, EC = "AES", "RSA", "EC"
SIZES: Mapping[str, tuple[int, ...]] = {AES: (128, 192, 256), RSA: (2048, 3072, 4096)}
DEFAULT_SIZES: Mapping[str, int] = {AES: 256, RSA: 2048}
CURVES: Mapping[str, tuple[str, int]] = {
    "secp256r1": ("NIST_P256", 256),
    "prime256v1": ("NIST_P256", 256),
    "secp384r1": ("NIST_P384", 384),
    "secp521r1": ("NIST_P521", 521),
}
"""Curve by its names here -> OCI's name of it, and its size in bits."""
SHOWN_CURVES = {"NIST_P256": "secp256r1", "NIST_P384": "secp384r1", "NIST_P521": "secp521r1"}
LONGEST_NAME = 256
LONGEST_MATERIAL = 8 * 1024
LONGEST_MASK = 2**24
MOST_KEYS = 10_000
"""Of one domain."""
ENCODINGS = ("hex", "base64")
SYMMETRIC_MASK, SIGNING_MASK = 12, 1  # encrypt and decrypt; sign


class Kind(msgspec.Struct, frozen=True):
    """What a key is. `size` is in bits; `curve_id` is OCI's name, empty for other keys."""

    algorithm: str
    size: int
    curve_id: str = ""

    @property
    def length(self) -> int:
        """Its length in bytes, as OCI counts."""
        return (self.size + 7) // 8


def kind_of(algorithm: str, size: int, curve: str) -> Kind:
    """What is asked for; 0 and "" count as absent. Raises Invalid("Validation")."""
    name = algorithm.upper()
    if name in ("EC", "ECDSA", "ECC"):
        if not curve:
            known = {bits: oci for oci, bits in CURVES.values()}
            curve_id = known.get(size or 256)
            if curve_id is None:
                raise validation({"size": "must be 256, 384 or 521 for EC, or name a curveid"})
            return Kind(EC, size or 256, curve_id)
        found = CURVES.get(curve.lower())
        if found is None:
            raise validation({"curveid": f"must be one of {', '.join(CURVES)}"})
        if size not in (0, found[1]):
            raise validation({"size": f"must be {found[1]} for {curve}, or absent"})
        return Kind(EC, found[1], found[0])
    if name not in SIZES:
        raise validation({"algorithm": "must be AES, RSA or EC"})
    if curve:
        raise validation({"curveid": f"must be absent for {name}"})
    wanted = size or DEFAULT_SIZES[name]
    if wanted not in SIZES[name]:
        raise validation({"size": f"must be one of {', '.join(map(str, SIZES[name]))} for {name}"})
    return Kind(name, wanted)


def name_problem(name: str) -> str | None:
    """What is wrong with a name, or None."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable() or "/" in name:
        return f"must have 1 to {LONGEST_NAME} printable characters, and no /"
    return None


def decoded(material: bytes, encoding: str) -> bytes:
    """The bytes of symmetric material. Raises Invalid("Validation"), which says nothing of them."""
    problem = {"material": f"is not {encoding}"}
    if encoding not in ENCODINGS:
        raise validation({"encoding": f"must be one of {', '.join(ENCODINGS)}"})
    try:
        if encoding == "hex":
            return bytes.fromhex(material.decode("ascii"))
        return base64.b64decode(material, validate=True)
    except (ValueError, UnicodeDecodeError, binascii.Error):
        raise validation(problem) from None
