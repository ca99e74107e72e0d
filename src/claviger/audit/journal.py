"""What a service that is called from outside does with the log: its calls begin with a trail and end in a record.

A change carries its record in its own transaction (`audit.trail.AuditedStore`). What is read is recorded as the setting
`audit_reads` says: `strict`, before it is answered, or `buffered`, on disk within 100 ms. What is refused is recorded
before it is answered. What is special about the callers of one service is added by its own `journal`.
"""

from __future__ import annotations

from claviger.audit.entry import Actor, Entry, Origin, Outcome, Subject
from claviger.audit.log import UNAVAILABLE, AuditLog
from claviger.audit.strangers import Strangers
from claviger.audit.trail import Trail
from claviger.core.clock import Clock
from claviger.core.errors import Refusal


class Journal:
    """Follows the calls of one service. `machine` measures the minute of strangers.

    Refusals for one of the reasons in `unrecorded` leave no record.
    """

    def __init__(
        self,
        log: AuditLog,
        clock: Clock,
        machine: Clock,
        origin: Origin,
        *,
        is_strict: bool = False,
        unrecorded: tuple[str, ...] = (),
    ) -> None:
        self.is_strict = is_strict
        self._log = log
        self._clock = clock
        self._strangers = Strangers(machine)
        self._origin: Origin = origin
        self._unrecorded = (UNAVAILABLE, *unrecorded)

    def trail(self, action: str, actor: Actor, subject: Subject, request_id: str) -> Trail:
        """The trail of a call."""
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

    async def refused(self, trail: Trail, refusal: Refusal, status: int, *, is_read: bool = False) -> Refusal:
        """Records a refusal; what is to be answered then, which is another one where the record cannot be written."""
        if refusal.reason in self._unrecorded or trail.is_told:
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
