"""The end of a vault, and its way back: delete, recover, purge, and the purge that time brings about.

A deleted vault keeps everything in it: its secrets die and come back with it. Only its role assignments go at once, as
those of the real service do, and have to be made again after a recovery. Dates are absolute: a secret that had been
deleted before its vault was goes on to its own purge date meanwhile.

A purge has two steps, so that a vault of any size can be purged beside other work. The first takes the vault's name and
rights away, for good. The second removes its secrets in batches, then its data keys and its row; whatever interrupts
it, the next sweep goes on with it. Source: Key Vault contract §10.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from claviger.audit.trail import about, also_about, silently, withhold
from claviger.core.clock import Clock
from claviger.keyvault.directory.records import bump_revision
from claviger.keyvault.secrets import records as secrets
from claviger.keyvault.secrets.operations import scope_of
from claviger.keyvault.vaults import records, rules
from claviger.keyvault.vaults.records import Vault
from claviger.keyvault.vaults.rules import TRANSITIONS, Operation, State
from claviger.lifecycle.retention import purge_at
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

BATCH = 200
VAULTS_A_SWEEP = 100


log = logging.getLogger("claviger.vaults")


def standing(tx: Tx, name: str, now: float) -> tuple[State, Vault | None]:
    """Where a name stands, and the vault that has it. ABSENT with a vault: its retention has ended just now."""
    vault = records.find_vault(tx, name)
    return (State.ABSENT if vault is None else rules.state_of(vault.deleted_at, vault.purge_at, now)), vault


def delete_vault(tx: Tx, vault: Vault, now: float) -> Vault | None:
    """Deletes a live vault; as it is then, or None where it had no soft delete, and is gone."""
    deleted_at = int(now)
    if not vault.soft_delete:
        records.retire_vault(tx, vault, deleted_at)
        bump_revision(tx)
        return None
    until = purge_at(deleted_at, vault.retention_days)
    deleted = msgspec.structs.replace(vault, deleted_at=deleted_at, purge_at=until)
    records.replace_vault(tx, deleted)
    records.forget_scope(tx, vault.path.lower())
    bump_revision(tx)
    return deleted


def recover_vault(tx: Tx, vault: Vault, now: float) -> Vault:
    """Brings a deleted vault back with everything in it; its role assignments are gone."""
    recovered = msgspec.structs.replace(vault, deleted_at=None, purge_at=None, updated_at=int(now))
    records.replace_vault(tx, recovered)
    bump_revision(tx)
    return recovered


class Purges:
    """Removes vaults for good."""

    def __init__(self, store: Store, keyring: Keyring, clock: Clock, batch: int = BATCH) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock
        self._batch = batch
        self._erasing: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Ends what goes on behind answers; the next sweep finishes it."""
        for task in self._erasing:
            task.cancel()
        await asyncio.gather(*self._erasing, return_exceptions=True)

    async def purge(self, name: str, subscription_id: str, location: str, tenant_id: str) -> Vault:
        """Takes a deleted vault's name and rights away; what was in it is left to `erase`.

        Raises NotFound("DeletedVaultNotFound"), Forbidden("VaultPurgeProtected").
        """
        now = self._clock.now()

        def change(tx: Tx) -> Vault:
            state, vault = standing(tx, name, now)
            here = vault is not None and _place(vault) == (subscription_id, location, tenant_id)
            TRANSITIONS.decide(Operation.PURGE, state if here else State.ABSENT, vault=name[:100])
            assert vault is not None  # noqa: S101 - a vault that stands anywhere is there
            rules.check_purge(vault.purge_protection, vault.name)
            about("vault", vault.path, vault.name, vault.resource_group)
            records.retire_vault(tx, vault, int(now))
            bump_revision(tx)
            return vault

        return await self._store.write(change)

    async def erase(self, vault_id: int) -> None:
        """Removes all that a retired vault held, its data keys and itself. Safe to be run twice at once."""
        scope = scope_of(vault_id)

        def change(tx: Tx) -> bool:
            if secrets.remove_some(tx, vault_id, self._batch) == self._batch:
                return False
            self._keyring.delete_data_keys(tx, scope)
            records.remove_vault(tx, vault_id)
            return True

        with silently():  # that it is purged has been told
            while not await self._store.write(change):
                pass  # other changes come in between

    async def erase_within(self, vault_id: int, patience_s: float) -> bool:
        """Runs `erase` beside other work; whether it was through after so many seconds."""
        task = asyncio.create_task(self.erase(vault_id))
        self._erasing.add(task)
        task.add_done_callback(self._erased)
        done, _ = await asyncio.wait({task}, timeout=patience_s)
        return bool(done) and not task.cancelled() and task.exception() is None

    def _erased(self, task: asyncio.Task[None]) -> None:
        self._erasing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("a purged vault is left to the next sweep: %s", task.exception())

    async def is_erased(self, vault_id: int) -> bool:
        """Whether nothing of a vault is left."""
        return not await records.is_stored(self._store, vault_id)

    async def purge_due(self, most: int = VAULTS_A_SWEEP) -> int:
        """Purges up to `most` vaults whose retention has ended, purge protection or not, and finishes earlier purges.

        Returns how many vaults are gone.
        """
        now = int(self._clock.now())

        def change(tx: Tx) -> None:
            found = records.due(tx, now, most)
            for vault in found:
                also_about("vault", vault.path, vault.name, vault.resource_group)
                records.retire_vault(tx, vault, now)
            if found:
                bump_revision(tx)
            else:
                withhold()

        await self._store.write(change)
        gone = await records.retired(self._store)
        for vault_id in gone:
            await self.erase(vault_id)
        return len(gone)

    async def next_due(self) -> int | None:
        """When the next retention ends, in epoch seconds."""
        return await records.next_due(self._store)


def _place(vault: Vault) -> tuple[str, str, str]:
    return vault.subscription_id, vault.location, vault.tenant_id
