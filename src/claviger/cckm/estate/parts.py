"""A portion of the rows of secrets as search keeps it in memory, and how what is wanted is found in it.

A million rows are looked through in some ten milliseconds because nothing is done row by row that can be done for all
rows of a portion at once by what is written in C: names lie one after the other in one `bytes`, facts are a byte each,
and vaults and tags, of which a portion has few, are numbers of a byte each that stand for what the portion has. A row
takes about 60 bytes.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate, compress
from typing import Generic, TypeVar

from claviger.cckm.azure.secrets.parts.records import PartRow
from claviger.cckm.estate.rules import Column, Date, Pattern, Tag, Text, Wanted, byte_of

T = TypeVar("T", int, str)

FEW = 40
"""So many rows are looked at one by one rather than all of them at once."""

_NAME, _VALUE = "\x1e", "\x1f"
_NOT_IN_TAGS = str.maketrans(_NAME + _VALUE, "  ")
_NARROW = 2**32
_COLUMNS: tuple[Column, ...] = ("created_at", "updated_at", "expires_at", "purge_at", "azure_created_at")


class Palette(Generic[T]):
    """What few of many have: the different ones, and for each row the number of its own."""

    __slots__ = ("codes", "of")

    def __init__(self, values: Iterable[T]) -> None:
        numbers: dict[T, int] = {}
        codes = [numbers.setdefault(value, len(numbers)) for value in values]
        self.of = tuple(numbers)
        self.codes: bytes | array[int] = bytes(codes) if len(numbers) <= 256 else array("H", codes)

    def holding(self, right: Sequence[bool]) -> bytes:
        """For each row a 1 or a 0, as it is in `right` for what the row has."""
        if isinstance(self.codes, bytes):
            return self.codes.translate(bytes(right).ljust(256, b"\0"))
        return bytes([right[code] for code in self.codes])


class Part:
    """Rows in the order of their nums. Nothing in it is ever changed."""

    __slots__ = ("_dates", "_facts", "_names", "_nums", "_starts", "_tags", "_vaults", "first")

    def __init__(self, rows: Sequence[PartRow]) -> None:
        """Of at least one row."""
        self.first = rows[0].num
        self._nums = array("H", [row.num - self.first for row in rows])
        names = [row.name_key.encode() for row in rows]
        self._names = b"\n" + b"\n".join(names) + b"\n"
        self._starts = array("I", accumulate((len(name) + 1 for name in names), initial=1))
        self._facts = bytes(
            byte_of(
                row.status, latest=row.latest, gone=row.gone, enabled=row.enabled, managed=row.managed, sole=row.sole
            )
            for row in rows
        )
        self._vaults = Palette(row.vault_num for row in rows)
        self._tags = Palette(text_of(row.tags) for row in rows)
        self._dates: Mapping[Column, array[int]] = {
            column: _packed([getattr(row, column) for row in rows]) for column in _COLUMNS
        }

    def __len__(self) -> int:
        return len(self._facts)

    def num(self, row: int) -> int:
        """The num of a row of this part."""
        return self.first + self._nums[row]

    def matching(self, search: Search) -> Sequence[int]:
        """The rows that are as wanted, in order."""
        if search.vaults.isdisjoint(self._vaults.of):
            return ()
        mask = self._mask(search)
        rows: Collection[int] | None = None
        if mask is not None:
            count = mask.count(1)
            if not count:
                return ()
            if count <= FEW:
                rows = list(compress(range(len(mask)), mask))
        if not search.texts:
            return _rows(range(len(self)), mask) if rows is None else list(rows)
        if rows is None and not all(text.negated or self._may_have(text) for text in search.texts):
            return ()
        for text in search.texts:
            if rows is not None and len(rows) <= FEW:
                rows = [row for row in rows if self._has(row, text) is not text.negated]
            elif not text.negated:
                found = self._having(text)
                if rows is None:
                    rows = found if mask is None else {row for row in found if mask[row]}
                else:
                    rows = found.intersection(rows)
            else:
                rows = set(_rows(range(len(self)), mask) if rows is None else rows) - self._having(text)
            if not rows:
                return ()
        return sorted(rows or ())

    # what is true of all rows of a fact, a vault, a tag or a time at once

    def _mask(self, search: Search) -> bytes | None:
        """A 1 for each row that has the vault, the facts, the tags and the dates; None: all have."""
        masks: list[bytes] = []
        vaults = [num in search.vaults for num in self._vaults.of]
        if not all(vaults):
            masks.append(self._vaults.holding(vaults))
        if search.facts is not None:
            masks.append(self._facts.translate(search.facts))
        for tag in search.tags:
            masks.append(self._tags.holding([tag.is_in(tags) for tags in self._tags.of]))
        for date in search.dates:
            if masks and 1 not in masks[-1]:
                break
            masks.append(self._within(date))
        return _both(masks)

    def _within(self, date: Date) -> bytes:
        dates = self._dates[date.column]
        low, high, inside = date.low, date.high, not date.negated
        if len(dates) == 1:  # the same for all rows
            return bytes([(low <= dates[0] < high) is inside]) * len(self)
        return bytes([(low <= at < high) is inside for at in dates])

    # words

    def _may_have(self, text: SoughtText) -> bool:
        """Whether any row of the part has a word, as far as that is soon told."""
        return text.needle in self._names or (
            text.is_any and (any(map(text.is_in_tags, self._tags.of)) or not text.vaults.isdisjoint(self._vaults.of))
        )

    def _having(self, text: SoughtText) -> set[int]:
        """The rows that have a word."""
        found = self._named(text)
        if text.is_any:
            tags = [text.is_in_tags(tags) for tags in self._tags.of]
            if any(tags):
                found.update(_rows(range(len(self)), self._tags.holding(tags)))
            if not text.vaults.isdisjoint(self._vaults.of):
                vaults = [num in text.vaults for num in self._vaults.of]
                found.update(_rows(range(len(self)), self._vaults.holding(vaults)))
        return found

    def _named(self, text: SoughtText) -> set[int]:
        """The rows whose names match: by the lines that lie between one place of the needle and the next."""
        needle = text.needle
        if needle not in self._names:
            return set()
        inside = needle.count(b"\n")
        lines = [piece.count(b"\n") + inside for piece in self._names.split(needle)[:-1]]
        before = inside + (0 if needle.startswith(b"\n") else 1)
        found = {line - before for line in accumulate(lines)}
        if not text.pattern.has_star:
            return found
        return {row for row in found if text.pattern.is_all_of(self._name(row))}

    def _name(self, row: int) -> str:
        return self._names[self._starts[row] : self._starts[row + 1] - 1].decode()

    def _has(self, row: int, text: SoughtText) -> bool:
        if text.pattern.is_in(self._name(row)):
            return True
        return text.is_any and (
            text.is_in_tags(self._tags.of[self._tags.codes[row]])
            or self._vaults.of[self._vaults.codes[row]] in text.vaults
        )


class SoughtTag:
    """A tag that is asked for; remembers what it has looked at, since the same tags come in many parts."""

    def __init__(self, tag: Tag) -> None:
        self._tag = tag
        self._known: dict[str, bool] = {}

    def is_in(self, tags: str) -> bool:
        """Whether tags (of `text_of`) are as asked for."""
        known = self._known.get(tags)
        if known is None:
            tag = self._tag
            has = any(
                tag.name.is_all_of(name) and (tag.value is None or tag.value.is_all_of(value))
                for name, value in pairs_of(tags)
            )
            known = self._known[tags] = has is not tag.negated
        return known


class SoughtText:
    """A word that is looked for in names, and in "any" field in tags, and in vaults: those of `vaults` have it."""

    def __init__(self, text: Text, vaults: frozenset[int]) -> None:
        self.pattern: Pattern = text.pattern
        self.negated = text.negated
        self.is_any = text.field == "any"
        self.vaults = vaults
        self.needle = _needle(text.pattern.word)
        self._known: dict[str, bool] = {}

    def is_in_tags(self, tags: str) -> bool:
        """Whether a name or a value of tags (of `text_of`) matches."""
        known = self._known.get(tags)
        if known is None:
            if self.pattern.has_star:
                known = any(self.pattern.is_in(part) for pair in pairs_of(tags) for part in pair)
            else:
                known = self.pattern.word in tags
            self._known[tags] = known
        return known


class Search:
    """What is wanted, made ready: which vaults may be seen and are as wanted, and the rest for each row."""

    def __init__(self, wanted: Wanted, vaults: frozenset[int], texts: Sequence[SoughtText]) -> None:
        self.vaults = vaults
        self.texts = texts
        self.tags = [SoughtTag(tag) for tag in wanted.tags]
        self.dates = wanted.dates
        self.facts = wanted.bytes_that_hold if wanted.facts else None


def text_of(tags: Mapping[str, str]) -> str:
    """Tags as one text in lower case, in which no word reaches from one name or value into another."""
    told = ((name.translate(_NOT_IN_TAGS), value.translate(_NOT_IN_TAGS)) for name, value in sorted(tags.items()))
    return "".join(f"{_NAME}{name}{_VALUE}{value}" for name, value in told).lower()


def pairs_of(text: str) -> Sequence[Sequence[str]]:
    """The names and values of `text_of`, in lower case."""
    return [pair.split(_VALUE, 1) for pair in text.split(_NAME)[1:]]


def _needle(word: str) -> bytes:
    """What has to lie in the names wherever the word does: of a word with `*`, its longest piece."""
    pieces = re.split(r"\*+", word)
    if len(pieces) == 1:
        return word.encode()
    ends = [f"\n{pieces[0]}" if pieces[0] else "", *pieces[1:-1], f"{pieces[-1]}\n" if pieces[-1] else ""]
    return max(ends, key=len).encode()


def _packed(values: Sequence[int]) -> array[int]:
    """One value where all are the same; 4 bytes each where that is enough."""
    if min(values) == max(values):
        return array("q", values[:1])
    return array("I" if min(values) >= 0 and max(values) < _NARROW else "q", values)


def _both(masks: Sequence[bytes]) -> bytes | None:
    if len(masks) < 2:
        return masks[0] if masks else None
    both = int.from_bytes(masks[0], "little")
    for mask in masks[1:]:
        both &= int.from_bytes(mask, "little")
    return both.to_bytes(len(masks[0]), "little")


def _rows(rows: range, mask: bytes | None) -> list[int]:
    return list(rows if mask is None else compress(rows, mask))
