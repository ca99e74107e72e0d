"""States that pass: what a thing is, and what it is shown as while the real service would still be at it. Pure.

A row keeps the state in which a change settles, and beside it the transitional one with the moment until which that is
shown. So nothing has to come by to settle it, and a server that was killed has nothing to catch up with. A deletion
that is due is shown as done at once, whoever is late to carry it out; never a moment early (OCI contract §8).
"""

from __future__ import annotations

from hashlib import sha1

from claviger.core.errors import Invalid
from claviger.lifecycle.retention import DAY_S, is_final
from claviger.ocikms.errors import wrong

MAX_PASSING_S = 3600.0
"""So long a transitional state is shown at most; a clock that is set back must not hold a key in it for years."""
PENDING_DELETION = "PENDING_DELETION"
DELETED = "DELETED"

TOLERANCE_S = 60.0
"""A client computes its date before we read it: so much a date may be outside the window (contract §8.2)."""
DEFAULT_DAYS = 30
MAX_EPOCH_S = 253_402_300_799.0


def shown(state: str, passing: str, passing_until: float, deletes_at: float | None, now: float) -> str:
    """The state to show, and to decide by."""
    if passing and 0 < passing_until - now <= MAX_PASSING_S:
        return passing
    if state == PENDING_DELETION and is_final(None if deletes_at is None else int(deletes_at + 0.999), now):
        return DELETED
    return state


def deletion_at(asked: float | None, now: float, *, least_days: int = 7, most_days: int = 30) -> float:
    """When something is to be deleted: as asked, or 30 days from now. Raises Invalid outside the window (§8.2)."""
    if asked is None:
        return now + DEFAULT_DAYS * DAY_S
    if not now + least_days * DAY_S - TOLERANCE_S <= asked <= now + most_days * DAY_S + TOLERANCE_S:
        raise deletion_window(least_days, most_days)
    return asked


def deletion_window(least_days: int, most_days: int) -> Invalid:
    """The refusal of a date outside the window."""
    return wrong("timeOfDeletion", f"must be at least {least_days} and at most {most_days} days from now")


def etag(ident: str, revision: int, state: str) -> str:
    """Changes with every change of the thing and of its state: 40 hex digits, as the real one (§2). No secret."""
    return sha1(f"{ident}/{revision}/{state}".encode(), usedforsecurity=False).hexdigest()
