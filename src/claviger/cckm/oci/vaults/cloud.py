"""Vaults through the official SDK (CCKM contract, OCI §3, §11). Nothing here changes anything in OCI."""

from __future__ import annotations

from typing import Any

import msgspec

from claviger.cckm.oci.asking import DefinedTags, Found, Tags, defined_tags, epoch, page_of, tags, text, written
from claviger.cckm.oci.cloud import OciCloud


class CloudVault(msgspec.Struct, frozen=True, kw_only=True):
    """What OCI says of a vault. Times are epoch seconds."""

    ocid: str
    compartment_ocid: str
    display_name: str
    vault_type: str
    state: str
    management_endpoint: str
    wrapping_key_ocid: str
    created_at: float | None
    deletes_at: float | None
    freeform_tags: Tags
    defined_tags: DefinedTags
    restored_from: str = ""
    replication_id: str = ""
    is_primary: bool = True


async def list_vaults(cloud: OciCloud, region: str, compartment_ocid: str, paging: dict[str, Any]) -> Found:
    """One page of the vaults of a compartment in a region, as discovery shows them."""
    return await cloud.ask(
        cloud.control(region),
        lambda client: page_of(client.list_vaults(compartment_ocid, **paging), _seen),
        "provisioning reads",
    )


def _seen(told: Any) -> dict[str, Any]:
    return {
        "compartment_id": told.compartment_id,
        "display_name": told.display_name,
        "vault_id": text(told.id),
        "lifecycle_state": told.lifecycle_state,
        "management_endpoint": told.management_endpoint,
        "time_created": written(told.time_created),
        "vault_type": told.vault_type,
        "freeform_tags": tags(told.freeform_tags),
        "defined_tags": defined_tags(told.defined_tags),
    }


async def get_vault(cloud: OciCloud, region: str, ocid: str) -> CloudVault:
    """One vault. Raises NotFound("CloudNotFound") among the others."""
    return await cloud.ask(
        cloud.control(region), lambda client: vault_of(client.get_vault(ocid).data), "provisioning reads"
    )


def vault_of(told: Any) -> CloudVault:
    """A vault of the SDK."""
    replica = told.replica_details
    return CloudVault(
        ocid=text(told.id),
        compartment_ocid=text(told.compartment_id),
        display_name=told.display_name or "",
        vault_type=told.vault_type or "",
        state=told.lifecycle_state or "",
        management_endpoint=told.management_endpoint or "",
        wrapping_key_ocid=told.wrappingkey_id or "",
        created_at=epoch(told.time_created),
        deletes_at=epoch(told.time_of_deletion),
        freeform_tags=tags(told.freeform_tags),
        defined_tags=defined_tags(told.defined_tags),
        restored_from=told.restored_from_vault_id or "",
        replication_id=(replica.replication_id or "") if replica is not None else "",
        is_primary=told.is_primary is not False,
    )
