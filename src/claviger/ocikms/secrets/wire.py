"""What is said about secrets on the wire: bodies of requests and replies (OCI contract §10, and the SDK's models).

The two structs that hold a content print without it, so that it cannot slip into a log with a body.
"""

from __future__ import annotations

from typing import Any

import msgspec

Tags = dict[str, str]
DefinedTags = dict[str, dict[str, Any]]
BASE64 = "BASE64"


class SecretContentDetails(msgspec.Struct, rename="camel"):
    """A content that is sent, in base64; without one where the service is to make it."""

    content_type: str
    content: str | None = None
    name: str | None = None
    stage: str | None = None

    def __repr__(self) -> str:
        return "<sensitive>"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class SecretExpiryRule(msgspec.Struct, rename="camel", tag_field="ruleType", tag="SECRET_EXPIRY_RULE"):
    """When contents expire, sent and shown."""

    secret_version_expiry_interval: str | None = None
    time_of_absolute_expiry: str | None = None
    is_secret_content_retrieval_blocked_on_expiry: bool | None = None


class SecretReuseRule(msgspec.Struct, rename="camel", tag_field="ruleType", tag="SECRET_REUSE_RULE"):
    """That no content may be used twice, sent and shown."""

    is_enforced_on_deleted_secret_versions: bool | None = None


SecretRule = SecretExpiryRule | SecretReuseRule


class SecretGenerationContext(msgspec.Struct, rename="camel"):
    """How the service makes contents, sent and shown; the length is for passphrases."""

    generation_type: str
    generation_template: str
    passphrase_length: int | None = None
    secret_template: str | None = None


class CreateSecretDetails(msgspec.Struct, rename="camel"):
    """The body of CreateSecret."""

    compartment_id: str
    key_id: str
    secret_name: str
    vault_id: str
    description: str | None = None
    enable_auto_generation: bool | None = None
    metadata: dict[str, Any] | None = None
    replication_config: dict[str, Any] | None = None
    rotation_config: dict[str, Any] | None = None
    secret_content: SecretContentDetails | None = None
    secret_generation_context: SecretGenerationContext | None = None
    secret_rules: list[SecretRule] | None = None
    freeform_tags: Tags | None = None
    defined_tags: DefinedTags | None = None


class UpdateSecretDetails(msgspec.Struct, rename="camel"):
    """The body of UpdateSecret; what is absent stays as it is."""

    current_version_number: int | None = None
    description: str | None = None
    enable_auto_generation: bool | None = None
    metadata: dict[str, Any] | None = None
    replication_config: dict[str, Any] | None = None
    rotation_config: dict[str, Any] | None = None
    secret_content: SecretContentDetails | None = None
    secret_generation_context: SecretGenerationContext | None = None
    secret_rules: list[SecretRule] | None = None
    freeform_tags: Tags | None = None
    defined_tags: DefinedTags | None = None


class ScheduleDeletionDetails(msgspec.Struct, rename="camel"):
    """The body of ScheduleSecretDeletion and ScheduleSecretVersionDeletion."""

    time_of_deletion: str | None = None


class ChangeCompartmentDetails(msgspec.Struct, rename="camel"):
    """The body of ChangeSecretCompartment."""

    compartment_id: str


class SecretSummary(msgspec.Struct, rename="camel", kw_only=True):
    """A secret in a list. What this service does not have is an explicit null."""

    compartment_id: str
    defined_tags: msgspec.Raw
    description: str | None
    freeform_tags: msgspec.Raw
    id: str
    is_auto_generation_enabled: bool
    is_replica: bool = False
    key_id: str
    last_rotation_time: str | None
    lifecycle_details: str | None
    lifecycle_state: str
    next_rotation_time: None = None
    replication_config: None = None
    rotation_config: None = None
    rotation_status: str = "NOT_ENABLED"
    secret_generation_context: SecretGenerationContext | None
    secret_name: str
    source_region_information: None = None
    time_created: str
    time_of_current_version_expiry: str | None
    time_of_deletion: str | None
    vault_id: str


class ListedSecret(SecretSummary, rename="camel", kw_only=True):
    """The same with the field that only the list has."""

    system_tags: None = None


class Secret(SecretSummary, rename="camel", kw_only=True):
    """A secret in full, but for its content."""

    current_version_number: int
    metadata: msgspec.Raw
    secret_rules: list[SecretRule]


class VersionFacts(msgspec.Struct, rename="camel", kw_only=True):
    """What all views of a version tell."""

    secret_id: str
    stages: list[str]
    time_created: str
    time_of_deletion: str | None
    version_number: int


class SecretVersion(VersionFacts, rename="camel", kw_only=True):
    """A version, without its content."""

    content_type: str = BASE64
    is_content_auto_generated: bool
    name: str | None
    time_of_current_version_expiry: str | None


class SecretVersionSummary(VersionFacts, rename="camel", kw_only=True):
    """A version in a list."""

    content_type: str = BASE64
    is_content_auto_generated: bool
    name: str | None
    system_tags: None = None
    time_of_expiry: str | None


class SecretBundleVersionSummary(VersionFacts, rename="camel", kw_only=True):
    """A version in the list of the retrieval plane."""

    time_of_expiry: str | None
    version_name: str | None


class SecretBundleContent(msgspec.Struct, rename="camel"):
    """The content that was asked for, in base64."""

    content: str
    content_type: str = BASE64

    def __repr__(self) -> str:
        return "<sensitive>"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class SecretBundle(SecretBundleVersionSummary, rename="camel", kw_only=True):
    """A version with its content."""

    metadata: msgspec.Raw
    secret_bundle_content: SecretBundleContent
