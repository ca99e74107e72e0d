"""Who gets a token: the client-credentials grant, and the two identity endpoints that programs on a host ask.

An application proves itself with a client secret or a client assertion, the identity endpoint with its header; IMDS has
no proof but the address it is asked from, so it is off unless a setting turns it on. Source: Key Vault contract §7.5.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping

import msgspec

from claviger.core.attempts import FailedAttempts
from claviger.core.clock import Clock
from claviger.core.errors import Invalid, NotFound, Unauthenticated
from claviger.keyvault.directory import records
from claviger.keyvault.directory.discovery import ANY_TENANT, is_token_endpoint
from claviger.keyvault.directory.records import Application, Tenant
from claviger.keyvault.directory.signature import ASSERTION_TYPE, AssertionVerifier
from claviger.keyvault.directory.tokens import Issued, TokenMaker
from claviger.keyvault.directory.wire import asks_continuous_access
from claviger.keyvault.estate import Estate
from claviger.store.contract import Store

DEFAULT_IDENTITY = "demo-identity"
MAX_IDENTITIES = 100

_DEFAULT = "/.default"
_SIGN_IN_SCOPES = frozenset({"openid", "profile", "offline_access", "email"})
_RESOURCE = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]{1,15}:[\w:/?#@!$&'()*+,;=.~%\[\]-]{1,400}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    re.ASCII,
)


class SignIn(msgspec.Struct, frozen=True):
    """A request to a token endpoint: its fields, the Basic header if it had one, and the address it came from.

    `base_url` is the login host that it asked, `served` are the names of others that are this server too.
    """

    form: Mapping[str, str]
    basic: tuple[str, str] | None
    address: str
    base_url: str
    served: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return "<sign-in>"


class Issuer:
    """Gives out tokens. `default_identity` names the managed identity of a caller that names none to IMDS."""

    def __init__(
        self,
        store: Store,
        tokens: TokenMaker,
        clock: Clock,
        attempts: FailedAttempts,
        *,
        imds: bool = False,
        default_identity: str = DEFAULT_IDENTITY,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock
        self._attempts = attempts
        self._assertions = AssertionVerifier(clock)
        self._imds = imds
        self._default_identity = default_identity.lower()

    async def client_credentials(self, estate: Estate, tenant_word: str, asked: SignIn) -> Issued:
        """A token for an application that proves itself.

        Raises the refusals of `wire.ERRORS`; a wrong secret or assertion counts, and too many of them are Throttled.
        """
        tenant = tenant_named(estate, tenant_word)
        form = asked.form
        grant = _needed(form, "grant_type")
        if grant != "client_credentials":
            raise Invalid("GrantUnsupported", grant=grant)
        client_id, secret = asked.basic or (_needed(form, "client_id"), form.get("client_secret", ""))
        if asked.basic and form.get("client_id", client_id) != client_id:
            raise Invalid("RequestMalformed")
        audience = _audience(form, tenant)
        continuous_access = asks_continuous_access(form.get("claims", ""))
        application = await self._proven(tenant, client_id, secret, asked)
        return await self._tokens.issue(
            application, audience, continuous_access=continuous_access, by_certificate=not secret
        )

    async def by_identity_header(
        self, header: str, query: Mapping[str, str], address: str
    ) -> tuple[Application, Issued]:
        """A token for the managed identity whose header this is (App Service).

        Raises Unauthenticated("IdentityHeader"), Throttled, Invalid("IdentityUnknown" | "ParameterMissing" |
        "ResourceUnknown").
        """
        self._attempts.check("identity", address)
        digest = hashlib.sha256(header.encode()).digest()
        identity = await records.application_by_credential(self._store, digest) if header else None
        if identity is None or identity.kind != "managed-identity" or not await self._holds(identity, digest):
            self._attempts.failed("identity", address)
            raise Unauthenticated("IdentityHeader")
        if not _is_meant(identity, await self._naming(query)):
            raise Invalid("IdentityUnknown")
        return identity, await self._tokens.issue(identity, _resource(query))

    async def by_address(self, query: Mapping[str, str], address: str) -> tuple[Application, Issued]:
        """A token for a managed identity, asked for from this very machine (IMDS).

        Raises NotFound("ImdsOff"), Unauthenticated("ImdsAddress"), Invalid("IdentityUnknown" | "ParameterMissing" |
        "ResourceUnknown").
        """
        if not self._imds:
            raise NotFound("ImdsOff")
        if not _is_loopback(address):
            raise Unauthenticated("ImdsAddress")
        _needed(query, "api-version")
        resource = _resource(query)
        identities = await records.managed_identities(self._store, MAX_IDENTITIES)
        naming = await self._naming(query)
        named = bool(_WAYS_TO_NAME.intersection(naming))
        for identity in identities:
            if _is_meant(identity, naming) and (named or identity.name.lower() == self._default_identity):
                return identity, await self._tokens.issue(identity, resource)
        raise Invalid("IdentityUnknown")

    async def _naming(self, query: Mapping[str, str]) -> Mapping[str, str]:
        """The query without a client id that belongs to an application, which names no managed identity.

        DefaultAzureCredential passes AZURE_CLIENT_ID on to the identity endpoint even where that is the id of the
        application beside it. The answer is for the identity that may ask, never for that application.
        """
        client_id = query.get("client_id", "")
        application = await records.application_by_client_id(self._store, client_id) if client_id else None
        if application is None or application.kind != "application":
            return query
        return {name: value for name, value in query.items() if name != "client_id"}

    async def _proven(self, tenant: Tenant, client_id: str, secret: str, asked: SignIn) -> Application:
        """The application, once its secret is known to be right."""
        application = await records.application_by_client_id(self._store, client_id)
        if application is None or application.tenant_id != tenant.id:
            raise Invalid("ApplicationNotFound", app=client_id, tenant=tenant.name)
        assertion = asked.form.get("client_assertion", "")
        if not (secret or assertion):
            raise Unauthenticated("ClientSecretMissing")
        self._attempts.check(application.app_id, asked.address)
        if not secret:
            await self._check_assertion(tenant, application, assertion, asked)
            return application
        digest = hashlib.sha256(secret.encode()).digest()
        if application.kind != "application" or not await self._holds(application, digest):
            self._attempts.failed(application.app_id, asked.address)
            raise Unauthenticated("ClientSecretWrong", app=application.app_id)
        return application

    async def _check_assertion(self, tenant: Tenant, application: Application, assertion: str, asked: SignIn) -> None:
        """Returns where the assertion proves the application; counts it as a failed attempt where it does not."""
        if _needed(asked.form, "client_assertion_type") != ASSERTION_TYPE:
            raise Invalid("AssertionType")
        registered = await records.certificates_of(self._store, application.id)
        try:
            self._assertions.verify(
                assertion,
                application.app_id,
                registered,
                lambda url: is_token_endpoint(url, tenant, asked.base_url, asked.served),
            )
        except Unauthenticated:
            self._attempts.failed(application.app_id, asked.address)
            raise

    async def _holds(self, application: Application, digest: bytes) -> bool:
        """Whether one of the application's credentials has this hash, in constant time; an expired one is refused."""
        right = None
        for credential in await records.credentials_of(self._store, application.id):
            if hmac.compare_digest(credential.sha256, digest):
                right = credential
        if right is None:
            return False
        if right.expires_at is not None and self._clock.now() >= right.expires_at:
            raise Unauthenticated("ClientSecretExpired", app=application.app_id)
        return True


def tenant_named(estate: Estate, word: str) -> Tenant:
    """The tenant of a path's first segment. Raises Invalid("TenantNeeded" | "TenantNotFound")."""
    if word.lower() in ANY_TENANT:
        raise Invalid("TenantNeeded")
    tenant = estate.tenant(word)
    if tenant is None:
        raise Invalid("TenantNotFound", tenant=word)
    return tenant


_WAYS_TO_NAME = frozenset({"client_id", "object_id", "principal_id", "mi_res_id", "msi_res_id"})


def _is_meant(identity: Application, query: Mapping[str, str]) -> bool:
    """Whether the identity is the one that the query names, in whatever way; true where it names none."""
    has = {"client_id": identity.app_id, "object_id": identity.object_id, "principal_id": identity.object_id}
    return all(query[way].lower() == has.get(way) for way in _WAYS_TO_NAME if way in query)


def _needed(form: Mapping[str, str], name: str) -> str:
    value = form.get(name, "")
    if not value:
        raise Invalid("ParameterMissing", name=name)
    return value


def _resource(query: Mapping[str, str]) -> str:
    resource = _needed(query, "resource")
    if _RESOURCE.fullmatch(resource) is None:
        raise Invalid("ResourceUnknown", resource=resource, tenant="")
    return resource


def _audience(form: Mapping[str, str], tenant: Tenant) -> str:
    """What the token is for: the resource of version 1, or the scope of version 2 without its `/.default`."""
    if "resource" in form and "scope" not in form:
        resource = _needed(form, "resource")
    else:
        scopes = [scope for scope in _needed(form, "scope").split() if scope.lower() not in _SIGN_IN_SCOPES]
        if len(scopes) != 1:
            raise Invalid("ScopeMixed", scope=form["scope"])
        if not scopes[0].endswith(_DEFAULT):
            raise Invalid("ScopeWithoutDefault", scope=scopes[0])
        resource = scopes[0].removesuffix(_DEFAULT)
    if _RESOURCE.fullmatch(resource) is None:
        raise Invalid("ResourceUnknown", resource=resource, tenant=tenant.name)
    return resource


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
