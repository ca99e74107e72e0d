"""What the parts of a search stand for, apart from any index: words, tags, facts and dates (docs/search.md). Pure.

A `Wanted` is what a query asks for; all of it has to hold. `language.py` reads it from what a caller has typed, and
`parts.py` finds the rows for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from claviger.cckm.listing import pattern_of

LONGEST_QUERY = 500
MOST_TERMS = 20
EXACT_UP_TO = 10_000
"""So many matches of words are counted. Finding the rest of them would take longer than anybody looks at them."""

Field = Literal["any", "name", "vault", "region", "cloud"]
Column = Literal["created_at", "updated_at", "expires_at", "purge_at", "azure_created_at"]

NEVER_ENDS = 2**62

STATUSES: Mapping[str, int] = {"AVAILABLE": 0, "SOFT-DELETED": 1, "DELETED": 2}
_STATUS_BITS = 3
LATEST, GONE, ENABLED, MANAGED, SOLE = 4, 8, 16, 32, 64
"""A row's facts in one byte: the status, and a bit for each of these."""

FACTS: Mapping[str, tuple[int, bool]] = {
    "enabled": (ENABLED, True),
    "disabled": (ENABLED, False),
    "managed": (MANAGED, True),
    "gone": (GONE, True),
    "latest": (LATEST, True),
    "never-rotated": (SOLE, True),
}
"""What `is:` may be followed by, beside `expired`, with the bit that tells."""


class Pattern:
    """A word in lower case; a `*` in it stands for any characters, and then it has to match the whole."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.has_star = "*" in word

    def is_in(self, text: str) -> bool:
        """Whether it matches a text (in lower case), somewhere in it where there is no `*`."""
        return pattern_of(self.word).fullmatch(text) is not None if self.has_star else self.word in text

    def is_all_of(self, text: str) -> bool:
        """Whether it matches the whole text (in lower case)."""
        return pattern_of(self.word).fullmatch(text) is not None if self.has_star else self.word == text

    def __repr__(self) -> str:
        return f"Pattern({self.word!r})"


class Text(msgspec.Struct, frozen=True):
    """A word that is looked for; in "any" field: in the name, the tags and the vault's name."""

    field: Field
    pattern: Pattern
    negated: bool = False


class Tag(msgspec.Struct, frozen=True):
    """A tag by its name and, where that is asked for, its value."""

    name: Pattern
    value: Pattern | None
    negated: bool = False


class Date(msgspec.Struct, frozen=True):
    """A date from `low` on and before `high`, in whole seconds since 1970. No date is in no part of time."""

    column: Column
    low: int
    high: int
    negated: bool = False


class Fact(msgspec.Struct, frozen=True):
    """Which of the bits have to be how; `mask` 3 is the status."""

    mask: int
    bits: int
    negated: bool = False


class Wanted(msgspec.Struct, frozen=True):
    """All that has to hold."""

    texts: Sequence[Text] = ()
    tags: Sequence[Tag] = ()
    dates: Sequence[Date] = ()
    facts: Sequence[Fact] = ()

    def and_also(self, dates: Sequence[Date], facts: Sequence[Fact]) -> Wanted:
        """The same and more."""
        return Wanted(self.texts, self.tags, [*self.dates, *dates], [*self.facts, *facts])

    @property
    def bytes_that_hold(self) -> bytes:
        """For each byte of facts a 1 where they are as wanted, else a 0: a table for `bytes.translate`."""
        return bytes(
            all((byte & fact.mask == fact.bits) is not fact.negated for fact in self.facts) for byte in range(256)
        )


def byte_of(status: str, *, latest: bool, gone: bool, enabled: bool, managed: bool, sole: bool) -> int:
    """The facts of a row."""
    bits = {LATEST: latest, GONE: gone, ENABLED: enabled, MANAGED: managed, SOLE: sole}
    return STATUSES[status] + sum(bit for bit, is_so in bits.items() if is_so)


def has_status(status: str, *, negated: bool = False) -> Fact:
    """That a row has this status, one of STATUSES."""
    return Fact(_STATUS_BITS, STATUSES[status], negated)


def is_so(word: str, *, negated: bool = False) -> Fact:
    """That one of FACTS is so."""
    bit, wanted = FACTS[word]
    return Fact(bit, bit if wanted else 0, negated)
