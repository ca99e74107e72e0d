"""The product's clock with a lever: it follows the machine's until it is set, advanced or frozen."""

from __future__ import annotations

from claviger.core.clock import Clock
from claviger.core.errors import Invalid

EARLIEST = 946_684_800.0  # the year 2000
LATEST = 253_402_300_799.0 - 366 * 86_400  # a year before dates stop being showable


class MovableClock:
    """Time of day that can be moved; the steady time is always the machine's."""

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self._offset_s = 0.0
        self._frozen_at: float | None = None

    @property
    def offset_s(self) -> float:
        """How far ahead of the machine's clock it is."""
        return self._offset_s if self._frozen_at is None else self._frozen_at - self._machine.now()

    @property
    def frozen(self) -> bool:
        """Whether it stands still."""
        return self._frozen_at is not None

    def now(self) -> float:
        """Seconds since the epoch, as moved."""
        if self._frozen_at is not None:
            return self._frozen_at
        return self._machine.now() + self._offset_s

    def monotonic(self) -> float:
        """The machine's steady clock."""
        return self._machine.monotonic()

    def set(self, at: float) -> None:
        """Moves to `at`. Raises Invalid("ClockRange") outside the years 2000 to 9998."""
        if not EARLIEST <= at <= LATEST:
            raise Invalid("ClockRange", at=at)
        self._offset_s = at - self._machine.now()
        if self._frozen_at is not None:
            self._frozen_at = at

    def advance(self, seconds: float) -> None:
        """Moves by `seconds`, also back. Raises Invalid("ClockRange")."""
        self.set(self.now() + seconds)

    def freeze(self) -> None:
        """Stands still from now on."""
        self._frozen_at = self.now()

    def run(self) -> None:
        """Goes on from where it stands."""
        if self._frozen_at is not None:
            self._offset_s = self._frozen_at - self._machine.now()
            self._frozen_at = None

    def reset(self) -> None:
        """Follows the machine's clock again."""
        self._offset_s = 0.0
        self._frozen_at = None
