"""Kills at the named points between an intent and its outcome, one operation on secrets after the other.

The cloud is a second server, which lives on and counts: after the restart the operation must have succeeded there
exactly once, record and cloud must agree, nothing may be left open, and the control plane must answer. The points of
operations on keys of OCI are those of `figures.ocipoints`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.agreeing import disagreements, finished, left_over, until
from tests.desk import SECRETS, Desk, Managed
from tests.oci_plane import OciDesk
from tests.vaults import spare_name

Finding = tuple[str, str]

FINISH_LIMIT_S = 20.0
END_LIMIT_S = 20.0
_ALL = ("intended", "changed", "acted", "concluded")
_WITH_BACKUP_FIRST = ("intended", "kept", "changed", "acted", "concluded")
_CALLS = {
    "create": "SecretSet",
    "update": "SecretUpdate",
    "soft-delete": "SecretDelete",
    "delete-for-good": "SecretDelete",
    "hard-delete": "SecretPurge",
    "recover": "SecretRecover",
    "restore": "SecretRestore",
    "restore-elsewhere": "SecretRestore",
}
_BEFORE = {"hard-delete": 1, "recover": 1, "restore": 2, "restore-elsewhere": 2, "remove": 2}
_AFTER = {"soft-delete": "SOFT-DELETED", "delete-for-good": "DELETED", "hard-delete": "DELETED"}
_COUNTED = re.compile(r"claviger_requests_total\{(?P<labels>[^}]*)\} (?P<count>[0-9.]+)")


@dataclass(frozen=True)
class Point:
    """Where in which operation the process ends. `kind` is how the server calls the operation, if not so itself."""

    operation: str
    point: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.operation}:{self.point}"

    @property
    def is_of_oci(self) -> bool:
        """Whether it is in an operation on keys of OCI."""
        return self.kind != ""

    @property
    def switch(self) -> str:
        """How the switches call it."""
        return f"{self.kind or self.operation}:{self.point}"


POINTS = tuple(
    Point(operation, point)
    for operation in (*_CALLS, "remove")
    for point in (
        ("intended", "concluded")
        if operation == "remove"
        else _WITH_BACKUP_FIRST
        if _CALLS[operation] == "SecretDelete"
        else _ALL
    )
)


def killed_at(
    point: Point, desk: Desk | OciDesk, ask: Callable[[], httpx.Response]
) -> tuple[list[Finding], float | None]:
    """Ends the server at a point of what is asked, and starts it again; what was found once it had time to finish.

    And how long it took to be ready; None where the point was never reached.
    """
    desk.board().fault_add(kind="crash", service="cckm", operation=point.switch, count=1)
    try:
        answer = ask()
        return [("not killed", f"{point} was answered {answer.status_code} {answer.text[:200]}")], None
    except httpx.TransportError as problem:
        if not until(lambda: desk.server.has_ended, END_LIMIT_S):
            return [("not killed", f"{point}: the server lives, and {type(problem).__name__}")], None
    desk.server.kill()
    desk.admin.close()
    ready_s = desk.server.start()
    return [("still open", f"{point}: {row}") for row in finished(desk.server, FINISH_LIMIT_S)], ready_s


class Scene:
    """A desk, and vaults of the kinds that the operations need, in the Azure of the other server."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.plain = desk.vault()
        self.second = desk.vault()
        self.final = desk.vault("--no-soft-delete")

    def kill_at(self, point: Point) -> tuple[list[Finding], float]:
        """Ends the server at a point, starts it again; what was found, and how long it took to be ready."""
        vault = self.final if point.operation == "delete-for-good" else self.plain
        record = self._prepared(point.operation, vault)
        counted = self._counted(point.operation)
        found, ready_s = killed_at(point, self.desk, lambda: self._ask(point.operation, vault, record))
        if ready_s is None:
            return found, 0.0
        times = self._counted(point.operation) - counted
        if point.operation != "remove" and times != 1:
            found.append(("twice" if times > 1 else "lost", f"{point}: done {times} times"))
        found += [("other than asked", f"{point}: {told}") for told in self._told(point, vault, record)]
        for each in {vault.id: vault, self.second.id: self.second}.values():
            found += [("not agreed", f"{point}: {told}") for told in disagreements(self.desk, each)]
        found += [("left over", f"{point}: {told}") for told in left_over(self.desk.server)]
        return found, ready_s

    def _prepared(self, operation: str, vault: Managed) -> Any:
        admin = self.desk.admin
        record = admin.create(spare_name(), vault, "value", tags={"a": "b"})
        for action in ("soft-delete", "hard-delete")[: _BEFORE.get(operation, 0)]:
            record = admin.act(record, action)
        return record

    def _ask(self, operation: str, vault: Managed, record: Any) -> httpx.Response:
        admin, path = self.desk.admin, f"{SECRETS}/{record['id']}"
        match operation:
            case "create":
                body = {"secret_name": record["secret_name"], "key_vault": vault.id, "azure_param": {"value": "new"}}
                return admin.ask("POST", SECRETS, body)
            case "update":
                return admin.ask("PATCH", path, {"tags": {"new": "yes"}, "attributes": {"exp": 2_000_000_000}})
            case "remove":
                return admin.ask("DELETE", path)
            case "restore-elsewhere":
                return admin.ask("POST", f"{path}/restore", {"key_vault": self.second.id})
            case "delete-for-good":
                return admin.ask("POST", f"{path}/soft-delete")
        return admin.ask("POST", f"{path}/{operation}")

    def _told(self, point: Point, vault: Managed, record: Any) -> list[str]:
        """How the record differs from what was asked for."""
        admin, operation = self.desk.admin, point.operation
        name = record["secret_name"]
        if operation == "remove":
            there = admin.ask("GET", f"{SECRETS}/{record['id']}").status_code == 200
            if there:
                admin.remove(record)
            return [] if there == (point.point == "intended") else [f"the record is {'' if there else 'not '}there"]
        if operation == "restore-elsewhere":
            made = [each["status"] for each in admin.records(self.second, name)]
            return [] if made == ["AVAILABLE"] else [f"the records in the other vault are {made}"]
        records = admin.records(vault, name)
        statuses = {each["status"] for each in records}
        wanted = _AFTER.get(operation, "AVAILABLE")
        told = [] if statuses == {wanted} else [f"the statuses are {statuses}, not {wanted}"]
        if len(records) != (2 if operation == "create" else 1):
            told.append(f"there are {len(records)} records of the name")
        if operation in _AFTER and operation != "hard-delete" and records[0]["backup_at"] <= record["backup_at"]:
            told.append("there is no backup of what was deleted")
        if operation == "create" and vault.azure.get(name)["value"] != "new":
            told.append("the value is not the new one")
        if operation == "update" and records[0]["azure_param"]["tags"] != {"new": "yes"}:
            told.append("the tags are not the new ones")
        return told

    def _counted(self, operation: str) -> int:
        """How often the cloud has carried out the changing call of an operation, as it counts itself."""
        server = self.desk.cloud.server
        text = self.desk.cloud.http.get(f"{server.login}/metrics").text
        wanted = {'service="keyvault"', f'operation="{_CALLS.get(operation, "")}"', 'status="2xx"'}
        return sum(
            int(float(each["count"])) for each in _COUNTED.finditer(text) if wanted <= set(each["labels"].split(","))
        )
