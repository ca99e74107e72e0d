"""Lists of drift: which findings a list has is remembered, and forgotten with every change that could show."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from claviger.cckm.azure.secrets import records
from claviger.cckm.azure.secrets.rows import SecretRow
from claviger.cckm.azure.synchronization.records import FINDINGS
from claviger.cckm.calls import ROOT_DOMAIN, Query
from claviger.cckm.drift.operations import Drift
from claviger.cckm.drift.records import Finding
from claviger.core.clock import SystemClock
from claviger.store.contract import Store
from claviger.store.opening import open_store
from tests.many_secrets import START, draw_row, make_domain, make_vault

COUNT = 12


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await open_store(database_url, SystemClock())
    yield opened
    await opened.close()


def found(row: SecretRow, at: int, **more: Any) -> Finding:
    fresh = Finding(
        id=f"finding-{at:02}",
        vault_num=row.vault_num,
        name=row.name,
        thing=f"{row.name_key}-{at}",
        kind="new",
        fields={},
        record_id=row.id,
        record_at=row.updated_at,
        since=START + at // 2,
    )
    return msgspec.structs.replace(fresh, **more)


async def test_a_list_of_drift_is_as_things_are_now(store: Store) -> None:
    chance = random.Random(3)
    await make_domain(store, ROOT_DOMAIN, "root")
    vault = await make_vault(store, ROOT_DOMAIN, chance, "shop")
    drawn = [draw_row(chance, [vault]) for _ in range(COUNT)]
    rows = await store.write(lambda tx: records.add_many(tx, ROOT_DOMAIN, drawn))
    for at, row in enumerate(rows):
        await store.write(lambda tx, at=at, row=row: FINDINGS.put(tx, found(row, at)))
    drift = Drift(store)

    async def ids(**asked: str) -> tuple[int, list[str]]:
        page = await drift.page(ROOT_DOMAIN, Query(list(asked.items())), {"azure": None, "oci": None})
        return page.total, [each.id for each in page.resources]

    newest_first = [f"finding-{at:02}" for at in (10, 11, 8, 9, 6, 7, 4, 5, 2, 3, 0, 1)]
    assert await ids() == (COUNT, newest_first[:10])
    assert await ids(skip="9", limit="-1") == (COUNT, newest_first[9:])
    assert await ids(kind="missing") == (0, [])

    await store.write(lambda tx: FINDINGS.put(tx, found(rows[4], 4, kind="missing")))  # another kind, the same record
    assert await ids(kind="missing") == (1, ["finding-04"])
    await store.write(lambda tx: FINDINGS.remove(tx, vault.num, [f"{rows[8].name_key}-8"]))
    assert (await ids())[0] == COUNT - 1
    dealt = msgspec.structs.replace(rows[10], updated_at=rows[10].updated_at + 1)
    await store.write(lambda tx: records.change(tx, dealt))
    assert await ids(limit="3") == (COUNT - 2, ["finding-11", "finding-09", "finding-06"])
    await store.write(lambda tx: FINDINGS.sweep(tx, vault.num))
    assert (await ids())[0] == COUNT - 2
