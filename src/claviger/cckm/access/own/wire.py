"""What a caller asks of his own rights, and the domains that he may enter."""

from __future__ import annotations

import msgspec


class DomainBrief(msgspec.Struct, frozen=True):
    """A domain that the caller may enter, by giving its id or name as `domain` at sign-in."""

    id: str
    name: str


class PermissionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which actions are asked for; with `container_id` in one container, else in any of the domain."""

    actions: list[str] = []
    container_id: str | None = None


class PermissionShown(msgspec.Struct, frozen=True):
    """Whether the caller may do one action."""

    action: str
    allowed: bool


class PermissionsShown(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller may do of what he asked for, and the groups that he is in."""

    permissions: list[PermissionShown]
    groups: list[str]
