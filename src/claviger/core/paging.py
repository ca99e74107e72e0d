"""Page marks: where a listing goes on. A mark says the last key shown, so pages stay right while rows come and go."""

from __future__ import annotations

import base64
import binascii

from claviger.core.errors import Invalid

MAX_MARK_LENGTH = 1024


def encode_mark(last_key: str) -> str:
    """The opaque, URL-safe form of the last key of a page."""
    return base64.urlsafe_b64encode(last_key.encode()).rstrip(b"=").decode()


def decode_mark(mark: str) -> str:
    """The key that `encode_mark` was given. Raises Invalid("PageMark") for anything else."""
    if len(mark) > MAX_MARK_LENGTH:
        raise Invalid("PageMark")
    try:
        padded = mark.encode("ascii") + b"=" * (-len(mark) % 4)
        last_key = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error, ValueError):
        raise Invalid("PageMark") from None
    if "\0" in last_key:  # no key has one, and PostgreSQL takes none in a text
        raise Invalid("PageMark")
    return last_key
