"""The outbox: a delivery for each notice and subscription. Stored form and SQL.

Of the deliveries of one object to one subscription that have not ended, one is `due` and the others are `queued`
behind it; whatever ends a delivery makes the next one due in the same transaction. Writers are serialised, so two
servers can never see two of them due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from claviger.cckm.notices.rules import State, Type
from claviger.store.contract import Row, Store, Tx, Value

_DELIVERY = (
    "num, id, subscription_id, domain_id, notice_id, type, subject, object_key, data, noticed_at, state, attempts, "
    "try_at, holder, last_status, last_error, ended_at"
)
_OWN = ", ".join(f"d.{name}" for name in _DELIVERY.split(", "))
_SENT = (
    f"SELECT {_OWN}, s.url, s.authority FROM cckm_notice_deliveries d "
    "JOIN cckm_notice_subscriptions s ON s.id = d.subscription_id"
)
_OF_OBJECT = "subscription_id = ? AND object_key = ? AND ended_at IS NULL"


class DeliveryRow(msgspec.Struct, frozen=True):
    """One notice for one subscription. `try_at` goes by the machine's clock, the other times by the product's."""

    num: int
    id: str
    subscription_id: str
    domain_id: str
    notice_id: str
    type: Type
    subject: str
    object_key: str
    data: str
    noticed_at: float
    state: State
    attempts: int
    try_at: float
    holder: str
    last_status: int | None
    last_error: str
    ended_at: float | None


class Consignment(msgspec.Struct, frozen=True):
    """A delivery that this process has leased, with where it goes."""

    delivery: DeliveryRow
    url: str
    authority: str


class NewNotice(msgspec.Struct, frozen=True):
    """What one event says, for all subscriptions. `data` is JSON."""

    id: str
    domain_id: str
    type: Type
    subject: str
    object_key: str
    data: str
    at: float


def _delivery(row: Row) -> DeliveryRow:
    return DeliveryRow(*row[:5], Type(row[5]), *row[6:10], State(row[10]), *row[11:17])  # type: ignore[call-arg]


def add(tx: Tx, ident: str, subscription_id: str, notice: NewNotice, *, holder: str = "", try_at: float = 0.0) -> None:
    """Puts a notice in the outbox, behind what waits for the same object; with a holder it is leased until `try_at`."""
    behind = tx.fetch_one(
        f"SELECT 1 FROM cckm_notice_deliveries WHERE {_OF_OBJECT} LIMIT 1", subscription_id, notice.object_key
    )
    tx.execute(
        "INSERT INTO cckm_notice_deliveries (id, subscription_id, domain_id, notice_id, type, subject, object_key, "
        "data, noticed_at, state, attempts, try_at, holder, last_error) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')",
        ident,
        subscription_id,
        notice.domain_id,
        notice.id,
        notice.type.value,
        notice.subject,
        notice.object_key,
        notice.data,
        notice.at,
        (State.DUE if behind is None else State.QUEUED).value,
        1 if holder else 0,
        try_at,
        holder,
    )
    tx.execute("UPDATE cckm_notice_subscriptions SET waiting = waiting + 1 WHERE id = ?", subscription_id)


async def by_id(store: Store, domain_id: str, ident: str) -> DeliveryRow | None:
    """One of a domain's deliveries."""
    row = await store.read_one(
        f"SELECT {_DELIVERY} FROM cckm_notice_deliveries WHERE id = ? AND domain_id = ?", ident, domain_id
    )
    return None if row is None else _delivery(row)


def load(tx: Tx, domain_id: str, ident: str) -> DeliveryRow | None:
    """One of a domain's deliveries, within a change."""
    row = tx.fetch_one(
        f"SELECT {_DELIVERY} FROM cckm_notice_deliveries WHERE id = ? AND domain_id = ?", ident, domain_id
    )
    return None if row is None else _delivery(row)


def _where(domain_id: str, wanted: Mapping[str, Sequence[str]]) -> tuple[str, list[Value]]:
    conditions, args = ["domain_id = ?"], [domain_id]
    for column, values in wanted.items():
        conditions.append(f"{column} IN ({', '.join('?' * len(values))})")
        args += values
    return " AND ".join(conditions), list(args)


async def count(store: Store, domain_id: str, wanted: Mapping[str, Sequence[str]]) -> int:
    """How many deliveries have one of the wanted values in each of these columns."""
    where, args = _where(domain_id, wanted)
    row = await store.read_one(f"SELECT COUNT(*) FROM cckm_notice_deliveries WHERE {where}", *args)
    return 0 if row is None else int(row[0])


async def page(
    store: Store, domain_id: str, wanted: Mapping[str, Sequence[str]], newest_first: bool, skip: int, count: int
) -> list[DeliveryRow]:
    """Some of those, in the order of the notices."""
    where, args = _where(domain_id, wanted)
    order = "DESC" if newest_first else "ASC"
    rows = await store.read(
        f"SELECT {_DELIVERY} FROM cckm_notice_deliveries WHERE {where} ORDER BY num {order} LIMIT ? OFFSET ?",
        *args,
        count,
        skip,
    )
    return [_delivery(row) for row in rows]


async def receivers_due(store: Store, now: float) -> list[str]:
    """The subscriptions that something may be sent to now."""
    rows = await store.read(
        "SELECT s.id FROM cckm_notice_subscriptions s WHERE s.disabled = 0 AND s.resume_at <= ? AND s.waiting > 0 "
        "AND EXISTS (SELECT 1 FROM cckm_notice_deliveries d WHERE d.subscription_id = s.id AND d.state = 'due' "
        "AND d.try_at <= ?) ORDER BY s.id",
        now,
        now,
    )
    return [row[0] for row in rows]


def take(tx: Tx, subscription_id: str, holder: str, now: float, until: float, most: int) -> list[Consignment]:
    """Leases up to `most` deliveries of a subscription whose time has come, and counts the attempt."""
    rows = tx.fetch(
        f"{_SENT} WHERE d.subscription_id = ? AND d.state = 'due' AND d.try_at <= ? "
        "AND s.disabled = 0 AND s.resume_at <= ? ORDER BY d.try_at, d.num LIMIT ?",
        subscription_id,
        now,
        now,
        most,
    )
    taken = []
    for row in rows:
        tx.execute(
            "UPDATE cckm_notice_deliveries SET holder = ?, try_at = ?, attempts = attempts + 1 WHERE num = ?",
            holder,
            until,
            row[0],
        )
        found = _delivery(row)
        mine = msgspec.structs.replace(found, holder=holder, try_at=until, attempts=found.attempts + 1)
        taken.append(Consignment(mine, row[17], row[18]))
    return taken


async def consignment(store: Store, ident: str) -> Consignment | None:
    """A delivery with where it goes."""
    row = await store.read_one(f"{_SENT} WHERE d.id = ?", ident)
    return None if row is None else Consignment(_delivery(row), row[17], row[18])


def put_off(tx: Tx, delivery: DeliveryRow, try_at: float, status: int | None, error: str) -> bool:
    """Ends a lease for a later attempt; whether it was still this holder's."""
    changed = tx.execute(
        "UPDATE cckm_notice_deliveries SET holder = '', try_at = ?, last_status = ?, last_error = ? "
        "WHERE num = ? AND holder = ?",
        try_at,
        status,
        error,
        delivery.num,
        delivery.holder,
    )
    return changed == 1


def let_go(tx: Tx, delivery: DeliveryRow) -> None:
    """Ends a lease as if there had been no attempt."""
    tx.execute(
        "UPDATE cckm_notice_deliveries SET holder = '', try_at = 0, attempts = attempts - 1 "
        "WHERE num = ? AND holder = ?",
        delivery.num,
        delivery.holder,
    )


def end(tx: Tx, delivery: DeliveryRow, state: State, status: int | None, error: str, at: float) -> bool:
    """Ends a delivery, and makes the next one of its object due; whether it was still this holder's."""
    changed = tx.execute(
        "UPDATE cckm_notice_deliveries SET state = ?, holder = '', last_status = ?, last_error = ?, ended_at = ? "
        "WHERE num = ? AND holder = ?",
        state.value,
        status,
        error,
        at,
        delivery.num,
        delivery.holder,
    )
    if changed != 1:
        return False
    tx.execute(
        "UPDATE cckm_notice_subscriptions SET waiting = waiting - 1 WHERE id = ? AND waiting > 0",
        delivery.subscription_id,
    )
    following = tx.fetch_one(
        f"SELECT MIN(num) FROM cckm_notice_deliveries WHERE {_OF_OBJECT}", delivery.subscription_id, delivery.object_key
    )
    if following is not None and following[0] is not None:
        tx.execute("UPDATE cckm_notice_deliveries SET state = 'due' WHERE num = ? AND state = 'queued'", following[0])
    return True


def revive(tx: Tx, delivery: DeliveryRow) -> None:
    """Gives a dead delivery all its attempts again; what waits for its object meanwhile goes on first if it is due."""
    behind = tx.fetch_one(
        f"SELECT 1 FROM cckm_notice_deliveries WHERE {_OF_OBJECT} LIMIT 1",
        delivery.subscription_id,
        delivery.object_key,
    )
    tx.execute(
        "UPDATE cckm_notice_deliveries SET state = ?, attempts = 0, try_at = 0, holder = '', ended_at = NULL "
        "WHERE num = ?",
        (State.DUE if behind is None else State.QUEUED).value,
        delivery.num,
    )
    tx.execute("UPDATE cckm_notice_subscriptions SET waiting = waiting + 1 WHERE id = ?", delivery.subscription_id)


async def holders(store: Store) -> list[str]:
    """Who holds leases."""
    rows = await store.read("SELECT DISTINCT holder FROM cckm_notice_deliveries WHERE holder <> ''")
    return [row[0] for row in rows]


def expire(tx: Tx, holder: str) -> None:
    """Ends the leases of a holder that is dead."""
    tx.execute("UPDATE cckm_notice_deliveries SET holder = '', try_at = 0 WHERE holder = ?", holder)


def prune(tx: Tx, subscription_id: str, delivered_before: float, dead_before: float, keep: int, most: int) -> int:
    """Removes up to `most` deliveries that ended before these times or are not among the `keep` last; how many."""
    last = tx.fetch_one(
        "SELECT ended_at FROM cckm_notice_deliveries WHERE subscription_id = ? AND ended_at IS NOT NULL "
        "ORDER BY ended_at DESC, num DESC LIMIT 1 OFFSET ?",
        subscription_id,
        keep,
    )
    beyond = -1.0 if last is None else float(last[0])
    return tx.execute(
        "DELETE FROM cckm_notice_deliveries WHERE num IN (SELECT num FROM cckm_notice_deliveries "
        "WHERE subscription_id = ? AND ended_at IS NOT NULL AND (ended_at <= ? OR ended_at < ? "
        "AND (state = 'delivered' OR ended_at < ?)) ORDER BY ended_at LIMIT ?)",
        subscription_id,
        beyond,
        delivered_before,
        dead_before,
        most,
    )
