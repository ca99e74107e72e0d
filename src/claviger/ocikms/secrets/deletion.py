"""Secrets and versions whose date has come: their contents are destroyed, at the date or as soon after it as the server
runs. The rows stay, and say DELETED. A secret ends with its vault at the latest.
"""

from __future__ import annotations

from claviger.audit.trail import also_about, withhold
from claviger.ocikms.secret_versions import records as versions
from claviger.ocikms.secrets import records
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx


async def delete_due(store: Store, keyring: Keyring, now: float, limit: int) -> int:
    """Deletes up to `limit` secrets, with all their versions, and single versions that are due; how many."""

    def change(tx: Tx) -> int:
        due = records.due(tx, now, limit)
        for secret in due:
            also_about("secret", secret.id, secret.name, secret.vault_id)
            records.end(tx, secret.num, now)
        due_versions = versions.due(tx, now, limit - len(due)) if len(due) < limit else []
        for version in due_versions:
            ident = f"{version.secret_id}/version/{version.number}"
            also_about("secret", ident, version.secret_name, version.vault_id)
            versions.end(tx, version.num)
        if not due and not due_versions:
            withhold()
        return len(due) + len(due_versions)

    return await store.write(change)


async def next_due(store: Store) -> float | None:
    """When the next secret or version is due, in epoch seconds."""
    return await records.next_due(store)
