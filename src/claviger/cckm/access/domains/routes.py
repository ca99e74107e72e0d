"""Domains over HTTP: /v1/domains and /v1/domain (CCKM contract §6)."""

from __future__ import annotations

from msgspec import UNSET

from claviger.cckm.access.domains.operations import Domains
from claviger.cckm.access.domains.records import Domain
from claviger.cckm.access.domains.wire import DomainChange, DomainShown, NewDomain
from claviger.cckm.calls import SIGNED_IN, Answer, Call, ListOf, Parameter, Route, members
from claviger.cckm.listing import PAGING, page_of
from claviger.cckm.resource import header

TAG = "Domains"
PATH = "/domains"
MAY_CHANGE = members()


class DomainRoutes:
    """The routes of domains. Those that change one are for admins of the root domain, which the operations see to."""

    def __init__(self, domains: Domains) -> None:
        self._domains = domains

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._collection(), *self._of_one()]

    def _collection(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/domain",
                handler=self._own,
                permission=SIGNED_IN,
                tag=TAG,
                summary="Read the domain of the token",
                gives=DomainShown,
            ),
            Route(
                method="GET",
                path=PATH,
                handler=self._list,
                permission=SIGNED_IN,
                tag=TAG,
                summary="List domains",
                description="All of them to admins of the root domain; to everybody else the one of the token.",
                gives=ListOf[DomainShown],
                query=(*PAGING, Parameter("name", description="A name; * stands for anything.", repeated=True)),
            ),
            Route(
                method="POST",
                path=PATH,
                handler=self._create,
                permission=MAY_CHANGE,
                tag=TAG,
                summary="Create a domain",
                description=(
                    "For admins of the root domain, signed in there. `admins` (ids or usernames of the root domain, "
                    "else the caller) go into the group `admin` of the new domain. With `allow_user_management` false "
                    "nobody can make, change or delete users who live in it."
                ),
                takes=NewDomain,
                gives=DomainShown,
                status=201,
                errors=(409,),
            ),
        ]

    def _of_one(self) -> list[Route]:
        one = f"{PATH}/{{id}}"
        return [
            Route(
                method="GET",
                path=one,
                handler=self._get,
                permission=SIGNED_IN,
                tag=TAG,
                summary="Read a domain",
                description="By its id or name.",
                gives=DomainShown,
            ),
            Route(
                method="PATCH",
                path=one,
                handler=self._update,
                permission=MAY_CHANGE,
                tag=TAG,
                summary="Change a domain",
                takes=DomainChange,
                gives=DomainShown,
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self._delete,
                permission=MAY_CHANGE,
                tag=TAG,
                summary="Delete a domain",
                description="Only an empty one: without users, connections, subscriptions and vaults.",
                status=204,
                errors=(409,),
            ),
        ]

    async def _own(self, call: Call) -> Answer:
        return Answer(_shown(await self._domains.get(call.caller, call.caller.domain_id)))

    async def _list(self, call: Call) -> Answer:
        return Answer(
            page_of(
                await self._domains.visible(call.caller),
                call.query,
                filters={"name": lambda domain: domain.name, "id": lambda domain: domain.id},
                sorts={
                    "name": lambda domain: domain.name.lower(),
                    "createdAt": lambda domain: domain.created_at,
                    "updatedAt": lambda domain: domain.updated_at,
                },
                default_sort="createdAt",
                shown=_shown,
            )
        )

    async def _create(self, call: Call) -> Answer:
        return Answer(_shown(await self._domains.create(call.caller, call.body(NewDomain))), 201)

    async def _get(self, call: Call) -> Answer:
        return Answer(_shown(await self._domains.get(call.caller, call.params["id"])))

    async def _update(self, call: Call) -> Answer:
        return Answer(_shown(await self._domains.update(call.caller, call.params["id"], call.body(DomainChange))))

    async def _delete(self, call: Call) -> Answer:
        await self._domains.delete(call.caller, call.params["id"])
        return Answer(status=204)


def _shown(domain: Domain) -> DomainShown:
    details = domain.details
    return DomainShown(
        **header("admin", "domains", domain.id, domain.name, domain.id, domain.created_at, domain.updated_at),
        name=domain.name,
        admins=details.admins,
        allow_user_management=details.allow_user_management,
        parent_ca_id=details.parent_ca_id or UNSET,
        hsm_connection_id=details.hsm_connection_id or UNSET,
        hsm_kek_label=details.hsm_kek_label or UNSET,
        meta=details.meta or UNSET,
    )
