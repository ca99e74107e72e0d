"""The material of key versions: made off the event loop, sealed by the key ring, and opened once into working objects.

Whether a version may be used is never decided here and never remembered: callers read the row first, every time, and
come here with what it says.
"""

from __future__ import annotations

from collections import OrderedDict

from claviger.core.errors import Damaged
from claviger.core.sensitive import Sensitive
from claviger.crypto import material
from claviger.crypto.envelope import associated_data
from claviger.crypto.key_objects import KeyObject
from claviger.crypto.material import Material, Shape
from claviger.ocikms.workers import Workers
from claviger.sealing.keyring import Keyring

SCOPE_PREFIX = "ocikms:"
REMEMBERED_KEYS = 1024
MAKERS = 1
"""Threads that make keys. More of them would take the processor from those who only read."""
MOST_MADE = 16
USERS = 2
"""Threads for what takes long with a private key."""
MOST_USED = 64
INLINE_RSA_LENGTH = 256
"""Private operations with RSA keys up to this length, in bytes, are done on the event loop."""


def scope(vault_num: int) -> str:
    """The scope of the data keys that all sealed values of a vault are under."""
    return f"{SCOPE_PREFIX}{vault_num}"


def binding(version_id: str) -> bytes:
    """What the sealed material of a key version is bound to: its OCID."""
    return associated_data("oci-key-version", version_id)


class Materials:
    """Makes material and remembers the working objects of up to `remembered` versions."""

    def __init__(self, keyring: Keyring, *, remembered: int = REMEMBERED_KEYS) -> None:
        self._keyring = keyring
        self._remembered = remembered
        self._objects: OrderedDict[int, KeyObject] = OrderedDict()
        self._makers = Workers("claviger-key-maker", MAKERS, MOST_MADE)
        self.users = Workers("claviger-key-user", USERS, MOST_USED)

    async def made(self, shape: Shape) -> Material:
        """Fresh material. Raises Invalid("Shape"), or Throttled where too many RSA keys are being made."""
        if shape.algorithm == "RSA":
            return await self._makers.run(lambda: material.generate(shape))
        return material.generate(shape)

    async def opened(
        self, version_num: int, version_id: str, shape: Shape, data_key_id: int | None, sealed: bytes | None
    ) -> KeyObject:
        """The working object of a version, by what its row says, which is asked first even if it is in memory.

        Raises Damaged where the row has no material or one that does not open, and Conflict("DataKeyRetired") where it
        was sealed anew since it was read: read it again.
        """
        found = self.opened_now(version_num, version_id, shape, data_key_id, sealed)
        if found is None:
            secret = await self.revealed(version_id, data_key_id, sealed)
            found = self._kept(version_num, material.key_object(secret.reveal(), shape))
        return found

    def opened_now(
        self, version_num: int, version_id: str, shape: Shape, data_key_id: int | None, sealed: bytes | None
    ) -> KeyObject | None:
        """The same without waiting; None where its data key has to be read first. Raises Damaged as `opened` does."""
        if data_key_id is None or sealed is None:
            raise Damaged("Material")
        found = self._objects.get(version_num)
        if found is not None:
            self._objects.move_to_end(version_num)
            return found
        secret = self._keyring.open_now(data_key_id, sealed, binding(version_id))
        return None if secret is None else self._kept(version_num, material.key_object(secret, shape))

    def _kept(self, version_num: int, made: KeyObject) -> KeyObject:
        self._objects[version_num] = made
        while len(self._objects) > self._remembered:
            self._objects.popitem(last=False)
        return made

    async def revealed(self, version_id: str, data_key_id: int | None, sealed: bytes | None) -> Sensitive:
        """The material itself, for its object, or for an export that was granted. Raises as `opened` does."""
        if data_key_id is None or sealed is None:
            raise Damaged("Material")
        return Sensitive(await self._keyring.open(data_key_id, sealed, binding(version_id)))

    def forget(self, version_num: int) -> None:
        """Drops the object of a version that is no longer to be used."""
        self._objects.pop(version_num, None)

    def stop(self) -> None:
        """Lets the threads go."""
        self._makers.stop()
        self.users.stop()
