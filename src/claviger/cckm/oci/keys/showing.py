"""A key's record as it is answered (CCKM contract, OCI §5.1)."""

from __future__ import annotations

from msgspec import UNSET

from claviger.cckm.oci.asking import written
from claviger.cckm.oci.keys.rows import KeyView
from claviger.cckm.oci.keys.wire import OciKeyRecord, OciParams
from claviger.cckm.resource import header, timestamp

KIND = "oci-key"


def shown(view: KeyView) -> OciKeyRecord:
    """The record."""
    row, said = view.row, view.row.said
    head = header("cckm", KIND, row.id, "", view.domain_id, row.created_at, row.updated_at)
    return OciKeyRecord(
        **head,
        created_at_too=head["created_at"],
        updated_at_too=head["updated_at"],
        key_name=row.name,
        vault_id=view.vault_ocid,
        cckm_vault_id=view.vault_id,
        tenancy=view.tenancy,
        region=view.region,
        compartment_name=row.compartment_name,
        key_material_origin=row.origin,
        refreshed_at=timestamp(row.refreshed_at),
        auto_rotate=bool(row.auto_rotate),
        labels=row.labels_map,
        gone=bool(row.gone),
        oci_params=OciParams(
            compartment_id=row.compartment_ocid,
            current_key_version=row.current_version_ocid,
            display_name=row.name,
            key_id=row.ocid,
            algorithm=row.algorithm,
            length=row.length,
            curve_id=row.curve_id or UNSET,
            lifecycle_state=row.state,
            time_created=written(row.oci_created_at) or "",
            time_of_deletion=written(row.deletes_at) or UNSET,
            vault_name=view.vault_name,
            defined_tags=said.defined_tags,
            freeform_tags=said.freeform_tags,
            protection_mode=row.protection_mode,
            is_primary=said.is_primary,
            replication_id=said.replication_id or UNSET,
            restored_from_key_id=said.restored_from or UNSET,
        ),
        backup_at=UNSET if row.backup_at is None else timestamp(row.backup_at),
    )
