"""What is leaving, as it is on the wire (docs/control-plane.md)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType


class Undo(msgspec.Struct, frozen=True):
    """How a deletion is undone. `allowed`: whether the caller has the permission for it."""

    operation: str
    method: str
    path: str
    permission: str
    allowed: bool


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that was deleted and can be brought back. Facts that are not known are left out."""

    id: str
    uri: str
    kind: str
    cloud: str
    cloud_name: str
    key_vault: str
    key_vault_id: str
    region: str
    secret_name: str
    version: str
    status: str
    becomes_final_at: str | UnsetType = UNSET
    days_left: int | UnsetType = UNSET
    deleted_at: str | UnsetType = UNSET
    deleted_by: str | UnsetType = UNSET
    deleted_by_username: str | UnsetType = UNSET
    has_backup: bool
    backup_at: str | UnsetType = UNSET
    name_taken: bool
    undo: Undo
