"""Identity as one immutable snapshot in memory, so that no request asks the database who its caller is.

`Identities.fresh()` is the snapshot while nothing has been committed anywhere, at next to no cost; `await current()`
finds out whether what was committed concerns identity, and reads it anew only then. `Identity.found` knows callers by
what they sign with, `Identity.sight` what they may do: in a compartment they were granted it in, and in all below it.
Compartments of other tenancies are as if they were not there.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from claviger.core.errors import Busy
from claviger.ocikms.calls import Caller, Verb
from claviger.ocikms.identity import records, tag_records
from claviger.ocikms.identity.records import (
    DELETED,
    ApiKey,
    Compartment,
    Grant,
    Tenancy,
    User,
)
from claviger.ocikms.identity.tag_records import Tag, TagNamespace
from claviger.store.contract import Store

READ_ATTEMPTS = 8


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """All that a snapshot is made of, oldest first."""

    tenancies: Sequence[Tenancy] = ()
    subscriptions: Sequence[tuple[int, str]] = ()
    compartments: Sequence[Compartment] = ()
    users: Sequence[User] = ()
    api_keys: Sequence[ApiKey] = ()
    grants: Sequence[Grant] = ()
    tag_namespaces: Sequence[TagNamespace] = ()
    tags: Sequence[Tag] = ()


class CallerSight:
    """What one caller may see: `calls.Sight`, and what lists of compartments need besides.

    `verbs` has the most that he may do in each compartment that stands, `inspected` those and the deleted ones that his
    grants reach, `leading` the compartments above.
    """

    __slots__ = ("_inspected", "_leading", "_standing", "_verbs")

    def __init__(
        self,
        standing: frozenset[str] = frozenset(),
        verbs: Mapping[str, Verb] | None = None,
        inspected: frozenset[str] = frozenset(),
        leading: frozenset[str] = frozenset(),
    ) -> None:
        self._standing = standing
        self._verbs = verbs or {}
        self._inspected = inspected
        self._leading = leading

    def may(self, verb: Verb, compartment_id: str) -> bool:
        """See `Sight`."""
        return self._verbs.get(compartment_id, 0) >= verb

    def has(self, compartment_id: str) -> bool:
        """See `Sight`."""
        return compartment_id in self._standing

    def inspects(self, compartment_id: str) -> bool:
        """Whether the caller may see the compartment itself, be it deleted or not."""
        return compartment_id in self._inspected

    def leads(self, compartment_id: str) -> bool:
        """Whether the caller may see it, or a compartment below it."""
        return compartment_id in self._inspected or compartment_id in self._leading


NOTHING_SEEN = CallerSight()


class Identity:
    """One snapshot. Nothing in it changes but what it remembers of its own answers."""

    __slots__ = (
        "_by_id",
        "_callers",
        "_children",
        "_compartments",
        "_grants",
        "_regions",
        "_sights",
        "_standing",
        "_tag_namespaces",
        "_tags",
        "_tenancies",
        "_users",
        "revision",
    )

    def __init__(self, revision: int, rows: Rows) -> None:
        self.revision = revision
        self._tenancies = {tenancy.num: tenancy for tenancy in rows.tenancies}
        self._by_id = {tenancy.id: tenancy for tenancy in rows.tenancies}
        self._regions: dict[int, list[str]] = defaultdict(list)
        for num, region in rows.subscriptions:
            self._regions[num].append(region)
        self._compartments = {compartment.id: compartment for compartment in rows.compartments}
        self._children: dict[str, list[Compartment]] = defaultdict(list)
        standing: dict[int, list[str]] = defaultdict(list)
        for compartment in rows.compartments:
            self._children[compartment.parent_id].append(compartment)
            if compartment.state != DELETED:
                standing[compartment.tenancy_num].append(compartment.id)
        self._standing = {tenancy.num: frozenset((tenancy.id, *standing[tenancy.num])) for tenancy in rows.tenancies}
        self._users = {user.id: user for user in rows.users}
        self._grants: dict[int, list[Grant]] = defaultdict(list)
        for grant in rows.grants:
            self._grants[grant.user_num].append(grant)
        self._callers = self._all_callers(rows)
        self._tag_namespaces = {namespace.id: namespace for namespace in rows.tag_namespaces}
        self._tags: dict[int, list[Tag]] = defaultdict(list)
        for tag in rows.tags:
            self._tags[tag.namespace_num].append(tag)
        self._sights: dict[tuple[int, str], CallerSight] = {}

    def _all_callers(self, rows: Rows) -> dict[tuple[str, str, str], tuple[Caller, str]]:
        users = {user.num: user for user in rows.users}
        callers = {}
        for key in rows.api_keys:
            user = users[key.user_num]
            tenancy = self._tenancies[user.tenancy_num]
            caller = Caller(tenancy.id, tenancy.num, user.id, user.name, key.fingerprint)
            callers[tenancy.id, user.id, key.fingerprint] = (caller, key.public_key)
        return callers

    def found(self, tenancy_id: str, user_id: str, fingerprint: str) -> tuple[Caller, str] | None:
        """Who signs with this key, and the public key, PEM; None where nobody does."""
        return self._callers.get((tenancy_id, user_id, fingerprint))

    def sight(self, caller: Caller) -> CallerSight:
        """What a caller may see. Nothing, where the tenancy has no such user (any more)."""
        key = (caller.tenancy_num, caller.user_id)
        sight = self._sights.get(key)
        if sight is None:
            user = self._users.get(caller.user_id)
            if user is None or user.tenancy_num != caller.tenancy_num:
                return NOTHING_SEEN
            sight = self._sights[key] = self._work_out(user)
        return sight

    def _work_out(self, user: User) -> CallerSight:
        standing = self._standing[user.tenancy_num]
        verbs: dict[str, Verb] = {}
        inspected: set[str] = set()
        leading: set[str] = set()
        for grant in self._grants.get(user.num, ()):
            if grant.compartment_id not in standing:
                continue
            verb = Verb[grant.verb.upper()]
            reached = [grant.compartment_id, *(found.id for found in self.below(grant.compartment_id))]
            inspected.update(reached)
            for each in standing.intersection(reached):
                verbs[each] = max(verb, verbs.get(each, verb))
            leading.update(self._above(grant.compartment_id))
        return CallerSight(standing, verbs, frozenset(inspected), frozenset(leading))

    def _above(self, ident: str) -> Iterable[str]:
        compartment = self._compartments.get(ident)
        while compartment is not None:
            yield compartment.parent_id
            compartment = self._compartments.get(compartment.parent_id)

    def below(self, ident: str) -> Iterable[Compartment]:
        """All compartments below one, or below a tenancy, however deep, deleted ones included."""
        waiting = list(self.children(ident))
        while waiting:
            compartment = waiting.pop()
            yield compartment
            waiting.extend(self.children(compartment.id))

    def children(self, ident: str) -> Sequence[Compartment]:
        """The compartments directly in one, or in a tenancy, oldest first, deleted ones included."""
        return self._children.get(ident, ())

    def compartment(self, ident: str) -> Compartment | None:
        """The compartment of an OCID, a deleted one too. The root compartment has no row: see `tenancy_of`."""
        return self._compartments.get(ident)

    def tenancy(self, num: int) -> Tenancy | None:
        """The tenancy of a num."""
        return self._tenancies.get(num)

    def tenancy_of(self, ident: str) -> Tenancy | None:
        """The tenancy of an OCID."""
        return self._by_id.get(ident)

    def regions(self, tenancy_num: int) -> Sequence[str]:
        """The regions that a tenancy is subscribed to, its home region first."""
        return self._regions.get(tenancy_num, ())

    def subscribed(self, tenancy_num: int, region: str) -> bool:
        """Whether a tenancy is subscribed to a region."""
        return region in self._regions.get(tenancy_num, ())

    def user(self, ident: str) -> User | None:
        """The user of an OCID."""
        return self._users.get(ident)

    def tag_namespace(self, ident: str) -> TagNamespace | None:
        """The tag namespace of an OCID."""
        return self._tag_namespaces.get(ident)

    def tag_namespaces(self) -> Iterable[TagNamespace]:
        """Every tag namespace of every tenancy, oldest first."""
        return self._tag_namespaces.values()

    def tags(self, namespace: TagNamespace) -> Sequence[Tag]:
        """The tags of a namespace, oldest first."""
        return self._tags.get(namespace.num, ())


class Identities:
    """Holds the newest snapshot."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._identity: Identity | None = None
        self._seen = -1
        self._reading = asyncio.Lock()

    def fresh(self) -> Identity | None:
        """The snapshot, if it is the newest, and that can be told without waiting."""
        generation, identity = self._store.generation(), self._identity
        if generation == self._seen or identity is None:
            return identity
        if records.revision_now(self._store) != identity.revision:
            return None
        self._seen = generation  # whatever was committed, it was not about identity
        return identity

    async def current(self) -> Identity:
        """The snapshot in which everything is that this process committed before. Raises what the store raises."""
        identity = self.fresh()
        if identity is not None:
            return identity
        async with self._reading:
            return self.fresh() or await self._renewed()

    async def newest(self) -> Identity:
        """As `current`, but asks the database in any case.

        On PostgreSQL `current` may miss for half a second what another process has done: whoever is about to refuse a
        caller because of a snapshot should look here first.
        """
        async with self._reading:
            return await self._renewed()

    async def _renewed(self) -> Identity:
        generation = self._store.generation()
        revision = await records.revision(self._store)
        identity = self._identity
        if identity is None or identity.revision != revision:
            identity = await self._read(revision)
        self._identity = identity
        self._seen = generation
        return identity

    async def _read(self, revision: int) -> Identity:
        """Reads until no change of identity came between the first statement and the last."""
        store = self._store
        for _ in range(READ_ATTEMPTS):
            rows = Rows(
                tenancies=await records.all_tenancies(store),
                subscriptions=await records.all_subscriptions(store),
                compartments=await records.all_compartments(store),
                users=await records.all_users(store),
                api_keys=await records.all_api_keys(store),
                grants=await records.all_grants(store),
                tag_namespaces=await tag_records.all_tag_namespaces(store),
                tags=await tag_records.all_tags(store),
            )
            after = await records.revision(store)
            if after == revision:
                return Identity(revision, rows)
            revision = after
        raise Busy("IdentityUnsettled")
