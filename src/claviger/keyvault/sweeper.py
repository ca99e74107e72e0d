"""The retention sweep: purges what may no longer be saved, at its date or as soon after it as the server runs.

It sleeps until the next date, at most `sweep_s`, so that a clock that was set or a row that another process wrote is
noticed within one sweep. Rows that are due are already invisible before it comes by (`secrets.rules.state_of`).
"""

from __future__ import annotations

import asyncio
import logging

from claviger.core.clock import Clock
from claviger.core.errors import Refusal
from claviger.keyvault.secrets.operations import Secrets

BATCH = 200
SHORTEST_WAIT_S = 0.05

log = logging.getLogger("claviger.sweeper")


class Sweeper:
    """Runs for as long as the server does; several servers on one database may each run one."""

    def __init__(self, secrets: Secrets, clock: Clock, sweep_s: float) -> None:
        self._secrets = secrets
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
        """Purges everything that is due now, in batches that other changes can come between; how many."""
        purged = 0
        while True:
            count = await self._secrets.purge_due(BATCH)
            purged += count
            if count < BATCH:
                if purged:
                    log.info("purged %d secrets whose retention has ended", purged)
                return purged

    async def _until_next(self) -> float:
        due = await self._secrets.next_due()
        if due is None:
            return self._sweep_s
        return max(SHORTEST_WAIT_S, min(self._sweep_s, due - self._clock.now()))
