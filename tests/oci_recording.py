"""What is done to keys of OCI, by whom, by which way and how it ends, with exactly the audit records that has to leave.

The same as `recording.py`, for the control plane's OCI half and for the embedded OCI behind it, whose own records have
the source `ocikms`: every change of a key is told twice, once as what an operator did and once as what OCI was asked.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import oci
from oci.key_management import KmsManagementClient

from tests.desk import Operator
from tests.oci_plane import AES, KEYS, VAULTS, OciDesk, OciManaged, state_of
from tests.recording import LIMIT_S, differing, line_of

PLANE = "claviger-control-plane"
"""The user of the embedded OCI that the control plane is."""
SETTLE_S = 0.25
ADDED = "Rotate a key: add a version"
SCHEDULED = "Have OCI delete a key in 7 to 30 days"
SYNCHRONIZED = "Synchronize vaults"


@dataclass
class OciWorld:
    """Everything that steps need."""

    desk: OciDesk
    vault: OciManaged
    private: OciManaged
    bob: Operator
    bob_id: str
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def admin(self) -> Operator:
        """Who may do everything."""
        return self.desk.admin


Work = Callable[[OciWorld], object]


@dataclass(frozen=True)
class Step:
    """`records` are lines as `line_of` writes them; `answer` is what the work has to come to."""

    name: str
    work: Work
    records: tuple[str, ...]
    answer: object = None


def world_at(desk: OciDesk) -> OciWorld:
    """Vaults under management, and a user who may not do anything."""
    bob, bob_id = desk.user("CCKM Users")
    world = OciWorld(desk, desk.vault(), desk.vault("VIRTUAL_PRIVATE", bucket=True), bob, bob_id)
    world.memory["bob"] = bob.accept("GET", "/auth/self/user")["username"]
    return world


def records_of(desk: OciDesk) -> list[Any]:
    """The whole log as the root domain's admin sees it, the oldest first. What is buffered is waited for."""
    time.sleep(SETTLE_S)
    told = desk.admin.accept("GET", "/audit/records", query={"limit": -1, "sort": "createdAt"})
    return sorted(told["resources"], key=lambda record: int(record["seq"]))


def run_table(world: OciWorld, steps: Iterable[Step]) -> list[str]:
    """Does the steps, one after the other; what differs from the table, in words."""
    names = {world.vault.record["display_name"]: "VAULT", world.memory["bob"]: "bob", world.desk.config["user"]: "demo"}
    return differing(
        world,
        steps,
        lambda: records_of(world.desk),
        lambda fresh: Counter(line_of(record, names) for record in fresh if not _is_look(record)),
    )


def _is_look(record: Any) -> bool:
    """Whether the control plane has only looked at something in OCI, which it does as often as it has to."""
    return record["username"] == PLANE and re.match("Get|List", record["message"]) is not None


# ------------------------------------------------------------------ what is done


def _made(name: str, who: str = "admin", **more: Any) -> Work:
    def work(world: OciWorld) -> int:
        operator = world.admin if who == "admin" else world.bob
        answer = operator.ask("POST", KEYS, world.desk.body(world.vault, name, **more))
        if answer.status_code == 201:
            world.memory[name] = answer.json()
            world.desk.settled(answer.json())
        return answer.status_code

    return work


def _act(name: str, action: str, body: Any = None, who: str = "admin", until: str = "") -> Work:
    def work(world: OciWorld) -> int:
        operator = world.admin if who == "admin" else world.bob
        answer = operator.ask("POST", f"{KEYS}/{world.memory[name]['id']}/{action}", _filled(world, body))
        if until:
            world.desk.settled(world.memory[name], until)
        return answer.status_code

    return work


def _plane(method: str, path: str, body: Any = None, keep: str = "") -> Work:
    def work(world: OciWorld) -> int:
        idents = {name: told["id"] for name, told in world.memory.items() if isinstance(told, dict) and "id" in told}
        answer = world.admin.ask(method, path.format(vault=world.vault.id, **idents), _filled(world, body))
        if keep:
            world.memory[keep] = answer.json()
        return answer.status_code

    return work


def _filled(world: OciWorld, body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _filled(world, value) for name, value in body.items()}
    if isinstance(body, list):
        return [_filled(world, value) for value in body]
    if isinstance(body, str) and body.startswith("$"):
        return {"$staging": lambda: world.desk.compartment("staging"), "$vault": lambda: world.vault.id}[body]()
    return body


def _version(key: str, name: str, action: str, until: str) -> Work:
    def work(world: OciWorld) -> int:
        of, version = world.memory[key], world.memory[name]
        answer = world.admin.ask("POST", f"{KEYS}/{of['id']}/versions/{version['id']}/{action}")
        world.desk.settled_version(of, version, until)
        return answer.status_code

    return work


def _rotated(key: str, name: str) -> Work:
    def work(world: OciWorld) -> int:
        of = world.memory[key]
        answer = world.admin.ask("POST", f"{KEYS}/{of['id']}/versions", {"is_native": True})
        world.memory[name] = answer.json()
        world.desk.settled_version(of, world.memory[name], "ENABLED")
        return answer.status_code

    return work


def _behind(change: Callable[[KmsManagementClient, str], Any], key: str) -> Work:
    """Something that somebody does in OCI himself, by the SDK; the status."""

    def work(world: OciWorld) -> int:
        try:
            return int(change(world.vault.sdk, world.memory[key]["oci_params"]["key_id"]).status)
        except oci.exceptions.ServiceError as refusal:
            return int(refusal.status)

    return work


def _fault(operation: str, work: Work, **fault: Any) -> Work:
    """With a fault of the embedded OCI that meets its calls of an operation once."""

    def faulty(world: OciWorld) -> object:
        board = world.desk.board()
        board.fault_add(service="ocikms", operation=operation, count=1, **fault)
        try:
            return work(world)
        finally:
            board.faults_clear()

    return faulty


def _synchronized(world: OciWorld) -> str:
    path = "/cckm/oci/synchronization-jobs"
    job = world.admin.accept("POST", path, {"vaults": [world.vault.id]}, 201)
    give_up_at = time.monotonic() + LIMIT_S
    while job["overall_status"] == "in_progress" and time.monotonic() < give_up_at:
        time.sleep(0.1)
        job = world.admin.accept("GET", f"{path}/{job['id']}")
    return str(job["overall_status"])


def _uploaded(name: str) -> Work:
    def work(world: OciWorld) -> int:
        body = world.desk.body(world.vault, name) | {"source_key_identifier": world.memory["local"]["id"]}
        answer = world.admin.ask("POST", "/cckm/oci/upload-key", {k: v for k, v in body.items() if k not in AES})
        world.desk.settled(answer.json())
        return answer.status_code

    return work


def _first_version(world: OciWorld) -> None:
    path = f"{KEYS}/{world.memory['k1']['id']}/versions"
    world.memory["v1"] = world.admin.accept("GET", path, query={"sort": "time_created"})["resources"][0]


def _told(
    action: str, name: str = "oci-key k1", status: int = 200, *, asked: str, of: str = "key k1"
) -> tuple[str, ...]:
    """What is told of an operation that has led to what was wanted, by whom it was wanted and by OCI."""
    return (
        f"api | {action} | granted | 0 | admin | {name} | begun",
        f"ocikms | {asked} | granted | 200 | {PLANE} | {of}",
        f"api | {action} | granted | {status} | admin | {name} | done",
    )


def _refused(action: str, status: int, reason: str, name: str = "oci-key k1", who: str = "admin") -> tuple[str, ...]:
    """What is told of what was refused before anything was begun."""
    return (f"api | {action} | refused | {status} | {who} | {name} | {reason}",)


def _permitted(*actions: str) -> Work:
    def work(world: OciWorld) -> None:
        world.desk.permit(world.vault, world.bob_id, *actions)

    return work


CREATE, UPLOAD = "Create a key in OCI", "Upload a local key to OCI"
DISABLE, ENABLE, RESTORE = "Disable a key", "Enable a key", "Restore a deleted key in OCI from its backup"
CANCEL, CHANGE, MOVE = (
    "Cancel the deletion of a key",
    "Change a key's name or tags",
    "Move a key to another compartment",
)
SCHEDULE_VERSION, CANCEL_VERSION = "Have OCI delete a version in 7 to 30 days", "Cancel the deletion of a version"
PROTECT, REMOVE, ROTATING = (
    "Change a vault's connection, its bucket, or how it is protected",
    "Remove a deleted key from CCKM",
    "Have a job rotate a key",
)
LINKING = {"job_config_id": "x", "auto_rotate_key_source": "native"}
PLANNED = {"method": "POST", "path": "/api/v1/cckm/oci/keys/x/enable"}
LOCAL = {"name": "recorded", "algorithm": "AES", "size": 256}
SETTLED: Work = lambda world: state_of(world.desk.settled(world.memory["k1"]))  # noqa: E731
OF_VERSION, VERSION = "oci-key-version k1", "version k1"

STEPS: tuple[Step, ...] = (
    Step("created", _made("k1"), _told(CREATE, status=201, asked="CreateKey"), 201),
    Step(
        "created by whom the vault gives nothing",
        _made("k2", who="bob"),
        _refused(CREATE, 404, "NotFound", "oci-key", "bob"),
        404,
    ),
    Step("created with a wrong shape", _made("k3", length=7), _refused(CREATE, 400, "Validation", "oci-key"), 400),
    Step("listed", _plane("GET", KEYS), (), 200),
    Step("disabled", _act("k1", "disable", until="DISABLED"), _told(DISABLE, asked="DisableKey"), 200),
    Step("disabled again", _act("k1", "disable"), _refused(DISABLE, 409, "WrongState"), 409),
    Step(
        "disabled unseen", _act("k1", "disable", who="bob"), _refused(DISABLE, 404, "NotFound", "oci-key", "bob"), 404
    ),
    Step(
        "bob may look",
        _permitted("view"),
        ("api | Change who may do what in a vault | granted | 200 | admin | oci-vault VAULT",),
    ),
    Step(
        "disabled without the right",
        _act("k1", "disable", who="bob"),
        _refused(DISABLE, 403, "ActionMissing", "oci-key", "bob"),
        403,
    ),
    Step("enabled", _act("k1", "enable", until="ENABLED"), _told(ENABLE, asked="EnableKey"), 200),
    Step(
        "changed",
        _plane("PATCH", f"{KEYS}/{{k1}}", {"freeform_tags": {"team": "billing"}}),
        _told(CHANGE, asked="UpdateKey"),
        200,
    ),
    Step("settled", SETTLED, (), "ENABLED"),
    Step(
        "moved",
        _act("k1", "change-compartment", {"compartment_id": "$staging"}, until="ENABLED"),
        _told(MOVE, asked="ChangeKeyCompartment"),
        200,
    ),
    Step(
        "refreshed",
        _act("k1", "refresh"),
        ("api | Read a key and its versions from OCI | granted | 200 | admin | oci-key k1",),
        200,
    ),
    Step("versions", _first_version, ()),
    Step("rotated", _rotated("k1", "v2"), _told(ADDED, OF_VERSION, 201, asked="CreateKeyVersion", of=VERSION), 201),
    Step(
        "version scheduled",
        _version("k1", "v1", "schedule-deletion", "PENDING_DELETION"),
        _told(SCHEDULE_VERSION, OF_VERSION, asked="ScheduleKeyVersionDeletion", of=VERSION),
        200,
    ),
    Step(
        "version kept",
        _version("k1", "v1", "cancel-deletion", "ENABLED"),
        _told(CANCEL_VERSION, OF_VERSION, asked="CancelKeyVersionDeletion", of=VERSION),
        200,
    ),
    Step(
        "scheduled",
        _act("k1", "schedule-deletion", {"days": 9}, until="PENDING_DELETION"),
        _told(SCHEDULED, asked="ScheduleKeyDeletion"),
        200,
    ),
    Step("kept", _act("k1", "cancel-deletion", until="ENABLED"), _told(CANCEL, asked="CancelKeyDeletion"), 200),
    Step(
        "scheduled again",
        _act("k1", "schedule-deletion", until="PENDING_DELETION"),
        _told(SCHEDULED, asked="ScheduleKeyDeletion"),
        200,
    ),
    Step(
        "undone",
        _plane("POST", "/claviger/leaving/{k1}/undo"),
        _told("Undo a deletion", asked="CancelKeyDeletion"),
        200,
    ),
    Step("settled again", SETTLED, (), "ENABLED"),
    Step("removed too early", _plane("DELETE", f"{KEYS}/{{k1}}"), _refused(REMOVE, 400, "StateForbids"), 400),
    Step("restored without a backup", _act("k1", "restore"), _refused(RESTORE, 400, "StateForbids"), 400),
    Step("planned", _plane("POST", "/claviger/plan", PLANNED), (), 200),
    Step(
        "local key",
        _plane("POST", "/vault/keys2", LOCAL, "local"),
        ("api | Make a local key, or import one | granted | 201 | admin | local-key recorded",),
        201,
    ),
    Step("uploaded", _uploaded("u1"), _told(UPLOAD, "oci-key u1", 201, asked="ImportKey", of="key u1"), 201),
    Step(
        "synchronized",
        _synchronized,
        (
            f"api | {SYNCHRONIZED} | granted | 0 | admin | synchronization | begun",
            f"api | {SYNCHRONIZED} | granted | 0 | admin | synchronization | done",
        ),
        "completed",
    ),
    Step(
        "protected",
        _plane("PATCH", f"{VAULTS}/{{vault}}", {"protected": True}),
        (f"api | {PROTECT} | granted | 200 | admin | oci-vault VAULT",),
        200,
    ),
    Step("waits for others", _act("k1", "schedule-deletion"), _refused(SCHEDULED, 403, "ApprovalNeeded"), 403),
    Step(
        "unprotected alone",
        _plane("PATCH", f"{VAULTS}/{{vault}}", {"protected": False}),
        _refused(PROTECT, 403, "ApprovalNeeded", "oci-vault VAULT"),
        403,
    ),
    Step(
        "disabled in OCI itself",
        _behind(lambda sdk, ocid: sdk.disable_key(ocid), "k1"),
        ("ocikms | DisableKey | granted | 200 | demo | key k1",),
        200,
    ),
    Step(
        "disabled in OCI again",
        _behind(lambda sdk, ocid: sdk.disable_key(ocid), "k1"),
        ("ocikms | DisableKey | refused | 409 | demo | key k1 | WrongState",),
        409,
    ),
    Step(
        "read in OCI",
        _behind(lambda sdk, ocid: sdk.get_key(ocid), "k1"),
        ("ocikms | GetKey | granted | 200 | demo | key k1",),
        200,
    ),
    Step(
        "rotated while OCI has it disabled",
        _act("k1", "versions", {"is_native": True}),
        (
            f"api | {ADDED} | granted | 0 | admin | {OF_VERSION} | begun",
            f"ocikms | CreateKeyVersion | refused | 409 | {PLANE} | key k1 | WrongState",
            f"api | {ADDED} | refused | 409 | admin | {OF_VERSION} | done | CloudConflict",
        ),
        409,
    ),
    Step("settled as OCI has it", lambda world: state_of(world.desk.settled(world.memory["k1"], "DISABLED")), ()),
    Step(
        "failed at a fault",
        _fault("EnableKey", _act("k1", "enable"), kind="status", status=429, retry_after_s=77),
        (
            f"api | {ENABLE} | granted | 0 | admin | oci-key k1 | begun",
            f"ocikms | EnableKey | refused | 429 | {PLANE} | key | TooManyRequests",
            f"api | {ENABLE} | refused | 429 | admin | oci-key k1 | done | CloudThrottled",
        ),
        429,
    ),
    Step("rotated by no job", _act("k1", "enable-auto-rotation", LINKING), _refused(ROTATING, 404, "NotFound"), 404),
    Step(
        "rotated by no job any more",
        _act("k1", "disable-auto-rotation"),
        ("api | Have no job rotate a key | granted | 200 | admin | oci-key k1",),
        200,
    ),
)
