"""Drift on the wire; all of it is our own."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class FieldDrift(msgspec.Struct, frozen=True, kw_only=True):
    """One field that differs: what it was as it was known here, and what it is."""

    was: Any
    now: Any


class DriftShown(msgspec.Struct, frozen=True, kw_only=True):
    """What has changed in a cloud without us: `missing`, `new` or `different`, then in `fields`.

    A secret of Azure has its name, version and key vault; a key of OCI its name and vault.
    """

    id: str
    kind: str
    cloud: str
    secret_name: str | UnsetType = UNSET
    secret_id: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    key_vault: str | UnsetType = UNSET
    key_vault_id: str | UnsetType = UNSET
    key_name: str | UnsetType = UNSET
    cckm_key_id: str | UnsetType = UNSET
    vault_name: str | UnsetType = UNSET
    cckm_vault_id: str | UnsetType = UNSET
    fields: dict[str, FieldDrift]
    since: str
