"""List calls: skip, limit, sort and filters in; the envelope of one page out (CCKM contract §4).

Collections of up to some thousands (users, connections, vaults) are filtered and sorted here, in memory. Secrets, of
which there may be a million, have a way of their own (`azure/secrets/listing.py`) with the same envelope and words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

import msgspec

from claviger.cckm.calls import Parameter, Query
from claviger.cckm.errors import validation
from claviger.core.errors import Invalid

T = TypeVar("T")

DEFAULT_LIMIT = 10
MOST_AT_ONCE = 50_000
FARTHEST = 1_000_000_000

PAGING = (
    Parameter("skip", "integer", "How many records to skip.", default=0, least=0, most=FARTHEST),
    Parameter(
        "limit", "integer", "How many records to return; -1 for all.", default=DEFAULT_LIMIT, least=-1, most=FARTHEST
    ),
    Parameter("sort", "string", "Comma-separated properties to sort by; a leading - reverses."),
)


class Page(msgspec.Struct, frozen=True):
    """The envelope of every list. `total` counts all matches, before paging."""

    skip: int
    limit: int
    total: int
    resources: Sequence[Any]


class Window(msgspec.Struct, frozen=True):
    """Which part of a list is asked for. `limit` -1 is all."""

    skip: int
    limit: int

    def count_of(self, total: int) -> int:
        """How many of `total` matches are on the page. Raises Invalid("TooMany") for more than fit one answer."""
        left = max(0, total - self.skip)
        count = left if self.limit == -1 else min(left, self.limit)
        if count > MOST_AT_ONCE:
            raise Invalid(
                "TooMany", message=f"{count} records do not fit one answer; use skip and a limit up to {MOST_AT_ONCE}"
            )
        return count


def window_of(query: Query) -> Window:
    """`skip` and `limit` of a call. Raises Invalid("Validation")."""
    return Window(query.integer("skip", 0, 0, FARTHEST), query.integer("limit", DEFAULT_LIMIT, -1, FARTHEST))


def sort_of(query: Query, allowed: Iterable[str], default: str) -> list[tuple[str, bool]]:
    """The properties to sort by, each with whether it descends. Raises Invalid("Validation") for an unknown one."""
    names = list(allowed)
    found: list[tuple[str, bool]] = []
    for part in (query.one("sort") or default).split(","):
        word = part.strip()
        name = word.removeprefix("-").strip()
        if name not in names:
            raise validation({"sort": f"must be one of {', '.join(names)}, each with an optional leading -"})
        if name not in [known for known, _ in found]:
            found.append((name, word.startswith("-")))
    return found


@lru_cache(maxsize=512)
def pattern_of(text: str) -> re.Pattern[str]:
    """What a filter with `*` in it matches, in any case.

    Each piece is taken where it comes first, and never looked for again: the time is that of one pass, whatever the
    filter and the text are.
    """
    first, *middle = (re.escape(part) for part in re.split(r"\*+", text))
    last = f".*{middle.pop()}" if middle else ""
    between = "".join(f"(?>.*?{part})" for part in middle)
    return re.compile(f"{first}{between}{last}", re.IGNORECASE | re.DOTALL)


def matches(value: object, wanted: Sequence[str]) -> bool:
    """Whether a record's value is one of those wanted, in any case: as a whole, or by `*` (CCKM contract §4).

    Lists match by any of their items.
    """
    if isinstance(value, (list, tuple, frozenset)):
        return any(matches(item, wanted) for item in value)
    text = (
        {True: "true", False: "false", None: ""}.get(value) if value is None or isinstance(value, bool) else str(value)
    )
    folded = (text or "").casefold()
    return any(pattern_of(word).fullmatch(text or "") if "*" in word else word.casefold() == folded for word in wanted)


def _in_order(value_of: Callable[[T], object], item: T) -> tuple[int, float, str]:
    """What a filter looks at, to be compared with others: nothing first, then numbers, then texts in any case."""
    value = value_of(item)
    if value is None:
        return 0, 0, ""
    return (1, value, "") if isinstance(value, (bool, int, float)) else (2, 0, str(value).casefold())


def page_of(
    items: Iterable[T],
    query: Query,
    *,
    filters: Mapping[str, Callable[[T], object]],
    sorts: Mapping[str, Callable[[T], Any]],
    default_sort: str,
    shown: Callable[[T], Any],
) -> Page:
    """One page of a small collection. Filters are ANDed, repeated values of one ORed. Raises Invalid.

    What can be filtered by can be sorted by too; `sorts` has what more there is, and what is sorted in its own way.
    """
    window = window_of(query)
    order = sort_of(query, [*sorts, *(name for name in filters if name not in sorts)], default_sort)
    asked = {name: query.all(name) for name in filters if query.all(name)}
    found = [item for item in items if all(matches(filters[name](item), words) for name, words in asked.items())]
    for name, descending in reversed(order):
        found.sort(key=sorts[name] if name in sorts else partial(_in_order, filters[name]), reverse=descending)
    count = window.count_of(len(found))
    return Page(window.skip, window.limit, len(found), [shown(i) for i in found[window.skip : window.skip + count]])
