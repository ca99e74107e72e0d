"""Synchronisation jobs of OCI for tests: started, awaited, and the records compared with what is in the vault."""

from __future__ import annotations

from typing import Any

import oci

from tests.cloud_jobs import CloudJobs
from tests.desk import execute
from tests.oci_plane import OciDesk, OciManaged

JOBS = "/cckm/oci/synchronization-jobs"
_JOBS = CloudJobs(JOBS, "vaults", "vault")
start, ended, synchronized, drifts = _JOBS.start, _JOBS.ended, _JOBS.synchronized, _JOBS.drifts
_KEY = ("display_name", "lifecycle_state", "algorithm", "length", "curve_id", "protection_mode", "compartment_id")


def stored(desk: OciDesk, vault: OciManaged) -> list[Any]:
    """All rows of keys and versions of a vault as they are in the database."""
    of_vault = f"SELECT num FROM cckm_oci_vaults WHERE id = '{vault.id}'"
    keys = execute(desk.server, f"SELECT * FROM cckm_oci_keys WHERE vault_num IN ({of_vault})")
    versions = execute(
        desk.server,
        "SELECT n.* FROM cckm_oci_key_versions n JOIN cckm_oci_keys k ON k.num = n.key_num "
        f"WHERE k.vault_num IN ({of_vault})",
    )
    return sorted([*keys, *versions], key=repr)


def key_records(desk: OciDesk, vault: OciManaged, **query: Any) -> dict[str, Any]:
    """The records of a vault's keys, by OCID."""
    found = desk.records(cckm_vault_id=vault.id, **query)
    return {each["oci_params"]["key_id"]: each for each in found}


def versions_of(desk: OciDesk, record: Any) -> list[tuple[Any, ...]]:
    """OCID, state, origin, gone and details of the versions of a key, as they are in the database."""
    sql = (
        "SELECT n.ocid, n.state, n.origin, n.gone, n.details FROM cckm_oci_key_versions n "
        f"JOIN cckm_oci_keys k ON k.num = n.key_num WHERE k.id = '{record['id']}' ORDER BY n.num"
    )
    return execute(desk.server, sql)


def differences(desk: OciDesk, vault: OciManaged) -> list[str]:
    """Everything in which the records of a vault and the vault differ. Keys that are deleted may have no record."""
    sdk = vault.sdk
    there: dict[str, Any] = {}
    places = {desk.tenancy, *(desk.compartment(name) for name in ("production", "staging", "team-a"))}
    for place in sorted(places):
        listed = oci.pagination.list_call_get_all_results(sdk.list_keys, place).data
        there |= {each.id: sdk.get_key(each.id).data for each in listed}
    records = key_records(desk, vault)
    found = [f"{ocid}: gone, and there" for ocid, each in records.items() if each["gone"] and ocid in there]
    known = {ocid: each for ocid, each in records.items() if not each["gone"]}
    for ocid in sorted(there.keys() | known.keys()):
        theirs, ours = there.get(ocid), known.get(ocid)
        if theirs is None:
            found.append(f"{ocid}: not there")
        elif ours is None:
            if theirs.lifecycle_state != "DELETED":
                found.append(f"{ocid}: not recorded")
        else:
            found += _of_key(desk, sdk, theirs, ours)
    return found


def _of_key(desk: OciDesk, sdk: Any, theirs: Any, ours: Any) -> list[str]:
    said = {
        "display_name": theirs.display_name,
        "lifecycle_state": theirs.lifecycle_state,
        "algorithm": theirs.key_shape.algorithm,
        "length": theirs.key_shape.length,
        "curve_id": theirs.key_shape.curve_id,
        "protection_mode": theirs.protection_mode,
        "compartment_id": theirs.compartment_id,
        "current_key_version": theirs.current_key_version,
        "freeform_tags": theirs.freeform_tags,
        "defined_tags": theirs.defined_tags,
    }
    params = ours["oci_params"]
    found = [
        f"{theirs.id} {name}: {params.get(name)} here, {value} in OCI"
        for name, value in said.items()
        if params.get(name) != value
    ]
    if (theirs.time_of_deletion is None) != ("time_of_deletion" not in params):
        found.append(f"{theirs.id}: time_of_deletion differs")
    listed = oci.pagination.list_call_get_all_results(sdk.list_key_versions, theirs.id).data
    there = {each.id: (each.lifecycle_state, each.origin) for each in listed}
    here = {ocid: (state, origin) for ocid, state, origin, gone, _ in versions_of(desk, ours) if not gone}
    if here != there:
        ours_alone, theirs_alone = dict(here.items() - there.items()), dict(there.items() - here.items())
        found.append(f"{theirs.id} versions: {ours_alone} here, {theirs_alone} in OCI")
    return found
