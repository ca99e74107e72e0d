"""Reads what somebody has typed into a search: words, `field:word`, dates to compare with, quotes, and `-` for not.

The language is described for users in docs/search.md. Whatever cannot be read is refused with a sentence that says
which part of it and what would do; nothing is guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from claviger.cckm.azure.secrets.rules import LATEST_TIME
from claviger.cckm.azure.secrets.wire import epoch
from claviger.cckm.errors import validation
from claviger.cckm.estate.rules import (
    LONGEST_QUERY,
    MOST_TERMS,
    NEVER_ENDS,
    WORDS_OF,
    Column,
    Date,
    Fact,
    FactField,
    Field,
    Pattern,
    Tag,
    Text,
    Wanted,
)
from claviger.core.errors import Invalid

DAY_S = 86_400
_TOKEN = re.compile(r'\s*(?P<token>(?:[^\s"]|"[^"]*")+)')
_HEAD = re.compile(r"(?P<field>[A-Za-z][A-Za-z-]*)(?P<sign>:|<=|>=|<|>|=)(?P<rest>.*)", re.DOTALL)
_LENGTH = re.compile(r"(?P<count>[0-9]{1,5})(?P<unit>[hdwy])", re.ASCII)
_UNITS_S: Mapping[str, int] = {"h": 3600, "d": DAY_S, "w": 7 * DAY_S, "y": 365 * DAY_S}
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_FLIPPED: Mapping[str, str] = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}

TEXT_FIELDS: Mapping[str, Field] = {"name": "name", "vault": "vault", "region": "region", "cloud": "cloud"}
DATE_FIELDS: Mapping[str, Column] = {
    "created": "created_at",
    "updated": "updated_at",
    "expires": "expires_at",
    "final": "purge_at",
    "age": "azure_created_at",
}
_LOOKS_BACK = frozenset({"created", "updated", "age"})
FACT_FIELDS: Mapping[str, FactField] = {
    "kind": "kind",
    "status": "status",
    "state": "status",
    "is": "is",
    "algorithm": "algorithm",
    "mode": "mode",
}
_FIELDS = (*TEXT_FIELDS, "tag", *FACT_FIELDS, *DATE_FIELDS)


class _Term(NamedTuple):
    """One part of a query: `field` is empty for a plain word."""

    shown: str
    negated: bool
    field: str
    sign: str
    word: str


def wanted_of(query: str, now: float) -> Wanted:
    """What a query asks for at this time (epoch seconds). Raises Invalid("Validation")."""
    if len(query) > LONGEST_QUERY:
        raise _refused(f"may have at most {LONGEST_QUERY} characters")
    if not query.replace("\t", " ").isprintable():
        raise _refused("may hold printable characters only")
    terms = _terms(query)
    if len(terms) > MOST_TERMS:
        raise _refused(f"may have at most {MOST_TERMS} words")
    texts: list[Text] = []
    tags: list[Tag] = []
    dates: list[Date] = []
    facts: list[Fact] = []
    for term in terms:
        made = _made(term, int(now))
        for kind, those in ((Text, texts), (Tag, tags), (Date, dates), (Fact, facts)):
            if isinstance(made, kind):
                those.append(made)  # type: ignore[arg-type]  # each of its kind
    return Wanted(texts, tags, dates, facts)


def _terms(query: str) -> list[_Term]:
    terms = []
    at = 0
    query = query.rstrip()
    while at < len(query):
        found = _TOKEN.match(query, at)
        if found is None:
            raise _refused('has a quotation mark " that is not closed')
        at = found.end()
        terms.append(_term(found["token"]))
    return terms


def _term(token: str) -> _Term:
    negated = len(token) > 1 and token.startswith("-")
    body = token[1:] if negated else token
    head = _HEAD.fullmatch(body)
    field = "" if head is None else head["field"].lower()
    if head is None or head["rest"].startswith(":") or (head["sign"] != ":" and field not in DATE_FIELDS):
        return _Term(token, negated, "", "", _word(token, body))
    if field not in _FIELDS:
        raise _refused(f"{_cut(token)} is not understood; fields are {', '.join(_FIELDS)}; or put it in quotes")
    return _Term(token, negated, field, head["sign"], _word(token, head["rest"]))


def _word(token: str, text: str) -> str:
    word = text.replace('"', "").lower()
    if not word.strip("*"):
        raise _refused(f"{_cut(token)} lacks a word to look for")
    return word


def _made(term: _Term, now: int) -> Text | Tag | Date | Fact:
    if term.field == "":
        return Text("any", Pattern(term.word), term.negated)
    if term.field in TEXT_FIELDS:
        return Text(TEXT_FIELDS[term.field], Pattern(term.word), term.negated)
    if term.field in DATE_FIELDS:
        return _date(term, now)
    return _tag(term) if term.field == "tag" else _fact(term, now)


def _tag(term: _Term) -> Tag:
    name, mark, value = term.word.partition("=")
    if not name:
        raise _refused(f"{_cut(term.shown)} lacks the tag's name")
    return Tag(Pattern(name), Pattern(value) if mark else None, term.negated)


def _fact(term: _Term, now: int) -> Date | Fact:
    field = FACT_FIELDS[term.field]
    if field == "is" and term.word == "expired":
        return Date("expires_at", 1, now, term.negated)
    word = term.word.replace("_", "-")
    if word not in WORDS_OF[field]:
        known = ", ".join((*WORDS_OF[field], *(["expired"] if field == "is" else [])))
        raise _refused(f"{_cut(term.shown)} is not understood; {term.field}: is followed by {known}")
    return Fact(field, word, term.negated)


def _date(term: _Term, now: int) -> Date:
    column = DATE_FIELDS[term.field]
    if term.word == "never" and term.sign == ":":
        return Date(column, 1, NEVER_ENDS, not term.negated)
    sign = "=" if term.sign == ":" else term.sign
    length = _LENGTH.fullmatch(term.word)
    if length is not None:
        if sign == "=":
            raise _refused(f"{_cut(term.shown)} needs < or > before a length of time")
        seconds = int(length["count"]) * _UNITS_S[length["unit"]]
        if term.field in _LOOKS_BACK:
            first, unit, sign = now - seconds, 1, _FLIPPED[sign]
        else:
            first, unit = now + seconds, 1
    else:
        at = None if term.field == "age" or term.word.lstrip("-").isdigit() else epoch(term.word)
        if at is None or not 0 <= at <= LATEST_TIME:
            raise _refused(f"{_cut(term.shown)} is not understood; {_dates_of(term.field)}")
        first, unit = at, DAY_S if _DATE.fullmatch(term.word) else 1
    low, high = {
        "<": (1, first),
        "<=": (1, first + unit),
        ">": (first + unit, NEVER_ENDS),
        ">=": (first, NEVER_ENDS),
        "=": (first, first + unit),
    }[sign]
    return Date(column, max(low, 1), high, term.negated)


def _dates_of(field: str) -> str:
    if field == "age":
        return "age is compared with a length of time, as in age>90d"
    return f"{field} is compared with a date or a length of time, as in {field}>2026-01-31 or {field}<30d"


def _cut(token: str) -> str:
    return token if len(token) <= 60 else f"{token[:60]}..."


def _refused(problem: str) -> Invalid:
    return validation({"q": problem})
