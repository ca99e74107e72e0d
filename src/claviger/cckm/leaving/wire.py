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
    """Something that was deleted and can be brought back. Facts that are not known are left out.

    A secret of Azure has its name, version and key vault; a key of OCI, or a version of one, the key's name and vault.
    """

    id: str
    uri: str
    kind: str
    object_kind: str
    cloud: str
    cloud_name: str
    key_vault: str | UnsetType = UNSET
    key_vault_id: str | UnsetType = UNSET
    secret_name: str | UnsetType = UNSET
    vault_name: str | UnsetType = UNSET
    cckm_vault_id: str | UnsetType = UNSET
    key_name: str | UnsetType = UNSET
    cckm_key_id: str | UnsetType = UNSET
    region: str
    version: str | UnsetType = UNSET
    status: str
    gone: bool
    becomes_final_at: str | UnsetType = UNSET
    days_left: int | UnsetType = UNSET
    deleted_at: str | UnsetType = UNSET
    deleted_by: str | UnsetType = UNSET
    deleted_by_username: str | UnsetType = UNSET
    has_backup: bool
    backup_at: str | UnsetType = UNSET
    name_taken: bool
    undo: Undo
