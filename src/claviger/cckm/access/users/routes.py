"""Users over HTTP: /v1/usermgmt/users (CCKM contract §6)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from claviger.cckm.access.groups.rules import USER_ADMINS
from claviger.cckm.access.users.operations import Users
from claviger.cckm.access.users.records import SEARCHED, SORTED, Search, User
from claviger.cckm.access.users.rules import plain_user_id, shown_user_id
from claviger.cckm.access.users.wire import LoginFlags, NewUser, UserChange, UserShown
from claviger.cckm.calls import CCKM_ADMINS, ROOT_DOMAIN, Answer, Call, ListOf, Parameter, Route, members
from claviger.cckm.listing import PAGING, Page, sort_of, window_of
from claviger.cckm.resource import header, timestamp
from claviger.core.clock import Clock
from claviger.core.errors import NotFound

TAG = "Users"
PATH = "/usermgmt/users"
MAY_READ = members(USER_ADMINS, CCKM_ADMINS)
MAY_CHANGE = members(USER_ADMINS)
_QUERY = (
    *PAGING,
    Parameter("username", description="A username; * stands for anything.", repeated=True),
    Parameter("name", description="A full name; * stands for anything.", repeated=True),
    Parameter("email", description="An e-mail address; * stands for anything.", repeated=True),
    Parameter("user_id", description="The id of a user.", repeated=True),
    Parameter("groups", description="Only users in one of these groups. Also `group`.", repeated=True),
    Parameter("exclude_groups", description="Only users in none of these groups.", repeated=True),
    Parameter("password_change_required", "boolean", "Only users who must change their password, or need not."),
    Parameter("return_groups", "boolean", "Show the groups of each user."),
)


class UserRoutes:
    """The routes of users. `clock` is the one that lock-outs go by."""

    def __init__(self, users: Users, clock: Clock) -> None:
        self._users = users
        self._clock = clock

    def routes(self) -> list[Route]:
        """All of them."""
        return [*self._collection(), *self._of_one()]

    def _collection(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self._list,
                permission=MAY_READ,
                tag=TAG,
                summary="List users",
                description="Users who live in the domain, and the root domain's who are in a group of it.",
                gives=ListOf[UserShown],
                query=_QUERY,
            ),
            Route(
                method="POST",
                path=PATH,
                handler=self._create,
                permission=MAY_CHANGE,
                tag=TAG,
                summary="Create a user",
                takes=NewUser,
                gives=UserShown,
                status=201,
                errors=(429,),
                example={"username": "alice", "password": "$PASSWORD", "password_change_required": True},
            ),
        ]

    def _of_one(self) -> list[Route]:
        one = f"{PATH}/{{user_id}}"
        return [
            Route(
                method="GET",
                path=one,
                handler=self._get,
                permission=MAY_READ,
                tag=TAG,
                summary="Read a user",
                description="`user_id` is `local|<uuid>` or the plain uuid, here and everywhere.",
                gives=UserShown,
            ),
            Route(
                method="PATCH",
                path=one,
                handler=self._update,
                permission=MAY_CHANGE,
                tag=TAG,
                summary="Change a user",
                description=(
                    "What is left out stays; metadata are merged, and a key sent as null is removed. A new password "
                    "ends the user's sessions. An admin can be changed by members of `admin` alone."
                ),
                takes=UserChange,
                gives=UserShown,
                errors=(429,),
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self._delete,
                permission=MAY_CHANGE,
                tag=TAG,
                summary="Delete a user",
                description="With his memberships, sessions, clients and entries in ACLs. Nobody deletes himself.",
                status=204,
            ),
        ]

    async def _list(self, call: Call) -> Answer:
        window = window_of(call.query)
        order = sort_of(call.query, SORTED, "username")
        search = _search(call)
        total = await self._users.count(call.caller, search)
        found: Sequence[User] = ()
        count = window.count_of(total)
        if count:
            found = await self._users.listed(call.caller, search, order, window.skip, count)
        groups = await self._users.groups_of(call.caller, found) if call.query.boolean("return_groups") else {}
        now = self._clock.now()
        return Answer(Page(window.skip, window.limit, total, [shown(user, now, groups.get(user.id)) for user in found]))

    async def _create(self, call: Call) -> Answer:
        return Answer(shown(await self._users.create(call.caller, call.body(NewUser)), 0.0, []), 201)

    async def _get(self, call: Call) -> Answer:
        return Answer(await self._shown(call, await self._users.get(call.caller, _user_id(call))))

    async def _update(self, call: Call) -> Answer:
        user = await self._users.update(call.caller, _user_id(call), call.body(UserChange))
        return Answer(await self._shown(call, user))

    async def _delete(self, call: Call) -> Answer:
        await self._users.delete(call.caller, _user_id(call))
        return Answer(status=204)

    async def _shown(self, call: Call, user: User) -> UserShown:
        groups = await self._users.groups_of(call.caller, [user])
        return shown(user, self._clock.now(), groups[user.id])


def shown(user: User, now: float, groups: list[str] | None = None) -> UserShown:
    """A user as he is shown; `now` decides whether he is still locked out."""
    details = user.details
    return UserShown(
        **header("usermgmt", "users", user.id, user.username, user.domain_id, user.created_at, user.updated_at),
        user_id=shown_user_id(user.id),
        username=user.username,
        name=user.name,
        email=user.email,
        nickname=details.nickname,
        created=timestamp(user.created_at),
        updated=timestamp(user.updated_at),
        last_login=None if user.last_login is None else timestamp(user.last_login),
        failed_logins_count=user.failed_count,
        account_lockout_at=timestamp(user.locked_until) if now < user.locked_until else None,
        password_changed_at=timestamp(user.password_changed_at),
        password_change_required=user.password_change_required,
        is_domain_user=user.domain_id != ROOT_DOMAIN,
        auth_domain=user.domain_id,
        login_flags=LoginFlags(details.prevent_ui_login),
        app_metadata=details.app_metadata or UNSET,
        user_metadata=details.user_metadata or UNSET,
        groups=UNSET if groups is None else groups,
    )


def _user_id(call: Call) -> str:
    user_id = plain_user_id(call.params["user_id"])
    if user_id is None:
        raise NotFound("NotFound", message="there is no such user in this domain")
    return user_id


def _search(call: Call) -> Search:
    query = call.query
    return Search(
        patterns={name: query.all(name) for name in SEARCHED if query.all(name)},
        ids=[plain_user_id(text) or "" for text in query.all("user_id")],
        groups=[*query.all("groups"), *query.all("group")],
        not_groups=query.all("exclude_groups"),
        must_change=query.boolean("password_change_required"),
    )
