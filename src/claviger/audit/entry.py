"""One entry of the audit log: who did what to which object, from where, and what came of it; and its canonical bytes.

An `Entry` is cut to its limits when it is made, and refuses anything that is not plain and printable, a `Sensitive`
above all. `encoded` gives its one canonical form: JSON without spaces, all keys in the order of their bytes, all fields
present, numbers as msgspec writes them. `decoded` reads that form and no other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from claviger.core.errors import Damaged

Origin = Literal["api", "cli", "scheduler", "sweeper", "finisher", "keyvault", "management", "login", "ocikms"]
Outcome = Literal["granted", "refused", "failed"]
Severity = Literal["info", "warning", "error", "critical", "fatal"]
Fact = None | bool | int | float | str | list[Any] | dict[str, Any]

LONGEST_WORD = 256
"""Of every text field, in characters."""
LONGEST_NAME = 512
"""Of an object's id, name and container."""
LONGEST_FACT = 512
MOST_FACTS = 32
"""In details, and in any list or object there."""
DEEPEST = 3
LARGEST_DETAILS = 4096
"""Bytes of all details in canonical form."""
CUT = "…"
"""What stands at the end of a text, a list or details that were cut."""
_WIDEST = 2**63 - 1

_json = msgspec.json.Encoder(order="deterministic")


def _plain(*texts: str) -> bool:
    """Whether nothing about these texts needs a closer look: the way of nearly all, and the quick one."""
    for text in texts:
        if type(text) is not str:
            return False
    joined = "".join(texts)
    return len(joined) <= LONGEST_WORD and joined.isascii() and "\0" not in joined


def _trim(struct: msgspec.Struct, names: tuple[str, ...], most: int) -> None:
    for name in names:
        text = getattr(struct, name)
        trimmed = _text(text, most)
        if trimmed is not text:
            msgspec.structs.force_setattr(struct, name, trimmed)


def _text(text: object, most: int) -> str:
    """`text` without what no database holds (NUL, lone surrogates), at most so many characters."""
    if not isinstance(text, str):
        raise TypeError(f"an audit entry holds text, not {type(text).__name__}")
    clean = str.__str__(text).replace("\0", "\ufffd")  # not whatever the class of an enumeration's member would say
    try:
        clean.encode()
    except UnicodeEncodeError:
        clean = clean.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return clean if len(clean) <= most else clean[: most - 1] + CUT


# Fields stand in the order of the alphabet: that is the canonical order, and it costs nothing.
class RecordedActor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Who did it, as it stands in the log."""

    address: str = ""
    session_id: str = ""
    user_id: str = ""
    username: str = ""


class Actor(RecordedActor, frozen=True, kw_only=True, gc=False):
    """Who did it. Empty is: unknown, or nobody but Claviger itself. `session_id` is that of a token or a session."""

    def __post_init__(self) -> None:
        if not _plain(self.address, self.session_id, self.user_id, self.username):
            _trim(self, self.__struct_fields__, LONGEST_WORD)


class RecordedSubject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What it was done to, as it stands in the log."""

    container: str = ""
    id: str = ""
    kind: str = ""
    name: str = ""


class Subject(RecordedSubject, frozen=True, kw_only=True, gc=False):
    """What it was done to. `container` is the vault, tenancy or group that holds it."""

    def __post_init__(self) -> None:
        if not _plain(self.container, self.id, self.kind, self.name):
            _trim(self, self.__struct_fields__, LONGEST_NAME)


NOBODY = Actor()
NOTHING = Subject()


class Recorded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """An entry as it stands in the log. `at` is seconds since the epoch; `status` the one that was answered, or 0."""

    action: str
    actor: RecordedActor = NOBODY
    at: float
    details: dict[str, Any] = {}
    domain_id: str = ""
    format: Literal[1] = 1
    object: RecordedSubject = NOTHING
    origin: Origin
    outcome: Outcome
    request_id: str = ""
    service: str
    severity: Severity = "info"
    status: int = 0

    @property
    def success(self) -> bool:
        """Whether what was asked for was done."""
        return self.outcome == "granted"


class Entry(Recorded, frozen=True, kw_only=True, gc=False):
    """An entry to be written: cut to the limits above.

    Making one raises TypeError for a `Sensitive`, bytes or anything else that is not plain, ValueError for a time that
    is none and for a word outside of its list.
    """

    def __post_init__(self) -> None:
        if not _plain(
            self.action, self.domain_id, self.request_id, self.service, self.origin, self.outcome, self.severity
        ):
            _trim(self, _ENTRY, LONGEST_WORD)
        if type(self.actor) is not Actor or type(self.object) is not Subject:
            raise TypeError("an entry has an Actor and a Subject")
        if type(self.status) is not int or not 0 <= self.status <= 999:
            raise ValueError("a status is a whole number of three digits, or 0")
        if self.origin not in _ORIGINS or self.outcome not in _OUTCOMES or self.severity not in _SEVERITIES:
            raise ValueError("an entry's origin, outcome or severity is none of those there are")
        if type(self.at) is not float:
            if type(self.at) is not int:
                raise TypeError("an entry's time is a number")
            msgspec.structs.force_setattr(self, "at", float(self.at))
        if not math.isfinite(self.at):
            raise ValueError("an entry has a time")
        if self.details:
            msgspec.structs.force_setattr(self, "details", _bounded(self.details))


_ENTRY = ("action", "domain_id", "request_id", "service", "origin", "outcome", "severity")
_ORIGINS = frozenset(Origin.__args__)  # type: ignore[attr-defined]
_OUTCOMES = frozenset(Outcome.__args__)  # type: ignore[attr-defined]
_SEVERITIES = frozenset(Severity.__args__)  # type: ignore[attr-defined]


def encoded(entry: Recorded) -> bytes:
    """The canonical bytes, which are the leaf of the tree."""
    return _json.encode(entry)


_decoder = msgspec.json.Decoder(Recorded)


def decoded(body: bytes) -> Recorded:
    """The entry of canonical bytes. Raises Damaged("AuditRecord") where they are not exactly that."""
    try:
        entry = _decoder.decode(body)
        canonical = _json.encode(entry) == body
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Damaged("AuditRecord", problem="is not a record of the audit log") from None
    if not canonical:
        raise Damaged("AuditRecord", problem="is not in canonical form")
    return entry


def _bounded(details: Mapping[str, object]) -> dict[str, Any]:
    """Details cut to their limits: first long texts and lists, then whatever is left over at the end."""
    for longest in (LONGEST_FACT, 64, 16):
        cut: dict[str, Any] = _facts(details, longest, DEEPEST)
        if len(_json.encode(cut)) <= LARGEST_DETAILS:
            return cut
    kept: dict[str, Any] = {CUT: True}
    left = LARGEST_DETAILS - len(_json.encode(kept))
    for name in sorted(cut):
        left -= len(_json.encode({name: cut[name]}))
        if left < 0:
            break
        kept[name] = cut[name]
    return kept


def _facts(facts: Mapping[str, object], longest: int, deep: int) -> dict[str, Any]:
    names = sorted(facts)[: MOST_FACTS if len(facts) <= MOST_FACTS else MOST_FACTS - 1]
    cut = {_text(name, LONGEST_WORD): _fact(facts[name], longest, deep) for name in names}
    if len(names) < len(facts):
        cut[CUT] = len(facts) - len(names)
    return cut


def _fact(fact: object, longest: int, deep: int) -> Fact:
    """One fact in plain types. Raises TypeError for what is not plain."""
    if fact is None or isinstance(fact, bool):
        return fact
    if isinstance(fact, str):
        return _text(fact, longest)
    if isinstance(fact, int):
        return int(fact) if -_WIDEST <= fact <= _WIDEST else _text(str(fact), longest)
    if isinstance(fact, float):
        return float(fact) if math.isfinite(fact) else str(fact)
    if isinstance(fact, Mapping):
        return _facts(fact, longest, deep - 1) if deep > 1 else CUT
    if isinstance(fact, (list, tuple)):
        if deep <= 1:
            return CUT
        items: list[Any] = [_fact(item, longest, deep - 1) for item in fact[:MOST_FACTS]]
        return items if len(fact) <= MOST_FACTS else [*items[:-1], CUT]
    raise TypeError(f"an audit entry holds plain facts, not {type(fact).__name__}")
