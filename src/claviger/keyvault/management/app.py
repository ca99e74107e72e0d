"""The management API as an ASGI application: one funnel that every request goes through.

Caller by token, then path, subscription, api-version, right, body, operation, answer. The metadata documents come
before all that: a client reads them to learn where to sign in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable
from contextlib import nullcontext
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

from claviger.audit.entry import NOTHING, Subject
from claviger.audit.trail import Trail, following
from claviger.core.asgi import Headers, Receive, Scope, Send, read_body
from claviger.core.clock import Clock
from claviger.core.errors import Damaged, Invalid, NotFound, Refusal, TooLarge, Unauthenticated
from claviger.core.ids import new_uuid
from claviger.keyvault.challenge import Caller, TokenVerifier
from claviger.keyvault.estate import Estate, Estates
from claviger.keyvault.journal import CloudJournal, actor_of
from claviger.keyvault.management.calls import Answer, Call, known_subscriptions
from claviger.keyvault.management.errors import body_of, message_of
from claviger.keyvault.management.metadata import endpoints
from claviger.keyvault.management.paths import Found, match
from claviger.keyvault.management.places import Place, place_at
from claviger.keyvault.management.routes import ManagementRoutes
from claviger.keyvault.management.rules import MAX_BODY, METADATA_VERSIONS, check_api_version
from claviger.keyvault.management.wire import encode
from claviger.keyvault.vaults.rules import is_uuid, vault_scope
from claviger.switches.board import Switches

BODY_TIMEOUT_S = 15.0
_CHANGING = frozenset({"PUT", "PATCH", "POST", "DELETE"})
_ASKING = frozenset({"check_name", "get_provider"})
_BODIES = frozenset({"PUT", "PATCH", "POST"})
_FIXED: Headers = [
    (b"cache-control", b"no-cache"),
    (b"pragma", b"no-cache"),
    (b"expires", b"-1"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
]
_PLAIN = re.compile(rb"[\x21-\x7e]{1,256}")

log = logging.getLogger("claviger.management")


class ManagementApp:
    """Answers for the management host. `count` is told the operation and status of every answer."""

    def __init__(
        self,
        estates: Estates,
        verifier: TokenVerifier,
        routes: ManagementRoutes,
        clock: Clock,
        count: Callable[[str, int], None],
        *,
        login_url: str | None = None,
        switches: Switches | None = None,
        journal: CloudJournal | None = None,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._estates = estates
        self._verifier = verifier
        self._routes = routes
        self._clock = clock
        self._count = count
        self._login_url = login_url
        self._switches = switches
        self._journal = journal
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry, for scopes of type http only."""
        head = dict(scope["headers"])
        place = place_at(head.get(b"host", b"").decode("latin-1"), self._login_url)
        headers = self._headers(head)
        operation, body = "none", b""
        trail = self._trail(scope, headers)
        try:
            if scope["path"].strip("/").lower() == "metadata/endpoints":
                operation, answer = "metadata", _metadata(scope, place)
            else:
                call = await self._admitted(scope, head, place, trail)
                operation = call.found.route.name
                if self._switches is not None and await self._meet(self._switches, call):
                    await send({"type": "http.response.cut"})
                    return
                if scope["method"] in _BODIES:
                    call.body = await self._read(receive, head.get(b"content-length"))
                with following(trail) if trail is not None else nullcontext():
                    answer = await self._routes.answer(call)
            headers += answer.headers
            status, body = answer.status, b"" if answer.value is None else encode(answer.value)
        except Refusal as refusal:
            if trail is not None and self._journal is not None:
                status = body_of(refusal)[0]
                refusal = await self._journal.refused(trail, refusal, status)
            status, body = await self._refused(refusal, scope, place, headers)
        self._count(operation, status)
        if body:
            headers.append((b"content-type", b"application/json; charset=utf-8"))
        if status != 204:
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _trail(self, scope: Scope, headers: Headers) -> Trail | None:
        """The trail of a call that may change something; None for all others."""
        if self._journal is None or scope["method"] not in _CHANGING:
            return None
        action, subject = "call", NOTHING
        with contextlib.suppress(Refusal):
            found = match(scope["method"], scope["path"])
            if found.route.name in _ASKING:
                return None
            action, subject = found.route.name, _subject(found)
        request_id = dict(headers)[b"x-ms-request-id"].decode()
        client = scope.get("client")
        words = action.replace("_", " ").capitalize()
        trail = self._journal.begin(words, subject, request_id, client[0] if client else "", None)
        trail.status = 200
        return trail

    async def _admitted(self, scope: Scope, head: dict[bytes, bytes], place: Place, trail: Trail | None = None) -> Call:
        """The call, once the caller is known and has the right that the operation needs."""
        estate = await self._estates.newest()
        caller = self._caller(estate, head, place)
        if trail is not None:
            trail.actor = actor_of(caller, trail.actor.address)
        found = match(scope["method"], scope["path"])
        subscription = found.subscription
        if subscription is not None and subscription not in known_subscriptions(estate):
            raise NotFound("SubscriptionNotFound", subscription=subscription)
        query = _query(scope["query_string"])
        version = check_api_version(query.get("api-version"), found.route.namespace)
        call = Call(found, estate, caller, place, scope["path"], query, version)
        action = found.route.action
        if action and not call.permits(found.scope, action):
            raise call.refused(action, found.scope)
        return call

    def _caller(self, estate: Estate, head: dict[bytes, bytes], place: Place) -> Caller:
        def expected(tenant_id: str) -> Any:
            return place.expected(tenant_id) if estate.tenant(tenant_id) else None

        host = head.get(b"host", b"").decode("latin-1")
        caller = self._verifier.verify_any_tenant(head.get(b"authorization"), host, expected)
        if self._switches is not None:
            self._switches.check_token(caller.issued_at, caller.tid)
        return caller

    async def _meet(self, switches: Switches, call: Call) -> bool:
        """Faults that were switched on; true where the connection is to be cut."""
        vault = call.found.given.get("vault", "")
        return await switches.meet("management", call.found.route.name, vault)

    async def _read(self, receive: Receive, content_length: bytes | None) -> bytes:
        try:
            async with asyncio.timeout(self._body_timeout_s):
                return await read_body(receive, content_length, MAX_BODY)
        except TimeoutError:
            raise Invalid("BodyTooSlow") from None

    def _headers(self, head: dict[bytes, bytes]) -> Headers:
        given = head.get(b"x-ms-correlation-request-id", b"").decode("latin-1")
        request_id = new_uuid()
        headers = [
            *_FIXED,
            (b"date", formatdate(self._clock.now(), usegmt=True).encode()),
            (b"x-ms-request-id", request_id.encode()),
            (b"x-ms-correlation-request-id", (given.lower() if is_uuid(given) else request_id).encode()),
        ]
        client = head.get(b"x-ms-client-request-id", b"")
        if _PLAIN.fullmatch(client):
            headers.append((b"x-ms-client-request-id", client))
        return headers

    async def _refused(self, refusal: Refusal, scope: Scope, place: Place, headers: Headers) -> tuple[int, bytes]:
        if isinstance(refusal, Unauthenticated):
            headers.append((b"www-authenticate", await self._challenge(refusal, scope["path"], place)))
        if "allowed" in refusal.facts:
            headers.append((b"allow", str(refusal.facts["allowed"]).encode()))
        if "retry_after_s" in refusal.facts:
            headers.append((b"retry-after", str(refusal.facts["retry_after_s"]).encode()))
        if isinstance(refusal, TooLarge) or refusal.reason == "BodyTooSlow":
            headers.append((b"connection", b"close"))
        if isinstance(refusal, Damaged):
            log.error("stored data does not open: %s", refusal.reason)
        return body_of(refusal)

    async def _challenge(self, refusal: Unauthenticated, path: str, place: Place) -> bytes:
        """Resource Manager's challenge. It names a tenant of the subscription that was asked for, as far as known."""
        estate = await self._estates.current()
        parts = path.lower().split("/")
        inside = (vault.tenant_id for vault in estate.vaults() if vault.subscription_id in parts)
        first = estate.first_tenant()
        tenant_id = next(inside, first.id if first else "common")
        uri = f"{place.login_url}/{tenant_id}"
        claims = refusal.facts.get("claims")
        if claims is not None:  # continuous access evaluation (§7.4)
            return f'Bearer authorization_uri="{uri}", error="insufficient_claims", claims="{claims}"'.encode("ascii")
        told = re.sub(r'[^\x20-\x7e]|["\\,=]', " ", message_of(refusal))
        return f'Bearer authorization_uri="{uri}", error="invalid_token", error_description="{told}"'.encode("ascii")


def _subject(found: Found) -> Subject:
    """What a path is about: a vault by its path in Resource Manager, or a group."""
    given = found.given
    group, vault = given.get("group", ""), given.get("vault", "")
    if vault and group:
        path = vault_scope(given["subscription"], group, vault)
        return Subject(kind="vault", id=path, name=vault, container=group)
    if vault:
        return Subject(kind="vault", id=found.scope, name=vault)
    return Subject(kind="group", id=found.scope, name=group)


def _metadata(scope: Scope, place: Place) -> Answer:
    if scope["method"] != "GET":
        raise Invalid("Verb", verb=scope["method"][:20], allowed="GET")
    version = _query(scope["query_string"]).get("api-version")
    if not version:
        raise Invalid("ApiVersionMissing")
    if version not in METADATA_VERSIONS:
        raise Invalid("ApiVersionUnknown", given=version[:64], known=", ".join(METADATA_VERSIONS))
    return Answer(200, endpoints(place, version))


def _query(raw: bytes) -> dict[str, str]:
    """Names and values percent-decoded, names in lower case; the first of a repeated name counts."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except (ValueError, UnicodeError):
        raise Invalid("Encoding") from None
    return {name.lower(): value for name, value in reversed(pairs)}
