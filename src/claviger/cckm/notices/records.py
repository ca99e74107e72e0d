"""Subscriptions to notices: stored form and SQL. What is on its way to them is in `outbox/records.py`."""

from __future__ import annotations

import msgspec

from claviger.cckm.notices.rules import EXPIRY_DAYS, FINAL_DAYS, Type
from claviger.store.contract import Row, Store, Tx

_SUBSCRIPTION = (
    "id, domain_id, url, types, disabled, disabled_reason, description, authority, waiting, dropped, resume_at, "
    "failures, delivered_at, failed_at, last_error, created_at, updated_at, expiry_days, final_days"
)


class SubscriptionRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where notices go. `types` empty is all, `authority` empty the machine's own trust. Times are epoch seconds."""

    id: str
    domain_id: str
    url: str
    types: tuple[str, ...]
    disabled: bool
    disabled_reason: str = ""
    description: str
    authority: str
    waiting: int = 0
    dropped: int = 0
    resume_at: float = 0.0
    failures: int = 0
    delivered_at: float | None = None
    failed_at: float | None = None
    last_error: str = ""
    created_at: float
    updated_at: float
    expiry_days: tuple[int, ...] = EXPIRY_DAYS
    final_days: tuple[int, ...] = FINAL_DAYS

    def days_of(self, kind: Type) -> tuple[int, ...]:
        """How many days ahead it hears of dates."""
        return self.expiry_days if kind is Type.NEAR_EXPIRY else self.final_days


def _subscription(row: Row) -> SubscriptionRow:
    return SubscriptionRow(
        id=row[0],
        domain_id=row[1],
        url=row[2],
        types=tuple(row[3].split()),
        disabled=row[4] != 0,
        disabled_reason=row[5],
        description=row[6],
        authority=row[7],
        waiting=row[8],
        dropped=row[9],
        resume_at=row[10],
        failures=row[11],
        delivered_at=row[12],
        failed_at=row[13],
        last_error=row[14],
        created_at=row[15],
        updated_at=row[16],
        expiry_days=_numbers(row[17]),
        final_days=_numbers(row[18]),
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))


def _text(numbers: tuple[int, ...]) -> str:
    return " ".join(map(str, numbers))


async def subscriptions_of(store: Store, domain_id: str) -> list[SubscriptionRow]:
    """A domain's subscriptions, oldest first."""
    rows = await store.read(
        f"SELECT {_SUBSCRIPTION} FROM cckm_notice_subscriptions WHERE domain_id = ? ORDER BY created_at, id", domain_id
    )
    return [_subscription(row) for row in rows]


def subscription_in(tx: Tx, domain_id: str, ident: str) -> SubscriptionRow | None:
    """One of a domain's subscriptions, within a change."""
    row = tx.fetch_one(
        f"SELECT {_SUBSCRIPTION} FROM cckm_notice_subscriptions WHERE id = ? AND domain_id = ?", ident, domain_id
    )
    return None if row is None else _subscription(row)


async def subscription(store: Store, domain_id: str, ident: str) -> SubscriptionRow | None:
    """One of a domain's subscriptions."""
    row = await store.read_one(
        f"SELECT {_SUBSCRIPTION} FROM cckm_notice_subscriptions WHERE id = ? AND domain_id = ?", ident, domain_id
    )
    return None if row is None else _subscription(row)


def count_subscriptions(tx: Tx, domain_id: str) -> int:
    """How many subscriptions a domain has."""
    row = tx.fetch_one("SELECT COUNT(*) FROM cckm_notice_subscriptions WHERE domain_id = ?", domain_id)
    return 0 if row is None else int(row[0])


def add_subscription(tx: Tx, row: SubscriptionRow) -> None:
    """Stores a new subscription."""
    columns = "id, domain_id, url, types, disabled, disabled_reason, description, authority, created_at, updated_at"
    tx.execute(
        f"INSERT INTO cckm_notice_subscriptions ({columns}, expiry_days, final_days, waiting, dropped, resume_at, "
        "failures, last_error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, '')",
        row.id,
        row.domain_id,
        row.url,
        " ".join(row.types),
        int(row.disabled),
        row.disabled_reason,
        row.description,
        row.authority,
        row.created_at,
        row.updated_at,
        _text(row.expiry_days),
        _text(row.final_days),
    )


def change_subscription(tx: Tx, row: SubscriptionRow) -> None:
    """Stores what a caller can change; the receiver gets a fresh start."""
    tx.execute(
        "UPDATE cckm_notice_subscriptions SET url = ?, types = ?, disabled = ?, disabled_reason = ?, description = ?, "
        "authority = ?, expiry_days = ?, final_days = ?, resume_at = 0, failures = 0, updated_at = ? WHERE id = ?",
        row.url,
        " ".join(row.types),
        int(row.disabled),
        row.disabled_reason,
        row.description,
        row.authority,
        _text(row.expiry_days),
        _text(row.final_days),
        row.updated_at,
        row.id,
    )


def remove_subscription(tx: Tx, ident: str) -> None:
    """Removes a subscription, and its deliveries with it."""
    tx.execute("DELETE FROM cckm_notice_subscriptions WHERE id = ?", ident)


def listeners(tx: Tx, domain_id: str) -> list[SubscriptionRow]:
    """The subscriptions of a domain that get notices."""
    rows = tx.fetch(
        f"SELECT {_SUBSCRIPTION} FROM cckm_notice_subscriptions WHERE domain_id = ? AND disabled = 0 "
        "ORDER BY created_at, id",
        domain_id,
    )
    return [_subscription(row) for row in rows]


async def all_ids(store: Store) -> list[str]:
    """The ids of all subscriptions."""
    return [row[0] for row in await store.read("SELECT id FROM cckm_notice_subscriptions ORDER BY id")]


async def days_heard(store: Store, kind: Type, most_waiting: int) -> dict[str, set[int]]:
    """By domain, how many days ahead anybody hears of dates of this type who has room for one more."""
    rows = await store.read(
        "SELECT domain_id, types, expiry_days, final_days FROM cckm_notice_subscriptions "
        "WHERE disabled = 0 AND waiting < ?",
        most_waiting,
    )
    heard: dict[str, set[int]] = {}
    for domain_id, types, expiry, final in rows:
        if not types or kind.value in types.split():
            heard.setdefault(domain_id, set()).update(_numbers(expiry if kind is Type.NEAR_EXPIRY else final))
    return heard


def count_dropped(tx: Tx, ident: str) -> None:
    """Counts a notice that found no room."""
    tx.execute("UPDATE cckm_notice_subscriptions SET dropped = dropped + 1 WHERE id = ?", ident)


def note_delivered(tx: Tx, subscription_id: str, at: float) -> None:
    """Notes that a receiver took a notice."""
    tx.execute("UPDATE cckm_notice_subscriptions SET delivered_at = ?, failures = 0 WHERE id = ?", at, subscription_id)


def note_failed(tx: Tx, subscription_id: str, at: float, error: str) -> int:
    """Notes that a receiver did not take a notice; how often it could not be reached before, in a row."""
    tx.execute(
        "UPDATE cckm_notice_subscriptions SET failed_at = ?, last_error = ? WHERE id = ?", at, error, subscription_id
    )
    row = tx.fetch_one("SELECT failures FROM cckm_notice_subscriptions WHERE id = ?", subscription_id)
    return 0 if row is None else int(row[0])


def pause(tx: Tx, subscription_id: str, resume_at: float, failures: int) -> None:
    """Sends nothing to a receiver before that time, nor before one that was set earlier and is later."""
    tx.execute(
        "UPDATE cckm_notice_subscriptions SET resume_at = CASE WHEN resume_at > ? THEN resume_at ELSE ? END, "
        "failures = ? WHERE id = ?",
        resume_at,
        resume_at,
        failures,
        subscription_id,
    )


def disable(tx: Tx, subscription_id: str, reason: str) -> None:
    """Sends nothing to a receiver any more."""
    tx.execute(
        "UPDATE cckm_notice_subscriptions SET disabled = 1, disabled_reason = ? WHERE id = ?", reason, subscription_id
    )
