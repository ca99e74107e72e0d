"""Counts failed sign-ins and stops answering whoever keeps failing; bounded in memory, and lost with the process."""

from __future__ import annotations

from collections import OrderedDict

from claviger.core.clock import Clock
from claviger.core.errors import Throttled


class FailedAttempts:
    """Up to `most` failures per key in `window_s` seconds. Keys beyond `remembered` push the oldest ones out."""

    def __init__(self, clock: Clock, most: int = 20, window_s: float = 60.0, remembered: int = 4_096) -> None:
        self._clock = clock
        self._most = most
        self._window_s = window_s
        self._remembered = remembered
        self._counts: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def check(self, who: str, address: str) -> None:
        """Raises Throttled("TooManyFailures") with `retry_after_s` while the key has failed too often."""
        began, count = self._counts.get((who, address), (0.0, 0))
        left = began + self._window_s - self._clock.monotonic()
        if count >= self._most and left > 0:
            raise Throttled("TooManyFailures", retry_after_s=max(1, int(left + 0.999)))

    def failed(self, who: str, address: str) -> None:
        """Notes one failure. The window begins with the first."""
        now = self._clock.monotonic()
        began, count = self._counts.pop((who, address), (now, 0))
        if now - began >= self._window_s:
            began, count = now, 0
        while len(self._counts) >= self._remembered:
            self._counts.popitem(last=False)
        self._counts[who, address] = (began, count + 1)
