"""What is remembered of users, groups and rights, and for how long it holds.

Everything that is kept in memory of who may do what belongs to one `Edition`: it holds while the revision of access in
the database stands still, and is dropped whole when it moves. Nothing is read in advance, so a change costs the next
request of each caller one small read, however many users there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from claviger.cckm import records as shared
from claviger.cckm.access.acls import records as acls
from claviger.cckm.access.acls.rules import group_grantee, user_grantee
from claviger.cckm.access.signing import SigningKeys
from claviger.cckm.calls import Caller
from claviger.store.contract import Store

_NONE: frozenset[str] = frozenset()


class Edition:
    """One revision of access. Compared by identity: what was found under another one has to be found anew."""

    __slots__ = ("revision",)

    def __init__(self, revision: int) -> None:
        self.revision = revision


class ContainerRights:
    """What containers let one caller do: `calls.Rights`, for him alone."""

    __slots__ = ("_by_action",)

    def __init__(self, by_action: Mapping[str, frozenset[str]]) -> None:
        self._by_action = by_action

    def allows(self, caller: Caller, container_id: str, action: str) -> bool:
        """Whether the container's ACL gives the caller this action."""
        return container_id in self._by_action.get(action, _NONE)

    def containers(self, caller: Caller, action: str) -> frozenset[str]:
        """Ids of the containers whose ACL gives the caller this action."""
        return self._by_action.get(action, _NONE)


NO_RIGHTS = ContainerRights({})


class Access:
    """Tells the edition of the moment, and reads what containers let a caller do. Keeps the signing keys as new."""

    def __init__(self, store: Store, keys: SigningKeys) -> None:
        self._store = store
        self._keys = keys
        self._edition: Edition | None = None
        self._seen = -1
        self._reading = asyncio.Lock()
        # Only PostgreSQL leaves this process unaware, for half a second, of what another one has committed.
        self.may_lag = store.kind == "postgresql"

    def fresh(self) -> Edition | None:
        """The edition, if nobody can have committed anything since it was last found to be the newest."""
        return self._edition if self._store.generation() == self._seen else None

    async def current(self) -> Edition:
        """The edition in which everything is that this process committed before. Raises what the store raises."""
        edition = self.fresh()
        if edition is not None:
            return edition
        async with self._reading:
            return self.fresh() or await self._renewed()

    async def newest(self) -> Edition:
        """As `current`, but asks the database in any case, for whoever is about to refuse a caller."""
        async with self._reading:
            return await self._renewed()

    async def rights_of(self, caller: Caller) -> ContainerRights:
        """What containers of the caller's domain let him do, by his own entries and those of his groups."""
        by_action: dict[str, set[str]] = {}
        for grantee in (user_grantee(caller.user_id), *map(group_grantee, caller.groups)):
            for container_id, actions in await acls.of_grantee(self._store, caller.domain_id, grantee):
                for action in actions.split():
                    by_action.setdefault(action, set()).add(container_id)
        return ContainerRights({action: frozenset(ids) for action, ids in by_action.items()})

    async def _renewed(self) -> Edition:
        generation = self._store.generation()
        revision = await shared.access_revision(self._store)
        edition = self._edition
        if edition is None or edition.revision != revision:
            edition = Edition(revision)
            await self._keys.refresh()
        self._edition = edition
        self._seen = generation
        return edition
