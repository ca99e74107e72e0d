"""How OCI writes times down, and what bodies may hold: the readings that all resources share (OCI contract §2)."""

from __future__ import annotations

import binascii
import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from claviger.core.errors import Invalid
from claviger.ocikms.errors import missing, wrong

S = TypeVar("S", bound=msgspec.Struct)

MAX_NAME_LENGTH = 255
MAX_TAGS = 64
MAX_TAG_KEY_LENGTH = 100
MAX_TAG_VALUE_LENGTH = 256
MAX_TIME_LENGTH = 64
MAX_DEPTH = 64
"""So deep objects and lists of a body may be within one another."""

_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_PLACE = re.compile(r" - at `\$\.?(?P<place>.*)`$")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")


def written(at: float) -> str:
    """RFC 3339 in UTC with milliseconds, cut off and not rounded, so that no time is shown late."""
    hours, millis = divmod(int(at * 1000 + 0.0005), 3_600_000)
    minutes, millis = divmod(millis, 60_000)
    return f"{_hour(hours)}{minutes:02d}:{millis // 1000:02d}.{millis % 1000:03d}Z"


@lru_cache(maxsize=4096)  # whole times seldom come again in a long list, their hours do
def _hour(hours: int) -> str:
    """How RFC 3339 writes what so many hours after the epoch begins, up to the colon behind the hour."""
    return datetime.fromtimestamp(hours * 3600, UTC).isoformat()[:14]


def read_time(name: str, text: str | None) -> float | None:
    """Epoch seconds of an RFC 3339 time with any fraction and offset; without an offset it is UTC. Raises Invalid.

    A day alone is no time: what is to be deleted is not left to a guess.
    """
    if text is None:
        return None
    try:
        is_time = len(text) <= MAX_TIME_LENGTH and _TIME.fullmatch(text) is not None
        found = datetime.fromisoformat(text.upper()) if is_time else None
        at = None if found is None else (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        at = None
    if at is None or at < 0:
        raise wrong(name, "is not a time as RFC 3339 has it")
    return at


def from_base64(text: str) -> bytes | None:
    """The bytes of a base64 text; None where it is none. Python's own reader lets too many signs at the end pass."""
    if len(text) % 4 or text.endswith("==="):
        return None
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None


def read_body(raw: bytes, kind: type[S]) -> S:
    """The body as `kind`; an empty one is an empty object; null is absent; numbers may come as text (§2).

    Raises Invalid: "NotJson", "Missing", "Value"; a name that is given twice is a value that cannot be used.
    """
    quick = _quickly(raw, kind)
    if quick is not None:
        return quick
    if not raw.strip():
        raw = b"{}"
    try:
        msgspec.json.decode(raw)  # the stricter reader of the two; the other one shows names that are given twice
        found = json.loads(raw, object_pairs_hook=_once)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise Invalid("NotJson", message="The body of the request is not valid JSON.") from None
    if not isinstance(found, dict):
        raise wrong("The body", "must be a JSON object")
    try:
        body = msgspec.convert(_without_nulls(found, MAX_DEPTH), kind, strict=False)
    except msgspec.ValidationError as problem:
        raise _told(str(problem)) from None
    if b"\\u0000" in raw:
        raise wrong("A text", "must not contain NUL")
    return body


def _quickly(raw: bytes, kind: type[S]) -> S | None:
    """What `read_body` gives to a body that is plainly right; None to all others, which are looked at in full.

    Every name is followed by a colon outside of texts: where there are no more colons than names, none is given twice.
    """
    try:
        found = msgspec.json.decode(raw)
        if type(found) is not dict or b"\\u0000" in raw or raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
            return None
        names = len(found)
        for value in found.values():
            if value is None:
                return None
            if type(value) is dict:
                if None in value.values():
                    return None
                names += len(value)
        return msgspec.convert(found, kind, strict=False) if raw.count(b":") == names else None
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON with one name twice means one thing to one reader and another to the next: nobody gets either."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise wrong("The body", "names a field twice")
    return found


def _without_nulls(found: Any, depth: int) -> Any:
    """What was read, of each object only the names that are not null. Raises Invalid for what is nested too deeply."""
    if not isinstance(found, dict | list):
        return found
    if depth == 0:
        raise wrong("The body", f"must not be nested deeper than {MAX_DEPTH} levels")
    if isinstance(found, list):
        return [_without_nulls(value, depth - 1) for value in found]
    return {name: _without_nulls(value, depth - 1) for name, value in found.items() if value is not None}


def _told(problem: str) -> Invalid:
    absent = _MISSING.search(problem)
    place = _PLACE.search(problem)
    if absent is not None:
        before = f"{place['place']}." if place else ""
        return missing(f"{before}{absent['field']}"[:200])
    where = (place["place"] if place else "The body")[:200]
    return wrong(where, f"cannot be used: {problem.partition(' - at `')[0][:200]}")


def display_name(name: str, text: str) -> str:
    """A name that people gave. Raises Invalid for an empty or overlong one (§6.1)."""
    if not text.strip() or len(text) > MAX_NAME_LENGTH:
        raise wrong(name, f"must have 1 to {MAX_NAME_LENGTH} characters")
    return text


def check_tags(freeform: dict[str, str] | None, defined: dict[str, dict[str, Any]] | None) -> None:
    """Raises Invalid where tags are too many or too long."""
    keys = list((freeform or {}).items())
    for namespace, tags in (defined or {}).items():
        if not namespace or len(namespace) > MAX_TAG_KEY_LENGTH:
            raise wrong("definedTags", "has a namespace with no usable name")
        keys += [(key, str(value)) for key, value in tags.items()]
    if len(keys) > MAX_TAGS:
        raise wrong("freeformTags and definedTags", f"may hold {MAX_TAGS} tags at most")
    for key, value in keys:
        if not 0 < len(key) <= MAX_TAG_KEY_LENGTH or len(value) > MAX_TAG_VALUE_LENGTH:
            raise wrong(
                "A tag",
                f"has a key of 1 to {MAX_TAG_KEY_LENGTH} and a value of up to {MAX_TAG_VALUE_LENGTH} characters",
            )
