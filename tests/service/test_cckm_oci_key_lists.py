"""Lists of OCI keys against the database's own sorting, while keys come, change and go, on both databases."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from claviger.cckm.calls import ROOT_DOMAIN, Query
from claviger.cckm.oci.keys import listing, ordered, records
from claviger.cckm.oci.keys.listing import KeyLists
from claviger.cckm.oci.keys.ordered import Orders
from claviger.cckm.oci.keys.parts.records import PARTS
from claviger.cckm.oci.keys.records import Wanted
from claviger.cckm.oci.keys.rows import KeyRow, KeyView
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.records import OciVault
from claviger.store.contract import Store, Tx
from tests.plane import START, open_plane

KEYS = 60
WORDS = (
    "",
    "key_name=*b*",
    "key_name=same",
    "algorithm=AES",
    "lifecycle_state=ENABLED&lifecycle_state=DELETED",
    "region=r-1",
    "vault_name=v-1&gone=false",
    "tenancy=T*",
    "vault_id=vault-2&vault_id=ocid-0",
    "length=32&curve_id=",
    "lifecycle_state=nothing",
)
SORTS = (
    *(f"{sign}{name}" for name in sorted(records.ORDERS) for sign in ("", "-")),
    "lifecycle_state,-updatedAt",
    "-region,key_name",
    "-time_of_deletion,-id",
)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    plane = await open_plane(database_url)
    yield plane.store
    await plane.store.close()


@pytest.fixture(autouse=True)
def little() -> Iterator[None]:
    """Few keys are many, so that these lists are kept as those of a hundred thousand are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PARTS, "rows_a_part", 8)
        patch.setattr(ordered, "FEW", 3)
        patch.setattr(listing, "FEW", 3)
        yield


def drawn(ident: str, vault_num: int, dice: random.Random) -> KeyRow:
    state = dice.choice(("ENABLED", "DISABLED", "PENDING_DELETION", "DELETED"))
    name = dice.choice(("same", f"b-{dice.randrange(9)}", f"Key-{dice.randrange(99)}"))
    texts: Any = {each: "" for each, kind in KeyRow.__annotations__.items() if kind == "str"}
    return KeyRow(
        **{
            **texts,
            "num": 0,
            "id": ident,
            "vault_num": vault_num,
            "ocid": f"ocid-{ident}-{dice.random()}",
            "name": name,
            "name_key": name.lower(),
            "algorithm": dice.choice(("AES", "RSA")),
            "length": dice.choice((16, 32)),
            "curve_id": "",
            "state": state,
            "oci_created_at": START + dice.randrange(5),
            "auto_rotate": 0,
            "deletes_at": START + dice.randrange(5) if "DELET" in state else None,
            "gone": dice.randrange(2),
            "labels": "{}",
            "details": "{}",
            "backup": None,
            "backup_at": None,
            "refresh_at": None,
            "tries": 0,
            "refreshed_at": START,
            "created_at": START,
            "updated_at": START + dice.randrange(5),
        }
    )


async def made(store: Store, dice: random.Random) -> list[OciVault]:
    """Three vaults with keys in them."""
    texts: Any = {name: "" for name, kind in OciVault.__annotations__.items() if kind == "str"}
    numbers = {name: 0.0 for name, kind in OciVault.__annotations__.items() if "float" in kind}
    found = []
    for at in range(3):
        chosen = {"id": f"vault-{at}", "ocid": f"ocid-{at}", "display_name": f"V-{at}", "region": f"r-{at % 2}"}
        blank = {**texts, **numbers, "num": 0, "removed": 0, "domain_id": ROOT_DOMAIN, "details": "{}"}
        fresh = OciVault(**{**blank, **chosen, "tenancy_name": f"t-{at}"})
        found.append(await store.write(lambda tx, fresh=fresh: vaults.add(tx, fresh)))
    for at in range(KEYS):
        key = drawn(f"key-{at}", dice.choice(found).num, dice)
        await store.write(lambda tx, key=key: records.put(tx, key))
    return found


async def change(store: Store, places: list[OciVault], dice: random.Random, turn: int) -> None:
    """Some keys are others afterwards, one is gone, one has come."""
    nums = [int(row[0]) for row in await store.read("SELECT num FROM cckm_oci_keys ORDER BY num")]
    changed, gone = dice.sample(nums, 3), dice.choice(nums)

    def turned(tx: Tx) -> None:
        for num in changed:
            row = records.load_by_num(tx, num)
            assert row is not None
            other = drawn(row.id, row.vault_num, dice)
            records.put(tx, msgspec.structs.replace(other, num=num))
        records.remove(tx, gone)
        records.put(tx, drawn(f"new-{turn}", dice.choice(places).num, dice))

    await store.write(turned)


def pairs_of(words: str) -> list[tuple[str, str]]:
    return [(part.partition("=")[0], part.partition("=")[2]) for part in words.split("&") if part]


async def reference(store: Store, words: str, sort: str, containers: frozenset[str] | None) -> list[KeyView]:
    """All keys of a list, sorted by the database."""
    wanted = listing.wanted_of(Query(pairs_of(words)))
    if containers is not None:
        wanted.append(records.among("v.id", sorted(containers)))
    orders = [records.order(part.removeprefix("-"), part.startswith("-")) for part in sort.split(",")]
    return await records.page(store, ROOT_DOMAIN, wanted, orders, 0, 1000)


async def test_every_page_is_as_the_database_would_sort_it_whatever_changes(store: Store) -> None:
    dice = random.Random(5)
    places = await made(store, dice)
    lists = KeyLists(store)
    asked = [(words, sort) for words in WORDS for sort in SORTS]
    for turn in range(3):
        for words, sort in asked if turn == 0 else dice.sample(asked, 90):
            containers = dice.choice((None, None, frozenset({"vault-0", "vault-2"})))
            whole = await reference(store, words, sort, containers)
            skip = dice.choice((0, 7, max(len(whole) - 5, 0)))
            more = [("sort", sort), ("skip", str(skip)), ("limit", "10")]
            page = await lists.page(ROOT_DOMAIN, Query([*pairs_of(words), *more]), containers)
            told = (words, sort, skip, containers, turn)
            assert page.total == len(whole), told
            assert [each.id for each in page.resources] == [each.row.id for each in whole[skip : skip + 10]], told
        await change(store, places, dice, turn)


async def test_a_list_that_is_known_is_renewed_by_what_has_moved(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(6)
    places = await made(store, dice)
    read: list[tuple[int, int] | None] = []

    async def noted(
        store: Store, columns: Any, vaults: Any, wanted: Any, nums: tuple[int, int] | None = None
    ) -> list[Any]:
        read.append(nums)
        return await places_of(store, columns, vaults, wanted, nums)

    places_of = records.places
    monkeypatch.setattr(records, "places", noted)
    orders = Orders(store)
    await orders.of(ROOT_DOMAIN, [], [("createdAt", False)])
    assert len(read) == KEYS // 8 + 1
    await orders.of(ROOT_DOMAIN, [], [("createdAt", False)])
    assert len(read) == KEYS // 8 + 1
    key = drawn("one-more", places[0].num, dice)
    await store.write(lambda tx: records.put(tx, key))
    found = await orders.of(ROOT_DOMAIN, [], [("createdAt", False)])
    assert len(read) == KEYS // 8 + 2
    assert found.nums(0, 100) == list(range(1, KEYS + 2))


async def test_an_empty_list_that_two_ask_for_at_once_has_everything_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(9)
    places = await made(store, dice)
    orders, sorts = Orders(store), [("createdAt", False)]
    wanted = [Wanted("k.ocid = ?", ("alone",))]
    assert len(await orders.of(ROOT_DOMAIN, wanted, sorts)) == 0
    key = msgspec.structs.replace(drawn("one-more", places[0].num, dice), ocid="alone")
    await store.write(lambda tx: records.put(tx, key))
    places_of, both = records.places, asyncio.Barrier(2)

    async def together(*args: Any) -> list[Any]:
        await both.wait()
        return await places_of(*args)

    monkeypatch.setattr(records, "places", together)
    found = await asyncio.gather(*(orders.of(ROOT_DOMAIN, wanted, sorts) for _ in range(2)))
    assert [len(each) for each in found] == [1, 1]


async def test_keys_of_a_vault_that_is_removed_or_called_otherwise_are_listed_so_at_once(store: Store) -> None:
    places = await made(store, random.Random(7))
    lists = KeyLists(store)

    async def total(*pairs: tuple[str, str]) -> int:
        return (await lists.page(ROOT_DOMAIN, Query([*pairs, ("sort", "region")]), None)).total

    before, called = await total(), await total(("vault_name", "V-1"))
    other = msgspec.structs.replace(places[1], display_name="other")
    await store.write(lambda tx: vaults.replace(tx, other))
    assert (await total(), await total(("vault_name", "V-1")), await total(("vault_name", "o*"))) == (before, 0, called)
    await store.write(lambda tx: vaults.replace(tx, msgspec.structs.replace(other, removed=1)))
    assert (await total(), await total(("vault_name", "o*"))) == (before - called, 0)


async def test_what_is_kept_is_bounded(store: Store) -> None:
    await made(store, random.Random(8))
    orders = Orders(store, most=2 * KEYS)
    for name in records.ORDERS:
        assert len(await orders.of(ROOT_DOMAIN, [], [(name, False)])) == KEYS
    assert len(orders._known) == 2
