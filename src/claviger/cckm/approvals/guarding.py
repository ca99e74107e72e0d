"""Holds back what must not happen by the word of one person, until enough people agree to that very call.

A handler works within `Guards.over(call)`; where the change decides what is to happen it calls `Guard.require`, inside
its own transaction. That uses up the approval in the transaction which commits to the act, so it is good for one use
whoever races. Without enough approvals it raises, nothing is stored, and `over` opens a request (or finds the one that
stands open) and refuses the call in words that name it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from claviger.audit.trail import Trail, current_trail
from claviger.cckm.approvals import records
from claviger.cckm.approvals.approvers import agreeing, words_of
from claviger.cckm.approvals.records import Approval
from claviger.cckm.approvals.rules import LAPSE_S, MOST_OPEN, State, digest_of
from claviger.cckm.calls import Call, Caller
from claviger.cckm.notices.announcing import Notices
from claviger.cckm.notices.rules import Type
from claviger.cckm.notices.wire import ApprovalWanted
from claviger.cckm.planning.draft import Consent, current_draft
from claviger.cckm.planning.store import RecordsRefusals
from claviger.cckm.resource import timestamp, uri
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Forbidden
from claviger.core.ids import new_uuid
from claviger.store.contract import Store, Tx

REASON = "ApprovalNeeded"
KIND = "approval"
_REFUSED = 403


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to happen. `version` is of everything whose change makes it another wish (`rules.version_of`).

    `words` say to whoever is to approve what it does; `quorum` is how many people must agree.
    """

    action: str
    words: str
    kind: str
    ident: str
    name: str
    container_id: str
    container_name: str
    version: str
    quorum: int


class Wanted(Forbidden):
    """Not enough people agree. Refuses the call even where nobody opens a request for it."""

    def __init__(self, wish: Wish) -> None:
        super().__init__(REASON, message=f"{wish.action} needs {wish.quorum} people to agree")
        self.wish = wish


class Guards:
    """Guards of calls. Requests lapse after `lapse_s` by `clock`; lock-outs of approvers go by `machine`."""

    def __init__(
        self, store: Store, clock: Clock, machine: Clock, notices: Notices | None = None, lapse_s: float = LAPSE_S
    ) -> None:
        self._store = store
        self._notices = notices
        self._lapse_s = lapse_s
        self.clock = clock
        self.machine = machine

    @asynccontextmanager
    async def over(self, call: Call) -> AsyncIterator[Guard]:
        """The guard of a call. Raises Forbidden("ApprovalNeeded") where what it guards needs more people."""
        guard = Guard(self, call)
        try:
            yield guard
        except Wanted as wanted:
            raise await self._opened(guard, wanted.wish) from None

    async def _opened(self, guard: Guard, wish: Wish) -> Forbidden:
        """The refusal that names the request which stands open now. Raises Conflict("TooMany")."""
        ident = new_uuid()

        def change(tx: Tx) -> tuple[Approval, int]:
            now = self.clock.now()
            found = guard.open_request(tx)
            if found is not None and guard.stands(found, wish, now):
                if found.quorum != wish.quorum:
                    records.note_quorum(tx, found.id, wish.quorum, now)
                guard.note(found.id)
                return found, len(agreeing(tx, found, self.machine.now()))
            if found is not None:
                lapsed = now >= found.lapses_at
                state, why = (State.LAPSED, "") if lapsed else (State.VOID, "what it is about was changed")
                records.end(tx, found.id, state, why, now)
            if records.count_open(tx, guard.caller.domain_id, guard.caller.user_id, now) >= MOST_OPEN:
                raise Conflict("TooMany", message=f"{MOST_OPEN} of your requests wait for approval; withdraw some")
            fresh = guard.request(ident, wish, now, now + self._lapse_s)
            records.add(tx, fresh)
            self._tell(tx, fresh)
            guard.note(fresh.id)
            return fresh, 0

        needed = Forbidden(REASON)
        if isinstance(self._store, RecordsRefusals):
            approval, others = await self._store.write_refusal(change, needed, _REFUSED)
        else:
            approval, others = await self._store.write(change)
        return _told(approval, wish, others)

    def _tell(self, tx: Tx, fresh: Approval) -> None:
        if self._notices is None:
            return
        told = ApprovalWanted(
            approval_id=fresh.id,
            action=fresh.action,
            by=fresh.requester_name,
            lapses_at=timestamp(fresh.lapses_at),
            id=fresh.subject_id,
            name=fresh.subject_name,
            vault=fresh.container_name,
        )
        subject = uri("claviger", KIND, fresh.id, fresh.action)
        self._notices.emit(tx, fresh.domain_id, Type.APPROVAL_WANTED, subject, told, object_key=fresh.id)


@asynccontextmanager
async def guarded(guards: Guards | None, call: Call) -> AsyncIterator[Guard | None]:
    """The guard of a call, where there are guards; without them, what needs one is refused for good."""
    if guards is None:
        yield None
        return
    async with guards.over(call) as guard:
        yield guard


class Guard:
    """Stands over one call."""

    def __init__(self, guards: Guards, call: Call) -> None:
        self._guards = guards
        self._trail: Trail | None = current_trail()  # the store's own thread does not know it
        self.caller: Caller = call.caller
        self._method = call.route.method
        self._path = "/api/v1" + call.route.path
        for name, value in call.params.items():
            self._path = self._path.replace(f"{{{name}}}", value)
        query = [(name, list(call.query.all(name))) for name in call.query.names()]
        self._digest = digest_of(self._method, call.route.path, call.params, query, call.raw_body)

    def require(self, tx: Tx, wish: Wish) -> None:
        """Uses up the approval of a wish, within the change that commits to it. Raises Wanted.

        Where the call is only planned, what it needs goes into the plan, and nothing is used up.
        """
        now = self._guards.clock.now()
        found = self.open_request(tx)
        if found is not None and not self.stands(found, wish, now):
            found = None
        others = [] if found is None else agreeing(tx, found, self._guards.machine.now())
        draft = current_draft()
        if draft is not None:
            draft.consents.append(
                Consent(
                    action=wish.action,
                    container=wish.container_name,
                    quorum=wish.quorum,
                    agreed_count=1 + len(others),
                    approvers=words_of(wish.kind),
                    approval_id=None if found is None else found.id,
                )
            )
            return
        if found is None or 1 + len(others) < wish.quorum or not records.end(tx, found.id, State.USED, "", now):
            raise Wanted(wish)
        self.note(found.id)

    def open_request(self, tx: Tx) -> Approval | None:
        """The request for this very call by this very person that has not ended."""
        return records.open_of(tx, self.caller.domain_id, self.caller.user_id, self._digest)

    def stands(self, approval: Approval, wish: Wish, now: float) -> bool:
        """Whether a request has not lapsed and is about what is to happen now, as it is now."""
        return now < approval.lapses_at and (approval.action, approval.version, approval.container_id) == (
            wish.action,
            wish.version,
            wish.container_id,
        )

    def request(self, ident: str, wish: Wish, now: float, lapses_at: float) -> Approval:
        """A new request for this call."""
        return Approval(
            id=ident,
            domain_id=self.caller.domain_id,
            requester=self.caller.user_id,
            requester_name=self.caller.username,
            action=wish.action,
            method=self._method,
            path=self._path,
            digest=self._digest,
            version=wish.version,
            subject_kind=wish.kind,
            subject_id=wish.ident,
            subject_name=wish.name,
            container_id=wish.container_id,
            container_name=wish.container_name,
            words=wish.words,
            quorum=wish.quorum,
            state=State.OPEN,
            reason="",
            created_at=now,
            updated_at=now,
            lapses_at=lapses_at,
            ended_at=None,
        )

    def note(self, approval_id: str) -> None:
        """Has the record of the call name the request."""
        if self._trail is not None:
            self._trail.details["approval_id"] = approval_id


def _told(approval: Approval, wish: Wish, others: int) -> Forbidden:
    until = timestamp(approval.lapses_at)
    who = words_of(wish.kind)
    agreed = f"{1 + others} {'do' if others else 'does'} so far"
    said = (
        f"{wish.action} in {wish.container_name} needs {wish.quorum} people to agree, you included; {agreed}. "
        f"It waits as approval request {approval.id} until {until}. {who[0].upper()}{who[1:]} approves by "
        f"POST /api/v1/claviger/approvals/{approval.id}/approve; then repeat this very call"
    )
    return Forbidden(REASON, message=said)
