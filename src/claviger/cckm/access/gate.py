"""The gate: every request's bearer token becomes a caller here, or the request ends.

A token is checked in full once and then remembered until it expires. Who its holder is now, in which groups, and
whether the token was taken back, is read once for each revision of access (`snapshot.py`): with nothing committed since
the last request, the gate asks no database.
"""

from __future__ import annotations

from claviger.cckm.access import records
from claviger.cckm.access.snapshot import NO_RIGHTS, Access, ContainerRights, Edition
from claviger.cckm.access.tokens import Claims, TokenReader, expired, malformed
from claviger.cckm.access.users.rules import plain_user_id
from claviger.cckm.app import permits
from claviger.cckm.calls import Caller, Permission, Rights
from claviger.core.clock import Clock
from claviger.core.errors import Forbidden, Unauthenticated
from claviger.store.contract import Store

MOST_REMEMBERED = 10_000


class _Found:
    """What was found of a token's holder under one edition."""

    __slots__ = ("caller", "edition", "rights")

    def __init__(self, edition: Edition, caller: Caller) -> None:
        self.edition = edition
        self.caller = caller
        self.rights: ContainerRights | None = None


class _Held:
    """A token that was found good."""

    __slots__ = ("claims", "expires_at", "found")

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self.expires_at = claims.exp
        self.found: _Found | None = None


class TokenGate:
    """Knows callers by their tokens: `app.Gate`. Remembers up to 10,000 tokens, none past its expiry."""

    def __init__(self, store: Store, access: Access, reader: TokenReader, clock: Clock) -> None:
        self._store = store
        self._access = access
        self._reader = reader
        self._clock = clock
        self._held: dict[bytes, _Held] = {}

    async def admit(self, authorization: bytes | None, permission: Permission) -> tuple[Caller | None, Rights]:
        """The caller and what containers let him do at this moment. Raises Unauthenticated or Forbidden.

        On a public route whoever brings no good token is nobody (None), and is let in all the same.
        """
        if authorization is None:
            permits(permission, None)
            return None, NO_RIGHTS
        edition = self._access.fresh() or await self._access.current()
        try:
            found = await self._found(authorization, edition)
            permits(permission, found.caller)
        except (Unauthenticated, Forbidden) as refusal:
            if permission.kind == "public":
                return None, NO_RIGHTS
            if refusal.reason in ("TokenExpired", "TokenMalformed"):
                raise
            newest = await self._access.newest()  # another process may just have given the right
            if newest is edition:
                raise
            found = await self._found(authorization, newest)
            permits(permission, found.caller)
        if permission.kind != "container" or found.caller.is_in(*permission.groups):
            return found.caller, NO_RIGHTS
        if self._access.may_lag:  # the handler refuses by these rights, and cannot ask again
            found = await self._found(authorization, await self._access.newest())
        if found.rights is None:
            found.rights = await self._access.rights_of(found.caller)
        return found.caller, found.rights

    async def _found(self, authorization: bytes, edition: Edition) -> _Found:
        """The token's holder as he is under this edition. Raises Unauthenticated."""
        held = self._held.get(authorization)
        now = self._clock.now()
        if held is None:
            held = self._remembered(authorization, self._reader.read(_token_of(authorization)), now)
        elif now >= held.expires_at:
            raise expired(now - held.expires_at)
        found = held.found
        if found is None or found.edition is not edition:
            found = held.found = _Found(edition, await self._caller(held.claims))
        return found

    async def _caller(self, claims: Claims) -> Caller:
        user_id = plain_user_id(claims.sub) or ""
        custom = claims.cust
        found = await records.standing(self._store, user_id, custom.domain_id, claims.aud, claims.jwtid, custom.sid)
        if found is None:
            raise _gone("its user no longer exists")
        if found.is_revoked or found.token_epoch != custom.epoch:
            raise _gone("it was revoked")
        if not found.has_domain:
            raise _gone("its domain no longer exists")
        if found.home_id != custom.domain_id and not found.own_groups:
            raise _gone("its user may no longer enter the domain")
        return Caller(
            user_id=user_id,
            username=found.username,
            domain_id=custom.domain_id,
            groups=found.groups,
            session_id=custom.sid,
            must_change_password=found.must_change_password,
        )

    def _remembered(self, authorization: bytes, claims: Claims, now: float) -> _Held:
        if len(self._held) >= MOST_REMEMBERED:
            self._held = {key: held for key, held in self._held.items() if now < held.expires_at}
            while len(self._held) >= MOST_REMEMBERED:
                del self._held[next(iter(self._held))]
        held = self._held[authorization] = _Held(claims)
        return held


def _gone(why: str) -> Unauthenticated:
    return Unauthenticated("TokenVoid", message=f"Bearer token malformed: {why}")


def _token_of(authorization: bytes) -> bytes:
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not token.strip():
        raise malformed("the authorization header must be: Bearer <token>")
    return token.strip()
