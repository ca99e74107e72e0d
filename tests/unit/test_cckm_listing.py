"""Pages of small collections: what fits a filter, and what they can be sorted by (CCKM contract §4)."""

from __future__ import annotations

from typing import Any

import pytest

from claviger.cckm.calls import Query
from claviger.cckm.listing import page_of
from claviger.core.errors import Invalid

THINGS: list[dict[str, Any]] = [
    {"name": "Straße", "size": 10, "is_on": True, "of": ["a", "B"]},
    {"name": "beta", "size": 9, "is_on": False, "of": []},
    {"name": "Alpha", "size": None, "is_on": True, "of": ["b"]},
]
GETTERS: Any = {field: lambda thing, field=field: thing[field] for field in ("name", "size", "is_on", "of")}


def names(*pairs: tuple[str, str]) -> list[str]:
    page = page_of(
        THINGS,
        Query(pairs),
        filters=GETTERS,
        sorts={"last": lambda thing: thing["name"][-1]},
        default_sort="last",
        shown=lambda thing: thing["name"],
    )
    return list(page.resources)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ([("name", "ALPHA")], ["Alpha"]),
        ([("name", "STRASSE"), ("name", "bet*")], ["beta", "Straße"]),
        ([("name", "alph")], []),
        ([("of", "b"), ("is_on", "true")], ["Alpha", "Straße"]),
        ([("size", "9")], ["beta"]),
    ],
    ids=["case", "any of two", "not a part", "both", "number"],
)
def test_a_filter_takes_the_whole_value_in_any_case(query: list[tuple[str, str]], found: list[str]) -> None:
    assert names(*query) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("name", ["Alpha", "beta", "Straße"]),
        ("-size", ["Straße", "beta", "Alpha"]),
        ("is_on,-name", ["beta", "Straße", "Alpha"]),
        ("-last,name", ["Straße", "Alpha", "beta"]),
    ],
)
def test_whatever_is_filtered_by_can_be_sorted_by(order: str, found: list[str]) -> None:
    assert names(("sort", order)) == found


def test_nothing_else_can_be_sorted_by() -> None:
    with pytest.raises(Invalid):
        names(("sort", "colour"))
