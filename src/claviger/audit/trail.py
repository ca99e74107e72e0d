"""The trail of one call: who is doing what, known to every change that the call makes, however deep.

Whoever receives a call says so with `following(Trail(...))`. Every change that goes through an `AuditedStore` meanwhile
is committed together with a record of it; so nobody who writes a change can forget its record, and none is written for
what was rolled back. Work that only keeps the books (a counter of failures, a lease) is done `silently()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from claviger.audit.entry import NOBODY, NOTHING, Actor, Entry, Origin, Outcome, Severity, Subject
from claviger.audit.log import AuditLog
from claviger.core.clock import Clock
from claviger.core.errors import Refusal
from claviger.store.contract import Row, Store, Tx, Value

T = TypeVar("T")

_SEVERITY: Mapping[Outcome, Severity] = {"granted": "info", "refused": "warning", "failed": "error"}


class Trail:
    """One call, or one piece of background work. Its fields may be told more exactly as more is known."""

    def __init__(
        self,
        clock: Clock,
        *,
        origin: Origin,
        service: str,
        action: str,
        domain_id: str = "",
        actor: Actor = NOBODY,
        subject: Subject = NOTHING,
        request_id: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self._clock = clock
        self.origin = origin
        self.service = service
        self.action = action
        self.domain_id = domain_id
        self.actor = actor
        self.subject = subject
        self.request_id = request_id
        self.details = dict(details or {})
        self.status = 0
        self.count = 0
        """How many changes were recorded."""
        self.is_told = False
        """Whether the end of the call stands in the log already."""
        self.is_withheld = False

    def about(self, kind: str, ident: str, name: str = "", container: str = "") -> None:
        """Says what the call is about."""
        self.subject = Subject(kind=kind, id=ident, name=name, container=container)

    def entry(self, outcome: Outcome, status: int | None = None, **more: Any) -> Entry:
        """The record of this moment."""
        return Entry(
            action=self.action,
            actor=self.actor,
            at=self._clock.now(),
            details={**self.details, **more},
            domain_id=self.domain_id,
            object=self.subject,
            origin=self.origin,
            outcome=outcome,
            request_id=self.request_id,
            service=self.service,
            severity=_SEVERITY[outcome],
            status=self.status if status is None else status,
        )


_current: ContextVar[Trail | None] = ContextVar("claviger_trail", default=None)


def current_trail() -> Trail | None:
    """The trail of the call that is running, if it has one."""
    return _current.get()


@contextmanager
def following(trail: Trail) -> Iterator[Trail]:
    """Everything within belongs to this trail."""
    token = _current.set(trail)
    try:
        yield trail
    finally:
        _current.reset(token)


@contextmanager
def silently() -> Iterator[None]:
    """Changes within are no business of the log: they only keep the books."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def about(kind: str, ident: str, name: str = "", container: str = "") -> None:
    """Says what the running call is about, if anybody follows it."""
    trail = _current.get()
    if trail is not None:
        trail.about(kind, ident, name, container)


def withhold() -> None:
    """Said within a change: it turns out to do nothing that the log should tell."""
    trail = _current.get()
    if trail is not None:
        trail.is_withheld = True


class AuditedStore:
    """A store whose changes carry the record of the call that makes them. What has no trail is written as it is."""

    def __init__(self, store: Store, log: AuditLog) -> None:
        self._store = store
        self._log = log
        self.kind = store.kind
        self.read_now = store.read_now
        self.generation = store.generation

    async def read(self, sql: str, *args: Value) -> list[Row]:
        """See `Store`."""
        return await self._store.read(sql, *args)

    async def read_one(self, sql: str, *args: Value) -> Row | None:
        """See `Store`."""
        return await self._store.read_one(sql, *args)

    async def write(self, change: Callable[[Tx], T]) -> T:
        """See `Store`; with the record of the call in the same transaction."""
        return await self._written(change, "granted", {})

    async def write_refusal(self, change: Callable[[Tx], T], refusal: Refusal, status: int) -> T:
        """A change that ends a call which is refused, with the record of that."""
        return await self._written(change, "refused", {"reason": refusal.reason, "status": status})

    async def _written(self, change: Callable[[Tx], T], outcome: Outcome, told: Mapping[str, Any]) -> T:
        trail = _current.get()
        if trail is None:
            return await self._store.write(change)

        def both(tx: Tx) -> T:
            trail.is_withheld = False
            with following(trail):  # the store's own thread does not know it otherwise
                done = change(tx)
            if not trail.is_withheld:
                self._log.note(tx, trail.entry(outcome, **told))
            return done

        done = await self._store.write(both)
        if not trail.is_withheld:
            trail.count += 1
            trail.is_told = trail.is_told or outcome == "refused"
        return done

    async def close(self) -> None:
        """See `Store`."""
        await self._store.close()
