"""What is said about vaults on the wire: bodies of requests and replies (OCI contract §6)."""

from __future__ import annotations

from typing import Any

import msgspec

Tags = dict[str, str]
DefinedTags = dict[str, dict[str, Any]]


class CreateVaultDetails(msgspec.Struct, rename="camel"):
    """The body of CreateVault. Of an external key manager only the presence is read: there is a secret in it."""

    compartment_id: str
    display_name: str
    vault_type: str
    external_key_manager_metadata: dict[str, Any] | None = None
    freeform_tags: Tags | None = None
    defined_tags: DefinedTags | None = None


class UpdateVaultDetails(msgspec.Struct, rename="camel"):
    """The body of UpdateVault; what is absent stays as it is."""

    display_name: str | None = None
    freeform_tags: Tags | None = None
    defined_tags: DefinedTags | None = None


class ScheduleDeletionDetails(msgspec.Struct, rename="camel"):
    """The body of ScheduleVaultDeletion."""

    time_of_deletion: str | None = None


class ChangeCompartmentDetails(msgspec.Struct, rename="camel"):
    """The body of ChangeVaultCompartment."""

    compartment_id: str


class ReplicaDetails(msgspec.Struct, rename="camel"):
    """The body of CreateVaultReplica and DeleteVaultReplica."""

    replica_region: str


class UpdateRegisteredVaultForMtlsDetails(msgspec.Struct, rename="camel"):
    """The body of UpdateRegisteredVaultForMtls."""

    fleet_id: str | None = None


class Vault(msgspec.Struct, rename="camel", kw_only=True):
    """A vault in full. What this service does not have is an explicit null, as the real one shows it."""

    compartment_id: str
    crypto_endpoint: str
    defined_tags: msgspec.Raw
    display_name: str
    external_key_manager_metadata_summary: None = None
    freeform_tags: msgspec.Raw
    id: str
    is_primary: bool = True
    is_vault_replicable: bool = False
    lifecycle_state: str
    management_endpoint: str
    replica_details: None = None
    restored_from_vault_id: str | None
    time_created: str
    time_of_deletion: str | None
    vault_type: str
    wrappingkey_id: str


class VaultSummary(msgspec.Struct, rename="camel", kw_only=True):
    """A vault in a list: without its date of deletion."""

    compartment_id: str
    crypto_endpoint: str
    defined_tags: msgspec.Raw
    display_name: str
    external_key_manager_metadata_summary: None = None
    freeform_tags: msgspec.Raw
    id: str
    lifecycle_state: str
    management_endpoint: str
    time_created: str
    vault_type: str


class VaultUsage(msgspec.Struct, rename="camel", kw_only=True):
    """How many keys and versions that are not deleted are in a vault, apart for HSM and SOFTWARE keys."""

    key_count: int
    key_version_count: int
    software_key_count: int
    software_key_version_count: int
