"""Clients over HTTP: /v1/auth/clients, an addition of this server's to sign programs in (CCKM contract §2.2)."""

from __future__ import annotations

from msgspec import UNSET

from claviger.cckm.access.clients.operations import Clients
from claviger.cckm.access.clients.records import Client
from claviger.cckm.access.clients.wire import ClientShown, NewClient
from claviger.cckm.access.users.rules import shown_user_id
from claviger.cckm.calls import SIGNED_IN, Answer, Call, ListOf, Parameter, Route
from claviger.cckm.listing import PAGING, page_of
from claviger.cckm.resource import header
from claviger.core.sensitive import Sensitive

TAG = "Clients"
PATH = "/auth/clients"


class ClientRoutes:
    """The routes of clients."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def routes(self) -> list[Route]:
        """All of them."""
        one = f"{PATH}/{{id}}"
        return [
            Route(
                method="POST",
                path=PATH,
                handler=self._create,
                permission=SIGNED_IN,
                tag=TAG,
                summary="Create a client",
                description=(
                    "A credential for a program that acts as the caller in this domain: `POST /api/v1/auth/tokens` "
                    "with `grant_type` `client_credential`, `client_id` and `client_secret`. The secret is shown once."
                ),
                takes=NewClient,
                gives=ClientShown,
                status=201,
                errors=(409,),
            ),
            Route(
                method="GET",
                path=PATH,
                handler=self._list,
                permission=SIGNED_IN,
                tag=TAG,
                summary="List one's clients",
                gives=ListOf[ClientShown],
                query=(*PAGING, Parameter("name", description="A name; * stands for anything.", repeated=True)),
            ),
            Route(
                method="GET",
                path=one,
                handler=self._get,
                permission=SIGNED_IN,
                tag=TAG,
                summary="Read a client",
                description="One's own; members of `admin` see all of the domain.",
                gives=ClientShown,
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self._delete,
                permission=SIGNED_IN,
                tag=TAG,
                summary="Delete a client",
                description="Its tokens end with it.",
                status=204,
            ),
        ]

    async def _create(self, call: Call) -> Answer:
        client, secret = await self._clients.create(call.caller, call.body(NewClient).name)
        return Answer(_shown(client, secret), 201)

    async def _list(self, call: Call) -> Answer:
        return Answer(
            page_of(
                await self._clients.own(call.caller),
                call.query,
                filters={"name": lambda client: client.details.name, "id": lambda client: client.id},
                sorts={
                    "name": lambda client: client.details.name.lower(),
                    "createdAt": lambda client: client.created_at,
                    "updatedAt": lambda client: client.created_at,
                },
                default_sort="createdAt",
                shown=_shown,
            )
        )

    async def _get(self, call: Call) -> Answer:
        return Answer(_shown(await self._clients.get(call.caller, call.params["id"])))

    async def _delete(self, call: Call) -> Answer:
        await self._clients.delete(call.caller, call.params["id"])
        return Answer(status=204)


def _shown(client: Client, secret: Sensitive | None = None) -> ClientShown:
    name = client.details.name
    return ClientShown(
        **header("auth", "clients", client.id, name, client.domain_id, client.created_at, client.created_at),
        client_id=client.id,
        name=name,
        user_id=shown_user_id(client.user_id),
        domain_id=client.domain_id,
        client_secret=UNSET if secret is None else secret.reveal_text(),
    )
