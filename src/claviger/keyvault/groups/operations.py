"""What is done with resource groups: made, tagged, listed, and removed together with the vaults in them.

A group that a command of ours made for a vault is one like any other. Removing a group deletes its vaults as if each
had been deleted by itself: they can be recovered once there is a group of that name again.
"""

from __future__ import annotations

import msgspec

from claviger.audit.trail import answering, telling
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, NotFound
from claviger.keyvault.directory.records import bump_revision
from claviger.keyvault.groups import records
from claviger.keyvault.groups.records import Group
from claviger.keyvault.vaults import deletion
from claviger.keyvault.vaults import records as vaults
from claviger.keyvault.vaults.rules import check_location, check_resource_group, group_scope
from claviger.store.contract import Store, Tx


async def put_group(store: Store, clock: Clock, asked: Group) -> tuple[Group, bool]:
    """Makes a group, or gives it these tags; the group, and whether it is new.

    Raises Invalid("ResourceGroup" | "Location"), Conflict("GroupElsewhere") for another location than it has.
    """
    draft = Group(
        asked.subscription_id,
        check_resource_group(asked.name),
        check_location(asked.location),
        asked.tags,
        int(clock.now()),
    )

    def change(tx: Tx) -> tuple[Group, bool]:
        found = records.find_group(tx, draft.subscription_id, draft.name)
        answering(201 if found is None else 200)
        if found is None:
            records.add_group(tx, draft)
            bump_revision(tx)
            return draft, True
        if found.location != draft.location:
            raise Conflict("GroupElsewhere", group=found.name, location=found.location, asked=draft.location)
        kept = msgspec.structs.replace(found, tags=draft.tags)
        records.set_tags(tx, kept)
        bump_revision(tx)
        return kept, False

    return await store.write(change)


async def tag_group(store: Store, subscription_id: str, name: str, tags: str | None) -> Group:
    """Gives a group these tags. Raises NotFound("GroupNotFound")."""

    def change(tx: Tx) -> Group:
        kept = msgspec.structs.replace(group_named(tx, subscription_id, name), tags=tags)
        records.set_tags(tx, kept)
        bump_revision(tx)
        return kept

    return await store.write(change)


async def remove_group(store: Store, clock: Clock, subscription_id: str, name: str) -> Group:
    """Removes a group and deletes its vaults, all in one change. Raises NotFound("GroupNotFound")."""
    now = clock.now()

    def change(tx: Tx) -> Group:
        group = group_named(tx, subscription_id, name)
        inside = list(vaults.vaults_of_group(tx, subscription_id, name))
        telling(deleted_vaults=[vault.name for vault in inside])
        for vault in inside:
            deletion.delete_vault(tx, vault, now)
        records.remove_group(tx, group)
        vaults.forget_scope(tx, group_scope(subscription_id, group.name).lower())
        bump_revision(tx)
        return group

    return await store.write(change)


def group_named(tx: Tx, subscription_id: str, name: str) -> Group:
    """The group of this name. Raises NotFound("GroupNotFound")."""
    found = records.find_group(tx, subscription_id, name)
    if found is None:
        raise NotFound("GroupNotFound", group=name[:90])
    return found
