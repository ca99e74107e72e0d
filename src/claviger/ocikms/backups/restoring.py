"""RestoreVault… and RestoreKey… (OCI contract §3, §4, §7.4): a file is opened, and what it holds is there again.

Nothing is stored of a file that is not exactly what was made here. A vault's row is never removed, so a deleted vault
comes back in its own row, with a data key of its own anew; where the row is missing all the same, the database being
an older copy, one is made that says DELETED, and the restore goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from claviger.audit.trail import about, silently, telling
from claviger.core.errors import Conflict, NotFound
from claviger.ocikms import states
from claviger.ocikms.backups import rules, wire
from claviger.ocikms.backups.locations import Locations
from claviger.ocikms.backups.returning import put_key
from claviger.ocikms.backups.sealed_file import KEY, VAULT, SealedFiles
from claviger.ocikms.calls import Answer, Call, Verb
from claviger.ocikms.changing import Change, Standing, check_etag, once
from claviger.ocikms.errors import absent, wrong
from claviger.ocikms.keys import operations as key_operations
from claviger.ocikms.keys import records as key_records
from claviger.ocikms.keys.shown import answered as answered_key
from claviger.ocikms.materials import binding, scope
from claviger.ocikms.placing import check_place
from claviger.ocikms.storage.contents import fits_md5, md5_of
from claviger.ocikms.texts import read_body
from claviger.ocikms.vaults import records as vault_records
from claviger.ocikms.vaults.operations import Vaults, standing_at, vault_at, writable
from claviger.ocikms.vaults.records import Vault
from claviger.ocikms.vaults.shown import answered as answered_vault
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

RESTORING = "RESTORING"
Sealed = dict[str, tuple[int, bytes]]
"""By a version's OCID: the data key, and the material that is sealed under it."""


class Restores:
    """Brings back what was backed up. `settle_s` is how long it is shown as RESTORING."""

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        files: SealedFiles,
        locations: Locations,
        vaults: Vaults,
        *,
        settle_s: float = 0.0,
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._files = files
        self._locations = locations
        self._vaults = vaults
        self._settle_s = settle_s

    async def vault_from_file(self, call: Call) -> Answer:
        """RestoreVaultFromFile. Raises NotFound, Conflict, Invalid."""
        compartment_id = self._compartment(call)
        return await self._vault(call, compartment_id, await _sent(call))

    async def vault_from_object_store(self, call: Call) -> Answer:
        """RestoreVaultFromObjectStore. Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.BackupDetails)
        compartment_id = self._compartment(call)
        target = self._locations.target(call, body.backup_location)
        return await self._vault(call, compartment_id, await self._locations.read(call, target))

    async def key_from_file(self, call: Call) -> Answer:
        """RestoreKeyFromFile, into the vault of the host. Raises NotFound, Conflict, Invalid."""
        vault = await self._host(call)
        return await self._key(call, vault, await _sent(call))

    async def key_from_object_store(self, call: Call) -> Answer:
        """RestoreKeyFromObjectStore, into the vault of the host. Raises NotFound, Conflict, Invalid."""
        body = read_body(call.body, wire.BackupDetails)
        vault = await self._host(call)
        target = self._locations.target(call, body.backup_location)
        return await self._key(call, vault, await self._locations.read(call, target))

    @staticmethod
    def _compartment(call: Call) -> str:
        compartment_id = call.required("compartmentId")
        if not call.sight.may(Verb.MANAGE, compartment_id):
            raise NotFound("Absent")
        return compartment_id

    async def _host(self, call: Call) -> Vault:
        vault = await vault_at(self._store, call)
        call.require(Verb.USE, vault.compartment_id, "Vault")
        return vault

    def _passing(self, call: Call) -> tuple[str, float]:
        return (RESTORING, call.now + self._settle_s) if self._settle_s > 0 else ("", 0.0)

    # Vaults.

    async def _vault(self, call: Call, compartment_id: str, raw: bytes) -> Answer:
        packed = await self._files.opened(VAULT, raw)
        _check_tenancy(call, packed)
        places = {key.id: _compartment_of(call, key, compartment_id) for key in packed.keys}
        num = await self._row(call, packed.vault, compartment_id)

        def change_with(sealed: Sealed) -> Change:
            def change(tx: Tx) -> Answer:
                for place in {compartment_id, *places.values()}:
                    check_place(tx, call, place)
                vault = self._returned(tx, call, packed.vault, compartment_id)
                for key in packed.keys:
                    put_key(tx, call.now, vault, key, places[key.id], sealed, self._passing(call))
                about("vault", vault.id, vault.display_name, vault.compartment_id)
                telling(keys=len(packed.keys), versions=packed.version_count)
                return answered_vault(call, vault, RESTORING)

            return change

        return await self._stored(call, num, packed.keys, change_with, standing_at(call.now))

    async def _row(self, call: Call, packed: wire.PackedVault, compartment_id: str) -> int:
        """The number of the vault's row, which is made where it is missing, and says DELETED until all is done."""
        held = await vault_records.find(self._store, packed.id)
        if held is not None:
            return held.num

        def change(tx: Tx) -> int:
            found = vault_records.by_id_in(tx, packed.id)
            if found is not None:
                return found.num
            if vault_records.by_prefix_in(tx, packed.prefix) is not None:
                raise rules.exists("Vault", packed.id)
            made = Vault(
                id=packed.id,
                tenancy_num=call.caller.tenancy_num,
                region=call.place.region,
                prefix=packed.prefix,
                compartment_id=compartment_id,
                display_name=packed.display_name,
                vault_type=packed.vault_type,
                state=states.DELETED,
                wrapping_key_id=packed.wrapping_key_id,
                revision=packed.revision,
                created_at=packed.created_at,
                updated_at=call.now,
            )
            return vault_records.insert(tx, made).num

        with silently():
            return await self._store.write(change)

    def _returned(self, tx: Tx, call: Call, packed: wire.PackedVault, compartment_id: str) -> Vault:
        """The vault in its row again. Raises Conflict unless that says DELETED, for good."""
        held = vault_records.by_id_in(tx, packed.id)
        if held is None or held.tenancy_num != call.caller.tenancy_num:
            raise rules.exists("Vault", packed.id)
        check_etag(call, held.etag_at(call.now))
        if held.state != states.DELETED:
            is_ending = held.shown_at(call.now) == states.DELETED
            raise rules.ending("Vault", held.id) if is_ending else rules.exists("Vault", held.id)
        passing, until = self._passing(call)
        vault = msgspec.structs.replace(
            held,
            region=call.place.region,
            slot=self._vaults.free_slot(tx),
            compartment_id=compartment_id,
            display_name=packed.display_name,
            state="ACTIVE",
            passing=passing,
            passing_until=until,
            deletes_at=None,
            freeform_tags=packed.freeform_tags,
            defined_tags=packed.defined_tags,
            restored_from=packed.id,
            revision=max(held.revision, packed.revision) + 1,
            updated_at=call.now,
        )
        vault_records.replace(tx, vault)
        return vault

    # Keys.

    async def _key(self, call: Call, vault: Vault, raw: bytes) -> Answer:
        packed = await self._files.opened(KEY, raw)
        _check_tenancy(call, packed)
        if packed.vault.id != vault.id:
            raise rules.of_another("vault")
        key = packed.keys[0]
        compartment_id = _compartment_of(call, key, vault.compartment_id)

        def change_with(sealed: Sealed) -> Change:
            def change(tx: Tx) -> Answer:
                check_place(tx, call, compartment_id)
                its = writable(tx, vault.num, call.now)
                held = key_records.by_id_in(tx, key.id)
                check_etag(call, "" if held is None else held.etag_at(call.now))
                returned = put_key(tx, call.now, its, key, compartment_id, sealed, self._passing(call))
                about("key", returned.id, returned.display_name, returned.vault_id)
                telling(versions=len(key.versions))
                return answered_key(returned, call.now, RESTORING)

            return change

        def standing(tx: Tx, ident: str) -> str | None:
            return key_operations.standing(tx, ident, call.now)

        return await self._stored(call, vault.num, packed.keys, change_with, standing)

    async def _stored(
        self,
        call: Call,
        vault_num: int,
        keys: list[wire.PackedKey],
        change_with: Callable[[Sealed], Change],
        standing: Standing,
    ) -> Answer:
        """Seals all material for the vault, and makes the change with it, once for its retry token."""

        async def attempt(data_key_id: int) -> Answer:
            sealed = {
                version.id: (data_key_id, self._keyring.seal(data_key_id, version.material, binding(version.id)))
                for key in keys
                for version in key.versions
                if version.material is not None
            }
            return await self._store.write(once(call, change_with(sealed), standing))

        if not any(key.versions for key in keys):
            return await self._store.write(once(call, change_with({}), standing))
        try:
            return await self._keyring.with_data_key(scope(vault_num), attempt)
        except Conflict as refusal:
            if refusal.reason != "DataKeyRetired":
                raise
        # The data keys of a deleted vault went with it, and this process may just have remembered one of them.
        return await self._keyring.with_data_key(scope(vault_num), attempt)


async def _sent(call: Call) -> bytes:
    """The file that came as the body. Raises Invalid where it is not what Content-MD5 says (§4)."""
    if call.content_md5 is not None:
        found = await asyncio.to_thread(md5_of, call.body)
        if not fits_md5(call.content_md5, found):
            raise wrong("content-md5", "is not that of the body")
    return call.body


def _check_tenancy(call: Call, packed: wire.Packed) -> None:
    if packed.tenancy_id != call.caller.tenancy_id:
        raise rules.of_another("tenancy")


def _compartment_of(call: Call, key: wire.PackedKey, otherwise: str) -> str:
    """Where a key comes back: in its compartment, or its vault's where that is gone. Raises NotFound."""
    if not call.sight.has(key.compartment_id):
        return otherwise
    if not call.sight.may(Verb.MANAGE, key.compartment_id):
        raise absent("Key")
    return key.compartment_id
