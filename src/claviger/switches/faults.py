"""Faults on request: which calls fail, how, how often. Chance comes from a seed, so a run can be had again.

A `Fault` names a service, an operation and a place (a vault, say), each of which may be `*`. The first one that matches
and whose turn it is decides what happens to a call: an error answer, a delay, a connection that is cut, or the end of
the process, as by a power cut. Who takes a fault away lets go of the calls that it delays.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Literal

import msgspec

from claviger.core.errors import Conflict, Invalid, NotFound

MAX_FAULTS = 100
MAX_DELAY_S = 60.0
MAX_RETRY_AFTER_S = 3600
STATUSES = (408, 429, 500, 502, 503, 504)

Kind = Literal["status", "delay", "drop", "crash"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. `share` of the calls it matches fail, the first `count` of them if that is given."""

    id: int = 0
    kind: Kind
    service: str = "*"
    operation: str = "*"
    place: str = "*"
    status: int = 503
    retry_after_s: int | None = None
    delay_s: float = 0.0
    share: float = 1.0
    count: int | None = None
    seed: int = 0


class _Armed:
    """A fault with what is left of it."""

    __slots__ = ("chance", "fault", "gone", "hits", "left")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.gone = asyncio.Event()
        self.left = fault.count
        self.hits = 0
        self.chance = random.Random(fault.seed)

    def fires(self, service: str, operation: str, place: str) -> bool:
        """Whether this call is hit; draws from chance only for calls that match."""
        fault = self.fault
        if fault.service not in ("*", service) or fault.place.lower() not in ("*", place.lower()):
            return False
        if fault.operation.lower() not in ("*", operation.lower()) or self.left == 0:
            return False
        if fault.share < 1.0 and self.chance.random() >= fault.share:
            return False
        if self.left is not None:
            self.left -= 1
        self.hits += 1
        return True


class Standing(msgspec.Struct, frozen=True):
    """A fault as it stands: how often it has struck, and how often it still will (None: without end)."""

    fault: Fault
    hits: int
    left: int | None


class Faults:
    """All faults of a server, tried in the order in which they were added."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._next_id = 1

    def add(self, fault: Fault) -> Fault:
        """Arms a fault; the same with its id. Raises Invalid("Fault") naming the field, Conflict("TooManyFaults")."""
        _check(fault)
        if len(self._armed) >= MAX_FAULTS:
            raise Conflict("TooManyFaults", most=MAX_FAULTS)
        armed = msgspec.structs.replace(fault, id=self._next_id)
        self._next_id += 1
        self._armed.append(_Armed(armed))
        return armed

    def remove(self, fault_id: int) -> None:
        """Disarms one. Raises NotFound("FaultUnknown")."""
        found = [armed for armed in self._armed if armed.fault.id == fault_id]
        if not found:
            raise NotFound("FaultUnknown", id=fault_id)
        self._disarm(found)

    def clear(self) -> None:
        """Disarms all."""
        self._disarm(list(self._armed))

    def _disarm(self, some: list[_Armed]) -> None:
        for armed in some:
            self._armed.remove(armed)
            armed.gone.set()

    async def delay(self, fault: Fault) -> None:
        """Returns after the fault's delay, or when it is disarmed before."""
        armed = next((each for each in self._armed if each.fault.id == fault.id), None)
        if armed is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.delay_s):
                    await armed.gone.wait()

    def standing(self) -> list[Standing]:
        """All of them, spent ones included."""
        return [Standing(armed.fault, armed.hits, armed.left) for armed in self._armed]

    def striking(self, service: str, operation: str, place: str) -> Fault | None:
        """The fault that hits this call, if any."""
        for armed in self._armed:
            if armed.fires(service, operation, place):
                return armed.fault
        return None


def _check(fault: Fault) -> None:
    limits = {
        "status": fault.kind != "status" or fault.status in STATUSES,
        "delay_s": 0 <= fault.delay_s <= MAX_DELAY_S and (fault.kind != "delay" or fault.delay_s > 0),
        "share": 0 < fault.share <= 1,
        "count": fault.count is None or 0 < fault.count <= 1_000_000_000,
        "retry_after_s": fault.retry_after_s is None or 0 <= fault.retry_after_s <= MAX_RETRY_AFTER_S,
        "operation": 0 < len(fault.operation) <= 64,
        "place": 0 < len(fault.place) <= 255,
        "service": 0 < len(fault.service) <= 32,
    }
    wrong = [name for name, holds in limits.items() if not holds]
    if wrong:
        raise Invalid("Fault", field=wrong[0])
