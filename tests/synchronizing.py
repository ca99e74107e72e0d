"""Synchronisation jobs for tests: started, awaited, and the records compared with what is in the vault."""

from __future__ import annotations

from typing import Any

from tests.cloud_jobs import CloudJobs
from tests.desk import SECRETS, Desk, Managed, execute

JOBS = f"{SECRETS}/synchronization-jobs"
_JOBS = CloudJobs(JOBS, "key_vaults", "key_vault")
start, ended, synchronized, drifts = _JOBS.start, _JOBS.ended, _JOBS.synchronized, _JOBS.drifts


def stored(desk: Desk, vault: Managed) -> list[Any]:
    """All rows of a vault as they are in the database."""
    sql = "SELECT s.* FROM cckm_azure_secrets s JOIN cckm_azure_vaults v ON v.num = s.vault_num WHERE v.id = "
    return sorted(execute(desk.server, f"{sql}'{vault.id}'"), key=repr)


def differences(desk: Desk, vault: Managed) -> list[str]:
    """Everything in which the records of a vault and the vault differ. Versions of deleted secrets cannot be seen."""
    found: list[str] = []
    live: dict[tuple[str, str], Any] = {}
    for item in vault.azure.listed():
        name = item["id"].split("/")[4]
        for version in vault.azure.versions(name):
            live[name.lower(), version["id"].split("/")[5]] = _said(version)
    deleted = {item["id"].split("/")[4].lower(): item for item in vault.azure.listed("/deletedsecrets")}
    there: dict[tuple[str, str], Any] = {}
    softly: set[str] = set()
    for record in desk.admin.records(vault):
        key = (record["secret_name"].lower(), record["version"])
        if record["gone"]:
            if key in live or (record["status"] == "SOFT-DELETED" and key[0] in deleted):
                found.append(f"{key}: gone, and there")
        elif record["status"] == "AVAILABLE":
            if key in there:
                found.append(f"{key}: recorded twice")
            there[key] = _said(record["azure_param"])
        elif record["status"] == "SOFT-DELETED":
            softly.add(key[0])
        assert record["deleted"] == (record["status"] == "DELETED")
        assert record["secret_soft_deleted_in_azure"] == (record["status"] == "SOFT-DELETED") or record["deleted"]
    found += [
        f"{key}: {there.get(key)} here, {live.get(key)} in Azure"
        for key in live.keys() | there.keys()
        if live.get(key) != there.get(key)
    ]
    return found + [f"{name}: deleted on one side" for name in softly ^ deleted.keys()]


def _said(shown: Any) -> Any:
    return {key: shown.get(key) or None for key in ("tags", "contentType", "attributes")}
