"""The way into the outbox: whatever changes something worth telling emits its notice within that very change.

So a notice is never lost once its cause is committed, and there is none of what was rolled back. What it costs a domain
without subscriptions is one read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from claviger.cckm.notices import records
from claviger.cckm.notices.outbox import records as outbox
from claviger.cckm.notices.outbox.records import NewNotice
from claviger.cckm.notices.records import SubscriptionRow
from claviger.cckm.notices.rules import MOST_DATA, MOST_SUBJECT, MOST_WAITING, Type
from claviger.core.clock import Clock
from claviger.core.ids import new_uuid
from claviger.store.contract import Tx

_TOO_LARGE = b'{"omitted":"the data is too large for a notice"}'


class Notices:
    """Puts notices in the outbox, for every subscription of the domain that wants their type."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def emit(
        self,
        tx: Tx,
        domain_id: str,
        type: Type | str,
        subject: str,
        data: msgspec.Struct | Mapping[str, Any],
        *,
        object_key: str = "",
    ) -> int:
        """Tells that something happened, if `tx` is committed; to how many subscriptions.

        `subject` is what it happened to (the uri of a record, where there is one); `data` one of the structs in
        `wire.py`, or a mapping of the same fields; it never holds a secret value. Notices of one `object_key` are
        delivered in order. Never refuses: a subscription with too much waiting misses the notice, which is counted.
        """
        return len(self.emit_chosen(tx, domain_id, type, subject, _to_all, lambda _: data, object_key=object_key))

    def emit_chosen(
        self,
        tx: Tx,
        domain_id: str,
        type: Type | str,
        subject: str,
        choose: Callable[[SubscriptionRow], int | None],
        data_of: Callable[[int], msgspec.Struct | Mapping[str, Any]],
        *,
        object_key: str = "",
    ) -> list[int]:
        """The same where subscriptions do not all get the same: each gets the data of the number chosen for it.

        None chooses none. The numbers that were told, one for each subscription.
        """
        wanted = Type(type)
        notices: dict[int, NewNotice] = {}
        told = []
        for row in records.listeners(tx, domain_id):
            number = choose(row) if not row.types or wanted.value in row.types else None
            if number is None:
                continue
            if row.waiting >= MOST_WAITING:
                records.count_dropped(tx, row.id)
                continue
            if number not in notices:
                notices[number] = self.made(domain_id, wanted, subject, data_of(number), object_key)
            outbox.add(tx, new_uuid(), row.id, notices[number])
            told.append(number)
        return told

    def made(
        self, domain_id: str, kind: Type, subject: str, data: msgspec.Struct | Mapping[str, Any], object_key: str = ""
    ) -> NewNotice:
        """A notice that is not in any outbox yet."""
        encoded = msgspec.json.encode(data)
        text = (encoded if len(encoded) <= MOST_DATA else _TOO_LARGE).decode()
        ident = new_uuid()
        short = subject.replace("\0", "")[:MOST_SUBJECT]
        key = object_key.replace("\0", "")[:MOST_SUBJECT] or ident
        return NewNotice(ident, domain_id, kind, short, key, text, self._clock.now())


def _to_all(_: SubscriptionRow) -> int:
    return 0
