"""What is stored of secrets: whatever happens to rows, the counts by which lists know their totals are true."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from claviger.cckm.azure.secrets import records
from claviger.cckm.azure.secrets.facets.records import Facet
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.core.clock import SystemClock
from claviger.store.contract import Store, Tx
from claviger.store.opening import open_store
from tests.many_secrets import draw_change, draw_row, make_domain, make_vault

FACET = "domain_id, vault_num, status, soft_deleted, gone, enabled, managed, origin, latest, sole"


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await open_store(database_url, SystemClock())
    await make_domain(opened, ROOT_DOMAIN, "root")
    yield opened
    await opened.close()


async def stored(store: Store) -> list[SecretRow]:
    """All rows, in the order of their creation."""
    nums = [row[0] for row in await store.read("SELECT num FROM cckm_azure_secrets ORDER BY num")]
    found = await store.write(lambda tx: [records.load(tx, num) for num in nums])
    return [row for row in found if row is not None]


async def counts(store: Store) -> tuple[dict[Any, int], dict[Any, int], dict[Any, set[Any]]]:
    """Facets with their counts, tags of facets with theirs, and the tags of each row."""
    facets = {
        Facet._make((*row[:3], *(flag != 0 for flag in row[3:7]), row[7], row[8] != 0, row[9] != 0)): row[10]
        for row in await store.read(f"SELECT {FACET}, count FROM cckm_azure_secret_facets")
    }
    tag_counts = {
        tuple(row[:3]): row[3]
        for row in await store.read("SELECT name, value, facet_id, count FROM cckm_azure_secret_tag_counts")
    }
    tags: dict[Any, set[Any]] = {}
    for num, name, value in await store.read("SELECT secret_num, name, value FROM cckm_azure_secret_tags"):
        tags.setdefault(num, set()).add((name, value))
    return facets, tag_counts, tags


def plain(row: SecretRow) -> SecretRow:
    """The row without what the records themselves keep."""
    return msgspec.structs.replace(row, num=0, facet_id=0, domain_id="", latest=True, sole=True)


async def assert_true(store: Store, expected: dict[str, SecretRow]) -> None:
    """The rows are those expected, and everything that is counted of them is so."""
    rows = await stored(store)
    found = {row.id: plain(row) for row in rows}
    assert found == {ident: plain(row) for ident, row in expected.items()}
    newest: dict[Any, SecretRow] = {}
    for row in rows:
        key = (row.vault_num, row.name.lower())
        if key not in newest or (row.told.created_at, row.num) >= (newest[key].told.created_at, newest[key].num):
            newest[key] = row
    assert {row.id for row in rows if row.latest} == {row.id for row in newest.values()}
    named = Counter((row.vault_num, row.name.lower()) for row in rows)
    alone = {row.id for row in rows if named[row.vault_num, row.name.lower()] == 1}
    assert {row.id for row in rows if row.sole} == alone
    facets, tag_counts, tags = await counts(store)
    assert facets == Counter(row.facet for row in rows)
    assert tag_counts == Counter((*tag, row.facet_id) for row in rows for tag in row.told.tags.items())
    assert tags == {row.num: set(row.told.tags.items()) for row in rows if row.told.tags}


@pytest.mark.parametrize("seed", range(3))
async def test_counts_are_true_whatever_happens(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    vaults = [await make_vault(store, ROOT_DOMAIN, chance, f"vault-{number}") for number in range(4)]
    by_num = {vault.num: vault for vault in vaults}
    expected: dict[str, SecretRow] = {}
    for _ in range(12):
        what = chance.choice(("add", "add", "change", "remove"))
        rows = await stored(store)
        chosen = chance.sample(rows, min(len(rows), chance.randrange(1, 12)))
        if what == "add" or not chosen:
            fresh = [draw_row(chance, vaults) for _ in range(chance.randrange(1, 140))]
            await store.write(lambda tx, fresh=fresh: records.add_many(tx, ROOT_DOMAIN, fresh))
            expected |= {row.id: row for row in fresh}
        elif what == "change":
            # Azure never changes when a version was created; a record that a restore gives another version is alone.
            moved = [draw_change(chance, row, by_num[row.vault_num]) for row in chosen]
            moved = [
                msgspec.structs.replace(row, told=msgspec.structs.replace(row.told, created_at=old.told.created_at))
                for row, old in zip(moved, chosen, strict=True)
            ]
            await store.write(lambda tx, moved=moved: records.change_many(tx, moved))
            expected |= {row.id: row for row in moved}
        else:
            await store.write(lambda tx, chosen=chosen: records.remove(tx, chosen))
            for row in chosen:
                del expected[row.id]
        await assert_true(store, expected)
    rows = await stored(store)
    await store.write(lambda tx: records.remove(tx, rows))
    assert await counts(store) == ({}, {}, {})


async def test_what_fails_changes_no_count(store: Store) -> None:
    chance = random.Random(5)
    vault = await make_vault(store, ROOT_DOMAIN, chance, "vault")
    row = draw_row(chance, [vault])
    await store.write(lambda tx: records.add(tx, ROOT_DOMAIN, row))

    def change(tx: Tx) -> None:
        records.add(tx, ROOT_DOMAIN, draw_row(chance, [vault]))
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(change)
    await assert_true(store, {row.id: row})


async def test_every_change_moves_the_revision(store: Store) -> None:
    chance = random.Random(6)
    vault = await make_vault(store, ROOT_DOMAIN, chance, "vault")
    revisions = [await revision(store)]
    row = await store.write(lambda tx: records.add(tx, ROOT_DOMAIN, draw_row(chance, [vault])))
    revisions.append(await revision(store))
    await store.write(lambda tx: records.change(tx, msgspec.structs.replace(row, updated_at=row.updated_at + 1)))
    revisions.append(await revision(store))
    await store.write(lambda tx: records.remove(tx, [row]))
    revisions.append(await revision(store))
    assert len(set(revisions)) == 4


async def revision(store: Store) -> str:
    row = await store.read_one("SELECT value FROM meta WHERE key = 'cckm_azure_secrets_revision'")
    assert row is not None
    return str(row[0])


async def test_reads_by_name_and_version(store: Store) -> None:
    chance = random.Random(7)
    vault, other = [await make_vault(store, ROOT_DOMAIN, chance, name) for name in ("one", "two")]
    drawn = [draw_row(chance, [vault]) for _ in range(4)]
    named = [
        msgspec.structs.replace(
            row, name=name, status=status, backup=backup, told=msgspec.structs.replace(row.told, created_at=at)
        )
        for row, name, status, backup, at in zip(
            drawn,
            ("Pass", "pass", "PASS", "other"),
            (Status.DELETED, Status.AVAILABLE, Status.AVAILABLE, Status.AVAILABLE),
            ("old", "kept", None, None),
            (10, 30, 20, 10),
            strict=True,
        )
    ]

    def change(tx: Tx) -> None:
        rows = records.add_many(tx, ROOT_DOMAIN, named)
        assert [row.latest for row in rows] == [False, True, False, True]
        assert [row.id for row in records.of_name(tx, vault.num, "PASS")] == [row.id for row in rows[:3]]
        assert records.of_name(tx, other.num, "pass") == []
        assert [row.id for row in records.of_name(tx, vault.num, "pass", Status.DELETED)] == [rows[0].id]
        assert records.names_backup(tx, "old")
        assert not records.names_backup(tx, "new")
        records.remove(tx, [rows[1]])
        assert [row.id for row in records.of_name(tx, vault.num, "pass") if row.latest] == [rows[2].id]

    await store.write(change)
    assert await records.versions_of(store, vault.id, "pass") == [named[0].version, named[2].version]
    assert await records.versions_of(store, vault.id, "pass", live=True) == [named[2].version]
    first = (await stored(store))[0].num
    assert await records.versions_of(store, vault.id, "pass", until=first) == [named[0].version]
    assert await records.view(store, "another domain", named[0].id) is None
    view = await records.view(store, ROOT_DOMAIN, named[0].id)
    assert view is not None
    assert view.vault.soft_delete == vault.soft_delete
    assert view.vault.tenant_id == vault.tenant_id
