"""What the parts of the control plane share in the database: sealed values, revisions, and which rows have moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

import msgspec

from claviger.store.contract import Store, Tx

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

ROWS_AT_ONCE = 100
ROWS_A_PART = 1024

_REVISION = "cckm_access_revision"
SECRETS_REVISION = "cckm_azure_secrets_revision"
KEYS_REVISION = "cckm_oci_keys_revision"


async def sealed(store: Store, kind: str, ident: str) -> tuple[int, bytes] | None:
    """A sealed value and the data key that it is under."""
    row = await store.read_one("SELECT data_key_id, sealed FROM cckm_sealed WHERE kind = ? AND ident = ?", kind, ident)
    return None if row is None else (row[0], bytes(row[1]))


def put_sealed(tx: Tx, kind: str, ident: str, data_key_id: int, value: bytes) -> None:
    """Keeps a sealed value in place of the one of that name."""
    tx.execute(
        "INSERT INTO cckm_sealed (kind, ident, data_key_id, sealed) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (kind, ident) DO UPDATE SET data_key_id = excluded.data_key_id, sealed = excluded.sealed",
        kind,
        ident,
        data_key_id,
        value,
    )


def remove_sealed(tx: Tx, kind: str, ident: str) -> None:
    """Removes a sealed value, if it is there."""
    tx.execute("DELETE FROM cckm_sealed WHERE kind = ? AND ident = ?", kind, ident)


def sealed_under(tx: Tx, data_key_id: int, most: int) -> list[tuple[str, str, bytes]]:
    """Up to `most` values sealed under a data key."""
    rows = tx.fetch("SELECT kind, ident, sealed FROM cckm_sealed WHERE data_key_id = ? LIMIT ?", data_key_id, most)
    return [(row[0], row[1], bytes(row[2])) for row in rows]


async def access_revision(store: Store) -> int:
    """A number that moves with every change of domains, users, groups, rights, revocations and signing keys."""
    row = await store.read_one("SELECT value FROM meta WHERE key = ?", _REVISION)
    return int(row[0]) if row else 0


def bump_access_revision(tx: Tx) -> None:
    """To be called by every change of what `access_revision` speaks of, in its own transaction."""
    tx.execute("UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE key = ?", _REVISION)


def bump_secrets_revision(tx: Tx) -> None:
    """To be called by every change of what lists of secrets show, in its own transaction."""
    tx.execute("UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE key = ?", SECRETS_REVISION)


def bump_keys_revision(tx: Tx) -> None:
    """To be called by every change of what OCI keys show, in its own transaction."""
    tx.execute("UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE key = ?", KEYS_REVISION)


class Table(Generic[S]):
    """A table whose columns are the fields of a struct, in their order; the first, `num`, is given by the database."""

    def __init__(self, name: str, struct: type[S]) -> None:
        self._name = name
        self._struct = struct
        self.fields = struct.__struct_fields__
        self.select = f"SELECT {', '.join(self.fields)} FROM {name}"

    def row(self, values: Sequence[object]) -> S:
        """A row that was read by `select`."""
        return self._struct(**dict(zip(self.fields, values, strict=True)))

    def add(self, tx: Tx, fresh: S) -> S:
        """Stores a new row; it as it is then, with its num."""
        columns = self.fields[1:]
        num = tx.fetch_one(
            f"INSERT INTO {self._name} ({', '.join(columns)}) VALUES ({marks(columns)}) RETURNING num",
            *msgspec.structs.astuple(fresh)[1:],
        )
        assert num is not None  # noqa: S101 - an INSERT that succeeds returns its row
        return msgspec.structs.replace(fresh, num=int(num[0]))

    def replace(self, tx: Tx, changed: S) -> None:
        """Stores what has changed about a row."""
        columns = ", ".join(f"{name} = ?" for name in self.fields[1:])
        num, *values = msgspec.structs.astuple(changed)
        tx.execute(f"UPDATE {self._name} SET {columns} WHERE num = ?", *values, num)


class Parts:
    """Portions (parts) of the rows of one kind, by num, and the revision at which each has changed last.

    Every change of rows notes their parts in its own transaction. Whoever keeps something of the rows in memory reads
    the parts anew that have a greater revision than he knows. `revision` is the fact that moves with every change.
    """

    def __init__(self, table: str, revision: str) -> None:
        self.rows_a_part = ROWS_A_PART
        self._table = table
        self._revision = revision

    def note_moved(self, tx: Tx, nums: Iterable[int]) -> None:
        """Notes that rows have changed, come or gone, once the revision has been moved."""
        parts = sorted({num // self.rows_a_part for num in nums})
        if not parts:
            return
        found = tx.fetch_one("SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?", self._revision)
        revision = 0 if found is None else int(found[0])
        for portion in portions(parts):
            tx.execute(
                f"INSERT INTO {self._table} (part, revision) VALUES {', '.join(['(?, ?)'] * len(portion))} "
                "ON CONFLICT (part) DO UPDATE SET revision = excluded.revision",
                *(value for part in portion for value in (part, revision)),
            )

    async def revision_of(self, store: Store) -> int:
        """Moves with every change of the rows, and of what is shown with them."""
        return int(await meta(store, self._revision) or 0)

    async def moved_since(self, store: Store, revision: int) -> list[int]:
        """The parts that have changed after a revision, in order; all of them after -1."""
        rows = await store.read(f"SELECT part FROM {self._table} WHERE revision > ? ORDER BY part", revision)
        return [int(row[0]) for row in rows]

    def nums(self, part: int) -> tuple[int, int]:
        """The nums of a part: from the first, to before the second."""
        return part * self.rows_a_part, (part + 1) * self.rows_a_part


async def meta(store: Store, key: str) -> str | None:
    """A fact of this installation, by its key."""
    row = await store.read_one("SELECT value FROM meta WHERE key = ?", key)
    return None if row is None else str(row[0])


def set_meta(tx: Tx, key: str, value: str) -> None:
    """Notes a fact of this installation."""
    tx.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value
    )


def one_of(store: Store, column: str, *, numbers: bool = False) -> str:
    """Whether a column has one of some values, which are given as the JSON text of a list: its one place.

    So a statement stays the same however many there are.
    """
    if store.kind == "postgresql":
        cast = "::bigint" if numbers else ""
        return f"{column} = ANY(ARRAY(SELECT value{cast} FROM jsonb_array_elements_text(?::jsonb)))"
    return f"{column} IN (SELECT value FROM json_each(?))"


def portions(items: Sequence[T], most: int = ROWS_AT_ONCE) -> Iterator[Sequence[T]]:
    """`items` in runs of up to `most`, for statements with a place for each."""
    for at in range(0, len(items), most):
        yield items[at : at + most]


def marks(values: Sequence[object]) -> str:
    """A place in a statement for each value."""
    return ", ".join("?" * len(values))
