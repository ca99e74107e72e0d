"""What the routes of containers do with their ACLs: change them, show them, remove them with the container."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from claviger.cckm import records as shared
from claviger.cckm.access.acls import records, rules
from claviger.cckm.access.acls.wire import AclEntry, AclShown
from claviger.cckm.access.groups import records as groups
from claviger.cckm.access.users import records as users
from claviger.cckm.access.users.rules import plain_user_id, shown_user_id
from claviger.cckm.errors import validation
from claviger.store.contract import Store, Tx


def change_acls(tx: Tx, domain_id: str, container_id: str, entries: Sequence[AclEntry], known: Collection[str]) -> None:
    """Applies entries one after the other to the ACL of a container, which the caller has found in this domain.

    `known` are the actions that there are. An entry that is left without an action disappears (CCKM contract §8).
    Raises Invalid("Validation") for an entry that is wrong or grants to a user or group that the domain does not have.
    """
    rules.check(entries, known)
    for at, entry in enumerate(entries):
        if entry.permit:
            _must_exist(tx, domain_id, at, entry)
        grantee = rules.grantee_of(entry)
        present = records.actions_of(tx, container_id, grantee)
        after = rules.changed(present, entry)
        if after != present:
            records.put_actions(tx, domain_id, container_id, grantee, after)
    shared.bump_access_revision(tx)


async def shown_acls(store: Store, container_id: str) -> list[AclShown]:
    """The ACL of a container as its record shows it: groups first, then users, each by name or id."""
    return [_shown(grantee, actions) for grantee, actions in await records.of_container(store, container_id)]


async def shown_acls_by_container(store: Store, domain_id: str) -> dict[str, list[AclShown]]:
    """The ACLs of all containers of a domain that have one, by the container's id, for lists."""
    found: dict[str, list[AclShown]] = {}
    for container_id, grantee, actions in await records.of_domain(store, domain_id):
        found.setdefault(container_id, []).append(_shown(grantee, actions))
    return found


def remove_acls(tx: Tx, container_id: str) -> None:
    """Removes the whole ACL, with the container itself."""
    if records.remove_container(tx, container_id):
        shared.bump_access_revision(tx)


def _must_exist(tx: Tx, domain_id: str, at: int, entry: AclEntry) -> None:
    if entry.group:
        if groups.find_in(tx, domain_id, entry.group) is None:
            raise validation({f"acls[{at}].group": "there is no such group in this domain"})
    elif users.reachable_in(tx, domain_id, plain_user_id(entry.user_id or "") or "") is None:
        raise validation({f"acls[{at}].user_id": "there is no such user in this domain"})


def _shown(grantee: str, actions: str) -> AclShown:
    if grantee.startswith(rules.GROUP):
        return AclShown(group=grantee.removeprefix(rules.GROUP), actions=actions.split())
    return AclShown(user_id=shown_user_id(grantee.removeprefix(rules.USER)), actions=actions.split())
