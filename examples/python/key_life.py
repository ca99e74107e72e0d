"""The whole life of a key through the official SDK. Runs against any vault of OCI: only the profile differs."""

import base64
import os
from datetime import UTC, datetime, timedelta

import oci
from oci.key_management import models

config = oci.config.from_file()
identity = oci.identity.IdentityClient(config)
vaults = oci.key_management.KmsVaultClient(config)


def all_of(call, *args, **given):
    """What is on all pages of a list."""
    return oci.pagination.list_call_get_all_results(call, *args, **given).data


# A vault is found by walking the tenancy. Its keys are at hosts of its own, which it tells: never build them.
tree = {"compartment_id_in_subtree": True, "access_level": "ACCESSIBLE", "lifecycle_state": "ACTIVE"}
places = [config["tenancy"], *(each.id for each in all_of(identity.list_compartments, config["tenancy"], **tree))]
found = [vault for place in places for vault in all_of(vaults.list_vaults, place) if vault.lifecycle_state == "ACTIVE"]
vault = min(found, key=lambda each: each.display_name)
keys = oci.key_management.KmsManagementClient(config, vault.management_endpoint)
crypto = oci.key_management.KmsCryptoClient(config, vault.crypto_endpoint)
doing = oci.key_management.KmsManagementClientCompositeOperations(keys)  # does a thing, and waits until it is done
print("vault     ", vault.display_name)

shape = models.KeyShape(algorithm="AES", length=32)
name = f"example-{os.getpid()}"
details = models.CreateKeyDetails(
    compartment_id=vault.compartment_id, display_name=name, key_shape=shape, protection_mode="SOFTWARE"
)
key = doing.create_key_and_wait_for_state(details, ["ENABLED"]).data
print("create    ", key.lifecycle_state)

plaintext = base64.b64encode(b"open sesame").decode()
sealed = crypto.encrypt(models.EncryptDataDetails(key_id=key.id, plaintext=plaintext)).data
doing.create_key_version_and_wait_for_state(key.id, ["ENABLED"])
rotated = keys.get_key(key.id).data
print("rotate    ", rotated.current_key_version != key.current_key_version)
opened = crypto.decrypt(models.DecryptDataDetails(key_id=key.id, ciphertext=sealed.ciphertext)).data
print("decrypt   ", opened.plaintext == plaintext)  # the ciphertext names the version that it was made with
print("versions  ", len(all_of(keys.list_key_versions, key.id)))

doing.disable_key_and_wait_for_state(key.id, ["DISABLED"])
try:
    crypto.encrypt(models.EncryptDataDetails(key_id=key.id, plaintext=plaintext))
except oci.exceptions.ServiceError as refused:
    print("disabled  ", refused.status, refused.code)
doing.enable_key_and_wait_for_state(key.id, ["ENABLED"])

# Nothing is deleted at once: 7 to 30 days from now. A few minutes are for the way there.
date = datetime.now(UTC) + timedelta(days=7, minutes=5)
schedule = models.ScheduleKeyDeletionDetails(time_of_deletion=date)
pending = doing.schedule_key_deletion_and_wait_for_state(key.id, schedule, ["PENDING_DELETION"]).data
print("schedule  ", "can be saved until", pending.time_of_deletion)
print("cancel    ", doing.cancel_key_deletion_and_wait_for_state(key.id, ["ENABLED", "DISABLED"]).data.lifecycle_state)
keys.schedule_key_deletion(key.id, schedule)
