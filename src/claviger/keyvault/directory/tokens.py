"""Access tokens as Entra ID gives them to programs for Key Vault: what stands in one, and how one is signed.

They are version 1 tokens, whatever endpoint they were asked from, because that is what the real service gives out for
this resource; the issuer names the tenant, not the host, so tokens outlive a change of port (Key Vault contract §7.3).
"""

from __future__ import annotations

import msgspec
from jwt.api_jws import PyJWS

from claviger.core.clock import Clock
from claviger.core.ids import new_token
from claviger.core.sensitive import Sensitive
from claviger.keyvault.directory.records import Application
from claviger.keyvault.directory.signing import SigningKeys

DEFAULT_LIFETIME_S = 3600
ALGORITHM = "RS256"


class Claims(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What a token says. Read back strictly: a claim of the wrong type makes the token invalid."""

    aud: str
    iss: str
    iat: int = -1
    nbf: int = -1
    exp: int
    appid: str = ""
    appidacr: str = ""
    azp: str = ""
    idp: str = ""
    idtyp: str = ""
    oid: str = ""
    sub: str = ""
    tid: str
    uti: str = ""
    ver: str = ""
    groups: list[str] = []
    xms_cc: list[str] = []


class Issued(msgspec.Struct, frozen=True):
    """A token just made, with its times in epoch seconds."""

    token: Sensitive
    issued_at: int
    expires_at: int
    audience: str
    application: Application


def issuer_of(tenant_id: str) -> str:
    """The issuer of version 1 tokens of a tenant."""
    return f"https://sts.windows.net/{tenant_id}/"


class TokenMaker:
    """Signs tokens for applications whose right to one has been established before."""

    def __init__(self, keys: SigningKeys, clock: Clock, lifetime_s: int = DEFAULT_LIFETIME_S) -> None:
        self._keys = keys
        self._clock = clock
        self._jws = PyJWS(algorithms=[ALGORITHM])
        self._encode = msgspec.json.Encoder().encode
        self.lifetime_s = lifetime_s

    async def issue(
        self,
        application: Application,
        audience: str,
        *,
        continuous_access: bool = False,
        by_certificate: bool = False,
    ) -> Issued:
        """A token for `audience`, good for `lifetime_s` from now.

        `continuous_access` is what the client asked for, `by_certificate` how it has proved itself.
        """
        signer = await self._keys.signer()
        now = int(self._clock.now())
        claims = Claims(
            aud=audience,
            iss=issuer_of(application.tenant_id),
            iat=now,
            nbf=now,
            exp=now + self.lifetime_s,
            appid=application.app_id,
            appidacr="2" if by_certificate or application.kind != "application" else "1",
            azp=application.app_id,
            idp=issuer_of(application.tenant_id),
            idtyp="app",
            oid=application.object_id,
            sub=application.object_id,
            tid=application.tenant_id,
            uti=new_token(16),
            ver="1.0",
            xms_cc=["CP1"] if continuous_access else [],
        )
        signed = self._jws.encode(
            self._encode(claims),
            signer.private,
            algorithm=ALGORITHM,
            headers={"typ": "JWT", "kid": signer.kid},
        )
        return Issued(Sensitive(signed), now, claims.exp, audience, application)
