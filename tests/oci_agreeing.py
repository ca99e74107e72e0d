"""Whether the records of a vault of OCI and the vault itself tell the same story, and nothing is left over.

For vaults whose keys the control plane alone has made: then every key in OCI has its record.
"""

from __future__ import annotations

from tests.agreeing import open_intents
from tests.desk import execute
from tests.oci_plane import OciDesk, OciManaged
from tests.oci_synchronizing import differences

_SETTLED = "('ENABLED', 'DISABLED', 'PENDING_DELETION', 'DELETED')"


def passing(desk: OciDesk, vault: OciManaged) -> list[str]:
    """The keys and versions of a vault whose records stand in a state that passes."""
    of_vault = f"SELECT num FROM cckm_oci_vaults WHERE id = '{vault.id}'"
    keys = f"SELECT name, ocid, state FROM cckm_oci_keys WHERE vault_num IN ({of_vault}) AND state NOT IN {_SETTLED}"
    versions = (
        "SELECT k.name, n.ocid, n.state FROM cckm_oci_key_versions n JOIN cckm_oci_keys k ON k.num = n.key_num "
        f"WHERE k.vault_num IN ({of_vault}) AND n.state NOT IN {_SETTLED}"
    )
    return [
        f"{name} {ocid[-6:]} {state}" for sql in (keys, versions) for name, ocid, state in execute(desk.server, sql)
    ]


def disagreements(desk: OciDesk, vault: OciManaged) -> list[str]:
    """Everything in which records and OCI differ. Empty is as it should be."""
    found = differences(desk, vault)
    known = [each["oci_params"]["key_id"] for each in desk.records(cckm_vault_id=vault.id)]
    return found + [f"{ocid}: {known.count(ocid)} records" for ocid in set(known) if known.count(ocid) > 1]


def left_over(desk: OciDesk) -> list[str]:
    """Open operations, material of operations that have ended, backups that nobody names, records without theirs."""
    found = [f"still open: {row}" for row in open_intents(desk.server)]
    sealed = execute(desk.server, "SELECT ident FROM cckm_sealed WHERE kind = 'oci-intent'")
    found += [f"material is left of an operation: {ident}" for (ident,) in sealed]
    bucket, namespace = desk.bucket()
    backups = execute(desk.server, f"SELECT backup FROM cckm_oci_keys WHERE backup LIKE '{namespace}/{bucket}/%'")
    named, kept = {row[0] for row in backups}, {f"{namespace}/{bucket}/{name}" for name in desk.objects()}
    found += [f"a backup that nobody names: {place}" for place in kept - named]
    return found + [f"a backup that is not there: {place}" for place in named - kept]
