"""Who is calling a vault: the challenge that sends a client to the login host, and the check of what it brings back.

`Challenger.at` says, for a Host and a vault's tenant, what the 401 announces and which audiences and issuers a token
may have; `TokenVerifier.verify` turns an Authorization header into a `Caller`. A token is checked in full once and then
remembered until it expires. Source: Key Vault contract §7.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError

from claviger.core.clock import Clock
from claviger.core.errors import Refusal, Unauthenticated
from claviger.keyvault.directory.signing import SigningKeys
from claviger.keyvault.directory.tokens import ALGORITHM, Claims, issuer_of
from claviger.keyvault.hosts import Host, cloud_of, parse_host, resource_host
from claviger.keyvault.vaults.records import Vault

LOGIN_HOST = "login.localhost"
SERVICE_AUDIENCES = (
    "https://vault.azure.net",
    "https://vault.azure.net/",
    "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",  # the service's own application id
)
NOT_BEFORE_LEEWAY_S = 300  # servers that share a database need not share a clock to the second; an expiry has no leeway
MAX_HEADER_LENGTH = 16_384
MAX_REMEMBERED_TOKENS = 10_000
MAX_REMEMBERED_HOSTS = 1_024


class Caller(msgspec.Struct, frozen=True):
    """Who a token speaks for: the principal, its application and tenant, the issuer, and the groups it is in."""

    oid: str
    appid: str
    tid: str
    iss: str
    groups: tuple[str, ...] = ()
    issued_at: int = 0


class Challenge(msgspec.Struct, frozen=True):
    """What one vault announces under one Host, and what it therefore accepts. `header` is WWW-Authenticate's value."""

    header: bytes
    resource: str
    tenant_id: str
    audiences: frozenset[str]
    issuers: tuple[str, ...]


class Challenger:
    """Builds challenges. They name the login host that belongs to the host that the client used.

    That is the genuine one under a cloud's own name, where names are led here as `claviger exec` leads them; else
    `login.localhost` with the client's port. `login_url` replaces both.
    """

    def __init__(self, login_url: str | None = None) -> None:
        self._login_url = login_url.rstrip("/") if login_url else None
        self._built: dict[tuple[str, str], Challenge] = {}

    def at(self, host: str, tenant_id: str) -> Challenge:
        """The challenge of a vault of this tenant at this Host, which must have led to that vault."""
        built = self._built.get((host, tenant_id))
        if built is None:
            if len(self._built) >= MAX_REMEMBERED_HOSTS:
                self._built.clear()
            built = self._built[host, tenant_id] = self._build(parse_host(host) or Host("localhost", ""), tenant_id)
        return built

    def challenge(self, host: str, refusal: Refusal) -> bytes:
        """WWW-Authenticate's value for a refusal that `TokenVerifier.verify` raised at this Host."""
        header = self.at(host, str(refusal.facts["tenant_id"])).header
        claims = refusal.facts.get("claims")
        if claims is not None:  # continuous access evaluation (contract §7.4)
            header += f', error="insufficient_claims", claims="{claims}"'.encode("ascii")
        return header

    def _build(self, host: Host, tenant_id: str) -> Challenge:
        cloud = cloud_of(host)
        if cloud is not None:
            host = Host(host.name, "")
        resource = f"https://{resource_host(host)}"
        login = self._login_url or f"https://{cloud.login if cloud else LOGIN_HOST + host.port}"
        return Challenge(
            header=f'Bearer authorization="{login}/{tenant_id}", resource="{resource}"'.encode("ascii"),
            resource=resource,
            tenant_id=tenant_id,
            audiences=frozenset({resource.lower(), resource.lower() + "/", *SERVICE_AUDIENCES}),
            issuers=issuers_at(login, tenant_id),
        )


def issuers_at(login: str, tenant_id: str) -> tuple[str, ...]:
    """Who may have issued a token of this tenant, for a service whose login host is at this URL."""
    return (
        issuer_of(tenant_id),
        f"https://login.microsoftonline.com/{tenant_id}/v2.0",
        f"{login}/{tenant_id}/",
        f"{login}/{tenant_id}/v2.0",
    )


class TokenVerifier:
    """Checks bearer tokens against the signing keys. Remembers up to 10,000 good ones, none past its expiry."""

    def __init__(self, keys: SigningKeys, challenger: Challenger, clock: Clock) -> None:
        self._keys = keys
        self._challenger = challenger
        self._clock = clock
        self._jws = PyJWS(algorithms=[ALGORITHM])
        self._claims = msgspec.json.Decoder(Claims)
        self._known: dict[tuple[bytes, str, str], tuple[int, Caller]] = {}
        self._edition = keys.edition

    def verify(self, authorization: bytes | None, host: str, vault: Vault) -> Caller:
        """The caller that an Authorization header proves to a vault reached at this Host.

        Raises Unauthenticated with one of the reasons MissingToken, UnknownSigningKey, WrongAudience, WrongIssuer or
        InvalidToken, with the facts that the messages of Key Vault contract §6 need, and with `tenant_id` for the
        challenge.
        """
        if authorization is None:
            raise Unauthenticated("MissingToken", tenant_id=vault.tenant_id)
        known = self._known_caller((authorization, host, vault.tenant_id))
        if known is not None:
            return known
        try:
            claims = self._checked(_token_of(authorization), lambda _: self._challenger.at(host, vault.tenant_id))
        except Unauthenticated as refusal:
            refusal.facts["tenant_id"] = vault.tenant_id
            raise
        return self._remember((authorization, host, vault.tenant_id), claims)

    def verify_any_tenant(
        self, authorization: bytes | None, host: str, expected: Callable[[str], Challenge | None]
    ) -> Caller:
        """The caller that an Authorization header proves to a service of all tenants reached at this Host.

        `expected` is asked with the token's own tenant, and answers None where that is nobody's. It must answer the
        same for the same host and tenant. Raises as `verify` does, without `tenant_id`.
        """
        if authorization is None:
            raise Unauthenticated("MissingToken")
        known = self._known_caller((authorization, host, ""))
        if known is not None and expected(known.tid) is not None:
            return known
        return self._remember((authorization, host, ""), self._checked(_token_of(authorization), expected))

    def _known_caller(self, key: tuple[bytes, str, str]) -> Caller | None:
        if self._edition != self._keys.edition:
            self._edition = self._keys.edition
            self._known.clear()
        known = self._known.get(key)
        return known[1] if known is not None and self._clock.now() < known[0] else None

    def _checked(self, token: bytes, expected: Callable[[str], Challenge | None]) -> Claims:
        """The claims, once signature, form, audience, issuer and times hold: nothing unsigned is ever looked at."""
        now = self._clock.now()
        try:
            claims = self._claims.decode(self._signed_payload(token))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise _invalid("the claims are malformed") from None
        challenge = expected(claims.tid)
        if challenge is None:
            raise Unauthenticated("WrongIssuer", expected="a tenant of this server", found=claims.iss[:200])
        if claims.aud.lower() not in challenge.audiences:
            raise Unauthenticated("WrongAudience", expected=challenge.resource, found=claims.aud[:200])
        if claims.tid != challenge.tenant_id or claims.iss not in challenge.issuers:
            raise Unauthenticated("WrongIssuer", expected=", ".join(challenge.issuers[:2]), found=claims.iss[:200])
        if now >= claims.exp:
            raise _invalid("the token is expired")
        if now + NOT_BEFORE_LEEWAY_S < claims.nbf:
            raise _invalid("the token is not yet valid")
        if not claims.oid:
            raise _invalid("the token names no principal")
        return claims

    def _signed_payload(self, token: bytes) -> bytes:
        try:
            kid = self._jws.get_unverified_header(token).get("kid")
            key = self._keys.public_key(kid) if isinstance(kid, str) else None
            if key is None:
                raise Unauthenticated("UnknownSigningKey", kid=str(kid)[:100])
            payload: bytes = self._jws.decode_complete(token, key, algorithms=[ALGORITHM])["payload"]
        except (PyJWTError, UnicodeError, ValueError, RecursionError):
            raise _invalid("the signature or the form of the token is wrong") from None
        return payload

    def _remember(self, key: tuple[bytes, str, str], claims: Claims) -> Caller:
        now = self._clock.now()
        appid = claims.appid or claims.azp
        caller = Caller(claims.oid, appid, claims.tid, claims.iss, tuple(claims.groups), claims.iat)
        if len(self._known) >= MAX_REMEMBERED_TOKENS:
            self._known = {kept: entry for kept, entry in self._known.items() if now < entry[0]}
            while len(self._known) >= MAX_REMEMBERED_TOKENS:
                del self._known[next(iter(self._known))]
        self._known[key] = (claims.exp, caller)
        return caller


def _invalid(detail: str) -> Unauthenticated:
    return Unauthenticated("InvalidToken", detail=detail)


def _token_of(authorization: bytes) -> bytes:
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise Unauthenticated("MissingToken")
    if len(token) > MAX_HEADER_LENGTH or not token.isascii():
        raise _invalid("the token is too long or not ASCII")
    return token.strip()
