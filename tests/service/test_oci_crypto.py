"""The crypto plane on both databases: what it answers, what it takes, and that states are never remembered."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_public_key,
)

from claviger.audit.entry import Actor, Subject
from claviger.audit.trail import Trail, following
from claviger.core.errors import Conflict, NotFound, Throttled, Unavailable
from claviger.ocikms.calls import Verb
from claviger.ocikms.workers import Workers
from tests.ocicrypto import AES, P256, RSA, Shop, b64, open_shop, raw
from tests.ocikms import ABSENT, BAD, DAY_S, WRONG_STATE

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    async with open_shop(database_url) as opened:
        yield opened


@pytest.fixture
async def sqlite_shop(sqlite_url: str) -> AsyncIterator[Shop]:
    """For what does not depend on the database."""
    async with open_shop(sqlite_url) as opened:
        yield opened


async def test_what_is_encrypted_decrypts_without_naming_the_version(shop: Shop) -> None:
    key = await shop.key()
    first = key["currentKeyVersion"]
    data = {"a": "1", "b": "2"}
    made = await shop.encrypted(key["id"], associatedData=data)
    assert made.json == {
        "ciphertext": made["ciphertext"],
        "keyId": key["id"],
        "keyVersionId": first,
        "encryptionAlgorithm": "AES_256_GCM",
    }
    assert made.etag is None
    second = await shop.rotated(key["id"])
    assert (await shop.encrypted(key["id"]))["keyVersionId"] == second
    turned = dict(reversed(data.items()))
    opened = await shop.ask("Decrypt", keyId=key["id"], ciphertext=made["ciphertext"], associatedData=turned)
    assert opened.json == {
        "plaintext": b64(b"hello"),
        "plaintextChecksum": str(zlib.crc32(b"hello")),
        "keyId": key["id"],
        "keyVersionId": first,
        "encryptionAlgorithm": "AES_256_GCM",
    }
    old = await shop.encrypted(key["id"], keyVersionId=first)
    assert old["keyVersionId"] == first
    async with shop.another_server() as other:
        call = shop.desk.call(
            "Decrypt",
            vault=shop.prefix,
            body={"keyId": key["id"], "ciphertext": made["ciphertext"], "associatedData": data},
        )
        told = (await other.decrypt(call)).body
        assert raw(told.plaintext) == b"hello"  # type: ignore[attr-defined]


async def test_a_ciphertext_opens_only_as_it_was_made(sqlite_shop: Shop) -> None:
    shop = sqlite_shop
    key, other = await shop.key(), await shop.key()
    made = (await shop.encrypted(key["id"], associatedData={"a": "b"}))["ciphertext"]
    content = raw(made)

    async def refused(ciphertext: str, key_id: str = key["id"], **more: Any) -> None:
        more = {"associatedData": {"a": "b"}, **more}
        assert await shop.refusal("Decrypt", keyId=key_id, ciphertext=ciphertext, **more) == BAD

    await refused(made, other["id"])
    await refused(made, associatedData={"a": "c"})
    await refused(made, associatedData={"ab": ""})
    await refused(made, associatedData={})
    await refused(made, associatedData=None)
    await refused(made, encryptionAlgorithm="RSA_OAEP_SHA_256")
    second = await shop.rotated(key["id"])
    await refused(made, keyVersionId=second)
    for at in range(0, len(content), 7):
        await refused(b64(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]))
        await refused(b64(content[:at]))
    for nothing in ("", "!", "AQ", "é", b64(b"\x01\xff" + bytes(20)), b64(b"\x01\x04\xff\xff\xff\xff")):
        await refused(nothing)
    # The name of another version inside does not help: it is bound.
    renamed = content.replace(key["currentKeyVersion"].encode(), second.encode())
    assert renamed != content
    await refused(b64(renamed))


async def test_the_limits_of_encrypt(sqlite_shop: Shop) -> None:
    shop = sqlite_shop
    for length in (16, 24, 32):
        key = (await shop.key({"algorithm": "AES", "length": length}))["id"]
        for plaintext in (b"", bytes(4096)):
            made = await shop.encrypted(key, plaintext)
            opened = await shop.ask("Decrypt", keyId=key, ciphertext=made["ciphertext"])
            assert raw(opened["plaintext"]) == plaintext
    assert await shop.refusal("Encrypt", keyId=key, plaintext=b64(bytes(4097))) == BAD
    assert await shop.refusal("Encrypt", keyId=key, plaintext="a" * 100_000) == BAD
    assert await shop.refusal("Encrypt", keyId=key, plaintext="no base64") == BAD
    assert await shop.refusal("Encrypt", keyId=key) == BAD
    assert await shop.refusal("Encrypt", plaintext="") == BAD
    assert await shop.refusal("Encrypt", keyId=key, plaintext="", encryptionAlgorithm="AES_128_GCM") == BAD
    assert await shop.refusal("Encrypt", keyId=key, plaintext="", encryptionAlgorithm="RSA_OAEP_SHA_1") == BAD
    assert await shop.refusal("Encrypt", keyId=key, plaintext="", associatedData={"a": 1}) == BAD
    longest = {"a": "b" * (4095 - len('{"a":""}'))}
    for field in ("associatedData", "loggingContext"):
        await shop.ask("Encrypt", keyId=key, plaintext="", **{field: longest})
        assert await shop.refusal("Encrypt", keyId=key, plaintext="", **{field: {"a": longest["a"] + "b"}}) == BAD
    twice = b'{"keyId": "%b", "plaintext": "", "plaintext": "aaaa"}' % key.encode()
    assert await shop.desk.refusal("Encrypt", body=twice, vault=shop.prefix) == BAD
    nested = b'{"keyId": "%b", "plaintext": "", "associatedData": {"a": "1", "a": "2"}}' % key.encode()
    assert await shop.desk.refusal("Encrypt", body=nested, vault=shop.prefix) == BAD


async def test_data_keys(sqlite_shop: Shop) -> None:
    shop = sqlite_shop
    key = (await shop.key())["id"]
    shape: dict[str, Any]
    for length in (16, 24, 32):
        shape = {"algorithm": "AES", "length": str(length)}
        made = await shop.ask(
            "GenerateDataEncryptionKey",
            keyId=key,
            includePlaintextKey=True,
            keyShape=shape,
            associatedData={"a": "b"},
        )
        opened = await shop.ask("Decrypt", keyId=key, ciphertext=made["ciphertext"], associatedData={"a": "b"})
        assert opened["plaintext"] == made["plaintext"]
        assert opened["plaintextChecksum"] == made["plaintextChecksum"]
        assert len(raw(made["plaintext"])) == length
    hidden = await shop.ask("GenerateDataEncryptionKey", keyId=key, includePlaintextKey=False, keyShape=AES)
    assert (hidden["plaintext"], hidden["plaintextChecksum"]) == (None, None)
    assert len(raw((await shop.ask("Decrypt", keyId=key, ciphertext=hidden["ciphertext"]))["plaintext"])) == 32
    for shape in (RSA, P256, {"algorithm": "AES", "length": 20}, {**AES, "curveId": "NIST_P256"}):
        asked = {"keyId": key, "includePlaintextKey": False, "keyShape": shape}
        assert await shop.refusal("GenerateDataEncryptionKey", **asked) == BAD
    rsa_id = (await shop.key(RSA))["id"]
    asked = {"keyId": rsa_id, "includePlaintextKey": False, "keyShape": AES}
    assert await shop.refusal("GenerateDataEncryptionKey", **asked) == BAD
    assert await shop.refusal("GenerateDataEncryptionKey", keyId=key, keyShape=AES) == BAD


async def test_rsa_both_ways_with_the_public_key_that_is_shown(shop: Shop) -> None:
    key = await shop.key(RSA)
    key_id, version_id = key["id"], key["currentKeyVersion"]
    shown = await shop.ask("GetKeyVersion", key_id, version_id)
    public = load_pem_public_key(shown["publicKey"].encode())
    assert isinstance(public, rsa.RSAPublicKey)
    named = {"keyId": key_id, "keyVersionId": version_id, "encryptionAlgorithm": "RSA_OAEP_SHA_256"}
    made = await shop.ask("Encrypt", plaintext=b64(b"mine"), **named)
    assert len(raw(made["ciphertext"])) == 256
    for ciphertext in (made["ciphertext"], b64(public.encrypt(b"mine", OAEP))):
        opened = await shop.ask("Decrypt", ciphertext=ciphertext, **named)
        assert raw(opened["plaintext"]) == b"mine"
        assert opened["encryptionAlgorithm"] == "RSA_OAEP_SHA_256"
    assert await shop.refusal("Decrypt", ciphertext=b64(bytes(256)), **named) == BAD
    assert await shop.refusal("Decrypt", ciphertext="AAAA", **named) == BAD
    other = {**named, "encryptionAlgorithm": "RSA_OAEP_SHA_1"}
    assert await shop.refusal("Decrypt", ciphertext=made["ciphertext"], **other) == BAD
    assert await shop.refusal("Encrypt", plaintext=b64(bytes(191)), **named) == BAD
    assert await shop.refusal("Encrypt", plaintext="", associatedData={"a": "b"}, **named) == BAD
    default = {**named, "encryptionAlgorithm": None}
    assert await shop.refusal("Encrypt", plaintext="", **default) == BAD
    unnamed = {**named, "keyVersionId": None}
    assert await shop.refusal("Encrypt", plaintext="", **unnamed) == BAD
    assert await shop.refusal("Decrypt", ciphertext=made["ciphertext"], **unnamed) == BAD

    signed = await shop.ask("Sign", keyId=key_id, message=b64(b"m"), signingAlgorithm="SHA_256_RSA_PKCS_PSS")
    assert signed["keyVersionId"] == version_id
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    public.verify(raw(signed["signature"]), b"m", scheme, hashes.SHA256())
    second = await shop.rotated(key_id)
    for version, right in ((version_id, True), (second, False)):
        told = await shop.ask(
            "Verify",
            keyId=key_id,
            keyVersionId=version,
            signature=signed["signature"],
            message=b64(b"m"),
            signingAlgorithm="SHA_256_RSA_PKCS_PSS",
        )
        assert told.json == {"isSignatureValid": right}


@pytest.mark.parametrize("shape", [RSA, P256], ids=["RSA", "ECDSA"])
async def test_signatures(sqlite_shop: Shop, shape: dict[str, Any]) -> None:
    shop = sqlite_shop
    key = await shop.key(shape)
    algorithm = "ECDSA_SHA_384" if shape is P256 else "SHA_384_RSA_PKCS1_V1_5"
    hashed = hashes.Hash(hashes.SHA384())
    hashed.update(b"message")
    digest = b64(hashed.finalize())
    asked = {"keyId": key["id"], "signingAlgorithm": algorithm}
    one = await shop.ask("Sign", message=b64(b"message"), messageType="RAW", **asked)
    two = await shop.ask("Sign", message=digest, messageType="DIGEST", **asked)
    asked["keyVersionId"] = key["currentKeyVersion"]

    async def is_right(signature: str, message: str, **more: Any) -> bool:
        told = await shop.ask("Verify", signature=signature, message=message, **{**asked, **more})
        return bool(told["isSignatureValid"])

    assert await is_right(one["signature"], digest, messageType="DIGEST")
    assert await is_right(two["signature"], b64(b"message"))
    assert not await is_right(two["signature"], b64(b"massage"))
    assert not await is_right("", b64(b"message"))
    assert not await is_right(b64(raw(one["signature"])[:-1]), b64(b"message"))
    refused: list[tuple[str, dict[str, Any]]] = [
        ("Sign", {"message": b64(bytes(47)), "messageType": "DIGEST"}),
        ("Sign", {"message": b64(bytes(4097))}),
        ("Sign", {"message": "?"}),
        ("Sign", {"message": "", "messageType": "raw"}),
        ("Sign", {"message": "", "signingAlgorithm": "SHA_1_RSA_PKCS1_V1_5"}),
        ("Sign", {"message": "", "signingAlgorithm": "ECDSA_SHA_256" if shape is RSA else "SHA_256_RSA_PKCS_PSS"}),
        ("Verify", {"message": "", "signature": "?"}),
        ("Verify", {"message": "", "signature": "", "keyVersionId": None}),
        ("Encrypt", {"plaintext": ""}),
    ]
    for operation, body in refused:
        assert await shop.refusal(operation, **{**asked, **body}) == BAD, (operation, body)


async def test_an_aes_key_neither_signs_nor_verifies(sqlite_shop: Shop) -> None:
    key = await sqlite_shop.key()
    asked = {"keyId": key["id"], "message": "", "signingAlgorithm": "ECDSA_SHA_256"}
    assert await sqlite_shop.refusal("Sign", **asked) == BAD
    asked |= {"keyVersionId": key["currentKeyVersion"], "signature": ""}
    assert await sqlite_shop.refusal("Verify", **asked) == BAD


async def test_export(shop: Shop) -> None:
    private = rsa.generate_private_key(65537, 2048)
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    async def exported(key_id: str, algorithm: str, **more: Any) -> tuple[dict[str, Any], bytes]:
        told = await shop.ask("ExportKey", keyId=key_id, algorithm=algorithm, publicKey=pem, **more)
        wrapped = raw(told["encryptedKey"])
        opened = private.decrypt(wrapped[:256], OAEP)
        if algorithm == "RSA_OAEP_AES_SHA256":
            opened = aes_key_unwrap_with_padding(opened, wrapped[256:])
        return told.json, opened

    key = await shop.key()
    told, one = await exported(key["id"], "RSA_OAEP_SHA256")
    assert told == {
        "keyId": key["id"],
        "keyVersionId": key["currentKeyVersion"],
        "vaultId": shop.vault_id,
        "timeCreated": key["timeCreated"],
        "algorithm": "RSA_OAEP_SHA256",
        "encryptedKey": told["encryptedKey"],
    }
    await shop.rotated(key["id"])
    _, same = await exported(key["id"], "RSA_OAEP_AES_SHA256", keyVersionId=key["currentKeyVersion"])
    _, newer = await exported(key["id"], "RSA_OAEP_AES_SHA256")
    assert (len(one), one == same, one == newer) == (32, True, False)

    rsa_key = await shop.key(RSA)
    version = await shop.ask("GetKeyVersion", rsa_key["id"], rsa_key["currentKeyVersion"])
    _, der = await exported(rsa_key["id"], "RSA_OAEP_AES_SHA256")
    found = load_der_private_key(der, None).public_key()
    assert found.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() == version["publicKey"]

    hsm, curve = await shop.key(mode="HSM"), await shop.key(P256)
    for key_id, algorithm, public in (
        (hsm["id"], "RSA_OAEP_SHA256", pem),
        (curve["id"], "RSA_OAEP_AES_SHA256", pem),
        (rsa_key["id"], "RSA_OAEP_SHA256", pem),
        (key["id"], "RSA_OAEP_SHA512", pem),
        (key["id"], "RSA_OAEP_SHA256", "no key"),
    ):
        assert await shop.refusal("ExportKey", keyId=key_id, algorithm=algorithm, publicKey=public) == BAD


async def test_whom_a_key_works_for(sqlite_shop: Shop) -> None:
    shop = sqlite_shop
    key = await shop.key()
    made = (await shop.encrypted(key["id"]))["ciphertext"]
    _, other = await shop.new_vault()
    for asked in (key["id"] + "a", "", "\0", "ocid1.key"):
        assert await shop.refusal("Encrypt", keyId=asked, plaintext="") in (ABSENT, BAD)
    wrong_version = {"keyId": key["id"], "plaintext": "", "keyVersionId": (await shop.key())["currentKeyVersion"]}
    assert await shop.refusal("Encrypt", **wrong_version) == ABSENT
    body = {"keyId": key["id"], "ciphertext": made}
    assert await shop.desk.refusal("Decrypt", body=body, vault=other) == ABSENT
    assert await shop.desk.refusal("Decrypt", body=body) == ABSENT
    rights = shop.desk.rights.verbs
    rights[shop.desk.production] = Verb.READ
    assert await shop.refusal("Decrypt", **body) == ABSENT
    rights[shop.desk.production] = Verb.USE
    await shop.ask("Decrypt", **body)


async def test_the_record_tells_key_and_context_and_nothing_secret(sqlite_shop: Shop) -> None:
    shop = sqlite_shop
    key = (await shop.key())["id"]
    trail = Trail(
        shop.desk.clock,
        origin="ocikms",
        service="ocikms",
        action="Encrypt",
        actor=Actor(user_id=shop.desk.caller.user_id),
    )
    with following(trail):
        await shop.encrypted(key, b"hello", loggingContext={"ticket": "42"}, associatedData={"a": "private"})
    assert trail.subject == Subject(kind="key", id=key, name="key", container=shop.vault_id)
    assert trail.details == {"logging_context": {"ticket": "42"}}


async def test_states_decide_each_time(shop: Shop) -> None:
    key = await shop.key()
    key_id, first = key["id"], key["currentKeyVersion"]
    made = (await shop.encrypted(key_id))["ciphertext"]
    opening = {"keyId": key_id, "ciphertext": made}
    await shop.rotated(key_id)
    async with shop.another_server() as other:

        async def elsewhere() -> None:
            await other.decrypt(shop.desk.call("Decrypt", vault=shop.prefix, body=opening))

        async def refused(expected: tuple[int, str], *, also_new: bool = True) -> None:
            assert await shop.refusal("Decrypt", **opening) == expected
            with pytest.raises((Conflict, NotFound)):
                await elsewhere()
            if also_new:
                assert await shop.refusal("Encrypt", keyId=key_id, plaintext="") == expected
            else:
                await shop.encrypted(key_id)

        await elsewhere()
        await shop.ask("DisableKey", key_id)
        await refused(WRONG_STATE)
        await shop.ask("EnableKey", key_id)
        await elsewhere()
        await shop.ask("ScheduleKeyVersionDeletion", key_id, first)
        await refused(WRONG_STATE, also_new=False)
        await shop.ask("CancelKeyVersionDeletion", key_id, first)
        await elsewhere()
        await shop.ask("ScheduleKeyDeletion", key_id)
        await refused(WRONG_STATE)
        await shop.ask("CancelKeyDeletion", key_id)
        await elsewhere()
        await shop.ask("ScheduleVaultDeletion", shop.vault_id)
        await refused(WRONG_STATE)
        await shop.ask("CancelVaultDeletion", shop.vault_id)
        await elsewhere()
        await shop.ask("ScheduleKeyVersionDeletion", key_id, first)
        shop.desk.clock.advance(30 * DAY_S + 1)
        await refused(ABSENT, also_new=False)
        await shop.ask("ScheduleKeyDeletion", key_id)
        shop.desk.clock.advance(30 * DAY_S + 1)
        await refused(ABSENT)


async def test_a_deleted_vault_takes_its_keys_along(sqlite_shop: Shop) -> None:
    shop = sqlite_shop
    key = (await shop.key())["id"]
    await shop.encrypted(key)
    await shop.ask("ScheduleVaultDeletion", shop.vault_id)
    shop.desk.clock.advance(30 * DAY_S + 1)
    assert await shop.refusal("Encrypt", keyId=key, plaintext="") == ABSENT


@pytest.mark.parametrize(
    ("state", "expected"), [("UPDATING", None), ("BACKUP_IN_PROGRESS", None), ("RESTORING", WRONG_STATE)]
)
async def test_a_vault_in_passing(sqlite_shop: Shop, state: str, expected: tuple[int, str] | None) -> None:
    shop = sqlite_shop
    key = (await shop.key())["id"]
    passing = "UPDATE oci_vaults SET passing = ?, passing_until = ?"
    until = shop.desk.clock.now() + 5
    await shop.desk.store.write(lambda tx: tx.execute(passing, state, until))
    if expected is None:
        await shop.encrypted(key)
    else:
        assert await shop.refusal("Encrypt", keyId=key, plaintext="") == expected
    shop.desk.clock.advance(5)
    await shop.encrypted(key)


async def test_long_work_with_a_private_key_leaves_the_loop_and_is_bounded(sqlite_shop: Shop) -> None:
    shop = sqlite_shop
    key = (await shop.key({"algorithm": "RSA", "length": 384}))["id"]
    asked = {"keyId": key, "message": "", "signingAlgorithm": "SHA_256_RSA_PKCS1_V1_5"}
    made = await asyncio.gather(*(shop.ask("Sign", **asked) for _ in range(8)))
    assert len({told["signature"] for told in made}) == 1
    held = threading.Event()
    shop.materials.users = Workers("test", 1, 2)
    waiting = [asyncio.ensure_future(shop.materials.users.run(held.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    try:
        assert await shop.refusal("Sign", **asked) == (429, "TooManyRequests")
    finally:
        held.set()
    await asyncio.gather(*waiting)
    await shop.ask("Sign", **asked)


async def test_who_goes_away_does_not_make_room() -> None:
    held, workers = threading.Event(), Workers("test", 1, 1)
    begun = threading.Event()

    def work() -> bool:
        begun.set()
        return held.wait()

    task = asyncio.ensure_future(workers.run(work))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    try:
        with pytest.raises(Throttled):
            await workers.run(int)
    finally:
        held.set()
    while True:  # the thread tells the loop when it is done
        await asyncio.sleep(0)
        try:
            assert await workers.run(int) == 0
            break
        except Throttled:
            continue
    workers.stop()
    with pytest.raises(Unavailable):
        await workers.run(int)
