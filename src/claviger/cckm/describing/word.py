"""A word of the control plane's wire, and the values that examples of it are made of."""

from __future__ import annotations

from typing import Any

import msgspec


class Word(msgspec.Struct, frozen=True):
    """What a name on the wire means, and a value that it might have."""

    meaning: str
    example: Any = None


ID = "73524b70-1234-4f92-954b-6312f4567d1a"
SUBSCRIPTION = "1cda5d8b-c825-4976-9999-26022adb76b5"
CREATED = "2026-04-13T05:04:16.337973Z"
UPDATED = "2026-04-13T05:04:17.002114Z"

NOT_YET = "This server does not have them yet: lists are empty, no record is found, and a change is refused as such."
