"""The end of a vault and its way back: what is in it dies and comes back with it, and nothing goes before its time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from claviger.keyvault.directory.records import bump_revision
from claviger.keyvault.secrets.operations import scope_of
from claviger.keyvault.vaults.deletion import Purges
from claviger.keyvault.vaults.operations import NewVault, assign_role, create_vault
from claviger.store.contract import Store, Tx
from tests.inprocess import DAY_S, START, MovableServer
from tests.management import ALL_VAULTS, GROUP, IN_GROUP, LOCATION, ONE, VAULTS, Manager, deleted, manager_with, refused
from tests.vaults import spare_name

RECOVER: dict[str, Any] = {"createMode": "recover"}
RETENTION_S = 90 * DAY_S


async def _own(managed: MovableServer) -> dict[str, Any]:
    row = await managed.services.house.store.read_one(
        "SELECT object_id FROM kv_applications WHERE app_id = ?", managed.demo.client_id
    )
    assert row is not None
    return {"tenantId": managed.demo.tenant_id, "objectId": row[0], "permissions": {"secrets": ["all", "purge"]}}


async def _vault(managed: MovableServer, manager: Manager, **properties: Any) -> str:
    """A vault in which the demo application may do everything by an access policy."""
    return await manager.vault(accessPolicies=[await _own(managed)], **properties)


async def _rows(store: Store, vault_id: int) -> tuple[int, int, int, int]:
    """How many vaults, secrets, versions and data keys of it are stored."""
    counts = []
    for sql in (
        "SELECT COUNT(*) FROM kv_vaults WHERE id = ?",
        "SELECT COUNT(*) FROM kv_secrets WHERE vault_id = ?",
        "SELECT COUNT(*) FROM kv_secret_versions WHERE secret_id IN (SELECT id FROM kv_secrets WHERE vault_id = ?)",
    ):
        row = await store.read_one(sql, vault_id)
        assert row is not None
        counts.append(int(row[0]))
    row = await store.read_one("SELECT COUNT(*) FROM data_keys WHERE scope = ?", scope_of(vault_id))
    assert row is not None
    return counts[0], counts[1], counts[2], int(row[0])


async def _id(store: Store, name: str) -> int:
    row = await store.read_one("SELECT id FROM kv_vaults WHERE lower(name) = ?", name)
    assert row is not None
    return int(row[0])


async def test_secrets_die_and_come_back_with_their_vault(managed: MovableServer, manager: Manager):
    name = await _vault(managed, manager)
    first = await managed.put("s", "first", vault=name, tags={"a": "b"})
    await managed.put("s", "second", vault=name)
    await managed.put("gone", vault=name)
    gone = await managed.accept("DELETE", "/secrets/gone", vault=name)
    before = await manager.accept("GET", f"{VAULTS}/{name}")

    assert await manager.status("DELETE", f"{VAULTS}/{name}") == 200
    assert await manager.status("DELETE", f"{VAULTS}/{name}") == 204
    refused(await manager.ask("GET", f"{VAULTS}/{name}"), 404, "ResourceNotFound")
    refused(await manager.ask("PATCH", f"{VAULTS}/{name}", {"tags": {}}), 404, "ResourceNotFound")
    for method, path in (
        ("GET", "/secrets/s"),
        ("GET", "/secrets"),
        ("GET", "/deletedsecrets"),
        ("DELETE", "/secrets/s"),
    ):
        answer = await managed.ask(method, path, vault=name)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "VaultNotFound")

    managed.clock.advance(100)
    wanted = manager.wanted(**RECOVER, sku={"family": "A", "name": "premium"}, accessPolicies=None)
    after = await manager.accept("PUT", f"{VAULTS}/{name}", wanted)
    assert {**after, "systemData": None} == {**before, "systemData": None}, "only what it was comes back"
    assert (await managed.accept("GET", "/secrets/s", vault=name))["value"] == "second"
    older = await managed.accept("GET", f"/secrets/s/{first['id'].rpartition('/')[2]}", vault=name)
    assert older == first
    kept = await managed.accept("GET", "/deletedsecrets/gone", vault=name)
    assert (kept["deletedDate"], kept["scheduledPurgeDate"]) == (gone["deletedDate"], gone["scheduledPurgeDate"])
    again = await manager.accept("PUT", f"{VAULTS}/{name}", wanted)
    assert again == after, "a recover that is sent twice changes nothing"


async def test_a_deleted_vault_is_listed_with_its_dates(managed: MovableServer, manager: Manager):
    name = await manager.vault(softDeleteRetentionInDays=7, enablePurgeProtection=True)
    await manager.accept("PATCH", f"{VAULTS}/{name}", {"tags": {"a": "b"}})
    refused(await manager.ask("GET", deleted(name)), 404, "DeletedVaultNotFound")
    await manager.accept("DELETE", f"{VAULTS}/{name}")
    found = await manager.accept("GET", deleted(name.upper(), "West Europe"))
    assert found == {
        "id": deleted(name),
        "name": name,
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": {
            "vaultId": f"{VAULTS}/{name}",
            "location": LOCATION,
            "tags": {"a": "b"},
            "deletionDate": "2027-01-15T08:00:00Z",
            "scheduledPurgeDate": "2027-01-22T08:00:00Z",
            "purgeProtectionEnabled": True,
        },
    }
    assert await manager.accept("GET", f"{ALL_VAULTS}/deletedVaults") == {"value": [found]}
    refused(await manager.ask("GET", deleted(name, "eastus")), 404, "DeletedVaultNotFound")
    managed.clock.advance(7 * DAY_S - 1)
    assert await manager.status("GET", deleted(name)) in (200, 401)


async def test_a_deleted_vault_keeps_its_name_until_it_is_purged(managed: MovableServer, manager: Manager):
    name = await _vault(managed, manager)
    await managed.put("s", "old", vault=name)
    old_id = await _id(managed.services.house.store, name)
    await manager.accept("DELETE", f"{VAULTS}/{name}")
    wanted = manager.wanted(accessPolicies=[await _own(managed)])
    refused(await manager.ask("PUT", f"{VAULTS}/{name}", wanted), 409, "ConflictError", "in deleted state")
    assert await manager.status("POST", f"{deleted(name)}/purge") == 200
    refused(await manager.ask("GET", deleted(name)), 404, "DeletedVaultNotFound")
    refused(await manager.ask("POST", f"{deleted(name)}/purge"), 404, "DeletedVaultNotFound")
    refused(
        await manager.ask("PUT", f"{VAULTS}/{name}", manager.wanted(**RECOVER)), 400, "SoftDeletedVaultDoesNotExist"
    )
    assert await _rows(managed.services.house.store, old_id) == (0, 0, 0, 0)
    await manager.accept("PUT", f"{VAULTS}/{name}", wanted, status=201)
    assert (await managed.accept("GET", "/secrets", vault=name))["value"] == []
    assert await _id(managed.services.house.store, name) > old_id


async def test_a_protected_vault_is_purged_by_time_alone(managed: MovableServer, manager: Manager):
    name = await _vault(managed, manager, enablePurgeProtection=True, softDeleteRetentionInDays=7)
    await managed.put("s", vault=name)
    store = managed.services.house.store
    vault_id = await _id(store, name)
    await manager.accept("DELETE", f"{VAULTS}/{name}")
    refused(await manager.ask("POST", f"{deleted(name)}/purge"), 405, "MethodNotAllowed", "'DeletedVaultPurge'")
    assert await _rows(store, vault_id) == (1, 1, 1, 1)
    managed.clock.set(START + 7 * DAY_S - 0.001)
    assert await managed.services.sweeper.sweep() == 0
    assert await _rows(store, vault_id) == (1, 1, 1, 1), "nothing goes before its time"
    managed.clock.set(START + 7 * DAY_S)
    await managed.services.sweeper.sweep()
    assert await _rows(store, vault_id) == (0, 0, 0, 0)


async def test_past_its_date_a_vault_is_gone_before_any_sweep(managed: MovableServer, manager: Manager):
    name = await _vault(managed, manager, softDeleteRetentionInDays=7)
    await managed.put("s", "old", vault=name)
    store = managed.services.house.store
    old_id = await _id(store, name)
    await manager.accept("DELETE", f"{VAULTS}/{name}")
    managed.clock.set(START + 7 * DAY_S)
    fresh = await manager_with(managed, "Contributor")
    assert await fresh.accept("GET", f"{ALL_VAULTS}/deletedVaults") == {"value": []}
    refused(await fresh.ask("GET", deleted(name)), 404, "DeletedVaultNotFound")
    refused(await fresh.ask("POST", f"{deleted(name)}/purge"), 404, "DeletedVaultNotFound")
    refused(await fresh.ask("PUT", f"{VAULTS}/{name}", fresh.wanted(**RECOVER)), 400, "SoftDeletedVaultDoesNotExist")
    check = {"name": name, "type": "Microsoft.KeyVault/vaults"}
    assert await fresh.accept("POST", f"{ALL_VAULTS}/checkNameAvailability", check) == {"nameAvailable": True}
    await fresh.accept("PUT", f"{VAULTS}/{name}", fresh.wanted(accessPolicies=[await _own(managed)]), status=201)
    assert (await managed.accept("GET", "/secrets", vault=name))["value"] == []
    await managed.services.sweeper.sweep()
    assert await _rows(store, old_id) == (0, 0, 0, 0)
    assert (await fresh.accept("GET", f"{VAULTS}/{name}"))["name"] == name


async def test_a_secret_deleted_before_its_vault_goes_at_its_own_date(managed: MovableServer, manager: Manager):
    name = await _vault(managed, manager, softDeleteRetentionInDays=7)
    await managed.put("early", vault=name)
    await managed.put("late", vault=name)
    await managed.accept("DELETE", "/secrets/early", vault=name)
    managed.clock.advance(2 * DAY_S)
    again = await manager_with(managed, "Contributor")
    await again.accept("DELETE", f"{VAULTS}/{name}")
    managed.clock.advance(6 * DAY_S)
    assert await managed.services.sweeper.sweep() == 1
    later = await manager_with(managed, "Contributor")
    await later.accept("PUT", f"{VAULTS}/{name}", later.wanted(**RECOVER))
    assert await managed.status("GET", "/deletedsecrets/early", vault=name) == 404
    assert await managed.status("GET", "/secrets/late", vault=name) == 200


async def test_role_assignments_go_with_the_vault_and_stay_away(managed: MovableServer, manager: Manager):
    name = await manager.vault(enableRbacAuthorization=True)
    other = await manager.vault(enableRbacAuthorization=True)
    house = managed.services.house
    for vault, secret in ((name, None), (name, "s"), (other, None)):
        await assign_role(
            house.store,
            house.clock,
            role="secrets officer",
            principal=managed.demo.client_id,
            vault=vault,
            secret=secret,
        )
    await managed.put("s", vault=name)
    await manager.accept("DELETE", f"{VAULTS}/{name}")
    await manager.accept("PUT", f"{VAULTS}/{name}", manager.wanted(**RECOVER))
    assert await managed.status("GET", "/secrets/s", vault=name) == 403
    assert await managed.status("GET", "/secrets", vault=other) == 200
    await assign_role(house.store, house.clock, role="secrets officer", principal=managed.demo.client_id, vault=name)
    assert (await managed.accept("GET", "/secrets/s", vault=name))["value"] == "value"


async def test_without_soft_delete_a_vault_is_gone_at_once(managed: MovableServer, manager: Manager):
    name = await _vault(managed, manager, enableSoftDelete=False)
    await managed.put("s", vault=name)
    store = managed.services.house.store
    vault_id = await _id(store, name)
    await manager.accept("DELETE", f"{VAULTS}/{name}")
    assert await manager.accept("GET", f"{ALL_VAULTS}/deletedVaults") == {"value": []}
    await managed.services.sweeper.sweep()
    assert await _rows(store, vault_id) == (0, 0, 0, 0)


async def test_no_right_outlives_the_vault_or_the_group_it_was_given_in(managed: MovableServer, manager: Manager):
    name = await manager.vault(enableSoftDelete=False, enableRbacAuthorization=True)
    in_vault = await manager_with(managed, "Contributor", vault=name)
    in_group = await manager_with(managed, "Contributor", resource_group=GROUP)
    everywhere = await manager_with(managed, "Contributor")
    await manager.accept("DELETE", f"{VAULTS}/{name}")
    await manager.accept("PUT", f"{VAULTS}/{name}", manager.wanted(), status=201)
    assert await in_vault.status("GET", f"{VAULTS}/{name}") == 403
    assert await in_group.status("GET", f"{VAULTS}/{name}") == 200
    assert await manager.status("DELETE", IN_GROUP, version="2021-04-01") == 200
    await manager.group()
    assert await in_group.status("GET", IN_GROUP, version="2021-04-01") == 403
    assert await everywhere.status("GET", IN_GROUP, version="2021-04-01") == 200


@pytest.mark.parametrize("change", [{"location": "eastus"}, {"group": "other"}, {"subscription": True}])
async def test_a_vault_is_recovered_where_it_was(managed: MovableServer, manager: Manager, change: dict[str, Any]):
    name = await manager.vault()
    await manager.group("other")
    await manager.accept("DELETE", f"{VAULTS}/{name}")
    owner = await manager_with(managed, "Owner", subscription_id="11111111-2222-3333-4444-555555555555")
    owner_path = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/lab"
    await owner.accept("PUT", owner_path, {"location": LOCATION}, status=201, version="2021-04-01")
    asker, path = manager, VAULTS
    if "group" in change:
        path = VAULTS.replace(f"/{GROUP}/", "/other/")
    if "subscription" in change:
        asker, path = owner, f"{owner_path}/providers/Microsoft.KeyVault/vaults"
        refused(await owner.ask("PUT", f"{path}/{name}", owner.wanted()), 409, "VaultAlreadyExists")
    wanted = asker.wanted(location=change.get("location", LOCATION), **RECOVER)
    refused(await asker.ask("PUT", f"{path}/{name}", wanted), 400, "SoftDeletedVaultDoesNotExist")
    assert await manager.status("GET", deleted(name)) == 200


async def test_a_group_takes_its_vaults_along_and_they_can_be_recovered(managed: MovableServer, manager: Manager):
    name = await _vault(managed, manager)
    await managed.put("s", vault=name)
    assert await manager.status("DELETE", IN_GROUP, version="2021-04-01") == 200
    refused(await manager.ask("GET", IN_GROUP, version="2021-04-01"), 404, "ResourceGroupNotFound")
    assert await managed.status("GET", "/secrets/s", vault=name) == 404
    wanted = manager.wanted(**RECOVER)
    refused(await manager.ask("PUT", f"{VAULTS}/{name}", wanted), 404, "ResourceGroupNotFound")
    await manager.group()
    await manager.accept("PUT", f"{VAULTS}/{name}", wanted)
    assert (await managed.accept("GET", "/secrets/s", vault=name))["value"] == "value"


async def test_a_big_purge_goes_on_behind_its_answer(managed: MovableServer, manager: Manager):
    name = await _vault(managed, manager)
    for number in range(8):
        await managed.put(f"s{number}", vault=name)
    store = managed.services.house.store
    vault_id = await _id(store, name)
    await manager.accept("DELETE", f"{VAULTS}/{name}")
    management = managed.services.management
    management.patience_s = 0.0  # what a vault of a million secrets would use up
    answer = await manager.ask("POST", f"{deleted(name)}/purge")
    assert answer.status_code == 202
    assert answer.headers["retry-after"] == "1"
    place = answer.headers["location"]
    assert place.startswith(f"https://management.localhost:8443{ALL_VAULTS}/locations/{LOCATION}/operationResults/")
    await manager.accept("PUT", f"{VAULTS}/{name}", manager.wanted(), status=201)  # the name is free already
    async with asyncio.timeout(60):
        while (await manager.ask("GET", place, version=None)).status_code != 200:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.01)
    assert await _rows(store, vault_id) == (0, 0, 0, 0)
    assert (await manager.ask("GET", place, version=None)).status_code == 200
    wrong = place.replace(place.split("/")[-1].split("?")[0], "eHh4")
    refused(await manager.ask("GET", wrong, version=None), 400, "InvalidSkipToken")


async def test_a_purge_that_was_cut_short_is_finished_by_the_next_sweep(managed: MovableServer, manager: Manager):
    name = await _vault(managed, manager)
    for number in range(5):
        await managed.put(f"s{number}", vault=name)
    house = managed.services.house
    vault_id = await _id(house.store, name)
    await manager.accept("DELETE", f"{VAULTS}/{name}")
    purges = Purges(house.store, house.keyring, house.clock, batch=2)
    where = (await manager.accept("GET", deleted(name)))["properties"]["location"]
    vault = await purges.purge(name, ONE.rpartition("/")[2], where, manager.tenant_id)
    assert vault.id == vault_id

    def some(tx: Tx) -> int:
        return tx.execute("DELETE FROM kv_secrets WHERE vault_id = ? AND name_key < 's3'", vault_id)

    assert await house.store.write(some) == 3  # and there the server was killed
    assert await _rows(house.store, vault_id) == (1, 2, 2, 1)
    refused(await manager.ask("GET", deleted(name)), 404, "DeletedVaultNotFound")
    await managed.services.sweeper.sweep()
    assert await _rows(house.store, vault_id) == (0, 0, 0, 0)
    await asyncio.gather(purges.erase(vault_id), purges.erase(vault_id))  # of what is gone nothing is left to do


async def test_purge_and_recover_at_once_leave_one_winner(managed: MovableServer, manager: Manager):
    for _ in range(5):
        name = await _vault(managed, manager)
        await managed.put("s", vault=name)
        await manager.accept("DELETE", f"{VAULTS}/{name}")
        recovered, purged = await asyncio.gather(
            manager.ask("PUT", f"{VAULTS}/{name}", manager.wanted(**RECOVER)),
            manager.ask("POST", f"{deleted(name)}/purge"),
        )
        assert (recovered.status_code, purged.status_code) in ((200, 404), (400, 200))
        left = await managed.status("GET", "/secrets/s", vault=name)
        assert left == (200 if recovered.status_code == 200 else 404)


async def test_two_who_make_one_vault_at_once(manager: Manager):
    await manager.group()
    path = f"{VAULTS}/{spare_name('vault')}"
    answers = await asyncio.gather(*(manager.ask("PUT", path, manager.wanted()) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]


async def test_the_sweep_wakes_for_vaults_too(managed: MovableServer, manager: Manager):
    sweeper = managed.services.sweeper
    assert await sweeper._until_next() == 60
    name = await manager.vault(softDeleteRetentionInDays=7)
    await manager.accept("DELETE", f"{VAULTS}/{name}")
    assert await sweeper._until_next() == 60
    managed.clock.set(START + 7 * DAY_S - 5)
    assert await sweeper._until_next() == 5


async def test_commands_see_a_vault_that_may_not_be_made_twice(managed: MovableServer, manager: Manager):
    name = await manager.vault(softDeleteRetentionInDays=7)
    await manager.accept("DELETE", f"{VAULTS}/{name}")
    house = managed.services.house
    managed.clock.set(START + 7 * DAY_S)
    made = await create_vault(house.store, house.clock, NewVault(name=name))
    assert made.deleted_at is None
    await house.store.write(bump_revision)
    assert await managed.status("GET", "/secrets", vault=name) == 403
