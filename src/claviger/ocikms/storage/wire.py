"""Bodies of Object Storage as on the wire, which differs from that of keys: lists of objects are wrapped."""

from __future__ import annotations

from typing import Any

import msgspec


class CreateBucketDetails(msgspec.Struct, rename="camel"):
    """A new bucket. What this server has only one kind of may be said, if it is that."""

    name: str
    compartment_id: str
    metadata: dict[str, str] | None = None
    public_access_type: str | None = None
    storage_tier: str | None = None
    object_events_enabled: bool | None = None
    freeform_tags: dict[str, str] | None = None
    defined_tags: dict[str, dict[str, Any]] | None = None
    kms_key_id: str | None = None
    versioning: str | None = None
    auto_tiering: str | None = None


class BucketSummary(msgspec.Struct, rename="camel", kw_only=True):
    """A bucket in a list."""

    namespace: str
    name: str
    compartment_id: str
    created_by: str
    time_created: str
    etag: str
    freeform_tags: dict[str, str] | None = None
    defined_tags: dict[str, dict[str, Any]] | None = None


class Bucket(BucketSummary, rename="camel", kw_only=True):
    """A bucket."""

    id: str
    metadata: dict[str, str] = {}
    public_access_type: str = "NoPublicAccess"
    storage_tier: str = "Standard"
    object_events_enabled: bool = False
    kms_key_id: str | None = None
    object_lifecycle_policy_etag: str | None = None
    approximate_count: int | None = None
    approximate_size: int | None = None
    replication_enabled: bool = False
    is_read_only: bool = False
    versioning: str = "Disabled"
    auto_tiering: str = "Disabled"


class ObjectSummary(msgspec.Struct, rename="camel"):
    """An object in a list: its name, and of the rest what `fields` asks for."""

    name: str
    size: int | None = None
    md5: str | None = None
    time_created: str | None = None
    etag: str | None = None
    storage_tier: str | None = None
    archival_state: str | None = None
    time_modified: str | None = None


class ListObjects(msgspec.Struct, rename="camel"):
    """A page of a list of objects; `start=nextStartWith` is the next one."""

    objects: list[ObjectSummary]
    prefixes: list[str]
    next_start_with: str | None


class CreatePreauthenticatedRequestDetails(msgspec.Struct, rename="camel"):
    """A new pre-authenticated request."""

    name: str
    access_type: str
    time_expires: str
    object_name: str | None = None
    bucket_listing_action: str | None = None


class PreauthenticatedRequestSummary(msgspec.Struct, rename="camel", kw_only=True):
    """A pre-authenticated request, without the address that is told only once."""

    id: str
    name: str
    object_name: str | None
    access_type: str
    bucket_listing_action: str = "Deny"
    time_expires: str
    time_created: str


class PreauthenticatedRequest(PreauthenticatedRequestSummary, rename="camel", kw_only=True):
    """A new one, with its address."""

    access_uri: str
    full_path: str
