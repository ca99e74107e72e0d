"""Access tokens: what stands in one, how one is signed, and how one that comes back is read (CCKM contract §2.4).

A token says who signed in, where and when. What its holder may do is not read from it but from the database, at every
request (`gate.py`), so the groups in it are for clients' eyes.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError

from claviger.cckm.access.signing import SigningKeys
from claviger.cckm.access.users.rules import plain_user_id, shown_user_id
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.core.clock import Clock
from claviger.core.errors import Unauthenticated
from claviger.core.ids import new_uuid
from claviger.core.sensitive import Sensitive

LIFETIME_S = 300
ALGORITHM = "ES256"
ISSUER = "kylo"
LONGEST_TOKEN = 16_384
MOST_GROUPS_SHOWN = 100


class Custom(msgspec.Struct, frozen=True):
    """The claims of this API. `epoch` is the user's count of changed passwords, which voids the tokens before."""

    domain_id: str
    groups: list[str]
    sid: str
    zone_id: str
    epoch: int


class Claims(msgspec.Struct, frozen=True):
    """What a token says. Read back strictly: a claim of the wrong type makes the token invalid."""

    aud: str
    sub: str
    iss: Literal["kylo"]
    acc: str
    preferred_username: str
    cust: Custom
    jwtid: str
    iat: int
    exp: int


class Holder(msgspec.Struct, frozen=True):
    """Whom a token is for, and the session and client that it belongs to."""

    user_id: str
    username: str
    domain_id: str
    groups: frozenset[str]
    client_id: str
    session_id: str
    epoch: int


class TokenMaker:
    """Signs tokens for those whose right to one has been established before."""

    def __init__(self, keys: SigningKeys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._jws = PyJWS(algorithms=[ALGORITHM])

    async def issue(self, holder: Holder) -> Sensitive:
        """A token good for `LIFETIME_S` seconds from now."""
        signer = await self._keys.signer()
        now = int(self._clock.now())
        claims = Claims(
            aud=holder.client_id,
            sub=shown_user_id(holder.user_id),
            iss="kylo",
            acc=ISSUER,
            preferred_username=holder.username,
            cust=Custom(
                domain_id=holder.domain_id,
                groups=sorted(holder.groups)[:MOST_GROUPS_SHOWN],
                sid=holder.session_id,
                zone_id=ROOT_DOMAIN,
                epoch=holder.epoch,
            ),
            jwtid=new_uuid(),
            iat=now,
            exp=now + LIFETIME_S,
        )
        headers = {"typ": "JWT", "kid": signer.row.kid}
        return Sensitive(self._jws.encode(msgspec.json.encode(claims), signer.private, ALGORITHM, headers))


class TokenReader:
    """Checks tokens against the signing keys: nothing unsigned is ever looked at."""

    def __init__(self, keys: SigningKeys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._jws = PyJWS(algorithms=[ALGORITHM])
        self._claims = msgspec.json.Decoder(Claims)

    def read(self, token: bytes) -> Claims:
        """The claims of a good token.

        Raises Unauthenticated: TokenKeyUnknown, where its key may just have been made by another process, TokenExpired,
        or TokenMalformed.
        """
        try:
            claims = self._claims.decode(self._signed_payload(token))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise malformed("its claims are not those of this server") from None
        if plain_user_id(claims.sub) is None:
            raise malformed("it names no user")
        late_by = self._clock.now() - claims.exp
        if late_by >= 0:
            raise expired(late_by)
        return claims

    def _signed_payload(self, token: bytes) -> bytes:
        if len(token) > LONGEST_TOKEN:
            raise malformed("it is too long")
        try:
            kid = self._jws.get_unverified_header(token).get("kid")
            key = self._keys.public_key(kid) if isinstance(kid, str) else None
            if key is None:
                raise Unauthenticated(
                    "TokenKeyUnknown", message="Bearer token malformed: it was not signed by a key of this server"
                )
            payload: bytes = self._jws.decode_complete(token, key, algorithms=[ALGORITHM])["payload"]
        except (PyJWTError, UnicodeError, ValueError, RecursionError):
            raise malformed("its form or its signature is wrong") from None
        return payload


def expired(late_by_s: float) -> Unauthenticated:
    """The refusal of a token that was good once. Clients sign in anew on a 401 (CCKM contract §2.4)."""
    return Unauthenticated("TokenExpired", message=f"Bearer token malformed: Token is expired by {int(late_by_s)}s")


def malformed(why: str) -> Unauthenticated:
    """The refusal of a token that never was good."""
    return Unauthenticated("TokenMalformed", message=f"Bearer token malformed: {why}")
