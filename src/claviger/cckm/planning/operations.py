"""Makes plans: walks the path of a call with the caller's own rights, up to where something would be changed.

The route is matched, the caller admitted and the handler run by the code that does it for the call itself; only the
store takes everything back (`store.py`). What it says of a moment is true of that moment: nothing is reserved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET

from claviger.cckm.app import handled, read_query
from claviger.cckm.calls import Call, Caller, Query, Rights, Route
from claviger.cckm.errors import kind_of, validation
from claviger.cckm.planning import rules
from claviger.cckm.planning.draft import Consent, Draft, Effect, Planned, following
from claviger.cckm.planning.wire import (
    Plan,
    PlanApproval,
    PlanCall,
    PlanEffect,
    PlanObject,
    PlanPermission,
    PlanRefusal,
)
from claviger.cckm.resource import timestamp
from claviger.cckm.routing import BASE, Routing, segments_of
from claviger.core.errors import Forbidden, Invalid, Refusal, Throttled, TooLarge


class _Walked(Call):
    """A call that notes in which containers a right was asked for, and whether the caller had it."""

    __slots__ = ("actions", "asked", "held")

    def __init__(
        self, route: Route, params: dict[str, str], query: Query, caller: Caller | None, rights: Rights, plan: Call
    ) -> None:
        super().__init__(route, params, query, caller, rights, plan.request_id, plan.address, plan.admit)
        self.asked: list[str] = []
        self.actions: list[str] = []
        self.held: bool | None = None if route.permission.kind == "container" else True

    def require(self, container_id: str, action: str = "") -> None:
        """As `Call.require`."""
        self.asked.append(container_id)
        self.actions.append(action or self.route.permission.action)
        self.held = False
        super().require(container_id, action)
        self.held = True

    def containers(self) -> frozenset[str] | None:
        """As `Call.containers`."""
        self.held = True
        return super().containers()

    def containers_with_all(self, actions: Sequence[str]) -> frozenset[str] | None:
        """As `Call.containers_with_all`."""
        self.held = True
        return super().containers_with_all(actions)


class _Outcome(msgspec.Struct):
    """What came of the walk."""

    route: Route | None = None
    params: dict[str, str] = {}
    call: _Walked | None = None
    refusal: Refusal | None = None
    is_held: bool | None = None
    effects: list[Effect] = []
    consents: list[Consent] = []


class Planner:
    """Plans calls of the API. `routing` is set once all routes are known."""

    def __init__(self) -> None:
        self.routing: Routing | None = None
        self._room = asyncio.Semaphore(rules.AT_ONCE)

    async def plan(self, call: Call, asked: PlanCall) -> Plan:
        """The plan of a call by the caller of `call`. A refusal of the call is part of its plan.

        Raises Invalid for what is not a call that can be planned, and Throttled where many plans are being made.
        """
        method, raw_path, raw_query = _understood(asked)
        raw_body = b"" if asked.body is None else msgspec.json.encode(asked.body)
        if self._room.locked():
            raise Throttled("TooManyPlans", message="too many plans are being made; try again", retry_after_s=2)
        async with self._room:
            found = await self._walked(call, method, raw_path, raw_query, raw_body)
        return _shown(found, method, raw_path)

    async def _walked(self, call: Call, method: str, raw_path: bytes, raw_query: bytes, raw_body: bytes) -> _Outcome:
        assert self.routing is not None  # noqa: S101 - whoever builds the API sets it
        found, draft = _Outcome(), Draft()
        try:
            route, params = self.routing.match(method, raw_path)
            found.route, found.params = route, params
            _refuse_unplanned(route)
            assert call.admit is not None  # noqa: S101 - the funnel gives it to every call
            found.is_held = False
            caller, rights = await call.admit(route.permission)
            found.is_held = None
            walked = _Walked(route, params, read_query(raw_query), caller, rights, call)
            found.call = walked
            if len(raw_body) > route.body_limit:
                raise TooLarge("BodyTooLarge", message=f"the body may have at most {route.body_limit} bytes")
            walked.raw_body = raw_body
            if (method, route.path) in rules.ONLY_ASKS:
                if route.takes is not None:
                    walked.body(route.takes)
                found.effects = [_asking(route, params)]
                return found
            with following(draft):
                await handled(walked)
            found.effects = [Effect(what="nothing", words="nothing is changed", undo="nothing is to be undone")]
        except Planned:
            found.effects = list(draft.effects) or [_general(route, params)]
        except Refusal as refusal:
            if refusal.reason == "NotPlanned" or kind_of(refusal).status == 500:
                raise
            found.refusal = refusal
        found.consents = list(draft.consents)
        return found


def _understood(asked: PlanCall) -> tuple[str, bytes, bytes]:
    """Method, path and query as they would arrive. Raises Invalid("Validation")."""
    problems: dict[str, str] = {}
    method = asked.method.upper()
    if method not in rules.CHANGING:
        problems["method"] = f"must be one of {', '.join(rules.CHANGING)}: other calls change nothing"
    unfit = _path_problem(asked.path)
    if unfit is not None:
        problems["path"] = unfit
    query = asked.query or ""
    if isinstance(query, dict):
        query = urlencode({name: _texts(value) for name, value in query.items()}, doseq=True, quote_via=quote)
    elif not query.isascii() or not query.isprintable():
        problems["query"] = "must be percent-encoded, as it stands in a URL"
    if problems:
        raise validation(problems)
    raw_path = asked.path.encode()
    if tuple(segments_of(raw_path)[: len(BASE)]) != BASE:
        raw_path = b"/" + "/".join(BASE).encode() + raw_path
    return method, raw_path, query.encode()


def _path_problem(path: str) -> str | None:
    if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
        return "must be the path of a call, such as /api/v1/cckm/azure/secrets; percent-encoded where needed"
    if "?" in path or "#" in path:
        return "must have no ? and no #; give what follows in query"
    return None


def _texts(value: str | int | bool | list[str]) -> list[str]:
    if isinstance(value, list):
        return value
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def _refuse_unplanned(route: Route) -> None:
    why = rules.NOT_PLANNED.get((route.method, route.path))
    if why is None and route.permission.kind in ("public", "own-password"):
        why = "this call is for everybody and is not planned"
    if why is not None:
        raise Invalid("NotPlanned", message=f"{route.method} {route.path}: {why}")


def _asking(route: Route, params: dict[str, str]) -> Effect:
    told = rules.ONLY_ASKS[route.method, route.path]
    return Effect(
        what="asks", words=f"this call only asks: it {told}", undo="nothing is to be undone", facts=dict(params)
    )


def _general(route: Route, params: dict[str, str]) -> Effect:
    """What is known of a call from its route alone."""
    named = ", ".join(f"{name} {value[:200]}" for name, value in params.items())
    words = route.summary[:1].lower() + route.summary[1:] + (f" ({named})" if named else "")
    kind = next((part for part in reversed(route.path.strip("/").split("/")) if not part.startswith("{")), "")
    ident = next(reversed(params.values()), "")
    undo = rules.UNDO.get(route.method)
    return Effect(
        what=f"{route.method.lower()} {route.path}",
        words=words,
        kind=kind,
        ident=ident,
        undo=undo,
        lost="" if undo is not None else f"{words}: {rules.LOST}",
    )


def _shown(found: _Outcome, method: str, raw_path: bytes) -> Plan:
    refusal = found.refusal or _lacking(found.consents)
    effects = [] if found.refusal is not None else found.effects
    ends = [effect.until for effect in effects if effect.until is not None]
    return Plan(
        method=method,
        path=raw_path.decode(),
        summary="" if found.route is None else found.route.summary,
        allowed=refusal is None,
        status=UNSET if refusal is not None or found.route is None else found.route.status,
        refusal=None if refusal is None else _refused(refusal),
        permissions=[] if found.route is None else [_permission(found.route, found)],
        approvals=[_approval(consent) for consent in found.consents],
        effects=[_effect(effect) for effect in effects],
        irreversible=[effect.lost for effect in effects if effect.lost],
        undo_until=timestamp(min(ends)) if ends else None,
    )


def _lacking(consents: list[Consent]) -> Refusal | None:
    for consent in consents:
        if not consent.is_given:
            missing = consent.quorum - consent.agreed_count
            word = "person has" if missing == 1 else "people have"
            said = f"{consent.action} needs {consent.quorum} people to agree, and {missing} more {word} to: "
            return Forbidden("ApprovalNeeded", message=f"{said}{consent.approvers}")
    return None


def _refused(refusal: Refusal) -> PlanRefusal:
    kind = kind_of(refusal)
    message = str(refusal.facts.get("message") or kind.message)
    return PlanRefusal(status=kind.status, code=kind.code, code_desc=kind.code_desc, message=message)


def _permission(route: Route, found: _Outcome) -> PlanPermission:
    permission = route.permission
    held = found.is_held if found.call is None else found.call.held
    actions = (found.call.actions if found.call is not None else []) or [permission.action]
    return PlanPermission(
        kind=permission.kind,
        groups=sorted(permission.groups),
        actions=[name for name in dict.fromkeys((*actions, permission.view)) if name],
        containers=[] if found.call is None else list(dict.fromkeys(found.call.asked)),
        held=held,
    )


def _approval(consent: Consent) -> PlanApproval:
    return PlanApproval(
        action=consent.action,
        container=consent.container,
        quorum=consent.quorum,
        agreed=consent.agreed_count,
        given=consent.is_given,
        approval_id=consent.approval_id,
        approvers=consent.approvers,
    )


def _effect(effect: Effect) -> PlanEffect:
    return PlanEffect(
        effect=effect.what,
        message=effect.words,
        object=PlanObject(kind=effect.kind, id=effect.ident, name=effect.name, container=effect.container),
        reversible=effect.undo is not None,
        undo=effect.undo,
        undo_until=None if effect.until is None else timestamp(effect.until),
        final_in_cloud=effect.final_in_cloud,
        facts=effect.facts,
    )
