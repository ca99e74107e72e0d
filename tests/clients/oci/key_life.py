"""A program as it runs in OCI: keys from their creation to their deletion and back, by the SDK's waiting operations."""

import base64
import hashlib
import os
import sys
import zlib
from datetime import UTC, datetime, timedelta

import oci
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding, aes_key_wrap_with_padding
from oci.key_management import (
    KmsCryptoClient,
    KmsManagementClient,
    KmsManagementClientCompositeOperations,
    KmsVaultClient,
    KmsVaultClientCompositeOperations,
    models,
)

config = oci.config.from_file()
oci.config.validate_config(config)
tenancy = config["tenancy"]
identity = oci.identity.IdentityClient(config)
compartments = {each.name: each.id for each in identity.list_compartments(tenancy).data}
production, staging = compartments["production"], compartments["staging"]
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
AES_256 = models.KeyShape(algorithm="AES", length=32)


def refused(call, *arguments, **more):
    """Status and code of what must not work."""
    try:
        call(*arguments, **more)
    except oci.exceptions.ServiceError as failure:
        return failure.status, failure.code
    raise AssertionError("it worked")


# A vault.
vaults = KmsVaultClient(config)
waiting = KmsVaultClientCompositeOperations(vaults)
vault = waiting.create_vault_and_wait_for_state(
    models.CreateVaultDetails(compartment_id=production, display_name="of a program", vault_type="DEFAULT"), ["ACTIVE"]
).data
for endpoint, plane in ((vault.management_endpoint, "management"), (vault.crypto_endpoint, "crypto")):
    assert endpoint.startswith(f"https://{vault.id.split('.')[4]}-{plane}.kms.{config['region']}."), endpoint
renamed = waiting.update_vault_and_wait_for_state(
    vault.id, models.UpdateVaultDetails(display_name="renamed", freeform_tags={"a": "b"}), ["ACTIVE"]
).data
assert (renamed.display_name, renamed.freeform_tags) == ("renamed", {"a": "b"})

# A key: created, disabled, enabled, changed, rotated, moved.
management = KmsManagementClient(config, vault.management_endpoint)
keys = KmsManagementClientCompositeOperations(management)
key = keys.create_key_and_wait_for_state(
    models.CreateKeyDetails(compartment_id=production, display_name="orders", key_shape=AES_256), ["ENABLED"]
).data
assert (key.vault_id, key.protection_mode, key.is_primary) == (vault.id, "HSM", True)
assert keys.disable_key_and_wait_for_state(key.id, ["DISABLED"]).data.lifecycle_state == "DISABLED"
assert refused(management.create_key_version, key.id)[0] == 409
assert keys.enable_key_and_wait_for_state(key.id, ["ENABLED"]).data.lifecycle_state == "ENABLED"
etag = management.get_key(key.id).headers["etag"]
changed = keys.update_key_and_wait_for_state(
    key.id, models.UpdateKeyDetails(display_name="invoices"), ["ENABLED"], operation_kwargs={"if_match": etag}
).data
assert changed.display_name == "invoices"
stale = refused(management.update_key, key.id, models.UpdateKeyDetails(display_name="no"), if_match=etag)
assert stale == (412, "NoEtagMatch"), stale
second = keys.create_key_version_and_wait_for_state(key.id, ["ENABLED"]).data
assert management.get_key(key.id).data.current_key_version == second.id != key.current_key_version
management.change_key_compartment(key.id, models.ChangeKeyCompartmentDetails(compartment_id=staging))
assert management.get_key(key.id).data.compartment_id == staging
assert [each.id for each in management.list_keys(staging).data] == [key.id]
versions = oci.pagination.list_call_get_all_results(management.list_key_versions, key.id, limit=1).data
assert {each.id for each in versions} == {key.current_key_version, second.id}

# What is encrypted with it.
crypto = KmsCryptoClient(config, vault.crypto_endpoint)
plain = base64.b64encode(b"four hundred").decode()
associated = {"order": "17"}
encrypted = crypto.encrypt(models.EncryptDataDetails(key_id=key.id, plaintext=plain, associated_data=associated)).data
assert encrypted.key_version_id == second.id
decrypted = crypto.decrypt(
    models.DecryptDataDetails(key_id=key.id, ciphertext=encrypted.ciphertext, associated_data=associated)
).data
assert (decrypted.plaintext, decrypted.key_version_id) == (plain, second.id)
assert decrypted.plaintext_checksum == str(zlib.crc32(b"four hundred"))
old = models.EncryptDataDetails(key_id=key.id, plaintext=plain, key_version_id=key.current_key_version)
by_old = models.DecryptDataDetails(key_id=key.id, ciphertext=crypto.encrypt(old).data.ciphertext)
assert crypto.decrypt(by_old).data.key_version_id == key.current_key_version
wrong = models.DecryptDataDetails(key_id=key.id, ciphertext=encrypted.ciphertext, associated_data={"order": "18"})
assert refused(crypto.decrypt, wrong)[0] == 400
data_key = crypto.generate_data_encryption_key(
    models.GenerateKeyDetails(key_id=key.id, key_shape=AES_256, include_plaintext_key=True)
).data
opened = crypto.decrypt(models.DecryptDataDetails(key_id=key.id, ciphertext=data_key.ciphertext)).data
assert opened.plaintext == data_key.plaintext
assert len(base64.b64decode(data_key.plaintext)) == 32

# Signatures, and a key that may leave.
for algorithm, length, curve, how in (
    ("RSA", 256, None, "SHA_256_RSA_PKCS_PSS"),
    ("ECDSA", 48, "NIST_P384", "ECDSA_SHA_384"),
):
    shape = models.KeyShape(algorithm=algorithm, length=length, curve_id=curve)
    details = models.CreateKeyDetails(
        compartment_id=production, display_name=how, key_shape=shape, protection_mode="SOFTWARE"
    )
    signer = keys.create_key_and_wait_for_state(details, ["ENABLED"]).data
    digest = base64.b64encode(hashlib.new("sha384" if curve else "sha256", b"a contract").digest()).decode()
    said = {"key_id": signer.id, "message": digest, "message_type": "DIGEST", "signing_algorithm": how}
    signature = crypto.sign(models.SignDataDetails(**said)).data
    verifying = {**said, "key_version_id": signature.key_version_id}
    assert crypto.verify(models.VerifyDataDetails(signature=signature.signature, **verifying)).data.is_signature_valid
    verifying["message"] = base64.b64encode(hashlib.new("sha384" if curve else "sha256", b"another").digest()).decode()
    assert not crypto.verify(
        models.VerifyDataDetails(signature=signature.signature, **verifying)
    ).data.is_signature_valid
leaving = models.CreateKeyDetails(
    compartment_id=production, display_name="leaving", key_shape=AES_256, protection_mode="SOFTWARE"
)
leaving_key = keys.create_key_and_wait_for_state(leaving, ["ENABLED"]).data
receiver = rsa.generate_private_key(65537, 2048)
public = receiver.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
exported = crypto.export_key(
    models.ExportKeyDetails(key_id=leaving_key.id, algorithm="RSA_OAEP_AES_SHA256", public_key=public.decode())
).data
wrapped = base64.b64decode(exported.encrypted_key)
left = aes_key_unwrap_with_padding(receiver.decrypt(wrapped[:256], OAEP), wrapped[256:])
assert len(left) == 32

# Keys of one's own, under both wrappings.
wrapping_key = serialization.load_pem_public_key(management.get_wrapping_key().data.public_key.encode())


def wrapped_import(material, algorithm, to=wrapping_key):
    """Key material as it travels to the vault."""
    if algorithm == "RSA_OAEP_SHA256":
        blob = to.encrypt(material, OAEP)
    else:
        temporary = os.urandom(32)
        blob = to.encrypt(temporary, OAEP) + aes_key_wrap_with_padding(temporary, material)
    return models.WrappedImportKey(key_material=base64.b64encode(blob).decode(), wrapping_algorithm=algorithm)


def imported(name, shape, wrapped_key, mode="HSM"):
    """A key of the given material."""
    details = models.ImportKeyDetails(
        compartment_id=production,
        display_name=name,
        key_shape=shape,
        wrapped_import_key=wrapped_key,
        protection_mode=mode,
    )
    made = management.import_key(details).data
    oci.wait_until(management, management.get_key(made.id), "lifecycle_state", "ENABLED")
    return made


own = os.urandom(32)
for algorithm in ("RSA_OAEP_SHA256", "RSA_OAEP_AES_SHA256"):
    mine = imported(algorithm, AES_256, wrapped_import(own, algorithm))
    assert management.get_key_version(mine.id, mine.current_key_version).data.origin == "EXTERNAL"
    newer = management.import_key_version(
        mine.id, models.ImportKeyVersionDetails(wrapped_import_key=wrapped_import(os.urandom(32), algorithm))
    ).data
    assert management.get_key(mine.id).data.current_key_version == newer.id
private = rsa.generate_private_key(65537, 2048)
material = private.private_bytes(
    serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
pair = imported("pair", models.KeyShape(algorithm="RSA", length=256), wrapped_import(material, "RSA_OAEP_AES_SHA256"))
signature = crypto.sign(
    models.SignDataDetails(
        key_id=pair.id,
        message=base64.b64encode(b"mine").decode(),
        message_type="RAW",
        signing_algorithm="SHA_256_RSA_PKCS1_V1_5",
    )
).data.signature
private.public_key().verify(base64.b64decode(signature), b"mine", padding.PKCS1v15(), hashes.SHA256())

# The end of a version, of a key, of the vault; and the ways back.
old_version = key.current_key_version
gone = keys.schedule_key_version_deletion_and_wait_for_state(
    key.id, old_version, models.ScheduleKeyVersionDeletionDetails(), ["PENDING_DELETION"]
).data
assert gone.time_of_deletion > datetime.now(UTC) + timedelta(days=29)
assert refused(crypto.decrypt, by_old)[0] == 409
back = keys.cancel_key_version_deletion_and_wait_for_state(key.id, old_version, ["ENABLED"]).data
assert back.time_of_deletion is None
current = refused(
    management.schedule_key_version_deletion, key.id, second.id, models.ScheduleKeyVersionDeletionDetails()
)
assert current[0] == 409, current
for days in (None, 7):
    at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    details = models.ScheduleKeyDeletionDetails(time_of_deletion=at)
    doomed = keys.schedule_key_deletion_and_wait_for_state(key.id, details, ["PENDING_DELETION"]).data
    wanted = datetime.now(UTC) + timedelta(days=days or 30)
    assert abs(doomed.time_of_deletion - wanted) < timedelta(minutes=5), doomed.time_of_deletion
    assert refused(crypto.decrypt, by_old)[0] == 409
    saved = keys.cancel_key_deletion_and_wait_for_state(key.id, ["ENABLED", "DISABLED"]).data
    assert (saved.lifecycle_state, saved.time_of_deletion) == ("ENABLED", None)
early = models.ScheduleKeyDeletionDetails(time_of_deletion=datetime.now(UTC) + timedelta(days=6))
assert refused(management.schedule_key_deletion, key.id, early) == (400, "InvalidParameter")
assert crypto.decrypt(by_old).data.plaintext == plain

ending = waiting.schedule_vault_deletion_and_wait_for_state(
    vault.id, models.ScheduleVaultDeletionDetails(), ["PENDING_DELETION"]
).data
assert management.get_key(key.id).data.lifecycle_state == "PENDING_DELETION"
assert waiting.cancel_vault_deletion_and_wait_for_state(vault.id, ["ACTIVE"]).data.time_of_deletion is None
assert management.get_key(key.id).data.lifecycle_state == "ENABLED"
vaults.change_vault_compartment(vault.id, models.ChangeVaultCompartmentDetails(compartment_id=staging))
assert vaults.get_vault(vault.id).data.compartment_id == staging
unknown = refused(management.get_key, key.id[:-4] + "aaaa")
assert unknown == (404, "NotAuthorizedOrNotFound"), unknown
sys.stdout.write("lived\n")
