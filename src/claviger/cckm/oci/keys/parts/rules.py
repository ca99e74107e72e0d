"""What search knows of a key beside its name, tags, vault and dates. Pure."""

from __future__ import annotations

import msgspec


class KeyFacts(msgspec.Struct, frozen=True):
    """In OCI's words; of many keys there are few different ones."""

    state: str
    algorithm: str
    protection_mode: str
    is_auto_rotated: bool
    is_gone: bool
