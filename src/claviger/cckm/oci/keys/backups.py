"""Where a backup of a key lies: an object of a bucket, named by the key's record, so a fresh one replaces it. Pure.

The place is kept with the record as `namespace/bucket/object`: a vault that is given another bucket does not lose what
lies in the one before.
"""

from __future__ import annotations

import msgspec


class Place(msgspec.Struct, frozen=True):
    """An object of a bucket."""

    namespace: str
    bucket: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.bucket}/{self.name}"


def place_for(key_id: str, namespace: str, bucket: str) -> Place:
    """Where the backup of a key goes. `key_id` is its record's."""
    return Place(namespace, bucket, f"cckm-key-{key_id}")


def place_of(kept: str) -> Place:
    """The place that a record names."""
    namespace, bucket, name = kept.split("/", 2)
    return Place(namespace, bucket, name)
