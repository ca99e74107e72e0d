"""Which rows of a vault a reading has seen, in memory that hardly grows with the vault."""

from __future__ import annotations


class Seen:
    """Which rows of a vault were seen, a bit each."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        self._bits = bytearray((last - first) // 8 + 1 if last >= first else 0)
        self.count = 0

    def add(self, num: int, *, counts: bool) -> None:
        """Notes a row; one that came since the reading began is of no account. `count` is of those that count."""
        at = num - self.first
        if 0 <= at <= self.last - self.first and not self._bits[at >> 3] >> (at & 7) & 1:
            self._bits[at >> 3] |= 1 << (at & 7)
            self.count += counts

    def has(self, num: int) -> bool:
        """Whether a row was seen, or came since."""
        at = num - self.first
        return not 0 <= at <= self.last - self.first or bool(self._bits[at >> 3] >> (at & 7) & 1)
