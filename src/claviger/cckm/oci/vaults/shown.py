"""Vaults of OCI as the API shows them, and by what they are listed (CCKM contract, OCI §3.3, §3.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET

from claviger.cckm.access.acls.wire import AclShown
from claviger.cckm.approvals.rules import Protection
from claviger.cckm.oci.asking import written
from claviger.cckm.oci.vaults.cloud import CloudVault
from claviger.cckm.oci.vaults.records import OciVault, OciVaultDetails, encode_details
from claviger.cckm.oci.vaults.wire import OciVaultRecord
from claviger.cckm.resource import header, timestamp

KIND = "oci-vault"
FILTERS: Mapping[str, Callable[[OciVault], object]] = {
    "id": lambda row: row.id,
    "display_name": lambda row: row.display_name,
    "vault_name": lambda row: row.display_name,
    "vault_id": lambda row: row.ocid,
    "vault_type": lambda row: row.vault_type,
    "cloud_name": lambda _: "oci",
    "tenancy": lambda row: row.tenancy_name,
    "compartment_name": lambda row: row.compartment_name,
    "lifecycle_state": lambda row: row.state,
    "region": lambda row: row.region,
    "linked_state": lambda _: None,
    "issuer_id": lambda _: None,
    "state": lambda _: None,
    "external_vault_type": lambda _: None,
    "source_key_tier": lambda _: None,
    "blocked": lambda _: False,
}
"""Those of external vaults alone match none: there is no such vault."""
SORTS: Mapping[str, Callable[[OciVault], Any]] = {
    "createdAt": lambda row: (row.created_at, row.num),
    "updatedAt": lambda row: (row.updated_at, row.num),
    "display_name": lambda row: (row.display_name, row.num),
    "vault_name": lambda row: (row.display_name, row.num),
    "region": lambda row: (row.region, row.num),
    "lifecycle_state": lambda row: (row.state, row.num),
}


def details_of(told: CloudVault) -> str:
    """What a row keeps of what OCI says."""
    return encode_details(
        OciVaultDetails(
            wrapping_key_ocid=told.wrapping_key_ocid,
            created_at=told.created_at,
            deletes_at=told.deletes_at,
            freeform_tags=told.freeform_tags,
            defined_tags=told.defined_tags,
            restored_from=told.restored_from,
            replication_id=told.replication_id,
            is_primary=told.is_primary,
        )
    )


def vault(row: OciVault, acls: list[AclShown], set_on: Protection) -> OciVaultRecord:
    """A record as it is answered."""
    said = row.said
    return OciVaultRecord(
        **header("cckm", KIND, row.id, "", row.domain_id, row.created_at, row.updated_at),
        compartment_id=row.compartment_ocid,
        compartment_name=row.compartment_name,
        display_name=row.display_name,
        vault_id=row.ocid,
        lifecycle_state=row.state,
        management_endpoint=row.management_endpoint,
        time_created=written(said.created_at) or UNSET,
        time_of_deletion=written(said.deletes_at) or UNSET,
        connection=row.connection_name,
        vault_type=row.vault_type,
        wrappingkey_id=said.wrapping_key_ocid,
        freeform_tags=said.freeform_tags,
        defined_tags=said.defined_tags,
        restored_from_vault_id=said.restored_from,
        replication_id=said.replication_id,
        is_primary=said.is_primary,
        acls=acls,
        refreshed_at=UNSET if row.refreshed_at is None else timestamp(row.refreshed_at),
        tenancy=row.tenancy_name,
        region=row.region,
        bucket_name=row.bucket_name,
        bucket_namespace=row.bucket_namespace,
        protected=set_on.protected,
        hard_delete_quorum=set_on.in_force,
    )
