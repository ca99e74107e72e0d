"""Whether the control plane's records of a vault and the vault itself tell the same story, and nothing is left over.

For vaults whose secrets the control plane alone has made: then every version in Azure has its record.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.desk import Desk, Managed, execute
from tests.server import RunningServer

_POLL_S = 0.1


def open_intents(server: RunningServer) -> list[tuple[Any, ...]]:
    """What is still to be finished: kind, subject, stage, attempts, the last error."""
    return execute(server, "SELECT kind, subject, stage, attempts, last_error FROM intents")


def finished(server: RunningServer, within_s: float) -> list[tuple[Any, ...]]:
    """Waits until nothing is open any more; what still is after that time."""
    give_up_at = time.monotonic() + within_s
    while (left := open_intents(server)) and time.monotonic() < give_up_at:
        time.sleep(_POLL_S)
    return left


def disagreements(desk: Desk, vault: Managed, *, backups: bool = True) -> list[str]:
    """Everything in which records and Azure differ. Empty is as it should be.

    `backups` False allows for records without one, as a cloud that fails at the wrong moment may leave them.
    """
    live, deleted = _in_azure(vault)
    found: list[str] = []
    versions: Counter[tuple[str, str]] = Counter()
    for record in desk.admin.records(vault):
        name, version, status = record["secret_name"].lower(), record["version"], record["status"]
        told = f"{name} {version[:6]} {status}"
        if status == "AVAILABLE":
            versions[name, version] += 1
            shown = live.get((name, version))
            if shown is None:
                found.append(f"{told}: not live in Azure")
            elif shown != _shown(record):
                found.append(f"{told}: {_shown(record)} here, {shown} in Azure")
        elif status == "SOFT-DELETED" and name not in deleted:
            found.append(f"{told}: not among the deleted ones in Azure")
        elif status == "DELETED" and (name, version) in live:
            found.append(f"{told}: live in Azure")
        if record["gone"]:
            found.append(f"{told}: marked as gone")
        if backups and "backup" not in record:
            found.append(f"{told}: without a backup")
    found += [f"{name} {version[:6]}: {count} records" for (name, version), count in versions.items() if count > 1]
    found += [f"{name} {version[:6]}: without a record" for name, version in live if (name, version) not in versions]
    softly = {
        record["secret_name"].lower() for record in desk.admin.records(vault) if record["status"] == "SOFT-DELETED"
    }
    return found + [f"{name}: deleted in Azure, without a record" for name in deleted - softly]


def left_over(server: RunningServer) -> list[str]:
    """Open operations, values of operations that have ended, backups that nobody names, records without theirs."""
    found = [f"still open: {row}" for row in open_intents(server)]
    sealed = execute(server, "SELECT kind, ident FROM cckm_sealed WHERE kind IN ('intent', 'backup')")
    found += [f"a value is left of an operation: {ident}" for kind, ident in sealed if kind == "intent"]
    kept = {ident for kind, ident in sealed if kind == "backup"}
    named = {
        row[0] for row in execute(server, "SELECT DISTINCT backup FROM cckm_azure_secrets WHERE backup IS NOT NULL")
    }
    found += [f"a backup that nobody names: {ident[:8]}" for ident in kept - named]
    return found + [f"a backup that is not there: {ident[:8]}" for ident in named - kept]


def _in_azure(vault: Managed) -> tuple[dict[tuple[str, str], Any], set[str]]:
    live = {}
    for item in vault.azure.listed():
        name = item["id"].split("/")[4]
        for version in vault.azure.versions(name):
            shown = {key: version.get(key) for key in ("tags", "contentType", "attributes")}
            live[name.lower(), version["id"].split("/")[5]] = shown | {"tags": version.get("tags") or None}
    return live, {item["id"].split("/")[4].lower() for item in vault.azure.listed("/deletedsecrets")}


def _shown(record: Any) -> Any:
    param = record["azure_param"]
    return {key: param.get(key) for key in ("tags", "contentType", "attributes")}


def until(check: Callable[[], bool], within_s: float) -> bool:
    """Whether something comes to be so in time."""
    give_up_at = time.monotonic() + within_s
    while not check():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(_POLL_S)
    return True
