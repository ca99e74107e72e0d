"""How many people must agree, what counts as the same request, and how a request stands. Pure.

A quorum counts different people, who asks included. So it is at least 2: one person alone is no quorum, and none is not
one either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from claviger.cckm.errors import validation

LEAST_QUORUM = 2
MOST_QUORUM = 10
DEFAULT_QUORUM = 2
"""Of a protected container that has no setting of its own."""

LAPSE_S = 86_400
MOST_OPEN = 1000
"""Of one requester in a domain."""
MOST_KEPT = 10_000
"""Of a domain; the oldest that have ended are forgotten first."""
LONGEST_REASON = 1024


class Right(NamedTuple):
    """What a container's ACL has to give whoever may approve: to see what is in it, and to destroy that."""

    view: str
    action: str


AZURE, OCI = "azure", "oci"
RIGHTS: Mapping[str, Right] = {AZURE: Right("secretview", "secretpurge"), OCI: Right("view", "keydelete")}
"""By cloud. Containers of every cloud give rights of the same names, which mean something else in each."""


def cloud_of(kind: str) -> str:
    """The cloud of what a request is about, by the kind of that, such as oci-key."""
    return OCI if kind.startswith(f"{OCI}-") else AZURE


class State(Enum):
    """How a request stands, as it is stored and in the words of the wire; `PENDING` and `APPROVED` are both open."""

    OPEN = "open"
    PENDING = "pending"
    APPROVED = "approved"
    USED = "used"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"
    VOID = "void"


SHOWN = tuple(state.value for state in State if state is not State.OPEN)


class Protection(msgspec.Struct, frozen=True):
    """What is set on a container."""

    protected: bool = False
    quorum: int | None = None

    @property
    def in_force(self) -> int | None:
        """How many people must agree now; None where one is enough."""
        if self.quorum is not None:
            return self.quorum
        return DEFAULT_QUORUM if self.protected else None

    def is_weaker_than(self, other: Protection) -> bool:
        """Whether it asks for less than `other`."""
        fewer = (self.in_force or 0) < (other.in_force or 0)
        return fewer or (other.protected and not self.protected)


def check_quorum(quorum: int | None, field: str) -> int | None:
    """A quorum that can be set; None switches it off. Raises Invalid("Validation") for one that is none."""
    if quorum is not None and not LEAST_QUORUM <= quorum <= MOST_QUORUM:
        raise validation(
            {
                field: f"must be a whole number from {LEAST_QUORUM} to {MOST_QUORUM}, or null: it counts the different "
                "people who must agree, who asks included"
            }
        )
    return quorum


def check_reason(reason: str) -> str:
    """Why somebody refuses. Raises Invalid("Validation")."""
    if not reason.strip() or len(reason) > LONGEST_REASON or "\0" in reason:
        raise validation({"reason": f"is required, and may have up to {LONGEST_REASON} characters"})
    return reason.strip()


def digest_of(
    method: str, path: str, params: Mapping[str, str], query: Iterable[tuple[str, Sequence[str]]], body: bytes
) -> str:
    """What two calls share only if they are the very same: route, segments, query and body, but for JSON's spacing."""
    told = (method, path, sorted(params.items()), sorted((name, list(values)) for name, values in query), _plain(body))
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def _plain(body: bytes) -> str:
    if not body.strip():
        return ""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return f"raw {hashlib.sha256(body).hexdigest()}"
    return msgspec.json.encode(value, order="sorted").decode()


def version_of(facts: Any) -> str:
    """What two states of a thing share only if they are the same."""
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()


def state_of(stored: State, agreed_count: int, quorum: int, lapses_at: float, now: float) -> State:
    """How a request stands now."""
    if stored is not State.OPEN:
        return stored
    if now >= lapses_at:
        return State.LAPSED
    return State.APPROVED if agreed_count >= quorum else State.PENDING
