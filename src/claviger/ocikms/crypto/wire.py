"""The bodies of the crypto plane as they are on the wire (OCI contract §9), and what a ciphertext looks like inside.

Binary fields are base64. What is asked never prints: plaintext and messages are nobody's business.
"""

from __future__ import annotations

import binascii

import msgspec

from claviger.core.errors import Invalid
from claviger.ocikms.crypto.rules import MAX_CONTEXT_LENGTH, MAX_ENCODED_LENGTH
from claviger.ocikms.errors import wrong
from claviger.ocikms.texts import from_base64

Context = dict[str, str]

CIPHERTEXT_FORMAT = 1


class _Asked(msgspec.Struct, rename="camel"):
    """What does not print."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class EncryptDataDetails(_Asked):
    """Encrypt."""

    key_id: str
    plaintext: str
    associated_data: Context | None = None
    logging_context: Context | None = None
    key_version_id: str | None = None
    encryption_algorithm: str | None = None


class DecryptDataDetails(_Asked):
    """Decrypt."""

    key_id: str
    ciphertext: str
    associated_data: Context | None = None
    logging_context: Context | None = None
    key_version_id: str | None = None
    encryption_algorithm: str | None = None


class DataKeyShape(msgspec.Struct, rename="camel"):
    """The shape of a data key; `length` is in bytes."""

    algorithm: str
    length: int
    curve_id: str | None = None


class GenerateKeyDetails(_Asked):
    """GenerateDataEncryptionKey."""

    key_id: str
    include_plaintext_key: bool
    key_shape: DataKeyShape
    associated_data: Context | None = None
    logging_context: Context | None = None


class SignDataDetails(_Asked):
    """Sign."""

    key_id: str
    message: str
    signing_algorithm: str
    message_type: str | None = None
    key_version_id: str | None = None
    logging_context: Context | None = None


class VerifyDataDetails(_Asked):
    """Verify."""

    key_id: str
    key_version_id: str
    signature: str
    message: str
    signing_algorithm: str
    message_type: str | None = None


class ExportKeyDetails(_Asked):
    """ExportKey."""

    key_id: str
    algorithm: str
    public_key: str
    key_version_id: str | None = None
    logging_context: Context | None = None


class EncryptedData(msgspec.Struct, rename="camel"):
    """Encrypt's answer."""

    ciphertext: str
    key_id: str
    key_version_id: str
    encryption_algorithm: str


class DecryptedData(_Asked, rename="camel"):
    """Decrypt's answer. `plaintext_checksum` is the CRC32 of the plaintext's bytes, in decimal."""

    plaintext: str
    plaintext_checksum: str
    key_id: str
    key_version_id: str
    encryption_algorithm: str


class GeneratedKey(_Asked, rename="camel"):
    """GenerateDataEncryptionKey's answer."""

    ciphertext: str
    plaintext: str | None
    plaintext_checksum: str | None


class SignedData(msgspec.Struct, rename="camel"):
    """Sign's answer."""

    key_id: str
    key_version_id: str
    signature: str
    signing_algorithm: str


class VerifiedData(msgspec.Struct, rename="camel"):
    """Verify's answer."""

    is_signature_valid: bool


class ExportedKeyData(msgspec.Struct, rename="camel"):
    """ExportKey's answer."""

    key_id: str
    key_version_id: str
    vault_id: str
    time_created: str
    algorithm: str
    encrypted_key: str


def checksum(plaintext: bytes) -> str:
    """The CRC32 in decimal (§9)."""
    return str(binascii.crc32(plaintext))


def read(text: str) -> bytes | None:
    """The bytes of a base64 text; None where it is too long or no base64."""
    return from_base64(text) if len(text) <= MAX_ENCODED_LENGTH else None


def decoded(name: str, text: str) -> bytes:
    """The same of a field that must be base64. Raises Invalid."""
    found = read(text)
    if found is None:
        raise no_base64(name)
    return found


def no_base64(name: str) -> Invalid:
    """The refusal of a field that is none."""
    return wrong(name, f"must be base64 of {MAX_ENCODED_LENGTH} characters at most")


def encoded(content: bytes) -> str:
    """The bytes as base64 text."""
    return binascii.b2a_base64(content, newline=False).decode("ascii")


def check_context(name: str, context: Context | None) -> None:
    """Raises Invalid where the text form of a map is too long (§9)."""
    if context and len(msgspec.json.encode(context).decode()) >= MAX_CONTEXT_LENGTH:
        raise wrong(name, f"must have a text form shorter than {MAX_CONTEXT_LENGTH} characters")


def packed(version_id: str, encrypted: bytes) -> bytes:
    """An AES ciphertext that names the version of the key it was made with."""
    named = version_id.encode("ascii")
    return bytes((CIPHERTEXT_FORMAT, len(named))) + named + encrypted


def unpacked(ciphertext: bytes) -> tuple[str, bytes] | None:
    """Version and encrypted bytes; None where it is nothing that `packed` makes."""
    if len(ciphertext) < 2 or ciphertext[0] != CIPHERTEXT_FORMAT or len(ciphertext) < 2 + ciphertext[1]:
        return None
    end = 2 + ciphertext[1]
    named = ciphertext[2:end]
    if not named or not named.isascii() or b"\0" in named:
        return None
    return named.decode("ascii"), ciphertext[end:]
