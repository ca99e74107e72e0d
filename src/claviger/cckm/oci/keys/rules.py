"""What may be done to a key of OCI in which state, and what its parts may look like (CCKM contract, OCI §5). Pure.

OCI decides in the end: its word is what a record says. What it would refuse for certain is refused here, before an
intent is committed, with what to do first. States that pass are OCI's own; a record shows one until OCI says another.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from claviger.core.errors import Conflict, Invalid, Refusal
from claviger.lifecycle.retention import DAY_S
from claviger.lifecycle.transitions import Refused, TransitionTable

ALGORITHMS: Mapping[str, Mapping[int, str]] = {
    "AES": {16: "", 24: "", 32: ""},
    "RSA": {256: "", 384: "", 512: ""},
    "ECDSA": {32: "NIST_P256", 48: "NIST_P384", 66: "NIST_P521"},
}
"""Algorithm -> length in bytes -> curve (OCI contract §7.1)."""
UPLOADED = frozenset({"AES", "RSA"})
MODES = ("HSM", "SOFTWARE")
LONGEST_NAME = 255
MOST_TAGS = 64
LONGEST_TAG_KEY, LONGEST_TAG_VALUE = 100, 256
LEAST_DAYS, MOST_DAYS, DEFAULT_DAYS = 7, 30, 7
MARGIN_S = 300.0
"""OCI counts from when it receives the date: so much is added to the shortest time, and taken from the longest."""
BACKED_UP_VAULTS, BACKED_UP_MODE = "VIRTUAL_PRIVATE", "HSM"
NATIVE, CCKM, UNKNOWN = "native", "cckm", "unknown"
"""Where a key's material is from: OCI made it, it was uploaded from here, or somebody else has uploaded it."""


class State(Enum):
    """Where a key or version stands, in OCI's words (CCKM contract, OCI §5.2)."""

    CREATING = "CREATING"
    ENABLING = "ENABLING"
    ENABLED = "ENABLED"
    DISABLING = "DISABLING"
    DISABLED = "DISABLED"
    UPDATING = "UPDATING"
    CHANGING_COMPARTMENT = "CHANGING_COMPARTMENT"
    SCHEDULING_DELETION = "SCHEDULING_DELETION"
    PENDING_DELETION = "PENDING_DELETION"
    CANCELLING_DELETION = "CANCELLING_DELETION"
    DELETING = "DELETING"
    DELETED = "DELETED"
    BACKUP_IN_PROGRESS = "BACKUP_IN_PROGRESS"
    RESTORING = "RESTORING"


SETTLED = frozenset({State.ENABLED, State.DISABLED, State.PENDING_DELETION, State.DELETED})
"""The states that stay until somebody does something, or a date comes."""


def state_of(word: str) -> State | None:
    """The state of a word; None for one that OCI has added since."""
    try:
        return State(word)
    except ValueError:
        return None


class Operation(Enum):
    """What changes a key, by the names of the intents that stand for it."""

    UPDATE = "update"
    ENABLE = "enable"
    DISABLE = "disable"
    SCHEDULE_DELETION = "schedule-deletion"
    CANCEL_DELETION = "cancel-deletion"
    CHANGE_COMPARTMENT = "change-compartment"
    ADD_VERSION = "add-version"
    BACKUP = "backup"
    RESTORE = "restore"
    DELETE_BACKUP = "delete-backup"
    REMOVE = "remove"


_ENABLED, _USABLE, _DISABLED, _PENDING, _DELETED = (
    Refused(Conflict, "NeedsEnabled"),
    Refused(Conflict, "NeedsUsable"),
    Refused(Conflict, "NeedsDisabled"),
    Refused(Conflict, "NeedsPending"),
    Refused(Invalid, "NeedsDeleted"),
)


def _row(refused: Refused, **allowed: State) -> dict[State, State | Refused]:
    return {state: allowed.get(state.value, refused) for state in State}


TRANSITIONS: TransitionTable[Operation, State] = TransitionTable(
    {
        Operation.UPDATE: _row(_USABLE, ENABLED=State.ENABLED, DISABLED=State.DISABLED, CREATING=State.ENABLED),
        Operation.ENABLE: _row(_DISABLED, DISABLED=State.ENABLED),
        Operation.DISABLE: _row(_ENABLED, ENABLED=State.DISABLED),
        Operation.SCHEDULE_DELETION: _row(_USABLE, ENABLED=State.PENDING_DELETION, DISABLED=State.PENDING_DELETION),
        Operation.CANCEL_DELETION: _row(_PENDING, PENDING_DELETION=State.ENABLED),
        Operation.CHANGE_COMPARTMENT: _row(_USABLE, ENABLED=State.ENABLED, DISABLED=State.DISABLED),
        Operation.ADD_VERSION: _row(_ENABLED, ENABLED=State.ENABLED),
        Operation.BACKUP: _row(_USABLE, ENABLED=State.ENABLED, DISABLED=State.DISABLED),
        Operation.RESTORE: _row(_DELETED, DELETED=State.ENABLED),
        Operation.DELETE_BACKUP: _row(_DELETED, DELETED=State.DELETED),
        Operation.REMOVE: _row(_DELETED, DELETED=State.DELETED),
    }
)
"""Where each operation leads; CANCEL_DELETION leads to DISABLED where the key was disabled before."""

_NEEDS: Mapping[str, str] = {
    "NeedsEnabled": "ENABLED",
    "NeedsUsable": "ENABLED or DISABLED",
    "NeedsDisabled": "DISABLED",
    "NeedsPending": "PENDING_DELETION",
    "NeedsDeleted": "DELETED",
}
_RESTORE = "it can only be restored from a backup"
_NEXT: Mapping[tuple[str, State], str] = {
    ("NeedsEnabled", State.DISABLED): "enable it first",
    ("NeedsEnabled", State.PENDING_DELETION): "cancel its deletion first",
    ("NeedsUsable", State.PENDING_DELETION): "cancel its deletion first; to change the date, cancel and schedule again",
    ("NeedsUsable", State.DELETED): _RESTORE,
    ("NeedsEnabled", State.DELETED): _RESTORE,
    ("NeedsDisabled", State.DELETED): _RESTORE,
    ("NeedsPending", State.DELETED): _RESTORE,
    ("NeedsDisabled", State.PENDING_DELETION): "cancel its deletion first",
    ("NeedsDeleted", State.ENABLED): "schedule its deletion first, and wait until it is deleted",
    ("NeedsDeleted", State.DISABLED): "schedule its deletion first, and wait until it is deleted",
    ("NeedsDeleted", State.PENDING_DELETION): "wait until it is deleted",
}
_NEXT_OF: Mapping[tuple[Operation, State], str] = {
    (Operation.DISABLE, State.DISABLED): "there is nothing to do",
    (Operation.RESTORE, State.ENABLED): "there is nothing to restore",
    (Operation.RESTORE, State.DISABLED): "there is nothing to restore",
    (Operation.RESTORE, State.PENDING_DELETION): "cancel-deletion brings it back, just as it was",
}
"""Where an operation asks for other words: nobody who wants a key back is told to have it deleted."""


_OF_WHAT_IS_GONE = frozenset({Operation.RESTORE, Operation.DELETE_BACKUP, Operation.REMOVE})


def decide(operation: Operation, word: str, thing: str = "key", *, is_gone: bool = False) -> State:
    """The state after `operation`. Raises Conflict("WrongState") or Invalid("StateForbids"): what it is, what to do.

    A state that is not known to us is left to OCI to judge, and taken as ENABLED. What synchronisation no longer finds
    (`is_gone`) counts as deleted, for what is done to deleted ones.
    """
    state = State.DELETED if is_gone and operation in _OF_WHAT_IS_GONE else state_of(word)
    if state is None:
        return State.ENABLED
    try:
        return TRANSITIONS.decide(operation, state)
    except Refusal as refusal:
        needed = _NEEDS.get(refusal.reason)
        if needed is None:
            raise
        message = f"the {thing} is {state.value}, and {operation.value} needs it to be {needed}"
        hint = _NEXT_OF.get((operation, state)) or _NEXT.get((refusal.reason, state))
        if hint is None and state not in SETTLED:
            hint = "OCI is still at it; refresh it, and try again"
        reason = "WrongState" if isinstance(refusal, Conflict) else "StateForbids"
        raise type(refusal)(reason, message=f"{message}; {hint}" if hint else message) from None


def deletion_at(days: int, now: float) -> float:
    """The moment that OCI is asked to delete at, for a number of days that has been checked (OCI contract §8.2)."""
    if days <= LEAST_DAYS:
        return now + LEAST_DAYS * DAY_S + MARGIN_S
    if days >= MOST_DAYS:
        return now + MOST_DAYS * DAY_S - MARGIN_S
    return now + days * DAY_S


def days_problem(days: int | None) -> str | None:
    """What is wrong with a number of days, or None."""
    if days is not None and not LEAST_DAYS <= days <= MOST_DAYS:
        return f"must be {LEAST_DAYS} to {MOST_DAYS}"
    return None


def no_backup(vault_type: str, protection_mode: str, bucket: str) -> str | None:
    """Why a key cannot be backed up; None where it can (OCI contract §7.4)."""
    if vault_type != BACKED_UP_VAULTS:
        return f"the vault is of type {vault_type}, and only keys in one of type {BACKED_UP_VAULTS} can be backed up"
    if protection_mode != BACKED_UP_MODE:
        return f"its protection mode is {protection_mode}, and only {BACKED_UP_MODE} keys can be backed up"
    return None if bucket else "the vault has no bucket for backups"


def name_problem(name: str) -> str | None:
    """What is wrong with a key's name, or None."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        return f"must have 1 to {LONGEST_NAME} printable characters"
    return None


def shape_problems(algorithm: str, length: int, curve_id: str) -> dict[str, str]:
    """What is wrong with a shape, by field. A length of 0 and an empty curve count as absent."""
    lengths = ALGORITHMS.get(algorithm)
    if lengths is None:
        return {"algorithm": f"must be one of {', '.join(ALGORITHMS)}"}
    curves = {curve: size for size, curve in lengths.items() if curve}
    if curves:
        if curve_id not in curves:
            return {"curve_id": f"must be one of {', '.join(curves)}"}
        if length not in (0, curves[curve_id]):
            return {"length": f"must be {curves[curve_id]} for {curve_id}, or absent"}
        return {}
    problems = {}
    if length not in lengths:
        problems["length"] = f"must be one of {', '.join(map(str, lengths))} (bytes) for {algorithm}"
    if curve_id:
        problems["curve_id"] = f"must be absent for {algorithm}"
    return problems


def length_of(algorithm: str, length: int, curve_id: str) -> int:
    """The length of a shape that has been checked: that of its curve, where it has one."""
    return next((size for size, curve in ALGORITHMS[algorithm].items() if curve and curve == curve_id), length)


def mode_problem(mode: str) -> str | None:
    """What is wrong with a protection mode, or None."""
    return None if mode in MODES else f"must be one of {', '.join(MODES)}"


def tag_problems(freeform: Mapping[str, Any] | None, defined: Mapping[str, Any] | None) -> dict[str, str]:
    """What is wrong with tags, by field."""
    problems: dict[str, str] = {}
    told = f"keys may have 1 to {LONGEST_TAG_KEY} characters, values up to {LONGEST_TAG_VALUE}"
    freeform, defined = freeform or {}, defined or {}
    if not _fit(freeform):
        problems["freeform_tags"] = told
    if not all(0 < len(space) <= LONGEST_TAG_KEY and _fit(values) for space, values in defined.items()):
        problems["defined_tags"] = told
    if len(freeform) + sum(len(values) for values in defined.values()) > MOST_TAGS:
        problems["freeform_tags"] = f"may be at most {MOST_TAGS} together with defined_tags"
    return problems


def _fit(tags: Mapping[str, Any]) -> bool:
    return all(
        0 < len(name) <= LONGEST_TAG_KEY and len(str(value)) <= LONGEST_TAG_VALUE for name, value in tags.items()
    )
