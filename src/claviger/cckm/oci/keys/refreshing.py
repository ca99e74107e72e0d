"""Has the records of keys and versions move on by themselves: what passes is looked at again until it has settled, what
is to be deleted when its date has come. Nothing that a caller reads ever asks OCI (CCKM contract, OCI §5.2).

Each row says when to look again, at growing intervals; whoever looks claims it for a while, so that several servers on
one database look once. The intervals go by the product's clock, and go on by the machine's where that stands still.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from claviger.cckm.oci.keys import records
from claviger.cckm.oci.keys.looking import Looking
from claviger.cckm.oci.keys.rows import LONGEST_LOOK_S, MOST_LOOKS, KeyRow, pause_s
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.versions import records as versions
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.core.clock import Clock
from claviger.core.errors import Refusal
from claviger.store.contract import Store, Tx

AT_ONCE = 8
MOST_A_ROUND = 64
LONGEST_SLEEP_S = 10.0
CLAIM_S = 90.0
UNREACHABLE_S = 10 * LONGEST_LOOK_S
"""The pause after so many looks of which none was answered."""
ASTRAY_S = 2 * UNREACHABLE_S
"""Nothing that passes is dated later than so; what is was dated by a clock that has been moved back since."""

log = logging.getLogger("claviger.cckm")


class Refresher:
    """Looks for as long as the server runs. `store` is the one that only keeps the books: no call is behind a look."""

    def __init__(self, store: Store, looking: Looking, clock: Clock, machine: Clock) -> None:
        self._store = store
        self._looking = looking
        self._clock = clock
        self._machine = machine
        self._woken = asyncio.Event()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._looked_at = (clock.now(), machine.now())

    def wake(self) -> None:
        """There may be something to look at: a record was changed, or the clock was moved."""
        self._woken.set()

    async def run(self) -> None:
        """Works until cancelled. It looks at least every 10 seconds, for what other servers have changed."""
        is_new = True
        while True:
            pause = LONGEST_SLEEP_S
            try:
                if is_new:
                    await self._take_up()
                    is_new = False
                await self.look_at_due()
                pause = await self._until_next()
            except Refusal as refusal:
                log.warning("keys of OCI could not be looked at: %s", refusal.reason)
            except Exception as failure:  # noqa: BLE001 - whatever the database came up with, the next look may succeed
                log.error("keys of OCI could not be looked at: %s", type(failure).__name__)
            await self._wait(pause)

    async def _take_up(self) -> None:
        """Looks soon at what a server had claimed that has ended since, rather than when its claim has run out."""
        now = self._now()

        def change(tx: Tx) -> None:
            records.take_up(tx, now, now + CLAIM_S)
            versions.take_up(tx, now, now + CLAIM_S)

        await self._store.write(change)

    async def look_at_due(self) -> int:
        """Looks at everything that is due, a portion at a time; how much that was."""
        now = self._now()
        self._looked_at = (self._clock.now(), self._machine.now())
        nums = await records.due(self._store, now, now + ASTRAY_S, MOST_A_ROUND)
        idents = await versions.due(self._store, now, now + ASTRAY_S, MOST_A_ROUND)
        await asyncio.gather(*(self._in_turn(self._look_at_key(num, now)) for num in nums))
        await asyncio.gather(*(self._in_turn(self._look_at_version(ident, now)) for ident in idents))
        return len(nums) + len(idents)

    async def _in_turn(self, look: Coroutine[None, None, None]) -> None:
        async with self._room:
            try:
                await look
            except Refusal as refusal:
                log.warning("a record of OCI could not be looked after: %s", refusal.reason)
            except Exception as failure:  # noqa: BLE001 - one record must not stop the others
                log.error("a record of OCI could not be looked after: %s", type(failure).__name__)

    async def _look_at_key(self, num: int, now: float) -> None:
        row = await self._store.write(lambda tx: records.claim(tx, num, now, now + ASTRAY_S, now + CLAIM_S))
        vault = None if row is None else await vaults.by_num_anywhere(self._store, row.vault_num)
        if row is None or vault is None:
            return
        try:
            await self._looking.look(self._store, vault, row, tries=row.tries)
        except Refusal as refusal:
            log.info("a key of OCI could not be looked at: %s", refusal.reason)
            at, tries = self._later(row.tries)
            await self._store.write(lambda tx: records.put_off(tx, row, at, tries))

    async def _look_at_version(self, ident: str, now: float) -> None:
        def claim(tx: Tx) -> tuple[VersionRow | None, KeyRow | None]:
            row = versions.claim(tx, ident, now, now + ASTRAY_S, now + CLAIM_S)
            return (None, None) if row is None else (row, records.load_by_num(tx, row.key_num))

        row, key = await self._store.write(claim)
        vault = None if key is None else await vaults.by_num_anywhere(self._store, key.vault_num)
        if row is None or key is None or vault is None:
            return
        try:
            await self._looking.look_at_version(self._store, vault, key, row)
        except Refusal as refusal:
            log.info("a version of a key of OCI could not be looked at: %s", refusal.reason)
            at, tries = self._later(row.tries)
            await self._store.write(lambda tx: versions.put_off(tx, row, at, tries))

    def _later(self, tries: int) -> tuple[float, int]:
        """When to try again where OCI did not answer: at ever longer intervals, and without end."""
        most = MOST_LOOKS // 2  # so that there are looks left for a state that passes, once it does answer
        pause = UNREACHABLE_S if tries >= most else pause_s(tries)
        return self._clock.now() + pause, max(tries, min(tries + 1, most))

    def _now(self) -> float:
        """The product's time; where that stands still, what has passed since the last look is added."""
        now, (looked_at, on_machine) = self._clock.now(), self._looked_at
        if now < looked_at:  # it was moved back
            return now
        return max(now, looked_at + self._machine.now() - on_machine)

    async def _until_next(self) -> float:
        known = [at for at in (await records.next_due(self._store), await versions.next_due(self._store)) if at]
        left = min(known) - self._clock.now() if known else LONGEST_SLEEP_S
        return min(LONGEST_SLEEP_S, max(0.05, left))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()
