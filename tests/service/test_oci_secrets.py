"""Secrets in OCI vaults as operations, on both databases: life, versions, contents, rules, and what is hidden."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from claviger.crypto.root_key import EnvironmentKeys
from claviger.ocikms.calls import Verb
from claviger.ocikms.ocids import new_ocid
from claviger.ocikms.resealing import OciResealer
from claviger.ocikms.secrets.routes import SecretRoutes
from claviger.ocikms.texts import written
from claviger.sealing.keyring import Keyring
from claviger.sealing.rotation import Rotation
from tests.ocicrypto import RSA
from tests.ocikms import ABSENT, BAD, DAY_S, NOT_OFFERED, RELATED, ROOT_KEY, SPENT, STALE, START, WRONG_STATE, quickly
from tests.ocisecrets import Safe, b64, open_safe


@pytest.fixture
async def safe(database_url: str) -> AsyncIterator[Safe]:
    async with open_safe(database_url) as opened:
        yield opened


@pytest.fixture
async def sqlite_safe(sqlite_url: str) -> AsyncIterator[Safe]:
    """For what does not depend on the database."""
    async with open_safe(sqlite_url) as opened:
        yield opened


async def test_a_secret_from_its_making_to_its_end(safe: Safe) -> None:
    desk = safe.desk
    made = await safe.ask(
        "CreateSecret",
        body=safe.body(description="of the database", metadata={"host": "db", "n": [1]}, freeformTags={"a": "b"}),
    )
    assert re.fullmatch(r"ocid1\.vaultsecret\.oc1\.iad\.[a-z2-7]{60}", made["id"])
    assert made.json == {
        "compartmentId": desk.production,
        "currentVersionNumber": 1,
        "definedTags": {},
        "description": "of the database",
        "freeformTags": {"a": "b"},
        "id": made["id"],
        "isAutoGenerationEnabled": False,
        "isReplica": False,
        "keyId": safe.key_id,
        "lastRotationTime": None,
        "lifecycleDetails": None,
        "lifecycleState": "CREATING",
        "metadata": {"host": "db", "n": [1]},
        "nextRotationTime": None,
        "replicationConfig": None,
        "rotationConfig": None,
        "rotationStatus": "NOT_ENABLED",
        "secretGenerationContext": None,
        "secretName": "login",
        "secretRules": [],
        "sourceRegionInformation": None,
        "timeCreated": "2027-01-15T08:00:00.000Z",
        "timeOfCurrentVersionExpiry": None,
        "timeOfDeletion": None,
        "vaultId": safe.shop.vault_id,
    }
    secret_id = made["id"]
    read = await safe.ask("GetSecret", secret_id)
    assert read.json == {**made.json, "lifecycleState": "ACTIVE"}
    assert read.etag == made.etag
    assert re.fullmatch("[0-9a-f]{40}", read.etag or "")

    desk.clock.advance(5)
    updated = await safe.ask(
        "UpdateSecret", secret_id, body={"description": "other", "metadata": {}, "definedTags": {}}
    )
    assert updated.json == {**read.json, "description": "other", "metadata": {}, "lifecycleState": "UPDATING"}
    assert updated.etag != read.etag

    moved = await safe.ask("ChangeSecretCompartment", secret_id, body={"compartmentId": desk.staging})
    assert moved.json is None
    after = await safe.ask("GetSecret", secret_id)
    assert (after["compartmentId"], after["lifecycleState"], after.etag) == (desk.staging, "ACTIVE", moved.etag)

    scheduled = await safe.ask("ScheduleSecretDeletion", secret_id, body={})
    assert scheduled.json is None
    pending = await safe.ask("GetSecret", secret_id)
    assert (pending["lifecycleState"], pending["timeOfDeletion"]) == ("PENDING_DELETION", "2027-02-14T08:00:05.000Z")
    assert pending.etag == scheduled.etag != moved.etag
    assert await safe.refusal("GetSecretBundle", secret_id) == ABSENT
    assert await safe.refusal("ListSecretBundleVersions", secret_id) == ABSENT
    assert await safe.refusal("CreateSecret", body=safe.body()) == BAD  # the name is held

    cancelled = await safe.ask("CancelSecretDeletion", secret_id)
    assert cancelled.json is None
    back = await safe.ask("GetSecret", secret_id)
    assert (back["lifecycleState"], back["timeOfDeletion"], back.etag) == ("ACTIVE", None, cancelled.etag)
    assert await safe.text(secret_id) == "hush"


async def test_states_pass_for_as_long_as_is_set(sqlite_url: str) -> None:
    async with open_safe(sqlite_url, settle_s=10) as safe:

        async def state() -> str:
            return str((await safe.ask("GetSecret", secret_id))["lifecycleState"])

        secret_id = await safe.made()
        assert await state() == "CREATING"
        assert await safe.refusal("GetSecretBundle", secret_id) == ABSENT
        assert await safe.refusal("UpdateSecret", secret_id, body={"description": "x"}) == WRONG_STATE
        safe.desk.clock.advance(10)
        assert await state() == "ACTIVE"
        for operation, body, passing, settled in (
            ("UpdateSecret", {"description": "x"}, "UPDATING", "ACTIVE"),
            ("ChangeSecretCompartment", {"compartmentId": safe.desk.staging}, "UPDATING", "ACTIVE"),
            ("ScheduleSecretDeletion", {}, "SCHEDULING_DELETION", "PENDING_DELETION"),
            ("CancelSecretDeletion", None, "CANCELLING_DELETION", "ACTIVE"),
        ):
            await safe.ask(operation, secret_id, body=body)
            assert await state() == passing
            found = await safe.ask(
                "ListSecrets", query={"compartmentId": safe.desk.staging, "lifecycleState": passing.lower()}
            )
            assert len(found.json) == (0 if operation == "UpdateSecret" else 1)
            safe.desk.clock.advance(10)
            assert await state() == settled


# Versions.


async def test_versions_and_their_stages(safe: Safe) -> None:
    secret_id = await safe.made(content="one")
    safe.desk.clock.advance(60)
    updated = await safe.uploaded(secret_id, "two", name="second")
    assert updated["currentVersionNumber"] == 2
    pending = await safe.uploaded(secret_id, "three", stage="PENDING", name="third")
    assert pending["currentVersionNumber"] == 2
    assert await safe.stages(secret_id) == {3: ["PENDING", "LATEST"], 2: ["CURRENT"], 1: ["PREVIOUS"]}
    assert [await safe.text(secret_id, stage=stage) for stage in ("CURRENT", "PREVIOUS", "PENDING", "LATEST")] == [
        *("two", "one", "three", "three")
    ]
    assert await safe.text(secret_id) == "two"
    assert await safe.text(secret_id, versionNumber=1) == "one"
    assert await safe.text(secret_id, secretVersionName="third") == "three"
    assert await safe.refusal("GetSecretBundle", secret_id, query={"stage": "DEPRECATED"}) == ABSENT

    promoted = await safe.ask("UpdateSecret", secret_id, body={"currentVersionNumber": "3"})
    assert promoted["currentVersionNumber"] == 3
    assert await safe.stages(secret_id) == {3: ["CURRENT", "LATEST"], 2: ["PREVIOUS"], 1: ["DEPRECATED"]}
    assert await safe.text(secret_id, stage="deprecated") == "one"
    assert await safe.refusal("GetSecretBundle", secret_id, query={"stage": "PENDING"}) == ABSENT

    version = await safe.ask("GetSecretVersion", secret_id, "2")
    assert version.json == {
        "contentType": "BASE64",
        "isContentAutoGenerated": False,
        "name": "second",
        "secretId": secret_id,
        "stages": ["PREVIOUS"],
        "timeCreated": written(START + 60),
        "timeOfCurrentVersionExpiry": None,
        "timeOfDeletion": None,
        "versionNumber": 2,
    }
    bundle = await safe.ask("GetSecretBundle", secret_id, query={"versionNumber": 2})
    assert bundle.json == {
        "metadata": None,
        "secretBundleContent": {"content": b64("two"), "contentType": "BASE64"},
        "secretId": secret_id,
        "stages": ["PREVIOUS"],
        "timeCreated": written(START + 60),
        "timeOfDeletion": None,
        "timeOfExpiry": None,
        "versionName": "second",
        "versionNumber": 2,
    }
    listed = await safe.ask("ListSecretBundleVersions", secret_id, query={"sortOrder": "ASC"})
    assert [(one["versionNumber"], one["versionName"]) for one in listed.json] == [
        (1, None),
        (2, "second"),
        (3, "third"),
    ]
    assert await safe.refusal("GetSecretVersion", secret_id, "4") == ABSENT
    for malformed in ("0", "x", "99999999999"):
        assert await safe.refusal("GetSecretVersion", secret_id, malformed) == (404, "InvalidParameter")


async def test_a_pending_version_is_promoted_by_its_stage_alone(sqlite_safe: Safe) -> None:
    safe = sqlite_safe
    secret_id = await safe.made(content="one")
    bare = {"secretContent": {"contentType": "BASE64", "stage": "CURRENT"}}
    assert await safe.refusal("UpdateSecret", secret_id, body=bare) == BAD  # there is none
    await safe.uploaded(secret_id, "two", stage="PENDING")
    await safe.ask("UpdateSecret", secret_id, body=bare)
    assert await safe.text(secret_id) == "two"


async def test_what_an_update_refuses(sqlite_safe: Safe) -> None:
    safe = sqlite_safe
    secret_id = await safe.made()
    await safe.uploaded(secret_id, "two", name="second")
    before = (await safe.ask("GetSecret", secret_id)).json
    content, rules = safe.content("x"), [{"ruleType": "SECRET_REUSE_RULE"}]
    for body in (
        {"secretContent": content, "currentVersionNumber": 1},
        {"secretContent": content, "secretRules": rules},
        {"currentVersionNumber": 1, "secretRules": rules},
        {"currentVersionNumber": 3},
        {"currentVersionNumber": 0},
        {"currentVersionNumber": 2**40},
        {"secretContent": {"contentType": "BASE64"}},
        {"secretContent": {**content, "contentType": "TEXT"}},
        {"secretContent": {**content, "stage": "LATEST"}},
        {"secretContent": {**content, "name": "second"}},
        {"secretContent": {**content, "name": "a b"}},
        {"secretContent": {**content, "content": "no base64"}},
        {"description": "x" * 1025},
        {"metadata": {"a": "x" * 8192}},
        {"enableAutoGeneration": True},
        {"freeformTags": {"": "x"}},
    ):
        assert await safe.refusal("UpdateSecret", secret_id, body=body) == BAD, body
    for body in (
        {"rotationConfig": {"targetSystemDetails": {"targetSystemType": "ADB"}}},
        {"replicationConfig": {"replicationTargets": [{"targetRegion": "eu-frankfurt-1"}]}},
    ):
        assert await safe.refusal("UpdateSecret", secret_id, body=body) == NOT_OFFERED
    await safe.shop.ask("DisableKey", safe.key_id)
    assert await safe.refusal("UpdateSecret", secret_id, body={"secretContent": content}) == WRONG_STATE
    await safe.shop.ask("EnableKey", safe.key_id)
    assert (await safe.ask("GetSecret", secret_id)).json == before


async def test_single_versions_are_deleted_and_brought_back(safe: Safe) -> None:
    secret_id = await safe.made(content="one")
    for content in ("two", "three"):
        await safe.uploaded(secret_id, content)
    for number in ("2", "3"):
        assert await safe.refusal("ScheduleSecretVersionDeletion", secret_id, number, body={}) == WRONG_STATE
    early = {"timeOfDeletion": written(START + DAY_S / 2)}
    assert await safe.refusal("ScheduleSecretVersionDeletion", secret_id, "1", body=early) == BAD
    assert await safe.refusal("CancelSecretVersionDeletion", secret_id, "1") == WRONG_STATE
    etag = (await safe.ask("GetSecret", secret_id)).etag

    body = {"timeOfDeletion": written(START + DAY_S)}
    scheduled = await safe.ask("ScheduleSecretVersionDeletion", secret_id, "1", body=body)
    version = await safe.ask("GetSecretVersion", secret_id, "1")
    assert (scheduled.json, scheduled.etag) == (None, version.etag)
    assert (version["timeOfDeletion"], version["stages"]) == (body["timeOfDeletion"], ["DEPRECATED"])
    assert (await safe.ask("GetSecret", secret_id)).etag != etag
    for query in ({"versionNumber": 1}, {"stage": "DEPRECATED"}):
        assert await safe.refusal("GetSecretBundle", secret_id, query=query) == ABSENT
    assert await safe.text(secret_id) == "three"
    assert await safe.refusal("UpdateSecret", secret_id, body={"currentVersionNumber": 1}) == WRONG_STATE
    assert await safe.refusal("ScheduleSecretVersionDeletion", secret_id, "1", body={}) == WRONG_STATE

    stale = {"if_match": "0" * 40}
    assert await safe.refusal("CancelSecretVersionDeletion", secret_id, "1", **stale) == STALE
    await safe.ask("CancelSecretVersionDeletion", secret_id, "1", if_match=version.etag)
    assert (await safe.ask("GetSecretVersion", secret_id, "1"))["timeOfDeletion"] is None
    assert await safe.text(secret_id, versionNumber=1) == "one"

    await safe.ask("ScheduleSecretVersionDeletion", secret_id, "1", body=body)
    safe.desk.clock.advance(DAY_S)
    assert await safe.refusal("GetSecretVersion", secret_id, "1") == ABSENT
    assert await safe.refusal("CancelSecretVersionDeletion", secret_id, "1") == ABSENT
    assert await safe.refusal("UpdateSecret", secret_id, body={"currentVersionNumber": 1}) == BAD
    assert list(await safe.stages(secret_id)) == [3, 2]


async def test_a_secret_has_30_versions_in_use_at_most(sqlite_safe: Safe) -> None:
    safe = sqlite_safe
    secret_id = await safe.made()
    for number in range(2, 31):
        assert (await safe.uploaded(secret_id, f"{number}"))["currentVersionNumber"] == number
    full = {"secretContent": safe.content("x")}
    assert await safe.refusal("UpdateSecret", secret_id, body=full) == (400, "LimitExceeded")
    await safe.ask("ScheduleSecretVersionDeletion", secret_id, "7", body={})
    await safe.uploaded(secret_id, "31")
    assert await safe.refusal("CancelSecretVersionDeletion", secret_id, "7") == (400, "LimitExceeded")
    pages = await safe.pages("ListSecretVersions", secret_id, query={"limit": 12})
    assert [len(page) for page in pages] == [12, 12, 7]
    assert [one["versionNumber"] for page in pages for one in page] == list(range(31, 0, -1))


async def test_contents_that_are_uploaded_at_once_each_get_a_number(safe: Safe) -> None:
    secret_id = await safe.made(content="0")
    told = await asyncio.gather(*(safe.uploaded(secret_id, f"{n}") for n in range(1, 9)))
    assert sorted(one["currentVersionNumber"] for one in told) == list(range(2, 10))
    for one in told:
        assert await safe.text(secret_id, versionNumber=one["currentVersionNumber"]) in "12345678"


# Rules on contents.


async def test_a_reuse_rule_is_about_all_earlier_contents(safe: Safe) -> None:
    secret_id = await safe.made(content="one")
    await safe.uploaded(secret_id, "two")
    await safe.uploaded(secret_id, "one")  # no rule yet
    rule = {"ruleType": "SECRET_REUSE_RULE", "isEnforcedOnDeletedSecretVersions": False}
    told = await safe.ask("UpdateSecret", secret_id, body={"secretRules": [rule]})
    assert told["secretRules"] == [rule]
    for content in ("one", "two"):
        assert await safe.refusal("UpdateSecret", secret_id, body={"secretContent": safe.content(content)}) == BAD
    await safe.uploaded(secret_id, "three")
    for number in "12":
        await safe.ask(
            "ScheduleSecretVersionDeletion", secret_id, number, body={"timeOfDeletion": written(START + DAY_S)}
        )
    assert await safe.refusal("UpdateSecret", secret_id, body={"secretContent": safe.content("two")}) == BAD  # is there
    safe.desk.clock.advance(DAY_S)
    strict = {**rule, "isEnforcedOnDeletedSecretVersions": True}
    await safe.ask("UpdateSecret", secret_id, body={"secretRules": [strict]})
    assert await safe.refusal("UpdateSecret", secret_id, body={"secretContent": safe.content("two")}) == BAD
    await safe.ask("UpdateSecret", secret_id, body={"secretRules": [rule]})
    await safe.uploaded(secret_id, "two")
    assert (
        await safe.refusal("UpdateSecret", secret_id, body={"secretContent": safe.content("one")}) == BAD
    )  # version 3
    await safe.ask("UpdateSecret", secret_id, body={"secretRules": []})
    await safe.uploaded(secret_id, "one")


async def test_an_expiry_rule_is_shown_and_withholds_where_it_says_so(safe: Safe) -> None:
    rule = {
        "ruleType": "SECRET_EXPIRY_RULE",
        "secretVersionExpiryInterval": "P3D",
        "timeOfAbsoluteExpiry": None,
        "isSecretContentRetrievalBlockedOnExpiry": True,
    }
    secret_id = await safe.made(secretRules=[rule])
    told = await safe.ask("GetSecret", secret_id)
    assert (told["secretRules"], told["timeOfCurrentVersionExpiry"]) == ([rule], written(START + 3 * DAY_S))
    safe.desk.clock.advance(DAY_S)
    anew = await safe.uploaded(secret_id, "two")
    assert anew["timeOfCurrentVersionExpiry"] == written(START + 4 * DAY_S)
    assert (await safe.ask("GetSecret", secret_id))["timeOfCurrentVersionExpiry"] == written(START + 4 * DAY_S)
    assert (await safe.ask("GetSecretBundle", secret_id))["timeOfExpiry"] == written(START + 4 * DAY_S)
    safe.desk.clock.advance(2 * DAY_S)
    assert await safe.text(secret_id) == "two"
    assert await safe.refusal("GetSecretBundle", secret_id, query={"versionNumber": 1}) == ABSENT
    safe.desk.clock.advance(DAY_S)
    assert await safe.refusal("GetSecretBundle", secret_id) == ABSENT
    lenient = {**rule, "isSecretContentRetrievalBlockedOnExpiry": False}
    await safe.ask("UpdateSecret", secret_id, body={"secretRules": [lenient]})
    assert await safe.text(secret_id) == "two"


# Generated contents.


async def test_contents_can_be_generated(safe: Safe) -> None:
    context = {"generationType": "PASSPHRASE", "generationTemplate": "DBAAS_DEFAULT_PASSWORD", "passphraseLength": "20"}
    body = safe.body(content=None, enableAutoGeneration=True, secretGenerationContext=context)
    made = await safe.ask("CreateSecret", body=body)
    assert made["isAutoGenerationEnabled"] is True
    assert made["secretGenerationContext"] == {**context, "passphraseLength": 20, "secretTemplate": None}
    secret_id = made["id"]
    first = await safe.text(secret_id)
    assert len(first) == 20
    assert (await safe.ask("GetSecretVersion", secret_id, "1"))["isContentAutoGenerated"] is True

    safe.desk.clock.advance(60)
    assert (await safe.ask("RotateSecret", secret_id)).json is None
    told = await safe.ask("GetSecret", secret_id)
    assert (told["currentVersionNumber"], told["lastRotationTime"]) == (2, written(START + 60))
    second = await safe.text(secret_id)
    assert second != first
    assert await safe.refusal("CancelSecretRotation", secret_id) == WRONG_STATE

    bare = {"contentType": "BASE64", "stage": "PENDING", "name": "next"}
    await safe.ask("UpdateSecret", secret_id, body={"secretContent": bare})
    assert await safe.text(secret_id, stage="PENDING") not in (first, second)
    assert await safe.text(secret_id) == second
    given = {"secretContent": safe.content("mine")}
    assert await safe.refusal("UpdateSecret", secret_id, body=given) == BAD
    await safe.ask("UpdateSecret", secret_id, body={**given, "enableAutoGeneration": False})
    assert await safe.text(secret_id) == "mine"
    assert await safe.refusal("RotateSecret", secret_id) == BAD  # it has no target system, and is not generated


# What a new secret needs.


async def test_what_cannot_be_made(safe: Safe) -> None:
    shop, desk = safe.shop, safe.desk
    taken = await safe.made("taken")
    rsa = (await shop.key(RSA))["id"]
    other_vault, other_prefix = await shop.new_vault()
    key_body = {"compartmentId": desk.production, "displayName": "x", "keyShape": {"algorithm": "AES", "length": 16}}
    foreign = (await desk.ask("CreateKey", body=key_body, vault=other_prefix))["id"]
    stranger = new_ocid("compartment")
    content = safe.content("x")
    for wanted, bodies in {
        BAD: (
            safe.body("taken"),
            safe.body("a b"),
            safe.body("x" * 256),
            safe.body(content=None),
            safe.body(secretContent={"contentType": "BASE64"}),
            safe.body(secretContent={**content, "stage": "PENDING"}),
            safe.body(content="x" * (25 * 1024 + 1)),
            safe.body(keyId=rsa),
            safe.body(enableAutoGeneration=True),
            safe.body(secretRules=[{"ruleType": "SECRET_EXPIRY_RULE"}]),
        ),
        RELATED: (
            safe.body(compartmentId=stranger),
            safe.body(vaultId=new_ocid("vault")),
            safe.body(keyId=new_ocid("key")),
            safe.body(keyId=foreign),
            safe.body(vaultId=other_vault),
            safe.body(vaultId="\x01"),
        ),
        NOT_OFFERED: (
            safe.body(
                content=None,
                enableAutoGeneration=True,
                secretGenerationContext={"generationType": "SSH_KEY", "generationTemplate": "RSA_2048"},
            ),
            safe.body(rotationConfig={"targetSystemDetails": {}}),
            safe.body(replicationConfig={"replicationTargets": [{}]}),
        ),
    }.items():
        for body in bodies:
            assert await safe.refusal("CreateSecret", body=body) == wanted, body
    desk.rights.verbs[desk.staging] = Verb.READ
    assert await safe.refusal("CreateSecret", body=safe.body(compartmentId=desk.staging)) == RELATED
    await shop.ask("DisableKey", safe.key_id)
    assert await safe.refusal("CreateSecret", body=safe.body()) == WRONG_STATE
    await shop.ask("EnableKey", safe.key_id)
    await desk.ask("ScheduleVaultDeletion", shop.vault_id, body={})
    assert await safe.refusal("CreateSecret", body=safe.body()) == WRONG_STATE
    found = await safe.ask("ListSecrets", query={"compartmentId": desk.production})
    assert [one["id"] for one in found.json] == [taken]


async def test_the_same_name_may_be_in_two_vaults_and_in_two_cases(sqlite_safe: Safe) -> None:
    safe = sqlite_safe
    lower, upper = await safe.made("login"), await safe.made("LOGIN")
    assert lower != upper
    query = {"secretName": "LOGIN", "vaultId": safe.shop.vault_id}
    assert (await safe.ask("GetSecretBundleByName", query=query))["secretId"] == upper
    for wrong in ({**query, "secretName": "Login"}, {**query, "vaultId": new_ocid("vault")}):
        assert await safe.refusal("GetSecretBundleByName", query=wrong) == ABSENT
    for missing in query:
        less = {name: value for name, value in query.items() if name != missing}
        assert await safe.refusal("GetSecretBundleByName", query=less) == BAD


async def test_a_bundle_is_asked_for_in_one_way(sqlite_safe: Safe) -> None:
    safe = sqlite_safe
    secret_id = await safe.made()
    by_name = {"secretName": "login", "vaultId": safe.shop.vault_id}
    for query in (
        {"versionNumber": 1, "stage": "CURRENT"},
        {"versionNumber": 1, "secretVersionName": "x"},
        {"versionNumber": "one"},
        {"stage": "FIRST"},
    ):
        assert await safe.refusal("GetSecretBundle", secret_id, query=query) == BAD
        assert await safe.refusal("GetSecretBundleByName", query={**by_name, **query}) == BAD
    for name, value in {"versionNumber": 2, "secretVersionName": "x", "stage": "PREVIOUS"}.items():
        assert await safe.refusal("GetSecretBundle", secret_id, query={name: value}) == ABSENT


# Lists.


async def test_lists_are_filtered_sorted_and_paged(safe: Safe) -> None:
    desk, shop = safe.desk, safe.shop
    ids = {}
    for name in ("b", "C", "a"):
        ids[name] = await safe.made(name)
        desk.clock.advance(1)
    other_vault, other_prefix = await shop.new_vault()
    key_body = {"compartmentId": desk.production, "displayName": "x", "keyShape": {"algorithm": "AES", "length": 16}}
    key_id = (await desk.ask("CreateKey", body=key_body, vault=other_prefix))["id"]
    ids["d"] = await safe.made("d", vaultId=other_vault, keyId=key_id)
    await safe.made("elsewhere", compartmentId=desk.staging)
    await safe.ask("ScheduleSecretDeletion", ids["b"], body={"timeOfDeletion": written(START + 2 * DAY_S)})

    async def names(**query: Any) -> str:
        pages = await safe.pages("ListSecrets", query={"compartmentId": desk.production, **query})
        assert all(len(page) <= int(query.get("limit", 100)) for page in pages)
        return "".join(one["secretName"] for page in pages for one in page)

    assert await names() == "daCb"
    assert await names(sortOrder="ASC") == "bCad"
    assert await names(sortBy="NAME") == "Cabd"
    assert await names(sortBy="name", sortOrder="desc") == "dbaC"
    for limit in (1, 2, 3):
        assert await names(limit=limit) == "daCb"
        assert await names(limit=limit, sortBy="NAME") == "Cabd"
    assert await names(vaultId=other_vault) == "d"
    assert await names(name="a") == "a"
    assert await names(name="nobody") == ""
    assert await names(lifecycleState="pending_deletion") == "b"
    assert await names(lifecycleState="ACTIVE", limit=1) == "daC"
    desk.clock.advance(2 * DAY_S)
    assert await names(lifecycleState="DELETED") == "b"
    assert await names(lifecycleState="FAILED") == ""
    await desk.ask("ScheduleVaultDeletion", other_vault, body={"timeOfDeletion": written(desk.clock.now() + 7 * DAY_S)})
    assert await names(lifecycleState="ACTIVE") == "daC"  # a vault's end is not its secrets' until it has come
    desk.clock.advance(7 * DAY_S)
    assert await names(lifecycleState="ACTIVE") == "aC"
    assert await names(lifecycleState="DELETED", limit=1) == "db"
    shown = await safe.ask("ListSecrets", query={"compartmentId": desk.production, "name": "a"})
    full = (await safe.ask("GetSecret", ids["a"])).json
    for only in ("currentVersionNumber", "metadata", "secretRules"):
        del full[only]
    assert shown.json == [{**full, "systemTags": None}]
    for query in ({}, {"compartmentId": new_ocid("compartment")}):
        assert (await safe.refusal("ListSecrets", query=query))[0] in (400, 404)
    for wrong in ({"sortBy": "SIZE"}, {"lifecycleState": "GONE"}, {"limit": 0}, {"page": "x"}):
        assert await safe.refusal("ListSecrets", query={"compartmentId": desk.production, **wrong}) == BAD


# Who sees what.


async def test_what_is_hidden(sqlite_safe: Safe) -> None:
    safe, desk = sqlite_safe, sqlite_safe.desk
    secret_id = await safe.made()
    all_of_one = (
        ("GetSecret", (), None, Verb.READ),
        ("UpdateSecret", (), {}, Verb.USE),
        ("UpdateSecret", (), {"secretContent": safe.content("x")}, Verb.USE),
        ("ScheduleSecretDeletion", (), {}, Verb.MANAGE),
        ("CancelSecretDeletion", (), None, Verb.MANAGE),
        ("ChangeSecretCompartment", (), {"compartmentId": desk.staging}, Verb.MANAGE),
        ("RotateSecret", (), None, Verb.MANAGE),
        ("CancelSecretRotation", (), None, Verb.MANAGE),
        ("ListSecretVersions", (), None, Verb.INSPECT),
        ("GetSecretVersion", ("1",), None, Verb.READ),
        ("ScheduleSecretVersionDeletion", ("1",), {}, Verb.MANAGE),
        ("CancelSecretVersionDeletion", ("1",), None, Verb.MANAGE),
        ("GetSecretBundle", (), None, Verb.READ),
        ("ListSecretBundleVersions", (), None, Verb.READ),
    )
    foreign = msgspec.structs.replace(desk.caller, tenancy_num=desk.caller.tenancy_num + 1)
    far = desk.place(region="eu-frankfurt-1")
    for operation, more, body, verb in all_of_one:
        assert await safe.refusal(operation, new_ocid("vaultsecret"), *more, body=body) == ABSENT
        assert await safe.refusal(operation, secret_id, *more, body=body, caller=foreign) == ABSENT
        assert await safe.refusal(operation, secret_id, *more, body=body, place=far) == ABSENT
        if verb > Verb.INSPECT:
            desk.rights.verbs[desk.production] = Verb(verb - 1)
            assert await safe.refusal(operation, secret_id, *more, body=body) == ABSENT
            desk.rights.verbs[desk.production] = Verb.MANAGE
        assert desk.routes[operation].verb == verb
    unseen = await safe.ask("ListSecrets", query={"compartmentId": desk.production}, place=far)
    assert unseen.json == []


async def test_a_move_needs_a_place_that_the_caller_may_fill(sqlite_safe: Safe) -> None:
    safe, desk = sqlite_safe, sqlite_safe.desk
    secret_id = await safe.made()
    desk.rights.verbs[desk.staging] = Verb.USE
    body = {"compartmentId": desk.staging}
    assert await safe.refusal("ChangeSecretCompartment", secret_id, body=body) == RELATED
    assert await safe.refusal("ChangeSecretCompartment", secret_id, body={}) == BAD


# Etags and retry tokens.


async def test_etags_guard_every_change(sqlite_safe: Safe) -> None:
    safe = sqlite_safe
    secret_id = await safe.made()
    stale = (await safe.ask("GetSecret", secret_id)).etag
    fresh = (await safe.ask("UpdateSecret", secret_id, body={"description": "x"}, if_match=stale)).etag
    for operation, body in (
        ("UpdateSecret", {}),
        ("UpdateSecret", {"secretContent": safe.content("x")}),
        ("ScheduleSecretDeletion", {}),
        ("CancelSecretDeletion", None),  # before the state is looked at
        ("ChangeSecretCompartment", {"compartmentId": safe.desk.staging}),
        ("RotateSecret", None),
        ("CancelSecretRotation", None),
    ):
        assert await safe.refusal(operation, secret_id, body=body, if_match=stale) == STALE
    await safe.ask("ScheduleSecretDeletion", secret_id, body={}, if_match=f'"{fresh}"')


async def test_a_retry_token_makes_one_secret(safe: Safe) -> None:
    body = safe.body("once", description="x")
    first, second = await asyncio.gather(*(safe.ask("CreateSecret", body=body, retry_token="t") for _ in range(2)))
    assert first.json == second.json
    assert first.etag == second.etag
    for other in (
        {**body, "description": "y"},
        {**body, "secretContent": safe.content("another")},
        {**body, "secretContent": {"contentType": "BASE64", "content": "no base64"}},
        {**body, "secretContent": {"contentType": "BASE64"}},
    ):
        assert await safe.refusal("CreateSecret", body=other, retry_token="t") == SPENT
    await safe.uploaded(first["id"], "newer")
    assert (await safe.ask("CreateSecret", body=body, retry_token="t")).json == first.json
    await safe.ask("ChangeSecretCompartment", first["id"], body={"compartmentId": safe.desk.staging})
    assert await safe.refusal("CreateSecret", body=body, retry_token="t") == SPENT


async def test_a_retry_token_keeps_nothing_of_the_content(sqlite_safe: Safe) -> None:
    """A hash of the whole request would let who has the database try passwords on it."""
    safe = sqlite_safe
    await safe.ask("CreateSecret", body=safe.body("a", "hush"), retry_token="same")
    first = await safe.desk.store.read("SELECT request_hash, body FROM oci_retry_tokens")
    await safe.desk.store.write(lambda tx: tx.execute("DELETE FROM oci_retry_tokens"))
    await safe.desk.store.write(lambda tx: tx.execute("UPDATE oci_secrets SET name = 'b'"))
    await safe.ask("CreateSecret", body=safe.body("a", "another"), retry_token="same")
    again = await safe.desk.store.read("SELECT request_hash, body FROM oci_retry_tokens")
    assert first[0][0] == again[0][0]
    for _, body in (*first, *again):
        assert b64("hush").encode() not in bytes(body)


# What is kept.


async def test_nothing_that_is_kept_shows_a_content(safe: Safe) -> None:
    hidden = "correct-horse-battery-staple"
    secret_id = await safe.made(content=hidden)
    await safe.uploaded(secret_id, hidden)
    rows = await safe.desk.store.read("SELECT * FROM oci_secret_versions")
    rows += await safe.desk.store.read("SELECT * FROM oci_secrets")
    assert len(rows) == 3
    for row in rows:
        for value in row:
            text = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
            assert hidden.encode() not in text
            assert b64(hidden).encode() not in text
    assert len({bytes(row[8]) if isinstance(row[8], bytes) else str(row) for row in rows}) == 3


async def test_a_content_does_not_open_in_another_place(sqlite_safe: Safe) -> None:
    safe = sqlite_safe
    one, other = await safe.made("one", "1"), await safe.made("other", "2")
    swap = (
        "UPDATE oci_secret_versions SET sealed = (SELECT v.sealed FROM oci_secret_versions v JOIN oci_secrets s"
        " ON s.num = v.secret_num WHERE s.id = ?) WHERE secret_num = (SELECT num FROM oci_secrets WHERE id = ?)"
    )
    await safe.desk.store.write(lambda tx: tx.execute(swap, one, other))
    assert await safe.refusal("GetSecretBundle", other) == (500, "InternalServerError")
    assert await safe.text(one) == "1"


async def test_contents_survive_the_rotation_of_data_keys(safe: Safe) -> None:
    secret_id = await safe.made(content="one")
    await safe.uploaded(secret_id, "two")
    before = await safe.desk.store.read("SELECT DISTINCT data_key_id FROM oci_secret_versions")
    source = EnvironmentKeys(ROOT_KEY)
    await Rotation(safe.desk.store, safe.desk.keyring, source, safe.desk.clock, [OciResealer()]).rotate_data_keys()
    after = await safe.desk.store.read("SELECT DISTINCT data_key_id FROM oci_secret_versions")
    assert after != before
    assert [await safe.text(secret_id, versionNumber=number) for number in (1, 2)] == ["one", "two"]
    await safe.uploaded(secret_id, "three")
    assert await safe.text(secret_id) == "three"


async def test_a_data_key_stays_in_memory_until_the_content_is_sealed(sqlite_safe: Safe) -> None:
    """With room for one key only, calls in two vaults push out each other's while they wait for the database."""
    safe, desk = sqlite_safe, sqlite_safe.desk
    vault_id, prefix = await safe.shop.new_vault()
    key_body = {"compartmentId": desk.production, "displayName": "x", "keyShape": {"algorithm": "AES", "length": 16}}
    key_id = (await desk.ask("CreateKey", body=key_body, vault=prefix))["id"]
    tight = Keyring(desk.store, EnvironmentKeys(ROOT_KEY), desk.clock, remembered=1)
    await tight.load()
    desk.add(SecretRoutes(desk.store, tight).routes())
    places: tuple[dict[str, str], ...] = ({}, {"vaultId": vault_id, "keyId": key_id})
    ids = await asyncio.gather(*(safe.made(f"s{n}", f"{n}", **places[n % 2]) for n in range(8)))
    assert [await safe.text(secret_id) for secret_id in ids] == [f"{n}" for n in range(8)]


async def test_the_quick_answer_is_the_same(safe: Safe) -> None:
    secret_id = await safe.made()
    slow = await safe.ask("GetSecretBundle", secret_id)
    quick = quickly(safe.desk.call("GetSecretBundle", secret_id))
    if safe.desk.store.kind == "sqlite":
        assert quick is not None
    if quick is not None:
        assert (quick.answer.etag, base64.b64encode(msgspec.json.encode(quick.answer.body))) == (
            slow.etag,
            base64.b64encode(msgspec.json.encode(slow.answer.body)),
        )
        assert (quick.subject.id, quick.details) == (secret_id, {"version": 1})  # as the ordinary record tells
    await safe.ask("ScheduleSecretDeletion", secret_id, body={})
    assert quickly(safe.desk.call("GetSecretBundle", secret_id)) is None
