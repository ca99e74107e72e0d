"""The embedded cloud's records in the audit log: every call that changes or reveals something, granted or refused.

A change carries its record in its own transaction (`audit.trail.AuditedStore`). What is read is recorded as the setting
`audit_reads` says: `strict`, before it is answered, or `buffered`, on disk within 100 ms. What is refused is recorded
before it is answered; a client that begins without a token, to be told where to get one, is not refused anything.
"""

from __future__ import annotations

from typing import NamedTuple

from claviger.audit.entry import Actor, Entry, Origin, Outcome, Subject
from claviger.audit.log import UNAVAILABLE, AuditLog
from claviger.audit.stamp import Stamp, Stamped
from claviger.audit.strangers import Strangers
from claviger.audit.trail import WHOLE_SERVER, Trail
from claviger.core.clock import Clock
from claviger.core.errors import Refusal
from claviger.keyvault.challenge import Caller

MAX_STAMPS = 4096
NO_TOKEN = "MissingToken"  # noqa: S105 - a reason
"""The reason where a client is sent to the login host: how every one begins, and nothing that it is refused."""


def actor_of(caller: Caller, address: str) -> Actor:
    """A caller as records name it: by the object id of its principal, and by its application's id."""
    return Actor(address=address, user_id=caller.oid, username=caller.appid)


class _Known(NamedTuple):
    """What is kept of a caller, for one action from one address in one vault."""

    caller: Caller
    actor: Actor
    stamp: Stamp


class CloudJournal:
    """Follows the calls of one host of the cloud. `machine` measures the minute of strangers."""

    def __init__(self, log: AuditLog, clock: Clock, machine: Clock, origin: Origin, *, is_strict: bool = False) -> None:
        self.is_strict = is_strict
        self._log = log
        self._clock = clock
        self._strangers = Strangers(machine)
        self._origin: Origin = origin
        self._stamps: dict[tuple[int, str, str, str], _Known] = {}

    def begin(self, action: str, subject: Subject, request_id: str, address: str, caller: Caller | None) -> Trail:
        """The trail of a call. `caller` is None where nobody is known to be calling."""
        actor = Actor(address=address) if caller is None else actor_of(caller, address)
        return Trail(
            self._clock,
            origin=self._origin,
            service=self._origin,
            action=action,
            actor=actor,
            subject=subject,
            request_id=request_id,
        )

    async def done(self, trail: Trail) -> None:
        """Records what is neither a change nor a read, before it is answered. Raises Busy("AuditUnavailable")."""
        await self._log.record(trail.entry("granted"))

    async def read(self, trail: Trail) -> None:
        """Records what is about to be shown. Raises Busy("AuditUnavailable")."""
        await self._put(trail.entry("granted"), is_read=True)

    async def _put(self, entry: Entry, *, is_read: bool) -> None:
        if is_read and not self.is_strict:
            self._log.buffer(entry)
        else:
            await self._log.record(entry)

    def read_now(
        self, action: str, caller: Caller, address: str, vault: str, name: str, version: str, request_id: bytes
    ) -> None:
        """The same for a secret's value without waiting, which `is_strict` forbids. The hot path."""
        stamp = self._known(action, caller, address, vault).stamp
        self._log.buffer(Stamped(stamp, self._clock.now(), name, version, request_id))

    def begin_set(
        self, action: str, caller: Caller, address: str, vault: str, subject: Subject, request_id: str
    ) -> Trail:
        """As `begin`, for a call that tells the version it makes or shows: the quick way to its record."""
        known = self._known(action, caller, address, vault)
        trail = Trail(
            self._clock,
            origin=self._origin,
            service=self._origin,
            action=action,
            actor=known.actor,
            subject=subject,
            request_id=request_id,
        )
        trail.stamp = known.stamp
        return trail

    def _known(self, action: str, caller: Caller, address: str, vault: str) -> _Known:
        key = id(caller), vault, address, action
        known = self._stamps.get(key)
        if known is None or known.caller is not caller:  # as long as we hold a caller nobody else has its id
            actor = actor_of(caller, address)
            known = _Known(caller, actor, self._stamp(action, actor, vault))
            if len(self._stamps) >= MAX_STAMPS:
                self._stamps.clear()
            self._stamps[key] = known
        return known

    def _stamp(self, action: str, actor: Actor, vault: str) -> Stamp:
        return Stamp(
            action=action,
            actor=actor,
            domain_id=WHOLE_SERVER,
            origin=self._origin,
            service=self._origin,
            status=200,
            kind="secret",
            container=vault,
        )

    async def refused(self, trail: Trail, refusal: Refusal, status: int, *, is_read: bool = False) -> Refusal:
        """Records a refusal; what is to be answered then, which is another one where the record cannot be written."""
        if refusal.reason in (UNAVAILABLE, NO_TOKEN) or trail.is_told:
            return refusal
        told = {} if trail.actor.user_id else self._strangers.told()
        if told is None:
            return refusal
        outcome: Outcome = "failed" if status >= 500 else "refused"
        try:
            await self._put(trail.entry(outcome, status, reason=refusal.reason, **told), is_read=is_read)
        except Refusal as unrecorded:
            return unrecorded
        return refusal
