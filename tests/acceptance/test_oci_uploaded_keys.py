"""What was uploaded to OCI is the very key that is here: each side opens, and verifies, what the other has made.

Nothing of the product is used on this side: an independent implementation of AES-GCM, OAEP and PSS, and the published
format of OCI's ciphertexts (docs/formats.md).
"""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from oci.exceptions import ServiceError
from oci.key_management import KmsCryptoClient, models

from tests.oci_plane import KEYS, OciDesk, OciManaged
from tests.vaults import spare_name

MESSAGE = b"open sesame"
LOCAL = "/vault/keys2"
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def local_aes(desk: OciDesk, key: bytes) -> str:
    """A key that was made elsewhere and is imported here; its name."""
    name = spare_name("local")
    body = {"name": name, "algorithm": "AES", "size": 8 * len(key), "material": key.hex(), "unexportable": True}
    desk.admin.accept("POST", LOCAL, body, 201)
    return name


def uploaded(desk: OciDesk, vault: OciManaged, source: str, mode: str = "SOFTWARE") -> Any:
    """The record of the key in OCI that has a local key's material."""
    body = {
        "vault": vault.id,
        "name": source,
        "protection_mode": mode,
        "compartment_id": desk.compartment(),
        "source_key_identifier": source,
    }
    return desk.settled(desk.admin.accept("POST", "/cckm/oci/upload-key", body, 201))["oci_params"]


def crypto(vault: OciManaged) -> Any:
    """The official SDK on a vault's cryptography."""
    return vault.desk.client(KmsCryptoClient, vault.desk.vaults_sdk.get_vault(vault.ocid).data.crypto_endpoint)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def bound_to(*fields: str) -> bytes:
    """Associated data as docs/formats.md has them."""
    return b"claviger\1" + b"".join(b"s" + len(each).to_bytes(4) + each.encode() for each in fields)


def encrypted(key: bytes, key_ocid: str, version_ocid: str, plaintext: bytes) -> bytes:
    """As OCI would encrypt under its current version."""
    nonce = os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, plaintext, bound_to("oci-ciphertext", key_ocid, version_ocid))
    return bytes((1, len(version_ocid))) + version_ocid.encode() + nonce + sealed


def decrypted(key: bytes, key_ocid: str, ciphertext: bytes) -> bytes:
    """What OCI has encrypted."""
    end = 2 + ciphertext[1]
    bound = bound_to("oci-ciphertext", key_ocid, ciphertext[2:end].decode())
    return AESGCM(key).decrypt(ciphertext[end : end + 12], ciphertext[end + 12 :], bound)


@pytest.mark.parametrize("size", [16, 24, 32])
def test_an_aes_key_is_the_same_here_and_there(oci_desk: OciDesk, oci_vault: OciManaged, size: int) -> None:
    key = os.urandom(size)
    there = uploaded(oci_desk, oci_vault, local_aes(oci_desk, key), "HSM" if size == 32 else "SOFTWARE")
    ocid, version = there["key_id"], there["current_key_version"]
    assert (there["algorithm"], there["length"]) == ("AES", size)
    sdk = crypto(oci_vault)
    asked = models.DecryptDataDetails(key_id=ocid, ciphertext=text(encrypted(key, ocid, version, MESSAGE)))
    assert base64.b64decode(sdk.decrypt(asked).data.plaintext) == MESSAGE
    told = sdk.encrypt(models.EncryptDataDetails(key_id=ocid, plaintext=text(MESSAGE))).data
    assert decrypted(key, ocid, base64.b64decode(told.ciphertext)) == MESSAGE
    other = encrypted(os.urandom(size), ocid, version, MESSAGE)
    with pytest.raises(ServiceError) as refused:
        sdk.decrypt(models.DecryptDataDetails(key_id=ocid, ciphertext=text(other)))
    assert refused.value.status == 400


def test_an_rsa_key_is_the_same_here_and_there(oci_desk: OciDesk, oci_vault: OciManaged) -> None:
    name = spare_name("local")
    body = {"name": name, "algorithm": "RSA", "size": 2048, "unexportable": True}
    public = load_pem_public_key(oci_desk.admin.accept("POST", LOCAL, body, 201)["publickey"].encode())
    assert isinstance(public, rsa.RSAPublicKey)
    there = uploaded(oci_desk, oci_vault, name)
    which = {"key_id": there["key_id"], "key_version_id": there["current_key_version"]}
    sdk = crypto(oci_vault)
    asked = models.DecryptDataDetails(
        ciphertext=text(public.encrypt(MESSAGE, OAEP)), encryption_algorithm="RSA_OAEP_SHA_256", **which
    )
    assert base64.b64decode(sdk.decrypt(asked).data.plaintext) == MESSAGE
    wanted = models.SignDataDetails(message=text(MESSAGE), signing_algorithm="SHA_256_RSA_PKCS1_V1_5", **which)
    signature = base64.b64decode(sdk.sign(wanted).data.signature)
    public.verify(signature, MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    oci_desk.admin.refuse("POST", f"{LOCAL}/{name}/export", status=403, part="never exported")


def test_a_key_that_was_rotated_to_a_local_one_opens_what_both_have_encrypted(
    oci_desk: OciDesk, oci_vault: OciManaged
) -> None:
    first, second = os.urandom(32), os.urandom(32)
    there = uploaded(oci_desk, oci_vault, local_aes(oci_desk, first))
    (row,) = oci_desk.records(key_id=there["key_id"])
    source = local_aes(oci_desk, second)
    asked = {"is_native": False, "source_key_identifier": source}
    version = oci_desk.admin.accept("POST", f"{KEYS}/{row['id']}/versions", asked, 201)
    assert (version["source_key_name"], version["source_key_tier"]) == (source, "local")
    ocid, newest = there["key_id"], version["oci_key_version_params"]["version_id"]
    assert oci_desk.read(row)["oci_params"]["current_key_version"] == newest != there["current_key_version"]
    sdk = crypto(oci_vault)
    for key, of in ((first, there["current_key_version"]), (second, newest)):
        asked = models.DecryptDataDetails(key_id=ocid, ciphertext=text(encrypted(key, ocid, of, MESSAGE)))
        assert base64.b64decode(sdk.decrypt(asked).data.plaintext) == MESSAGE
    told = sdk.encrypt(models.EncryptDataDetails(key_id=ocid, plaintext=text(MESSAGE))).data
    assert decrypted(second, ocid, base64.b64decode(told.ciphertext)) == MESSAGE
