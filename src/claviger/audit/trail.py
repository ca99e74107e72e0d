"""The trail of one call: who is doing what, known to every change that the call makes, however deep.

Whoever receives a call says so with `following(Trail(...))`. Every change that goes through an `AuditedStore` meanwhile
is committed together with a record of it; so nobody who writes a change can forget its record, and none is written for
what was rolled back. Work that only keeps the books (a counter of failures, a lease) is done `silently()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from claviger.audit.entry import NOBODY, NOTHING, Actor, Entry, Origin, Outcome, Severity, Subject
from claviger.audit.log import AuditLog
from claviger.audit.stamp import Stamp, Stamped
from claviger.core.clock import Clock
from claviger.core.errors import Refusal
from claviger.store.contract import Store, Tx

T = TypeVar("T")

WHOLE_SERVER = "00000000-0000-0000-0000-000000000000"
"""The domain of records that belong to none: the root domain, whose admins see them."""
BEGUN, OPEN, DONE = "begun", "open", "done"
_SEVERITY: Mapping[Outcome, Severity] = {"granted": "info", "refused": "warning", "failed": "error"}


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a trail with work that goes on without its call, so that the end is told as the beginning was."""

    action: str = ""
    service: str = ""
    origin: str = ""
    domain_id: str = ""
    request_id: str = ""
    address: str = ""
    session_id: str = ""
    user_id: str = ""
    username: str = ""

    def resumed(self, clock: Clock, origin: Origin | None = None) -> Trail:
        """The trail anew; with the origin of whoever goes on, where that is somebody else."""
        known: Any = self.origin or "api"
        return Trail(
            clock,
            origin=origin or known,
            service=self.service,
            action=self.action,
            domain_id=self.domain_id,
            actor=Actor(address=self.address, session_id=self.session_id, user_id=self.user_id, username=self.username),
            request_id=self.request_id,
        )


class Trail:
    """One call, or one piece of background work. Its fields may be told more exactly as more is known.

    With a `stamp`, which is for its action, actor and container, the record of a plain grant is made by that.
    """

    __slots__ = (
        "_clock",
        "action",
        "actor",
        "count",
        "details",
        "domain_id",
        "is_told",
        "is_withheld",
        "origin",
        "others",
        "request_id",
        "service",
        "stage",
        "stamp",
        "status",
        "subject",
        "turned_down",
    )

    def __init__(
        self,
        clock: Clock,
        *,
        origin: Origin,
        service: str,
        action: str,
        domain_id: str = WHOLE_SERVER,
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
        self.details: dict[str, Any] = dict(details) if details else {}
        self.stamp: Stamp | None = None
        self.status = 0
        self.stage = ""
        """Of work in a cloud: `BEGUN` with the intent, `DONE` with the outcome, `OPEN` where that is not known."""
        self.count = 0
        """How many changes were recorded."""
        self.is_told = False
        """Whether the end of the call stands in the log already."""
        self.is_withheld = False
        self.turned_down: tuple[Outcome, Mapping[str, Any]] | None = None
        self.others: list[Subject] = []
        """Where one change is about several objects: each of them gets a record."""

    def afresh(self) -> None:
        """A change begins (again)."""
        self.is_withheld, self.turned_down = False, None
        self.others.clear()

    def kept(self) -> Kept:
        """For work that goes on when the call has ended."""
        actor = self.actor
        return Kept(
            action=self.action,
            service=self.service,
            origin=self.origin,
            domain_id=self.domain_id,
            request_id=self.request_id,
            address=actor.address,
            session_id=actor.session_id,
            user_id=actor.user_id,
            username=actor.username,
        )

    def about(self, kind: str, ident: str, name: str = "", container: str = "") -> None:
        """Says what the call is about."""
        self.subject = Subject(kind=kind, id=ident, name=name, container=container)

    def entry(self, outcome: Outcome, status: int | None = None, **more: Any) -> Entry:
        """The record of this moment."""
        if self.stage:
            more["stage"] = self.stage
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

    def entries(self, outcome: Outcome, told: Mapping[str, Any]) -> Sequence[Entry | Stamped]:
        """The records of a change that has run."""
        if self.stamp is not None and outcome == "granted" and self.turned_down is None:
            version = str(self.details["version"])
            return (Stamped(self.stamp, self._clock.now(), self.subject.name, version, self.request_id.encode()),)
        if self.turned_down is not None:
            outcome, told = self.turned_down
        elif self.stage == BEGUN:  # it is not answered yet
            told = {**told, "status": 0}
        if not self.others:
            return [self.entry(outcome, **told)]
        found = []
        for subject in self.others:
            self.subject = subject
            found.append(self.entry(outcome, **told))
        return found


_current: ContextVar[Trail | None] = ContextVar("claviger_trail", default=None)


def current_trail() -> Trail | None:
    """The trail of the call that is running, if it has one."""
    return _current.get()


class following:  # noqa: N801 - said as a verb: with following(trail)
    """Everything within belongs to this trail; with None, to none."""

    __slots__ = ("_token", "_trail")

    def __init__(self, trail: Trail | None) -> None:
        self._trail = trail

    def __enter__(self) -> None:
        self._token = _current.set(self._trail)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def silently() -> following:
    """Changes within are no business of the log: they only keep the books."""
    return following(None)


def about(kind: str, ident: str, name: str = "", container: str = "") -> None:
    """Says what the running call is about, if anybody follows it."""
    trail = _current.get()
    if trail is not None:
        trail.about(kind, ident, name, container)


def also_about(kind: str, ident: str, name: str = "", container: str = "") -> None:
    """Said within a change, for each object where it is about several: each gets a record of its own."""
    trail = _current.get()
    if trail is not None:
        trail.others.append(Subject(kind=kind, id=ident, name=name, container=container))


def acting(user_id: str, username: str, domain_id: str, session_id: str = "") -> None:
    """Says who it is that calls, once he has proved it."""
    trail = _current.get()
    if trail is not None:
        trail.domain_id = domain_id
        address = trail.actor.address
        trail.actor = Actor(address=address, session_id=session_id, user_id=user_id, username=username)


def belongs_to(domain_id: str) -> None:
    """Says whose admins see the record."""
    trail = _current.get()
    if trail is not None:
        trail.domain_id = domain_id


def staged(stage: str) -> None:
    """Says at which stage of a piece of work in a cloud the running change is."""
    trail = _current.get()
    if trail is not None:
        trail.stage = stage


def answering(status: int) -> None:
    """Says what will be answered, where that is known in the change alone."""
    trail = _current.get()
    if trail is not None:
        trail.status = status


def telling(**details: Any) -> None:
    """Adds to what the record tells. Never a secret value."""
    trail = _current.get()
    if trail is not None:
        trail.details.update(details)


def turn_down(refusal: Refusal, status: int) -> None:
    """Said within a change that is kept although the call it ends is refused: the record is one of the refusal."""
    trail = _current.get()
    if trail is not None:
        trail.turned_down = "refused", {"reason": refusal.reason, "status": status}


def fail(reason: str) -> None:
    """Said within a change that ends a piece of work which failed."""
    trail = _current.get()
    if trail is not None:
        trail.turned_down = "failed", {"reason": reason}


def withhold(is_withheld: bool = True) -> None:
    """Said within a change: it turns out to do nothing that the log should tell (or, with False, something)."""
    trail = _current.get()
    if trail is not None:
        trail.is_withheld = is_withheld


@runtime_checkable
class RecordsRefusals(Protocol):
    """A store that can commit a change together with the record that the call was refused."""

    async def write_refusal(self, change: Callable[[Tx], Any], refusal: Refusal, status: int) -> Any:
        """A change that ends a call which is refused, with the record of that."""
        ...


async def write_refused(store: Store, change: Callable[[Tx], T], refusal: Refusal, status: int) -> T:
    """A change that ends a call which is refused: with the record of that, where the store keeps records."""
    if isinstance(store, RecordsRefusals):
        done: T = await store.write_refusal(change, refusal, status)
        return done
    return await store.write(change)


class AuditedStore:
    """A store whose changes carry the record of the call that makes them. What has no trail is written as it is."""

    def __init__(self, store: Store, log: AuditLog) -> None:
        self._store = store
        self._log = log
        self.kind = store.kind
        self.read = store.read  # reads have no record, and are the hot path
        self.read_one = store.read_one
        self.read_now = store.read_now
        self.generation = store.generation

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
            trail.afresh()
            with following(trail):  # the store's own thread does not know it otherwise
                done = change(tx)
            if not trail.is_withheld:
                self._log.note(tx, *trail.entries(outcome, told))
            return done

        done = await self._store.write(both)
        if not trail.is_withheld:
            trail.count += 1
            trail.is_told = trail.is_told or outcome == "refused" or trail.turned_down is not None
        return done

    async def close(self) -> None:
        """See `Store`."""
        await self._store.close()
