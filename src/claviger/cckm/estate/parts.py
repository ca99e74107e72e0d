"""A portion of the rows of secrets, or of keys, as search keeps it in memory, and how what is wanted is found in it.

What holds for whole columns comes first (vaults, facts, tags, dates), as masks; then words, the rarest first, since
they take longest. A row takes about 75 bytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from itertools import compress
from operator import attrgetter

from claviger.cckm.azure.secrets.parts.records import PartRow
from claviger.cckm.estate.columns import (
    Dates,
    Names,
    Palette,
    Tags,
    needle_in_name,
    needle_in_tags,
    needle_of_tag,
    pairs_of,
)
from claviger.cckm.estate.rules import Column, Tag, Text, Wanted, WantedFacts, byte_of
from claviger.cckm.oci.keys.parts.records import KeyPartRow
from claviger.cckm.oci.keys.parts.rules import KeyFacts

FEW = 100
"""So many rows are looked at one by one rather than all of them at once."""

_COLUMNS: tuple[Column, ...] = ("created_at", "updated_at", "expires_at", "purge_at", "azure_created_at")


class SoughtTag:
    """A tag that is asked for; remembers what it has looked at, since the same tags come in many parts."""

    def __init__(self, tag: Tag) -> None:
        self.negated = tag.negated
        self.needle = needle_of_tag(tag.name.word, None if tag.value is None else tag.value.word)
        has_star = tag.name.has_star or (tag.value is not None and tag.value.has_star)
        self.verify = self._is_in if has_star else None
        self._tag = tag
        self._known: dict[str, bool] = {}

    def _is_in(self, tags: str) -> bool:
        """Whether tags (of `text_of`) have it."""
        known = self._known.get(tags)
        if known is None:
            name, value = self._tag.name, self._tag.value
            pairs = pairs_of(tags)
            known = any(name.is_all_of(one) and (value is None or value.is_all_of(other)) for one, other in pairs)
            self._known[tags] = known
        return known


class SoughtText:
    """A word that is looked for in names, and in "any" field in tags, and in vaults: those of `vaults` have it."""

    def __init__(self, text: Text, vaults: frozenset[int]) -> None:
        self.pattern = text.pattern
        self.negated = text.negated
        self.is_any = text.field == "any"
        self.vaults = vaults
        self.needle = needle_in_name(text.pattern.word)
        self.tag_needle = needle_in_tags(text.pattern.word)
        self.verify = self._is_in_tags if text.pattern.has_star else None
        self._known: dict[str, bool] = {}

    def _is_in_tags(self, tags: str) -> bool:
        """Whether a name or a value of tags (of `text_of`) matches."""
        known = self._known.get(tags)
        if known is None:
            known = self._known[tags] = any(self.pattern.is_in(part) for pair in pairs_of(tags) for part in pair)
        return known


class Search:
    """What is wanted, made ready: the vaults that may be seen and are as wanted, and the rest for each row."""

    def __init__(self, wanted: Wanted, vaults: frozenset[int], texts: Sequence[SoughtText]) -> None:
        self.vaults = vaults
        self.texts = list(texts)
        self.tags = [SoughtTag(tag) for tag in wanted.tags]
        self.dates = wanted.dates
        self.facts = WantedFacts(wanted.facts) if wanted.facts else None

    def order_by(self, sample: Sequence[Part]) -> None:
        """Has words that few rows have looked for first, and those last that must not be there."""
        if len(self.texts) > 1:
            rows = {text: sum(part.count_having(text) for part in sample) for text in self.texts}
            self.texts.sort(key=lambda text: (text.negated, rows[text]))


class SecretFactColumn:
    """The facts of secrets, a byte each."""

    __slots__ = ("_bytes",)

    def __init__(self, rows: Sequence[PartRow]) -> None:
        self._bytes = bytes(
            byte_of(
                row.status, latest=row.latest, gone=row.gone, enabled=row.enabled, managed=row.managed, sole=row.sole
            )
            for row in rows
        )

    def mask(self, wanted: WantedFacts) -> bytes:
        """The rows that are as wanted."""
        return self._bytes.translate(wanted.table)


class KeyFactColumn:
    """The facts of keys, of which there are few different ones."""

    __slots__ = ("_palette",)

    def __init__(self, rows: Sequence[KeyPartRow]) -> None:
        self._palette: Palette[KeyFacts] = Palette(row.facts for row in rows)

    def mask(self, wanted: WantedFacts) -> bytes:
        """The rows that are as wanted."""
        return self._palette.mask([wanted.hold_for(facts) for facts in self._palette.of])


def secrets_part(rows: Sequence[PartRow]) -> Part:
    """A portion of secrets; of at least one row."""
    return Part(rows, SecretFactColumn(rows))


def keys_part(rows: Sequence[KeyPartRow]) -> Part:
    """A portion of keys; of at least one row."""
    return Part(rows, KeyFactColumn(rows))


class Part:
    """Rows in the order of their nums. Nothing in it is ever changed."""

    __slots__ = ("_dates", "_facts", "_names", "_nums", "_tags", "_vaults", "first")

    def __init__(self, rows: Sequence[PartRow | KeyPartRow], facts: SecretFactColumn | KeyFactColumn) -> None:
        self.first = rows[0].num
        self._nums = array("H", [row.num - self.first for row in rows])
        self._names = Names(row.name_key for row in rows)
        self._tags = Tags(row.tags for row in rows)
        self._vaults = Palette(row.vault_num for row in rows)
        self._facts = facts
        self._dates = {column: Dates(list(map(attrgetter(column), rows))) for column in _COLUMNS}

    def __len__(self) -> int:
        return len(self._nums)

    def num(self, row: int) -> int:
        """The num of a row of this part."""
        return self.first + self._nums[row]

    @property
    def last_made_at(self) -> int:
        """When the last of its rows was made."""
        return self._dates["created_at"].latest

    def made_at(self) -> Sequence[int]:
        """When each of its rows was made."""
        return self._dates["created_at"].in_order()

    def count_having(self, text: SoughtText) -> int:
        """How many rows have a word."""
        return len(self._having(text))

    def matching(self, search: Search) -> Sequence[int]:
        """The rows that are as wanted, in order."""
        if search.vaults.isdisjoint(self._vaults.of):
            return ()
        if not all(text.negated or self._may_have(text) for text in search.texts):
            return ()
        mask = self._mask(search)
        if mask is not None and 1 not in mask:
            return ()
        if not search.texts:
            return self._rows(mask)
        rows: Collection[int] | None = None
        if mask is not None and mask.count(1) <= FEW:
            rows = self._rows(mask)
        for text in search.texts:
            rows = self._with(text, rows, mask)
            if not rows:
                return ()
        return sorted(rows or ())

    def _rows(self, mask: bytes | None) -> list[int]:
        return list(range(len(self)) if mask is None else compress(range(len(self)), mask))

    def _mask(self, search: Search) -> bytes | None:
        """The rows that have the vault, the facts, the tags and the dates; None: all have."""
        masks: list[bytes] = []
        vaults = [num in search.vaults for num in self._vaults.of]
        if not all(vaults):
            masks.append(self._vaults.mask(vaults))
        if search.facts is not None:
            masks.append(self._facts.mask(search.facts))
        for tag in search.tags:
            found = self._tags.mask(tag.needle, tag.verify)
            if not tag.negated:
                masks.append(found or bytes(len(self)))
            elif found is not None:
                masks.append(found.translate(_NOT))
            if masks and 1 not in masks[-1]:
                return masks[-1]
        for date in search.dates:
            found = self._dates[date.column].mask(date.low, date.high)
            masks.append(found.translate(_NOT) if date.negated else found)
        return _both(masks)

    def _may_have(self, text: SoughtText) -> bool:
        """Whether any row may have a word, as far as that is soon told."""
        return self._names.have(text.needle) or (
            text.is_any and (self._tags.have(text.tag_needle) or not text.vaults.isdisjoint(self._vaults.of))
        )

    def _with(self, text: SoughtText, rows: Collection[int] | None, mask: bytes | None) -> Collection[int]:
        """Those of the rows (None: those of the mask, None: all) that have a word, or do not have it."""
        if rows is not None and len(rows) <= FEW:
            return self._looked_at(text, rows)
        found = self._having(text)
        if text.negated:
            return set(self._rows(mask) if rows is None else rows) - found
        if rows is not None:
            return found.intersection(rows)
        return found if mask is None else {row for row in found if mask[row]}

    def _having(self, text: SoughtText) -> set[int]:
        """The rows that have a word."""
        found = self._names.having(text.needle)
        if text.pattern.has_star:
            found = {row for row in found if text.pattern.is_in(self._names.name(row))}
        elsewhere = self._elsewhere(text)
        if elsewhere is not None:
            found.update(self._rows(elsewhere))
        return found

    def _looked_at(self, text: SoughtText, rows: Collection[int]) -> Collection[int]:
        """Those of a few rows that have a word, or do not have it, one by one."""
        names, needle, has_star = self._names, text.needle, text.pattern.has_star
        elsewhere = self._elsewhere(text)
        return [
            row
            for row in rows
            if (
                (elsewhere is not None and elsewhere[row] == 1)
                or (names.has(row, needle) and (not has_star or text.pattern.is_in(names.name(row))))
            )
            is not text.negated
        ]

    def _elsewhere(self, text: SoughtText) -> bytes | None:
        """The rows that have a word in their tags or their vault; None where there are none."""
        if not text.is_any:
            return None
        tagged = self._tags.mask(text.tag_needle, text.verify)
        if text.vaults.isdisjoint(self._vaults.of):
            return tagged
        there = self._vaults.mask([num in text.vaults for num in self._vaults.of])
        return there if tagged is None else bytes(map(max, there, tagged))


_NOT = bytes([1, 0]).ljust(256, b"\0")


def _both(masks: Sequence[bytes]) -> bytes | None:
    if len(masks) < 2:
        return masks[0] if masks else None
    both = int.from_bytes(masks[0], "little")
    for mask in masks[1:]:
        both &= int.from_bytes(mask, "little")
    return both.to_bytes(len(masks[0]), "little")
