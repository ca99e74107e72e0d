"""What a key's order to rotate itself becomes, of what it was and what a call asks (OCI contract §6.3, §7.3). Pure."""

from __future__ import annotations

import msgspec

from claviger.lifecycle.retention import DAY_S
from claviger.ocikms.errors import wrong
from claviger.ocikms.keys.rules import MAX_ROTATION_DAYS, check_interval, check_may_rotate, day_of, next_rotation
from claviger.ocikms.keys.wire import AutoKeyRotationDetails
from claviger.ocikms.states import MAX_EPOCH_S
from claviger.ocikms.texts import read_time

MAX_START_AHEAD_DAYS = 3650


class Order(msgspec.Struct, frozen=True):
    """When a key rotates itself. Switched off, it keeps its interval and first day, and has no next date."""

    is_on: bool = False
    interval_days: int | None = None
    start_at: float | None = None
    next_at: float | None = None


def ordered(
    before: Order, is_on: bool | None, asked: AutoKeyRotationDetails | None, vault_type: str, now: float
) -> Order:
    """The order after a call; None leaves things as they are. Raises Invalid.

    The next date is counted anew from the first day where the order is new, changed or switched on again.
    """
    wanted = before.is_on if is_on is None else is_on
    if asked is not None or is_on:
        check_may_rotate(vault_type)
    if asked is None and wanted == before.is_on:
        return before
    if asked is None and not wanted:
        return msgspec.structs.replace(before, is_on=False, next_at=None)
    asked = asked or AutoKeyRotationDetails()
    given = asked.rotation_interval_in_days
    interval = check_interval(before.interval_days if given is None else given)
    start = _start(asked, now)
    if start is None:
        start = day_of(now) if before.start_at is None else before.start_at
    is_same = before.is_on and (interval, start) == (before.interval_days, before.start_at)
    following = before.next_at if is_same else next_rotation(start, interval, now)
    return Order(wanted, interval, start, following if wanted else None)


def _start(asked: AutoKeyRotationDetails, now: float) -> float | None:
    name = "autoKeyRotationDetails.timeOfScheduleStart"
    at = read_time(name, asked.time_of_schedule_start)
    if at is not None and at > min(now + MAX_START_AHEAD_DAYS * DAY_S, MAX_EPOCH_S - 2 * MAX_ROTATION_DAYS * DAY_S):
        raise wrong(name, f"must not be more than {MAX_START_AHEAD_DAYS} days ahead")
    return None if at is None else day_of(at)
