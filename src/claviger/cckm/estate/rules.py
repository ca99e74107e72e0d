"""What the parts of a search stand for, apart from any index: words, tags, facts and dates (docs/search.md). Pure.

A `Wanted` is what a query asks for; all of it has to hold. `language.py` reads it from what a caller has typed, and
`parts.py` finds the rows for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from claviger.cckm.listing import pattern_of
from claviger.cckm.oci.keys.parts.rules import KeyFacts
from claviger.cckm.oci.keys.rules import ALGORITHMS, MODES, State

LONGEST_QUERY = 500
MOST_TERMS = 20
EXACT_UP_TO = 10_000
"""So many matches of words are counted. Finding the rest of them would take longer than anybody looks at them."""

Field = Literal["any", "name", "vault", "region", "cloud"]
Column = Literal["created_at", "updated_at", "expires_at", "purge_at", "azure_created_at"]

FactField = Literal["kind", "status", "is", "algorithm", "mode"]

NEVER_ENDS = 2**62

Thing = Literal["secret", "key"]
KINDS: Mapping[str, Thing] = {"secret": "secret", "azure-secret": "secret", "key": "key", "oci-key": "key"}
"""What `kind:` may be followed by."""

STATUSES: Mapping[str, int] = {"AVAILABLE": 0, "SOFT-DELETED": 1, "DELETED": 2}
_STATUS_BITS = 3
LATEST, GONE, ENABLED, MANAGED, SOLE = 4, 8, 16, 32, 64
"""The facts of a secret's row in one byte: the status, and a bit for each of these."""

STATES = tuple(state.value.replace("_", "-") for state in State)
"""The states of keys, as `status:` takes them."""
FACTS: Mapping[str, tuple[int, bool]] = {
    "enabled": (ENABLED, True),
    "disabled": (ENABLED, False),
    "managed": (MANAGED, True),
    "gone": (GONE, True),
    "latest": (LATEST, True),
    "never-rotated": (SOLE, True),
}
"""What `is:` may be followed by that secrets have, beside `expired`, with the bit that tells."""
_FACTS_OF_KEYS: Mapping[str, Callable[[KeyFacts], bool]] = {
    "enabled": lambda facts: facts.state == State.ENABLED.value,
    "disabled": lambda facts: facts.state == State.DISABLED.value,
    "gone": lambda facts: facts.is_gone,
    "auto-rotated": lambda facts: facts.is_auto_rotated,
}
WORDS_OF: Mapping[FactField, Sequence[str]] = {
    "kind": tuple(KINDS),
    "status": tuple(word.lower() for word in dict.fromkeys((*STATUSES, *STATES))),
    "is": (*FACTS, "auto-rotated"),
    "algorithm": tuple(word.lower() for word in ALGORITHMS),
    "mode": tuple(word.lower() for word in MODES),
}
"""What a field may be followed by; `is:` also by `expired`. What only the other kind can be, a thing is not."""


class Place(msgspec.Struct, frozen=True):
    """A vault. `called` is its name, in which words are looked for; `names` are others, which have to match whole."""

    num: int
    id: str
    called: str
    names: tuple[str, ...]
    region: str
    cloud_name: str


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
    """Something that is so or not, as `field:word` says it, the word in small letters."""

    field: FactField
    word: str
    negated: bool = False

    def is_of_secret(self, byte: int) -> bool:
        """Whether it is so of a secret with these facts."""
        return self._of_secret(byte) is not self.negated

    def is_of_key(self, facts: KeyFacts) -> bool:
        """Whether it is so of a key with these facts."""
        return self._of_key(facts) is not self.negated

    def _of_secret(self, byte: int) -> bool:
        if self.field == "kind":
            return KINDS[self.word] == "secret"
        if self.field == "status":
            return STATUSES.get(self.word.upper()) == byte & _STATUS_BITS
        if self.field != "is" or self.word not in FACTS:
            return False
        bit, wanted = FACTS[self.word]
        return (byte & bit != 0) is wanted

    def _of_key(self, facts: KeyFacts) -> bool:
        if self.field == "kind":
            return KINDS[self.word] == "key"
        if self.field == "status":
            return facts.state.replace("_", "-").lower() == self.word
        if self.field == "is":
            return self.word in _FACTS_OF_KEYS and _FACTS_OF_KEYS[self.word](facts)
        told = facts.algorithm if self.field == "algorithm" else facts.protection_mode
        return told.lower() == self.word


class WantedFacts:
    """Which facts are wanted, ready to be looked for in many portions."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self._facts = facts
        self.table = bytes(all(fact.is_of_secret(byte) for fact in facts) for byte in range(256))
        """For each byte of a secret's facts a 1 where they are as wanted, else a 0: for `bytes.translate`."""

    def hold_for(self, facts: KeyFacts) -> bool:
        """Whether a key's facts are as wanted."""
        return all(fact.is_of_key(facts) for fact in self._facts)


class Wanted(msgspec.Struct, frozen=True):
    """All that has to hold."""

    texts: Sequence[Text] = ()
    tags: Sequence[Tag] = ()
    dates: Sequence[Date] = ()
    facts: Sequence[Fact] = ()

    def and_also(self, dates: Sequence[Date], facts: Sequence[Fact]) -> Wanted:
        """The same and more."""
        return Wanted(self.texts, self.tags, [*self.dates, *dates], [*self.facts, *facts])


def byte_of(status: str, *, latest: bool, gone: bool, enabled: bool, managed: bool, sole: bool) -> int:
    """The facts of a row."""
    said = LATEST * latest + GONE * gone + ENABLED * enabled + MANAGED * managed + SOLE * sole
    return STATUSES[status] + said  # written out: it runs for every row that search reads
