"""The embedded cloud's records in the audit log: every call that changes or reveals something, granted or refused.

`audit.journal` has what all services do; here are the callers of the vaults, the quick way to the record of a secret
that is read or set, and this: a client that begins without a token, to be told where to get one, is refused nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from claviger.audit import journal
from claviger.audit.entry import Actor, Origin, Subject
from claviger.audit.log import AuditLog
from claviger.audit.stamp import Stamp, Stamped
from claviger.audit.trail import WHOLE_SERVER, Trail
from claviger.core.clock import Clock
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


class CloudJournal(journal.Journal):
    """Follows the calls of one host of the cloud. `machine` measures the minute of strangers."""

    def __init__(self, log: AuditLog, clock: Clock, machine: Clock, origin: Origin, *, is_strict: bool = False) -> None:
        super().__init__(log, clock, machine, origin, is_strict=is_strict, unrecorded=(NO_TOKEN,))
        self._stamps: dict[tuple[int, str, str, str], _Known] = {}

    def begin(self, action: str, subject: Subject, request_id: str, address: str, caller: Caller | None) -> Trail:
        """The trail of a call. `caller` is None where nobody is known to be calling."""
        actor = Actor(address=address) if caller is None else actor_of(caller, address)
        return self.trail(action, actor, subject, request_id)

    def read_now(
        self, action: str, caller: Caller, address: str, vault: str, name: str, version: str, request_id: bytes
    ) -> None:
        """As `read`, for a secret's value without waiting, which `is_strict` forbids. The hot path."""
        stamp = self._known(action, caller, address, vault).stamp
        self._log.buffer(Stamped(stamp, self._clock.now(), name, version, request_id))

    def begin_set(
        self, action: str, caller: Caller, address: str, vault: str, subject: Subject, request_id: str
    ) -> Trail:
        """As `begin`, for a call that tells the version it makes or shows: the quick way to its record."""
        known = self._known(action, caller, address, vault)
        trail = self.trail(action, known.actor, subject, request_id)
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
