"""Versions of OCI keys as they are on the wire (CCKM contract, OCI §6)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header

Ident = Annotated[str, msgspec.Meta(max_length=256)]


class AddOciVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A new version: `is_native` has OCI make its material; else it is that of the source key."""

    is_native: bool
    source_key_identifier: Ident | UnsetType = UNSET
    source_key_tier: Ident | UnsetType = UNSET
    rotation_type: str | UnsetType = UNSET


class OciVersionParams(msgspec.Struct, frozen=True, kw_only=True):
    """What OCI says of a version."""

    compartment_id: str
    is_primary: bool
    key_id: str
    lifecycle_state: str
    origin: str
    public_key: str | UnsetType = UNSET
    replication_id: str | UnsetType = UNSET
    restored_from_key_version_id: str | UnsetType = UNSET
    time_created: str
    time_of_deletion: str | UnsetType = UNSET
    vault_id: str
    version_id: str


class OciVersionRecord(Header, frozen=True, kw_only=True):
    """A version's record. The source fields are empty for native versions."""

    cloud_name: str = "oci"
    refreshed_at: str
    gone: bool
    key_material_origin: str
    labels: dict[str, str]
    source_key_identifier: str
    source_key_name: str
    source_key_tier: str
    oci_key_version_params: OciVersionParams
