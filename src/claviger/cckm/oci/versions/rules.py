"""What may be done to a version of a key, and what a new one may be made of (CCKM contract, OCI §6). Pure.

OCI decides in the end, as for keys. The current version of a key cannot be deleted; a version of a key that waits for
its own deletion, or is gone, cannot be changed by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from claviger.cckm.oci.keys.rules import SETTLED, UPLOADED, State, state_of
from claviger.core.errors import Conflict, Invalid
from claviger.lifecycle.transitions import TransitionTable, conflict

LOCAL = "local"
ELSEWHERE: Mapping[str, str] = {
    "dsm": "a Data Security Manager",
    "hsm-luna": "a Luna HSM",
    "external-cm": "another CipherTrust Manager",
}
"""Tiers of the product that this server lacks."""
CURRENT = "cannot be deleted because it is the current key version"
"""Clients look for these words (CCKM contract, OCI §6.4)."""


class Operation(Enum):
    """What changes a version that is there, by the names of the intents that stand for it."""

    SCHEDULE_DELETION = "version-schedule-deletion"
    CANCEL_DELETION = "version-cancel-deletion"


ADD = "add-version"
"""The same of one that is to be made."""
WORDS: Mapping[Operation, str] = {
    Operation.SCHEDULE_DELETION: "schedule-deletion",
    Operation.CANCEL_DELETION: "cancel-deletion",
}

_NO = conflict("WrongState")
_NOWHERE = dict.fromkeys(State, _NO)
TRANSITIONS: TransitionTable[Operation, State] = TransitionTable(
    {
        Operation.SCHEDULE_DELETION: {**_NOWHERE, State.ENABLED: State.PENDING_DELETION},
        Operation.CANCEL_DELETION: {**_NOWHERE, State.PENDING_DELETION: State.ENABLED},
    }
)
"""Where each operation leads a version."""
_NEEDS: Mapping[Operation, str] = {
    Operation.SCHEDULE_DELETION: "ENABLED",
    Operation.CANCEL_DELETION: "PENDING_DELETION",
}
_KEY_ALLOWS = frozenset({State.ENABLED, State.DISABLED})


def decide(operation: Operation, word: str, key_word: str) -> None:
    """Raises Conflict("WrongState") by the states of a version and of its key: what it is, what to do.

    A state that is not known to us is left to OCI to judge.
    """
    state, key_state = state_of(word), state_of(key_word)
    if state is not None:
        told = f"the version is {state.value}, and {WORDS[operation]} needs it to be {_NEEDS[operation]}"
        if state not in SETTLED:
            told += "; OCI is still at it; refresh the key, and try again"
        elif operation is Operation.SCHEDULE_DELETION and state is State.PENDING_DELETION:
            told += "; to change the date, cancel its deletion and schedule it again"
        TRANSITIONS.decide(operation, state, message=told)
    if key_state is not None and key_state not in _KEY_ALLOWS:
        told = f"the key is {key_state.value}, and its versions can be changed while it is ENABLED or DISABLED"
        raise Conflict("WrongState", message=told)


def check_not_current(ocid: str, current_ocid: str) -> None:
    """Raises Invalid("StateForbids") for the current version of its key."""
    if ocid == current_ocid:
        raise current_version(ocid)


def current_version(ocid: str) -> Invalid:
    """The refusal to delete the current version of a key."""
    return Invalid("StateForbids", message=f"the key version {ocid} {CURRENT}; rotate the key first")


def tier_problem(tier: str) -> str | None:
    """What is wrong with where a source key is; empty is `local`."""
    if tier in ("", LOCAL):
        return None
    lacks = ELSEWHERE.get(tier)
    if lacks is not None:
        return f"must be {LOCAL}: this server has no connection to {lacks}"
    return f"must be {LOCAL}"


def upload_problem(algorithm: str) -> str | None:
    """Why a key of an algorithm, in the words of local keys, cannot be uploaded; None where it can."""
    if algorithm in UPLOADED:
        return None
    return f"is a key of algorithm {algorithm}, and OCI takes uploads of {' and '.join(sorted(UPLOADED))} keys alone"


def match_problem(algorithm: str, length: int, of_algorithm: str, of_length: int) -> str | None:
    """Why a local key cannot become a version of a key of this shape; None where it can. Lengths are in bytes."""
    problem = upload_problem(algorithm)
    if problem is None and (algorithm, length) != (of_algorithm, of_length):
        problem = f"is {algorithm} of {length * 8} bits, and the key in OCI is {of_algorithm} of {of_length * 8} bits"
    return problem
