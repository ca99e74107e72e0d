"""Synchronisation jobs for tests: started, awaited, and the records compared with what is in the vault."""

from __future__ import annotations

import time
from typing import Any

from tests.desk import SECRETS, Desk, Managed, Operator, execute

JOBS = f"{SECRETS}/synchronization-jobs"
DRIFT = "/claviger/drift"
_POLL_S = 0.05
_LIMIT_S = 120.0


def start(operator: Operator, *vaults: Managed, **more: Any) -> Any:
    """A job that was started just now."""
    body = {"key_vaults": [vault.id for vault in vaults], **more} if vaults else more
    return operator.accept("POST", JOBS, body, 201)


def ended(operator: Operator, job: Any, within_s: float = _LIMIT_S) -> Any:
    """The job as it ended."""
    give_up_at = time.monotonic() + within_s
    while (found := operator.accept("GET", f"{JOBS}/{job['id']}"))["overall_status"] == "in_progress":
        assert time.monotonic() < give_up_at, found
        time.sleep(_POLL_S)
    return found


def synchronized(operator: Operator, *vaults: Managed, status: str = "completed", **more: Any) -> Any:
    """A job that was started and has ended so."""
    job = ended(operator, start(operator, *vaults, **more))
    assert job["overall_status"] == status, job
    return job


def drifts(operator: Operator, *vaults: Managed, **query: Any) -> list[Any]:
    """What is on the drift list of vaults."""
    asked = {"key_vault": [vault.id for vault in vaults], "limit": -1, **query}
    return list(operator.accept("GET", DRIFT, query=asked)["resources"])


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
