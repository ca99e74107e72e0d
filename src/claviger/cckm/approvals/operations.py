"""What can be done with requests for approval: see them, approve, refuse, withdraw."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from claviger.audit.trail import about
from claviger.cckm.access.users.rules import shown_user_id
from claviger.cckm.approvals import records, rules
from claviger.cckm.approvals.approvers import may_approve, words_of
from claviger.cckm.approvals.guarding import KIND
from claviger.cckm.approvals.records import Approval, Vote
from claviger.cckm.approvals.rules import State
from claviger.cckm.approvals.wire import ApprovalObject, ApprovalShown, ApprovalVote
from claviger.cckm.calls import Caller, Query
from claviger.cckm.errors import validation
from claviger.cckm.listing import Page, page_of
from claviger.cckm.resource import header, timestamp
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Forbidden, NotFound
from claviger.store.contract import Store, Tx

Versions = Mapping[str, Callable[[Tx, str, str], str | None]]
"""By action: the version now of the thing of this id in this domain, as a wish has it; None where it is gone."""

Seen = Mapping[str, frozenset[str] | None]
"""By cloud, the containers in which the caller may approve; None for all."""

_FILTERS: Mapping[str, Callable[[ApprovalShown], object]] = {
    "id": lambda one: one.id,
    "state": lambda one: one.state,
    "action": lambda one: one.action,
    "container_id": lambda one: one.object.container_id,
    "object_id": lambda one: one.object.id,
    "to_approve": lambda one: one.to_approve,
}
_SORTS: Mapping[str, Callable[[ApprovalShown], str]] = {
    "createdAt": lambda one: one.created_at,
    "updatedAt": lambda one: one.updated_at,
    "lapses_at": lambda one: one.lapses_at,
}


class Approvals:
    """Everything about requests of a domain. Lock-outs go by `machine`."""

    def __init__(self, store: Store, clock: Clock, machine: Clock, versions: Versions) -> None:
        self._store = store
        self._clock = clock
        self._machine = machine
        self._versions = versions

    async def listing(self, caller: Caller, seen: Seen, query: Query) -> Page:
        """A page of the requests that the caller has made or may approve, the newest first. Raises Invalid."""
        mine = query.boolean("mine")
        query.boolean("to_approve")
        if any(state not in rules.SHOWN for state in query.all("state")):
            raise validation({"state": f"must be one of {', '.join(rules.SHOWN)}"})
        found = [one for one in await records.all_of(self._store, caller.domain_id) if _is_seen(caller, seen, one)]
        if mine is not None:
            found = [one for one in found if (one.requester == caller.user_id) is mine]
        return page_of(
            [self._shown(caller, seen, one) for one in found],
            query,
            filters=_FILTERS,
            sorts=_SORTS,
            default_sort="-createdAt",
            shown=lambda one: one,
        )

    async def read(self, caller: Caller, seen: Seen, ident: str) -> ApprovalShown:
        """One of them. Raises NotFound."""
        found = await records.by_id(self._store, caller.domain_id, ident)
        if found is None or not _is_seen(caller, seen, found):
            raise _missing()
        return self._shown(caller, seen, found)

    async def approve(self, caller: Caller, seen: Seen, ident: str) -> ApprovalShown:
        """Agrees to a request.

        Raises NotFound; Forbidden where the caller made it himself or may not approve; Conflict where it has ended,
        was approved by the caller already, or what it is about has changed since.
        """

        def change(tx: Tx) -> None:
            now = self._clock.now()
            found = self._votable(tx, caller, seen, ident, now)
            if any(vote.user_id == caller.user_id and vote.agrees for vote in found.votes):
                raise Conflict(
                    "VotedAlready", message="you have approved this request already; one person has one vote"
                )
            version = self._versions.get(found.action)
            if version is not None and version(tx, found.domain_id, found.subject_id) != found.version:
                raise Conflict(
                    "RecordChanged",
                    message="what this request is about was changed since; whoever asked has to ask anew",
                )
            records.put_vote(tx, ident, Vote(caller.user_id, caller.username, True, "", now))

        about(KIND, ident)
        await self._store.write(change)
        return await self.read(caller, seen, ident)

    async def refuse(self, caller: Caller, seen: Seen, ident: str, reason: str) -> ApprovalShown:
        """Says no, which ends a request, also for who had approved it. Raises as `approve`, and Invalid."""
        why = rules.check_reason(reason)

        def change(tx: Tx) -> None:
            now = self._clock.now()
            self._votable(tx, caller, seen, ident, now)
            records.put_vote(tx, ident, Vote(caller.user_id, caller.username, False, why, now))
            records.end(tx, ident, State.REFUSED, why, now)

        about(KIND, ident)
        await self._store.write(change)
        return await self.read(caller, seen, ident)

    async def withdraw(self, caller: Caller, seen: Seen, ident: str) -> None:
        """Takes a request back; only who has made it can. Raises NotFound, Forbidden, Conflict where it has ended."""

        def change(tx: Tx) -> None:
            now = self._clock.now()
            found = _loaded(tx, caller, seen, ident)
            if found.requester != caller.user_id:
                raise Forbidden("NotOwnRequest", message="only who has asked can withdraw; you can refuse it")
            _must_be_open(found, now)
            records.end(tx, ident, State.WITHDRAWN, "", now)

        about(KIND, ident)
        await self._store.write(change)

    def _votable(self, tx: Tx, caller: Caller, seen: Seen, ident: str, now: float) -> Approval:
        found = _loaded(tx, caller, seen, ident)
        if found.requester == caller.user_id:
            raise Forbidden("OwnRequest", message="you have asked for this yourself; somebody else has to approve it")
        if not may_approve(tx, caller.user_id, found, self._machine.now()):
            raise Forbidden("MayNotApprove", message=f"this is for {words_of(found.subject_kind)}")
        _must_be_open(found, now)
        return found

    def _shown(self, caller: Caller, seen: Seen, one: Approval) -> ApprovalShown:
        agreed = 1 + sum(vote.agrees for vote in one.votes)
        state = rules.state_of(one.state, agreed, one.quorum, one.lapses_at, self._clock.now())
        is_awaited = (
            state is State.PENDING
            and one.requester != caller.user_id
            and _is_approvable(seen, one)
            and all(vote.user_id != caller.user_id for vote in one.votes)
        )
        return ApprovalShown(
            **header("claviger", KIND, one.id, one.action, one.domain_id, one.created_at, one.updated_at),
            state=state.value,
            action=one.action,
            message=one.words,
            method=one.method,
            path=one.path,
            object=ApprovalObject(
                kind=one.subject_kind,
                id=one.subject_id,
                name=one.subject_name,
                container_id=one.container_id,
                container=one.container_name,
            ),
            requested_by=shown_user_id(one.requester),
            requested_by_name=one.requester_name,
            quorum=one.quorum,
            agreed=agreed,
            votes=[_shown_vote(vote) for vote in one.votes],
            to_approve=is_awaited,
            lapses_at=timestamp(one.lapses_at),
            ended_at=None if one.ended_at is None else timestamp(one.ended_at),
            reason=one.reason,
        )


def _shown_vote(vote: Vote) -> ApprovalVote:
    return ApprovalVote(
        user_id=shown_user_id(vote.user_id),
        username=vote.username,
        agrees=vote.agrees,
        reason=vote.reason,
        voted_at=timestamp(vote.voted_at),
    )


def _is_seen(caller: Caller, seen: Seen, one: Approval) -> bool:
    return one.requester == caller.user_id or _is_approvable(seen, one)


def _is_approvable(seen: Seen, one: Approval) -> bool:
    containers = seen[rules.cloud_of(one.subject_kind)]
    return containers is None or one.container_id in containers


def _loaded(tx: Tx, caller: Caller, seen: Seen, ident: str) -> Approval:
    found = records.load(tx, caller.domain_id, ident)
    if found is None or not _is_seen(caller, seen, found):
        raise _missing()
    return found


def _must_be_open(found: Approval, now: float) -> None:
    state = rules.state_of(found.state, 0, found.quorum, found.lapses_at, now)
    if state is not State.PENDING:
        raise Conflict("ApprovalEnded", message=f"this request is {state.value}; whoever asked has to ask anew")


def _missing() -> NotFound:
    return NotFound("NotFound", message="there is no such request for approval")
