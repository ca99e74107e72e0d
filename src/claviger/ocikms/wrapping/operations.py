"""The vault's RSA-4096 wrapping key: made when it is first asked for, and used to unwrap what is imported.

Clients see it as if it had been there since the vault was made (OCI contract §7.2). Of two who make it at once, in any
two processes, the first one's stays.
"""

from __future__ import annotations

import asyncio

from claviger.audit.trail import about, silently
from claviger.crypto import key_wrapping, material
from claviger.crypto.envelope import associated_data
from claviger.crypto.material import Material, Shape
from claviger.ocikms.calls import Answer, Call, Verb
from claviger.ocikms.errors import absent, wrong
from claviger.ocikms.materials import Materials, scope
from claviger.ocikms.states import etag
from claviger.ocikms.texts import from_base64, written
from claviger.ocikms.vaults.operations import vault_at
from claviger.ocikms.vaults.records import Vault
from claviger.ocikms.wrapping import records
from claviger.ocikms.wrapping.records import Stored
from claviger.ocikms.wrapping.wire import WrappedImportKey, WrappingKey
from claviger.sealing.keyring import Keyring
from claviger.store.contract import Store, Tx

SHAPE = Shape("RSA", 512)
MAX_MATERIAL_LENGTH = 8192
"""In base64; RSA-4096 as PKCS #8, wrapped, is about 3,900."""


def binding(vault_id: str) -> bytes:
    """What a sealed wrapping key is bound to."""
    return associated_data("oci-wrapping-key", vault_id)


class Wrapping:
    """The wrapping keys of all vaults."""

    def __init__(self, store: Store, keyring: Keyring, materials: Materials) -> None:
        self._store = store
        self._keyring = keyring
        self._materials = materials
        self._making: dict[int, asyncio.Task[Stored]] = {}

    async def get(self, call: Call) -> Answer:
        """GetWrappingKey: of the vault of the host that was asked. Raises NotFound, and what `shown` raises."""
        vault = await vault_at(self._store, call)
        call.require(Verb.READ, vault.compartment_id, "Vault")
        about("vault", vault.id, vault.display_name, vault.compartment_id)
        shown = await self.shown(vault)
        return Answer(body=shown, etag=etag(shown.id, 1, shown.public_key))  # a restored vault has another one

    async def shown(self, vault: Vault) -> WrappingKey:
        """The public key, made now if there is none. Raises Throttled while too many keys are being made."""
        stored = await records.find(self._store, vault.num) or await self._made(vault)
        return WrappingKey(
            id=vault.wrapping_key_id,
            compartment_id=vault.compartment_id,
            vault_id=vault.id,
            lifecycle_state="ENABLED",
            public_key=stored.public_key,
            time_created=written(vault.created_at),
        )

    async def unwrapped(self, vault: Vault, wrapped: WrappedImportKey, shape: Shape) -> Material:
        """The material that somebody wrapped to this vault's key, checked in full; nothing is stored.

        Raises Invalid("Value") for an unknown algorithm or text that is not base64, and Invalid("Material") for all
        that does not unwrap to a key of that shape; Throttled where too many wait.
        """
        algorithm = wrapped.wrapping_algorithm
        if algorithm not in key_wrapping.ALGORITHMS:
            raise wrong("wrappedImportKey.wrappingAlgorithm", f"must be one of {', '.join(key_wrapping.ALGORITHMS)}")
        if shape.algorithm not in ("AES", "RSA"):
            raise wrong("keyShape.algorithm", "must be AES or RSA for a key that is imported")
        if shape.algorithm == "RSA" and algorithm != key_wrapping.BY_AES:
            raise wrong("wrappedImportKey.wrappingAlgorithm", f"must be {key_wrapping.BY_AES} for an RSA key")
        content = _decoded(wrapped.key_material)

        async def opened() -> bytes:
            stored = await records.find(self._store, vault.num)
            if stored is None:  # never shown to anybody: nothing can have been wrapped to it
                raise material.unusable()
            return await self._keyring.open(stored.data_key_id, stored.sealed, binding(vault.id))

        private = await self._keyring.again_if_retired(opened)

        def work() -> Material:
            return material.imported(key_wrapping.unwrapped(content, algorithm, private), shape)

        return await self._materials.users.run(work)

    async def stop(self) -> None:
        """Gives up keys that are being made: the next who asks begins anew."""
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _made(self, vault: Vault) -> Stored:
        """One key for all who ask in this process, made to its end even if they go away."""
        task = self._making.get(vault.num)
        if task is None:
            task = self._making[vault.num] = asyncio.create_task(self._make(vault))
            task.add_done_callback(lambda done: self._ended(vault.num, done))
        return await asyncio.shield(task)

    def _ended(self, vault_num: int, task: asyncio.Task[Stored]) -> None:
        self._making.pop(vault_num, None)
        if not task.cancelled():
            task.exception()  # somebody may have waited for it, or nobody

    async def _make(self, vault: Vault) -> Stored:
        made = await self._materials.made(SHAPE)

        def change(tx: Tx, data_key_id: int, sealed: bytes) -> bool:
            return records.keep_first(tx, vault.num, Stored(made.public_pem or "", data_key_id, sealed))

        with silently():  # it is part of the vault, and nobody's act
            await self._keyring.write_sealed(
                scope(vault.num), made.secret.reveal(), binding(vault.id), change, self._store
            )
        stored = await records.find(self._store, vault.num)
        if stored is None:  # deleted meanwhile
            raise absent("Vault")
        return stored


def _decoded(text: str) -> bytes:
    found = from_base64(text) if len(text) <= MAX_MATERIAL_LENGTH else None
    if found is None:
        raise wrong("wrappedImportKey.keyMaterial", "is not base64 of wrapped key material")
    return found
