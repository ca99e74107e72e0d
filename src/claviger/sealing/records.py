"""What is stored about keys, and the SQL for it: root keys (never the keys themselves), wrapped data keys,
notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from claviger.store.contract import Store, Tx

ROWS_A_STATEMENT = 100


@dataclass(frozen=True, slots=True)
class RootKeyRow:
    """A root key that this database is, or still is in part, sealed under."""

    id: str
    state: str
    check_value: bytes


@dataclass(frozen=True, slots=True)
class DataKeyRow:
    """A wrapped data key."""

    id: int
    scope: str
    root_key_id: str
    wrapped: bytes


_ROOT_KEYS = "SELECT id, state, check_value FROM root_keys ORDER BY state, id"


async def root_keys(store: Store) -> list[RootKeyRow]:
    """All root keys known to the database, the current one first."""
    return [RootKeyRow(*row) for row in await store.read(_ROOT_KEYS)]


def current_root_key_id(tx: Tx) -> str | None:
    """The root key that new data keys are wrapped under; None in an empty database."""
    row = tx.fetch_one("SELECT id FROM root_keys WHERE state = 'current'")
    return None if row is None else str(row[0])


def make_root_key_current(tx: Tx, root_key_id: str, check_value: bytes, now: int) -> None:
    """Adds a root key as the current one; what was current becomes previous."""
    tx.execute("UPDATE root_keys SET state = 'previous' WHERE state = 'current'")
    tx.execute(
        "INSERT INTO root_keys (id, state, check_value, created_at) VALUES (?, 'current', ?, ?)",
        root_key_id,
        check_value,
        now,
    )


def delete_root_key(tx: Tx, root_key_id: str) -> bool:
    """Removes a previous root key unless a data key is wrapped under it; whether it is gone."""
    if tx.fetch_one("SELECT 1 FROM data_keys WHERE root_key_id = ? LIMIT 1", root_key_id) is not None:
        return False
    tx.execute("DELETE FROM root_keys WHERE id = ? AND state = 'previous'", root_key_id)
    return True


async def is_needed(store: Store, root_key_id: str) -> bool:
    """Whether any data key is wrapped under this root key."""
    row = await store.read_one("SELECT 1 FROM data_keys WHERE root_key_id = ? LIMIT 1", root_key_id)
    return row is not None


async def data_key(store: Store, data_key_id: int) -> DataKeyRow | None:
    """One data key, or None when it was retired."""
    row = await store.read_one("SELECT id, scope, root_key_id, wrapped FROM data_keys WHERE id = ?", data_key_id)
    return None if row is None else DataKeyRow(*row)


async def current_data_key_id(store: Store, scope: str) -> int | None:
    """The data key that new values of the scope are sealed under, as committed."""
    row = await store.read_one("SELECT id FROM data_keys WHERE scope = ? AND state = 'current'", scope)
    return None if row is None else int(row[0])


def current_data_key_in(tx: Tx, scope: str) -> int | None:
    """The same, as the transaction sees it."""
    row = tx.fetch_one("SELECT id FROM data_keys WHERE scope = ? AND state = 'current'", scope)
    return None if row is None else int(row[0])


def insert_current_data_keys(tx: Tx, keys: Sequence[DataKeyRow], now: int) -> None:
    """Adds data keys as the current ones of their scopes, which have none just now."""
    for start in range(0, len(keys), ROWS_A_STATEMENT):
        some = keys[start : start + ROWS_A_STATEMENT]
        rows = ", ".join(["(?, ?, 'current', ?, ?, ?)"] * len(some))
        tx.execute(
            f"INSERT INTO data_keys (id, scope, state, root_key_id, wrapped, created_at) VALUES {rows}",
            *(value for key in some for value in (key.id, key.scope, key.root_key_id, key.wrapped, now)),
        )


def retire_data_keys(tx: Tx, ids: Sequence[int]) -> None:
    """Makes current data keys previous ones."""
    for start in range(0, len(ids), ROWS_A_STATEMENT):
        some = ids[start : start + ROWS_A_STATEMENT]
        marks = ", ".join("?" * len(some))
        tx.execute(f"UPDATE data_keys SET state = 'previous' WHERE id IN ({marks})", *some)


def current_data_keys(tx: Tx) -> list[tuple[int, str]]:
    """Id and scope of every current data key."""
    rows = tx.fetch("SELECT id, scope FROM data_keys WHERE state = 'current'")
    return [(int(row[0]), str(row[1])) for row in rows]


_PREVIOUS = "SELECT id, scope FROM data_keys WHERE state = 'previous' ORDER BY scope, id"


def _id_and_scope(rows: Iterable[Sequence[object]]) -> list[tuple[int, str]]:
    return [(int(str(row[0])), str(row[1])) for row in rows]


async def previous_data_keys(store: Store) -> list[tuple[int, str]]:
    """Id and scope of every data key that is being, or is not to be, retired."""
    return _id_and_scope(await store.read(_PREVIOUS))


def previous_data_keys_in(tx: Tx) -> list[tuple[int, str]]:
    """The same, as the transaction sees it."""
    return _id_and_scope(tx.fetch(_PREVIOUS))


def delete_data_key(tx: Tx, data_key_id: int) -> None:
    """Removes a previous data key.

    The foreign keys refuse it (Conflict "RowConstraint") while a row needs it.
    """
    tx.execute("DELETE FROM data_keys WHERE id = ? AND state = 'previous'", data_key_id)


def delete_scope(tx: Tx, scope: str) -> int:
    """Removes all data keys of a scope, which nothing may need any more; how many there were."""
    return tx.execute("DELETE FROM data_keys WHERE scope = ?", scope)


def data_keys_under(tx: Tx, root_key_id: str, after_id: int, limit: int) -> list[DataKeyRow]:
    """A batch of the data keys wrapped under a root key, by id, behind `after_id`."""
    rows = tx.fetch(
        "SELECT id, scope, root_key_id, wrapped FROM data_keys WHERE root_key_id = ? AND id > ? ORDER BY id LIMIT ?",
        root_key_id,
        after_id,
        limit,
    )
    return [DataKeyRow(*row) for row in rows]


def rewrap_data_key(tx: Tx, data_key_id: int, root_key_id: str, wrapped: bytes) -> None:
    """Replaces the wrapped form of a data key."""
    tx.execute("UPDATE data_keys SET root_key_id = ?, wrapped = ? WHERE id = ?", root_key_id, wrapped, data_key_id)


async def note(store: Store, name: str) -> tuple[int, bytes] | None:
    """Data key id and sealed bytes of a note."""
    row = await store.read_one("SELECT data_key_id, sealed FROM sealed_notes WHERE name = ?", name)
    return None if row is None else (int(row[0]), bytes(row[1]))


def put_note(tx: Tx, name: str, data_key_id: int, sealed: bytes, now: int) -> None:
    """Stores a note, in place of the one of that name."""
    tx.execute(
        "INSERT INTO sealed_notes (name, data_key_id, sealed, updated_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET data_key_id = excluded.data_key_id, sealed = excluded.sealed, "
        "updated_at = excluded.updated_at",
        name,
        data_key_id,
        sealed,
        now,
    )


def put_note_if_absent(tx: Tx, name: str, data_key_id: int, sealed: bytes, now: int) -> bool:
    """Stores a note unless there is one of that name; whether it did."""
    count = tx.execute(
        "INSERT INTO sealed_notes (name, data_key_id, sealed, updated_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (name) DO NOTHING",
        name,
        data_key_id,
        sealed,
        now,
    )
    return count == 1


def delete_note(tx: Tx, name: str) -> bool:
    """Removes a note; whether there was one."""
    return tx.execute("DELETE FROM sealed_notes WHERE name = ?", name) == 1


def notes_under(tx: Tx, data_key_id: int, limit: int) -> list[tuple[str, bytes]]:
    """Name and sealed bytes of some notes under a data key."""
    rows = tx.fetch(
        "SELECT name, sealed FROM sealed_notes WHERE data_key_id = ? ORDER BY name LIMIT ?", data_key_id, limit
    )
    return [(str(row[0]), bytes(row[1])) for row in rows]


def move_note(tx: Tx, name: str, data_key_id: int, sealed: bytes) -> None:
    """Gives a note the same content under another data key."""
    tx.execute("UPDATE sealed_notes SET data_key_id = ?, sealed = ? WHERE name = ?", data_key_id, sealed, name)
