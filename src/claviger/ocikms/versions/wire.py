"""Key versions as the wire has them: bodies of requests and replies (OCI contract §6). Unset fields are null."""

from __future__ import annotations

from typing import Any

import msgspec

from claviger.ocikms.wrapping.wire import WrappedImportKey


class CreateKeyVersionDetails(msgspec.Struct, rename="camel"):
    """The body of CreateKeyVersion, which the SDK sends empty and the CLI as an empty object."""

    external_key_version_id: str | None = None


class ImportKeyVersionDetails(msgspec.Struct, rename="camel", kw_only=True):
    """The body of ImportKeyVersion. The tags are checked and let go: no reply has a place for them."""

    wrapped_import_key: WrappedImportKey
    freeform_tags: dict[str, str] | None = None
    defined_tags: dict[str, dict[str, Any]] | None = None


class ScheduleKeyVersionDeletionDetails(msgspec.Struct, rename="camel"):
    """The body of ScheduleKeyVersionDeletion."""

    time_of_deletion: str | None = None


class KeyVersion(msgspec.Struct, rename="camel", kw_only=True):
    """A version in full. What this service does not have is an explicit null."""

    compartment_id: str
    external_key_reference_details: None = None
    id: str
    is_auto_rotated: bool
    is_primary: bool = True
    key_id: str
    lifecycle_state: str
    origin: str
    public_key: str | None
    replica_details: None = None
    restored_from_key_version_id: str | None
    time_created: str
    time_of_deletion: str | None
    vault_id: str


class KeyVersionSummary(msgspec.Struct, rename="camel", kw_only=True):
    """A version in a list."""

    compartment_id: str
    external_key_reference_details: None = None
    id: str
    is_auto_rotated: bool
    key_id: str
    lifecycle_state: str
    origin: str
    time_created: str
    time_of_deletion: str | None
    vault_id: str
