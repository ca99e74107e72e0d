"""What happens with the keys and secrets of a vault when it is scheduled, brought back, and deleted; and the sweep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from claviger.audit.entry import Entry
from claviger.audit.trail import AuditedStore
from claviger.core.clock import ManualClock
from claviger.core.errors import Busy, Conflict
from claviger.crypto.root_key import EnvironmentKeys
from claviger.ocikms.keys import records as keys
from claviger.ocikms.keys.records import Key
from claviger.ocikms.materials import binding, scope
from claviger.ocikms.ocids import new_regional_ocid, new_version_ocid
from claviger.ocikms.sweeper import Part, Sweeper, deletions
from claviger.ocikms.texts import written
from claviger.ocikms.vaults import deletion, records
from claviger.ocikms.vaults.operations import Vaults
from claviger.ocikms.vaults.records import Vault
from claviger.ocikms.vaults.routes import VaultRoutes
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx
from claviger.store.opening import open_store
from tests.ocikms import DAY_S, ROOT_KEY, START, Desk, open_desk

KEY = (
    "INSERT INTO oci_keys (id, vault_num, compartment_id, display_name, algorithm, length, protection_mode,"
    " current_version_id, state, passing, passing_until, previous_state, deletes_at, by_vault, is_auto_rotated,"
    " freeform_tags, defined_tags, revision, created_at, updated_at)"
    " VALUES (?, ?, ?, ?, 'AES', 32, ?, ?, ?, '', 0, ?, ?, 0, 0, '{}', '{}', 1, ?, ?) RETURNING num"
)
VERSION = (
    "INSERT INTO oci_key_versions (id, key_num, state, passing, passing_until, origin, is_auto_rotated, data_key_id,"
    " sealed, revision, created_at) VALUES (?, ?, 'ENABLED', '', 0, 'INTERNAL', 0, ?, ?, 1, ?)"
)


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database_url) as opened:
        opened.add(VaultRoutes(Vaults(opened.store)).routes())
        yield opened


async def a_vault(desk: Desk, name: str = "main") -> Vault:
    body = {"compartmentId": desk.production, "displayName": name, "vaultType": "DEFAULT"}
    made = await desk.ask("CreateVault", body=body)
    found = await records.find(desk.store, made["id"])
    assert found is not None
    return found


async def a_key(
    desk: Desk,
    vault: Vault,
    state: str = "ENABLED",
    *,
    days: float | None = None,
    versions: int = 1,
    mode: str = "HSM",
    compartment: str | None = None,
) -> str:
    """A stored key with so many sealed versions, all of them current enough for these tests; its OCID."""
    key_id = new_regional_ocid("key", vault.region, vault.prefix)
    deletes_at = None if days is None else START + days * DAY_S
    previous = "DISABLED" if state == "PENDING_DELETION" else None
    first = new_version_ocid(vault.region, vault.prefix)
    where = compartment or desk.production
    given = (key_id, vault.num, where, "k", mode, first, state, previous, deletes_at, START, START)
    num = await desk.store.write(lambda tx: tx.insert(KEY, *given))
    for version_id in (first, *(new_version_ocid(vault.region, vault.prefix) for _ in range(versions - 1))):

        def change(tx: Tx, data_key_id: int, sealed: bytes, version_id: str = version_id) -> None:
            tx.execute(VERSION, version_id, num, data_key_id, sealed, START)

        await desk.keyring.write_sealed(scope(vault.num), b"k" * 32, binding(version_id), change)
    return key_id


async def the_key(desk: Desk, key_id: str) -> Key:
    found = await keys.find(desk.store, key_id)
    assert found is not None
    return found


async def stands(desk: Desk, key_id: str) -> tuple[str, float | None, int]:
    """State, date and whether by the vault."""
    key = await the_key(desk, key_id)
    return key.shown_at(desk.clock.now()), key.deletes_at, key.by_vault


async def count(store: Store, table: str, condition: str = "1 = 1") -> int:
    row = await store.read_one(f"SELECT COUNT(*) FROM {table} WHERE {condition}")
    assert row is not None
    return int(row[0])


def on(days: float) -> dict[str, str]:
    return {"timeOfDeletion": written(START + days * DAY_S)}


def sweeper(desk: Desk, store: Store | None = None, sweep_s: float = 60.0) -> Sweeper:
    of = store or desk.store
    return Sweeper(deletions(of, desk.keyring), of, desk.clock, sweep_s)


async def test_keys_go_with_their_vault_and_come_back_as_they_were(desk: Desk) -> None:
    vault = await a_vault(desk)
    enabled, disabled = await a_key(desk, vault), await a_key(desk, vault, "DISABLED", compartment=desk.staging)
    own, deleted = await a_key(desk, vault, "PENDING_DELETION", days=9), await a_key(desk, vault, "DELETED")
    elsewhere = await a_key(desk, await a_vault(desk, "other"))
    before = {key_id: await stands(desk, key_id) for key_id in (enabled, disabled, own, deleted, elsewhere)}
    for _ in range(2):  # more than once
        await desk.ask("ScheduleVaultDeletion", vault.id, body=on(10))
        at = START + 10 * DAY_S
        assert await stands(desk, enabled) == await stands(desk, disabled) == ("PENDING_DELETION", at, 1)
        for untouched in (own, deleted, elsewhere):
            assert await stands(desk, untouched) == before[untouched]
        await desk.ask("CancelVaultDeletion", vault.id)
        assert {key_id: await stands(desk, key_id) for key_id in before} == before
    assert (await the_key(desk, own)).previous_state == "DISABLED"


async def test_keys_pass_through_their_states_with_the_vault(desk: Desk) -> None:
    vault = await a_vault(desk)
    key_id = await a_key(desk, vault)
    desk.add(VaultRoutes(Vaults(desk.store, settle_s=5)).routes())
    await desk.ask("ScheduleVaultDeletion", vault.id)
    assert (await stands(desk, key_id))[0] == "SCHEDULING_DELETION"
    desk.clock.advance(5)
    assert (await stands(desk, key_id))[0] == "PENDING_DELETION"
    await desk.ask("CancelVaultDeletion", vault.id)
    assert (await stands(desk, key_id))[0] == "CANCELLING_DELETION"
    desk.clock.advance(5)
    assert (await stands(desk, key_id))[0] == "ENABLED"


async def test_a_vault_cannot_end_before_a_key_of_it(desk: Desk) -> None:
    vault = await a_vault(desk)
    enabled, own = await a_key(desk, vault), await a_key(desk, vault, "PENDING_DELETION", days=20)
    await a_key(desk, await a_vault(desk, "other"), "PENDING_DELETION", days=29)
    assert await desk.refusal("ScheduleVaultDeletion", vault.id, body=on(19.999)) == (409, "Conflict")
    assert await desk.refusal("ScheduleVaultDeletion", vault.id, body=on(99)) == (400, "InvalidParameter")
    assert (await desk.ask("GetVault", vault.id))["lifecycleState"] == "ACTIVE"
    assert (await stands(desk, enabled))[0] == "ENABLED"
    await desk.ask("ScheduleVaultDeletion", vault.id, body=on(20))
    assert (await stands(desk, own))[1:] == (START + 20 * DAY_S, 0)


async def test_usage_counts_what_is_not_deleted(desk: Desk) -> None:
    vault = await a_vault(desk)
    await a_key(desk, vault, versions=3)
    await a_key(desk, vault, "PENDING_DELETION", days=8, mode="SOFTWARE", versions=2)
    await a_key(desk, vault, "DELETED")
    shown = (await desk.ask("GetVaultUsage", vault.id)).json
    assert shown == {"keyCount": 1, "keyVersionCount": 3, "softwareKeyCount": 1, "softwareKeyVersionCount": 2}
    desk.clock.advance(8 * DAY_S)
    after = (await desk.ask("GetVaultUsage", vault.id)).json
    assert after == {"keyCount": 1, "keyVersionCount": 3, "softwareKeyCount": 0, "softwareKeyVersionCount": 0}


async def test_nothing_is_destroyed_a_second_early(desk: Desk) -> None:
    vault, other = await a_vault(desk), await a_vault(desk, "other")
    gone, kept = await a_key(desk, vault, versions=2), await a_key(desk, other)
    await a_key(desk, vault, "DISABLED", versions=1)
    odd = "UPDATE oci_key_versions SET state = 'DELETED' WHERE num = (SELECT MAX(num) FROM oci_key_versions)"
    await desk.store.write(lambda tx: tx.execute(odd))  # as no change leaves it: deleted, and still sealed
    await desk.store.write(
        lambda tx: tx.execute(
            "UPDATE oci_vaults SET wrapping_sealed = ?, wrapping_data_key_id = (SELECT id FROM data_keys"
            " WHERE scope = ?) WHERE num = ?",
            b"sealed",
            scope(vault.num),
            vault.num,
        )
    )
    await desk.ask("ScheduleVaultDeletion", vault.id, body={"timeOfDeletion": written(START + 7 * DAY_S + 0.5)})
    desk.clock.set(START + 7 * DAY_S + 0.999)  # within the second that is still shown as pending
    assert await sweeper(desk).sweep() == START + 7 * DAY_S + 1
    assert (await stands(desk, gone))[0] == "PENDING_DELETION"
    assert await count(desk.store, "oci_key_versions", "sealed IS NULL") == 0
    await desk.ask("CancelVaultDeletion", vault.id)
    await desk.ask("ScheduleVaultDeletion", vault.id, body=on(14.1))

    desk.clock.set(START + 14.1 * DAY_S)
    shown = await desk.ask("GetVault", vault.id)  # nobody has come by yet
    assert (shown["lifecycleState"], (await stands(desk, gone))[0]) == ("DELETED", "DELETED")
    etag = (await the_key(desk, gone)).etag_at(desk.clock.now())
    assert await sweeper(desk).sweep() is None
    assert (await desk.ask("GetVault", vault.id)).etag == shown.etag
    assert (await the_key(desk, gone)).etag_at(desk.clock.now()) == etag
    assert await count(desk.store, "data_keys", f"scope = '{scope(vault.num)}'") == 0
    assert await count(desk.store, "oci_key_versions", "sealed IS NULL AND state = 'DELETED'") == 3
    assert await count(desk.store, "oci_keys", "state = 'DELETED'") == 2
    assert await count(desk.store, "oci_vaults", "wrapping_sealed IS NULL AND state = 'DELETED'") == 1
    assert (await stands(desk, kept))[0] == "ENABLED"
    assert await count(desk.store, "oci_key_versions", "sealed IS NOT NULL") == 1
    desk.clock.set(START)  # a clock that is set back brings nothing back
    assert (await desk.ask("GetVault", vault.id))["lifecycleState"] == "DELETED"
    assert (await stands(desk, gone))[0] == "DELETED"
    assert await desk.refusal("CancelVaultDeletion", vault.id) == (409, "IncorrectState")


class Dying:
    """A store whose n-th change fails, after it was made or before."""

    def __init__(self, store: Store, at: int, *, after: bool) -> None:
        self._store, self._left, self._after = store, at, after
        self.kind, self.read, self.read_one = store.kind, store.read, store.read_one
        self.read_now, self.generation, self.close = store.read_now, store.generation, store.close

    async def write(self, change: Callable[[Tx], Any]) -> Any:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Busy("StoreBusy")
        done = await self._store.write(change)
        if self._left == 0:
            raise Busy("CommitUnknown")
        return done


async def test_what_was_interrupted_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "BATCH", 2)
    vaults = [await a_vault(desk, name) for name in "ab"]
    for vault in vaults:
        for number in range(3):
            await a_key(desk, vault, versions=1 + 2 * number)
        await desk.ask("ScheduleVaultDeletion", vault.id, body=on(8))
    desk.clock.set(START + 8 * DAY_S)
    now = desk.clock.now()
    for at in range(1, 60):
        dying: Any = Dying(desk.store, at, after=bool(at % 2))
        try:
            await deletion.delete_due(dying, desk.keyring, now, 10)
        except Busy:
            for vault in vaults:
                assert (await desk.ask("GetVault", vault.id))["lifecycleState"] == "DELETED"
            whole = "state = 'DELETED' AND num IN (SELECT k.vault_num FROM oci_keys k JOIN oci_key_versions r"
            assert await count(desk.store, "oci_vaults", f"{whole} ON r.key_num = k.num AND r.sealed IS NOT NULL)") == 0
        else:
            break
    assert at > 4  # it was interrupted often
    assert await count(desk.store, "oci_vaults", "state = 'DELETED'") == 2
    assert await count(desk.store, "oci_keys", "state = 'DELETED'") == 6
    assert await count(desk.store, "oci_key_versions", "sealed IS NOT NULL OR state <> 'DELETED'") == 0
    assert await count(desk.store, "data_keys") == 0


async def test_a_vault_that_was_saved_meanwhile_is_left_alone(desk: Desk) -> None:
    vault = await a_vault(desk)
    key_id = await a_key(desk, vault)
    await desk.ask("ScheduleVaultDeletion", vault.id, body=on(8))
    (found,) = await records.due(desk.store, START + 8 * DAY_S, 10)
    assert await records.due(desk.store, START + 8 * DAY_S - 1, 10) == []
    await desk.ask("CancelVaultDeletion", vault.id)
    for state in ("ENABLED", "PENDING_DELETION"):
        with pytest.raises(Conflict, match="NotDue"):
            await deletion._delete(desk.store, desk.keyring, found, START + 8 * DAY_S)
        assert (await stands(desk, key_id))[0] == state
        if state == "ENABLED":
            await desk.ask("ScheduleVaultDeletion", vault.id, body=on(9))
    assert await count(desk.store, "oci_key_versions", "sealed IS NULL") == 0


class Log:
    """Notes the entries of what was committed."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def note(self, tx: Tx, *entries: Entry) -> None:
        self.entries.extend(entries)


async def test_every_deletion_has_its_record(desk: Desk) -> None:
    vault = await a_vault(desk)
    with_it = await a_key(desk, vault)
    own = await a_key(desk, vault, "PENDING_DELETION", days=7.5)
    await desk.ask("ScheduleVaultDeletion", vault.id, body=on(8))
    log: Any = Log()
    audited: Any = AuditedStore(desk.store, log)
    await sweeper(desk, audited).sweep()
    assert log.entries == []
    desk.clock.set(START + 9 * DAY_S)
    await sweeper(desk, audited).sweep()
    told = [(entry.action, entry.object.kind, entry.object.id, entry.origin) for entry in log.entries]
    assert told == [
        ("DeleteKey", "key", own, "sweeper"),
        ("DeleteKey", "key", with_it, "sweeper"),
        ("DeleteVault", "vault", vault.id, "sweeper"),
    ]
    assert all(entry.at == START + 9 * DAY_S for entry in log.entries)
    await sweeper(desk, audited).sweep()
    assert len(log.entries) == 3


async def test_two_servers_delete_everything_once(desk: Desk, database_url: str) -> None:
    vaults = [await a_vault(desk, str(number)) for number in range(3)]
    due = [await a_key(desk, vault, "PENDING_DELETION", days=7 + number) for vault in vaults for number in range(4)]
    for vault in vaults:
        await a_key(desk, vault)
        await desk.ask("ScheduleVaultDeletion", vault.id, body=on(12))
    other = await open_store(database_url, desk.clock)
    try:
        keyring = Keyring(other, EnvironmentKeys(ROOT_KEY), desk.clock)
        await keyring.load()
        logs: list[Any] = [Log(), Log()]
        stores: list[Any] = [AuditedStore(store, log) for store, log in zip((desk.store, other), logs, strict=True)]
        sweepers = [
            Sweeper(deletions(store, ring), store, desk.clock, 60.0)
            for store, ring in zip(stores, (desk.keyring, keyring), strict=True)
        ]
        for days in (7.5, 9.5, 31):
            desk.clock.set(START + days * DAY_S)
            await asyncio.gather(*(sweeper.sweep() for sweeper in sweepers for _ in range(2)))
    finally:
        await other.close()
    told = [(entry.action, entry.object.id) for log in logs for entry in log.entries]
    assert len(told) == len(set(told))
    assert {ident for action, ident in told if action == "DeleteVault"} == {vault.id for vault in vaults}
    assert set(due) < {ident for action, ident in told if action == "DeleteKey"}
    assert await count(desk.store, "oci_keys", "state <> 'DELETED'") == 0
    assert await count(desk.store, "oci_key_versions", "sealed IS NOT NULL") == 0
    assert await count(desk.store, "data_keys", "scope LIKE 'ocikms:%'") == 0


async def test_a_part_that_fails_keeps_nothing_else_back(desk: Desk) -> None:
    vault = await a_vault(desk)
    await desk.ask("ScheduleVaultDeletion", vault.id, body=on(8), retry_token="t")
    calls: list[str] = []

    def part(name: str, due_at: float | None, *counts: int | Exception) -> Part:
        left = list(counts)

        async def act(now: float, limit: int) -> int:
            calls.append(name)
            done = left.pop(0) if left else 0
            if isinstance(done, Exception):
                raise done
            return done

        async def next_due() -> float | None:
            return due_at

        return Part(name, act, next_due, limit=2)

    parts = [
        part("broken", 1.0, ValueError("a mistake")),
        part("busy", START + 50, 2, 2, 1),
        part("refusing", 2.0, Busy("StoreBusy")),
        part("idle", None),
        part("turn", START + 40, 2),
    ]
    made = Sweeper([*parts, *deletions(desk.store, desk.keyring)], desk.store, desk.clock, 60)
    assert await made.sweep() == START + 40
    assert calls == ["broken", "busy", "refusing", "idle", "turn", "busy", "turn", "busy"]
    assert await count(desk.store, "oci_retry_tokens") == 1
    desk.clock.set(START + 8 * DAY_S)
    await made.sweep()
    assert await count(desk.store, "oci_vaults", "state = 'DELETED'") == 1
    assert await count(desk.store, "oci_retry_tokens") == 0


async def test_it_wakes_when_the_clock_was_moved(desk: Desk) -> None:
    vault = await a_vault(desk)
    await desk.ask("ScheduleVaultDeletion", vault.id, body=on(8))
    running = sweeper(desk, sweep_s=3600)
    task = asyncio.create_task(running.run())
    try:
        desk.clock.set(START + 8 * DAY_S)
        async with asyncio.timeout(60):
            while await count(desk.store, "oci_vaults", "state = 'DELETED'") == 0:
                running.wake()
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_came_due_while_the_server_was_down(database_url: str) -> None:
    clock = ManualClock(START)
    async with open_desk(database_url, clock) as desk:
        desk.add(VaultRoutes(Vaults(desk.store)).routes())
        vault = await a_vault(desk)
        await a_key(desk, vault)
        await desk.ask("ScheduleVaultDeletion", vault.id, body=on(8))
    clock.set(START + 400 * DAY_S)
    async with open_desk(database_url, clock) as later:
        later.add(VaultRoutes(Vaults(later.store)).routes())
        later.caller, later.rights = desk.caller, desk.rights
        query = {"compartmentId": desk.production}
        (listed,) = (await later.ask("ListVaults", query=query)).json
        assert listed["lifecycleState"] == "DELETED"
        await sweeper(later).sweep()
        assert await count(later.store, "oci_key_versions", "sealed IS NULL") == 1
        assert await count(later.store, "data_keys") == 0
