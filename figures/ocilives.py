"""Operators of the trial of operations at work on keys of OCI, as `figures.lives` has those who work on secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from figures.lives import UNDONE, Finding, Worker
from figures.ocipoints import UPLOAD
from tests.oci_plane import KEYS, OciDesk, OciManaged, state_of

BARE = "DELETED without a backup"
NEXT: Mapping[str, tuple[str, ...]] = {
    "": ("create", "create", "upload"),
    "ENABLED": (
        *("update", "disable", "schedule-deletion", "schedule-deletion", "change-compartment"),
        *("add-version", "add-local-version"),
    ),
    "DISABLED": ("enable", "schedule-deletion", "schedule-deletion", "change-compartment"),
    "PENDING_DELETION": ("cancel-deletion", "refresh", "refresh"),
    "DELETED": ("restore", "restore", "delete-backup", "remove"),
    BARE: ("remove",),
}
MAKING = frozenset({"create", "upload"})
HOME, AWAY = "production", "staging"
LATER = "OCI is still at it"
"""A refusal that says that OCI could not be asked whether a state has passed."""


@dataclass(frozen=True)
class KeyState:
    """A key as an operator knows it. `before` is what it was when its deletion was scheduled: no record shows that.

    `is_backed_up` says whether it is a key that is backed up then.
    """

    status: str = ""
    versions: int = 0
    tag: str | None = None
    place: str = ""
    before: str = field(default="ENABLED", compare=False)
    is_backed_up: bool = field(default=False, compare=False)

    def after(self, operation: str, tag: str) -> KeyState:
        """As it is once the operation is done."""
        if operation in MAKING:
            return KeyState("ENABLED", 1, tag, HOME, is_backed_up=operation == "create")
        if operation == "remove":
            return KeyState()
        changes: dict[str, dict[str, Any]] = {
            "update": {"tag": tag},
            "disable": {"status": "DISABLED"},
            "enable": {"status": "ENABLED"},
            "schedule-deletion": {"status": "PENDING_DELETION", "before": self.status},
            "cancel-deletion": {"status": self.before},
            "change-compartment": {"place": AWAY if self.place == HOME else HOME},
            "add-version": {"versions": self.versions + 1},
            "add-local-version": {"versions": self.versions + 1},
            "refresh": {},
            "restore": {"status": "ENABLED"},
            "delete-backup": {"status": BARE},
        }
        return replace(self, **changes[operation])

    def days_later(self) -> KeyState:
        """As it is once the date of its deletion has come, if it has one."""
        if self.status != "PENDING_DELETION":
            return self
        return replace(self, status="DELETED" if self.is_backed_up else BARE)


class KeyLife:
    """One key, and what may have happened to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ident = ""
        self.state = KeyState()
        self.doubt: tuple[str, KeyState] | None = None

    def judge(self, records: list[Any]) -> tuple[Finding | None, bool]:
        """What is wrong with its records, and whether what was in doubt has happened; then the state is as they are.

        A record has what it says of its versions beside it: their number, as `versions`.
        """
        seen = _seen(records)
        before = self.state
        operation, wanted = self.doubt or ("nothing", before)
        self.doubt = None
        self.ident = records[0]["id"] if records else ""
        if len(records) > 1:
            self.state = seen
            return ("twice", f"{self.name}: {operation} in doubt left {len(records)} records"), False
        self.state = next((state for state in (before, wanted) if state == seen), seen)
        if seen in (before, wanted):
            return None, seen != before
        kind = "twice" if seen.versions > wanted.versions else "lost"
        return (kind, f"{self.name}: {before} and {operation} in doubt became {seen}"), False


def _seen(records: list[Any]) -> KeyState:
    if not records:
        return KeyState()
    one = records[0]
    tag = one["oci_params"]["freeform_tags"].get("n")
    state = BARE if state_of(one) == "DELETED" and "backup_at" not in one else state_of(one)
    is_backed_up = one["oci_params"]["protection_mode"] == "HSM"
    return KeyState(state, one["versions"], tag, one["compartment_name"], is_backed_up=is_backed_up)


class KeyWorker(Worker[KeyLife]):
    """One who works on keys of a vault in OCI. `local` is the id of a local AES key of 256 bits."""

    following = NEXT
    making = MAKING

    def __init__(self, number: int, seed: int, desk: OciDesk, vault: OciManaged, local: str, count: int = 4) -> None:
        super().__init__(number, seed, desk.server, count)
        self._desk = desk
        self._vault = vault
        self._local = local
        self._places = {name: desk.compartment(name) for name in (HOME, AWAY)}

    def days_later(self) -> None:
        """Knows that what was to be deleted is."""
        for life in self._lives:
            life.state = life.state.days_later()

    def born(self, name: str) -> KeyLife:
        """A key that is not there yet."""
        return KeyLife(name)

    def ask(self, life: KeyLife, operation: str, tag: str) -> httpx.Response:
        """One call."""
        path, ask = f"{KEYS}/{life.ident}", self.operator.ask
        source = {"source_key_identifier": self._local}
        match operation:
            case "create":
                body = self._desk.body(self._vault, life.name, freeform_tags={"n": tag}, protection_mode="HSM")
                return ask("POST", KEYS, body)
            case "upload":
                body = self._desk.body(self._vault, life.name, freeform_tags={"n": tag})
                kept = {name: value for name, value in body.items() if name not in ("algorithm", "length")}
                return ask("POST", UPLOAD, {**kept, **source})
            case "remove":
                return ask("DELETE", path)
            case "update":
                return ask("PATCH", path, {"freeform_tags": {"n": tag}})
            case "change-compartment":
                place = self._places[life.state.after(operation, tag).place]
                return ask("POST", f"{path}/{operation}", {"compartment_id": place})
            case "add-version":
                return ask("POST", f"{path}/versions", {"is_native": True})
            case "add-local-version":
                return ask("POST", f"{path}/versions", {"is_native": False, **source})
        return ask("POST", f"{path}/{operation}")

    def records(self, life: KeyLife) -> list[Any]:
        """Those of its name, each with the number of its versions."""
        admin = self._desk.admin
        found = self._desk.records(key_name=life.name, cckm_vault_id=self._vault.id)
        return [
            {**each, "versions": admin.accept("GET", f"{KEYS}/{each['id']}/versions", query={"limit": 1})["total"]}
            for each in found
        ]

    @staticmethod
    def is_undone(answer: httpx.Response) -> bool:
        """Also where OCI could not be asked whether the key has settled."""
        return answer.status_code in UNDONE or (answer.status_code == 409 and LATER in answer.text)
