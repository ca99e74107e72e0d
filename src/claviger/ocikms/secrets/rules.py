"""What may be done to a secret in which state, which stages its versions are in, what its parts may look like. Pure.

A secret is ACTIVE until its deletion is scheduled; a cancelled deletion leads back to ACTIVE; when the date has come it
is DELETED for good, and its name stays taken. A version has no state on the wire but stages, which follow from four
numbers of its secret (`Marks`): nothing is written to a version when another one becomes current.

* CURRENT is the version in use. LATEST is the one that was uploaded last; its number is never given again.
* PREVIOUS was CURRENT just before. PENDING was uploaded to be made current later; of two such, the newer one is it.
* DEPRECATED is neither current, previous nor pending (it may be the latest). Only such a version can be deleted, so
  there always is a current one, and a way back from it.

A content can be read while the secret is ACTIVE, its vault is not pending or deleted, and its key is ENABLED: OCI's
documentation says that what a key has encrypted, secrets included, is out of reach at once when the key is to be
deleted, which a vault's deletion does to all its keys. It does not say that a secret's own state follows its vault's.
So a secret in a vault that is to be deleted is shown in its own state, with `lifecycleDetails` telling why it cannot be
read or changed; once the vault is DELETED, so is the secret. Sources: OCI contract §10; SDK field descriptions.
"""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from claviger.core.errors import Conflict, Invalid
from claviger.lifecycle.retention import DAY_S
from claviger.lifecycle.transitions import Refused, TransitionTable, absent, conflict
from claviger.ocikms import errors
from claviger.ocikms.errors import missing, wrong
from claviger.ocikms.states import DELETED, PENDING_DELETION, TOLERANCE_S
from claviger.ocikms.texts import from_base64

MAX_CONTENT_BYTES = 25 * 1024
MAX_METADATA_BYTES = 8 * 1024
MAX_DESCRIPTION_LENGTH = 1024
MAX_VERSIONS_IN_USE = 30
MAX_VERSIONS_PENDING_DELETION = 30
LEAST_DAYS, MOST_DAYS = 1, 30
MAX_INTERVAL_DAYS = 90
MAX_ABSOLUTE_DAYS = 365
LIST_ORDERS = ("TIMECREATED", "NAME")
VERSION_ORDERS = ("VERSION_NUMBER",)
LISTED_STATES = (
    *("CREATING", "ACTIVE", "UPDATING", "DELETING", "DELETED", "SCHEDULING_DELETION", "PENDING_DELETION"),
    *("CANCELLING_DELETION", "FAILED"),
)

CREATING, ACTIVE, UPDATING = "CREATING", "ACTIVE", "UPDATING"
SCHEDULING_DELETION, CANCELLING_DELETION = "SCHEDULING_DELETION", "CANCELLING_DELETION"
ENABLED = "ENABLED"
CURRENT, PENDING, LATEST, PREVIOUS, DEPRECATED = STAGES = ("CURRENT", "PENDING", "LATEST", "PREVIOUS", "DEPRECATED")

_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}", re.ASCII)
_INTERVAL = re.compile(r"P([1-9][0-9]{0,2})D", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


class State(Enum):
    """The states that a secret is shown in; DELETING and FAILED, which the wire knows too, do not occur here."""

    CREATING = CREATING
    ACTIVE = ACTIVE
    UPDATING = UPDATING
    SCHEDULING_DELETION = SCHEDULING_DELETION
    PENDING_DELETION = PENDING_DELETION
    CANCELLING_DELETION = CANCELLING_DELETION
    DELETED = DELETED


class Operation(Enum):
    """What asks the table. READ_CONTENT is every call of the retrieval plane."""

    UPDATE = "UpdateSecret"
    ROTATE = "RotateSecret"
    CANCEL_ROTATION = "CancelSecretRotation"
    MOVE = "ChangeSecretCompartment"
    SCHEDULE = "ScheduleSecretDeletion"
    CANCEL = "CancelSecretDeletion"
    SCHEDULE_VERSION = "ScheduleSecretVersionDeletion"
    CANCEL_VERSION = "CancelSecretVersionDeletion"
    READ_CONTENT = "GetSecretBundle"


_WRONG = conflict("WrongState")
_HIDDEN = absent("Absent")
_IN_USE = {State.ACTIVE: State.ACTIVE}


def _only(cells: dict[State, State], otherwise: Refused = _WRONG) -> dict[State, State | Refused]:
    """A row of the table: where the named states lead; every other state refuses."""
    return {state: cells.get(state, otherwise) for state in State}


TRANSITIONS: TransitionTable[Operation, State] = TransitionTable(
    {
        Operation.UPDATE: _only(_IN_USE),
        Operation.ROTATE: _only(_IN_USE),
        Operation.CANCEL_ROTATION: _only(_IN_USE),
        Operation.MOVE: _only(_IN_USE),
        Operation.SCHEDULE: _only({State.ACTIVE: State.PENDING_DELETION}),
        Operation.CANCEL: _only({State.PENDING_DELETION: State.ACTIVE}),
        Operation.SCHEDULE_VERSION: _only(_IN_USE),
        Operation.CANCEL_VERSION: _only(_IN_USE),
        Operation.READ_CONTENT: _only({State.ACTIVE: State.ACTIVE, State.UPDATING: State.UPDATING}, _HIDDEN),
    }
)


def shown(own: str, vault: str) -> str:
    """The state of a secret, of its own one and of the one that its vault is shown in."""
    return DELETED if vault == DELETED else own


def passing(state: str, now: float, settle_s: float) -> tuple[str, float]:
    """What a row says of a state that passes, which the real service would be in for a while: the state, until when."""
    return (state, now + settle_s) if settle_s > 0 else ("", 0.0)


def decide(operation: Operation, state: str, ident: str) -> str:
    """Where a secret in that state settles. Raises Conflict("WrongState"), for a reading NotFound("Absent")."""
    is_read = operation is Operation.READ_CONTENT
    refusal = errors.absent("Secret") if is_read else errors.wrong_state("Secret", ident, state)
    return TRANSITIONS.decide(operation, State(state), **refusal.facts).value


_ENDING = (SCHEDULING_DELETION, PENDING_DELETION, DELETED)


def _in_the_way(vault: str, key: str) -> str | None:
    """What keeps the contents of secrets out of reach, where their vault and key are in these states."""
    if vault in _ENDING:
        return f"vault of the secret is in state {vault}"
    return None if key == ENABLED else f"key of the secret is in state {key}"


def check_readable(vault: str, key: str) -> None:
    """Raises NotFound("Absent") where a vault or key in these states keeps the content of its secrets out of reach."""
    if _in_the_way(vault, key) is not None:
        raise errors.absent("Secret")


def out_of_reach(own: str, vault: str, key: str) -> str | None:
    """Why the content of a secret that is not to be deleted itself cannot be read: its `lifecycleDetails`."""
    reason = None if own in _ENDING else _in_the_way(vault, key)
    return None if reason is None else f"The {reason}: the content cannot be read."


# Versions and their stages.


class Marks(msgspec.Struct, frozen=True):
    """The numbers of the versions that stand out; 0 where there is none."""

    current: int
    previous: int
    pending: int
    latest: int


FIRST = Marks(1, 0, 0, 1)


def stages_of(number: int, marks: Marks) -> list[str]:
    """All stages of a version, the one that says how it is used first."""
    named = ((CURRENT, marks.current), (PENDING, marks.pending), (PREVIOUS, marks.previous))
    found = [stage for stage, of in named if number == of] or [DEPRECATED]
    return [*found, LATEST] if number == marks.latest else found


def after_upload(marks: Marks, stage: str) -> Marks:
    """The next version was uploaded, to be CURRENT or PENDING."""
    number = marks.latest + 1
    if stage == PENDING:
        return Marks(marks.current, marks.previous, number, number)
    return Marks(number, marks.current, marks.pending, number)


def after_promotion(marks: Marks, number: int) -> Marks:
    """A version becomes the current one, whatever it was before."""
    if number == marks.current:
        return marks
    return Marks(number, marks.current, 0 if number == marks.pending else marks.pending, marks.latest)


def check_deletable(number: int, marks: Marks) -> None:
    """Raises Conflict("WrongState") for a version that is in use or has a way back to it (OCI contract §10)."""
    stages = stages_of(number, marks)
    if DEPRECATED not in stages:
        raise Conflict(
            "WrongState",
            message=f"Secret version {number} is {' and '.join(stages)}; only a DEPRECATED one can be deleted.",
        )


def check_version_state(number: int, state: str, needed: str) -> None:
    """Raises Conflict("WrongState") for a version that is not in the state that is needed."""
    if state != needed:
        raise errors.wrong_state("Secret version", str(number), state)


def check_room(in_use: int) -> None:
    """Raises Invalid("LimitExceeded") where a secret has as many versions as it may."""
    if in_use >= MAX_VERSIONS_IN_USE:
        raise Invalid("LimitExceeded", message=f"A secret may have {MAX_VERSIONS_IN_USE} versions in use at most.")


def check_room_pending(pending: int) -> None:
    """Raises Invalid("LimitExceeded") where as many versions as may be wait for their deletion."""
    if pending >= MAX_VERSIONS_PENDING_DELETION:
        most = MAX_VERSIONS_PENDING_DELETION
        raise Invalid("LimitExceeded", message=f"A secret may have {most} versions pending deletion at most.")


def number_of(text: str, name: str = "versionNumber") -> int:
    """A version number as a path or a query gives it. Raises Invalid."""
    if _NUMBER.fullmatch(text) is None:
        raise wrong(name, "must be a whole number from 1 on")
    return int(text)


def check_alone(has_content: bool, number: int | None, has_rules: bool) -> None:
    """Raises Invalid where an update names more than one of content, version number and rules (SDK description)."""
    if has_content + (number is not None) + has_rules > 1:
        raise wrong("secretContent, currentVersionNumber and secretRules", "cannot be updated in one call")


# Rules on contents.


class ExpiryRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """When versions expire: so many days after they were made, and at a time, whichever comes first."""

    interval_days: int | None = None
    absolute_at: float | None = None
    is_blocking: bool = False


class ReuseRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """No content may be uploaded twice; that of deleted versions may be unless `on_deleted`."""

    on_deleted: bool = False


class Rules(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rules of a secret: at most one of each kind."""

    expiry: ExpiryRule | None = None
    reuse: ReuseRule | None = None


def interval_days(text: str | None) -> int | None:
    """The days of `P30D`. Raises Invalid for other intervals and for more than 90 days."""
    if text is None:
        return None
    found = _INTERVAL.fullmatch(text)
    if found is None or int(found[1]) > MAX_INTERVAL_DAYS:
        raise wrong("secretVersionExpiryInterval", f"must be a number of days from P1D to P{MAX_INTERVAL_DAYS}D")
    return int(found[1])


def check_expiry(new: ExpiryRule | None, old: ExpiryRule | None, now: float) -> None:
    """Raises Invalid for a rule that says nothing, or a time outside 1 to 365 days from now, unless it was there."""
    if new is None:
        return
    if new.interval_days is None and new.absolute_at is None:
        raise wrong("secretRules", "has an expiry rule with neither an interval nor a time")
    if new.absolute_at is None or (old is not None and old.absolute_at == new.absolute_at):
        return
    if not now + DAY_S - TOLERANCE_S <= new.absolute_at <= now + MAX_ABSOLUTE_DAYS * DAY_S + TOLERANCE_S:
        raise wrong("timeOfAbsoluteExpiry", f"must be 1 to {MAX_ABSOLUTE_DAYS} days from now")


def expires_at(rule: ExpiryRule | None, created_at: float) -> float | None:
    """When a version that was made then expires."""
    if rule is None:
        return None
    after = None if rule.interval_days is None else created_at + rule.interval_days * DAY_S
    ends = [at for at in (after, rule.absolute_at) if at is not None]
    return min(ends, default=None)


def check_not_expired(rule: ExpiryRule | None, created_at: float, now: float) -> None:
    """Raises NotFound("Absent") where the rule withholds contents that have expired."""
    at = expires_at(rule, created_at)
    if rule is not None and rule.is_blocking and at is not None and now >= at:
        raise errors.absent("Secret")


def check_not_used(is_used: bool) -> None:
    """Raises Invalid where a reuse rule forbids a content that an earlier version had."""
    if is_used:
        raise wrong("secretContent", "was used by an earlier version, which the secret's reuse rule forbids")


# Names and contents.


def check_name(name: str, field: str = "secretName") -> str:
    """Raises Invalid unless it is 1 to 255 letters, digits, hyphens, underscores and periods."""
    if _NAME.fullmatch(name) is None:
        raise wrong(field, "must have 1 to 255 letters, digits, hyphens, underscores or periods")
    return name


def name_taken() -> Invalid:
    """The refusal of a name that a secret of the vault has, be it pending deletion or deleted."""
    return wrong("secretName", "is the name of a secret that already exists in this vault")


def check_description(description: str | None) -> str | None:
    """Raises Invalid for one that is too long."""
    if description is not None and len(description) > MAX_DESCRIPTION_LENGTH:
        raise wrong("description", f"may have {MAX_DESCRIPTION_LENGTH} characters at most")
    return description


def check_metadata(text: str) -> str:
    """Raises Invalid for metadata that are, as JSON, over 8 KB."""
    if len(text.encode()) > MAX_METADATA_BYTES:
        raise wrong("metadata", f"may have {MAX_METADATA_BYTES} bytes at most")
    return text


def content_bytes(text: str | None) -> bytes:
    """The content that was sent in base64. Raises Invalid, which never quotes it."""
    if not text:
        raise missing("secretContent.content")
    found = from_base64(text)
    if found is None:
        raise wrong("secretContent.content", "is not base64")
    return check_length(found)


def check_length(content: bytes) -> bytes:
    """Raises Invalid for no content and for more than 25 KB."""
    if not 0 < len(content) <= MAX_CONTENT_BYTES:
        raise wrong("secretContent.content", f"must have 1 to {MAX_CONTENT_BYTES} bytes")
    return content
