"""Keys of the embedded OCI as operations, on both databases: life, dates, etags, retry tokens, and what is hidden."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from claviger.crypto.key_wrapping import BY_AES
from claviger.ocikms.calls import Verb
from claviger.ocikms.keys import deletion, records
from claviger.ocikms.keys.shown import REMEMBERED_KEYS, ShownKeys
from claviger.ocikms.ocids import new_ocid, new_regional_ocid
from claviger.ocikms.texts import written
from claviger.ocikms.versions import records as versions
from tests.oci_keys import AES, KeyDesk, open_key_desk
from tests.ocikms import ABSENT, BAD, DAY_S, RELATED, SPENT, STALE, WRONG_STATE, quickly

KEY_FIELDS = {
    *("id", "compartmentId", "timeCreated", "displayName", "lifecycleState", "vaultId", "keyShape"),
    *("currentKeyVersion", "protectionMode", "timeOfDeletion", "freeformTags", "definedTags", "restoredFromKeyId"),
    *("replicaDetails", "isPrimary", "externalKeyReferenceDetails", "isAutoRotationEnabled"),
    "autoKeyRotationDetails",
}
SUMMARY_FIELDS = {
    *("id", "compartmentId", "timeCreated", "displayName", "lifecycleState", "vaultId", "algorithm"),
    *("protectionMode", "freeformTags", "definedTags", "externalKeyReferenceDetails", "isAutoRotationEnabled"),
}


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[KeyDesk]:
    async with open_key_desk(database_url) as opened:
        yield opened


async def test_a_key_from_its_making_to_its_end(desk: KeyDesk) -> None:
    tags: dict[str, Any] = {"freeformTags": {"a": "b"}, "definedTags": {"space": {"key": 1}}}
    made = await desk.create(**tags, protectionMode="SOFTWARE")
    assert set(made.json) == KEY_FIELDS
    prefix = desk.prefix()
    assert re.fullmatch(rf"ocid1\.key\.oc1\.iad\.{prefix}\.[a-z2-7]{{60}}", made["id"])
    assert made["currentKeyVersion"].startswith(f"ocid1.keyversion.oc1.iad.{prefix}.")
    assert made["vaultId"] == desk.vaults["DEFAULT"]["id"]
    assert (made["keyShape"], made["protectionMode"]) == ({**AES, "curveId": None}, "SOFTWARE")
    assert (made["timeCreated"], made["timeOfDeletion"]) == ("2027-01-15T08:00:00.000Z", None)
    assert (made["freeformTags"], made["definedTags"]) == (tags["freeformTags"], tags["definedTags"])
    assert made["lifecycleState"] == "CREATING"
    key_id = made["id"]

    read = await desk.read(key_id)
    assert read.json == {**made.json, "lifecycleState": "ENABLED"}
    assert re.fullmatch("[0-9a-f]{40}", read.etag or "")
    assert made.etag == read.etag  # so it can be sent as if-match, though the state that was shown has passed
    etags = [made.etag]
    for operation, shown, settled in (
        ("DisableKey", "DISABLING", "DISABLED"),
        ("EnableKey", "ENABLING", "ENABLED"),
        ("ScheduleKeyDeletion", "SCHEDULING_DELETION", "PENDING_DELETION"),
        ("CancelKeyDeletion", "CANCELLING_DELETION", "ENABLED"),
    ):
        told = await desk.ask(operation, key_id, if_match=etags[-1])
        assert (operation, told["lifecycleState"]) == (operation, shown)
        after = await desk.read(key_id)
        assert (operation, after["lifecycleState"]) == (operation, settled)
        assert {**after.json, "lifecycleState": shown} == told.json
        assert after.etag == told.etag
        etags += [told.etag]
    assert len(set(etags)) == len(etags)

    await desk.ask("ScheduleKeyDeletion", key_id, body={})
    desk.clock.advance(30 * DAY_S - 0.001)
    assert await desk.state(key_id) == "PENDING_DELETION"
    desk.clock.advance(0.001)
    gone = await desk.read(key_id)
    assert (gone["lifecycleState"], gone["timeOfDeletion"]) == ("DELETED", "2027-02-14T08:00:00.000Z")
    listed = await desk.ask("ListKeyVersions", key_id)
    assert [version["lifecycleState"] for version in listed.json] == ["DELETED"]
    for operation in ("CancelKeyDeletion", "EnableKey", "ScheduleKeyDeletion", "CreateKeyVersion"):
        assert await desk.refusal(operation, key_id) == WRONG_STATE


async def test_what_is_due_is_destroyed_and_stays_readable(desk: KeyDesk) -> None:
    store, keyring, now = desk.desk.store, desk.desk.keyring, desk.clock.now
    made, other = await desk.create("first"), await desk.create("second")
    await desk.ask("CreateKeyVersion", made["id"])
    await desk.ask("ScheduleKeyDeletion", made["id"])
    assert await deletion.next_due(store) == now() + 30 * DAY_S
    assert await deletion.delete_due(store, keyring, now() + 30 * DAY_S - 1, 10) == 0
    desk.clock.advance(30 * DAY_S)
    shown = await desk.read(made["id"])
    assert await deletion.delete_due(store, keyring, now(), 10) == 1
    assert await deletion.delete_due(store, keyring, now(), 10) == 0
    assert await deletion.next_due(store) is None
    after = await desk.read(made["id"])
    assert (after.json, after.etag) == (shown.json, shown.etag)
    kept = await store.read("SELECT state, data_key_id, sealed FROM oci_key_versions WHERE key_num = 1")
    assert [tuple(row) for row in kept] == [("DELETED", None, None)] * 2
    left = await versions.for_use(store, other["id"], None)
    assert left is not None
    assert left.sealed is not None
    desk.clock.advance(-40 * DAY_S)  # a clock that is set back brings nothing back
    assert await desk.state(made["id"]) == "DELETED"


async def test_the_window_of_deletion(desk: KeyDesk) -> None:
    key_id = (await desk.create())["id"]
    now = desk.clock.now()

    for days in (6.9, 30.1, -1, 0):
        body = {"timeOfDeletion": written(now + days * DAY_S)}
        assert await desk.refusal("ScheduleKeyDeletion", key_id, body=body) == BAD
    for text in ("soon", "2027-02-30T00:00:00Z", "99999-01-01T00:00:00Z", 12, {}):
        assert await desk.refusal("ScheduleKeyDeletion", key_id, body={"timeOfDeletion": text}) == BAD
    for at in (now + 7 * DAY_S - 61, now + 30 * DAY_S + 61):  # a minute is not minded
        assert await desk.refusal("ScheduleKeyDeletion", key_id, body={"timeOfDeletion": written(at)}) == BAD
    taken = {written(at): written(at) for at in (now + 7 * DAY_S - 60, now + 30 * DAY_S + 60)}
    taken["2027-02-01T10:00:00.123456+02:00"] = "2027-02-01T08:00:00.123Z"
    for text, shown in taken.items():
        told = await desk.ask("ScheduleKeyDeletion", key_id, body={"timeOfDeletion": text})
        assert told["timeOfDeletion"] == shown
        await desk.ask("CancelKeyDeletion", key_id)
    told = await desk.ask("ScheduleKeyDeletion", key_id, body={"timeOfDeletion": None})
    assert told["timeOfDeletion"] == "2027-02-14T08:00:00.000Z"  # 30 days on, exactly
    assert await desk.refusal("ScheduleKeyDeletion", key_id) == WRONG_STATE


async def test_a_cancelled_deletion_leads_back_to_where_the_key_was(desk: KeyDesk) -> None:
    key_id = (await desk.create())["id"]
    await desk.ask("DisableKey", key_id)
    await desk.ask("ScheduleKeyDeletion", key_id)
    for operation in ("EnableKey", "DisableKey", "CreateKeyVersion", "ScheduleKeyDeletion"):
        assert await desk.refusal(operation, key_id) == WRONG_STATE
    assert await desk.refusal("UpdateKey", key_id, body={"displayName": "x"}) == WRONG_STATE
    moving = {"compartmentId": desk.desk.staging}
    assert await desk.refusal("ChangeKeyCompartment", key_id, body=moving) == WRONG_STATE
    cancelled = await desk.ask("CancelKeyDeletion", key_id)
    assert (cancelled["lifecycleState"], cancelled["timeOfDeletion"]) == ("CANCELLING_DELETION", None)
    assert await desk.state(key_id) == "DISABLED"
    assert await desk.refusal("CancelKeyDeletion", key_id) == WRONG_STATE


async def test_states_pass_by_themselves(database_url: str) -> None:
    async with open_key_desk(database_url, settle_s=5) as desk:
        key_id = (await desk.create())["id"]
        version_id = (await desk.read(key_id))["currentKeyVersion"]
        assert await desk.state(key_id) == "CREATING"
        assert (await desk.ask("GetKeyVersion", key_id, version_id))["lifecycleState"] == "CREATING"
        assert await desk.refusal("DisableKey", key_id) == WRONG_STATE
        assert (await desk.ask("UpdateKey", key_id, body={"displayName": "b"}))["lifecycleState"] == "CREATING"
        desk.clock.advance(4.999)
        before = await desk.read(key_id)
        desk.clock.advance(0.001)
        settled = await desk.read(key_id)
        assert (before["lifecycleState"], settled["lifecycleState"]) == ("CREATING", "ENABLED")
        assert before.etag != settled.etag

        scheduled = await desk.ask("ScheduleKeyDeletion", key_id)
        assert (await desk.read(key_id)).etag == scheduled.etag
        assert await desk.refusal("CancelKeyDeletion", key_id) == WRONG_STATE
        desk.clock.advance(5)
        await desk.ask("CancelKeyDeletion", key_id)
        assert await desk.state(key_id) == "CANCELLING_DELETION"
        desk.clock.advance(5)
        await desk.ask("ChangeKeyCompartment", key_id, body={"compartmentId": desk.desk.staging})
        assert await desk.state(key_id) == "UPDATING"
        desk.clock.advance(5)
        assert await desk.state(key_id) == "ENABLED"


async def test_what_a_new_key_must_be(desk: KeyDesk) -> None:
    good = desk.details()
    for name in ("compartmentId", "displayName", "keyShape"):
        for body in ({k: v for k, v in good.items() if k != name}, {**good, name: None}):
            assert await desk.refusal("CreateKey", body=body) == BAD
    for more in (
        {"displayName": " "},
        {"displayName": "n" * 256},
        {"displayName": 1},
        {"keyShape": {"algorithm": "AES"}},
        {"keyShape": {"algorithm": "AES", "length": 17}},
        {"keyShape": {"algorithm": "AES", "length": 32, "curveId": "NIST_P256"}},
        {"keyShape": {"algorithm": "ECDSA", "length": 32, "curveId": "NIST_P384"}},
        {"protectionMode": "EXTERNAL"},
        {"protectionMode": "EXTERNAL", "externalKeyReference": {"externalKeyId": "x"}},
        {"protectionMode": "HSM", "externalKeyReference": {"externalKeyId": "x"}},
        {"protectionMode": "SOFT"},
        {"isAutoRotationEnabled": True, "autoKeyRotationDetails": {"rotationIntervalInDays": 60}},
        {"freeformTags": {str(number): "x" for number in range(65)}},
        {"freeformTags": {"a": {"b": "c"}}},
        {"definedTags": {"a": "b"}},
    ):
        assert (more, await desk.refusal("CreateKey", body={**good, **more})) == (more, BAD)
    assert await desk.refusal("CreateKey", body=b"[]") == BAD
    assert await desk.refusal("CreateKey", body=b"{") == (400, "CannotParseRequest")
    assert await desk.refusal("CreateKey", body={**good, "compartmentId": new_ocid("compartment")}) == RELATED
    assert await desk.desk.refusal("CreateKey", body=good) == ABSENT  # the regional host
    assert await desk.desk.refusal("CreateKey", body=good, vault="aaaaaaaaaaaaa") == ABSENT
    assert (await desk.ask("ListKeys", query={"compartmentId": desk.desk.production})).json == []
    as_text = await desk.create(keyShape={"algorithm": "ECDSA", "length": "48"})
    assert as_text["keyShape"] == {"algorithm": "ECDSA", "length": 48, "curveId": "NIST_P384"}


async def test_public_keys_are_those_of_asymmetric_keys(desk: KeyDesk) -> None:
    for shape in ({"algorithm": "RSA", "length": 256}, {"algorithm": "ECDSA", "length": 66}, AES):
        key = await desk.create(keyShape=shape)
        version = await desk.ask("GetKeyVersion", key["id"], key["currentKeyVersion"])
        is_shown = (version["publicKey"] or "").startswith("-----BEGIN PUBLIC KEY-----\n")
        assert is_shown is (shape is not AES)
        assert version["origin"] == "INTERNAL"


async def test_an_update_changes_what_it_names(desk: KeyDesk) -> None:
    made = await desk.create(freeformTags={"a": "b"}, definedTags={"s": {"k": "v"}})
    key_id = made["id"]
    before = await desk.read(key_id)
    desk.clock.advance(1)
    same = await desk.ask("UpdateKey", key_id, body={})
    assert (same.json, same["lifecycleState"]) == (before.json, "ENABLED")
    named = await desk.ask("UpdateKey", key_id, body={"displayName": "other", "freeformTags": {"c": "d"}})
    assert named.json == {**before.json, "displayName": "other", "freeformTags": {"c": "d"}}
    cleared = await desk.ask("UpdateKey", key_id, body={"freeformTags": {}, "definedTags": {}, "displayName": None})
    assert cleared.json == {**named.json, "freeformTags": {}, "definedTags": {}}
    for body in ({"displayName": ""}, {"isAutoRotationEnabled": True}, {"freeformTags": {"k": "v" * 257}}):
        assert await desk.refusal("UpdateKey", key_id, body=body) == BAD
    assert (await desk.read(key_id)).json == cleared.json
    await desk.ask("DisableKey", key_id)
    assert await desk.refusal("UpdateKey", key_id, body={"displayName": ""}) == WRONG_STATE  # before the values


async def test_etags_are_honoured(desk: KeyDesk) -> None:
    key_id = (await desk.create())["id"]
    first = (await desk.read(key_id)).etag
    assert await desk.refusal("UpdateKey", key_id, body={}, if_match="0" * 40) == STALE
    second = (await desk.ask("UpdateKey", key_id, body={"displayName": "b"}, if_match=first)).etag
    assert await desk.refusal("DisableKey", key_id, if_match=first) == STALE
    await desk.ask("DisableKey", key_id, if_match=f'"{second}--gzip"')
    assert await desk.refusal("DisableKey", key_id, if_match=second) == STALE  # the etag before the state
    await desk.ask("EnableKey", key_id, if_match="*")
    assert await desk.refusal("ScheduleKeyDeletion", key_id, if_match=second) == STALE
    moving = {"compartmentId": desk.desk.staging}
    assert await desk.refusal("ChangeKeyCompartment", key_id, body=moving, if_match=second) == STALE


async def test_retry_tokens_make_one_key(desk: KeyDesk) -> None:
    async def create(body: Any, token: str = "t") -> Any:
        return await desk.ask("CreateKey", body=body, retry_token=token)

    made = await create(desk.details())
    again = await create(desk.details())
    assert (again.json, again.etag) == (made.json, made.etag)
    at_once = await asyncio.gather(*(create(desk.details(), "u") for _ in range(5)))
    assert len({told["id"] for told in at_once}) == 1
    assert len((await desk.ask("ListKeys", query={"compartmentId": desk.desk.production})).json) == 2
    assert await desk.refusal("CreateKey", body=desk.details("other"), retry_token="t") == SPENT
    assert await desk.refusal("CreateKey", body=desk.details(), retry_token="t" * 65) == BAD

    scheduled = await desk.ask("ScheduleKeyDeletion", made["id"], retry_token="s")
    desk.clock.advance(60)
    again = await desk.ask("ScheduleKeyDeletion", made["id"], retry_token="s")
    assert (again.json, again.etag) == (scheduled.json, scheduled.etag)
    assert await desk.refusal("ScheduleKeyDeletion", made["id"]) == WRONG_STATE
    await desk.ask("CancelKeyDeletion", made["id"])
    await desk.ask("ChangeKeyCompartment", made["id"], body={"compartmentId": desk.desk.staging})
    assert await desk.refusal("CreateKey", body=desk.details(), retry_token="t") == SPENT  # it has moved since


async def test_a_key_moves_within_its_tenancy(desk: KeyDesk) -> None:
    key_id = (await desk.create())["id"]
    staging, production = desk.desk.staging, desk.desk.production
    elsewhere = {"compartmentId": new_ocid("compartment")}
    assert await desk.refusal("ChangeKeyCompartment", key_id, body=elsewhere) == RELATED
    assert await desk.refusal("ChangeKeyCompartment", key_id, body={}) == BAD
    moved = await desk.ask("ChangeKeyCompartment", key_id, body={"compartmentId": staging})
    assert moved.json is None
    after = await desk.read(key_id)
    assert (after["compartmentId"], after["vaultId"]) == (staging, desk.vaults["DEFAULT"]["id"])
    assert after.etag == moved.etag
    assert (await desk.ask("ListKeys", query={"compartmentId": production})).json == []
    assert [key["id"] for key in (await desk.ask("ListKeys", query={"compartmentId": staging})).json] == [key_id]
    version = await desk.ask("GetKeyVersion", key_id, after["currentKeyVersion"])
    assert version["compartmentId"] == staging


async def test_lists_come_in_pages_and_can_be_filtered(desk: KeyDesk) -> None:
    production = {"compartmentId": desk.desk.production}
    for name in ("b", "a", "C", "d", "a"):
        await desk.create(name)
        desk.clock.advance(1)
    await desk.create("e", keyShape={"algorithm": "ECDSA", "length": 32}, protectionMode="SOFTWARE")
    await desk.create("f", kind="VIRTUAL_PRIVATE")

    async def names(**query: Any) -> list[str]:
        prefix = desk.prefix()
        found = await desk.desk.pages("ListKeys", query={**production, **query}, vault=prefix)
        assert all(len(page) <= int(query.get("limit", 100)) for page in found)
        return [key["displayName"] for page in found for key in page]

    assert await names(limit=2) == ["e", "a", "d", "C", "a", "b"]
    assert await names(limit=1, sortOrder="ASC") == ["b", "a", "C", "d", "a", "e"]
    assert await names(limit=2, sortBy="DISPLAYNAME") == ["C", "a", "a", "b", "d", "e"]
    assert await names(limit=2, sortBy="DISPLAYNAME", sortOrder="DESC") == ["e", "d", "b", "a", "a", "C"]
    assert await names(algorithm="ECDSA") == await names(curveId="NIST_P256") == ["e"]
    assert await names(protectionMode="SOFTWARE", limit=1) == ["e"]
    assert await names(length=32, algorithm="AES", limit=1) == ["a", "d", "C", "a", "b"]
    assert await names(length=16) == []
    told = await desk.ask("ListKeys", query=production)
    first = told.json[0]
    assert set(first) == SUMMARY_FIELDS
    assert (first["algorithm"], first["protectionMode"]) == ("ECDSA", "SOFTWARE")
    for query in ({"algorithm": "DES"}, {"length": "x"}, {"length": "9" * 10}, {"curveId": "P"}, {"limit": 0}):
        assert await desk.refusal("ListKeys", query={**production, **query}) == BAD
    assert await desk.refusal("ListKeys", query={}) == BAD
    assert await desk.desk.refusal("ListKeys", query={}, vault="a" * 13) == BAD  # before the vault is looked for
    page = (await desk.ask("ListKeys", query={**production, "limit": 1})).next_page
    assert await desk.refusal("ListKeys", query={**production, "sortOrder": "ASC", "page": page}) == BAD


async def test_what_a_caller_may_not_see_is_not_there(desk: KeyDesk) -> None:
    key_id = (await desk.create())["id"]
    changes = ("EnableKey", "DisableKey", "ScheduleKeyDeletion", "CancelKeyDeletion", "CreateKeyVersion")

    async def refused(operation: str, **given: Any) -> None:
        assert (operation, await desk.refusal(operation, key_id, **given)) == (operation, ABSENT)

    everything = dict(desk.desk.rights.verbs)
    for verb in (None, Verb.INSPECT, Verb.READ, Verb.USE):
        desk.desk.rights.verbs = {**everything}
        if verb is None:
            del desk.desk.rights.verbs[desk.desk.production]
        else:
            desk.desk.rights.verbs[desk.desk.production] = verb
        for operation in changes:
            await refused(operation)
        await refused("UpdateKey", body={"displayName": "x"})
        await refused("ChangeKeyCompartment", body={"compartmentId": desk.desk.staging})
        if verb is None or verb < Verb.READ:
            await refused("GetKey")
        else:
            await desk.read(key_id)
        if verb is None:
            await refused("ListKeyVersions")
            query = {"compartmentId": desk.desk.production}
            assert await desk.refusal("ListKeys", query=query) == ABSENT
        body = desk.details()
        assert await desk.refusal("CreateKey", body=body) in (RELATED, ABSENT)
    desk.desk.rights.verbs = everything
    await refused("GetKey", kind="VIRTUAL_PRIVATE")  # another vault's host
    await refused("DisableKey", kind="VIRTUAL_PRIVATE")
    assert await desk.desk.refusal("GetKey", key_id) == ABSENT
    place = desk.desk.place(None, desk.prefix(), "eu-frankfurt-1")
    await refused("GetKey", place=place)
    stranger = desk.desk.caller.__class__("t", desk.desk.caller.tenancy_num + 1, "u", "bob", "f")
    await refused("GetKey", caller=stranger)
    await refused("DisableKey", caller=stranger)
    assert await desk.refusal("GetKey", new_regional_ocid("key", "us-ashburn-1", desk.prefix())) == ABSENT
    assert await desk.refusal("GetReplicationStatus", "anything") == ABSENT
    assert await desk.state(key_id) == "ENABLED"


async def test_the_quick_way_answers_as_the_other_one_or_not_at_all(desk: KeyDesk) -> None:
    key_id = (await desk.create())["id"]

    def said(key_id: str) -> Any:
        quick = quickly(desk.desk.call("GetKey", key_id, vault=desk.prefix()))
        return quick and (json.loads(msgspec.json.encode(quick.answer.body)), quick.answer.etag, quick.subject.name)

    async def same_as_the_other() -> None:
        told = await desk.ask("GetKey", key_id)
        if desk.desk.store.kind == "sqlite":
            assert said(key_id) == (told.json, told.etag, told["displayName"])
        else:
            assert said(key_id) is None

    for change in (
        lambda: desk.ask("GetKey", key_id),
        lambda: desk.ask("UpdateKey", key_id, body={"displayName": "another", "freeformTags": {"a": "b"}}),
        lambda: desk.ask("DisableKey", key_id),
        lambda: desk.ask("ScheduleKeyDeletion", key_id, body={}),
    ):
        await change()
        await same_as_the_other()
        await same_as_the_other()
    desk.desk.clock.advance(40 * DAY_S)  # nothing comes by to change the row
    await same_as_the_other()
    assert said("ocid1.key.oc1..no") is None
    desk.desk.rights.verbs[desk.desk.production] = Verb.INSPECT
    assert said(key_id) is None


def test_what_is_remembered_of_a_key_that_was_shown_is_bounded() -> None:
    shown = ShownKeys()
    names = list(records.Key.__struct_fields__)

    def row(num: int, tags: str) -> Any:
        return tuple({"num": num, "freeform_tags": tags, "defined_tags": "{}"}.get(name) for name in names)

    assert shown.of(row(1, "{}")) is shown.of(row(1, "{}"))
    assert shown.of(row(1, "{}")) is not shown.of(row(1, "{ }"))
    assert shown.of(row(2, "x" * 5000)) is not shown.of(row(2, "x" * 5000))
    for num in range(3 * REMEMBERED_KEYS):
        shown.of(row(num, "{}"))
    assert len(shown._known) <= REMEMBERED_KEYS


async def test_keys_follow_their_vault(desk: KeyDesk) -> None:
    enabled, disabled, own = [(await desk.create(name))["id"] for name in ("a", "b", "c")]
    await desk.ask("DisableKey", disabled)
    await desk.ask("ScheduleKeyDeletion", own, body={"timeOfDeletion": written(desk.clock.now() + 8 * DAY_S)})
    own_before = (await desk.read(own)).json
    vault_id, store = desk.vaults["DEFAULT"]["id"], desk.desk.store
    before = await records.usage(store, 1, desk.clock.now())
    assert (before.keys, before.versions) == (3, 3)

    scheduled = await desk.desk.ask("ScheduleVaultDeletion", vault_id)
    for key_id in (enabled, disabled):
        read = await desk.read(key_id)
        assert (read["lifecycleState"], read["timeOfDeletion"]) == ("PENDING_DELETION", scheduled["timeOfDeletion"])
        for operation in ("CancelKeyDeletion", "EnableKey", "ScheduleKeyDeletion", "CreateKeyVersion"):
            assert await desk.refusal(operation, key_id) == WRONG_STATE
    assert (await desk.read(own)).json == own_before
    assert await desk.refusal("CancelKeyDeletion", own) == WRONG_STATE
    assert await desk.refusal("CreateKey", body=desk.details()) == WRONG_STATE
    assert await desk.refusal("CreateKey", body=desk.details(keyShape={"algorithm": "X", "length": 1})) == WRONG_STATE
    await desk.ask("ListKeys", query={"compartmentId": desk.desk.production})

    await desk.desk.ask("CancelVaultDeletion", vault_id)
    states = [await desk.state(key_id) for key_id in (enabled, disabled, own)]
    assert states == ["ENABLED", "DISABLED", "PENDING_DELETION"]
    assert (await desk.read(enabled))["timeOfDeletion"] is None
    assert (await desk.read(own)).json == own_before

    await desk.desk.ask("ScheduleVaultDeletion", vault_id)
    desk.clock.advance(30 * DAY_S)
    assert [await desk.state(key_id) for key_id in (enabled, disabled, own)] == ["DELETED"] * 3
    assert await records.usage(store, 1, desk.clock.now()) == records.Usage()


async def test_material_that_was_wrapped_comes_in(desk: KeyDesk) -> None:
    wrapping = await desk.ask("GetWrappingKey")
    for shape, secret in ((AES, bytes(range(32))), ({"algorithm": "AES", "length": 16}, bytes(16))):
        sent = wrapped(wrapping["publicKey"], secret)
        key = await desk.ask("ImportKey", body=desk.details(keyShape=shape, wrappedImportKey=sent))
        assert key["lifecycleState"] == "CREATING"
        version = await desk.ask("GetKeyVersion", key["id"], key["currentKeyVersion"])
        assert (version["origin"], version["publicKey"]) == ("EXTERNAL", None)
        used = await versions.for_use(desk.desk.store, key["id"], None)
        assert used is not None
        assert used.sealed is not None
        assert used.version.data_key_id is not None
        kept = await desk.materials.revealed(used.version.id, used.version.data_key_id, used.sealed)
        assert kept.reveal() == secret
        rotated = await desk.ask("ImportKeyVersion", key["id"], body={"wrappedImportKey": sent})
        assert rotated["origin"] == "EXTERNAL"
        assert (await desk.ask("CreateKeyVersion", key["id"]))["origin"] == "INTERNAL"
    private = rsa.generate_private_key(65537, 2048)
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    sent = wrapped(wrapping["publicKey"], der)
    details = desk.details(keyShape={"algorithm": "RSA", "length": 256}, wrappedImportKey=sent)
    key = await desk.ask("ImportKey", body=details)
    version = await desk.ask("GetKeyVersion", key["id"], key["currentKeyVersion"])
    assert (version["origin"], version["publicKey"]) == ("EXTERNAL", public)
    too_long = {**details, "keyShape": {"algorithm": "RSA", "length": 384}}
    assert await desk.refusal("ImportKey", body=too_long) == BAD

    count = len((await desk.ask("ListKeys", query={"compartmentId": desk.desk.production})).json)
    good = wrapped(wrapping["publicKey"], bytes(32))
    for more in (
        {"wrappedImportKey": wrapped(wrapping["publicKey"], bytes(31))},
        {"wrappedImportKey": {**good, "keyMaterial": good["keyMaterial"][:-8]}},
        {"wrappedImportKey": {**good, "keyMaterial": "no base64!"}},
        {"wrappedImportKey": {**good, "wrappingAlgorithm": "RSA"}},
        {"wrappedImportKey": {"keyMaterial": good["keyMaterial"]}},
        {"wrappedImportKey": None},
        {"wrappedImportKey": good, "keyShape": {"algorithm": "ECDSA", "length": 32}},
        {"wrappedImportKey": good, "keyShape": {"algorithm": "RSA", "length": 256}},
        {"wrappedImportKey": good, "protectionMode": "EXTERNAL"},
    ):
        assert (more, await desk.refusal("ImportKey", body=desk.details(**more))) == (more, BAD)
    assert len((await desk.ask("ListKeys", query={"compartmentId": desk.desk.production})).json) == count


def wrapped(public_pem: str, secret: bytes) -> dict[str, str]:
    """As a client wraps it: to a fresh AES key, and that to the vault's RSA key."""
    public, between = load_pem_public_key(public_pem.encode()), bytes(range(32))
    assert isinstance(public, rsa.RSAPublicKey)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    both = public.encrypt(between, oaep) + aes_key_wrap_with_padding(between, secret)
    return {"keyMaterial": base64.b64encode(both).decode(), "wrappingAlgorithm": BY_AES}
