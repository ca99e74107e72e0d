"""How the content of a secret's version is sealed, and how a content is known again without being kept in the clear.

What is sealed of each version is the secret's marking key, followed by the content. The marking key is random, made
with the secret and the same in all its versions; a content's mark is a MAC under it. So the stored marks can only be
compared by who can open one of the versions, and tell nothing once the last is destroyed.
"""

from __future__ import annotations

import hmac
import os

import msgspec

from claviger.core.errors import Damaged
from claviger.core.sensitive import Sensitive
from claviger.crypto.envelope import associated_data

_KEY_LENGTH = 32


class Opened(msgspec.Struct, frozen=True):
    """What was sealed of a version."""

    marking_key: Sensitive
    content: Sensitive


def new_marking_key() -> Sensitive:
    """For a new secret."""
    return Sensitive(os.urandom(_KEY_LENGTH))


def binding(secret_id: str, number: int) -> bytes:
    """What a sealed content is bound to: as another secret's, or another version's, it does not open."""
    return associated_data("oci-secret-version", secret_id, number)


def packed(marking_key: Sensitive, content: Sensitive) -> bytes:
    """What is to be sealed."""
    return marking_key.reveal() + content.reveal()


def unpacked(plaintext: bytes) -> Opened:
    """What was sealed. Raises Damaged where it cannot be."""
    if len(plaintext) < _KEY_LENGTH:
        raise Damaged("SealBroken")
    return Opened(Sensitive(plaintext[:_KEY_LENGTH]), Sensitive(plaintext[_KEY_LENGTH:]))


def mark_of(marking_key: Sensitive, content: Sensitive) -> str:
    """By what this content is known again in this secret."""
    return hmac.digest(marking_key.reveal(), content.reveal(), "sha256").hex()
