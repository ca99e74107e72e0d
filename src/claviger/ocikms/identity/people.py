"""What an operator does with users, their API keys and what they may do.

Each operation is one change of the store that moves the revision of identity. Things are named as `naming.py` says;
what that raises is raised here too.
"""

from __future__ import annotations

import asyncio

import msgspec

from claviger.audit.trail import about, telling
from claviger.core.clock import Clock
from claviger.core.errors import Conflict, NotFound
from claviger.core.sensitive import Sensitive
from claviger.crypto.api_keys import new_api_key, read_public_key
from claviger.ocikms.identity import records, rules
from claviger.ocikms.identity.naming import path_of, place_named, tenancy_named, user_named
from claviger.ocikms.identity.records import ApiKey, Grant, Tenancy, User
from claviger.ocikms.ocids import new_ocid
from claviger.store.contract import Store, Tx


class Person(msgspec.Struct, frozen=True):
    """A user and the tenancy that he belongs to."""

    user: User
    tenancy: Tenancy


class Granted(msgspec.Struct, frozen=True):
    """What a user may do, and where: `path` names the compartment."""

    grant: Grant
    path: str
    person: Person


class NewKey(msgspec.Struct, frozen=True):
    """An API key just made. The private half, PEM, is nowhere else."""

    key: ApiKey
    person: Person
    private_key: Sensitive


async def create_user(
    store: Store,
    clock: Clock,
    *,
    name: str,
    tenancy: str | None = None,
    description: str = "",
    ident: str | None = None,
) -> Person:
    """Makes a user, who has no key and may do nothing yet.

    Raises Invalid("Name" | "Description" | "OcidMalformed"), Conflict("UserTaken" | "TooMany").
    """
    rules.check_user_name(name)
    rules.check_description(description)
    ocid, now = rules.check_ocid("user", ident) if ident else new_ocid("user"), clock.now()

    def change(tx: Tx) -> Person:
        owner = tenancy_named(tx, tenancy)
        about("user", ocid, name, owner.id)
        return add_user(tx, owner, ocid, name, description or name, now)

    return await store.write(change)


def add_user(tx: Tx, owner: Tenancy, ocid: str, name: str, description: str, now: float) -> Person:
    """Stores a user whose parts have been checked. Raises Conflict("UserTaken" | "TooMany")."""
    every = records.users(tx)
    if sum(each.tenancy_num == owner.num for each in every) >= rules.MAX_USERS:
        raise Conflict("TooMany", what="users of a tenancy", most=rules.MAX_USERS)
    for other in every:
        if ocid == other.id or (owner.num, name) == (other.tenancy_num, other.name):
            raise Conflict("UserTaken", name=name, by=other.id)
    made = User(0, ocid, owner.num, name, description, now)
    stored = msgspec.structs.replace(made, num=records.add_user(tx, made))
    records.bump_revision(tx)
    return Person(stored, owner)


async def list_users(store: Store, tenancy: str | None = None) -> list[Person]:
    """The users of a tenancy, or of all, oldest first."""

    def look(tx: Tx) -> list[Person]:
        owners = {each.num: each for each in records.tenancies(tx)}
        asked = None if tenancy is None else tenancy_named(tx, tenancy).num
        return [
            Person(each, owners[each.tenancy_num]) for each in records.users(tx) if asked in (None, each.tenancy_num)
        ]

    return await store.write(look)


async def show_user(store: Store, user: str, tenancy: str | None = None) -> tuple[Person, list[ApiKey], list[Granted]]:
    """A user with his keys and rights."""

    def look(tx: Tx) -> tuple[Person, list[ApiKey], list[Granted]]:
        person = _person(tx, user, tenancy)
        return person, records.api_keys(tx, person.user.num), _granted(tx, person)

    return await store.write(look)


async def delete_user(store: Store, user: str, tenancy: str | None = None) -> Person:
    """Removes a user with his keys and rights; what he signs is refused from then on."""

    def change(tx: Tx) -> Person:
        person = _person(tx, user, tenancy)
        _about(person)
        records.remove_user(tx, person.user.num)
        records.bump_revision(tx)
        return person

    return await store.write(change)


async def create_api_key(store: Store, clock: Clock, user: str, tenancy: str | None = None) -> NewKey:
    """Makes an API key for a user and keeps the public half alone. Raises Conflict("TooMany")."""
    private_key, public_key = await asyncio.to_thread(new_api_key)
    person, key = await add_api_key(store, clock, user, public_key, tenancy)
    return NewKey(key, person, private_key)


async def add_api_key(
    store: Store, clock: Clock, user: str, public_pem: str, tenancy: str | None = None
) -> tuple[Person, ApiKey]:
    """Lets a user sign with a key of his own, of which this is the public half.

    Raises Invalid("PublicKey"), Conflict("ApiKeyTaken" | "TooMany").
    """
    fingerprint, public_key = read_public_key(public_pem)
    now = clock.now()

    def change(tx: Tx) -> tuple[Person, ApiKey]:
        person = _person(tx, user, tenancy)
        _about(person)
        telling(fingerprint=fingerprint)
        return person, put_api_key(tx, person.user, fingerprint, public_key, now)

    return await store.write(change)


def put_api_key(tx: Tx, user: User, fingerprint: str, public_key: str, now: float) -> ApiKey:
    """Stores an API key. Raises Conflict("ApiKeyTaken" | "TooMany")."""
    every = records.api_keys(tx, user.num)
    if fingerprint in (each.fingerprint for each in every):
        raise Conflict("ApiKeyTaken", user=user.name, fingerprint=fingerprint)
    if len(every) >= rules.MAX_API_KEYS:
        raise Conflict("TooMany", what="API keys of a user", most=rules.MAX_API_KEYS)
    key = ApiKey(user.num, fingerprint, public_key, now)
    records.add_api_key(tx, key)
    records.bump_revision(tx)
    return key


async def list_api_keys(store: Store, user: str, tenancy: str | None = None) -> list[ApiKey]:
    """The API keys of a user, oldest first."""
    return await store.write(lambda tx: records.api_keys(tx, _person(tx, user, tenancy).user.num))


async def remove_api_key(store: Store, user: str, fingerprint: str, tenancy: str | None = None) -> Person:
    """Takes an API key away; what is signed with it is refused from then on. Raises NotFound("ApiKeyUnknown")."""

    def change(tx: Tx) -> Person:
        person = _person(tx, user, tenancy)
        _about(person)
        telling(fingerprint=fingerprint[:64])
        if not records.remove_api_key(tx, person.user.num, fingerprint.lower()):
            raise NotFound("ApiKeyUnknown", user=person.user.name, fingerprint=fingerprint[:64])
        records.bump_revision(tx)
        return person

    return await store.write(change)


async def grant(store: Store, user: str, verb: str, compartment: str, tenancy: str | None = None) -> Granted:
    """Lets a user do this much in a compartment and all below it, in place of what he had been granted there.

    Raises Invalid("VerbUnknown"), NotFound("CompartmentUnknown") also for one of another tenancy, Conflict("TooMany").
    """
    checked = rules.check_verb(verb)

    def change(tx: Tx) -> Granted:
        person, place = _person_and_place(tx, user, compartment, tenancy)
        _about(person)
        telling(verb=checked, compartment=place)
        return put_grant(tx, person, checked, place)

    return await store.write(change)


def put_grant(tx: Tx, person: Person, verb: str, compartment_id: str) -> Granted:
    """Stores a grant. Raises Conflict("TooMany")."""
    every = records.grants(tx, person.user.num)
    if len(every) >= rules.MAX_GRANTS and compartment_id not in (each.compartment_id for each in every):
        raise Conflict("TooMany", what="grants of a user", most=rules.MAX_GRANTS)
    made = Grant(person.user.num, compartment_id, verb)
    records.put_grant(tx, made)
    records.bump_revision(tx)
    return next(each for each in _granted(tx, person) if each.grant == made)


async def revoke(store: Store, user: str, compartment: str, tenancy: str | None = None) -> Person:
    """Takes away what a user was granted in a compartment; what he has above it stays. Raises NotFound("NoGrant")."""

    def change(tx: Tx) -> Person:
        person, place = _person_and_place(tx, user, compartment, tenancy)
        _about(person)
        telling(compartment=place)
        if not records.remove_grant(tx, person.user.num, place):
            raise NotFound("NoGrant", user=person.user.name, compartment=compartment[:255])
        records.bump_revision(tx)
        return person

    return await store.write(change)


async def list_grants(store: Store, user: str | None = None, tenancy: str | None = None) -> list[Granted]:
    """What a user may do, or what all users of a tenancy may."""

    def look(tx: Tx) -> list[Granted]:
        if user is not None:
            return _granted(tx, _person(tx, user, tenancy))
        owner = tenancy_named(tx, tenancy)
        people = [Person(each, owner) for each in records.users(tx) if each.tenancy_num == owner.num]
        return [granted for person in people for granted in _granted(tx, person)]

    return await store.write(look)


def _granted(tx: Tx, person: Person) -> list[Granted]:
    every = {each.id: each for each in records.compartments(tx, person.tenancy.num)}
    return [Granted(each, path_of(each.compartment_id, every), person) for each in records.grants(tx, person.user.num)]


def _person(tx: Tx, user: str, tenancy: str | None) -> Person:
    owner, found = user_named(tx, user, tenancy)
    return Person(found, owner)


def _person_and_place(tx: Tx, user: str, compartment: str, tenancy: str | None) -> tuple[Person, str]:
    person = _person(tx, user, tenancy)
    owner, found = place_named(tx, compartment, person.tenancy.id)
    if owner != person.tenancy:
        raise NotFound("CompartmentUnknown", compartment=compartment[:255], tenancy=person.tenancy.name)
    return person, owner.id if found is None else found.id


def _about(person: Person) -> None:
    about("user", person.user.id, person.user.name, person.tenancy.id)
