"""A program as it runs in OCI: all keys of a tenancy, in every region and compartment, by the SDK."""

import json
import sys

import oci
from oci.pagination import list_call_get_all_results as everything

config = oci.config.from_file()
identity = oci.identity.IdentityClient(config)
regions = [each for each in identity.list_region_subscriptions(config["tenancy"]).data if each.status == "READY"]
below = everything(
    identity.list_compartments,
    config["tenancy"],
    compartment_id_in_subtree=True,
    access_level="ACCESSIBLE",
    lifecycle_state="ACTIVE",
).data
compartments = {config["tenancy"]: "", **{each.id: each.name for each in below}}
found = {}
for region in regions:
    there = {**config, "region": region.region_name}
    vaults = oci.key_management.KmsVaultClient(there)
    for compartment in compartments:
        for summary in everything(vaults.list_vaults, compartment, limit=1).data:
            if summary.lifecycle_state not in ("ACTIVE", "PENDING_DELETION"):
                continue
            vault = vaults.get_vault(summary.id).data
            management = oci.key_management.KmsManagementClient(there, vault.management_endpoint)
            for place, place_name in compartments.items():
                for listed in everything(management.list_keys, place, limit=2).data:
                    key = management.get_key(listed.id).data
                    versions = everything(management.list_key_versions, key.id, limit=2).data
                    assert key.current_key_version in {each.id for each in versions}
                    name = f"{region.region_name}/{vault.display_name}/{place_name}/{key.display_name}"
                    found[name] = [key.lifecycle_state, len(versions)]
json.dump(found, sys.stdout)
