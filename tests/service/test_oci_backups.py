"""Backups of vaults and keys on both databases: there and back again, also after everything else is gone."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from hashlib import md5
from pathlib import Path
from typing import Any

import msgspec
import pytest

from claviger.crypto.root_key import EnvironmentKeys
from claviger.ocikms.backups import rules, sealed_file
from claviger.ocikms.backups.sealed_file import SCOPE, SealedFiles
from claviger.ocikms.calls import Verb
from claviger.ocikms.ocids import new_ocid
from claviger.ocikms.resealing import OciResealer
from claviger.sealing.rotation import Rotation
from claviger.store.contract import Tx
from tests.oci_backups import BUCKET, PRIVATE, RSA, BackupDesk, open_backup_desk
from tests.ocikms import ABSENT, BAD, RELATED, ROOT_KEY, SPENT, STALE, WRONG_STATE, Rights

EXISTS = (409, "NotAuthorizedOrResourceAlreadyExists")


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[BackupDesk]:
    async with open_backup_desk(database_url) as opened:
        yield opened


async def rows_of(desk: BackupDesk) -> list[Any]:
    """All rows that a restore could write."""
    tables = ("oci_vaults", "oci_keys", "oci_key_versions", "oci_objects")
    return [await desk.desk.store.read(f"SELECT * FROM {table} ORDER BY num") for table in tables]


async def test_a_key_comes_back_after_it_was_deleted(desk: BackupDesk) -> None:
    key_id = await desk.make(keyShape=RSA, freeformTags={"a": "b"})
    await desk.ask("CreateKeyVersion", key_id)
    before = await desk.keys.read(key_id, kind=PRIVATE)
    versions = (await desk.ask("ListKeyVersions", key_id)).json
    material = await desk.material(key_id)
    assert len(material) == 2
    assert all(material.values())
    content = await desk.back_up(key_id)
    assert await desk.state(key_id) == "ENABLED"
    assert await desk.refusal("RestoreKeyFromFile", body=content) == EXISTS

    await desk.ask("CreateKeyVersion", key_id)
    await desk.end_key(key_id)
    assert await desk.state(key_id) == "DELETED"
    assert set((await desk.material(key_id)).values()) == {None}
    again = await desk.ask("RestoreKeyFromFile", body=content)
    assert (again["lifecycleState"], again["restoredFromKeyId"]) == ("RESTORING", key_id)
    after = await desk.keys.read(key_id, kind=PRIVATE)
    assert after.json == {**before.json, "restoredFromKeyId": key_id}
    assert after.etag != before.etag
    found = await desk.material(key_id)
    assert {ident: value for ident, value in found.items() if value is not None} == material
    listed = {version["id"]: version for version in (await desk.ask("ListKeyVersions", key_id)).json}
    assert len(listed) == 3
    for version in versions:
        assert listed.pop(version["id"])["lifecycleState"] == "ENABLED"
        told = await desk.ask("GetKeyVersion", key_id, version["id"])
        assert (told["restoredFromKeyVersionId"], bool(told["publicKey"])) == (version["id"], True)
    assert [version["lifecycleState"] for version in listed.values()] == ["DELETED"]
    await desk.ask("CreateKeyVersion", key_id)
    assert await desk.refusal("RestoreKeyFromFile", body=content) == EXISTS


async def test_a_vault_comes_back_with_its_keys_after_all_was_deleted(desk: BackupDesk) -> None:
    key_id, other_id = await desk.make("one"), await desk.make("two", keyShape=RSA)
    await desk.ask("CreateKeyVersion", key_id)
    await desk.ask("DisableKey", other_id)
    soft_id = await desk.make("soft", protectionMode="SOFTWARE")
    going_id = await desk.make("going")
    await desk.ask("ScheduleKeyDeletion", going_id, body={})
    material = {**await desk.material(key_id), **await desk.material(other_id)}
    vault = (await desk.ask("GetVault", desk.vault_id)).json
    wrapping = (await desk.ask("GetWrappingKey")).json
    content = await desk.back_up_vault(with_keys=True)
    bare = await desk.back_up_vault("bare")
    assert await desk.back_up(key_id)
    await desk.ask("CancelKeyDeletion", going_id)
    late_id = await desk.make("late")
    for refused in (content, bare):
        assert (
            await desk.refusal("RestoreVaultFromFile", body=refused, query={"compartmentId": desk.desk.production})
            == EXISTS
        )

    await desk.end_vault()
    assert (await desk.ask("GetVault", desk.vault_id))["lifecycleState"] == "DELETED"
    scope = "SELECT COUNT(*) FROM data_keys WHERE scope LIKE 'ocikms:%'"
    assert await desk.desk.store.read_one(scope) == (0,)
    assert await desk.refusal("RestoreKeyFromFile", body=await desk.file("key")) == ABSENT

    told = await desk.restore_vault(content)
    assert (told["lifecycleState"], told["restoredFromVaultId"]) == ("RESTORING", desk.vault_id)
    again = (await desk.ask("GetVault", desk.vault_id)).json
    assert again == {**vault, "restoredFromVaultId": desk.vault_id}
    for ident in (key_id, other_id):
        assert await desk.state(ident) == "ENABLED"
        for version_id, value in (await desk.material(ident)).items():
            assert value == material[version_id]
    for ident in (soft_id, going_id, late_id):
        assert (ident, await desk.state(ident)) == (ident, "DELETED")
    assert (await desk.ask("GetWrappingKey"))["publicKey"] != wrapping["publicKey"]
    made = await desk.make("new")
    assert await desk.state(made) == "ENABLED"
    assert await desk.refusal("RestoreKeyFromFile", body=await desk.file("key")) == EXISTS


async def test_a_vault_comes_back_without_keys_and_they_one_by_one(desk: BackupDesk) -> None:
    key_id = await desk.make()
    material = await desk.material(key_id)
    of_key = await desk.back_up(key_id)
    of_vault = await desk.back_up_vault()
    await desk.end_vault()
    await desk.restore_vault(of_vault)
    assert await desk.state(key_id) == "DELETED"
    await desk.ask("RestoreKeyFromFile", body=of_key)
    assert (await desk.state(key_id), await desk.material(key_id)) == ("ENABLED", material)


async def test_versions_come_back_as_they_were_and_their_dates_have_gone_on(desk: BackupDesk) -> None:
    key_id = await desk.make()
    first = (await desk.keys.read(key_id, kind=PRIVATE))["currentKeyVersion"]
    await desk.ask("CreateKeyVersion", key_id)
    await desk.ask("ScheduleKeyVersionDeletion", key_id, first, body={})
    content = await desk.back_up(key_id)
    later = (await desk.ask("CreateKeyVersion", key_id))["id"]
    await desk.ask("ScheduleKeyDeletion", key_id, body={"timeOfDeletion": "2027-01-23T08:00:00Z"})
    desk.clock.advance(10 * 86_400)
    assert await desk.state(key_id) == "DELETED"  # and not yet swept
    await desk.ask("RestoreKeyFromFile", body=content)
    version = await desk.ask("GetKeyVersion", key_id, first)
    assert (version["lifecycleState"], version["timeOfDeletion"]) == ("PENDING_DELETION", "2027-02-14T08:00:00.000Z")
    assert (await desk.ask("GetKeyVersion", key_id, later))["lifecycleState"] == "DELETED"
    assert (await desk.material(key_id))[later] is None
    await desk.ask("CancelKeyVersionDeletion", key_id, first)
    await desk.end_key(key_id)
    await desk.ask("RestoreKeyFromFile", body=content)
    version = await desk.ask("GetKeyVersion", key_id, first)
    assert version["lifecycleState"] == "DELETED"
    material = await desk.material(key_id)
    assert [material.pop(ident) for ident in (first, later)] == [None, None]
    assert all(material.values())


async def test_a_restore_that_comes_while_the_deletion_is_carried_out_waits(desk: BackupDesk) -> None:
    await desk.make()
    content = await desk.back_up_vault(with_keys=True)
    await desk.ask("ScheduleVaultDeletion", desk.vault_id, body={})
    desk.clock.advance(31 * 86_400)
    query = {"compartmentId": desk.desk.production}
    assert await desk.refusal("RestoreVaultFromFile", body=content, query=query) == WRONG_STATE
    await desk.sweeper.sweep()
    assert (await desk.restore_vault(content))["lifecycleState"] == "RESTORING"


async def test_only_private_vaults_and_hsm_keys_are_backed_up(desk: BackupDesk) -> None:
    plain = str(desk.keys.vaults["DEFAULT"]["id"])
    assert await desk.refusal("BackupVault", plain, body=desk.at("x")) == BAD
    key_id = str((await desk.keys.create())["id"])
    assert await desk.keys.refusal("BackupKey", key_id, body=desk.at("x")) == BAD
    soft_id = await desk.make(protectionMode="SOFTWARE")
    assert await desk.refusal("BackupKey", soft_id, body=desk.at("x")) == BAD
    assert await desk.desk.store.read("SELECT * FROM oci_objects") == []


async def test_states_etags_tokens_and_rights_of_a_backup(desk: BackupDesk) -> None:
    key_id = await desk.make()
    await desk.ask("DisableKey", key_id)
    await desk.back_up(key_id)
    assert await desk.state(key_id) == "DISABLED"
    await desk.ask("ScheduleKeyDeletion", key_id, body={})
    assert await desk.refusal("BackupKey", key_id, body=desk.at("x")) == WRONG_STATE
    # What is wrong with a value is told after what is wrong with the state.
    assert await desk.refusal("BackupKey", key_id, body={"backupLocation": {"destination": "x"}}) == WRONG_STATE
    await desk.ask("CancelKeyDeletion", key_id)
    assert await desk.refusal("BackupKey", key_id, body=desk.at("x"), if_match="other") == STALE
    etag = (await desk.keys.read(key_id, kind=PRIVATE)).etag
    told = await desk.ask("BackupKey", key_id, body=desk.at("x"), if_match=etag, retry_token="t")
    first = await desk.file("x")
    again = await desk.ask("BackupKey", key_id, body=desk.at("x"), if_match=etag, retry_token="t")
    assert (again.json, await desk.file("x")) == (told.json, first)
    assert await desk.refusal("BackupKey", key_id, body=desk.at("y"), retry_token="t") == SPENT
    desk.desk.rights = Rights({desk.desk.production: Verb.USE})
    assert await desk.refusal("BackupKey", key_id, body=desk.at("x")) == ABSENT
    assert await desk.refusal("BackupVault", desk.vault_id, body=desk.at("x")) == ABSENT


async def test_a_vault_with_keys_that_the_caller_may_not_manage_is_not_backed_up(desk: BackupDesk) -> None:
    await desk.make(compartmentId=desk.desk.staging)
    desk.desk.rights = Rights({desk.desk.production: Verb.MANAGE})
    body = {**desk.at("x"), "isIncludeKeys": True}
    assert await desk.refusal("BackupVault", desk.vault_id, body=body) == ABSENT
    await desk.back_up_vault()


async def test_a_restored_key_is_in_its_compartment_or_else_its_vaults(desk: BackupDesk) -> None:
    key_id = await desk.make(compartmentId=desk.desk.staging)
    content = await desk.back_up(key_id)
    await desk.end_key(key_id)
    desk.desk.rights = Rights({desk.desk.production: Verb.MANAGE, desk.desk.staging: Verb.USE})
    assert await desk.refusal("RestoreKeyFromFile", body=content) == ABSENT
    desk.desk.rights = Rights({desk.desk.production: Verb.MANAGE})  # staging is gone
    assert (await desk.ask("RestoreKeyFromFile", body=content))["compartmentId"] == desk.desk.production


async def test_a_file_that_is_no_backup_stores_nothing(desk: BackupDesk) -> None:
    key_id = await desk.make()
    content = await desk.back_up(key_id)
    of_vault = await desk.back_up_vault(with_keys=True)
    await desk.end_key(key_id)
    before = await rows_of(desk)
    for each in [*_damaged(content), of_vault, of_vault.replace(b"-1\0V", b"-1\0K", 1)]:
        assert await desk.refusal("RestoreKeyFromFile", body=each) == BAD
    assert await rows_of(desk) == before
    await desk.ask("RestoreKeyFromFile", body=content)

    await desk.end_vault()
    before = await rows_of(desk)
    query = {"compartmentId": desk.desk.production}
    for each in [*_damaged(of_vault), content, content.replace(b"-1\0K", b"-1\0V", 1)]:
        assert await desk.refusal("RestoreVaultFromFile", body=each, query=query) == BAD
    assert await rows_of(desk) == before
    await desk.restore_vault(of_vault)
    assert await desk.state(key_id) == "ENABLED"


def _damaged(content: bytes) -> list[bytes]:
    """Nothing, something else, too short, too long, and every one of the first bytes and of some others changed."""
    at = [*range(64), *range(64, len(content), 37), len(content) - 1]
    return [
        *(b"", b"\0", b"{}", b"x" * 1000, content[:60] + b"\0" * 500),
        *(content[:length] for length in (21, 22, 23, 24, 40, 60, len(content) // 2, len(content) - 1)),
        *(content + b"\0", content[1:], content + content),
        *(content[:one] + bytes([content[one] ^ 1]) + content[one + 1 :] for one in at),
    ]


async def test_a_backup_of_another_server_tenancy_or_vault_is_refused(
    desk: BackupDesk, database_url: str, tmp_path: Path
) -> None:
    key_id = await desk.make()
    content = await desk.back_up(key_id)
    of_vault = await desk.back_up_vault()
    query = {"compartmentId": desk.desk.production}
    assert await desk.keys.refusal("RestoreKeyFromFile", body=content) == BAD  # at the host of another vault
    async with open_backup_desk(f"sqlite://{tmp_path}/other/claviger.db") as other:
        assert await other.refusal("RestoreKeyFromFile", body=content) == BAD
        elsewhere = {"compartmentId": other.desk.production}
        assert await other.refusal("RestoreVaultFromFile", body=of_vault, query=elsewhere) == BAD
    await desk.end_vault()
    desk.desk.caller = msgspec.structs.replace(desk.desk.caller, tenancy_id=new_ocid("tenancy"))
    assert await desk.refusal("RestoreVaultFromFile", body=of_vault, query=query) == BAD


async def test_the_md5_of_a_file_is_checked(desk: BackupDesk) -> None:
    key_id = await desk.make()
    content = await desk.back_up(key_id)
    await desk.end_key(key_id)
    digest = base64.b64encode(md5(content).digest()).decode()
    for wrong in (base64.b64encode(md5(b"").digest()).decode(), "", "x", digest.lower()):
        assert await desk.refusal("RestoreKeyFromFile", body=content, content_md5=wrong) == BAD
    await desk.ask("RestoreKeyFromFile", body=content, content_md5=digest)


async def test_restores_from_a_bucket_and_their_refusals(desk: BackupDesk) -> None:
    key_id = await desk.make()
    await desk.back_up(key_id)
    await desk.back_up_vault(with_keys=True)
    await desk.end_key(key_id)
    told = await desk.ask("RestoreKeyFromObjectStore", body=desk.at("key"), retry_token="t")
    again = await desk.ask("RestoreKeyFromObjectStore", body=desk.at("key"), retry_token="t")
    assert again.json == told.json
    await desk.end_vault()
    query = {"compartmentId": desk.desk.production}
    told = await desk.ask("RestoreVaultFromObjectStore", body=desk.at("vault"), query=query)
    assert told["restoredFromVaultId"] == desk.vault_id
    assert await desk.state(key_id) == "ENABLED"

    place = desk.at("key")["backupLocation"]
    for body, refusal in (
        ({}, BAD),
        ({"backupLocation": {"destination": "BUCKET"}}, BAD),
        ({"backupLocation": {**place, "objectName": ""}}, BAD),
        ({"backupLocation": {**place, "destination": "TAPE"}}, BAD),
        ({"backupLocation": {**place, "objectName": "absent"}}, RELATED),
        ({"backupLocation": {**place, "bucketName": "absent"}}, RELATED),
        ({"backupLocation": {**place, "namespace": "absent"}}, RELATED),
        ({"backupLocation": {"destination": "PRE_AUTHENTICATED_REQUEST_URI"}}, BAD),
    ):
        assert await desk.refusal("RestoreKeyFromObjectStore", body=body) == refusal
        if body != {"backupLocation": {**place, "objectName": "absent"}}:
            assert await desk.refusal("BackupKey", key_id, body=body) == refusal
    for missing in ({}, {"compartmentId": new_ocid("compartment")}):
        refused = await desk.refusal("RestoreVaultFromObjectStore", body=desk.at("vault"), query=missing)
        assert refused == (ABSENT if missing else BAD)


async def test_a_key_comes_back_into_an_active_vault_that_the_caller_may_use(desk: BackupDesk) -> None:
    key_id = await desk.make(compartmentId=desk.desk.staging)
    content = await desk.back_up(key_id)
    await desk.end_key(key_id)
    await desk.ask("ScheduleVaultDeletion", desk.vault_id, body={})
    assert await desk.refusal("RestoreKeyFromFile", body=content) == WRONG_STATE
    await desk.ask("CancelVaultDeletion", desk.vault_id)
    desk.desk.rights = Rights({desk.desk.production: Verb.READ, desk.desk.staging: Verb.MANAGE})
    assert await desk.refusal("RestoreKeyFromFile", body=content) == ABSENT
    query = {"compartmentId": desk.desk.production}
    assert await desk.refusal("RestoreVaultFromFile", body=b"", query=query) == ABSENT
    desk.desk.rights.verbs[desk.desk.production] = Verb.USE
    await desk.ask("RestoreKeyFromFile", body=content)


async def test_a_file_that_could_not_be_restored_is_not_made(desk: BackupDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    key_id = await desk.make()
    content = await desk.back_up(key_id)
    monkeypatch.setattr(sealed_file, "MAX_FILE_BYTES", len(content) - 1)
    assert await desk.refusal("BackupKey", key_id, body=desk.at("x")) == (400, "LimitExceeded")


async def test_a_bucket_is_written_by_who_manages_it_and_read_by_who_reads_it(desk: BackupDesk) -> None:
    key_id = await desk.make()
    body = {"name": "other", "compartmentId": desk.desk.staging}
    await desk.desk.ask("CreateBucket", desk.desk.tenancy_id, body=body)
    place = {**desk.at("key")["backupLocation"], "bucketName": "other"}
    desk.desk.rights = Rights({desk.desk.production: Verb.MANAGE, desk.desk.staging: Verb.USE})
    assert await desk.refusal("BackupKey", key_id, body={"backupLocation": place}) == RELATED
    desk.desk.rights.verbs[desk.desk.staging] = Verb.MANAGE
    await desk.ask("BackupKey", key_id, body={"backupLocation": place})
    await desk.end_key(key_id)
    desk.desk.rights.verbs[desk.desk.staging] = Verb.INSPECT
    assert await desk.refusal("RestoreKeyFromObjectStore", body={"backupLocation": place}) == RELATED
    desk.desk.rights.verbs[desk.desk.staging] = Verb.READ
    await desk.ask("RestoreKeyFromObjectStore", body={"backupLocation": place})


async def address(desk: BackupDesk, access_type: str, name: str = "by-address") -> dict[str, Any]:
    """A body that says: at a new pre-authenticated request."""
    body = {"name": "x", "accessType": access_type, "objectName": name, "timeExpires": "2029-01-01T00:00:00Z"}
    made = await desk.desk.ask("CreatePreauthenticatedRequest", desk.desk.tenancy_id, BUCKET, body=body)
    uri = f"https://objectstorage.us-ashburn-1.localhost:8443{made['accessUri']}"
    return {"backupLocation": {"destination": "PRE_AUTHENTICATED_REQUEST_URI", "uri": uri}}


async def test_an_address_of_this_server_is_enough_and_no_other_is_asked(desk: BackupDesk) -> None:
    key_id = await desk.make()
    desk.desk.rights = Rights({desk.desk.production: Verb.MANAGE})
    writing, reading = await address(desk, "ObjectWrite"), await address(desk, "ObjectRead")
    assert await desk.refusal("BackupKey", key_id, body=reading) == RELATED
    await desk.ask("BackupKey", key_id, body=writing)
    await desk.end_key(key_id)
    assert await desk.refusal("RestoreKeyFromObjectStore", body=writing) == RELATED
    uri = str(reading["backupLocation"]["uri"])
    for wrong, refusal in (
        (uri.replace("objectstorage.us-ashburn-1.localhost:8443", "example.com"), BAD),
        (uri.replace("us-ashburn-1", "eu-frankfurt-1"), RELATED),
        (uri.replace("objectstorage", "identity"), BAD),
        (uri.replace("https", "file"), BAD),
        (uri.replace("https://", "https://user@"), BAD),
        (uri + "?x=1", BAD),
        (uri.replace("/p/", "/q/"), BAD),
        (uri.replace("/p/", "/p/x"), RELATED),
        (uri.replace(BUCKET, "other"), RELATED),
        (uri + "%ff", BAD),
        (uri + "%00", BAD),
        ("x" * 5000, BAD),
        ("https://[", BAD),
    ):
        body = {"backupLocation": {"destination": "PRE_AUTHENTICATED_REQUEST_URI", "uri": wrong}}
        assert (wrong, await desk.refusal("RestoreKeyFromObjectStore", body=body)) == (wrong, refusal)
    own = uri.replace("https://objectstorage.us-ashburn-1.localhost:8443", "https://127.0.0.1:8443")
    body = {"backupLocation": {"destination": "PRE_AUTHENTICATED_REQUEST_URI", "uri": own}}
    assert (await desk.ask("RestoreKeyFromObjectStore", body=body))["restoredFromKeyId"] == key_id


async def test_too_much_for_one_backup(desk: BackupDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_VERSIONS", 2)
    key_id = await desk.make()
    await desk.make("other")
    await desk.back_up_vault(with_keys=True)
    await desk.ask("CreateKeyVersion", key_id)
    body = {**desk.at("x"), "isIncludeKeys": True}
    assert await desk.refusal("BackupVault", desk.vault_id, body=body) == (400, "LimitExceeded")
    await desk.back_up(key_id)


async def test_a_backup_is_of_one_moment(desk: BackupDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that is made while the file is put together is in it, for the file is put together again."""
    key_id = await desk.make()
    sealed = SealedFiles.sealed
    made: list[str] = []

    async def rotating(self: SealedFiles, kind: Any, contents: Any) -> bytes:
        file = await sealed(self, kind, contents)
        if len(made) < 2:
            made.append((await desk.ask("CreateKeyVersion", key_id))["id"])
        return file

    monkeypatch.setattr(SealedFiles, "sealed", rotating)
    content = await desk.back_up(key_id)
    material = await desk.material(key_id)
    assert len(material) == 3
    await desk.end_key(key_id)
    await desk.ask("RestoreKeyFromFile", body=content)
    assert await desk.material(key_id) == material

    made.clear()
    await desk.back_up_vault(with_keys=True)
    assert len(made) == 2


async def test_a_backup_outlives_the_rotation_of_data_keys(desk: BackupDesk) -> None:
    key_id = await desk.make()
    material = await desk.material(key_id)
    content = await desk.back_up(key_id)
    store, keyring = desk.desk.store, desk.desk.keyring
    rotation = Rotation(store, keyring, EnvironmentKeys(ROOT_KEY), desk.clock, [OciResealer()])
    done = await rotation.rotate_data_keys()
    assert SCOPE in done.kept_scopes
    newer = await desk.back_up(key_id, "newer")
    assert content[:59] != newer[:59]
    for each in (content, newer):
        await desk.end_key(key_id)
        await desk.ask("RestoreKeyFromFile", body=each)
        assert await desk.material(key_id) == material


async def test_a_vault_whose_row_is_missing_comes_back_too(desk: BackupDesk) -> None:
    """The database may be an older copy."""
    key_id = await desk.make()
    material = await desk.material(key_id)
    content = await desk.back_up_vault(with_keys=True)
    before = (await desk.ask("GetVault", desk.vault_id)).json
    await desk.end_vault()

    def forget(tx: Tx) -> None:
        tx.execute("DELETE FROM oci_key_versions")
        tx.execute("DELETE FROM oci_keys")
        tx.execute("DELETE FROM oci_vaults WHERE id = ?", desk.vault_id)

    await desk.desk.store.write(forget)
    assert await desk.refusal("GetVault", desk.vault_id) == ABSENT
    await desk.restore_vault(content)
    again = (await desk.ask("GetVault", desk.vault_id)).json
    assert again == {**before, "restoredFromVaultId": desk.vault_id}
    assert await desk.material(key_id) == material


async def test_states_pass_where_the_settings_say_so(sqlite_url: str) -> None:
    async with open_backup_desk(sqlite_url, settle_s=2.0) as desk:
        key_id = await desk.make()
        desk.clock.advance(2)
        content = await desk.back_up(key_id)
        assert await desk.state(key_id) == "BACKUP_IN_PROGRESS"
        assert await desk.refusal("BackupKey", key_id, body=desk.at("x")) == WRONG_STATE
        desk.clock.advance(2)
        assert await desk.state(key_id) == "ENABLED"
        await desk.back_up_vault()
        assert (await desk.ask("GetVault", desk.vault_id))["lifecycleState"] == "BACKUP_IN_PROGRESS"
        desk.clock.advance(2)
        await desk.end_key(key_id)
        await desk.ask("RestoreKeyFromFile", body=content)
        assert await desk.state(key_id) == "RESTORING"
        desk.clock.advance(2)
        assert await desk.state(key_id) == "ENABLED"
