"""Reads the JSON bodies of calls into structs, as clients of this API send them.

Go clients send every field of their structs, so null, and "" for an optional text, count as absent, in nested structs
too. What lies in a plain map (tags, meta) is the caller's own and is left as it is. Unknown fields are ignored
(CCKM contract §1). A struct may name fields in which null is a value, `null_counts`, or "" is: `blank_counts`.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from claviger.cckm.errors import validation
from claviger.core.errors import Invalid
from claviger.core.sensitive import Sensitive

S = TypeVar("S", bound=msgspec.Struct)

_PLACE = re.compile(r" - at `\$\.?(?P<place>.*)`$")
_NUL = b"\\u0000"
"""How JSON spells it; as it is, it makes a text no JSON."""
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")


def read_struct(raw: bytes, kind: type[S]) -> S:
    """The body as `kind`; an empty body is an empty object. Raises Invalid("Body") or Invalid("Validation")."""
    if not raw.strip():
        found: Any = {}
    else:
        try:
            found = msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise Invalid("Body", message="the body is not valid JSON") from None
    if not isinstance(found, dict):
        raise Invalid("Body", message="the body must be a JSON object")
    sent = _pruned(found, kind)
    try:
        body = msgspec.convert(sent, kind, dec_hook=_wrapped)
    except msgspec.ValidationError as problem:
        raise validation(_missing(sent, kind) | _told(str(problem), kind)) from None
    if _NUL in raw:
        _refuse_nul(body)
    return body


def _refuse_nul(body: msgspec.Struct) -> None:
    """Raises Invalid("Validation") where a text holds a NUL, which one of the databases would refuse, the other keep.

    What is sealed (a secret's value, say) is no text to any database, and may hold what it likes.
    """
    left: list[tuple[str, Any]] = [("", body)]
    while left:
        place, value = left.pop()
        inside: list[tuple[Any, Any]] = []
        if isinstance(value, str) and "\0" in value:
            raise validation({place: "must not contain NUL"})
        if isinstance(value, msgspec.Struct):
            inside = [(field.encode_name, getattr(value, field.name)) for field in msgspec.structs.fields(value)]
        elif isinstance(value, dict):
            if any(isinstance(name, str) and "\0" in name for name in value):
                raise validation({place: "no name in it may contain NUL"})
            inside = list(value.items())
        elif isinstance(value, (list, tuple)):
            inside = list(enumerate(value))
        left += [(f"{place}.{str(name)[:64]}".strip("."), each) for name, each in inside]


def _wrapped(kind: type, value: object) -> object:
    """What must not be shown is wrapped as it comes in; a refusal names its type, never itself."""
    if kind is Sensitive and isinstance(value, str):
        try:
            return Sensitive(value)
        except UnicodeEncodeError:
            raise ValueError("Expected text of valid characters") from None
    raise TypeError("Expected `str`")


def _told(problem: str, kind: type[msgspec.Struct]) -> dict[str, str]:
    """msgspec's words, as field and reason. They name types and fields, never values."""
    at = _PLACE.search(problem)
    place = at["place"] if at else ""
    said = problem[: at.start()] if at else problem
    missing = _MISSING.match(said)
    if missing:
        return {f"{place}.{missing['field']}".strip("."): "is required"}
    if said.startswith("Invalid enum value"):
        allowed = _words(kind, place)
        said = f"must be one of {', '.join(allowed)}" if allowed else "is not one of the allowed values"
    return {place or "body": said.replace("`", "")}


def _words(kind: type[msgspec.Struct], place: str) -> tuple[str, ...]:
    """The words that a field of the body takes, where it takes but a few."""
    hints = [field.type for field in msgspec.structs.fields(kind) if field.encode_name == place]
    return tuple(str(word) for hint in hints if get_origin(hint) is Literal for word in get_args(hint))


def _missing(sent: dict[str, Any], kind: type[msgspec.Struct], place: str = "") -> dict[str, str]:
    """Every field that is required and was not sent; msgspec names the first one alone."""
    nested = _nested(kind)
    problems: dict[str, str] = {}
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name not in sent and field.required:
            problems[f"{place}{name}"] = "is required"
        elif name in nested and isinstance(sent.get(name), dict):
            problems |= _missing(sent[name], nested[name], f"{place}{name}.")
    return problems


def _pruned(found: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    nested = _nested(kind)
    null_counts: frozenset[str] = getattr(kind, "null_counts", frozenset())
    blank_counts: frozenset[str] = getattr(kind, "blank_counts", frozenset())
    kept: dict[str, Any] = {}
    for name, value in found.items():
        if (value is None and name in null_counts) or (value == "" and name in blank_counts):
            kept[name] = value
            continue
        if value is None or value == "":
            continue
        inner = nested.get(name)
        if inner is None:
            kept[name] = value
        elif isinstance(value, dict):
            kept[name] = _pruned(value, inner)
        elif isinstance(value, list):
            kept[name] = [_pruned(item, inner) if isinstance(item, dict) else item for item in value]
        else:
            kept[name] = value
    return kept


@lru_cache(maxsize=256)
def _nested(kind: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct]]:
    """The fields, by their names on the wire, that hold structs or lists of them."""
    hints = get_type_hints(kind)
    found = {}
    for field in msgspec.structs.fields(kind):
        inner = next(_structs_in(hints[field.name]), None)
        if inner is not None:
            found[field.encode_name] = inner
    return found


def _structs_in(hint: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    elif get_origin(hint) in (list, tuple, Union, types.UnionType):
        for part in get_args(hint):
            yield from _structs_in(part)
