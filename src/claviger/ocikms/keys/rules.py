"""What may be done to a key in which state, what a key may be made of, and when one that rotates itself is next due.

A key is made ENABLED, may be DISABLED and enabled again, and ends by a date: it is PENDING_DELETION until then, can be
brought back to the state that it had before, and is DELETED when the date has come. The other states pass: they are
what the real service shows while it is still at it (`ocikms/states.py`). The table below is the refusal matrix of the
OCI contract §8.5, with every state of the enum; a cell that leads somewhere names the state that the answer shows, and
`SETTLES` where that settles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum

from claviger.core.errors import Invalid
from claviger.lifecycle.retention import DAY_S
from claviger.lifecycle.transitions import Refused, TransitionTable, absent, conflict
from claviger.ocikms.errors import missing, wrong

MIN_ROTATION_DAYS = 60
MAX_ROTATION_DAYS = 365
MAX_MESSAGE_LENGTH = 500

PROTECTION_MODES = ("HSM", "SOFTWARE", "EXTERNAL")
ALGORITHMS = ("AES", "RSA", "ECDSA")
CURVES: Mapping[str, int] = {"NIST_P256": 32, "NIST_P384": 48, "NIST_P521": 66}
LENGTHS: Mapping[str, tuple[int, ...]] = {
    "AES": (16, 24, 32),
    "RSA": (256, 384, 512),
    "ECDSA": tuple(CURVES.values()),
}
"""Algorithm -> lengths in bytes (§7.1)."""
ROTATING_VAULT = "VIRTUAL_PRIVATE"


class State(Enum):
    """The lifecycle states of a key, as the wire has them."""

    CREATING = "CREATING"
    ENABLING = "ENABLING"
    ENABLED = "ENABLED"
    DISABLING = "DISABLING"
    DISABLED = "DISABLED"
    UPDATING = "UPDATING"
    DELETING = "DELETING"
    DELETED = "DELETED"
    SCHEDULING_DELETION = "SCHEDULING_DELETION"
    PENDING_DELETION = "PENDING_DELETION"
    CANCELLING_DELETION = "CANCELLING_DELETION"
    BACKUP_IN_PROGRESS = "BACKUP_IN_PROGRESS"
    RESTORING = "RESTORING"


class Operation(Enum):
    """What is done to a key that is there."""

    GET = "GetKey"
    UPDATE = "UpdateKey"
    ENABLE = "EnableKey"
    DISABLE = "DisableKey"
    ROTATE = "CreateKeyVersion"
    SCHEDULE_DELETION = "ScheduleKeyDeletion"
    CANCEL_DELETION = "CancelKeyDeletion"
    CHANGE_COMPARTMENT = "ChangeKeyCompartment"
    BACKUP = "BackupKey"
    CHANGE_VERSION = "ScheduleKeyVersionDeletion"
    USE = "Encrypt"


_NO = conflict("WrongState")
_GONE = absent("Absent")
_NOWHERE: dict[State, State | Refused] = dict.fromkeys(State, _NO)

TRANSITIONS: TransitionTable[Operation, State] = TransitionTable(
    {
        Operation.GET: {state: state for state in State},
        Operation.UPDATE: {**_NOWHERE, State.ENABLED: State.ENABLED, State.CREATING: State.CREATING},
        Operation.ENABLE: {**_NOWHERE, State.DISABLED: State.ENABLING},
        Operation.DISABLE: {**_NOWHERE, State.ENABLED: State.DISABLING},
        Operation.ROTATE: {**_NOWHERE, State.ENABLED: State.ENABLED},
        Operation.SCHEDULE_DELETION: {
            **_NOWHERE,
            State.ENABLED: State.SCHEDULING_DELETION,
            State.DISABLED: State.SCHEDULING_DELETION,
        },
        Operation.CANCEL_DELETION: {**_NOWHERE, State.PENDING_DELETION: State.CANCELLING_DELETION},
        Operation.CHANGE_COMPARTMENT: {
            **_NOWHERE,
            State.ENABLED: State.UPDATING,
            State.DISABLED: State.UPDATING,
        },
        Operation.BACKUP: {
            **_NOWHERE,
            State.ENABLED: State.BACKUP_IN_PROGRESS,
            State.DISABLED: State.BACKUP_IN_PROGRESS,
        },
        Operation.CHANGE_VERSION: {**_NOWHERE, State.ENABLED: State.ENABLED, State.DISABLED: State.DISABLED},
        Operation.USE: {**_NOWHERE, State.ENABLED: State.ENABLED, State.DELETED: _GONE},
    }
)

SETTLES: Mapping[State, State] = {
    State.CREATING: State.ENABLED,
    State.ENABLING: State.ENABLED,
    State.DISABLING: State.DISABLED,
    State.SCHEDULING_DELETION: State.PENDING_DELETION,
    State.RESTORING: State.ENABLED,
    State.DELETING: State.DELETED,
}
"""Where a state that passes ends; CANCELLING_DELETION, UPDATING and BACKUP_IN_PROGRESS end where the key was (§8.1)."""


def decide(operation: Operation, shown: str, key_id: str) -> State:
    """The state that the answer shows. Raises Conflict("WrongState"), or NotFound for use of a deleted key (§8.5)."""
    refused = "its use" if operation is Operation.USE else operation.value
    message = f"Key {key_id} is in state {shown}, which does not allow {refused}."
    if operation is Operation.USE and shown == State.DELETED.value:
        message = "Key or Vault does not exist or you are not authorized to access it."
    return TRANSITIONS.decide(operation, State(shown), message=message)


def check_shape(algorithm: str, length: int, curve_id: str | None) -> tuple[str, int, str | None]:
    """Algorithm, length in bytes and curve of a key that can be made (§7.1). Raises Invalid for any other shape.

    An ECDSA shape without a curve has the one of its length.
    """
    if algorithm not in ALGORITHMS:
        raise wrong("keyShape.algorithm", f"must be one of {', '.join(ALGORITHMS)}")
    if length not in LENGTHS[algorithm]:
        raise wrong("keyShape.length", f"of {algorithm} must be one of {', '.join(map(str, LENGTHS[algorithm]))}")
    if algorithm != "ECDSA":
        if curve_id is not None:
            raise wrong("keyShape.curveId", "is only for ECDSA")
        return algorithm, length, None
    fitting = next(curve for curve, size in CURVES.items() if size == length)
    if curve_id not in (None, fitting):
        raise wrong("keyShape.curveId", f"must be {fitting} where the length is {length}")
    return algorithm, length, fitting


def check_protection(mode: str | None, has_reference: bool) -> str:
    """The protection mode; HSM where none is given. Raises Invalid: no vault here holds references to keys (§7.6)."""
    mode = mode or PROTECTION_MODES[0]
    if mode not in PROTECTION_MODES:
        raise wrong("protectionMode", f"must be one of {', '.join(PROTECTION_MODES)}")
    if mode == "EXTERNAL":
        raise wrong("protectionMode", "EXTERNAL is only for a vault of type EXTERNAL")
    if has_reference:
        raise wrong("externalKeyReference", "is only for a key with protectionMode EXTERNAL")
    return mode


def check_import(algorithm: str) -> None:
    """Raises Invalid for what cannot be imported: ECDSA (§7.2)."""
    if algorithm == "ECDSA":
        raise wrong("keyShape.algorithm", "of a key to import must be AES or RSA")


# Rotation by itself (§6.3, §7.3). A schedule is a first day and an interval; the dates are the days at whole intervals
# after the first day. So a key that missed several of them is rotated once, and is back in step.


def check_interval(days: int | None) -> int:
    """The interval of a schedule. Raises Invalid where it is missing, or is not of 60 to 365 days."""
    if days is None:
        raise missing("autoKeyRotationDetails.rotationIntervalInDays")
    if not MIN_ROTATION_DAYS <= days <= MAX_ROTATION_DAYS:
        raise _interval()
    return days


def _interval() -> Invalid:
    name = "autoKeyRotationDetails.rotationIntervalInDays"
    return wrong(name, f"must be from {MIN_ROTATION_DAYS} to {MAX_ROTATION_DAYS}")


def check_may_rotate(vault_type: str) -> None:
    """Raises Invalid where the keys of the vault cannot rotate themselves."""
    if vault_type != ROTATING_VAULT:
        raise wrong("isAutoRotationEnabled", f"can be true in a vault of type {ROTATING_VAULT} only")


def day_of(at: float) -> float:
    """00:00 in UTC of the day of a time: the time of day means nothing to a schedule."""
    return float(math.floor(at / DAY_S) * DAY_S)


def next_rotation(start_at: float, interval_days: int, now: float) -> float:
    """The first date of the schedule after `now`."""
    interval_s = interval_days * DAY_S
    passed = max(0, math.floor((now - start_at) / interval_s))
    return start_at + (passed + 1) * interval_s
