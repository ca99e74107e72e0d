"""Groups over HTTP: /v1/usermgmt/groups and /v1/client-management/groups (CCKM contract §6)."""

from __future__ import annotations

from urllib.parse import quote

from msgspec import UNSET

from claviger.cckm.access.groups.operations import Groups
from claviger.cckm.access.groups.records import CountedGroup
from claviger.cckm.access.groups.rules import USER_ADMINS
from claviger.cckm.access.groups.wire import GroupChange, GroupShown, NewGroup
from claviger.cckm.access.users.rules import plain_user_id
from claviger.cckm.calls import CCKM_ADMINS, Answer, Call, ListOf, Parameter, Route, members
from claviger.cckm.listing import PAGING, page_of
from claviger.cckm.resource import header, timestamp, uri

TAG = "Groups"
PATH = "/usermgmt/groups"
MAY_READ = members(USER_ADMINS, CCKM_ADMINS)
MAY_CHANGE = members(USER_ADMINS)
_QUERY = (
    *PAGING,
    Parameter("name", description="A group's name; * stands for anything.", repeated=True),
    Parameter("users", description="Only groups that this user is in.", repeated=True),
    Parameter("clients", description="Only groups that this client is in.", repeated=True),
)


class GroupRoutes:
    """The routes of groups."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._of_groups(), *self._of_members()]

    def _of_groups(self) -> list[Route]:
        one = f"{PATH}/{{name}}"
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self._list,
                permission=MAY_READ,
                tag=TAG,
                summary="List groups",
                gives=ListOf[GroupShown],
                query=_QUERY,
            ),
            Route(
                method="POST",
                path=PATH,
                handler=self._create,
                permission=MAY_CHANGE,
                tag=TAG,
                summary="Create a group",
                takes=NewGroup,
                gives=GroupShown,
                status=201,
                errors=(409,),
            ),
            Route(
                method="GET",
                path=one,
                handler=self._get,
                permission=MAY_READ,
                tag=TAG,
                summary="Read a group",
                gives=GroupShown,
            ),
            Route(
                method="PATCH",
                path=one,
                handler=self._update,
                permission=MAY_CHANGE,
                tag=TAG,
                summary="Change a group",
                description="Under a new name it keeps its members and its entries in ACLs. System groups keep theirs.",
                takes=GroupChange,
                gives=GroupShown,
                errors=(409,),
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self._delete,
                permission=MAY_CHANGE,
                tag=TAG,
                summary="Delete a group",
                description="With its memberships and its entries in ACLs. System groups cannot be deleted.",
                status=204,
                errors=(409,),
            ),
        ]

    def _of_members(self) -> list[Route]:
        user = f"{PATH}/{{name}}/users/{{user_id}}"
        client = "/client-management/groups/{name}/clients/{client_id}"
        return [
            Route(
                method="POST",
                path=user,
                handler=self._add_user,
                permission=MAY_CHANGE,
                tag=TAG,
                summary="Add a user to a group",
                description=(
                    "A user of the domain, or of the root domain, whom this lets into the domain. Who is in `admin` is "
                    "for its members to say."
                ),
                gives=GroupShown,
            ),
            Route(
                method="DELETE",
                path=user,
                handler=self._remove_user,
                permission=MAY_CHANGE,
                tag=TAG,
                summary="Remove a user from a group",
                description="The last admin of a domain stays one.",
                status=204,
                errors=(409,),
            ),
            Route(
                method="POST",
                path=client,
                handler=self._add_client,
                permission=MAY_CHANGE,
                tag=TAG,
                summary="Add a client to a group",
                description="The client is then in this group beside those of its user.",
                gives=GroupShown,
            ),
            Route(
                method="DELETE",
                path=client,
                handler=self._remove_client,
                permission=MAY_CHANGE,
                tag=TAG,
                summary="Remove a client from a group",
                status=204,
            ),
        ]

    async def _list(self, call: Call) -> Answer:
        user_ids = [plain_user_id(text) or "" for text in call.query.all("users")]
        found = await self._groups.all_of(call.caller, user_ids, call.query.all("clients"))
        return Answer(
            page_of(
                found,
                call.query,
                filters={"name": lambda each: each.group.name, "id": lambda each: each.group.name},
                sorts={
                    "name": lambda each: each.group.name.lower(),
                    "created_at": lambda each: each.group.created_at,
                    "createdAt": lambda each: each.group.created_at,
                    "updated_at": lambda each: each.group.updated_at,
                    "updatedAt": lambda each: each.group.updated_at,
                    "users_count": lambda each: each.users_count,
                },
                default_sort="name",
                shown=_shown,
            )
        )

    async def _create(self, call: Call) -> Answer:
        return Answer(_shown(await self._groups.create(call.caller, call.body(NewGroup))), 201)

    async def _get(self, call: Call) -> Answer:
        return Answer(_shown(await self._groups.get(call.caller, call.params["name"])))

    async def _update(self, call: Call) -> Answer:
        return Answer(_shown(await self._groups.update(call.caller, call.params["name"], call.body(GroupChange))))

    async def _delete(self, call: Call) -> Answer:
        await self._groups.delete(call.caller, call.params["name"])
        return Answer(status=204)

    async def _add_user(self, call: Call) -> Answer:
        return Answer(_shown(await self._groups.add_user(call.caller, call.params["name"], _user_id(call))))

    async def _remove_user(self, call: Call) -> Answer:
        await self._groups.remove_user(call.caller, call.params["name"], _user_id(call))
        return Answer(status=204)

    async def _add_client(self, call: Call) -> Answer:
        params = call.params
        return Answer(_shown(await self._groups.add_client(call.caller, params["name"], params["client_id"])))

    async def _remove_client(self, call: Call) -> Answer:
        await self._groups.remove_client(call.caller, call.params["name"], call.params["client_id"])
        return Answer(status=204)


def _user_id(call: Call) -> str:
    return plain_user_id(call.params["user_id"]) or ""


def _shown(each: CountedGroup) -> GroupShown:
    group, details = each.group, each.group.details
    head = header("usermgmt", "groups", group.name, "", group.domain_id, group.created_at, group.updated_at)
    return GroupShown(
        **(head | {"uri": uri("usermgmt", "groups", quote(group.name, safe=""), "")}),
        name=group.name,
        description=details.description,
        created=timestamp(group.created_at),
        updated=timestamp(group.updated_at),
        users_count=each.users_count,
        app_metadata=details.app_metadata or UNSET,
        user_metadata=details.user_metadata or UNSET,
        client_metadata=details.client_metadata or UNSET,
    )
