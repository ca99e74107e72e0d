"""The control plane's records in the audit log: every call that changes or reveals something, granted or refused.

A change carries its record in its own transaction (`audit.trail.AuditedStore`); what is refused, and what is revealed,
is recorded here, before it is answered. A call whose record cannot be written is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from claviger.audit.entry import Actor, Outcome, Subject
from claviger.audit.log import AuditLog
from claviger.audit.strangers import Strangers
from claviger.audit.trail import Trail
from claviger.cckm.calls import Caller, Route
from claviger.core.clock import Clock
from claviger.core.errors import Refusal

SERVICE = "cckm"
NOT_BUILT = 501

_SERVICES = {
    "auth": "auth",
    "client-management": "usermgmt",
    "connectionmgmt": "connectionmgmt",
    "domains": "usermgmt",
    "usermgmt": "usermgmt",
}
"""Which service a call is of, by the first word of its path; all others are of `SERVICE`."""
_KINDS = {
    "Azure secrets": "azure-secret",
    "Azure subscriptions": "azure-subscription",
    "Azure vaults": "azure-vault",
    "Approvals": "approval",
    "Clients": "client",
    "Connections": "connection",
    "Domains": "domain",
    "Groups": "group",
    "Leaving": "azure-secret",
    "Local keys": "local-key",
    "Notices": "notice-subscription",
    "OCI compartments": "oci-compartment",
    "OCI keys": "oci-key",
    "OCI reports": "oci-report",
    "OCI tenancies": "oci-tenancy",
    "OCI vaults": "oci-vault",
    "Self": "user",
    "Signing keys": "signing-key",
    "Tokens": "session",
    "Users": "user",
}
"""What a call is about that was refused before anybody could say."""


class Journal:
    """Follows calls. `machine` measures the minute of strangers."""

    def __init__(self, log: AuditLog, clock: Clock, machine: Clock) -> None:
        self._log = log
        self._clock = clock
        self._strangers = Strangers(machine)

    def begin(self, route: Route, params: Mapping[str, str], request_id: str, address: str) -> Trail | None:
        """The trail of a call; None for one that neither changes nor reveals anything."""
        if route.is_silent:
            return None
        trail = Trail(
            self._clock,
            origin="api",
            service=_SERVICES.get(route.path.split("/", 2)[1], SERVICE),
            action=route.summary,
            actor=Actor(address=address),
            subject=Subject(kind=_KINDS.get(route.tag, route.tag), id=next(iter(params.values()), "")),
            request_id=request_id,
            details={"method": route.method, "path": route.path},
        )
        trail.status = route.status
        return trail

    def known(self, trail: Trail, caller: Caller) -> None:
        """The caller is known from now on."""
        trail.domain_id = caller.domain_id
        trail.actor = Actor(
            address=trail.actor.address,
            session_id=caller.session_id,
            user_id=caller.user_id,
            username=caller.username,
        )

    async def revealed(self, trail: Trail) -> None:
        """Records that something is about to be shown. Raises Busy("AuditUnavailable")."""
        await self._log.record(trail.entry("granted"))

    async def broken(self, trail: Trail, failure: Exception) -> None:
        """Records that a call ended in a mistake of the server's own."""
        await self._log.record(trail.entry("failed", 500, reason=type(failure).__name__))

    async def ended(self, trail: Trail, refusal: Refusal, status: int) -> None:
        """Records a refusal, unless its record stands already. Raises Busy("AuditUnavailable")."""
        if trail.is_told:
            return
        facts = refusal.facts
        if not trail.actor.user_id and "user_id" in facts:  # the gate knew him, and refused him
            trail.domain_id = str(facts["domain_id"])
            trail.actor = Actor(
                address=trail.actor.address,
                session_id=str(facts["session_id"]),
                user_id=str(facts["user_id"]),
                username=str(facts["username"]),
            )
        told = {} if trail.actor.user_id else self._strangers.told()
        if told is not None:
            outcome: Outcome = "failed" if status >= 500 and status != NOT_BUILT else "refused"
            await self._log.record(trail.entry(outcome, status, reason=refusal.reason, **told))
