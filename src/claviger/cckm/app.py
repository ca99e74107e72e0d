"""The control plane as an ASGI application: one funnel that every request goes through.

Route by path, caller by token, permission, body, operation, answer. The table of routes says what each endpoint needs;
a handler of a route whose permission lies in a container has to ask for it, or nothing that it did is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol
from urllib.parse import parse_qsl

import msgspec

from claviger.audit.trail import Trail, following
from claviger.cckm.calls import Answer, Call, Caller, Permission, Query, Rights
from claviger.cckm.errors import body_of
from claviger.cckm.journal import Journal
from claviger.cckm.routing import Routing
from claviger.core.asgi import Headers, Receive, Scope, Send
from claviger.core.errors import Damaged, Forbidden, Invalid, Refusal, TooLarge, Unauthenticated
from claviger.core.ids import new_uuid

BODY_TIMEOUT_S = 15.0
MOST_PARAMETERS = 200
_BODIES = frozenset({"POST", "PATCH", "PUT", "DELETE"})
_FIXED: Headers = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
]
_ENCODER = msgspec.json.Encoder()

log = logging.getLogger("claviger.cckm")


class Gate(Protocol):
    """Knows callers by their tokens; see `access.gate`."""

    async def admit(self, authorization: bytes | None, permission: Permission) -> tuple[Caller | None, Rights]:
        """The caller, who may use a route with this permission, and the rights of containers at this moment.

        Raises Unauthenticated or Forbidden.
        """
        ...


class ControlPlane:
    """Answers for the whole API. `count` is told the route and status of every answer; `journal` is the audit log."""

    def __init__(
        self,
        routing: Routing,
        gate: Gate,
        count: Callable[[str, int], None],
        journal: Journal | None = None,
        *,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self.routing = routing
        self._gate = gate
        self._count = count
        self._journal = journal
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry, for scopes of type http only."""
        request_id = new_uuid()
        headers: Headers = [*_FIXED, (b"x-request-id", request_id.encode())]
        name, trail, body = "none", None, b""
        try:
            route, params = self.routing.match(scope["method"], scope["raw_path"])
            name = f"{route.method} {route.path}"
            client = scope.get("client")
            address = client[0] if client else ""
            if self._journal is not None:
                trail = self._journal.begin(route, params, request_id, address)
            authorization, length = _head(scope)
            caller, rights = await self._gate.admit(authorization, route.permission)
            query = read_query(scope["query_string"])
            admit = partial(self._gate.admit, authorization)
            call = Call(route, params, query, caller, rights, request_id, address, admit)
            if scope["method"] in _BODIES:
                call.raw_body = await self._read(receive, length, route.body_limit)
            answer = await (handled(call) if trail is None else self._recorded(call, trail))
            status = answer.status
            headers += answer.headers
            if isinstance(answer.value, bytes):
                body = answer.value
            elif answer.value is not None:
                body = _ENCODER.encode(answer.value)
                headers.append((b"content-type", b"application/json; charset=utf-8"))
        except Refusal as refusal:
            status, body = await self._refused(refusal, request_id, headers, trail)
        self._count(name, status)
        if status != 204:
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _recorded(self, call: Call, trail: Trail) -> Answer:
        """Lets the call's changes carry its record; what it reveals is recorded before it is answered."""
        journal = self._journal
        if journal is not None and not call.is_anonymous:
            journal.known(trail, call.caller)
        with following(trail):
            try:
                answer = await handled(call)
            except Exception as failure:
                if journal is not None and not isinstance(failure, Refusal):
                    await journal.broken(trail, failure)
                raise
        if journal is not None and call.route.reveals and trail.count == 0:
            await journal.revealed(trail)
        return answer

    async def _refused(
        self, refusal: Refusal, request_id: str, headers: Headers, trail: Trail | None
    ) -> tuple[int, bytes]:
        """Status and body of a refusal, once it is recorded; where it cannot be, of that."""
        if trail is not None and self._journal is not None:
            try:
                await self._journal.ended(trail, refusal, body_of(refusal, request_id)[0])
            except Refusal as unrecorded:
                refusal = unrecorded
        return self._told(refusal, request_id, headers)

    async def _read(self, receive: Receive, length: bytes | None, limit: int) -> bytes:
        try:
            async with asyncio.timeout(self._body_timeout_s):
                return await _read_body(receive, length, limit)
        except TimeoutError:
            raise Invalid("BodyTimeout", message="the body did not arrive in time") from None

    def _told(self, refusal: Refusal, request_id: str, headers: Headers) -> tuple[int, bytes]:
        headers.append((b"content-type", b"application/json; charset=utf-8"))
        if isinstance(refusal, Unauthenticated):
            headers.append((b"www-authenticate", b"Bearer"))
        if "retry_after_s" in refusal.facts:
            headers.append((b"retry-after", str(refusal.facts["retry_after_s"]).encode()))
        if "allow" in refusal.facts:
            headers.append((b"allow", str(refusal.facts["allow"]).encode()))
        if isinstance(refusal, TooLarge):
            headers.append((b"connection", b"close"))
        status, body = body_of(refusal, request_id)
        if isinstance(refusal, Damaged) or status == 500:
            log.error("request %s failed: %s", request_id, refusal.reason)
        return status, body


async def handled(call: Call) -> Answer:
    """What the handler of the call's route answers. Nothing it did is answered if it forgot to ask for the right."""
    answer = await call.route.handler(call)
    if not call.checked:
        route = call.route
        raise RuntimeError(f"the handler of {route.method} {route.path} did not ask whether the caller may")
    return answer


def permits(permission: Permission, caller: Caller | None) -> None:
    """Raises Unauthenticated or Forbidden unless `caller` may use a route with this permission.

    What a container's ACL decides is left to the handler (`Call.require`).
    """
    if permission.kind == "public":
        return
    if caller is None:
        raise Unauthenticated("TokenMissing", message="a bearer token is needed: POST /api/v1/auth/tokens gives one")
    if permission.kind == "own-password":
        return
    if caller.must_change_password:
        raise Forbidden(
            "PasswordChangeRequired", message="change the password first: PATCH /api/v1/auth/changepw", **_who(caller)
        )
    if permission.kind == "members" and not caller.is_in(*permission.groups):
        groups = ", ".join(sorted(permission.groups))
        raise Forbidden("GroupMissing", message=f"this call is for members of: {groups}", **_who(caller))


def _who(caller: Caller) -> dict[str, str]:
    """For the audit log: whom the gate has refused."""
    return {
        "user_id": caller.user_id,
        "username": caller.username,
        "domain_id": caller.domain_id,
        "session_id": caller.session_id,
    }


def _head(scope: Scope) -> tuple[bytes | None, bytes | None]:
    authorization = length = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if authorization is not None:
                raise Unauthenticated("TokenMalformed", message="two authorization headers were sent")
            authorization = value
        elif name == b"content-length":
            length = value
    return authorization, length


def read_query(raw: bytes) -> Query:
    """The query of a URL, as it stands there. Raises Invalid("Query"), also where a text holds a NUL."""
    if not raw:
        return Query(())
    if b"%00" in raw:
        raise Invalid("Query", message="the query holds a NUL")
    try:
        return Query(
            parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
        )
    except (ValueError, UnicodeError):
        raise Invalid("Query", message="the query is not valid") from None


async def _read_body(receive: Receive, length: bytes | None, limit: int) -> bytes:
    if length is not None and length.isdigit() and (len(length) > 12 or int(length) > limit):
        raise TooLarge("BodyTooLarge", message=f"the body may have at most {limit} bytes")
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("Body", message="the body ended early")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise TooLarge("BodyTooLarge", message=f"the body may have at most {limit} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
