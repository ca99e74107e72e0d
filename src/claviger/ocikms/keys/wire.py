"""Keys as the wire has them: bodies of requests and replies (OCI contract §6). Unset fields of a reply are null."""

from __future__ import annotations

from typing import Any

import msgspec

from claviger.ocikms.wrapping.wire import WrappedImportKey

Tags = dict[str, str]
DefinedTags = dict[str, dict[str, Any]]


class KeyShape(msgspec.Struct, rename="camel"):
    """What a key is made of: `length` is in bytes."""

    algorithm: str
    length: int
    curve_id: str | None = None


class AutoKeyRotationDetails(msgspec.Struct, rename="camel"):
    """When a key rotates itself, as it is asked for; what else a client sends is the service's to say."""

    rotation_interval_in_days: int | None = None
    time_of_schedule_start: str | None = None


class ExternalKeyReference(msgspec.Struct, rename="camel"):
    """A key that is somewhere else; not offered."""

    external_key_id: str


class CreateKeyDetails(msgspec.Struct, rename="camel", kw_only=True):
    """The body of CreateKey."""

    compartment_id: str
    display_name: str
    key_shape: KeyShape
    protection_mode: str | None = None
    is_auto_rotation_enabled: bool | None = None
    auto_key_rotation_details: AutoKeyRotationDetails | None = None
    external_key_reference: ExternalKeyReference | None = None
    freeform_tags: Tags | None = None
    defined_tags: DefinedTags | None = None


class ImportKeyDetails(CreateKeyDetails, kw_only=True):
    """The body of ImportKey."""

    wrapped_import_key: WrappedImportKey


class UpdateKeyDetails(msgspec.Struct, rename="camel"):
    """The body of UpdateKey; what is absent stays as it is, tags are replaced."""

    display_name: str | None = None
    is_auto_rotation_enabled: bool | None = None
    auto_key_rotation_details: AutoKeyRotationDetails | None = None
    freeform_tags: Tags | None = None
    defined_tags: DefinedTags | None = None


class ScheduleKeyDeletionDetails(msgspec.Struct, rename="camel"):
    """The body of ScheduleKeyDeletion."""

    time_of_deletion: str | None = None


class ChangeKeyCompartmentDetails(msgspec.Struct, rename="camel"):
    """The body of ChangeKeyCompartment."""

    compartment_id: str


class ShownRotation(msgspec.Struct, rename="camel", kw_only=True):
    """AutoKeyRotationDetails of a reply (§6.3)."""

    rotation_interval_in_days: int
    time_of_schedule_start: str | None
    time_of_next_rotation: str | None
    time_of_last_rotation: str | None
    last_rotation_status: str | None
    last_rotation_message: str | None


class Key(msgspec.Struct, rename="camel", kw_only=True):
    """A key in full. What this service does not have is an explicit null."""

    auto_key_rotation_details: ShownRotation | None
    compartment_id: str
    current_key_version: str
    defined_tags: msgspec.Raw
    display_name: str
    external_key_reference_details: None = None
    freeform_tags: msgspec.Raw
    id: str
    is_auto_rotation_enabled: bool
    is_primary: bool = True
    key_shape: KeyShape
    lifecycle_state: str
    protection_mode: str
    replica_details: None = None
    restored_from_key_id: str | None
    time_created: str
    time_of_deletion: str | None
    vault_id: str


class KeySummary(msgspec.Struct, rename="camel", kw_only=True):
    """A key in a list: without its length, its current version and its date of deletion."""

    algorithm: str
    compartment_id: str
    defined_tags: msgspec.Raw
    display_name: str
    external_key_reference_details: None = None
    freeform_tags: msgspec.Raw
    id: str
    is_auto_rotation_enabled: bool
    lifecycle_state: str
    protection_mode: str
    time_created: str
    vault_id: str
