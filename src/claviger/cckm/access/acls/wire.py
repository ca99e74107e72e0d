"""Entries of a container's ACL as they are sent and shown (CCKM contract §8)."""

from __future__ import annotations

import msgspec


class AclEntry(msgspec.Struct, frozen=True):
    """One entry of an update: `permit` true adds the actions to those of the user or group, false takes them away."""

    user_id: str | None = None
    group: str | None = None
    permit: bool = True
    actions: list[str] = []


class AclShown(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of a container as it is shown. Either `user_id` (`local|<uuid>`) or `group` is there."""

    user_id: str | None = None
    group: str | None = None
    actions: list[str] = msgspec.field(default_factory=list)
