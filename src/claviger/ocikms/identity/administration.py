"""What an operator does with tenancies, their regions and compartments, and tag namespaces.

Each operation is one change of the store that decides on the rows it changes and moves the revision of identity. Things
are named as `naming.py` says; what that raises is raised here too.
"""

from __future__ import annotations

import msgspec

from claviger.audit.trail import about, telling
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, Invalid
from claviger.ocikms.identity import holding_records, records, rules, tag_records
from claviger.ocikms.identity.naming import path_of, place_named, tag_namespace_named, tenancy_named
from claviger.ocikms.identity.records import ACTIVE, Compartment, Tenancy
from claviger.ocikms.identity.tag_records import Tag, TagNamespace
from claviger.ocikms.ocids import new_ocid, new_prefix
from claviger.store.contract import Store, Tx


class Placed(msgspec.Struct, frozen=True):
    """A compartment and where it is: `path` are the names from the tenancy down."""

    compartment: Compartment
    path: str
    tenancy: Tenancy


class Settled(msgspec.Struct, frozen=True):
    """A tenancy and the regions that it is subscribed to."""

    tenancy: Tenancy
    regions: list[str]


class Defined(msgspec.Struct, frozen=True):
    """A tag namespace with its tags."""

    namespace: TagNamespace
    tags: list[Tag]


async def create_tenancy(
    store: Store,
    clock: Clock,
    *,
    name: str,
    home_region: str,
    regions: tuple[str, ...] = (),
    description: str = "",
    ident: str | None = None,
    namespace: str | None = None,
) -> Settled:
    """Makes a tenancy, subscribed to its home region and `regions`.

    `ident` and `namespace` are those that programs know already. Raises Invalid("Name" | "RegionUnknown" |
    "Description" | "OcidMalformed" | "Namespace"), Conflict("TenancyTaken" | "TooMany").
    """
    made = checked_tenancy(name, home_region, clock.now(), description, ident, namespace)
    others = [rules.check_region(each) for each in regions]

    def change(tx: Tx) -> Settled:
        about("tenancy", made.id, made.name)
        return add_tenancy(tx, made, others)

    return await store.write(change)


def checked_tenancy(
    name: str,
    home_region: str,
    now: float,
    description: str = "",
    ident: str | None = None,
    namespace: str | None = None,
) -> Tenancy:
    """The tenancy to store. Raises Invalid as `create_tenancy`."""
    return Tenancy(
        num=0,
        id=rules.check_ocid("tenancy", ident) if ident else new_ocid("tenancy"),
        name=rules.check_name(name),
        description=rules.check_description(description) or name,
        home_region=rules.check_region(home_region),
        namespace=rules.check_namespace(namespace) if namespace else new_prefix(),
        created_at=now,
    )


def add_tenancy(tx: Tx, made: Tenancy, regions: list[str]) -> Settled:
    """Stores a tenancy whose parts have been checked. Raises Conflict("TenancyTaken" | "TooMany")."""
    every = records.tenancies(tx)
    if len(every) >= rules.MAX_TENANCIES:
        raise Conflict("TooMany", what="tenancies", most=rules.MAX_TENANCIES)
    for other in every:
        if made.id == other.id or made.name == other.name or made.namespace == other.namespace:
            raise Conflict("TenancyTaken", name=made.name, by=other.id)
    stored = msgspec.structs.replace(made, num=records.add_tenancy(tx, made))
    for region in regions:
        records.subscribe(tx, stored.num, region, made.created_at)
    records.bump_revision(tx)
    return Settled(stored, records.subscriptions(tx, stored.num))


async def list_tenancies(store: Store) -> list[Settled]:
    """Every tenancy, oldest first."""
    regions = await records.all_subscriptions(store)
    return [
        Settled(each, [region for num, region in regions if num == each.num])
        for each in await records.all_tenancies(store)
    ]


async def show_tenancy(store: Store, tenancy: str | None) -> Settled:
    """One tenancy."""

    def look(tx: Tx) -> Settled:
        found = tenancy_named(tx, tenancy)
        return Settled(found, records.subscriptions(tx, found.num))

    return await store.write(look)


async def subscribe(store: Store, clock: Clock, tenancy: str | None, region: str) -> Settled:
    """Gives a tenancy a region more. Raises Invalid("RegionUnknown"), Conflict("RegionTaken")."""
    name, now = rules.check_region(region), clock.now()

    def change(tx: Tx) -> Settled:
        found = tenancy_named(tx, tenancy)
        about("tenancy", found.id, found.name)
        telling(region=name)
        if not records.subscribe(tx, found.num, name, now):
            raise Conflict("RegionTaken", tenancy=found.name, region=name)
        records.bump_revision(tx)
        return Settled(found, records.subscriptions(tx, found.num))

    return await store.write(change)


async def delete_tenancy(store: Store, tenancy: str) -> Tenancy:
    """Removes a tenancy with its compartments, users, tags and buckets.

    Raises Conflict("NotEmpty") while a vault of it is not deleted.
    """

    def change(tx: Tx) -> Tenancy:
        found = tenancy_named(tx, tenancy)
        about("tenancy", found.id, found.name)
        vaults = holding_records.vaults_of(tx, found.num)
        if vaults:
            raise Conflict("NotEmpty", tenancy=found.name, vaults=vaults, fix="delete its vaults first, to their end")
        holding_records.remove_remains(tx, found.num)
        records.remove_tenancy(tx, found.num)
        records.bump_revision(tx)
        return found

    return await store.write(change)


async def create_compartment(
    store: Store,
    clock: Clock,
    *,
    name: str,
    parent: str = rules.ROOT_PATH,
    tenancy: str | None = None,
    description: str = "",
    ident: str | None = None,
) -> Placed:
    """Makes a compartment in the tenancy, or in the compartment `parent`.

    Raises Invalid("Name" | "Description" | "OcidMalformed"), Conflict("CompartmentTaken" | "TooMany" | "TooDeep").
    """
    rules.check_name(name)
    rules.check_description(description)
    ocid, now = rules.check_ocid("compartment", ident) if ident else new_ocid("compartment"), clock.now()

    def change(tx: Tx) -> Placed:
        owner, above = place_named(tx, parent, tenancy)
        parent_id = owner.id if above is None else above.id
        about("compartment", ocid, name, parent_id)
        return add_compartment(tx, owner, parent_id, ocid, name, description or name, now)

    return await store.write(change)


def add_compartment(
    tx: Tx, owner: Tenancy, parent_id: str, ocid: str, name: str, description: str, now: float
) -> Placed:
    """Stores a compartment whose parts have been checked. Raises Conflict as `create_compartment`."""
    every = {each.id: each for each in records.compartments(tx, owner.num)}
    if len(every) >= rules.MAX_COMPARTMENTS:
        raise Conflict("TooMany", what="compartments", most=rules.MAX_COMPARTMENTS)
    taken = [each.id for each in every.values() if (each.parent_id, each.name) == (parent_id, name)]
    if taken or records.compartment(tx, ocid) is not None:
        raise Conflict("CompartmentTaken", name=name, by=taken[0] if taken else ocid)
    made = Compartment(0, ocid, owner.num, parent_id, name, description, ACTIVE, {}, {}, now)
    path = path_of(ocid, {**every, ocid: made})
    if path.count(rules.ROOT_PATH) >= rules.MAX_DEPTH:
        raise Conflict("TooDeep", compartment=path, most=rules.MAX_DEPTH)
    stored = msgspec.structs.replace(made, num=records.add_compartment(tx, made))
    records.bump_revision(tx)
    return Placed(stored, path, owner)


async def list_compartments(store: Store, tenancy: str | None = None) -> list[Placed]:
    """The compartments of a tenancy that are not deleted, by path."""

    def look(tx: Tx) -> list[Placed]:
        owner = tenancy_named(tx, tenancy)
        every = {each.id: each for each in records.compartments(tx, owner.num)}
        return sorted((Placed(each, path_of(each.id, every), owner) for each in every.values()), key=_path)

    return await store.write(look)


def _path(placed: Placed) -> list[str]:
    return placed.path.split(rules.ROOT_PATH)


async def show_compartment(store: Store, compartment: str, tenancy: str | None = None) -> Placed:
    """One compartment. Raises Invalid("RootCompartment") for a tenancy itself."""

    def look(tx: Tx) -> Placed:
        owner, found = _below_root(tx, compartment, tenancy)
        every = {each.id: each for each in records.compartments(tx, owner.num)}
        return Placed(found, path_of(found.id, every), owner)

    return await store.write(look)


async def delete_compartment(store: Store, compartment: str, tenancy: str | None = None) -> Placed:
    """Deletes a compartment that is empty, with the rights in it; lists tell it as DELETED from then on.

    Raises Conflict("NotEmpty"), Invalid("RootCompartment").
    """

    def change(tx: Tx) -> Placed:
        owner, found = _below_root(tx, compartment, tenancy)
        about("compartment", found.id, found.name, found.parent_id)
        held = holding_records.held_in(tx, found.id)
        if held:
            told = ", ".join(f"{count} {kind}" for kind, count in held.items())
            raise Conflict("NotEmpty", compartment=found.name, holds=told, fix="move or delete what is in it first")
        every = {each.id: each for each in records.compartments(tx, owner.num)}
        records.delete_compartment(tx, found.id)
        records.bump_revision(tx)
        return Placed(found, path_of(found.id, every), owner)

    return await store.write(change)


def _below_root(tx: Tx, compartment: str, tenancy: str | None) -> tuple[Tenancy, Compartment]:
    owner, found = place_named(tx, compartment, tenancy)
    if found is None:
        raise Invalid("RootCompartment", compartment=compartment[:255], fix="that is the tenancy: see `oci tenancy`")
    return owner, found


async def create_tag_namespace(
    store: Store,
    clock: Clock,
    *,
    name: str,
    tags: tuple[str, ...] = (),
    compartment: str = rules.ROOT_PATH,
    tenancy: str | None = None,
    description: str = "",
) -> Defined:
    """Makes a tag namespace with these tags, all good for use at once.

    Raises Invalid("Name" | "Description"), Conflict("TagNamespaceTaken" | "TagTaken" | "TooMany").
    """
    rules.check_tag_name(name)
    rules.check_description(description)
    for tag in tags:
        rules.check_tag_name(tag)
    ocids = [new_ocid("tagnamespace"), *(new_ocid("tagdefinition") for _ in tags)]
    now = clock.now()

    def change(tx: Tx) -> Defined:
        owner, found = place_named(tx, compartment, tenancy)
        place = owner.id if found is None else found.id
        about("tag-namespace", ocids[0], name, place)
        every = tag_records.tag_namespaces(tx, owner.num)
        if len(every) >= rules.MAX_TAG_NAMESPACES:
            raise Conflict("TooMany", what="tag namespaces", most=rules.MAX_TAG_NAMESPACES)
        if name.lower() in (each.name.lower() for each in every):
            raise Conflict("TagNamespaceTaken", name=name)
        made = TagNamespace(0, ocids[0], owner.num, place, name, description or name, False, now)
        stored = msgspec.structs.replace(made, num=tag_records.add_tag_namespace(tx, made))
        for tag, ocid in zip(tags, ocids[1:], strict=True):
            _add_tag(tx, stored, ocid, tag, now)
        records.bump_revision(tx)
        return Defined(stored, tag_records.tags(tx, stored.num))

    return await store.write(change)


async def define_tag(store: Store, clock: Clock, *, namespace: str, name: str, tenancy: str | None = None) -> Defined:
    """Adds a tag to a namespace. Raises Invalid("Name"), Conflict("TagTaken" | "TooMany")."""
    rules.check_tag_name(name)
    ocid, now = new_ocid("tagdefinition"), clock.now()

    def change(tx: Tx) -> Defined:
        _, found = tag_namespace_named(tx, namespace, tenancy)
        about("tag-namespace", found.id, found.name, found.compartment_id)
        telling(tag=name)
        _add_tag(tx, found, ocid, name, now)
        records.bump_revision(tx)
        return Defined(found, tag_records.tags(tx, found.num))

    return await store.write(change)


def _add_tag(tx: Tx, namespace: TagNamespace, ocid: str, name: str, now: float) -> None:
    every = tag_records.tags(tx, namespace.num)
    if len(every) >= rules.MAX_TAGS:
        raise Conflict("TooMany", what="tags of a namespace", most=rules.MAX_TAGS)
    if name.lower() in (each.name.lower() for each in every):
        raise Conflict("TagTaken", namespace=namespace.name, tag=name)
    tag_records.add_tag(tx, Tag(0, ocid, namespace.num, name, name, False, now))


async def list_tag_namespaces(store: Store, tenancy: str | None = None) -> list[Defined]:
    """The tag namespaces of a tenancy, oldest first."""

    def look(tx: Tx) -> list[Defined]:
        owner = tenancy_named(tx, tenancy)
        return [Defined(each, tag_records.tags(tx, each.num)) for each in tag_records.tag_namespaces(tx, owner.num)]

    return await store.write(look)


async def delete_tag_namespace(store: Store, namespace: str, tenancy: str | None = None) -> TagNamespace:
    """Removes a tag namespace with its tags; what things are tagged with stays on them."""

    def change(tx: Tx) -> TagNamespace:
        _, found = tag_namespace_named(tx, namespace, tenancy)
        about("tag-namespace", found.id, found.name, found.compartment_id)
        tag_records.remove_tag_namespace(tx, found.num)
        records.bump_revision(tx)
        return found

    return await store.write(change)
