"""What notices there are, what may be asked for and how much is kept. Pure. Where they may go: `outgoing.rules`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import Enum


class Type(Enum):
    """What a notice tells. The words never change; `docs/notices.md` says what each carries."""

    NEAR_EXPIRY = "near-expiry"
    NEAR_FINAL_DELETION = "near-final-deletion"
    DRIFT = "drift"
    BRAKE = "brake"
    DELETION_SCHEDULED = "deletion-scheduled"
    DELETION_CANCELLED = "deletion-cancelled"
    ROTATED = "rotated"
    FAILED_ROTATION = "failed-rotation"
    FAILED_JOB = "failed-job"
    REFUSED_PURGE = "refused-purge"
    APPROVAL_WANTED = "approval-wanted"
    TEST = "test"


class State(Enum):
    """Where a delivery stands, as it is stored: only what is `due` is sent."""

    DUE = "due"
    QUEUED = "queued"
    DELIVERED = "delivered"
    DEAD = "dead"


WAITING = "waiting"
STATES = {WAITING: (State.DUE, State.QUEUED), "delivered": (State.DELIVERED,), "dead": (State.DEAD,)}
"""What calls name the states."""

TYPES = tuple(kind.value for kind in Type)
EVENT_PREFIX = "claviger."
SYSTEM_TRUST = "system"
GONE = "gone"
"""Why a subscription was disabled: the receiver answered 410."""

MOST_SUBSCRIPTIONS = 50
MOST_WAITING = 10_000
MOST_ENDED = 20_000
KEPT_DELIVERED_S = 7 * 86_400.0
KEPT_DEAD_S = 30 * 86_400.0
OLD_SECRET_S = 86_400.0
"""For so long after a change of secret, notices are signed with the earlier one too."""

DAY_S = 86_400
EXPIRY_DAYS = (30, 7, 1)
FINAL_DAYS = (7, 1)
"""How many days ahead a subscription hears of dates, unless it says otherwise."""
MOST_NUMBERS = 10
MOST_EXPIRY_DAYS = 365
MOST_FINAL_DAYS = 90
"""No cloud lets what was deleted be brought back for longer."""

MOST_DESCRIPTION = 1024
MOST_PEM = 32 * 1024
MOST_DATA = 32 * 1024
MOST_SUBJECT = 1024


def event_type(kind: Type) -> str:
    """The `type` of the CloudEvent."""
    return f"{EVENT_PREFIX}{kind.value}"


def types_problem(types: Iterable[str]) -> str | None:
    """What is wrong with a choice of types, or None."""
    if all(kind in TYPES for kind in types):
        return None
    return f"must be some of {', '.join(TYPES)}"


def days_problem(days: Collection[int], most: int) -> str | None:
    """What is wrong with a choice of numbers of days, or None."""
    if 0 < len(days) <= MOST_NUMBERS and all(1 <= each <= most for each in days):
        return None
    return f"must be 1 to {MOST_NUMBERS} whole numbers of days from 1 to {most}"


def days_due(days: Iterable[int], left_s: float, told: int | None) -> int | None:
    """The number of days to tell of: the nearest of those within which a date is, so many seconds before it.

    None where there is none, or where it was told so many days ahead, or fewer, already.
    """
    nearest = min((each for each in days if left_s <= each * DAY_S), default=None)
    return None if nearest is None or (told is not None and told <= nearest) else nearest
