"""What is stored of the audit log, and the SQL for it: the records, what they share, the head, the checkpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from hashlib import sha256
from typing import NamedTuple

import msgspec

from claviger.audit.entry import Recorded
from claviger.audit.tree import HASH_LENGTH, Frontier, Node
from claviger.store.contract import Store, Tx, Value

ROWS_A_STATEMENT = 64
_SHARED = "domain_id, service, action, origin, severity, success, username, address"
_COUNTED = f"ON CONFLICT ({_SHARED}) DO UPDATE SET count = audit_facets.count + excluded.count"
_COUNT_ONE = f"INSERT INTO audit_facets ({_SHARED}, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) {_COUNTED} RETURNING id"
_COUNT_KNOWN = "UPDATE audit_facets SET count = count + ? WHERE id = ?" + "".join(
    f" AND {name} = ?" for name in _SHARED.split(", ")
)
MOST_KNOWN = 8


class Shared(NamedTuple):
    """What a record is filtered and counted by."""

    domain_id: str
    service: str
    action: str
    origin: str
    severity: str
    success: int
    username: str
    address: str


class Leaf(msgspec.Struct, frozen=True, gc=False):
    """A record on its way into the log."""

    at: float
    shared: Shared
    object_key: int | None
    hash: bytes
    body: bytes


class Row(NamedTuple):
    """A record as it is stored."""

    seq: int
    at: float
    facet_id: int
    object_key: int | None
    hashes: bytes
    body: bytes


@lru_cache(maxsize=8192)
def object_key(ident: str) -> int | None:
    """The number by which records about an object are found: 63 bits of the SHA-256 of its id; None for no id."""
    return int.from_bytes(sha256(ident.encode()).digest()[:8]) >> 1 if ident else None


def shared_by(entry: Recorded) -> Shared:
    """The part of an entry that many others have too."""
    return Shared(
        entry.domain_id,
        entry.service,
        entry.action,
        entry.origin,
        entry.severity,
        1 if entry.outcome == "granted" else 0,
        entry.actor.username,
        entry.actor.address,
    )


# Appending.


def head_in(tx: Tx) -> Frontier:
    """The edge of the tree as the transaction sees it."""
    row = tx.fetch_one("SELECT size, frontier FROM audit_head WHERE id = 1")
    return Frontier() if row is None else Frontier(int(row[0]), bytes(row[1]))


def move_head(tx: Tx, size: int, frontier: bytes, new_size: int, new_frontier: bytes) -> bool:
    """Moves the head; whether it was where the caller takes it to be, which is to be found out anew if not."""
    moved = tx.execute(
        "UPDATE audit_head SET size = ?, frontier = ? WHERE id = 1 AND size = ? AND frontier = ?",
        new_size,
        new_frontier,
        size,
        frontier,
    )
    return moved == 1


def count_facets(tx: Tx, shared: Iterable[Shared], known: dict[Shared, int] | None = None) -> dict[Shared, int]:
    """Counts records by what they share; the id of each kind.

    `known` are ids from earlier commits, which need not be right: they are only believed where the database agrees.
    """
    counts = list(Counter(shared).items())
    found: dict[Shared, int] = {}
    if known and len(counts) <= MOST_KNOWN:
        for each, count in counts:
            ident = known.get(each)
            if ident is not None and tx.execute(_COUNT_KNOWN, count, ident, *each) == 1:
                found[each] = ident
        counts = [(each, count) for each, count in counts if each not in found]
    if len(counts) == 1:  # as in nearly every commit of a server that is not busy
        (each, count) = counts[0]
        found[each] = tx.insert(_COUNT_ONE, *each, count)
        return found
    for start in range(0, len(counts), ROWS_A_STATEMENT):
        some = counts[start : start + ROWS_A_STATEMENT]
        places = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?)"] * len(some))
        rows = tx.fetch(
            f"INSERT INTO audit_facets ({_SHARED}, count) VALUES {places} {_COUNTED} RETURNING id, {_SHARED}",
            *(value for each, count in some for value in (*each, count)),
        )
        for row in rows:
            found[Shared(*row[1:])] = row[0]
    return found


def add(tx: Tx, first: int, leaves: Sequence[Leaf], hashes: Sequence[bytes], facets: dict[Shared, int]) -> None:
    """Adds records from number `first` on."""
    for start in range(0, len(leaves), ROWS_A_STATEMENT):
        some = leaves[start : start + ROWS_A_STATEMENT]
        values: list[Value] = []
        shared, facet_id = None, 0
        for place, leaf in enumerate(some, start):
            if leaf.shared is not shared:  # most are of one kind
                shared, facet_id = leaf.shared, facets[leaf.shared]
            values += (first + place, leaf.at, facet_id, leaf.object_key, hashes[place], leaf.body)
        tx.execute(_add_of(len(some)), *values)


@cache
def _add_of(count: int) -> str:
    """The statement that adds so many records, always the same string: the database knows it by that."""
    places = ", ".join(["(?, ?, ?, ?, ?, ?)"] * count)
    return f"INSERT INTO audit_records (seq, at, facet_id, object_key, hashes, body) VALUES {places}"


# Reading the tree.


async def head(store: Store) -> Frontier:
    """The edge of the tree, as committed."""
    row = await store.read_one("SELECT size, frontier FROM audit_head WHERE id = 1")
    return Frontier() if row is None else Frontier(int(row[0]), bytes(row[1]))


async def node_hashes(store: Store, nodes: Iterable[Node]) -> dict[Node, bytes]:
    """The hashes of whole subtrees; those that are not stored are missing in the answer."""
    wanted = set(nodes)
    if not wanted:
        return {}
    ends = sorted({node.last for node in wanted})
    marks = ", ".join("?" * len(ends))
    rows = await store.read(f"SELECT seq, hashes FROM audit_records WHERE seq IN ({marks})", *ends)
    stored = {int(seq): bytes(hashes) for seq, hashes in rows}
    found = {}
    for node in wanted:
        at = node.level * HASH_LENGTH
        hashed = stored.get(node.last, b"")[at : at + HASH_LENGTH]
        if len(hashed) == HASH_LENGTH:
            found[node] = hashed
    return found


async def rows_after(store: Store, seq: int, most: int) -> list[Row]:
    """Records behind number `seq`, in their order, as they are stored."""
    rows = await store.read(
        "SELECT seq, at, facet_id, object_key, hashes, body FROM audit_records WHERE seq > ? ORDER BY seq LIMIT ?",
        seq,
        most,
    )
    return [Row(*row) for row in rows]


async def rows_before(store: Store, seq: int) -> int:
    """How many records have a number below `seq`."""
    row = await store.read_one("SELECT COUNT(*) FROM audit_records WHERE seq < ?", seq)
    return 0 if row is None else int(row[0])


async def facets_after(store: Store, facet_id: int, most: int) -> list[tuple[int, Shared, int]]:
    """Id, what is shared, and the count, by id."""
    rows = await store.read(
        f"SELECT id, count, {_SHARED} FROM audit_facets WHERE id > ? ORDER BY id LIMIT ?", facet_id, most
    )
    return [(int(row[0]), Shared(*row[2:]), int(row[1])) for row in rows]


# Checkpoints.


def add_checkpoint(tx: Tx, size: int, at: float, note: str) -> None:
    """Keeps a checkpoint, unless there is one of that size."""
    tx.execute(
        "INSERT INTO audit_checkpoints (size, at, note) VALUES (?, ?, ?) ON CONFLICT (size) DO NOTHING", size, at, note
    )


async def last_checkpoint(store: Store) -> tuple[int, str] | None:
    """Size and signed note of the largest checkpoint."""
    row = await store.read_one("SELECT size, note FROM audit_checkpoints ORDER BY size DESC LIMIT 1")
    return None if row is None else (int(row[0]), str(row[1]))


async def checkpoints_after(store: Store, size: int, most: int) -> list[tuple[int, str]]:
    """Checkpoints behind a size, in their order."""
    rows = await store.read("SELECT size, note FROM audit_checkpoints WHERE size > ? ORDER BY size LIMIT ?", size, most)
    return [(int(size), str(note)) for size, note in rows]


# Lists.


class Wanted(NamedTuple):
    """Which facets a list asks for: a condition in SQL, and its values."""

    condition: str
    values: tuple[Value, ...]


class Stretch(NamedTuple):
    """Which part of an ordered list."""

    order: str
    skip: int
    limit: int


async def facets_wanted(store: Store, wanted: Wanted) -> tuple[int, int]:
    """How many facets fit, and how many records those have."""
    row = await store.read_one(
        f"SELECT COUNT(*), COALESCE(SUM(count), 0) FROM audit_facets WHERE {wanted.condition}", *wanted.values
    )
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


async def facet_ids(store: Store, wanted: Wanted) -> list[int]:
    """The facets that fit."""
    rows = await store.read(f"SELECT id FROM audit_facets WHERE {wanted.condition}", *wanted.values)
    return [int(row[0]) for row in rows]


EVERYTHING = Wanted("", ())
"""All records there are, whatever their facet."""


def _within(wanted: Wanted) -> str:
    return f"IN (SELECT id FROM audit_facets WHERE {wanted.condition})"


async def count_between(store: Store, wanted: Wanted, after: float, before: float) -> int:
    """How many records of these facets have a time from `after` to `before`."""
    if wanted is EVERYTHING:
        row = await store.read_one("SELECT COUNT(*) FROM audit_records WHERE at >= ? AND at <= ?", after, before)
        return 0 if row is None else int(row[0])
    row = await store.read_one(
        f"SELECT COUNT(*) FROM audit_records WHERE facet_id {_within(wanted)} AND at >= ? AND at <= ?",
        *wanted.values,
        after,
        before,
    )
    return 0 if row is None else int(row[0])


async def walked(store: Store, wanted: Wanted, after: float, before: float, page: Stretch) -> list[int]:
    """Numbers of records, found by walking through all of them in the order of time: for filters that most fit."""
    condition = "" if wanted is EVERYTHING else f"AND facet_id + 0 {_within(wanted)} "
    rows = await store.read(
        f"SELECT seq FROM audit_records WHERE at >= ? AND at <= ? {condition}ORDER BY {page.order} LIMIT ? OFFSET ?",
        after,
        before,
        *wanted.values,
        page.limit,
        page.skip,
    )
    return [int(row[0]) for row in rows]


async def sorted_out(store: Store, wanted: Wanted, after: float, before: float, page: Stretch) -> list[int]:
    """The same, found by collecting and sorting: for filters that few fit."""
    order = page.order.replace("at ", "at + 0 ", 1)  # keeps the database from walking through all
    rows = await store.read(
        f"SELECT seq FROM audit_records WHERE facet_id {_within(wanted)} AND at >= ? AND at <= ? "
        f"ORDER BY {order} LIMIT ? OFFSET ?",
        *wanted.values,
        after,
        before,
        page.limit,
        page.skip,
    )
    return [int(row[0]) for row in rows]


async def merged(store: Store, ids: Sequence[int], after: float, before: float, page: Stretch) -> list[int]:
    """The same, found by merging the beginnings of some facets: for first pages of filters with not too many facets."""
    one = (
        "SELECT seq, at FROM (SELECT seq, at FROM audit_records WHERE facet_id = ? AND at >= ? AND at <= ? "
        f"ORDER BY {page.order} LIMIT ?) AS beginning"
    )
    values: list[Value] = []
    for facet_id in ids:
        values += (facet_id, after, before, page.skip + page.limit)
    rows = await store.read(
        f"{' UNION ALL '.join([one] * len(ids))} ORDER BY {page.order} LIMIT ? OFFSET ?",
        *values,
        page.limit,
        page.skip,
    )
    return [int(row[0]) for row in rows]


async def about(store: Store, key: int, size: int, wanted: Wanted, after: float, before: float) -> list[Row]:
    """All records of an object's key, block by block of the index."""
    rows = await store.read(
        "WITH RECURSIVE blocks (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM blocks WHERE number < ?) "
        "SELECT seq, at, facet_id, object_key, hashes, body FROM blocks CROSS JOIN audit_records "
        f"WHERE seq / 512 = number AND object_key = ? AND facet_id + 0 {_within(wanted)} AND at >= ? AND at <= ?",
        max(0, size - 1) // 512,
        key,
        *wanted.values,
        after,
        before,
    )
    return [Row(*row) for row in rows]


async def bodies(store: Store, numbers: Sequence[int]) -> dict[int, bytes]:
    """The canonical bytes of records, by number."""
    found: dict[int, bytes] = {}
    for start in range(0, len(numbers), 500):
        some = numbers[start : start + 500]
        marks = ", ".join("?" * len(some))
        rows = await store.read(f"SELECT seq, body FROM audit_records WHERE seq IN ({marks})", *some)
        found |= {int(seq): bytes(body) for seq, body in rows}
    return found
