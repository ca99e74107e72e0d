"""Keys of OCI as they are on the wire (CCKM contract, OCI §5)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.resource import Header

Ident = Annotated[str, msgspec.Meta(max_length=256)]
FreeformTags = dict[str, str]
DefinedTags = dict[str, dict[str, Any]]


class CreateOciKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be made in OCI. `length` is in bytes; 0 and an empty curve count as absent."""

    vault: Ident
    name: str
    algorithm: str
    length: int = 0
    curve_id: str = ""
    protection_mode: str
    compartment_id: Ident
    freeform_tags: FreeformTags | UnsetType = UNSET
    defined_tags: DefinedTags | UnsetType = UNSET
    description: str | UnsetType = UNSET


class UpdateOciKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change; a set of tags that is given takes the place of the one before."""

    display_name: str | UnsetType = UNSET
    freeform_tags: FreeformTags | UnsetType = UNSET
    defined_tags: DefinedTags | UnsetType = UNSET


class ScheduleDeletion(msgspec.Struct, frozen=True, kw_only=True):
    """In how many days OCI is to delete it."""

    days: int | UnsetType = UNSET


class ChangeCompartment(msgspec.Struct, frozen=True, kw_only=True):
    """Where a key is to be moved."""

    compartment_id: Ident


class EnableAutoRotation(msgspec.Struct, frozen=True, kw_only=True):
    """By which job configuration a key is to be rotated, and from where its new material comes."""

    job_config_id: Ident
    auto_rotate_key_source: Ident
    auto_rotate_partition_id: str | UnsetType = UNSET
    auto_rotate_domain_id: str | UnsetType = UNSET
    auto_rotate_external_cm_domain_id: str | UnsetType = UNSET


class OciParams(msgspec.Struct, frozen=True, kw_only=True):
    """What OCI says of a key. `time_of_deletion` is absent unless its deletion is scheduled."""

    compartment_id: str
    current_key_version: str
    display_name: str
    key_id: str
    algorithm: str
    length: int
    curve_id: str | UnsetType = UNSET
    lifecycle_state: str
    time_created: str
    time_of_deletion: str | UnsetType = UNSET
    vault_name: str
    defined_tags: dict[str, dict[str, str]]
    freeform_tags: dict[str, str]
    protection_mode: str
    is_primary: bool
    replication_id: str | UnsetType = UNSET
    restored_from_key_id: str | UnsetType = UNSET


class OciKeyRecord(Header, frozen=True, kw_only=True):
    """A key's record. `vault_id` is the vault's OCID, `cckm_vault_id` its record; times stand under either spelling."""

    created_at_too: str = msgspec.field(name="created_at")
    updated_at_too: str = msgspec.field(name="updated_at")
    cloud_name: str = "oci"
    key_name: str
    vault_id: str
    cckm_vault_id: str
    tenancy: str
    region: str
    compartment_name: str
    key_material_origin: str
    refreshed_at: str
    auto_rotate: bool
    labels: dict[str, str]
    gone: bool
    oci_params: OciParams
    backup_at: str | UnsetType = UNSET
