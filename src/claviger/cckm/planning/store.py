"""The store as the control plane uses it: changes of a call that is only planned run to their end, and are taken back.

They run in a real transaction on the real rows, so every rule is decided as it would be; then the transaction is rolled
back and the call ends with `Planned`. The rest of the server is shut out of nothing and sees nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

from claviger.cckm.planning.draft import Planned, current_draft, following
from claviger.core.errors import Refusal
from claviger.store.contract import Store, Tx

T = TypeVar("T")


@runtime_checkable
class RecordsRefusals(Protocol):
    """A store that keeps a record of the call that a change belongs to; see `audit.trail.AuditedStore`."""

    async def write_refusal(self, change: Callable[[Tx], Any], refusal: Refusal, status: int) -> Any:
        """A change that ends a call which is refused, with the record of that."""
        ...


class PlannedStore:
    """A store whose changes are rehearsed where a plan is being made, and otherwise written as they are."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.kind = store.kind
        self.read = store.read  # as they are: reading is the hot path
        self.read_one = store.read_one
        self.read_now = store.read_now
        self.generation = store.generation

    async def write(self, change: Callable[[Tx], T]) -> T:
        """See `Store`. Raises Planned where the call is only planned and the change would have been committed."""
        return await self._store.write(_rehearsed(change))

    async def write_refusal(self, change: Callable[[Tx], T], refusal: Refusal, status: int) -> T:
        """A change that ends a call which is refused, with the record of that where records are kept."""
        if isinstance(self._store, RecordsRefusals):
            done: T = await self._store.write_refusal(_rehearsed(change), refusal, status)
            return done
        return await self.write(change)

    async def close(self) -> None:
        """See `Store`."""
        await self._store.close()


def _rehearsed(change: Callable[[Tx], T]) -> Callable[[Tx], T]:
    draft = current_draft()
    if draft is None:
        return change

    def rehearse(tx: Tx) -> T:
        draft.afresh()
        with following(draft):  # the store's own thread does not know it otherwise
            change(tx)
        raise Planned

    return rehearse
