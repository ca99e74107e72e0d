"""The SQL of lists of secrets. `s` is a row, `f` its facet, `c` a count of a tag for a facet, `t` a row's tag.

Every statement here is told its index by how it is written, since neither database can know from many values which way
is short: a CROSS JOIN goes from left to right on SQLite, and a `+` before a number keeps its index out of the choice.
PostgreSQL plans by its statistics. Repeated values go in as one JSON text, so that a statement stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from claviger.cckm.azure.secrets.listing.filters import Asked, Vault
from claviger.cckm.azure.secrets.records import JOINED, VIEWED
from claviger.cckm.azure.secrets.rows import View, view_of
from claviger.cckm.records import SECRETS_REVISION, meta, one_of
from claviger.store.contract import Row, Store, Value

Key = Literal["updated_at", "num", "name_key"]

FEW_VAULTS = 50
_SECRETS, _FACETS = "cckm_azure_secrets", "cckm_azure_secret_facets"
_TAGS, _TAG_COUNTS = "cckm_azure_secret_tags", "cckm_azure_secret_tag_counts"
_SHOWN_STATUS = {True: "f.status", False: "'' AS status"}
_SHOWN_VAULT = {True: "f.vault_num", False: "0 AS vault_num"}


class Clause(NamedTuple):
    """A condition with the values of its places."""

    sql: str
    args: tuple[Value, ...] = ()


class Order(NamedTuple):
    """By which column of a row, and whether from its far end. Equal ones go by creation, in the same direction."""

    key: Key
    descending: bool

    @property
    def sql(self) -> str:
        """The ORDER BY of `s`."""
        way = " DESC" if self.descending else ""
        return f"s.num{way}" if self.key == "num" else f"s.{self.key}{way}, s.num{way}"

    def reversed(self) -> Order:
        """The same from the other end."""
        return Order(self.key, not self.descending)


class Counted(NamedTuple):
    """How many facets match, and how many rows those have."""

    facets: int
    rows: int


def every(clauses: Iterable[Clause]) -> Clause:
    """All of these."""
    found = [clause for clause in clauses if clause.sql]
    return Clause(" AND ".join(clause.sql for clause in found), tuple(arg for clause in found for arg in clause.args))


class ListReads:
    """Reads of lists in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_postgres = store.kind == "postgresql"
        self.lane_cost = 1000.0 if self._is_postgres else 30.0
        """What each lane of a merge costs to plan and start, in microseconds."""

    # conditions

    def among(self, column: str, values: Iterable[str] | Iterable[int], *, numbers: bool = False) -> Clause:
        """Whether a column has one of these values."""
        text = msgspec.json.encode(list(values)).decode()
        return Clause(one_of(self._store, column, numbers=numbers), (text,))

    def facet(self, domain_id: str, asked: Asked, vaults: Sequence[Vault] | None) -> Clause:
        """The condition on `f`. `vaults` None: all of the domain."""
        # Of many vaults, the whole table of facets is read faster than its index, which a function keeps out of it.
        few = vaults is not None and len(vaults) <= FEW_VAULTS
        clauses = [Clause("f.domain_id = ?" if few else "coalesce(f.domain_id, '') = ?", (domain_id,))]
        if vaults is not None:
            column = "f.vault_num" if few else "+f.vault_num"
            clauses.append(self.among(column, [vault.num for vault in vaults], numbers=True))
        if asked.statuses:
            clauses.append(self.among("f.status", asked.statuses))
        if asked.origins:
            clauses.append(self.among("f.origin", asked.origins))
        clauses += [Clause(f"f.{name} = ?", (wanted,)) for name, wanted in asked.flags.items()]
        if asked.latest:
            clauses.append(Clause("f.latest = 1"))
        return every(clauses)

    def tag(self, alias: str, name: str, values: Sequence[str] | None) -> Clause:
        """Whether `t` or `c` is one of a tag's values, or any."""
        if values is None:
            return Clause(f"{alias}.name = ?", (name,))
        if len(values) == 1:
            return Clause(f"{alias}.name = ? AND {alias}.value = ?", (name, values[0]))
        return every([Clause(f"{alias}.name = ?", (name,)), self.among(f"{alias}.value", values)])

    def tags(self, alias: str, asked: Asked) -> list[Clause]:
        """A condition on `t` for each name of a tag that is asked for; a row needs one of them."""
        values: dict[str, set[str | None]] = {}
        for name, value in asked.tags:
            values.setdefault(name, set()).add(value)
        return [
            self.tag(alias, name, None if None in given else sorted(value for value in given if value is not None))
            for name, given in sorted(values.items())
        ]

    def has_tag(self, asked: Asked) -> Clause:
        """Whether `s` has one of the tags that are asked for."""
        if not asked.tags:
            return Clause("")
        each = self.tags("t", asked)
        either = " OR ".join(f"({clause.sql})" for clause in each)
        args = tuple(arg for clause in each for arg in clause.args)
        return self._exists(Clause(f"FROM {_TAGS} t WHERE t.secret_num = s.num AND ({either})", args))

    def in_facet(self, facet: Clause) -> Clause:
        """Whether the facet of `s` matches."""
        return self._exists(Clause(f"FROM {_FACETS} f WHERE f.id = s.facet_id AND {facet.sql}", facet.args))

    def _exists(self, source: Clause) -> Clause:
        """Looked up for each row. PostgreSQL would rather read all of the source first, for a page of ten as well."""
        if self._is_postgres:
            return Clause(f"(SELECT 1 {source.sql} LIMIT 1) = 1", source.args)
        return Clause(f"EXISTS (SELECT 1 {source.sql})", source.args)

    # what there is

    async def revision(self) -> str:
        """Moves with every change of what lists show."""
        return await meta(self._store, SECRETS_REVISION) or ""

    async def vaults(self, domain_id: str) -> list[Vault]:
        """The vaults of a domain."""
        rows = await self._store.read(
            "SELECT num, id, azure_name, subscription_id, location, cloud_name FROM cckm_azure_vaults "
            "WHERE domain_id = ?",
            domain_id,
        )
        return [Vault(*row) for row in rows]

    async def counted(self, facet: Clause) -> Counted:
        """The facets that match, and their rows."""
        row = await self._one(f"SELECT COUNT(*), COALESCE(SUM(f.count), 0) FROM {_FACETS} f WHERE {facet.sql}", facet)
        return Counted(*row)

    async def all_rows(self) -> int:
        """How many rows there are, of any domain."""
        return int((await self._one(f"SELECT COALESCE(SUM(count), 0) FROM {_FACETS}", Clause("")))[0])

    async def counted_tag(self, facet: Clause | None, tag: Clause) -> int:
        """How many rows have the tag (a condition on `c`) and a facet that matches, or any."""
        if facet is None:
            source, where = f"{_TAG_COUNTS} c", tag
        else:
            source, where = f"{_TAG_COUNTS} c CROSS JOIN {_FACETS} f", every([tag, Clause("f.id = c.facet_id"), facet])
        return int((await self._one(f"SELECT COALESCE(SUM(c.count), 0) FROM {source} WHERE {where.sql}", where))[0])

    async def groups(
        self, facet: Clause, tag: Clause | None, *, status: bool, vault: bool
    ) -> list[tuple[str, int, int]]:
        """Status, num of the vault and count of rows, of all facets that match; "" and 0 for what is not told apart."""
        columns = [name for name, told in (("f.status", status), ("f.vault_num", vault)) if told]
        shown = f"{_SHOWN_STATUS[status]}, {_SHOWN_VAULT[vault]}"
        if tag is None:
            source, count, where = f"{_FACETS} f", "f.count", facet
        else:
            source, count = f"{_TAG_COUNTS} c CROSS JOIN {_FACETS} f", "c.count"
            where = every([tag, Clause("f.id = c.facet_id"), facet])
        rows = await self._all(
            f"SELECT {shown}, SUM({count}) FROM {source} WHERE {where.sql} GROUP BY {', '.join(columns)}", where
        )
        return [(row[0], row[1], int(row[2])) for row in rows]

    # pages: nums of rows in their order

    async def end_of_step(self, order: Order, start: Row | None, rows: int) -> Row | None:
        """Key and num of a row that is about so many rows past another, at most; None where there are fewer."""
        if order.key == "num":
            return await self._num_after(order, start, rows)
        where = Clause("") if start is None else _past(order, start)
        clause = f"WHERE {where.sql} " if where.sql else ""
        found = await self._all(
            f"SELECT s.{order.key}, s.num FROM {_SECRETS} s {clause}ORDER BY {order.sql} LIMIT 1 OFFSET ?",
            Clause("", (*where.args, rows - 1)),
        )
        return found[0] if found else None

    async def _num_after(self, order: Order, start: Row | None, rows: int) -> Row | None:
        """By counting nums rather than rows, of which there are no more."""
        last = await self.last_num()
        if order.descending:
            num = (last + 1 if start is None else start[1]) - rows
            return (num, num) if num > 1 else None
        num = (0 if start is None else start[1]) + rows
        return (num, num) if num < last else None

    async def place_before(self, order: Order, num: int) -> Row | None:
        """The place between a row and the one before it, whichever that is."""
        rows = await self._all(f"SELECT s.{order.key} FROM {_SECRETS} s WHERE s.num = ?", Clause("", (num,)))
        return (rows[0][0], num + 1 if order.descending else num - 1) if rows else None

    async def count_step(self, order: Order, start: Row | None, end: Row | None, where: Clause) -> int:
        """How many rows match, past one row and up to another; None is the beginning and the end."""
        where = every([*_between(order, start, end), where])
        clause = f"WHERE {where.sql}" if where.sql else ""
        return int((await self._one(f"SELECT COUNT(*) FROM {_SECRETS} s {clause}", where))[0])

    async def step(
        self, order: Order, start: Row | None, end: Row | None, where: Clause, skip: int, count: int
    ) -> list[int]:
        """Rows that match, past one row and up to another."""
        where = every([*_between(order, start, end), where])
        clause = f"WHERE {where.sql} " if where.sql else ""
        return await self._nums(
            f"SELECT s.num FROM {_SECRETS} s {clause}ORDER BY {order.sql} LIMIT ? OFFSET ?", where, count, skip
        )

    async def gather(self, order: Order, facet: Clause, tag: Clause, skip: int, count: int) -> list[int]:
        """All rows of the facets that match, sorted."""
        where = every([Clause("s.facet_id = f.id"), facet, tag])
        return await self._nums(
            f"SELECT s.num FROM {_FACETS} f CROSS JOIN {_SECRETS} s WHERE {where.sql} "
            f"ORDER BY {order.sql} LIMIT ? OFFSET ?",
            where,
            count,
            skip,
        )

    async def gather_tagged(self, order: Order, facet: Clause, tag: Clause, skip: int, count: int) -> list[int]:
        """All rows of a tag (a condition on `t`), sorted."""
        where = every([tag, Clause("s.num = t.secret_num"), self.in_facet(facet)])
        return await self._nums(
            f"SELECT s.num FROM {_TAGS} t CROSS JOIN {_SECRETS} s WHERE {where.sql} "
            f"ORDER BY {order.sql} LIMIT ? OFFSET ?",
            where,
            count,
            skip,
        )

    async def merge(self, order: Order, lanes: Sequence[Clause], skip: int, count: int) -> list[int]:
        """From lanes that are each in order already, the first of all. A lane is a condition on `s`."""
        way = " DESC" if order.descending else ""
        parts = [
            f"SELECT * FROM (SELECT s.num AS num, s.{order.key} AS place FROM {_SECRETS} s WHERE {lane.sql} "
            f"ORDER BY {order.sql} LIMIT ?) AS lane{at}"
            for at, lane in enumerate(lanes)
        ]
        args = tuple(arg for lane in lanes for arg in (*lane.args, skip + count))
        return await self._nums(
            f"SELECT num FROM ({' UNION ALL '.join(parts)}) AS lanes ORDER BY place{way}, num{way} LIMIT ? OFFSET ?",
            Clause("", args),
            count,
            skip,
        )

    async def grouped(self, key: Key, facet: Clause, tag: Clause) -> list[Row]:
        """num, key, status and num of the vault of all rows that match."""
        where = every([Clause("s.facet_id = f.id"), facet, tag])
        return await self._all(
            f"SELECT s.num, s.{key}, s.status, s.vault_num FROM {_FACETS} f CROSS JOIN {_SECRETS} s WHERE {where.sql}",
            where,
        )

    async def facet_ids(self, facet: Clause, most: int) -> list[int]:
        """The facets that match."""
        where = Clause(facet.sql, (*facet.args, most))
        return [row[0] for row in await self._all(f"SELECT f.id FROM {_FACETS} f WHERE {where.sql} LIMIT ?", where)]

    async def top_facets(self, order: Order, facet: Clause, most: int) -> list[int]:
        """Of the facets that match, those whose first rows come first."""
        first = (
            f"SELECT x.num FROM {_SECRETS} x WHERE x.facet_id = f.id ORDER BY {order.sql.replace('s.', 'x.')} LIMIT 1"
        )
        return await self._nums(
            f"SELECT f.id FROM {_FACETS} f CROSS JOIN {_SECRETS} s WHERE {facet.sql} AND s.num = ({first}) "
            f"ORDER BY {order.sql} LIMIT ? OFFSET ?",
            facet,
            most,
            0,
        )

    async def views(self, nums: Sequence[int], where: Clause) -> list[View]:
        """The rows of these nums, in this order. One that does not match (any more) is left out."""
        found = await self.views_by_num(nums, where)
        return [found[num] for num in nums if num in found]

    async def views_by_num(self, nums: Sequence[int], where: Clause) -> dict[int, View]:
        """The rows of these nums, by num. One that does not match (any more) is left out."""
        clause = every([self.among("s.num", nums, numbers=True), where])
        rows = await self._all(f"SELECT {VIEWED}, s.num FROM {JOINED} WHERE {clause.sql}", clause)
        return {row[-1]: view_of(row[:-1]) for row in rows}

    # scans

    async def scan(self, columns: Sequence[str], where: Clause, *, by_name: bool = False) -> list[Row]:
        """These columns of all rows that match."""
        order = " ORDER BY s.name_key, s.num" if by_name else ""
        return await self._all(f"SELECT {', '.join(columns)} FROM {_SECRETS} s WHERE {where.sql}{order}", where)

    async def scan_facets(self, columns: Sequence[str], facet: Clause, where: Clause) -> list[Row]:
        """These columns of all rows of the facets that match, and match themselves."""
        clause = every([Clause("s.facet_id = f.id"), facet, where])
        return await self._all(
            f"SELECT {', '.join(columns)} FROM {_FACETS} f CROSS JOIN {_SECRETS} s WHERE {clause.sql}", clause
        )

    async def scan_tag(self, columns: Sequence[str], tag: Clause, where: Clause) -> list[Row]:
        """These columns of all rows that have a tag (a condition on `t`) and match."""
        clause = every([tag, Clause("s.num = t.secret_num"), where])
        return await self._all(
            f"SELECT {', '.join(columns)} FROM {_TAGS} t CROSS JOIN {_SECRETS} s WHERE {clause.sql}", clause
        )

    async def last_num(self) -> int:
        """The greatest num."""
        return int((await self._one(f"SELECT COALESCE(MAX(num), 0) FROM {_SECRETS}", Clause("")))[0])

    async def name_after(self, name_key: str, count: int) -> str | None:
        """The name that is so many rows past a name; None where there are fewer."""
        rows = await self._all(
            f"SELECT s.name_key FROM {_SECRETS} s WHERE s.name_key >= ? ORDER BY s.name_key, s.num LIMIT 1 OFFSET ?",
            Clause("", (name_key, count)),
        )
        return str(rows[0][0]) if rows else None

    async def date_after(self, column: str, start: Row, high: int, count: int) -> Row | None:
        """Date and num of the row that is so many rows past a place, if its date is before `high`."""
        rows = await self._all(
            f"SELECT s.{column}, s.num FROM {_SECRETS} s WHERE (s.{column}, s.num) > (?, ?) AND s.{column} < ? "
            f"ORDER BY s.{column}, s.num LIMIT 1 OFFSET ?",
            Clause("", (*start, high, count - 1)),
        )
        return rows[0] if rows else None

    async def _nums(self, sql: str, where: Clause, count: int, skip: int) -> list[int]:
        return [row[0] for row in await self._store.read(sql, *where.args, count, skip)]

    async def _all(self, sql: str, where: Clause) -> list[Row]:
        return await self._store.read(sql, *where.args)

    async def _one(self, sql: str, where: Clause) -> Row:
        return (await self._store.read(sql, *where.args))[0]


def _between(order: Order, start: Row | None, end: Row | None) -> list[Clause]:
    clauses = [] if start is None else [_past(order, start)]
    return clauses if end is None else [*clauses, _compared(order, end, "<=", ">=")]


def _past(order: Order, row: Row) -> Clause:
    return _compared(order, row, ">", "<")


def _compared(order: Order, row: Row, up: str, down: str) -> Clause:
    sign = down if order.descending else up
    if order.key == "num":
        return Clause(f"s.num {sign} ?", (row[1],))
    return Clause(f"(s.{order.key}, s.num) {sign} (?, ?)", (row[0], row[1]))
