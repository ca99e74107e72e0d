"""A version's record as it is answered (CCKM contract, OCI §6.1)."""

from __future__ import annotations

from msgspec import UNSET

from claviger.cckm.oci.asking import written
from claviger.cckm.oci.keys.rows import KeyView
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.cckm.oci.versions.wire import OciVersionParams, OciVersionRecord
from claviger.cckm.resource import header, timestamp

KIND = "oci-key-version"


def shown(key: KeyView, row: VersionRow) -> OciVersionRecord:
    """The record."""
    said = row.said
    return OciVersionRecord(
        **header("cckm", KIND, row.id, "", key.domain_id, row.created_at, row.updated_at),
        refreshed_at=timestamp(row.refreshed_at),
        gone=bool(row.gone),
        key_material_origin=row.key_origin,
        labels={},
        source_key_identifier=row.source_key_id,
        source_key_name=row.source_key_name,
        source_key_tier=row.source_key_tier,
        oci_key_version_params=OciVersionParams(
            compartment_id=said.compartment_ocid,
            is_primary=said.is_primary,
            key_id=key.row.ocid,
            lifecycle_state=row.state,
            origin=row.origin,
            public_key=said.public_key or UNSET,
            replication_id=said.replication_id or UNSET,
            restored_from_key_version_id=said.restored_from or UNSET,
            time_created=written(row.oci_created_at) or "",
            time_of_deletion=written(row.deletes_at) or UNSET,
            vault_id=key.vault_ocid,
            version_id=row.ocid,
        ),
    )
