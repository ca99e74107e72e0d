"""The embedded cloud's records in the audit log: every call that changes or reveals something, granted or refused.

A change carries its record in its own transaction (`audit.trail.AuditedStore`). What is read is recorded as the setting
`audit_reads` says: `strict`, before it is answered, or `buffered`, on disk within 100 ms. What is refused is recorded
before it is answered; a client that begins without a token, to be told where to get one, is not refused anything.
"""

from __future__ import annotations

from collections.abc import Callable

from claviger.audit.entry import Actor, Origin, Outcome, Subject
from claviger.audit.log import UNAVAILABLE, AuditLog
from claviger.audit.stamp import Stamp, Stamped
from claviger.audit.trail import WHOLE_SERVER, Trail
from claviger.core.clock import Clock
from claviger.core.errors import Refusal
from claviger.keyvault.challenge import Caller

STRANGERS_A_MINUTE = 120
"""So many refusals of callers that nobody knows are recorded; how many more there were is said by the next one."""
MAX_STAMPS = 4096


class CloudJournal:
    """Follows the calls of one host of the cloud. `machine` measures the minute of strangers."""

    def __init__(self, log: AuditLog, clock: Clock, machine: Clock, origin: Origin, *, is_strict: bool = False) -> None:
        self.is_strict = is_strict
        self._log = log
        self._clock = clock
        self._machine = machine
        self._origin: Origin = origin
        self._stamps: dict[tuple[int, str, str, str], tuple[Caller, Stamp]] = {}
        self._minute = 0.0
        self._strangers = 0

    def begin(self, action: str, subject: Subject, request_id: str, address: str, caller: Caller | None) -> Trail:
        """The trail of a call. `caller` is None where nobody is known to be calling."""
        actor = Actor(address=address)
        if caller is not None:
            actor = Actor(address=address, user_id=caller.oid, username=caller.appid)
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
        entry = trail.entry("granted")
        if self.is_strict:
            await self._log.record(entry)
        else:
            self._log.buffer(entry)

    def read_now(
        self, action: str, caller: Caller, address: str, vault: str, name: str, version: str, request_id: str
    ) -> None:
        """The same for a secret's value without waiting, which `is_strict` forbids. The hot path."""
        key = id(caller), vault, address, action
        known = self._stamps.get(key)
        if known is None or known[0] is not caller:  # as long as we hold a caller nobody else has its id
            known = caller, self._stamp(action, caller, address, vault)
            if len(self._stamps) >= MAX_STAMPS:
                self._stamps.clear()
            self._stamps[key] = known
        self._log.buffer(Stamped(known[1], self._clock.now(), name, version, request_id))

    def _stamp(self, action: str, caller: Caller, address: str, vault: str) -> Stamp:
        return Stamp(
            action=action,
            actor=Actor(address=address, user_id=caller.oid, username=caller.appid),
            domain_id=WHOLE_SERVER,
            origin=self._origin,
            service=self._origin,
            status=200,
            kind="secret",
            container=vault,
        )

    async def refused(self, begin: Callable[[], Trail], trail: Trail | None, refusal: Refusal, status: int) -> Refusal:
        """Records a refusal; what is to be answered then, which is another one where the record cannot be written.

        `begin` makes the trail of a call that was refused before it had one. A call that was refused because its record
        could not be written has none.
        """
        if refusal.reason in (UNAVAILABLE, "MissingToken") or (trail is not None and trail.is_told):
            return refusal
        trail = trail or begin()
        told = {} if trail.actor.user_id else self._of_strangers()
        if told is None:
            return refusal
        outcome: Outcome = "failed" if status >= 500 else "refused"
        try:
            await self._log.record(trail.entry(outcome, status, reason=refusal.reason, **told))
        except Refusal as unrecorded:
            return unrecorded
        return refusal

    def _of_strangers(self) -> dict[str, int] | None:
        """What the record of a stranger adds; None for one too many, since strangers must not fill the disk."""
        now = self._machine.monotonic()
        if now - self._minute >= 60:
            unrecorded = max(0, self._strangers - STRANGERS_A_MINUTE)
            self._minute, self._strangers = now, 1
            return {"unrecorded_before": unrecorded} if unrecorded else {}
        self._strangers += 1
        return {} if self._strangers <= STRANGERS_A_MINUTE else None
