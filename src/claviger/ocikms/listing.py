"""How OCI's lists are asked for: page size, order, and the mark of where to go on (OCI contract §2).

A page is found by its last row's sort value and number, not by counting, so it costs the same wherever it is, and stays
right while rows come and go. A mark is for the list that it came from: with another order it is refused.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from claviger.core.errors import Invalid
from claviger.ocikms.calls import DEFAULT_PAGE, MAX_PAGE, Answer, Call
from claviger.ocikms.errors import wrong

R = TypeVar("R")

MAX_MARK_LENGTH = 1024
_DESCENDING = frozenset({"TIMECREATED", "VERSION_NUMBER"})


class Page(msgspec.Struct, frozen=True):
    """What a list call asks for. `after` is the sort value and number of the last row of the page before."""

    limit: int
    by: str
    ascending: bool
    after: tuple[float | str, int] | None


def page_of(call: Call, orders: tuple[str, ...] = ("TIMECREATED", "DISPLAYNAME")) -> Page:
    """Reads `limit`, `page`, `sortBy` and `sortOrder`. The first of `orders` is the default. Raises Invalid."""
    by = call.chosen("sortBy", orders, orders[0])
    usual = "DESC" if by in _DESCENDING else "ASC"
    ascending = call.chosen("sortOrder", ("ASC", "DESC"), usual) == "ASC"
    given = call.query.get("limit") or str(DEFAULT_PAGE)
    if not (given.isascii() and given.isdigit() and len(given) <= 9 and int(given) >= 1):
        raise wrong("limit", f"must be a whole number from 1 to {MAX_PAGE}")
    mark = call.query.get("page")
    return Page(min(int(given), MAX_PAGE), by, ascending, _read(mark, by, ascending) if mark else None)


def _read(mark: str, by: str, ascending: bool) -> tuple[float | str, int]:
    try:
        if len(mark) > MAX_MARK_LENGTH:
            raise ValueError
        padded = mark.encode("ascii") + b"=" * (-len(mark) % 4)
        kept = msgspec.json.decode(base64.b64decode(padded, b"-_", validate=True), type=tuple[str, bool, Any, int])
    except (UnicodeError, binascii.Error, ValueError, msgspec.MsgspecError):
        raise _refused() from None
    was_by, was_ascending, value, num = kept
    kind: type = str if by in ("DISPLAYNAME", "NAME") else float
    if (was_by, was_ascending) != (by, ascending) or isinstance(value, bool) or not -(2**62) < num < 2**62:
        raise _refused()
    if kind is float and isinstance(value, int | float):
        return float(value), num
    if kind is str and isinstance(value, str) and "\0" not in value:
        return value, num
    raise _refused()


def _refused() -> Invalid:
    return wrong("page", "is not a page of this list")


def mark_of(page: Page, value: float | str, num: int) -> str:
    """The mark that goes on after a row."""
    told = msgspec.json.encode((page.by, page.ascending, value, num))
    return base64.urlsafe_b64encode(told).rstrip(b"=").decode()


def listed(
    page: Page, rows: Sequence[R], place: Callable[[R], tuple[float | str, int]], show: Callable[[R], Any]
) -> Answer:
    """The answer of a list, of up to `page.limit + 1` rows that were read: the one too many says that there is more."""
    there_is_more = len(rows) > page.limit
    rows = rows[: page.limit]
    following = mark_of(page, *place(rows[-1])) if there_is_more else None
    return Answer(body=[show(row) for row in rows], next_page=following, limit=page.limit)


def ordering(page: Page, columns: dict[str, str], num: str = "num") -> tuple[str, str, list[Any]]:
    """SQL for a page: the condition that goes on (or ""), `ORDER BY … LIMIT ?`, and the values of both in order.

    `columns` gives the column of each order; ties go by the column `num`, which a join has to name with its table.
    The pair is compared as one value because both databases then begin at its place in the index; split in two with OR,
    they would begin at the list's. SQLite begins at the first of equal values, since its index has no place for a rowid
    in such a comparison: a page among 50,000 keys of one microsecond takes it 10 ms.
    """
    column, sign, way = columns[page.by], ">" if page.ascending else "<", "ASC" if page.ascending else "DESC"
    condition, values = "", []
    if page.after is not None:
        condition, values = f" AND ({column}, {num}) {sign} (?, ?)", list(page.after)
    return condition, f" ORDER BY {column} {way}, {num} {way} LIMIT ?", [*values, page.limit + 1]
