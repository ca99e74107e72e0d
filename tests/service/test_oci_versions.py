"""Key versions of the embedded OCI, and keys that rotate themselves, as operations on both databases."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from claviger.core.clock import ManualClock
from claviger.core.errors import Conflict, Throttled
from claviger.crypto.material import Material, Shape
from claviger.ocikms.calls import Verb
from claviger.ocikms.demo import furnish_demo
from claviger.ocikms.errors import told
from claviger.ocikms.identity.demo import seed_demo
from claviger.ocikms.keys import rotation
from claviger.ocikms.keys.operations import Keys
from claviger.ocikms.keys.routes import KeyRoutes
from claviger.ocikms.materials import Materials
from claviger.ocikms.ocids import new_version_ocid
from claviger.ocikms.texts import written
from claviger.ocikms.versions import deletion, records
from claviger.ocikms.versions.operations import Versions
from claviger.ocikms.versions.routes import VersionRoutes
from claviger.ocikms.wrapping.operations import Wrapping
from claviger.sealing.keyring import Keyring
from claviger.sealing.notes import SealedNotes
from tests.oci_keys import KeyDesk, open_key_desk
from tests.ocikms import ABSENT, BAD, DAY_S, REGION, SPENT, STALE, WRONG_STATE, open_desk

VERSION_FIELDS = {
    *("id", "compartmentId", "timeCreated", "lifecycleState", "vaultId", "keyId", "timeOfDeletion", "origin"),
    *("publicKey", "restoredFromKeyVersionId", "replicaDetails", "isPrimary", "externalKeyReferenceDetails"),
    "isAutoRotated",
}
SUMMARY_FIELDS = VERSION_FIELDS - {"publicKey", "restoredFromKeyVersionId", "replicaDetails", "isPrimary"}
PRIVATE = "VIRTUAL_PRIVATE"


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[KeyDesk]:
    async with open_key_desk(database_url) as opened:
        yield opened


async def version_state(desk: KeyDesk, key_id: str, version_id: str) -> str:
    return str((await desk.ask("GetKeyVersion", key_id, version_id))["lifecycleState"])


async def test_a_version_from_its_making_to_its_end(desk: KeyDesk) -> None:
    key = await desk.create()
    key_id, first = key["id"], key["currentKeyVersion"]
    etag = (await desk.read(key_id)).etag
    desk.clock.advance(1)
    made = await desk.ask("CreateKeyVersion", key_id, body={})
    assert set(made.json) == VERSION_FIELDS
    prefix = desk.prefix()
    assert re.fullmatch(rf"ocid1\.keyversion\.oc1\.iad\.{prefix}\.[a-z2-7]{{12}}\.[a-z2-7]{{60}}", made["id"])
    assert (made["keyId"], made["vaultId"]) == (key_id, key["vaultId"])
    assert (made["lifecycleState"], made["origin"], made["isAutoRotated"]) == ("CREATING", "INTERNAL", False)
    after = await desk.read(key_id)
    assert (after["currentKeyVersion"], after["lifecycleState"]) == (made["id"], "ENABLED")
    assert after.etag != etag
    read = await desk.ask("GetKeyVersion", key_id, made["id"])
    assert read.json == {**made.json, "lifecycleState": "ENABLED"}
    assert read.etag == made.etag is not None

    with pytest.raises(Conflict) as refused:
        await desk.ask("ScheduleKeyVersionDeletion", key_id, made["id"])
    assert told(refused.value)[:2] == WRONG_STATE
    assert "cannot be deleted because it is the current key version" in told(refused.value)[2]

    assert await desk.refusal("CancelKeyVersionDeletion", key_id, first) == WRONG_STATE
    before = await desk.ask("GetKeyVersion", key_id, first)
    bad = {"timeOfDeletion": written(desk.clock.now() + 6 * DAY_S)}
    assert await desk.refusal("ScheduleKeyVersionDeletion", key_id, first, body=bad) == BAD
    scheduled = await desk.ask("ScheduleKeyVersionDeletion", key_id, first)
    assert (scheduled["lifecycleState"], scheduled["timeOfDeletion"]) == (
        "SCHEDULING_DELETION",
        "2027-02-14T08:00:01.000Z",
    )
    pending = await desk.ask("GetKeyVersion", key_id, first)
    assert pending.json == {**scheduled.json, "lifecycleState": "PENDING_DELETION"}
    assert await desk.refusal("ScheduleKeyVersionDeletion", key_id, first) == WRONG_STATE
    assert await desk.refusal("CancelKeyVersionDeletion", key_id, first, if_match=before.etag) == STALE
    cancelled = await desk.ask("CancelKeyVersionDeletion", key_id, first, if_match=scheduled.etag)
    assert (cancelled["lifecycleState"], cancelled["timeOfDeletion"]) == ("CANCELLING_DELETION", None)
    back = await desk.ask("GetKeyVersion", key_id, first)
    assert back.json == before.json
    assert (pending.etag, back.etag) == (scheduled.etag, cancelled.etag)
    assert len({before.etag, scheduled.etag, cancelled.etag}) == 3

    await desk.ask("ScheduleKeyVersionDeletion", key_id, first)
    desk.clock.advance(30 * DAY_S - 0.001)
    assert await version_state(desk, key_id, first) == "PENDING_DELETION"
    desk.clock.advance(0.001)
    assert await version_state(desk, key_id, first) == "DELETED"
    assert await desk.refusal("CancelKeyVersionDeletion", key_id, first) == WRONG_STATE
    assert await version_state(desk, key_id, made["id"]) == "ENABLED"


async def test_what_is_due_is_destroyed_alone(desk: KeyDesk) -> None:
    store, keyring, clock = desk.desk.store, desk.desk.keyring, desk.clock
    key = await desk.create()
    await desk.ask("CreateKeyVersion", key["id"])
    first = key["currentKeyVersion"]
    await desk.ask("ScheduleKeyVersionDeletion", key["id"], first)
    assert await deletion.next_due(store) == clock.now() + 30 * DAY_S
    assert await deletion.delete_due(store, keyring, clock.now() + 30 * DAY_S - 1, 10) == 0
    clock.advance(31 * DAY_S)  # also after the server was down
    shown = await desk.ask("GetKeyVersion", key["id"], first)
    assert await deletion.delete_due(store, keyring, clock.now(), 10) == 1
    assert await deletion.delete_due(store, keyring, clock.now(), 10) == 0
    assert await deletion.next_due(store) is None
    after = await desk.ask("GetKeyVersion", key["id"], first)
    assert (after.json, after.etag) == (shown.json, shown.etag)
    gone = await records.for_use(store, key["id"], first)
    assert gone is not None
    assert (gone.sealed, gone.version.data_key_id) == (None, None)
    kept = await records.for_use(store, key["id"], None)
    assert kept is not None
    assert kept.sealed is not None
    assert await records.for_use(store, key["id"], "ocid1.keyversion.other") is None


async def test_a_key_is_rotated_only_when_enabled(desk: KeyDesk) -> None:
    key_id = (await desk.create())["id"]
    assert await desk.refusal("CreateKeyVersion", key_id, body={"externalKeyVersionId": "x"}) == BAD
    await desk.ask("DisableKey", key_id)
    assert await desk.refusal("CreateKeyVersion", key_id) == WRONG_STATE
    assert await desk.refusal("CreateKeyVersion", key_id, body={"externalKeyVersionId": "x"}) == WRONG_STATE
    unusable = {"wrappedImportKey": {"keyMaterial": "AAAA", "wrappingAlgorithm": "RSA_OAEP_SHA256"}}
    assert await desk.refusal("ImportKeyVersion", key_id, body=unusable) == WRONG_STATE
    await desk.ask("EnableKey", key_id)
    assert await desk.refusal("ImportKeyVersion", key_id, body=unusable) == BAD
    assert await desk.refusal("ImportKeyVersion", key_id, body={}) == BAD
    assert len((await desk.ask("ListKeyVersions", key_id)).json) == 1
    curve = await desk.create(keyShape={"algorithm": "ECDSA", "length": 32})
    assert await desk.refusal("ImportKeyVersion", curve["id"], body=unusable) == BAD


class Interrupted(Materials):
    """Something else happens while material is made."""

    def __init__(self, keyring: Keyring, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(keyring)
        self._meanwhile = meanwhile

    async def made(self, shape: Shape) -> Material:
        await self._meanwhile()
        return await super().made(shape)


async def test_what_happens_while_material_is_made_counts(desk: KeyDesk) -> None:
    store, keyring = desk.desk.store, desk.desk.keyring
    key_id, other = (await desk.create())["id"], (await desk.create())["id"]

    def interrupted(meanwhile: Callable[[], Awaitable[object]]) -> Interrupted:
        materials = Interrupted(keyring, meanwhile)
        wrapping = Wrapping(store, keyring, materials)
        desk.desk.add(KeyRoutes(Keys(store, keyring, materials, wrapping)).routes())
        desk.desk.add(VersionRoutes(Versions(store, keyring, materials, wrapping)).routes())
        return materials

    materials = interrupted(lambda: desk.ask("DisableKey", key_id))
    assert await desk.refusal("CreateKeyVersion", key_id) == WRONG_STATE
    materials.stop()
    vault_id = desk.vaults["DEFAULT"]["id"]
    materials = interrupted(lambda: desk.desk.ask("ScheduleVaultDeletion", vault_id))
    assert await desk.refusal("CreateKey", body=desk.details()) == WRONG_STATE
    materials.stop()
    rows = await store.read("SELECT COUNT(*) FROM oci_key_versions")
    assert rows[0][0] == 2
    for each in (key_id, other):
        assert await desk.state(each) == "PENDING_DELETION"


async def test_all_in_a_deleted_vault_is_deleted(desk: KeyDesk) -> None:
    key = await desk.create()
    found = await records.find(desk.desk.store, key["id"], key["currentKeyVersion"])
    assert found is not None
    stored, version = found
    gone = msgspec.structs.replace(stored, vault_state="DELETED")
    now = desk.clock.now()
    assert (stored.shown_at(now), version.shown_at(now, stored)) == ("ENABLED", "ENABLED")
    assert (gone.shown_at(now), version.shown_at(now, gone)) == ("DELETED", "DELETED")


async def test_versions_of_a_pending_key_are_left_alone(desk: KeyDesk) -> None:
    key = await desk.create()
    key_id, first = key["id"], key["currentKeyVersion"]
    second = (await desk.ask("CreateKeyVersion", key_id))["id"]
    await desk.ask("CreateKeyVersion", key_id)
    await desk.ask("ScheduleKeyVersionDeletion", key_id, first)
    await desk.ask("ScheduleKeyDeletion", key_id)
    assert await desk.refusal("ScheduleKeyVersionDeletion", key_id, second) == WRONG_STATE
    assert await desk.refusal("CancelKeyVersionDeletion", key_id, first) == WRONG_STATE
    assert await version_state(desk, key_id, second) == "ENABLED"
    await desk.ask("CancelKeyDeletion", key_id)
    await desk.ask("DisableKey", key_id)
    await desk.ask("ScheduleKeyVersionDeletion", key_id, second)
    await desk.desk.ask("ScheduleVaultDeletion", desk.vaults["DEFAULT"]["id"])
    assert await desk.refusal("CancelKeyVersionDeletion", key_id, first) == WRONG_STATE
    assert await version_state(desk, key_id, first) == "PENDING_DELETION"


async def test_states_of_versions_pass_by_themselves(database_url: str) -> None:
    async with open_key_desk(database_url, settle_s=5) as desk:
        key = await desk.create()
        desk.clock.advance(5)
        second = (await desk.ask("CreateKeyVersion", key["id"]))["id"]
        assert await version_state(desk, key["id"], second) == "CREATING"
        assert await desk.state(key["id"]) == "ENABLED"
        desk.clock.advance(5)
        assert await version_state(desk, key["id"], second) == "ENABLED"
        await desk.ask("ScheduleKeyVersionDeletion", key["id"], key["currentKeyVersion"])
        assert await desk.refusal("CancelKeyVersionDeletion", key["id"], key["currentKeyVersion"]) == WRONG_STATE
        desk.clock.advance(5)
        await desk.ask("CancelKeyVersionDeletion", key["id"], key["currentKeyVersion"])
        assert await version_state(desk, key["id"], key["currentKeyVersion"]) == "CANCELLING_DELETION"
        desk.clock.advance(5)
        moving = {"compartmentId": desk.desk.staging}
        await desk.desk.ask("ChangeVaultCompartment", desk.vaults["DEFAULT"]["id"], body=moving)  # it is UPDATING
        first = key["currentKeyVersion"]
        assert await desk.refusal("ScheduleKeyVersionDeletion", key["id"], first) == WRONG_STATE
        assert await desk.refusal("CreateKeyVersion", key["id"]) == WRONG_STATE
        assert await desk.refusal("DisableKey", key["id"]) == WRONG_STATE


async def test_retry_tokens_make_one_version(desk: KeyDesk) -> None:
    key = await desk.create()
    key_id, first = key["id"], key["currentKeyVersion"]
    made = await desk.ask("CreateKeyVersion", key_id, retry_token="t")
    again = await desk.ask("CreateKeyVersion", key_id, retry_token="t")
    assert (again.json, again.etag) == (made.json, made.etag)
    assert len((await desk.ask("ListKeyVersions", key_id)).json) == 2
    scheduled = await desk.ask("ScheduleKeyVersionDeletion", key_id, first, retry_token="s")
    assert (await desk.ask("ScheduleKeyVersionDeletion", key_id, first, retry_token="s")).json == scheduled.json
    other = (await desk.create())["id"]
    assert await desk.refusal("CreateKeyVersion", other, retry_token="t") == SPENT
    await desk.ask("DisableKey", key_id)
    assert (await desk.ask("CreateKeyVersion", key_id, retry_token="t")).json == made.json  # it was done
    await desk.ask("ChangeKeyCompartment", key_id, body={"compartmentId": desk.desk.staging})
    assert await desk.refusal("CreateKeyVersion", key_id, retry_token="t") == SPENT


async def test_versions_come_in_pages(desk: KeyDesk) -> None:
    key = await desk.create()
    rotated = [await desk.ask("CreateKeyVersion", key["id"]) for _ in range(4)]  # all of one moment
    made = [key["currentKeyVersion"], *(version["id"] for version in rotated)]

    async def ids(**query: Any) -> list[str]:
        found = await desk.desk.pages("ListKeyVersions", key["id"], query=query, vault=desk.prefix())
        assert all(len(page) <= int(query.get("limit", 100)) for page in found)
        return [version["id"] for page in found for version in page]

    assert await ids(limit=2) == made[::-1]
    assert await ids(limit=2, sortOrder="ASC") == made
    assert await ids(limit=2, sortBy="DISPLAYNAME") == sorted(made)
    told = await desk.ask("ListKeyVersions", key["id"])
    assert {frozenset(version) for version in told.json} == {frozenset(SUMMARY_FIELDS)}


async def test_what_a_caller_may_not_see_is_not_there(desk: KeyDesk) -> None:
    key, other = await desk.create(), await desk.create()
    key_id, version_id = key["id"], key["currentKeyVersion"]
    for wrong in ((key_id, new_version_ocid(REGION, desk.prefix())), (other["id"], version_id)):
        assert await desk.refusal("GetKeyVersion", *wrong) == ABSENT
        assert await desk.refusal("ScheduleKeyVersionDeletion", *wrong) == ABSENT
    assert await desk.refusal("GetKeyVersion", key_id, version_id, kind=PRIVATE) == ABSENT
    assert await desk.refusal("ListKeyVersions", key_id, kind=PRIVATE) == ABSENT
    assert await desk.refusal("CreateKeyVersion", key_id, kind=PRIVATE) == ABSENT
    desk.desk.rights.verbs[desk.desk.production] = Verb.INSPECT
    assert await desk.refusal("GetKeyVersion", key_id, version_id) == ABSENT
    assert len((await desk.ask("ListKeyVersions", key_id)).json) == 1
    desk.desk.rights.verbs[desk.desk.production] = Verb.USE
    await desk.ask("GetKeyVersion", key_id, version_id)
    assert await desk.refusal("CancelKeyVersionDeletion", key_id, version_id) == ABSENT
    assert await desk.refusal("CreateKeyVersion", key_id) == ABSENT


# Rotation by itself.

EVERY_60_DAYS = {"isAutoRotationEnabled": True, "autoKeyRotationDetails": {"rotationIntervalInDays": "60"}}


async def sweep(desk: KeyDesk, materials: Materials | None = None) -> int:
    store, keyring = desk.desk.store, desk.desk.keyring
    return await rotation.rotate_due(store, keyring, materials or desk.materials, desk.clock.now(), 10)


async def test_a_key_rotates_itself(desk: KeyDesk) -> None:
    made = await desk.create(kind=PRIVATE, **EVERY_60_DAYS)  # type: ignore[arg-type]
    assert made["isAutoRotationEnabled"] is True
    assert made["autoKeyRotationDetails"] == {
        "rotationIntervalInDays": 60,
        "timeOfScheduleStart": "2027-01-15T00:00:00.000Z",
        "timeOfNextRotation": "2027-03-16T00:00:00.000Z",
        "timeOfLastRotation": None,
        "lastRotationStatus": None,
        "lastRotationMessage": None,
    }
    due = await rotation.next_due(desk.desk.store)
    assert due is not None
    desk.clock.set(due - 1)
    assert await sweep(desk) == 0
    desk.clock.advance(301 * DAY_S)  # the server was down for long: once is enough
    etag = (await desk.read(made["id"], kind=PRIVATE)).etag
    assert await sweep(desk) == 1
    assert await sweep(desk) == 0
    after = await desk.read(made["id"], kind=PRIVATE)
    assert after.etag != etag
    assert after["autoKeyRotationDetails"] == {
        **made["autoKeyRotationDetails"],
        "timeOfNextRotation": "2028-03-10T00:00:00.000Z",
        "timeOfLastRotation": written(desk.clock.now()),
        "lastRotationStatus": "SUCCESS",
    }
    versions = (await desk.ask("ListKeyVersions", made["id"], kind=PRIVATE)).json
    assert [version["isAutoRotated"] for version in versions] == [True, False]
    assert [version["id"] for version in versions] == [after["currentKeyVersion"], made["currentKeyVersion"]]
    shown = await desk.ask("GetKeyVersion", made["id"], after["currentKeyVersion"], kind=PRIVATE)
    assert (shown["isAutoRotated"], shown["origin"], shown["lifecycleState"]) == (True, "INTERNAL", "ENABLED")


async def test_a_rotation_is_paused_while_the_key_or_its_vault_is_not_in_use(desk: KeyDesk) -> None:
    key_id = (await desk.create(kind=PRIVATE, **EVERY_60_DAYS))["id"]  # type: ignore[arg-type]
    vault_id, store = desk.vaults[PRIVATE]["id"], desk.desk.store
    await desk.ask("DisableKey", key_id, kind=PRIVATE)
    desk.clock.advance(61 * DAY_S)
    assert (await sweep(desk), await rotation.next_due(store)) == (0, None)
    await desk.ask("EnableKey", key_id, kind=PRIVATE)
    await desk.desk.ask("ScheduleVaultDeletion", vault_id)
    assert (await sweep(desk), await rotation.next_due(store)) == (0, None)
    await desk.desk.ask("CancelVaultDeletion", vault_id)
    assert (await sweep(desk), await sweep(desk)) == (1, 0)

    off = {"isAutoRotationEnabled": False}
    told = await desk.ask("UpdateKey", key_id, kind=PRIVATE, body=off)
    assert told["isAutoRotationEnabled"] is False
    assert told["autoKeyRotationDetails"]["timeOfNextRotation"] is None
    assert told["autoKeyRotationDetails"]["rotationIntervalInDays"] == 60
    desk.clock.advance(61 * DAY_S)
    assert await sweep(desk) == 0
    on = await desk.ask("UpdateKey", key_id, kind=PRIVATE, body={"isAutoRotationEnabled": True})
    assert on["autoKeyRotationDetails"]["timeOfNextRotation"] == "2027-07-14T00:00:00.000Z"
    for days in (59, 366, "x"):
        body = {"autoKeyRotationDetails": {"rotationIntervalInDays": days}}
        assert await desk.refusal("UpdateKey", key_id, kind=PRIVATE, body=body) == BAD


class BusyMaterials(Materials):
    """Has no thread free."""

    async def made(self, shape: Shape) -> Material:
        raise Throttled("TooMuchWork", message="too many expensive operations at once; try again")


async def test_a_rotation_that_fails_is_noted_and_tried_again(desk: KeyDesk) -> None:
    key_id = (await desk.create(kind=PRIVATE, **EVERY_60_DAYS))["id"]  # type: ignore[arg-type]
    desk.clock.advance(61 * DAY_S)
    busy = BusyMaterials(desk.desk.keyring)
    assert (await sweep(desk, busy), await sweep(desk, busy)) == (1, 0)
    busy.stop()
    noted = (await desk.read(key_id, kind=PRIVATE))["autoKeyRotationDetails"]
    assert (noted["lastRotationStatus"], noted["timeOfLastRotation"]) == ("FAILED", None)
    assert "too many" in noted["lastRotationMessage"]
    assert await rotation.next_due(desk.desk.store) == desk.clock.now() + rotation.RETRY_S
    desk.clock.advance(rotation.RETRY_S)
    assert await sweep(desk) == 1
    after = (await desk.read(key_id, kind=PRIVATE))["autoKeyRotationDetails"]
    assert (after["lastRotationStatus"], after["lastRotationMessage"]) == ("SUCCESS", None)
    assert after["timeOfNextRotation"] == "2027-05-15T00:00:00.000Z"  # in step again


# The demo.


async def test_the_demo_has_vaults_and_keys_in_several_states(database_url: str) -> None:
    async with open_desk(database_url, ManualClock(1_800_000_000.0)) as desk:
        await desk.store.write(lambda tx: tx.execute("DELETE FROM oci_tenancies"))
        notes = SealedNotes(desk.store, desk.keyring, desk.clock)
        assert await seed_demo(desk.store, notes, desk.clock)
        assert await furnish_demo(desk.store, desk.keyring, notes, desk.clock, slots=2)
        assert not await furnish_demo(desk.store, desk.keyring, notes, desk.clock, slots=2)
        vaults = await desk.store.read("SELECT display_name, vault_type, slot FROM oci_vaults ORDER BY num")
        assert [tuple(row) for row in vaults] == [("demo", "DEFAULT", 0), ("demo-private", PRIVATE, 1)]
        rows = await desk.store.read(
            "SELECT k.display_name, k.state, k.compartment_id, COUNT(*) FROM oci_keys k"
            " JOIN oci_key_versions r ON r.key_num = k.num GROUP BY k.display_name, k.state, k.compartment_id"
        )
        assert {row[1] for row in rows} == {"ENABLED", "DISABLED", "PENDING_DELETION"}
        assert {row[0]: row[3] for row in rows if row[3] > 1} == {"orders": 3}
        assert len({row[2] for row in rows}) == 3
