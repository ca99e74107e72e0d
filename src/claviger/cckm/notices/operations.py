"""What can be done with notices: subscribe, change, try out, look at deliveries, and have dead ones sent again."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from claviger.audit.trail import about
from claviger.cckm.calls import Query
from claviger.cckm.errors import validation
from claviger.cckm.listing import Page, page_of, sort_of, window_of
from claviger.cckm.notices import records, rules
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.notices.delivery import LEASE_S, Courier
from claviger.cckm.notices.keys import SEALED_AS, Keys, opened, sealed_form
from claviger.cckm.notices.outbox import records as outbox
from claviger.cckm.notices.outbox.records import DeliveryRow
from claviger.cckm.notices.records import SubscriptionRow
from claviger.cckm.notices.rules import State, Type
from claviger.cckm.notices.wire import (
    NewNoticeSubscription,
    NoticeDelivery,
    NoticeSubscription,
    NoticeSubscriptionChange,
    Test,
)
from claviger.cckm.resource import header, timestamp
from claviger.cckm.sealed import Item, Safe
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Invalid, NotFound, Throttled
from claviger.core.ids import new_uuid
from claviger.core.sensitive import Sensitive
from claviger.outgoing.rules import SECRET_BYTES, SECRET_PREFIX, key_of, url_problem, written
from claviger.store.contract import Store, Tx

SUBSCRIPTION = "notice-subscription"

TESTS_AT_ONCE = 4
NEW_KEY_BYTES = 32
_FILTERS = {
    "id": lambda row: row.id,
    "url": lambda row: row.url,
    "disabled": lambda row: row.disabled,
}
_SORTS = {
    "createdAt": lambda row: row.created_at,
    "updatedAt": lambda row: row.updated_at,
    "url": lambda row: row.url,
}


def _tell(row: SubscriptionRow) -> None:
    """The record of the call names the receiver's host alone: an address may hold a secret."""
    about(SUBSCRIPTION, row.id, urlsplit(row.url).hostname or "")


class Subscriptions:
    """Everything about subscriptions and their deliveries. `machine` is the clock that waits go by."""

    def __init__(
        self, store: Store, safe: Safe, clock: Clock, machine: Clock, notices: Notices, courier: Courier
    ) -> None:
        self._store = store
        self._safe = safe
        self._clock = clock
        self._machine = machine
        self._notices = notices
        self._courier = courier
        self._tests = asyncio.Semaphore(TESTS_AT_ONCE)

    async def create(self, domain_id: str, asked: NewNoticeSubscription) -> NoticeSubscription:
        """Makes a subscription; the answer holds the secret if it was made here.

        Raises Invalid("Validation"), Conflict("TooMany").
        """
        now = self._clock.now()
        row = SubscriptionRow(
            id=new_uuid(),
            domain_id=domain_id,
            url=asked.url,
            types=_types(asked.types),
            disabled=asked.disabled,
            description=asked.description.strip(),
            authority=_authority(asked.ca_certificate),
            created_at=now,
            updated_at=now,
            expiry_days=_days(asked.expiry_days, rules.EXPIRY_DAYS),
            final_days=_days(asked.final_days, rules.FINAL_DAYS),
        )
        key = _given(asked.secret)
        await _check(row)
        kept = Keys(Sensitive(key or secrets.token_bytes(NEW_KEY_BYTES)))

        def change(tx: Tx) -> None:
            if records.count_subscriptions(tx, domain_id) >= rules.MOST_SUBSCRIPTIONS:
                most = rules.MOST_SUBSCRIPTIONS
                raise Conflict("TooMany", message=f"a domain has at most {most} subscriptions to notices")
            _tell(row)
            records.add_subscription(tx, row)

        await self._safe.write([(SEALED_AS, row.id, sealed_form(kept))], change)
        return self._shown(row, None if key else kept)

    async def listing(self, domain_id: str, query: Query) -> Page:
        """A page of a domain's subscriptions. Raises Invalid."""
        return page_of(
            await records.subscriptions_of(self._store, domain_id),
            query,
            filters=_FILTERS,
            sorts=_SORTS,
            default_sort="createdAt",
            shown=self._shown,
        )

    async def read(self, domain_id: str, ident: str) -> NoticeSubscription:
        """One subscription. Raises NotFound."""
        return self._shown(_found(await records.subscription(self._store, domain_id, ident)))

    async def update(self, domain_id: str, ident: str, asked: NoticeSubscriptionChange) -> NoticeSubscription:
        """Changes what is given. The answer holds the secret if one was made.

        Notices that wait go to the new address. Raises NotFound, Invalid("Validation").
        """
        given = _given(asked.secret)
        if given and asked.new_secret:
            raise validation({"new_secret": "excludes secret"})
        _found(await records.subscription(self._store, domain_id, ident))
        kept: Keys | None = None
        items: list[Item] = []
        if given or asked.new_secret:
            before = opened(await self._safe.must_open(SEALED_AS, ident))
            kept = before.followed_by(given or secrets.token_bytes(NEW_KEY_BYTES), self._machine.now())
            items.append((SEALED_AS, ident, sealed_form(kept)))
        await _check(_merged(_found(await records.subscription(self._store, domain_id, ident)), asked, 0.0))

        def change(tx: Tx) -> SubscriptionRow:
            row = _merged(_found(records.subscription_in(tx, domain_id, ident)), asked, self._clock.now())
            _tell(row)
            records.change_subscription(tx, row)
            return row

        await self._safe.write(items, change)
        self._courier.wake()
        row = _found(await records.subscription(self._store, domain_id, ident))
        return self._shown(row, kept if asked.new_secret else None)

    async def delete(self, domain_id: str, ident: str) -> None:
        """Ends a subscription, with all that waits for it. Raises NotFound."""

        def change(tx: Tx) -> None:
            row = _found(records.subscription_in(tx, domain_id, ident))
            _tell(row)
            self._safe.remove(tx, SEALED_AS, row.id)
            records.remove_subscription(tx, row.id)

        await self._store.write(change)

    async def test(self, domain_id: str, ident: str, by: str) -> NoticeDelivery:
        """Sends a test, once, also to a disabled subscription; how that ended. Raises NotFound, Throttled, Conflict."""
        if self._tests.locked():
            raise Throttled("TooManyTests", message="too many subscriptions are being tested", retry_after_s=5)
        delivery_id = new_uuid()
        async with self._tests:

            def change(tx: Tx) -> None:
                row = _found(records.subscription_in(tx, domain_id, ident))
                _check_room(row)
                _tell(row)
                told = self._notices.made(domain_id, Type.TEST, _uri(row), Test(by=by))
                until = self._machine.now() + LEASE_S
                outbox.add(tx, delivery_id, row.id, told, holder=self._courier.holder, try_at=until)

            await self._store.write(change)
            await self._courier.deliver(delivery_id)
        return await self.delivery(domain_id, delivery_id)

    async def deliveries(self, domain_id: str, query: Query) -> Page:
        """A page of a domain's deliveries, the newest first. Raises Invalid."""
        window = window_of(query)
        ((_, newest_first),) = sort_of(query, ("createdAt",), "-createdAt")
        wanted = _wanted(query)
        total = await outbox.count(self._store, domain_id, wanted)
        count = window.count_of(total)
        rows = await outbox.page(self._store, domain_id, wanted, newest_first, window.skip, count) if count else []
        return Page(window.skip, window.limit, total, [shown_delivery(row) for row in rows])

    async def delivery(self, domain_id: str, ident: str) -> NoticeDelivery:
        """One delivery. Raises NotFound."""
        found = await outbox.by_id(self._store, domain_id, ident)
        if found is None:
            raise _no_delivery()
        return shown_delivery(found)

    async def retry(self, domain_id: str, ident: str) -> NoticeDelivery:
        """Has a dead delivery sent again, from its first attempt. Raises NotFound, Conflict("NotDead")."""

        def change(tx: Tx) -> None:
            found = outbox.load(tx, domain_id, ident)
            if found is None:
                raise _no_delivery()
            about("notice-delivery", ident)
            if found.state is not State.DEAD:
                raise Conflict("NotDead", message="only a dead delivery can be sent again; this one is not")
            _check_room(_found(records.subscription_in(tx, domain_id, found.subscription_id)))
            outbox.revive(tx, found)

        await self._store.write(change)
        self._courier.wake()
        return await self.delivery(domain_id, ident)

    def _shown(self, row: SubscriptionRow, made: Keys | None = None) -> NoticeSubscription:
        return NoticeSubscription(
            **header("claviger", "notice-subscription", row.id, "", row.domain_id, row.created_at, row.updated_at),
            url=row.url,
            types=list(row.types),
            disabled=row.disabled,
            disabled_reason=row.disabled_reason,
            description=row.description,
            ca_certificate=row.authority,
            expiry_days=list(row.expiry_days),
            final_days=list(row.final_days),
            waiting=row.waiting,
            dropped=row.dropped,
            resumes_at=_time(row.resume_at) if row.resume_at > self._machine.now() else None,
            last_delivered_at=_time(row.delivered_at),
            last_failed_at=_time(row.failed_at),
            last_error=row.last_error,
            secret=UNSET if made is None else written(made.current.reveal()).reveal_text(),
        )


def shown_delivery(row: DeliveryRow) -> NoticeDelivery:
    """A delivery as it is on the wire."""
    waits = row.state in rules.STATES[rules.WAITING]
    return NoticeDelivery(
        **header(
            "claviger", "notice-delivery", row.id, "", row.domain_id, row.noticed_at, row.ended_at or row.noticed_at
        ),
        subscription_id=row.subscription_id,
        notice_id=row.notice_id,
        type=row.type.value,
        subject=row.subject,
        object_key=row.object_key,
        data=msgspec.Raw(row.data.encode()),
        state="waiting" if waits else "delivered" if row.state is State.DELIVERED else "dead",
        attempts=row.attempts,
        next_attempt_at=_time(row.try_at) if waits and row.try_at and not row.holder else None,
        last_status=row.last_status,
        last_error=row.last_error,
        ended_at=_time(row.ended_at),
    )


async def _check(row: SubscriptionRow) -> None:
    problems: dict[str, str] = {}
    wrong_url, wrong_types = url_problem(row.url), rules.types_problem(row.types)
    if wrong_url:
        problems["url"] = wrong_url
    if wrong_types:
        problems["types"] = wrong_types
    for field, days, most in (
        ("expiry_days", row.expiry_days, rules.MOST_EXPIRY_DAYS),
        ("final_days", row.final_days, rules.MOST_FINAL_DAYS),
    ):
        wrong_days = rules.days_problem(days, most)
        if wrong_days:
            problems[field] = wrong_days
    if len(row.description) > rules.MOST_DESCRIPTION or "\0" in row.description:
        problems["description"] = f"may have up to {rules.MOST_DESCRIPTION} characters, and no NUL"
    if row.authority and not await _is_authority(row.authority):
        size = rules.MOST_PEM
        problems["ca_certificate"] = f"must be certificates in PEM, up to {size} characters, or {rules.SYSTEM_TRUST}"
    if problems:
        raise validation(problems)


async def _is_authority(pem: str) -> bool:
    if len(pem) > rules.MOST_PEM or "\0" in pem or not pem.isascii():
        return False
    from claviger.outgoing.transport import check_authority

    try:
        await asyncio.to_thread(check_authority, pem)
    except ValueError:
        return False
    return True


def _merged(row: SubscriptionRow, asked: NoticeSubscriptionChange, at: float) -> SubscriptionRow:
    """The row with what was asked for; enabling it forgets why it was disabled."""
    disabled = row.disabled if asked.disabled is None else asked.disabled
    return msgspec.structs.replace(
        row,
        url=row.url if asked.url is None else asked.url,
        types=row.types if asked.types is None else _types(asked.types),
        disabled=disabled,
        disabled_reason=row.disabled_reason if disabled and asked.disabled is None else "",
        description=row.description if asked.description is None else asked.description.strip(),
        authority=row.authority if asked.ca_certificate is None else _authority(asked.ca_certificate),
        updated_at=at,
        expiry_days=_days(asked.expiry_days, row.expiry_days),
        final_days=_days(asked.final_days, row.final_days),
    )


def _types(asked: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(asked))


def _days(asked: list[int] | None, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    """The numbers, the farthest first."""
    return otherwise if asked is None else tuple(sorted(set(asked), reverse=True))


def _authority(asked: str) -> str:
    return "" if asked == rules.SYSTEM_TRUST else asked


def _given(secret: Sensitive | None) -> bytes | None:
    if secret is None:
        return None
    key = key_of(secret)
    if key is None:
        least, most = SECRET_BYTES
        raise validation({"secret": f"must be {SECRET_PREFIX} and {least} to {most} random bytes in base64"})
    return key


def _wanted(query: Query) -> Mapping[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    names = {"id": "id", "subscription_id": "subscription_id", "notice_id": "notice_id", "object_key": "object_key"}
    for name, column in {**names, "type": "type", "subject": "subject"}.items():
        if query.all(name):
            wanted[column] = list(query.all(name))
    if any("\0" in value for values in wanted.values() for value in values):
        raise Invalid("Query", message="a filter may hold no NUL")
    states = query.all("state")
    if states:
        unknown = [state for state in states if state not in rules.STATES]
        if unknown:
            raise validation({"state": f"must be one of {', '.join(rules.STATES)}"})
        wanted["state"] = [stored.value for state in states for stored in rules.STATES[state]]
    return wanted


def _check_room(row: SubscriptionRow) -> None:
    if row.waiting >= rules.MOST_WAITING:
        raise Conflict("TooMany", message=f"{rules.MOST_WAITING} notices wait for this subscription already")


def _found(row: SubscriptionRow | None) -> SubscriptionRow:
    if row is None:
        raise NotFound("NotFound", message="there is no such subscription to notices")
    return row


def _no_delivery() -> NotFound:
    return NotFound("NotFound", message="there is no such delivery; those that ended long ago are forgotten")


def _uri(row: SubscriptionRow) -> str:
    return header("claviger", "notice-subscription", row.id, "", row.domain_id, 0.0, 0.0)["uri"]


def _time(at: float | None) -> str | None:
    return None if at is None else timestamp(at)
