"""What synchronisation jobs of Azure's secrets have of their own: vaults that hold secrets, under the cloud's names."""

from __future__ import annotations

from collections.abc import Sequence

from claviger.cckm.azure.synchronization.records import VAULTS
from claviger.cckm.azure.synchronization.showing import shown
from claviger.cckm.azure.synchronization.visiting import KIND
from claviger.cckm.azure.synchronization.wire import SynchronizationShown
from claviger.cckm.azure.vaults import records as vaults
from claviger.cckm.azure.vaults.records import VaultRow
from claviger.cckm.synchronization.operations import Own
from claviger.core.errors import Invalid
from claviger.store.contract import Store


async def _all_of(store: Store, domain_id: str) -> list[VaultRow]:
    return [row for row in await vaults.all_of(store, domain_id) if not row.is_managed_hsm]


async def _find(store: Store, domain_id: str, name: str) -> VaultRow | None:
    row = await vaults.find(store, domain_id, name)
    if row is not None and row.is_managed_hsm:
        raise Invalid("ManagedHsm", message=f"key_vaults: {row.name} is a managed HSM, which holds no secrets")
    return row


def _told(chosen: Sequence[VaultRow]) -> list[tuple[str, str]]:
    return [(row.id, row.name) for row in chosen]


OWN: Own[VaultRow, SynchronizationShown] = Own(
    kind=KIND,
    vaults=VAULTS,
    field="key_vaults",
    noun="key vault",
    all_of=_all_of,
    find=_find,
    told=_told,
    shows=shown,
)
