"""The login host as an ASGI application: sign-in documents, token endpoints, and the identity endpoints.

Each answer carries `no-store` and the ids by which it can be found again. The body limit, the time a body may take and
the shapes of all errors are here; who gets what is decided in `issuer.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from claviger.audit.entry import Actor, Subject
from claviger.audit.log import UNAVAILABLE
from claviger.audit.trail import Trail
from claviger.core.asgi import Receive, Scope, Send
from claviger.core.clock import Clock
from claviger.core.errors import Busy, Invalid, NotFound, Refusal, Throttled, TooLarge, Unauthenticated
from claviger.core.ids import new_uuid
from claviger.keyvault.directory import wire
from claviger.keyvault.directory.discovery import ANY_TENANT, instance_discovery, openid_configuration
from claviger.keyvault.directory.issuer import Issuer, SignIn, tenant_named
from claviger.keyvault.directory.records import Application
from claviger.keyvault.directory.signing import SigningKeys
from claviger.keyvault.directory.tokens import Issued
from claviger.keyvault.estate import Estates
from claviger.keyvault.hosts import is_login_host, parse_host
from claviger.keyvault.journal import CloudJournal
from claviger.keyvault.vaults.rules import is_uuid

MAX_BODY = 65_536
BODY_TIMEOUT_S = 15.0

_HEADERS = [
    (b"content-type", b"application/json; charset=utf-8"),
    (b"cache-control", b"no-store, no-cache"),
    (b"pragma", b"no-cache"),
    (b"expires", b"-1"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
]


class Asked(msgspec.Struct):
    """One request: what of it the pages need, and the ids of its answer."""

    verb: str
    segments: list[str]
    headers: Mapping[bytes, bytes]
    query_string: bytes
    address: str
    base_url: str
    trace_id: str
    correlation_id: str

    def __repr__(self) -> str:
        return f"<{self.verb} to the login host>"

    def query(self) -> dict[str, str]:
        """The query's fields. Raises Invalid("RequestMalformed")."""
        return wire.decode_form(self.query_string)


class Answer(msgspec.Struct):
    """A status, a body, and headers beyond the usual ones."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]] = []


class LoginHost:
    """The application. `served` are the login hosts that are ours.

    `login_url` stands before every address shown, but to a client that came by a cloud's own name: it stays there.
    """

    def __init__(
        self,
        estates: Estates,
        keys: SigningKeys,
        issuer: Issuer,
        clock: Clock,
        *,
        served: tuple[str, ...] = ("login.localhost",),
        login_url: str | None = None,
        journal: CloudJournal | None = None,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._estates = estates
        self._keys = keys
        self._issuer = issuer
        self._clock = clock
        self._served = frozenset(host.lower() for host in served)
        self._login_url = login_url.rstrip("/") if login_url else None
        self._journal = journal
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        asked = self._asked(scope)
        try:
            answer = await self._answer(asked, receive)
        except Refusal as refusal:
            if asked.segments[-1:] == ["token"]:
                refusal = await self._recorded(asked, refusal, wire.fault_of(refusal).status)
            answer = self._refused(asked, refusal)
        await _send(send, asked, answer)

    def _asked(self, scope: Scope) -> Asked:
        headers = dict(scope["headers"])
        host = parse_host(headers.get(b"host", b"").decode("latin-1"))
        here = f"{scope.get('scheme', 'https')}://{host.name}{host.port}" if host else ""
        given = headers.get(b"client-request-id", b"").decode("latin-1")
        return Asked(
            verb=scope["method"],
            segments=[segment for segment in scope["path"].split("/") if segment],
            headers=headers,
            query_string=scope.get("query_string", b""),
            address=(scope.get("client") or ("",))[0],
            base_url=here if host and is_login_host(host.name.lower()) else self._login_url or here,
            trace_id=new_uuid(),
            correlation_id=given.lower() if is_uuid(given) else new_uuid(),
        )

    async def _answer(self, asked: Asked, receive: Receive) -> Answer:
        if not asked.base_url:
            raise Invalid("RequestMalformed")
        match asked.segments:
            case ["msi", "token"]:
                return await self._identity(asked)
            case ["metadata", "identity", "oauth2", "token"]:
                return await self._imds(asked)
            case [tenant, "oauth2", "v2.0", "token"]:
                return await self._token(asked, receive, tenant, version=2)
            case [tenant, "oauth2", "token"]:
                return await self._token(asked, receive, tenant, version=1)
            case [_, "oauth2", "authorize"] | [_, "oauth2", "v2.0", "authorize"]:
                raise Invalid("GrantUnsupported", grant="authorization_code")
        page = await self._document(asked)
        if asked.verb != "GET":
            raise Invalid("VerbNotAllowed", allowed="GET", verb=asked.verb)
        return Answer(200, wire.encode(page))

    async def _document(self, asked: Asked) -> Mapping[str, Any]:
        match asked.segments:
            case ["common", "discovery", "instance"]:
                wanted = asked.query().get("authorization_endpoint", "")
                return instance_discovery(asked.base_url, wanted, self._served)
            case [word, "v2.0", ".well-known", "openid-configuration"]:
                return openid_configuration(asked.base_url, await self._tenant_shown(word), version=2)
            case [word, ".well-known", "openid-configuration"]:
                return openid_configuration(asked.base_url, await self._tenant_shown(word), version=1)
            case [word, "discovery", "v2.0", "keys"] | [word, "discovery", "keys"]:
                await self._tenant_shown(word)
                await self._keys.signer()
                return {"keys": self._keys.published()}
        raise NotFound("PageUnknown")

    async def _tenant_shown(self, word: str) -> str:
        """The id of a tenant, or the word itself where it stands for any."""
        estate = await self._estates.newest()
        return word.lower() if word.lower() in ANY_TENANT else tenant_named(estate, word).id

    async def _token(self, asked: Asked, receive: Receive, tenant: str, *, version: int) -> Answer:
        if asked.verb != "POST":
            raise Invalid("VerbNotAllowed", allowed="POST", verb=asked.verb)
        body = await self._body(asked, receive)
        kind = asked.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        form = wire.decode_form(body) if kind == b"application/x-www-form-urlencoded" else {}
        basic = wire.decode_basic(asked.headers.get(b"authorization"))
        sign_in = SignIn(form, basic, asked.address, asked.base_url, self._served)
        estate = await self._estates.newest()
        issued = await self._issuer.client_credentials(estate, tenant, sign_in)
        await self._granted(asked, issued)
        lifetime_s = issued.expires_at - issued.issued_at
        token = issued.token.reveal_text()
        if version == 2:
            return Answer(200, wire.encode(wire.Token("Bearer", lifetime_s, lifetime_s, token)))
        told = wire.TokenV1(
            token_type="Bearer",  # noqa: S106 - a word of the wire
            expires_in=str(lifetime_s),
            ext_expires_in=str(lifetime_s),
            expires_on=str(issued.expires_at),
            not_before=str(issued.issued_at),
            resource=issued.audience,
            access_token=token,
        )
        return Answer(200, wire.encode(told))

    async def _body(self, asked: Asked, receive: Receive) -> bytes:
        """The whole body. Raises TooLarge as soon as it is over the limit, Busy when it does not come."""
        length = asked.headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:12]) > MAX_BODY:
            raise TooLarge("RequestTooLarge")
        parts: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(self._body_timeout_s):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Invalid("RequestMalformed")
                    part = message.get("body", b"")
                    size += len(part)
                    if size > MAX_BODY:
                        raise TooLarge("RequestTooLarge")
                    parts.append(part)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise Invalid("RequestTooSlow") from None
        return b"".join(parts)

    async def _identity(self, asked: Asked) -> Answer:
        """The App Service identity endpoint, with the errors of its own shape."""
        try:
            if asked.verb != "GET":
                raise Invalid("VerbNotAllowed")
            await self._estates.newest()
            header = asked.headers.get(b"x-identity-header", b"").decode("latin-1")
            found = await self._issuer.by_identity_header(header, asked.query(), asked.address)
            await self._granted(asked, found[1])
            return Answer(200, wire.encode(_identity_token(*found)))
        except Refusal as refusal:
            refusal = await self._recorded(asked, refusal, _status(refusal))
            status = _status(refusal)
            return Answer(status, wire.encode(wire.IdentityError(status, _told(refusal))), _retry_after(refusal))

    async def _imds(self, asked: Asked) -> Answer:
        """The Azure instance metadata service's token endpoint, with the errors of its own shape."""
        try:
            if asked.verb != "GET":
                raise Invalid("VerbNotAllowed")
            if asked.headers.get(b"metadata", b"").lower() != b"true" or b"x-forwarded-for" in asked.headers:
                raise Invalid("MetadataHeader")
            await self._estates.newest()
            found = await self._issuer.by_address(asked.query(), asked.address)
            await self._granted(asked, found[1])
            return Answer(200, wire.encode(_identity_token(*found)))
        except Refusal as refusal:
            refusal = await self._recorded(asked, refusal, _status(refusal))
            told = wire.ImdsError("invalid_request", _told(refusal))
            return Answer(_status(refusal), wire.encode(told), _retry_after(refusal))

    def _trail(self, journal: CloudJournal, asked: Asked) -> Trail:
        trail = journal.begin("Get token", Subject(kind="application"), asked.trace_id, asked.address, None)
        trail.status = 200
        return trail

    async def _granted(self, asked: Asked, issued: Issued) -> None:
        """Records a token before it is shown. Raises Busy("AuditUnavailable")."""
        if self._journal is None:
            return
        trail = self._trail(self._journal, asked)
        application = issued.application
        trail.actor = Actor(address=asked.address, user_id=application.object_id, username=application.app_id)
        trail.about("application", application.app_id, application.name, application.tenant_id)
        trail.details["audience"] = issued.audience
        await self._journal.done(trail)

    async def _recorded(self, asked: Asked, refusal: Refusal, status: int) -> Refusal:
        """Records that a token was refused; what is to be answered then. What was tried is not told."""
        if self._journal is None:
            return refusal
        trail = self._trail(self._journal, asked)
        if refusal.reason in ("ClientSecretWrong", "ClientSecretExpired"):  # there is such an application
            trail.about("application", str(refusal.facts["app"]))
        return await self._journal.refused(trail, refusal, status)

    def _refused(self, asked: Asked, refusal: Refusal) -> Answer:
        body = wire.error_body(
            refusal,
            at=self._clock.now(),
            trace_id=asked.trace_id,
            correlation_id=asked.correlation_id,
            login=asked.base_url,
        )
        headers = _retry_after(refusal)
        if refusal.reason == "VerbNotAllowed":
            headers.append((b"allow", str(refusal.facts["allowed"]).encode()))
        if isinstance(refusal, Unauthenticated):
            headers.append((b"www-authenticate", b'Basic realm="login"'))
        return Answer(wire.fault_of(refusal).status, body, headers)


_TOLD = {
    "IdentityHeader": (401, "The X-IDENTITY-HEADER is missing or is not the one of a managed identity."),
    "IdentityUnknown": (400, "No managed identity found for the specified ClientId/ResourceId/PrincipalId."),
    "ClientSecretExpired": (401, "The credential of the managed identity has expired."),
    "ImdsOff": (404, "The instance metadata service is switched off here."),
    "ImdsAddress": (403, "The instance metadata service answers this machine only."),
    "MetadataHeader": (400, "Required metadata header not specified or not correct"),
    "ParameterMissing": (400, "Required query variable '{name}' is missing"),
    "ResourceUnknown": (400, "The resource is not valid."),
    "RequestMalformed": (400, "The request is malformed."),
    "VerbNotAllowed": (405, "Only GET is answered here."),
    "TooManyFailures": (429, "Too many requests; retry in {retry_after_s} s."),
}


def _status(refusal: Refusal) -> int:
    return 503 if isinstance(refusal, Busy) else _TOLD.get(refusal.reason, (500, ""))[0]


def _told(refusal: Refusal) -> str:
    if refusal.reason == UNAVAILABLE:
        return str(refusal.facts["message"])
    return _TOLD.get(refusal.reason, (500, "The server cannot answer now."))[1].format_map(refusal.facts)


def _retry_after(refusal: Refusal) -> list[tuple[bytes, bytes]]:
    if isinstance(refusal, Throttled) and "retry_after_s" in refusal.facts:
        return [(b"retry-after", str(refusal.facts["retry_after_s"]).encode())]
    return []


def _identity_token(identity: Application, issued: Issued) -> wire.IdentityToken:
    lifetime = str(issued.expires_at - issued.issued_at)
    return wire.IdentityToken(
        access_token=issued.token.reveal_text(),
        client_id=identity.app_id,
        expires_in=lifetime,
        expires_on=str(issued.expires_at),
        ext_expires_in=lifetime,
        not_before=str(issued.issued_at),
        resource=issued.audience,
        token_type="Bearer",  # noqa: S106 - a word of the wire
    )


async def _send(send: Send, asked: Asked, answer: Answer) -> None:
    headers = [
        *_HEADERS,
        (b"content-length", str(len(answer.body)).encode()),
        (b"x-ms-request-id", asked.trace_id.encode()),
        (b"client-request-id", asked.correlation_id.encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
