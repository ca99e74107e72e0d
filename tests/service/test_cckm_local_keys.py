"""Local keys over the API, on both databases: made, imported, shown only where they may be, gone when deleted."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from claviger.cckm.local.keys import operations
from claviger.cckm.local.keys.operations import LocalKeys
from claviger.cckm.local.keys.records import MATERIAL
from claviger.cckm.local.keys.routes import LocalKeyRoutes
from tests.plane import ELSEWHERE, Plane, open_plane

MANY = "https://cckm.localhost/api/v1/vault/keys2"
OFFICER = "ada;Key Admins"
AES_HEX = "000102030405060708090a0b0c0d0e0f"


@pytest.fixture
async def plane(database_url: str) -> AsyncIterator[Plane]:
    found = await open_plane(database_url)
    found.serve(LocalKeyRoutes(LocalKeys(found.store, found.safe, found.clock)).routes())
    yield found
    await found.store.close()


async def make(plane: Plane, **body: Any) -> dict[str, Any]:
    made = await plane.accept("POST", MANY, body, status=201, caller=OFFICER)
    assert isinstance(made, dict)
    return made


async def refused(plane: Plane, body: dict[str, Any], part: str, status: int = 400) -> None:
    before = await plane.count("cckm_local_keys"), await plane.count("cckm_sealed")
    await plane.refuse("POST", MANY, body, status=status, part=part, caller=OFFICER)
    assert (await plane.count("cckm_local_keys"), await plane.count("cckm_sealed")) == before


async def test_the_life_of_a_key(plane: Plane) -> None:
    made = await make(plane, name="one", labels={"team": "payments"})
    assert made["algorithm"] == "AES"
    assert (made["size"], made["objectType"], made["state"], made["version"]) == (256, "Symmetric Key", "Active", 0)
    assert made["labels"] == {"team": "payments"}
    assert "material" not in made
    assert await plane.accept("GET", f"{MANY}/{made['id']}", caller=OFFICER) == made
    assert await plane.accept("GET", f"{MANY}/one", caller=OFFICER) == made
    page = await plane.accept("GET", f"{MANY}/?name=o*", caller=OFFICER)
    assert page["resources"] == [made]
    shown = await plane.accept("POST", f"{MANY}/one/export", caller=OFFICER)
    assert len(bytes.fromhex(shown["material"])) == 32
    sealed = await plane.safe.open(MATERIAL, made["id"])
    assert sealed is not None
    assert sealed.reveal().hex() == shown["material"]
    await plane.accept("DELETE", f"{MANY}/one", status=204, caller=OFFICER)
    await plane.refuse("GET", f"{MANY}/one", status=404, caller=OFFICER)
    assert await plane.safe.open(MATERIAL, made["id"]) is None


@pytest.mark.parametrize(
    ("asked", "size", "curve"),
    [
        ({"algorithm": "aes", "size": 128}, 128, None),
        ({"algorithm": "AES", "size": 192}, 192, None),
        ({"algorithm": "RSA"}, 2048, None),
        ({"algorithm": "EC", "curveid": "prime256v1"}, 256, "secp256r1"),
        ({"algorithm": "EC", "size": 384}, 384, "secp384r1"),
        ({"algorithm": "ec", "curveid": "secp521r1"}, 521, "secp521r1"),
    ],
)
async def test_all_kinds_are_made(plane: Plane, asked: dict[str, Any], size: int, curve: str | None) -> None:
    made = await make(plane, **asked)
    assert made["size"] == size
    assert made.get("curveid") == curve
    assert made["name"] == made["id"]
    if made["algorithm"] != "AES":
        key: Any = load_pem_public_key(made["publickey"].encode())
        assert key.key_size == size
        shown = await plane.accept("POST", f"{MANY}/{made['id']}/export", caller=OFFICER)
        private: Any = load_pem_private_key(shown["material"].encode(), None)
        assert private.public_key() == key


async def test_material_is_imported(plane: Plane) -> None:
    by_hex = await make(plane, name="hex", size=128, material=AES_HEX)
    in_base64 = base64.b64encode(bytes.fromhex(AES_HEX)).decode()
    by_base64 = await make(plane, name="base64", size=128, material=in_base64, encoding="base64")
    sizeless = await make(plane, name="sizeless", material=AES_HEX)
    assert sizeless["size"] == 128  # that of what was brought, not the default
    for made in (by_hex, by_base64, sizeless):
        shown = await plane.accept("POST", f"{MANY}/{made['id']}/export", caller=OFFICER)
        assert shown["material"] == AES_HEX
    key = rsa.generate_private_key(65537, 3072)
    for form, size in ((PrivateFormat.PKCS8, 0), (PrivateFormat.TraditionalOpenSSL, 3072)):
        pem = key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        made = await make(plane, algorithm="RSA", size=size, material=pem)
        assert made["size"] == 3072
        shown = await plane.accept("POST", f"{MANY}/{made['id']}/export", caller=OFFICER)
        assert load_pem_private_key(shown["material"].encode(), None).private_numbers() == key.private_numbers()  # type: ignore[union-attr]


async def test_what_cannot_be_a_key_is_refused(plane: Plane) -> None:
    await make(plane, name="taken")
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for body, part in (
        ({"algorithm": "DES"}, "algorithm"),
        ({"size": 100}, "size"),
        ({"algorithm": "RSA", "size": 1024}, "size"),
        ({"algorithm": "EC", "curveid": "ed25519"}, "curveid"),
        ({"algorithm": "AES", "curveid": "secp256r1"}, "curveid"),
        ({"name": "a/b"}, "name"),
        ({"name": "x" * 257}, "name"),
        ({"usageMask": -1}, "usageMask"),
        ({"meta": {"a": "x" * 20_000}}, "meta"),
        ({"size": 256, "material": AES_HEX}, "material"),
        ({"size": 128, "material": "zz"}, "material"),
        ({"material": "00" * 10}, "size 128 or 192 or 256"),
        ({"size": 128, "material": AES_HEX, "encoding": "rot13"}, "encoding"),
        ({"algorithm": "RSA", "material": pem.decode()}, "material"),
        ({"algorithm": "RSA", "material": "not a key"}, "material"),
        ({"algorithm": "EC", "material": pem.decode()}, "material"),
        ({"algorithm": "RSA", "size": 2048, "material": "x" * 20_000}, "material"),
    ):
        await refused(plane, body, part)
    await refused(plane, {"name": "taken"}, "taken", status=409)


async def test_refusals_never_show_the_material(plane: Plane) -> None:
    message = await plane.refuse("POST", MANY, {"size": 256, "material": AES_HEX}, status=400, caller=OFFICER)
    assert AES_HEX not in message


async def test_what_may_not_be_exported_or_deleted_is_not(plane: Plane) -> None:
    kept = await make(plane, name="kept", unexportable=True, undeletable=True)
    assert (kept["unexportable"], kept["undeletable"]) == (True, True)
    await plane.refuse("POST", f"{MANY}/kept/export", status=403, part="never exported", caller=OFFICER)
    await plane.refuse("DELETE", f"{MANY}/kept", status=409, part="never deleted", caller=OFFICER)
    assert await plane.count("cckm_local_keys") == 1


async def test_only_those_who_handle_keys_see_them(plane: Plane) -> None:
    made = await make(plane, name="one")
    for method, path in (("GET", ""), ("GET", f"/{made['id']}"), ("POST", "/one/export"), ("DELETE", "/one")):
        await plane.refuse(method, MANY + path, status=403, caller="bob;CCKM Users")
        await plane.refuse(method, MANY + path, status=401, caller=None)
    await plane.refuse("GET", f"{MANY}/one", status=404, caller=ELSEWHERE)
    assert (await plane.accept("GET", MANY, caller=ELSEWHERE))["total"] == 0


async def test_too_many_at_once_are_told_to_come_back(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who makes keys waits for his turn, though not for ever."""
    let_go, real = threading.Event(), operations._material
    begun: list[int] = []

    def slow(*given: Any) -> Any:
        begun.append(1)
        let_go.wait(20)
        return real(*given)

    monkeypatch.setattr(operations, "_material", slow)
    monkeypatch.setattr(operations, "QUEUE_S", 1)
    making = [asyncio.ensure_future(make(plane)) for _ in range(operations.AT_ONCE)]
    for _ in range(1000):
        if len(begun) == operations.AT_ONCE:
            break
        await asyncio.sleep(0.01)
    await plane.refuse("POST", MANY, {}, status=429, part="too many keys", caller=OFFICER)
    assert len(begun) == operations.AT_ONCE
    let_go.set()
    assert len({made["id"] for made in await asyncio.gather(*making)}) == operations.AT_ONCE
