"""The courier: takes what is due out of the outbox, sends it signed, and tries again what was not taken.

At least once: a server that ends between a receiver's answer and its note of it sends again, under the same id. Per
object and subscription in order: a later notice waits until the earlier one was taken or given up. Several servers on
one database share the work by leases; one that died on this machine is noticed at once, any other when its lease ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from claviger.cckm.notices import records, rules
from claviger.cckm.notices.keys import SEALED_AS, opened
from claviger.cckm.notices.outbox import records as outbox
from claviger.cckm.notices.outbox.records import Consignment, DeliveryRow
from claviger.cckm.notices.rules import State, Type
from claviger.cckm.notices.wire import Event
from claviger.cckm.resource import timestamp
from claviger.cckm.sealed import Safe
from claviger.core.clock import Clock
from claviger.core.errors import Busy, Refusal
from claviger.jobs.holder import is_dead, own_name
from claviger.outgoing.rules import LONGEST_RETRY_AFTER_S, Outcome, pause_after, pause_of_receiver, retry_after
from claviger.outgoing.signature import headers_of
from claviger.store.contract import Store, Tx

if TYPE_CHECKING:
    from claviger.outgoing.transport import Transport

LEASE_S = 60.0
POLL_S = 1.0
TEND_S = 30.0
PRUNE_S = 3600.0
PRUNED_AT_ONCE = 1000
AT_ONCE = 32
AT_ONCE_EACH = 4
SOURCE = "/claviger"
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"

log = logging.getLogger("claviger.notices")


class Courier:
    """Delivers for as long as the server runs. `clock` dates what is shown; waits and signatures go by `machine`.

    `source` begins the `source` of every event, and tells installations apart; the domain's id ends it.
    """

    def __init__(
        self,
        store: Store,
        safe: Safe,
        clock: Clock,
        machine: Clock,
        *,
        source: str = SOURCE,
        poll_s: float = POLL_S,
        attempt_s: float | None = None,
    ) -> None:
        self._store = store
        self._safe = safe
        self._clock = clock
        self._machine = machine
        self._source = source.rstrip("/")
        self._poll_s = poll_s
        self._attempt_s = attempt_s
        self.holder = own_name()
        self._transport: Transport | None = None
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._turn = 0
        self._tended_at = self._pruned_at = float("-inf")
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Looks into the outbox now: something was put there."""
        self._woken.set()

    async def run(self) -> None:
        """Delivers until cancelled. What cannot be looked at is logged, and looked at again later."""
        try:
            while True:
                self._woken.clear()
                try:
                    await self.tend()
                    await self._start_due()
                except Refusal as refusal:
                    log.warning("notices could not be looked at: %s", refusal.reason)
                try:
                    async with asyncio.timeout(self._poll_s):
                        await self._woken.wait()
                except TimeoutError:
                    continue
        finally:
            await self.close()

    async def close(self) -> None:
        """Gives up what is under way, for whoever comes next, and ends all connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._transport is not None:
            await self._transport.close()
            self._transport = None

    async def deliver_due(self) -> int:
        """Sends all that is due now, and what becomes due by that; how many attempts there were."""
        attempts = 0
        while True:
            # What ends during a look lets the next of its object go: that look came too early, and is repeated.
            under_way = bool(self._tasks)
            begun = await self._start_due()
            attempts += begun
            if not (under_way or begun):
                return attempts
            if self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def deliver(self, ident: str) -> None:
        """Makes one attempt at a delivery that this process has leased."""
        found = await outbox.consignment(self._store, ident)
        if found is not None and found.delivery.holder == self.holder:
            await self._attempt(found)

    async def tend(self) -> None:
        """Takes over from servers that have died, and removes what is old; now and then, and at the start."""
        now = self._machine.monotonic()
        if now - self._tended_at >= TEND_S:
            self._tended_at = now
            for holder in await outbox.holders(self._store):
                if is_dead(holder):
                    await self._store.write(lambda tx, gone=holder: outbox.expire(tx, gone))  # type: ignore[misc]
        if now - self._pruned_at >= PRUNE_S:
            self._pruned_at = now
            await self.prune()

    async def prune(self) -> int:
        """Removes deliveries that ended long ago, or beyond the most that are kept; how many."""
        now = self._clock.now()
        removed = 0
        for ident in await records.all_ids(self._store):

            def change(tx: Tx, of: str = ident) -> int:
                return outbox.prune(
                    tx, of, now - rules.KEPT_DELIVERED_S, now - rules.KEPT_DEAD_S, rules.MOST_ENDED, PRUNED_AT_ONCE
                )

            while count := await self._store.write(change):
                removed += count
        return removed

    async def _start_due(self) -> int:
        """Leases and begins what is due, as far as there is room; how many."""
        now = self._machine.now()
        room = AT_ONCE - len(self._tasks)
        due = await outbox.receivers_due(self._store, now) if room > 0 else []
        self._turn += 1
        begun = 0
        under_way = Counter(self._tasks.values())
        for at in range(len(due)):
            receiver = due[(at + self._turn) % len(due)]
            most = min(AT_ONCE_EACH - under_way[receiver], room - begun)
            if most <= 0:
                continue

            def change(tx: Tx, of: str = receiver, most: int = most) -> list[Consignment]:
                return outbox.take(tx, of, self.holder, now, now + LEASE_S, most)

            for taken in await self._store.write(change):
                task = asyncio.create_task(self._attempt(taken))
                self._tasks[task] = receiver
                task.add_done_callback(self._ended)
                begun += 1
        return begun

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._woken.set()

    async def _attempt(self, consignment: Consignment) -> None:
        delivery = consignment.delivery
        try:
            outcome = await self._outcome_of(consignment)
            await self._store.write(lambda tx: self._conclude(tx, delivery, outcome))
        except asyncio.CancelledError:
            await self._store.write(lambda tx: outbox.let_go(tx, delivery))
            raise
        except Refusal as refusal:  # the database is not there; the lease ends by itself
            log.warning("the delivery %s stays open: %s", delivery.id, refusal.reason)

    async def _outcome_of(self, consignment: Consignment) -> Outcome:
        try:
            return await self._sent(consignment)
        except Busy:
            raise
        except Exception as failure:  # noqa: BLE001 - it counts as an attempt, or it would be made for ever
            told = failure.reason if isinstance(failure, Refusal) else type(failure).__name__
            log.error("the delivery %s failed here: %s", consignment.delivery.id, told)
            return Outcome(None, f"could not be sent by this server: {told}")

    async def _sent(self, consignment: Consignment) -> Outcome:
        delivery = consignment.delivery
        keys = opened(await self._safe.must_open(SEALED_AS, delivery.subscription_id))
        body = msgspec.json.encode(self._event(delivery))
        now = self._machine.now()
        headers = headers_of(delivery.notice_id, int(now), body, keys.at(now))
        headers["Content-Type"] = CONTENT_TYPE
        return await self._opened().post(consignment.url, consignment.authority, headers, body)

    def _opened(self) -> Transport:
        if self._transport is None:
            from claviger.outgoing.transport import ATTEMPT_S, Transport

            self._transport = Transport(attempt_s=self._attempt_s or ATTEMPT_S)
        return self._transport

    def _event(self, delivery: DeliveryRow) -> Event:
        return Event(
            id=delivery.notice_id,
            source=f"{self._source}/domains/{delivery.domain_id}",
            type=rules.event_type(delivery.type),
            subject=delivery.subject,
            time=timestamp(delivery.noticed_at),
            data=msgspec.Raw(delivery.data.encode()),
        )

    def _conclude(self, tx: Tx, delivery: DeliveryRow, outcome: Outcome) -> None:
        """Notes how an attempt ended, unless another server has taken over meanwhile."""
        at, ident = self._clock.now(), delivery.subscription_id
        if not outcome.error:
            if outbox.end(tx, delivery, State.DELIVERED, outcome.status, "", at):
                records.note_delivered(tx, ident, at)
            return
        now = self._machine.now()
        asked = retry_after(outcome.retry_after, now)
        pause = pause_after(delivery.attempts, asked)
        if outcome.status == 410 or delivery.type is Type.TEST or pause is None:
            mine = outbox.end(tx, delivery, State.DEAD, outcome.status, outcome.error, at)
        else:
            mine = outbox.put_off(tx, delivery, now + pause, outcome.status, outcome.error)
        if not mine:
            return
        failures = records.note_failed(tx, ident, at, outcome.error)
        if outcome.status == 410:
            records.disable(tx, ident, rules.GONE)
        if outcome.status is None:
            records.pause(tx, ident, now + pause_of_receiver(failures), failures + 1)
        elif asked is not None:
            records.pause(tx, ident, now + min(asked, LONGEST_RETRY_AFTER_S), failures)
