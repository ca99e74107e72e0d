"""State machines as tables. A table says, for each operation and state, where it leads or why it is refused.

A service writes its own table and asks it before every change; what the table does not name is a refusal too, never a
guess. The state diagrams of the documentation are drawn from the same tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Generic, TypeVar

from claviger.core.errors import Conflict, NotFound, Refusal

S = TypeVar("S", bound=Enum)
O = TypeVar("O", bound=Enum)  # noqa: E741 - an operation


class Refused:
    """A cell that refuses: the class of the refusal and its reason."""

    __slots__ = ("kind", "reason")

    def __init__(self, kind: type[Refusal], reason: str) -> None:
        self.kind = kind
        self.reason = reason

    def raised(self, facts: Mapping[str, object]) -> Refusal:
        """The refusal to raise, with the facts of this case."""
        return self.kind(self.reason, **facts)


def absent(reason: str) -> Refused:
    """A cell that answers as if there were nothing."""
    return Refused(NotFound, reason)


def conflict(reason: str) -> Refused:
    """A cell that refuses because of the present state."""
    return Refused(Conflict, reason)


class TransitionTable(Generic[O, S]):
    """(operation, state) -> next state or refusal. Immutable once made."""

    def __init__(self, cells: Mapping[O, Mapping[S, S | Refused]]) -> None:
        self._cells = {(operation, state): cell for operation, row in cells.items() for state, cell in row.items()}

    def decide(self, operation: O, state: S, **facts: object) -> S:
        """The state after `operation`. Raises the cell's refusal, or Conflict("StateForbids") without a cell."""
        cell = self._cells.get((operation, state))
        if cell is None:
            raise Conflict("StateForbids", operation=operation.value, state=state.value, **facts)
        if isinstance(cell, Refused):
            raise cell.raised(facts)
        return cell

    def cells(self) -> Iterator[tuple[O, S, S | Refused]]:
        """Every cell, for diagrams and for tests that walk the whole table."""
        for (operation, state), cell in self._cells.items():
            yield operation, state, cell
