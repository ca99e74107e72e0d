"""BackupVault and BackupKey (OCI contract §3, §4, §7.4): what is stored, opened and sealed anew into one file.

The file is put together before the transaction that stores it. That transaction decides, as every change of a vault or
key does, and sees by the revisions whether the file is still right; if not, it is put together once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from claviger.audit.trail import telling
from claviger.core.errors import Conflict, Invalid
from claviger.ocikms.backups import records, rules, wire
from claviger.ocikms.backups.locations import Locations, Target
from claviger.ocikms.backups.records import Marks
from claviger.ocikms.backups.sealed_file import KEY, VAULT, Kind, SealedFiles
from claviger.ocikms.calls import Answer, Call, Verb
from claviger.ocikms.keys import operations as key_operations
from claviger.ocikms.keys.records import Key
from claviger.ocikms.keys.rules import Operation as KeyOperation
from claviger.ocikms.materials import binding
from claviger.ocikms.storage.contents import md5_of
from claviger.ocikms.texts import read_body
from claviger.ocikms.vaults import operations as vault_operations
from claviger.ocikms.vaults import records as vault_records
from claviger.ocikms.vaults.records import Vault
from claviger.ocikms.vaults.rules import Operation as VaultOperation
from claviger.ocikms.versions import records as version_records
from claviger.ocikms.versions.records import Version
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

TRIES = 5
AT_ONCE = 200
"""So many values are opened before others get their turn."""
IN_PROGRESS = "BACKUP_IN_PROGRESS"
Rows = Sequence[tuple[Version, bytes | None]]


class _File(msgspec.Struct, frozen=True):
    """A file that is ready to be stored, and what it was made of."""

    content: bytes
    content_md5: str
    marks: Marks
    keys: int
    versions: int


class Backups:
    """Makes backups. `settle_s` is how long a vault or key is shown as BACKUP_IN_PROGRESS."""

    def __init__(
        self, store: Store, keyring: Keyring, files: SealedFiles, locations: Locations, *, settle_s: float = 0.0
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._files = files
        self._locations = locations
        self._settle_s = settle_s

    async def backup_vault(self, call: Call) -> Answer:
        """BackupVault, if asked with the keys that BackupKey would take. Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.BackupVaultDetails)
        target = self._target(call, body.backup_location)
        with_keys = bool(body.is_include_keys)

        async def attempt() -> Answer:
            vault = await vault_operations.visible(self._store, call, call.path["vaultId"], Verb.MANAGE)
            file: _File | None = None
            if (
                vault.vault_type == rules.PRIVATE
                and vault.shown_at(call.now) == "ACTIVE"
                and isinstance(target, Target)
            ):
                file = await self._keyring.again_if_retired(lambda: self._vault_file(call, vault, with_keys=with_keys))

            def act(tx: Tx, held: Vault) -> tuple[Vault, str]:
                rules.check_vault(held.vault_type)
                marks = records.marks_of_vault(tx, held.num) if with_keys else frozenset[tuple[str, int]]()
                self._put(tx, call, target, file, marks | {(held.id, held.revision)})
                return msgspec.structs.replace(held, **self._passing(call)), IN_PROGRESS

            change = vault_operations.changed(act, call, VaultOperation.BACK_UP, Verb.MANAGE)
            return await self._store.write(change)

        return await _again_if_moved(attempt)

    async def backup_key(self, call: Call) -> Answer:
        """BackupKey, with all its versions and the settings of its vault. Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.BackupDetails)
        target = self._target(call, body.backup_location)

        async def attempt() -> Answer:
            key = await key_operations.visible(self._store, call, call.path["keyId"], call.route.verb)
            is_fit = key.vault_type == rules.PRIVATE and key.protection_mode == rules.HSM
            file: _File | None = None
            if is_fit and key.shown_at(call.now) in rules.BACKED_UP_STATES and isinstance(target, Target):
                file = await self._keyring.again_if_retired(lambda: self._key_file(call, key))

            def change(tx: Tx) -> Answer:
                def act(tx: Tx, held: Key) -> Key:
                    rules.check_vault(held.vault_type)
                    rules.check_key(held.protection_mode)
                    self._put(tx, call, target, file, records.marks_of_key(tx, held.num))
                    return msgspec.structs.replace(held, **self._passing(call))

                return key_operations.changed(act, call, KeyOperation.BACKUP)(tx)

            return await self._store.write(change)

        return await _again_if_moved(attempt)

    def _target(self, call: Call, location: wire.BackupLocation | None) -> Target | Invalid:
        """The target, or what is wrong with it, for that is told after the state (§14.2). Raises for a missing one."""
        try:
            return self._locations.target(call, location)
        except Invalid as problem:
            if problem.reason == "Missing":
                raise
            return problem

    def _put(self, tx: Tx, call: Call, target: Target | Invalid, file: _File | None, marks: Marks) -> None:
        if isinstance(target, Invalid):
            raise target
        if file is None or file.marks != marks:
            raise rules.moved()
        self._locations.put(tx, call, target, file.content, file.content_md5)
        telling(bucket=target.bucket, object=target.name, keys=file.keys, versions=file.versions)

    def _passing(self, call: Call) -> dict[str, Any]:
        if self._settle_s > 0:
            return {"passing": IN_PROGRESS, "passing_until": call.now + self._settle_s}
        return {"passing": "", "passing_until": 0.0}

    async def _vault_file(self, call: Call, vault: Vault, *, with_keys: bool) -> _File:
        keys: list[Key] = []
        rows: Rows = ()
        if with_keys:
            keys = await records.keys_of_vault(self._store, vault.num)
            for key in keys:
                call.require(Verb.MANAGE, key.compartment_id, "Key")
            rows = await records.versions_of_vault(self._store, vault.num)
        marks = _marks(keys, rows) | {(vault.id, vault.revision)}
        return await self._file(call, VAULT, vault, keys, rows, marks)

    async def _key_file(self, call: Call, key: Key) -> _File:
        vault = await vault_records.find(self._store, key.vault_id)
        rows = await version_records.all_of(self._store, key.num)
        if vault is None:
            raise rules.moved()
        return await self._file(call, KEY, vault, [key], rows, _marks([key], rows))

    async def _file(self, call: Call, kind: Kind, vault: Vault, keys: Sequence[Key], rows: Rows, marks: Marks) -> _File:
        rules.check_count(len(rows))
        versions: dict[int, list[wire.PackedVersion]] = {key.num: [] for key in keys}
        for count, (version, sealed) in enumerate(rows):
            if count % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
            if version.key_num in versions:  # else it was added between two reads, and the marks will tell
                versions[version.key_num].append(await self._packed_version(version, sealed))
        packed = wire.Packed(
            made_at=call.now,
            tenancy_id=call.caller.tenancy_id,
            vault=_packed_vault(vault),
            keys=[_packed_key(key, versions[key.num]) for key in keys],
        )
        content = await self._files.sealed(kind, packed)
        content_md5 = await asyncio.to_thread(md5_of, content)
        return _File(content, content_md5, marks, len(keys), packed.version_count)

    async def _packed_version(self, version: Version, sealed: bytes | None) -> wire.PackedVersion:
        material: bytes | None = None
        if sealed is not None and version.data_key_id is not None:
            material = await self._keyring.open(version.data_key_id, sealed, binding(version.id))
        return wire.PackedVersion(
            id=version.id,
            state=version.state,
            deletes_at=version.deletes_at,
            origin=version.origin,
            is_auto_rotated=version.is_auto_rotated,
            public_key=version.public_key,
            revision=version.revision,
            created_at=version.created_at,
            material=material,
        )


async def _again_if_moved(attempt: Callable[[], Awaitable[Answer]]) -> Answer:
    for _ in range(TRIES - 1):
        try:
            return await attempt()
        except Conflict as refusal:
            if refusal.reason != "Moved":
                raise
    return await attempt()


def _marks(keys: Sequence[Key], rows: Rows) -> Marks:
    of_versions = {(version.id, version.revision) for version, _ in rows}
    return frozenset(of_versions | {(key.id, key.revision) for key in keys})


def _packed_vault(vault: Vault) -> wire.PackedVault:
    return wire.PackedVault(
        id=vault.id,
        prefix=vault.prefix,
        display_name=vault.display_name,
        vault_type=vault.vault_type,
        freeform_tags=vault.freeform_tags,
        defined_tags=vault.defined_tags,
        wrapping_key_id=vault.wrapping_key_id,
        revision=vault.revision,
        created_at=vault.created_at,
    )


def _packed_key(key: Key, versions: list[wire.PackedVersion]) -> wire.PackedKey:
    same = {name: getattr(key, name) for name in wire.PackedKey.__struct_fields__ if name != "versions"}
    return wire.PackedKey(**same, versions=versions)
