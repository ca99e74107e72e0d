"""The embedded OCI's records in the audit log: every call that changes or reveals something, granted or refused.

`audit.journal` has what all services do; here is how a call of OCI is named. Lists are not recorded, as in OCI's own
audit of data events; a handler says what a call was about with `audit.trail.about`, as soon as it knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from claviger.audit import journal
from claviger.audit.entry import Actor, Origin, Subject
from claviger.audit.log import AuditLog
from claviger.audit.stamp import ObjectStamp, StampedObject
from claviger.audit.trail import WHOLE_SERVER, Trail
from claviger.core.clock import Clock
from claviger.ocikms.calls import Caller, Route

SERVICE: Origin = "ocikms"
MAX_STAMPS = 4096
UNKNOWN_OPERATION = "OciCall"
"""The action of a call that asked for no operation that there is."""
_OCID = re.compile(r"ocid1\.[a-z0-9]{1,32}\.[A-Za-z0-9._-]{1,215}")


class _Known(NamedTuple):
    """What is kept of a caller, for one operation from one address."""

    caller: Caller
    actor: Actor
    stamp: ObjectStamp


class OciJournal(journal.Journal):
    """Follows the calls of all hosts of OCI. `machine` measures the minute of strangers."""

    def __init__(self, log: AuditLog, clock: Clock, machine: Clock, *, is_strict: bool = False) -> None:
        super().__init__(log, clock, machine, SERVICE, is_strict=is_strict)
        self._known_callers: dict[tuple[int, str, str], _Known] = {}

    def begin(
        self, route: Route | None, path: Mapping[str, str], caller: Caller | None, address: str, request_id: str
    ) -> Trail:
        """The trail of a call. `route` is None where there is none, `caller` where nobody is known to be calling."""
        if caller is None or not caller.user_id:
            actor = Actor(address=address)
        elif route is None:
            actor = Actor(address=address, user_id=caller.user_id, username=caller.user_name)
        else:
            actor = self._known(route, caller, address).actor
        # What can be no OCID is not kept: it may be a value that went astray.
        ident = next((value for value in reversed([*path.values()]) if _OCID.fullmatch(value)), "")
        subject = Subject(id=ident, kind="" if route is None else route.subject_kind)
        trail = self.trail(UNKNOWN_OPERATION if route is None else route.operation, actor, subject, request_id)
        trail.status = 200
        return trail

    async def answered(self, trail: Trail, route: Route, caller: Caller, address: str) -> None:
        """As `read`; by the quick way where the record tells nothing but who did what to which object."""
        if self.is_strict or trail.details or trail.status != 200 or not caller.user_id:
            await self.read(trail)
        else:
            self.read_now(route, caller, address, trail.request_id, trail.subject)

    def read_now(
        self,
        route: Route,
        caller: Caller,
        address: str,
        request_id: str,
        subject: Subject,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """As `read`, without waiting, which `is_strict` forbids, for a known caller who was granted a read.

        A record without details has nothing of its own but time, object and request: the rest is encoded once.
        """
        known = self._known(route, caller, address)
        if not details:
            self._log.buffer(StampedObject(known.stamp, self._clock.now(), subject, request_id))
            return
        trail = self.trail(route.operation, known.actor, subject, request_id)
        trail.status = 200
        trail.details.update(details)
        self._log.buffer(trail.entry("granted"))

    def _known(self, route: Route, caller: Caller, address: str) -> _Known:
        key = id(caller), route.operation, address
        known = self._known_callers.get(key)
        if known is None or known.caller is not caller:  # as long as we hold a caller nobody else has its id
            actor = Actor(address=address, user_id=caller.user_id, username=caller.user_name)
            stamp = ObjectStamp(
                action=route.operation,
                actor=actor,
                domain_id=WHOLE_SERVER,
                origin=SERVICE,
                service=SERVICE,
                status=200,
            )
            if len(self._known_callers) >= MAX_STAMPS:
                self._known_callers.clear()
            known = self._known_callers[key] = _Known(caller, actor, stamp)
        return known
