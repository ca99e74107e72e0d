"""Records of OCI keys on both databases: what was read too late is not stored, what is due is claimed once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
import pytest

from claviger.cckm.calls import ROOT_DOMAIN, Query
from claviger.cckm.oci.keys import conclusions, records, rows
from claviger.cckm.oci.keys.cloud import CloudKey, CloudVersion
from claviger.cckm.oci.keys.listing import KeyLists
from claviger.cckm.oci.keys.operations import OciKeys
from claviger.cckm.oci.keys.rows import KeyRow
from claviger.cckm.oci.keys.rules import NATIVE
from claviger.cckm.oci.keys.work import Outcome, Work
from claviger.cckm.oci.vaults import records as vaults
from claviger.cckm.oci.vaults.records import OciVault
from claviger.cckm.oci.versions import records as versions
from claviger.cckm.oci.versions import rows as version_rows
from claviger.cckm.oci.versions.operations import OciVersions
from claviger.cckm.oci.versions.rows import VersionRow
from claviger.store.contract import Store
from tests.plane import START, open_plane

DAY_S = 86_400.0
ASTRAY = 1200.0


def said(ocid: str = "ocid1.key.oc1.iad.v.a", **more: Any) -> CloudKey:
    known: dict[str, Any] = {
        "ocid": ocid,
        "vault_ocid": "ocid1.vault.oc1.iad.v.a",
        "compartment_ocid": "ocid1.compartment.oc1..a",
        "name": "orders",
        "algorithm": "AES",
        "length": 32,
        "curve_id": "",
        "protection_mode": "HSM",
        "state": "CREATING",
        "current_version_ocid": "ocid1.keyversion.oc1.iad.v.a",
        "created_at": START,
        "deletes_at": None,
        "freeform_tags": {},
        "defined_tags": {},
    }
    return CloudKey(**{**known, **more})


def version(ocid: str = "ocid1.keyversion.oc1.iad.v.a", state: str = "ENABLED") -> CloudVersion:
    return CloudVersion(
        ocid=ocid,
        key_ocid="ocid1.key.oc1.iad.v.a",
        vault_ocid="ocid1.vault.oc1.iad.v.a",
        compartment_ocid="ocid1.compartment.oc1..a",
        state=state,
        origin="INTERNAL",
        created_at=START,
        deletes_at=None,
    )


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    plane = await open_plane(database_url)
    yield plane.store
    await plane.store.close()


@pytest.fixture
async def vault(store: Store) -> OciVault:
    texts = {name: "" for name, kind in OciVault.__annotations__.items() if kind == "str"}
    numbers = {name: 0.0 for name, kind in OciVault.__annotations__.items() if "float" in kind}
    chosen = {"id": "v", "domain_id": ROOT_DOMAIN, "ocid": "ocid1.vault.oc1.iad.v.a", "details": "{}"}
    fresh: Any = {**texts, **numbers, **chosen, "num": 0, "removed": 0}
    return await store.write(lambda tx: vaults.add(tx, OciVault(**fresh)))


async def stored(store: Store, vault: OciVault, key: CloudKey | None = None, ident: str = "k") -> KeyRow:
    fresh = rows.fresh(ident, vault.num, key or said(), "production", NATIVE, "ada", START)
    return await store.write(lambda tx: records.put(tx, fresh))


async def test_who_is_overtaken_by_another_look_goes_by_what_that_one_has_stored(store: Store, vault: OciVault) -> None:
    """First the background takes the row up, then it stores ENABLED: nobody goes by the CREATING that he came with."""
    began = await stored(store, vault)
    note = partial(conclusions.note_read, read=[], seen_versions=[], compartment_name=None, now=START, is_all=False)

    class Overtaken:
        looks = 0

        async def look(self, books: Store, vault: OciVault, row: KeyRow, **more: Any) -> KeyRow | None:
            self.looks += 1
            if self.looks == 1:
                await store.write(lambda tx: records.put(tx, msgspec.structs.replace(row, refresh_at=START + 60)))
            else:
                await store.write(lambda tx: note(tx, row, said(state="ENABLED")))
            return await store.write(lambda tx: note(tx, row, said(state="ENABLED")))

    nothing: Any = None
    looking: Any = Overtaken()
    keys = OciKeys(store, nothing, looking, store)
    assert (await keys.current(began, vault)).state == "ENABLED"
    settled = msgspec.structs.replace(began, state="DISABLED")
    assert await keys.current(settled, vault) is settled  # what has settled is not looked at


async def test_the_same_of_a_version(store: Store, vault: OciVault) -> None:
    key = await stored(store, vault, said(state="ENABLED"))
    passing = version_rows.fresh("n", key.num, version(state="SCHEDULING_DELETION"), None, START)
    began = await store.write(lambda tx: versions.put(tx, passing))

    class Overtaken:
        looks = 0

        async def look_at_version(self, books: Store, vault: OciVault, key: KeyRow, row: VersionRow) -> None:
            self.looks += 1
            now = msgspec.structs.replace(row, refresh_at=START + 60)
            if self.looks == 2:
                now = version_rows.seen(row, version(state="PENDING_DELETION"), START)
            await store.write(lambda tx: versions.put(tx, now))

    nothing: Any = None
    looking: Any = Overtaken()
    all_versions = OciVersions(store, nothing, nothing, looking, nothing, store)
    assert (await all_versions._settled(key, began, vault)).state == "PENDING_DELETION"


async def test_what_was_read_before_an_operation_ended_is_not_stored(store: Store, vault: OciVault) -> None:
    seen = await stored(store, vault)
    ended = msgspec.structs.replace(seen, state="DISABLING", updated_at=START + 1)
    await store.write(lambda tx: records.put(tx, ended))

    def note(row: KeyRow) -> Any:
        enabled = said(state="ENABLED")
        return store.write(
            lambda tx: conclusions.note_read(tx, row, enabled, None, [version()], [], START + 2, is_all=True)
        )

    assert await note(seen) is None
    assert await store.write(lambda tx: records.load(tx, "k")) == ended
    assert await versions.of_key(store, seen.num) == []
    after = await note(ended)
    assert (after.state, after.updated_at, after.refresh_at) == ("ENABLED", START + 2, None)
    assert len(await versions.of_key(store, seen.num)) == 1


async def test_a_look_without_news_is_no_change(store: Store, vault: OciVault) -> None:
    seen = await stored(store, vault, said(state="ENABLED"))
    same = said(state="ENABLED")
    after = await store.write(lambda tx: conclusions.note_read(tx, seen, same, None, (), [], START + 9, is_all=False))
    assert after is not None
    assert (after.updated_at, after.refreshed_at) == (START, START + 9)


async def test_versions_that_oci_does_not_name_are_gone_and_those_of_a_deleted_key_deleted(
    store: Store, vault: OciVault
) -> None:
    key = await stored(store, vault)
    both = [version(), version("other")]
    await store.write(lambda tx: conclusions.put_versions(tx, key, both, NATIVE, START))
    await store.write(lambda tx: conclusions.put_versions(tx, key, both[:1], None, START + 1, is_all=True))
    assert {row.ocid: row.gone for row in await versions.of_key(store, key.num)} == {both[0].ocid: 0, "other": 1}
    ended = await store.write(lambda tx: conclusions.note_absent(tx, key, START + 2))
    assert ended is not None
    assert (ended.state, ended.gone, ended.refresh_at) == ("DELETED", 1, None)
    assert {row.state for row in await versions.of_key(store, key.num)} == {"DELETED"}


async def test_a_made_key_keeps_the_record_of_who_has_met_it_first(store: Store, vault: OciVault) -> None:
    met = await stored(store, vault)
    work = Work(operation="create", vault_id="v", domain_id=ROOT_DOMAIN, user_id="bob", name="orders", key_id="mine")
    outcome = Outcome(key=said(), versions=(version(),))
    saved = await store.write(lambda tx: conclusions.made(tx, vault, work, outcome, START + 5))
    assert saved.record_id == met.id
    assert await store.read("SELECT id, created_by FROM cckm_oci_keys") == [("k", "bob")]


async def test_what_is_due_is_claimed_once(store: Store, vault: OciVault) -> None:
    row = await stored(store, vault)
    assert row.refresh_at is not None
    now = row.refresh_at
    assert await records.due(store, now - 0.5, now + ASTRAY, 10) == []
    assert await records.next_due(store) == now
    assert await records.due(store, now, now + ASTRAY, 10) == [row.num]
    claimed = await store.write(lambda tx: records.claim(tx, row.num, now, now + ASTRAY, now + 90))
    assert claimed is not None
    assert claimed == await store.write(lambda tx: records.load(tx, "k"))
    assert await store.write(lambda tx: records.claim(tx, row.num, now, now + ASTRAY, now + 90)) is None
    assert await records.due(store, now, now + ASTRAY, 10) == []
    await store.write(lambda tx: records.put_off(tx, row, now, 7))  # of a row that is no longer so
    assert await store.write(lambda tx: records.load(tx, "k")) == claimed
    await store.write(lambda tx: tx.execute("UPDATE cckm_oci_vaults SET removed = 1"))
    assert await records.due(store, now + 1e6, now + 2e6, 10) == []
    assert await records.next_due(store) is None


async def test_a_clock_that_went_back_leaves_nothing_behind_but_dates(store: Store, vault: OciVault) -> None:
    passing = await stored(store, vault)
    waiting = said("ocid1.key.oc1.iad.v.b", state="PENDING_DELETION", deletes_at=START + 7 * DAY_S)
    await stored(store, vault, waiting, "w")
    back = START - 20 * DAY_S
    assert await records.due(store, back, back + ASTRAY, 10) == [passing.num]
    assert await store.write(lambda tx: records.claim(tx, passing.num, back, back + ASTRAY, back + 90)) is not None
    assert await records.due(store, back, back + ASTRAY, 10) == []


async def test_a_key_in_doubt_is_looked_at_soon(store: Store, vault: OciVault) -> None:
    await stored(store, vault, said(state="ENABLED"))
    work = Work(operation="disable", vault_id="v", domain_id=ROOT_DOMAIN, user_id="bob", name="orders", key_id="k")
    assert await records.next_due(store) is None
    await store.write(lambda tx: conclusions.look_soon(tx, work, START + 3))
    assert await records.next_due(store) == START + 3


async def test_names_are_found_in_any_case_and_as_they_are_written(store: Store, vault: OciVault) -> None:
    """Which letters have a small one is the database's to say: only names of keys are kept in small letters by us."""
    key = rows.fresh("k", vault.num, said(name="Über_Orders"), "Übung A", NATIVE, "ada", START)
    await store.write(lambda tx: records.put(tx, key))
    found = [
        *(("key_name", word) for word in ("Über_Orders", "ÜBER_ORDERS", "über_*", "ÜB*S", "nobody")),
        *(("compartment_name", word) for word in ("Übung A", "ÜBUNG a", "Üb*", "* a")),
    ]
    for name, word in found:
        shown = await KeyLists(store).page(ROOT_DOMAIN, Query([(name, word)]), None)
        assert shown.total == (word != "nobody"), (name, word)
    assert (await KeyLists(store).page(ROOT_DOMAIN, Query([("key_name", "über%")]), None)).total == 0
