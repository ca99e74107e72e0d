"""Versions whose date has come: their material is destroyed, at the date or as soon after it as the server runs."""

from __future__ import annotations

from claviger.audit.trail import also_about, withhold
from claviger.ocikms.versions import records
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx


async def delete_due(store: Store, keyring: Keyring, now: float, limit: int) -> int:
    """Destroys the material of up to `limit` versions that are due; how many."""

    def change(tx: Tx) -> int:
        found = records.due(tx, now, limit)
        for version in found:
            also_about("version", version.id, container=version.key_id)
            records.destroy(tx, version.num)
        if not found:
            withhold()
        return len(found)

    return await store.write(change)


async def next_due(store: Store) -> float | None:
    """When the next version is due, in epoch seconds."""
    return await records.next_due(store)
