"""Rotation of data keys and root keys with rows of the embedded OCI under them, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from claviger.core.clock import ManualClock
from claviger.crypto.key_file import KeyFile
from claviger.ocikms import materials
from claviger.ocikms.resealing import OciResealer
from claviger.ocikms.secrets import contents
from claviger.ocikms.secrets.routes import SecretRoutes
from claviger.ocikms.wrapping import operations as wrapping
from claviger.sealing.keyring import Keyring
from claviger.sealing.rotation import Rotation
from claviger.store.contract import Store
from claviger.store.opening import open_store
from tests.ocicrypto import Shop, b64
from tests.ocikms import START, Desk

COUNT = 5


@dataclass
class House:
    """A shop with a root key in a file, and what rotates its keys in batches of two."""

    shop: Shop
    rotation: Rotation
    keys: KeyFile


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    clock, source = ManualClock(START), KeyFile(tmp_path / "root.key")
    store = await open_store(database_url, clock)
    keyring = Keyring(store, source, clock)
    await keyring.load()
    desk = Desk(store, keyring, clock)
    await desk.settle()
    shop = Shop(desk, database_url)
    desk.add(SecretRoutes(store, keyring).routes())
    await shop.open()
    rotation = Rotation(store, keyring, source, clock, [OciResealer()], batch_size=2, pause_s=0)
    yield House(shop, rotation, source)
    shop.materials.stop()
    await store.close()


async def a_secret(shop: Shop, key_id: str, number: int) -> str:
    """The OCID of a new secret."""
    body = {
        "compartmentId": shop.desk.production,
        "vaultId": shop.vault_id,
        "keyId": key_id,
        "secretName": f"secret-{number}",
        "secretContent": {"contentType": "BASE64", "content": b64(b"content %d" % number)},
    }
    return str((await shop.desk.ask("CreateSecret", body=body))["id"])


async def sealed_rows(store: Store) -> list[tuple[int, bytes, bytes]]:
    """Data key, sealed bytes and binding of every sealed value."""
    versions = await store.read("SELECT data_key_id, sealed, id FROM oci_key_versions")
    vaults = await store.read("SELECT wrapping_data_key_id, wrapping_sealed, id FROM oci_vaults")
    secrets = await store.read(
        "SELECT v.data_key_id, v.sealed, s.id FROM oci_secret_versions v JOIN oci_secrets s ON s.num = v.secret_num"
    )
    return [
        *((key, bytes(sealed), materials.binding(ident)) for key, sealed, ident in versions),
        *((key, bytes(sealed), wrapping.binding(ident)) for key, sealed, ident in vaults),
        *((key, bytes(sealed), contents.binding(ident, 1)) for key, sealed, ident in secrets),
    ]


async def filled(house: House) -> tuple[dict[str, str], list[bytes]]:
    """Some of every kind: ciphertexts by key, and what is sealed."""
    shop = house.shop
    made = {}
    for _ in range(COUNT):
        key = (await shop.key())["id"]
        made[key] = (await shop.encrypted(key, key.encode()))["ciphertext"]
    await shop.ask("GetWrappingKey")
    for number in range(COUNT):
        await a_secret(shop, key, number)
    return made, await plain(shop)


async def plain(shop: Shop) -> list[bytes]:
    keyring = shop.desk.keyring
    return [await keyring.open(*row) for row in await sealed_rows(shop.desk.store)]


async def test_a_rotation_of_data_keys_takes_every_kind_along(house: House) -> None:
    shop = house.shop
    made, before = await filled(house)
    assert len(before) == 2 * COUNT + 1
    rows = await sealed_rows(shop.desk.store)
    old = {row[0] for row in rows}
    done = await house.rotation.rotate_data_keys("ocikms:")
    assert (done.retired_count, done.resealed_count, done.kept_scopes) == (1, len(rows), ())
    after = await sealed_rows(shop.desk.store)
    assert not old & {row[0] for row in after}
    assert not {row[1] for row in rows} & {row[1] for row in after}
    assert sorted(before) == sorted(await plain(shop))
    async with shop.another_server_with(house.keys) as other:
        for key, ciphertext in made.items():
            body = {"keyId": key, "ciphertext": ciphertext}
            assert (await shop.ask("Decrypt", **body)).json["keyId"] == key
            call = shop.desk.call("Decrypt", vault=shop.prefix, body=body)
            assert (await other.decrypt(call)).body is not None


async def test_a_server_that_read_before_the_rotation_reads_again(house: House) -> None:
    shop = house.shop
    key = (await shop.key())["id"]
    made = (await shop.encrypted(key))["ciphertext"]
    async with shop.another_server_with(house.keys) as other:
        call = shop.desk.call("Decrypt", vault=shop.prefix, body={"keyId": key, "ciphertext": made})
        used = await other._granted(call, key, None)
        await house.rotation.rotate_data_keys("ocikms:")
        assert await other._object(call, used) is not None
        assert (await other.decrypt(call)).body is not None


async def test_a_new_root_key_leaves_all_as_it_is(house: House) -> None:
    shop = house.shop
    made, before = await filled(house)
    rows = await sealed_rows(shop.desk.store)
    done = await house.rotation.rotate_root_key()
    assert done.rewrapped_count == 1
    assert await sealed_rows(shop.desk.store) == rows
    async with shop.another_server_with(house.keys) as other:
        for key, ciphertext in made.items():
            call = shop.desk.call("Decrypt", vault=shop.prefix, body={"keyId": key, "ciphertext": ciphertext})
            assert (await other.decrypt(call)).body is not None
    assert sorted(before) == sorted(await plain(shop))
