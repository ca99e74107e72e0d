"""What a call that is only planned has been found to do: the draft of a plan, known to everything on the call's path.

Whoever decides on a change says what it would do with `foresee`. In a call that is carried out that costs a look at a
context variable; in one that is planned (`following`) it goes into the draft, and the store ends the call by `Planned`
instead of committing (`store.py`). A change may run more than once, so the draft begins afresh with each run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the call does. `what` is a word for programs, `words` a sentence for people.

    `undo` None: nothing brings it back. `until` (epoch seconds) is when the undoing ends; None: no end is known.
    `final_in_cloud`: the cloud itself can no longer give back what it had. `lost` says in a sentence what cannot be had
    back, empty where all can.
    """

    what: str
    words: str
    kind: str = ""
    ident: str = ""
    name: str = ""
    container: str = ""
    undo: str | None = None
    until: float | None = None
    final_in_cloud: bool = False
    lost: str = ""
    facts: dict[str, Any] = {}


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that the call needs. `agreed_count` are the people who agree now, who asks included."""

    action: str
    container: str
    quorum: int
    agreed_count: int
    approvers: str
    approval_id: str | None = None

    @property
    def is_given(self) -> bool:
        """Whether enough people agree."""
        return self.agreed_count >= self.quorum


class Draft:
    """What is known of one planned call so far."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.consents: list[Consent] = []

    def afresh(self) -> None:
        """Forgets everything: the change runs (again) from its beginning."""
        self.effects.clear()
        self.consents.clear()


class Planned(BaseException):
    """Ends a planned call where it would have been committed.

    No `Exception`: nothing on the way may take it for a failure and deal with it.
    """


_current: ContextVar[Draft | None] = ContextVar("claviger_draft", default=None)


def current_draft() -> Draft | None:
    """The draft of the call that is running, if that is only planned."""
    return _current.get()


@contextmanager
def following(draft: Draft) -> Iterator[Draft]:
    """Everything within is only planned."""
    token = _current.set(draft)
    try:
        yield draft
    finally:
        _current.reset(token)


def foresee(effect: Callable[[], Effect]) -> None:
    """Says what the running change does, if it is only planned; otherwise `effect` is not even asked."""
    draft = _current.get()
    if draft is not None:
        draft.effects.append(effect())
