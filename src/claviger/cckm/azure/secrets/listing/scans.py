"""Lists that no count tells the total of: by what few rows have, by a name with `*`, by tags of several names.

The rows that match are found by the shortest index, all of them, and sorted here. What may be many is read in portions,
between which other requests run, and remembered.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from claviger.cckm.azure.secrets.listing.dates import Dated
from claviger.cckm.azure.secrets.listing.filters import Asked, Vault
from claviger.cckm.azure.secrets.listing.records import Clause, ListReads, every
from claviger.store.contract import Row

NUMS_A_READ = 20_000
NAMES_A_READ = 20_000

_COLUMNS: Mapping[str, str] = {
    "updatedAt": "s.updated_at",
    "createdAt": "s.num",
    "secret_name": "s.name_key",
    "status": "s.status",
    "key_vault": "s.vault_num",
    "region": "s.vault_num",
}


async def scanned(
    reads: ListReads,
    facet: Clause,
    asked: Asked,
    sorts: Sequence[tuple[str, bool]],
    vaults: Mapping[int, Vault],
    *,
    few: bool = False,
) -> array[int]:
    """The nums of all rows that match, in order. `vaults` are those of the domain, by num.

    `few`: the facets that match have few rows, so that looking at all of those is a short way.
    """
    rows = await _rows(reads, facet, asked, columns_of(sorts), vaults, few=few)
    put_in_order(rows, sorts, vaults)
    return array("q", [row[0] for row in rows])


def columns_of(sorts: Sequence[tuple[str, bool]]) -> list[str]:
    """What is read of rows that are to be sorted: the num, and then a column for each property to sort by."""
    return ["s.num", *(_COLUMNS[name] for name, _ in sorts)]


def put_in_order(rows: list[Row], sorts: Sequence[tuple[str, bool]], vaults: Mapping[int, Vault]) -> None:
    """Sorts rows of these columns. Equal ones go by creation, in the direction of the last property."""
    rows.sort(key=lambda row: row[0], reverse=sorts[-1][1])
    for at, (name, descending) in reversed(list(enumerate(sorts, start=1))):
        rows.sort(key=value_of(name, at, vaults), reverse=descending)


def value_of(name: str, at: int, vaults: Mapping[int, Vault]) -> Callable[[Row], Any]:
    """What a row is sorted by for a property, whose column is the one at `at`."""
    if name == "key_vault":
        return lambda row: vaults[row[at]].name if row[at] in vaults else ""
    if name == "region":
        return lambda row: vaults[row[at]].location if row[at] in vaults else ""
    return lambda row: row[at]


async def _rows(
    reads: ListReads,
    facet: Clause,
    asked: Asked,
    columns: Sequence[str],
    vaults: Mapping[int, Vault],
    *,
    few: bool,
) -> list[Row]:
    wanted = _conditions(reads, asked, vaults)
    for first in ("s.id", "s.backup", "s.version", "s.name_key"):
        if first in wanted:
            # The index of this column is the shortest way; the others are kept out of the choice.
            rest = [_aside(column, clause) for column, clause in wanted.items() if column != first]
            return await reads.scan(columns, every([wanted[first], *rest, reads.in_facet(facet)]))
    if few:
        return await reads.scan_facets(columns, facet, every(wanted.values()))
    if asked.dates:
        return await _by_date(reads, columns, every([*wanted.values(), reads.in_facet(facet)]), asked.dates[0])
    if asked.patterns:
        return await _by_name(reads, columns, every([*wanted.values(), reads.in_facet(facet)]), asked)
    wanted.pop("tags", None)
    return await _by_num(reads, columns, every([*wanted.values(), reads.in_facet(facet)]), asked)


def _conditions(reads: ListReads, asked: Asked, vaults: Mapping[int, Vault]) -> dict[str, Clause]:
    """The conditions on rows, by the column that an index could find them by."""
    found: dict[str, Clause] = {}
    if asked.ids:
        found["s.id"] = reads.among("s.id", asked.ids)
    if asked.backups:
        found["s.backup"] = reads.among("s.backup", asked.backups)
    if asked.versions and not asked.or_latest:
        found["s.version"] = reads.among("s.version", asked.versions)
    if asked.or_latest:
        some = reads.among("s.version", asked.versions)
        found["latest"] = Clause(f"(s.latest = 1 OR {some.sql})", some.args)
    if asked.names and not asked.patterns:
        found["s.name_key"] = reads.among("s.name_key", asked.names)
    if asked.patterns:
        found["pattern"] = _pattern(reads, asked)
    if asked.secret_ids:
        found["identifier"] = _identifier(asked, vaults)
        if "s.name_key" not in found:
            found["s.name_key"] = reads.among("s.name_key", [each.name_key for each in asked.secret_ids])
    if asked.dates:
        found["dates"] = every([_within(f"+s.{date.column}", date) for date in asked.dates])
    if asked.tags:
        found["tags"] = reads.has_tag(asked)
    return found


def _aside(column: str, clause: Clause) -> Clause:
    """The same condition where no index can serve it."""
    if not column.startswith("s."):
        return clause
    return Clause(clause.sql.replace(column, f"coalesce({column}, '')", 1), clause.args)


def _within(column: str, date: Dated) -> Clause:
    return Clause(f"{column} >= ? AND {column} < ?", (date.low, date.high))


def _pattern(reads: ListReads, asked: Asked) -> Clause:
    likes = [Clause("s.name_key LIKE ? ESCAPE '!'", (_like(pattern),)) for pattern in asked.patterns]
    if asked.names:
        likes.append(reads.among("s.name_key", asked.names))
    either = " OR ".join(clause.sql for clause in likes)
    return Clause(f"({either})", tuple(arg for clause in likes for arg in clause.args))


def _identifier(asked: Asked, vaults: Mapping[int, Vault]) -> Clause:
    """Azure's identifier stands in the row's JSON; an identifier without a version stands for all of them."""
    each = []
    for wanted in asked.secret_ids:
        nums = [vault.num for vault in vaults.values() if vault.azure_name.lower() == wanted.azure_name]
        if not nums:
            continue
        end = '"' if wanted.version else "/"
        like = Clause("lower(s.details) LIKE ? ESCAPE '!'", (f'%"id":"{_escaped(wanted.text)}{end}%',))
        vault = Clause(f"+s.vault_num IN ({', '.join('?' * len(nums))})", tuple(nums))
        each.append(every([Clause("coalesce(s.name_key, '') = ?", (wanted.name_key,)), vault, like]))
    if not each:
        return Clause("1 = 0")
    either = " OR ".join(f"({clause.sql})" for clause in each)
    return Clause(f"({either})", tuple(arg for clause in each for arg in clause.args))


def _like(pattern: str) -> str:
    return "%".join(_escaped(part) for part in pattern.split("*"))


def _escaped(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


async def _by_name(reads: ListReads, columns: Sequence[str], where: Clause, asked: Asked) -> list[Row]:
    """In portions of the index of names, which tells whether a name matches without a look at its row."""
    start, stop = "", None
    if len(asked.patterns) == 1 and not asked.names:
        start = asked.patterns[0].partition("*")[0]
        stop = start[:-1] + chr(ord(start[-1]) + 1) if start and ord(start[-1]) < 127 else None
    rows: list[Row] = []
    while True:
        end = await reads.name_after(start, NAMES_A_READ)
        is_last = end is None or (stop is not None and end >= stop)
        upper = stop if is_last else end
        bounds = [Clause("s.name_key >= ?", (start,))]
        if upper is not None:
            bounds.append(Clause("s.name_key < ?", (upper,)))
        if end == start:  # more rows of one name than a portion has
            bounds, is_last = [Clause("s.name_key = ?", (start,))], False
            end = start + "\x01"
        rows += await reads.scan(columns, every([*bounds, where]), by_name=True)
        if is_last or end is None:
            return rows
        start = end
        await asyncio.sleep(0)


async def _by_date(reads: ListReads, columns: Sequence[str], where: Clause, date: Dated) -> list[Row]:
    """In portions of the index of a date, from its first to its last."""
    place = f"(s.{date.column}, s.num)"
    start: Row = (date.low, 0)  # numbers of rows begin at 1
    rows: list[Row] = []
    while True:
        end = await reads.date_after(date.column, start, date.high, NUMS_A_READ)
        bounds = [Clause(f"{place} > (?, ?)", start), Clause(f"s.{date.column} < ?", (date.high,))]
        if end is not None:
            bounds.append(Clause(f"{place} <= (?, ?)", end))
        rows += await reads.scan(columns, every([*bounds, where]))
        if end is None:
            return rows
        start = end
        await asyncio.sleep(0)


async def _by_num(reads: ListReads, columns: Sequence[str], where: Clause, asked: Asked) -> list[Row]:
    """In portions of the table itself, or of the index of tags, where a row may stand under several names."""
    rows: dict[int, Row] = {}
    last = await reads.last_num()
    for start in range(0, last + 1, NUMS_A_READ):
        between = (start, start + NUMS_A_READ)
        if asked.tags:
            portion = Clause("t.secret_num > ? AND t.secret_num <= ?", between)
            for tag in reads.tags("t", asked):
                rows |= {row[0]: row for row in await reads.scan_tag(columns, every([tag, portion]), where)}
        else:
            portion = Clause("s.num > ? AND s.num <= ?", between)
            rows |= {row[0]: row for row in await reads.scan(columns, every([portion, where]))}
        await asyncio.sleep(0)
    return list(rows.values())
