"""The caller himself over HTTP: /v1/auth/self/... (CCKM contract §2.1).

The contract does not show the bodies of self/permissions; theirs is our own: `actions` of container ACLs are asked
for, and each comes back with whether it is allowed.
"""

from __future__ import annotations

from claviger.cckm.access.domains import records as domains
from claviger.cckm.access.own.wire import DomainBrief, PermissionQuery, PermissionShown, PermissionsShown
from claviger.cckm.access.snapshot import Access
from claviger.cckm.access.users.operations import Users
from claviger.cckm.access.users.records import User
from claviger.cckm.access.users.routes import shown
from claviger.cckm.access.users.wire import UserChange, UserShown
from claviger.cckm.calls import ADMINS, CCKM_ADMINS, OWN_PASSWORD, SIGNED_IN, Answer, Call, ListOf, Parameter, Route
from claviger.cckm.errors import validation
from claviger.cckm.listing import PAGING, page_of
from claviger.core.clock import Clock
from claviger.store.contract import Store

TAG = "Self"
MOST_ACTIONS = 200


class OwnRoutes:
    """The routes of the caller himself. `clock` is the machine's."""

    def __init__(self, store: Store, users: Users, access: Access, clock: Clock) -> None:
        self._store = store
        self._users = users
        self._access = access
        self._clock = clock

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path="/auth/self/user",
                handler=self._get,
                permission=OWN_PASSWORD,
                tag=TAG,
                summary="Read the caller",
                gives=UserShown,
            ),
            Route(
                method="PATCH",
                path="/auth/self/user",
                handler=self._update,
                permission=SIGNED_IN,
                tag=TAG,
                summary="Change the caller",
                description="Name, nickname, e-mail address and user_metadata; all else is for administrators.",
                takes=UserChange,
                gives=UserShown,
            ),
            Route(
                method="GET",
                path="/auth/self/domains",
                handler=self._domains,
                permission=OWN_PASSWORD,
                tag=TAG,
                summary="List the domains that the caller may enter",
                gives=ListOf[DomainBrief],
                query=(*PAGING, Parameter("name", description="A name; * stands for anything.", repeated=True)),
            ),
            Route(
                method="POST",
                path="/auth/self/permissions",
                asks=True,
                handler=self._permissions,
                permission=SIGNED_IN,
                tag=TAG,
                summary="Ask what the caller may do",
                description=(
                    "For each of `actions` (names of container ACLs): may the caller do it in the container "
                    "`container_id`, or without one, in any container of the domain?"
                ),
                takes=PermissionQuery,
                gives=PermissionsShown,
                example={"actions": ["secretview", "secretcreate"]},
            ),
        ]

    async def _get(self, call: Call) -> Answer:
        return Answer(await self._shown(call, await self._users.own(call.caller)))

    async def _update(self, call: Call) -> Answer:
        return Answer(await self._shown(call, await self._users.update_self(call.caller, call.body(UserChange))))

    async def _domains(self, call: Call) -> Answer:
        return Answer(
            page_of(
                await domains.open_to(self._store, call.caller.user_id),
                call.query,
                filters={"name": lambda domain: domain.name, "id": lambda domain: domain.id},
                sorts={
                    "name": lambda domain: domain.name.lower(),
                    "createdAt": lambda domain: domain.created_at,
                    "updatedAt": lambda domain: domain.updated_at,
                },
                default_sort="createdAt",
                shown=lambda domain: DomainBrief(domain.id, domain.name),
            )
        )

    async def _permissions(self, call: Call) -> Answer:
        asked, caller = call.body(PermissionQuery), call.caller
        if len(asked.actions) > MOST_ACTIONS:
            raise validation({"actions": f"may name at most {MOST_ACTIONS}"})
        may_all = caller.is_in(ADMINS, CCKM_ADMINS)
        rights = await self._access.rights_of(caller)

        def allows(action: str) -> bool:
            if may_all:
                return True
            if asked.container_id is not None:
                return rights.allows(caller, asked.container_id, action)
            return bool(rights.containers(caller, action))

        found = [PermissionShown(action, allows(action)) for action in asked.actions]
        return Answer(PermissionsShown(permissions=found, groups=sorted(caller.groups)))

    async def _shown(self, call: Call, user: User) -> UserShown:
        groups = await self._users.groups_of(call.caller, [user])
        return shown(user, self._clock.now(), groups[user.id])
