"""Time as an argument: everything that needs the hour is given a `Clock`, so that a test or an operator can move it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time of day for dates that are stored or shown, and a steady time for measuring waits."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never runs backwards."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Seconds since the epoch, UTC, as the machine has it."""
        return time.time()

    def monotonic(self) -> float:
        """The machine's steady clock."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: float) -> None:
        self._now = start
        self._steady = 0.0

    def now(self) -> float:
        """The time it was last set to."""
        return self._now

    def monotonic(self) -> float:
        """The sum of all forward moves."""
        return self._steady

    def set(self, at: float) -> None:
        """Moves to `at`, forwards or backwards; the steady time only follows forward moves."""
        self._steady += max(0.0, at - self._now)
        self._now = at

    def advance(self, seconds: float) -> None:
        """Moves by `seconds`."""
        self.set(self._now + seconds)
