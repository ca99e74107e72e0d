"""The vault's wrapping key and what comes in through it, on both databases."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from claviger.core.errors import Invalid
from claviger.crypto.material import Shape
from claviger.ocikms.calls import Verb
from claviger.ocikms.vaults import records as vaults
from claviger.ocikms.wrapping.wire import WrappedImportKey
from tests.ocicrypto import AES, P256, RSA, Shop, b64, open_shop, raw
from tests.ocikms import ABSENT, BAD, DAY_S

OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
DIRECT, BY_AES = "RSA_OAEP_SHA256", "RSA_OAEP_AES_SHA256"


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    async with open_shop(database_url) as opened:
        yield opened


def packed(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


class Client:
    """Wraps as the documentation tells clients to."""

    def __init__(self, pem: str) -> None:
        found = load_pem_public_key(pem.encode())
        assert isinstance(found, rsa.RSAPublicKey)
        self.public = found

    def wrapped(self, secret: bytes, algorithm: str = BY_AES) -> dict[str, str]:
        if algorithm == DIRECT:
            content = self.public.encrypt(secret, OAEP)
        else:
            kek = os.urandom(32)
            content = self.public.encrypt(kek, OAEP) + aes_key_wrap_with_padding(kek, secret)
        return {"keyMaterial": b64(content), "wrappingAlgorithm": algorithm}


async def count(shop: Shop) -> int:
    rows = await shop.desk.store.read("SELECT COUNT(*) FROM oci_key_versions")
    return int(rows[0][0])


async def test_keys_come_in_both_ways(shop: Shop) -> None:
    shown = await shop.ask("GetWrappingKey")
    vault = await shop.ask("GetVault", shop.vault_id)
    assert shown.json == {
        "id": vault["wrappingkeyId"],
        "compartmentId": shop.desk.production,
        "vaultId": shop.vault_id,
        "lifecycleState": "ENABLED",
        "publicKey": shown["publicKey"],
        "timeCreated": vault["timeCreated"],
    }
    assert shown.etag
    again = await shop.ask("GetWrappingKey")
    assert (again.json, again.etag) == (shown.json, shown.etag)
    client = Client(shown["publicKey"])
    assert client.public.key_size == 4096

    secret = os.urandom(32)
    keys = [await shop.key(AES, wrappedImportKey=client.wrapped(secret, algorithm)) for algorithm in (DIRECT, BY_AES)]
    private = rsa.generate_private_key(65537, 2048)
    own = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for key in keys:
        told = await shop.ask("ExportKey", keyId=key["id"], algorithm=DIRECT, publicKey=own)
        assert private.decrypt(raw(told["encryptedKey"]), OAEP) == secret

    key = await shop.key(RSA, wrappedImportKey=client.wrapped(packed(private)))
    version = await shop.ask("GetKeyVersion", key["id"], key["currentKeyVersion"])
    assert (version["origin"], version["publicKey"]) == ("EXTERNAL", own)
    named = {"keyId": key["id"], "keyVersionId": version["id"], "encryptionAlgorithm": "RSA_OAEP_SHA_256"}
    told = await shop.ask("Decrypt", ciphertext=b64(private.public_key().encrypt(b"for us", OAEP)), **named)
    assert raw(told["plaintext"]) == b"for us"


async def test_nothing_bad_comes_in(shop: Shop) -> None:
    client = Client((await shop.ask("GetWrappingKey"))["publicKey"])
    good, good_rsa = os.urandom(32), rsa.generate_private_key(65537, 2048)
    _, other_prefix = await shop.new_vault()
    elsewhere = await shop.desk.ask("GetWrappingKey", vault=other_prefix)
    stranger = Client(elsewhere["publicKey"])
    damaged = client.wrapped(good)
    damaged["keyMaterial"] = b64(raw(damaged["keyMaterial"])[:-1] + b"1")
    bad: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (AES, client.wrapped(os.urandom(16))),
        (AES, client.wrapped(os.urandom(16), DIRECT)),
        (AES, damaged),
        (AES, stranger.wrapped(good)),
        (AES, {**client.wrapped(good), "wrappingAlgorithm": DIRECT}),
        (AES, {**client.wrapped(good), "wrappingAlgorithm": "RSA_OAEP_SHA1"}),
        (AES, {"keyMaterial": "no base64", "wrappingAlgorithm": DIRECT}),
        (AES, {"keyMaterial": "A" * 20_000, "wrappingAlgorithm": BY_AES}),
        (AES, {"keyMaterial": "", "wrappingAlgorithm": BY_AES}),
        (AES, {"wrappingAlgorithm": BY_AES}),
        (AES, client.wrapped(packed(good_rsa))),
        (RSA, client.wrapped(good)),
        (RSA, client.wrapped(packed(good_rsa) + b"\0")),
        (RSA, client.wrapped(packed(rsa.generate_private_key(3, 2048)))),
        (RSA, client.wrapped(packed(rsa.generate_private_key(65537, 3072)))),
        (RSA, client.wrapped(packed(ec.generate_private_key(ec.SECP256R1())))),
        (RSA, client.wrapped(b"x", DIRECT)),
        (P256, client.wrapped(packed(ec.generate_private_key(ec.SECP256R1())))),
    ]
    for number, (shape, wrapped) in enumerate(bad):
        asked = {"compartmentId": shop.desk.production, "displayName": "key", "keyShape": shape}
        assert await shop.refusal("ImportKey", **asked, wrappedImportKey=wrapped) == BAD, number
    assert await count(shop) == 0


async def test_two_who_ask_at_once_get_the_same_key(shop: Shop) -> None:
    vault = await vaults.by_prefix(shop.desk.store, shop.prefix)
    assert vault is not None
    mine = {shown.public_key for shown in await asyncio.gather(*(shop.wrapping.shown(vault) for _ in range(4)))}
    assert len(mine) == 1
    await shop.desk.store.write(
        lambda tx: tx.execute(
            "UPDATE oci_vaults SET wrapping_sealed = NULL, wrapping_data_key_id = NULL, wrapping_public_key = NULL"
        )
    )
    async with shop.another_server() as other:
        elsewhere = type(shop.wrapping)(other._store, other._materials._keyring, other._materials)
        one, two = await asyncio.gather(shop.wrapping.shown(vault), elsewhere.shown(vault))
        assert one.public_key == two.public_key
        assert {one.public_key} != mine
        wrapped = WrappedImportKey(**_snake(Client(one.public_key).wrapped(bytes(32))))
        for server in (shop.wrapping, elsewhere):
            assert (await server.unwrapped(vault, wrapped, Shape("AES", 32))).secret.reveal() == bytes(32)


def _snake(wrapped: dict[str, str]) -> dict[str, str]:
    return {"key_material": wrapped["keyMaterial"], "wrapping_algorithm": wrapped["wrappingAlgorithm"]}


async def test_who_may_see_it_and_until_when(sqlite_url: str) -> None:
    async with open_shop(sqlite_url) as shop:
        vault = await vaults.by_prefix(shop.desk.store, shop.prefix)
        assert vault is not None
        never_shown = WrappedImportKey(b64(bytes(512)), DIRECT)
        with pytest.raises(Invalid, match="Material"):
            await shop.wrapping.unwrapped(vault, never_shown, Shape("AES", 32))
        assert "AAAA" not in repr(never_shown)
        assert await shop.desk.refusal("GetWrappingKey") == ABSENT
        shop.desk.rights.verbs[shop.desk.production] = Verb.INSPECT
        assert await shop.refusal("GetWrappingKey") == ABSENT
        shop.desk.rights.verbs[shop.desk.production] = Verb.MANAGE
        shown = await shop.ask("GetWrappingKey")
        await shop.ask("ScheduleVaultDeletion", shop.vault_id)
        assert (await shop.ask("GetWrappingKey")).json == shown.json
        shop.desk.clock.advance(30 * DAY_S + 1)
        assert await shop.refusal("GetWrappingKey") == ABSENT
