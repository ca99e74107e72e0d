"""The end of a vault whose time has come: everything in it is destroyed, in batches that other work can come between.

Nobody sees a half of it: from the date on, the vault and all that is in it are shown as DELETED (`ocikms.states`), and
nothing in it can be changed. What is interrupted goes on at the next sweep, for the vault's own row is written last,
together with the removal of its data keys, without which no copy of the sealed material opens again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from math import ceil

import msgspec

from claviger.audit.trail import about, also_about, silently, withhold
from claviger.core.errors import Conflict, Refusal
from claviger.ocikms.materials import scope
from claviger.ocikms.vaults import records
from claviger.ocikms.vaults.content import records as content
from claviger.ocikms.vaults.content.records import Held
from claviger.ocikms.vaults.records import Vault
from claviger.ocikms.vaults.rules import State
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

BATCH = 200
NOT_DUE = "NotDue"

After = Callable[[Store, int, Held | None, int], Awaitable[list[Held]]]
Destroy = Callable[[Tx, Sequence[Held], int], int]
Mark = Callable[[Tx, Sequence[Held], float], None]

log = logging.getLogger("claviger.ocikms.vaults")


async def delete_due(store: Store, keyring: Keyring, now: float, limit: int) -> int:
    """Deletes up to `limit` vaults that are due at `now`; how many.

    One that fails does not keep the others; the first failure is raised at the end.
    """
    failures: list[Refusal] = []
    count = 0
    for vault in await records.due(store, now, limit):
        try:
            await _delete(store, keyring, vault, now)
            count += 1
        except Refusal as refusal:
            if refusal.reason == NOT_DUE:
                continue
            log.warning("the deletion of vault %s was put off: %s", vault.id, refusal)
            failures.append(refusal)
    if failures:
        raise failures[0]
    return count


async def next_due(store: Store) -> float | None:
    """When the next vault is to be deleted, in whole seconds."""
    at = await records.next_due(store)
    return None if at is None else float(ceil(at))


async def _delete(store: Store, keyring: Keyring, vault: Vault, now: float) -> None:
    of_keys = content.keys_after, content.destroy_key_versions, content.mark_keys
    of_secrets = content.secrets_after, content.destroy_secret_versions, content.mark_secrets
    await _empty(store, vault, now, "key", *of_keys)
    await _empty(store, vault, now, "secret", *of_secrets)

    def finish(tx: Tx) -> None:
        due = _still_due(tx, vault.num, now)
        about("vault", due.id, due.display_name, due.compartment_id)
        records.forget_wrapping_key(tx, due.num)
        keyring.delete_data_keys(tx, scope(due.num))
        records.replace(tx, _deleted(due, now))

    await store.write(finish)


def _deleted(vault: Vault, now: float) -> Vault:
    """The vault as it stays, and has been shown since its date; its port is free for another one."""
    return msgspec.structs.replace(
        vault,
        state=State.DELETED.value,
        passing="",
        passing_until=0.0,
        slot=None,
        updated_at=now,
    )


async def _empty(store: Store, vault: Vault, now: float, kind: str, after: After, destroy: Destroy, mark: Mark) -> None:
    """Destroys all keys, or all secrets, of a vault: their versions first, then themselves, a batch at a time."""
    last: Held | None = None
    while held := await after(store, vault.num, last, BATCH):
        batch, last = held, held[-1]

        def destroyed(tx: Tx, batch: list[Held] = batch) -> int:
            _still_due(tx, vault.num, now)
            return destroy(tx, batch, BATCH)

        with silently():  # the record of their key or secret tells it
            while await store.write(destroyed) == BATCH:
                pass

        def marked(tx: Tx, batch: list[Held] = batch) -> None:
            _still_due(tx, vault.num, now)
            for one in batch:
                also_about(kind, one.id, one.name, vault.id)
            mark(tx, batch, now)

        await store.write(marked)


def _still_due(tx: Tx, vault_num: int, now: float) -> Vault:
    """The vault. Raises Conflict where it is due no more: another server was quicker, or the clock was set back."""
    vault = records.in_tx(tx, vault_num)
    if vault.state != State.PENDING_DELETION.value or vault.deletes_at is None or vault.deletes_at > now:
        withhold()
        raise Conflict(NOT_DUE, vault=vault.id)
    return vault
