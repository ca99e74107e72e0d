"""The secrets data plane as an ASGI application: one funnel that every request of every vault goes through.

Vault by host, caller by token, then address, api-version, path, permission, body, operation, answer: in that order,
since the real service decides who is calling before it looks at anything else (Key Vault contract §1).
"""

from __future__ import annotations

import contextlib
import logging
import random
import re
from collections.abc import Callable
from email.utils import formatdate
from urllib.parse import parse_qsl, unquote_to_bytes

from claviger.audit.entry import Subject
from claviger.audit.trail import Trail, following
from claviger.core.asgi import Headers, Receive, Scope, Send, read_body
from claviger.core.clock import Clock
from claviger.core.errors import Damaged, Forbidden, Invalid, NotFound, Refusal, TooLarge, Unauthenticated
from claviger.keyvault.challenge import Caller, Challenger, TokenVerifier
from claviger.keyvault.errors import body_of
from claviger.keyvault.estate import Estate, Estates
from claviger.keyvault.journal import NO_TOKEN, CloudJournal
from claviger.keyvault.secrets.routes import Call, Route, SecretRoutes, match
from claviger.keyvault.secrets.rules import RIGHTS, Operation, is_name, secret_id
from claviger.keyvault.secrets.wire import API_VERSIONS, LATEST_API_VERSION
from claviger.keyvault.vaults.records import Vault
from claviger.switches.board import Switches

SERVICE_VERSION = b"1.9.2750.1"
GET = Operation.GET.value
LISTS = frozenset({Operation.LIST, Operation.LIST_VERSIONS, Operation.LIST_DELETED})
READS = frozenset({Operation.GET, Operation.GET_DELETED, Operation.BACKUP})
STAMPED = frozenset({Operation.SET, Operation.UPDATE})
MAX_REMEMBERED_QUERIES = 2048
MAX_REMEMBERED_CLIENTS = 1024
_OVERRIDES = {b"PATCH": "PATCH", b"DELETE": "DELETE"}
_FIXED: Headers = [
    (b"cache-control", b"no-cache"),
    (b"pragma", b"no-cache"),
    (b"expires", b"-1"),
    (b"x-ms-keyvault-service-version", SERVICE_VERSION),
    (b"strict-transport-security", b"max-age=31536000;includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
]
_REQUEST_ID = re.compile(rb"[0-9A-Za-z._-]{1,128}")
_JSON = (b"content-type", b"application/json; charset=utf-8")

_QUICK_HEAD = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % header for header in [*_FIXED, _JSON])

log = logging.getLogger("claviger.keyvault")


class Request:
    """What the funnel reads of a request's head, in one pass over its headers."""

    __slots__ = (
        "authorization",
        "caller",
        "client_request_id",
        "content_length",
        "host",
        "method",
        "operation",
        "region",
        "request_id",
        "route",
        "trail",
        "vault",
    )

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.host = ""
        self.authorization: bytes | None = None
        self.client_request_id: bytes | None = None
        self.content_length: bytes | None = None
        self.operation = "none"
        self.region: bytes | None = None
        self.request_id = b""
        self.vault: Vault | None = None
        self.caller: Caller | None = None
        self.route: Route | None = None
        self.trail: Trail | None = None
        for name, value in scope["headers"]:
            if name == b"host":
                self.host = value.decode("latin-1")
            elif name == b"authorization":
                self.authorization = value
            elif name == b"x-ms-client-request-id":
                self.client_request_id = value
            elif name == b"content-length":
                self.content_length = value
            elif name == b"x-http-method" and self.method == "POST":
                self.method = _OVERRIDES.get(value.upper(), "POST")


class KeyVaultApp:
    """Answers for all vaults. `count` is told the operation and status of every answer."""

    def __init__(
        self,
        estates: Estates,
        verifier: TokenVerifier,
        challenger: Challenger,
        routes: SecretRoutes,
        clock: Clock,
        count: Callable[[str, int], None],
        switches: Switches | None = None,
        journal: CloudJournal | None = None,
    ) -> None:
        self._estates = estates
        self._verifier = verifier
        self._challenger = challenger
        self._routes = routes
        self._clock = clock
        self._count = count
        self._switches = switches
        self._journal = journal
        self._queries: dict[bytes, dict[str, str]] = {}
        self._networks: dict[str, bytes] = {}
        self._date = (0, b"")
        self._dice = random.Random()  # for request ids, which are no secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry, for scopes of type http only."""
        request = Request(scope)
        headers = self._head(scope, request)
        try:
            estate = self._estates.fresh() or await self._estates.current()
            try:
                vault, query, route = self._admitted(estate, scope, request)
            except (NotFound, Unauthenticated, Forbidden):
                newest = await self._estates.newest()  # another process may just have given the right
                if newest is estate:
                    raise
                vault, query, route = self._admitted(newest, scope, request)
            if self._switches is not None and await self._meet(self._switches, vault, route):
                await send({"type": "http.response.cut"})
                return
            call = _call(request.host, vault, route, query)
            if route.body_limit:
                call.body = await read_body(receive, request.content_length, route.body_limit)
            body = await self._answered(call, scope, request)
            status = 200 if body is not None else 204
        except Refusal as refusal:
            if self._journal is not None:
                refusal = await self._recorded(self._journal, refusal, scope, request)
            status, body = self._refused(refusal, request, headers)
        if request.region is not None:
            headers.append((b"x-ms-keyvault-region", request.region))
        self._count(request.operation, status)
        await _send(send, status, headers, body)

    def quick(self, scope: Scope, _: bytes = b"") -> bytes | None:
        """The whole answer to a get that succeeds and need not wait for anything, head and body; None for all else.

        The same steps as `__call__` in the same order, without a task and without the ASGI messages: this is the hot
        path. Whatever is refused or has to wait is left to `__call__`, which starts afresh.
        """
        if scope["method"] != "GET":
            return None
        estate, journal = self._estates.fresh(), self._journal
        if estate is None or self._switches is not None or (journal is not None and journal.is_strict):
            return None
        request = Request(scope)
        if request.client_request_id is not None and not _REQUEST_ID.fullmatch(request.client_request_id):
            return None
        try:
            vault, query, route = self._admitted(estate, scope, request)
            if route.operation is not Operation.GET:
                return None
            call = _call(request.host, vault, route, query)
            body = self._routes.get_now(call)
            if body is None:
                return None
            head = self._head(scope, request)
            if journal is not None and request.caller is not None:
                client, name = scope.get("client"), route.name or ""
                address = client[0] if client else ""
                journal.read_now(GET, request.caller, address, vault.name, name, call.shown_version, request.request_id)
        except Refusal:
            return None
        self._count(request.operation, 200)
        headers = [*head, (b"x-ms-keyvault-region", request.region or b"")]
        told = b"".join([b"%b: %b\r\n" % header for header in headers[len(_FIXED) :]])
        return b"%b%bcontent-length: %d\r\n\r\n%b" % (_QUICK_HEAD, told, len(body), body)

    def _admitted(self, estate: Estate, scope: Scope, request: Request) -> tuple[Vault, dict[str, str], Route]:
        """The vault, the query and the route, once this estate lets the caller through."""
        vault = estate.vault_at(request.host)
        if vault is None:
            raise NotFound("VaultNotFound", host=request.host[:255])
        request.region = vault.location.encode("latin-1", "replace")
        request.vault = vault
        caller = request.caller = self._verifier.verify(request.authorization, request.host, vault)
        if self._switches is not None:
            self._switches.check_token(caller.issued_at, vault.tenant_id)
        if vault.network_acls is not None or not vault.public_access:
            client = scope.get("client")
            estate.admit(vault, client[0] if client else "")
        query, route = self._asked(scope, request.method)
        request.operation = route.operation.value
        request.route = route
        right = RIGHTS[route.operation]
        scoped = None if right.vault_wide else route.name
        estate.require(caller, vault, right.permission, right.data_action, scoped)
        return vault, query, route

    async def _answered(self, call: Call, scope: Scope, request: Request) -> bytes | None:
        """The operation's answer, once what it does or reveals is recorded."""
        journal = self._journal
        if journal is None or call.route.operation in LISTS:
            return await self._routes.answer(call)
        trail = request.trail = _trail(journal, scope, request)
        with following(trail):
            body = await self._routes.answer(call)
        if call.route.operation in READS:
            await journal.read(trail)
        return body

    async def _recorded(self, journal: CloudJournal, refusal: Refusal, scope: Scope, request: Request) -> Refusal:
        """Records a refusal, of whatever is not a list; what is to be answered then."""
        if request.route is None:  # refused before anybody looked at the path
            with contextlib.suppress(Refusal):
                request.route = match(request.method, _segments(scope["raw_path"]))
        operation = None if request.route is None else request.route.operation
        if refusal.reason == NO_TOKEN or operation in LISTS:
            return refusal
        trail = request.trail or _trail(journal, scope, request)
        return await journal.refused(trail, refusal, body_of(refusal)[0], is_read=operation in READS)

    async def _meet(self, switches: Switches, vault: Vault, route: Route) -> bool:
        """Faults and limits that were switched on; true where the connection is to be cut."""
        creates = route.operation is Operation.SET
        switches.throttle.take(vault.name, vault.subscription_id, creates, self._clock.now())
        return await switches.meet("keyvault", route.operation.value, vault.name)

    def _asked(self, scope: Scope, method: str) -> tuple[dict[str, str], Route]:
        query = self._query(scope["query_string"])
        given = query.get("api-version")
        if not given:
            raise Invalid("ApiVersionMissing")
        if given not in API_VERSIONS:
            raise Invalid("ApiVersionUnknown", given=given[:64], latest=LATEST_API_VERSION)
        return query, match(method, _segments(scope["raw_path"]))

    def _query(self, raw: bytes) -> dict[str, str]:
        """Names and values percent-decoded, names in lower case; the first of a repeated name counts."""
        known = self._queries.get(raw)
        if known is not None:
            return known
        try:
            pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
        except (ValueError, UnicodeError):
            raise Invalid("Encoding") from None
        query = {name.lower(): value for name, value in reversed(pairs)}
        if len(raw) <= 64:  # page marks are longer, and seldom asked for twice
            if len(self._queries) >= MAX_REMEMBERED_QUERIES:
                self._queries.clear()
            self._queries[raw] = query
        return query

    def _head(self, scope: Scope, request: Request) -> Headers:
        second = int(self._clock.now())
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True).encode())
        bits = self._dice.getrandbits
        request_id = b"%08x-%04x-4%03x-a%03x-%012x" % (bits(32), bits(16), bits(12), bits(12), bits(48))
        request.request_id = request_id
        client = scope.get("client")
        headers = [
            *_FIXED,
            (b"date", self._date[1]),
            (b"x-ms-request-id", request_id),
            (b"x-ms-keyvault-network-info", self._network_info(client[0] if client else "127.0.0.1")),
        ]
        if request.client_request_id is not None and len(request.client_request_id) <= 256:
            headers.append((b"x-ms-client-request-id", request.client_request_id))
        return headers

    def _network_info(self, address: str) -> bytes:
        known = self._networks.get(address)
        if known is None:
            family, more = ("Ipv6", "V6") if ":" in address else ("Ipv4", "")
            known = f"conn_type={family};addr={address};act_addr_fam=InterNetwork{more};".encode()
            if len(self._networks) >= MAX_REMEMBERED_CLIENTS:
                self._networks.clear()
            self._networks[address] = known
        return known

    def _refused(self, refusal: Refusal, request: Request, headers: Headers) -> tuple[int, bytes]:
        if isinstance(refusal, Unauthenticated):
            headers.append((b"www-authenticate", self._challenger.challenge(request.host, refusal)))
        if "retry_after_s" in refusal.facts:
            headers.append((b"retry-after", str(refusal.facts["retry_after_s"]).encode()))
        if isinstance(refusal, TooLarge):
            headers.append((b"connection", b"close"))
        if isinstance(refusal, Damaged):
            log.error("stored data does not open: %s", refusal.reason)
        return body_of(refusal)


def _trail(journal: CloudJournal, scope: Scope, request: Request) -> Trail:
    vault, route, client = request.vault, request.route, scope.get("client")
    place = "" if vault is None else vault.name
    # What can be no name is not kept: it may be a value that went astray.
    name = "" if route is None or route.name is None or not is_name(route.name) else route.name
    subject = Subject(container=place, id=secret_id(place, name) if name else "", kind="secret", name=name)
    action = "SecretCall" if route is None else route.operation.value
    address = client[0] if client else ""
    if route is not None and route.operation in STAMPED and request.caller is not None:
        return journal.begin_set(action, request.caller, address, place, subject, request.request_id.decode())
    trail = journal.begin(action, subject, request.request_id.decode(), address, request.caller)
    trail.status = 204 if route is not None and route.operation is Operation.PURGE else 200
    return trail


def _segments(raw_path: bytes) -> list[str]:
    """The path in decoded segments. A doubled leading slash and one trailing slash are tolerated (§1)."""
    path = raw_path.lstrip(b"/").removesuffix(b"/")
    try:
        if b"%" not in path:
            return path.decode().split("/")
        parts = path.split(b"/")
        return [(unquote_to_bytes(part) if b"%" in part else part).decode() for part in parts]
    except UnicodeDecodeError:
        raise Invalid("Encoding") from None


def _call(host: str, vault: Vault, route: Route, query: dict[str, str]) -> Call:
    """Ids leave the default port out; links name it (§2.1, §4)."""
    bare = host.removesuffix(":443")
    has_port = bare.rpartition(":")[2].isdigit()
    version = query["api-version"]
    return Call(
        vault=vault,
        base_url=f"https://{bare}",
        link_url=f"https://{bare}" if has_port else f"https://{bare}:443",
        api_version=version,
        dialect=API_VERSIONS[version],
        route=route,
        query=query,
    )


async def _send(send: Send, status: int, headers: Headers, body: bytes | None) -> None:
    if body is None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    headers.append(_JSON)
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
