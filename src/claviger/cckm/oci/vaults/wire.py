"""Vaults of OCI as they are on the wire (CCKM contract, OCI §3)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from claviger.cckm.access.acls.wire import AclEntry, AclShown
from claviger.cckm.oci.vaults.rules import LONGEST_IDENT
from claviger.cckm.resource import Header

Ident = Annotated[str, msgspec.Meta(max_length=LONGEST_IDENT)]


class GetOciVaults(msgspec.Struct, frozen=True, kw_only=True):
    """Which vaults to ask for: those of a compartment in a region. `ociNextPage` is what the page before said."""

    connection: Ident
    compartment_id: Ident
    region: Ident
    limit: int | UnsetType = UNSET
    next_page: str | UnsetType = msgspec.field(default=UNSET, name="ociNextPage")


class AddOciVaults(msgspec.Struct, frozen=True, kw_only=True):
    """Which vaults to bring under management, by OCID; and the bucket that takes backups of their keys."""

    connection: Ident
    region: Ident
    vault_id: list[Ident]
    bucket_name: str | UnsetType = UNSET
    bucket_namespace: str | UnsetType = UNSET


class PatchOciVault(msgspec.Struct, frozen=True, kw_only=True):
    """What may be changed about a vault's record. An empty bucket clears it; null leaves everything as it is.

    A `hard_delete_quorum` of null switches that setting off; one that is absent stays.
    """

    null_counts: ClassVar[frozenset[str]] = frozenset({"hard_delete_quorum"})
    blank_counts: ClassVar[frozenset[str]] = frozenset({"bucket_name", "bucket_namespace"})

    connection: Ident | UnsetType = UNSET
    bucket_name: str | UnsetType = UNSET
    bucket_namespace: str | UnsetType = UNSET
    protected: bool | UnsetType = UNSET
    hard_delete_quorum: int | UnsetType | None = UNSET


class OciVaultRecord(Header, frozen=True, kw_only=True):
    """A vault under management. `connection` is the connection's name.

    `hard_delete_quorum` is what is in force: how many people must agree, who asks included; null where one is enough.
    """

    compartment_id: str
    compartment_name: str
    display_name: str
    vault_id: str
    lifecycle_state: str
    management_endpoint: str
    time_created: str | UnsetType = UNSET
    time_of_deletion: str | UnsetType = UNSET
    cloud_name: str = "oci"
    connection: str
    vault_type: str
    wrappingkey_id: str
    freeform_tags: dict[str, str]
    defined_tags: dict[str, dict[str, str]]
    restored_from_vault_id: str = ""
    replication_id: str = ""
    is_primary: bool = True
    acls: list[AclShown]
    refreshed_at: str | UnsetType = UNSET
    tenancy: str
    region: str
    bucket_name: str = ""
    bucket_namespace: str = ""
    protected: bool = False
    hard_delete_quorum: int | None = None


class AddedOciVaults(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of add-vaults: the same records twice, as clients look at either."""

    vaults: list[OciVaultRecord]
    resources: list[OciVaultRecord]


class UpdateOciAcls(msgspec.Struct, frozen=True, kw_only=True):
    """What update-acls takes: what to permit, and what to take back."""

    acls: list[AclEntry]
