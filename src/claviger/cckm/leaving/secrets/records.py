"""Which secrets were deleted and can be brought back; the SQL for that. `s` is a row, `f` its facet, `v` its vault.

All versions of a name leave together, and so do all that share a backup once they are deleted for good, or gone behind
our back: one row stands for them, the newest.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from claviger.cckm.access.users.rules import username_key
from claviger.cckm.azure.secrets.listing.records import Clause, ListReads, every
from claviger.cckm.azure.secrets.records import VIEWED
from claviger.cckm.azure.secrets.rows import View, view_of
from claviger.cckm.leaving.asked import Kind
from claviger.cckm.leaving.merging import Ranked, dated_first
from claviger.cckm.leaving.remembered import Remembered, Whole
from claviger.store.contract import Store

VIEWS_A_READ = 1000
NEAR = 2000
ROWS_AT_ONCE = 2000

_SECRETS, _FACETS = "cckm_azure_secrets", "cckm_azure_secret_facets"
_BY_FACET = f"{_FACETS} f CROSS JOIN {_SECRETS} s"
_BY_DATE = f"{_SECRETS} s CROSS JOIN {_FACETS} f"
_VIEWS = f"{_SECRETS} s JOIN cckm_azure_vaults v ON v.num = s.vault_num"
_JOINED = Clause("s.facet_id = f.id")
_DATED, _UNDATED = Clause("s.purge_at IS NOT NULL"), Clause("s.purge_at IS NULL")
_NEWER = "(x.azure_created_at > s.azure_created_at OR (x.azure_created_at = s.azure_created_at AND x.num > s.num))"
_SAME_NAME = "x.vault_num = s.vault_num AND x.name_key = s.name_key"
_ENDED = "({0}.status = 'DELETED' OR {0}.gone = 1)"
_STANDS: Mapping[Kind, str] = {
    "soft-deleted": (
        "f.status = 'SOFT-DELETED' AND f.gone = 0 AND (f.latest = 1 OR NOT EXISTS (SELECT 1 FROM cckm_azure_secrets x "
        f"WHERE {_SAME_NAME} AND x.status = s.status AND x.gone = 0 AND (x.latest = 1 OR {_NEWER})))"
    ),
    "restorable": (
        f"{_ENDED.format('f')} AND s.backup IS NOT NULL AND NOT EXISTS (SELECT 1 FROM cckm_azure_secrets x "
        f"WHERE {_SAME_NAME} AND {_ENDED.format('x')} AND x.backup = s.backup AND {_NEWER})"
    ),
}
_NEVER = "NULL"
_FIRST_FINAL = "s.purge_at, s.num"
_TAKEN = (
    "CASE WHEN EXISTS (SELECT 1 FROM cckm_azure_secrets x WHERE x.vault_num = s.vault_num "
    "AND x.name_key = s.name_key AND x.status <> 'DELETED' AND x.gone = 0 AND x.num <> s.num) THEN 1 ELSE 0 END"
)


class Conditions(NamedTuple):
    """What is asked for: of facets (`f`), and of rows (`s`). `few`: the facets are those of few vaults."""

    facets: Sequence[Clause]
    rows: Sequence[Clause]
    few: bool = False


class LeavingReads:
    """Reads of what is leaving, in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reads = ListReads(store)
        self._remembered = Remembered(self._reads.revision)

    def among(self, column: str, values: Iterable[str] | Iterable[int], *, numbers: bool = False) -> Clause:
        """Whether a column has one of these values."""
        return self._reads.among(column, values, numbers=numbers)

    async def count(self, kind: Kind, asked: Conditions) -> int:
        """How many there are. Facets know it of what only they are asked for."""
        if kind == "restorable" or asked.rows:
            return len(await self.whole(kind, asked))
        facets = every([Clause("f.status = 'SOFT-DELETED' AND f.gone = 0 AND f.latest = 1"), *asked.facets])
        row = await self._store.read_one(
            f"SELECT COALESCE(SUM(f.count), 0) FROM {_FACETS} f WHERE {facets.sql}", *facets.args
        )
        others = every([Clause("f.latest = 0"), _JOINED, Clause(_STANDS[kind]), *asked.facets])
        return (0 if row is None else int(row[0])) + await self._counted(others)

    async def ranked(self, kind: Kind, asked: Conditions, skip: int, count: int) -> list[Ranked]:
        """Rows in order: what becomes final first, or was deleted last. What comes first is found by its date alone."""
        if kind == "restorable" or asked.rows or asked.few or skip > NEAR:
            return (await self.whole(kind, asked)).page(skip, count)
        where = [_JOINED, Clause(_STANDS[kind]), *asked.facets]
        return await dated_first(
            lambda skip, count: self._nums("s.purge_at", _BY_DATE, [_DATED, *where], _FIRST_FINAL, skip, count),
            lambda: self._counted(every([*where, _DATED])),
            lambda skip, count: self._nums(_NEVER, _BY_FACET, [*where, _UNDATED], "s.num", skip, count),
            skip,
            count,
        )

    async def whole(self, kind: Kind, asked: Conditions) -> Whole:
        """All of them. Nums of those that were deleted last come first where dates are equal."""
        return await self._remembered.whole((kind, repr(asked)), lambda: self._all(kind, asked))

    async def _all(self, kind: Kind, asked: Conditions) -> list[Ranked]:
        status = _ENDED.format("f") if kind == "restorable" else "f.status = 'SOFT-DELETED' AND f.gone = 0"
        facets = every([Clause(status), *asked.facets])
        ids = await self._store.read(f"SELECT f.id, f.count FROM {_FACETS} f WHERE {facets.sql}", *facets.args)
        what = "-s.updated_at, -s.num" if kind == "restorable" else "s.purge_at, s.num"

        async def read(portion: list[int]) -> list[Ranked]:
            among = self.among("f.id", portion, numbers=True)
            clause = every([among, _JOINED, Clause(_STANDS[kind]), *asked.rows])
            rows = await self._store.read(f"SELECT {what} FROM {_BY_FACET} WHERE {clause.sql}", *clause.args)
            return [Ranked(math.inf if row[0] is None else float(row[0]), int(row[1])) for row in rows]

        found: list[Ranked] = []
        for portion in _portions((row[0], row[1]) for row in ids):
            found += await read(portion)
            await asyncio.sleep(0)
        return found

    async def _counted(self, where: Clause) -> int:
        row = await self._store.read_one(f"SELECT COUNT(*) FROM {_BY_FACET} WHERE {where.sql}", *where.args)
        return 0 if row is None else int(row[0])

    async def _nums(
        self, rank: str, source: str, where: Sequence[Clause], order: str, skip: int, count: int
    ) -> list[Ranked]:
        clause = every(where)
        rows = await self._store.read(
            f"SELECT {rank}, s.num FROM {source} WHERE {clause.sql} ORDER BY {order} LIMIT ? OFFSET ?",
            *clause.args,
            count,
            skip,
        )
        return [Ranked(math.inf if row[0] is None else float(row[0]), int(row[1])) for row in rows]

    async def views(self, kind: Kind, nums: Sequence[int]) -> dict[int, tuple[View, str, bool]]:
        """Rows by num, each with who deleted it and whether something else has the name now."""
        found: dict[int, tuple[View, str, bool]] = {}
        for at in range(0, len(nums), VIEWS_A_READ):
            clause = self.among("s.num", nums[at : at + VIEWS_A_READ], numbers=True)
            rows = await self._store.read(
                f"SELECT {VIEWED}, s.deleted_by, {_TAKEN}, s.num FROM {_VIEWS} WHERE {clause.sql}", *clause.args
            )
            found |= {row[-1]: (view_of(row[:-3]), row[-3], kind == "restorable" and row[-2] == 1) for row in rows}
        return found

    async def has_ended(self, domain_id: str, ident: str) -> bool | None:
        """Whether a secret of the domain is deleted for good, or gone; None where there is no such record."""
        row = await self._store.read_one(
            f"SELECT CASE WHEN {_ENDED.format('s')} THEN 1 ELSE 0 END "
            "FROM cckm_azure_secrets s JOIN cckm_azure_vaults v ON v.num = s.vault_num "
            "WHERE s.id = ? AND v.domain_id = ?",
            ident,
            domain_id,
        )
        return None if row is None else row[0] == 1

    async def usernames(self, ids: Iterable[str]) -> dict[str, str]:
        """The names of users, as far as they are still there."""
        clause = self.among("id", sorted(set(ids)))
        rows = await self._store.read(f"SELECT id, username FROM cckm_users WHERE {clause.sql}", *clause.args)
        return {str(row[0]): str(row[1]) for row in rows}

    async def users_named(self, usernames: Iterable[str]) -> list[str]:
        """The ids of all users of these names, whichever domain they are of."""
        clause = self.among("username_key", sorted({username_key(name) for name in usernames}))
        rows = await self._store.read(f"SELECT id FROM cckm_users WHERE {clause.sql}", *clause.args)
        return [str(row[0]) for row in rows]


def _portions(facets: Iterable[tuple[int, int]]) -> Iterator[list[int]]:
    """Ids of facets that have some thousands of rows together."""
    portion: list[int] = []
    rows = 0
    for ident, count in facets:
        portion.append(ident)
        rows += count
        if rows >= ROWS_AT_ONCE:
            yield portion
            portion, rows = [], 0
    if portion:
        yield portion
