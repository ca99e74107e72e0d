"""The retention sweep: purges what may no longer be saved, at its date or as soon after it as the server runs.

It sleeps until the next date, at most `sweep_s`, so that a clock that was set or a row that another process wrote is
noticed within one sweep. Rows that are due are already invisible before it comes by (`secrets.rules.state_of`).
"""

from __future__ import annotations

import asyncio
import logging

from claviger.audit.trail import Trail, following
from claviger.core.clock import Clock
from claviger.core.errors import Refusal
from claviger.keyvault.secrets.operations import Secrets
from claviger.keyvault.vaults.deletion import Purges

BATCH = 200
ENDED = "its retention has ended"
SHORTEST_WAIT_S = 0.05

log = logging.getLogger("claviger.sweeper")


class Sweeper:
    """Runs for as long as the server does; several servers on one database may each run one."""

    def __init__(self, secrets: Secrets, purges: Purges, clock: Clock, sweep_s: float) -> None:
        self._secrets = secrets
        self._purges = purges
        self._clock = clock
        self._sweep_s = sweep_s
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Sweeps now: the clock was moved."""
        self._woken.set()

    async def run(self) -> None:
        """Sweeps until cancelled. A sweep that fails is logged and tried again at the next one."""
        while True:
            self._woken.clear()
            try:
                await self.sweep()
                wait_s = await self._until_next()
            except Refusal as refusal:
                log.warning("the retention sweep was put off: %s", refusal)
                wait_s = self._sweep_s
            try:
                await asyncio.wait_for(self._woken.wait(), wait_s)
            except TimeoutError:
                continue

    async def sweep(self) -> int:
        """Purges everything that is due now, in batches that other changes can come between; how many secrets.

        Vaults that are due go first, with all that is in them, and are not counted.
        """
        with following(self._trail("VaultPurge")):
            vaults = await self._purges.purge_due()
        if vaults:
            log.info("purged %d vaults whose retention has ended", vaults)
        purged = 0
        while True:
            with following(self._trail("SecretPurge")):
                count = await self._secrets.purge_due(BATCH)
            purged += count
            if count < BATCH:
                if purged:
                    log.info("purged %d secrets whose retention has ended", purged)
                return purged

    def _trail(self, action: str) -> Trail:
        return Trail(self._clock, origin="sweeper", service="keyvault", action=action, details={"reason": ENDED})

    async def _until_next(self) -> float:
        ends = (await self._secrets.next_due(), await self._purges.next_due())
        due = [at - self._clock.now() for at in ends if at is not None]
        return max(SHORTEST_WAIT_S, min([self._sweep_s, *due]))
