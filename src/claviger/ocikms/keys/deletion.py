"""Keys whose date has come: the material of all their versions is destroyed, at the date or as soon after it as the
server runs. The rows stay, and say DELETED.
"""

from __future__ import annotations

from claviger.audit.trail import also_about, withhold
from claviger.ocikms.keys import records
from claviger.ocikms.versions import records as versions
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx


async def delete_due(store: Store, keyring: Keyring, now: float, limit: int) -> int:
    """Deletes up to `limit` keys that are due, with all their versions; how many keys."""

    def change(tx: Tx) -> int:
        found = records.due(tx, now, limit)
        for key in found:
            also_about("key", key.id, key.display_name, key.vault_id)
            versions.destroy_of_key(tx, key.num)
            records.end(tx, key.num, now)
        if not found:
            withhold()
        return len(found)

    return await store.write(change)


async def next_due(store: Store) -> float | None:
    """When the next key is due, in epoch seconds."""
    return await records.next_due(store)
