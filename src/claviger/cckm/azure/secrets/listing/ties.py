"""Pages that are sorted by more than one property of a row's own, such as by name and then by the last change.

The first such property puts rows in an order that an index has, and equal ones are few. So a page of that order has the
right rows but where equal ones lie across its ends, and only within those that are equal are they in the wrong order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from claviger.cckm.azure.secrets.listing.filters import Vault
from claviger.cckm.azure.secrets.listing.records import Clause, ListReads, every
from claviger.cckm.azure.secrets.listing.scans import columns_of, put_in_order, value_of
from claviger.store.contract import Row


async def untied(
    reads: ListReads,
    where: Clause,
    sorts: Sequence[tuple[str, bool]],
    settled: int,
    vaults: Mapping[int, Vault],
    nums: Sequence[int],
) -> list[int]:
    """The page that all of `sorts` make, from the one that the first `settled` of them have made.

    `where` is what the list asks for. Equal rows on the given page are in the order of creation, in the direction of
    the last property that is settled.
    """
    columns = columns_of(sorts)
    values = [value_of(name, at, vaults) for at, (name, _) in enumerate(sorts[:settled], start=1)]
    read = {row[0]: row for row in await reads.scan(columns, reads.among("s.num", nums, numbers=True))}
    rows = [read[num] for num in nums if num in read]
    groups = [list(group) for _, group in groupby(rows, key=lambda row: tuple(value(row) for value in values))]
    found: list[int] = []
    for at, group in enumerate(groups):
        whole, start = group, 0
        if at in (0, len(groups) - 1):
            same = Clause(f"{columns[settled]} = ?", (group[0][settled],))
            tied = await reads.scan(columns, every([same, where]))
            place = [value(group[0]) for value in values]
            whole = [row for row in tied if [value(row) for value in values] == place] or group
            start = _before(whole, group[0], descends=sorts[settled - 1][1])
        put_in_order(whole, sorts, vaults)
        found += [row[0] for row in whole[start : start + len(group)]]
    return found


def _before(rows: Sequence[Row], first: Row, *, descends: bool) -> int:
    """How many of equal rows come before one of them, by creation."""
    return sum(row[0] > first[0] if descends else row[0] < first[0] for row in rows)
