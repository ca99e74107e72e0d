"""The filters of secrets by date: what expires soon, what is old. Lists and the search over the estate share them.

"Now" is the beginning of the present minute, so that the pages of one list, asked for one after the other, are pages of
the same list, and what was found for one of them is of use for the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from claviger.cckm.azure.secrets.rules import LATEST_TIME
from claviger.cckm.azure.secrets.wire import epoch
from claviger.cckm.calls import Parameter, Query
from claviger.cckm.errors import validation

DAY_S = 86_400
MOST_DAYS = 36_525
_MINUTE_S = 60

DATES = (
    Parameter("expires_before", "string", "Expires before this time, or has expired; RFC 3339, or seconds since 1970."),
    Parameter(
        "expiring_within_days",
        "integer",
        "Has not expired, and expires within so many days from now.",
        least=0,
        most=MOST_DAYS,
    ),
    Parameter(
        "older_than_days",
        "integer",
        "Azure created this version more than so many days ago.",
        least=0,
        most=MOST_DAYS,
    ),
)


class Dated(NamedTuple):
    """A date that has to lie from `low` on and before `high`, in whole seconds since 1970. 0 is no date."""

    column: Literal["expires_at", "azure_created_at"]
    low: int
    high: int


def dates_of(query: Query, now: float) -> list[Dated]:
    """The dates that a call asks for. Raises Invalid("Validation")."""
    minute = int(now) // _MINUTE_S * _MINUTE_S
    found: list[Dated] = []
    before = query.one("expires_before")
    if before is not None:
        at = epoch(before)
        if at is None or not 0 <= at <= LATEST_TIME:
            raise validation({"expires_before": "must be a time in RFC 3339, or seconds since 1970"})
        found.append(Dated("expires_at", 1, at))
    within = _days(query, "expiring_within_days")
    if within is not None:
        found.append(Dated("expires_at", max(minute, 1), minute + within * DAY_S))
    older = _days(query, "older_than_days")
    if older is not None:
        found.append(Dated("azure_created_at", 1, minute - older * DAY_S))
    return _together(found)


def _days(query: Query, name: str) -> int | None:
    return None if query.one(name) is None else query.integer(name, 0, 0, MOST_DAYS)


def _together(dates: Sequence[Dated]) -> list[Dated]:
    """One for each column."""
    columns = {each.column: each for each in dates}
    for each in dates:
        known = columns[each.column]
        columns[each.column] = Dated(each.column, max(known.low, each.low), min(known.high, each.high))
    return list(columns.values())
