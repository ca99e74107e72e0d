"""Vaults of the embedded OCI as operations, on both databases: life, etags, retry tokens, pages, and what is hidden."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from claviger.core.clock import ManualClock
from claviger.core.errors import Conflict, NotFound
from claviger.ocikms.calls import Plane, Verb
from claviger.ocikms.ocids import new_ocid
from claviger.ocikms.texts import written
from claviger.ocikms.vaults import records
from claviger.ocikms.vaults.operations import Vaults, vault_at, writable
from claviger.ocikms.vaults.routes import VaultRoutes
from tests.ocikms import ABSENT, BAD, DAY_S, REGION, RELATED, SPENT, STALE, WRONG_STATE, Desk, Told, open_desk


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database_url) as opened:
        opened.add(VaultRoutes(Vaults(opened.store)).routes())
        yield opened


async def created(desk: Desk, name: str = "main", *, kind: str = "DEFAULT", **more: Any) -> Told:
    body = {"compartmentId": desk.production, "displayName": name, "vaultType": kind, **more}
    return await desk.ask("CreateVault", body=body)


async def test_a_vault_from_its_making_to_its_end(desk: Desk) -> None:
    made = await created(desk, freeformTags={"a": "b"}, definedTags={"space": {"key": 1}})
    assert made["lifecycleState"] == "CREATING"
    assert re.fullmatch(r"ocid1\.vault\.oc1\.iad\.[a-z2-7]{13}\.[a-z2-7]{60}", made["id"])
    prefix = made["id"].split(".")[4]
    assert made["managementEndpoint"] == f"https://{prefix}-management.kms.{REGION}.localhost"
    assert made["cryptoEndpoint"] == f"https://{prefix}-crypto.kms.{REGION}.localhost"
    assert made["wrappingkeyId"].startswith(f"ocid1.key.oc1.iad.{prefix}.")
    assert made["timeCreated"] == "2027-01-15T08:00:00.000Z"

    read = await desk.ask("GetVault", made["id"])
    assert read.json == {**made.json, "lifecycleState": "ACTIVE"}
    assert read.etag is not None
    assert re.fullmatch("[0-9a-f]{40}", read.etag)
    assert made.etag == read.etag  # so it can be sent as if-match, though the state that was shown has passed

    desk.clock.advance(5)
    updated = await desk.ask("UpdateVault", made["id"], body={"displayName": "other", "freeformTags": None})
    assert updated.json == {**read.json, "displayName": "other"}
    assert updated.etag != read.etag
    cleared = await desk.ask("UpdateVault", made["id"], body={"freeformTags": {}, "definedTags": {}})
    assert (cleared["displayName"], cleared["freeformTags"], cleared["definedTags"]) == ("other", {}, {})

    moved = await desk.ask("ChangeVaultCompartment", made["id"], body={"compartmentId": desk.staging})
    assert moved.json is None
    after = await desk.ask("GetVault", made["id"])
    assert (after["compartmentId"], after.etag) == (desk.staging, moved.etag)

    scheduled = await desk.ask("ScheduleVaultDeletion", made["id"], body={})
    assert scheduled["lifecycleState"] == "SCHEDULING_DELETION"
    assert scheduled["timeOfDeletion"] == "2027-02-14T08:00:05.000Z"  # 30 days on, exactly
    pending = await desk.ask("GetVault", made["id"])
    assert pending.json == {**scheduled.json, "lifecycleState": "PENDING_DELETION"}
    assert pending.etag == scheduled.etag != after.etag

    cancelled = await desk.ask("CancelVaultDeletion", made["id"], if_match=scheduled.etag)
    assert (cancelled["lifecycleState"], cancelled["timeOfDeletion"]) == ("ACTIVE", None)
    assert cancelled.json == after.json

    await desk.ask("ScheduleVaultDeletion", made["id"], body={"timeOfDeletion": "2027-01-22T08:00:05.123456+00:00"})
    desk.clock.set(desk.clock.now() + 7 * DAY_S)
    assert (await desk.ask("GetVault", made["id"]))["lifecycleState"] == "PENDING_DELETION"
    desk.clock.advance(1)
    deleted = await desk.ask("GetVault", made["id"])
    assert (deleted["lifecycleState"], deleted["timeOfDeletion"]) == ("DELETED", "2027-01-22T08:00:05.123Z")
    assert (await desk.ask("GetVaultUsage", made["id"])).json == dict.fromkeys(
        ("keyCount", "keyVersionCount", "softwareKeyCount", "softwareKeyVersionCount"), 0
    )


async def test_a_passing_state_is_shown_for_as_long_as_it_is_set_to(desk: Desk) -> None:
    desk.add(VaultRoutes(Vaults(desk.store, settle_s=10.0)).routes())
    made = await created(desk)

    async def state() -> str:
        return str((await desk.ask("GetVault", made["id"]))["lifecycleState"])

    assert await state() == "CREATING"
    assert await desk.refusal("ScheduleVaultDeletion", made["id"]) == WRONG_STATE
    assert (await desk.ask("UpdateVault", made["id"], body={"displayName": "x"}))["lifecycleState"] == "CREATING"
    desk.clock.advance(10)
    assert await state() == "ACTIVE"
    moved = await desk.ask("ChangeVaultCompartment", made["id"], body={"compartmentId": desk.staging})
    assert await state() == "UPDATING"
    assert moved.etag == (await desk.ask("GetVault", made["id"])).etag
    assert await desk.refusal("UpdateVault", made["id"], body={}) == WRONG_STATE
    desk.clock.advance(10)
    scheduled = await desk.ask("ScheduleVaultDeletion", made["id"])
    assert scheduled["lifecycleState"] == await state() == "SCHEDULING_DELETION"
    assert await desk.refusal("CancelVaultDeletion", made["id"]) == WRONG_STATE
    desk.clock.advance(10)
    assert await state() == "PENDING_DELETION"
    await desk.ask("CancelVaultDeletion", made["id"])
    assert await state() == "ACTIVE"


async def test_what_a_state_refuses(desk: Desk) -> None:
    made = await created(desk)
    assert await desk.refusal("CancelVaultDeletion", made["id"]) == WRONG_STATE
    await desk.ask("ScheduleVaultDeletion", made["id"])
    for _ in ("pending", "deleted"):
        never = {"timeOfDeletion": "never"}  # the state is refused before the value
        assert await desk.refusal("ScheduleVaultDeletion", made["id"], body=never) == WRONG_STATE
        assert await desk.refusal("UpdateVault", made["id"], body={"displayName": ""}) == WRONG_STATE
        move = {"compartmentId": new_ocid("compartment")}
        assert await desk.refusal("ChangeVaultCompartment", made["id"], body=move) == WRONG_STATE
        assert await desk.refusal("CreateVaultReplica", made["id"], body={"replicaRegion": REGION}) == WRONG_STATE
        desk.clock.advance(31 * DAY_S)
    assert await desk.refusal("CancelVaultDeletion", made["id"]) == WRONG_STATE


async def test_what_cannot_be_used_stores_nothing(desk: Desk) -> None:
    good = {"compartmentId": desk.production, "displayName": "a", "vaultType": "DEFAULT"}
    for wrong in (
        {"displayName": " "},
        {"displayName": "x" * 256},
        {"vaultType": "OTHER"},
        {"vaultType": "EXTERNAL", "externalKeyManagerMetadata": {"oauthMetadata": {"clientAppSecret": "s"}}},
        {"externalKeyManagerMetadata": {}},
        {"freeformTags": {str(number): "" for number in range(65)}},
        {"definedTags": {"": {"a": "b"}}},
    ):
        assert await desk.refusal("CreateVault", body={**good, **wrong}) == BAD
    assert await desk.refusal("CreateVault", body={**good, "compartmentId": new_ocid("compartment")}) == RELATED
    assert await desk.store.read("SELECT id FROM oci_vaults") == []
    made = await created(desk)
    for days in (6.99, 30.01, -1, 4000):
        assert await desk.refusal("ScheduleVaultDeletion", made["id"], body=_at(desk, days)) == BAD
    for text in ("soon", "2027-13-01T00:00:00Z", "x" * 70000):
        assert await desk.refusal("ScheduleVaultDeletion", made["id"], body={"timeOfDeletion": text}) == BAD
    assert await desk.refusal("ChangeVaultCompartment", made["id"], body={"compartmentId": "x"}) == RELATED
    assert await desk.refusal("ChangeVaultCompartment", made["id"], body={}) == BAD
    vault = await desk.ask("GetVault", made["id"])
    assert (vault["lifecycleState"], vault["compartmentId"]) == ("ACTIVE", desk.production)
    assert await desk.refusal("GetVault", "ocid1.vault\0") == ABSENT


def _at(desk: Desk, days: float) -> dict[str, str]:
    return {"timeOfDeletion": written(max(0.0, desk.clock.now() + days * DAY_S))}


async def test_an_etag_guards_a_change(desk: Desk) -> None:
    made = await created(desk)
    first = (await desk.ask("GetVault", made["id"])).etag
    second = (await desk.ask("UpdateVault", made["id"], body={"displayName": "b"}, if_match=first)).etag
    for operation, body in (
        ("UpdateVault", {"displayName": "c"}),
        ("ScheduleVaultDeletion", {}),
        ("CancelVaultDeletion", None),  # the etag is compared before the state
        ("ChangeVaultCompartment", {"compartmentId": desk.staging}),
        ("CreateVaultReplica", {"replicaRegion": REGION}),
    ):
        assert await desk.refusal(operation, made["id"], body=body, if_match=first) == STALE
    vault = await desk.ask("GetVault", made["id"])
    assert (vault["displayName"], vault["compartmentId"], vault.etag) == ("b", desk.production, second)
    for given in (f'"{second}"', f"{second}--gzip"):
        refused = desk.refusal("CancelVaultDeletion", made["id"], if_match=given)
        assert await refused == WRONG_STATE  # so the etag was right
    await desk.ask("ScheduleVaultDeletion", made["id"], if_match="*")


async def test_a_retry_token_is_spent_once(desk: Desk) -> None:
    body = {"compartmentId": desk.production, "displayName": "a", "vaultType": "DEFAULT"}
    both = await asyncio.gather(*(desk.ask("CreateVault", body=body, retry_token="t1") for _ in range(2)))
    first, again = both
    assert first.json == again.json
    assert first.etag == again.etag
    assert len((await desk.ask("ListVaults", query={"compartmentId": desk.production})).json) == 1
    other = {**body, "displayName": "b"}
    assert await desk.refusal("CreateVault", body=other, retry_token="t1") == SPENT
    somebody = msgspec.structs.replace(desk.caller, user_id=new_ocid("user"))
    theirs = await desk.ask("CreateVault", body=body, retry_token="t1", caller=somebody)
    assert theirs["id"] != first["id"]

    scheduled = await desk.ask("ScheduleVaultDeletion", first["id"], retry_token="t2")
    desk.clock.advance(60)
    repeated = await desk.ask("ScheduleVaultDeletion", first["id"], retry_token="t2")
    assert repeated.json == scheduled.json
    assert await desk.refusal("ScheduleVaultDeletion", first["id"], retry_token="t3") == WRONG_STATE
    await desk.ask("CancelVaultDeletion", first["id"], retry_token="t4")
    move = {"compartmentId": desk.staging}
    await desk.ask("ChangeVaultCompartment", first["id"], body=move, retry_token="t5")
    moved_again = await desk.ask("ChangeVaultCompartment", first["id"], body=move, retry_token="t5")
    assert moved_again.json is None
    assert await desk.refusal("CreateVault", body=body, retry_token="t1") == SPENT  # it was moved
    await desk.ask("ScheduleVaultDeletion", first["id"], body=_at(desk, 7), retry_token="t6")
    assert await desk.refusal("CreateVault", body=body, retry_token="x" * 65) == BAD
    desk.clock.advance(7 * DAY_S + 1)
    spent_long_ago = await desk.ask("CreateVault", body=body, retry_token="t1")
    assert spent_long_ago["id"] != first["id"]


async def test_a_retry_token_of_what_is_gone_is_invalid(desk: Desk) -> None:
    made = await created(desk)
    await desk.ask("ScheduleVaultDeletion", made["id"], body=_at(desk, 7))
    desk.clock.advance(7 * DAY_S - 60)
    await desk.ask("CancelVaultDeletion", made["id"], retry_token="t")
    await desk.store.write(lambda tx: tx.execute("UPDATE oci_vaults SET state = 'DELETED'"))
    assert await desk.refusal("CancelVaultDeletion", made["id"], retry_token="t") == SPENT


async def test_pages_hold_while_rows_come_and_go(desk: Desk) -> None:
    names = [f"v{number:02}" for number in range(9)]
    ids = {}
    for number, name in enumerate(names):
        ids[name] = (await created(desk, name))["id"]
        desk.clock.advance(number % 2)  # two of the same time, now and then
    by_time = {"compartmentId": desk.production, "limit": 2}
    pages = await desk.pages("ListVaults", query=by_time)
    assert [len(page) for page in pages] == [2, 2, 2, 2, 1]
    assert [vault["displayName"] for page in pages for vault in page] == names[::-1]
    assert "timeOfDeletion" not in pages[0][0]
    by_name = {**by_time, "sortBy": "DISPLAYNAME", "limit": 3}
    first = await desk.ask("ListVaults", query=by_name)
    assert [vault["displayName"] for vault in first.json] == names[:3]
    await created(desk, "v00a")  # before the mark: not shown any more
    await created(desk, "v03a")
    await desk.ask("ChangeVaultCompartment", ids["v05"], body={"compartmentId": desk.staging})
    rest = await desk.pages("ListVaults", query={**by_name, "page": first.next_page})
    shown = [vault["displayName"] for page in rest for vault in page]
    assert shown == ["v03", "v03a", "v04", "v06", "v07", "v08"]
    ascending = await desk.ask("ListVaults", query={"compartmentId": desk.staging, "sortOrder": "asc"})
    assert [vault["displayName"] for vault in ascending.json] == ["v05"]
    assert ascending.next_page is None
    for wrong in ({"limit": 0}, {"limit": "x"}, {"page": "%%%"}, {"sortBy": "COLOUR"}, {"sortOrder": "UP"}):
        assert await desk.refusal("ListVaults", query={**by_time, **wrong}) == BAD
    assert await desk.refusal("ListVaults", query={**by_time, "page": first.next_page}) == BAD
    assert await desk.refusal("ListVaults") == BAD


async def test_a_list_is_of_one_region_and_keeps_the_deleted(desk: Desk) -> None:
    here = await created(desk, "here")
    there = desk.place(region="eu-frankfurt-1")
    body = {"compartmentId": desk.production, "displayName": "there", "vaultType": "VIRTUAL_PRIVATE"}
    far = await desk.ask("CreateVault", body=body, place=there)
    assert far["id"].startswith("ocid1.vault.oc1.eu-frankfurt-1.")
    await desk.ask("ScheduleVaultDeletion", here["id"])
    desk.clock.advance(31 * DAY_S)
    query = {"compartmentId": desk.production}
    (listed,) = (await desk.ask("ListVaults", query=query)).json
    assert (listed["displayName"], listed["lifecycleState"]) == ("here", "DELETED")
    assert [one["id"] for one in (await desk.ask("ListVaults", query=query, place=there)).json] == [far["id"]]
    assert await desk.refusal("GetVault", far["id"]) == ABSENT
    assert await desk.refusal("ScheduleVaultDeletion", far["id"]) == ABSENT
    assert (await desk.ask("GetVault", far["id"], place=there))["lifecycleState"] == "ACTIVE"


ASKS: dict[str, tuple[Verb, Any]] = {
    "GetVault": (Verb.READ, None),
    "GetVaultUsage": (Verb.READ, None),
    "ListVaultReplicas": (Verb.READ, None),
    "UpdateVault": (Verb.USE, {"displayName": "x"}),
    "ScheduleVaultDeletion": (Verb.MANAGE, {}),
    "CancelVaultDeletion": (Verb.MANAGE, None),
    "ChangeVaultCompartment": (Verb.MANAGE, None),
    "CreateVaultReplica": (Verb.MANAGE, {"replicaRegion": REGION}),
    "DeleteVaultReplica": (Verb.MANAGE, {"replicaRegion": REGION}),
    "UpdateRegisteredVaultForMtls": (Verb.USE, {"fleetId": "x"}),
}


async def test_what_a_caller_may_not_do_is_as_if_it_were_not_there(desk: Desk) -> None:
    made = await created(desk)
    stranger = msgspec.structs.replace(desk.caller, tenancy_num=desk.caller.tenancy_num + 1)
    for operation, (needed, asked) in ASKS.items():
        body = {"compartmentId": desk.staging} if operation == "ChangeVaultCompartment" else asked
        assert await desk.refusal(operation, new_ocid("vault"), body=body) == ABSENT
        assert await desk.refusal(operation, made["id"], body=body, caller=stranger) == ABSENT
        desk.rights.verbs[desk.production] = Verb(needed - 1)
        assert await desk.refusal(operation, made["id"], body=body, if_match="other") == ABSENT
        desk.rights.verbs[desk.production] = Verb.MANAGE
    query = {"compartmentId": desk.production}
    del desk.rights.verbs[desk.production]
    assert await desk.refusal("ListVaults", query=query) == ABSENT
    assert await desk.refusal("ListVaults", query={"compartmentId": new_ocid("compartment")}) == ABSENT
    desk.rights.verbs[desk.production] = Verb.INSPECT
    assert len((await desk.ask("ListVaults", query=query)).json) == 1
    desk.rights.verbs[desk.production] = Verb.USE
    body = {**query, "displayName": "a", "vaultType": "DEFAULT"}
    assert await desk.refusal("CreateVault", body=body) == RELATED
    desk.rights.verbs |= {desk.production: Verb.MANAGE, desk.staging: Verb.USE}
    assert await desk.refusal("ChangeVaultCompartment", made["id"], body={"compartmentId": desk.staging}) == RELATED


async def test_what_is_not_offered_says_so(desk: Desk) -> None:
    made = await created(desk, kind="VIRTUAL_PRIVATE")
    read = await desk.ask("GetVault", made["id"])
    assert (read["isPrimary"], read["isVaultReplicable"], read["replicaDetails"]) == (True, False, None)
    assert (await desk.ask("ListVaultReplicas", made["id"])).json == []
    same = await desk.ask("CreateVaultReplica", made["id"], body={"replicaRegion": REGION})
    assert (same.json, same.etag) == (None, read.etag)
    other = {"replicaRegion": "eu-frankfurt-1"}
    assert await desk.refusal("CreateVaultReplica", made["id"], body=other) == BAD
    assert await desk.refusal("DeleteVaultReplica", made["id"], body=other) == BAD
    assert await desk.refusal("CreateVaultReplica", made["id"], body={}) == BAD
    told = await desk.refusal("UpdateRegisteredVaultForMtls", made["id"], body={"fleetId": "x"})
    assert told == (501, "MethodNotImplemented")


async def test_the_vault_of_a_host(desk: Desk) -> None:
    made = await created(desk)
    prefix = made["id"].split(".")[4]
    for plane in (Plane.MANAGEMENT, Plane.CRYPTO):
        call = desk.call("GetVault", made["id"], place=desk.place(plane, prefix))
        assert (await vault_at(desk.store, call)).id == made["id"]
    stranger = msgspec.structs.replace(desk.caller, tenancy_num=desk.caller.tenancy_num + 1)
    hidden = (
        desk.call("GetVault", made["id"]),  # the regional host
        desk.call("GetVault", made["id"], place=desk.place(Plane.CRYPTO, "a" * 13)),
        desk.call("GetVault", made["id"], place=desk.place(Plane.CRYPTO, prefix, "eu-frankfurt-1")),
        desk.call("GetVault", made["id"], place=desk.place(Plane.CRYPTO, prefix), caller=stranger),
    )
    for call in hidden:
        with pytest.raises(NotFound):
            await vault_at(desk.store, call)
    num = (await vault_at(desk.store, desk.call("ListVaults", place=desk.place(Plane.CRYPTO, prefix)))).num
    assert (await desk.store.write(lambda tx: writable(tx, num, desk.clock.now()))).id == made["id"]
    await desk.ask("ScheduleVaultDeletion", made["id"])
    call = desk.call("ListVaults", place=desk.place(Plane.CRYPTO, prefix))
    assert (await vault_at(desk.store, call)).num == num  # a pending vault answers reads
    with pytest.raises(Conflict, match="WrongState"):
        await desk.store.write(lambda tx: writable(tx, num, desk.clock.now()))
    desk.clock.advance(31 * DAY_S)
    with pytest.raises(NotFound):
        await vault_at(desk.store, desk.call("ListVaults", place=desk.place(Plane.CRYPTO, prefix)))


async def test_vaults_get_the_ports_there_are(desk: Desk) -> None:
    desk.add(VaultRoutes(Vaults(desk.store, slots=2)).routes())
    ends = [(await created(desk, name))["cryptoEndpoint"].rpartition("localhost")[2] for name in "abc"]
    assert ends == [":0", ":1", ""]
    found = await records.by_slot(desk.store, 1)
    assert found is not None
    assert found.display_name == "b"
    assert await records.by_slot(desk.store, 2) is None


async def test_a_vault_is_there_after_a_restart(database_url: str) -> None:
    clock = ManualClock(1_800_000_000.0)
    async with open_desk(database_url, clock) as desk:
        desk.add(VaultRoutes(Vaults(desk.store)).routes())
        made = await created(desk)
        await desk.ask("ScheduleVaultDeletion", made["id"], body=_at(desk, 7))
    clock.advance(8 * DAY_S)
    async with open_desk(database_url, clock) as later:
        later.add(VaultRoutes(Vaults(later.store)).routes())
        later.caller, later.rights = desk.caller, desk.rights
        assert (await later.ask("GetVault", made["id"]))["lifecycleState"] == "DELETED"
        assert await later.refusal("CancelVaultDeletion", made["id"]) == WRONG_STATE
