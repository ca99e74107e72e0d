"""What happens in the embedded OCI because its time has come: deletions, rotations, and the end of retry tokens.

It sleeps until the next date, at most `sweep_s`, so that a clock that was set, or a row that another process wrote, is
noticed within one sweep. What is due is already shown as deleted before it comes by (`states.shown`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from math import ceil
from typing import TypeVar

import msgspec

from claviger.audit.trail import Trail, following, silently
from claviger.core.clock import Clock
from claviger.core.errors import Refusal
from claviger.ocikms.keys import deletion as keys
from claviger.ocikms.keys import rotation
from claviger.ocikms.materials import Materials
from claviger.ocikms.retries import records as retries
from claviger.ocikms.secrets import deletion as secrets
from claviger.ocikms.vaults import deletion as vaults
from claviger.ocikms.versions import deletion as versions
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store

BATCH = 200
SHORTEST_WAIT_S = 0.05
ROTATED_AT_ONCE = 8
DUE = "its time has come"

T = TypeVar("T")

log = logging.getLogger("claviger.ocikms.sweeper")


class Part(msgspec.Struct, frozen=True):
    """One kind of thing that comes due. `act(now, limit)` does up to `limit` of what is due at `now`; how many it did.

    `now` is a whole second, so that nothing is done within a second that is still shown as before.
    """

    action: str
    """As the audit log calls it."""
    act: Callable[[float, int], Awaitable[int]]
    next_due: Callable[[], Awaitable[float | None]]
    limit: int = BATCH


def deletions(store: Store, keyring: Keyring) -> list[Part]:
    """All that is deleted at its date. Vaults come last: most of what is in them has the same date, and a record."""
    kinds = (
        ("DeleteKeyVersion", versions),
        ("DeleteKey", keys),
        ("DeleteSecret", secrets),
        ("DeleteVault", vaults),
    )
    return [
        Part(action, partial(kind.delete_due, store, keyring), partial(kind.next_due, store)) for action, kind in kinds
    ]


def rotations(store: Store, keyring: Keyring, materials: Materials) -> Part:
    """Keys that rotate themselves; few at a time, for RSA keys take long to make."""
    act = partial(rotation.rotate_due, store, keyring, materials)
    return Part("RotateKey", act, partial(rotation.next_due, store), ROTATED_AT_ONCE)


class Sweeper:
    """Runs for as long as the server does; several servers on one database may each run one."""

    def __init__(self, parts: Sequence[Part], store: Store, clock: Clock, sweep_s: float) -> None:
        self._parts = tuple(parts)
        self._store = store
        self._clock = clock
        self._sweep_s = sweep_s
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Sweeps now: the clock was moved."""
        self._woken.set()

    async def run(self) -> None:
        """Sweeps until cancelled. A part that fails is logged and tried again at the next sweep, the others go on."""
        while True:
            self._woken.clear()
            next_at = await self.sweep()
            wait_s = self._sweep_s if next_at is None else min(self._sweep_s, ceil(next_at) - self._clock.now())
            try:
                await asyncio.wait_for(self._woken.wait(), max(SHORTEST_WAIT_S, wait_s))
            except TimeoutError:
                continue

    async def sweep(self) -> float | None:
        """Does all that is due now; when the next of it is due, in epoch seconds, of the parts that did not fail.

        Parts that have much to do take turns.
        """
        busy: Sequence[Part] = self._parts
        failed: set[Part] = set()
        while busy:
            counts = [(part, await self._attempted(part, self._acted, part)) for part in busy]
            failed.update(part for part, count in counts if count is None)
            busy = [part for part, count in counts if count is not None and count >= part.limit]
        await self._forget_tokens()
        dates = [await self._attempted(part, part.next_due) for part in self._parts if part not in failed]
        return min((at for at in dates if at is not None), default=None)

    async def _acted(self, part: Part) -> int:
        trail = Trail(self._clock, origin="sweeper", service="ocikms", action=part.action, details={"reason": DUE})
        with following(trail):
            count = await part.act(float(int(self._clock.now())), part.limit)
        if count:
            log.info("%s: %d", part.action, count)
        return count

    async def _attempted(self, part: Part, step: Callable[..., Awaitable[T]], *given: Part) -> T | None:
        """What a step gives; None where it fails, which is logged."""
        try:
            return await step(*given)
        except Refusal as refusal:
            log.warning("%s was put off: %s", part.action, refusal)
        except Exception:  # a mistake in one part must not keep back what is due elsewhere
            log.exception("%s failed", part.action)
        return None

    async def _forget_tokens(self) -> None:
        try:
            with silently():
                while await self._store.write(lambda tx: retries.expire(tx, self._clock.now(), BATCH)) == BATCH:
                    pass
        except Refusal as refusal:
            log.warning("retry tokens were left to the next sweep: %s", refusal)
