"""Operations that survive: the intent is committed before a cloud is asked, and ended together with the outcome.

`Intents` is the ledger: begin within the change that decides, end within the change that saves the outcome. `Finisher`
is the background task that takes up what nobody holds any more (a crash, a cloud that did not answer) and hands it to
the function registered for its kind, until that ends it. Everything is in one table of the store, so state, outcome and
record are one transaction on either database.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Refusal
from claviger.core.ids import new_uuid
from claviger.jobs import records
from claviger.jobs.holder import is_dead, own_name
from claviger.jobs.records import Intent
from claviger.store.contract import Store, Tx

LEASE_S = 240.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0
LONGEST_SLEEP_S = 10.0
AT_ONCE = 8
SURE_AFTER = 5
INTENDED, SENT = "intended", "sent"

Finish = Callable[[Intent], Awaitable[None]]
"""Finishes an intent: asks the cloud what happened, and ends the intent with the outcome. Raises a Refusal to be asked
again later."""

log = logging.getLogger("claviger.jobs")


class Intents:
    """The ledger of open intents. `clock` dates them; leases go by `machine`, which nobody moves."""

    def __init__(self, store: Store, clock: Clock, machine: Clock) -> None:
        self._store = store
        self._clock = clock
        self._machine = machine
        self.holder = own_name()
        self._let_go = asyncio.Event()

    def begin(
        self, tx: Tx, intent_id: str, kind: str, subject: str, payload: Any, *, lease_s: float = LEASE_S
    ) -> Intent:
        """Opens an intent within the change that decides on it. Raises Conflict("OperationUnderWay")."""
        encoded = msgspec.json.encode(payload).decode()
        intent = Intent(intent_id, kind, subject, encoded, INTENDED, self.holder, 0, self._clock.now())
        if not records.add(tx, intent, self._machine.now() + lease_s):
            raise _under_way(records.open_for(tx, subject))
        return intent

    def end(self, tx: Tx, intent: Intent) -> None:
        """Ends an intent within the change that saves its outcome.

        Raises Conflict("TakenOver") where somebody else has taken it up: what they find out is what counts.
        """
        if not records.remove(tx, intent, self.holder):
            raise _taken_over()

    def check_held(self, tx: Tx, intent: Intent) -> None:
        """For a change in the middle of the work. Raises Conflict("TakenOver") as `end` does."""
        if not records.is_held(tx, intent, self.holder):
            raise _taken_over()

    async def let_go(self, intent: Intent, refusal: Refusal, *, sent: bool = False) -> None:
        """Leaves an intent to the finisher, which waits longer from attempt to attempt. Nothing where it has ended.

        `sent` says that a request may still be on its way; see `in_doubt`.
        """
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(intent.attempts, 10))
        at = self._machine.now() + pause
        told = f"{refusal.reason}: {refusal.facts.get('message', '')}"
        stage = SENT if sent else None
        await self._store.write(lambda tx: records.put_off(tx, intent, self.holder, at, told, stage))
        self._let_go.set()

    @staticmethod
    def in_doubt(intent: Intent) -> bool:
        """Whether a request that was not answered may yet arrive, so that it is too early to send it again.

        The pauses between attempts make `SURE_AFTER` of them half a minute, in which the cloud is only asked.
        """
        return intent.stage == SENT and intent.attempts < SURE_AFTER

    async def release_the_dead(self) -> int:
        """Ends the leases of processes of this machine that have ended; how many."""
        dead = [(intent_id, holder) for intent_id, holder in await records.held(self._store) if is_dead(holder)]
        for intent_id, holder in dead:
            await self._store.write(lambda tx, i=intent_id, h=holder: records.expire(tx, i, h))  # type: ignore[misc]
        return len(dead)

    async def take_up(self, most: int = AT_ONCE) -> list[Intent]:
        """Leases what nobody holds and whose time has come."""
        at, now = await records.next_try(self._store), self._machine.now()
        if at is None or at > now:
            return []
        return await self._store.write(lambda tx: records.take_up(tx, self.holder, now, now + LEASE_S, most))

    async def until_next(self) -> float:
        """Seconds until there may be something to take up; at most `LONGEST_SLEEP_S`."""
        at = await records.next_try(self._store)
        left = LONGEST_SLEEP_S if at is None else at - self._machine.now()
        return min(LONGEST_SLEEP_S, max(0.05, left))

    async def wait(self, seconds: float) -> None:
        """Waits, or less long where an intent was let go meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._let_go.wait()
        except TimeoutError:
            return
        self._let_go.clear()

    def wake(self) -> None:
        """Ends a wait: there may be something to do, or room to do it."""
        self._let_go.set()

    @staticmethod
    def new_id() -> str:
        """The id of an intent, known before it is begun: what is sealed for it is named by it."""
        return new_uuid()


def _under_way(found: tuple[str, str] | None) -> Conflict:
    message = "another operation on this object is under way; try again when it is done"
    if found is not None:
        kind, error = found
        message = f"another operation ({kind}) on this object is under way; try again when it is done"
        message += f" (it waits: {error})" if error else ""
    return Conflict("OperationUnderWay", message=message)


def _taken_over() -> Conflict:
    return Conflict("TakenOver", message="the operation is being finished by another server; read the record")


def _described(failure: Exception) -> str:
    """What kind of failure it was, and where: its own words may hold anything."""
    frames = traceback.extract_tb(failure.__traceback__)[-3:]
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(failure).__name__} at {places}"


class Finisher:
    """Takes up open intents for as long as the server runs; several servers on one database may each have one."""

    def __init__(self, intents: Intents, kinds: Mapping[str, Finish]) -> None:
        self._intents = intents
        self._kinds = dict(kinds)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Works until cancelled. What fails is logged and tried again later; one that hangs does not hold up others."""
        try:
            while True:
                await self._intents.wait(await self._look())
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self) -> float:
        """Takes up what there is room for; the seconds until there may be more."""
        try:
            await self._intents.release_the_dead()
            room = AT_ONCE - len(self._tasks)
            for intent in await self._intents.take_up(room) if room else ():
                task = asyncio.create_task(self._finish(intent))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
            return await self._intents.until_next() if len(self._tasks) < AT_ONCE else LONGEST_SLEEP_S
        except Refusal as refusal:
            log.warning("open operations could not be looked at: %s", refusal.reason)
        except Exception as failure:  # noqa: BLE001 - whatever the database came up with, the next look may succeed
            log.error("open operations could not be looked at: %s", _described(failure))
        return LONGEST_SLEEP_S

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._intents.wake()

    async def _finish(self, intent: Intent) -> None:
        finish = self._kinds.get(intent.kind)
        if finish is None:
            log.error("an open operation is of a kind that this version does not know: %s", intent.kind)
            await self._put_off(intent, Conflict("KindUnknown", message=intent.kind))
            return
        try:
            await finish(intent)
            log.info("finished %s %s, which was left open", intent.kind, intent.id)
        except Refusal as refusal:
            if refusal.reason != "TakenOver":
                await self._put_off(intent, refusal)
        except Exception as failure:  # noqa: BLE001 - one intent must not stop the others
            log.error("%s %s could not be finished: %s", intent.kind, intent.id, _described(failure))
            await self._put_off(intent, Conflict("FinishFailed", message=type(failure).__name__))

    async def _put_off(self, intent: Intent, refusal: Refusal) -> None:
        log.warning("%s %s stays open: %s", intent.kind, intent.id, refusal.reason)
        try:
            await self._intents.let_go(intent, refusal)
        except Refusal as busy:  # then the lease has to run out
            log.warning("%s %s could not be let go: %s", intent.kind, intent.id, busy.reason)
