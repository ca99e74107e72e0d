"""The end of a vault's management: all that is known of it goes, at once or in batches, and nothing of others."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from claviger.cckm.azure.secrets import records as secrets
from claviger.cckm.azure.secrets.rows import SecretRow, Told
from claviger.cckm.azure.secrets.rules import Status
from claviger.cckm.azure.vaults import records
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.azure.vaults.removal import Removals
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.core.errors import Busy
from claviger.core.ids import new_uuid, new_version
from claviger.core.sensitive import Sensitive
from claviger.jobs.intents import Intents
from tests.arm import SUBSCRIPTION, Arm
from tests.managed_vaults import BATCH, add, entry
from tests.plane import START, Plane, user_id

TABLES = (
    "cckm_azure_secrets",
    "cckm_azure_secret_tags",
    "cckm_azure_secret_tag_counts",
    "cckm_azure_secret_facets",
)


def secret(vault: VaultRow, number: int, **more: Any) -> SecretRow:
    """A row with a backup and two tags, one of its own."""
    values = {
        "id": new_uuid(),
        "vault_num": vault.num,
        "name": f"secret-{number}",
        "version": new_version(),
        "status": Status.AVAILABLE,
        "soft_deleted": False,
        "origin": "cckm",
        "told": Told(azure_id="x", tags={"team": "keys", "number": str(number)}),
        "backup": f"{vault.id}-{number}",
        "backup_at": START,
        "synced_at": START,
        "created_by": user_id("ada"),
        "modified_by": user_id("ada"),
        "created_at": START,
        "updated_at": START,
        **more,
    }
    return SecretRow(**values)


async def stored(plane: Plane, ident: str) -> VaultRow:
    row = await records.by_id(plane.store, ROOT_DOMAIN, ident)
    assert row is not None
    return row


async def fill(plane: Plane, vault: VaultRow, count: int, **more: Any) -> list[SecretRow]:
    """Puts secrets into a vault, each with a sealed value and a sealed backup."""
    rows = [secret(vault, number, **more) for number in range(count)]
    sealed = [("value", row.id, Sensitive("v")) for row in rows]
    sealed += [("backup", row.backup or "", Sensitive("b")) for row in rows]
    await plane.safe.write(sealed, lambda tx: secrets.add_many(tx, ROOT_DOMAIN, rows))
    return rows


async def remaining(plane: Plane) -> dict[str, int]:
    """Rows of secrets and what hangs on them; sealed values and backups."""
    found = {table: await plane.count(table) for table in TABLES}
    return found | {"sealed": await plane.count("cckm_sealed", "kind IN ('value', 'backup')")}


async def none_left(plane: Plane, table: str, where: str = "1 = 1") -> None:
    """Waits until a background task has removed these rows."""
    async with asyncio.timeout(60):
        while await plane.count(table, where):  # noqa: ASYNC110 - the task of the product tells nobody
            await asyncio.sleep(0.01)


NOTHING = Counter(dict.fromkeys((*TABLES, "sealed"), 0))


async def test_a_small_vault_goes_at_once(plane: Plane, arm: Arm) -> None:
    (vault,) = await add(plane, arm, "vault-1")
    acls = {"acls": [{"group": "Operators", "permit": True, "actions": ["view"]}]}
    await plane.accept("POST", f"/vaults/{vault['id']}/update-acls", acls)
    await fill(plane, await stored(plane, vault["id"]), BATCH - 1)
    assert (await remaining(plane))["sealed"] == 2 * (BATCH - 1)
    answer = await plane.ask("POST", f"/vaults/{vault['id']}/remove-vault")
    assert (answer.status_code, answer.content) == (204, b"")
    assert await remaining(plane) == NOTHING
    for table in ("cckm_acls", "cckm_azure_vaults", "cckm_azure_subscriptions"):
        assert await plane.count(table) == 0
    await plane.refuse("GET", f"/vaults/{vault['id']}", status=404)
    await plane.refuse("POST", f"/vaults/{vault['id']}/remove-vault", status=404)


async def test_azure_is_not_touched_and_the_vault_can_come_back(plane: Plane, arm: Arm) -> None:
    (vault,) = await add(plane, arm, "vault-1")
    num, asked = (await stored(plane, vault["id"])).num, len(arm.asked)
    await plane.accept("POST", f"/vaults/{vault['id']}/remove-vault", status=204)
    assert arm.asked[asked:] == []
    (again,) = await add(plane, arm, "vault-1")
    assert again["id"] != vault["id"]
    assert (await stored(plane, again["id"])).num > num


@pytest.mark.parametrize("count", [BATCH, BATCH + 1, 3 * BATCH, 25])
async def test_a_large_vault_is_hidden_at_once_and_goes_in_batches(plane: Plane, arm: Arm, count: int) -> None:
    (vault,) = await add(plane, arm, "vault-1")
    rows = await fill(plane, await stored(plane, vault["id"]), count)
    await plane.accept("POST", f"/vaults/{vault['id']}/remove-vault", status=204)
    assert await plane.count("cckm_azure_secrets") == count - BATCH
    assert await plane.count("cckm_azure_secret_facets", f"domain_id = '{ROOT_DOMAIN}'") == 0
    for row in rows:
        assert await secrets.by_id(plane.store, ROOT_DOMAIN, row.id) is None
    assert await Removals(plane.store, BATCH).sweep() == count - BATCH
    assert await remaining(plane) == NOTHING
    assert await Removals(plane.store, BATCH).sweep() == 0


async def test_other_vaults_keep_everything(plane: Plane, arm: Arm) -> None:
    first, second = await add(plane, arm, "vault-1", "vault-2")
    kept = await stored(plane, second["id"])
    await fill(plane, kept, 7)
    before = await remaining(plane)
    acls = {"acls": [{"group": "Operators", "permit": True, "actions": ["view"]}]}
    await plane.accept("POST", f"/vaults/{second['id']}/update-acls", acls)
    await fill(plane, await stored(plane, first["id"]), 8)
    await plane.accept("POST", f"/vaults/{first['id']}/remove-vault", status=204)
    await Removals(plane.store, BATCH).sweep()
    assert await remaining(plane) == before
    assert await plane.count("cckm_acls") == 1
    (subscription,) = (await plane.accept("GET", "/subscriptions"))["resources"]
    assert subscription["subscriptionId"] == SUBSCRIPTION


async def test_a_backup_that_another_vault_names_stays(plane: Plane, arm: Arm) -> None:
    first, second = await add(plane, arm, "vault-1", "vault-2")
    await fill(plane, await stored(plane, first["id"]), 5, backup="shared")
    kept = secret(await stored(plane, second["id"]), 1, backup="shared")
    await plane.store.write(lambda tx: secrets.add(tx, ROOT_DOMAIN, kept))
    await plane.accept("POST", f"/vaults/{first['id']}/remove-vault", status=204)
    await Removals(plane.store, BATCH).sweep()
    assert await plane.count("cckm_sealed", "kind = 'backup'") == 1
    await plane.accept("POST", f"/vaults/{second['id']}/remove-vault", status=204)
    assert await plane.count("cckm_sealed", "kind = 'backup'") == 0


async def test_a_vault_in_which_something_is_under_way_stays(plane: Plane, arm: Arm) -> None:
    first, second = await add(plane, arm, "vault-1", "vault-2")

    intents = Intents(plane.store, plane.clock, plane.clock)
    subject = f"azure/{first['id']}/secrets/db-password"
    intent = await plane.store.write(lambda tx: intents.begin(tx, "1", "create", subject, {}))
    await plane.refuse("POST", f"/vaults/{first['id']}/remove-vault", status=409, part="under way")
    await plane.accept("POST", f"/vaults/{second['id']}/remove-vault", status=204)
    await plane.store.write(lambda tx: intents.end(tx, intent))
    await plane.accept("POST", f"/vaults/{first['id']}/remove-vault", status=204)


async def test_a_sweep_that_was_cut_short_goes_on(plane: Plane, arm: Arm) -> None:
    """As after a crash: another process, which knows nothing of the removal, starts its sweep."""
    (vault,) = await add(plane, arm, "vault-1")
    await fill(plane, await stored(plane, vault["id"]), 20)
    await plane.accept("POST", f"/vaults/{vault['id']}/remove-vault", status=204)
    await plane.store.write(lambda tx: records.sweep_some(tx, records.left_behind(tx) or 0, BATCH))
    (again,) = await add(plane, arm, "vault-1")
    await fill(plane, await stored(plane, again["id"]), 4)
    running = asyncio.create_task(Removals(plane.store, BATCH).run())
    await none_left(plane, "cckm_azure_secret_facets", "domain_id = ''")
    running.cancel()
    assert (await remaining(plane))["cckm_azure_secrets"] == 4
    assert (await remaining(plane))["sealed"] == 8


async def test_a_busy_store_puts_the_sweep_off(plane: Plane, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    (vault,) = await add(plane, arm, "vault-1")
    await fill(plane, await stored(plane, vault["id"]), 10)
    await plane.accept("POST", f"/vaults/{vault['id']}/remove-vault", status=204)
    removals = Removals(plane.store, BATCH)
    sweep, failed = removals.sweep, asyncio.Event()

    async def busy_once() -> int:
        if failed.is_set():
            return await sweep()
        failed.set()
        raise Busy("StoreBusy")

    monkeypatch.setattr(removals, "sweep", busy_once)
    running = asyncio.create_task(removals.run())
    await failed.wait()
    removals.wake()
    await none_left(plane, "cckm_azure_secrets")
    running.cancel()


async def test_an_operation_finds_that_the_vault_is_gone(plane: Plane, arm: Arm) -> None:
    """Every change of a secret loads its vault within its own transaction."""
    (vault,) = await add(plane, arm, "vault-1")
    await plane.accept("POST", f"/vaults/{vault['id']}/remove-vault", status=204)
    assert await plane.store.write(lambda tx: records.load(tx, ROOT_DOMAIN, vault["id"])) is None
    await plane.accept(
        "POST",
        "/add-vaults",
        {"connection": "azure", "subscription_id": SUBSCRIPTION, "vaults": [entry(arm.add("vault-1"))]},
        status=201,
    )
