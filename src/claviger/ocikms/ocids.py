"""Oracle's identifiers: made here, compared as they are, never taken apart by anybody but us (OCI contract §12)."""

from __future__ import annotations

import secrets

REALM = "oc1"
MAX_LENGTH = 255
PREFIX_LENGTH = 13
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_UNIQUE_LENGTH = 60

SHORT_REGIONS = {"us-ashburn-1": "iad", "us-phoenix-1": "phx"}
"""The first regions stand in OCIDs by a code of three letters, all others by their name."""


def _word(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def new_prefix() -> str:
    """What a vault, its hosts and all that is in it have in common."""
    return _word(PREFIX_LENGTH)


def new_ocid(kind: str) -> str:
    """The OCID of something that is in no region: a tenancy, a compartment, a user."""
    return f"ocid1.{kind}.{REALM}..{_word(_UNIQUE_LENGTH)}"


def new_regional_ocid(kind: str, region: str, *between: str) -> str:
    """The OCID of something in a region; `between` is the vault's prefix and whatever stands before the unique part."""
    return ".".join(("ocid1", kind, REALM, SHORT_REGIONS.get(region, region), *between, _word(_UNIQUE_LENGTH)))


def new_version_ocid(region: str, prefix: str) -> str:
    """The OCID of a key version, which has one word more than a key's."""
    return new_regional_ocid("keyversion", region, prefix, _word(12))
