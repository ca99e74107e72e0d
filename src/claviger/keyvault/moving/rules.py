"""What may stand in a moved vault, and whether a secret that comes in agrees with one that is there. Pure.

A secret comes in as its whole history, oldest version first. Where its name is taken, nothing is decided by the name
alone: the same version ids with the same values in the same order are the same secret, so that an import can be run
again, and a history that goes on where ours ends is one that grew meanwhile. All else is a conflict.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from enum import Enum

from claviger.core.errors import Invalid
from claviger.keyvault.secrets import rules

MAX_JSON_TEXT = 64 * 1024
MAX_RIGHTS = 10_000
NAMES_SHOWN = 10

_VERSION = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Verdict(Enum):
    """What an import has to do about a secret, or about the part of its history that it looks at."""

    NEW = "new"
    SAME = "same"
    GROWS = "grows"
    DIFFERS = "differs"


def judge(*, is_there: bool, same_state: bool, before: int, there: int, known: Sequence[bool]) -> Verdict:
    """The verdict on consecutive versions of one secret, of which `before` came earlier and are in the vault by now.

    `there` is how many versions the vault has of it, `known` which of these versions are among them, unchanged;
    `same_state` whether both are deleted or both are not.
    """
    if not is_there:
        return Verdict.DIFFERS if before else Verdict.NEW
    if all(known):
        return Verdict.SAME
    first_unknown = known.index(False)
    follows = there == before + first_unknown and not any(known[first_unknown:])
    return Verdict.GROWS if follows and same_state else Verdict.DIFFERS


def check_version(version: str) -> str:
    """`version` itself. Raises Invalid("Version"), which does not quote it: it may be a value in the wrong place."""
    if _VERSION.fullmatch(version) is None:
        raise Invalid("Version", rule="32 lower-case hex digits")
    return version


def derived_version(name_key: str, position: int) -> str:
    """The id of a version whose document gives none: always the same for a name and a place in its history.

    So the same document can be imported again. It tells nothing about the value.
    """
    return hashlib.sha256(f"claviger document version {position} of {name_key}".encode()).hexdigest()[:32]


def check_value(value: bytes) -> None:
    """Raises Invalid("Property") for what no client could have set: over 25 600 bytes, or not UTF-8."""
    rules.check_value(value)
    try:
        value.decode()
    except UnicodeDecodeError:
        raise Invalid("Property", property="value") from None


def check_metadata(content_type: str | None, tags: Mapping[str, str] | None) -> None:
    """Raises Invalid("Property")."""
    rules.check_metadata(content_type, tags)


def check_times(**times: int | None) -> None:
    """Raises Invalid("Time") naming the first that lies outside of the years 1970 to 9999."""
    for name, at in times.items():
        if at is not None and not 0 <= at <= rules.MAX_EPOCH_S:
            raise Invalid("Time", field=name, given=at)


def check_deletion(deleted_at: int | None, purge_at: int | None) -> None:
    """A deleted secret has both dates, one that is not has neither. Raises Invalid("Deletion")."""
    if (deleted_at is None) != (purge_at is None):
        raise Invalid("Deletion", rule="deleted_at and purge_at go together")
    if deleted_at is not None and purge_at is not None and purge_at < deleted_at:
        raise Invalid("Deletion", rule="purge_at is not before deleted_at")
    check_times(deleted_at=deleted_at, purge_at=purge_at)
