"""The end of a vault's management. Nothing happens in the cloud.

One change takes the vault's row, its permissions and as many of its secrets as fit: a small vault is gone with it. What
is left of a large one is hidden by the same change (its facets lose their domain, so no list and no read finds them)
and goes in batches, between which other changes run. The facets are what remembers it: whatever interrupts the
sweep, the next one, at the next start or in another server on the same database, finds them and goes on.
"""

from __future__ import annotations

import asyncio
import logging

from claviger.cckm.azure.vaults import records
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.core.errors import Refusal
from claviger.store.contract import Store, Tx

BATCH = 200
LONGEST_WAIT_S = 60.0

log = logging.getLogger("claviger.cckm.vaults")


class Removals:
    """Removes what belonged to removed vaults. `run` goes on for as long as the server does."""

    def __init__(self, store: Store, batch: int = BATCH) -> None:
        self._store = store
        self._batch = batch
        self._woken = asyncio.Event()

    def remove(self, tx: Tx, vault: VaultRow) -> None:
        """Removes a vault's row and hides its secrets, within a change; the first batch of them goes at once."""
        records.remove(tx, vault)
        records.sweep_some(tx, vault.num, self._batch)

    def wake(self) -> None:
        """Sweeps soon: a vault was removed."""
        self._woken.set()

    async def sweep(self) -> int:
        """Removes all that is left behind by vaults; how many secrets."""
        removed = 0
        while True:
            count = await self._store.write(self._some)
            if count is None:
                return removed
            removed += count

    def _some(self, tx: Tx) -> int | None:
        num = records.left_behind(tx)
        return None if num is None else records.sweep_some(tx, num, self._batch)

    async def run(self) -> None:
        """Sweeps until cancelled. A sweep that fails is logged and tried again."""
        while True:
            self._woken.clear()
            try:
                removed = await self.sweep()
                if removed:
                    log.info("removed %d records of secrets whose vaults are not managed any more", removed)
            except Refusal as refusal:
                log.warning("the removal of a vault's secrets was put off: %s", refusal)
            try:
                await asyncio.wait_for(self._woken.wait(), LONGEST_WAIT_S)
            except TimeoutError:
                continue
