"""Smoke."""
from __future__ import annotations
from tests.oci_plane import OciDesk, OciManaged

def test_vaults_come_under_management(oci_desk: OciDesk, oci_vault: OciManaged, oci_private_vault: OciManaged) -> None:
    assert oci_vault.record["lifecycle_state"] == "ACTIVE"
    assert oci_private_vault.record["vault_type"] == "VIRTUAL_PRIVATE"
    assert oci_private_vault.record["bucket_name"]
    print(oci_vault.record)
    oci_vault.made_in_oci()
