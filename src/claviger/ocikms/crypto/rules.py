"""What the crypto plane takes: which algorithm goes with which kind of key, and how long everything may be.

The tables are the OCI contract's, §9. A key that is used must be ENABLED, its vault in one of `LIVE_VAULT` and its
version ENABLED; which refusal the other states get stands in the tables of keys and of versions.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from claviger.core.errors import Invalid
from claviger.ocikms.errors import missing, wrong

MAX_PLAINTEXT_BYTES = 4096
MAX_MESSAGE_BYTES = 4096
MAX_CONTEXT_LENGTH = 4096
"""The text of associatedData, and that of loggingContext, must be shorter than that many characters."""
MAX_ENCODED_LENGTH = 8192
"""Any base64 here: the longest is a ciphertext of the longest plaintext."""

LIVE_VAULT = frozenset({"ACTIVE", "UPDATING", "BACKUP_IN_PROGRESS"})
"""States of a vault in which its keys work: a vault that is moved or copied goes on serving."""

AES_LENGTHS = (16, 24, 32)
EXPORTED = "SOFTWARE"
EXPORT_ALGORITHMS = ("RSA_OAEP_AES_SHA256", "RSA_OAEP_SHA256")
RAW, DIGEST = "RAW", "DIGEST"


class Encryption(msgspec.Struct, frozen=True):
    """How an encryption algorithm is done: with keys of which algorithm, and for RSA with which hash in OAEP."""

    key_algorithm: str
    digest: str = ""


class Signing(msgspec.Struct, frozen=True):
    """How a signing algorithm is done: by which keys, with which hash, its length in bytes, and for RSA the padding."""

    key_algorithm: str
    digest: str
    digest_length: int
    padding: str = ""


DEFAULT_ENCRYPTION = "AES_256_GCM"
ENCRYPTIONS: Mapping[str, Encryption] = {
    DEFAULT_ENCRYPTION: Encryption("AES"),  # so called for the shorter AES keys too
    "RSA_OAEP_SHA_1": Encryption("RSA", "SHA1"),
    "RSA_OAEP_SHA_256": Encryption("RSA", "SHA256"),
}

_DIGEST_LENGTHS = {"224": 28, "256": 32, "384": 48, "512": 64}
_RSA_PADDINGS = {"PKCS_PSS": "PSS", "PKCS1_V1_5": "PKCS1"}
SIGNINGS: Mapping[str, Signing] = {
    f"SHA_{bits}_RSA_{scheme}": Signing("RSA", f"SHA{bits}", length, padding)
    for scheme, padding in _RSA_PADDINGS.items()
    for bits, length in _DIGEST_LENGTHS.items()
} | {
    f"ECDSA_SHA_{bits}": Signing("ECDSA", f"SHA{bits}", length)
    for bits, length in _DIGEST_LENGTHS.items()
    if bits != "224"
}


def encryption(asked: str | None, key_algorithm: str, version_id: str | None) -> tuple[str, Encryption]:
    """The algorithm to encrypt or decrypt with, and its name. Raises Invalid where it is not one for such a key.

    An RSA key needs the version to be named, for its ciphertexts do not name it (§9).
    """
    name = asked or DEFAULT_ENCRYPTION
    found = ENCRYPTIONS.get(name)
    if found is None:
        raise wrong("encryptionAlgorithm", f"must be one of {', '.join(ENCRYPTIONS)}")
    if found.key_algorithm != key_algorithm:
        raise _not_for(name, key_algorithm)
    if key_algorithm == "RSA" and version_id is None:
        raise missing("keyVersionId")
    return name, found


def signing(name: str, key_algorithm: str) -> Signing:
    """How to sign with that algorithm. Raises Invalid where it is not one for such a key."""
    found = SIGNINGS.get(name)
    if found is None:
        raise wrong("signingAlgorithm", f"must be one of {', '.join(SIGNINGS)}")
    if found.key_algorithm != key_algorithm:
        raise _not_for(name, key_algorithm)
    return found


def _not_for(name: str, key_algorithm: str) -> Invalid:
    return Invalid("Value", message=f"{name} is not an algorithm for a key whose algorithm is {key_algorithm}")


def check_message(message: bytes, message_type: str | None, algorithm: Signing) -> bool:
    """Whether the message is a digest. Raises Invalid for a message too long, or a digest of another length."""
    kind = message_type or RAW
    if kind not in (RAW, DIGEST):
        raise wrong("messageType", f"must be {RAW} or {DIGEST}")
    if len(message) > MAX_MESSAGE_BYTES:
        raise wrong("message", f"may have {MAX_MESSAGE_BYTES} bytes at most")
    if kind == DIGEST and len(message) != algorithm.digest_length:
        raise wrong("message", f"must be a digest of {algorithm.digest_length} bytes for this signingAlgorithm")
    return kind == DIGEST


def check_plaintext(plaintext: bytes, most: int) -> None:
    """Raises Invalid for more than `most` bytes."""
    if len(plaintext) > most:
        raise wrong("plaintext", f"may have {most} bytes at most with this key and algorithm")


def check_data_key(algorithm: str, length: int, curve_id: str | None) -> None:
    """Raises Invalid unless the shape is that of an AES key."""
    if algorithm != "AES" or length not in AES_LENGTHS or curve_id is not None:
        raise wrong("keyShape", "of a data key must be AES with a length of 16, 24 or 32 and no curve")


def check_export(algorithm: str, key_algorithm: str, protection_mode: str) -> None:
    """Raises Invalid for a key that is not exported, or not in that way (§7.1, §7.2)."""
    if algorithm not in EXPORT_ALGORITHMS:
        raise wrong("algorithm", f"must be one of {', '.join(EXPORT_ALGORITHMS)}")
    if protection_mode != EXPORTED:
        raise wrong("keyId", f"is that of a key with protectionMode {protection_mode}; only {EXPORTED} can be exported")
    if key_algorithm not in ("AES", "RSA"):
        raise _not_for(algorithm, key_algorithm)
    if key_algorithm == "RSA" and algorithm != EXPORT_ALGORITHMS[0]:
        raise wrong("algorithm", f"must be {EXPORT_ALGORITHMS[0]} for an RSA key, which is too long for the other one")
