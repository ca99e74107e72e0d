"""Backups by the official Python SDK of OCI, unmodified: buckets, files, addresses, and restores after the end."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import Any

import httpx
import oci
import pytest
from oci.key_management import (
    KmsCryptoClient,
    KmsManagementClient,
    KmsManagementClientCompositeOperations,
    KmsVaultClientCompositeOperations,
    models,
)
from oci.object_storage import ObjectStorageClient
from oci.object_storage import models as storage_models

from claviger.ocikms.calls import MAX_FILE_BYTES
from tests.oci_clients import OciHouse, oci_house
from tests.vaults import spare_name

REGION = "us-ashburn-1"
PLAIN = base64.b64encode(b"secret").decode()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, names_for_programs: dict[str, str]) -> Iterator[OciHouse]:
    folder = tmp_path_factory.mktemp("oci-backups")
    with oci_house(folder, names_for_programs, CLAVIGER_SWITCHES="true") as made:
        yield made


@pytest.fixture(scope="module")
def storage(house: OciHouse) -> Any:
    return house.client(ObjectStorageClient, f"https://objectstorage.{REGION}.localhost:{house.shell.server.port}")


@pytest.fixture
def bucket(house: OciHouse, storage: Any) -> str:
    details = storage_models.CreateBucketDetails(name=spare_name("bucket"), compartment_id=house.compartment())
    return str(storage.create_bucket(storage.get_namespace().data, details).data.name)


def refusal(call: Any, *arguments: Any, **more: Any) -> tuple[int, str]:
    with pytest.raises(oci.exceptions.ServiceError) as refused:
        call(*arguments, **more)
    return refused.value.status, refused.value.code


def test_buckets_and_objects(house: OciHouse, storage: Any, bucket: str) -> None:
    namespace = storage.get_namespace().data
    assert bucket in [each.name for each in storage.list_buckets(namespace, house.compartment()).data]
    assert storage.head_bucket(namespace, bucket).headers["etag"] == storage.get_bucket(namespace, bucket).data.etag
    details = storage_models.CreateBucketDetails(name=bucket, compartment_id=house.compartment())
    assert refusal(storage.create_bucket, namespace, details) == (409, "BucketAlreadyExists")

    content = bytes(range(256)) * 1000
    for name, body in (("a/b c", content), ("stream", io.BytesIO(content)), ("text", "written"), ("empty", b"")):
        put = storage.put_object(namespace, bucket, name, body).headers
        assert put["etag"]
        expected = body.encode() if isinstance(body, str) else body.getvalue() if isinstance(body, io.BytesIO) else body
        found = storage.get_object(namespace, bucket, name)
        assert found.data.content == expected
        assert found.headers["content-md5"] == base64.b64encode(md5(expected).digest()).decode()
        head = storage.head_object(namespace, bucket, name).headers
        assert (head["content-length"], head["etag"]) == (str(len(expected)), put["etag"])
    listed = oci.pagination.list_call_get_all_results(
        storage.list_objects, namespace, bucket, fields="name,size", limit=2
    ).data.objects
    assert [(each.name, each.size) for each in listed] == [
        ("a/b c", 256_000),
        ("empty", 0),
        ("stream", 256_000),
        ("text", 7),
    ]
    assert refusal(storage.put_object, namespace, bucket, "text", b"x", if_none_match="*") == (412, "IfNoneMatchFailed")
    assert refusal(storage.put_object, namespace, bucket, "text", b"x", content_md5="x") == (400, "UnmatchedContentMD5")
    assert refusal(storage.get_object, namespace, bucket, "absent") == (404, "ObjectNotFound")
    assert refusal(storage.head_object, namespace, bucket, "absent")[0] == 404
    assert refusal(storage.get_object, namespace, "absent", "x") == (404, "BucketNotFound")
    assert refusal(storage.get_bucket, "absent", bucket) == (404, "NamespaceNotFound")
    assert refusal(storage.delete_bucket, namespace, bucket) == (409, "BucketNotEmpty")
    storage.put_object(namespace, bucket, "text", b"x" * MAX_FILE_BYTES)
    assert refusal(storage.put_object, namespace, bucket, "text", b"x" * (MAX_FILE_BYTES + 1))[0] == 413
    for each in listed:
        storage.delete_object(namespace, bucket, each.name)
    assert storage.delete_bucket(namespace, bucket).status == 204


def test_an_address_needs_no_signature(house: OciHouse, storage: Any, bucket: str) -> None:
    namespace = storage.get_namespace().data
    details = storage_models.CreatePreauthenticatedRequestDetails(
        name="for a day",
        object_name="a b/c",
        access_type="ObjectReadWrite",
        time_expires=datetime.now(UTC) + timedelta(days=400),
    )
    made = storage.create_preauthenticated_request(namespace, bucket, details).data
    with httpx.Client(verify=house.shell.server.trust, trust_env=False, timeout=60) as stranger:
        assert stranger.get(made.full_path).status_code == 404
        assert stranger.put(made.full_path, content=b"written").status_code == 200
        found = stranger.get(made.full_path)
        assert (found.status_code, found.content) == (200, b"written")
        head = stranger.head(made.full_path)
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "7", b"")
        for wrong in (made.full_path.replace("a%20b", "other"), made.full_path.replace("/p/", "/p/x")):
            told = stranger.get(wrong)
            assert (told.status_code, told.json()["code"]) == (401, "NotAuthenticated")
        storage.delete_preauthenticated_request(namespace, bucket, made.id)
        assert stranger.get(made.full_path).status_code == 401
    assert storage.get_object(namespace, bucket, "a b/c").data.content == b"written"


def test_there_and_back_again(house: OciHouse, storage: Any, bucket: str) -> None:
    """A vault and its key are backed up, deleted for good, and restored: what was encrypted opens."""
    namespace = storage.get_namespace().data
    vaults = house.vaults(REGION)
    waiting = KmsVaultClientCompositeOperations(vaults)
    details = models.CreateVaultDetails(
        compartment_id=house.compartment(), display_name="to lose", vault_type="VIRTUAL_PRIVATE"
    )
    vault = waiting.create_vault_and_wait_for_state(details, ["ACTIVE"]).data
    management = house.client(KmsManagementClient, vault.management_endpoint)
    crypto = house.client(KmsCryptoClient, vault.crypto_endpoint)
    keys = KmsManagementClientCompositeOperations(management)
    shape = models.KeyShape(algorithm="AES", length=32)
    details = models.CreateKeyDetails(compartment_id=house.compartment(), display_name="k", key_shape=shape)
    key = keys.create_key_and_wait_for_state(details, ["ENABLED"]).data
    sealed = crypto.encrypt(models.EncryptDataDetails(key_id=key.id, plaintext=PLAIN)).data.ciphertext
    keys.create_key_version_and_wait_for_state(key.id, ["ENABLED"])

    def at(name: str) -> Any:
        return models.BackupLocationBucket(namespace=namespace, bucket_name=bucket, object_name=name)

    told = keys.backup_key_and_wait_for_state(
        key.id, ["ENABLED"], {"backup_key_details": models.BackupKeyDetails(backup_location=at("key"))}
    )
    assert told.data.lifecycle_state == "ENABLED"
    of_vault = models.BackupVaultDetails(backup_location=at("vault"), is_include_keys=False)
    waiting.backup_vault_and_wait_for_state(vault.id, ["ACTIVE"], {"backup_vault_details": of_vault})
    file, vault_file = (storage.get_object(namespace, bucket, name).data.content for name in ("key", "vault"))
    assert refusal(management.restore_key_from_file, file)[0] == 409
    assert refusal(vaults.restore_vault_from_file, house.compartment(), vault_file)[0] == 409

    vaults.schedule_vault_deletion(vault.id, models.ScheduleVaultDeletionDetails())
    house.shell.server.command("clock", "advance", "31d")
    oci.wait_until(vaults, vaults.get_vault(vault.id), "lifecycle_state", "DELETED", max_wait_seconds=120)
    assert refusal(management.restore_key_from_file, file)[0] == 404

    wait_for_restore = _until_done(lambda: vaults.restore_vault_from_file(house.compartment(), vault_file))
    assert wait_for_restore.restored_from_vault_id == vault.id
    assert wait_for_restore.management_endpoint == vault.management_endpoint
    assert management.get_key(key.id).data.lifecycle_state == "DELETED"
    digest = base64.b64encode(md5(file).digest()).decode()
    assert refusal(management.restore_key_from_file, file[:-1])[0] == 400
    assert refusal(management.restore_key_from_file, file, content_md5="AAAA")[0] == 400
    restored = management.restore_key_from_file(io.BytesIO(file), content_md5=digest).data
    assert (restored.lifecycle_state, restored.restored_from_key_id) == ("RESTORING", key.id)
    found = management.get_key(key.id).data
    assert (found.lifecycle_state, found.time_created) == ("ENABLED", key.time_created)
    assert len(management.list_key_versions(key.id).data) == 2
    opened = crypto.decrypt(models.DecryptDataDetails(key_id=key.id, ciphertext=sealed)).data
    assert opened.plaintext == PLAIN


def _until_done(restore: Any) -> Any:
    """The deletion of a vault that is due is carried out a moment later; until then a restore says so."""
    give_up_at = time.monotonic() + 60
    while True:
        try:
            return restore().data
        except oci.exceptions.ServiceError as failure:
            if failure.code != "IncorrectState":
                raise
        assert time.monotonic() < give_up_at, "the deletion was never carried out"
        time.sleep(0.05)


def test_by_address_and_by_command(house: OciHouse, storage: Any) -> None:
    """A bucket that was made at the command line; a backup goes to an address of it, and comes back from there."""
    name = spare_name("bucket")
    made = house.shell.server.command("oci", "bucket", "create", name, "--compartment", "production")
    assert (made["region"], made["compartment_id"]) == (REGION, house.compartment())
    assert name in [each["name"] for each in house.shell.server.command("oci", "bucket", "list")]
    namespace = storage.get_namespace().data
    assert made["namespace"] == namespace
    details = storage_models.CreatePreauthenticatedRequestDetails(
        name="x",
        object_name="vault",
        access_type="ObjectReadWrite",
        time_expires=datetime.now(UTC) + timedelta(days=400),
    )
    address = storage.create_preauthenticated_request(namespace, name, details).data.full_path
    vaults = house.vaults(REGION)
    vault = vaults.create_vault(
        models.CreateVaultDetails(compartment_id=house.compartment(), display_name="x", vault_type="VIRTUAL_PRIVATE")
    ).data
    location = models.BackupLocationURI(uri=address)
    told = vaults.backup_vault(vault.id, backup_vault_details=models.BackupVaultDetails(backup_location=location))
    assert told.data.lifecycle_state == "BACKUP_IN_PROGRESS"
    restore = models.RestoreVaultFromObjectStoreDetails(backup_location=location)
    refused = refusal(
        vaults.restore_vault_from_object_store,
        house.compartment(),
        restore_vault_from_object_store_details=restore,
        retry_strategy=oci.retry.NoneRetryStrategy(),
    )
    assert refused == (409, "NotAuthorizedOrResourceAlreadyExists")
    elsewhere = models.BackupLocationURI(uri=address.replace("localhost", "example.com"))
    details = models.BackupVaultDetails(backup_location=elsewhere)
    assert refusal(vaults.backup_vault, vault.id, backup_vault_details=details) == (400, "InvalidParameter")
