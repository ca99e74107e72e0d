"""What is done with groups: made, changed, deleted, and users and clients put into them and taken out.

The group `admin` is for its own members to fill: a User Admin could make himself an admin otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from claviger.audit.trail import about, telling
from claviger.cckm import records as shared
from claviger.cckm.access.acls import records as acls
from claviger.cckm.access.acls.rules import group_grantee
from claviger.cckm.access.clients import records as clients
from claviger.cckm.access.groups import records
from claviger.cckm.access.groups.records import CountedGroup, Group, GroupDetails
from claviger.cckm.access.groups.rules import SYSTEM_GROUPS, name_problem
from claviger.cckm.access.groups.wire import GroupChange, NewGroup
from claviger.cckm.access.metadata import merged
from claviger.cckm.access.users import records as users
from claviger.cckm.calls import ADMINS, Caller
from claviger.cckm.errors import validation
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Forbidden, NotFound
from claviger.store.contract import Store, Tx

GROUP = "group"
LONGEST_DESCRIPTION = 1_024


class Groups:
    """The groups of a caller's domain."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def all_of(self, caller: Caller, user_ids: Sequence[str], client_ids: Sequence[str]) -> list[CountedGroup]:
        """The groups of the domain: with one of these users, and one of these clients, where any are named."""
        found = await records.of_domain(self._store, caller.domain_id)
        if user_ids:
            with_user = await records.with_user(self._store, caller.domain_id, user_ids)
            found = [each for each in found if each.group.name in with_user]
        if client_ids:
            with_client = await records.with_client(self._store, caller.domain_id, client_ids)
            found = [each for each in found if each.group.name in with_client]
        return found

    async def get(self, caller: Caller, name: str) -> CountedGroup:
        """A group by its name. Raises NotFound."""
        found = await records.counted(self._store, caller.domain_id, name)
        if found is None:
            raise _no_such_group()
        return found

    async def create(self, caller: Caller, new: NewGroup) -> CountedGroup:
        """A new group. Raises Invalid and Conflict("GroupNameInUse")."""
        _check(new.name, new.description)
        now = self._clock.now()
        details = GroupDetails(
            description=new.description,
            app_metadata=merged("app_metadata", {}, _without_mark(new.app_metadata)),
            user_metadata=merged("user_metadata", {}, new.user_metadata),
            client_metadata=merged("client_metadata", {}, new.client_metadata),
        )
        group = Group(caller.domain_id, new.name, details, now, now)

        def change(tx: Tx) -> None:
            if records.find_in(tx, caller.domain_id, new.name) is not None:
                raise _name_in_use()
            about(GROUP, group.name, group.name)
            records.add(tx, group)
            shared.bump_access_revision(tx)

        await self._store.write(change)
        return CountedGroup(group, 0)

    async def update(self, caller: Caller, name: str, asked: GroupChange) -> CountedGroup:
        """Changes a group. Under a new name it keeps its members and its entries in ACLs.

        Raises Invalid, NotFound, Conflict("GroupNameInUse"), and Conflict("SystemGroup") for a new name of one.
        """
        _check(
            name if asked.name is None else asked.name, asked.description or "", is_new=asked.name not in (None, name)
        )
        now = self._clock.now()

        def change(tx: Tx) -> str:
            group = records.find_in(tx, caller.domain_id, name)
            if group is None:
                raise _no_such_group()
            after = changed(group, asked, now)
            about(GROUP, name, after.name)
            if after.name != name:
                if name in SYSTEM_GROUPS:
                    raise Conflict("SystemGroup", message="a system group keeps its name")
                if records.find_in(tx, caller.domain_id, after.name) is not None:
                    raise _name_in_use()
                acls.rename_grantee(tx, caller.domain_id, group_grantee(name), group_grantee(after.name))
            records.replace(tx, name, after)
            shared.bump_access_revision(tx)
            return after.name

        return await self.get(caller, await self._store.write(change))

    async def delete(self, caller: Caller, name: str) -> None:
        """Deletes a group with its memberships and its entries in ACLs. Raises NotFound and Conflict("SystemGroup")."""

        def change(tx: Tx) -> None:
            if records.find_in(tx, caller.domain_id, name) is None:
                raise _no_such_group()
            about(GROUP, name, name)
            if name in SYSTEM_GROUPS:
                raise Conflict("SystemGroup", message="a system group cannot be deleted")
            acls.remove_grantee(tx, group_grantee(name), caller.domain_id)
            records.remove(tx, caller.domain_id, name)
            shared.bump_access_revision(tx)

        await self._store.write(change)

    async def add_user(self, caller: Caller, name: str, user_id: str) -> CountedGroup:
        """Puts a user of this domain, or of the root domain, into a group. Raises NotFound and Forbidden."""

        def change(tx: Tx) -> None:
            _may_fill(tx, caller, name)
            if users.reachable_in(tx, caller.domain_id, user_id) is None:
                raise NotFound("NotFound", message="there is no such user in this domain")
            telling(member=user_id)
            records.add_member(tx, caller.domain_id, name, user_id)
            shared.bump_access_revision(tx)

        await self._store.write(change)
        return await self.get(caller, name)

    async def remove_user(self, caller: Caller, name: str, user_id: str) -> None:
        """Takes a user out of a group. Raises NotFound, Forbidden, and Conflict for the domain's last admin."""

        def change(tx: Tx) -> None:
            _may_fill(tx, caller, name)
            if name == ADMINS and caller.domain_id in records.domains_led_alone(tx, user_id):
                raise Conflict("LastAdmin", message="the last admin of a domain stays one")
            telling(member=user_id)
            if not records.remove_member(tx, caller.domain_id, name, user_id):
                raise NotFound("NotFound", message="there is no such user in this group")
            shared.bump_access_revision(tx)

        await self._store.write(change)

    async def add_client(self, caller: Caller, name: str, client_id: str) -> CountedGroup:
        """Puts a client of this domain into a group, beside those of its user. Raises NotFound and Forbidden."""

        def change(tx: Tx) -> None:
            _may_fill(tx, caller, name)
            client = clients.get(tx, client_id)
            if client is None or client.domain_id != caller.domain_id:
                raise NotFound("NotFound", message="there is no such client in this domain")
            telling(member=client_id)
            records.add_client(tx, caller.domain_id, name, client_id)
            shared.bump_access_revision(tx)

        await self._store.write(change)
        return await self.get(caller, name)

    async def remove_client(self, caller: Caller, name: str, client_id: str) -> None:
        """Takes a client out of a group. Raises NotFound and Forbidden."""

        def change(tx: Tx) -> None:
            _may_fill(tx, caller, name)
            telling(member=client_id)
            if not records.remove_client(tx, caller.domain_id, name, client_id):
                raise NotFound("NotFound", message="there is no such client in this group")
            shared.bump_access_revision(tx)

        await self._store.write(change)


def changed(group: Group, asked: GroupChange, now: float) -> Group:
    """The group after a PATCH."""
    details = group.details
    return msgspec.structs.replace(
        group,
        name=group.name if asked.name is None else asked.name,
        details=GroupDetails(
            description=details.description if asked.description is None else asked.description,
            app_metadata=merged("app_metadata", details.app_metadata, _without_mark(asked.app_metadata or {})),
            user_metadata=merged("user_metadata", details.user_metadata, asked.user_metadata),
            client_metadata=merged("client_metadata", details.client_metadata, asked.client_metadata),
        ),
        updated_at=now,
    )


def _without_mark(metadata: dict[str, object]) -> dict[str, object]:
    """Without the mark of system groups, which is ours to set."""
    return {key: value for key, value in metadata.items() if key != "system"}


def _may_fill(tx: Tx, caller: Caller, name: str) -> None:
    """Raises NotFound, and Forbidden for the group `admin` where the caller is not in it himself."""
    if records.find_in(tx, caller.domain_id, name) is None:
        raise _no_such_group()
    about(GROUP, name, name)
    if name == ADMINS and not caller.is_in(ADMINS):
        raise Forbidden("AdminOnly", message="only members of admin may say who is in it")


def _check(name: str, description: str, *, is_new: bool = True) -> None:
    problems = {}
    wrong = name_problem(name) if is_new else None
    if wrong:
        problems["name"] = wrong
    if len(description) > LONGEST_DESCRIPTION:
        problems["description"] = f"must have at most {LONGEST_DESCRIPTION} characters"
    if problems:
        raise validation(problems)


def _no_such_group() -> NotFound:
    return NotFound("NotFound", message="there is no such group in this domain")


def _name_in_use() -> Conflict:
    return Conflict("GroupNameInUse", message="this name is in use by another group of the domain")
