"""Free-form maps that callers keep with users, groups and domains: merged on PATCH, bounded in size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from claviger.cckm.errors import validation

LARGEST = 32 * 1024


def merged(field: str, present: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """The map after a PATCH: a key sent as null is removed (CCKM contract §7.2), all others are set.

    Raises Invalid("Validation") for more than 32 KiB of JSON.
    """
    after = {**present, **(changes or {})}
    after = {key: value for key, value in after.items() if value is not None}
    if len(msgspec.json.encode(after)) > LARGEST:
        raise validation({field: f"may have at most {LARGEST} bytes"})
    return after
