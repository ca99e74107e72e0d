"""The columns of a portion of rows as search keeps them: names, tags, vaults and dates, packed closely.

Each can tell which of the rows have something, of all at once and by what is written in C: that is what makes a search
through a million rows take some ten milliseconds. A mask is a `bytes` with a 1 for each row that has it, and a 0 else.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

_NARROW = 2**32
_BYTE = 256
_NAME, _VALUE, _LINE = "\x1e", "\x1f", "\n"
_NOT_IN_TAGS = str.maketrans(_NAME + _VALUE + _LINE, "   ")


class Names:
    """Names in lower case, one a line of one text."""

    __slots__ = ("_starts", "_text")

    def __init__(self, names: Iterable[str]) -> None:
        lines = [name.encode() for name in names]
        self._text = b"\n" + b"\n".join(lines) + b"\n"
        self._starts = array("I", accumulate((len(line) + 1 for line in lines), initial=1))

    def have(self, needle: bytes) -> bool:
        """Whether any has it. A needle may begin or end with the end of a line."""
        return needle in self._text

    def name(self, row: int) -> str:
        """One of them."""
        return self._text[self._starts[row] : self._starts[row + 1] - 1].decode()

    def has(self, row: int, needle: bytes) -> bool:
        """Whether one of them has it."""
        return self._text.find(needle, self._starts[row] - 1, self._starts[row + 1]) >= 0

    def having(self, needle: bytes) -> set[int]:
        """Those that have it."""
        return _lines_with(self._text, needle)


class Palette(Generic[T]):
    """What few of many have: the different ones (`of`), and for each row the number of its own."""

    __slots__ = ("_codes", "of")

    def __init__(self, values: Iterable[T]) -> None:
        numbers: dict[T, int] = {}
        codes = [numbers.setdefault(value, len(numbers)) for value in values]
        self.of: Sequence[T] = tuple(numbers)
        self._codes: bytes | array[int] = bytes(codes) if len(numbers) <= _BYTE else array("H", codes)

    def code(self, row: int) -> int:
        """The number of what a row has."""
        return self._codes[row]

    def mask(self, right: Sequence[int]) -> bytes:
        """The rows that have one of those that are right, of `of`."""
        if isinstance(self._codes, bytes):
            return self._codes.translate(bytes(right).ljust(_BYTE, b"\0"))
        return bytes([right[code] for code in self._codes])


class Tags:
    """Tags in lower case. The different ones are lines of one text, as names are."""

    __slots__ = ("_count", "_palette", "_text")

    def __init__(self, tags: Iterable[Mapping[str, str]]) -> None:
        self._palette = Palette(text_of(each) for each in tags)
        self._text = f"{_LINE}{_LINE.join(self._palette.of)}{_LINE}".encode()
        self._count = len(self._palette.of)
        self._palette.of = ()  # it stands in the text

    def have(self, needle: bytes) -> bool:
        """Whether any has it, of what `text_of` makes."""
        return needle in self._text

    def mask(self, needle: bytes, is_right: Callable[[str], bool] | None) -> bytes | None:
        """The rows whose tags have the needle, and are right (of `text_of`); None where there are none."""
        lines = _lines_with(self._text, needle)
        if lines and is_right is not None:
            tags = self._text.decode().split(_LINE)
            lines = {line for line in lines if is_right(tags[line + 1])}
        if not lines:
            return None
        right = bytearray(self._count)
        for line in lines:
            right[line] = 1
        return self._palette.mask(right)


class Dates:
    """A date of each row in whole seconds since 1970, in the order of the dates; 0 is none."""

    __slots__ = ("_at", "_rows")

    def __init__(self, values: Sequence[int]) -> None:
        rows = sorted(range(len(values)), key=values.__getitem__)
        is_narrow = values[rows[0]] >= 0 and values[rows[-1]] < _NARROW
        self._rows = array("H", rows)
        self._at = array("I" if is_narrow else "q", [values[row] for row in rows])

    def in_order(self) -> Sequence[int]:
        """The dates of all rows, by row."""
        found = array("q", bytes(8 * len(self._at)))
        for row, at in zip(self._rows, self._at, strict=True):
            found[row] = at
        return found

    @property
    def latest(self) -> int:
        """The latest of all."""
        return self._at[-1]

    def mask(self, low: int, high: int) -> bytes:
        """The rows whose dates lie from `low` on and before `high`."""
        first = bisect_left(self._at, low)
        end = max(first, bisect_left(self._at, high))
        count = len(self._at)
        is_most = 2 * (end - first) > count
        others = self._rows[:first] + self._rows[end:] if is_most else self._rows[first:end]
        mask = bytearray([is_most]) * count
        for row in others:
            mask[row] = not is_most
        return bytes(mask)


def _lines_with(text: bytes, needle: bytes) -> set[int]:
    """The lines that have a needle, by the ends of lines between its places. A text begins with the end of one."""
    if needle not in text:
        return set()
    inside = needle.count(b"\n")
    ends = [piece.count(b"\n") + inside for piece in text.split(needle)[:-1]]
    before = inside + (0 if needle.startswith(b"\n") else 1)
    return {end - before for end in accumulate(ends)}


def text_of(tags: Mapping[str, str]) -> str:
    """Tags as one line in lower case, in which no word reaches from one name or value into another."""
    if not tags:  # as about half of all rows are
        return ""
    told = ((name.translate(_NOT_IN_TAGS), value.translate(_NOT_IN_TAGS)) for name, value in sorted(tags.items()))
    return "".join([f"{_NAME}{name}{_VALUE}{value}" for name, value in told]).lower() + _NAME


def pairs_of(text: str) -> list[list[str]]:
    """The names and values of `text_of`, in lower case."""
    return [pair.split(_VALUE, 1) for pair in text.split(_NAME)[1:-1]]


def needle_in_name(word: str) -> bytes:
    """What has to lie in the text of `Names` wherever a word does: of a word with `*`, its longest piece."""
    pieces = re.split(r"\*+", word)
    if len(pieces) == 1:
        return word.encode()
    ends = (f"\n{pieces[0]}" if pieces[0] else "", f"{pieces[-1]}\n" if pieces[-1] else "")
    return max(ends[0], *pieces[1:-1], ends[1], key=len).encode()


def needle_in_tags(word: str) -> bytes:
    """The same in the text of tags."""
    return max(re.split(r"\*+", word), key=len).encode()


def needle_of_tag(name: str, value: str | None) -> bytes:
    """The same of a tag as a whole."""
    if "*" in name:
        return needle_in_tags(name)
    if value is None or "*" in value:
        return f"{_NAME}{name}{_VALUE}".encode()
    return f"{_NAME}{name}{_VALUE}{value}{_NAME}".encode()
