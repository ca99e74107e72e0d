"""Tenancies, compartments, users and rights as rows, on both databases: what is stored, refused, and seen by others."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from claviger.core.errors import Conflict, Damaged, Invalid, NotFound
from claviger.crypto import api_keys
from claviger.crypto.api_keys import fingerprint_of
from claviger.ocikms.calls import Caller, Verb
from claviger.ocikms.identity import administration, demo, holding_records, people, records, rules
from claviger.store.contract import Tx
from tests.oci_identity import IdentityDesk, insert_row, open_desk

PAIR = api_keys.new_api_key()


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[IdentityDesk]:
    async with open_desk(database_url) as opened:
        yield opened


async def test_a_tenancy_has_its_home_region_and_a_namespace(desk: IdentityDesk) -> None:
    made = await desk.tenancy(regions=("FRA", "us-ashburn-1"))
    assert made.regions == ["us-ashburn-1", "eu-frankfurt-1"]
    assert made.tenancy.id.startswith("ocid1.tenancy.oc1..")
    assert made.tenancy.namespace
    assert (await administration.subscribe(desk.store, desk.clock, "acme", "eu-zurich-1")).regions[-1] == "eu-zurich-1"
    with pytest.raises(Conflict, match="RegionTaken"):
        await administration.subscribe(desk.store, desk.clock, None, "eu-zurich-1")
    assert [each.tenancy.name for each in await administration.list_tenancies(desk.store)] == ["acme"]
    for taken in ({"name": "acme"}, {"name": "b", "ident": made.tenancy.id}, {"name": "b", "namespace": "x"}):
        if "namespace" in taken:
            taken["namespace"] = made.tenancy.namespace
        with pytest.raises(Conflict, match="TenancyTaken"):
            await desk.tenancy(**taken)
    for wrong, reason in (({"name": "a b"}, "Name"), ({"ident": "ocid1.user.oc1..a"}, "Ocid")):
        with pytest.raises(Invalid, match=reason):
            await desk.tenancy(**{"name": "other", **wrong})
    with pytest.raises(Invalid, match="Region"):
        await administration.subscribe(desk.store, desk.clock, None, "us-gov-ashburn-1")
    await desk.tenancy("other")
    with pytest.raises(Invalid, match="TenancyNeeded"):
        await administration.create_compartment(desk.store, desk.clock, name="a")


async def test_compartments_make_a_tree_of_bounded_depth(desk: IdentityDesk) -> None:
    await desk.tenancy()
    path = "a"
    for _ in range(5):
        await desk.compartment(path)
        path += "/a"
    await desk.compartment(path)
    with pytest.raises(Conflict, match="TooDeep"):
        await desk.compartment(path + "/a")
    with pytest.raises(Conflict, match="CompartmentTaken"):
        await desk.compartment("a/a")
    for unknown in ("b/c", "ocid1.compartment.oc1..no/c"):
        with pytest.raises(NotFound, match="CompartmentUnknown"):
            await desk.compartment(unknown)
    assert [each.path for each in await administration.list_compartments(desk.store)][:2] == ["a", "a/a"]


async def test_what_holds_something_is_not_deleted(desk: IdentityDesk) -> None:
    made = await desk.tenancy()
    outer, inner = await desk.compartment("outer"), await desk.compartment("outer/inner")
    with pytest.raises(Conflict, match=r"NotEmpty.*1 compartments"):
        await administration.delete_compartment(desk.store, "outer")
    vault = await desk.store.write(lambda tx: _vault(tx, made.tenancy.num, inner))
    with pytest.raises(Conflict, match=r"NotEmpty.*1 vaults"):
        await administration.delete_compartment(desk.store, inner)
    with pytest.raises(Conflict, match=r"NotEmpty.*vaults=1"):
        await administration.delete_tenancy(desk.store, "acme")
    await desk.store.write(lambda tx: tx.execute("UPDATE oci_vaults SET state = 'DELETED' WHERE num = ?", vault))
    assert (await administration.delete_compartment(desk.store, inner)).path == "outer/inner"
    with pytest.raises(NotFound, match="CompartmentUnknown"):
        await administration.delete_compartment(desk.store, inner)
    with pytest.raises(Invalid, match="RootCompartment"):
        await administration.delete_compartment(desk.store, "/")
    again = await desk.compartment("outer/inner")
    assert again != inner
    await administration.delete_tenancy(desk.store, made.tenancy.id)
    for table in ("oci_vaults", "oci_compartments", "oci_region_subscriptions", "oci_tenancies"):
        assert await desk.store.read(f"SELECT * FROM {table}") == []
    assert outer


async def test_each_kind_of_thing_holds_its_compartment(desk: IdentityDesk) -> None:
    made = await desk.tenancy()
    place = await desk.compartment("a")
    await administration.create_tag_namespace(desk.store, desk.clock, name="Costs", compartment="a")

    def fill(tx: Tx) -> dict[str, int]:
        vault = _vault(tx, made.tenancy.num, made.tenancy.id)
        key = insert_row(tx, "oci_keys", id="key", vault_num=vault, compartment_id=place, state="DISABLED")
        insert_row(tx, "oci_key_versions", key_num=key, state="ENABLED")
        secret = insert_row(
            tx, "oci_secrets", key_id="key", vault_num=vault, compartment_id=place, state="PENDING_DELETION"
        )
        insert_row(tx, "oci_secret_versions", secret_num=secret, state="ACTIVE")
        bucket = insert_row(tx, "oci_buckets", tenancy_num=made.tenancy.num, compartment_id=place)
        insert_row(tx, "oci_objects", bucket_num=bucket)
        return holding_records.held_in(tx, place)

    held = await desk.store.write(fill)
    assert held == {"keys": 1, "secrets": 1, "buckets": 1, "tag namespaces": 1}
    await desk.store.write(lambda tx: tx.execute("UPDATE oci_vaults SET state = 'DELETED'"))
    await administration.delete_tenancy(desk.store, "acme")
    for table in ("oci_vaults", "oci_keys", "oci_key_versions", "oci_secrets", "oci_secret_versions", "oci_objects"):
        assert await desk.store.read(f"SELECT * FROM {table}") == []


def _vault(tx: Tx, tenancy_num: int, compartment_id: str) -> int:
    return insert_row(
        tx,
        "oci_vaults",
        tenancy_num=tenancy_num,
        compartment_id=compartment_id,
        vault_type="DEFAULT",
        state="PENDING_DELETION",
    )


async def test_a_user_is_found_by_what_he_signs_with(desk: IdentityDesk) -> None:
    made = await desk.tenancy()
    person = await people.create_user(desk.store, desk.clock, name="ann")
    _, key = await people.add_api_key(desk.store, desk.clock, "ann", PAIR[1])
    assert key.fingerprint == fingerprint_of(PAIR[1])
    found = (await desk.identities.current()).found(made.tenancy.id, person.user.id, key.fingerprint)
    caller = Caller(made.tenancy.id, made.tenancy.num, person.user.id, "ann", key.fingerprint)
    assert found == (caller, PAIR[1])
    other = await desk.tenancy("other")
    identity = await desk.identities.current()
    assert identity.found(other.tenancy.id, person.user.id, key.fingerprint) is None
    assert identity.found(made.tenancy.id, person.user.id, key.fingerprint.upper()) is None
    with pytest.raises(Conflict, match="ApiKeyTaken"):
        await people.add_api_key(desk.store, desk.clock, person.user.id, PAIR[1])
    await people.remove_api_key(desk.store, "ann", key.fingerprint, "acme")
    assert (await desk.identities.current()).found(made.tenancy.id, person.user.id, key.fingerprint) is None
    with pytest.raises(NotFound, match="ApiKeyUnknown"):
        await people.remove_api_key(desk.store, "ann", key.fingerprint, "acme")


async def test_a_user_has_few_keys_and_a_name_of_his_own(desk: IdentityDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.tenancy()
    await people.create_user(desk.store, desk.clock, name="ann@example.org")
    with pytest.raises(Conflict, match="UserTaken"):
        await people.create_user(desk.store, desk.clock, name="ann@example.org")
    monkeypatch.setattr(rules, "MAX_API_KEYS", 1)
    made = await people.create_api_key(desk.store, desk.clock, "ann@example.org")
    assert api_keys.public_half(made.private_key) == made.key.public_key
    with pytest.raises(Conflict, match="TooMany"):
        await people.add_api_key(desk.store, desk.clock, "ann@example.org", PAIR[1])
    with pytest.raises(Invalid, match="PublicKey"):
        await people.add_api_key(desk.store, desk.clock, "ann@example.org", "-----BEGIN PUBLIC KEY-----")
    with pytest.raises(NotFound, match="UserUnknown"):
        await people.delete_user(desk.store, "bob")
    await people.delete_user(desk.store, "ann@example.org")
    assert await desk.store.read("SELECT * FROM oci_api_keys") == []
    assert await people.list_users(desk.store, "acme") == []


async def test_rights_hold_in_a_compartment_and_below_it(desk: IdentityDesk) -> None:
    made, foreign = await desk.tenancy(), await desk.tenancy("foreign")
    a, b, c = await desk.compartment("a"), await desk.compartment("a/b"), await desk.compartment("c")
    abroad = await desk.compartment("x", "foreign")
    root = made.tenancy.id
    caller = await desk.caller("ann", read="a", manage="a/b")
    sight = (await desk.identities.current()).sight(caller)
    verbs = {
        place: [verb for verb in Verb if sight.may(verb, place)]
        for place in (root, a, b, c, abroad, foreign.tenancy.id, "")
    }
    assert verbs == {
        root: [],
        a: [Verb.INSPECT, Verb.READ],
        b: list(Verb),
        c: [],
        abroad: [],
        foreign.tenancy.id: [],
        "": [],
    }
    assert [place for place in (root, a, b, c, abroad, foreign.tenancy.id) if sight.has(place)] == [root, a, b, c]
    assert (await desk.identities.current()).sight(caller) is sight
    elsewhere = msgspec.structs.replace(caller, tenancy_id=foreign.tenancy.id, tenancy_num=foreign.tenancy.num)
    unseen = (await desk.identities.current()).sight(elsewhere)
    assert [place for place in (root, a, abroad) if unseen.has(place) or unseen.may(Verb.INSPECT, place)] == []
    await people.grant(desk.store, "ann", "INSPECT", "/", "acme")
    widened = (await desk.identities.current()).sight(caller)
    assert widened.may(Verb.INSPECT, c)
    assert not widened.may(Verb.READ, c)
    assert widened.may(Verb.READ, a)
    await people.revoke(desk.store, caller.user_id, "a")
    narrowed = (await desk.identities.current()).sight(caller)
    assert not narrowed.may(Verb.READ, a)
    assert narrowed.may(Verb.MANAGE, b)
    with pytest.raises(NotFound, match="NoGrant"):
        await people.revoke(desk.store, caller.user_id, "a")
    with pytest.raises(NotFound, match="CompartmentUnknown"):
        await people.grant(desk.store, caller.user_id, "read", abroad)
    with pytest.raises(Invalid, match="Verb"):
        await people.grant(desk.store, caller.user_id, "own", "a")
    told = [(each.grant.verb, each.path) for each in await people.list_grants(desk.store, caller.user_id)]
    assert sorted(told) == [("inspect", "/"), ("manage", "a/b")]


async def test_nobody_sees_a_deleted_compartment_or_as_a_deleted_user(desk: IdentityDesk) -> None:
    await desk.tenancy()
    a = await desk.compartment("a")
    caller, admin = await desk.caller("ann", manage="a"), await desk.caller("root", manage="/")
    await administration.delete_compartment(desk.store, "a")
    identity = await desk.identities.current()
    for each in (caller, admin):
        assert not identity.sight(each).has(a)
        assert not identity.sight(each).may(Verb.INSPECT, a)
    assert await people.list_grants(desk.store, caller.user_id) == []
    await people.delete_user(desk.store, admin.user_id)
    sight = (await desk.identities.current()).sight(admin)
    assert not sight.has(admin.tenancy_id)
    assert not sight.may(Verb.INSPECT, admin.tenancy_id)


async def test_every_change_moves_the_revision_and_is_seen_elsewhere(desk: IdentityDesk, database_url: str) -> None:
    store, clock = desk.store, desk.clock
    async with open_desk(database_url) as other:
        before = await records.revision(store)
        await other.identities.current()

        async def moved() -> None:
            nonlocal before
            after = await records.revision(store)
            assert after > before
            assert (await other.identities.newest()).revision == after
            before = after

        made = await desk.tenancy()
        await moved()
        await administration.subscribe(store, clock, None, "FRA")
        await moved()
        assert (await other.identities.current()).subscribed(made.tenancy.num, "eu-frankfurt-1")
        await desk.compartment("a")
        await moved()
        await people.create_user(store, clock, name="ann")
        await moved()
        _, key = await people.add_api_key(store, clock, "ann", PAIR[1])
        await moved()
        await people.grant(store, "ann", "use", "a")
        await moved()
        await people.revoke(store, "ann", "a")
        await moved()
        await people.remove_api_key(store, "ann", key.fingerprint)
        await moved()
        await people.delete_user(store, "ann")
        await moved()
        await administration.create_tag_namespace(store, clock, name="Costs", tags=("Centre",))
        await moved()
        await administration.define_tag(store, clock, namespace="costs", name="Team")
        await moved()
        await administration.delete_tag_namespace(store, "COSTS")
        await moved()
        await administration.delete_compartment(store, "a")
        await moved()
        await administration.delete_tenancy(store, "acme")
        await moved()


async def test_a_snapshot_is_read_anew_only_for_a_change_of_identity(desk: IdentityDesk) -> None:
    await desk.tenancy()
    first = await desk.identities.current()
    await desk.store.write(lambda tx: records.set_meta(tx, "anything", "else"))
    assert await desk.identities.current() is first
    await desk.compartment("a")
    assert await desk.identities.current() is not first
    await desk.store.write(lambda tx: tx.execute("DELETE FROM meta WHERE key = 'oci_identity_revision'"))
    with pytest.raises(Damaged, match="OciIdentityRevisionMissing"):
        await desk.identities.newest()


async def test_the_demo_is_made_once(desk: IdentityDesk) -> None:
    assert await demo.load_demo(desk.store, desk.notes) is None
    assert await demo.seed_demo(desk.store, desk.notes, desk.clock)
    assert not await demo.seed_demo(desk.store, desk.notes, desk.clock)
    made = await demo.load_demo(desk.store, desk.notes)
    assert made is not None
    assert made.region == "us-ashburn-1"
    identity = await desk.identities.current()
    found = identity.found(made.tenancy_id, made.user_id, made.fingerprint)
    assert found is not None
    assert found[1] == api_keys.public_half(made.private_key)
    caller = found[0]
    assert list(identity.regions(caller.tenancy_num)) == ["us-ashburn-1", "eu-frankfurt-1"]
    paths = {each.path: each.compartment.id for each in await administration.list_compartments(desk.store)}
    assert list(paths) == ["production", "staging", "staging/team-a"]
    assert all(identity.sight(caller).may(Verb.MANAGE, each) for each in (*paths.values(), made.tenancy_id))
    await people.delete_user(desk.store, "demo")
    assert await demo.load_demo(desk.store, desk.notes) is None
    assert not await demo.seed_demo(desk.store, desk.notes, desk.clock)


async def test_no_demo_beside_what_an_operator_has_made(desk: IdentityDesk) -> None:
    await desk.tenancy()
    assert not await demo.seed_demo(desk.store, desk.notes, desk.clock)
    await administration.delete_tenancy(desk.store, "acme")
    assert not await demo.seed_demo(desk.store, desk.notes, desk.clock)
