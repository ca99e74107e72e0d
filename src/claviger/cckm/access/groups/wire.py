"""Groups as they are sent and shown (CCKM contract §6)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header


class NewGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The body that makes a group."""

    name: str
    description: str = ""
    app_metadata: dict[str, Any] = {}
    user_metadata: dict[str, Any] = {}
    client_metadata: dict[str, Any] = {}


class GroupChange(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes a group; what is left out stays, metadata are merged."""

    name: str | None = None
    description: str | None = None
    app_metadata: dict[str, Any] | None = None
    user_metadata: dict[str, Any] | None = None
    client_metadata: dict[str, Any] | None = None


class GroupShown(Header, frozen=True, kw_only=True):
    """A group. Its `id` is its name, by which it is addressed."""

    name: str
    description: str
    created: str = msgspec.field(name="created_at")
    updated: str = msgspec.field(name="updated_at")
    users_count: int
    app_metadata: dict[str, Any] | UnsetType = UNSET
    user_metadata: dict[str, Any] | UnsetType = UNSET
    client_metadata: dict[str, Any] | UnsetType = UNSET
