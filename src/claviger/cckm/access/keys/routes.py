"""The keys that sign tokens over HTTP: /v1/auth/jwks.json, auth-key, rotate-auth-key (CCKM contract §2.1)."""

from __future__ import annotations

from claviger.cckm.access.keys.wire import KeySet, SigningKeyShown
from claviger.cckm.access.signing import SigningKey, SigningKeys
from claviger.cckm.access.tokens import ALGORITHM, LIFETIME_S
from claviger.cckm.calls import PUBLIC, ROOT_DOMAIN, Answer, Call, ListOf, Route, members
from claviger.cckm.listing import PAGING, page_of
from claviger.cckm.resource import header, timestamp
from claviger.core.errors import Forbidden

TAG = "Signing keys"


class KeyRoutes:
    """The routes of signing keys."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path="/auth/jwks.json",
                handler=self._published,
                permission=PUBLIC,
                tag=TAG,
                summary="Read the public keys that tokens are signed with",
                gives=KeySet,
            ),
            Route(
                method="GET",
                path="/auth/auth-key",
                handler=self._list,
                permission=members(),
                tag=TAG,
                summary="List signing keys",
                gives=ListOf[SigningKeyShown],
                query=PAGING,
            ),
            Route(
                method="POST",
                path="/auth/rotate-auth-key",
                handler=self._rotate,
                permission=members(),
                tag=TAG,
                summary="Rotate the signing key",
                description=(
                    "For admins of the root domain: the key is that of all domains. Tokens that the old one has signed "
                    "stay good until they expire."
                ),
                gives=SigningKeyShown,
            ),
        ]

    async def _published(self, call: Call) -> Answer:
        await self._keys.signer()  # so that there is one to show
        return Answer(KeySet(self._keys.published()))

    async def _list(self, call: Call) -> Answer:
        return Answer(
            page_of(
                self._keys.known(),
                call.query,
                filters={"state": lambda key: key.row.state, "id": lambda key: key.row.kid},
                sorts={
                    "createdAt": lambda key: key.row.created_at,
                    "updatedAt": lambda key: key.changed_at,
                },
                default_sort="-createdAt",
                shown=_shown,
            )
        )

    async def _rotate(self, call: Call) -> Answer:
        if call.caller.domain_id != ROOT_DOMAIN:
            raise Forbidden("RootAdminOnly", message="this is for members of admin of the root domain, signed in there")
        return Answer(_shown(await self._keys.rotate(LIFETIME_S)))


def _shown(key: SigningKey) -> SigningKeyShown:
    row = key.row
    return SigningKeyShown(
        **header("auth", "auth-keys", row.kid, "", ROOT_DOMAIN, row.created_at, key.changed_at),
        algorithm=ALGORITHM,
        state=row.state,
        expires_at=None if row.lapses_at is None else timestamp(row.lapses_at),
    )
