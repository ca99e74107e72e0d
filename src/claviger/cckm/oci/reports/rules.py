"""What a report may be asked for, and what its rows have (CCKM contract, OCI §10). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from claviger.cckm.errors import validation
from claviger.lifecycle.retention import DAY_S

LONGEST_NAME = 255
LONGEST_ROTATION_DAYS = 14
MOST_REPORTS = 1000
"""Of one domain."""
MOST_ROWS = 200_000


class Type(Enum):
    """What a report tells."""

    KEYS = "key-report"
    ROTATION = "key-rotation"
    AGING = "key-aging"


COLUMNS: Mapping[Type, tuple[str, ...]] = {
    Type.KEYS: (
        "time",
        "key_activity",
        "key_name",
        "key_id",
        "vault_name",
        "vault_id",
        "user_name",
        "stage",
        "outcome",
        "status",
        "request_id",
        "audit_record_id",
    ),
    Type.ROTATION: (
        "time",
        "key_activity",
        "key_name",
        "key_id",
        "key_version_id",
        "key_material_origin",
        "vault_name",
        "vault_id",
        "is_current",
    ),
    Type.AGING: (
        "key_name",
        "key_id",
        "vault_name",
        "vault_id",
        "compartment_name",
        "region",
        "algorithm",
        "length",
        "protection_mode",
        "lifecycle_state",
        "time_created",
        "age_days",
        "version_count",
        "current_version_created",
        "days_since_rotation",
        "auto_rotate",
        "time_of_deletion",
        "gone",
    ),
}
"""What the rows of each type have, in the order of the CSV."""

FILTERS: Mapping[str, tuple[str, ...]] = {
    "key_name": ("key_name",),
    "key_activity": ("key_activity",),
    "key_id": ("key_id", "oci_key_id"),
    "vault_id": ("vault_id", "oci_vault_id"),
    "user_name": ("user_name",),
}
"""What contents are filtered by, and how clients spell it."""


def check(name: str, start: float | None, end: float | None, kind: Type) -> None:
    """Raises Invalid("Validation") for a name or a period that no report can have."""
    problems = {}
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        problems["name"] = f"must have 1 to {LONGEST_NAME} printable characters"
    if start is not None and end is not None and end <= start:
        problems["end_time"] = "must be later than start_time"
    if kind is Type.ROTATION and "end_time" not in problems:
        if start is None or end is None:
            problems["start_time"] = "is required with end_time for key-rotation"
        elif end - start > LONGEST_ROTATION_DAYS * DAY_S:
            problems["end_time"] = f"must be at most {LONGEST_ROTATION_DAYS} days after start_time"
    if problems:
        raise validation(problems)


def period(start: float | None, end: float | None, kind: Type, now: float) -> tuple[float | None, float | None]:
    """The period of a report; where none is named for key-rotation, the longest that there is, until now."""
    if kind is Type.ROTATION and start is None and end is None:
        return now - LONGEST_ROTATION_DAYS * DAY_S, now
    return start, end


def whole_days(since: float, now: float) -> int:
    """How many whole days have passed."""
    return max(0, int((now - since) // DAY_S))
