"""What a client knows of the secrets it wrote: the acknowledged state of each, and the one change that was under way.

Pure, and written apart from the product: `after` is the whole model of a secret's life. `judge` compares what a
server shows after a crash with what it had acknowledged. A change that was under way may have happened or not;
nothing else may differ, and it may not have happened by half.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

LETTERS = string.ascii_letters + string.digits + '"\\\n é€𝄞'
MAX_VALUE_LENGTH = 3_000


@dataclass(frozen=True)
class Content:
    """One version: its value, and the metadata that an update replaces together."""

    value: str
    content_type: str
    tags: tuple[tuple[str, str], ...]
    expires_at: int


@dataclass(frozen=True)
class State:
    """A name with its versions, oldest first; without any it is absent. A version whose id was not told is ''."""

    versions: tuple[tuple[str, Content], ...] = ()
    deleted: bool = False


@dataclass(frozen=True)
class Change:
    """One call that changes a secret: set, update, delete, recover or purge; the first two carry content."""

    verb: str
    content: Content | None = None


@dataclass(frozen=True)
class Seen:
    """What a server shows of a name: every version's content, None where it could not be read, and the latest one."""

    contents: Mapping[str, Content | None] = field(default_factory=dict)
    latest: str = ""
    deleted: bool = False


@dataclass(frozen=True)
class Verdict:
    """The state that what was seen amounts to; `finding` says what is wrong with it: lost, or half-written."""

    state: State
    finding: str = ""
    detail: str = ""


def after(state: State, change: Change, version: str = "") -> State:
    """The state that `change` leads to; `version` is the id that a set was answered with."""
    content = change.content
    if change.verb == "set":
        assert content is not None
        return replace(state, versions=(*state.versions, (version, content)))
    if change.verb == "update":
        assert content is not None
        latest_id, latest = state.versions[-1]
        return replace(state, versions=(*state.versions[:-1], (latest_id, replace(content, value=latest.value))))
    if change.verb == "purge":
        return State()
    return replace(state, deleted=change.verb == "delete")


def next_change(state: State, dice: random.Random, mark: str) -> Change:
    """A change that is right in this state. `mark` makes its content unlike any other."""
    if state.deleted:
        return Change("recover" if dice.random() < 0.5 else "purge")
    if not state.versions:
        return Change("set", _content(dice, mark))
    drawn = dice.random()
    if drawn < 0.5 and len(state.versions) < 12:
        return Change("set", _content(dice, mark))
    return Change("update", _content(dice, mark)) if drawn < 0.75 else Change("delete")


def _content(dice: random.Random, mark: str) -> Content:
    length = dice.choice((0, 20, 200, MAX_VALUE_LENGTH))
    tags = {f"t{number}": f"{mark}/{number}" for number in range(dice.randrange(4))}
    filling = "".join(dice.choices(LETTERS, k=dice.randrange(length + 1)))
    return Content(f"{mark} {filling}", f"text/{mark}", tuple(tags.items()), dice.randrange(2**31))


def judge(acknowledged: State, under_way: Change | None, seen: Seen) -> Verdict:
    """Whether `seen` is the acknowledged state, or that with the change under way done in full."""
    for allowed in (acknowledged, *([after(acknowledged, under_way)] if under_way else [])):
        settled = _matched(allowed, seen)
        if settled is not None:
            return Verdict(settled)
    finding = _kind(acknowledged, under_way, seen)
    return Verdict(acknowledged, finding, json.dumps(_described(acknowledged, under_way, seen)))


def _matched(allowed: State, seen: Seen) -> State | None:
    """`allowed` with the one id that was never told filled in; None if it is not what was seen."""
    told = [version for version, _ in allowed.versions if version]
    fresh = set(seen.contents) - set(told)
    if len(told) < len(allowed.versions):  # a set that nobody answered
        if len(fresh) != 1:
            return None
        versions = (*allowed.versions[:-1], (fresh.pop(), allowed.versions[-1][1]))
        allowed = replace(allowed, versions=versions)
    right = (
        dict(allowed.versions) == dict(seen.contents)
        and allowed.deleted == seen.deleted
        and (allowed.versions[-1][0] if allowed.versions else "") == seen.latest
    )
    return allowed if right else None


def _kind(acknowledged: State, under_way: Change | None, seen: Seen) -> str:
    """Lost: something acknowledged is not there. Half-written: what is there was never written like that."""
    may_go = under_way is not None and under_way.verb == "purge"
    gone = {version for version, _ in acknowledged.versions} - set(seen.contents)
    if gone and not (may_go and not seen.contents):
        return "lost"
    may_flip = under_way is not None and under_way.verb in ("delete", "recover")
    if acknowledged.deleted != seen.deleted and seen.contents and not may_flip:
        return "lost"
    written = dict(acknowledged.versions)
    older = any(
        content is not None and content.value == written[version].value and content != written[version]
        for version, content in seen.contents.items()
        if version in written
    )
    return "lost" if older and (under_way is None or under_way.verb != "update") else "half-written"


def _described(acknowledged: State, under_way: Change | None, seen: Seen) -> dict[str, object]:
    return {
        "acknowledged": [version[:8] for version, _ in acknowledged.versions],
        "acknowledged_deleted": acknowledged.deleted,
        "under_way": under_way.verb if under_way else None,
        "seen": [version[:8] for version in seen.contents],
        "unreadable": [version[:8] for version, content in seen.contents.items() if content is None],
        "seen_latest": seen.latest[:8],
        "seen_deleted": seen.deleted,
    }
