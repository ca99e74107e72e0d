"""Exporting a vault as a row of entries: everything in it, read in pages beside a server that goes on serving.

Each secret is taken as it stands when its turn comes; nothing is locked. Importing is in `importing.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import msgspec

from claviger.core.clock import Clock
from claviger.keyvault.moving import records
from claviger.keyvault.moving.records import StoredVersion
from claviger.keyvault.moving.wire import (
    FORMAT,
    ArchivedEnd,
    ArchivedPolicy,
    ArchivedRole,
    ArchivedSecret,
    ArchivedVault,
    ArchivedVersion,
    Entry,
    VaultSettings,
)
from claviger.keyvault.secrets.operations import binding
from claviger.keyvault.vaults.operations import list_access_policies, list_roles
from claviger.keyvault.vaults.records import Vault
from claviger.lifecycle.retention import is_final
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store

PAGE = 64


class Exports:
    """Reads whole vaults."""

    def __init__(self, store: Store, keyring: Keyring, clock: Clock) -> None:
        self._store = store
        self._keyring = keyring
        self._clock = clock

    async def entries(self, vault: Vault, *, rights: bool) -> AsyncIterator[Entry]:
        """The vault as entries of an archive. Raises Damaged("SealBroken") for a value that does not open.

        Deleted secrets come with their dates, those past their purge date not at all.
        """
        yield archived_vault(vault, int(self._clock.now()))
        secrets = versions = 0
        after, begun = ("", 0), ("", 0)
        while page := await self._keyring.again_if_retired(partial(self._page, vault, after)):
            for stored, value in page:
                secret = stored.secret
                after = (secret.name_key, stored.version.id)
                made_anew = secret.name_key == begun[0] and secret.id != begun[1]  # purged, and set again meanwhile
                if made_anew or is_final(secret.purge_at, self._clock.now()):
                    continue
                if secret.name_key != begun[0]:
                    begun = (secret.name_key, secret.id)
                    secrets += 1
                    yield ArchivedSecret(secret.name, secret.deleted_at, secret.purge_at)
                versions += 1
                yield _archived_version(stored, value)
        if rights:
            for right in await self._rights(vault):
                yield right
        yield ArchivedEnd(secrets, versions)

    async def _page(self, vault: Vault, after: tuple[str, int]) -> list[tuple[StoredVersion, bytes]]:
        """The next versions with their values in the clear."""
        page = await records.page_all(self._store, vault.id, after, PAGE)
        opened = []
        for stored in page:
            bound_to = binding(vault.id, stored.secret.name_key, stored.version.version)
            opened.append((stored, await self._keyring.open(stored.version.data_key_id, stored.sealed, bound_to)))
        return opened

    async def _rights(self, vault: Vault) -> list[ArchivedRole | ArchivedPolicy]:
        """Roles at the vault and below, not those that it inherits, and access policies."""
        below = f"{vault.path.lower()}/secrets/"
        roles = [
            ArchivedRole(
                each.role_id,
                each.principal_id,
                each.scope.removeprefix(below) if each.scope.startswith(below) else None,
            )
            for each in await list_roles(self._store, vault=vault.name)
        ]
        policies = [
            ArchivedPolicy(each.object_id, each.permissions, each.application_id)
            for each in await list_access_policies(self._store, vault.name)
        ]
        return [*roles, *policies]


def archived_vault(vault: Vault, now: int) -> ArchivedVault:
    """The first entry of a vault's archive."""
    told = {name: getattr(vault, name) for name in VaultSettings.__struct_fields__}
    return ArchivedVault(FORMAT, vault.name, vault.tenant_id, now, VaultSettings(**told))


def _archived_version(stored: StoredVersion, value: bytes) -> ArchivedVersion:
    told = msgspec.structs.asdict(stored.version)
    kept = {name: told[name] for name in ArchivedVersion.__struct_fields__ if name != "value"}
    return ArchivedVersion(value=value, **kept)
