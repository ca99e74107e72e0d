"""The embedded OCI as an ASGI application: one funnel that every request of every plane goes through.

Host, signature, operation, body, then the operation's own checks, and the answer: in that order (OCI contract §14.2).
The table of routes says what each operation needs; whoever may not see a thing is told that it is not there, and a
handler decides that by the `Sight` that the call carries.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl

import msgspec

from claviger.audit.trail import Trail, following
from claviger.core.asgi import Receive, Scope, Send, read_body
from claviger.core.clock import Clock
from claviger.core.errors import Invalid, NotFound, Refusal, Unauthenticated
from claviger.ocikms.calls import MAX_FILE_BYTES, MAX_JSON_BYTES, NOBODY, Answer, Call, Caller, Place, Plane, Route
from claviger.ocikms.errors import HIDDEN, body_of, wrong
from claviger.ocikms.hosts import OciHosts
from claviger.ocikms.identity.snapshot import NOTHING_SEEN, Identities, Identity
from claviger.ocikms.journal import SERVICE, OciJournal
from claviger.ocikms.replies import FIXED, Marks, content, refused, whole
from claviger.ocikms.routing import Routing, check_plane
from claviger.ocikms.signature import UNKNOWN_KEY, WITH_BODY, Head, Signature, Verifier, check_body
from claviger.ocikms.vaults.records import Vault
from claviger.switches.board import Switches

MAX_QUERY_FIELDS = 50
UNSUBSCRIBED = "RegionNotSubscribed"
HIDING = frozenset({"Absent", "RelatedAbsent", "NamespaceAbsent", "BucketAbsent"})
"""Reasons that may be for want of a right, which another process may just have given."""
_THROTTLED = frozenset({Plane.CONTROL, Plane.MANAGEMENT})
_COUNTED_AS_WRITES = frozenset({"ListVaultReplicas"})
"""It reads, and has its place among the writes all the same (contract §14.4)."""


async def _no_vault(_: int) -> Vault | None:
    return None


class Request:
    """What the funnel knows of a request, step by step."""

    __slots__ = ("address", "caller", "head", "path", "place", "refusal", "request_id", "route", "signature", "trail")

    def __init__(self, scope: Scope) -> None:
        client = scope.get("client")
        self.address: str = client[0] if client else ""
        self.head = Head(scope)
        self.place: Place | None = None
        self.route: Route | None = None
        self.path: Mapping[str, str] = {}
        self.refusal: Refusal | None = None
        self.caller: Caller | None = None
        self.signature: Signature | None = None
        self.trail: Trail | None = None
        self.request_id = ""

    def text(self, name: bytes) -> str | None:
        """A header's value, None where there is none."""
        value = self.head.headers.get(name)
        return None if value is None else value.strip(b" \t").decode("latin-1")


class OciApp:
    """Answers for all hosts of OCI. `count` is told the operation and status of every answer. `vault_at_port` finds the
    vault of a slot, for those that are told by their ports.

    Signatures go by `machine`; `clock` is the time of what is stored and shown.
    """

    def __init__(
        self,
        identities: Identities,
        hosts: OciHosts,
        routing: Routing,
        clock: Clock,
        machine: Clock,
        count: Callable[[str, int], None],
        switches: Switches | None = None,
        journal: OciJournal | None = None,
        vault_at_port: Callable[[int], Awaitable[Vault | None]] = _no_vault,
    ) -> None:
        self.routing = routing
        self._identities = identities
        self._hosts = hosts
        self._clock = clock
        self._machine = machine
        self._count = count
        self._switches = switches
        self._journal = journal
        self._vault_at_port = vault_at_port
        self._verifier = Verifier(machine)
        self._marks = Marks(machine)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry, for scopes of type http only."""
        request = self._read(scope)
        headers = [*FIXED, (b"date", self._marks.date()), (b"opc-request-id", self._identified(request))]
        try:
            identity = self._identities.fresh() or await self._identities.current()
            await self._locate(request)
            try:
                self._admit(identity, request)
            except Unauthenticated as refusal:
                newest = await self._newer(identity, refusal)
                if newest is None:
                    raise
                identity = newest
                self._admit(identity, request)
            body = await _body(request, receive)
            if request.refusal is not None:
                raise request.refusal
            if self._switches is not None and await self._meet(self._switches, request):
                await send({"type": "http.response.cut"})
                return
            answer = await self._answered(identity, request, scope["query_string"], body)
            status, said = answer.status, content(answer, headers)
        except Refusal as refusal:
            if self._journal is not None:
                refusal = await self._recorded(self._journal, request, refusal)
            status, said = refused(refusal, headers)
        self._count("none" if request.route is None else request.route.operation, status)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": said})

    def quick(self, scope: Scope, body: bytes = b"") -> bytes | None:
        """The whole answer to a read that succeeds and need not wait for anything, head and body; None for all else.

        The same steps as `__call__`, without a task and without the ASGI messages: this is the hot path. Whatever is
        refused or has to wait is left to `__call__`, which starts afresh. A read leaves no trace but its record, and
        that is written last.
        """
        identity, journal = self._identities.fresh(), self._journal
        if identity is None or self._switches is not None or (journal is not None and journal.is_strict):
            return None
        request = self._read(scope)
        route, place = request.route, request.place
        if route is None or route.quick is None or request.refusal is not None or len(body) > MAX_JSON_BYTES:
            return None
        if place is None or place.slot is not None:  # which vault has that port would have to be looked up
            return None
        try:
            self._admit(identity, request)
            if request.signature is None or request.caller is None or request.place is None:
                return None
            _check_body(request, body)
            request_id = self._identified(request)
            call = Call(
                route=route,
                place=request.place,
                caller=request.caller,
                sight=identity.sight(request.caller),
                path=request.path,
                query=_query(scope["query_string"]),
                body=body,
                request_id=request.request_id,
                now=self._clock.now(),
            )
            told = route.quick(call)
            if told is None or told.answer.status != 200:
                return None
            answer = whole(told.answer, self._marks.date(), request_id)
            if journal is not None:
                journal.read_now(route, call.caller, request.address, request.request_id, told.subject, told.details)
        except Refusal:
            return None
        self._count(route.operation, 200)
        return answer

    def _read(self, scope: Scope) -> Request:
        """The host and the operation. What is wrong with them is kept for when it is known who is calling."""
        request = Request(scope)
        place = self._hosts.place(request.head.headers.get(b"host", b"").decode("latin-1"), scope["scheme"])
        request.place = place
        try:
            request.route, request.path = self.routing.match(request.head.method, request.head.path)
            if place is None:
                raise NotFound("Absent", message=HIDDEN)
            check_plane(request.route, place)
        except Refusal as refusal:
            request.refusal = refusal
        return request

    async def _locate(self, request: Request) -> None:
        """At a vault's own port: which vault that is, and its region."""
        place = request.place
        if place is None or place.slot is None:
            return
        vault = await self._vault_at_port(place.slot)
        if vault is not None:
            request.place = msgspec.structs.replace(place, prefix=vault.prefix, region=vault.region)

    def _admit(self, identity: Identity, request: Request) -> None:
        """Finds out who is calling, and whether in this region at all. Raises Unauthenticated."""
        route, place = request.route, request.place
        if route is not None and route.is_public:
            request.caller = NOBODY
            return
        is_exempt = route is not None and not route.is_body_signed
        caller, request.signature = self._verifier.admit(request.head, identity.found, is_body_exempt=is_exempt)
        if place is not None and not place.region:
            tenancy = identity.tenancy(caller.tenancy_num)
            request.place = msgspec.structs.replace(place, region=tenancy.home_region if tenancy else "")
        elif place is not None and not identity.subscribed(caller.tenancy_num, place.region):
            raise Unauthenticated(UNSUBSCRIBED)
        request.caller = caller

    async def _newer(self, identity: Identity, refusal: Refusal) -> Identity | None:
        """A newer snapshot, where one may decide otherwise: another process may just have given the right."""
        if isinstance(refusal, Unauthenticated) and refusal.reason not in (UNKNOWN_KEY, UNSUBSCRIBED):
            return None
        newest = await self._identities.newest()
        return None if newest is identity else newest

    def _call(self, identity: Identity, request: Request, raw_query: bytes, body: bytes) -> Call:
        route, place, caller = request.route, request.place, request.caller
        if route is None or place is None or caller is None:
            raise RuntimeError("a call needs a route, a place and a caller")
        return Call(
            route=route,
            place=place,
            caller=caller,
            sight=NOTHING_SEEN if caller is NOBODY else identity.sight(caller),
            path=request.path,
            query=_query(raw_query),
            body=body,
            if_match=request.text(b"if-match"),
            if_none_match=request.text(b"if-none-match"),
            retry_token=request.text(b"opc-retry-token"),
            content_md5=request.text(b"content-md5"),
            content_type=request.text(b"content-type"),
            request_id=request.request_id,
            now=self._clock.now(),
        )

    async def _answered(self, identity: Identity, request: Request, raw_query: bytes, body: bytes) -> Answer:
        """The operation's answer. What the caller may not see is looked for once more, where that has just changed."""
        try:
            return await self._handled(self._call(identity, request, raw_query, body), request)
        except (NotFound, Invalid) as refusal:
            if request.caller is NOBODY or refusal.reason not in HIDING:
                raise
            newest = await self._newer(identity, refusal)
            if newest is None:
                raise
        self._admit(newest, request)
        return await self._handled(self._call(newest, request, raw_query, body), request)

    async def _handled(self, call: Call, request: Request) -> Answer:
        """What the handler answers, once what it does or reveals is recorded."""
        journal, route = self._journal, call.route
        if journal is None or route.kind == "list":
            return await route.handler(call)
        trail = request.trail = self._trail(journal, request)
        with following(trail):
            answer = await route.handler(call)
        if route.kind == "read":
            trail.status = answer.status
            await journal.answered(trail, route, call.caller, request.address)
        return answer

    def _trail(self, journal: OciJournal, request: Request) -> Trail:
        return journal.begin(request.route, request.path, request.caller, request.address, request.request_id)

    async def _recorded(self, journal: OciJournal, request: Request, refusal: Refusal) -> Refusal:
        """Records a refusal, of whatever is not a list; what is to be answered then."""
        route = request.route
        if route is not None and route.kind == "list":
            return refusal
        trail = request.trail or self._trail(journal, request)
        is_read = route is not None and route.kind == "read"
        return await journal.refused(trail, refusal, body_of(refusal)[0], is_read=is_read)

    async def _meet(self, switches: Switches, request: Request) -> bool:
        """Faults and limits that were switched on; true where the connection is to be cut."""
        route, place, caller = request.route, request.place, request.caller
        if route is None or place is None:
            return False
        if caller is not None and not _THROTTLED.isdisjoint(route.planes):
            writes = route.kind == "change" or route.operation in _COUNTED_AS_WRITES
            kind = f"{'provisioning' if route.provisions else 'management'} {'writes' if writes else 'reads'}"
            switches.throttle.take_of(caller.tenancy_id, kind, self._clock.now())
        return await switches.meet(SERVICE, route.operation, place.prefix or place.region)

    def _identified(self, request: Request) -> bytes:
        """The id of the request, which is noted with it."""
        is_crypto = request.route is not None and Plane.CRYPTO in request.route.planes
        request_id = self._marks.request_id(request.head.headers.get(b"opc-request-id"), is_crypto=is_crypto)
        request.request_id = request_id.decode()
        return request_id


async def _body(request: Request, receive: Receive) -> bytes:
    """The body within its operation's limit. Raises Unauthenticated where it is not the one that was signed."""
    route = request.route
    if request.head.method not in WITH_BODY:
        return b""
    kind = "json" if route is None else route.body
    limit = MAX_FILE_BYTES if kind == "file" else MAX_JSON_BYTES
    body = await read_body(receive, request.head.headers.get(b"content-length"), limit)
    _check_body(request, body)
    return body


def _check_body(request: Request, body: bytes) -> None:
    """Raises Unauthenticated where it is not the body that was signed, and Invalid for one where there is none."""
    if request.head.method not in WITH_BODY:
        return
    if request.signature is not None:
        check_body(request.head, request.signature, body)
    if request.route is not None and request.route.body == "none":
        _check_empty(body)


def _check_empty(body: bytes) -> None:
    """An action without details comes with no body or an empty object, according to the client (contract §2)."""
    if not body or body.isspace():
        return
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise Invalid("NotJson", message="The body is not JSON.") from None
    if found is not None and not isinstance(found, dict):
        raise wrong("The body", "must be a JSON object")


def _query(raw: bytes) -> dict[str, str]:
    """Names and values percent-decoded; the first of a repeated name counts. Raises Invalid."""
    if not raw:
        return {}
    if b"%00" in raw:
        raise wrong("The query", "must not contain NUL")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS)
    except (ValueError, UnicodeError):
        raise wrong("The query", "cannot be read") from None
    return dict(reversed(pairs))
