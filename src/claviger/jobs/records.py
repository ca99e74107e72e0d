"""The table of intents, and the SQL for it."""

from __future__ import annotations

import msgspec

from claviger.store.contract import Row, Store, Tx

_COLUMNS = "id, kind, subject, payload, stage, holder, attempts, created_at"


class Intent(msgspec.Struct, frozen=True):
    """Something that is about to be done in a cloud. `payload` is JSON and holds no secret value.

    `attempts` counts how often it was taken up: with the holder it says which lease this is, so that work whose lease
    has ended cannot end it. `created_at` is by the clock that the product's dates go by.
    """

    id: str
    kind: str
    subject: str
    payload: str
    stage: str
    holder: str
    attempts: int
    created_at: float


def _intent(row: Row) -> Intent:
    return Intent(*row)


def add(tx: Tx, intent: Intent, leased_until: float) -> bool:
    """Commits an intent with the change; whether its subject was free."""
    added = tx.execute(
        "INSERT INTO intents (id, kind, subject, payload, stage, holder, leased_until, attempts, try_at, last_error, "
        "created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?) ON CONFLICT (subject) DO NOTHING",
        intent.id,
        intent.kind,
        intent.subject,
        intent.payload,
        intent.stage,
        intent.holder,
        leased_until,
        intent.attempts,
        leased_until,
        intent.created_at,
    )
    return added == 1


def under_way(tx: Tx, subject_prefix: str) -> bool:
    """Whether somebody is at work on an intent for any subject that begins so; one that was let go only waits."""
    row = tx.fetch_one(
        "SELECT 1 FROM intents WHERE subject >= ? AND subject < ? AND leased_until > 0 LIMIT 1",
        subject_prefix,
        subject_prefix + "\U0010ffff",
    )
    return row is not None


def open_for(tx: Tx, subject: str) -> tuple[str, str] | None:
    """The kind of the intent that is open for a subject, and why it was let go last."""
    row = tx.fetch_one("SELECT kind, last_error FROM intents WHERE subject = ?", subject)
    return None if row is None else (row[0], row[1])


def remove(tx: Tx, intent: Intent, holder: str) -> bool:
    """Ends an intent; whether it was still held by this very lease."""
    sql = "DELETE FROM intents WHERE id = ? AND holder = ? AND attempts = ?"
    return tx.execute(sql, intent.id, holder, intent.attempts) == 1


def is_held(tx: Tx, intent: Intent, holder: str) -> bool:
    """Whether an intent is still held by this very lease."""
    sql = "SELECT 1 FROM intents WHERE id = ? AND holder = ? AND attempts = ?"
    return tx.fetch_one(sql, intent.id, holder, intent.attempts) is not None


def put_off(tx: Tx, intent: Intent, holder: str, try_at: float, error: str, stage: str | None = None) -> None:
    """Lets go of a lease, to be taken up by anyone from `try_at` on; in another stage, if one is given."""
    tx.execute(
        "UPDATE intents SET leased_until = 0, try_at = ?, last_error = ?, stage = COALESCE(?, stage) "
        "WHERE id = ? AND holder = ? AND attempts = ?",
        try_at,
        error[:500],
        stage,
        intent.id,
        holder,
        intent.attempts,
    )


async def held(store: Store) -> list[tuple[str, str]]:
    """Id and holder of every open intent that has a lease."""
    return [(row[0], row[1]) for row in await store.read("SELECT id, holder FROM intents WHERE leased_until > 0")]


def expire(tx: Tx, intent_id: str, holder: str) -> None:
    """Ends the lease of a holder that is dead."""
    tx.execute("UPDATE intents SET leased_until = 0, try_at = 0 WHERE id = ? AND holder = ?", intent_id, holder)


def take_up(tx: Tx, holder: str, now: float, leased_until: float, most: int) -> list[Intent]:
    """Leases up to `most` intents whose time has come to this holder, oldest first."""
    rows = tx.fetch(
        "SELECT id FROM intents WHERE try_at <= ? AND leased_until <= ? ORDER BY try_at LIMIT ?", now, now, most
    )
    taken = []
    for (intent_id,) in rows:
        tx.execute(
            "UPDATE intents SET holder = ?, leased_until = ?, try_at = ?, attempts = attempts + 1 WHERE id = ?",
            holder,
            leased_until,
            leased_until,
            intent_id,
        )
        row = tx.fetch_one(f"SELECT {_COLUMNS} FROM intents WHERE id = ?", intent_id)
        if row is not None:
            taken.append(_intent(row))
    return taken


async def next_try(store: Store) -> float | None:
    """When the next open intent may be taken up; None where there is none."""
    row = await store.read_one("SELECT MIN(try_at) FROM intents")
    return None if row is None else row[0]
