"""What may be done to a version of a key in which state (OCI contract §8.1). A version is never disabled by itself.

The current version of a key cannot be deleted. A version of a deleted key is deleted, whatever its row says. One that
is CREATING may be used: it is its key's current version already, and a rotation interrupts nobody who encrypts (§8.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from claviger.core.errors import Conflict
from claviger.lifecycle.transitions import Refused, TransitionTable, absent, conflict

INTERNAL, EXTERNAL = "INTERNAL", "EXTERNAL"
"""Where the material comes from: made here, or imported."""


class State(Enum):
    """The lifecycle states of a key version, as the wire has them."""

    CREATING = "CREATING"
    ENABLING = "ENABLING"
    ENABLED = "ENABLED"
    DISABLING = "DISABLING"
    DISABLED = "DISABLED"
    DELETING = "DELETING"
    DELETED = "DELETED"
    SCHEDULING_DELETION = "SCHEDULING_DELETION"
    PENDING_DELETION = "PENDING_DELETION"
    CANCELLING_DELETION = "CANCELLING_DELETION"


class Operation(Enum):
    """What is done to a version that is there."""

    GET = "GetKeyVersion"
    SCHEDULE_DELETION = "ScheduleKeyVersionDeletion"
    CANCEL_DELETION = "CancelKeyVersionDeletion"
    USE = "Decrypt"


_NO = conflict("WrongState")
_GONE = absent("Absent")
_NOWHERE: dict[State, State | Refused] = dict.fromkeys(State, _NO)

TRANSITIONS: TransitionTable[Operation, State] = TransitionTable(
    {
        Operation.GET: {state: state for state in State},
        Operation.SCHEDULE_DELETION: {**_NOWHERE, State.ENABLED: State.SCHEDULING_DELETION},
        Operation.CANCEL_DELETION: {**_NOWHERE, State.PENDING_DELETION: State.CANCELLING_DELETION},
        Operation.USE: {
            **_NOWHERE,
            State.ENABLED: State.ENABLED,
            State.CREATING: State.CREATING,
            State.DELETED: _GONE,
        },
    }
)

SETTLES: Mapping[State, State] = {
    State.CREATING: State.ENABLED,
    State.SCHEDULING_DELETION: State.PENDING_DELETION,
    State.CANCELLING_DELETION: State.ENABLED,
    State.DELETING: State.DELETED,
}
"""Where a state that passes ends. What can be cancelled was ENABLED before: nothing else can be scheduled."""


def decide(operation: Operation, shown: str, version_id: str) -> State:
    """The state that the answer shows. Raises Conflict("WrongState"), or NotFound for use of a deleted version."""
    refused = "its use" if operation is Operation.USE else operation.value
    message = f"Key version {version_id} is in state {shown}, which does not allow {refused}."
    if operation is Operation.USE and shown == State.DELETED.value:
        message = "Key version does not exist or you are not authorized to access it."
    return TRANSITIONS.decide(operation, State(shown), message=message)


def check_not_current(version_id: str, current_version_id: str) -> None:
    """Raises Conflict("WrongState") for the current version of its key (§5)."""
    if version_id == current_version_id:
        told = f"Key version {version_id} cannot be deleted because it is the current key version."
        raise Conflict("WrongState", message=told)
