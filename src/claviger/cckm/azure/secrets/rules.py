"""What may be done to a secret in which state, and what its parts may look like (CCKM contract, Azure §5).

A record is AVAILABLE from its creation. A soft-delete takes it to SOFT-DELETED, from where a recover brings it back and
a hard-delete leaves it DELETED; in a vault without soft delete the first step leads there at once. DELETED is final
in Azure, but not here: a restore from the backup that CCKM keeps makes it AVAILABLE again. Only a DELETED record can be
removed, with its backup. What synchronisation no longer finds in Azure counts as DELETED for these two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

from claviger.core.errors import Invalid, Refusal
from claviger.lifecycle.transitions import Refused, TransitionTable

LONGEST_VALUE_BYTES = 25_600
LONGEST_CONTENT_TYPE = 255
MOST_TAGS = 15
LONGEST_TAG = 256
LONGEST_WAIT_S = 240
LATEST_TIME = 253_402_300_799  # the last second of the year 9999
UNSET_TIMES = frozenset({0, -62_135_596_800})  # how Go clients send none: as a number, as 0001-01-01T00:00:00Z
RETENTION_DAYS = (7, 90)
LEVELS = frozenset(
    {
        "Purgeable",
        "RecoverablePurgeable",
        "Recoverable",
        "RecoverableProtectedSubscription",
        "CustomizedRecoverablePurgeable",
        "CustomizedRecoverable",
        "CustomizedRecoverableProtectedSubscription",
    }
)
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}", re.ASCII)


class Status(Enum):
    """Where a record stands, in the words of the wire."""

    AVAILABLE = "AVAILABLE"
    SOFT_DELETED = "SOFT-DELETED"
    DELETED = "DELETED"


class Operation(Enum):
    """What changes a record, by the names of the intents that stand for it."""

    UPDATE = "update"
    SOFT_DELETE = "soft-delete"
    DELETE_FOR_GOOD = "delete-for-good"
    HARD_DELETE = "hard-delete"
    RECOVER = "recover"
    RESTORE = "restore"
    REMOVE = "remove"


def _only(needed: str) -> Refused:
    return Refused(Invalid, needed)


_FROM_AVAILABLE, _FROM_SOFT_DELETED, _FROM_DELETED = (
    _only("NeedsAvailable"),
    _only("NeedsSoftDeleted"),
    _only("NeedsDeleted"),
)

TRANSITIONS: TransitionTable[Operation, Status] = TransitionTable(
    {
        Operation.UPDATE: {
            Status.AVAILABLE: Status.AVAILABLE,
            Status.SOFT_DELETED: _FROM_AVAILABLE,
            Status.DELETED: _FROM_AVAILABLE,
        },
        Operation.SOFT_DELETE: {
            Status.AVAILABLE: Status.SOFT_DELETED,
            Status.SOFT_DELETED: _FROM_AVAILABLE,
            Status.DELETED: _FROM_AVAILABLE,
        },
        Operation.DELETE_FOR_GOOD: {
            Status.AVAILABLE: Status.DELETED,
            Status.SOFT_DELETED: _FROM_AVAILABLE,
            Status.DELETED: _FROM_AVAILABLE,
        },
        Operation.HARD_DELETE: {
            Status.AVAILABLE: _FROM_SOFT_DELETED,
            Status.SOFT_DELETED: Status.DELETED,
            Status.DELETED: _FROM_SOFT_DELETED,
        },
        Operation.RECOVER: {
            Status.AVAILABLE: _FROM_SOFT_DELETED,
            Status.SOFT_DELETED: Status.AVAILABLE,
            Status.DELETED: _FROM_SOFT_DELETED,
        },
        Operation.RESTORE: {
            Status.AVAILABLE: _FROM_DELETED,
            Status.SOFT_DELETED: _FROM_DELETED,
            Status.DELETED: Status.AVAILABLE,
        },
        Operation.REMOVE: {
            Status.AVAILABLE: _FROM_DELETED,
            Status.SOFT_DELETED: _FROM_DELETED,
            Status.DELETED: Status.DELETED,
        },
    }
)

TARGETS: Mapping[Operation, Status] = {
    operation: cell for operation, _, cell in TRANSITIONS.cells() if isinstance(cell, Status)
}
"""Where each operation leads to."""

_NEEDS: Mapping[str, Status] = {
    "NeedsAvailable": Status.AVAILABLE,
    "NeedsSoftDeleted": Status.SOFT_DELETED,
    "NeedsDeleted": Status.DELETED,
}
_RECOVER, _RESTORE = "recover it first", "restore it first"
_NEXT: Mapping[tuple[Operation, Status], str] = {
    (Operation.UPDATE, Status.SOFT_DELETED): _RECOVER,
    (Operation.UPDATE, Status.DELETED): _RESTORE,
    (Operation.HARD_DELETE, Status.AVAILABLE): "soft-delete it first",
    (Operation.HARD_DELETE, Status.DELETED): "Azure has no more of it; DELETE takes it out of CCKM with its backup",
    (Operation.RECOVER, Status.AVAILABLE): "there is nothing to recover",
    (Operation.RECOVER, Status.DELETED): "restore brings it back from CCKM's backup",
    (Operation.RESTORE, Status.AVAILABLE): "there is nothing to restore",
    (Operation.RESTORE, Status.SOFT_DELETED): "recover brings it back, with all that it was",
    (Operation.REMOVE, Status.AVAILABLE): "soft-delete and hard-delete it first",
    (Operation.REMOVE, Status.SOFT_DELETED): "hard-delete it first",
}
"""What to do next. Nobody who wants a secret back is told to destroy it; what is done already has no next step."""


_OF_WHAT_IS_GONE = frozenset({Operation.RESTORE, Operation.REMOVE})
_IS_GONE = "synchronization no longer finds it in Azure; where CCKM has a backup, restore brings it back"


def decide(operation: Operation, status: Status, *, is_gone: bool = False) -> Status:
    """The status after `operation`. Raises Invalid("StateForbids"), which names the state and what to do first.

    What synchronisation no longer finds (`is_gone`) counts as deleted, for what is done to deleted ones.
    """
    try:
        return TRANSITIONS.decide(operation, Status.DELETED if is_gone and operation in _OF_WHAT_IS_GONE else status)
    except Refusal as refusal:
        needed = _NEEDS.get(refusal.reason)
        if needed is None:
            raise
        hint = _IS_GONE if is_gone else _NEXT.get((operation, status))
        message = f"the secret is {status.value}, and {operation.value} needs it to be {needed.value}"
        raise Invalid("StateForbids", message=f"{message}; {hint}" if hint else message) from None


def name_problem(name: str) -> str | None:
    """What is wrong with a secret's name, or None."""
    if _NAME.fullmatch(name):
        return None
    return "may have 1 to 127 letters, digits and hyphens, and nothing else"


def value_problem(value: bytes) -> str | None:
    """What is wrong with a value, or None."""
    return None if len(value) <= LONGEST_VALUE_BYTES else f"may have at most {LONGEST_VALUE_BYTES} bytes"


def content_type_problem(content_type: str | None) -> str | None:
    """What is wrong with a content type, or None."""
    if content_type is not None and len(content_type) > LONGEST_CONTENT_TYPE:
        return f"may have at most {LONGEST_CONTENT_TYPE} characters"
    if content_type is not None and not content_type.isprintable():
        return "may hold printable characters only"
    return None


def tag_problems(tags: Mapping[str, str] | None) -> dict[str, str]:
    """What is wrong with tags, by field (contract §5.11: neither colon nor percent in a value)."""
    if not tags:
        return {}
    problems = {}
    if len(tags) > MOST_TAGS:
        problems["tags"] = f"may be at most {MOST_TAGS}"
    for name, value in tags.items():
        shown = name[:40]
        if not name or len(name) > LONGEST_TAG:
            problems[f"tags.{shown}"] = f"a tag's name may have 1 to {LONGEST_TAG} characters"
        elif len(value) > LONGEST_TAG:
            problems[f"tags.{shown}"] = f"a tag's value may have at most {LONGEST_TAG} characters"
        elif ":" in value or "%" in value:
            problems[f"tags.{shown}"] = "a tag's value may hold neither : nor %"
        elif not (name + value).isprintable():
            problems[f"tags.{shown}"] = "a tag may hold printable characters only"
    return problems


def time_problems(not_before: int | None, expires_at: int | None) -> dict[str, str]:
    """What is wrong with the times of an attribute set: out of range, or ending before they begin."""
    problems = {
        f"attributes.{name}": "must be a time between the years 1970 and 9999"
        for name, at in (("nbf", not_before), ("exp", expires_at))
        if at is not None and not 0 <= at <= LATEST_TIME
    }
    if not problems and not_before is not None and expires_at is not None and expires_at <= not_before:
        problems["attributes.exp"] = "must be later than nbf"
    return problems


def recovery_problems(days: int | None, level: str | None, soft_delete: bool) -> dict[str, str]:
    """What is wrong with the vault's own facts, which a caller may repeat and cannot change (contract §5.4)."""
    problems = {}
    least, most = RETENTION_DAYS if soft_delete else (0, 0)
    if days is not None and days != 0 and not least <= days <= most:
        told = f"must be {least} to {most}, or 0" if soft_delete else "must be 0: the vault has no soft delete"
        problems["attributes.recoverableDays"] = told
    if level is not None and level.replace("+", "") not in LEVELS:
        problems["attributes.recoveryLevel"] = "is not a recovery level of Azure"
    return problems
