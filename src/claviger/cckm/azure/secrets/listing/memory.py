"""What is remembered between lists: totals, groups and places on the way, for as long as no secret changes.

All of it belongs to one revision of the secrets, which every change moves, whichever server makes it. So nothing here
is ever out of date: it is forgotten first. Memory is bounded; what was not used for longest goes.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

MOST_KEPT = 2_000_000
_LEAST = 100


class Notes:
    """What one list knows already, and what it finds out. Nothing is kept of it before `Memory.keep`."""

    def __init__(self, revision: str, known: OrderedDict[Hashable, Any]) -> None:
        self.revision = revision
        self.found: dict[Hashable, Any] = {}
        self._known = known

    def get(self, key: Hashable) -> Any:
        """What is known by this key, or None."""
        if key in self.found:
            return self.found[key]
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        return None

    def put(self, key: Hashable, value: Any) -> None:
        """Notes something."""
        self.found[key] = value


class Memory:
    """What is known of one revision. The unit of its size is a number; small things count for `_LEAST` of them."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._revision = ""
        self._known: OrderedDict[Hashable, Any] = OrderedDict()
        self._size = 0

    def notes(self, revision: str) -> Notes:
        """What is known of this revision."""
        if revision != self._revision:
            self._revision, self._known, self._size = revision, OrderedDict(), 0
        return Notes(revision, self._known)

    def keep(self, notes: Notes, revision: str) -> None:
        """Keeps what was found out, if nothing has changed meanwhile: `revision` is that of now."""
        if notes.revision != revision or revision != self._revision:
            return
        for key, value in notes.found.items():
            if key in self._known:
                self._size -= _size(self._known.pop(key))
            if _size(value) <= self._most:
                self._known[key] = value
                self._size += _size(value)
        while self._size > self._most:
            _, dropped = self._known.popitem(last=False)
            self._size -= _size(dropped)


def _size(value: Any) -> int:
    if isinstance(value, (list, dict)):
        return _LEAST + 10 * len(value)
    return _LEAST + (len(value) if isinstance(value, Sequence | array) else 0)
