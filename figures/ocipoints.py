"""Kills at the named points between an intent and its outcome, one operation on keys of OCI after the other.

As `figures.points` does for secrets: the cloud is a second server, which lives on. After the restart the operation must
have been done there exactly once, by whatever it leaves: one key of the name, one version more, one backup. OCI's own
tokens make it answer a repetition as it did the first time, so its answers cannot be counted. Each point has a vault of
its own, but for uploads: a vault's wrapping key takes seconds to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from figures.points import Finding, Point, killed_at
from tests.agreeing import until
from tests.desk import execute
from tests.oci_agreeing import disagreements, left_over, passing
from tests.oci_plane import DAY_S, KEYS, OciDesk, OciManaged, state_of
from tests.vaults import spare_name

SETTLE_LIMIT_S = 20.0
NEW, OLD = {"n": "new"}, {"n": "old"}
UPLOAD = "/cckm/oci/upload-key"
CONFIGS, _NEVER = "/scheduler/job-configs", "0 0 1 1 *"
_POINTS = ("intended", "changed", "acted", "concluded")
_KINDS: Mapping[str, str] = {
    "create": "create",
    "update": "update",
    "disable": "disable",
    "enable": "enable",
    "change-compartment": "change-compartment",
    "schedule-deletion": "schedule-deletion",
    "cancel-deletion": "cancel-deletion",
    "add-version": "add-version",
    "version-schedule-deletion": "version-schedule-deletion",
    "version-cancel-deletion": "version-cancel-deletion",
    "upload": "upload",
    "add-local-version": "add-version",
    "back-up-and-schedule": "schedule-deletion",
    "restore": "restore",
    "delete-backup": "delete-backup",
    "remove": "remove",
    "remove-without-backup": "remove",
    "rotate-by-a-job": "add-version",
}
"""What is tried, and what kind of intent stands for it."""
_BACKED_UP = frozenset({"back-up-and-schedule", "restore", "delete-backup", "remove"})
_OF_DELETED = frozenset({"restore", "delete-backup", "remove", "remove-without-backup"})
_OF_REMOVED = frozenset({"remove", "remove-without-backup"})
_ADDS_ONE = frozenset({"add-version", "add-local-version", "rotate-by-a-job"})
_OF_LOCAL = frozenset({"upload", "add-local-version"})
_STATES = {
    "disable": "DISABLED",
    "schedule-deletion": "PENDING_DELETION",
    "back-up-and-schedule": "PENDING_DELETION",
    "delete-backup": "DELETED",
    "remove-without-backup": "DELETED",
}
"""Where a key ends; ENABLED where nothing is said."""
_OTHER_POINTS: Mapping[str, tuple[str, ...]] = {
    "back-up-and-schedule": ("intended", "backed-up", "kept", *_POINTS[1:]),
    "remove-without-backup": ("intended", "concluded"),
}
"""The points of an operation that takes other steps: OCI is asked for more, or for nothing."""

OCI_POINTS = tuple(
    Point(operation, point, f"oci-key-{kind}")
    for operation, kind in _KINDS.items()
    for point in _OTHER_POINTS.get(operation, _POINTS)
)


@dataclass(frozen=True)
class Prepared:
    """A key in the state that an operation needs, in its vault; `version` is its first one."""

    vault: OciManaged
    key: Any
    version: Any
    name: str
    """What a key that is to be made is to be called."""
    config: str = ""
    """The job configuration that is to rotate the key."""


def let_days_pass(desk: OciDesk, vault: OciManaged) -> bool:
    """Has eight days pass on both servers, until all of a vault that was to be deleted is; then their clocks go right.

    Whether that came to be in time.
    """
    clocks = [desk.board(each) for each in {each.pid: each for each in (desk.cloud, desk.server)}.values()]
    for each in clocks:
        each.clock_advance(8 * DAY_S)
    there = f"SELECT num FROM oci_vaults WHERE id = '{vault.ocid}'"
    here = f"SELECT num FROM cckm_oci_vaults WHERE id = '{vault.id}'"
    due_there = f"SELECT id FROM oci_keys WHERE state = 'PENDING_DELETION' AND vault_num IN ({there})"
    due_here = f"SELECT id FROM cckm_oci_keys WHERE state = 'PENDING_DELETION' AND vault_num IN ({here})"
    try:
        return until(lambda: not [*execute(desk.cloud, due_there), *execute(desk.server, due_here)], SETTLE_LIMIT_S)
    finally:
        for each in clocks:
            each.clock_reset()


class OciScene:
    """A desk, and what operations on keys need, in the OCI of the other server."""

    def __init__(self, desk: OciDesk) -> None:
        self.desk = desk

    @cached_property
    def _shared(self) -> OciManaged:
        return self.desk.vault()

    @cached_property
    def _local(self) -> Any:
        body = {"name": spare_name("local"), "algorithm": "AES", "size": 256}
        return self.desk.admin.accept("POST", "/vault/keys2", body, 201)

    def kill_at(self, point: Point) -> tuple[list[Finding], float]:
        """Ends the server at a point, starts it again; what was found, and how long it took to be ready."""
        place = self._prepared(point.operation)
        found, ready_s = killed_at(point, self.desk, lambda: self._ask(point.operation, place))
        if ready_s is None:
            return found, 0.0
        if not until(lambda: passing(self.desk, place.vault) == [], SETTLE_LIMIT_S):
            found += [("still open", f"{point}: {told}") for told in passing(self.desk, place.vault)]
        found += self._times(point, place)
        found += [("other than asked", f"{point}: {told}") for told in self._told(point, place)]
        found += [("not agreed", f"{point}: {told}") for told in disagreements(self.desk, place.vault)]
        found += [("left over", f"{point}: {told}") for told in left_over(self.desk)]
        return found, ready_s

    # ------------------------------------------------------------------ before

    def _prepared(self, operation: str) -> Prepared:
        desk = self.desk
        if operation in _OF_LOCAL:
            vault = self._shared
        elif operation in _BACKED_UP:
            vault = desk.vault("VIRTUAL_PRIVATE", bucket=True)
        else:
            vault = desk.vault()
        mode = "HSM" if operation in _BACKED_UP else "SOFTWARE"
        key = desk.made(vault, freeform_tags=OLD, protection_mode=mode)
        (version,) = self._versions(key)
        if operation == "enable":
            desk.act(key, "disable")
        elif operation == "cancel-deletion" or operation in _OF_DELETED:
            desk.act(key, "schedule-deletion")
        elif operation.startswith("version-"):
            desk.admin.accept("POST", f"{KEYS}/{key['id']}/versions", {"is_native": True}, 201)
            if operation == "version-cancel-deletion":
                desk.admin.accept("POST", f"{KEYS}/{key['id']}/versions/{version['id']}/schedule-deletion")
        assert until(lambda: passing(desk, vault) == [], SETTLE_LIMIT_S)
        if operation in _OF_DELETED:
            assert let_days_pass(desk, vault), "a deletion stays due"
        config = self._linked(key) if operation == "rotate-by-a-job" else ""
        return Prepared(vault, desk.read(key), version, spare_name("key"), config)

    def _linked(self, key: Any) -> str:
        """A job configuration that rotates a key when it is told to."""
        admin = self.desk.admin
        body = {
            "name": spare_name("rotation"),
            "operation": "cckm_key_rotation",
            "run_at": _NEVER,
            "cckm_key_rotation_params": {"cloud_name": "oci"},
        }
        ident = str(admin.accept("POST", CONFIGS, body, 201)["id"])
        self.desk.act(key, "enable-auto-rotation", {"job_config_id": ident, "auto_rotate_key_source": "native"})
        return ident

    # ------------------------------------------------------------------ the operation

    def _ask(self, operation: str, place: Prepared) -> httpx.Response:
        desk, path = self.desk, f"{KEYS}/{place.key['id']}"
        if place.config:
            return self._run(place)
        new = desk.body(place.vault, place.name, freeform_tags=NEW)
        version = f"{path}/versions/{place.version['id']}"
        asked: dict[str, tuple[str, str, Any]] = {
            "create": ("POST", KEYS, new),
            "update": ("PATCH", path, {"freeform_tags": NEW}),
            "change-compartment": ("POST", f"{path}/{operation}", {"compartment_id": desk.compartment("staging")}),
            "add-version": ("POST", f"{path}/versions", {"is_native": True}),
            "version-schedule-deletion": ("POST", f"{version}/schedule-deletion", None),
            "version-cancel-deletion": ("POST", f"{version}/cancel-deletion", None),
            "back-up-and-schedule": ("POST", f"{path}/schedule-deletion", None),
            **dict.fromkeys(_OF_REMOVED, ("DELETE", path, None)),
        }
        if operation in _OF_LOCAL:
            source = {"source_key_identifier": self._local["id"]}
            upload = {name: new[name] for name in new if name not in ("algorithm", "length")}
            asked["upload"] = ("POST", UPLOAD, {**upload, **source})
            asked["add-local-version"] = ("POST", f"{path}/versions", {"is_native": False, **source})
        method, where, body = asked.get(operation, ("POST", f"{path}/{operation}", None))
        return desk.admin.ask(method, where, body)

    def _run(self, place: Prepared) -> httpx.Response:
        """Has the job done: the server ends somewhere in it, after the call that has started it."""
        answer = self.desk.admin.ask("POST", f"{CONFIGS}/{place.config}/run-now")
        until(lambda: self._jobs(place) != ["in_progress"], SETTLE_LIMIT_S)
        return answer

    def _jobs(self, place: Prepared) -> list[str]:
        """How far the jobs of the configuration are."""
        found = self.desk.admin.accept("GET", "/scheduler/jobs", query={"job_config_id": place.config})["resources"]
        return [str(each["status"]) for each in found]

    # ------------------------------------------------------------------ after

    def _times(self, point: Point, place: Prepared) -> list[Finding]:
        """What of the operation is in OCI, where it is not there once."""
        operation = point.operation
        if operation in ("create", "upload"):
            times = len(place.vault.keys_in_oci(place.name))
        elif operation in _ADDS_ONE:
            times = len(place.vault.sdk.list_key_versions(place.key["oci_params"]["key_id"]).data) - 1
        elif operation == "back-up-and-schedule":
            times = self.desk.objects().count(f"cckm-key-{place.key['id']}")
        else:
            return []
        return [] if times == 1 else [("twice" if times > 1 else "lost", f"{point}: done {times} times")]

    def _told(self, point: Point, place: Prepared) -> list[str]:
        """How the record differs from what was asked for."""
        desk, ident, operation = self.desk, place.key["id"], point.operation
        if operation in ("create", "upload"):
            found = desk.records(key_name=place.name)
            if len(found) != 1:
                return [f"there are {len(found)} records of the name"]
            return self._of_key(operation, place, found[0])
        answer = desk.admin.ask("GET", f"{KEYS}/{ident}")
        # What has no intent of its own was not begun where the server ends before its only commit.
        goes = operation in _OF_REMOVED and (operation, point.point) != ("remove-without-backup", "intended")
        if answer.status_code != (404 if goes else 200):
            return [f"the record is answered {answer.status_code}"]
        if goes:
            return ["its backup is left"] * (f"cckm-key-{ident}" in desk.objects())
        if place.config and not until(lambda: self._jobs(place) == ["completed"], SETTLE_LIMIT_S):
            return [f"its jobs are {self._jobs(place)}"]
        return self._of_key(operation, place, answer.json())

    def _of_key(self, operation: str, place: Prepared, key: Any) -> list[str]:
        wanted = _STATES.get(operation, "ENABLED")
        told = [] if state_of(key) == wanted else [f"it is {state_of(key)}, not {wanted}"]
        if key["oci_params"]["freeform_tags"] != (NEW if operation in ("create", "upload", "update") else OLD):
            told.append(f"its tags are {key['oci_params']['freeform_tags']}")
        compartment = "staging" if operation == "change-compartment" else "production"
        if key["compartment_name"] != compartment:
            told.append(f"it is in {key['compartment_name']}")
        if ("backup_at" in key) != (operation in _BACKED_UP and operation != "delete-backup"):
            told.append(f"its backup is of {key.get('backup_at')}")
        if (f"cckm-key-{key['id']}" in self.desk.objects()) != ("backup_at" in key):
            told.append("its backup and its record disagree")
        return told + self._of_versions(operation, place, key)

    def _of_versions(self, operation: str, place: Prepared, key: Any) -> list[str]:
        versions = self._versions(key)
        if operation.startswith("version-"):
            wanted = "PENDING_DELETION" if operation == "version-schedule-deletion" else "ENABLED"
            state = next(state_of(each) for each in versions if each["id"] == place.version["id"])
            return [] if state == wanted else [f"the version is {state}, not {wanted}"]
        if operation in _OF_LOCAL:
            newest = versions[0]["source_key_identifier"], versions[0]["key_material_origin"]
            return [] if newest == (self._local["id"], "cckm") else [f"its material is said to be of {newest}"]
        return []

    def _versions(self, key: Any) -> list[Any]:
        """The records of a key's versions, newest first."""
        return list(self.desk.admin.accept("GET", f"{KEYS}/{key['id']}/versions", query={"limit": -1})["resources"])
